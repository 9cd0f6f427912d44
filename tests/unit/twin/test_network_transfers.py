"""Transfers by formula, as a fluid and packet by packet: the laws that all keep, and what each is right about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import CallerError
from huizhen.twin.network.analytic import Moving, alone, parts_alone, rounds_alone
from huizhen.twin.network.fluid import fluid
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import Route, medians, routed, states
from huizhen.twin.network.packet import packets
from huizhen.twin.network.sharing import shares
from huizhen.twin.network.star import Star, star
from huizhen.twin.network.starlines import star_lines
from huizhen.twin.network.topology import hub_paths, path
from huizhen.twin.network.transfer import Flow, transfer, wire_bytes
from huizhen.twin.network.windows import loss_cap
from huizhen.twin.quantity import declared, exactly
from lines_of_a_mirror import hub_and_sites, link, mirror_of, route

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN = Framing(tls=False)
SIZES = st.floats(1e3, 2e7)
RATES, RTTS = st.floats(1e5, 1e8), st.floats(1e-4, 0.3)
FLOWS = st.lists(st.tuples(SIZES, RATES, RTTS, st.floats(0, 3)), min_size=1, max_size=6)


def moving(some, hub, *, scale=1.0):
    return [
        Moving(f"f{i}", size, start, 0.0, route(rate * scale, rtt, hub=hub * scale, place=i, queue=1e5 * scale))
        for i, (size, rate, rtt, start) in enumerate(some)
    ]


def test_a_packet_carries_its_headers_and_a_record_its_tag():
    # 16384 bytes: one record of 22 more; 16406 / 1448 = 11.3, so 12 packets of 52 bytes of headers, and 8 each for the tunnel
    assert Framing().wire(16_384, 8) == 16_384 + 22 + 12 * (52 + 8)
    assert PLAIN.wire(1448) == 1500
    assert Framing().wire(0) == 0


def test_a_transfer_alone_takes_the_rounds_of_slow_start_and_then_the_rate_of_its_line():
    one = Moving("f", 1_000_000, 0.0, 2.0, route(2.5e6, 0.06))
    parts = parts_alone(one, PLAIN)
    rate = 2.5e6 * 1448 / 1500
    # windows of 10, 20, 40, 80 segments last less than a round trip at this rate, 160 do not
    sent = 1448 * (10 + 20 + 40 + 80)
    assert parts.opening == pytest.approx(2 * 0.06)
    assert parts.starting == pytest.approx(4 * 0.06)
    assert parts.sending == pytest.approx((1_000_000 - sent) / rate)
    assert parts.arriving == pytest.approx(0.03)


@settings(deadline=None, max_examples=60)
@given(SIZES, RATES, RTTS, st.floats(0, 2), st.floats(0, 5e4))
def test_a_fluid_of_one_is_the_formula(size, rate, rtt, opens, burst):
    one = Moving("f", size, 1.0, opens, route(rate, rtt, hub=1e9, burst=burst))
    assert fluid([one], PLAIN)[0] == pytest.approx(1.0 + parts_alone(one, PLAIN).seconds, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(FLOWS, st.floats(2e5, 5e7), st.floats(1.0, 50.0))
def test_scaling_all_rates_and_queues_up_equally_never_lengthens_a_set_of_long_transfers(some, hub, scale):
    some = [(size, rate, 1e-6, start) for size, rate, _, start in some]
    before, after = (fluid(moving(some, hub, scale=by), PLAIN, growth_s=None) for by in (1.0, scale))
    assert after.max() <= before.max() * (1 + 1e-9)


@settings(deadline=None, max_examples=40)
@given(FLOWS, st.floats(2e5, 5e7), st.randoms(use_true_random=False))
def test_the_order_in_which_flows_are_named_does_not_matter(some, hub, random):
    flows = moving(some, hub)
    order = list(range(len(flows)))
    random.shuffle(order)
    shuffled = fluid([flows[i] for i in order], PLAIN)
    assert shuffled == pytest.approx(fluid(flows, PLAIN)[order], rel=1e-4)


@settings(deadline=None, max_examples=60)
@given(FLOWS, st.floats(2e5, 5e7))
def test_no_line_carries_more_than_its_rate_allows_and_no_transfer_is_faster_than_alone(some, hub):
    flows = moving(some, hub)
    ends = fluid(flows, PLAIN)
    starts = np.array([one.start for one in flows])
    busy = ends.max() - starts.min()
    assert sum(one.stream for one in flows) <= hub / PLAIN.per_byte() * busy * (1 + 1e-9) + 1500 * 2 * len(flows)
    for one, end in zip(flows, ends, strict=True):
        least = alone(one.route, PLAIN)
        assert end - one.start >= one.stream / least.rate - least.burst / least.rate - 1e-9


def test_shares_fill_a_line_by_weight_and_leave_what_an_own_line_cannot_take():
    rate, full = shares(np.array([1.0, 1.0, 2.0]), np.array([1.0, 99.0, 99.0]), np.ones((1, 3)), np.array([10.0]))
    assert rate == pytest.approx([1, 3, 6])
    assert full.all()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_every_transfer_is_held_by_its_cap_or_by_a_full_line_on_which_none_has_more_for_its_weight(n, lines, seed):
    rng = np.random.default_rng(seed)
    weight, cap = rng.uniform(0.1, 3, n), rng.uniform(0.1, 5, n)
    use, capacity = (rng.random((lines, n)) < 0.6).astype(float), rng.uniform(0.5, 5, lines)
    rate, _ = shares(weight, cap, use, capacity)
    assert (use @ rate <= capacity * (1 + 1e-9)).all()
    for i in range(n):
        full = [row for row in range(lines) if use[row, i] and use[row] @ rate >= capacity[row] * (1 - 1e-9)]
        best = any((rate[i] / weight[i] >= (rate / weight)[use[row] > 0] - 1e-9).all() for row in full)
        assert rate[i] == pytest.approx(cap[i]) or best


def test_a_connection_that_had_lost_much_grows_slowly_into_a_line_that_the_others_leave():
    some = [(2e6, 5e6, 0.01, 0.0), (2e6, 5e6, 0.01, 0.0), (2e6, 5e6, 0.08, 0.0)]
    grows, at_once = (fluid(moving(some, 2.5e6), PLAIN, **how)[2] for how in ({}, {"growth_s": None}))
    assert grows > at_once * 1.1


def test_connections_take_turns_where_the_sending_machine_shapes_the_line():
    one, other = (Moving(f"f{i}", 2e6, 0.0, 0.0, route(5e6, rtt, hub=2.5e6, place=i)) for i, rtt in enumerate((0.01, 0.06)))
    ends = fluid([one, other], PLAIN)
    assert ends[1] > ends[0] * 1.2
    turns = [replace(each, route=_waiting(each.route)) for each in (one, other)]
    fair = fluid(turns, PLAIN)
    assert fair[1] == pytest.approx(fair[0], rel=0.1)
    assert packets(turns, PLAIN)[1] == pytest.approx(fair[1], rel=0.05)


def _waiting(here: Route) -> Route:
    """From the hub, whose own machine shapes its line."""
    own, hub = here.ahead
    return Route((replace(hub, drops=False), own), here.back)


@pytest.mark.parametrize(("spread_s", "seed"), [(0.0, 1), (1.0, 2), (20.0, 3)])
def test_a_round_of_many_sites_is_shared_out_within_a_percent_of_the_exact_fluid(spread_s, seed):
    rng = np.random.default_rng(seed)
    n = 300
    rate, rtt, size = rng.lognormal(np.log(2e6), 0.7, n), rng.uniform(0.005, 0.12, n), rng.lognormal(np.log(3e6), 0.4, n)
    start = rng.exponential(spread_s, n) if spread_s else np.zeros(n)
    hub = rate.sum() * 0.1
    exact = fluid(moving(list(zip(size, rate, rtt, start, strict=True)), hub), PLAIN, growth_s=None)
    per_byte = PLAIN.per_byte()
    here = Star(rate / per_byte, rtt, rtt / 2 + 1500 / 1e15, hub / per_byte, queue_s=0.5 * 1e5 / hub)
    found = star(here, size[None], start, framing=PLAIN)[0]
    assert np.mean(np.abs(found - exact) / (exact - start)) < 0.01
    assert found.max() == pytest.approx(exact.max(), rel=0.005)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(FLOWS, st.floats(2e5, 5e7))
def test_a_round_of_few_sites_is_the_exact_fluid_where_slow_start_is_over_at_once(some, hub):
    some = [(size, rate, 1e-6, start) for size, rate, _, start in some]
    exact = fluid(moving(some, hub), PLAIN, growth_s=None)
    size, rate, rtt, start = (np.array(one) for one in zip(*some, strict=True))
    per_byte = PLAIN.per_byte()
    own = np.array([alone(one.route, PLAIN).rate for one in moving(some, hub)])
    here = Star(own, rtt, rtt / 2, hub / per_byte, queue_s=0.5 * 1e5 / hub if len(some) > 1 else 0.0)
    # Whoever comes in the very moment in which a queue drains waits for it in the one and not in the other.
    least = 3000 / min(rate.min(), hub) + here.queue_s
    assert star(here, size[None], start, framing=PLAIN)[0] == pytest.approx(exact, rel=5e-3, abs=least)


def test_rounds_of_which_some_fill_the_line_and_others_do_not_stand_side_by_side():
    rng = np.random.default_rng(6)
    rate, rtt = rng.lognormal(np.log(2e6), 0.7, 2000), rng.uniform(0.005, 0.12, 2000)
    size, start = rng.lognormal(np.log(3e6), 0.3, (4, 2000)), rng.exponential([[0.1], [2.0], [10.0], [200.0]], (4, 2000))
    hub = rate.sum() * 0.1
    found = star(Star(rate, rtt, rtt / 2, hub), size, start)
    assert (found - start >= size / rate * (1 - 1e-9)).all()
    for ends, sizes, starts in zip(found, size, start, strict=True):
        assert sizes.sum() / hub <= (ends.max() - starts.min()) * (1 + 1e-6)


def test_rounds_side_by_side_are_the_rounds_one_by_one_and_who_does_not_take_part_ends_as_it_starts():
    rng = np.random.default_rng(4)
    rate, rtt = rng.uniform(1e6, 1e7, 20), rng.uniform(0.01, 0.1, 20)
    size, start = rng.uniform(1e5, 1e6, (3, 20)), rng.uniform(0, 1, (3, 20))
    size[1, :5] = 0.0
    here = Star(rate, rtt, np.zeros(20), 5e6)
    together = star(here, size, start)
    for i in range(3):
        assert together[i] == pytest.approx(star(here, size[i : i + 1], start[i : i + 1])[0], rel=1e-9)
    assert (together[1, :5] == start[1, :5]).all()


def test_many_transfers_by_formula_are_each_by_formula():
    some = [
        Moving(str(i), size, 0.0, 0.0, route(rate, 0.03)) for i, (size, rate) in enumerate([(1e4, 1e6), (1e6, 1e7), (5e7, 1e6)])
    ]
    streams, rates = np.array([one.stream for one in some]), np.array([alone(one.route, PLAIN).rate for one in some])
    assert rounds_alone(streams, rates, np.full(3, 0.03)) == pytest.approx([parts_alone(one, PLAIN).seconds for one in some])
    equal = rounds_alone(np.full((2, 10), 1e6), np.full(10, 1e6), np.full(10, 0.02), hub_rate=2e6)
    assert equal == pytest.approx(np.full((2, 10), 10 * 1e6 / 2e6 + 0.01))


def test_a_line_that_loses_packets_holds_cubic_and_reno_down():
    # RFC 9438, table 1: at p = 1e-4 CUBIC's average window is 187 segments at 0.1 s; Reno's is sqrt(3 / (2 x 2 p)) with two a reply
    assert loss_cap(0.1, 1e-4, 1448) == pytest.approx(1448 / 0.1 * 187, rel=0.01)
    assert loss_cap(0.1, 1e-4, 1448, congestion="reno") == pytest.approx(1448 / 0.1 * np.sqrt(3 / 4e-4), rel=0.05)
    assert loss_cap(0.1, 0.0, 1448) == np.inf
    few, many = (loss_cap(0.05, loss, 1448) for loss in (1e-4, 1e-2))
    assert many < few / 5


def test_packets_of_a_transfer_alone_take_what_the_formula_says():
    for size, rate, rtt in ((3e5, 2.5e6, 0.02), (2e6, 2.5e6, 0.06), (5e6, 6e6, 0.01)):
        one = Moving("f", size, 0.0, 0.0, route(rate, rtt, queue=3e5))
        assert packets([one], PLAIN)[0] == pytest.approx(parts_alone(one, PLAIN).seconds, rel=0.05)


@pytest.mark.parametrize("congestion", ["cubic", "reno"])
def test_packets_that_press_on_a_line_fill_it_and_the_same_seed_gives_the_same_run(congestion):
    flows = moving([(1e6, 5e6, 0.02, 0.0), (1e6, 5e6, 0.03, 0.0), (2e6, 5e6, 0.02, 0.1)], 2.5e6)
    first, again, other = (packets(flows, PLAIN, congestion=congestion, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert 4e6 / (2.5e6 * 1448 / 1500) < first.max() < 1.3 * 4e6 / (2.5e6 * 1448 / 1500)


def test_lost_packets_are_sent_again_until_all_are_there():
    one = Moving("f", 5e5, 0.0, 0.0, route(2.5e6, 0.02))
    lossy = replace(one, route=Route((replace(one.route.ahead[0], loss=0.05),), one.route.back))
    assert packets([lossy], PLAIN, seed=3)[0] > 1.5 * packets([one], PLAIN, seed=3)[0]


def flows_of(mirror, sizes, *, start=0.0):
    paths = hub_paths(mirror)
    return [Flow(name, paths[name].reverse, size, start) for name, size in zip(paths, sizes, strict=True)]


@pytest.mark.parametrize("level", ["analytic", "fluid", "packet"])
def test_parts_add_up_to_the_seconds_and_the_same_seed_gives_the_same_forecast(level):
    mirror = hub_and_sites([2e6, 4e6, 1e6], [0.02, 0.05, 0.01], 3e6)
    flows = flows_of(mirror, [300_000, 400_000, 500_000], start=0.5)
    found, again = (transfer(flows, mirror, level=level, draws=5, seed=3) for _ in range(2))
    assert found == again
    for one in found.flows:
        assert sum(part.value for part in one.seconds.parts.values()) == pytest.approx(one.seconds.total.value)
        assert one.end.value == pytest.approx(0.5 + one.seconds.total.value)
        assert one.seconds.total.low <= one.seconds.total.value <= one.seconds.total.high
    if level != "packet":
        assert found.makespan.total.value == pytest.approx(max(one.seconds.total.value for one in found.flows))


def test_a_line_in_doubt_opens_the_interval_and_its_provenance_is_named():
    def with_rate(rate):
        mirror = mirror_of([link("l", "hub", "north", there=rate)], ["north"])
        return transfer([Flow("f", path(mirror, "hub", "north"), 5_000_000)], mirror, draws=200).flows[0].seconds.total

    sure, doubted = with_rate(exactly(2.5e6, "byte/s")), with_rate(declared(2.5e6, "byte/s", spread=1.5))
    assert (sure.provenance, doubted.provenance) == ("fitted", "declared")
    assert sure.spread < 1.05
    assert doubted.spread == pytest.approx(1.5, rel=0.15)


def test_flows_that_cannot_be_are_named_all_at_once():
    mirror = hub_and_sites([2e6], [0.02], 3e6)
    good = flows_of(mirror, [1000])[0]
    elsewhere = path(mirror_of([link("moon", "hub", "north")], ["north"]), "hub", "north")
    with pytest.raises(CallerError) as error:
        transfer([good, good, Flow("g", elsewhere, -1)], mirror, level="quantum")  # type: ignore[arg-type]
    assert [problem.found for problem in error.value.problems] == ["quantum", "twice", "a number below 0", "link moon"]


def test_what_is_too_large_for_packets_is_refused_and_nothing_at_all_takes_no_time():
    mirror = hub_and_sites([2e6], [0.02], 3e6)
    with pytest.raises(CallerError, match="packet by packet"):
        transfer(flows_of(mirror, [10**10]), mirror, level="packet")
    assert transfer([], mirror).makespan.total.value == 0
    assert transfer([Flow("here", path(mirror, "hub", "hub"), 1000)], mirror).flows[0].seconds.total.value == 0


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=5), st.integers(0, 10**7))
def test_a_flow_more_leaves_the_bytes_of_the_others_as_they_were(sizes, more):
    mirror = hub_and_sites([2e6] * 6, [0.02] * 6, 3e6)
    flows = flows_of(mirror, [*sizes, more, *[0] * (5 - len(sizes))])[: len(sizes) + 1]
    bytes_of = [sum(wire_bytes(one, mirror).values()) for one in flows]
    without = [sum(wire_bytes(one, mirror).values()) for one in flows[:-1]]
    assert bytes_of[:-1] == without
    assert all(on_wire >= 2 * one.size for on_wire, one in zip(bytes_of, flows, strict=True))


@pytest.mark.parametrize("drops", [True, False])
def test_a_mirror_whose_sites_share_one_line_is_a_star_that_agrees_with_the_fluid(drops):
    mirror = hub_and_sites([2e6, 4e6, 1e6, 3e6], [0.02, 0.05, 0.01, 0.03], 3e6, drops=drops)
    flows, paths = flows_of(mirror, [2_000_000] * 4), hub_paths(mirror)
    here = states(mirror, paths.values(), NOW)
    found = star_lines(paths, "up", here, medians(here))
    assert found is not None
    ends = star(found, np.array([[Framing().stream(one.size) for one in flows]]))[0]
    some = [Moving(one.name, Framing().stream(one.size), 0, 0, routed(one.path, here, medians(here))) for one in flows]
    assert ends == pytest.approx(fluid(some, Framing(), growth_s=None), rel=0.02)


def test_sites_that_share_lines_in_parts_are_no_star():
    links = [link("a", "hub", "r"), link("b", "r", "s0"), link("c", "r", "s1"), link("d", "hub", "s2")]
    mirror = mirror_of(links, ["s0", "s1", "s2"])
    paths = hub_paths(mirror)
    here = states(mirror, paths.values(), NOW)
    assert star_lines(paths, "down", here, medians(here)) is None
    alone_there = {"s2": paths["s2"]}
    only = star_lines(alone_there, "down", here, medians(here))
    assert only is not None
    assert only.hub_rate == np.inf
