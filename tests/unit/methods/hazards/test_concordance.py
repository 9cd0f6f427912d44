"""Concordant pairs, counted by the definition and by the fast way; and how far a count in bins may be off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.methods.hazards.concordance import from_bins, from_pairs, pairs_within
from huizhen.methods.hazards.riskset import own_cells

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 2), st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 5)),
    min_size=1,
    max_size=40,
)


def arrays(rows):
    time, event, stratum, weight, score = (np.array(column) for column in zip(*rows))
    return time.astype(float), event.astype(bool), stratum.astype(np.int64), weight.astype(float), score / 7.0


def by_definition(time, event, stratum, weight, score):
    counts, partners = np.zeros(3), np.zeros((len(time), 3))
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if event[i] and i != j and stratum[i] == stratum[j] and later:
                kind = 0 if score[i] > score[j] else 1 if score[i] < score[j] else 2
                counts[kind] += weight[i] * weight[j]
                partners[i, kind] += weight[j]
                partners[j, kind] += weight[i]
    return counts, partners


@given(ROWS)
def test_the_fast_count_is_that_of_the_definition(rows):
    rows = arrays(rows)
    counts, partners = by_definition(*rows)
    pairs, influence = pairs_within(*rows)
    np.testing.assert_allclose(pairs, counts, atol=1e-12)
    weight = rows[3]
    a, b = weight * (partners[:, 0] - partners[:, 1]), weight * partners.sum(axis=1)
    np.testing.assert_allclose(influence, [a @ a, a @ b, b @ b], atol=1e-9)


@given(ROWS, st.integers(1, 6))
def test_a_count_in_bins_is_off_by_no_more_than_it_says(rows, bins):
    time, event, stratum, weight, score = arrays(rows)
    exact = from_pairs(*pairs_within(time, event, stratum, weight, score))
    cells, sorted_rows = own_cells(time, event, stratum, weight)
    place = np.minimum((score / score.max() * bins).astype(int), bins - 1) if score.max() else np.zeros(len(score), int)
    tables = np.zeros((2, cells.count, bins))
    np.add.at(tables, (1 - sorted_rows.event, sorted_rows.cell, place[sorted_rows.order]), sorted_rows.weight)
    binned = from_bins(cells, *tables)
    if exact.value is None:
        assert binned.value is None
    else:
        assert binned.value is not None
        assert abs(binned.value - exact.value) <= binned.error_bound + 1e-12


def test_scores_that_differ_by_rounding_are_tied():
    time, event = np.array([1.0, 2.0]), np.array([True, False])
    pairs, _ = pairs_within(time, event, np.zeros(2, np.int64), np.ones(2), np.array([0.1 + 0.2, 0.3]))
    assert pairs.tolist() == [0.0, 0.0, 1.0]


def test_without_pairs_there_is_no_concordance():
    assert from_pairs(np.zeros(3), np.zeros(3)).value is None
    assert from_pairs(np.array([3.0, 1.0, 0.0]), np.zeros(3)).value == pytest.approx(3 / 4)
