"""The shadow of a run: its forecast stands in every ledger before the start, and what came is laid beside that very forecast.

with a forecast      record it -> conduct -> is it still that one? -> compare -> keep in a file for the next forecast
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from huizhen.errors import CallerError, LedgerError, Problem
from huizhen.federation.events import Event
from huizhen.federation.study import Study
from huizhen.ledger.store import LedgerStore
from huizhen.policy.gate import Gate
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.forecast.journal import append, kept_in
from huizhen.twin.shadow.comparing import compared
from huizhen.twin.shadow.learnt import Compared, Learnt, learnt

__all__ = ["KIND", "commit", "history_in", "kept", "met"]

KIND = "forecast"


def history_in(path: Path | None) -> Learnt:
    """What the runs kept in a file teach; nothing without a file.

    Raises:
        CallerError: the file is a foreign or an altered one.
    """
    return learnt(() if path is None else kept_in(path))


def commit(foreseen: Foreseen, study: Study, gates: Iterable[Gate], about: Mapping[str, Any]) -> None:
    """Writes a forecast's digest and summary into every ledger, before anything is asked.

    Raises:
        CallerError: it is a forecast of another study.
    """
    if foreseen.study != study.digest:
        problem = Problem("forecast", f"one of the study {foreseen.study[:12]}", f"one of this study, {study.digest[:12]}")
        raise CallerError("The forecast is of another study.", [problem])
    for gate in gates:
        gate.record(KIND, {**about, **foreseen.summary})


def met(
    foreseen: Foreseen,
    ledgers: Mapping[str, LedgerStore],
    since: Mapping[str, int],
    events: Sequence[Event],
    *,
    run: str,
    at: datetime,
) -> tuple[Compared, ...]:
    """What came of a run beside its forecast, once every ledger tells of that forecast.

    Args:
        since: how many entries each ledger had before the run.

    Raises:
        LedgerError: a ledger holds another forecast of this run, or none.
    """
    problems = []
    for site, ledger in ledgers.items():
        told = [entry.payload for entry in ledger.entries(since[site]) if entry.kind == KIND]
        digests = {str(one.get("digest")) for one in told if one.get("run") == run}
        if digests != {foreseen.digest}:
            found = "another forecast" if digests else "no forecast"
            problems.append(Problem(f"site {site}", found, f"the forecast {foreseen.digest[:12]}"))
    if problems:
        raise LedgerError("The ledgers do not tell of the forecast that is compared.", problems)
    return compared(foreseen, events, run=run, at=at)


def kept(path: Path, some: Sequence[Compared]) -> None:
    """Keeps what came beside what was foreseen, for the next forecast."""
    append(path, some)
