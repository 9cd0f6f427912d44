"""Cox regression over all sites, equal to that on the pooled rows.

Stratified by site, sites send sums over their own risk sets, on their patients' own times: exactly the pooled answer of
``strata(site)``. Otherwise risk sets span sites and stand on a joint grid of times (see `timegrid`): exactly the pooled answer on
the times of that grid.

Facts of the result: ``rows``, ``events``, ``parameters``, ``loglik``, ``loglik_null``, ``aic``, ``bic`` (log of the number of
events, as R), ``lr_chi2``, ``wald_chi2``, ``score_chi2`` with ``_p``, ``df``, ``iterations``, ``converged``, ``concordance`` with
``concordance_se`` and ``concordance_error_bound``; ``ties``, ``strata`` and ``design`` (for prediction). Tables:
``coefficients``; ``term_tests``; ``proportional_hazards`` and ``proportional_hazards_correlation``; ``baseline``. Arrays:
``covariance``.

Sources: see `hazard`, `concordance`, `proportional_hazards`; robust standard errors: D. Y. Lin and L. J. Wei, JASA 84 (1989) 1074.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy.stats import chi2

from huizhen.data.examples import SITE
from huizhen.errors import NotEstimable, StudyError
from huizhen.methods.concordance import CONCORDANCE_STEPS, Concordance, bins_for, from_bins, from_pairs
from huizhen.methods.cox_likelihood import GridSurface, SiteSurface, Surface
from huizhen.methods.cox_newton import Maximum, maximise
from huizhen.methods.cox_site import COX_STEPS
from huizhen.methods.cox_tables import baseline_table, coefficient_table
from huizhen.methods.design import DESIGN_STEPS, Design, agree
from huizhen.methods.followup import Names, SurvivalSpec, outcome_uses, refuse_unusable
from huizhen.methods.formula import Formula
from huizhen.methods.formula import parse as parse_formula
from huizhen.methods.groups import GROUP_STEPS, Groups, agree_groups
from huizhen.methods.hazard import Ties
from huizhen.methods.method import ScriptedMethod, Use
from huizhen.methods.proportional_hazards import test_tables
from huizhen.methods.riskset import Cells, Floats
from huizhen.methods.timegrid import GRID_STEPS, Exits, TimeGrid, agree_exits
from huizhen.methods.transform import JOINT, TransformName, of_grid
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result, Table

__all__ = ["COX", "CoxSpec"]

NAME = "cox"
PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")
Rounds = Generator[Question, Total, Any]


class CoxSpec(SurvivalSpec):
    """Settings of a Cox regression.

    Attributes:
        formula: the covariates as a formula, ``~ age + sex*ecog``; or else
        covariates: their names.
        ties: ``efron`` (as R and lifelines) or ``breslow``.
        ridge: lambda of the penalty ``lambda / 2 sum beta^2`` on coefficients in the user's units.
        weights: variable of case weights, or "".
        standard_errors: ``model``, ``robust`` (sandwich over rows) or ``robust by site`` (sandwich over sites).
        tests: for each term of the formula: ``wald``, ``likelihood-ratio`` (refits without the term).
        proportional_hazards: transforms of time by which to test proportional hazards.
        concordance: whether to count concordant pairs.
        baseline: whether to report the baseline hazard, where risk sets span sites.
        tolerance: largest last Newton step.
        max_iterations: the most Newton steps.
    """

    formula: str = ""
    covariates: Names = ()
    ties: Ties = "efron"
    ridge: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    weights: str = ""
    standard_errors: Literal["model", "robust", "robust by site"] = "model"
    tests: tuple[Literal["wald", "likelihood-ratio"], ...] = ()
    proportional_hazards: tuple[TransformName, ...] = ()
    concordance: bool = True
    baseline: bool = True
    tolerance: float = Field(default=1e-9, gt=0, lt=1e-3)
    max_iterations: int = Field(default=50, ge=1)

    @field_validator("tests", "proportional_hazards", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        """A study file writes a list; one choice may stand alone."""
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _says_one_thing(self) -> CoxSpec:
        if bool(self.formula) == bool(self.covariates):
            found = "both" if self.formula else "neither"
            raise ValueError(f"formula, covariates: found {found}, expected one of them")
        try:
            parsed = self.parsed
        except StudyError as error:
            raise ValueError(str(error)) from None
        if parsed.response is not None:
            raise ValueError("formula: found a left-hand side, expected none; the outcome stands in time and event")
        return self

    @property
    def parsed(self) -> Formula:
        """The covariates as a formula."""
        if self.formula:
            return parse_formula(self.formula)
        return parse_formula("~ " + " + ".join(name if PLAIN_NAME.fullmatch(name) else f"`{name}`" for name in self.covariates))


def estimate(spec: CoxSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Agree on columns and cells, climb to the maximum, then ask what the spec wants to know there."""
    uses = tuple(dict.fromkeys(use.name for use in reads(spec)))
    design = yield from agree(NAME, spec.parsed, terms, intercept=False, uses=uses, center=True)
    setting = yield from _setting(spec, design, terms)
    surface, rows, events = setting.surface, setting.rows, setting.events
    best = yield from _maximum(spec, surface, design)
    covariance = yield from _covariance(spec, setting, design, best)
    tables = {"coefficients": coefficient_table(design, best, covariance, spec.confidence, spec.standard_errors)}
    facts = {"rows": rows, "events": events, **_likelihood_facts(best, covariance, events)}
    facts |= {"ties": spec.ties, "strata": list(spec.strata)}
    notes = list(setting.notes)
    if spec.ridge:
        notes.append("With a ridge penalty the p-values are those of an unpenalised model and only indicative.")
    if spec.standard_errors == "robust by site":
        notes.append("Standard errors are robust over sites; they need many sites, say 30, to be trusted.")
    if spec.tests:
        tables["term_tests"] = yield from _term_tests(spec, setting, design, best, covariance)
    if spec.concordance:
        found = yield from _concordance(setting, design, best, terms)
        facts |= {"concordance": found.value, "concordance_se": found.standard_error, "concordance_error_bound": found.error_bound}
    if spec.proportional_hazards:
        tables |= yield from _proportional_hazards(spec, setting, design, best, terms, notes)
    if spec.baseline and isinstance(surface, GridSurface) and best.there.hazard is not None:
        tables["baseline"] = baseline_table(setting.strata, surface.cells, best.there.hazard, design, best.coefficients)
    facts["design"] = design.facts()
    arrays = {"covariance": design.unscale(best.coefficients, covariance)[1]}
    return Result(NAME, rows, terms.roster, facts, tables, arrays=arrays, notes=tuple(notes))


def reads(spec: CoxSpec) -> tuple[Use, ...]:
    covariates = tuple(use for use in spec.parsed.uses() if use.name != SITE)
    weights = (Use(spec.weights, "number"),) if spec.weights else ()
    return tuple(dict.fromkeys((*outcome_uses(spec), *covariates, *weights)))


STEPS = {**DESIGN_STEPS, **GROUP_STEPS, **GRID_STEPS, **COX_STEPS, **CONCORDANCE_STEPS}
COX = ScriptedMethod(NAME, CoxSpec, estimate, STEPS, reads)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Everything that stands before the first Newton step."""

    surface: SiteSurface | GridSurface
    strata: tuple[str, ...]  # names of the joint strata that have events, in the order of the cells; () where there is one
    rows: int
    events: int
    notes: tuple[str, ...]


def _setting(spec: CoxSpec, design: Design, terms: Terms) -> Generator[Question, Total, _Setting]:
    variables = tuple(name for name in dict.fromkeys(use.name for use in reads(spec)))
    model = {"outcome": spec.outcome, "strata": list(spec.strata), "weights": spec.weights, "ties": spec.ties, "cells": None}
    if spec.by_site:
        total = yield Question(NAME, "events", {"model": model}, variables)
        rows, events = _usable(spec, design, total)
        within = " and ".join(spec.strata)
        notes = (
            f"Stratified by {within}: sums over each site's own risk sets, on the patients' own times.",
            "The baseline hazard of each stratum stays at its site.",
        )
        return _Setting(SiteSurface(model, variables), (), rows, events, notes)
    groups = yield from agree_groups(NAME, spec.strata, terms)
    exits = yield from agree_exits(NAME, spec, groups)
    grids = [exits.grid(terms.min_cell_count, slice(code, code + 1)) for code in range(groups.count)]
    cells, joint = _joint_cells(grids, groups)
    model["cells"] = joint
    total = yield Question(NAME, "events", {"model": model}, variables)
    rows, events = _usable(spec, design, total)
    surface = GridSurface(model, variables, Cells(cells.starts, cells.time, cells.deaths, total.sums["weight"]), spec.ties)
    return _Setting(surface, _stratum_names(grids, groups), rows, events, tuple(_grid_notes(spec, exits, grids, groups)))


def _usable(spec: CoxSpec, design: Design, total: Total) -> tuple[int, int]:
    """Rows and events, after refusing what cannot be fitted."""
    (events, rows), (times, weights) = total.sums["events"].tolist(), total.sums["unusable"].tolist()
    refuse_unusable(times)
    if weights:
        raise NotEstimable(
            f"weights: some rows have a weight {spec.weights!r} of 0, below 0 or without end: expected weights above 0. "
            "Correct them at the source, or leave those rows out with a cohort condition"
        )
    if events == 0:
        raise NotEstimable("no patient had the event: expected at least one. Check the condition that defines the event")
    if events < len(design.columns):
        raise NotEstimable(
            f"the model has {len(design.columns)} coefficients and there are fewer events: expected more events than coefficients "
            "(10 for each is a common rule). Leave out covariates"
        )
    return rows, events


def _joint_cells(grids: list[TimeGrid], groups: Groups) -> tuple[Cells, dict[str, Any]]:
    """Cells from the grids of the strata, and how a site finds the cell of a row."""
    starts, times, deaths, ends, places = [], [], [], [], []
    count = 0
    for grid in grids:
        own = np.flatnonzero(grid.events[0])[::-1]  # latest first
        latest = np.searchsorted(own[::-1], np.arange(len(grid.ends)), side="right") - 1
        places.append(np.where(latest < 0, -1, count + len(own) - 1 - latest))
        ends.append(grid.ends)
        if len(own):
            starts.append(count)
        times.append(grid.times[own])
        deaths.append(grid.events[0][own])
        count += len(own)
    joined = np.concatenate(deaths)
    cells = Cells(np.array(starts, np.int64), np.concatenate(times), joined, joined.astype(np.float64))
    resolution = grids[0].resolution
    return cells, {"groups": groups.facts(), "resolution": resolution, "ends": ends, "cells": places, "count": count}


def _stratum_names(grids: list[TimeGrid], groups: Groups) -> tuple[str, ...]:
    if not groups.names:
        return ()
    named = (", ".join(f"{name}={label}" for name, label in zip(groups.names, labels)) for labels in groups.labels)
    return tuple(name for name, grid in zip(named, grids) if grid.events.any())


def _grid_notes(spec: CoxSpec, exits: Exits, grids: list[TimeGrid], groups: Groups) -> list[str]:
    if groups.count == 1:
        return [exits.note(grids[0])]
    intervals = sum(len(grid.ends) for grid in grids)
    same = not exits.between and intervals == int(np.count_nonzero(exits.counts.sum(axis=0)))
    exact = "every distinct time of the pooled rows" if same else "times moved to the right ends of their intervals"
    within = " and ".join(spec.strata)
    said = (
        f"Each stratum of {within} has its own joint grid of times, {intervals} intervals in all (resolution {spec.resolution:g})"
    )
    return [f"{said}: {exact}."]


def _maximum(spec: CoxSpec, surface: Surface, design: Design) -> Generator[Question, Total, Maximum]:
    return (yield from maximise(surface, design, ridge=spec.ridge, tolerance=spec.tolerance, max_iterations=spec.max_iterations))


def _covariance(spec: CoxSpec, setting: _Setting, design: Design, best: Maximum) -> Generator[Question, Total, Floats]:
    """Of the standardised coefficients: from the information, or the sandwich around it."""
    bread = best.covariance
    if spec.standard_errors == "model":
        return bread
    cluster = spec.standard_errors == "robust by site"
    meat = yield from setting.surface.residual_products(design, best.coefficients, cluster=cluster)
    sandwich: Floats = bread @ meat @ bread
    return sandwich


def _likelihood_facts(best: Maximum, covariance: Floats, events: int) -> dict[str, Any]:
    p, loglik, null = len(best.coefficients), best.there.loglik, best.null.loglik
    tests = {
        "lr": 2.0 * (loglik - null),
        "wald": _wald(best.coefficients, covariance),
        "score": float(best.null.score @ np.linalg.lstsq(best.null.information, best.null.score, rcond=None)[0]),
    }
    facts: dict[str, Any] = {"parameters": p, "loglik": loglik, "loglik_null": null, "df": p}
    for name, statistic in tests.items():
        facts |= {f"{name}_chi2": statistic, f"{name}_p": float(chi2.sf(statistic, p))}
    criteria = {"aic": 2.0 * p - 2.0 * loglik, "bic": p * float(np.log(events)) - 2.0 * loglik}
    return {**facts, **criteria, "iterations": best.iterations, "converged": True}


def _wald(coefficients: Floats, covariance: Floats) -> float:
    return float(coefficients @ np.linalg.lstsq(covariance, coefficients, rcond=None)[0])


def _term_tests(
    spec: CoxSpec, setting: _Setting, design: Design, best: Maximum, covariance: Floats
) -> Generator[Question, Total, Table]:
    names = tuple(dict.fromkeys(design.terms))
    columns: dict[str, list[Any]] = {"term": list(names), "df": []}
    for name in names:
        own = [place for place, term in enumerate(design.terms) if term == name]
        others = [place for place, term in enumerate(design.terms) if term != name]
        columns["df"].append(len(own))
        if "wald" in spec.tests:
            statistic = _wald(best.coefficients[own], covariance[np.ix_(own, own)])
            _add(columns, "wald", statistic, len(own))
        if "likelihood-ratio" in spec.tests:
            without = best.null.loglik
            if others:
                refitted = yield from _maximum(spec, setting.surface, design.select(others))
                without = refitted.there.loglik
            _add(columns, "lr", 2.0 * (best.there.loglik - without), len(own))
    return Table({name: tuple(values) for name, values in columns.items()}, "term", "Tests of each term of the formula")


def _add(columns: dict[str, list[Any]], test: str, statistic: float, df: int) -> None:
    columns.setdefault(f"{test}_chi2", []).append(statistic)
    columns.setdefault(f"{test}_p", []).append(float(chi2.sf(statistic, df)))


def _concordance(setting: _Setting, design: Design, best: Maximum, terms: Terms) -> Generator[Question, Total, Concordance]:
    surface = setting.surface
    facts = {"model": surface.model, "design": design.facts(), "coefficients": best.coefficients}
    if isinstance(surface, SiteSurface):
        total = yield Question(NAME, "pairs", facts, surface.variables)
        return from_pairs(total.sums["pairs"], total.sums["influence"])
    total = yield Question(NAME, "spread", facts, surface.variables)
    spread = float(np.sqrt(total.sums["squares"][0] / setting.rows)) or 1.0
    binned = {**facts, "spread": spread, "bins": bins_for(surface.cells.count, setting.rows, terms.min_cell_count)}
    total = yield Question(NAME, "bins", binned, surface.variables)
    return from_bins(surface.cells, total.sums["bin_events"], total.sums["bin_others"])


def _proportional_hazards(
    spec: CoxSpec, setting: _Setting, design: Design, best: Maximum, terms: Terms, notes: list[str]
) -> Generator[Question, Total, dict[str, Table]]:
    transforms: list[dict[str, Any]] = [{"name": name} for name in spec.proportional_hazards if name not in JOINT]
    joint: list[TransformName] = [name for name in spec.proportional_hazards if name in JOINT]
    if joint:
        exits = yield from agree_exits(NAME, spec, Groups())
        grid = exits.grid(terms.min_cell_count)
        transforms += [of_grid(name, grid) for name in joint]
        if spec.by_site:
            notes.append(exits.note(grid, f" of the transform{'s' if len(joint) > 1 else ''} {' and '.join(joint)}"))
    weighted = yield from setting.surface.weighted(design, best.coefficients, transforms)
    if weighted.undefined:
        raise NotEstimable(
            "proportional_hazards: the log of time is not defined for an event at time 0: expected times above 0. "
            "Choose another transform, or correct the times"
        )
    names = [transform["name"] for transform in transforms]
    return test_tables(design, weighted, names, best.covariance, setting.events)
