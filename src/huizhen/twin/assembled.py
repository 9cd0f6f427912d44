"""Which models a forecast is made with: the best that are there for a mirror; here they are plugged in, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from huizhen.twin.forecast.lines import shared_lines
from huizhen.twin.forecast.oneprocess import in_turn
from huizhen.twin.forecast.witness import unclocked
from huizhen.twin.simulate.models import Models, by_rates, by_size
from huizhen.twin.simulate.rehearsal import Demand, no_demand

__all__ = ["Assembled", "across_hospitals", "within_one_process"]

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
    return Assembled(Models(by_rates, by_size, shared_lines, JITTER), no_demand, clock, wall)


def within_one_process(cores: int, clock: Callable[[], float] = unclocked, wall: Callable[[], float] = unclocked) -> Assembled:
    """Sites in one program."""
    return Assembled(Models(by_rates, by_size, in_turn(cores), 0.0), no_demand, clock, wall)
