"""Free-text reports in a folder of text files, whose names say whose they are.

Reports in a column of a table are a table of rows that are reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from huizhen.data.connectors.files import Stamp, changed_files, content, decoded, unreadable
from huizhen.data.connectors.moments import NO_TIME, written_moment
from huizhen.data.connectors.options import ReportsOptions
from huizhen.data.events.schema import Batch, Changes, Event, part_of

__all__ = ["reports"]

ENDINGS = (".txt", ".txt.gz")
LARGEST = 4_000_000  # bytes
OTHER_NAME = "a file whose name does not say whose it is"


def reports(root: Path, options: ReportsOptions, cursor: Any) -> Changes:
    """The reports that changed since the last sync."""
    return Changes(_batches(root, options, dict(cursor["files"]) if cursor else {}), settings=options.digest)


def _batches(root: Path, options: ReportsOptions, known: dict[str, Stamp]) -> Iterator[Batch]:
    pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(options.name)))
    zone = ZoneInfo(options.time_zone)
    for path, name, stamp in changed_files(root, ENDINGS, known):
        found = _report(path, name, pattern, options.title, zone)
        known[name] = stamp
        if isinstance(found, Event):
            yield Batch([found], 1, cursor={"files": known})
        else:
            yield Batch(read=1, refused={found: 1}, cursor={"files": known})


def _report(path: Path, name: str, pattern: re.Pattern[str], title: str, zone: ZoneInfo) -> Event | str:
    match = pattern.fullmatch(path.name) or pattern.fullmatch(path.name.removesuffix(".gz"))
    if match is None:
        return OTHER_NAME
    said = match.groupdict()
    try:
        text = decoded(content(path, LARGEST))
        begins = written_moment(said["time"], zone) if "time" in said else None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        return unreadable(error)
    except (ValueError, OverflowError) as error:
        return unreadable(error) if "too large" in str(error) else NO_TIME
    return Event(said["patient"], "report", part_of(said.get("record", name)), "local", title, title, text=text, begins=begins)
