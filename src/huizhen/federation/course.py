"""The course of one analysis with one roster, as the hub keeps it: its totals since the last milestone, to be gone on from.

Rules, each with the mistake that it stops:

- files are named by the roster and its rows: a roster that a run comes back to goes on where it was, and another one's totals are
  not overwritten;
- a course begun anew has a name of its own, its lineage, which every ask carries: a site goes on from local state of this lineage
  only;
- totals count under the token of their milestone only: older files need not be removed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from huizhen import canonical
from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.checkpoint import Checkpoints, damaged, total_from, total_to
from huizhen.federation.study import Analysis
from huizhen.ids import new_id
from huizhen.methods.method import Milestone
from huizhen.privacy.release import EMPTY, Terms, Total

__all__ = ["Course"]


@dataclass(slots=True)
class Course:
    """Where an analysis stands.

    Attributes:
        study: digest of the study; rows: numbers of rows, by site of the roster.
        data: fingerprint of the rows, where one process knows them all.
        round: the last round that was folded, or before which the course began.
        lineage: which beginning this goes back to.
    """

    checkpoints: Checkpoints
    analysis: Analysis
    study: str
    data: str
    rows: Mapping[str, int]
    round: int
    lineage: str = ""
    resumed: bool = False
    protection: Mapping[str, Any] = field(default_factory=lambda: EMPTY)  # what the hub's side of the sums goes on from
    _token: str = ""
    _milestone: Milestone | None = None
    _folded: int = 0  # totals since the milestone

    def begin(self, terms: Terms) -> Any:
        """The state to go on from: of an interrupted run of this very roster, these very rows and this version, or the first.

        Raises:
            FederationError: what is kept under this name is another study's.
            MachineError: it is damaged.
        """
        header = self.checkpoints.load(self._name(0))
        if header is not None and not isinstance(header, Mapping):
            raise damaged(self._name(0))
        if header is None or not self._is_mine(header):
            self.lineage = new_id("course")
            self._open(None)
            return self.analysis.method.begin(self.analysis.spec, terms)
        try:
            return self._resume(header, terms)
        except (HuizhenError, MemoryError):
            raise
        except Exception as error:  # what a program makes of values that are not its own cannot be told beforehand
            raise damaged(self._name(0)) from error

    def _resume(self, header: Mapping[str, Any], terms: Terms) -> Any:
        """The state behind a header and its totals. It is asked its question, so that what cannot be gone on from shows here."""
        method = self.analysis.method
        self.lineage, self._token, self.round = header["lineage"], header["token"], header["round"]
        self.protection = header["protection"]
        self._milestone = None if header["milestone"] is None else Milestone(header["milestone"]["value"])
        state = method.begin(self.analysis.spec, terms, self._milestone)
        while (kept := self.checkpoints.load(self._name(self._folded + 1))) is not None and kept["token"] == self._token:
            self.round, self._folded, self.protection = self.round + 1, self._folded + 1, kept["protection"]
            state = method.fold(state, total_from(kept["total"]))
        self.resumed = bool(self._folded or self._milestone)
        method.ask(state)
        return state

    def fold(self, state: Any, total: Total, *, round_number: int, protection: Mapping[str, Any] = EMPTY) -> Any:
        """The next state, which is kept before anything is asked of it."""
        method, self.protection = self.analysis.method, protection
        after, self.round = method.fold(state, total), round_number
        passed = method.milestone(after)
        if passed is not self._milestone:
            self._open(passed)
        else:
            self._folded += 1
            kept = {"token": self._token, "total": total_to(total), "protection": dict(protection)}
            self.checkpoints.save(self._name(self._folded), kept)
        return after

    @property
    def _mine(self) -> dict[str, Any]:
        """What a header must say to be gone on from."""
        return {"study": self.study, "rows": dict(self.rows), "data": self.data, "program": version("huizhen")}

    def _is_mine(self, header: Mapping[str, Any]) -> bool:
        if header.get("study") != self.study:
            remedy = "Use another folder, or remove the file"
            found = Problem(self._name(0), "the checkpoint of another study", "a checkpoint of this study", remedy)
            raise FederationError("The run cannot be resumed from this checkpoint.", [found])
        mine = self._mine
        return {key: header.get(key) for key in mine} == mine

    def _open(self, milestone: Milestone | None) -> None:
        """From here on totals are kept anew; those under an earlier token do not count any more."""
        self._token, self._milestone, self._folded = new_id("totals"), milestone, 0
        kept = None if milestone is None else {"value": milestone.value}
        header = {**self._mine, "lineage": self.lineage, "token": self._token, "round": self.round, "milestone": kept}
        header["protection"] = dict(self.protection)
        self.checkpoints.save(self._name(0), header)

    def _name(self, place: int) -> str:
        return f"{self.analysis.label}.{canonical.digest([list(self.rows), dict(self.rows)])[:12]}.{place:05d}"
