"""Survival curves of all sites' patients together, by group, and the log-rank test between the groups.

Curves stand on a joint grid of times (see `timegrid`). The log-rank test is computed on the grid too, except when it is stratified
by site: then every site sends its own observed, expected and covariance on its patients' own times, the sums of which are exactly
R's ``survdiff(Surv(time, event) ~ group + strata(site))``.

Facts of the result: ``rows``, ``events``; with groups ``chi2``, ``df``, ``p_value``. Tables: ``survival`` (one for each group:
``survival NAME=LABEL``), ``medians``, ``logrank``, ``pairwise``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from huizhen.data.examples import SITE, Examples
from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import LEVELS_STEPS
from huizhen.methods.method import Local, ScriptedMethod, Use
from huizhen.methods.survival.curve import ConfidenceType, Curve, crossing, product_limit, restricted_mean
from huizhen.methods.survival.followup import SurvivalSpec, follow_up, local_strata, outcome_uses
from huizhen.methods.survival.groups import Groups, agree_groups
from huizhen.methods.survival.logrank import LogRank, compare_curves, compare_rows
from huizhen.methods.survival.timegrid import GRID_STEPS, MOVED, Exits, TimeGrid, agree_exits, grid_variables
from huizhen.privacy.release import Answer, Part, Question, Terms, Total
from huizhen.privacy.result import Result, Table

__all__ = ["KAPLAN_MEIER", "KaplanMeierSpec"]

NAME = "kaplan_meier"


class KaplanMeierSpec(SurvivalSpec):
    """Settings of a Kaplan-Meier study.

    Attributes:
        by: variable whose levels are compared; "" for one curve of all.
        conf_type: scale of the pointwise limits: ``log-log`` (lifelines' default), ``log`` (R's default) or ``plain``.
        rho: weight of early differences in the test, 0 = log-rank, 1 = Peto-Prentice.
        pairwise: whether to test every pair of groups too (p-values are not adjusted for their number).
        restricted_mean: time up to which mean survival is reported, or None.
    """

    by: str = ""
    conf_type: ConfidenceType = "log-log"
    rho: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    pairwise: bool = False
    restricted_mean: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fits_together(self) -> KaplanMeierSpec:
        if self.by and self.by in self.strata:
            raise ValueError(f"strata: found the grouping variable {self.by!r}, expected other variables")
        if self.strata and not self.by:
            raise ValueError("strata: found without by, expected a grouping variable; strata serve the test between groups")
        return self


def estimate(spec: KaplanMeierSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Agree on labels and grid, read the curves off the counts, compare the groups."""
    by = yield from agree_groups(NAME, [spec.by] if spec.by else [], terms)
    strata = yield from agree_groups(NAME, [] if spec.by_site else spec.strata, terms)
    exits = yield from agree_exits(NAME, spec, Groups(strata.names + by.names, strata.levels + by.levels))
    counts = exits.counts.reshape(2, strata.count, by.count, -1).sum(axis=1)
    if not counts[0].any():
        raise NotEstimable("no patient had the event: expected at least one. Check the condition that defines the event")
    marginal = Exits(exits.resolution, counts, exits.between, exits.horizon)
    grids = [marginal.grid(terms.min_cell_count, slice(code, code + 1)) for code in range(by.count)]
    curves = [product_limit(grid.times, grid.at_risk[0], grid.events[0]) for grid in grids]
    tables, facts, notes = _curve_tables(spec, by, grids, curves), _count_facts(counts), _curve_notes(spec, by, marginal, grids)
    if spec.by:
        tests = yield from _compare(spec, by, strata, exits, terms)
        tables |= _test_tables(spec, by, tests, counts)
        statistic, df, p = tests[tuple(range(by.count))].test()
        facts |= {"chi2": statistic, "df": df, "p_value": p, "rho": spec.rho}
        notes += _test_notes(spec)
    return Result(NAME, int(counts.sum()), terms.roster, facts, tables, notes=tuple(notes))


def compare_at_site(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:  # noqa: ARG001
    """Observed, expected and covariance of a site's own strata on its own times, for each asked set of groups."""
    facts = question.facts
    by = Groups.from_facts(facts["groups"])
    time, event = follow_up(examples, facts["outcome"])
    group, stratum = by.codes(examples), local_strata(examples, tuple(facts["strata"]))
    parts = {}
    for number, chosen in enumerate(facts["sets"]):
        rows = np.isin(group, chosen)
        place = np.searchsorted(chosen, group[rows])
        share = compare_rows(time[rows], event[rows], place, stratum[rows], groups=len(chosen), rho=facts["rho"])
        behind = int(rows.sum())
        for name, values in (("observed", share.observed), ("expected", share.expected), ("variance", share.variance)):
            parts[f"{name} {number}"] = Part(values, behind)
    return Answer(parts, examples.rows), local


def reads(spec: KaplanMeierSpec) -> tuple[Use, ...]:
    """The outcome, the strata and the variable whose groups are compared."""
    return (*outcome_uses(spec), *([Use(spec.by, "any")] if spec.by and spec.by != SITE else []))


STEPS = {**LEVELS_STEPS, **GRID_STEPS, "compare": compare_at_site}
KAPLAN_MEIER = ScriptedMethod(NAME, KaplanMeierSpec, estimate, STEPS, reads)


def _curve_notes(spec: KaplanMeierSpec, by: Groups, exits: Exits, grids: Sequence[TimeGrid]) -> list[str]:
    if not spec.by:
        return [exits.note(grids[0])]
    whole = all(len(grid.ends) == exits.distinct(slice(code, code + 1)) for code, grid in enumerate(grids))
    if whole and not exits.between:
        return [f"The curves stand on every distinct time of the pooled rows (resolution {exits.resolution:g})."]
    sizes = ", ".join(f"{labels[0]}: {len(grid.ends)}" for labels, grid in zip(by.labels, grids))
    return [
        f"Each curve of {spec.by} stands on a joint grid of its own (times of {sizes}; resolution {exits.resolution:g}); {MOVED}."
    ]


def _count_facts(counts: NDArray[np.int64]) -> dict[str, Any]:
    return {"rows": int(counts.sum()), "events": int(counts[0].sum())}


def _compare(
    spec: KaplanMeierSpec, by: Groups, strata: Groups, exits: Exits, terms: Terms
) -> Generator[Question, Total, dict[tuple[int, ...], LogRank]]:
    """The test of all groups, and of each pair where asked, keyed by the groups compared."""
    everyone = tuple(range(by.count))
    sets = list(dict.fromkeys([everyone, *(combinations(everyone, 2) if spec.pairwise else ())]))
    if not spec.by_site:
        grids = [exits.grid(terms.min_cell_count, slice(s * by.count, (s + 1) * by.count)) for s in range(strata.count)]
        return {chosen: _compare_on_grids(grids, chosen, spec.rho) for chosen in sets}
    facts = {
        "outcome": spec.outcome,
        "groups": by.facts(),
        "strata": list(spec.strata),
        "rho": spec.rho,
        "sets": [list(chosen) for chosen in sets],
    }
    total = yield Question(NAME, "compare", facts, grid_variables(spec, by))
    sums = total.sums
    return {
        chosen: LogRank(sums[f"observed {number}"], sums[f"expected {number}"], sums[f"variance {number}"])
        for number, chosen in enumerate(sets)
    }


def _compare_on_grids(grids: Sequence[TimeGrid], chosen: tuple[int, ...], rho: float) -> LogRank:
    groups = list(chosen)
    shares = (compare_curves(grid.events[groups], grid.at_risk[groups], rho) for grid in grids)
    return sum(shares, LogRank.zero(len(groups)))


def _curve_tables(spec: KaplanMeierSpec, by: Groups, grids: Sequence[TimeGrid], curves: Sequence[Curve]) -> dict[str, Table]:
    tables = {}
    for labels, grid, curve in zip(by.labels, grids, curves):
        name = f"survival {spec.by}={labels[0]}" if spec.by else "survival"
        of = f" where {spec.by} is {labels[0]}" if spec.by else ""
        tables[name] = _curve_table(spec, curve, grid.censored[0], of)
    return tables | {"medians": _median_table(spec, by, curves)}


def _curve_table(spec: KaplanMeierSpec, curve: Curve, censored: NDArray[np.int64], of: str) -> Table:
    limits = curve.limits(spec.confidence, spec.conf_type)
    columns = {
        "time": tuple(curve.time.tolist()),
        "at_risk": tuple(curve.at_risk.tolist()),
        "events": tuple(curve.events.tolist()),
        "censored": tuple(censored.tolist()),
        "survival": tuple(curve.survival.tolist()),
        "standard_error": _finite(curve.standard_error),
        "ci_low": _finite(limits.low),
        "ci_high": _finite(limits.high),
    }
    caption = f"Kaplan-Meier estimate of survival{of}, {spec.confidence:.0%} limits ({spec.conf_type})"
    return Table(columns, "time", caption, counts=("at_risk", "events", "censored"), support="at_risk")


def _median_table(spec: KaplanMeierSpec, by: Groups, curves: Sequence[Curve]) -> Table:
    rows = [_median_row(spec, curve) for curve in curves]
    labels = tuple(" ".join(labels) if labels else "all" for labels in by.labels)
    columns = {"group": labels, **{name: tuple(row[name] for row in rows) for name in rows[0]}}
    caption = f"Median survival time with {spec.confidence:.0%} limits"
    return Table(columns, "group", caption, counts=("n", "events"), support="n")


def _median_row(spec: KaplanMeierSpec, curve: Curve) -> dict[str, Any]:
    limits = curve.limits(spec.confidence, spec.conf_type)
    median = crossing(curve.time, curve.survival)
    row = {
        "n": int(curve.at_risk[0]),
        "events": int(curve.events.sum()),
        "median": median,
        "ci_low": crossing(curve.time, limits.low),
        "ci_high": crossing(curve.time, limits.high),
    }
    row |= dict(zip(("interval_from", "interval_to"), _interval(curve, median)))
    if spec.restricted_mean is not None:
        row |= dict(zip(("restricted_mean", "restricted_mean_se"), restricted_mean(curve, spec.restricted_mean)))
    return row


def _interval(curve: Curve, median: float | None) -> tuple[float | None, float | None]:
    """The grid interval that the curve passes the middle in: (from, to]."""
    if median is None:
        return None, None
    place = int(np.searchsorted(curve.time, median))
    return (float(curve.time[place - 1]) if place else 0.0), float(curve.time[place])


def _test_tables(
    spec: KaplanMeierSpec, by: Groups, tests: dict[tuple[int, ...], LogRank], counts: NDArray[np.int64]
) -> dict[str, Table]:
    labels = [labels[0] for labels in by.labels]
    whole = tests[tuple(range(by.count))]
    columns = {
        "group": tuple(labels),
        "n": tuple(counts.sum(axis=(0, 2)).tolist()),
        "observed": tuple(whole.observed.tolist()),
        "expected": tuple(whole.expected.tolist()),
    }
    tables = {"logrank": Table(columns, "group", "Observed and expected numbers of events", counts=("n",), support="n")}
    if spec.pairwise:
        rows = list(_pairs(labels, tests))
        names = ("first", "second", "chi2", "p_value")
        tables["pairwise"] = Table(dict(zip(names, zip(*rows))), caption="Tests between two groups, p-values not adjusted")
    return tables


def _pairs(labels: Sequence[str], tests: dict[tuple[int, ...], LogRank]) -> Iterator[tuple[str, str, float, float]]:
    for chosen in combinations(range(len(labels)), 2):
        statistic, _, p = tests[chosen].test()
        yield labels[chosen[0]], labels[chosen[1]], statistic, p


def _test_notes(spec: KaplanMeierSpec) -> list[str]:
    test = "Log-rank test" if spec.rho == 0 else f"G-rho test with rho {spec.rho:g}"
    if not spec.strata:
        return [f"{test} on the joint grid of times."]
    within = " and ".join(spec.strata)
    if spec.by_site:
        return [f"{test} within strata of {within}, on the patients' own times: sums of each site's own numbers."]
    return [f"{test} within strata of {within}, each on its own joint grid of times."]


def _finite(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)
