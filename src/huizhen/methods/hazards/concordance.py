"""How often the patient with the higher predicted risk had the event first: Harrell's concordance.

A pair counts where one patient had the event and the other, of the same stratum, was followed longer, or as long and censored.
It is concordant where the first had the higher risk. C = (concordant + tied / 2) / pairs, with R's standard error by the influence
of each row. Pairs are counted in O(n log n) by a wavelet matrix (F. Claude et al., Information Systems 47 (2015) 15).

Within a site all pairs are counted exactly. Where pairs span sites, sites add up rows by cell of time and by bin of score; a pair
within one bin counts one half, so that the answer lies at most ``(pairs within a bin) / (2 pairs)`` off, which is reported.

Sources: F. E. Harrell et al., JAMA 247 (1982) 2543; T. M. Therneau and E. Atkinson, the vignette "concordance" of R's survival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from huizhen.data.examples import SITE, Examples
from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.riskset import Cells, Floats, Integers, grow
from huizhen.methods.hazards.risksums import scores
from huizhen.methods.hazards.site import risk_sets
from huizhen.methods.method import Local, Step
from huizhen.methods.survival.followup import follow_up, local_strata
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["CONCORDANCE_STEPS", "Concordance", "bins_for", "from_bins", "from_pairs", "pairs_within"]

SAME_SCORE = 1e-10  # scores nearer than this (relative to the largest) are tied: rounding must not break a tie
CELLS_TIMES_BINS = 2**19  # 4 MB for each table
MOST_BINS = 1024
FEWEST_BINS = 16


@dataclass(frozen=True, slots=True)
class Concordance:
    """Harrell's C.

    Attributes:
        value: between 0 and 1; None without a pair to compare.
        standard_error: R's; None where pairs span sites.
        error_bound: how far `value` may lie from the pairwise count; 0 where it is exact.
    """

    value: float | None
    standard_error: float | None
    error_bound: float


def from_pairs(pairs: Floats, influence: Floats) -> Concordance:
    """From joint sums: concordant, discordant and tied pairs (3,); sums of a^2, a b and b^2 of `pairs_within` (3,)."""
    count = float(pairs.sum())
    if count == 0:
        return Concordance(None, None, 0.0)
    somers = float(pairs[0] - pairs[1]) / count
    variance = (influence[0] - 2.0 * somers * influence[1] + somers**2 * influence[2]) / count**2
    return Concordance((somers + 1.0) / 2.0, float(np.sqrt(max(variance, 0.0))) / 2.0, 0.0)


def from_bins(cells: Cells, events: Floats, others: Floats) -> Concordance:
    """From joint weights by cell of time and bin of score, float64 (cell, bin): of rows with the event, and of all others."""
    later = grow(np.ascontiguousarray((events + others).T), cells.starts).T - events
    lower = np.cumsum(later, axis=1) - later
    higher = later.sum(axis=1, keepdims=True) - lower - later
    concordant, discordant, same = (float(np.sum(events * share)) for share in (lower, higher, later))
    count = concordant + discordant + same
    if count == 0:
        return Concordance(None, None, 0.0)
    return Concordance((concordant + same / 2.0) / count, None, same / (2.0 * count))


def bins_for(cells: int, rows: int, min_cell_count: int) -> int:
    """How many bins of score: few enough for the table's size, and, with a minimum, for that many rows in a bin on average."""
    most = MOST_BINS if min_cell_count <= 1 else min(MOST_BINS, rows // min_cell_count)
    return max(min(CELLS_TIMES_BINS // max(cells, 1), most), FEWEST_BINS)


def pairs_within(
    time: Floats, event: NDArray[np.bool_], stratum: Integers, weight: Floats, score: Floats, cluster: Integers | None = None
) -> tuple[Floats, Floats]:
    """Weighted pairs within strata, all arrays (row,).

    Returns:
        Concordant, discordant and tied pairs, float64 (3,); and the sums over rows of w^2 a^2, w^2 a b and w^2 b^2, float64 (3,),
        where a is a row's concordant less its discordant partners and b all its partners. With `cluster` (row,) w a and w b are
        summed within clusters first.
    """
    order = np.lexsort((~event, time, stratum))  # events before censorings of the same time
    time, event, stratum, weight, rank = time[order], event[order], stratum[order], weight[order], _ranks(score)[order]
    first, last, stop = _runs(time, event, stratum)
    # an event's partners: rows after all events of its time; of anyone: events before
    lower, tied, higher = _compare(rank, weight, last[event], stop[event], rank[event])
    concordant, discordant, equal = np.zeros(len(order)), np.zeros(len(order)), np.zeros(len(order))
    concordant[event], discordant[event], equal[event] = lower, higher, tied
    pairs = np.array([part[event] @ weight[event] for part in (concordant, discordant, equal)])
    earlier = np.concatenate(([0], np.cumsum(event)))  # events before each place
    start = np.searchsorted(stratum, stratum)
    until = np.where(event, first, last)
    lower, tied, higher = _compare(rank[event], weight[event], earlier[start], earlier[until], rank)
    concordant, discordant, equal = concordant + higher, discordant + lower, equal + tied
    a, b = weight * (concordant - discordant), weight * (concordant + discordant + equal)
    if cluster is not None:
        a, b = (np.bincount(cluster[order], each).astype(np.float64) for each in (a, b))
    return pairs, np.array([a @ a, a @ b, b @ b])


def count_pairs(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Pairs within a site's own strata."""
    model, eta, weight = _scored(question, examples, local)
    time, event = follow_up(examples, model["outcome"])
    cluster = local_strata(examples, (SITE,)) if question.facts["cluster"] else None
    pairs, influence = pairs_within(time, event, local_strata(examples, tuple(model["strata"])), weight, eta, cluster)
    return Answer({"pairs": Part(pairs, examples.rows), "influence": Part(influence, examples.rows)}, examples.rows), local


def spread_of_scores(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Sum of squares of the scores, which lie about 0 because columns are centred jointly."""
    _, eta, _ = _scored(question, examples, local)
    return Answer({"squares": Part(np.array([eta @ eta]), examples.rows)}, examples.rows), local


def count_bins(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """Weights by joint cell of time and by bin of score, of rows with the event and of all others."""
    facts = question.facts
    rows = risk_sets(facts["model"], examples, local).rows
    _, eta, _ = _scored(question, examples, local)
    bins = facts["bins"]
    place = np.minimum((ndtr(eta / facts["spread"]) * bins).astype(np.int64), bins - 1)[rows.order]
    cell = rows.cell * bins + place
    parts = {}
    for name, of in (("bin_events", rows.event), ("bin_others", ~rows.event)):
        counts = np.bincount(cell[of], rows.weight[of], rows.cells * bins).reshape(rows.cells, bins)
        # Where a site has no such row, numpy counts in integers.
        parts[name] = Part(counts.astype(np.float64), examples.rows, cells=not facts["model"]["weights"])
    return Answer(parts, examples.rows), local


CONCORDANCE_STEPS: Mapping[str, Step] = MappingProxyType({"pairs": count_pairs, "spread": spread_of_scores, "bins": count_bins})


def _scored(question: Question, examples: Examples, local: Local) -> tuple[Mapping[str, Any], Floats, Floats]:
    facts = question.facts
    eta = scores(Design.from_facts(facts["design"], local), examples, np.asarray(facts["coefficients"], np.float64))
    name = facts["model"]["weights"]
    return facts["model"], eta, examples.number(name) if name else np.ones(examples.rows)


def _ranks(score: Floats) -> Integers:
    """Rank of each score from 0, equal where scores differ by no more than rounding."""
    order = np.argsort(score, kind="stable")
    gap = SAME_SCORE * max(float(np.abs(score).max(initial=0.0)), 1.0)
    steps = np.concatenate(([0], np.cumsum(np.diff(score[order]) > gap))) if len(order) else np.zeros(0, np.int64)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = steps
    return ranks


def _runs(time: Floats, event: NDArray[np.bool_], stratum: Integers) -> tuple[Integers, Integers, Integers]:
    """For each sorted row: first row of its stratum and time, first row after the events of that time, end of its stratum."""
    fresh = np.ones(len(time), bool)
    fresh[1:] = (np.diff(time) != 0) | (np.diff(stratum) != 0)
    run = np.cumsum(fresh) - 1
    firsts = np.flatnonzero(fresh)
    events = np.bincount(run, event, minlength=len(firsts)).astype(np.int64)
    first: Integers = firsts[run]
    return first, first + events[run], np.searchsorted(stratum, stratum, side="right")


def _compare(rank: Integers, weight: Floats, low: Integers, high: Integers, than: Integers) -> tuple[Floats, Floats, Floats]:
    """For each query: weight of places low <= place < high with a rank below, equal to and above `than`; float64 (query,) each."""
    whole = np.concatenate(([0.0], np.cumsum(weight)))
    total = whole[high] - whole[low]
    below = np.zeros(len(than))
    for bit in reversed(range(int(max(rank.max(initial=0), than.max(initial=0))).bit_length())):
        is_zero = (rank >> bit) & 1 == 0
        zeros = np.concatenate(([0], np.cumsum(is_zero)))
        weights = np.concatenate(([0.0], np.cumsum(np.where(is_zero, weight, 0.0))))
        goes_right = (than >> bit) & 1 == 1
        below += np.where(goes_right, weights[high] - weights[low], 0.0)
        low = np.where(goes_right, zeros[-1] + low - zeros[low], zeros[low])
        high = np.where(goes_right, zeros[-1] + high - zeros[high], zeros[high])
        rank = np.concatenate((rank[is_zero], rank[~is_zero]))
        weight = np.concatenate((weight[is_zero], weight[~is_zero]))
    left = np.concatenate(([0.0], np.cumsum(weight)))
    equal = left[high] - left[low]
    return below, equal, total - below - equal
