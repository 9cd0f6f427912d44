"""Tags are linear, differ wherever slots differ, and depend on every secret."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.privacy.paillier.seals import PRIME, Seal

SEAL = Seal(b"c" * 32, b"o" * 32, b"round 1")


def numbers(seed, shape, bits):
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, dtype=np.uint64)


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.sampled_from([1, 16, 20, 21, 40, 41, 58]))
def test_a_hash_is_that_of_whole_numbers(seed, slots, bits):
    rows = numbers(seed, (4, slots), bits)
    key = [int(SEAL.hashes(np.eye(slots, dtype=np.uint64)[[slot]])[0]) for slot in range(slots)]
    expected = [sum(k * int(slot) for k, slot in zip(key, row, strict=True)) % PRIME for row in rows]
    assert SEAL.hashes(rows).tolist() == expected


def test_a_hash_is_exact_for_as_many_and_as_large_slots_as_there_are():
    rows = np.full((2, 1024), (1 << 58) - 1, np.uint64)
    key = [int(SEAL.hashes(np.eye(1024, dtype=np.uint64)[[slot]])[0]) for slot in range(1024)]
    assert SEAL.hashes(rows).tolist() == [sum(key) * ((1 << 58) - 1) % PRIME] * 2


@settings(deadline=None)
@given(st.integers(0, 999))
def test_hashes_of_a_sum_are_the_sum_of_hashes(seed):
    one, other = numbers(seed, (5, 30), 40), numbers(seed + 1000, (5, 30), 40)
    together = (SEAL.hashes(one) + SEAL.hashes(other)) % np.uint64(PRIME)
    np.testing.assert_array_equal(SEAL.hashes(one + other) % np.uint64(PRIME), together)


def test_a_tag_depends_on_the_slot_and_on_every_secret():
    rows = numbers(0, (3, 8), 19)
    tags = SEAL.tags(rows)
    assert tags.max() <= PRIME
    for slot in range(8):
        changed = rows.copy()
        changed[:, slot] += np.uint64(1)
        assert (SEAL.tags(changed) != tags).all()
    for other in (
        Seal(b"d" * 32, SEAL.own, SEAL.context),
        Seal(SEAL.common, b"p" * 32, SEAL.context),
        Seal(SEAL.common, SEAL.own, b"round 2"),
    ):
        assert (other.tags(rows) != tags).all()
    assert (rows[0] == SEAL.tags(np.stack([rows[0], rows[0]]))[0]).sum() == 0
    same = SEAL.tags(np.stack([rows[0], rows[0]]))
    assert same[0] != same[1], "each number has a pad of its own"


def test_secrets_are_not_shown():
    assert "cccc" not in repr(SEAL)
    assert "oooo" not in repr(SEAL)


@pytest.mark.parametrize("secrets", [(b"c" * 31, b"o" * 32, b"r"), (b"c" * 32, b"", b"r"), (b"c" * 32, b"o" * 32, b"")])
def test_a_seal_without_its_secrets_is_refused(secrets):
    with pytest.raises(FederationError, match="32 and 32 bytes"):
        Seal(*secrets)
