"""What is written by its sound: names such as 买买提江 and 史密斯, and things that look like them, such as 阿莫西林.

Chinese writes sounds with a small stock of characters, and a people's names with pairs that come again: 古丽, 耶维, 德吉. Two
models of pairs, one of names and one of things, tell what a piece of text would cost either. Drugs and herbs that no list has
are cut like words by the model of things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from huizhen.data.deidentify.lexicon_zh import Cut

__all__ = ["DOTS", "LONGEST", "Sounds", "tables"]

DOTS = "·•・‧∙⋅･．."
LONGEST = 12  # characters of a name without a dot
UNKNOWN = 12.0  # a character with which no sound is written
NEW = 9.0  # a thing that no list has: what it costs that there is one here at all
LONGEST_THING = 8
STEP = 2
Table = dict[str, dict[str, float]]


@cache
def tables() -> dict[str, Table]:
    """Costs of the models `name` and `thing`: of characters (`one`), pairs (`pair`), and of the step to an unseen pair (`back`)."""
    found: dict[str, Table] = {side: {"one": {}, "pair": {}, "back": {}} for side in ("name", "thing")}
    for line in (files("huizhen.data.deidentify") / "sounds_zh.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            side, table, cost, *keys = line.split()
            found[side][table].update(dict.fromkeys(keys, int(cost) / STEP))
    return found


@dataclass(frozen=True, slots=True)
class _Model:
    """What the pieces of one run cost: the steps into each character as the first, along, and out of it as the last."""

    first: list[float]
    along: list[float]  # sums of the steps up to each character
    last: list[float]

    @classmethod
    def of(cls, run: str, table: Table) -> _Model:
        pair, one, back = table["pair"], table["one"], table["back"]

        into = {each: pair.get("^" + each, back["^"] + one.get(each, UNKNOWN)) for each in set(run)}
        out = {each: pair.get(each + "$", back.get(each, 0.0) + one["$"]) for each in set(run)}
        first, along, last, total, before = [], [], [], 0.0, ""
        for character in run:
            dot = character in DOTS
            if not before:
                step = 0.0
            elif dot:
                step = out[before]
            elif before == "^":
                step = into[character]
            else:
                known = pair.get(before + character)
                step = known if known is not None else back.get(before, 0.0) + one.get(character, UNKNOWN)
            total += step
            along.append(total)
            first.append(UNKNOWN if dot else into[character])
            last.append(UNKNOWN if dot else out[character])
            before = "^" if dot else character
        return cls(first, along, last)

    def cost(self, begins: int, ends: int) -> float:
        return self.first[begins] + self.along[ends - 1] - self.along[begins] + self.last[ends - 1]


class Sounds:
    """One run of characters, dots in it or not, as both models read it."""

    def __init__(self, run: str, words: Cut) -> None:
        known = tables()
        self._name, self._thing = _Model.of(run, known["name"]), _Model.of(run, known["thing"])
        self._stock = _reach(run, known["name"]["one"])
        self._words, self._ahead, self._behind = words, *self._wider(len(run), words)

    def name(self, begins: int, ends: int) -> float:
        """-log of the chance of a name that is written by its sound."""
        return self._name.cost(begins, ends)

    def thing(self, begins: int, ends: int) -> float:
        """-log of the chance of a drug, a herb, a place, an eponym."""
        return self._thing.cost(begins, ends)

    def reach(self, begins: int) -> int:
        """Where a name that begins here must have ended."""
        return min(begins + LONGEST, self._stock[begins])

    def spared(self, begins: int, ends: int) -> float:
        """How much less words pay for a piece where things that no list has count as words."""
        wide = self._ahead[-1] - self._ahead[begins] - self._behind[ends]
        return self._words.explained(begins, ends) - wide

    def _wider(self, count: int, words: Cut) -> tuple[list[float], list[float]]:
        thing = self._thing
        new: list[tuple[int, int, float]] = []
        for begins in range(count - 1):
            if thing.first[begins] >= UNKNOWN:
                continue
            for ends in range(begins + 2, min(count, begins + LONGEST_THING) + 1):
                inner = thing.along[ends - 1] - thing.along[begins]
                if inner > 5.0 * (ends - begins) + 3:
                    break
                cost = NEW + thing.first[begins] + inner + thing.last[ends - 1]
                if cost < words.explained(begins, ends):
                    new.append((begins, ends, cost))
        if not new:
            return words.ahead, words.behind
        return _relaxed(words, new, count)


def _relaxed(words: Cut, new: list[tuple[int, int, float]], count: int) -> tuple[list[float], list[float]]:
    """The cheapest cuts again, with some words more."""
    by_begin: dict[int, list[tuple[int, float]]] = {}
    by_end: dict[int, list[tuple[int, float]]] = {}
    for begins, ends, cost in (*new, *words.steps):
        by_begin.setdefault(begins, []).append((ends, cost))
        by_end.setdefault(ends, []).append((begins, cost))
    ahead, behind = [0.0] * (count + 1), [0.0] * (count + 1)
    for at in range(1, count + 1):
        ahead[at] = min(ahead[begins] + cost for begins, cost in by_end[at])
    for at in range(count - 1, -1, -1):
        behind[at] = min(behind[ends] + cost for ends, cost in by_begin[at])
    return ahead, behind


def _reach(run: str, stock: dict[str, float]) -> list[int]:
    """By place, where the characters that write sounds end."""
    found, end = [0] * len(run), len(run)
    for at in range(len(run) - 1, -1, -1):
        if run[at] not in stock:
            end = at
        found[at] = end
    return found
