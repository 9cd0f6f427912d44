"""What may be asked of telemetry, and what is answered; as SQL where DuckDB answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from huizhen.errors import CallerError, Problem
from huizhen.twin.warehouse.quality import Found, Outlier
from huizhen.twin.warehouse.readings import micros

__all__ = ["BATCH", "GATHERED", "Appended", "During", "Retention", "Wanted", "Window", "where_of", "windows_sql"]

# Behind a coarse value stand many: its ends count, its middle stands for them.
GATHERED = """sum(count)::bigint, quantile_cont(value, 0.5),
  least(quantile_cont(value, 0.05), min(case when count > 1 then low end)),
  greatest(quantile_cont(value, 0.95), max(case when count > 1 then high end))"""
BATCH = f"""select place, min(subject), unit, {GATHERED} from telemetry join asked
  on site = of_site and metric = of_metric and time >= make_timestamp(since) and time < make_timestamp(until)
  group by place, unit"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question: one metric, of some sites and subjects (() for all), from one time on and before another."""

    metric: str
    sites: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class During:
    """A question of a batch: a site's metric from one time on and before another."""

    site: str
    metric: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """Values of one series of one stretch of time: how many, their median, and between which lie nine of ten."""

    site: str
    subject: str
    metric: str
    unit: str
    begins: datetime
    count: int
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept how long.

    Attributes:
        whole_days: values as they came; older ones become one value an hour.
        coarse_days: these; older ones are deleted. Not less than `whole_days`.
    """

    whole_days: int = 90
    coarse_days: int = 1095

    def __post_init__(self) -> None:
        if not 1 <= self.whole_days <= self.coarse_days:
            found = f"whole_days {self.whole_days}, coarse_days {self.coarse_days}"
            raise CallerError(
                "Telemetry cannot be kept like this.", [Problem("retention", found, "1 <= whole_days <= coarse_days")]
            )


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of readings.

    Attributes:
        new, same: values that were kept, and that were held already.
        contradicted: times of a series of which two values are told: both are held, neither is believed.
        aside: by reason, site and metric, what was set aside.
        remarks: gaps, and clocks that were set back.
        outliers: sites that stand out in these readings.
    """

    new: int
    same: int
    contradicted: int
    aside: Mapping[tuple[str, str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    remarks: tuple[Found, ...] = ()
    outliers: tuple[Outlier, ...] = ()


def where_of(wanted: Wanted) -> tuple[str, list[Any]]:
    parts: list[str] = ["metric = ?"]
    row: list[Any] = [wanted.metric]
    for name, some in (("site", wanted.sites), ("subject", wanted.subjects)):
        if some:
            parts.append(f"{name} in ({', '.join('?' for _ in some)})")
            row += some
    for sign, time in ((">=", wanted.since), ("<", wanted.until)):
        if time is not None:
            parts.append(f"time {sign} make_timestamp(?)")
            row.append(micros(time))
    return " and ".join(parts), row


def windows_sql(where: str, every_s: int) -> str:
    """Stretches of time, by site and subject."""
    return f"""select site, subject, metric, unit, epoch_us(time_bucket(to_seconds({int(every_s)}), time)) as begins, {GATHERED}
      from telemetry where {where} group by all order by site, subject, begins"""
