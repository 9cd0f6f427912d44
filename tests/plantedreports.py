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

ZH_SURNAMES = list("逄仝亓笪郗逯麴厍郏蒯訾郇邸阚冼昝佘亢竺佴妫") + ["亓官", "濮阳", "公冶", "澹台"]
ZH_GIVEN = list("瀚珺翊偲砚芃禾璟昱祎翀湉骞垚珩菡绮霁熠煊")
ZH_TOWNS = ["泸水", "禹会", "鹿寨", "尉犁", "枞阳", "阆中", "嵊泗", "瓮安"]
ZH_STREETS = ["鹤鸣", "采薇", "拾光", "漱玉", "稼轩", "望舒", "听涛", "凝翠"]
ZH_PROVINCES = ["安徽省", "云南省", "四川省", "贵州省", "浙江省", "广西壮族自治区"]

EN_GIVEN = ["Ingrid", "Thaddeus", "Priyanka", "Siobhan", "Anselm", "Oluwaseun", "Marisol", "Leopold", "Xiulan", "Bronwyn", "Casimir", "Odalys"]
EN_SURNAMES = ["Voss", "Okonkwo", "Raghunathan", "Kowalczyk", "Lindqvist", "Abernathy", "Quintanilla", "Vandermeer", "Tsukamoto", "Featherstone"]
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


def zh_name(random: Random) -> str:
    return random.choice(ZH_SURNAMES) + "".join(random.sample(ZH_GIVEN, random.choice((1, 2, 2))))


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
        return random.choice((mobile, mobile, spaced, f"+86 {mobile}", f"0{number(311, 999)}-{number(2000000, 8999999)}", f"010-{number(60000000, 89999999)}"))
    if category == "record":
        return random.choice((f"{number(100000, 99999999)}", f"ZY{number(10**9, 10**10 - 1)}", f"{number(2018, 2024)}-{number(10000, 99999)}", f"B{number(10**6, 10**7 - 1)}"))
    if category == "date":
        year, month, day = number(2015, 2024), number(1, 12), number(1, 28)
        return random.choice((f"{year}年{month}月{day}日", f"{year}-{month:02d}-{day:02d}", f"{year}/{month}/{day}", f"{year}.{month:02d}.{day:02d}"))
    made = {"name": zh_name, "address": zh_address, "id": resident_id, "email": email}
    return made[category](random)


def en_value(category: str, random: Random) -> str:
    number, given, surname = random.randint, random.choice(EN_GIVEN), random.choice(EN_SURNAMES)
    if category == "name":
        return random.choice((f"{given} {surname}", f"{given} {surname}", f"{given} {random.choice('ABJKR')}. {surname}", f"{given} {surname}-{random.choice(EN_SURNAMES)}"))
    if category == "phone":
        area, office, line = number(201, 989), number(201, 989), number(0, 9999)
        return random.choice((f"({area}) {office}-{line:04d}", f"{area}-{office}-{line:04d}", f"+1 {area} {office} {line:04d}", f"{area}.{office}.{line:04d}"))
    if category == "record":
        return random.choice((f"{number(10**6, 10**8)}", f"H{number(10**5, 10**6)}", f"{number(10, 99)}-{number(10**4, 10**6)}", f"S{number(19, 24)}-{number(1000, 99999)}"))
    if category == "address":
        street = f"{number(2, 9900)} {random.choice(EN_STREETS)} {random.choice(('Road', 'Street', 'Lane', 'Ave', 'Drive', 'Court'))}"
        return f"{street}{random.choice(('', f', Apt {number(1, 60)}'))}, {random.choice(EN_TOWNS)}, {random.choice(EN_STATES)} {number(10000, 99000)}"
    if category == "date":
        month, day, year = number(1, 12), number(1, 28), number(1940, 2024)
        name = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")[month - 1]
        return random.choice((f"{name} {day}, {year}", f"{day} {name[:3]} {year}", f"{month:02d}/{day:02d}/{year}", f"{year}-{month:02d}-{day:02d}"))
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


def reports(count: int, *, seed: int) -> list[Report]:
    """Reports of both languages in turn, every template alike often."""
    random = Random(seed)
    made = []
    for at in range(count):
        language, templates = (("zh", ZH), ("en", EN))[at % 2]
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
        return self.found / self.planted

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
