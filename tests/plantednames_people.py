"""Names for judging: people that stand in no list of the recogniser, or whose surnames are withheld from it."""

from __future__ import annotations

from random import Random

import plantednames as pn

COMMON = list(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫"
)
DOUBLE = ["欧阳", "诸葛", "上官", "司马", "皇甫", "令狐", "慕容", "尉迟", "澹台", "公冶", "濮阳", "亓官"]
# Surnames that are borne by few; they are withheld from the lists where these sentences are judged.
RARE = list("逄仝亓笪郗逯麴厍郏蒯訾郇邸阚冼昝佘亢竺佴妫璩朴鄢谌粟娄蔺漆禚揣揭缑銮郐鲍郜丛隗洑訚芈訚綦蹇乜贠庹")
GIVEN = list(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华文建国红梅志兰秀玉春海龙飞鹏辉玲萍琴云波宁浩宇轩梓涵诗雨欣怡子墨晨曦思睿佳琪雪婷慧颖莉斌凯旭东亮成福贵根生财旺淑珍凤莲素贞树林永健忠义德胜"
    "瀚珺翊砚芃禾璟昱祎翀骞垚菡霁熠彧煜琰瑄玥晗奕淼焱翯懿鋆赟昶旻晟曌嬿筠蓁璨琬翎翾弈韫珞珩珈旖旎甯稷祺"
)
ETHNIC = (
    "阿不都热合曼·买买提 古丽巴哈尔·吾守尔 麦合木提·卡德尔 努尔兰·哈孜别克 叶尔兰·托合塔尔 米娜瓦尔·艾山 吾买尔江·肉孜 热孜万古丽 阿曼古丽 塔依尔 洛桑加措 仁青卓玛 白玛央宗 格桑梅朵 丹增罗布 "
    "乌云其木格 孟和巴雅尔 阿拉坦仓 斯琴高娃 那顺 伊丽莎白·汤普森 马克·亨德森 安德烈 索菲亚 约瑟夫·米勒 弗拉基米尔·伊万诺夫 高桥美咲 中村健太 佐佐木 阮文雄 卡洛斯·加西亚"
).split()
# For the sentences of the later sets.
ETHNIC_LATER = (
    "麦尔丹·艾合买提 阿迪力·依米提 库尔班·达吾提 迪丽努尔·艾尔肯 帕丽丹 努尔古丽 艾尔肯 贡嘎坚赞 德吉措姆 次旺欧珠 益西旺姆 索南达杰 苏日娜 哈斯巴根 额日登巴特 乔治·坎贝尔 詹妮弗·洛克 奥利弗 "
    "法蒂玛·侯赛因 谢尔盖·彼得罗夫 渡边直子 小野寺彻 松田龙平 米格尔·桑切斯 娜塔莎"
).split()
WITHHELD = frozenset(RARE)


def given(random: Random) -> str:
    return "".join(random.sample(GIVEN, random.choice((1, 2, 2, 2))))


def common(random: Random) -> str:
    return (random.choice(DOUBLE) if random.random() < 0.05 else random.choice(COMMON)) + given(random)


def rare(random: Random) -> str:
    return random.choice(RARE) + given(random)


def apart(random: Random) -> str:
    blank = random.choice((" ", "　", "  "))
    return blank.join(common(random))


MAKERS: dict[str, pn.Maker] = {
    "n": common, "p": rare, "s": pn.drawn_from(COMMON), "m": pn.drawn_from(ETHNIC), "w": apart, "d": pn.days, "i": pn.numbers,
    "o": lambda random: random.choice("老小") + random.choice(COMMON),
}  # fmt: skip


def judged(name: str, each: int, seed: int) -> dict[str, list[pn.Sentence]]:
    """Sentences of a judged set by kind of report; what has no names in it is `nameless`."""
    random, content = Random(seed), pn.sentences(name)
    makers = MAKERS | {"m": pn.drawn_from(ETHNIC if name in ("judged_1", "judged_2", "judged_3") else ETHNIC_LATER)}
    blocks = {**content["named"], "nameless": content["nameless"]["lines"]}
    return {
        kind: [pn.filled(template, number, random, makers) for number, template in enumerate(pn.lines(block)) for _ in range(each)]
        for kind, block in blocks.items()
    }
