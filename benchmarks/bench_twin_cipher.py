"""What the twin's cipher model is worth: sizes and seconds that it foretells, beside measured ones, and its error card.

The device is calibrated once; lengths that were not in the calibration are then measured, in processor time, the least of some
repetitions. The usual formula beside it is bytes over 500 MB a second. Bars: sizes exact, seconds within 2.5 % for long runs; how
far two measurements of the same thing lie apart on this machine is printed with them, for no forecast can be nearer.
"""

from __future__ import annotations

import math
import os
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from huizhen.clock import WallClock
from huizhen.privacy.masking import words
from huizhen.privacy.release import Answer, Part
from huizhen.twin.cipher.calibration import calibrated, measured
from huizhen.twin.cipher.layout import sealed_size
from huizhen.twin.cipher.model import Asked, CipherModel
from huizhen.twin.cipher.ownworks import own_works
from huizhen.twin.cipher.packets import MaskedSums
from huizhen.twin.cipher.standin import message_standin, standin
from huizhen.twin.cipher.works import Work, basic_works
from huizhen.twin.course import Use
from huizhen.twin.mirror import Device
from huizhen.twin.quantity import declared

MIB = 1 << 20
LONG = (5 * MIB // 4, 3 * MIB, 5 * MIB)  # bytes
MANY = (150_000, 400_000, 700_000)  # numbers
SLOW = ("sm4", "3des", "sha3", "md5", "rc4")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
rates = declared(1e10, "flop/s"), declared(1e10, "byte/s"), declared(8e9, "byte")
HERE = Device("here", "cpu", 2, *rates, declared(1, "1"), declared(0, "1"), "here")


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


@pytest.fixture(scope="module")
def model() -> CipherModel:
    start = time.process_time()
    pack = calibrated("here", WallClock())
    print(f"\ncalibrated {len(pack.laws)} steps in {time.process_time() - start:.1f} s of processor time, {load()}")
    return CipherModel({"here": pack})


def held_out() -> Iterator[tuple[str, Work, tuple[int, ...]]]:
    """Works with lengths that no calibration has: by family."""
    for work in basic_works():
        if work.step in ("seal", "open", "hash") and len(work.lengths) > 3:
            name = "hashes" if work.step == "hash" else "ciphers"
            yield name, work, LONG[:2] if work.algorithm.startswith(SLOW) else LONG
        elif work.step in ("sign", "verify"):
            yield "signatures", work, (1000, 100_000)
    for work in own_works():
        family, _, _ = work.algorithm.partition("-")
        if work.step == "keys" or "3072" in work.algorithm:
            continue
        if family == "masking":
            yield "masking", work, tuple(n // 16 for n in MANY) if work.algorithm == "masking-512" else MANY
        elif family == "paillier":
            yield "paillier", work, (8 * 512,)
        elif work.algorithm.startswith("dp."):
            yield "noise", work, (30_000,)
        elif work.algorithm.startswith("compress.") and work.algorithm.endswith(("8", "16")):
            yield "compression", work, (250_000,)


def test_seconds_are_foretold(model: CipherModel) -> None:
    cards: dict[str, CipherModel] = {}
    again: dict[str, list[float]] = {}
    for family, work, lengths in held_out():
        for length in lengths:
            call = work.prepared(length)
            first, _ = measured(call, budget_s=0.08)
            second, _ = measured(call, budget_s=0.08)
            asked = Asked(Use(work.algorithm, work.step, length), HERE)
            cards[family] = cards.get(family, model).observe(asked, min(first, second), at=NOW)
            again.setdefault(family, []).append(abs(first - second) / min(first, second))
    print(f"\n{'':12}{'count':>7}{'mape':>8}{'median':>8}{'bias':>8}{'covered':>9}{'spread':>8}{'naive':>8}   {load()}")
    for family, seen in cards.items():
        card = seen.error_card()
        middle = np.median([abs(one.relative) for _, _, one in seen.seen])
        print(
            f"{family:12}{card.count:7}{card.mape:8.1%}{middle:8.1%}{card.bias:8.1%}{card.coverage:9.0%}"
            f"{np.median(again[family]):8.1%}{card.naive:8.0%}"
        )
        assert card.mape < card.naive
    worst = sorted((one for card in cards.values() for _, _, one in card.seen), key=lambda one: -abs(one.relative))[:8]
    print("farthest off:", ", ".join(f"{one.subject.removesuffix('/here')} {one.relative:+.0%}" for one in worst))
    for family in ("ciphers", "hashes"):
        assert np.median([abs(one.relative) for _, _, one in cards[family].seen]) < 0.10, "on a busy machine"


def test_framed_seconds_are_foretold() -> None:
    """Messages of frames of 64 KiB each, which stay in the cache: a frame's seconds times their number; calibrated just before."""
    names = ("aes-256-gcm", "chacha20-poly1305")
    works = [work for work in basic_works() if work.algorithm in names and work.step == "seal"]
    model = CipherModel({"here": calibrated("here", WallClock(), budget_s=1.0, works=works)})
    print()
    for name, cipher in (("aes-256-gcm", AESGCM(bytes(32))), ("chacha20-poly1305", ChaCha20Poly1305(bytes(32)))):
        frame, count = 65_536, 64
        whole = bytes(frame)

        def message(cipher: AESGCM | ChaCha20Poly1305 = cipher, whole: bytes = whole, count: int = count) -> None:
            for _ in range(count):
                cipher.encrypt(bytes(12), whole, None)

        seen = min(measured(message, budget_s=0.4)[0] for _ in range(3))
        told = model(Use(name, "seal", frame, count), HERE).value
        print(
            f"{name}, {count} frames of 64 KiB: foretold {told * 1e3:.2f} ms, measured {seen * 1e3:.2f} ms, {told / seen - 1:+.1%}"
        )
        assert math.isclose(told, seen, rel_tol=0.25)


def test_sizes_are_exact() -> None:
    rng, plain = np.random.default_rng(1), 0
    for length in rng.integers(0, 10**6, 200).tolist():
        sealed = AESGCM(bytes(32)).encrypt(bytes(12), bytes(length), None)
        plain += sealed_size("aes-256-gcm", length).value == 12 + len(sealed)
    print(f"\nsizes of AES-256-GCM: {plain} of 200 exact; {ssl.OPENSSL_VERSION}")
    assert plain == 200


def test_a_standin_costs_less_than_sealing() -> None:
    """What a simulation saves, in one run: drawing the bytes of a stand-in beside masking as many."""
    answer = Answer({"change": Part(rng_change(2_000_000), 9)}, 9)
    sums = MaskedSums(tuple(f"site-{n}" for n in range(20)), words.outline_of(answer), scales="known")
    told, made = (
        least(call)
        for call in (lambda: sums.reply_bytes("mask", "site-1"), lambda: message_standin(sums, "mask", "site-1", seed=1))
    )
    mask = next(work for work in own_works() if (work.algorithm, work.step) == ("masking-16", "mask"))
    masked = 20 * least(mask.prepared(2_000_000))
    sealed, stood = (
        least(lambda: AESGCM(bytes(32)).encrypt(bytes(12), bytes(MIB), None)),
        least(lambda: standin("aes-256-gcm", MIB, seed=1)),
    )
    print(f"\n2 million weights, 20 sites: told in {told * 1e3:.2f} ms, stand-in {made * 1e3:.1f} ms, masks {masked * 1e3:.1f} ms")
    print(f"1 MiB under AES-256-GCM: sealed in {sealed * 1e3:.2f} ms, stand-in {stood * 1e3:.2f} ms; {load()}")
    assert told < masked


def rng_change(size: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=size).astype(np.float32)


def least(call: Callable[[], object]) -> float:
    return measured(call, budget_s=0.3)[0]
