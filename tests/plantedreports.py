"""Reports with identifiers planted in known places, to measure how many of them are found, and how much else is taken for one.

Surnames, given names, towns, streets and sentences are this file's own: a test sees to it that no name stands in the lists of the recogniser.
Between them stand things that only look like identifiers: eponyms, drugs, laboratory values, batch and approval numbers, counts of
eleven digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

PLACE = re.compile(r"\{(\w+?)(\d?)\}")

ZH_SURNAMES = ["亓官", "濮阳", "公冶", "澹台", *"逄仝亓笪郗逯麴厍郏蒯訾郇邸阚冼昝佘亢竺佴妫"]
ZH_GIVEN = list("瀚珺翊砚芃禾璟昱祎翀骞垚菡霁熠伟强丽娟芳军杰涛超霞平辉鹏玲桂英华文建国红梅志明福兰")
ZH_COMMON = list("王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗")  # surnames that every list has, for comparison
ZH_TOWNS = ["泸水", "禹会", "鹿寨", "尉犁", "枞阳", "阆中", "嵊泗", "瓮安"]
ZH_STREETS = ["鹤鸣", "采薇", "拾光", "漱玉", "稼轩", "望舒", "听涛", "凝翠"]
ZH_PROVINCES = ["安徽省", "云南省", "四川省", "贵州省", "浙江省", "广西壮族自治区"]

EN_GIVEN = [
    "Ingrid",
    "Thaddeus",
    "Priyanka",
    "Siobhan",
    "Anselm",
    "Oluwaseun",
    "Marisol",
    "Leopold",
    "Xiulan",
    "Bronwyn",
    "Casimir",
    "Odalys",
]
EN_SURNAMES = [
    "Voss",
    "Okonkwo",
    "Raghunathan",
    "Kowalczyk",
    "Lindqvist",
    "Abernathy",
    "Quintanilla",
    "Vandermeer",
    "Tsukamoto",
    "Featherstone",
]
EN_STREETS = ["Juniper Hollow", "Quarry Bank", "Larkspur", "Old Tannery", "Saddleback", "Wexcombe"]
EN_TOWNS = ["Millbrae", "Oxnard", "Tewksbury", "Yuma", "Pocatello", "Galesburg"]
EN_STATES = ["CA", "MA", "AZ", "ID", "IL"]

ZH = [
    "姓名：{name}    性别：男    年龄：57岁\n住院号：{record}    床号：12床\n身份证号：{id}\n现住址：{address}\n联系电话：{phone}\n"
    "患者{name}因“反复胸闷3年，加重2天”入院。父亲死于白血病，对青霉素过敏，长期服用华法林2.5mg qd。入院血压138/86mmHg，"
    "NT-proBNP 13800 pg/ml。主治医师：{name1}",
    "检查号 {record}    影像号：{record1}\n临床诊断：右肺占位。胸部CT平扫：右肺上叶见磨玻璃结节，大小约13mm×8mm，周围可见毛刺，"
    "左肺未见异常；黄疸待查。\n报告医师：{name}　审核医师：{name1}　报告日期：{date}",
    "{name}，女，34岁，汉族，已婚，教师。家住{address}。昨日丈夫{name1}陪同来院，手机{phone}。查体：巴宾斯基征阴性，颈软，心肺无殊。"
    "拟行克罗恩病相关检查，方案为美沙拉嗪1.0g tid。",
    "今日{name}主任医师查房，听取汇报后指出：患者双下肢水肿较前减轻，白细胞计数回落，可停用罗红霉素。{name1}医师补充：继续曲马多止痛，"
    "剂量50-100-150mg递增。记录者：{name2}",
    "责任护士{name}遵医嘱予0.9%氯化钠注射液250ml静滴，批号20230518，国药准字H20040770。家属{name1}（电话：{phone}）表示理解并签字。",
    "兹请神经内科{name}副主任医师会诊。患者{name1}，住院号{record}，以帕金森病收入院，今晨出现高热，痰培养为金黄色葡萄球菌。",
    "出院医嘱：1. 注意休息；2. 一周后复诊，科室电话{phone}；3. 资料发送至{email}。经管医生 {name}  {date}",
    "本人{name}（身份证号码{id}）已知晓手术风险，同意行腹腔镜下胆囊切除术。委托代理人{name1}，与患者关系：父子，联系方式{phone}。",
    "送检医生 {name}    病理号：{record}\n镜下见异型腺体，免疫组化：CK7(+)、TTF-1(+)、Ki-67约30%，霍奇金淋巴瘤不支持。本次测序共得读数18612345678条，"
    "物资条码690123456789012345。\n诊断医师 {name1}",
    "{date}电话随访，接听者为{name}（患者之女），诉切口愈合好，曾于当地常规换药。后续请联系{phone}或{email}。",
    "急诊留观记录：随行人员{name}称患者系车祸致左小腿疼痛，石膏固定后转入，原住{address}。患者姓名{name1}，证件号{id}，登记号{record}。",
    "转诊单　患者：{name}　病案号：{record}　家庭住址：{address}\n转诊原因：高血压3级，安定治疗无效。转出医师签名：{name1}　{date}",
]
EN = [
    "Patient Name: {name}    MRN: {record}    DOB: {date}\nAddress: {address}\nPhone: {phone}\nHistory: 61-year-old man with Parkinson disease and "
    "prior Whipple procedure, on Coumadin 5 mg. INR 2.5-3.0. Creatinine 138 umol/L.\nAttending: {name1}, MD",
    "{name} is a 47-year-old woman seen today with her husband, {name1}. She lives at {address} and can be reached at {phone}. Babinski sign negative; "
    "Glasgow Coma Scale 15; no Murphy's sign.",
    "CT CHEST WITHOUT CONTRAST\nAccession No: {record}\nFindings: a 13 x 8 mm ground glass nodule in the right upper lobe. No Hodgkin lymphoma. Foley catheter in place.\n"
    "Dictated by: {name}\nElectronically signed by {name1}, M.D. on {date}",
    "Dear Dr. {name},\nThank you for referring Mr. {name1}, who has Crohn disease treated with Remicade 100-200-300 mg. Please write to {email} or call {phone}.\n"
    "Sincerely,\n{name2}, MD, PhD",
    "Nursing note: spoke with the patient's daughter {name} by telephone ({phone}). She confirmed that Mrs. {name1} takes Lasix 40 mg and Keflex 500 mg. Lot 20230518, "
    "NDC 0069-4200-30.",
    "Discharge summary for {name}, medical record number {record}. Admitted {date} under the care of Dr. {name1} for Bell's palsy and Addison disease. Home address {address}.",
    "Operative report. Surgeon: {name}. Assistant: {name1}. Anesthesiologist: {name2}. A Kocher incision was made; Child-Pugh class A. 18612345678 reads were sequenced.",
    "Email from {email} received {date}: Ms. {name} asks for a refill of Synthroid. Account number {record}. Next of kin: {name1}, {phone}.",
    "Pathology: specimen {record} received from Dr. {name}. Ki-67 30%, Gleason 3+4. Reviewed with Dr. {name1} on {date}. Barrett esophagus not seen.",
    "Emergency contact: {name} ({phone}). The patient, {name1}, was brought from {address} by ambulance. Heart rate 138, BP 120/80, SpO2 96%.",
]


# Written when the recogniser was finished, and used to see how it does on sentences that it was not written for.
ZH_LATER = [
    "主诉：间断上腹痛1月。现病史由患者之子{name}提供，可靠。患者1月前无明显诱因出现上腹隐痛，无黄染，口服奥美拉唑可缓解。\n"
    "通讯地址 {address}　邮编 650000　Tel：{phone}",
    "手术记录\n手术者：{name}　第一助手：{name1}　麻醉者：{name2}\n病案号：{record}　手术日期：{date}\n术中见胆囊壁厚约4mm，张力高，与周围组织粘连；"
    "安置腹腔引流管一根，出血约50ml，输注悬浮红细胞2U。",
    "产妇{name}，33岁，G2P1，孕39+2周，于{date}顺产一女婴，体重3350g，Apgar评分10分。新生儿母亲身份证{id}，联系电话 {phone}。",
    "会诊意见：已阅病史，同意贵科{name}大夫的诊治。建议完善头颅MRI，警惕格林-巴利综合征；可予甲泼尼龙500mg冲击。会诊人 {name1} {date}",
    "不良事件上报：夜间值班护士{name}发现患者{name1}（登记号{record}）坠床，当即通知值班医生{name2}，查体未见明显外伤，生命体征平稳。",
    "患者{name}的妻子{name1}于{date}来电（{phone}），咨询华法林与阿司匹林合用问题，已请药师{name2}解答。",
    "受检者 {name}  性别 女  年龄 45  门诊号 {record}\n超声所见：甲状腺右叶大小约48×17×16mm，回声均匀；左叶见一低回声结节，TI-RADS 4a类。\n检查医师 {name1}",
    "兹证明{name}（公民身份号码：{id}）因急性阑尾炎于{date}在我院住院治疗，建议休息两周。住址：{address}。",
    "科研随访表　姓名 {name}　手机 {phone}　邮箱 {email}　居住地：{address}\n量表：汉密尔顿抑郁量表17分，匹兹堡睡眠指数9分。",
    "护理查房由{name}护士长主持，责任护士{name1}汇报：患者术后第3天，引流液约20ml，温度37.2℃，安排家属陪护，常规宣教。",
    "病理会诊：外院切片（原病理号{record}）复阅，考虑为弥漫大B细胞淋巴瘤。科主任{name}已电话告知临床{name1}医生。",
    "随访失败：拨打{phone}为空号，按{address}寄信退回。末次就诊{date}，接诊医生为{name}。",
    # Nothing is planted below.
    "患者神志清楚，精神一般，查体合作。全身皮肤黏膜无黄染，颈静脉无怒张。双肺呼吸音清，未闻及干湿性啰音。心率78次/分，律齐。腹平软，无压痛反跳痛，肝脾肋下未触及。"
    "双下肢无水肿。白细胞6.5×10^9/L，血红蛋白135g/L，血小板210×10^9/L。医师查房后指示继续目前治疗。",
    "家属要求出院，医生告知风险后家属表示理解。护士做好宣教。患者应按时服药，常规复查，注意安全。高钾血症、石膏综合征、周围血管病变、温抗体型自身免疫性溶血性贫血。"
    "治疗方案：康复训练、雷贝拉唑、江苏恒瑞产卡瑞利珠单抗200mg，每3周一次。",
    "阿尔茨海默病、帕金森病、桥本甲状腺炎、库欣综合征、唐氏综合征、马方综合征、白塞病、杜氏肌营养不良。墨菲征阴性，麦氏点无压痛，布氏征、克氏征阴性。金氏分级、伯基特淋巴瘤、施万细胞瘤待排。"
    "剂量：10-20-30mg；批号 220115；医嘱：温水送服。",
]
EN_LATER = [
    "HPI: Ms. {name} is a pleasant 72 y/o female who presents with chest pain. Collateral from her niece {name1}, cell {phone}. PCP: Dr. {name2}. She resides at {address}.",
    "TELEPHONE ENCOUNTER {date}\nCaller: {name} (mother of patient). Callback number {phone}. Advised to continue Augmentin 875-125 mg and to see Dr. {name1} next week.",
    "Consent for research. I, {name}, agree to take part. Witness: {name1}. Contact: {email}. Hospital number {record}. Date {date}.",
    "MRI BRAIN. Patient: {name}. MRN {record}. Comparison: none. Mild Chiari malformation; no Virchow-Robin dilatation. Findings were discussed with Dr. {name1} by phone on {date}.\nInterpreted by: {name2}, MD",
    "{name} was admitted on {date} after a fall. His son {name1} found him at home ({address}). Colles fracture of the left wrist, splinted by Nurse {name2}.",
    "Social work: patient lives with roommate {name}; emergency contact is {name1}, {phone}. Mailing address: {address}",
    "Endoscopy report, patient ID {record}. Endoscopist: {name}. Mallory-Weiss tear, clipped. Zollinger-Ellison syndrome unlikely. Started Nexium 40 mg. cc: {name1}, MD",
    "Psychiatry: Mr. {name} reports that his wife, {name1}, controls the finances. Hamilton score 17. Follow up with {name2}, PhD, on {date}; reach the clinic at {phone}.",
    # Nothing is planted below.
    "The patient was seen in Radiology. No Kerley B lines. Kussmaul breathing absent. Heberden nodes on both hands. Started on Lipitor, Plavix and Zestril. Echo: Simpson ejection fraction 55%. Type A "
    "behaviour. Ringer lactate 500 ml. May need Swan-Ganz catheter. Will follow Ottawa ankle rules and Wells score.",
    "IMPRESSION: Stable Hashimoto thyroiditis. Graves ophthalmopathy resolved. Cushing triad absent. Patient denies fever. Doctor was notified. Nurse at bedside. Weight 138 lb, Lot 20230518, "
    "sodium 138-142, glucose 100-120-140. Blood Bank: O Positive. Dr. on call notified. Tylenol, Advil and Keppra continued.",
]
ZH_LATER += [
    "中医门诊病历　{name}　女　41岁　{date}\n现病史：月经量少半年，腰膝酸软，夜寐欠安，舌淡苔薄白，脉沉细。辨证：肝肾不足。处方：六味地黄丸加减，7剂。\n医师：{name1}",
    "ICU交班：3床{name}，肺移植术后第2天，持续有创通气，去甲肾上腺素0.1ug/kg/min。家属沟通对象为其兄{name1}（{phone}）。下一班：{name2}",
    "透析中心通知：{name}您好，您{date}的透析时间改为14:00，请携带诊疗卡号{record}，有疑问致电{phone}。",
    "法医学鉴定：被鉴定人{name}，身份证号{id}，于{date}在{address}被人打伤，诊断为左侧第5肋骨骨折。鉴定人：{name1}",
    "口腔科：患儿{name}，8岁，由母亲{name1}带来就诊。右上第一磨牙深龋，行充填治疗，用阿替卡因0.6ml。下次预约{date}，接诊{name2}医师。",
    "出院小结　姓名{name}　住院号{record}\n入院日期{date}，诊断：急性ST段抬高型心肌梗死，Killip II级。予阿司匹林、替格瑞洛。签名 {name1}",
    "转运记录：救护车于{address}接到患者{name}，当时呼之能应。途中予吸氧3L/min。随车医生{name1}，护士{name2}，司机电话{phone}。",
    "微信群转发：{name}主任好，{name1}的基因报告已出，EGFR 19外显子缺失，请查收邮箱{email}。",
]
EN_LATER += [
    "Dental note {date}: {name}, age 8, came with mom, {name1}. Tooth 14 restored. Parent phone {phone}. Next visit with Dr. {name2}.",
    "ICU handoff: bed 3, {name}, POD 2 after lung transplant. Talk to brother {name1} ({phone}). Levophed 0.1. Overnight resident {name2}.",
    "To whom it may concern: this is to certify that {name}, residing at {address}, was under my treatment from {date}. Yours faithfully, {name1}, MD",
    "Dialysis unit: {name}'s session on {date} moves to 14:00. Chart no. {record}. Questions to {email} or {phone}.",
    "ED triage: EMS run from {address}. Pt {name}, MRN#{record}. Wife {name1} en route. GCS 15, Cincinnati stroke scale negative, tPA not given.",
    "Genetics: sample of {name} (DOB {date}) shows Lynch syndrome. Counseled by {name1}, accompanied by husband {name2}. Amsterdam criteria met.",
]

# Written last, and nothing was changed by them: what may be expected of reports that nobody has seen.
ZH_UNSEEN = [
    "康复科评定：{name}左侧肢体Brunnstrom III期，改良Ashworth 1+级，Barthel指数45分。治疗师{name1}，评定日期{date}。",
    "院感调查：{date}，{name}（住院号{record}）血培养检出肺炎克雷伯菌，同病室{name1}、{name2}筛查阴性。",
    "120调度：报警人{name}，号码{phone}，现场{address}，一男性倒地，旁人按压中。出车医生{name1}。",
    "营养会诊单  床号15  {name}  病案号{record}\n目前鼻饲瑞能500ml/d，前白蛋白120mg/L。建议加用益生菌。营养师{name1}",
    "投诉登记：来访者{name}，系已故患者{name1}之女，身份证{id}，认为抢救不及时，留言邮箱{email}。接待人{name2}",
    "儿保门诊：{name}宝宝，6月龄，体重7.8kg，由奶奶{name1}抱来，家住{address}。维生素D 400IU/日。",
]
EN_UNSEEN = [
    "Rehab: {name} walked 20 m with a frame. Barthel 45. Therapist {name1}. Next session {date}.",
    "Infection control {date}: {name} (MRN {record}) grew Klebsiella; roommates {name1} and {name2} screened negative.",
    "Dispatch: call from {name}, {phone}, at {address}. Bystander CPR. Crew: {name1}, {name2}.",
    "Complaint taken {date} from {name}, daughter of the late {name1}. Reply to {email}. Ref account number {record}.",
    "Well baby visit: {name}, 6 months, 7.8 kg, brought by grandmother {name1}. Vitamin D. Family moved to {address}.",
]
SENTENCES = {
    "first": (("zh", ZH), ("en", EN)),
    "later": (("zh", ZH_LATER), ("en", EN_LATER)),
    "unseen": (("zh", ZH_UNSEEN), ("en", EN_UNSEEN)),
}


@dataclass(frozen=True)
class Planted:
    begins: int
    ends: int
    category: str


@dataclass(frozen=True)
class Report:
    language: str
    text: str
    planted: tuple[Planted, ...]


def resident_id(random: Random) -> str:
    """18 digits with the check digit of GB 11643."""
    body = f"{random.choice(['110105', '330106', '510107', '530111'])}{random.randint(1930, 2010)}{random.randint(1, 12):02d}{random.randint(1, 28):02d}"
    body += f"{random.randint(0, 999):03d}"
    total = sum(int(digit) * 2 ** (17 - at) for at, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


def zh_name(random: Random, surnames: list[str] = ZH_SURNAMES) -> str:
    return random.choice(surnames) + "".join(random.sample(ZH_GIVEN, random.choice((1, 2, 2))))


def zh_address(random: Random) -> str:
    town = f"{random.choice(ZH_TOWNS)}{random.choice(('市', '县', '区'))}"
    street = f"{random.choice(ZH_STREETS)}{random.choice(('路', '街', '大道', '巷'))}{random.randint(2, 900)}号"
    flat = random.choice(("", f"{random.randint(2, 40)}栋{random.randint(1, 4)}单元{random.randint(101, 2905)}室"))
    return random.choice((random.choice(ZH_PROVINCES), "")) + town + street + flat


def zh_value(category: str, random: Random) -> str:
    number = random.randint
    if category == "phone":
        mobile = f"1{random.choice('3578')}{number(0, 10**9 - 1):09d}"
        spaced = f"{mobile[:3]} {mobile[3:7]} {mobile[7:]}"
        return random.choice(
            (
                mobile,
                mobile,
                spaced,
                f"+86 {mobile}",
                f"0{number(311, 999)}-{number(2000000, 8999999)}",
                f"010-{number(60000000, 89999999)}",
            )
        )
    if category == "record":
        return random.choice(
            (
                f"{number(100000, 99999999)}",
                f"ZY{number(10**9, 10**10 - 1)}",
                f"{number(2018, 2024)}-{number(10000, 99999)}",
                f"B{number(10**6, 10**7 - 1)}",
            )
        )
    if category == "date":
        year, month, day = number(2015, 2024), number(1, 12), number(1, 28)
        return random.choice(
            (f"{year}年{month}月{day}日", f"{year}-{month:02d}-{day:02d}", f"{year}/{month}/{day}", f"{year}.{month:02d}.{day:02d}")
        )
    made = {"name": zh_name, "address": zh_address, "id": resident_id, "email": email}
    return made[category](random)


def en_value(category: str, random: Random) -> str:
    number, given, surname = random.randint, random.choice(EN_GIVEN), random.choice(EN_SURNAMES)
    if category == "name":
        return random.choice(
            (
                f"{given} {surname}",
                f"{given} {surname}",
                f"{given} {random.choice('ABJKR')}. {surname}",
                f"{given} {surname}-{random.choice(EN_SURNAMES)}",
            )
        )
    if category == "phone":
        area, office, line = number(201, 989), number(201, 989), number(0, 9999)
        return random.choice(
            (
                f"({area}) {office}-{line:04d}",
                f"{area}-{office}-{line:04d}",
                f"+1 {area} {office} {line:04d}",
                f"{area}.{office}.{line:04d}",
            )
        )
    if category == "record":
        return random.choice(
            (
                f"{number(10**6, 10**8)}",
                f"H{number(10**5, 10**6)}",
                f"{number(10, 99)}-{number(10**4, 10**6)}",
                f"S{number(19, 24)}-{number(1000, 99999)}",
            )
        )
    if category == "address":
        street = (
            f"{number(2, 9900)} {random.choice(EN_STREETS)} {random.choice(('Road', 'Street', 'Lane', 'Ave', 'Drive', 'Court'))}"
        )
        return f"{street}{random.choice(('', f', Apt {number(1, 60)}'))}, {random.choice(EN_TOWNS)}, {random.choice(EN_STATES)} {number(10000, 99000)}"
    if category == "date":
        month, day, year = number(1, 12), number(1, 28), number(1940, 2024)
        name = (
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        )[month - 1]
        return random.choice(
            (f"{name} {day}, {year}", f"{day} {name[:3]} {year}", f"{month:02d}/{day:02d}/{year}", f"{year}-{month:02d}-{day:02d}")
        )
    return email(random)


def email(random: Random) -> str:
    return f"{random.choice(EN_GIVEN).lower()}{random.choice(('.', '_', ''))}{random.randint(1, 99)}@{random.choice(('mail.example.org', 'example.com', 'klinik.example.net'))}"


def report(template: str, language: str, random: Random) -> Report:
    """A template with values; a place that comes twice holds the same value."""
    text, at, planted, values = "", 0, [], {}
    make = zh_value if language == "zh" else en_value
    for place in PLACE.finditer(template):
        text += template[at : place.start()]
        value = values.setdefault(place[0], make(place[1], random))
        planted.append(Planted(len(text), len(text) + len(value), place[1]))
        text, at = text + value, place.end()
    return Report(language, text + template[at:], tuple(planted))


def reports(count: int, *, seed: int, sentences: str = "first") -> list[Report]:
    """Reports of both languages in turn, every template alike often, of the ``first``, the ``later`` or the ``unseen`` sentences."""
    random = Random(seed)
    made = []
    for at in range(count):
        language, templates = SENTENCES[sentences][at % 2]
        made.append(report(templates[(at // 2) % len(templates)], language, random))
    return made


@dataclass
class Score:
    planted: int = 0
    found: int = 0
    marked: int = 0
    right: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.marked if self.marked else 1.0


def scores(made: list[Report], find) -> dict[tuple[str, str], Score]:
    """By language and category: a planted identifier is found if every character of it but blanks is covered by marks of any kind;
    a mark is right if it touches a planted identifier of its own category."""
    table: dict[tuple[str, str], Score] = {}
    for each in made:
        spans = find(each.text)
        covered = {at for span in spans for at in range(span.begins, span.ends)}
        for planted in each.planted:
            score = table.setdefault((each.language, planted.category), Score())
            score.planted += 1
            score.found += all(at in covered or each.text[at].isspace() for at in range(planted.begins, planted.ends))
        for span in spans:
            score = table.setdefault((each.language, span.category), Score())
            score.marked += 1
            score.right += any(p.category == span.category and p.begins < span.ends and span.begins < p.ends for p in each.planted)
    return table
