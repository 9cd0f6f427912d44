"""Numbers of a card that is published again and again, guarded against being subtracted from each other.

Every number of a card has a *basis*: of patients the hashes of their pseudonyms, dealt into buckets and mixed in each; of rows how
many they are. A number that was told stands as long as its basis has changed by less than the minimum, however often the card is
made anew: whoever keeps all cards finds no two that differ by few patients. A number is withheld where those behind it are
nearly those behind a number that they are part of, or that is part of them, on this card or any before.

>>> import numpy as np
>>> first = Entry(("patients",), 100, np.array([100]))
>>> memory = remembered([], [first])
>>> [one.told for one in settle([Entry(("patients",), 103, np.array([103]))], memory, least=5)]
[100]
>>> [one.told for one in settle([Entry(("patients",), 105, np.array([105]))], memory, least=5)]
[105]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Entry", "Key", "Memory", "apart", "banded", "buckets_for", "fresh", "remembered", "settle"]

Key = tuple[str, ...]
FEWEST, SPARE = 512, 64  # buckets; for each patient of the minimum, so that few of them meet
EDGES = (0.5, 0.8, 0.95)  # between bands: no edge lies so high that a few patients in many would be seen at it


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of a card, or what else is told of some patients.

    Attributes:
        key: the same on every card.
        told: a plain value; None where withheld.
        basis: mixed hashes, uint16 (bucket,); or numbers of rows, int64 (part,).
        within: keys of the numbers whose patients include these.
    """

    key: Key
    told: Any
    basis: NDArray[Any]
    within: tuple[Key, ...] = ()


Memory = Mapping[Key, tuple[Entry, ...]]  # what was told earlier, the oldest first


def buckets_for(minimum: int) -> int:
    """How many buckets a minimum asks for: a power of 2."""
    return max(FEWEST, 1 << (SPARE * minimum - 1).bit_length())


def apart(one: NDArray[Any], other: NDArray[Any]) -> int:
    """By how many patients or rows at least two bases differ; each of them changes every part by one at most."""
    if one.dtype == np.uint16:
        size = min(len(one), len(other))
        return int(np.count_nonzero(_folded(one, size) != _folded(other, size)))
    return int(np.abs(one - other).max(initial=0))


def settle(entries: Sequence[Entry], memory: Memory, *, least: int) -> list[Entry]:
    """The entries as they may be told; numbers that include others stand before them.

    A count below the minimum that was told under a laxer policy does not stand.
    """
    settled: dict[Key, Entry] = {}
    inner = _inner([*entries, *(one for earlier in memory.values() for one in earlier)])
    for entry in entries:
        before = _standing(entry, memory, least)
        if before is not None:
            settled[entry.key] = replace(entry, told=before.told, basis=before.basis)
            continue
        related = [*entry.within, *inner.get(entry.key, ())]
        beside = [one for key in related for one in (*memory.get(key, ()), *_told(settled, key))]
        is_near = any(0 < apart(entry.basis, one.basis) < least for one in beside)
        settled[entry.key] = replace(entry, told=None) if is_near else entry
    return list(settled.values())


def remembered(before: Iterable[Entry], now: Iterable[Entry]) -> Memory:
    """What was told, by key."""
    found: dict[Key, tuple[Entry, ...]] = {}
    for entry in (*before, *now):
        if entry.told is not None:
            found[entry.key] = (*found.get(entry.key, ()), entry)
    return found


def fresh(settled: Iterable[Entry], memory: Memory) -> list[Entry]:
    """What is told for the first time."""
    return [
        entry
        for entry in settled
        if entry.told is not None
        and not any(np.array_equal(entry.basis, one.basis) and one.told == entry.told for one in memory.get(entry.key, ()))
    ]


def banded(part: int, whole: int, least: int) -> int | None:
    """In which band a share lies, 0 to 3; None of nothing. A few are told as none, and all but a few as all.

    >>> [banded(part, 100, 5) for part in (100, 96, 95, 94, 60, 3, 0)]
    [3, 3, 3, 2, 1, 0, 0]
    >>> banded(9, 10, 5), banded(5, 10, 5)
    (3, 1)
    """
    if whole <= 0:
        return None
    if whole - part < least:
        return len(EDGES)
    return 0 if part < least else sum(part >= edge * whole for edge in EDGES)


def _standing(entry: Entry, memory: Memory, least: int) -> Entry | None:
    """The newest of what was told of nearly the same patients, if that may be told still."""
    near = (one for one in reversed(memory.get(entry.key, ())) if apart(entry.basis, one.basis) < least)
    found = next(near, None)
    if found is None or (type(found.told) is int and 0 < found.told < least):
        return None
    return found


def _inner(entries: Iterable[Entry]) -> dict[Key, tuple[Key, ...]]:
    found: dict[Key, dict[Key, None]] = {}
    for entry in entries:
        for outer in entry.within:
            found.setdefault(outer, {})[entry.key] = None
    return {outer: tuple(keys) for outer, keys in found.items()}


def _told(settled: Mapping[Key, Entry], key: Key) -> tuple[Entry, ...]:
    entry = settled.get(key)
    return () if entry is None or entry.told is None else (entry,)


def _folded(basis: NDArray[np.uint16], size: int) -> NDArray[np.uint16]:
    """The same sketch with fewer buckets: those that share their lowest bits are mixed."""
    folded: NDArray[np.uint16] = np.bitwise_xor.reduce(basis.reshape(-1, size), axis=0)
    return folded
