"""Categories that mean the same everywhere: which levels there are jointly, and how many patients stand at each crossing.

A method agrees on levels with ``yield from agree_levels(...)`` and counts with ``yield from cross_counts(...)``; it spreads
`LEVELS_STEPS` into its own steps. Labels travel as keys of counts; no message here ever names one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE, Examples, Numbers, chunks, show_number
from huizhen.errors import DataError, NotEstimable
from huizhen.methods.description.noised import ONE_CELL
from huizhen.methods.method import Local, Step
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = [
    "LEVELS_STEPS",
    "MOST_LEVELS",
    "Coder",
    "Counts",
    "agree_levels",
    "ask_levels",
    "coder",
    "cross_counts",
    "cross_tabulate",
    "in_order",
    "label_counts",
    "locate",
    "noisy_cells",
    "read_by",
    "refuse_rare",
]

MOST_LEVELS = 500  # more distinct labels than this are an identifier or a measurement, and would carry patients' values as keys

Coder = Callable[[slice], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Counts:
    """Patients by level and group.

    Attributes:
        counts: int64 (level, group); rows that miss the variable are left out.
        missing: int64 (group,), rows of each group that miss the variable.
    """

    counts: NDArray[np.int64]
    missing: NDArray[np.int64]


def agree_levels(
    method: str, names: Iterable[str], terms: Terms, *, may_be_empty: Collection[str] = ()
) -> Generator[Question, Total, Mapping[str, tuple[str, ...]]]:
    """The joint levels of categorical variables, by name; one round, none where all are declared.

    Declared levels are taken as they stand and in their order. Others are the union of the labels that occur at any site, in
    the order of `in_order`. Rare levels are kept: they stand in counts, which publication suppresses.

    Raises:
        NotEstimable: a variable outside `may_be_empty` has no value at any site, or one has more than `MOST_LEVELS` levels.
    """
    wanted = tuple(dict.fromkeys(names))
    declared = {name: terms.variables[name].levels for name in wanted if name in terms.variables}
    open_names = [name for name in wanted if not declared.get(name)]
    if not open_names:
        return declared
    counted = yield from ask_levels(method, [(name, ()) for name in open_names])
    agreed = {name: tuple(counts) for name, counts in zip(open_names, counted)}
    for name, levels in agreed.items():
        if not levels and name not in may_be_empty:
            raise NotEstimable(f"variable {name!r} has no value in any row: expected a category; leave it out")
    return {name: agreed[name] if name in agreed else declared[name] for name in wanted}


def ask_levels(
    method: str, wanted: Sequence[tuple[str, Sequence[str]]]
) -> Generator[Question, Total, tuple[Mapping[str, int], ...]]:
    """Rows by level, for each variable and its declared levels; one round.

    Declared levels come in their order, also those that no row has. Without declared levels, the labels that occur at any site
    come in the order of `in_order`.

    Raises:
        NotEstimable: some rows have a label that is not declared, or a variable has more than `MOST_LEVELS` levels.
    """
    names = [name for name, _ in wanted]
    facts = {"variables": names, "declared": [list(declared) for _, declared in wanted]}
    total = yield Question(method, "levels", facts, read_by(names))
    parts = _parts(names)
    return tuple(_rows_by_level(part, name, declared, total) for part, (name, declared) in zip(parts, wanted))


def refuse_rare(name: str, counts: Mapping[str, int], least: int) -> None:
    """Refuses levels with fewer than `least` rows, by their number: a rare label would give a patient away.

    Raises:
        NotEstimable: there is one.
    """
    rare = sum(count < least for count in counts.values())
    if rare:
        raise NotEstimable(
            f"{name}: {rare} of {len(counts)} levels have fewer than {least} rows over all participants; merge levels in "
            f"[variables.{name}], leave them out by a cohort condition, or leave {name} out"
        )


def cross_counts(
    method: str, variables: Mapping[str, Sequence[str]], *, by: str = "", groups: Sequence[str] = ()
) -> Generator[Question, Total, Mapping[str, Counts]]:
    """Patients by level of each variable, within each group of `by` (one group where `by` is ""); one round."""
    facts = {"levels": {name: list(levels) for name, levels in variables.items()}, "by": by, "groups": list(groups)}
    total = yield Question(method, "cells", facts, read_by([*variables, by]))
    return {name: Counts(total.sums[f"counts {name}"], total.sums[f"missing {name}"]) for name in variables}


def read_by(names: Iterable[str]) -> tuple[str, ...]:
    """The variables among `names` that stand in a site's source: each once, without "" and without the site's own name."""
    return tuple(name for name in dict.fromkeys(names) if name not in ("", SITE))


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels: by value where all are finite numbers, else by code point; so that it does not matter who holds which."""
    values = {label: _as_number(label) for label in labels}
    if all(math.isfinite(value) for value in values.values()):
        return tuple(sorted(values, key=lambda label: (values[label], label)))
    return tuple(sorted(values))


def coder(examples: Examples, name: str, levels: Sequence[str]) -> Coder:
    """Codes of a slice of rows into joint `levels`: int64 (row,), -1 where missing; for the name "", 0 in every row.

    Raises:
        DataError: a row holds a label that is not among `levels` (found while coding that slice, for numeric variables).
    """
    if not name:
        return lambda rows: np.zeros(rows.stop - rows.start, np.int64)
    code = locate(examples, name, levels)
    return lambda rows: _declared(code(rows), name)


def locate(examples: Examples, name: str, levels: Sequence[str]) -> Coder:
    """As `coder`, but -2 where a row holds a label that is not among `levels`."""
    column = examples.tabular(name)
    if isinstance(column, Numbers):
        return _number_coder(column.values, levels)
    place = {level: code for code, level in enumerate(levels)}
    # The last entry is where the code -1 of a missing label points to.
    known = np.array([*(place.get(level, -2) for level in column.levels), -1], np.int64)
    codes = column.codes
    return lambda rows: known[codes[rows]]


def cross_tabulate(examples: Examples, first: Coder, second: Coder, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Rows by two codes, int64 `shape` plus one row and one column at the end for the missing."""
    rows, columns = shape[0] + 1, shape[1] + 1
    counts = np.zeros(rows * columns, np.int64)
    for piece in chunks(examples.rows):
        # A code of -1 is taken to the last place.
        counts += np.bincount((first(piece) % rows) * columns + second(piece) % columns, minlength=rows * columns)
    return counts.reshape(rows, columns)


def label_counts(examples: Examples, name: str) -> Mapping[str, int]:
    """Rows by label, for the labels that occur, in the order of `in_order`.

    Raises:
        DataError: more than `MOST_LEVELS` labels occur.
    """
    column = examples.tabular(name)
    counts: dict[str, int] = {}
    for piece in chunks(examples.rows):
        if isinstance(column, Numbers):
            seen = column.values[piece]
            distinct, times = np.unique(seen[~np.isnan(seen)], return_counts=True)
            labels = [show_number(value) for value in distinct]
        else:
            times = np.bincount(column.codes[piece] + 1, minlength=len(column.levels) + 1)[1:]
            labels = list(column.levels)
        for label, count in zip(labels, times.tolist()):
            if count:
                counts[label] = counts.get(label, 0) + count
        if len(counts) > MOST_LEVELS:
            raise DataError(_too_many(name, "at this site"))
    return {label: counts[label] for label in in_order(counts)}


def _answer_levels(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    names, parts = question.facts["variables"], {}
    for part, name, declared in zip(_parts(names), names, question.facts["declared"]):
        if declared:
            parts[part] = Part(_declared_counts(examples, name, declared), examples.rows, cells=True)
        else:
            found = label_counts(examples, name)
            counts = np.array(list(found.values()), np.int64)
            parts[part] = Part(counts, examples.rows, cells=True, keys=tuple(found))
    return Answer(parts, examples.rows), local


def _answer_cells(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    facts, parts = question.facts, {}
    groups = facts["groups"] or [""]
    group = coder(examples, facts["by"], groups)
    for name, levels in facts["levels"].items():
        counts = cross_tabulate(examples, coder(examples, name, levels), group, (len(levels), len(groups)))
        parts[f"counts {name}"] = Part(counts[:-1, :-1].copy(), examples.rows, cells=True, sensitivity=ONE_CELL)
        parts[f"missing {name}"] = Part(counts[-1, :-1].copy(), examples.rows, cells=True, sensitivity=ONE_CELL)
    return Answer(parts, examples.rows), local


def noisy_cells(sizes: Mapping[str, int], groups: int) -> NoisyStep:
    """What `cross_counts` asks in a study with noise, by number of levels."""
    parts = {f"counts {name}": NoisyPart("counts", (ONE_CELL,), size * groups) for name, size in sizes.items()}
    return NoisyStep("cells", 1, parts | {f"missing {name}": NoisyPart("counts", (ONE_CELL,), groups) for name in sizes})


LEVELS_STEPS: Mapping[str, Step] = {"levels": _answer_levels, "cells": _answer_cells}


def _parts(names: Iterable[str]) -> tuple[str, ...]:
    """A part for each name; a prime tells apart a variable that a formula takes twice, with other levels declared."""
    parts: list[str] = []
    for name in names:
        while name in parts:
            name += "'"
        parts.append(name)
    return tuple(parts)


def _declared_counts(examples: Examples, name: str, levels: Sequence[str]) -> NDArray[np.int64]:
    """Rows by declared level, and last the rows with a label that is none of them."""
    code, counts = locate(examples, name, levels), np.zeros(len(levels) + 1, np.int64)
    for piece in chunks(examples.rows):
        codes = code(piece)
        counts += np.bincount(np.where(codes == -2, len(levels), codes)[codes != -1], minlength=len(counts))
    return counts


def _rows_by_level(part: str, name: str, declared: Sequence[str], total: Total) -> Mapping[str, int]:
    if declared:
        *counts, others = total.sums[part].tolist()
        if others:
            raise NotEstimable(
                f"{name}: some rows have a level that is not declared; add it to the levels of [variables.{name}], "
                "or leave those rows out by a cohort condition"
            )
        return dict(zip(declared, counts))
    found = total.keyed[part]
    if len(found) > MOST_LEVELS:
        raise NotEstimable(_too_many(name, "jointly"))
    return {level: int(found[level]) for level in in_order(found)}


def _as_number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return math.nan


def _number_coder(values: NDArray[np.float64], levels: Sequence[str]) -> Coder:
    if not levels:
        return lambda rows: np.where(np.isnan(values[rows]), -1, -2)
    numbers = np.array([_as_number(level) for level in levels])
    order = np.argsort(numbers)  # NaN, a label that is no number, sorts last and equals nothing
    ranked = numbers[order]

    def code(rows: slice) -> NDArray[np.int64]:
        seen = values[rows]
        near = np.minimum(np.searchsorted(ranked, seen), len(ranked) - 1)
        codes = np.where(ranked[near] == seen, order[near], -2)
        codes[np.isnan(seen)] = -1
        return codes

    return code


def _declared(codes: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    if (codes == -2).any():
        raise DataError(
            f"variable {name!r}: some rows hold a label that is not among its declared levels; "
            "declare it in [variables], or map it to a declared one"
        )
    return codes


def _too_many(name: str, where: str) -> str:
    return f"variable {name!r} has more than {MOST_LEVELS} distinct values {where}: expected a category; group its values first"
