"""What a calibration runs of our own protections: masking, packed Paillier, shares, noise and compression, as sites run them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.making import compression
from huizhen.privacy.compression.quantising import BITS
from huizhen.privacy.compression.shrinking import restored
from huizhen.privacy.compression.spec import Compress, Kind
from huizhen.privacy.masking import short, wide
from huizhen.privacy.masking.shamir import join, split
from huizhen.privacy.masking.streams import SEED_BYTES, apply_masks
from huizhen.privacy.noise import DiscreteGaussian, DiscreteLaplace, Grid
from huizhen.privacy.paillier.arithmetic import fastest
from huizhen.privacy.paillier.cipher import add, encrypt
from huizhen.privacy.paillier.holder import KeyHolder
from huizhen.privacy.paillier.keys import PrivateKey, make_key
from huizhen.privacy.paillier.obfuscators import Pool, Table
from huizhen.privacy.paillier.seals import Seal
from huizhen.privacy.paillier.slots import Slots
from huizhen.twin.cipher.works import Call, Work

__all__ = ["HOLDERS", "NEEDED", "own_works"]

NUMBERS = (64, 4096, 65_536, 262_144, 524_288, 1_048_576)
REALS = (64, 2048, 16_384, 32_768, 65_536)  # of 64 bytes each
SITES, HOLDERS, NEEDED = 5, 10, 7
RINGS: dict[str, Any] = {"16": np.uint16, "32": np.uint32, "64": np.uint64}
KINDS: tuple[Kind, ...] = ("quantised", "shared", "top_k", "low_rank")
COMPRESSED = (4096, 65_536, 147_456, 331_776, 589_824)  # squares, for low rank


def own_works() -> Iterator[Work]:
    """All of them; Paillier last, for its keys take long."""
    yield from _masking()
    yield from _shares()
    yield from _noise()
    for kind in KINDS:
        for bits in BITS:
            yield from _compressing(kind, bits)
    for bits in (2048, 3072):
        yield from _paillier(bits)


def _masking() -> Iterator[Work]:
    for bits, ring in RINGS.items():
        yield from _one_ring(f"masking-{bits}", partial(np.zeros, dtype=ring))
    yield from _one_ring("masking-512", lambda length: np.zeros((wide.LIMBS, length), np.uint64))
    for bits in ("16", "32"):
        yield Work(f"masking-{bits}", "seal", NUMBERS, partial(_coded, ring=RINGS[bits]))
        yield Work(f"masking-{bits}", "open", NUMBERS, partial(_decoded, ring=RINGS[bits]))
    for step in ("seal", "open"):
        yield Work("masking-64", step, NUMBERS, lambda length: np.ones(length, np.int64).copy)
    yield Work("masking-512", "seal", REALS, lambda length: partial(wide.encode, _reals(length), sites=SITES))
    yield Work("masking-512", "open", REALS, lambda length: _read_wide(length))


def _one_ring(name: str, blank: Callable[[int], Any]) -> Iterator[Work]:
    lengths = REALS if name == "masking-512" else NUMBERS

    def stream(length: int, away: bool) -> Call:
        array, seeds = blank(length), [secrets.token_bytes(SEED_BYTES)]
        return lambda: apply_masks([array], [] if away else seeds, seeds if away else [])

    def adding(length: int) -> Call:
        room, one, other = blank(length), blank(length), blank(length)
        return lambda: apply_masks([room], [], [], others=[[one], [other]])

    def half(length: int) -> Call:
        """Of one site: two were added."""
        return adding(max(length // 2, 1))

    yield Work(name, "mask", lengths, lambda length: stream(length, away=False))
    yield Work(name, "unmask", lengths, lambda length: stream(length, away=True))
    yield Work(name, "add", lengths, half)


def _reals(length: int) -> Any:
    return np.random.default_rng(1).normal(size=length)


def _coded(length: int, ring: Any) -> Call:
    values, heights, out = _reals(length).astype(np.float32), np.full(short.runs(length), 3, np.int8), np.empty(length, ring)
    return lambda: short.encode(values, heights, sites=SITES, out=out)


def _decoded(length: int, ring: Any) -> Call:
    total, heights = np.ones(length, ring), np.full(short.runs(length), 3, np.int8)
    return lambda: short.decode(total, heights, sites=SITES)


def _read_wide(length: int) -> Call:
    coded = wide.encode(_reals(length), sites=SITES)
    return lambda: wide.decode(coded)


def _shares() -> Iterator[Work]:
    lengths = (512, 5120, 51_200)

    def dealt(length: int) -> Call:
        """One holder's share: ten are dealt of a tenth."""
        secret = bytes(max(length // HOLDERS, 1))
        return lambda: split(secret, holders=HOLDERS, threshold=NEEDED, entropy=secrets.token_bytes)

    def joined(length: int) -> Call:
        shares = split(bytes(length), holders=HOLDERS, threshold=NEEDED, entropy=secrets.token_bytes)
        return lambda: join(dict(enumerate(shares[:NEEDED], 1)))

    yield Work("shamir", "seal", lengths, dealt)
    yield Work("shamir", "open", (16, *lengths), joined)


def _noise() -> Iterator[Work]:
    lengths, entropy = NUMBERS[:3], secrets.token_bytes
    grid = Grid.finer_than(1.0)
    laws: dict[str, Any] = {"gaussian": DiscreteGaussian.of_sigma(40.0), "laplace": DiscreteLaplace(40.0)}
    fine: dict[str, Any] = {"gaussian": grid.gaussian(40.0), "laplace": grid.laplace(40.0)}
    for name, law in laws.items():
        yield Work(f"dp.discrete_{name}", "mask", lengths, partial(_drawn, law=law))

        def noisy(length: int, law: Any = fine[name]) -> Call:
            values = _reals(length)
            return lambda: grid.noisy(values, law, entropy)

        yield Work(f"dp.{name}", "mask", lengths, noisy)


def _drawn(length: int, law: Any) -> Call:
    return lambda: law.draw(length, secrets.token_bytes)


def _compressing(kind: Kind, bits: int) -> Iterator[Work]:
    def parts(length: int) -> tuple[Any, Any, Any]:
        side = int(length**0.5)
        blocks = Blocks(("weights",), ((side, length // side),))
        shrinking = compression(Compress(kind, bits), blocks)
        values = _reals(side * (length // side)).astype(np.float32)
        return shrinking, values, shrinking.begin(7, np.array([5.0]))

    entropy = np.random.default_rng(2).bytes

    def seal(length: int) -> Call:
        shrinking, values, public = parts(length)
        return lambda: shrinking.shrink(values, public, entropy)

    def opens(length: int) -> Call:
        shrinking, values, public = parts(length)
        total = shrinking.total([shrinking.shrink(values, public, entropy)], public)
        return lambda: restored(shrinking, total, public)

    yield Work(f"compress.{kind}{bits}", "seal", COMPRESSED, seal)
    yield Work(f"compress.{kind}{bits}", "open", COMPRESSED, opens)


@cache
def _holder(bits: int) -> tuple[PrivateKey, Table]:
    private = make_key(bits, secrets.token_bytes)
    return private, Table.of(private.public)


def _paillier(bits: int) -> Iterator[Work]:
    name, size, slots = f"paillier-{bits}", bits // 4, Slots(16, SITES, bits)
    arithmetic = fastest(1)

    def sealing(length: int) -> tuple[PrivateKey, Callable[[bytes], bytes]]:
        private, table = _holder(bits)
        pool = Pool(table, secrets.token_bytes, process=os.getpid)
        values = np.ones(max(length // size, 1) * slots.count, np.int64)
        return private, lambda own: encrypt(values, private.public, slots, pool=pool, seal=Seal(COMMON, own, b"calibration"))

    def seal(length: int) -> Call:
        _, sealed = sealing(length)
        return lambda: sealed(OWN[0])

    def adding(length: int) -> Call:
        """Of one site: two of half the length are added."""
        private, sealed = sealing(max(length // 2, size))
        each = {f"site {place}": sealed(own) for place, own in enumerate(OWN[:2])}
        return lambda: add(each, private.public, slots, arithmetic=arithmetic)

    def opens(length: int) -> Call:
        private, sealed = sealing(length)
        each = {f"site {place}": sealed(own) for place, own in enumerate(OWN)}
        total = add(each, private.public, slots, arithmetic=arithmetic)
        seals = {f"site {place}": Seal(COMMON, own, b"calibration") for place, own in enumerate(OWN)}
        return lambda: KeyHolder(private, arithmetic=arithmetic).open_total(total, slots, seals=seals)

    yield Work(name, "seal", (size, 4 * size, 16 * size), seal)
    yield Work(name, "add", (2 * size, 16 * size), adding)
    yield Work(name, "open", (size, 6 * size), opens)
    yield Work(name, "keys", (bits,), lambda _: lambda: make_key(bits, secrets.token_bytes))


COMMON, OWN = bytes(32), tuple(bytes([place]) * 32 for place in range(1, 4))
