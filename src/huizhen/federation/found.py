"""What a study found, as the hub keeps it and a researcher takes it away: outcomes, what left, whose ledgers tell of it.

Canonical values both ways; a reader of an older or newer version says so rather than guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from huizhen.clock import moment, written
from huizhen.errors import FederationError, Problem
from huizhen.federation.events import Event, Loss, Outcome
from huizhen.federation.keeping import result_from, result_to
from huizhen.ids import is_name

__all__ = ["Collected", "Found", "LedgerHead", "Left"]

VERSION = 1


@dataclass(frozen=True, slots=True)
class Left:
    """What left one site in one analysis.

    Attributes:
        what: part by part, e.g. ``cox/newton/hessian``.
        kind: ``addend``, ``counts`` (an addend of patient numbers) or ``individual``; ``masked`` for what only its sum opens.
        times: how often; bytes: how many bytes in all; numbers: how many numbers in all.
    """

    site: str
    analysis: str
    what: str
    kind: str
    times: int
    bytes: int
    numbers: int


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The newest entry of a site's ledger, to compare against the ledger later."""

    site: str
    entries: int
    head: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a study found.

    Attributes:
        run: of its execution.
        policies: each participant's disclosure policy, plain values.
        notes: what a careful reader must know of how it came about.
    """

    run: str
    started: datetime
    seconds: float
    outcomes: tuple[Outcome, ...]
    left: tuple[Left, ...]
    policies: Mapping[str, Mapping[str, Any]]
    ledgers: tuple[LedgerHead, ...]
    notes: tuple[str, ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """All of it as canonical values."""
        return {
            "found": VERSION,
            "run": self.run,
            "started": written(self.started),
            "seconds": self.seconds,
            "outcomes": [_outcome_to(outcome) for outcome in self.outcomes],
            "left": [[one.site, one.analysis, one.what, one.kind, one.times, one.bytes, one.numbers] for one in self.left],
            "policies": {site: dict(policy) for site, policy in self.policies.items()},
            "ledgers": [[head.site, head.entries, head.head, head.public_key] for head in self.ledgers],
            "notes": list(self.notes),
        }

    @classmethod
    def parse(cls, content: Any) -> Found:
        """What stands in canonical values.

        Raises:
            FederationError: it is nothing of the kind, or of another version.
        """
        try:
            if content["found"] != VERSION:
                raise ValueError
            return cls(
                _name(content["run"]),
                moment(content["started"]),
                float(content["seconds"]),
                tuple(map(_outcome_from, content["outcomes"])),
                tuple(Left(*_typed(one, str, str, str, str, int, int, int)) for one in content["left"]),
                {_name(site): dict(policy) for site, policy in content["policies"].items()},
                tuple(LedgerHead(*_typed(one, str, int, str, str)) for one in content["ledgers"]),
                tuple(_typed(content["notes"], *len(content["notes"]) * [str])),
            )
        except (TypeError, LookupError, ValueError, AttributeError, ArithmeticError):
            remedy = "Use the release of this program that the hub runs"
            problem = Problem("result", "another form", f"version {VERSION} of what a study found", remedy)
            raise FederationError("What the study found cannot be read.", [problem]) from None


def _outcome_to(outcome: Outcome) -> dict[str, Any]:
    return {
        "label": outcome.label,
        "result": result_to(outcome.result),
        "roster": list(outcome.roster),
        "rows": [[site, rows] for site, rows in outcome.rows.items()],
        "losses": [[loss.site, loss.kind, loss.reason, loss.round] for loss in outcome.losses],
        "rounds": outcome.rounds,
        "restarts": outcome.restarts,
    }


def _outcome_from(told: Any) -> Outcome:
    rounds, restarts = _typed([told["rounds"], told["restarts"]], int, int)
    rows = [_typed(one, str, int) for one in told["rows"]]
    return Outcome(
        _name(told["label"]),
        result_from(told["result"]),
        tuple(map(_name, told["roster"])),
        {_name(site): count for site, count in rows},
        tuple(Loss(*_typed(loss, str, str, str, int)) for loss in told["losses"]),
        rounds,
        restarts,
    )


def _name(told: Any) -> str:
    """A name, which may become that of a file."""
    if not isinstance(told, str) or not is_name(told):
        raise ValueError
    return told


def _typed(told: Any, *kinds: type) -> list[Any]:
    """As many values as there are kinds, each of its kind."""
    if not isinstance(told, list) or [type(one) for one in told] != list(kinds):
        raise ValueError
    return told


@dataclass(slots=True)
class Collected:
    """What left the sites, added up from a run's events."""

    amounts: dict[tuple[str, str, str, str], list[int]] = field(default_factory=dict)
    resumed: bool = False

    def watch(self, event: Event) -> None:
        """Take one event."""
        self.resumed = self.resumed or event.kind == "resumed"
        for leaving in event.leaving:
            amount = self.amounts.setdefault((event.site, event.analysis, leaving.what, leaving.kind), [0, 0, 0])
            for place, more in enumerate((1, leaving.bytes, leaving.numbers)):
                amount[place] += more

    @property
    def left(self) -> tuple[Left, ...]:
        return tuple(Left(*names, *amount) for names, amount in self.amounts.items())
