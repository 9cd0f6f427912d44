"""Every way of shrinking: what is linear commutes with sums, nothing is lost with feedback, malformed answers are refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.errors import CallerError, FederationError, SiteError
from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.feedback import Kept, send
from huizhen.privacy.compression.lowrank import LowRank
from huizhen.privacy.compression.quantised import Quantised, next_ranges
from huizhen.privacy.compression.shared import SharedSupport, cyclic, drawn
from huizhen.privacy.compression.shrinking import Public, Shrunk, restored
from huizhen.privacy.compression.top import TopK
from huizhen.privacy.compression.whole import Whole

BLOCKS = Blocks(("conv", "bias", "dense", "scale"), ((40, 4, 9), (33,), (65, 100), ()))
RANGES = np.full(4, 4.0)
LINEAR = {
    "whole": Whole(BLOCKS),
    "shared, cyclic": SharedSupport(BLOCKS, 4),
    "shared, drawn": SharedSupport(BLOCKS, 3, drawn),
    "shared, entries": SharedSupport(BLOCKS, 10, cyclic, 1),
    "low rank": LowRank(BLOCKS, 3),
}
FLOATS = {**LINEAR, "top-k": TopK(BLOCKS, 0.1), "top-k of runs": TopK(BLOCKS, 0.2, 37)}
LEVELS = {
    f"{name}, {bits} bits": Quantised(way, bits, 5 if way.maskable else 1) for name, way in FLOATS.items() for bits in (8, 16)
}
EVERY = {**FLOATS, **LEVELS}
each_way = pytest.mark.parametrize("way", EVERY.values(), ids=EVERY)
SEEDS = st.integers(0, 2**32)


def entropy(seed=0):
    return np.random.Generator(np.random.Philox(seed)).bytes


def values_of(seed, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(BLOCKS.size) * scale).astype(np.float32)


def later(way, rounds, seed=3):
    """What is known after some rounds of three sites."""
    public = way.begin(seed, RANGES)
    for number in range(rounds):
        total = way.total([way.shrink(values_of(100 * number + site), public, entropy(site)) for site in range(3)], public)
        public = way.next_public(public, total, 3)
    return public


@pytest.mark.parametrize("way", LINEAR.values(), ids=LINEAR)
@settings(deadline=None, max_examples=15)
@given(SEEDS, st.integers(0, 3), st.floats(-4, 4, width=32))
def test_what_is_linear_commutes_with_sums(way, seed, rounds, factor):
    assert way.maskable
    public, (a, b) = later(way, rounds), (values_of(seed), values_of(seed + 1))
    apart = way.shrink(a, public, entropy()).values + np.float32(factor) * way.shrink(b, public, entropy()).values
    together = way.shrink(a + np.float32(factor) * b, public, entropy())
    assert apart == pytest.approx(together.values, abs=2e-4)
    assert restored(way, Shrunk(apart), public) == pytest.approx(restored(way, together, public), abs=2e-4)


@each_way
@settings(deadline=None, max_examples=8)
@given(SEEDS, st.integers(1, 4))
def test_a_total_restored_is_the_sum_of_what_was_restored(way, seed, sites):
    public = later(way, 1)
    sent = [way.shrink(values_of(seed + site), public, entropy(site)) for site in range(sites)]
    apart = sum(restored(way, one, public).astype(float) for one in sent)
    assert restored(way, way.total(sent, public), public) == pytest.approx(apart, abs=1e-4)


@each_way
@settings(deadline=None, max_examples=6)
@given(SEEDS, st.integers(1, 7))
def test_what_was_sent_and_what_is_kept_is_all_there_was(way, seed, rounds):
    public, kept, there_was, sent = way.begin(seed, RANGES), Kept(), 0.0, 0.0
    for number in range(rounds):
        values = values_of(seed + number, 10.0 ** (number % 3 - 1))  # clipped now and then
        shrunk, kept = send(way, values, kept, public, entropy(number))
        there_was, sent = there_was + values.astype(float), sent + restored(way, shrunk, public).astype(float)
        public = way.next_public(public, way.total([shrunk], public), 1)
    scale = np.abs(there_was).max() + np.abs(kept.after).max()
    assert np.abs(sent + kept.after - there_was).max() <= 1e-5 * scale


@each_way
def test_values_are_not_changed_and_what_is_sent_is_not_changed_by_what_is_kept(way):
    public, values = later(way, 2), values_of(1)
    before = values.copy()
    shrunk, kept = send(way, values, Kept(), public, entropy())
    copied = shrunk.values.copy()
    kept.after[:] = 7.0
    assert np.array_equal(values, before)
    assert np.array_equal(shrunk.values, copied)


@each_way
def test_what_is_known_goes_through_bytes(way):
    public = later(way, 3)
    again = Public.from_facts(canonical.decode(canonical.encode(public.facts())))
    values = values_of(5)
    assert np.array_equal(way.shrink(values, public, entropy()).values, way.shrink(values, again, entropy()).values)
    assert again.round == 3


@each_way
def test_as_much_is_sent_as_described(way):
    counts = []
    public = way.begin(0, RANGES)
    for number in range(2):
        shrunk = way.shrink(values_of(number), public, entropy())
        counts.append(int(way.lengths(shrunk, public).sum()))
        public = way.next_public(public, way.total([shrunk], public), 1)
    described = way.describe()
    assert described["sent"] == pytest.approx(
        np.mean(counts), abs=way.inner.run if described["kind"] == "top_k" and hasattr(way, "inner") else 37
    )
    assert described["share"] == pytest.approx(described["sent"] / BLOCKS.size)


@each_way
def test_vectors_of_other_blocks_are_refused(way):
    public = way.begin(0, RANGES)
    for bad in (np.zeros(BLOCKS.size + 1, np.float32), np.zeros(BLOCKS.size)):
        with pytest.raises(CallerError, match="to compress"):
            send(way, bad, Kept(), public, entropy())


@pytest.mark.parametrize("way", LEVELS.values(), ids=LEVELS)
def test_what_a_site_must_not_send_is_refused(way):
    public = later(way, 1)
    honest = way.shrink(values_of(2), public, entropy())
    way.check(honest, public)
    too_high, negative = honest.values.copy(), honest.values.copy()
    too_high[0], negative[-1] = 127 if way.bits == 8 else 32767, -1
    wrong = [
        replace(honest, values=honest.values[:-1]),
        replace(honest, values=honest.values.astype(np.float32)),
        replace(honest, values=too_high),
        replace(honest, values=negative),
        replace(honest, places=None if honest.places is not None else np.arange(3)),
    ]
    if honest.places is not None:
        for change in (lambda p: p[::-1].copy(), lambda p: p - p[0] - 1, lambda p: p + BLOCKS.size, lambda p: np.zeros_like(p)):
            wrong.append(replace(honest, places=change(honest.places)))
    for one in wrong:
        with pytest.raises(FederationError, match="does not fit"):
            way.check(one, public)


@pytest.mark.parametrize("choose", [cyclic, drawn])
def test_one_run_of_every_group_is_sent(choose):
    groups = np.arange(1000)
    chosen = np.array([choose(9, round_, 4, groups) for round_ in range(40)])
    assert chosen.min() == 0
    assert chosen.max() == 3
    assert np.abs(np.array([np.bincount(row, minlength=4) for row in chosen]) - 250).max() < 6 * np.sqrt(1000 * 0.25 * 0.75)
    assert (
        np.array([len(set(chosen[start : start + 4, group])) for start in range(0, 40, 4) for group in range(20)]) == 4
    ).all() == (choose is cyclic)
    assert not np.array_equal(choose(9, 0, 4, groups), choose(10, 0, 4, groups))


def test_a_cyclic_support_sends_every_entry_once_in_a_period():
    way = SharedSupport(BLOCKS, 4)
    public, times = way.begin(8, RANGES), np.zeros(BLOCKS.size)
    ones = np.ones(BLOCKS.size, np.float32)
    for _ in range(4):
        shrunk = way.shrink(ones, public, entropy())
        times += restored(way, shrunk, public)
        public = way.next_public(public, shrunk, 1)
    whole_groups = np.concatenate([np.arange(size) < size // 64 * 64 for size in BLOCKS.sizes])
    assert set(times[whole_groups]) == {1.0}
    assert set(times[~whole_groups]) == {4.0}


def test_the_public_draw_is_the_same_on_every_machine():
    """Worked out once: a change here would let sites of two releases send different entries."""
    assert cyclic(1, 0, 4, np.arange(12)).tolist() == [1, 3, 2, 3, 1, 0, 1, 1, 0, 2, 1, 2]
    assert drawn(1, 2, 5, np.arange(12)).tolist() == [4, 0, 3, 2, 2, 1, 2, 1, 2, 2, 0, 2]


@settings(deadline=None)
@given(SEEDS, st.sampled_from([0.001, 0.1, 0.5]))
def test_the_largest_are_sent_and_of_equal_ones_the_first(seed, share):
    way = TopK(BLOCKS, share)
    values = np.round(values_of(seed) * 3).astype(np.float32)  # many are equal
    shrunk = way.shrink(values, way.begin(0, RANGES), entropy())
    wanted = np.sort(np.argsort(-np.abs(values), kind="stable")[: way.kept])
    assert shrunk.places.tolist() == wanted.tolist()
    assert shrunk.values.tolist() == values[wanted].tolist()


def test_runs_with_the_largest_sums_are_sent():
    way = TopK(Blocks.whole(10), 0.5, 4)  # runs of 4, 4 and 2 entries; two of them
    shrunk = way.shrink(np.array([1, 0, 0, 0, 1, 1, 1, 1, -3, 0], np.float32), way.begin(0, np.ones(1)), entropy())
    assert shrunk.places.tolist() == [1, 2]
    assert shrunk.values.tolist() == [1, 1, 1, 1, -3, 0]


def test_top_k_refuses_what_is_not_finite_and_cannot_be_masked():
    values = values_of(0)
    values[5] = np.nan
    with pytest.raises(SiteError, match="not finite"):
        TopK(BLOCKS, 0.1).shrink(values, Public(0, 0, RANGES), entropy())
    assert not Quantised(TopK(BLOCKS, 0.1)).maskable


def test_low_rank_finds_a_matrix_of_that_rank_and_follows_the_best_one():
    rng = np.random.default_rng(0)
    blocks = Blocks(("w",), ((60, 80),))
    way = LowRank(blocks, 3)
    exact = (rng.standard_normal((60, 3)) @ rng.standard_normal((3, 80))).astype(np.float32).ravel()
    noisy = exact + 0.3 * rng.standard_normal(4800).astype(np.float32)
    public, errors = way.begin(0, np.ones(1)), []
    for _ in range(2):
        shrunk = way.shrink(exact, public, entropy())
        errors.append(np.linalg.norm(restored(way, shrunk, public) - exact))
        public = way.next_public(public, shrunk, 1)
    assert errors[0] > 0.5 * np.linalg.norm(exact)
    assert errors[1] < 1e-4 * np.linalg.norm(exact)
    for _ in range(12):
        shrunk = way.shrink(noisy, public, entropy())
        found = np.linalg.norm(restored(way, shrunk, public) - noisy)
        public = way.next_public(public, shrunk, 1)
    best = np.linalg.svd(noisy.reshape(60, 80).astype(float), compute_uv=False)[3:]
    assert found == pytest.approx(np.linalg.norm(best), rel=1e-3)


def test_bases_are_orthonormal_also_when_a_total_is_nothing_or_of_lower_rank():
    way = LowRank(BLOCKS, 3)
    public = way.begin(1, RANGES)
    one_direction = np.outer(np.ones(65), np.arange(100.0)).ravel()
    for values in (np.zeros(BLOCKS.size), np.concatenate([np.zeros(1440 + 33), one_direction, [0.0]])):
        shrunk = way.shrink(values.astype(np.float32), public, entropy())
        public = way.next_public(public, shrunk, 1)
        assert set(public.bases) == {"conv", "dense"}
        for basis in public.bases.values():
            assert basis.T @ basis == pytest.approx(np.eye(3), abs=1e-6)
    with pytest.raises(FederationError, match="do not fit its shape"):
        way.shrink(values_of(0), replace(public, bases={}), entropy())


def test_ranges_follow_the_sites_even_where_their_values_cancel():
    way = Quantised(Whole(BLOCKS), 16, 2)
    values = values_of(4, 0.01)
    public = way.begin(0, np.full(4, 1e-4))  # far too narrow
    for _ in range(4):
        sent = [way.shrink(sign * values, public, entropy()) for sign in (np.float32(1), np.float32(-1))]
        public = way.next_public(public, way.total(sent, public), 2)
    assert all(one.clipped == 0 for one in sent)
    largest = np.maximum.reduceat(np.abs(values), BLOCKS.starts)
    assert (public.ranges >= 2 * largest * (1 - 1e-6)).all()
    assert (public.ranges <= 2 * largest + 1e-3).all()
    for _ in range(9):
        still = [way.shrink(np.zeros_like(values), public, entropy())] * 2
        public = way.next_public(public, way.total(still, public), 2)
    assert (public.ranges < 1e-7).all()  # and become narrow again: eight times in a round


def test_ranges_of_many_sites_are_eight_times_their_mean():
    assert next_ranges(np.ones(2), np.array([3.0, 0.0]), 4).tolist() == [3.0, 0.125]
    assert next_ranges(np.ones(1), np.array([160.0]), 160).tolist() == [8.0]


def test_fixed_ranges_tell_nothing_and_stay():
    way = Quantised(Whole(BLOCKS), 16, 2, "fixed")
    public = way.begin(0, RANGES)
    shrunk = way.shrink(values_of(1, 50.0), public, entropy())
    assert len(shrunk.values) == BLOCKS.size
    assert shrunk.clipped > 0
    assert shrunk.share_clipped == shrunk.clipped / BLOCKS.size
    assert way.next_public(public, way.total([shrunk] * 2, public), 2).ranges.tolist() == RANGES.tolist()


def test_an_answer_that_was_not_counted_leaves_what_was_kept_before():
    way = SharedSupport(BLOCKS, 4)
    public = way.begin(0, RANGES)
    sent, first = send(way, values_of(0), Kept(), public, entropy())
    after = way.next_public(public, sent, 1)
    _, counted = send(way, values_of(1), first, after, entropy(), counted=0)
    assert np.array_equal(counted.before, first.after)
    _, lost = send(way, values_of(1), first, after, entropy(), counted=-1)
    assert lost.before is None
    _, again = send(way, values_of(1), counted, after, entropy())  # the same round is asked again
    assert np.array_equal(again.after, counted.after)
    kept = Kept.from_facts(canonical.decode(canonical.encode(again.facts())))
    assert kept.round == 1
    assert np.array_equal(kept.after, again.after)


def test_blocks_without_sense_are_refused():
    for names, shapes in (((), ()), (("a", "a"), ((1,), (2,))), (("a",), ((1,), (2,))), (("a",), ((0, 3),))):
        with pytest.raises(CallerError, match="block"):
            Blocks(names, shapes)
    assert Blocks.from_facts(canonical.decode(canonical.encode(BLOCKS.facts()))) == BLOCKS
