"""An answer as numbers of rings, ready for masks, and the sum of such as a total.

Counts (int64) go into the ring of 64 bits, real numbers (float64) into the wide one, changes of a network (float32) into the ring
of 16 or 32 bits. Beside them go the rows behind the answer, masked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import FederationError, Problem, SiteError
from huizhen.privacy.masking import short, wide
from huizhen.privacy.masking.streams import apply_masks
from huizhen.privacy.release import EMPTY, Answer, Part, Total

__all__ = ["Coding", "Outline", "Words", "add_words", "decode", "empty", "encode", "outline_from", "outline_of"]

Outline = tuple[tuple[str, str, str, tuple[int, ...], bool], ...]  # of each part: name, kind, dtype, shape, whether counts
Array = NDArray[Any]
KINDS = {"int64": "whole", "float64": "real", "float32": "short", "int16": "level"}
SIZES = {"int64": 8, "float64": wide.BYTES, "float32": 8, "int16": 2}  # bytes of a number in its ring, at most
MOST_BYTES = 2**31  # of one answer: 268 million weights, or 33 million real numbers


@dataclass(frozen=True, slots=True)
class Coding:
    """How the numbers of a round are coded; known to all.

    Attributes:
        sites: how many may be added.
        bits: 16 or 32, of a change of weights.
        heights: by part, the scale of each run (`short`); a part without, or with another number of runs, goes in 64 bits at the
            fixed scale.
    """

    sites: int
    bits: int = 16
    heights: Mapping[str, NDArray[np.int8]] = field(default_factory=lambda: EMPTY)

    @classmethod
    def told(cls, facts: Mapping[str, Any], sites: int) -> Coding | None:
        """The coding behind `bits` and `heights` of what the hub tells; None where there is none."""
        bits, heights = facts.get("bits"), facts.get("heights")
        if bits not in (16, 32) or not isinstance(heights, Mapping) or not all(map(_is_scale, heights.values())):
            return None
        return cls(sites, bits, dict(heights))


@dataclass(frozen=True, slots=True)
class Words:
    """Numbers of rings.

    Attributes:
        whole: uint64 (1 + n,): the rows, then all counts.
        real: uint64 (8, n): all real numbers (`wide`).
        short: by part, uint16, uint32 or, in the first round, uint64 (n,).
        sizes: by part, its thermometers, uint16.
        level: by part, whole numbers of 16 bits (n,), whose sum fits into as many.
    """

    whole: Array
    real: Array
    short: Mapping[str, Array]
    sizes: Mapping[str, Array]
    level: Mapping[str, Array]

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All of them, in the order in which they are masked."""
        return (self.whole, self.real, *self.short.values(), *self.sizes.values(), *self.level.values())

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {"whole": self.whole, "real": self.real} | {name: dict(getattr(self, name)) for name in BY_PART}

    @classmethod
    def from_facts(cls, facts: Any, outline: Outline, coding: Coding) -> Words | None:
        """The words behind canonical values; None where they are not those of this outline."""
        expected = empty(outline, coding)
        if not isinstance(facts, Mapping) or set(facts) != set(expected.facts()):
            return None
        if not all(isinstance(facts[name], Mapping) and set(facts[name]) == set(getattr(expected, name)) for name in BY_PART):
            return None
        by_part = ({part: facts[name][part] for part in getattr(expected, name)} for name in BY_PART)
        found = cls(facts["whole"], facts["real"], *by_part)
        alike = all(
            isinstance(one, np.ndarray) and (one.shape, one.dtype) == (other.shape, other.dtype)
            for one, other in zip(found.arrays, expected.arrays, strict=True)
        )
        return found if alike else None


BY_PART = ("short", "sizes", "level")


def outline_of(answer: Answer) -> Outline:
    """What an answer's addends look like, which is no secret.

    Raises:
        SiteError: a part has labels that are not known to all beforehand.
    """
    addends = {name: part for name, part in answer.parts.items() if part.kind == "addend"}
    keyed = [name for name, part in addends.items() if part.keys is not None]
    if keyed:
        remedy = "Declare the levels of every category in the study, as [variables.NAME] levels = [...], or use sum = 'plain'"
        problems = [
            Problem(f"part {name!r}", "labels that only this site's rows tell", "declared levels", remedy) for name in keyed
        ]
        raise SiteError("This answer cannot be masked.", problems)
    return tuple((name, part.kind, part.values.dtype.name, part.values.shape, part.cells) for name, part in addends.items())


def outline_from(facts: Any) -> Outline | None:
    """The outline behind canonical values; None where it is none, or of more numbers than anyone sends."""
    try:
        outline = tuple(
            (str(name), str(kind), str(dtype), tuple(map(int, shape)), bool(cells)) for name, kind, dtype, shape, cells in facts
        )
    except (TypeError, ValueError, OverflowError):
        return None
    sound = all(kind == "addend" and dtype in KINDS and all(size >= 0 for size in shape) for _, kind, dtype, shape, _ in outline)
    names = {name for name, *_ in outline}
    if not sound or len(names) != len(outline):
        return None
    return outline if sum(prod(shape) * SIZES[dtype] for _, _, dtype, shape, _ in outline) <= MOST_BYTES else None


def empty(outline: Outline, coding: Coding) -> Words:
    """Words of zeros."""
    counts = {kind: sum(prod(shape) for _, _, dtype, shape, _ in outline if KINDS[dtype] == kind) for kind in ("whole", "real")}
    changes, levels = (
        {name: prod(shape) for name, _, dtype, shape, _ in outline if KINDS[dtype] == kind} for kind in ("short", "level")
    )
    return Words(
        np.zeros(1 + counts["whole"], np.uint64),
        np.zeros((wide.LIMBS, counts["real"]), np.uint64),
        {name: np.zeros(size, _ring(name, size, coding)) for name, size in changes.items()},
        {name: np.zeros(short.runs(size) * short.CELLS, np.uint16) for name, size in changes.items()},
        {name: np.zeros(size, np.uint16) for name, size in levels.items()},
    )


def encode(answer: Answer, outline: Outline, coding: Coding, entropy: Callable[[int], bytes], room: Words | None = None) -> Words:
    """The answer's addends in their rings.

    Args:
        room: words that are not needed any more; what fits of them is written over, for fresh memory costs time.

    Raises:
        SiteError: a number is too large to be added; which part, never the number.
    """
    by_kind: dict[str, list[Part]] = {
        kind: [answer.parts[n] for n, _, d, _, _ in outline if KINDS[d] == kind] for kind in ("whole", "real")
    }
    most = 2**63 // coding.sites
    too_large = [name for name, _, dtype, _, _ in outline if KINDS[dtype] == "whole" and _size(answer.parts[name].values) >= most]
    whole = np.concatenate([np.array([answer.rows], np.int64), *(part.values.reshape(-1) for part in by_kind["whole"])]).view(
        np.uint64
    )
    numbers = np.concatenate([np.zeros(0), *(part.values.reshape(-1) for part in by_kind["real"])])
    try:
        real = wide.encode(numbers, sites=coding.sites)
    except OverflowError:
        limit = wide.largest(coding.sites)
        too_large += [n for n, _, d, _, _ in outline if KINDS[d] == "real" and not (np.abs(answer.parts[n].values) < limit).all()]
    if too_large:
        problems = [
            Problem(f"part {name!r}", "a number too large to be added safely", "smaller numbers", REMEDY) for name in too_large
        ]
        raise SiteError("This answer cannot be masked.", problems)
    changes, sizes = {}, {}
    for name, _, dtype, _, _ in outline:
        if KINDS[dtype] == "short":
            flat = np.ascontiguousarray(answer.parts[name].values).reshape(-1)
            ring, used = _ring(name, flat.size, coding), None if room is None else room.short.get(name)
            fits = used is not None and used.dtype == ring and used.size == flat.size
            changes[name] = used if used is not None and fits else np.empty(flat.size, ring)
            own = short.encode(flat, _heights(name, flat.size, coding), sites=coding.sites, out=changes[name])
            sizes[name] = short.fill(own, entropy)
    levels = {
        name: answer.parts[name].values.reshape(-1).view(np.uint16).copy() for name, _, d, _, _ in outline if KINDS[d] == "level"
    }
    return Words(whole, real, changes, sizes, levels)


def add_words(each: Sequence[Words], plus: Sequence[bytes], minus: Sequence[bytes], room: Words) -> Words:
    """The sum, in the rings, with masks added and taken away.

    Args:
        plus, minus: seeds of 16 bytes.
        room: words of the same outline (`empty`), where the sum is written.
    """
    apply_masks(room.arrays, plus, minus, others=[words.arrays for words in each])
    return room


def decode(total: Words, outline: Outline, coding: Coding, roster: tuple[str, ...]) -> tuple[Total, dict[str, NDArray[np.int8]]]:
    """The total of the sites in the roster, and the scales for the next round.

    Raises:
        FederationError: no sum of sound answers: a negative number of rows or patients.
    """
    whole, real = np.array(total.whole).view(np.int64), wide.decode(total.real)  # a copy: `total` is written over
    sums: dict[str, Array] = {}
    at, place = 1, 0
    for name, _, dtype, shape, _ in outline:
        size = prod(shape)
        if KINDS[dtype] == "whole":
            sums[name], at = whole[at : at + size].reshape(shape), at + size
        elif KINDS[dtype] == "level":
            sums[name] = total.level[name].view(np.int16).astype(np.int64).reshape(shape)
        elif KINDS[dtype] == "real":
            sums[name], place = real[place : place + size].reshape(shape), place + size
        else:
            sums[name] = short.decode(total.short[name], _heights(name, size, coding), sites=coding.sites).reshape(shape)
    rows = int(whole[0])
    wrong = [name for name, _, _, _, cells in outline if cells and (sums[name] < 0).any()]
    if rows < 0 or wrong:
        problem = Problem(
            "the masked sum", "a negative number of patients", "answers of sound sites", "One site sent numbers out of range"
        )
        raise FederationError("The sites' answers do not make a sum.", [problem])
    return Total(sums, {}, {}, rows, roster), {name: short.heights_of(short.read(cells)) for name, cells in total.sizes.items()}


REMEDY = "Scale or centre the variables, and check their units"


def _is_scale(heights: Any) -> bool:
    return (
        isinstance(heights, np.ndarray)
        and heights.dtype == np.int8
        and heights.ndim == 1
        and bool((np.abs(heights // 2) <= 32).all())
    )


def _size(values: Array) -> int:
    """The largest absolute value; of no numbers 0. The smallest int64 has none of its own."""
    return max(-int(values.min(initial=0)), int(values.max(initial=0)))


def _ring(name: str, size: int, coding: Coding) -> Any:
    if _known(name, size, coding) is None:
        return np.uint64
    return np.uint16 if coding.bits == 16 else np.uint32


def _heights(name: str, size: int, coding: Coding) -> NDArray[np.int8]:
    known = _known(name, size, coding)
    return np.full(short.runs(size), short.FIRST, np.int8) if known is None else known


def _known(name: str, size: int, coding: Coding) -> NDArray[np.int8] | None:
    """All sites and the hub see the same scales and the same size, so they come to the same."""
    known = coding.heights.get(name)
    return known if known is not None and known.shape == (short.runs(size),) else None
