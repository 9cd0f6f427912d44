"""Identifiers that are known by their form or by a label before them: resident IDs, telephones, record numbers, e-mail, dates.

Resident identity numbers follow GB 11643-1999 (18 digits, the last a check character by ISO 7064 MOD 11-2) and its predecessor of 15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from huizhen.data.deidentify.spans import Span

__all__ = ["dates", "emails", "has_check_digit", "ids", "phones", "records"]

CHECKS = "10X98765432"
LABEL_END = r"\s*(?:是|为|[:：#])?\s*(?:No\.?|no\.?)?\s*"

EMAIL = re.compile(r"[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}", re.ASCII)
DIGITS_18 = re.compile(r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}[01]\d[0-3]\d{4}[0-9Xx](?![0-9A-Za-z])")
DIGITS_15 = re.compile(r"(?<![0-9A-Za-z])[1-9]\d{5}\d{2}[01]\d[0-3]\d{4}(?![0-9A-Za-z])")
ID_LABELLED = re.compile(
    r"(?:身份证(?:件)?(?:号码?)?|身份号码|证件号码?|公民身份号码|护照(?:号码?)?|医保(?:卡)?号码?|社保(?:卡)?号码?"
    r"|(?i:\b(?:SSN|social security(?: number)?|national id|passport(?: number)?|ID(?: card)? (?:number|no\.?)|insurance (?:id|number)|NHS number)\b))"
    + LABEL_END + r"(?P<value>[A-Za-z0-9](?:[ -]?[A-Za-z0-9]){5,21})"
)  # fmt: skip
SSN = re.compile(r"(?<![0-9A-Za-z_-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![0-9A-Za-z_-])")

# What follows a count or an amount: such a number is no telephone.
AMOUNT = re.compile(
    r"\s?(?:条|个|份|bp|kb|reads?\b|拷贝|copies|元|ml|mL|mg|ug|μg|IU|U/|/L|/ml|×|x10|\*10|%|％|pg|ng|cells|sequenc|per\b|\.\d)",
    re.IGNORECASE,
)
MOBILE = re.compile(r"(?<![\dA-Za-z.])(?:\+?86[- ]?|0086[- ]?)?1[3-9]\d(?P<s>[- ]?)\d{4}(?P=s)\d{4}(?![\dA-Za-z])")
LANDLINE = re.compile(
    r"(?<![\d.A-Za-z-])(?:\+?86[- ]?)?[(（]?0(?:10|2\d|[3-9]\d{2})[)）]?[- ]?[2-8]\d{6,7}(?:[-转]\d{1,5})?(?![\d-])"
)
ABROAD = re.compile(
    r"(?<![0-9A-Za-z.+-])(?:\+?1[-. ]?)?(?:\([2-9]\d{2}\)[ -]?|[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![0-9A-Za-z-])"
    r"|(?<![0-9A-Za-z+])\+(?!86)\d{1,3}(?:[ -.]?\(?\d{1,4}\)?){2,5}(?![0-9A-Za-z])"
)
PHONE_LABELLED = re.compile(
    r"(?:电话|手机|联系方式|传真|号码|(?i:\b(?:phone|tel|telephone|mobile|cell|fax|pager|call)\b\.?))" + LABEL_END
    + r"(?P<value>[+(（]?\d(?:[-. ()（）]?\d){6,14})(?!\d)"
)  # fmt: skip

RECORD = re.compile(
    r"(?:(?:住院|门诊|急诊|病案|病历|登记|检查|影像|放射|病理|就诊卡?|诊疗卡?|超声|内镜|标本|条码|床旁|入院|档案|患者|病人|流水|申请单?|报告|手术|随访|病员)(?:编号|号码?|ID)"
    r"|(?i:\b(?:MRN|medical record (?:number|no\.?)|record (?:number|no\.?)|accession(?: (?:number|no\.?))?|admission (?:number|no\.?)|chart (?:number|no\.?)"
    r"|account (?:number|no\.?)|acct\.?(?: (?:number|no\.?))?|patient (?:id|number|no\.?)|case (?:number|no\.?)|visit (?:number|no\.?)"
    r"|encounter (?:number|no\.?)|hospital (?:number|no\.?)|specimen(?: (?:number|no\.?|id))?|study (?:id|number))))"
    + LABEL_END + r"(?P<value>[A-Za-z]{0,4}[- ]?(?=[A-Za-z-]*\d)[A-Za-z0-9]+(?:[-/][A-Za-z0-9]+){0,3})"
)  # fmt: skip

MONTH = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
DATE = re.compile(
    r"(?<![\d.])(?:19|20)\d{2}\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?[日号])?|(?<![\d年])\d{1,2}月\d{1,2}[日号]"
    r"|(?<![0-9A-Za-z.-])(?:19|20)\d{2}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?![\d-])"
    r"|(?<![0-9A-Za-z.-])(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d{2}(?![\d-])"
    rf"|\b{MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s(?:19|20)\d{{2}})?\b|\b\d{{1,2}}(?:st|nd|rd|th)?\s{MONTH},?(?:\s(?:19|20)\d{{2}})?(?!\w)"
)


def has_check_digit(number: str) -> bool:
    """Whether 18 characters end in the check character of GB 11643: the sum of digit times 2^(17 - place), modulo 11.

    >>> has_check_digit("11010519491231002X"), has_check_digit("110105194912310021")
    (True, False)
    """
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdigit()):
        return False
    total = sum(int(digit) * pow(2, 17 - at, 11) for at, digit in enumerate(number[:17]))
    return CHECKS[total % 11] == number[17].upper()


def ids(text: str) -> Iterator[Span]:
    """Numbers of a person: resident IDs by check digit or birth date, any number behind a label such as 身份证 or SSN."""
    for found in DIGITS_18.finditer(text):
        if has_check_digit(found[0]):
            yield Span(found.start(), found.end(), "id", 3)
    for found in DIGITS_15.finditer(text):
        if _is_day("19" + found[0][6:12]) and not AMOUNT.match(text, found.end()):
            yield Span(found.start(), found.end(), "id", 2)
    for found in ID_LABELLED.finditer(text):
        if sum(map(str.isdigit, found["value"])) >= 5:
            yield Span(*found.span("value"), "id", 3)
    for found in SSN.finditer(text):
        yield Span(found.start(), found.end(), "id", 2)


def phones(text: str) -> Iterator[Span]:
    """Chinese mobiles and landlines, numbers of North America or with a country's code, any number behind a label."""
    for pattern in (MOBILE, LANDLINE, ABROAD):
        for found in pattern.finditer(text):
            if not AMOUNT.match(text, found.end()):
                yield Span(found.start(), found.end(), "phone", 2)
    for found in PHONE_LABELLED.finditer(text):
        yield Span(*found.span("value"), "phone", 2)


def records(text: str) -> Iterator[Span]:
    """What stands behind a label such as 住院号 or MRN and has three digits or more."""
    for found in RECORD.finditer(text):
        if sum(map(str.isdigit, found["value"])) >= 3:
            yield Span(*found.span("value"), "record", 3)


def emails(text: str) -> Iterator[Span]:
    """Addresses of electronic mail."""
    for found in EMAIL.finditer(text):
        yield Span(found.start(), found.end(), "email", 3)


def dates(text: str) -> Iterator[Span]:
    """Days of the calendar; a month alone only where its year is named in Chinese."""
    for found in DATE.finditer(text):
        yield Span(found.start(), found.end(), "date", 1)


def _is_day(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True
