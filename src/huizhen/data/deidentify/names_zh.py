"""Chinese names in reports: what words explain badly, what looks like a name, and what stands where names stand.

Every place where a name may stand is scored by weights that were learned from made sentences; places compete for their characters.
Of each character it follows how likely it belongs to a name, and what is likely enough is marked, whatever becomes of the name's
ends. A name that is sure once is looked for in the whole report. Names with blanks between their characters are read by their form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import repeat

from huizhen.data.deidentify.candidates_zh import AMOUNTS, Candidate, candidates
from huizhen.data.deidentify.people_zh import FLOOR, surname_cost
from huizhen.data.deidentify.spans import Span

__all__ = ["STRICT", "USUAL", "names_zh"]

USUAL = (
    0.25  # how likely a character must belong to a name to be marked; below 0.5, for what is missed is worse than what is marked
)
STRICT = 0.03  # finds what is doubtful, too, and marks more that is no name
SURE = 0.6  # a name as likely as this is looked for in the whole report
HAN = r"[\u4e00-\u9fff\u3400-\u4dbf]"
RUN = re.compile(rf"{HAN}+")
BLANK = re.compile(r"[ \t　]{1,4}")
LABEL = re.compile(rf"{HAN}[ \t　]{{0,4}}[:：][ \t　]{{0,8}}$")
Scored = tuple[int, int, float]


def names_zh(text: str, least: float = USUAL, withheld: frozenset[str] = frozenset()) -> Iterator[Span]:
    """Names, and every other place where one of them stands.

    Args:
        text: of one report.
        least: how likely a character must belong to a name to be marked, from 0 to 1.
        withheld: surnames to be treated as if no list had them, to judge what becomes of such.
    """
    chances = list(_chances(text, withheld))
    covered = [0.0] * (len(text) + 1)
    for begins, ends, chance in chances:
        for at in range(begins, ends):
            covered[at] += chance
    for run in re.finditer("1+", "".join("1" if chance >= least else "0" for chance in covered)):
        yield Span(run.start(), run.end(), "name", 1)
    spaced = list(_spaced(text, withheld))
    sure = {text[begins:ends] for begins, ends, chance in chances if chance >= SURE and ends - begins > 1}
    for begins, ends in spaced:
        yield Span(begins, ends, "name", 1)
        sure.add("".join(text[begins:ends].split()))
    for name in sure:
        for found in re.finditer(re.escape(name), text):
            yield Span(found.start(), found.end(), "name", 2)


def _spaced(text: str, withheld: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Names whose characters stand apart, 王 建 国: with a surname first, or behind a label with a colon."""
    group: list[int] = []
    for run in (*RUN.finditer(text), None):
        if group and (run is None or not BLANK.fullmatch(text, group[-1] + 1, run.start()) or run.end() - run.start() > 1):
            name = "".join(text[at] for at in group)
            listed = surname_cost(name + "  ", withheld)[0] < FLOOR
            if 2 <= len(group) <= 4 and (listed or LABEL.search(text, max(0, group[0] - 20), group[0])):
                yield group[0], group[-1] + 1
            group = []
        if run is not None and run.end() - run.start() == 1:
            group.append(run.start())


@cache
def weights() -> dict[str, float]:
    """What speaks for a name, by feature, in nats."""
    found = {}
    for line in (files("huizhen.data.deidentify") / "weights_zh.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            weight, _, name = line.partition("\t")
            found[name] = int(weight) / 100
    return found


def _score(candidate: Candidate) -> float:
    known = weights()
    told = sum(map(known.get, candidate.features, repeat(0.0)))
    return known["bias"] + told + sum(known.get(name, 0.0) * amount for name, amount in zip(AMOUNTS, candidate.amounts))


@dataclass
class _Field:
    """Scored places in one text, where no two that are names share a character: sums over all choices of names."""

    length: int
    scored: Sequence[Scored]

    def ahead(self) -> list[float]:
        """Log-sum over the choices of names within the first characters, by their number."""
        by_end: dict[int, list[Scored]] = {}
        for each in self.scored:
            by_end.setdefault(each[1], []).append(each)
        sums = [0.0] * (self.length + 1)
        for at in range(1, self.length + 1):
            sums[at] = sums[at - 1]
            for begins, _, score in by_end.get(at, ()):
                sums[at] = _log_add(sums[at], sums[begins] + score)
        return sums


def _chances(text: str, withheld: frozenset[str]) -> Iterator[Scored]:
    """How likely each place is a name."""
    length = len(text)
    scored = [(each.begins, each.ends, _score(each)) for each in candidates(text, withheld=withheld)]
    ahead = _Field(length, scored).ahead()
    mirrored = _Field(length, [(length - ends, length - begins, score) for begins, ends, score in scored]).ahead()
    for begins, ends, score in scored:
        yield begins, ends, math.exp(min(0.0, ahead[begins] + score + mirrored[length - ends] - ahead[length]))


def _log_add(one: float, other: float) -> float:
    high, low = (one, other) if one > other else (other, one)
    return high + math.log1p(math.exp(low - high))
