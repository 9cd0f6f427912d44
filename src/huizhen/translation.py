"""What the rooms say in English, in the language of the reader.

Rooms refuse, explain and caption in English. Where a person reads, `translate` looks the sentence up in the catalogue, the files
``chinese/*.toml`` (English pattern = Chinese pattern, with the same ``{places}``), and fills the places. What is not there stays
English: a column's name, a site's, a formula. A test walks the source and holds the catalogue complete.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

__all__ = ["Pattern", "catalogue", "translate"]

LONGEST = 4000  # characters; a longer text is no message of ours, and matching stays cheap
DEEPEST = 8  # a reason within a reason within a refusal ...
DIGITS = {"line", "place", "row", "step"}  # places that hold a number only, so that they do not swallow a sentence that follows
JOINTS = (("\n", "\n"), (". ", "。"), ("; ", "；"))


def translate(text: str, language: str) -> str:
    """A message in a language: ``en`` as it stands, ``zh`` by the catalogue, part by part; unknown parts stay as they are.

    >>> translate("site east: no such column", "zh")
    '站点 east：没有此列'
    """
    return _chinese(text, DEEPEST) if language == "zh" and len(text) <= LONGEST else text


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sentence with places: the fixed texts around them, one more than there are places.

    A place whose name begins with an underscore carries grammar only (``is`` or ``are``) and may be left out in Chinese.
    """

    fixed: tuple[str, ...]
    places: tuple[str, ...]
    chinese: str

    def match(self, text: str) -> dict[str, str] | None:
        """What stands in the places; None where the text is another sentence. Each piece is looked for once: linear in the text."""
        end = len(text) - len(self.fixed[-1])
        at = len(self.fixed[0])
        if at > end or not text.startswith(self.fixed[0]) or not text.endswith(self.fixed[-1]):
            return None
        found: dict[str, str] = {}
        for i, name in enumerate(self.places):
            until = end if i == len(self.places) - 1 else text.find(self.fixed[i + 1], at, end)
            value = text[at:until]
            if until < at or found.setdefault(name, value) != value or (name in DIGITS and not value.isdigit()):
                return None
            at = until + len(self.fixed[i + 1])
        return found


@cache
def catalogue() -> tuple[Mapping[str, str], tuple[Pattern, ...]]:
    """Sentences without places, and patterns, those with the most fixed text first: the most telling one is tried first."""
    folder = files("huizhen") / "chinese"
    entries = {
        english: chinese
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
        for english, chinese in tomllib.loads(file.read_text(encoding="utf-8")).items()
    }
    patterns = [_pattern(english, chinese) for english, chinese in entries.items()]
    whole = {pattern.fixed[0]: pattern.chinese for pattern in patterns if not pattern.places}
    placed = (pattern for pattern in patterns if pattern.places)
    return whole, tuple(sorted(placed, key=lambda pattern: -len("".join(pattern.fixed))))


def _pattern(english: str, chinese: str) -> Pattern:
    pieces = string.Formatter().parse(english.strip().rstrip("."))
    fixed, places = [""], []
    for text, name, _, _ in pieces:
        fixed[-1] += text
        if name is not None:
            places.append(name)
            fixed.append("")
    chinese = chinese.rstrip("。")  # where the text has a full stop, it is put back
    return Pattern(tuple(fixed), tuple(places), chinese if places else chinese.format())


@lru_cache(maxsize=4096)  # parts are met again on every way of cutting a text
def _chinese(text: str, depth: int) -> str:
    sentence = text.strip()
    if not sentence or depth == 0:
        return text
    body = sentence.removesuffix(".")
    said = _sentence(body, depth) or _parts(body, depth)
    if said == body:
        return text
    return said + "。" if body != sentence and said[-1] not in "。？" else said


def _sentence(body: str, depth: int) -> str:
    """A whole sentence of the catalogue, else ""."""
    whole, patterns = catalogue()
    if body in whole or " " not in body:  # a single word is a name unless it is in the catalogue
        return whole.get(body, body)
    for pattern in patterns:
        found = pattern.match(body)
        if found is not None:
            return pattern.chinese.format_map({name: _chinese(value, depth - 1) for name, value in found.items()})
    return ""


def _parts(body: str, depth: int) -> str:
    """Sentences one after another, what follows a name (``name: reason``, ``name (reason)``), or a list of names."""
    for joint, chinese in JOINTS:
        parts = body.split(joint)
        said = [_chinese(part, depth - 1) for part in parts] if len(parts) > 1 else parts
        if said != parts:
            return chinese.join(said)
    for opening, closing, pattern in ((": ", "", "{}：{}"), (" (", ")", "{}（{}）")):
        name, found, reason = body.partition(opening)
        if found and reason.endswith(closing):
            reason = reason.removesuffix(closing) if closing else reason
            said_reason = _chinese(reason, depth - 1)
            if said_reason != reason:
                return pattern.format(_chinese(name, depth - 1), said_reason)
    for word, chinese in ((" and ", " 与 "), (" or ", " 或 ")):
        names, found, last = body.rpartition(word)
        if found and not any(" " in name for name in (*names.split(", "), last)):
            return f"{names}{chinese}{last}"
    return body
