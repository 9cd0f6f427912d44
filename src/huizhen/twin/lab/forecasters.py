"""Two forecasters to be compared with: the usual formula, and one that only fits what the lab has seen of the same studies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from huizhen.errors import CallerError, Problem
from huizhen.twin.functional import Prediction
from huizhen.twin.lab.judging import Asked
from huizhen.twin.lab.lane import FIRST_WINDOW
from huizhen.twin.lab.observations import JUDGED, Observation
from huizhen.twin.lab.plan import Configuration, LabPlan, Line
from huizhen.twin.quantity import Quantity, assumed

__all__ = ["Fitted", "Naive", "fitted"]

PEAK = 3.2e10  # flop/s of one core of a server: 4 lanes, 2 fused, 2 units, 2 GHz
NUMBER = 8  # bytes
UNITS = {"round": "s", "step": "s", "transfer": "s", "makespan": "s", "bytes": "byte"}


@dataclass(frozen=True, slots=True)
class Naive:
    """Size by bandwidth, and operations by peak: no round trips, no programs, no waiting."""

    name: str = "naive"

    def predict(self, asked: Asked) -> Prediction:
        plan, one = asked.plan, asked.configuration
        return Prediction(assumed(_naive(plan, one, asked.part), UNITS[asked.part], "size / bandwidth + operations / peak"))


def _naive(plan: LabPlan, one: Configuration, part: str) -> float:
    if part == "transfer":
        return _line_s(plan, one)
    study = plan.studies[one.study]
    compute = study.flop / (PEAK * (one.cores or 1.0))
    if part == "step":
        return compute
    if part == "bytes":
        return float(2 * NUMBER * study.numbers * study.rounds * len(one.sites))
    took = _line_s(plan, one) + compute
    return took * study.rounds if part == "makespan" else took


def _line_s(plan: LabPlan, one: Configuration) -> float:
    """Seconds that a round's numbers, or a transfer, take over the slowest line by its rate alone."""
    hub = plan.lines[one.hub] if one.hub else Line()
    if one.study in plan.transfers:
        sent = plan.transfers[one.study]
        return max(_seconds(sent.bytes, getattr(line, sent.way)) for line in (plan.lines[one.lines[one.sites[0]]], hub))
    size, sites = NUMBER * plan.studies[one.study].numbers, len(one.sites)
    each = [plan.lines[name] for name in one.lines.values()]
    ways = [max(_seconds(size, getattr(line, way)) for line in each) for way in ("up", "down")]
    shared = [_seconds(size * sites, getattr(hub, way)) for way in ("up", "down")]
    return sum(map(max, ways, shared))


def _seconds(size: float, rate: float) -> float:
    return size / rate if rate else 0.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """Sums of a study's own constant, round trips and seconds of the line, fitted by relative error; of each part by itself.

    Attributes:
        weights: by part, of each feature; ratios: of seen to predicted, at which 5 and 95 % of what was learnt from lie.
    """

    weights: Mapping[str, Mapping[str, float]]
    ratios: Mapping[str, tuple[float, float]]
    name: str = "fitted"

    def predict(self, asked: Asked) -> Prediction:
        features = _features(asked.plan, asked.configuration, asked.part, asked.subject)
        weights = self.weights.get(asked.part, {})
        if strange := [name for name in features if name not in weights]:
            problem = Problem(f"configuration {asked.configuration.name}", strange[0], "a study and a step that was learnt from")
            raise CallerError("The fitted forecaster does not know this.", [problem])
        value = sum(weights[name] * size for name, size in features.items())
        low, high = self.ratios[asked.part]
        return Prediction(
            Quantity(value, UNITS[asked.part], value * min(low, 1.0), value * max(high, 1.0), "fitted", "configurations of the lab")
        )


def fitted(plan: LabPlan, seen: Sequence[Observation]) -> Fitted:
    """The forecaster that these observations teach; non-negative least squares of the relative error."""
    by_name = {one.name: one for one in plan.configurations}
    weights, ratios = {}, {}
    for part in JUDGED:
        own = [one for one in seen if one.part == part and one.seen > 0]
        if not own:
            continue
        rows = [_features(plan, by_name[one.configuration], part, one.subject) for one in own]
        names = sorted({name for row in rows for name in row})
        design = np.array([[row.get(name, 0.0) for name in names] for row in rows])
        came = np.array([one.seen for one in own])
        found, _ = nnls(design / came[:, None], np.ones(len(own)))
        weights[part] = dict(zip(names, found.tolist()))
        ratio = came / np.maximum(design @ found, 1e-12)
        ratios[part] = (float(np.quantile(ratio, 0.05)), float(np.quantile(ratio, 0.95)))
    return Fitted(weights, ratios)


def _features(plan: LabPlan, one: Configuration, part: str, subject: str) -> Mapping[str, float]:
    hub = plan.lines[one.hub] if one.hub else Line()
    rtt = max(plan.lines[name].rtt_s for name in one.lines.values()) + hub.rtt_s
    if part == "transfer":
        doublings = math.log2(max(plan.transfers[one.study].bytes / FIRST_WINDOW, 1.0))
        return {"constant": 1.0, "round_trips": rtt, "doublings": rtt * doublings, "line": _line_s(plan, one)}
    if part == "bytes":
        return {f"study:{one.study}": float(len(one.sites))}
    own = f"study:{one.study}:{subject}"
    if part == "step":
        return {own: 1.0}
    rounds = plan.studies[one.study].rounds if part == "makespan" else 1
    slow = {f"{own}:quota": 1.0 / one.cores} if one.cores else {}
    return {own: 1.0, f"{own}:round_trips": rtt, f"{own}:line": rounds * _line_s(plan, one), **slow}
