"""The labels by which all sites split their rows in the same way, agreed from counts.

A label with fewer rows than the minimum cell count is never named; the study is told how many there are.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import ask_levels, coder, refuse_rare
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["Groups", "agree_groups"]


@dataclass(frozen=True, slots=True)
class Groups:
    """A cross-classification that every site applies alike.

    Attributes:
        names: the variables that split the rows; none: one group of all rows.
        levels: joint labels of each variable, in order.
    """

    names: tuple[str, ...] = ()
    levels: tuple[tuple[str, ...], ...] = ()

    @property
    def count(self) -> int:
        """How many groups there are, empty ones included."""
        return int(np.prod([len(levels) for levels in self.levels], dtype=np.int64))

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The labels of each group, one for each variable; the last variable runs fastest."""
        return tuple(product(*self.levels))

    def codes(self, examples: Examples) -> NDArray[np.int64]:
        """Group of each row, int64 (row,)."""
        code = np.zeros(examples.rows, np.int64)
        for name, levels in zip(self.names, self.levels):
            code = code * len(levels) + coder(examples, name, levels)(slice(0, examples.rows))
        return code

    def facts(self) -> dict[str, object]:
        return {"names": list(self.names), "levels": [list(levels) for levels in self.levels]}

    @staticmethod
    def from_facts(facts: Mapping[str, Sequence[object]]) -> Groups:
        names = tuple(str(name) for name in facts["names"])
        return Groups(names, tuple(tuple(str(label) for label in levels) for levels in _lists(facts["levels"])))


def agree_groups(method: str, names: Sequence[str], terms: Terms) -> Generator[Question, Total, Groups]:
    """Agrees on the labels of `names`; no round where there is nothing to agree on.

    Raises:
        NotEstimable: a label has fewer rows than the minimum, or rows carry a label that was not declared.
    """
    names = tuple(dict.fromkeys(names))
    if not names:
        return Groups()
    declared = [terms.variables[name].levels if name in terms.variables else () for name in names]
    counted = yield from ask_levels(method, list(zip(names, declared)))
    return Groups(names, tuple(_occupied(name, counts, terms) for name, counts in zip(names, counted)))


def _occupied(name: str, counts: Mapping[str, int], terms: Terms) -> tuple[str, ...]:
    """The levels that some row has: a declared level that nobody has makes no group."""
    occupied = {level: count for level, count in counts.items() if count}
    refuse_rare(name, occupied, terms.min_cell_count)
    if not occupied:
        raise NotEstimable(f"variable {name!r}: no site has a row to group")
    return tuple(occupied)


def _lists(values: Sequence[object]) -> Iterator[list[object]]:
    for value in values:
        if isinstance(value, list | tuple):
            yield list(value)
