"""A lane keeps its rate, its delay, its losses and TCP's window, on given times."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.twin.lab.lane import FIRST_WINDOW, PACKET, Bucket, Lane


def test_a_lane_of_100_kbyte_a_second_carries_a_megabyte_in_10_s_and_a_delay():
    lane = Lane(rate=100_000, delay_s=0.02, windowed=False)
    assert lane.carry(1_000_000, at=3.0) == pytest.approx(3.0 + 10.0 + 0.02)


@given(
    st.floats(1e4, 1e8),
    st.floats(0, 0.3),
    st.lists(st.tuples(st.floats(0, 0.05), st.integers(1, 200_000)), min_size=1, max_size=30),
)
def test_no_more_than_the_rate_passes_and_nothing_overtakes(rate, delay, pieces):
    lane, at, arrivals, total = Lane(rate=rate, delay_s=delay), 0.0, [], 0
    for pause, size in pieces:
        at += pause
        total += size
        arrivals.append(lane.carry(size, at))
        assert arrivals[-1] >= at + size / rate + delay - 1e-9
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] >= total / rate + delay - 1e-6


def test_a_burst_passes_at_once_after_a_rest_and_not_twice():
    bucket = Bucket(rate=1000.0, burst=500.0)
    assert [bucket.through(500, at=0.0), bucket.through(500, at=0.0)] == [0.0, 0.5]


def test_slow_start_takes_a_round_trip_for_every_doubling_of_the_window():
    # 15 first windows: 1 + 2 + 4 + 8, so the last is sent after three acknowledgements, and takes half a round trip to arrive.
    rtt = 0.1
    arrives = Lane(delay_s=rtt / 2).carry(15 * FIRST_WINDOW, at=0.0)
    assert 3 * rtt + rtt / 2 <= arrives + 1e-9 <= 4 * rtt + rtt / 2 + 1e-6


def test_a_window_that_has_grown_is_kept_while_the_sender_is_busy_and_lost_when_it_rests():
    lane = Lane(delay_s=0.05)
    first = lane.carry(2_000_000, at=0.0)
    acknowledged = first + 0.05
    assert lane.carry(200_000, at=acknowledged) - acknowledged == pytest.approx(0.05)
    later = first + 60.0
    assert lane.carry(200_000, at=later) - later > 0.25


def test_losses_slow_a_long_transfer_about_as_the_square_root_law_says():
    # Mathis et al. 1997: MSS / RTT * sqrt(3/2) / sqrt(p) for halving; a window that shrinks to 0.7 is faster by up to 1.4 times.
    rtt, loss, size = 0.05, 0.001, 30_000_000
    usual = PACKET / rtt * math.sqrt(1.5 / loss)
    seen = [size / Lane(delay_s=rtt / 2, loss=loss, seed=seed).carry(size, at=0.0) for seed in range(5)]
    assert 0.6 * usual < sum(seen) / len(seen) < 2.5 * usual
    assert size / Lane(delay_s=rtt / 2).carry(size, at=0.0) > 3 * usual


def test_two_lanes_on_one_line_share_its_rate():
    shared = Bucket(1_000_000)
    lanes = [Lane(shared=shared, windowed=False) for _ in range(2)]
    assert max(lane.carry(500_000, at=0.0) for lane in lanes) == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_losses():
    def arrivals(seed):
        lane = Lane(rate=1e6, delay_s=0.02, loss=0.05, seed=seed)
        return [lane.carry(20_000, at=place * 0.1) for place in range(20)]

    assert arrivals(4) == arrivals(4)
    assert arrivals(4) != arrivals(5)
