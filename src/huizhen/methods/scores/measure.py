"""How good a model's outputs are, for every task: sums at a site, and what their joint total says.

    sums = measure(aim, outputs, aim.targets(examples))     # at a site, chunk by chunk, added up
    tables = quality(aim, total.sums, min_cell_count=5)     # at the hub

Every array of `measure` is an addend, of the same shape at every site, whatever classes it has; sums over sites are the sums of the
pooled rows, so the joint measures are those of the pooled rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import Problem, SiteError
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.discrimination import (
    at_chosen_point,
    calibration_table,
    label_estimates,
    roc_table,
    without_contrast,
)
from huizhen.methods.scores.histogram import BINS, area
from huizhen.methods.scores.interval import Estimate, Floats, quantile
from huizhen.methods.scores.labels import label_sums, raw
from huizhen.methods.scores.lifetimes import lifetime_estimates, lifetime_sums
from huizhen.methods.scores.numbers import number_estimates, number_sums
from huizhen.methods.scores.overlap import overlap_estimates, overlap_sums
from huizhen.privacy.result import Table

__all__ = ["COUNTS", "LABELLED", "headline", "learning", "measure", "quality", "remarks"]

LABELLED = ("binary", "multiclass", "multilabel")
COUNTS = frozenset(
    {"positives", "negatives", "decided", "positive_rows", "negative_rows", "decided_rows", "right", "weight", "rows",
     "leaving", "staying", "followed", "leavers", "images"}
)  # fmt: skip
ROUND = "round"


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
        float64 arrays. Those named in `COUNTS` are numbers of patients where `weights` is None.

    Raises:
        SiteError: an output is not a finite number.
    """
    found = np.asarray(outputs, np.float64)
    if not np.isfinite(found).all():
        problem = Problem("outputs of the model", "numbers that are not finite", "finite numbers", "Lower the learning rate")
        raise SiteError("The model cannot be judged here.", [problem])
    if aim.task == "regression":
        return number_sums(found, np.asarray(targets, np.float64), weights)
    if aim.task in ("cox", "discrete_time"):
        return lifetime_sums(aim, found, np.asarray(targets, np.float64), weights)
    if aim.task == "segmentation":
        return overlap_sums(aim, found, targets, weights)
    return label_sums(aim, found, targets, weights, bins)


def quality(aim: Aim, sums: Mapping[str, Floats], *, confidence: float = 0.95, min_cell_count: int = 5) -> dict[str, Table]:
    """The joint measures, from the sums over sites.

    Args:
        confidence: of the limits.
        min_cell_count: the policies' minimum; curves are cut so that no point tells of fewer patients.

    Returns:
        ``quality``: measure, estimate, ci_low, ci_high, smallest_group, and with several labels ``label`` before them. For labels
        also ``at_threshold`` (rates at the chosen point, same columns), ``roc`` (false_positive_rate, sensitivity) and
        ``calibration`` (mean_predicted, observed, ci_low, ci_high, patients), each with ``label`` where there are several.
        A row's ``smallest_group`` is the least number of patients but 0 that its estimate would tell of (of 50 patients and a
        sensitivity of 1 - 2/50 the 2); where it is below the minimum there is no estimate, and publication withholds the
        number. The largest ``smallest_group`` is the number of rows.
    """
    z = quantile(confidence)
    if aim.task not in LABELLED:
        return {"quality": _estimates_table(_of_task(aim, sums, z), "How good the predictions are.", min_cell_count)}
    tables = {
        "quality": _estimates_table(label_estimates(aim, sums, z), "How good the predictions are.", min_cell_count),
        "at_threshold": _estimates_table(at_chosen_point(aim, sums, z), "Rates at the chosen point.", min_cell_count, reveals=True),
    }
    curves = {"roc": roc_table(aim, sums, min_cell_count), "calibration": calibration_table(aim, sums, z, min_cell_count)}
    return tables | {name: table for name, table in curves.items() if next(iter(table.columns.values()))}


def remarks(aim: Aim, sums: Mapping[str, Floats]) -> tuple[str, ...]:
    """What a reader must know of these measures, in plain words."""
    if aim.task in LABELLED:
        found = [
            f"All rows, or none, bear {name}: nothing can tell them apart."
            if name
            else "The rows hold one class only: nothing can tell them apart."
            for name in without_contrast(aim, sums)
        ]
        bound = max((area(p, n).bound for p, n in zip(sums["positives"], sums["negatives"])), default=0.0)
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
        estimates = [one for one in _of_task(aim, sums, 0.0) if one.smallest >= min_cell_count]
        return {one.measure: one.value for one in reversed(estimates) if one.measure in wanted and one.value is not None}
    areas = [area(p, n).value for p, n in zip(sums["positives"], sums["negatives"])]
    rows = np.stack([raw(sums, f"{part}s", f"{part}_rows").sum(axis=1) for part in ("positive", "negative")]).min(axis=0)
    known = [one for one in areas if one is not None]
    tell_of_few = ((rows > 0) & (rows < min_cell_count)).any()  # of several labels, the mean less the others is the small one's
    count = float(sums["weight"][0])
    found = {"auc": float(np.mean(known))} if known and not tell_of_few else {}
    return found | ({"log_loss": float(sums["log_loss"][:, 0].mean()) / count} if count >= min_cell_count else {})


def learning(rounds: Sequence[Mapping[str, float]], *, name: str = ROUND) -> Table:
    """The course of learning: one row a round (or tree), counted from 1, a column for each measure that any of them names."""
    names = list(dict.fromkeys(measure for one in rounds for measure in one))
    columns = {measure: tuple(one.get(measure) for one in rounds) for measure in names}
    return Table({name: tuple(range(1, len(rounds) + 1)), **columns}, name, "The course of learning.")


def _of_task(aim: Aim, sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    if aim.task == "regression":
        return number_estimates(sums, z)
    return overlap_estimates(aim, sums, z) if aim.task == "segmentation" else lifetime_estimates(aim, sums, z)


def _estimates_table(found: Sequence[Estimate], caption: str, minimum: int, *, reveals: bool = False) -> Table:
    """The estimates, one a row, without those that would tell of a few patients; a word for the label where there are several."""
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
    hidden = ("estimate", "ci_low", "ci_high") if reveals else ()
    return Table(columns, "", caption, counts=("smallest_group",), reveals=hidden)
