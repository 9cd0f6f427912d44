"""Everything that can go wrong, on one tree, split by whose move is next.

    HuizhenError
    |-- CallerError          the person asking can mend it
    |   |-- StudyError       the study file does not say what it must
    |   `-- NotEstimable     the question is sound, these data cannot answer it
    |-- SiteError            the data manager of a site can mend it
    |   `-- DataError        a source cannot be read as the study needs it
    |-- PolicyError          a disclosure policy forbids it
    |-- LedgerError          a ledger does not verify, or cannot be written
    |-- FederationError      too few sites are left, or a rule of the rounds was broken
    `-- MachineError         disk, memory or an optional package is missing

A refusal by a policy is a value (`Decision`), not an exception; `PolicyError` is for asking to go on all the same.
No message ever holds a patient's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = [
    "CallerError",
    "DataError",
    "FederationError",
    "HuizhenError",
    "LedgerError",
    "MachineError",
    "NotEstimable",
    "PolicyError",
    "Problem",
    "SiteError",
    "StudyError",
    "closest",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, what was found, what was expected, what to do.

    Attributes:
        where: the key, file, row or column concerned, e.g. ``method.cox.ties``.
        found: what stands there (never a patient's value).
        expected: what may stand there.
        remedy: what to do, if `expected` does not already say it.
    """

    where: str
    found: str
    expected: str
    remedy: str = ""

    def __str__(self) -> str:
        tail = f". {self.remedy}" if self.remedy else ""
        return f"{self.where}: found {self.found}, expected {self.expected}{tail}"


class HuizhenError(Exception):
    """The root; carries all problems at once, not only the first."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        lines = [message, *(f"  - {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))
        self.message = message


class CallerError(HuizhenError):
    """The person asking can mend it."""


class StudyError(CallerError):
    """The study file does not say what it must."""


class NotEstimable(CallerError):
    """The question is sound, but these data cannot answer it (separation, aliasing, no convergence)."""


class SiteError(HuizhenError):
    """The data manager of a site can mend it."""


class DataError(SiteError):
    """A source cannot be read as the study needs it."""


class PolicyError(HuizhenError):
    """A disclosure policy forbids it."""


class LedgerError(HuizhenError):
    """A ledger does not verify, or cannot be written."""


class FederationError(HuizhenError):
    """Too few sites are left, or a rule of the rounds was broken."""


class MachineError(HuizhenError):
    """Disk, memory or an optional package is missing."""


def closest(name: str, known: Sequence[str]) -> str:
    """The known name that a name may have been meant to be; "" where none is near (``difflib``, a likeness of 0.6)."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), "")
