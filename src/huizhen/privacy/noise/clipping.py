"""Clipping: the most that one unit (a patient, or a site) may add to a sum, so that noise of a known size hides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable

__all__ = ["Clipped", "clip_entries", "clip_l1", "clip_l2"]

# A factor rounds, and so does each product. Shrinking by a little more keeps the norm below its bound in exact arithmetic.
SHRINK = {np.dtype(np.float32): 1 - 2.0**-20, np.dtype(np.float64): 1 - 2.0**-40}


@dataclass(frozen=True, slots=True)
class Clipped:
    """What is left after clipping.

    Attributes:
        values: of the same shape and dtype.
        share: share of the units (of the entries, where entries were clipped) that were too large, 0 to 1. It depends on the data:
            for the site's eyes, and not to be released without noise of its own.
    """

    values: NDArray[Any]
    share: float


def clip_l2(values: NDArray[Any], bound: float) -> Clipped:
    """Each unit scaled to a Euclidean norm of at most `bound`.

    Args:
        values: float32 or float64 (..., entry): units along the leading axes; a flat array is one unit.
        bound: > 0, in the unit of the values.

    Raises:
        NotEstimable: a number is not finite.
    """
    wide = _wide(values, bound)
    with np.errstate(under="ignore"):
        return _scaled(values, np.sqrt(np.einsum("...i,...i->...", wide, wide)), bound)


def clip_l1(values: NDArray[Any], bound: float) -> Clipped:
    """Each unit scaled to a sum of absolute values of at most `bound`; otherwise as `clip_l2`."""
    return _scaled(values, np.abs(_wide(values, bound)).sum(axis=-1), bound)


def clip_entries(values: NDArray[Any], bound: float) -> Clipped:
    """Each entry cut to lie from -`bound` to `bound`; otherwise as `clip_l2`."""
    outside = np.abs(_wide(values, bound)) > bound
    nearest = values.dtype.type(bound)
    limit = np.nextafter(nearest, values.dtype.type(0)) if float(nearest) > bound else nearest
    return Clipped(np.clip(values, -limit, limit).astype(values.dtype, copy=False), float(outside.mean()) if outside.size else 0.0)


def _wide(values: NDArray[Any], bound: float) -> NDArray[np.float64]:
    if values.dtype not in SHRINK or not 0 < bound < float("inf"):
        raise ValueError("Only float32 and float64 arrays can be clipped, and only to a finite bound above 0.")
    wide = values.astype(np.float64, copy=False)
    if not np.isfinite(wide).all():
        raise NotEstimable("Values that are not finite cannot be clipped, so they stay here; check the variables' ranges.")
    return wide


def _scaled(values: NDArray[Any], norms: NDArray[np.float64], bound: float) -> Clipped:
    large = norms > bound * SHRINK[np.dtype(np.float64)]  # the norm is itself rounded
    factor = np.where(large, bound / np.where(large, norms, 1.0) * SHRINK[values.dtype], 1.0)
    shrunk = values * factor.astype(values.dtype)[..., None]
    return Clipped(shrunk.astype(values.dtype, copy=False), float((norms > bound).mean()) if norms.size else 0.0)
