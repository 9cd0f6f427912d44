"""A key, slots and what sites need to encrypt, all from seeds: never so outside tests."""

import random

import pytest

from huizhen.privacy.paillier.keys import make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.seals import Seal
from huizhen.privacy.paillier.slots import Slots


def entropy_of(seed):
    return random.Random(seed).randbytes


@pytest.fixture
def entropy():
    return entropy_of


# Seeds that meet primes early: 370, 64 and 10 of the first 400 for 2048 bits.
@pytest.fixture(scope="session")
def private():
    return make_key(2048, entropy_of(370))


@pytest.fixture(scope="session")
def another():
    return make_key(2048, entropy_of(64))


@pytest.fixture(scope="session")
def table(private):
    return Table.of(private.public)


@pytest.fixture
def pool(table):
    return Pool(table, entropy_of("pool"), process=lambda: 1)


@pytest.fixture(scope="session")
def slots():
    return Slots(16, 5, 2048)


@pytest.fixture(scope="session")
def seal():
    """A site's seal by its name, for a context."""
    return lambda site, context=b"round 1": Seal(b"c" * 32, site.encode().ljust(32), context)
