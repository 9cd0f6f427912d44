"""What of a site's telemetry may leave it: load and traffic tell of a hospital's day, so only coarse aggregates do, and seldom.

A rule beside those for answers: windows of an hour and more, enough values in each, medians on a coarse scale, and a pause from one
leaving to the next. What is not covered is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from huizhen.clock import written
from huizhen.errors import CallerError, Problem
from huizhen.twin.warehouse.metrics import METRICS
from huizhen.twin.warehouse.questions import Window

__all__ = ["Allowance", "Leaving", "Withheld", "leaving"]

LEAST_WINDOW_S = 3600


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a site allows.

    Attributes:
        metrics: by name; none by default.
        window_s: of each aggregate, an hour at least.
        least: values behind each.
        pause_s: from one leaving to the next.
        steps: of a share, how many parts of one it is rounded to; of anything else, how many values there are in a factor of ten.
    """

    metrics: tuple[str, ...] = ()
    window_s: int = 6 * 3600
    least: int = 30
    pause_s: float = 86_400.0
    steps: int = 10

    def __post_init__(self) -> None:
        problems = [Problem("metrics", name, f"one of {', '.join(METRICS)}") for name in self.metrics if name not in METRICS]
        if self.window_s < LEAST_WINDOW_S:
            problems.append(Problem("window_s", str(self.window_s), f"at least {LEAST_WINDOW_S}"))
        problems += [
            Problem(name, f"{value:g}", f"at least {least}")
            for name, value, least in (("least", self.least, 2), ("pause_s", self.pause_s, 3600), ("steps", self.steps, 1))
            if value < least
        ]
        if problems:
            raise CallerError("Telemetry cannot be let out like this.", problems)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What may leave.

    Attributes:
        rows: site, subject, metric, unit, beginning and rounded median of each window; the same in the ledger's entry.
    """

    rows: tuple[tuple[str, str, str, str, str, float], ...]
    window_s: int

    @property
    def entry(self) -> Mapping[str, Any]:
        """For the ledger: exactly what leaves."""
        return {"window_s": self.window_s, "rows": [list(row) for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Withheld:
    """Nothing may leave, and why."""

    reason: str
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def leaving(windows: Iterable[Window], allowed: Allowance, *, now: datetime, last: datetime | None) -> Leaving | Withheld:
    """What of these windows may leave now.

    Args:
        windows: of the allowance's length.
        last: when something left before; windows that had begun to leave then do not leave again.
    """
    if not allowed.metrics:
        return Withheld("this site lets no telemetry out")
    if last is not None and now - last < timedelta(seconds=allowed.pause_s):
        return Withheld("telemetry has left too short a time ago")
    length = timedelta(seconds=allowed.window_s)
    rows = []
    for one in windows:
        over = one.begins + length <= now  # a window that is not over would leave twice, and their difference would tell more
        fresh = last is None or one.begins + length > last
        if one.metric in allowed.metrics and METRICS[one.metric].unit == one.unit and one.count >= allowed.least and over and fresh:
            rows.append(
                (one.site, one.subject, one.metric, one.unit, written(one.begins), _rounded(one.median, one.unit, allowed.steps))
            )
    return Leaving(tuple(sorted(rows)), allowed.window_s) if rows else Withheld("no window is over and rests on enough values")


def _rounded(value: float, unit: str, steps: int) -> float:
    if unit == "1":
        return round(value * steps) / steps
    if value <= 0:
        return 0.0
    return float(f"{10 ** (round(math.log10(value) * steps) / steps):.3g}")
