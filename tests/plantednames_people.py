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
# For the sets 6 and 7, whose sentences are for names that are written by their sound, of some twenty peoples; every second for each.
ETHNIC_SIXTH = (
    "阿布都沙拉木·热杰普 茹克亚木·买买提力 艾力克木·吾加木尼亚孜 玛纳尼沙·托合尼亚孜 帕祖来提 古丽其曼·亚合甫 买日班·图尔荪托合提 库尔班巴依·伊萨克 祖力甫哈尔 约日古丽 凯迪日耶 麦尔耶姆古丽·奥布力 叶尔多斯·哈德尔汗 "
    "朱丽德孜·巴扎尔别克 努尔达吾列提 萨亚哈提·加合斯别克 阿勒腾别克 古丽江·托留汗 赛里克波森 吐尔干白·马麦提 阿依巧力番 玛克萨提·居努斯 旦巴达杰 才旺仁增 洛桑克珠 次仁拉宗 格桑曲措 嘉央卓嘎 尼玛顿珠 边巴扎拉 斗尕吉 "
    "万代克 让忠加 阿旺列谢 玉拉措 朝格德力格尔 娜仁格日乐 阿拉腾巴根 那顺孟都 萨仁通嘎拉格 图门吉日嘎拉 敖日其楞 苏日雅 呼木吉勒图 乌云苏布德 恩和特布沁 毕力贡 阿余铁日 吉觉木呷 俄尔依铁 沙马伍各 海乃尔子 曲莫阿衣 "
    "马卡日曲 吉好也求 岩罕甩 玉应坎 咩涛 勒排早旺 尚当干 邓四妹恰 木玉璋娜普 娜思普 扎努克 马者麻乃 韩尤布 喇一不拉 根那季·舍普京 塔吉娅娜·奥西波娃 马克西米莲·格吕贝尔 英厄堡·哈兰德森 阿格涅什卡·马祖尔 "
    "德西蕾·瓦扬库尔 科斯塔斯·帕帕斯 蒂亚戈·阿布兰特斯 玛尔维娜·埃切韦里 卡勒姆·麦格雷戈 塔比瑟·克劳瑟 罗温 奥布莱恩·法雷利 贾斯汀·哈格里夫斯 凯莉安 尤素芙·卡拉曼 梅尔韦·厄兹坎 哈迪娅·曼苏里 穆尼尔·巴格达迪 "
    "法尔扎内 祖海尔·哈姆丹 阿克沙伊·巴特拉 迪维娅·切蒂 桑托什·班达里 努万·佩尔南多 法兹露尔 恩戈齐·奥孔乔 夸库·博阿滕 吉福蒂·穆托尼 泰莱塞·盖塔丘 颂蓬·猜瓦 纳隆萨 坤占 吴漆貌 西提诺·哈尔约 凯尔 西园寺真纪 "
    "鹫尾敬介 久我山祐 三木本早织 葛城律子 小早川政彦 "
).split()
# For the sets 8 and 9, by which what is here now is judged.
ETHNIC_LAST = (
    "阿布都热扎克·阿木提 木耶赛尔·吐热甫 古丽孜巴·喀伍力 买尔旦·斯马义 图热尼亚孜 再米热·艾乃都拉 努尔曼·克依木 夏米西丁 萨丽塔娜提·阿布拉什 凯比努尔 伊力夏提·那斯尔 塔希古丽 古再丽阿依·卡日 乌麦尔·麦提赛地 "
    "阿斯娜·努尔波力 别尔德别克·萨根德克 加勒恒别克 哈力亚·沙依拉吾 努尔波拉提 朱勒德孜·阿德勒 巴太·霍加 阿斯卡尔·奥斯曼别克 古丽恰克 阿提汗别克·托合那力 才仁永藏 旦真旺修 西热桑布 洛藏丹巴 央吉拉姆 普巴扎西 "
    "罗绒格勒 尕松代吉 昂文措毛 桑结扎布 次登卓玛 噶尔玛坚才 阿日本 哈日呼 青格勒图 那木斯来 斯日吉德玛 额日德木图 乌云达来 巴达日胡 图布吉日嘎拉 满仓嘎 萨础荣贵 宝力尔 阿说木果 吉巴阿各 俄底子黑 罗火拉里 依伙尔铁 "
    "苏呷木支 尔苦史者 勒勒古呷 岩叫龙 玉儿罕 波岩温 排麻锐 雷木糯 密普三 欧沙益 娜袜 李娜倮扒 马五三乃 冶尔力 马哈格也 叶夫多基娅·利托夫琴科 吕迪格·施泰因贝格 英格伯格·瑟伦森 帕斯卡琳·戈蒂埃尔 加布丽埃拉·莫雷拉 "
    "西尔文·奥克莱尔 恩里克塔·乌尔塔多 伯纳黛特·斯威尼 泽卡赖亚·温特博特姆 伊沃娜·兹齐赫 季米特里奥斯·康托斯 洛雷达娜·波佩斯库 阿洛伊斯·林德纳 米罗斯拉娃·哈夫林 阿伊谢古尔·德米尔塔什 拉纳·祖贝迪 贾瓦希尔·法特希 "
    "沙赫拉姆·加瓦米 巴德里耶·图尔基耶 萨钦·库尔卡尼 迪帕利·巴布 苏加塔·维克拉马辛哈 阿奇尼·恩多耶 奇翁巴·恩万奎 埃斯特法诺斯·阿德马苏 尼约曼·苏达尔马 塔威·蓬帕尼 昂丁梭 哥觉温 宇都宫典明 细川沙由里 轻部琢磨 "
    "猿渡由希 鲛岛泰造 羽生田绘理 "
).split()
DOTS = (*"······", "•", "・", "‧", ".", "", "", "", "")  # between the parts of a name, or nothing
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


def by_sound(names: list[str]) -> pn.Maker:
    """Names as they are typed: with one dot or another between their parts, or none."""
    return lambda random: random.choice(names).replace("·", random.choice(DOTS))


SOUNDING: dict[str, pn.Maker] = {
    **dict.fromkeys(("judged_1", "judged_2", "judged_3"), pn.drawn_from(ETHNIC)),
    **dict.fromkeys(("judged_4", "judged_5"), pn.drawn_from(ETHNIC_LATER)),
    "judged_6": by_sound(ETHNIC_SIXTH[::2]),
    "judged_7": by_sound(ETHNIC_SIXTH[1::2]),
    "judged_8": by_sound(ETHNIC_LAST[::2]),
    "judged_9": by_sound(ETHNIC_LAST[1::2]),
}


def judged(name: str, each: int, seed: int) -> dict[str, list[pn.Sentence]]:
    """Sentences of a judged set by kind of report; what has no names in it is `nameless`."""
    random, content = Random(seed), pn.sentences(name)
    makers = MAKERS | {"m": SOUNDING[name]}
    blocks = {**content["named"], "nameless": content["nameless"]["lines"]}
    return {
        kind: [pn.filled(template, number, random, makers) for number, template in enumerate(pn.lines(block)) for _ in range(each)]
        for kind, block in blocks.items()
    }
