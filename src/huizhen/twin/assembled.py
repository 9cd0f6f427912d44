"""Which models a forecast is made with: the best that are there for a mirror; here they are plugged in, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from huizhen.errors import CallerError
from huizhen.twin.cipher.model import Asked, CipherModel
from huizhen.twin.course import Use
from huizhen.twin.forecast.demand import counted
from huizhen.twin.forecast.lines import shared_lines
from huizhen.twin.forecast.oneprocess import in_turn
from huizhen.twin.forecast.witness import unclocked
from huizhen.twin.mirror import Device
from huizhen.twin.quantity import Quantity
from huizhen.twin.simulate.models import Models, Protecting, by_rates, by_size
from huizhen.twin.simulate.rehearsal import Demand

__all__ = ["Assembled", "across_hospitals", "guarding", "within_one_process"]

JITTER = 0.1  # of what a site takes from round to round, before anybody measured it


@dataclass(frozen=True, slots=True)
class Assembled:
    """What foretells.

    Attributes:
        models: of seconds; demand: operations behind a question.
        clock: processor seconds of this thread, by which a rehearsal is timed; wall: seconds that pass meanwhile.
    """

    models: Models
    demand: Demand
    clock: Callable[[], float]
    wall: Callable[[], float] = unclocked


def across_hospitals(clock: Callable[[], float] = unclocked, wall: Callable[[], float] = unclocked) -> Assembled:
    """Sites on lines of their own that meet in the hub's."""
    return Assembled(Models(by_rates, guarding(), shared_lines, JITTER), counted, clock, wall)


def within_one_process(cores: int, clock: Callable[[], float] = unclocked, wall: Callable[[], float] = unclocked) -> Assembled:
    """Sites in one program."""
    return Assembled(Models(by_rates, guarding(), in_turn(cores), 0.0), counted, clock, wall)


def guarding(model: CipherModel | None = None) -> Protecting:
    """Seconds of protections; of one that the model does not know, by its size."""
    known = model or CipherModel()

    def protect(use: Use, device: Device) -> Quantity:
        try:
            return known.predict(Asked(use, device)).total
        except CallerError:
            return by_size(use, device)

    return protect
