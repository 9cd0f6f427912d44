"""How well words explain Chinese characters: a lexicon, and the cheapest way to cut a run of characters into its words.

A name is what words explain badly. The lexicon says for each word how rare it is (a cost, -log of its share of a large corpus)
and of which kind; a run of characters costs what its cheapest cut into words costs. Characters in no word cost `UNKNOWN`.
"""

from __future__ import annotations

import lzma
from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Cut", "Word", "cut", "lexicon"]

LONGEST = 8  # characters of a word
UNKNOWN = 17.0  # a character that stands alone in no text of the corpus: one in twenty million
MEDICAL = 11.5  # words of medicine: as likely in a report as words that come once in a hundred thousand elsewhere
STEP = 2  # costs are written in halves


@dataclass(frozen=True, slots=True)
class Word:
    """What the lexicon knows of a word: its cost in nats, its kind (n, v, a, d, p, c ... as taggers of Chinese write them)."""

    cost: float
    kind: str


@cache
def lexicon() -> dict[str, Word]:
    """All words, read once."""
    room = files("huizhen.data.deidentify")
    found: dict[str, Word] = {}
    for line in lzma.decompress((room / "words_zh.txt.xz").read_bytes()).decode().splitlines():
        kind, cost, *words = line.split()
        shared = Word(int(cost) / STEP, kind)
        found.update(dict.fromkeys(words, shared))
    medical = Word(MEDICAL, "m")
    for line in (room / "medical_zh.txt").read_text(encoding="utf-8").splitlines():
        for word in line.split() if not line.startswith("#") else ():
            if word not in found or found[word].cost > MEDICAL:
                found[word] = Word(MEDICAL, found[word].kind) if word in found else medical
    return found


@dataclass(frozen=True, slots=True)
class Cut:
    """The cheapest cuts of one run of characters.

    Attributes:
        ahead: cost of the first `at` characters, by `at`.
        behind: cost of all from `at` on, by `at`.
        left: how long the last word is of the cheapest cut of the first `at` characters.
        right: how long the first word is of the cheapest cut of what stands from `at` on.
    """

    ahead: list[float]
    behind: list[float]
    left: list[int]
    right: list[int]

    def explained(self, begins: int, ends: int) -> float:
        """What these characters cost the words where they stand; less than 0 where a word reaches over their ends."""
        return self.ahead[-1] - self.ahead[begins] - self.behind[ends]


def cut(run: str, hidden: Container[str] = ()) -> Cut:
    """Cuts a run of characters; `hidden` are words that the lexicon shall not know."""
    words, count = lexicon(), len(run)
    ahead, left = [0.0] + [1e9] * count, [0] * (count + 1)
    behind, right = [1e9] * count + [0.0], [0] * (count + 1)
    found: list[list[tuple[int, float]]] = []
    for begins in range(count):
        here = [(begins + 1, _single(run[begins]))]
        for ends in range(begins + 2, min(count, begins + LONGEST) + 1):
            word = words.get(run[begins:ends])
            if word is not None and not (hidden and run[begins:ends] in hidden):
                here.append((ends, word.cost))
        found.append(here)
        for ends, cost in here:
            if ahead[begins] + cost < ahead[ends]:
                ahead[ends], left[ends] = ahead[begins] + cost, ends - begins
    for begins in range(count - 1, -1, -1):
        for ends, cost in found[begins]:
            if cost + behind[ends] < behind[begins]:
                behind[begins], right[begins] = cost + behind[ends], ends - begins
    return Cut(ahead, behind, left, right)


def _single(character: str) -> float:
    word = lexicon().get(character)
    return word.cost if word else UNKNOWN
