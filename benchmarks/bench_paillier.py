"""What packed Paillier costs a site, the hub and the key holder: 1,000,000 float32 weights of 5 sites, quantised to 16 bits.

Processor seconds of one process and bytes. *Online* is all that a site does once its weights are known and its obfuscators were
made while it trained: quantise, pack, seal, one multiplication for each ciphertext, serialise; it is the median of the sites, and
the first in a process takes longer. Naive is one weight for each ciphertext, hidden by r^n; it is measured on a few weights and
multiplied, as is opening. Bars: online 0.15 s, upload 6.0 MB,
online 1,000 times less than naive. Needs gmpy2.
"""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest

from huizhen.privacy.paillier.arithmetic import PYTHON, Arithmetic, fastest
from huizhen.privacy.paillier.cipher import add, decrypt, encrypt
from huizhen.privacy.paillier.keys import SIZES, PrivateKey, make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.seals import Seal
from huizhen.privacy.paillier.slots import Slots

SITES, WEIGHTS, BITS, FEW = 5, 1_000_000, 16, 10
COMMON = secrets.token_bytes(32)


def seconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def quantised(weights: np.ndarray) -> np.ndarray:
    """Weights in [-1, 1] to integers of 16 bits, rounded to the nearest."""
    return np.rint(weights * np.float32(2 ** (BITS - 1) - 1)).astype(np.int64)


def new_seal(context: bytes) -> Seal:
    return Seal(COMMON, secrets.token_bytes(32), context)


def naive(private: PrivateKey, arithmetic: Arithmetic) -> float:
    """Seconds for all weights, one a ciphertext, from a few."""
    n = arithmetic.number(private.public.n)
    square = n * n

    def one() -> None:
        r = arithmetic.number(secrets.randbelow(private.public.n))
        arithmetic.write((1 + 12345 * n) * arithmetic.power(r, n, square) % square, private.public.ciphertext_bytes)

    return seconds(lambda: [one() for _ in range(FEW)]) / FEW * WEIGHTS


def opening(private: PrivateKey, slots: Slots, table: Table) -> tuple[float, float]:
    """Processor seconds, and seconds that pass, to open a total of all weights in a thread for each core.

    They are those of a total of a few ciphertexts, multiplied; it is also held to be right.
    """
    values = [np.random.default_rng(site).integers(-32768, 32767, 100 * slots.count, endpoint=True) for site in range(SITES)]
    seals = [new_seal(b"few") for _ in values]
    each = {}
    for site, (one, seal) in enumerate(zip(values, seals, strict=True)):
        pool = Pool(table, secrets.token_bytes, process=os.getpid)
        each[str(site)] = encrypt(one, private.public, slots, pool=pool, seal=seal)
    total = add(each, private.public, slots)
    opened: list[np.ndarray] = []
    arithmetic, passed = fastest(os.cpu_count() or 1), time.perf_counter()
    spent = seconds(lambda: opened.append(decrypt(total, private, slots, seals=seals, arithmetic=arithmetic)))
    passed = time.perf_counter() - passed
    np.testing.assert_array_equal(opened[0], sum(values))
    return spent / 100 * slots.numbers(WEIGHTS), passed / 100 * slots.numbers(WEIGHTS)


@pytest.mark.benchmark(group="paillier", timer=time.process_time)
@pytest.mark.parametrize("bits", SIZES)
def test_packed_paillier(benchmark, bits: int) -> None:
    arithmetic = fastest()
    if arithmetic is PYTHON:
        pytest.skip("gmpy2 is not installed: huizhen[paillier] brings it")
    slots, keys = Slots(BITS, SITES, bits), []
    made = seconds(lambda: keys.append(make_key(bits, secrets.token_bytes)))
    private: PrivateKey = keys[0]
    tables: list[Table] = []
    tabled = seconds(lambda: tables.append(Table.of(private.public)))
    weights = [np.random.default_rng(site).uniform(-1, 1, WEIGHTS).astype(np.float32) for site in range(SITES)]
    fills, onlines, each = [], [], {}
    for site, own in enumerate(weights):
        pool, seal = Pool(tables[0], secrets.token_bytes, process=os.getpid), new_seal(b"all")
        fills.append(seconds(lambda: pool.fill(slots.numbers(WEIGHTS))))  # noqa: B023
        start = time.process_time()
        each[str(site)] = encrypt(quantised(own), private.public, slots, pool=pool, seal=seal)
        onlines.append(time.process_time() - start)
        assert pool.late == 0
    hub = seconds(lambda: add(each, private.public, slots))
    plain = seconds(lambda: [sum(weights) for _ in range(10)]) / 10
    online, fill, upload = statistics.median(onlines), statistics.median(fills), len(each["0"])
    one_by_one, (opened, passed) = naive(private, arithmetic), opening(private, slots, tables[0])
    naive_bytes = WEIGHTS * private.public.ciphertext_bytes
    benchmark.extra_info.update(online=online, fill=fill, upload=upload, naive=one_by_one, hub=hub, opened=opened)
    print(f"\n{WEIGHTS} weights, {SITES} sites, {bits} bits, {slots.count} slots of {slots.width} bits, processor seconds:")
    print(f"  once: key {made:.2f}, table {tabled:.2f}")
    in_order = ", ".join(f"{one:.3f}" for one in onlines)
    print(f"  site, online                        {online:10.3f}   (bar: 0.15; in order: {in_order})")
    print(f"  site, obfuscators beforehand        {fill:10.2f}")
    print(f"  site, nothing beforehand            {fill + online:10.2f}")
    print(f"  site, naive ({FEW} weights, multiplied) {one_by_one:10.0f}   ({one_by_one / online:.0f} times online; bar: 1000)")
    print(f"  hub, adding                         {hub:10.2f}   (plain sum: {plain * 1000:.1f} ms)")
    alone = f"{passed:.1f} pass with {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}"
    print(f"  key holder, opening (multiplied)    {opened:10.1f}   ({alone})")
    print(
        f"  upload of a site                    {upload / 1e6:10.2f} MB (bar: 6.0; naive: {naive_bytes / 1e6:.0f}; float32: 4.00)"
    )
    warm = Pool(tables[0], secrets.token_bytes, process=os.getpid)
    warm.fill(3 * 100)
    few = quantised(weights[0][: 100 * slots.count])
    benchmark.pedantic(lambda: encrypt(few, private.public, slots, pool=warm, seal=new_seal(b"warm")), rounds=3)
