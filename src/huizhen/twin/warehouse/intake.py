"""Files of measurements, taken over into telemetry: recognised, read, judged, and reported on with all that was not taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from huizhen.errors import CallerError, Problem
from huizhen.twin.warehouse.readings import gathered
from huizhen.twin.warehouse.sources.iperf3 import iperf3
from huizhen.twin.warehouse.sources.perfsonar import EVENT_TYPES, archived, scheduled
from huizhen.twin.warehouse.sources.runlog import runlog
from huizhen.twin.warehouse.sources.table import table
from huizhen.twin.warehouse.sources.told import Told, Unread
from huizhen.twin.warehouse.telemetry import Appended, Telemetry

__all__ = ["FORMATS", "Taken", "take"]

FORMATS = ("csv", "iperf3", "perfsonar", "pscheduler", "runlog")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file.

    Attributes:
        points: read from it.
        unread: lines and entries that could not be read.
    """

    points: int
    unread: tuple[Unread, ...]
    appended: Appended


def take(
    telemetry: Telemetry,
    path: Path,
    form: str,
    *,
    now: datetime,
    site: str = "",
    subject: str = "",
    event_type: str = "",
    columns: Mapping[str, str] | None = None,
    same: Mapping[str, str] | None = None,
) -> Taken:
    """Takes over a file; a second time, it tells nothing new.

    Args:
        form: one of `FORMATS`.
        site, subject: whose measurements they are, and of which path; for iperf3 and perfSONAR.
        event_type: of a file of perfSONAR's archive.
        columns, same: of a CSV file, see `sources.table`.

    Raises:
        CallerError: what is to be known of the file is not said; all mistakes at once.
        DataError: it cannot be read.
        MachineError: the telemetry cannot be written; nothing was added.
    """
    _check(form, site, subject, event_type)
    constant = {name: said for name, said in (("site", site), ("subject", subject)) if said} | dict(same or {})
    readers: Mapping[str, Callable[[str], Told]] = {
        "csv": lambda text: table(text, columns=columns, same=constant),
        "iperf3": lambda text: iperf3(text, site=site, path=subject),
        "perfsonar": lambda text: archived(text, event_type=event_type, site=site, path=subject),
        "pscheduler": lambda text: scheduled(text, site=site, path=subject),
        "runlog": runlog,
    }
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "a file that is not UTF-8"
        raise CallerError("The measurements cannot be read.", [Problem(str(path), found, "a file that can be read")]) from None
    told = readers[form](text)
    return Taken(len(told.points), told.unread, telemetry.append(gathered(told.points), now=now))


def _check(form: str, site: str, subject: str, event_type: str) -> None:
    problems = []
    if form not in FORMATS:
        problems.append(Problem("format", form, f"one of {', '.join(FORMATS)}"))
    if form in ("iperf3", "perfsonar", "pscheduler"):
        problems += [Problem(name, "nothing", "a name") for name, said in (("site", site), ("subject", subject)) if not said]
    if form == "perfsonar" and event_type not in EVENT_TYPES:
        problems.append(Problem("event_type", event_type or "nothing", f"one of {', '.join(EVENT_TYPES)}"))
    if problems:
        raise CallerError("The measurements cannot be taken over.", problems)
