"""The partial likelihood over all sites, as the hub asks for it.

Two surfaces with one face. `SiteSurface`: every stratum lies within a site, so sites add up log-likelihood, score and information.
`GridSurface`: risk sets span sites; sites add up weighted risks by cell of a joint grid, the hub finds the joint hazard, and a
second round adds up what needs it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.hazard import Hazard, Ties, cell_means, hazard_of, products_of_means
from huizhen.methods.hazards.riskset import Cells, Floats, elapse, grow
from huizhen.methods.hazards.transform import on_cells
from huizhen.privacy.release import Question, Total

__all__ = ["At", "GridSurface", "SiteSurface", "Surface", "Weighted"]

NAME = "cox"
Rounds = Generator[Question, Total, Any]


@dataclass(frozen=True, slots=True)
class At:
    """The partial likelihood at given coefficients of the standardised columns.

    Attributes:
        loglik: minus infinity where coefficients are beyond reason.
        score: float64 (column,).
        information: minus the second derivative, float64 (column, column).
        hazard: of the joint cells; None where strata lie within sites.
    """

    loglik: float
    score: Floats
    information: Floats
    hazard: Hazard | None = None


@dataclass(frozen=True, slots=True)
class Weighted:
    """Score and information with every cell's share times a function of its time.

    Attributes:
        score: float64 (function, column); the first function is 1.
        information: float64 (function, column, column).
        sums: for every function but the first its sum, and the sum of its squares, over events, float64 (function - 1, 2).
        undefined: whether a transform has no value at the time of some event.
    """

    score: Floats
    information: Floats
    sums: Floats
    undefined: bool


class Surface(Protocol):
    """The partial likelihood as a function of the coefficients of standardised columns; every method is a program over totals."""

    def at(self, design: Design, coefficients: Floats, *, above: float = -np.inf) -> Generator[Question, Total, At | None]:
        """The likelihood; None where it is not above `above`, so that nothing more need be asked."""

    def weighted(
        self, design: Design, coefficients: Floats, transforms: Sequence[Mapping[str, Any]]
    ) -> Generator[Question, Total, Weighted]:
        """Score and information times 1 and times each transform of time, its square, and its variant (see `transform`)."""

    def residual_products(self, design: Design, coefficients: Floats, *, cluster: bool) -> Generator[Question, Total, Floats]:
        """Sum of outer products of score residuals by row, or by site where `cluster`, float64 (column, column)."""


@dataclass(frozen=True, slots=True)
class SiteSurface:
    """Strata lie within sites. `model` goes to the sites; `variables` are what answers are computed from."""

    model: Mapping[str, Any]
    variables: tuple[str, ...]

    def at(self, design: Design, coefficients: Floats, *, above: float = -np.inf) -> Generator[Question, Total, At | None]:
        total = yield self._ask("likelihood", design, coefficients, {"transforms": []})
        loglik = float(total.sums["loglik"][0])
        if total.sums["overflow"][0] or not loglik > above:
            return None
        return At(loglik, total.sums["score"][0], total.sums["information"][0])

    def weighted(
        self, design: Design, coefficients: Floats, transforms: Sequence[Mapping[str, Any]]
    ) -> Generator[Question, Total, Weighted]:
        total = yield self._ask("likelihood", design, coefficients, {"transforms": list(transforms)})
        sums = total.sums
        return Weighted(sums["score"], sums["information"], sums["transforms"], bool(sums["undefined"][0]))

    def residual_products(self, design: Design, coefficients: Floats, *, cluster: bool) -> Generator[Question, Total, Floats]:
        total = yield self._ask("residuals", design, coefficients, {"cluster": cluster})
        products: Floats = total.sums["products"]
        return products

    def _ask(self, step: str, design: Design, coefficients: Floats, more: Mapping[str, Any]) -> Question:
        return _question(self, step, design, coefficients, more)


@dataclass(frozen=True, slots=True)
class GridSurface:
    """Risk sets span sites and stand on joint `cells`."""

    model: Mapping[str, Any]
    variables: tuple[str, ...]
    cells: Cells
    ties: Ties

    def at(self, design: Design, coefficients: Floats, *, above: float = -np.inf) -> Generator[Question, Total, At | None]:
        found = yield from self.hazard(design, coefficients)
        if found is None or not found[0] > above:
            return None
        loglik, hazard = found
        ones = np.ones(self.cells.count)
        score, information, _, _ = yield from self._derivatives(design, coefficients, hazard, [ones])
        return At(loglik, score[0], information[0], hazard)

    def weighted(
        self, design: Design, coefficients: Floats, transforms: Sequence[Mapping[str, Any]]
    ) -> Generator[Question, Total, Weighted]:
        shown = [values for transform in transforms for values in on_cells(transform, self.cells.time)]
        undefined = not all(np.isfinite(values).all() for values in shown)
        if undefined:
            shown = [np.zeros(self.cells.count) for _ in shown]
        hazard = yield from self._hazard_there(design, coefficients)
        by = [np.ones(self.cells.count), *shown]
        score, information, _, _ = yield from self._derivatives(design, coefficients, hazard, by)
        sums = np.array([[self.cells.deaths @ values, self.cells.deaths @ values**2] for values in shown])
        return Weighted(score, information, sums, undefined)

    def residual_products(self, design: Design, coefficients: Floats, *, cluster: bool) -> Generator[Question, Total, Floats]:
        hazard = yield from self._hazard_there(design, coefficients)
        _, _, first, tied = yield from self._derivatives(design, coefficients, hazard, [np.ones(self.cells.count)])
        means = cell_means(hazard, self.cells.weight, first, tied)
        facts = {
            "gone": hazard.gone_through(self.cells),
            "spared": hazard.tied,
            "mean": means.mean,
            "step": elapse(means.step, self.cells.starts),
            "tied": means.tied,
            "cluster": cluster,
        }
        total = yield _question(self, "residuals", design, coefficients, facts)
        products: Floats = total.sums["products"]
        return products

    def hazard(self, design: Design, coefficients: Floats) -> Generator[Question, Total, tuple[float, Hazard] | None]:
        """Log-likelihood and joint hazard; None where the coefficients are beyond reason."""
        total = yield _question(self, "risk", design, coefficients, {})
        if total.sums["overflow"][0]:
            return None
        hazard = hazard_of(self.cells, grow(total.sums["at_risk"], self.cells.starts), total.sums["tied"], self.ties)
        return float(total.sums["linear"][0]) - hazard.log_risk, hazard

    def _hazard_there(self, design: Design, coefficients: Floats) -> Generator[Question, Total, Hazard]:
        found = yield from self.hazard(design, coefficients)
        assert found is not None  # the coefficients are those of a maximum
        return found[1]

    def _derivatives(
        self, design: Design, coefficients: Floats, hazard: Hazard, by: Sequence[Floats]
    ) -> Generator[Question, Total, tuple[Floats, Floats, Floats, Floats]]:
        """Score and information for each factor of cells; first moments over risk sets, and over events."""
        facts = {
            "gone": np.array([hazard.gone_through(self.cells, factor) for factor in by]),
            "spared": np.array([hazard.tied * factor for factor in by]),
            "by": np.array(by),
        }
        total = yield _question(self, "curvature", design, coefficients, facts)
        first, tied = grow(total.sums["first"], self.cells.starts), total.sums["tied_first"]
        products = np.array([products_of_means(hazard, first, tied, factor) for factor in by])
        return total.sums["score"], total.sums["second"] - products, first, tied


def _question(
    surface: SiteSurface | GridSurface, step: str, design: Design, coefficients: Floats, more: Mapping[str, Any]
) -> Question:
    facts = {"model": surface.model, "design": design.facts(), "coefficients": coefficients, **more}
    return Question(NAME, step, facts, surface.variables, degrees=len(design.columns))
