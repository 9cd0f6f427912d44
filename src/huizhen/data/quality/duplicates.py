"""Rows that may be one: rows of the same block are compared in pairs, and those that are alike are for a person to look at.

>>> round(likeness("MARTHA", "MARHTA"), 4), round(likeness("DIXON", "DICKSONX"), 4)
(0.9611, 0.8133)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Categories, Examples
from huizhen.data.quality.judging import group_of
from huizhen.data.quality.rules import DuplicatesSection

__all__ = ["Duplicates", "Pair", "find_duplicates", "likeness"]

PREFIX, WEIGHT = 4, 0.1  # Winkler's own: letters at the beginning that count more, and how much more each


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows, counted from 1, and how alike they are, 0 to 1."""

    one: int
    other: int
    likeness: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What comparing rows has found; for the site's own eyes only.

    Attributes:
        exact: rows that equal an earlier one in all variables of the table.
        pairs: rows that are alike, the most alike first.
        left_out: rows of blocks that are too large to be compared.
    """

    exact: int
    pairs: tuple[Pair, ...] = ()
    left_out: int = 0


def find_duplicates(examples: Examples, declared: DuplicatesSection | None) -> Duplicates:
    """Rows that are equal in every column, and those that are alike as declared."""
    exact = _equal_rows(examples)
    if declared is None:
        return Duplicates(exact)
    block = group_of(examples, declared.block)
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.diff(block[order], prepend=block[order][:1] - 1)) if len(order) else np.array([], np.int64)
    pairs: list[Pair] = []
    left_out = 0
    for start, end in zip(starts, [*starts[1:], len(order)]):
        rows = order[start:end]
        if block[rows[0]] < 0 or len(rows) < 2:
            continue
        if len(rows) > declared.most:
            left_out += len(rows)
            continue
        pairs += _alike(examples, rows, declared)
    return Duplicates(exact, tuple(sorted(pairs, key=lambda pair: (-pair.likeness, pair.one, pair.other))), left_out)


@lru_cache(maxsize=100_000)
def likeness(one: str, other: str) -> float:
    """The Jaro-Winkler similarity of two texts, 0 to 1.

    M. A. Jaro (JASA 84, 1989, 414-420); W. E. Winkler (Proceedings of the Section on Survey Research Methods, ASA 1990, 354-359).
    """
    if one == other:
        return 1.0
    matched_one, matched_other = _matched(one, other)
    count = len(matched_one)
    if not count:
        return 0.0
    swapped = sum(a != b for a, b in zip(matched_one, matched_other)) / 2
    jaro = (count / len(one) + count / len(other) + (count - swapped) / count) / 3
    same = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return jaro + min(same, PREFIX) * WEIGHT * (1 - jaro)


def _matched(one: str, other: str) -> tuple[list[str], list[str]]:
    """The letters that both have within half the longer text of each other, in the order of each."""
    reach = max(max(len(one), len(other)) // 2 - 1, 0)
    taken = [False] * len(other)
    found = []
    for i, letter in enumerate(one):
        for j in range(max(0, i - reach), min(len(other), i + reach + 1)):
            if not taken[j] and other[j] == letter:
                taken[j] = True
                found.append(letter)
                break
    return found, [letter for letter, is_taken in zip(other, taken) if is_taken]


def _equal_rows(examples: Examples) -> int:
    group = np.zeros(examples.rows, np.int64)
    for name in examples.columns:
        column = examples.category(name)
        _, group = np.unique(group * (len(column.levels) + 1) + column.codes + 1, return_inverse=True)
    return examples.rows - len(np.unique(group))


def _alike(examples: Examples, rows: NDArray[np.int64], declared: DuplicatesSection) -> Iterator[Pair]:
    columns = {name: _values(examples, name, rows, how) for name, how in declared.compare.items()}
    for i, j in combinations(range(len(rows)), 2):
        alike = _mean_likeness(columns, declared.compare, i, j)
        if alike is not None and alike >= declared.at_least:
            one, other = sorted((int(rows[i]) + 1, int(rows[j]) + 1))
            yield Pair(one, other, round(alike, 4))


def _values(examples: Examples, name: str, rows: NDArray[np.int64], how: str | float) -> list[str | float | None]:
    column = examples.tabular(name)
    if how == "text" or isinstance(column, Categories):
        labels = examples.category(name)
        texts = [labels.levels[code].casefold() if code >= 0 else None for code in labels.codes[rows].tolist()]
        return [*texts] if how == "text" else [_number(text) for text in texts]
    return [None if value != value else value for value in column.values[rows].tolist()]


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _mean_likeness(
    columns: Mapping[str, list[str | float | None]], compare: Mapping[str, str | float], i: int, j: int
) -> float | None:
    """Over the variables that both rows have; None where there is none."""
    found = []
    for name, values in columns.items():
        one, other, how = values[i], values[j], compare[name]
        if isinstance(one, str) and isinstance(other, str):
            found.append(likeness(one, other))
        elif isinstance(one, float) and isinstance(other, float) and isinstance(how, float):
            found.append(max(0.0, 1 - abs(one - other) / how))
    return sum(found) / len(found) if found else None
