"""The order of rows is drawn by counter: the same for one site as for many, and every step takes each row of a pass once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.methods.training.order import ORDER, Schedule, coin, draw, row_orders, seed_of

COUNTS = st.lists(st.integers(1, 40), min_size=1, max_size=6).map(np.array)


def test_a_draw_is_splitmix64():
    # The first three numbers of the published generator from seed 1234567 (Steele, Lea and Flood 2014; Vigna's splitmix64.c).
    assert draw(seed_of(1234567), np.arange(3)).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@settings(deadline=None)
@given(st.integers(-(2**70), 2**70), COUNTS, st.integers(0, 5))
def test_an_order_is_a_permutation_and_does_not_depend_on_the_other_sites(seed, counts, epoch):
    seeds = draw(seed_of(seed), np.arange(len(counts)))
    together = row_orders(seeds, np.full(len(counts), epoch), counts)
    for site, rows in enumerate(counts):
        alone = row_orders(seeds[site : site + 1], np.array([epoch]), counts[site : site + 1])
        assert sorted(alone[0]) == list(range(rows))
        np.testing.assert_array_equal(together[site, :rows], alone[0])


def test_every_order_of_three_rows_comes_equally_often():
    orders = row_orders(draw(seed_of(5), np.arange(60_000)), np.zeros(60_000, int), np.full(60_000, 3))
    _, counts = np.unique(orders @ [9, 3, 1], return_counts=True)
    assert len(counts) == 6
    assert abs(counts - 10_000).max() < 5 * np.sqrt(10_000)  # five standard deviations


def test_another_pass_and_another_seed_have_another_order():
    orders = [row_orders(seed_of(seed), np.array([epoch]), np.array([50]))[0] for seed, epoch in [(1, 0), (1, 1), (2, 0)]]
    assert len({order.tobytes() for order in orders}) == 3


def test_a_coin_is_fair_and_independent_of_the_order():
    seeds = seed_of(3)
    heads = coin(seeds, np.arange(40_000))
    assert abs(heads.mean() - 0.5) < 5 * 0.5 / 200
    assert abs(np.corrcoef(heads, draw(draw(seeds, ORDER), np.arange(40_000)))[0, 1]) < 5 / 200


@settings(deadline=None)
@given(COUNTS, st.integers(1, 12), st.integers(1, 3), st.integers(0, 9), st.booleans())
def test_a_pass_takes_every_row_once_in_batches(counts, batch, epochs, steps, pairs):
    schedule = Schedule.of(counts, batch, epochs=epochs, steps=steps, pairs=pairs)
    for site, rows in enumerate(counts):
        assert schedule.steps[site] == (steps or epochs * schedule.per_epoch[site])
        taken = []
        for step in range(schedule.per_epoch[site]):
            first, count = (each[site] for each in schedule.bounds(step))
            taken += range(first, first + count)
            assert count <= batch + pairs
            assert count > 1 or not pairs or rows == 1 or batch == 1
        assert taken == list(range(rows))
        assert schedule.epoch(int(schedule.per_epoch[site]))[site] == 1
