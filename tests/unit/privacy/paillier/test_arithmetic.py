"""With gmpy2 or without, the numbers are the same."""

import random
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.paillier.arithmetic import PYTHON, fastest, gmp, slowness
from huizhen.privacy.paillier.cipher import add, decrypt, encrypt
from huizhen.privacy.paillier.digits import join, multiply, split
from huizhen.privacy.paillier.keys import make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table


@given(st.integers(2, 2**200), st.data())
def test_digits_multiply_as_numbers_do(n, data):
    left, right = (data.draw(st.integers(0, n * n - 1)) for _ in range(2))
    assert join(split(left, n), n) == left
    assert join(multiply(split(left, n), split(right, n), n), n) == left * right % (n * n)


def test_a_total_is_the_same_to_the_byte_with_gmpy2_and_without(private, slots, seal):
    pytest.importorskip("gmpy2", reason="gmpy2 is not installed: huizhen[paillier] brings it")
    values = np.arange(-150, 150)
    totals = []
    for arithmetic in (PYTHON, gmp()):
        table = Table.of(private.public, arithmetic)
        each = {}
        for site in "abc":
            pool = Pool(table, random.Random(site).randbytes, process=lambda: 1)
            each[site] = encrypt(values, private.public, slots, pool=pool, seal=seal(site))
        total = add(each, private.public, slots, arithmetic=arithmetic)
        opened = decrypt(total, private, slots, seals=[seal(site) for site in "abc"], arithmetic=arithmetic)
        np.testing.assert_array_equal(opened, 3 * values)
        totals.append((each, total))
    assert totals[0] == totals[1]


def test_a_key_is_the_same_with_gmpy2_and_without():
    pytest.importorskip("gmpy2", reason="gmpy2 is not installed: huizhen[paillier] brings it")
    made = [make_key(2048, random.Random(10).randbytes, arithmetic) for arithmetic in (PYTHON, gmp())]
    assert made[0] == made[1]


def test_without_gmpy2_python_counts_and_a_problem_says_how_slow(monkeypatch):
    monkeypatch.setitem(sys.modules, "gmpy2", None)
    fastest.cache_clear()
    try:
        assert fastest() is PYTHON
        problem = slowness(fastest())
        assert problem is not None
        assert "5 times" in str(problem)
        assert "huizhen[paillier]" in problem.remedy
    finally:
        fastest.cache_clear()


def test_with_gmpy2_nothing_is_said():
    pytest.importorskip("gmpy2", reason="gmpy2 is not installed: huizhen[paillier] brings it")
    assert fastest().name == "gmpy2"
    assert slowness(fastest()) is None
