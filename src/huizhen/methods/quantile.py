"""Joint quantiles by counting below cut points: the pooled order statistics themselves, never an average of quantiles.

Each order statistic is held in a bracket (`bracket`). A round cuts every bracket into 64 parts and counts the rows between the
cuts, so a bracket shrinks 64-fold. The first bracket holds all values by Samuelson's inequality, so that nobody's minimum or
maximum is asked for.

With a minimum cell count of m > 1 no bracket is narrowed below m patients. One that reaches the tolerance with m rows inside
(ties, as ages in years have) gives the value; else parts run together until each run holds m rows, the run is published as an
interval, and the value is withheld because it would be one patient's own. The runs are the same for all probabilities, so that the
difference of two intervals holds nobody or m rows. Who adds up the counts sees the joint counts between
the cuts.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from huizhen.data.examples import Examples, chunks
from huizhen.errors import NotEstimable
from huizhen.methods.description.bracket import Bracket, cut_points, first_bracket, narrow, shortest
from huizhen.methods.description.levels import LEVELS_STEPS, agree_levels, coder, read_by
from huizhen.methods.description.moments import MOMENTS_STEPS, Moments, joint_moments
from huizhen.methods.description.noised import each_of, levels_declared, ranges_declared, ranges_of
from huizhen.methods.description.noisyquantile import BINS, Quantile, noisy_quantile
from huizhen.methods.method import Local, Names, ScriptedMethod, Spec, Step, Use
from huizhen.methods.summary import labels
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Answer, Part, Question, Terms, Total, Variable
from huizhen.privacy.result import Result, Table

__all__ = ["QUANTILE", "QUANTILE_STEPS", "Quantile", "QuantileSpec", "joint_quantiles", "quantile_columns", "quantile_notes"]

MOST_ROUNDS = 64
RELATIVE_TOLERANCE = 1e-9  # of the joint standard deviation
FROM_HISTOGRAM = (
    "Quantiles are read off noisy histograms of 64 even bins over the declared ranges; low and high enclose the bins that they are "
    "read from, and know nothing of the noise."
)


class QuantileSpec(Spec):
    """Settings of ``[method.quantile]``.

    Attributes:
        variables: numeric variables.
        probabilities: each between 0 and 1.
        by: "" or the variable whose groups are looked at apart.
        tolerance: how near a value is found, in the variable's unit; default 1e-9 of its joint standard deviation; 0: to
            the last bit. The shortest decimal within it is given, so data written with fewer digits come out exactly.
    """

    variables: Names = Field(min_length=1)
    probabilities: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(strict=False, min_length=1, max_length=1000)
    ] = (0.25, 0.5, 0.75)
    by: str = ""
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


Place = tuple[int, int]  # variable, group


def joint_quantiles(
    method: str,
    variables: Sequence[str],
    probabilities: Sequence[float],
    moments: Moments,
    *,
    by: str = "",
    groups: Sequence[str] = (),
    at_least: int,
    tolerance: float | None = None,
) -> Generator[Question, Total, Mapping[tuple[int, int, float], Quantile]]:
    """Quantiles of type 7 (Hyndman & Fan 1996; R's and numpy's default), by place of variable, place of group, probability.

    Args:
        moments: of the same variables and groups.
        at_least: the fewest patients that a bracket may hold.
    """
    held = {
        place: _first_brackets(moments, place, probabilities, at_least, tolerance)
        for place in np.ndindex(len(variables), len(groups) or 1)
    }
    read = read_by([*variables, by])
    for _ in range(MOST_ROUNDS):
        cuts = {place: cut_points(brackets.values()) for place, brackets in held.items()}
        if not any(len(points) for points in cuts.values()):
            break
        facts = {"variables": list(variables), "by": by, "groups": list(groups), "cuts": _as_array(cuts, len(variables))}
        bins = (yield Question(method, "between", facts, read)).sums["between"]
        for place, brackets in held.items():
            counted = dict(zip(cuts[place].tolist(), np.cumsum(bins[place]).tolist()))
            held[place] = {rank: narrow(bracket, counted, at_least) for rank, bracket in brackets.items()}
    else:
        raise NotEstimable(f"quantiles did not settle within {MOST_ROUNDS} rounds: expected finite numbers; set a larger tolerance")
    return {
        (*place, p): _between_ranks(p, int(moments.n[place[1], place[0]]), brackets)
        for place, brackets in held.items()
        for p in probabilities
    }


def quantile_columns(
    variables: Sequence[str],
    by: str,
    groups: Sequence[str],
    probabilities: Sequence[float],
    found: Mapping[tuple[int, int, float], Quantile],
) -> Table:
    """The quantiles as a table: variable, group, probability, value, low, high, tolerance, support."""
    each = labels(variables, by, groups)
    places = list(np.ndindex(len(variables), len(groups) or 1))
    rows = [found[(*place, p)] for place in places for p in probabilities]
    columns = {title: tuple(label for label in column for _ in probabilities) for title, column in each.items()}
    columns["probability"] = tuple(p for _ in places for p in probabilities)
    for title in ("value", "low", "high", "tolerance", "support"):
        columns[title] = tuple(getattr(row, title) for row in rows)
    return Table(columns, "variable", "Quantiles (type 7)", ("support",), "support")


def quantile_notes(found: Mapping[tuple[int, int, float], Quantile], at_least: int) -> tuple[str, ...]:
    """Says why some quantile is an interval and no number; nothing where all are numbers."""
    if not any(q.value is None and q.low is not None for q in found.values()):
        return ()
    return (
        "A quantile without a value would be a single patient's own; it lies between low and high, with at least "
        f"{at_least} patients.",
    )


def _program(spec: QuantileSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Two rounds of moments, then about seven of counts. Table ``quantiles``."""
    if terms.noise:
        return (yield from _noisy_program(spec, terms))
    names, probabilities = tuple(dict.fromkeys(spec.variables)), tuple(dict.fromkeys(spec.probabilities))
    levels = yield from agree_levels("quantile", [spec.by] if spec.by else [], terms)
    groups = levels[spec.by] if spec.by else ()
    moments = yield from joint_moments("quantile", names, by=spec.by, groups=groups)
    found = yield from joint_quantiles(
        "quantile",
        names,
        probabilities,
        moments,
        by=spec.by,
        groups=groups,
        at_least=terms.min_cell_count,
        tolerance=spec.tolerance,
    )
    table = quantile_columns(names, spec.by, groups, probabilities, found)
    rows = int((moments.n + moments.missing)[:, 0].sum())
    notes = quantile_notes(found, terms.min_cell_count)
    return Result("quantile", rows, terms.roster, tables={"quantiles": table}, notes=notes)


def _noisy_program(spec: QuantileSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """One round: a noisy histogram over each variable's declared range."""
    names, probabilities = tuple(dict.fromkeys(spec.variables)), tuple(dict.fromkeys(spec.probabilities))
    levels = yield from agree_levels("quantile", [spec.by] if spec.by else [], terms)
    groups = levels[spec.by] if spec.by else ()
    ranges = ranges_of(names, terms.variables)
    edges = np.linspace(ranges[:, 0], ranges[:, 1], BINS + 1, axis=1)  # (variable, edge)
    cuts = np.repeat(edges[:, None, 1:-1], len(groups) or 1, axis=1)
    facts = {"variables": list(names), "by": spec.by, "groups": list(groups), "cuts": cuts}
    total = yield Question("quantile", "between", facts, read_by([*names, spec.by]))
    bins = total.sums["between"]
    found = {
        (v, g, p): noisy_quantile(edges[v], bins[v, g], p, at_least=terms.min_cell_count)
        for v, g in np.ndindex(*bins.shape[:2])
        for p in probabilities
    }
    table = quantile_columns(names, spec.by, groups, probabilities, found)
    return Result("quantile", 0, terms.roster, tables={"quantiles": table}, notes=(FROM_HISTOGRAM,))


def _first_brackets(
    moments: Moments, place: Place, probabilities: Sequence[float], at_least: int, tolerance: float | None
) -> dict[int, Bracket]:
    """By rank the bracket that holds all values; none where the rows are too few."""
    variable, group = place
    n = int(moments.n[group, variable])
    if n < max(at_least, 1):
        return {}
    mean, sd = float(moments.mean[group, variable]), float(moments.sd[group, variable]) if n > 1 else 0.0
    width = RELATIVE_TOLERANCE * (sd or abs(mean) or 1.0) if tolerance is None else tolerance
    ranks = sorted({rank for p in probabilities for rank in _ranks(p, n)[:2]})
    return {rank: first_bracket(rank, n, mean=mean, sd=sd, width=width) for rank in ranks}


def _ranks(probability: float, n: int) -> tuple[int, int, float]:
    """The two neighbouring ranks and the weight of the second; equal ranks where the quantile is an order statistic."""
    h = (n - 1) * probability
    if abs(h - round(h)) <= 4 * np.finfo(float).eps * max(h, 1.0):
        return round(h) + 1, round(h) + 1, 0.0
    return math.floor(h) + 1, math.floor(h) + 2, h - math.floor(h)


def _between_ranks(probability: float, n: int, brackets: Mapping[int, Bracket]) -> Quantile:
    if not brackets:
        return Quantile(None, None, None, None, n)
    first, second, weight = _ranks(probability, n)
    a, b = brackets[first], brackets[second]
    support = min(a.inside, b.inside)
    if not a.state == b.state == "exact":
        # From the lower end of the one to the upper end of the other: weighted limits could hold nobody between them.
        return Quantile(None, min(a.low, b.low), max(a.high, b.high), None, support)
    value = _mix(shortest(a.low, a.high), shortest(b.low, b.high), weight)
    low, high = _mix(a.low, b.low, weight), _mix(a.high, b.high, weight)
    return Quantile(value, low, high, max(a.high - a.low, b.high - b.low), support)


def _mix(a: float, b: float, weight: float) -> float:
    return a if a == b or weight == 0 else (1 - weight) * a + weight * b


def _as_array(cuts: Mapping[Place, NDArray[np.float64]], variables: int) -> NDArray[np.float64]:
    """Cuts float64 (variable, group, cut); short lists repeat their last cut, and where nothing is asked no row lies below."""
    padded = np.full((len(cuts), max(len(points) for points in cuts.values())), -np.inf)
    for row, points in zip(padded, cuts.values()):
        if len(points):
            row[:] = points[-1]
            row[: len(points)] = points
    return padded.reshape(variables, -1, padded.shape[1])


def _answer_between(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Rows between the cuts, int64 (variable, group, cut + 1); place i holds those above cut i - 1 and at most cut i."""
    facts: Mapping[str, Any] = question.facts
    cuts, groups = facts["cuts"], facts["groups"] or [""]
    bins = np.zeros((*cuts.shape[:2], cuts.shape[2] + 1), np.int64)
    group = coder(examples, facts["by"], groups)
    for rows in chunks(examples.rows):
        where = group(rows)
        for v, name in enumerate(facts["variables"]):
            values = examples.number(name)[rows]
            seen = ~np.isnan(values)
            for g in range(len(groups)):
                place = np.searchsorted(cuts[v, g], values[seen & (where == g)])
                bins[v, g] += np.bincount(place, minlength=bins.shape[2])
    one = each_of(len(facts["variables"]))
    return Answer({"between": Part(bins, examples.rows, cells=True, sensitivity=one)}, examples.rows), local


QUANTILE_STEPS: Mapping[str, Step] = {"between": _answer_between}


def _noised(spec: QuantileSpec, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> tuple[NoisyStep, ...]:
    """One histogram of each variable by group."""
    names = tuple(dict.fromkeys(spec.variables))
    ranges_declared(names, variables, level)
    groups = levels_declared([spec.by], variables, level)[spec.by] if spec.by else 1
    part = NoisyPart("histogram", (each_of(len(names)),), len(names) * groups * BINS)
    return (NoisyStep("between", 1, {"between": part}),)


def _needs(spec: QuantileSpec) -> list[str]:
    return list(read_by([spec.by]))


QUANTILE = ScriptedMethod(
    name="quantile",
    spec=QuantileSpec,
    program=_program,
    steps={**LEVELS_STEPS, **MOMENTS_STEPS, **QUANTILE_STEPS},
    reads=lambda spec: [
        *(Use(name, "number") for name in dict.fromkeys(spec.variables)),
        *(Use(name, "any") for name in read_by([spec.by])),
    ],
    needs=_needs,
    noised=_noised,
)
