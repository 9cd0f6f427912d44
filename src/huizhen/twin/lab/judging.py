"""Forecasts beside what came: an error card for each part, over configurations that nobody learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from huizhen.twin.functional import ErrorCard, Prediction, Residual
from huizhen.twin.lab.observations import JUDGED, Observation, repeated
from huizhen.twin.lab.plan import Configuration, LabPlan
from huizhen.twin.shadow.cards import card, repeat_spread

__all__ = ["Asked", "Forecaster", "Judgement", "judged", "split"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a forecaster is asked: a part of a configuration, and which (`Observation.part`, `subject`)."""

    plan: LabPlan
    configuration: Configuration
    part: str
    subject: str


class Forecaster(Protocol):
    """Whoever forecasts what the lab will see, before it is seen."""

    @property
    def name(self) -> str: ...

    def predict(self, asked: Asked) -> Prediction:
        """What is expected.

        Raises:
            CallerError: it cannot know this.
        """


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a forecaster did.

    Attributes:
        cards: by part, in the order of `JUDGED`; parts that nothing was seen of are left out.
        configurations, rounds: held out, that it was judged on.
    """

    name: str
    cards: Mapping[str, ErrorCard]
    configurations: int
    rounds: int


def split(plan: LabPlan, seen: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """What may be learnt from, and what is held out."""
    held = {one.name for one in plan.configurations if one.held_out}
    return [one for one in seen if one.configuration not in held], [one for one in seen if one.configuration in held]


def judged(plan: LabPlan, held_out: Sequence[Observation], forecaster: Forecaster, naive: Forecaster) -> Judgement:
    """The forecaster's cards, the naive formula beside each, above the spread of repetitions."""
    by_name = {one.name: one for one in plan.configurations}
    cards = {}
    for part in JUDGED:
        seen = [one for one in held_out if one.part == part]
        if not seen:
            continue
        asked = [Asked(plan, by_name[one.configuration], part, one.subject) for one in seen]
        told: dict[tuple[str, str], tuple[Prediction, Prediction]] = {}
        for one in asked:
            key = one.configuration.name, one.subject
            if key not in told:
                told[key] = forecaster.predict(one), naive.predict(one)
        pairs = [told[one.configuration.name, one.subject] for one in asked]
        residuals = [
            Residual(part, one.configuration, said.total, one.seen, one.at) for one, (said, _) in zip(seen, pairs, strict=True)
        ]
        usual = [said.total.value for _, said in pairs]
        cards[part] = card(part, residuals, naive=usual, spread=repeat_spread(repeated(seen)))
    rounds = sum(one.part == "round" for one in held_out)
    return Judgement(forecaster.name, cards, len({one.configuration for one in held_out}), rounds)
