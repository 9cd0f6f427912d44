"""Obfuscators are n-th powers, made beforehand, used once: a second use is impossible and raises."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from huizhen.errors import FederationError
from huizhen.privacy.paillier.digits import join
from huizhen.privacy.paillier.obfuscators import Obfuscators, Pool


def test_an_obfuscator_is_the_power_that_its_entropy_names(table):
    n, h = table.key.n, table.key.h
    drawn = bytes(range(128)) + b"\xff" * 128
    first, second = table.draw(lambda count: drawn, 2)
    for made, exponent in ((first, drawn[:128]), (second, drawn[128:])):
        r = int.from_bytes(exponent, "little")
        assert join(made, n) == pow(pow(h, n, n * n), r, n * n)


def test_an_obfuscator_hides_zero(private, table, entropy):
    numbers = [join(digits, table.key.n) for digits in table.draw(entropy(0), 3)]
    assert len(set(numbers)) == 3
    assert private.open(numbers) == [0, 0, 0]


def test_a_filled_pool_gives_what_it_made_and_makes_the_rest(pool):
    pool.fill(5)
    pool.fill(3)
    assert (len(pool), pool.late) == (5, 0)
    assert len(pool.take(2).spend()) == 2
    assert (len(pool), pool.late) == (3, 0)
    assert len(pool.take(4).spend()) == 4
    assert (len(pool), pool.late) == (0, 1)


def test_a_pool_stops_filling_when_it_is_told_to(pool):
    answers = iter([True, False])
    pool.fill(1000, go_on=lambda: next(answers))
    assert len(pool) == 64


def test_a_batch_is_spent_once(pool):
    batch = pool.take(2)
    batch.spend()
    with pytest.raises(FederationError, match="used before"):
        batch.spend()


def test_no_two_batches_share_an_obfuscator(pool):
    pool.fill(6)
    drawn = [digits for _ in range(5) for digits in pool.take(2).spend()]
    assert len(set(drawn)) == 10


def test_threads_that_take_at_once_share_nothing(table):
    pool = Pool(table, lambda count: b"", process=lambda: 1)
    pool._ready.extend((number, 0) for number in range(20_000))
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda _: pool.take(25).spend(), range(800)))
    drawn = [digits for batch in batches for digits in batch]
    assert len(drawn) == len(set(drawn)) == 20_000


def test_of_threads_that_spend_one_batch_one_succeeds(table):
    batch = Obfuscators(table.key, [(1, 2)], lambda: 1)

    def spend(_):
        try:
            return len(batch.spend())
        except FederationError:
            return 0

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(spend, range(100))) == 1


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_obfuscators_cannot_be_copied(pool, duplicate):
    for held in (pool, pool.take(1)):
        with pytest.raises(FederationError, match="not copied"):
            duplicate(held)


def test_a_forked_process_may_not_spend_what_it_inherited(table, entropy):
    running = [1]
    pool = Pool(table, entropy(0), process=lambda: running[0])
    batch = pool.take(1)
    running[0] = 2
    for use in (batch.spend, lambda: pool.take(1), lambda: pool.fill(1)):
        with pytest.raises(FederationError, match="another process"):
            use()
    running[0] = 1
    assert len(batch.spend()) == 1


@pytest.mark.parametrize("broken", [lambda count: bytes(count), lambda count: b"\x01" * count, lambda count: b"\x01" * (count - 1)])
def test_entropy_that_repeats_itself_encrypts_nothing(table, broken):
    with pytest.raises(FederationError, match="repeats itself"):
        table.draw(broken, 2)
