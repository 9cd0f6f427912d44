"""Whether sites hang on one shared line, and that star in numbers: rounds of very many sites are then quickly shared out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from huizhen.twin.network.analytic import alone
from huizhen.twin.network.fluid import STANDING
from huizhen.twin.network.framing import Framing
from huizhen.twin.network.lines import Line, Route, States, routed
from huizhen.twin.network.star import Star
from huizhen.twin.network.topology import Path
from huizhen.twin.network.windows import Congestion

__all__ = ["Way", "star_lines"]

Way = Literal["down", "up"]  # from the hub to the sites, or from them


def star_lines(
    paths: Mapping[str, Path],
    way: Way,
    here: States,
    values: Mapping[tuple[str, str], float],
    *,
    framing: Framing | None = None,
    congestion: Congestion = "cubic",
) -> Star | None:
    """The star of these sites, in the order of `paths`; None where they share several lines, or only some of them share one.

    Args:
        paths: from the hub to each site (`topology.hub_paths`).
        here, values: the links' states and one state's numbers (`lines.states`, `lines.medians` or `lines.drawn`).
    """
    framing = framing or Framing()
    routes = [routed(one if way == "down" else one.reverse, here, values) for one in paths.values()]
    users = Counter(line.way for route in routes for line in route.ahead if line.shared)
    common = [line for line, count in users.items() if count > 1]
    if len(common) > 1 or any(users[line] < len(routes) for line in common):
        return None
    hub = next((line for route in routes for line in route.ahead if line.way in common), None)
    return _star(routes, hub, framing, congestion)


def _star(routes: Sequence[Route], hub: Line | None, framing: Framing, congestion: Congestion) -> Star:
    lone = [alone(route, framing, congestion) for route in routes]
    return Star(
        rate=np.array([one.rate for one in lone]),
        rtt=np.array([one.rtt for one in lone]),
        delay=np.array([one.delay for one in lone]),
        hub_rate=np.inf if hub is None else hub.goodput(framing),
        queue_s=STANDING * hub.queue / hub.rate if hub is not None and hub.drops else 0.0,
        burst=np.array([one.burst for one in lone]),
        turns=hub is not None and not hub.drops,
    )
