"""Addresses in reports: Chinese ones by a label, by their chain of places, or by street and number; English ones by number and street."""

from __future__ import annotations

import re
from collections.abc import Iterator

from huizhen.data.deidentify.spans import Span

__all__ = ["addresses"]

HAN = r"[\u4e00-\u9fff]"
PLAIN = r"[\u4e00-\u9fff]"
PROVINCES = (
    "北京市?|天津市?|上海市?|重庆市?|(?:河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海|台湾)省?"
    "|内蒙古(?:自治区)?|广西(?:壮族自治区)?|西藏(?:自治区)?|宁夏(?:回族自治区)?|新疆(?:维吾尔自治区)?|香港(?:特别行政区)?|澳门(?:特别行政区)?"
)
PROVINCE = re.compile(PROVINCES)
DIGIT = r"[0-9０-９一二三四五六七八九十百零〇甲乙丙A-Za-z]"
NUMBERED = (
    rf"(?:{DIGIT}{{1,6}}(?:[-－]{DIGIT}{{1,5}})*(?:号楼?|弄|栋|幢|座|单元|层|楼|室|组|队|户|村)){{1,6}}(?:[0-9]{{1,5}}(?:室|号)?)?"
)
AREA = rf"{PLAIN}{{2,8}}?(?:自治州|自治县|市|盟|地区|区|县|旗|新区|开发区)"
TOWN = rf"{PLAIN}{{1,6}}?(?:街道|镇|乡|苏木)"
STREET = rf"{PLAIN}{{1,8}}?(?:大道|大街|胡同|路|街|巷|里|道|弄|小区|社区|花园|家园|公寓|苑|村|屯|庄|新村)"
CHAIN = re.compile(
    rf"(?:(?:{PROVINCES})(?:{AREA}){{0,3}}|(?:{AREA}){{1,3}})(?:{TOWN})?(?:{STREET}){{1,3}}(?:{NUMBERED})?"
    rf"|(?:{PROVINCES})(?:{AREA}){{1,3}}(?:{TOWN})?(?:{NUMBERED})?"
    rf"|(?:{STREET}){{1,2}}{NUMBERED}"
)
LABELLED = re.compile(
    r"(?:(?:家庭|现|通讯|联系|户籍|居住|工作单位|单位|原)?(?:住址|地址|籍贯|户口所在地|居住地|工作单位)(?:\s*(?:[:：]|为|是)\s*|[ \t　]+)"
    r"|(?:家住|现住|原住|暂住|租住|居住于|居住在|现居|住在)(?:于|在)?[:：]?\s*)"
    rf"(?P<value>(?:{HAN}|[0-9A-Za-z#\-－·（）()]){{3,60}})"
)
# Words before a chain that belong to the sentence.
LEAD = re.compile(
    r"^.*?(?:家住|现住|原住|暂住|租住|居住在|居住于|住址|地址|籍贯|位于|来自|转诊至|户籍|住在|现居|前往|返回|住|由|从|在|于|至|到|自|系|为|是|往|经|曾|其|患者|病人|因|及|和|与|向|今日|昨日)"
    r"(?=[\u4e00-\u9fff]{2})"
)
# Words of anatomy and of the ward that end like a place.
NO_PLACE = re.compile(
    r"(?:胃肠|呼吸|消化|泌尿|尿|气|通|径|回|管|半暗|病|灶|肺|叶|底节|颌|面|腹股沟|穿刺|切口|髂窝|枕|额|颞|顶|触痛|压痛|叩击|缺血|缺损|功能|感染|手术|监护)(?:区|路|道|里|街|县|市|村)"
)

STREETS = r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Terrace|Ter|Circle|Cir|Parkway|Pkwy|Highway|Hwy|Square|Sq|Crescent|Close)\b\.?"
WORD = r"(?:[A-Z][A-Za-z'’.-]*|\d{1,3}(?:st|nd|rd|th))"
ENGLISH = re.compile(
    rf"(?<![\w-])\d{{1,6}}[A-Za-z]?\s(?:[NSEW]\.?\s)?(?:{WORD}\s){{1,4}}{STREETS}"
    r"(?:,?\s(?:Apt|Apartment|Unit|Suite|Ste|Floor|Fl|#)\.?\s?#?[\w-]{1,6})?"
    rf"(?:,\s(?:{WORD}\s?){{1,3}})?(?:,\s?[A-Z]{{2}})?(?:,?\s\d{{5}}(?:-\d{{4}})?|,?\s[A-Z]{{1,2}}\d[A-Z\d]?\s\d[A-Z]{{2}})?"
)
BOX = re.compile(r"\bP\.?\s?O\.?\sBox\s\d{1,7}\b")
ENGLISH_LABELLED = re.compile(r"\b(?i:(?:home |mailing |street )?address)\s*:\s*(?P<value>[^\n;:]{5,100})")


def addresses(text: str) -> Iterator[Span]:
    """Places that tell where somebody lives."""
    for found in LABELLED.finditer(text):
        if not re.match(r"不详|同上|无|未|拒", found["value"]):
            yield Span(*found.span("value"), "address", 2)
    for found in CHAIN.finditer(text):
        province = PROVINCE.search(found[0])
        lead = None if province else LEAD.match(found[0])
        begins = found.start() + (province.start() if province else lead.end() if lead else 0)
        if not NO_PLACE.search(text[begins : found.end()]) and found.end() - begins > 4:
            yield Span(begins, found.end(), "address", 1)
    for pattern in (ENGLISH, BOX):
        for found in pattern.finditer(text):
            yield Span(found.start(), found.start() + len(found[0].rstrip(" ,")), "address", 2)
    for found in ENGLISH_LABELLED.finditer(text):
        if any(map(str.isdigit, found["value"])):
            ends = found.start("value") + len(re.split(r"\s{2,}|\.\s", found["value"])[0].rstrip(" .,"))
            yield Span(found.start("value"), ends, "address", 2)
