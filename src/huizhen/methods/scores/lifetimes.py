"""How well times to an event are predicted: concordance on a joint grid of time and score, and, for hazards by interval, the Brier
score at the end of each interval and the likelihood.

Rows are counted by cell of time and bin of score, those with the event apart; a pair within one bin is a tie. Within one cell of
time an event comes before every censoring, and two events are not compared. `bound` says how far both may take the answer from the
one of the exact times and scores; intervals of ``discrete_time`` are the times, so there it tells of scores alone.

Censoring in the Brier score: a row whose follow-up ended before the moment in question, without the event, counts for nothing
there; the others stand for it with the inverse probability of being still followed (E. Graf et al., Statistics in Medicine 18
(1999) 2529, equation 9), from the joint Kaplan-Meier curve of censoring, which takes censoring for independent of the prediction.
Who is censored has lived through the interval of the last visit (J. D. Singer and J. B. Willett, 1993), as in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.hazards.concordance import from_pairs
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.groups import least, raw, spelled_out
from huizhen.methods.scores.histogram import place
from huizhen.methods.scores.interval import Estimate, Floats, absent, mean, moments, normal

__all__ = ["grid_of", "lifetime_estimates", "lifetime_sums", "survival_of"]

Integers = NDArray[np.int64]

CELLS_TIMES_BINS = 2**18  # 2 MB for each of the two tables
MOST_BINS = 4096
OCTAVES, PER_OCTAVE, EARLIEST = 32, 16, 2.0**-7  # without an agreed grid: from 1/128 to 2^25 units of time, each cell 4.4 % long
FARTHEST = 700.0  # logits beyond: the hazard is 0 or 1 to the last digit


def grid_of(aim: Aim) -> Floats:
    """Upper ends of the cells of time, all but the last; float64. Those of the aim where it names any."""
    if aim.ends:
        return np.asarray(aim.ends, np.float64)
    return EARLIEST * 2.0 ** (np.arange(OCTAVES * PER_OCTAVE) / PER_OCTAVE)


def lifetime_sums(aim: Aim, outputs: Floats, targets: Floats, weights: Floats | None) -> dict[str, Floats]:
    """Sums over rows, float64: ``leaving`` (cell, bin), weights of the rows with the event, and ``staying`` of the others;
    ``followed`` (2,), numbers of rows with the event and without; ``weight`` (1,).

    For ``discrete_time`` also ``log_loss`` (2,), ``alive`` (end, 2) and ``dead`` (interval, end, 2): the squared error and its
    square of rows that live through the end, and of rows with the event in the interval, for ends from that one on; ``leavers``
    (interval, 2): weights of rows by interval with the event and without, and with weights ``leaver_rows``, numbers of rows.
    """
    time, event = np.asarray(targets[:, 0], np.float64), np.asarray(targets[:, 1], np.float64)
    w = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    discrete = aim.task == "discrete_time"
    cells = len(aim.ends) if discrete else len(grid_of(aim)) + 1
    cell = time.astype(np.int64) if discrete else np.searchsorted(grid_of(aim), time, side="left")
    score = _log_odds(survival_of(outputs)[1][:, -1]) if discrete else outputs.reshape(-1)
    bins = max(min(MOST_BINS, CELLS_TIMES_BINS // cells), 16)
    at = cell * bins + place(score, bins)
    sums = {
        name: np.bincount(at, w * part, cells * bins).astype(np.float64).reshape(cells, bins)
        for name, part in (("leaving", event), ("staying", 1.0 - event))
    }
    sums |= {"followed": np.array([event.sum(), (1.0 - event).sum()]), "weight": np.array([float(w.sum())])}
    if discrete:
        sums |= _interval_sums(outputs, cell, event, w)
        sums |= {} if weights is None else {"leaver_rows": _leavers(cell, event, np.ones(len(time)), cells)}
    return sums


def survival_of(outputs: Floats) -> tuple[Floats, Floats]:
    """Probability of living through each interval from the beginning, and its logarithm, float64 (row, interval) each.

    Args:
        outputs: logits of the hazards (row, interval).
    """
    log_survival = -np.cumsum(np.logaddexp(0.0, np.clip(outputs, -FARTHEST, FARTHEST)), axis=1)
    return np.exp(log_survival), log_survival


def lifetime_estimates(aim: Aim, sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    """Concordance, and for ``discrete_time`` the Brier score at each end (its time as the label) and the log loss."""
    value, error, bound = _concordance(sums["leaving"], sums["staying"], times_are_exact=aim.task == "discrete_time")
    smallest = least(sums["followed"])
    if value is None:
        found = [absent("concordance", smallest)]
    else:
        found = [normal("concordance", value, error or 0.0, z, smallest, low=0.0, high=1.0)]
    found.append(Estimate("concordance_error_bound", None if value is None else bound, None, None, smallest))
    if aim.task == "discrete_time":
        smallest = min(smallest, spelled_out(np.stack([sums["leaving"], sums["staying"]])))
        loss = mean("log_loss", sums["log_loss"], float(sums["weight"][0]), z)
        found += [*_brier(aim, sums, z, smallest), replace(loss, smallest=smallest)]
    return found


def _log_odds(log_survival: Floats) -> Floats:
    """Log odds of not surviving."""
    with np.errstate(divide="ignore"):
        return np.log(-np.expm1(log_survival)) - log_survival


def _interval_sums(outputs: Floats, interval: Integers, event: Floats, w: Floats) -> dict[str, Floats]:
    survival, _ = survival_of(outputs)
    ends = outputs.shape[1]
    places = np.arange(ends)
    happened = (places == interval[:, None]) & (event[:, None] > 0)
    each = np.logaddexp(0.0, np.where(happened, -outputs, outputs)) * (places <= interval[:, None])
    lives = (interval[:, None] > places) | ((interval[:, None] == places) & (event[:, None] == 0))
    error = (1.0 - survival) ** 2
    alive = np.stack([w @ (lives * error), w @ (lives * error**2)], axis=1)
    dead = np.zeros((ends, ends, 2))
    for k in range(ends):
        here = (interval == k) & (event > 0)
        share, wrong = w[here], survival[here] ** 2 * (places >= k)
        dead[k] = np.stack([share @ wrong, share @ wrong**2], axis=1)
    leavers = _leavers(interval, event, w, ends)
    loss = each.sum(axis=1)
    return {"log_loss": moments(w, loss), "alive": alive, "dead": dead, "leavers": leavers}


def _leavers(interval: Integers, event: Floats, w: Floats, ends: int) -> Floats:
    return np.stack([np.bincount(interval, w * part, ends).astype(np.float64) for part in (event, 1.0 - event)], axis=1)


def _brier(aim: Aim, sums: Mapping[str, Floats], z: float, smallest: float) -> list[Estimate]:
    """The score at each end; it tells of those with the event until then, and of the others."""
    count, rows = float(sums["weight"][0]), raw(sums, "leavers", "leaver_rows")
    events, ends = sums["leavers"].T
    at_risk = (events + ends)[::-1].cumsum()[::-1]
    lived = at_risk - events
    stays = np.divide(lived - ends, lived, out=np.ones_like(lived), where=lived > 0)
    followed = np.concatenate([[1.0], np.cumprod(stays)[:-1]])  # probability of being followed through each end
    found = []
    for j, end in enumerate(aim.ends):
        if followed[j] <= 0 or count <= 0:
            found.append(absent("brier").of(f"{end:g}"))
            continue
        each = 1.0 / followed[: j + 1]
        total = sums["alive"][j, 0] / followed[j] + each @ sums["dead"][: j + 1, j, 0]
        squares = sums["alive"][j, 1] / followed[j] ** 2 + each**2 @ sums["dead"][: j + 1, j, 1]
        known = float(rows[: j + 1, 0].sum())
        told = min(smallest, least(np.array([known, rows.sum() - known])))
        found.append(replace(mean("brier", np.array([total, squares]), count, z), smallest=told, label=f"{end:g}"))
    return found


def _concordance(leaving: Floats, staying: Floats, *, times_are_exact: bool) -> tuple[float | None, float | None, float]:
    """Value, standard error by the influence of each row, and error bound; weights (cell, bin), times rising."""
    both = leaving + staying
    later = both[::-1].cumsum(axis=0)[::-1] - leaving
    earlier = leaving.cumsum(axis=0)  # for who stays: events up to the own cell; for an event: before it
    pairs, influence = np.zeros(3), np.zeros(3)
    for weight, partners, is_first in ((leaving, later, True), (leaving, earlier - leaving, False), (staying, earlier, False)):
        lower = partners.cumsum(axis=1) - partners
        higher = partners.sum(axis=1, keepdims=True) - lower - partners
        if is_first:
            pairs = np.array([(weight * part).sum() for part in (lower, higher, partners)])
            own = (lower - higher, lower + higher + partners)
            continue
        a, b = higher - lower, lower + higher + partners
        if weight is leaving:
            a, b = a + own[0], b + own[1]
        influence += [float((weight * part).sum()) for part in (a * a, a * b, b * b)]
    found = from_pairs(pairs, influence)
    if found.value is None:
        return None, None, 0.0
    unsure = pairs[2] / 2.0
    if not times_are_exact:
        p, others = leaving.sum(axis=1), staying.sum(axis=1)
        unsure += float((p * np.maximum(p - 1.0, 0.0) / 2.0 + p * others).sum())
    return found.value, found.standard_error, float(unsure / pairs.sum())
