"""What a site answers in Cox regression, from its own rows.

Stratified by site, a site knows its risk sets whole: it sends its share of the log-likelihood, the score and the information, on
its patients' own times. Otherwise risk sets span sites: cells are agreed on a joint grid, a site sends sums by cell, and the hub
sends the joint hazard back before second moments are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from huizhen import canonical
from huizhen.data.examples import SITE, Examples
from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.hazard import CellMeans, Hazard, hazard_of
from huizhen.methods.hazards.riskset import Cells, Floats, Integers, RiskRows, grow, own_cells, rows_on_cells
from huizhen.methods.hazards.risksums import (
    Columns,
    own_products,
    own_residual_products,
    residual_products,
    risk_moments,
    row_sums,
    scores,
    sorted_columns,
)
from huizhen.methods.hazards.transform import on_cells
from huizhen.methods.method import Local, Step
from huizhen.methods.survival.followup import count_unusable, follow_up, local_strata
from huizhen.methods.survival.groups import Groups
from huizhen.methods.survival.timegrid import fine_interval, joint_interval
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["COX_STEPS", "RiskSets", "risk_sets"]

FARTHEST = 500.0  # exp(500) is 1e217: sums over millions of rows stay finite; no sensible hazard ratio comes near


@dataclass(frozen=True, slots=True)
class RiskSets:
    """A site's rows by cell.

    Attributes:
        cells: the site's own cells; None where cells were agreed jointly.
        rows: its rows, sorted by cell.
    """

    cells: Cells | None
    rows: RiskRows


@dataclass(frozen=True, slots=True)
class _AtCoefficients:
    """All that a sum at given coefficients starts from."""

    design: Design
    sets: RiskSets
    columns: Columns
    eta: Floats  # (row at risk,)
    risk: Floats  # (row at risk,)
    size: int


def risk_sets(model: Mapping[str, Any], examples: Examples, local: Local) -> RiskSets:
    """The rows sorted by cell; made once for a study and kept in the memo."""
    key = "risk sets " + canonical.digest(model)
    if key not in local.memo:
        local.memo[key] = _risk_sets(model, examples)
    return cast(RiskSets, local.memo[key])


def count_events(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Rows with the event and rows; times and weights that cannot be used; for joint cells, the events' weights by cell."""
    model = question.facts["model"]
    time, event = follow_up(examples, model["outcome"])
    weight = _weights(examples, model["weights"])
    bad_weights = int(np.count_nonzero(~(np.isfinite(weight) & (weight > 0))))
    parts = {
        "events": Part(np.array([np.count_nonzero(event), examples.rows], np.int64), examples.rows, cells=True),
        "unusable": Part(np.array([count_unusable(time), bad_weights], np.int64), examples.rows, cells=True),
    }
    if model["weights"] and not bad_weights:
        sums = [(each.sum(), each @ each) for each in (weight, weight[event])]
        parts["balance"] = Part(np.array(sums), examples.rows)
    elif model["weights"]:
        parts["balance"] = Part(np.zeros((2, 2)), examples.rows)
    if model["cells"] is not None:
        rows = risk_sets(model, examples, local).rows
        parts["weight"] = Part(rows.sum_by_cell(np.where(rows.event & np.isfinite(rows.weight), rows.weight, 0.0)), examples.rows)
    return Answer(parts, examples.rows), local


def likelihood(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Of a site's own risk sets: log-likelihood, score, information; times powers of transforms of time, where asked."""
    at = _at(question, examples, local)
    size, transforms = at.size, question.facts["transforms"]
    if at.sets.cells is None:
        raise ValueError("risk sets span sites: this question is for models that are stratified by site")
    cells, rows = at.sets.cells, at.sets.rows
    shown = [values for transform in transforms for values in on_cells(transform, cells.time)]
    undefined = not all(np.isfinite(values).all() for values in shown)  # the log of an event at time 0
    if undefined:
        shown = [np.zeros(cells.count) for _ in shown]
    by = [np.ones(cells.count), *shown]
    if _too_far(at.eta):
        return _overflow(size, len(by), transforms, examples), local
    hazard = _own_hazard(at, cells, question.facts["model"]["ties"])
    gone, spared = [hazard.gone_through(cells, factor) for factor in by], [hazard.tied * factor for factor in by]
    sums = row_sums(rows, at.columns, at.risk, gone, spared, by, size)
    information = sums.second - own_products(rows, at.columns, at.risk, cells, hazard, by, size)
    linear = float(np.sum((rows.weight * at.eta)[rows.event]))
    parts = {
        "loglik": Part(np.array([linear - hazard.log_risk]), examples.rows),
        "score": Part(sums.score, examples.rows),
        "information": Part(information, examples.rows),
        "overflow": Part(np.zeros(1, np.int64), examples.rows, unit="sites"),
    }
    if transforms:
        moments = np.array([[cells.deaths @ values, cells.deaths @ values**2] for values in shown])
        parts["transforms"] = Part(moments, examples.rows)
        parts["undefined"] = Part(np.array([undefined], np.int64), examples.rows, unit="sites")
    return Answer(parts, examples.rows), local


def risk_by_cell(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sums of weighted risks by joint cell, over rows and over events; the events' sum of w eta."""
    at = _at(question, examples, local)
    rows, far = at.sets.rows, _too_far(at.eta)
    risk = np.zeros_like(at.risk) if far else at.risk
    linear = 0.0 if far else float(np.sum((rows.weight * at.eta)[rows.event]))
    parts = {
        "at_risk": Part(rows.sum_by_cell(risk), examples.rows),
        "tied": Part(rows.sum_by_cell(risk * rows.event), examples.rows),
        "linear": Part(np.array([linear]), examples.rows),
        "overflow": Part(np.array([far], np.int64), examples.rows, unit="sites"),
    }
    return Answer(parts, examples.rows), local


def curvature(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """With the joint hazard: score and second moments for each factor of cells; first moments by cell."""
    at = _at(question, examples, local)
    rows, facts = at.sets.rows, question.facts
    sums = row_sums(rows, at.columns, at.risk, facts["gone"], facts["spared"], facts["by"], at.size)
    first, tied = np.zeros((at.size, rows.cells)), np.zeros((at.size, rows.cells))
    for cells, within in rows.blocks():
        moments = risk_moments(rows, at.columns, at.risk, at.size, (cells, within))
        first[:, cells], tied[:, cells] = moments.first, moments.tied
    parts = {"score": sums.score, "second": sums.second, "first": first, "tied_first": tied}
    return Answer({name: Part(values, examples.rows) for name, values in parts.items()}, examples.rows), local


def residuals(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sum of outer products of score residuals, by row or by site."""
    at, facts = _at(question, examples, local), question.facts
    rows, cells = at.sets.rows, at.sets.cells
    cluster = local_strata(examples, (SITE,)) if facts["cluster"] else None
    if cells is not None:
        hazard = _own_hazard(at, cells, facts["model"]["ties"])
        products = own_residual_products(rows, at.columns, at.risk, cells, hazard, cluster, at.size)
    else:
        means = CellMeans(facts["mean"], facts["step"], facts["tied"])
        products = residual_products(rows, at.columns, at.risk, facts["gone"], facts["spared"], means, cluster)
    return Answer({"products": Part(products, examples.rows)}, examples.rows), local


COX_STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "events": count_events,
        "likelihood": likelihood,
        "risk": risk_by_cell,
        "curvature": curvature,
        "residuals": residuals,
    }
)


def _at(question: Question, examples: Examples, local: Local) -> _AtCoefficients:
    facts = question.facts
    design = Design.from_facts(facts["design"], local)
    sets = risk_sets(facts["model"], examples, local)
    coefficients = np.asarray(facts["coefficients"], np.float64)
    eta = scores(design, examples, coefficients)[sets.rows.order]
    risk = sets.rows.weight * np.exp(np.minimum(eta, FARTHEST))
    return _AtCoefficients(design, sets, sorted_columns(design, examples, sets.rows), eta, risk, len(design.columns))


def _own_hazard(at: _AtCoefficients, cells: Cells, ties: Any) -> Hazard:
    rows = at.sets.rows
    at_risk = grow(rows.sum_by_cell(at.risk), cells.starts)
    return hazard_of(cells, at_risk, rows.sum_by_cell(at.risk * rows.event), ties)


def _too_far(eta: Floats) -> bool:
    return bool(len(eta)) and not bool(np.abs(eta).max() <= FARTHEST)


def _overflow(size: int, factors: int, transforms: Sequence[Any], examples: Examples) -> Answer:
    """An answer of the same shapes that says: these coefficients are beyond reason, come nearer."""
    parts = {
        "loglik": Part(np.zeros(1), examples.rows),
        "score": Part(np.zeros((factors, size)), examples.rows),
        "information": Part(np.zeros((factors, size, size)), examples.rows),
        "overflow": Part(np.ones(1, np.int64), examples.rows, unit="sites"),
    }
    if transforms:
        parts["transforms"] = Part(np.zeros((factors - 1, 2)), examples.rows)
        parts["undefined"] = Part(np.zeros(1, np.int64), examples.rows, unit="sites")
    return Answer(parts, examples.rows)


def _weights(examples: Examples, name: str) -> Floats:
    return examples.number(name) if name else np.ones(examples.rows)


def _risk_sets(model: Mapping[str, Any], examples: Examples) -> RiskSets:
    time, event = follow_up(examples, model["outcome"])
    weight = _weights(examples, model["weights"])
    if model["cells"] is None:
        return RiskSets(*own_cells(time, event, local_strata(examples, tuple(model["strata"])), weight))
    return RiskSets(None, rows_on_cells(_joint_cell(model["cells"], time, event, examples), event, weight, model["cells"]["count"]))


def _joint_cell(joint: Mapping[str, Any], time: Floats, event: Any, examples: Examples) -> Integers:
    """Cell of each row, -1 where it leaves before the first event of its stratum."""
    fine, cell = fine_interval(time, joint["resolution"]), np.full(len(time), -1, np.int64)
    stratum = Groups.from_facts(joint["groups"]).codes(examples)
    for kind, rows in (("event", event), ("censored", ~event)):
        for code, (ends, cells) in enumerate(zip(joint[f"{kind}_ends"], joint[f"{kind}_cells"])):
            here = rows & (stratum == code)
            if len(ends):
                cell[here] = cells[joint_interval(fine[here], ends)]
    return cell
