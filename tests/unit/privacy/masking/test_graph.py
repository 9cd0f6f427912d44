"""Who masks with whom: everybody with everybody, and from 20 sites on with some neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.masking.graph import degree, neighbours, threshold


def roster(count):
    return tuple(f"site-{place}" for place in range(count))


@given(st.integers(3, 60), st.binary(min_size=1, max_size=8))
def test_neighbours_are_mutual_as_many_for_all_and_in_roster_order(count, seed):
    found = neighbours(roster(count), seed)
    assert tuple(found) == roster(count)
    for site, near in found.items():
        assert len(near) == degree(count)
        assert site not in near
        assert list(near) == sorted(near, key=roster(count).index)
        assert all(site in found[other] for other in near)


def test_few_sites_all_mask_with_all_and_many_with_some():
    assert [degree(count) for count in (3, 5, 19)] == [2, 4, 18]
    assert degree(20) < 19
    assert degree(1000) <= 100, "it grows with the logarithm"


def test_the_graph_is_another_for_other_adverts():
    assert neighbours(roster(30), b"one") != neighbours(roster(30), b"two")


@given(st.integers(3, 200))
def test_two_lists_cannot_both_find_enough_signers(sites):
    """Unless more than a third of the sites are in league with the hub: each honest site signs one list."""
    league = (sites - 1) // 3
    assert 2 * threshold(sites) > sites + league


@pytest.mark.parametrize(("sites", "needed"), [(3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (10, 7)])
def test_thresholds_of_few_sites(sites, needed):
    assert threshold(sites) == needed
