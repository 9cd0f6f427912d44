"""An answer as bundles of integers to be encrypted, and a total from the bundles that were opened.

The numbers are those of masked sums (`masking.words`): counts, real numbers as whole multiples of a power of two, changes of
weights at the scales of the round before. What they are added in are integers and not rings, with headroom for all sites:

    whole      the rows, then all counts: 64 bits each
    real       384 bits each: as whole multiples of 2^-224
    short.NAME changes of weights: as many bits as the largest whole number that a site may send; 64 in the first round
    sizes.NAME cells of thermometers: 1 where the site's is filled; the key holder reads how many are, and passes on whether any is
    level.NAME levels of compressed changes, 16 bits each
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.privacy.masking import short, wide, words
from huizhen.privacy.masking.words import Coding, Outline, Words
from huizhen.privacy.paillier.layout import Layout
from huizhen.privacy.paillier.slots import Slots
from huizhen.privacy.paillier.wide import WideSlots

__all__ = ["Bundle", "bundles_of", "values_of", "words_of"]

COUNT_BITS, CELL_BITS, LEVEL_BITS = 64, 2, 16
# The lowest 128 bits of masked reals stay behind: five to a number of 2048 bits and not three. Numbers of size 4e-52 and more keep
# all 53 bits, and a sum of sites is off by at most 4e-68 for each.
REAL_BITS, LEFT_BEHIND = 384, 8 * wide.BYTES - 384
SIGNED = {2: np.int16, 4: np.int32, 8: np.int64}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Integers that are encrypted together.

    Attributes:
        layout: how they stand in the numbers of a key.
        values: how many there are.
    """

    layout: Layout[Any]
    values: int

    @property
    def numbers(self) -> int:
        """Ciphertexts of it."""
        return self.layout.numbers(self.values)


def bundles_of(outline: Outline, coding: Coding, key_bits: int) -> dict[str, Bundle]:
    """The bundles of an answer of this outline, by name; the same for all who see outline, coding and length of the key."""
    blank, sites = words.empty(outline, coding), coding.sites
    found = {"whole": Bundle(WideSlots(COUNT_BITS, sites, key_bits), len(blank.whole))}
    if reals := blank.real.shape[1]:
        found["real"] = Bundle(WideSlots(REAL_BITS, sites, key_bits), reals)
    for name, changes in blank.short.items():
        if changes.size:
            bits = short.levels(8 * changes.itemsize, sites).bit_length() + 1
            slots = WideSlots(COUNT_BITS, sites, key_bits) if changes.itemsize == 8 else Slots(bits, sites, key_bits)
            found[f"short.{name}"] = Bundle(slots, changes.size)
            found[f"sizes.{name}"] = Bundle(Slots(CELL_BITS, sites, key_bits), blank.sizes[name].size)
    for name, levels in blank.level.items():
        if levels.size:
            found[f"level.{name}"] = Bundle(Slots(LEVEL_BITS, sites, key_bits), levels.size)
    return found


def values_of(coded: Words) -> dict[str, Any]:
    """The integers of each bundle: lists for wide slots, int64 (value,) for others."""
    values: dict[str, Any] = {"whole": coded.whole.view(np.int64).tolist()}
    if coded.real.shape[1]:
        numbers = np.ascontiguousarray(coded.real.T.astype("<u8", copy=False))
        values["real"] = [int.from_bytes(number.tobytes(), "little", signed=True) >> LEFT_BEHIND for number in numbers]
    for name, changes in coded.short.items():
        if changes.size:
            signed = changes.view(SIGNED[changes.itemsize])
            values[f"short.{name}"] = signed.tolist() if changes.itemsize == 8 else signed.astype(np.int64)
            values[f"sizes.{name}"] = (coded.sizes[name] != 0).astype(np.int64)
    for name, levels in coded.level.items():
        if levels.size:
            values[f"level.{name}"] = levels.view(np.int16).astype(np.int64)
    return values


def words_of(opened: Mapping[str, Any], outline: Outline, coding: Coding) -> Words:
    """The sum in the rings of masked sums, from the opened sums of each bundle."""
    total = words.empty(outline, coding)
    total.whole[:] = [number % 2**COUNT_BITS for number in opened["whole"]]
    if "real" in opened:
        whole = ((number << LEFT_BEHIND) % 2 ** (8 * wide.BYTES) for number in opened["real"])
        encoded = b"".join(number.to_bytes(wide.BYTES, "little") for number in whole)
        total.real[:] = np.frombuffer(encoded, "<u8").reshape(-1, wide.LIMBS).T
    for name, changes in total.short.items():
        if changes.size:
            # Negative numbers become their two's complement.
            changes[:] = np.asarray(opened[f"short.{name}"], np.int64).astype(changes.dtype)
            total.sizes[name][:] = opened[f"sizes.{name}"] > 0
    for name, levels in total.level.items():
        if levels.size:
            levels[:] = opened[f"level.{name}"].astype(levels.dtype)
    return total
