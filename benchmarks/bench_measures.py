"""Measures of a binary model by sums, on 1,000,000 rows over 10 sites, against scikit-learn's on the pooled rows.

Bars: no more processor time than `roc_auc_score`, `brier_score_loss` and `log_loss` together; an area within its stated bound, and
a bound of at most 0.0001. Everything else (intervals, rates, calibration, curves) comes with it.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.special import expit

from huizhen.data.examples import chunks
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.histogram import area
from huizhen.methods.scores.measure import measure, quality

ROWS, SITES = 1_000_000, 10
AIM = Aim("binary", ("died",), ("0", "1"))


def by_sums(logits, died):
    total = {}
    for part in np.array_split(np.arange(ROWS), SITES):
        for rows in chunks(len(part)):
            sums = measure(AIM, logits[part[rows], None], died[part[rows]])
            total = {name: total[name] + values for name, values in sums.items()} if total else sums
    return total, quality(AIM, total)


def test_measures_by_sums_cost_no_more_than_those_of_the_pooled_rows():
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    rng = np.random.default_rng(0)
    logits = rng.normal(-1.0, 1.3, ROWS)
    died = (rng.random(ROWS) < expit(logits)).astype(float)
    seconds = {"sums": np.inf, "sklearn": np.inf}
    for _ in range(3):
        start = time.process_time()
        total, _ = by_sums(logits, died)
        seconds["sums"] = min(seconds["sums"], time.process_time() - start)
        start = time.process_time()
        share = expit(logits)
        truth, _, _ = roc_auc_score(died, logits), brier_score_loss(died, share), log_loss(died, share)
        seconds["sklearn"] = min(seconds["sklearn"], time.process_time() - start)
    found = area(total["positives"][0], total["negatives"][0])
    off = abs(found.value - truth)
    print(f"\nby sums, all measures {seconds['sums']:.2f} s; scikit-learn, three of them {seconds['sklearn']:.2f} s")
    print(f"ratio {seconds['sums'] / seconds['sklearn']:.2f}; area {off:.1e} off, bound {found.bound:.1e}")
    assert seconds["sums"] <= seconds["sklearn"]
    assert off <= found.bound <= 1e-4
