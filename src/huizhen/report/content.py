"""What a report is made of: facts only, no markup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from huizhen.federation.found import LedgerHead, Left
from huizhen.privacy.release import EMPTY
from huizhen.privacy.result import Result, Table
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.shadow.learnt import Compared

__all__ = ["Analysis", "LedgerHead", "Left", "LeftOut", "Outlook", "Refusal", "ReportContent", "Unjudged"]


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A model (``alone``, ``federation`` or ``pooled``; `site`: whose) that could not be judged on a site's rows or on ``all``."""

    model: str
    site: str
    rows: str
    reason: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis seen three ways.

    Attributes:
        label: unique within the study, e.g. ``cox`` or ``cox: adjusted``.
        federation: what the sites found together.
        alone: what each site would have found by itself, by site (a site may have failed: `Result.failure`).
        pooled: the same method on the pooled rows, or None where rows may not be pooled.
        reference: an independent library on the pooled rows, or None.
        reference_name: e.g. ``lifelines 0.30.3``.
        difference: largest relative difference of any published number of `federation` from `pooled`; None without `pooled`.
        reference_difference: the same from `reference`.
        rounds: rounds it took.
        exact: whether the method equals the pooled answer; of another one, a difference is no error and is not shown.
        quality: learned models beside each other, on rows that none learnt from: ``model`` (``alone``, ``federation``, ``pooled``),
            ``site``, ``rows`` (a site's, or ``all``), ``patients``, and measures with their limits; None where there are none.
        curves: tables ``roc`` and ``calibration`` on all those rows, by model: a site's name, "" for the federation's, ``*`` for
            that of the pooled rows.
        unjudged: what `quality` has no numbers of, and why.
    """

    label: str
    federation: Result
    alone: Mapping[str, Result]
    pooled: Result | None = None
    reference: Result | None = None
    reference_name: str = ""
    difference: float | None = None
    reference_difference: float | None = None
    rounds: int = 0
    exact: bool = True
    quality: Table | None = None
    curves: Mapping[str, Mapping[str, Table]] = field(default_factory=lambda: EMPTY)
    unjudged: tuple[Unjudged, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A site that took no part in an analysis ("" = in the whole study), and why; `rounds`: or only none in so many rounds."""

    site: str
    analysis: str
    reason: str
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision of a policy not to release, or to withhold or change what is published."""

    site: str  # "" for a decision on the joint result
    analysis: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a report tells of a forecast: the forecast, and what came, part by part, where there was a run."""

    foreseen: Foreseen
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportContent:
    """A whole report."""

    title: str
    question: str
    study_digest: str
    run: str
    started: datetime
    seconds: float
    engine: str
    lane: str
    version: str
    cohort: tuple[str, ...]
    participants: Mapping[str, int]  # rows offered, by site
    left_out: tuple[LeftOut, ...]
    analyses: tuple[Analysis, ...]
    left: tuple[Left, ...]
    refusals: tuple[Refusal, ...]
    policies: Mapping[str, Mapping[str, str]]  # clause -> value, by site
    ledgers: tuple[LedgerHead, ...]
    notes: tuple[str, ...] = ()
    outlook: Outlook | None = None
