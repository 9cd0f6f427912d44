"""Work in several threads gives what it gives in one, in the same order, and hides no mistake."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.paillier.arithmetic import PYTHON, gmp
from huizhen.privacy.paillier.stripes import FEWEST, in_stripes


@given(st.lists(st.integers(), max_size=10 * FEWEST), st.integers(1, 12))
def test_stripes_are_put_together_in_order(values, threads):
    assert in_stripes(lambda some: [-one for one in some], values, threads=threads) == [-one for one in values]


def test_several_threads_are_at_work_and_few_values_start_none():
    names: set[str] = set()

    def act(some):
        names.add(threading.current_thread().name)
        return list(some)

    in_stripes(act, range(3 * FEWEST), threads=3)
    assert names == {"stripe-0", "stripe-1", "stripe-2"}
    names.clear()
    in_stripes(act, range(2 * FEWEST - 1), threads=3)
    assert names == {threading.current_thread().name}


def test_a_mistake_in_one_thread_is_everyones():
    def act(some):
        if 5 in some:
            raise ValueError("five")
        return list(some)

    with pytest.raises(ValueError, match="five"):
        in_stripes(act, range(4 * FEWEST), threads=4)


@pytest.mark.parametrize("threads", [1, 3])
def test_powers_are_the_same_with_gmpy2_in_threads_and_without(threads):
    pytest.importorskip("gmpy2", reason="gmpy2 is not installed: huizhen[paillier] brings it")
    bases, exponent, modulus = [3**k + 1 for k in range(5 * FEWEST)], 2**127 - 1, 2**521 - 1
    assert gmp(threads).secret_powers(bases, exponent, modulus) == PYTHON.secret_powers(bases, exponent, modulus)
