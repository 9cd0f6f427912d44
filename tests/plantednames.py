"""Chinese sentences with names planted in known places, to train the recogniser and to judge it, of `plantednames/*.toml`.

A set of sentences has its own fillers. Names are handed in: those of training and those by which is judged have nothing in common.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

PLACE = re.compile(r"\{([a-z]+)(\d?)\}")
HERE = Path(__file__).parent / "plantednames"
NAMES = frozenset("npsomw")  # places that hold a name; the letter says of which sort

Maker = Callable[[Random], str]


@dataclass(frozen=True)
class Planted:
    begins: int
    ends: int
    sort: str


@dataclass(frozen=True)
class Sentence:
    text: str
    planted: tuple[Planted, ...]
    template: int


def sentences(name: str) -> dict:
    """`words` by slot, and the lines with names and without by kind of report."""
    return tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))


def lines(block: str) -> list[str]:
    return [line for line in block.strip().splitlines() if line.strip()]


def filled(template: str, number: int, random: Random, makers: dict[str, Maker]) -> Sentence:
    """A template with values; a place with a digit holds the same value wherever it stands."""
    text, at, planted, same = "", 0, [], {}
    for place in PLACE.finditer(template):
        text += template[at : place.start()]
        value = same.get(place[0]) if place[2] else None
        value = value or makers[place[1]](random)
        same[place[0]] = value
        if place[1] in NAMES:
            planted.append(Planted(len(text), len(text) + len(value), place[1]))
        text, at = text + value, place.end()
    return Sentence(text + template[at:], tuple(planted), number)


def days(random: Random) -> str:
    year, month, day = random.randint(2015, 2024), random.randint(1, 12), random.randint(1, 28)
    return random.choice(
        (f"{year}年{month}月{day}日", f"{year}-{month:02d}-{day:02d}", f"{month}月{day}日", "今日", "昨日", "昨晚", "今晨")
    )


def numbers(random: Random) -> str:
    return str(random.choice((random.randint(1, 12), random.randint(1, 99), random.randint(100, 999))))


def drawn_from(words: Iterable[str]) -> Maker:
    known = list(words)
    return lambda random: random.choice(known)


@dataclass
class Tally:
    planted: int = 0
    found: int = 0
    marked: int = 0
    right: int = 0
    exact: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.marked if self.marked else 1.0


def tally(made: Iterable[Sentence], find: Callable[[str], Iterable[tuple[int, int]]]) -> dict[str, Tally]:
    """By sort of name, and "all": a name is found if all its characters are covered; a mark is right if it touches a name."""
    table: dict[str, Tally] = {"all": Tally()}
    for each in made:
        spans = list(find(each.text))
        covered = {at for begins, ends in spans for at in range(begins, ends)}
        for planted in each.planted:
            found = all(at in covered or each.text[at].isspace() for at in range(planted.begins, planted.ends))
            for key in ("all", planted.sort):
                score = table.setdefault(key, Tally())
                score.planted += 1
                score.found += found
                score.exact += (planted.begins, planted.ends) in spans
        table["all"].marked += len(spans)
        table["all"].right += sum(any(p.begins < ends and begins < p.ends for p in each.planted) for begins, ends in spans)
    return table
