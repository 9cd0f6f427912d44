"""What is looked for in cards, and whether and why a card fits: the same rule at the hub, with whoever asks, and in a folder.

A card fits if everything asked is on it. Words are found in Chinese and English: a word of letters where one begins with it,
Chinese characters anywhere. ``ICD10:C34`` finds ``C34.1`` too, in every edition of ICD-10; of terminologies whose codes do not
say what is above them, the code itself is found.

>>> wish = read_wish("lung diagnosis ICD10:C34", variables=["creatinine"], min_patients=500)
>>> wish.words, [(one.kind, one.system, one.code) for one in wish.codes], wish.variables
(['lung'], [('condition', 'ICD10', 'C34')], ['creatinine'])
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from huizhen.data.criteria.codes import BY_PREFIX, prefixes
from huizhen.errors import CallerError, Problem
from huizhen.federation.bodies import Body, read_body
from huizhen.federation.cards import Band, CodeEntry, SignedCard, VariableEntry

__all__ = ["KIND_WORDS", "CodeWish", "Match", "Reason", "Searchable", "Wish", "found_in", "read_wish"]

MOST = 50  # of each that is asked
SHOWN = 3  # reasons for one thing that was asked
CODE = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63}):(\S{1,200})")
LIMIT = re.compile(r"(?<=[\u3400-\u9fff])(?=[a-z0-9])|(?<=[a-z0-9])(?=[\u3400-\u9fff])")
CHINESE = re.compile(r"[\u3400-\u9fff]")
EDITIONS = {"ICD10": frozenset({"ICD10", "ICD10CM", "ICD10CN"})}  # the first characters mean the same in all of them
KIND_WORDS = {
    **dict.fromkeys(("condition", "diagnosis", "诊断", "疾病"), "condition"),
    **dict.fromkeys(("measurement", "lab", "test", "检验", "检查"), "measurement"),
    **dict.fromkeys(("drug", "medication", "用药", "药物"), "drug"),
    **dict.fromkeys(("procedure", "操作", "手术"), "procedure"),
    **dict.fromkeys(("device", "器械"), "device"),
    **dict.fromkeys(("image", "影像"), "image"),
}

Text = Annotated[str, Field(min_length=1, max_length=200)]


class CodeWish(Body):
    """A code and all below it.

    Attributes:
        kind: of event, or "" for any.
    """

    kind: Annotated[str, Field(max_length=40)] = ""
    system: Annotated[str, Field(min_length=1, max_length=64)]
    code: Text


class Wish(Body):
    """Everything that a card must hold.

    Attributes:
        min_patients: with the code that was asked, or at all where none was.
    """

    words: list[Text] = Field(default=[], max_length=MOST)
    codes: list[CodeWish] = Field(default=[], max_length=MOST)
    variables: list[Text] = Field(default=[], max_length=MOST)
    modalities: list[Text] = Field(default=[], max_length=MOST)
    min_patients: int = Field(default=0, ge=0, le=10**12)

    @classmethod
    def parse(cls, body: Any) -> Wish:
        """The wish in a body.

        Raises:
            CallerError: with every mistake.
        """
        return read_body(cls, body, what="wish", largest=65_536)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a card fits.

    Attributes:
        asked: what was asked, in the asker's words.
        found: what stands on the card.
        kind: of event, ``variable``, ``modality``, ``patients``, ``about`` or ``source``.
        least, most: so many patients have it; None where withheld.
        complete: of a variable, the share of rows with a value.
    """

    asked: str
    found: str
    kind: str
    least: int | None = None
    most: int | None = None
    complete: Band | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A card that fits.

    Attributes:
        patients: how many at least there may be with what was asked; None where that is withheld.
        rank: the smaller, the better it fits.
    """

    reasons: tuple[Reason, ...]
    patients: int | None
    rank: tuple[int, ...]


@dataclass(frozen=True)
class Searchable:
    """A signed card whose words are ready to be looked through."""

    signed: SignedCard

    @cached_property
    def phrases(self) -> Sequence[tuple[str, str, str, int | None]]:
        """What can be found by words: as it is looked through, as it stands, its kind, its patients."""
        card = self.signed.card
        if card is None:
            return ()
        found: list[tuple[str, str, int | None]] = [
            (self.signed.site, "source", card.patients),
            (card.about, "about", card.patients),
        ]
        found += [(_shown(one), one.kind, one.patients) for one in card.codes]
        found += [(one.name, "modality", one.patients) for one in card.modalities]
        for source in card.sources:
            found.append((f"{source.alias} {source.about}".strip(), "source", source.rows))
            found += [(f"{one.name} {one.about}".strip(), "variable", None) for one in source.variables]
        return tuple((normal(text), text, kind, patients) for text, kind, patients in found if text)

    @cached_property
    def variables(self) -> Sequence[tuple[str, str, VariableEntry]]:
        """Variables, as they are looked through, with their code."""
        card = self.signed.card
        entries = [one for source in card.sources for one in source.variables] if card is not None else []
        return tuple((normal(f"{one.name} {one.about}"), one.code.casefold(), one) for one in entries)

    @cached_property
    def measured(self) -> Sequence[tuple[str, str, CodeEntry]]:
        """Measurements by their codes, which are variables for whoever maps them."""
        codes = () if self.signed.card is None else self.signed.card.codes
        return tuple(
            (normal(one.display), f"{one.system}:{one.code}".casefold(), one) for one in codes if one.kind == "measurement"
        )


def normal(text: str) -> str:
    """A text as it is looked through: one form of each character, words between blanks, Chinese apart from letters.

    >>> normal("胸部CT，Upper-lobe")
    ' 胸部 ct upper lobe'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " " + " ".join(LIMIT.sub(" ", re.sub(r"[\W_]+", " ", folded)).split())


def read_wish(text: str, *, variables: Iterable[str] = (), modalities: Iterable[str] = (), min_patients: int = 0) -> Wish:
    """A wish in a person's words: codes as ``SYSTEM:CODE``, a kind of event right before a code, all else words.

    Raises:
        CallerError: with every mistake.
    """
    words, codes, kind, before = list[str](), list[dict[str, str]](), "", ""
    for token in text.split():
        match = CODE.fullmatch(token.strip(",，;；"))
        if match is not None:
            codes.append({"kind": kind, "system": match[1], "code": match[2]})
            kind = before = ""
            continue
        if kind:
            words.append(before)
        kind, before = KIND_WORDS.get(token.casefold(), ""), token
        if not kind:
            words.append(token)
    if kind:
        words.append(before)
    unsaid = [word for word in words if not normal(word).strip()]
    if unsaid:
        problem = Problem("TEXT", "signs without a letter, a digit or a Chinese character", "words, or codes as SYSTEM:CODE")
        raise CallerError("This cannot be looked for.", [problem])
    body = {"words": words, "codes": codes, "variables": [*variables], "modalities": [*modalities], "min_patients": min_patients}
    return Wish.parse(body)


def found_in(card: Searchable, wish: Wish) -> Match | None:
    """Why a card fits; None where something that was asked is not on it."""
    content = card.signed.card
    if content is None:
        return None
    reasons: list[Reason] = []
    counts: list[tuple[int | None, int | None]] = []
    for code in wish.codes:
        mine = _with_code(content.codes, code)
        if not mine:
            return None
        least, most = _together(mine, content.patients)
        counts.append((least, most))
        reasons += [Reason(f"{code.system}:{code.code}", _shown(one), one.kind, one.patients, one.patients) for one in mine[:SHOWN]]
    for name in wish.variables:
        found = _variable(card, name)
        if found is None:
            return None
        reasons.append(found)
    for modality in wish.modalities:
        one = next((one for one in content.modalities if one.name.casefold() == modality.casefold()), None)
        if one is None:
            return None
        reasons.append(Reason(modality, one.name, "modality", one.patients, one.patients))
    by_words = _by_words(card, wish.words)
    if by_words is None:
        return None
    whole = [(content.patients, content.patients)]
    least, most = min(counts or whole, key=lambda pair: pair[1] or 0)
    if wish.min_patients and (most is None or most < wish.min_patients):
        return None
    if not (wish.codes or wish.variables or wish.modalities or wish.words):
        reasons.append(Reason("", "", "patients", least, most))
    scattered, told = by_words
    return Match((*reasons, *told), least, (scattered, int((least or 0) < wish.min_patients), -(least or 0)))


def _with_code(codes: Sequence[CodeEntry], wish: CodeWish) -> list[CodeEntry]:
    system = wish.system.upper()
    systems = EDITIONS.get(system, frozenset({system}))
    ranges = prefixes(system, [wish.code.upper()]) if system in BY_PREFIX else ()

    def is_meant(one: CodeEntry) -> bool:
        if one.system.upper() not in systems or (wish.kind and one.kind != wish.kind):
            return False
        if not ranges:
            return one.code.casefold() == wish.code.casefold()
        return any(part.low <= one.code.upper() < part.high for part in ranges)

    return [one for one in codes if is_meant(one)]


def _together(codes: Sequence[CodeEntry], whole: int | None) -> tuple[int | None, int | None]:
    """How many patients have at least one of the codes: no fewer than have the commonest, no more than the sum, or all."""
    counts = [one.patients for one in codes]
    least = max((count for count in counts if count is not None), default=None)
    if whole is None:
        return least, None
    return least, min(whole, sum(whole if count is None else count for count in counts))


def _variable(card: Searchable, name: str) -> Reason | None:
    wanted, code = normal(name), name.casefold()
    for text, mine, one in card.variables:
        if code == mine or _holds(text, wanted):
            words = " ".join(part for part in (one.name, one.unit and f"[{one.unit}]", one.code) if part)
            return Reason(name, words, "variable", complete=one.complete)
    for text, mine, each in card.measured:
        if code == mine or _holds(text, wanted):
            return Reason(name, _shown(each), each.kind, each.patients, each.patients)
    return None


def _by_words(card: Searchable, words: Sequence[str]) -> tuple[int, list[Reason]] | None:
    """Whether all words are there: 0 if one entry of the card holds them all, 1 if several do; with those that hold the most."""
    if not words:
        return 0, []
    wanted = [normal(word) for word in words]
    hits = [({at for at, word in enumerate(wanted) if _holds(one[0], word)}, one) for one in card.phrases]
    missing = set(range(len(wanted)))
    told: list[Reason] = []
    for held, (_, text, kind, patients) in sorted(hits, key=lambda hit: -len(hit[0])):
        if (held & missing or len(held) == len(wanted)) and len(told) < SHOWN:
            told.append(Reason(" ".join(words[at] for at in sorted(held)), text, kind, patients, patients))
        missing -= held
    if missing:
        return None
    return int(all(len(held) < len(wanted) for held, _ in hits)), told


def _holds(text: str, wanted: str) -> bool:
    """Whether every part of what is wanted is there: Chinese anywhere, a word of letters where one begins with it."""
    parts = wanted.split()
    return bool(parts) and all(part in text if CHINESE.search(part) else f" {part}" in text for part in parts)


def _shown(one: CodeEntry) -> str:
    return " ".join(part for part in (one.system, one.code, one.display) if part)
