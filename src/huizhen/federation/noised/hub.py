"""The hub's side of noisy sums: whole numbers of a grid's steps, read in the unit of the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from huizhen.federation.rounds import Answered
from huizhen.federation.scheme import HubSide, Summed
from huizhen.privacy.noiseplan import NoisePlan

__all__ = ["NoisedHub"]


class NoisedHub:
    """The hub's side of an analysis with noise: it takes the inner sum from steps of a grid to the unit of the values.

    What is computed from a noisy sum costs nothing more: counts below 0 become 0, but for histograms.
    """

    def __init__(self, inner: HubSide, plan: NoisePlan, analysis: str) -> None:
        self._inner, self._plan, self._analysis, self._step = inner, plan, analysis, ""

    @property
    def answers_in(self) -> str:
        return self._inner.answers_in

    def stages(self, step: str) -> tuple[str, ...]:
        self._step = step
        return self._inner.stages(step)

    def notice(self, stage: str) -> Mapping[str, Any]:
        return self._inner.notice(stage)

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        return self._inner.take(stage, replies)

    def summed(self) -> Summed:
        summed = self._inner.summed()
        noise = self._plan.steps.get((self._analysis, self._step))
        if noise is None:
            return summed
        sums: dict[str, NDArray[Any]] = dict(summed.total.sums)
        cells = list(summed.cells)
        for name, part in noise.parts.items():
            sums[name] = part.opened(sums[name])
            cells += [name] if part.kind == "counts" else []
        return replace(summed, total=replace(summed.total, sums=sums), cells=tuple(dict.fromkeys(cells)))

    def facts(self) -> Mapping[str, Any]:
        return self._inner.facts()
