"""From the joint sums of labels to what a reader is told: areas, rates at the chosen point, calibration, curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.calibration import recalibrate
from huizhen.methods.scores.cuts import pieces
from huizhen.methods.scores.groups import least, raw, spelled_out
from huizhen.methods.scores.histogram import Area, area, middles
from huizhen.methods.scores.interval import Estimate, Floats, absent, mean, normal, share
from huizhen.methods.scores.labels import names_of
from huizhen.privacy.result import Table

__all__ = [
    "areas_of",
    "at_chosen_point",
    "bears_few",
    "calibration_table",
    "few_values",
    "label_estimates",
    "roc_table",
    "without_contrast",
]

TENTHS = 10
MACRO = "macro"


def label_estimates(aim: Aim, sums: Mapping[str, Floats], z: float, minimum: int) -> list[Estimate]:
    """Areas, Brier score, log loss, calibration; `smallest` is the least number of rows, but 0, that their digits tell of."""
    names, count, areas = names_of(aim), float(sums["weight"][0]), areas_of(aim, sums, minimum)
    by_label = [list(_of_label(sums, i, areas[i], z)) for i in range(len(names))]
    losses = list(_losses(aim, sums, count, z))
    if aim.task == "binary":
        return [*by_label[0], *losses]
    named = [one.of(name) for name, found in zip(names, by_label) for one in found]
    return [*_macro(areas, by_label, z), *losses, *named]


def areas_of(aim: Aim, sums: Mapping[str, Floats], minimum: int) -> list[Area]:
    """The area by label; of scores that take few values, that of the pieces between the published points of the curve."""
    found = []
    for i in range(len(names_of(aim))):
        curve = _curve(aim, sums, i, minimum) if few_values(sums, i, minimum) else None
        rising = (sums["positives"][i], sums["negatives"][i]) if curve is None else (curve[0][::-1], curve[1][::-1])
        found.append(area(*rising))
    return found


def few_values(sums: Mapping[str, Floats], i: int, minimum: int) -> bool:
    """Whether the scores take so few values that digits would tell how few patients are behind one of them."""
    return spelled_out(_cells(sums, i)) < minimum


def bears_few(sums: Mapping[str, Floats], i: int) -> float:
    """The smallest number of rows but 0 among those that bear the label and the others."""
    return least(_cells(sums, i).sum(axis=1))


def _cells(sums: Mapping[str, Floats], i: int) -> Floats:
    """Numbers of rows with the label and without, by bin, float64 (2, bin)."""
    return np.stack([raw(sums, "positives", "positive_rows")[i], raw(sums, "negatives", "negative_rows")[i]])


def at_chosen_point(aim: Aim, sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    """Rates at the threshold, or of the most probable class; `smallest` is the least number of rows, but 0, that they tell of."""
    names = names_of(aim)
    rows = raw(sums, "decided", "decided_rows")
    found = []
    for i, name in enumerate(names):
        tp, fn, fp, tn = sums["decided"][i].tolist()
        fewest = least(rows[i])
        parts = (
            ("sensitivity", tp, tp + fn),
            ("specificity", tn, tn + fp),
            ("positive_predictive_value", tp, tp + fp),
            ("negative_predictive_value", tn, tn + fn),
        )
        found += [share(measure, hits, of, z, fewest).of(name) for measure, hits, of in parts]
        if aim.task != "multiclass":
            agree = np.array([rows[i, 0] + rows[i, 3], rows[i, 1] + rows[i, 2]])
            found.append(share("accuracy", tp + tn, tp + fn + fp + tn, z, least(agree)).of(name))
    if aim.task == "multiclass":
        # A single class that is kept back could be had from all the others and the joint accuracy.
        fewest = min(least(one) for one in rows)
        found.insert(0, share("accuracy", float(sums["right"][0]), float(sums["weight"][0]), z, fewest).of(MACRO))
    return found


def without_contrast(aim: Aim, sums: Mapping[str, Floats]) -> tuple[str, ...]:
    """The labels that all joint rows bear, or none: there is nothing to tell them from."""
    p, n = sums["positives"].sum(axis=1), sums["negatives"].sum(axis=1)
    return tuple(name for name, bear, others in zip(names_of(aim), p, n) if bear <= 0 or others <= 0)


def roc_table(aim: Aim, sums: Mapping[str, Floats], minimum: int) -> Table:
    """Points of the ROC curve from (0, 0) to (1, 1)."""
    rows: list[tuple[object, ...]] = []
    for i, name in enumerate(names_of(aim)):
        curve = _curve(aim, sums, i, minimum)
        if curve is None:
            continue
        p, n = (np.concatenate([[0.0], np.cumsum(part)]) for part in curve[:2])
        rows += [(name, *pair) for pair in zip((n / n[-1]).tolist(), (p / p[-1]).tolist())]
    return _table(aim, ("label", "false_positive_rate", "sensitivity"), rows, "Points of the ROC curve.")


def calibration_table(aim: Aim, sums: Mapping[str, Floats], z: float, minimum: int) -> Table:
    """Mean prediction and share that came true, by tenth of predicted risk, as far as the tenths hold enough patients."""
    rows: list[tuple[object, ...]] = []
    for i, name in enumerate(names_of(aim)):
        curve = _curve(aim, sums, i, minimum)
        if curve is None:
            continue
        positives, negatives, expected, patients = (part[::-1] for part in curve)
        weight = positives + negatives
        for here in _tenths(weight):
            hits, of = float(positives[here].sum()), float(weight[here].sum())
            seen = share("observed", hits, of, z, of)
            of_rows = round(float(patients[here].sum()))
            rows.append((name, float(expected[here].sum()) / of, seen.value, seen.low, seen.high, of_rows))
    columns = ("label", "mean_predicted", "observed", "ci_low", "ci_high", "patients")
    return _table(aim, columns, rows, "Predicted risk and observed share, by tenth of predicted risk.", support="patients")


def _of_label(sums: Mapping[str, Floats], i: int, found: Area, z: float) -> Iterator[Estimate]:
    smallest, line = bears_few(sums, i), recalibrate(sums["positives"][i], sums["negatives"][i])
    if found.value is None:
        yield absent("auc", smallest)
    else:
        limits = normal("auc", found.value, found.error or 0.0, z, smallest, low=0.0, high=1.0)
        # Pairs within a bin may lie on either side: the limits hold whichever way they fall.
        low, high = (
            (None, None) if limits.low is None or limits.high is None else (limits.low - found.bound, limits.high + found.bound)
        )
        yield Estimate(
            "auc", found.value, low if low is None else max(0.0, low), high if high is None else min(1.0, high), smallest
        )
    smallest = min(smallest, spelled_out(_cells(sums, i)))
    for measure, value, error in (
        ("calibration_slope", line and line.slope, line and line.slope_error),
        ("calibration_intercept", line and line.intercept, line and line.intercept_error),
    ):
        yield absent(measure, smallest) if value is None or error is None else normal(measure, value, error, z, smallest)


def _macro(areas: Sequence[Area], by_label: Sequence[Sequence[Estimate]], z: float) -> Iterator[Estimate]:
    """The mean area over the labels; its standard error is at most the mean of theirs, which is taken."""
    known = [one for one in areas if one.value is not None]
    smallest = min(
        (one.smallest for label in by_label for one in label if one.measure == "auc" and one.value is not None), default=0.0
    )
    if not known:
        yield absent("auc").of(MACRO)
        return
    value = float(np.mean([one.value for one in known if one.value is not None]))
    error = float(np.mean([one.error or 0.0 for one in known]))
    yield normal("auc", value, error, z, smallest, low=0.0, high=1.0).of(MACRO)


def _losses(aim: Aim, sums: Mapping[str, Floats], count: float, z: float) -> Iterator[Estimate]:
    highest = {"brier": 2.0 if aim.task == "multiclass" else 1.0, "log_loss": np.inf}
    tell_of = [min(bears_few(sums, i), spelled_out(_cells(sums, i))) for i in range(len(names_of(aim)))]
    for measure, most in highest.items():
        part = sums[measure]
        found = [mean(measure, part[i], count, z, high=most) for i in range(len(part))]
        if aim.task == "multilabel":
            yield from (replace(one, smallest=few, label=name) for one, few, name in zip(found, tell_of, aim.outcome))
        else:
            few = min((one for one in tell_of if one > 0), default=0.0)
            yield replace(found[0], smallest=few, label=MACRO if aim.task == "multiclass" else "")


def _curve(aim: Aim, sums: Mapping[str, Floats], i: int, minimum: int) -> tuple[Floats, Floats, Floats, Floats] | None:
    """By piece, highest scores first, float64 (piece,): weights with the label and without, expected positives, numbers of rows.

    None where a class has too few rows for a curve.
    """
    width = sums["positives"].shape[1]
    risk = middles(width)[1]
    stack = [sums["positives"][i], sums["negatives"][i]]
    stack += [raw(sums, "positives", "positive_rows")[i], raw(sums, "negatives", "negative_rows")[i]]
    falling = np.stack([*stack, risk * (stack[0] + stack[1])])[:, ::-1]
    chosen = None
    if aim.task != "multiclass" and least(raw(sums, "decided", "decided_rows")[i]) >= minimum:
        falling, chosen = _split(falling, sums, i)
    found = pieces(falling[2], falling[3], minimum=minimum, chosen=chosen)
    if not found:
        return None
    added = np.add.reduceat(falling, [piece.start for piece in found], axis=1)
    added = added[:, added[2] + added[3] > 0]
    return added[0], added[1], added[4], added[2] + added[3]


def _split(falling: Floats, sums: Mapping[str, Floats], i: int) -> tuple[Floats, int]:
    """The bin that the chosen point lies in becomes two, so that the rows above are those called positive; and their number."""
    tp, _, fp, _ = sums["decided"][i]
    tp_rows, _, fp_rows, _ = raw(sums, "decided", "decided_rows")[i]
    upto = np.cumsum(falling[2] + falling[3])
    bin_ = int(np.searchsorted(upto, tp_rows + fp_rows, side="left"))
    before = falling[:, :bin_].sum(axis=1)
    above = np.array([tp, fp, tp_rows, fp_rows]) - before[:4]
    column = falling[:, bin_]
    whole = column[0] + column[1]
    expected = column[4] * (above[0] + above[1]) / whole if whole > 0 else 0.0
    upper = np.concatenate([above, [expected]])
    return np.concatenate([falling[:, :bin_], upper[:, None], (column - upper)[:, None], falling[:, bin_ + 1 :]], axis=1), bin_ + 1


def _tenths(weight: Floats) -> list[slice]:
    """Pieces in at most ten groups of about the same weight."""
    middle = (np.cumsum(weight) - weight / 2.0) / weight.sum()
    group = np.minimum((middle * TENTHS).astype(np.int64), TENTHS - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(weight)])]


def _table(aim: Aim, names: tuple[str, ...], rows: Sequence[tuple[object, ...]], caption: str, support: str = "") -> Table:
    """Rows as a table, without the column ``label`` where there is one label only."""
    columns = {name: tuple(row[place] for row in rows) for place, name in enumerate(names)}
    if aim.task == "binary":
        del columns["label"]
    reveals = tuple(name for name in ("false_positive_rate", "sensitivity", "observed", "ci_low", "ci_high") if name in columns)
    counts = (support,) if support else ()
    return Table(columns, "", caption, counts=counts, support=support, reveals=reveals)
