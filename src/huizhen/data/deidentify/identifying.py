"""Names of columns that say that a cell tells who somebody is, and texts in which a person may have written freely."""

from __future__ import annotations

import re
from itertools import pairwise

__all__ = ["is_free", "is_identifying"]

CHINESE = (
    *("姓名", "身份证", "证件号", "护照", "电话", "手机", "联系方式", "联系人", "住址", "地址", "邮箱", "微信", "银行卡"),
    *("病案号", "病历号", "住院号", "门诊号", "就诊卡", "医保卡", "社保卡", "医保号", "社保号"),
)
WORDS = frozenset(
    (
        *("surname", "forename", "firstname", "lastname", "fullname", "middlename", "maiden", "nickname", "patientname"),
        *("phone", "telephone", "mobile", "cellphone", "fax", "email", "mail", "passport", "ssn", "nhs", "mrn"),
        *("address", "street", "nationalid", "idcard", "xingming", "shenfenzheng", "shouji", "dianhua", "dizhi", "zhuyuanhao"),
    )
)
WHOSE = frozenset(
    (
        *("patient", "person", "first", "last", "full", "family", "given", "middle", "birth", "legal", "contact", "guardian"),
        *("mother", "father", "spouse", "relative", "doctor", "physician", "nurse", "pat", "pt"),
    )
)
PAIRS = frozenset(
    (
        *(("id", "card"), ("id", "number"), ("id", "no"), ("national", "id"), ("medical", "record"), ("record", "number")),
        *(
            ("chart", "number"),
            ("social", "security"),
            ("insurance", "number"),
            ("insurance", "id"),
            ("card", "number"),
            ("card", "no"),
        ),
    )
)
TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
SIGNS = re.compile(r"[\n，。；：:;]")
HAN = re.compile(r"[\u4e00-\u9fff]")
FREE_WORDS, FREE_CHARACTERS = 5, 12  # from which an answer is no longer one of a list


def is_identifying(column: str) -> bool:
    """Whether the name of a column says that its cells tell who somebody is.

    >>> [is_identifying(name) for name in ("PatientName", "身份证号", "id_card", "drug_name", "sex")]
    [True, True, True, False, False]
    """
    if any(word in column for word in CHINESE):
        return True
    tokens = [token.lower() for token in TOKEN.findall(column)]
    pairs = set(pairwise(tokens))
    named = tokens == ["name"] or any(first in WHOSE and second == "name" for first, second in pairs)
    return named or bool(WORDS.intersection(tokens)) or bool(PAIRS & pairs)


def is_free(text: str) -> bool:
    """Whether somebody may have written this freely; what is no more than a word or two is taken for an answer of a list.

    >>> is_free("positive"), is_free("called his wife on the phone"), is_free("患者今晨出院。")
    (False, True, True)
    """
    if SIGNS.search(text) or len(text.split()) >= FREE_WORDS:
        return True
    return len(text) >= FREE_CHARACTERS and HAN.search(text) is not None
