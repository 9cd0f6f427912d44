"""What is said of an entity: from when on it holds (valid time), and since when the warehouse has known it (transaction time).

A statement holds from its `since` until the next statement of the same entity. One with the same `since` corrects it; one that says
``withdrawn`` takes it back, so that what stood before goes on; one that says ``ended`` ends the entity. None is ever erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from huizhen.clock import moment, written
from huizhen.errors import CallerError, Problem, closest
from huizhen.twin.quantity import PROVENANCES, Provenance, Quantity
from huizhen.twin.warehouse.kinds import KINDS, Kind

__all__ = ["Statement", "Version", "check", "content_of", "standing", "statement_of"]

NOTHING: Mapping[str, Any] = MappingProxyType({})
SAYS = ("is", "ended", "withdrawn")


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing said.

    Attributes:
        kind, name: of the entity; kind as in `kinds.KINDS`.
        since: from when on it holds, aware.
        words, quantities: what is said; as a whole, not only what has changed.
        provenance, source: of the words; each quantity has its own.
    """

    kind: str
    name: str
    since: datetime
    words: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    quantities: Mapping[str, Quantity] = field(default_factory=lambda: NOTHING)
    source: str = ""
    provenance: Provenance = "declared"
    says: Literal["is", "ended", "withdrawn"] = "is"


@dataclass(frozen=True, slots=True)
class Version:
    """A statement as the warehouse holds it.

    Attributes:
        known: since when; later than everything that was written before it.
        number: in the order of writing.
    """

    statement: Statement
    known: datetime
    number: int


def standing(versions: Iterable[Version], valid: datetime, known: datetime) -> dict[tuple[str, str], Version]:
    """What held of each entity at one time, as far as was known at another; by kind and name. The store's SQL does the same."""
    newest: dict[tuple[str, str, datetime], Version] = {}
    for one in sorted(versions, key=lambda version: (version.known, version.number)):
        said = one.statement
        if one.known <= known and said.since <= valid:
            newest[said.kind, said.name, said.since] = one
    found: dict[tuple[str, str], Version] = {}
    for (kind, name, _), one in sorted(newest.items(), key=lambda item: item[0]):
        if one.statement.says != "withdrawn":
            found[kind, name] = one
    return {key: one for key, one in found.items() if one.statement.says == "is"}


def check(statements: Iterable[Statement]) -> None:
    """Refuses what cannot be said, all mistakes at once.

    Raises:
        CallerError: an unknown kind, word or quantity, one that is missing, another unit, a time without zone, or two statements
            of the same entity and time.
    """
    problems: list[Problem] = []
    seen: dict[tuple[str, str, datetime], Statement] = {}
    for one in statements:
        problems += _problems(one)
        if one.since.tzinfo is not None and seen.setdefault((one.kind, one.name, one.since), one) != one:
            problems.append(Problem(_where(one), "two statements that hold from the same time", "one of them"))
    if problems:
        raise CallerError("The statements cannot be kept.", problems)


def _fact(where: str, name: str) -> str:
    return f"{where}, {name}"


def _where(one: Statement) -> str:
    return f"{one.kind} {one.name}"


def _problems(one: Statement) -> Iterable[Problem]:
    kind, where = KINDS.get(one.kind), _where(one)
    if kind is None:
        yield Problem(where, f"kind {one.kind}", f"one of {', '.join(KINDS)}", _meant(one.kind, tuple(KINDS)))
        return
    if not one.name.strip():
        yield Problem(where, "no name", "a name")
    if one.since.tzinfo is None:
        yield Problem(_fact(where, "since"), "a time without its time zone", "an aware time")
    if one.provenance not in PROVENANCES:
        yield Problem(_fact(where, "provenance"), str(one.provenance), f"one of {', '.join(PROVENANCES)}")
    if one.says not in SAYS:
        yield Problem(_fact(where, "says"), str(one.says), f"one of {', '.join(SAYS)}")
    if one.says == "is":
        yield from _unknown(where, one, kind)
        yield from _words(where, one.words, kind)
        yield from _quantities(where, one.quantities, kind)


def _unknown(where: str, one: Statement, kind: Kind) -> Iterable[Problem]:
    known = (*kind.words, *kind.quantities)
    for name in (*one.words, *one.quantities):
        right = name in kind.words if name in one.words else name in kind.quantities
        if not right and (not kind.open or name in known):
            yield Problem(
                f"{where}, {name}", "a fact that this kind does not have", f"one of {', '.join(known)}", _meant(name, known)
            )


def _words(where: str, words: Mapping[str, str], kind: Kind) -> Iterable[Problem]:
    for name, word in kind.words.items():
        said = words.get(name, word.usual)
        if said is None:
            yield Problem(f"{where}, {name}", "nothing", "a text")
        elif word.among and said not in word.among:
            yield Problem(f"{where}, {name}", said, f"one of {', '.join(word.among)}", _meant(said, word.among))


def _quantities(where: str, quantities: Mapping[str, Quantity], kind: Kind) -> Iterable[Problem]:
    for name, measure in kind.quantities.items():
        said = quantities.get(name)
        if said is None:
            if measure.usual is None and not measure.optional:
                yield Problem(f"{where}, {name}", "nothing", f"a value in {measure.unit}" if measure.unit else "a value")
        elif measure.unit and said.unit != measure.unit:
            yield Problem(f"{where}, {name}", said.unit, measure.unit)
        elif said.value > measure.most:
            yield Problem(f"{where}, {name}", f"{said.value:g}", f"at most {measure.most:g}")


def _meant(name: str, known: tuple[str, ...]) -> str:
    near = closest(name, known)
    return f"Did you mean {near}?" if near else ""


def content_of(one: Statement) -> dict[str, Any]:
    """What is said as plain values, without kind, name and time."""
    quantities = {
        name: [it.value, it.unit, it.low, it.high, it.provenance, it.source, None if it.at is None else written(it.at)]
        for name, it in one.quantities.items()
    }
    return {
        "words": dict(one.words),
        "quantities": quantities,
        "source": one.source,
        "provenance": one.provenance,
        "says": one.says,
    }


def statement_of(kind: str, name: str, since: datetime, content: Mapping[str, Any]) -> Statement:
    """The statement behind plain values."""
    quantities = {key: _quantity(*values) for key, values in content["quantities"].items()}
    return Statement(
        kind, name, since, dict(content["words"]), quantities, content["source"], content["provenance"], content["says"]
    )


def _quantity(value: float, unit: str, low: float, high: float, provenance: Provenance, source: str, at: str | None) -> Quantity:
    return Quantity(float(value), unit, float(low), float(high), provenance, source, None if at is None else moment(at))
