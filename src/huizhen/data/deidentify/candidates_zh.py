"""Places where a Chinese name may stand, and what speaks for and against each: how badly words explain it, its looks, its neighbours."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from huizhen.data.deidentify.lexicon_zh import Cut, cut, lexicon
from huizhen.data.deidentify.people_zh import FAMILIAR, FLOOR, cost_of_name, foreign_cost, surname_cost

__all__ = ["AMOUNTS", "Candidate", "candidates"]

AMOUNTS = ("explained", "odds", "dotted odds")  # in tens of nats: what words pay for the characters, how much less a name pays

RUN = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf〇]+(?:[·•・‧][\u4e00-\u9fff\u3400-\u4dbf]+)*")
DOT = re.compile(r"[·•・‧]")
SHORTEST, LONGEST = 2, 7
ALONE = frozenset("主医护教院大先女同师老阿叔奶爷妈姐哥总工博局处所某")  # what may follow a surname that stands for a whole name
UNLIKELY = {2: -7.0, 3: -12.0, 4: -12.0}  # by length: of names that were made as odd as could be one in a thousand has worse odds
EXPLAINED = 7.0  # a candidate that words explain at less than this is one common word and no name


# Words that stand beside names, by what they are; a word with such an ending is of the kind, too (营养师, 报案人).
KIN = frozenset(
    "子 女 妻 夫 父 母 兄 弟 姐 妹 儿 媳 婿 爷 奶 公 婆 舅 叔 姑 姨 伯 嫂 侣 偶 伴 孙 侄 甥 爸 妈 爹 娘 哥 嫂 婶 属 邻 居 友 娃 娴".split()
)
ROLE = frozenset("医 师 者 人 员 生 长 士 工 手 属 任 授 护 警 儿 妇 方 友 刀 助 干 官 事 家 客 民 伤 签 名".split())
SPEECH = frozenset(
    "说 称 诉 述 表示 认为 建议 指出 补充 告知 要求 同意 拒绝 询问 回答 来电 反映 强调 提醒 嘱 解释 汇报 介绍 否认 承认 确认 提出 感谢 抱怨 担心 希望 决定 问 答 讲 道 叫 喊 "
    "嘱咐 叮嘱 坚持 声称 主张 分析 判断 怀疑 考虑 推荐 转述 转告 透露 报告 回忆 觉得 自述 自诉 答应 申请 申诉 投诉 签字 签名 签署 陪同 陪伴 查房 主持 接诊 会诊 阅片 主刀".split()
)
TITLES = frozenset(
    "医生 医师 大夫 主任 副主任 教授 副教授 护士 护士长 主任医师 副主任医师 主治医师 住院医师 主治 技师 药师 院长 副院长 老师 先生 女士 同志 师傅 阿姨 大爷 大妈 小朋友 小姐 太太 宝宝 老人 同学 组长 "
    "警官 博士 工程师 奶奶 爷爷 叔叔 家属 本人 护师 主管护师 科长 处长 局长 书记 总 工 姐 哥 某 某某 老 医 姑娘 师兄 师姐 主管 研究员 检验师 麻醉师 治疗师 营养师".split()
)
LINKS = frozenset(
    "由 请 与 和 及 跟 同 对 向 给 被 让 把 将 经 据 随 为 以 找 替 代 遵 叫 系 是 即 名 劝 催 邀 陪 问 托 派 嘱 如 因 当 除 比 像 从 按 令 使".split()
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Characters ``[begins, ends)`` of a text, the features that hold for them, and the `AMOUNTS`."""

    begins: int
    ends: int
    features: tuple[str, ...]
    amounts: tuple[float, ...]


def candidates(text: str, *, hidden: Container[str] = (), withheld: frozenset[str] = frozenset()) -> Iterator[Candidate]:
    """All places worth a look. `hidden` words and `withheld` surnames are treated as if no list had them."""
    for run in RUN.finditer(text):
        yield from _of_run(text, run.start(), run[0], hidden, withheld)


def _of_run(text: str, at: int, run: str, hidden: Container[str], withheld: frozenset[str]) -> Iterator[Candidate]:
    words = cut(run, hidden)
    count = len(run)
    side = _Side(run, words, _outside_left(text, at), _outside_right(text, at + count))
    dots = [dot.start() for dot in DOT.finditer(run)]
    for begins in range(count):
        until = min([count, begins + LONGEST, *(dot for dot in dots if dot >= begins)])
        for ends in range(begins + 1, until + 1):
            explained = words.explained(begins, ends)
            if ends - begins > 1 and explained < EXPLAINED:
                continue
            look = _Look.of(run[begins:ends], explained, withheld)
            if look is not None and (ends - begins > 1 or run[ends : ends + 1] in ALONE):
                yield Candidate(
                    at + begins, at + ends, (*look.features(), *side.around(begins, ends)), (explained / 10, look.odds / 10, 0.0)
                )
    for dot in dots:
        yield from _dotted(at, run, dot, words, side)


@dataclass(frozen=True, slots=True)
class _Look:
    """What characters say themselves.

    Attributes:
        explained: what words pay for them.
        surname: the cost of the surname, and `letters` its length.
        chinese: the cost of the name as a Chinese one, `foreign` as one that is written by its sound.
    """

    piece: str
    explained: float
    surname: float
    letters: int
    chinese: float
    foreign: float

    @classmethod
    def of(cls, piece: str, explained: float, withheld: frozenset[str]) -> _Look | None:
        """None for what is no name by its looks alone."""
        size = len(piece)
        surname, letters = surname_cost(piece, withheld)
        if size == 1:
            return cls(piece, explained, surname, letters, surname, foreign_cost(piece)) if surname < FLOOR else None
        foreign = foreign_cost(piece)
        if size > 4 and foreign >= 6.5 * size:
            return None
        chinese = cost_of_name(piece, withheld)
        if size <= 4 and explained - min(chinese, foreign) < UNLIKELY[size]:
            return None
        if size == 4 and letters == 1 and foreign >= 7.5 * 4:
            return None
        return cls(piece, explained, surname, letters, chinese, foreign)

    @property
    def odds(self) -> float:
        """How much less a name pays than words."""
        return self.explained - min(self.chinese, self.foreign)

    def features(self) -> Iterator[str]:
        piece, letters, size = self.piece, self.letters, min(len(self.piece), 5)
        kind = "F" if self.foreign + 3 < self.chinese or size > 4 else "C"
        yield f"{kind}{size}"
        yield f"{kind}{size} words {_step(self.explained, 3, 14)}"
        yield f"{kind}{size} odds {_step(self.odds, 2, 12)}"
        yield f"{size} surname {_step(self.surname, 2, 7)} {letters}"
        if letters < len(piece) <= 4:
            given = piece[letters:]
            yield f"given {len(given)} {_step(self.chinese - self.surname, 2, 13)}"
            if len(given) > 1 and (known := lexicon().get(given)):
                yield f"given word {_step(known.cost, 2, 9)} {known.kind}"
        if word := lexicon().get(piece):
            yield f"{size} word {_step(word.cost, 2, 9)} {word.kind}"
        if size == 2 and piece[0] in FAMILIAR:
            yield f"familiar {_step(surname_cost(piece[1])[0], 2, 7)}"
        yield f"ends {piece[-1]}"
        if self.surname < FLOOR:
            yield f"begins {piece[:letters]}"


def _step(value: float, width: float, most: int) -> int:
    return max(-most, min(most, round(value / width)))


class _Side:
    """What stands on both sides of places in one run."""

    def __init__(self, run: str, words: Cut, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        self.run, self.words, self.before, self.after = run, words, before, after
        self.lefts: dict[int, tuple[str, ...]] = {}
        self.rights: dict[int, tuple[str, ...]] = {}

    def around(self, begins: int, ends: int) -> tuple[str, ...]:
        left = self.lefts.get(begins) or self.lefts.setdefault(begins, tuple(self._left(begins)))
        right = self.rights.get(ends) or self.rights.setdefault(ends, tuple(self._right(ends)))
        size = min(ends - begins, 5)
        return (*left, *right, f"{left[0]}|{right[0]}", f"{size} {left[0]}", f"{size} {right[0]}")

    def _class_left(self, word: str) -> str:
        if word in LINKS:
            return "link"
        if word in SPEECH:
            return "speech"
        if len(word) > 1 and word[-1] in KIN:
            return "kin"
        if len(word) > 1 and (word[-1] in ROLE or word in TITLES):
            return "role"
        return _kind(word)

    def _class_right(self, word: str) -> str:
        if word in TITLES:
            return "title"
        return "speech" if word in SPEECH else "link" if word in LINKS else _kind(word)

    def _left(self, at: int) -> Iterator[str]:
        """The kind of what ends here, the word, the character, and the word before."""
        if at == 0:
            yield from self.before
            return
        long = self.words.left[at]
        word = self.run[at - long : at]
        yield f"L {self._class_left(word)}{min(long, 3)}"
        yield f"L={word}"
        yield f"L-{self.run[at - 1]}"
        if at >= 2:
            yield f"L-{self.run[at - 2 : at]}"
        yield f"L fits {_step(self.words.ahead[at] - self.words.ahead[at - long], 3, 6)} {min(long, 3)}"

    def _right(self, at: int) -> Iterator[str]:
        if at == len(self.run):
            yield from self.after
            return
        long = self.words.right[at]
        word = self.run[at : at + long]
        yield f"R {self._class_right(word)}{min(long, 3)}"
        yield f"R={word}"
        yield f"R-{self.run[at]}"
        if at + 2 <= len(self.run):
            yield f"R-{self.run[at : at + 2]}"
        yield f"R fits {_step(self.words.behind[at] - self.words.behind[at + long], 3, 6)} {min(long, 3)}"


def _kind(word: str) -> str:
    known = lexicon().get(word)
    return known.kind if known else "?"


def _outside_left(text: str, at: int) -> tuple[str, ...]:
    """What stands before a run: the mark, and the word before the mark."""
    start = at
    while start > 0 and text[start - 1] in " \t　" and at - start < 8:
        start -= 1
    blank = "_" if start < at else ""
    mark = _class(text[start - 1]) if start else "^"
    if blank and mark == "字":
        word = _last_word(text, start)
        return (f"L _{_ends_as(word)}", f"L_{word}", f"L_-{text[start - 1]}")
    before = start - 1
    while before > 0 and text[before - 1] in " \t　" and start - before < 8:
        before -= 1
    word = _last_word(text, before) if before > 0 and mark in "：（，、" else ""
    return (f"L {mark}{blank}{_ends_as(word) if mark == '：' else ''}", f"L{mark}{word}", f"L{mark}-{word[-1:]}")


def _outside_right(text: str, at: int) -> tuple[str, ...]:
    """What stands behind a run: the mark, and what comes after the mark."""
    start = at
    while start < len(text) and text[start] in " \t　" and start - at < 8:
        start += 1
    blank = "_" if start > at else ""
    mark = _class(text[start]) if start < len(text) else "$"
    if mark == "字":
        return (f"R _{blank}", f"R_={''.join(filter(RUN.match, text[start : start + 2]))}", f"R_-{text[start]}")
    following = text[start + 1 : start + 12].lstrip(" \t　").partition("\n")[0]
    shape = re.sub(r"\d+", "0", following)[:2] if mark in "，（。0" else ""
    shape = shape if shape in lexicon() or "0" in shape else shape[:1] if shape[:1] in "男女系" else ""
    return (f"R {mark}{blank}", f"R{mark}{shape}")


def _ends_as(word: str) -> str:
    return "person" if word[-1:] in KIN or word[-1:] in ROLE else "thing" if word else ""


def _last_word(text: str, at: int) -> str:
    """The word of the lexicon that ends here, the longest."""
    for long in range(min(6, at), 0, -1):
        if text[at - long : at] in lexicon():
            return text[at - long : at]
    return ""


CLASSES = {
    **dict.fromkeys(":：", "："), **dict.fromkeys("，,", "，"), **dict.fromkeys("。.；;！!？?", "。"), **dict.fromkeys("、/／&", "、"),
    **dict.fromkeys("(（[【", "（"), **dict.fromkeys(")）]】", "）"), **dict.fromkeys("“”\"‘’'《》<>", "“"), **dict.fromkeys("\r\n", "^"),
}  # fmt: skip


def _class(character: str) -> str:
    if character in CLASSES:
        return CLASSES[character]
    if character.isdigit():
        return "0"
    if RUN.match(character):
        return "字"
    return "a" if character.isalpha() else "*"


def _dotted(at: int, run: str, dot: int, words: Cut, side: _Side) -> Iterator[Candidate]:
    """Names with a dot: 阿不都·买买提; what is left and right of the dot as far as it is written by its sound."""
    for begins in range(max(0, dot - 8), dot):
        if DOT.search(run, begins, dot):
            continue
        for ends in range(dot + 2, min(len(run), dot + 12) + 1):
            if DOT.match(run, ends - 1) or DOT.match(run, ends):
                continue
            piece = DOT.sub("", run[begins:ends])
            rare = _step(foreign_cost(piece) / len(piece), 0.5, 24)
            odds = _step(words.explained(begins, ends) / len(piece), 1, 17)
            total = _step(words.explained(begins, ends) - foreign_cost(piece), 3, 12)
            features = ("dotted", f"dotted {rare}", f"dotted odds {odds}", f"dotted total {total}", *side.around(begins, ends))
            more = words.explained(begins, ends) - foreign_cost(piece)
            yield Candidate(at + begins, at + ends, features, (0.0, 0.0, more / 10))
