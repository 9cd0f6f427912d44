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
from huizhen.methods.method import Local, Step
from huizhen.methods.survival.followup import codes_of
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["GROUP_STEPS", "Groups", "agree_groups"]


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
            code = code * len(levels) + codes_of(examples, name, levels)
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
    declared = {name: terms.variables[name].levels if name in terms.variables else () for name in names}
    facts = {"declared": {name: list(levels) for name, levels in declared.items()}}
    total = yield Question(method, "groups", facts, names)
    return Groups(names, tuple(_joint_levels(name, declared[name], total, terms) for name in names))


def sort_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels in their natural order: by size where all are numbers, else by alphabet."""
    try:
        return tuple(sorted(labels, key=float))
    except ValueError:
        return tuple(sorted(labels))


def count_labels(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:  # noqa: ARG001
    """A site's rows by label: keyed where labels are to be agreed, an array (with all others last) where they are declared."""
    parts = {}
    for name, declared in question.facts["declared"].items():
        if declared:
            codes = codes_of(examples, name, tuple(declared))
            counts = np.bincount(np.where(codes < 0, len(declared), codes), minlength=len(declared) + 1)
            parts[name] = Part(counts, examples.rows, cells=True)
        else:
            column = examples.category(name)
            counts = np.bincount(column.codes, minlength=len(column.levels)).astype(np.int64)
            there = np.flatnonzero(counts)
            parts[name] = Part(counts[there], examples.rows, cells=True, keys=tuple(column.levels[code] for code in there))
    return Answer(parts, examples.rows), local


GROUP_STEPS: Mapping[str, Step] = {"groups": count_labels}


def _joint_levels(name: str, declared: Sequence[str], total: Total, terms: Terms) -> tuple[str, ...]:
    if declared:
        *counts, others = (int(count) for count in total.sums[name])
        if others:
            raise NotEstimable(
                f"variable {name!r}: rows carry a label that is not among the declared levels. "
                f"Declare all levels of {name!r}, or leave those rows out with a cohort condition"
            )
        rows = {level: count for level, count in zip(declared, counts) if count}
    else:
        rows = {level: int(count) for level, count in total.keyed[name].items() if count}
    rare = sum(count < terms.min_cell_count for count in rows.values())
    if rare:
        raise NotEstimable(
            f"variable {name!r}: {rare} of its {len(rows)} levels {'has' if rare == 1 else 'have'} fewer than "
            f"{terms.min_cell_count} rows in all sites together, the least that may be shown. "
            "Merge those levels, or leave them out with a cohort condition"
        )
    if not rows:
        raise NotEstimable(f"variable {name!r}: no site has a row to group")
    return tuple(rows) if declared else sort_labels(tuple(rows))


def _lists(values: Sequence[object]) -> Iterator[list[object]]:
    for value in values:
        if isinstance(value, list | tuple):
            yield list(value)
