"""Chinese names in reports: by the word before them, by the title or the sex behind them; by surname alone hardly ever.

A surname is the first character of many ordinary words (白血病, 黄疸, 高热), so that a list of surnames finds more words than people. What tells a
name is where it stands. The list only helps to decide how long a name is, and where the place is doubtful; a rare surname is found by its
place. A name once found is looked for in the whole report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from huizhen.data.deidentify.spans import Span

__all__ = ["DOUBLE", "SURNAMES", "names_zh"]

HAN = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]")
# The commonest surnames of the census (Ministry of Public Security, yearly reports), and double ones.
SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦"
    "邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕"
    "单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳欧管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和"
    "诸酆鲍昌凤花俞袁酆娄危钮虞支昝管诸荀羊於惠甄曲家封芮羿储汲邴糜松井富巫乌焦巴弓牧隗山谷车宓蓬郗班仰秋仲伊宫宁仇栾暴甘钭厉戎祖符束幸韶郜黎蓟薄印宿怀蒲鄂索咸籍赖卓蔺屠乔胥苍双闻莘翟"
    "劳逄冉宰郦雍璩桑濮牛寿通扈燕冀浦农别庄晏瞿阎充连茹习宦鱼容古易慎戈廖庾终暨居衡步都耿满弘匡国寇广禄东殴沃利蔚越夔隆巩聂晁勾敖融訾那空曾毋沙乜养鞠须丰巢蒯相查後荆红游权"
) - frozenset("逄郗蒯訾昝")
# Words that begin like a surname.
ORDINARY = re.compile(
    r"白细|白介|张力|项目|常规|方案|石膏|安定|安全|安静|安置|温水|温度|左右|左侧|左肺|应用|应激|时间|和解|边界|边缘|单发|单纯|单核|成人|成分|阳性|许可|解离|解热|全身|全血|全部|全麻|全天|高度|高危|高血|高脂|高钾|高钠|高糖|高频|高压|"
    r"黄染|黄斑|黄色|黄芪|黄连|黄体|金黄|金属|白色|白蛋|白天|白带|白芍|白术|红色|红细|红斑|红肿|平扫|平稳|平均|平素|平片|易怒|易激|马来|马上|马尾|牛奶|水肿|水平|水样|水泡|周围|周径|周边|周身|方向|方法|方式|江苏|江西|"
    r"康复|关节|关系|关注|管腔|管理|管道|管壁|管床|路径|车祸|项目|计划|计数|计算|常见|常用|经常|石化|雷贝|雷尼|雷公|罗红|曲马|曲线|康复新|华法|华通|万古|万元|毛发|毛刺|毛玻|毛细|钟表|池|终末|终止|相关|相应|相对|相符|"
    r"沙丁|沙坦|通畅|通气|通过|通知|养分|养阴|空腹|空气|空泡|空洞|空号|国药|国产|国际|东部|双侧|双肺|双下|双上|双肾|双眼|双手|双足|双方|权重|查体|查房|别名|别嘌|索拉|巴比|巴氏|巴曲|乌司|家庭|家属|家族|家长|家中|花生|花粉|"
    r"利尿|利奈|利福|利伐|利多|隆起|满意|广泛|广谱|古典|容量|容积|容易|习惯|连续|连接|充盈|充血|充分|充填|农药|别|居家|居住|步态|步行|都|须|丰富|印象|支气|支架|支撑|支持|富含|山莨|谷丙|谷草|谷氨|秋水|伊马|伊立|宫颈|宫腔|宫内|宫体|宫缩|"
    r"幸|束支|羊水|羊膜|惠|井|松弛|松动|凤|昌|危重|危险|祖父|祖母|籍贯|薄层|薄白|薄腻|薄黄|怀疑|怀孕|宿主|戈舍|寿命|燕麦|鱼油|鱼肝|慎用|衡|荆|查|叶酸|叶间|石|苗|麦氏|麦芽|麦角|麻黄|柴胡|柯萨|柏|米|米非|米索|米粉|冷敷|冷沉|冷冻|"
    r"师|史|史迪|史无|任何|任意|林可|林格|林奇|林区|杜氏|唐氏|施万|伯基|布氏|克氏|金氏|墨菲|麦|库欣|马方|马凡|白塞|桥本|祝|文化|文献|文书|文字|尚可|尚未|尚|明|汤剂|汤药|戴镜|项|段|节段|席汉|和|于|时|孔径|孔|向心|向|甘油|甘露|甘草|包块|包膜|包裹|包扎|包括|"
    r"成|单|应|易|解|连|终|相|通|空|容|须|支|查|都|广|满|利|养|居|步|习|双|权|别|印|井|家|花|羊|山|羿|农|车|路|管|关|项|计|平|安|常|方|水|左|全|时|温|边|席"
)
DOUBLE = frozenset(
    [
        "欧阳",
        "上官",
        "司马",
        "诸葛",
        "东方",
        "皇甫",
        "尉迟",
        "慕容",
        "令狐",
        "司徒",
        "夏侯",
        "长孙",
        "宇文",
        "轩辕",
        "南宫",
        "端木",
        "百里",
        "呼延",
        "东郭",
        "西门",
    ]
)

# Characters of the ward and of grammar that stand in hardly any name.
NEVER = frozenset(
    "的了是不无未否已诉述称或及被把将其此该每各某们呢吗吧啊也都很更最较再又就才只还即且但而若则因患者病症痛疼炎癌瘤药剂血尿便肿胀呕吐泻喘咳痰热烧疹痒肢腹胸肺肝肾脾胃肠脑颈腰腿脚"
    "膝髋骨折伤术检查验治疗诊断院科室床医师护士嘱给予静滴注射服片粒次型期级性状态既往史过敏入出转住送收听触叩闻食睡眠昏醒拒签字知情同意要求表示告电话号码年月日时分岁男女"
    "疸疱疥疝痔痕疮痂疟痢疫癫痫癣瘀瘘瘢瘙瘦痉挛痿痹痈疖疽疡痰瘫痪癔痤痘痣疣膜腺腔脓脂肌肤肩肘腕胎脉腋臀肛脐囊脏"
    "今昨晨晚前后上下左右内外侧部位区约示见考虑支持随访复记录报告审核主任副职称您我你他她它谁哪这那什么怎样对从向往到在把"
)
# Characters with which a name of a rare surname does not begin: verbs, numbers, words of grammar.
NOT_FIRST = NEVER | frozenset(
    "有自曾现神意一二三四五六七八九十两双多少数饮精大小体反持突活平卧半端坐能可仍需应拟行做取用使以为与和于由经至来去回带陪代说讲问答看站走跑吃喝死亡健存活离婚未已丧独同共互相配合照顾负责"
    "处理执行完成进开关停加减增换改继续坚持保持维持注意避免禁忌好坏差佳清楚明显轻重缓急良恶正常异阴阳高低快慢长短新旧父母子儿丈夫妻兄弟姐妹祖孙亲属友邻均等之本再系称叫名姓"
    "接受放弃按遵照据根据鉴于通过利用采用选择比如例如即指生活工作个人家属生命提目头面皮肤瞳四呼心律步语言肌腱巴伴全局发"
)
FIRSTS = SURNAMES | {double[0] for double in DOUBLE}

PERSON = "患者|病人|患儿|伤者|产妇|孕妇|受试者|死者|受检者|被鉴定人"
KIN = (
    "之子|其兄|其弟|其姐|其妹|其祖父|其祖母|爷爷|奶奶|外公|外婆|舅舅|叔叔|姑姑|阿姨|下一班|上一班|接班|交班|之女|之妻|之夫|之父|之母|之兄|之弟|之姐|之妹|长子|长女|次子|次女|父亲|母亲|丈夫|妻子|配偶|爱人|儿子|女儿|儿媳|女婿|其父|其母|其子|其女|其妻|其夫|哥哥|弟弟|姐姐|妹妹|大哥|二哥|外孙|孙子|孙女|侄子|同事|同学|邻居|朋友|室友|家属|家长|亲属|"
    "保姆|护工|监护人|陪护|陪护人|陪同人员?|随行人员?|联系人|代理人|委托人|受托人|见证人|接听者|来电者|知情人|本人|申请人|当事人"
)
STAFF = (
    "医师|医生|大夫|护士长?|技师|药师|教授|主任|院长|术者|主刀|助手|一助|二助|麻醉师|记录者|记录人|报告者|报告人|审核者|审核人|检查者|操作者|书写者|采集者|签名|签字|签章|签署人?|姓名|"
    "负责人|经办人|送检者|会诊者|阅片者|指导者|咨询师|治疗师|研究者|研究员|录入员|核对者|核对人|值班者"
)
JOINT = r"(?:\s{0,20}[:：]\s{0,20}|[ \t　]{1,40}|为|是|系|叫|名叫|自称|（|\()?\s*"
LABEL = re.compile(
    rf"(?:[\u4e00-\u9fff]{{0,6}}(?:{PERSON}|{KIN}|{STAFF}|员|者|人)(?:签名|签字|姓名)?)[ \t　]{{0,40}}[:：][ \t　]{{0,40}}"
)
CUE = re.compile(rf"(?:{STAFF}|{KIN}){JOINT}")
WEAK = re.compile(rf"(?:{PERSON})(?:姓名|名叫|名)?[ \t　]{{0,40}}")
ASIDE = re.compile(r"[ \t　]{2,}|[，。；、,;.:：！？!?（）()\[\]【】“”\"'《》<>/\n\r\t　 \d]|$")
AFTER = re.compile(
    r"左侧|右侧|双侧|双下|双上|双眼|双肺|宝宝|小朋友|抱来|抱入|抱|陪|家属|您好|你好|好[，,]|带来|带领|带至|送来|沟通|对象|解答|发现|提供|负责|参加|参与|完成|操作|协助|交接|巡视|评估|宣教|护理|开具|调整|安排|到场|赶到|赶来|抢救|置管|穿刺|缝合|报告|记录|书写|录入|采血|来电|打来|咨询|前来|分娩|顺产|剖宫|跌倒|坠床|摔倒|"
    r"突发|反复|无|有|未|否|不|患|以|就|嘱|按|手机|身份|住址|地址|床号|证件|因|于|自|诉|称|主诉|男|女|性别|年龄|入院|来院|来我|在|及|和|与|等|系|为|的|已|将|到|到|至|向|对|被|送|说|认为|建议|指出|指示|补充|查房|会诊|阅片|签字|签名|陪同|陪伴|陪护|代诉|代述|表示|要求|遵|执行|"
    r"给予|予|行|拟|今|昨|从|由|经|曾|现|同意|拒绝|主刀|主持|汇报|接诊|首诊|电话|联系|告知|请|复诊|术后|术前|随访|住院|门诊|出院|转|死亡|医师|医生|大夫|护士|主任|副主任|教授|先生|女士|同志|小姐|院长|技师|老师|家属"
)
TITLE = re.compile(
    r"(?:副主任|主任|主治|住院|副|总)?(?:医师|医生|大夫|药师|技师|护师)|护士长?|教授|副教授|主任|院长|先生|女士|小姐|同志|老师|阿姨|师傅|大爷|大妈|主刀|查房|您好|你好"
)
BEFORE = re.compile(
    r"(?:接诊|主管|负责|经治|管床|主持|临床|病房|值班|本班|夜班|[\s，。；、,;.:：！？（(“”\"】]|今日|昨日|今晨|今天|昨天|上午|下午|晚间|科|室|院|由|请|经|与|和|及|同|找|向|被|对|随|据|系|为|遵|邀|受|\d|[a-zA-Z])$"
)
# A blank between a word for a person and what follows it, and then an end.
SPACED = re.compile(r"[\u4e00-\u9fff]{1,4}(?:人|者|员|师|士)[ \t　]{1,40}(?=[\u4e00-\u9fff]{2,4}(?:[^\u4e00-\u9fff]|$))")
# A listed surname, alone between two ends: ，王建国，
ALONE = re.compile(r"(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{2,4}(?![\u4e00-\u9fff])")
OWNER = re.compile(r"(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{2,4}?(?=的|您好|你好|，您|因|于|今日|昨日)")
OWNED = re.compile(
    r"(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{2,4}?(?=的(?:基因|报告|检验|化验|病历|片子|标本|资料|检查|结果|电话|手机|家属|家人|父|母|儿|女|妻|丈夫|主管|床位|费用|医保|情况))"
)
# Any word for a person: 营养师, 报警人, 来访者.
SUFFIX = re.compile(
    r"(?<=[\u4e00-\u9fff])(?:人|者|师|员|奶奶|爷爷|妈妈|爸爸)(?=[\u4e00-\u9fff]{2,4}(?:[^\u4e00-\u9fff]|$|抱|带|送|陪))"
)
COLON = re.compile(r"[\u4e00-\u9fff][：:][ \t　]{0,40}(?=[\u4e00-\u9fff]{2})")
BED = re.compile(r"\d{1,3}\s?床(?:患者|病人)?[ \t　:：]*")
# An identifier in brackets behind a name.
BRACKET = re.compile(
    r"[ \t]{0,40}[（(](?:身份|公民身份|证件|护照|男|女|电话|手机|联系|患者之|患者的|系患者|登记号|住院号|门诊号|病案号|床号|ID|工号|签名|签字|主刀|副?主任|主治|住院医|\+?\d)"
)
SEX = re.compile(r"[ \t　]{0,40}[，,、（(]?[ \t　]{0,40}(?:男|女)(?:性|[，,。；、\s）)]|$)")
NO_NAME = frozenset(
    [
        "本人", "不详", "同上", "父子", "母子", "父女", "母女", "夫妻", "兄弟", "姐妹", "亲属", "朋友", "同事", "无名氏", "未知", "匿名", "上级", "值班", "主管", "住院", "主治",
        "经管", "经治", "责任", "当班", "我科", "各位", "管床", "接诊", "首诊", "进修", "实习", "规培", "外院", "当地", "专科", "相关", "全科", "家庭", "社区", "签名", "签字", "盖章", "配偶",
        "麻醉", "手术", "带教", "夜班", "白班", "急诊", "门诊", "客服", "神志", "精神", "一般", "营养", "发育", "关系", "双方", "夜间", "日间", "所有", "原来", "查房", "接诊", "沟通", "全体", "临床", "执业", "乡村", "私人", "中医", "高年", "步态", "查体", "总论", "方案", "华法林", "曲马多",
    ]
)  # fmt: skip


def names_zh(text: str) -> Iterator[Span]:
    """Names by their places, then every other place where one of them stands."""
    found = set(_by_place(text))
    yield from found
    for name in {text[span.begins : span.ends] for span in found}:
        at = text.find(name)
        while at >= 0:
            yield Span(at, at + len(name), "name", 2)
            at = text.find(name, at + 1)


def _by_place(text: str) -> Iterator[Span]:
    for label in LABEL.finditer(text):
        ends = _end(text, label.end(), sure=True)
        if ends:
            yield Span(label.end(), ends, "name", 2)
    for pattern in (CUE, WEAK):
        for cue in pattern.finditer(text):
            ends = _end(text, cue.end())
            if ends:
                yield Span(cue.end(), ends, "name", 2)
    for cue in SPACED.finditer(text):
        ends = _end(text, cue.end())
        if ends:
            yield Span(cue.end(), ends, "name", 2)
    for bed in BED.finditer(text):
        ends = _end(text, bed.end())
        if ends:
            yield Span(bed.end(), ends, "name", 2)
    for pattern in (ALONE, OWNER):
        for run in pattern.finditer(text):
            if _is_listed(run[0]) and _may_be(run[0]):
                yield Span(run.start(), run.end(), "name", 1)
    for cue in SUFFIX.finditer(text):
        ends = _end(text, cue.end())
        if ends and not ORDINARY.match(text, cue.end()):
            yield Span(cue.end(), ends, "name", 1)
    for cue in COLON.finditer(text):
        ends = _end(text, cue.end())
        if ends and _is_listed(text[cue.end() : ends]):
            yield Span(cue.end(), ends, "name", 1)
    for run in OWNED.finditer(text):
        if _may_be(run[0]):
            yield Span(run.start(), run.end(), "name", 1)
    for bracket in BRACKET.finditer(text):
        yield from _before_bracket(text, bracket.start())
    for title in TITLE.finditer(text):
        yield from _before_title(text, title.start())
    for begins in _starts(text):
        for ends in (begins + 2, begins + 3, begins + 4):
            if _may_be(text[begins:ends]) and SEX.match(text, ends):
                yield Span(begins, ends, "name", 2)
                break


def _starts(text: str) -> Iterator[int]:
    """Where a run of Chinese characters begins."""
    for run in re.finditer(
        r"(?:(?<=^)|(?<=[^\u4e00-\u9fff]))[\u4e00-\u9fff]{2,4}(?=[ \t　]{0,40}[，,、（(]?[ \t　]{0,40}(?:男|女))", text
    ):
        yield run.start()


def _end(text: str, begins: int, *, sure: bool = False) -> int | None:
    """Where the name ends that begins here; None where none does. `sure`: a label with a colon stands before it."""
    surname = 2 if text[begins : begins + 2] in DOUBLE else 1
    for length in range(surname + 1, 5):
        ends = begins + length
        if not _may_be(text[begins:ends]):
            return None if length == surname + 1 else _cut(text, begins, ends - 1, sure=sure)
        if ASIDE.match(text, ends):
            return ends
        if AFTER.match(text, ends) and (length > 2 or not _goes_on(text, ends)):
            return ends
    return _cut(text, begins, begins + 4, sure=sure)


def _goes_on(text: str, ends: int) -> bool:
    """Whether a name of two characters may have a third that looks like the next word: 李有|为，"""
    third = text[ends : ends + 1]
    return bool(ASIDE.match(text, ends + 1) or AFTER.match(text, ends + 1)) and bool(HAN.match(third)) and third not in NEVER


def _before_bracket(text: str, ends: int) -> Iterator[Span]:
    """A name before a bracket with an identifier in it; where nothing tells its beginning, as much is taken as can be one."""
    fit = [length for length in (4, 3, 2) if ends >= length and _may_be(text[ends - length : ends])]
    bounded = [length for length in fit if ends == length or BEFORE.search(text, max(0, ends - length - 2), ends - length)]
    for length in (*bounded, *fit):
        yield Span(ends - length, ends, "name", 2)
        return


def _cut(text: str, begins: int, ends: int, *, sure: bool) -> int | None:
    """A name with no clear end: behind a label, or with a listed surname, three characters are taken, or what is left of them."""
    listed = text[begins] in SURNAMES or text[begins : begins + 2] in DOUBLE
    if not sure or (not listed and ends - begins < 2):
        return None
    return min(ends, begins + 3 + (text[begins : begins + 2] in DOUBLE))


def _is_listed(name: str) -> bool:
    """Whether a name with a surname of the list stands here, and no word that only begins like it."""
    return name[:2] in DOUBLE or (name[0] in SURNAMES and len(name) < 4 and not ORDINARY.match(name))


def _before_title(text: str, ends: int) -> Iterator[Span]:
    """A name before a title: after an end, or else with a surname of the list."""
    fit = [length for length in (2, 3, 4) if ends >= length and _may_be(text[ends - length : ends])]
    bounded = [length for length in fit if ends == length or BEFORE.search(text, max(0, ends - length - 2), ends - length)]
    listed = [length for length in reversed(fit) if _is_listed(text[ends - length : ends])]
    for length in (*bounded, *listed):
        yield Span(ends - length, ends, "name", 2)
        return


def _may_be(name: str) -> bool:
    """Whether characters can be a name: Chinese, none of the ward's words, and a first one with which a name can begin."""
    if len(name) < 2 or not all(map(HAN.match, name)) or any(character in NEVER for character in name[1:]):
        return False
    if any(word in name for word in NO_NAME):
        return False
    return name[0] in FIRSTS or not (name[0] in NOT_FIRST or AFTER.match(name))
