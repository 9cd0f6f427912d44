"""A cohort counted across hospitals: the criteria as a short study, suggested to the hub and waited for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huizhen.cli.asking import ASK_S, EVERY_S, kept, line
from huizhen.clock import WallClock
from huizhen.data.criteria.attrition import Attrition
from huizhen.data.criteria.declarations import Criteria
from huizhen.errors import FederationError, Problem
from huizhen.federation.found import Found
from huizhen.federation.life import FINAL
from huizhen.federation.study import Study
from huizhen.federation.wire.bus import Bus
from huizhen.privacy.result import Result

__all__ = ["count_across", "study_of"]

METHOD = "attrition"
FEWEST = 3  # sites of a masked sum


def study_of(criteria: Criteria, sites: Sequence[str], *, by_site: bool = False, sum: str = "") -> Study:
    """The study that counts a cohort.

    Args:
        sum: how the numbers are added up; "": masked where there are sites enough.

    Raises:
        StudyError: it cannot be put so.
    """
    return Study.parse(
        {
            "study": {"title": criteria.title},
            "method": {METHOD: {"criteria": criteria.content, "by_site": by_site}},
            "participants": {"sites": list(sites), "quorum": len(sites)},
            "protection": {"sum": sum or ("masked" if len(sites) >= FEWEST else "plain")},
            "start": {"when": "all accepted"},
        }
    )


def count_across(dir: Path, study: Study, *, within_s: float) -> Attrition:
    """The attrition table that the sites of a study let be told.

    Args:
        dir: the folder of whoever asks.
        within_s: how long to wait; the study goes on without anybody who waits.

    Raises:
        FederationError: it is not over yet, or there is no answer, and why.
    """
    clock, pause = WallClock(), threading.Event()
    over_s = clock.seconds() + within_s
    with line(dir) as bus:
        id = kept(bus.ask("submit", {"study": study.content}, timeout_s=ASK_S), study)
        while (stands := bus.ask("status", {"id": id}, timeout_s=ASK_S))["state"] not in FINAL:
            if clock.seconds() > over_s:
                raise _late(id, stands)
            pause.wait(EVERY_S)
        if stands["state"] != "done":
            raise _uncounted(id, str(stands.get("reason") or stands["state"]))
        return _told(bus, id, study)


def _told(bus: Bus, id: str, study: Study) -> Attrition:
    found = Found.parse(bus.ask("result", {"id": id}, timeout_s=ASK_S)["result"])
    (outcome,) = found.outcomes
    if outcome.label != METHOD:
        raise _uncounted(id, "the result of another study")
    if outcome.result.failure:
        raise _uncounted(id, outcome.result.failure)
    return _table(study, outcome.result)


def _table(study: Study, result: Result) -> Attrition:
    joint = result.tables[METHOD].columns
    sites: dict[str, list[int | None]] = {}
    if "by_site" in result.tables:
        columns = result.tables["by_site"].columns
        for site, patients in zip(columns["site"], columns["patients"]):
            sites.setdefault(str(site), []).append(patients)
    why = tuple(dict.fromkeys(one.reason for one in result.withheld))
    each: Mapping[str, tuple[Any, ...]] = {site: tuple(column) for site, column in sites.items()}
    return Attrition(study.title, tuple(map(str, joint["step"])), joint["patients"], each, "\n".join((*result.notes, *why)))


def _late(id: str, stands: Mapping[str, Any]) -> FederationError:
    waited = ", ".join(site for site, stance in dict(stands.get("stances", {})).items() if stance != "accepted") or "the sites"
    remedy = f"`huizhen study watch {id}` goes on waiting; sites that name attrition in accept.at_once answer at once"
    return FederationError(
        "The cohort is not counted yet.", [Problem(id, f"no answer of {waited} so far", "an answer of all", remedy)]
    )


def _uncounted(id: str, reason: str) -> FederationError:
    return FederationError("The cohort was not counted.", [Problem(id, reason, "an answer that all sites' policies allow")])
