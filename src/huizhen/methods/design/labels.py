"""The levels of a category, agreed over all participants: counts by label.

Levels that are declared stand as they are. Levels that are not declared are the union over all sites, in numeric order if all are
numbers, else in alphabetic order, so that they do not depend on who holds which row.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from math import isfinite

import numpy as np

from huizhen.data.examples import SITE, Examples, chunks, show_number
from huizhen.errors import NotEstimable
from huizhen.methods.design.formula import Factor
from huizhen.methods.design.piece import as_number, codes
from huizhen.methods.method import Local
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["LABELS", "agree_labels", "ask_levels", "in_order", "labels"]

LABELS = "design.levels"


def agree_labels(
    method: str, factors: Sequence[Factor], terms: Terms
) -> Generator[Question, Total, Mapping[Factor, tuple[str, ...]]]:
    """The levels of each category, the reference first.

    Raises:
        NotEstimable: rows with a label that is not declared, levels with fewer rows than the minimum, one level only, or a
            reference that is no level. No label is named: a rare one would give a patient away.
    """
    if not factors:
        return {}
    declared = [_declared(factor, terms) for factor in factors]
    total = yield ask_levels(method, [factor.variable for factor in factors], declared)
    return {factor: _levels(factor, declared[place], total, place, terms) for place, factor in enumerate(factors)}


def ask_levels(method: str, variables: Sequence[str], declared: Sequence[Sequence[str]]) -> Question:
    """The question for rows by label; the total's parts are named by the place of the variable, ``0``, ``1``, ..."""
    facts = {"variables": list(variables), "declared": [list(levels) for levels in declared]}
    return Question(method, LABELS, facts, tuple(name for name in dict.fromkeys(variables) if name != SITE))


def labels(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: rows by label; for declared levels in their order, and last the rows with none of them."""
    parts = {}
    for place, variable in enumerate(question.facts["variables"]):
        declared = tuple(question.facts["declared"][place])
        if declared:
            counts = np.zeros(len(declared) + 1, dtype=np.int64)
            for rows in chunks(examples.rows):
                counts += np.bincount(codes(examples, variable, declared, rows) % (len(declared) + 1), minlength=len(declared) + 1)
            parts[str(place)] = Part(counts, examples.rows, cells=True)
        else:
            column = examples.category(variable)
            counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels)).astype(np.int64)
            held = np.flatnonzero(counts)
            keys = tuple(column.levels[code] for code in held)
            parts[str(place)] = Part(counts[held], examples.rows, cells=True, keys=keys)
    return Answer(parts, examples.rows), local


def in_order(found: Sequence[str]) -> tuple[str, ...]:
    """Labels in numeric order if all are numbers, else in alphabetic order."""
    numbers = {label: as_number(label) for label in found}
    if all(isfinite(number) for number in numbers.values()):
        return tuple(sorted(found, key=lambda label: (numbers[label], label)))
    return tuple(sorted(found))


def _declared(factor: Factor, terms: Terms) -> tuple[str, ...]:
    stated = factor.calls[-1].option("levels") if factor.calls else None
    if stated:
        return tuple(_label(level) for level in stated)
    variable = terms.variables.get(factor.variable)
    return variable.levels if variable is not None else ()


def _label(value: str | float) -> str:
    return value if isinstance(value, str) else show_number(value)


def _levels(factor: Factor, declared: tuple[str, ...], total: Total, place: int, terms: Terms) -> tuple[str, ...]:
    name, least = factor.variable, max(terms.min_cell_count, 1)
    if declared:
        levels, counts = declared, total.sums[str(place)].tolist()
        if counts.pop():
            raise NotEstimable(
                f"{name}: some rows have a level that is not declared; add it to the levels of [variables.{name}], "
                "or leave those rows out by a cohort condition"
            )
    else:
        levels = in_order(tuple(total.keyed[str(place)]))
        counts = [total.keyed[str(place)][level] for level in levels]
    rare = sum(count < least for count in counts)
    if rare:
        raise NotEstimable(
            f"{name}: {rare} of {len(levels)} levels have fewer than {least} rows over all participants; merge levels in "
            f"[variables.{name}], leave them out by a cohort condition, or leave {name} out of the formula"
        )
    if len(levels) < 2:
        raise NotEstimable(f"{name}: all complete rows have the same level, so it explains nothing; leave it out")
    return _with_reference(factor, levels)


def _with_reference(factor: Factor, levels: tuple[str, ...]) -> tuple[str, ...]:
    stated = factor.calls[-1].option("ref") if factor.calls else None
    if stated is None:
        return levels
    reference = _label(stated)
    if reference not in levels:
        raise NotEstimable(f'{factor.variable}: ref="{reference}" is none of its {len(levels)} levels')
    return (reference, *(level for level in levels if level != reference))
