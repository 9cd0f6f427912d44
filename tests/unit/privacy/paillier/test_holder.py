"""The key holder opens a total of a round once, and never of fewer than three sites."""

import numpy as np
import pytest

from huizhen.errors import FederationError
from huizhen.privacy.paillier.cipher import add, encrypt
from huizhen.privacy.paillier.holder import KeyHolder

SITES = ("east", "north", "south", "west")


@pytest.fixture
def each(private, slots, pool, seal):
    return {site: encrypt(np.arange(4), private.public, slots, pool=pool, seal=seal(site)) for site in SITES}


def test_a_total_is_opened_once(private, slots, seal, each):
    holder = KeyHolder(private)
    total = add(each, private.public, slots)
    seals = {site: seal(site) for site in SITES}
    np.testing.assert_array_equal(holder.open_total(total, slots, seals=seals), 4 * np.arange(4))
    with pytest.raises(FederationError, match="opened before"):
        holder.open_total(total, slots, seals=seals)


def test_totals_that_differ_by_one_site_are_not_both_opened(private, slots, seal, each):
    holder = KeyHolder(private)
    holder.open_total(add(each, private.public, slots), slots, seals={site: seal(site) for site in SITES})
    fewer = {site: each[site] for site in SITES[:3]}
    with pytest.raises(FederationError, match="opened before"):
        holder.open_total(add(fewer, private.public, slots), slots, seals={site: seal(site) for site in SITES[:3]})
    again = KeyHolder(private, opened=holder.opened)
    with pytest.raises(FederationError, match="opened before"):
        again.open_total(add(fewer, private.public, slots), slots, seals={site: seal(site) for site in SITES[:3]})


def test_a_failed_try_is_the_only_try(private, slots, seal, each):
    holder = KeyHolder(private)
    total = add({site: each[site] for site in SITES[:3]}, private.public, slots)
    with pytest.raises(FederationError, match="not the sum"):
        holder.open_total(total, slots, seals={site: seal(site) for site in SITES[1:]})
    with pytest.raises(FederationError, match="opened before"):
        holder.open_total(total, slots, seals={site: seal(site) for site in SITES[:3]})


def test_fewer_than_three_sites_are_not_opened(private, slots, seal, each):
    holder = KeyHolder(private)
    total = add({site: each[site] for site in SITES[:2]}, private.public, slots)
    with pytest.raises(FederationError, match="at least 3 sites"):
        holder.open_total(total, slots, seals={site: seal(site) for site in SITES[:2]})
    assert holder.opened == frozenset()
