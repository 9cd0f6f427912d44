"""Where a site's rows are answered on: in this process, or in one of its own; what judges and signs never sees a row.

A site's agent holds keys, gate, ledger and checkpoints. It tells its workplace an analysis and a question, with the site's kept
state and the key of its draws, and takes back an answer that nothing has released yet.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from huizhen.data.examples import Examples
from huizhen.errors import FederationError, MachineError, Problem
from huizhen.federation.selection import select
from huizhen.federation.study import Analysis, Study
from huizhen.methods.method import Local, Team
from huizhen.privacy.release import Answer, Question

__all__ = ["DRAW_BYTES", "Here", "Unanswered", "Worked", "Workplace", "draw_key"]

DRAW_BYTES = 16


class Unanswered(MachineError):
    """A workplace gave no answer, through no fault of the rows: it was too slow, too large, or broke.

    Attributes:
        code: one word for programs, e.g. ``time`` or ``memory``; the message holds no patient's value.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Worked:
    """What a workplace gives back.

    Attributes:
        answer: as the method computed it; judged by nobody yet.
        kept: what the site keeps now; the very object that was handed in where nothing changed.
        elsewhere_s: seconds of processor time used elsewhere than in the calling thread.
    """

    answer: Answer
    kept: Mapping[str, Any]
    elsewhere_s: float = 0.0


class Workplace(Protocol):
    """Answers one question at a time on a site's rows; `tests/contract/test_workplace.py` is what all of them keep to."""

    def muster(self, analysis: str) -> int:
        """How many rows take part in an analysis; chooses them, and lets go of those of the analysis before.

        Raises:
            HuizhenError: they cannot be chosen; nobody is told a patient's value.
        """

    def answer(
        self,
        analysis: str,
        question: Question,
        kept: Mapping[str, Any],
        *,
        draw: bytes,
        course: str,
        counted: int | None = None,
    ) -> Worked:
        """The answer to a question.

        Args:
            analysis: its label in the study.
            kept: what the site kept of this analysis; canonical values.
            draw: key of the draws, `DRAW_BYTES` bytes, see `draw_key`.
            course: the lineage of the question; what was derived for another is forgotten.
            counted: how many rows the hub was told that the site has, where noise hides that; see `Local`.

        Raises:
            HuizhenError: there is no answer; nobody is told a patient's value.
        """

    def close(self) -> None:
        """Let go of rows and of whatever holds them. May be called twice."""


@dataclass(slots=True)
class _Chosen:
    """The rows of one analysis, and what was derived from them in one course."""

    analysis: Analysis
    examples: Examples
    course: str = ""
    memo: dict[str, Any] = field(default_factory=dict)


class Here:
    """A workplace in this process.

    Args:
        study: the study that the site accepted.
        examples: the site's rows, with every variable that the study reads.
        entropy: so many bytes from the site's secure source, for methods whose draws must stay secret; None: they do not answer.
        team: with whom this process computes an answer; None: alone.
    """

    def __init__(
        self, study: Study, examples: Examples, entropy: Callable[[int], bytes] | None = None, *, team: Team | None = None
    ) -> None:
        self._analyses = {analysis.label: analysis for analysis in study.analyses}
        self._study = study
        self._examples: Examples | None = examples
        self._entropy = entropy
        self._team = team
        self._chosen: _Chosen | None = None
        self._draws = _Draws()

    def muster(self, analysis: str) -> int:
        return self._rows_of(analysis).examples.rows

    def answer(
        self,
        analysis: str,
        question: Question,
        kept: Mapping[str, Any],
        *,
        draw: bytes,
        course: str,
        counted: int | None = None,
    ) -> Worked:
        chosen = self._rows_of(analysis)
        if chosen.course != course:
            chosen.course, chosen.memo = course, {}
        local, rng = Local(kept, chosen.memo, self._entropy, counted=counted, team=self._team), self._draws.of(draw)
        answer, after = chosen.analysis.method.answer(question, chosen.examples, local, rng=rng)
        chosen.memo = after.memo
        return Worked(answer, after.kept)

    def close(self) -> None:
        self._examples = self._chosen = None

    def _rows_of(self, label: str) -> _Chosen:
        if self._chosen is None or self._chosen.analysis.label != label:
            analysis = self._analyses.get(label)
            if analysis is None or self._examples is None:
                found = "an analysis that the study does not have" if analysis is None else "no rows any more"
                raise FederationError("Nothing can be answered here.", [Problem("analysis", found, "one of the study's")])
            self._chosen = None  # analyses come one after the other, and each holds its rows prepared
            self._chosen = _Chosen(analysis, select(self._study, analysis, self._examples).examples)
        return self._chosen


def draw_key(seed: int, site: str, analysis: str, round: int) -> bytes:
    """The key of a site's draws in one round: their hash, so that draws are its own for each seed, site, analysis and round."""
    names = "\0".join(map(str, (seed, site, analysis, round)))
    return hashlib.blake2b(names.encode(), digest_size=DRAW_BYTES).digest()


class _Draws(threading.local):
    """Draws by key: Philox. One bit generator for each thread is set back for each key, which takes a tenth of making one."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(key=0)
        self._fresh = self._bits.state

    def of(self, key: bytes) -> np.random.Generator:
        fresh: Any = self._fresh
        fresh["state"]["key"] = np.frombuffer(key, "<u8")
        self._bits.state = fresh
        return np.random.Generator(self._bits)
