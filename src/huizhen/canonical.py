"""One value, one sequence of bytes: what is hashed, signed, checkpointed and sent.

Deterministic CBOR (RFC 8949, section 4.2); arrays are typed arrays (RFC 8746): tag 40 (row-major) around the shape and a
little-endian typed byte string. Decoding an encoding gives the value back, and nothing is executed or unfolded: CBOR has tags for
shared values, with which a few bytes could stand for more values than a machine can walk through; they mean nothing here.

    >>> decode(encode({"b": 1, "a": [True, None]}))
    {'a': [True, None], 'b': 1}
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import cbor2
import numpy as np

__all__ = ["decode", "digest", "encode"]

ROW_MAJOR = 40
# RFC 8746, table 1: tag of a little-endian typed array, by numpy dtype.
TAGS = {"<f8": 86, "<f4": 85, "<i8": 79, "<i4": 78, "<i2": 77, "|i1": 72, "<u8": 71, "<u4": 70, "<u2": 69, "|u1": 64}
DTYPES = {tag: np.dtype(name) for name, tag in TAGS.items()}


def encode(value: Any) -> bytes:
    """Bytes of `value`: None, bool, int, float, str, bytes, lists, tuples, string-keyed mappings and numeric arrays.

    Raises:
        TypeError: a part of the value is of another type.
    """
    return cbor2.dumps(_known(value), canonical=True, default=_encode_other)


def decode(encoded: bytes) -> Any:
    """The value behind `encoded`; tuples come back as lists.

    Raises:
        ValueError: not a complete encoding, or a tag that is not known here.
    """
    stream = io.BytesIO(encoded)
    try:
        value = cbor2.CBORDecoder(stream, tag_hook=_decode_tag).decode()
        _check_parts(value, len(encoded))
    except (cbor2.CBORDecodeError, TypeError, ValueError) as error:
        raise ValueError(f"not a canonical encoding: {type(error).__name__}") from None
    if stream.tell() != len(encoded):
        raise ValueError(f"not a canonical encoding: {len(encoded) - stream.tell()} bytes follow its end")
    return value


def digest(value: Any) -> str:
    """SHA-256 of the encoding, in hexadecimal (64 characters)."""
    return hashlib.sha256(encode(value)).hexdigest()


PLAIN = frozenset({type(None), bool, int, float, str, bytes, np.ndarray})


def _known(value: Any) -> Any:
    """`value`, if it and all its parts are of the types that have an encoding here; CBOR itself knows many more."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list or kind is tuple:
        for inner in value:
            if type(inner) not in PLAIN:
                _known(inner)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError("the keys of a mapping must be text")
            if type(inner) not in PLAIN:
                _known(inner)
    elif not isinstance(value, bool | int | float | str | bytes | list | tuple | np.ndarray | np.generic):
        raise TypeError(f"a {kind.__name__} has no canonical encoding")
    return value


def _check_parts(value: Any, size: int) -> None:
    """Checks what was decoded from `size` bytes: every part is of a known type, and all of them stand in those bytes.

    In a value that shares nothing a part takes a byte at least, and a text, a number or an array as many as it is long; so the walk
    ends after `size` steps, however often a shared part is met and even where one holds itself.
    """
    left, stack = size, [[value]]
    while stack:
        parts = stack.pop()
        left -= len(parts)
        for part in parts:
            kind = type(part)
            if kind is str or kind is bytes:
                left -= len(part)
            elif kind is int:
                left -= part.bit_length() >> 6  # a long one takes bytes, and is shared as a text is
            elif kind is list:
                stack.append(part)
            elif kind is dict:
                if not all(type(key) is str for key in part):
                    raise TypeError("the keys of a mapping must be text")
                stack += [list(part), list(part.values())]
            elif kind is np.ndarray:
                left -= part.nbytes
            elif kind not in PLAIN:
                raise TypeError(f"a {kind.__name__} has no canonical encoding")
        if left < 0:
            raise ValueError("parts that are shared")


def _encode_other(encoder: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        tag = TAGS.get(little.dtype.str)
        if tag is None:
            raise TypeError(f"an array of dtype {value.dtype} has no canonical encoding")
        typed = cbor2.CBORTag(tag, little.tobytes())
        encoder.encode(cbor2.CBORTag(ROW_MAJOR, [list(value.shape), typed]))
    elif isinstance(value, np.generic):
        encoder.encode(value.item())
    elif isinstance(value, Mapping):
        encoder.encode(dict(value))
    else:
        raise TypeError(f"a {type(value).__name__} has no canonical encoding")


def _decode_tag(*arguments: Any) -> Any:
    # The tag is the one argument that carries a number; its neighbours (decoder, immutability) differ between releases.
    tag = next(argument for argument in arguments if isinstance(argument, cbor2.CBORTag))
    if tag.tag in DTYPES:
        dtype = DTYPES[tag.tag]
        if not isinstance(tag.value, bytes) or len(tag.value) % dtype.itemsize:
            raise ValueError("a typed array is cut short")
        return np.frombuffer(tag.value, dtype=dtype)
    if tag.tag == ROW_MAJOR:
        shape, flat = tag.value
        if not isinstance(flat, np.ndarray) or any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError("a multi-dimensional array without its shape")
        return flat.reshape(shape)
    raise ValueError(f"CBOR tag {tag.tag} is not known here")
