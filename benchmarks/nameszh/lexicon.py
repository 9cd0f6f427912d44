"""Makes the lists that the recogniser of Chinese names reads, from the dictionary of jieba 0.42.1 (MIT): `python lexicon.py dict.txt`.

Words that their parts explain nearly as well are left out. Names of people are left out of the words; from them come the tables of surnames, of
characters of given names and of characters with which foreign names are written.
"""

from __future__ import annotations

import lzma
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOM = Path(__file__).parents[2] / "src/huizhen/data/deidentify"
KINDS = dict.fromkeys(("n", "v", "a", "d", "p", "c", "u", "t", "f", "r", "m", "q", "s"), "")
# Written by hand: characters that write foreign names, from tables of transliteration.
FOREIGN = frozenset(
    "阿艾安奥巴贝本比波伯布查达丹德迪丁杜多厄尔法菲费夫弗福盖戈格古哈赫亨霍吉加杰卡凯科克拉莱兰劳雷里利林卢鲁罗洛马迈曼梅门米莫木穆纳内尼娜诺欧帕佩皮普奇乔琼"
    "热瑞萨塞桑沙莎史舍斯苏索塔泰坦汤特提图托瓦威维温沃乌西希谢辛休叙雅亚延扬耶伊依英尤扎詹珍兹佐朱孜买肉孙江吐逊赛力汗库尼牙丽合不都艾约瑟孟和仓措嘉格旦坚赞参热珠仁青白央宗丹增曲旺堆罗布洛次久美强朗顿云其木仓毕力夫朝鲁敖登呼娃琴图雅根才宝音苏日嘎查干满达斯琴高布仁"
)
JAPANESE = "田中 山本 佐藤 铃木 高桥 渡边 伊藤 中村 小林 加藤 吉田 山田 松本 井上 木村 清水 山口 石川 前田 藤田 冈田 村上 小川 长谷 福田 ".split()
SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛"
    "郝龚邵万钱严覃武戴莫孔向汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈"
    "饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝官封谈匡鞠惠荆乐冀郁胥南班储原"
    "栗燕楚鄢劳谌奚皮粟冼蔺楼盘满闻位厉伊仝区郜海阚花权强帅屠豆朴盖练廉禹井祖漆巴丰支卿国狄平计索宣晋相初门云容敬来扈晁芮都普阙浦戈伏鹿薄邸雍辜羊阿乌母裘亓修邰赫杭况那宿鲜印逯隆茹诺战慕危"
    "玉银亢嵇公哈湛宾戎勾茅利於呼居揭干但尉冶斯元束檀衣信展阴昝智幸奉植衡富尧闭由逄笪郗麴厍郏蒯訾郇竺佴妫酆钮暨昌凤俱苻"
)
DOUBLE = (
    "欧阳 上官 司马 诸葛 东方 皇甫 尉迟 慕容 令狐 司徒 夏侯 长孙 宇文 轩辕 南宫 端木 百里 呼延 东郭 西门 公孙 独孤 拓跋 申屠 公冶 澹台 濮阳 淳于 太叔 钟离 闾丘 亓官 司寇 "
    "巫马 公西 漆雕 乐正 壤驷 公良 夹谷 宰父 谷梁 梁丘 左丘 东门 南门 仲孙 叔孙 第五 万俟 赫连 鲜于 单于 纳兰 完颜 耶律 爱新 叶赫 那拉 欧阳 司空 子车 颛孙 宗政 即墨 "
).split()
DOUBT = 20  # what may be a word and a person (高峰, 朱军) counts by so much less, and is of kind h
COMMON = frozenset(SURNAMES[:250])
PLACES = frozenset(
    "县镇乡村山河州庄寺族公爷帝人区港城桥湾江湖岛市国路街馆院军队党派"
)  # ends of what the dictionary takes for people, too


def read(path: Path) -> tuple[dict[str, tuple[int, str]], list[tuple[str, str]]]:
    words, people = {}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        word, count, kind = line.split()
        if not all("\u4e00" <= each <= "\u9fff" for each in word):
            continue
        if kind in ("nr", "nrt", "nrfg") and len(word) > 1:
            people.append((word, kind))
            if not is_word(word, int(count), kind):
                continue
            if len(word) == 2 and word[0] in COMMON:
                words[word] = (max(1, int(count) // DOUBT), "h")
                continue
        words[word] = (int(count), kind[0] if kind[0] in KINDS else "z")
    return words, people


def is_word(word: str, count: int, kind: str) -> bool:
    """Whether what the dictionary takes for a person is a word, too: it marks 高峰 and 安静 so."""
    if kind == "nrfg" or word[:2] in DOUBLE:
        return False
    if len(word) == 2:
        return count >= 20
    return word[0] not in SURNAMES and len(word) <= 4 and count >= 3 and not set(word) <= FOREIGN


def pruned(words: dict[str, tuple[int, str]]) -> dict[str, tuple[float, str]]:
    """Words that cost less than their parts; costs in nats."""
    total = sum(count for count, _ in words.values())
    cost = {word: -math.log(count / total) for word, (count, _) in words.items()}
    kept = {word: cost[word] for word in words if len(word) == 1}
    for length, gain in ((2, 1.0), (3, 3.0), (4, 5.0), (5, 6.0), (6, 6.0), (7, 6.0), (8, 6.0)):
        kept |= {word: cost[word] for word in words if len(word) == length and parts(word, kept) - cost[word] > gain}
    return {word: (cost, words[word][1]) for word, cost in kept.items()}


def parts(word: str, kept: dict[str, float]) -> float:
    best = [0.0] + [1e9] * len(word)
    for ends in range(1, len(word) + 1):
        for begins in range(ends):
            here = kept.get(word[begins:ends], 17.0 if ends - begins == 1 else 1e9)
            best[ends] = min(best[ends], best[begins] + here)
    return best[-1]


def tables(people: list[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Costs of surnames, of first and last characters of given names, and of characters of foreign names."""
    first, last, foreign = Counter[str](), Counter[str](), Counter[str](dict.fromkeys(FOREIGN, 40))
    for word, kind in people:
        if word[0] in COMMON and len(word) == 3 and word[-1] not in PLACES and kind != "nrt":
            first[word[1]] += 1
            last[word[2]] += 1
        elif len(word) > 2 and set(word) <= FOREIGN:
            foreign.update(word)
    for table in (first, last):
        table["某"] += 30
    surnames = (
        dict.fromkeys(DOUBLE, 10.0)
        | dict.fromkeys(JAPANESE, 12.0)
        | {surname: rarity(SURNAMES.index(surname) + 1) for surname in SURNAMES}
    )
    return {"surname": surnames} | {
        name: costs(table) for name, table in {"first": first, "last": last, "foreign": foreign}.items()
    }


def rarity(rank: int) -> float:
    """Cost of the surname of this rank: one in 14 has the first, one in 500 the hundredth, one in 20,000 the four hundredth."""
    return round(2 * (2.6 + 0.8 * math.log(rank) + max(0.0, 1.8 * math.log2(rank / 100)))) / 2


def costs(table: Counter[str]) -> dict[str, float]:
    total = sum(table.values())
    return {key: round(2 * -math.log(count / total)) / 2 for key, count in table.items() if count}


def main() -> None:
    words, people = read(Path(sys.argv[1]))
    lines = defaultdict(list)
    for word, (cost, kind) in pruned(words).items():
        lines[kind, round(2 * cost)].append(word)
    text = "\n".join(" ".join((kind, str(cost), *sorted(group))) for (kind, cost), group in sorted(lines.items()))
    (ROOM / "words_zh.txt.xz").write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    out = ["# Made by benchmarks/nameszh/lexicon.py: costs in half nats, and what has them."]
    for name, table in tables(people).items():
        by = defaultdict(list)
        for key, cost in table.items():
            by[round(2 * cost)].append(key)
        out += [f"{name} {cost} {' '.join(sorted(group))}" for cost, group in sorted(by.items())]
    (ROOM / "people_zh.txt").write_text("\n".join(out) + "\n", encoding="utf-8")
    print(sum(map(len, lines.values())), "words")


if __name__ == "__main__":
    main()
