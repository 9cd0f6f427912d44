"""What an array in NumPy's own format says of itself, read and judged before a byte of it is.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 and 2.0. Objects are never unpickled.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from huizhen.errors import Problem

__all__ = ["Header", "Unfit", "read_header"]

READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
BROKEN = (ValueError, KeyError, EOFError, SyntaxError, TypeError, TokenError, MemoryError, RecursionError)
PLAIN = "biufSUM"  # truth values, integers, real numbers, text, dates


@dataclass(frozen=True, slots=True)
class Header:
    """An array's header.

    Attributes:
        fortran: whether the first axis runs fastest.
        at: bytes before the first value.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    at: int

    @property
    def bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


class Unfit(Exception):
    """An array that is not read; says why, in plain words."""

    def __init__(self, found: str, expected: str, remedy: str = "") -> None:
        super().__init__(found)
        self.said = (found, expected, remedy)

    def problem(self, where: str) -> Problem:
        return Problem(where, *self.said)


def read_header(stream: IO[bytes]) -> Header:
    """The header at the beginning of a stream.

    Raises:
        Unfit: it is no array in NumPy's format, or holds Python objects, records or complex numbers.
    """
    try:
        version = np.lib.format.read_magic(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = READERS[version](stream)
    except BROKEN:
        shape = None
    if shape is None or any(type(length) is not int or length < 0 for length in shape):
        raise Unfit("no array in NumPy's format", "an array written by numpy.save or numpy.savez", "Export it again")
    if dtype.hasobject:
        raise Unfit("a pickled array of Python objects", "numbers or text", "Objects are never opened: save a plain array")
    if dtype.kind not in PLAIN or not dtype.itemsize:
        raise Unfit(f"values of type {dtype}", "numbers or text")
    return Header(shape, dtype, bool(fortran), stream.tell())
