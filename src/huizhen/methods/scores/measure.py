"""How good a model's outputs are, for every task: sums at a site, and what their joint total says.

    sums = measure(aim, outputs, aim.targets(examples))     # at a site, chunk by chunk, added up
    tables = quality(aim, total.sums, min_cell_count=5)     # at the hub

Every array of `measure` is an addend, of the same shape at every site, whatever classes it has; sums over sites are the sums of the
pooled rows, so the joint measures are those of the pooled rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import Problem, SiteError
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.discrimination import (
    areas_of,
    at_chosen_point,
    bears_few,
    calibration_table,
    few_values,
    label_estimates,
    roc_table,
    without_contrast,
)
from huizhen.methods.scores.groups import effective, group_weights, raw
from huizhen.methods.scores.histogram import BINS, area
from huizhen.methods.scores.interval import Estimate, Floats, quantile
from huizhen.methods.scores.labels import label_sums, names_of
from huizhen.methods.scores.lifetimes import lifetime_estimates, lifetime_sums
from huizhen.methods.scores.numbers import number_estimates, number_sums
from huizhen.methods.scores.overlap import overlap_estimates, overlap_sums
from huizhen.privacy.result import Table

__all__ = ["COUNTS", "LABELLED", "ROWS", "headline", "learning", "measure", "quality", "remarks", "untold"]

LABELLED = ("binary", "multiclass", "multilabel")
COUNTS = frozenset(
    {"positives", "negatives", "decided", "positive_rows", "negative_rows", "decided_rows", "right", "weight", "rows",
     "leaving", "staying", "followed", "leavers", "leaver_rows", "images"}
)  # fmt: skip
ROWS = frozenset({"rows", "positive_rows", "negative_rows", "decided_rows", "followed", "leaver_rows"})
HEADLINES = frozenset({"auc", "rmse", "concordance", "dice", "log_loss"})
ROUND = "round"
QUALITY = "How good the predictions are."
FEW_VALUES = (
    "The predictions take few values, or hardly differ, and few patients have some of them: Brier score, log loss and calibration "
    "line would tell how many, and are withheld; areas are those under the published curves."
)


def measure(
    aim: Aim, outputs: NDArray[np.floating], targets: NDArray[np.generic], weights: Floats | None = None, *, bins: int = BINS
) -> dict[str, Floats]:
    """Sums over a site's rows, or over some of them.

    Args:
        outputs: a model's raw outputs (row, output), see `Aim.outputs`; for ``segmentation`` (row, class, *space). With one
            output (row,) will do.
        targets: as `Aim.targets` gives them.
        weights: how often each row counts, float64 (row,), 0 or more; None: once. Intervals take them for numbers of rows.
        bins: bins of score, even; fewer cost less and widen the error bound of the area.

    Returns:
        float64 arrays. Those named in `COUNTS` are numbers of patients where `weights` is None, and those in `ROWS` always. With
        weights also ``rows`` (1,) and ``group_weights`` (group, 2), sums of weights and of their squares: by label of the rows that
        bear it, then of the others; of lifetimes with the event, then without; else of all.

    Raises:
        SiteError: an output is not a finite number.
    """
    sums = _sums(aim, outputs, targets, weights, bins)
    if weights is None:
        return sums
    w = np.asarray(weights, np.float64)
    grouped = group_weights(_groups(aim, np.asarray(targets)), w)
    return sums | {"rows": np.array([float(len(w))]), "group_weights": grouped}


def _sums(
    aim: Aim, outputs: NDArray[np.floating], targets: NDArray[np.generic], weights: Floats | None, bins: int
) -> dict[str, Floats]:
    found = np.asarray(outputs, np.float64)
    if not np.isfinite(found).all():
        problem = Problem("outputs of the model", "numbers that are not finite", "finite numbers", "Lower the learning rate")
        raise SiteError("The model cannot be judged here.", [problem])
    if aim.task == "regression":
        return number_sums(aim, found, np.asarray(targets, np.float64), weights)
    if aim.task in ("cox", "discrete_time"):
        return lifetime_sums(aim, found, np.asarray(targets, np.float64), weights)
    if aim.task == "segmentation":
        return overlap_sums(aim, found, targets, weights)
    return label_sums(aim, found, targets, weights, bins)


def _groups(aim: Aim, targets: NDArray[np.generic]) -> Floats:
    """Which rows belong to which group that a measure tells of: 0 or 1, float64 (row, group)."""
    if aim.task in ("regression", "segmentation"):
        return np.ones((len(targets), 1))
    if aim.task in ("cox", "discrete_time"):
        bear = np.asarray(targets, np.float64)[:, 1:]
    elif aim.task == "multiclass":
        bear = (np.asarray(targets)[:, None] == np.arange(len(aim.levels))).astype(np.float64)
    else:
        bear = np.asarray(targets, np.float64).reshape(len(targets), aim.outputs)
    return np.concatenate([bear, 1.0 - bear], axis=1)


def quality(aim: Aim, sums: Mapping[str, Floats], *, confidence: float = 0.95, min_cell_count: int = 5) -> dict[str, Table]:
    """The joint measures, from the sums over sites.

    Args:
        confidence: of the limits.
        min_cell_count: the policies' minimum; curves are cut so that no point tells of fewer patients.

    Returns:
        ``quality``: measure, estimate, ci_low, ci_high, smallest_group, patients, and with several labels ``label`` before them.
        For labels also ``at_threshold`` (rates at the chosen point, same columns but ``patients``), ``roc`` (false_positive_rate,
        sensitivity) and ``calibration`` (mean_predicted, observed, ci_low, ci_high, patients);
        all with ``label`` where there are several.
        A row's ``smallest_group`` is the least number of patients but 0 that its estimate would tell of (of 50 patients and a
        sensitivity of 1 - 2/50 the 2; of a log loss those who bear the label); where it is below the minimum there is no estimate,
        and publication withholds the number. Where weights let fewer rows than the minimum stand for a group (Kish), it is those.
        ``patients`` is the number of rows, whatever their weights.
    """
    z, minimum = quantile(confidence), min_cell_count
    rows = float(raw(sums, "weight", "rows")[0])
    if aim.task not in LABELLED:
        return {"quality": _estimates_table(_no_few(_of_task(aim, sums, z), sums, minimum), QUALITY, minimum, rows)}
    found = _no_few(label_estimates(aim, sums, z, minimum), sums, minimum)
    rates = _no_few(at_chosen_point(aim, sums, z), sums, minimum)
    tables = {
        "quality": _estimates_table(found, QUALITY, minimum, rows),
        "at_threshold": _estimates_table(rates, "Rates at the chosen point.", minimum),
    }
    if effective(sums) < minimum:
        return tables
    curves = {"roc": roc_table(aim, sums, min_cell_count), "calibration": calibration_table(aim, sums, z, min_cell_count)}
    return tables | {name: table for name, table in curves.items() if next(iter(table.columns.values()))}


def _no_few(found: Sequence[Estimate], sums: Mapping[str, Floats], minimum: int) -> list[Estimate]:
    """The estimates; where the weights let fewer patients than the minimum stand for a group, each tells of those few."""
    rows = effective(sums)
    return [replace(one, smallest=min(one.smallest, np.floor(rows))) if rows < minimum else one for one in found]


def remarks(aim: Aim, sums: Mapping[str, Floats], *, min_cell_count: int = 5) -> tuple[str, ...]:
    """What a reader must know of these measures, in plain words."""
    if aim.task in LABELLED:
        found = [
            f"All rows, or none, bear {name}: nothing can tell them apart."
            if name
            else "The rows hold one class only: nothing can tell them apart."
            for name in without_contrast(aim, sums)
        ]
        labels = range(len(names_of(aim)))
        if min(*(bears_few(sums, i) for i in labels), effective(sums)) < min_cell_count:
            return tuple(found)
        if any(few_values(sums, i, min_cell_count) for i in labels):
            found.append(FEW_VALUES)
        bound = max((one.bound for one in areas_of(aim, sums, min_cell_count)), default=0.0)
        if bound == 0:
            return (*found, "Areas under the ROC curve are from joint histograms of scores, and exact.")
        return (*found, f"Areas under the ROC curve are from joint histograms of scores, and exact to {bound:.1g}.")
    if aim.task == "discrete_time":
        return (
            "Brier scores stand for patients lost before the moment by those still followed (inverse probability of censoring).",
        )
    return ()


def headline(aim: Aim, sums: Mapping[str, Floats], *, min_cell_count: int = 5) -> dict[str, float]:
    """The leading measure by its name, quickly and without limits, for progress and early stopping; and the log loss or error.

    A measure that cannot be estimated, or that would tell of fewer patients than the minimum, is left out.
    """
    if aim.task not in LABELLED:
        wanted = ("rmse", "concordance", "dice", "log_loss")
        estimates = [one for one in _no_few(_of_task(aim, sums, 0.0), sums, min_cell_count) if one.smallest >= min_cell_count]
        return {one.measure: one.value for one in reversed(estimates) if one.measure in wanted and one.value is not None}
    # Of several labels, the mean less the others is the small one's.
    smallest = min(*(bears_few(sums, i) for i in range(len(names_of(aim)))), effective(sums))
    if smallest < min_cell_count:
        return {}
    areas = [area(p, n).value for p, n in zip(sums["positives"], sums["negatives"])]
    known = [one for one in areas if one is not None]
    found = {"auc": float(np.mean(known))} if known else {}
    return found | {"log_loss": float(sums["log_loss"][:, 0].mean()) / float(sums["weight"][0])}


def untold(aim: Aim, sums: Mapping[str, Floats], *, min_cell_count: int = 5) -> frozenset[str]:
    """Measures of `headline` that the course of learning must not show, from the sums of the published model on the same rows.

    Coarse bins cannot say whether predictions take few values; those of the last judgement can.
    """
    if aim.task in LABELLED and any(few_values(sums, i, min_cell_count) for i in range(len(names_of(aim)))):
        return HEADLINES
    return HEADLINES - headline(aim, sums, min_cell_count=min_cell_count).keys()


def learning(rounds: Sequence[Mapping[str, float]], *, name: str = ROUND, without: Collection[str] = ()) -> Table:
    """The course of learning: one row a round (or tree), counted from 1, a column for each measure that any of them names, but
    those in `without`."""
    names = [measure for measure in dict.fromkeys(measure for one in rounds for measure in one) if measure not in without]
    columns = {measure: tuple(one.get(measure) for one in rounds) for measure in names}
    return Table({name: tuple(range(1, len(rounds) + 1)), **columns}, name, "The course of learning.")


def _of_task(aim: Aim, sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    if aim.task == "regression":
        return number_estimates(sums, z)
    return overlap_estimates(aim, sums, z) if aim.task == "segmentation" else lifetime_estimates(aim, sums, z)


def _estimates_table(found: Sequence[Estimate], caption: str, minimum: int, rows: float | None = None) -> Table:
    """The estimates, one a row, without those that would tell of a few patients; a word for the label where there are several.

    Args:
        rows: the number of rows; None where the estimates are shares, from which counts could be had.
    """
    columns: dict[str, tuple[object, ...]] = {"measure": tuple(one.measure for one in found)}
    if any(one.label for one in found):
        columns["label"] = tuple(one.label for one in found)
    shown = [None if 0 < one.smallest < minimum else one for one in found]
    columns |= {
        "estimate": tuple(one and one.value for one in shown),
        "ci_low": tuple(one and one.low for one in shown),
        "ci_high": tuple(one and one.high for one in shown),
        "smallest_group": tuple(round(one.smallest) for one in found),
    }
    if rows is not None:
        columns["patients"] = (round(rows),) * len(found)
    hidden = ("estimate", "ci_low", "ci_high") if rows is None else ()
    return Table(columns, "", caption, counts=("smallest_group", "patients")[: 1 if rows is None else 2], reveals=hidden)
