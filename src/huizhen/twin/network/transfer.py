"""How long transfers take over the mirrored federation: one call, three levels of detail.

    transfer(flows, mirror, level="fluid").makespan.total        # seconds, with an interval

    analytic   by formula, as if each were alone: for transfers that do not meet
    fluid      weighted-fair rates on shared lines: for whole rounds
    packet     windows, queues and losses: for few transfers of some megabytes that press on one line

Every level is run on the links' medians for the value, and on states drawn from their intervals for the 90 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from huizhen.errors import CallerError, Problem
from huizhen.twin.functional import Prediction
from huizhen.twin.mirror import Mirror
from huizhen.twin.network.analytic import Moving, Parts, alone, parts_alone
from huizhen.twin.network.fluid import fluid
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import States, drawn, medians, routed, states, weakest
from huizhen.twin.network.packet import packets
from huizhen.twin.network.topology import Path
from huizhen.twin.network.windows import Congestion
from huizhen.twin.quantity import Quantity, exactly

__all__ = ["LEVELS", "Carried", "Flow", "Level", "Transfers", "naive_seconds", "transfer", "wire_bytes"]

Level = Literal["analytic", "fluid", "packet"]
LEVELS: tuple[Level, ...] = ("analytic", "fluid", "packet")
UNEVEN = 0.5  # standard deviation of the logarithm of how much more one connection gets than another like it, on a full line
DOUBT_ALONE, DOUBT_SHARED = 1.015, 1.03  # by what factor a level itself may be off, seen on real lines
Solver = Callable[[Sequence[Moving], int], np.ndarray]  # the transfers, and which draw: when each ends


@dataclass(frozen=True, slots=True)
class Flow:
    """A message to be carried.

    Attributes:
        name: of which there is one in a call.
        size: bytes of the message; start: seconds.
        opens: round trips before its first byte may leave: 0 over a connection that stands, 1 for TCP, 2 with TLS 1.3 (RFC 8446).
    """

    name: str
    path: Path
    size: int
    start: float = 0.0
    opens: float = 0.0


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a flow.

    Attributes:
        seconds: from its start until its last byte is there; parts ``opening``, ``slow start``, ``sending``, ``sharing`` and
            ``arriving``.
        end: in seconds of the clock of the starts.
    """

    flow: Flow
    seconds: Prediction
    end: Quantity


@dataclass(frozen=True, slots=True)
class Transfers:
    """All flows of a call, in its order, and when the last one ends."""

    flows: tuple[Carried, ...]
    makespan: Prediction


def transfer(
    flows: Sequence[Flow],
    mirror: Mirror,
    *,
    level: Level = "fluid",
    draws: int = 20,
    seed: int = 0,
    now: datetime | None = None,
    framing: Framing | None = None,
    congestion: Congestion = "cubic",
) -> Transfers:
    """When each flow ends.

    Args:
        draws: states of the links that the intervals come from; 0: none, intervals are those of the level's own doubt.
        now: links are aged to it; by default to the mirror's own time.

    Raises:
        CallerError: naming every flow that cannot be, every link that is unknown or cannot carry anything, or an unknown level.
    """
    framing = framing or Framing()
    _checked(flows, mirror, level)
    here = states(mirror, [one.path for one in flows], now or mirror.at)
    if not flows:
        return Transfers((), Prediction(exactly(0, "s")))
    middle = _moving(flows, here, medians(here), framing)
    solve = _solver(level, framing, congestion, seed, [one.name for one in flows])
    ends = solve(middle, 0)
    drawn_ends = _drawn_ends(flows, here, framing, solve, draws, seed)
    if level == "packet" and draws:  # by chance some states are no likelier than others: the middle of them is
        ends = np.median(np.vstack([ends, drawn_ends]), axis=0)
    starts = np.array([one.start for one in flows])
    ranges = _ranges(ends - starts, drawn_ends - starts, level)
    carried = tuple(
        _carried(one, moving, end, low_high, here, framing, congestion)
        for one, moving, end, low_high in zip(flows, middle, ends, ranges, strict=True)
    )
    first = starts.min()
    last = float(np.median([ends.max() - first, *(drawn_ends.max(axis=1) - first)])) if level == "packet" else ends.max() - first
    span = _ranges(np.array([last]), drawn_ends.max(axis=1, keepdims=True) - first, level)[0]
    relied_on = {name: one for single in carried for name, one in single.seconds.relied_on.items()}
    return Transfers(carried, Prediction(_seconds(last, span, relied_on), relied_on=relied_on, notes=here.notes))


def wire_bytes(flow: Flow, mirror: Mirror, framing: Framing | None = None) -> Mapping[str, float]:
    """Bytes that the flow puts on each link of its path: headers and overhead included, acknowledgements and repetitions not."""
    framing = framing or Framing()
    return {hop.link: framing.wire(flow.size, mirror.links[hop.link].overhead.value) for hop in flow.path.hops}


def naive_seconds(flow: Flow, mirror: Mirror) -> float:
    """The usual formula: size over the rate of the slowest link."""
    rates = [(mirror.links[hop.link].there if hop.forward else mirror.links[hop.link].back).value for hop in flow.path.hops]
    return flow.size / min(rates, default=float("inf"))


def _checked(flows: Sequence[Flow], mirror: Mirror, level: str) -> None:
    problems = []
    if level not in LEVELS:
        problems.append(Problem("level", level, f"one of {', '.join(LEVELS)}"))
    seen: set[str] = set()
    for one in flows:
        if one.name in seen:
            problems.append(Problem(f"flow {one.name}", "twice", "every name once"))
        seen.add(one.name)
        if one.size < 0 or one.start < 0 or one.opens < 0:
            problems.append(Problem(f"flow {one.name}", "a number below 0", "size, start and opens of 0 or more"))
        unknown = [hop.link for hop in one.path.hops if hop.link not in mirror.links]
        problems += [Problem(f"flow {one.name}", f"link {name}", "a link of the mirror") for name in unknown]
    if problems:
        raise CallerError("The transfers cannot be forecast.", problems)


def _moving(flows: Sequence[Flow], here: States, values: Mapping[tuple[str, str], float], framing: Framing) -> list[Moving]:
    return [Moving(one.name, framing.stream(one.size), one.start, one.opens, routed(one.path, here, values)) for one in flows]


def _solver(level: Level, framing: Framing, congestion: Congestion, seed: int, names: Sequence[str]) -> Solver:
    if level == "analytic":
        return lambda some, _: np.array([one.start + parts_alone(one, framing, congestion).seconds for one in some])
    if level == "packet":
        return lambda some, draw: packets(some, framing, congestion=congestion, seed=seed * 1000 + draw)
    places = np.argsort(np.argsort(names))  # chance belongs to a name, not to the place in a list

    def solve(some: Sequence[Moving], draw: int) -> np.ndarray:
        if draw == 0:
            return fluid(some, framing, congestion=congestion)
        chance = np.random.default_rng([seed, draw]).standard_normal(len(some))[places]
        return fluid(some, framing, congestion=congestion, favour=np.exp(UNEVEN * chance))

    return solve


def _drawn_ends(flows: Sequence[Flow], here: States, framing: Framing, solve: Solver, draws: int, seed: int) -> np.ndarray:
    """(draw, flow)"""
    rng = np.random.default_rng([seed, 1])
    found = [solve(_moving(flows, here, drawn(here, rng), framing), draw + 1) for draw in range(draws)]
    return np.array(found).reshape(draws, len(flows))


def _ranges(middle: np.ndarray, some: np.ndarray, level: Level) -> list[tuple[float, float]]:
    """5 and 95 % points of draws, opened by the level's own doubt, around the middle."""
    doubt = DOUBT_ALONE if level == "analytic" else DOUBT_SHARED
    low, high = np.quantile(some, [0.05, 0.95], axis=0) if len(some) else (middle, middle)
    low, high = np.minimum(low, middle) / doubt, np.maximum(high, middle) * doubt
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _carried(
    flow: Flow,
    moving: Moving,
    end: float,
    low_high: tuple[float, float],
    here: States,
    framing: Framing,
    congestion: Congestion,
) -> Carried:
    seconds = max(float(end) - flow.start, 0.0)
    links = {hop.link for hop in flow.path.hops}
    relied_on = {name: one for name, one in here.relied_on.items() if name.rsplit(".", 1)[0] in links}
    total = _seconds(seconds, low_high, relied_on)
    parts = _parts(parts_alone(moving, framing, congestion), seconds)
    notes = list(here.notes)
    if moving.route.loss > 0 and alone(moving.route, framing, congestion).rate < moving.route.narrowest(framing).goodput(framing):
        notes.append(f"The rate of {flow.path} is held down by lost packets, not by a line.")
    prediction = Prediction(total, {name: exactly(one, "s") for name, one in parts.items()}, relied_on, tuple(notes))
    return Carried(
        flow, prediction, Quantity(flow.start + seconds, "s", flow.start + total.low, flow.start + total.high, total.provenance)
    )


def _parts(lone: Parts, seconds: float) -> Mapping[str, float]:
    """The parts of a transfer that is alone, and what sharing adds; where it took less than alone, sending did."""
    sharing = seconds - lone.seconds
    given = {
        "opening": lone.opening,
        "slow start": lone.starting,
        "sending": lone.sending,
        "sharing": sharing,
        "arriving": lone.arriving,
    }
    if sharing >= 0:
        return given
    factor = seconds / lone.seconds
    return {name: max(one, 0.0) * factor for name, one in given.items()}


def _seconds(value: float, low_high: tuple[float, float], relied_on: Mapping[str, Quantity]) -> Quantity:
    low, high = min(low_high[0], value), max(low_high[1], value)
    return Quantity(value, "s", max(low, 0.0), high, weakest(relied_on.values()), "huizhen.twin.network")
