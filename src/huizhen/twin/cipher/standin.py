"""Stand-ins for ciphertexts: bytes of the right structure that were never encrypted, with a slip that says what they stand for.

A simulation hands a stand-in over as if it were the ciphertext: its size is exact, nonces, tags, headers, DER and CBOR are where
they belong, and the receiver asks `opened` for arrays of the shape and dtype that it would have got. The slip travels beside it.

No real program takes one for a ciphertext. Tags, digests, signatures and initial values begin with ``huizhen-stand-in``, and so
does every drawn run that is long enough; messages of the wire and Paillier's ciphertexts begin with another mark than theirs. So
what authenticates refuses it as forged, our own readers refuse it by name, and `is_standin` knows it for those that can do neither.

>>> one = standin("aes-256-gcm", 1000, seed=1, key_id="east-2026")
>>> len(one.content), one.slip.plain_length, is_standin(one.content)
(1028, 1000, True)
>>> opened(one)["plain"].shape
(1000,)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, Problem
from huizhen.federation.rounds import Answered
from huizhen.federation.wire import message
from huizhen.federation.wire.carried import reply_from, reply_to
from huizhen.privacy.paillier.ciphertexts import HEADER
from huizhen.twin.cipher import der
from huizhen.twin.cipher.layout import SIGNATURES, SM3_BYTES, Field, layout, sealed_size
from huizhen.twin.cipher.packets import EncryptedSums, Fill, MaskedSums

__all__ = ["MARK", "Slip", "StandIn", "is_standin", "message_read", "message_standin", "opened", "paillier_standin", "standin"]

MARK = b"huizhen-stand-in"  # as long as a tag and a block
MESSAGE_MARK, PAILLIER_MARK = b"HS", b"HzS1"  # in the place of a message's HZ and of a ciphertext's HzP1
OPENING = MESSAGE_MARK + bytes([message.VERSION, 0])
SHORTEST_MARK = 8
BLOCK = 65_521  # bytes that are drawn; what is longer repeats them, at the speed of memory
Shapes = tuple[tuple[str, str, tuple[int, ...]], ...]  # name, dtype, shape


@dataclass(frozen=True, slots=True)
class Slip:
    """What a stand-in stands for.

    Attributes:
        algorithm: as in the profiles.
        plain_length: bytes, or numbers where the algorithm counts those.
        key_id: of the key that would open it; a receiver with another one could not.
        stands_for: in plain words.
        plain: name, dtype and shape of each array behind it.
        seed: with which it was made.
    """

    algorithm: str
    plain_length: int
    key_id: str
    stands_for: str
    plain: Shapes
    seed: int


@dataclass(frozen=True, slots=True)
class StandIn:
    """Bytes in the place of a ciphertext, and their slip."""

    content: bytes
    slip: Slip


def standin(
    algorithm: str, length: int, *, seed: int, key_id: str = "", stands_for: str = "", plain: Shapes | None = None
) -> StandIn:
    """A stand-in for `length` bytes under the algorithm.

    Args:
        key_id: as the receiver will name its key.
        plain: the arrays that are behind it; their bytes add up to `length`. None: one of bytes.

    Raises:
        CallerError: an algorithm without a size of its own, a length that it cannot take, or arrays of another length.
    """
    sealed_size(algorithm, length)  # refuses what cannot be
    shapes = plain or (("plain", "uint8", (length,)),)
    told = sum(_bytes_of(dtype, shape) for _, dtype, shape in shapes)
    if plain is not None and told != length:
        problem = Problem("plain", f"arrays of {told} bytes", f"as many as the length, {length}")
        raise CallerError("This stand-in cannot be made.", [problem])
    fill = drawing(seed)
    if algorithm in SIGNATURES:
        size = SIGNATURES[algorithm]
        content = der.sequence(der.integer(_marked(size, fill)), der.integer(fill(size)))
    elif algorithm == "sm2-der":
        digest = _marked(SM3_BYTES, fill)
        content = der.sequence(der.integer(fill(32)), der.integer(fill(32)), der.octets(digest), der.octets(fill(length)))
    else:
        content = b"".join(_filled(layout(algorithm, length), fill))
    return StandIn(content, Slip(algorithm, length, key_id, stands_for, shapes, seed))


def paillier_standin(values: int, *, numbers: int, key_bits: int, bits: int, most: int, key_id: bytes, seed: int) -> StandIn:
    """A stand-in for packed Paillier ciphertexts of so many values.

    Args:
        numbers: ciphertexts that they take (`Slots.numbers`); bits: of a value; most: addends that the slots hold.
        key_id: the 16 bytes by which the key is known.

    Raises:
        CallerError: what cannot be, all of it.
    """
    problems = []
    if values < 1 or numbers < 1:
        problems.append(Problem("values", f"{values} in {numbers} ciphertexts", "1 or more of each"))
    if key_bits not in (2048, 3072):
        problems.append(Problem("key", f"{key_bits} bits", "2048 or 3072 bits"))
    if len(key_id) != 16:
        problems.append(Problem("key_id", f"{len(key_id)} bytes", "16 bytes"))
    if problems:
        raise CallerError("This stand-in cannot be made.", problems)
    header = HEADER.pack(PAILLIER_MARK, key_id, values, bits, most, 1)
    content = header + drawing(seed)(numbers * key_bits // 4)
    slip = Slip(f"paillier-{key_bits}", values, key_id.hex(), "packed ciphertexts", (("values", "int64", (values,)),), seed)
    return StandIn(content, slip)


def message_standin(sums: MaskedSums | EncryptedSums, stage: str, site: str, *, seed: int, key_id: str = "") -> StandIn:
    """A stand-in for the message that a site sends in a stage of a masked or encrypted sum, of the same size byte for byte.

    Behind it are the addends of the answer, as a hub has them in the end.
    """
    reply = replace(sums, fill=drawing(seed)).reply(stage, site)
    content = message.pack(reply_to(reply)).whole()
    plain = tuple((name, dtype, shape) for name, _, dtype, shape, _ in sums.outline)
    count = sum(int(np.prod(shape, dtype=np.int64)) for _, _, shape in plain)
    algorithm = "masking" if isinstance(sums, MaskedSums) else f"paillier-{sums.key_bits}"
    return StandIn(MESSAGE_MARK + content[len(MESSAGE_MARK) :], Slip(algorithm, count, key_id, f"{stage}, {site}", plain, seed))


def message_read(one: StandIn) -> Answered:
    """The reply in a message's stand-in, so that the hub's side of a simulation can go on with it.

    Raises:
        CallerError: it is no message's stand-in.
    """
    if one.content[:2] != MESSAGE_MARK:
        raise CallerError("There is no such message.", [Problem("message", "something else", "the stand-in of one")])
    reply = reply_from(message.unpack(message.MAGIC + one.content[2:]))
    assert isinstance(reply, Answered)
    return reply


def opened(one: StandIn, *, key_id: str | None = None) -> Mapping[str, NDArray[Any]]:
    """The arrays behind a stand-in: shape and dtype as they would be, all 0.

    Args:
        key_id: of the key that the receiver holds; None: it is not asked.

    Raises:
        CallerError: another key, or bytes that are not a stand-in (or were changed since).
    """
    problems = []
    if len(one.content) >= SHORTEST_MARK and not is_standin(one.content):
        problems.append(Problem("content", "bytes without the mark of a stand-in", "a stand-in as it was made"))
    if key_id is not None and key_id != one.slip.key_id:
        problems.append(Problem("key", "another key", f"key {one.slip.key_id}"))
    if problems:
        raise CallerError("This stand-in is not opened.", problems)
    return MappingProxyType({name: np.zeros(shape, dtype) for name, dtype, shape in one.slip.plain})


def is_standin(content: bytes | bytearray | memoryview) -> bool:
    """Whether bytes bear the mark of a stand-in.

    Other bytes bear it by chance once in 2^32 times. Fewer than 8 bytes have no room for it: whoever simulates keeps those apart.
    """
    held = bytes(content)
    return held[: len(OPENING)] == OPENING or held[:SHORTEST_MARK] == MARK[:SHORTEST_MARK] or MARK in held


def drawing(seed: int) -> Fill:
    """A source of stand-in bytes, marked where there is room: the same for the same seed, and no secret."""
    draw = np.random.Generator(np.random.Philox(seed)).bytes

    def fill(size: int) -> bytes:
        if size < len(MARK):
            return draw(size)
        block = MARK + draw(min(size, BLOCK) - len(MARK))
        return block if size <= BLOCK else (block * (size // BLOCK + 1))[:size]

    return fill


def _filled(fields: tuple[Field, ...], fill: Fill) -> Iterator[bytes]:
    for place, field in enumerate(fields):
        yield _FILLERS[field.sort](field.size, fill, fields[place + 1 : place + 3])


def _marked(size: int, fill: Fill) -> bytes:
    return MARK[:size] + fill(max(size - len(MARK), 0))


def _header(_size: int, _fill: Fill, behind: tuple[Field, ...]) -> bytes:
    """Of a TLS record: application data, version 1.2 as RFC 8446 wants it written, length."""
    length = sum(field.size for field in behind)
    return b"\x17\x03\x03" + length.to_bytes(2, "big")


_FILLERS: Mapping[str, Callable[[int, Fill, tuple[Field, ...]], bytes]] = MappingProxyType(
    {
        "drawn": lambda size, fill, _: fill(size),
        "mark": lambda size, fill, _: _marked(size, fill),
        "point": lambda size, fill, _: b"\x04" + fill(size - 1),
        "count": _header,
    }
)


def _bytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    return int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
