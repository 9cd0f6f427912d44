"""What is asked of a site and what may leave it: questions, answers, and the sum that the hub sees.

The law of sums: what a site answers is an *addend*, an array that will only ever be added to those of the other sites, or a
declared *individual* release. Everything that protects or judges an answer reads it here and needs to know no method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from numpy.typing import NDArray

__all__ = ["Answer", "Part", "Progress", "Question", "Sensitivity", "Terms", "Total", "Variable"]

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as all participants agreed to read it.

    Attributes:
        kind: ``number`` (float64, NaN where missing), ``category`` (labels) or ``image`` (an array for each row).
        levels: the declared labels in order, first = reference; empty: to be agreed jointly.
        unit: UCUM-like unit for a reader, e.g. ``a`` or ``mg/dL``.
        range: declared smallest and largest plausible value (a public fact, not read from the data), or None.
        shape: of an image, (channel, *space); () for the others.
    """

    kind: Literal["number", "category", "image"]
    levels: tuple[str, ...] = ()
    unit: str = ""
    range: tuple[float, float] | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed before the first round: the strictest of the participants' policies, and the variables.

    Attributes:
        min_cell_count: no published number of patients lies between 1 and this minus 1.
        round_to: published counts are rounded to a multiple of this (1 = exact).
        max_degrees: the most model parameters per row, e.g. 0.33.
        lane: ``embedded`` (one process, totals are judged), ``plain`` (each addend is judged) or ``masked`` (the hub sees
            totals only).
        allow_individual: whether every participant allows individual releases.
        variables: every variable that the study reads, by name.
        roster: the participants, in order; fixed for the run of an exact method.
        seed: the study's, from which a method that draws starts.
        noise: whom the noise in the answers hides: a ``patient`` or a ``site``; "" where there is none.
        noise_multiplier: the study's own, for methods that put their noise in themselves; 0: there is none.
        allow_exact: whether every participant lets exact answers out beside noisy ones; False where one has a privacy budget.
        noise_sd: standard deviation of the noise in the entries of a joint answer, by step and part: one figure, or one for each
            slice along the part's last axis.
    """

    min_cell_count: int = 5
    round_to: int = 1
    max_degrees: float = 0.33
    lane: Literal["embedded", "plain", "masked"] = "embedded"
    allow_individual: bool = False
    variables: Mapping[str, Variable] = field(default_factory=lambda: EMPTY)
    roster: tuple[str, ...] = ()
    seed: int = 0
    noise: Literal["", "patient", "site"] = ""
    noise_multiplier: float = 0.0
    allow_exact: bool = True
    noise_sd: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long method is, for people who wait.

    Attributes:
        done: steps that are done when the question is asked, in the method's own unit (trees, rounds of averaging); 0 at first.
        of: steps planned; those that were done, once no more are to come.
        measures: the newest joint measures by name, e.g. ``auc``.
    """

    done: int
    of: int
    measures: Mapping[str, float] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Question:
    """What every participant is asked in one round.

    Attributes:
        method: the method's name, e.g. ``cox``.
        step: which of the method's steps answers, e.g. ``newton``.
        facts: what the step needs: None, bool, int, float, str, lists, string-keyed mappings and numeric arrays only.
        variables: the variables that the answer is computed from.
        degrees: the number of model parameters estimated from the answer; 0 for a description.
        progress: for people only; no answer depends on it.
    """

    method: str
    step: str
    facts: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    variables: tuple[str, ...] = ()
    degrees: int = 0
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The most that one patient, by being there or not, changes an array by.

    Attributes:
        l1: in the sum of absolute changes, in the unit of the entries.
        l2: in the Euclidean norm of the change, in the unit of the entries.
        entries: how many entries at most differ.
    """

    l1: float
    l2: float
    entries: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One array of an answer.

    Attributes:
        values: float64 or int64 (float32 where a network's weights change), any shape. With `keys`: one number for each key.
        rows: the rows behind it.
        kind: ``addend`` or ``individual``.
        cells: True where every entry is a number of patients (a policy judges each entry).
        keys: labels of a *keyed* addend, whose sum runs over the union of all sites' keys (say, category levels).
        sensitivity: what one patient changes, where the method declares it: of the whole array, or of each slice along its last
            axis. None: not known, so that no noise can hide a patient in it.
        layout: of a vector of weights: name and shape of each tensor, one behind the other; () where it has none to tell.
        unit: unit of the entries, for a reader.
    """

    values: NDArray[Any]
    rows: int
    kind: Literal["addend", "individual"] = "addend"
    cells: bool = False
    keys: tuple[str, ...] | None = None
    sensitivity: Sensitivity | tuple[Sensitivity, ...] | None = None
    layout: tuple[tuple[str, tuple[int, ...]], ...] = ()
    unit: str = "1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one site answers in one round; it leaves whole, or is refused.

    Attributes:
        parts: arrays by name.
        rows: the rows of the site that the answer rests on.
    """

    parts: Mapping[str, Part]
    rows: int


@dataclass(frozen=True, slots=True)
class Total:
    """What the hub works with: the sums over the round's participants, and the individual releases by site.

    Attributes:
        sums: the sum of each addend.
        keyed: the sum of each keyed addend, by key (keys sorted).
        individual: individual releases, by part, then by site in roster order.
        rows: rows behind the sums.
        roster: who answered.
    """

    sums: Mapping[str, NDArray[Any]]
    keyed: Mapping[str, Mapping[str, float]]
    individual: Mapping[str, Mapping[str, NDArray[Any]]]
    rows: int
    roster: tuple[str, ...]
