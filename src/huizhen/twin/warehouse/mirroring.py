"""From statements to a mirror: what grew old is doubted more, what nobody said is assumed, and both are named in its notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from huizhen.errors import CallerError, Problem, closest
from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite, Node, mirrored
from huizhen.twin.quantity import Quantity, aged, assumed
from huizhen.twin.warehouse.kinds import KINDS, MIRRORED, Measure
from huizhen.twin.warehouse.statements import Statement

__all__ = ["mirror_from"]

TOLD = 1.1  # an interval that age has widened by less is not worth a note
SHOWN = 5  # names in one note


@dataclass(slots=True)
class _Notes:
    """What is to be told, gathered by kind and quantity: a note for each of 10,000 sites would be read by nobody."""

    stale: dict[tuple[str, str], list[tuple[str, float, float]]] = field(default_factory=dict)
    missing: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def lines(self) -> tuple[str, ...]:
        stale = [_stale(kind, name, found) for (kind, name), found in self.stale.items()]
        return tuple(stale + [_missing(kind, name, names) for (kind, name), names in self.missing.items()])


def mirror_from(statements: Iterable[Statement], at: datetime) -> Mirror:
    """The mirrored federation of these statements, one for each entity, as far as they may be relied on at a time.

    Raises:
        CallerError: they name no federation, or one that contradicts itself; all mistakes at once.
    """
    by_kind: dict[str, dict[str, Statement]] = {kind: {} for kind in MIRRORED}
    for one in statements:
        if one.kind in by_kind:
            by_kind[one.kind][one.name] = one
    _check(by_kind)
    notes = _Notes()
    ((hub, said),) = by_kind["hub"].items()
    nodes = [Node(hub, "hub", _word(said, "region"))]
    nodes += [Node(one.name, kind, _word(one, "region")) for kind in ("router", "site") for one in by_kind[kind].values()]
    devices = [_device(one, _relied_on(one, at, notes)) for one in by_kind["device"].values()]
    links = [_link(one, _relied_on(one, at, notes)) for one in by_kind["link"].values()]
    sites = [_site(one, _relied_on(one, at, notes)) for one in by_kind["site"].values()]
    return mirrored(hub, said.words["device"], nodes, links, devices, sites, at, notes.lines())


def _check(by_kind: Mapping[str, Mapping[str, Statement]]) -> None:
    if not any(by_kind.values()):
        problem = Problem(
            "federation",
            "nothing",
            "a hub, its sites, their devices, and links that join them",
            "Declare them in federation.twin.toml",
        )
        raise CallerError("Nothing is known of the federation.", [problem])
    problems = []
    if len(by_kind["hub"]) != 1:
        found = ", ".join(sorted(by_kind["hub"])) or "nothing"
        problems.append(Problem("hub", found, "one hub"))
    for kind in ("site", "device", "link"):
        if not by_kind[kind]:
            problems.append(Problem(kind, "nothing", f"at least one {kind}", "Declare it in federation.twin.toml"))
    problems += _unknown(by_kind)
    problems += _twice(by_kind)
    problems += _unreached(by_kind)
    if problems:
        raise CallerError("The mirrored federation is contradictory.", problems)


def _unknown(by_kind: Mapping[str, Mapping[str, Statement]]) -> Iterable[Problem]:
    places = [*by_kind["hub"], *by_kind["router"], *by_kind["site"]]
    for kind in ("hub", "site"):
        for one in by_kind[kind].values():
            if one.words["device"] not in by_kind["device"]:
                yield _nowhere(
                    _fact(kind, one.name, "device"), one.words["device"], "a device of the mirror", list(by_kind["device"])
                )
    for one in by_kind["link"].values():
        for end in ("a", "b"):
            if one.words[end] not in places:
                yield _nowhere(f"link {one.name}, {end}", one.words[end], "the hub, a router or a site", places)
        if one.words["a"] == one.words["b"]:
            yield Problem(f"link {one.name}", "a line from a place to itself", "two places")


def _twice(by_kind: Mapping[str, Mapping[str, Statement]]) -> Iterable[Problem]:
    seen: dict[str, str] = {}
    for kind in ("hub", "router", "site"):
        for name in by_kind[kind]:
            if seen.setdefault(name, kind) != kind:
                yield Problem(f"{kind} {name}", f"a {seen[name]} of the same name", "every name once")


def _fact(kind: str, name: str, fact: str) -> str:
    return f"{kind} {name}, {fact}"


def _nowhere(where: str, found: str, expected: str, known: list[str]) -> Problem:
    near = closest(found, known)
    return Problem(where, found, expected, f"Did you mean {near}?" if near else "")


def _unreached(by_kind: Mapping[str, Mapping[str, Statement]]) -> Iterable[Problem]:
    """Sites without a path to the hub."""
    beside: dict[str, set[str]] = {}
    for one in by_kind["link"].values():
        a, b = one.words["a"], one.words["b"]
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    reached, edge = set(by_kind["hub"]), list(by_kind["hub"])
    while edge:
        fresh = beside.get(edge.pop(), set()) - reached
        reached |= fresh
        edge += fresh
    if by_kind["hub"] and by_kind["link"]:
        for name in by_kind["site"]:
            if name not in reached:
                yield Problem(f"site {name}", "no path to the hub", "links that lead from it to the hub")


def _relied_on(one: Statement, at: datetime, notes: _Notes) -> dict[str, Quantity]:
    return {name: _usable(one, name, measure, at, notes) for name, measure in KINDS[one.kind].quantities.items()}


def _usable(one: Statement, name: str, measure: Measure, at: datetime, notes: _Notes) -> Quantity:
    said = one.quantities.get(name)
    if said is None:
        value, spread = measure.usual or (0.0, 1.0)
        if spread > 1:
            notes.missing.setdefault((one.kind, name), []).append(one.name)
        return _at_most(assumed(value, measure.unit, "a usual value", spread=spread), measure.most)
    if math.isinf(measure.doubles_s) or _timeless(said):
        return said
    said = said if said.at is not None else replace(said, at=one.since)
    found = aged(said, at, doubles_s=measure.doubles_s)
    age_s = max((at - said.at).total_seconds(), 0.0) if said.at else 0.0
    widened_by = 2.0 ** min(age_s / measure.doubles_s, 30.0)
    if widened_by >= TOLD:
        notes.stale.setdefault((one.kind, name), []).append((one.name, age_s, widened_by))
    return _at_most(found, measure.most)


def _timeless(said: Quantity) -> bool:
    """What follows from a formula, and what was only ever assumed."""
    return said.provenance == "assumed" or (said.provenance == "fitted" and said.at is None and said.low == said.high)


def _at_most(quantity: Quantity, most: float) -> Quantity:
    return replace(quantity, high=max(min(quantity.high, most), quantity.value))


def _stale(kind: str, name: str, found: list[tuple[str, float, float]]) -> str:
    days = max(age_s for _, age_s, _ in found) / 86_400
    factor = max(widened_by for _, _, widened_by in found)
    names = _named([one for one, _, _ in found])
    return f"{kind}, {name}: known for up to {days:.0f} days, interval up to {factor:.2g} times wider: {names}"


def _missing(kind: str, name: str, names: list[str]) -> str:
    value = (KINDS[kind].quantities[name].usual or (0.0, 1.0))[0]
    return f"{kind}, {name}: nobody said it, {value:g} is assumed: {_named(names)}"


def _named(names: list[str]) -> str:
    more = f" (+{len(names) - SHOWN})" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


def _word(one: Statement, name: str) -> str:
    return one.words.get(name, KINDS[one.kind].words[name].usual or "")


def _device(one: Statement, values: Mapping[str, Quantity]) -> Device:
    peak, rate, memory, factor, load = (values[name] for name in ("peak", "memory_rate", "memory", "factor", "load"))
    cores = max(round(values["cores"].value), 1)
    return Device(one.name, one.words["kind"], cores, peak, rate, memory, factor, load, _word(one, "calibration"))


def _link(one: Statement, values: Mapping[str, Quantity]) -> Link:
    there, back, rtt, loss, overhead = (values[name] for name in ("there", "back", "rtt", "loss", "overhead"))
    shared = _word(one, "shared") == "yes"
    return Link(one.name, one.words["a"], one.words["b"], there, back, rtt, loss, overhead, shared)


def _site(one: Statement, values: Mapping[str, Quantity]) -> MirrorSite:
    institution = _word(one, "institution") or one.name
    return MirrorSite(one.name, institution, one.words["device"], values["rows"], values["falls_silent"])
