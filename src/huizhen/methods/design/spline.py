"""Spline bases that equal R's `bs` and `ns` for the same knots.

Source: de Boor, A Practical Guide to Splines (1978); R's package splines for which columns stand, and for the natural basis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import qr

__all__ = ["Spline"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spline:
    """A basis without the constant.

    Attributes:
        inner: inner knots, increasing, float.
        boundary: lower and upper boundary knot; beyond them the basis goes on as a polynomial (natural: as a straight line).
        degree: 3 for cubic.
        natural: whether the second derivative vanishes at the boundary (R's `ns`; always cubic).
    """

    inner: tuple[float, ...]
    boundary: tuple[float, float]
    degree: int = 3
    natural: bool = False

    @property
    def columns(self) -> int:
        """How many columns the basis has."""
        return len(self.inner) + (1 if self.natural else self.degree)

    def evaluate(self, values: Floats) -> Floats:
        """The basis at `values` (row,): float64 (column, row)."""
        basis, slope = _functions(self)
        if not self.natural:
            return np.ascontiguousarray(basis(values).T)
        low, high = self.boundary
        inside = np.clip(values, low, high)
        beyond = values - inside
        shown: Floats = basis(inside)
        outside = beyond != 0
        shown[outside] += slope(inside[outside]) * beyond[outside, None]
        return np.ascontiguousarray(shown.T)

    def facts(self) -> dict[str, Any]:
        """Canonical form."""
        return {"inner": list(self.inner), "boundary": list(self.boundary), "degree": self.degree, "natural": self.natural}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Spline:
        """The spline behind `facts`."""
        low, high = facts["boundary"]
        return cls(tuple(facts["inner"]), (low, high), facts["degree"], facts["natural"])


@lru_cache(maxsize=256)
def _functions(spline: Spline) -> tuple[BSpline, BSpline]:
    """The basis as one vector-valued function, and its slope."""
    low, high = spline.boundary
    knots = np.array([low] * (spline.degree + 1) + list(spline.inner) + [high] * (spline.degree + 1), dtype=np.float64)
    all_columns = np.eye(len(knots) - spline.degree - 1)
    weights = all_columns[:, 1:]  # the first B-spline is what the constant already spans, as R leaves it out
    if spline.natural:
        # Second derivatives at both ends must vanish: stay in the null space of the two conditions (R's ns, by the same QR).
        bends = BSpline(knots, all_columns, spline.degree).derivative(2)(np.array([low, high]))[:, 1:]
        q, _ = qr(bends.T)
        weights = weights @ q[:, 2:]
    basis = BSpline(knots, np.ascontiguousarray(weights), spline.degree, extrapolate=True)
    return basis, basis.derivative(1)
