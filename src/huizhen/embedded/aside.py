"""Every site alone, beside the joint answer: what of it may be shown, for the joint number less the other sites' is one site's own.

A site's own result obeys the joint policy twice over: its totals are judged like joint ones, and a count that one site keeps back
is kept back by a second one too, the smallest that shows it, so that the difference is never that of one site's few patients.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from huizhen.data.examples import Examples
from huizhen.errors import PolicyError
from huizhen.federation.breaking import why_it_broke
from huizhen.federation.study import Analysis
from huizhen.methods.alone import alone, total_of_one
from huizhen.policy.disclosure import judge_total
from huizhen.policy.publication import COUNT_FACTS, TELL_COUNTS, publish
from huizhen.privacy.release import Answer, Question, Terms
from huizhen.privacy.result import CellTable, Result, Table, Withheld

__all__ = ["as_shown", "by_itself", "hold_together"]

LABELS = (
    "variable",
    "group",
    "level",
    "term",
    "stratum",
    "probability",
    "measure",
    "label",
)  # columns that say what a row is about
ADDED = ("sum", "mean")  # columns that give a sum back, besides counts
COMPARED = ("quality", "at_threshold")  # tables of a learned model that stand beside the joint ones, row by row held together
WHOLE = (
    "Another site has no answer of its own, and the joint answer less those of the others would tell of that site's patients, so "
    "this one is kept back too."
)
WHY = "Another site keeps the same number back, and the joint number less those of the others would be that site's."


def by_itself(analysis: Analysis, rows: Examples, terms: Terms, *, asking: Callable[[Question], None] | None = None) -> Result:
    """The analysis on these rows alone, judged and published like a joint one; why it has no answer, whatever broke."""

    def judge(question: Question, answer: Answer) -> None:
        cells = [name for name, part in answer.parts.items() if part.cells]
        decision = judge_total(terms, question, total_of_one(answer, "alone"), cells)
        if not decision.allowed:
            raise PolicyError("; ".join(decision.reasons))

    try:
        return publish(
            alone(analysis.method, analysis.spec, terms, rows, asking=asking, judge=judge, entropy=secrets.token_bytes), terms
        )
    except PolicyError as refusal:
        return Result(analysis.method.name, rows.rows, failure=refusal.message)
    except Exception as error:  # one site's trouble with its own rows must not cost the others the joint answer
        return Result(analysis.method.name, rows.rows, failure=why_it_broke(error))


def hold_together(results: Mapping[str, Result]) -> dict[str, Result]:
    """The sites' published results without the numbers that would give back what a single site withholds."""
    held = _without_smallest(results)
    for what in dict.fromkeys(what for result in results.values() for what in _additive(result)):
        shown = [site for site, result in held.items() if _shows(result, what)]
        if shown and len(shown) < len(held):
            smallest = min(shown, key=lambda site: held[site].rows)
            for site in {smallest, *(site for site in held if what[0] == "cells" and site not in shown)}:
                held[site] = _without(held[site], what)
    return held


def as_shown(results: Mapping[str, Result]) -> dict[str, Result]:
    """The sites' results without what only the comparison needs: a learned model, its course and curves.

    A model begins at the odds of the outcome; with the joint one's, they would tell the odds at the site that keeps its own back.
    """
    return {
        site: replace(result, model={}, tables={name: result.tables[name] for name in COMPARED if name in result.tables})
        if result.model
        else result
        for site, result in results.items()
    }


def _without_smallest(results: Mapping[str, Result]) -> dict[str, Result]:
    """Where a single site has no model of its own, the smallest other one is not told either.

    Coefficients and deviances of a model are equations in the numbers of patients by group.
    """
    held = dict(results)
    able = [site for site, result in results.items() if not result.failure and "coefficients" in result.tables]
    if able and len(able) == len(results) - 1:
        smallest = min(able, key=lambda site: results[site].rows)
        held[smallest] = Result(results[smallest].method, results[smallest].rows, failure=WHOLE)
    return held


What = tuple[str, str, tuple[Any, ...]]  # fact, table or cells; its name; the labels of a row


def _additive(result: Result) -> Iterable[What]:
    """Everything that the sites' numbers of add up to a joint one."""
    yield from (("fact", name, ()) for name in sorted(COUNT_FACTS & result.facts.keys()))
    yield from (("cells", name, ()) for name in result.cells)
    for name, table in result.tables.items():
        if table.counts or table.support:
            yield from dict.fromkeys(("table", name, labels) for labels in _labels(table))


def _labels(table: Table) -> list[tuple[Any, ...]]:
    """What each row is about; rows of times are of one piece, for every site has its own."""
    named = [table.columns[name] for name in LABELS if name in table.columns]
    return list(zip(*named)) if named else [()] * len(next(iter(table.columns.values()), ()))


def _shows(result: Result, what: What) -> bool:
    kind, name, labels = what
    if kind == "fact":
        return result.facts.get(name) is not None
    if kind == "cells":
        return name in result.cells and not _has_hole(result.cells[name])
    table = result.tables.get(name)
    if table is None or labels not in (found := _labels(table)):
        return False
    telling = [table.columns[column] for column in (*table.counts, table.support, *ADDED) if column in table.columns]
    return all(column[row] is not None for column in telling for row, one in enumerate(found) if one == labels)


def _has_hole(cells: CellTable) -> bool:
    margins = (cells.counts, cells.row_totals, cells.column_totals, cells.total)
    return any(part is not None and bool((np.asarray(part) < 0).any()) for part in margins)


def _without(result: Result, what: What) -> Result:
    kind, name, labels = what
    withheld = tuple(dict.fromkeys((*result.withheld, Withheld(name, WHY))))
    if kind == "fact":
        gone = {fact: None for fact in (name, *TELL_COUNTS) if fact in result.facts}
        return replace(result, facts={**result.facts, **gone}, withheld=withheld)
    if kind == "cells":
        return replace(result, cells={one: cells for one, cells in result.cells.items() if one != name}, withheld=withheld)
    table = result.tables[name]
    drop = [one == labels for one in _labels(table)]
    columns = {
        title: values
        if title in LABELS or (title == table.index and labels)
        else tuple(None if gone else value for value, gone in zip(values, drop))
        for title, values in table.columns.items()
    }
    if not labels:
        return replace(result, tables={one: kept for one, kept in result.tables.items() if one != name}, withheld=withheld)
    return replace(result, tables={**result.tables, name: replace(table, columns=columns)}, withheld=withheld)
