"""What if: a mirror with a line changed, a site fewer, or a study with another protection; each forecast beside the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from huizhen.errors import CallerError, Problem, closest
from huizhen.federation.study import Study
from huizhen.twin.mirror import Device, Link, Mirror, MirrorSite
from huizhen.twin.quantity import declared
from huizhen.twin.warehouse.measures import value_of

__all__ = ["Change", "changed", "protected", "without"]

RATE = "rate"
PARTS: dict[str, tuple[str, ...]] = {
    "link": ("rate", "there", "back", "rtt", "loss", "overhead"),
    "device": ("factor", "load", "peak", "memory_rate"),
    "site": ("falls_silent",),
}
KINDS = ("plain", "masked", "paillier")
WRONG = "This scenario cannot be played."


@dataclass(frozen=True, slots=True)
class Change:
    """One value of the mirror that is another: ``link.north.rate``, ``20 Mbit/s``."""

    path: str
    value: str


def changed(mirror: Mirror, changes: Sequence[Change]) -> Mirror:
    """The mirror with other values, which are not in doubt.

    Raises:
        CallerError: names that the mirror does not have, values of another unit; all of them.
    """
    problems: list[Problem] = []
    for change in changes:
        try:
            mirror = _changed(mirror, change)
        except CallerError as error:
            problems += error.problems
    if problems:
        raise CallerError(WRONG, problems)
    return mirror


def without(mirror: Mirror, sites: Sequence[str]) -> Mirror:
    """The mirror without these sites; their lines stay where they lead on."""
    if unknown := [site for site in sites if site not in mirror.sites]:
        expected = f"one of: {', '.join(mirror.sites)}"
        raise CallerError(WRONG, [Problem(f"--without {site}", "a site that is not in the mirror", expected) for site in unknown])
    return replace(mirror, sites={name: one for name, one in mirror.sites.items() if name not in sites})


def protected(study: Study, how: str) -> Study:
    """The study with another sum.

    Raises:
        CallerError: no such protection, or one that this study cannot have.
    """
    if how not in KINDS:
        raise CallerError(WRONG, [Problem("--protect", repr(how), f"one of: {', '.join(KINDS)}")])
    content = dict(study.content)
    content["protection"] = {**content.get("protection", {}), "sum": how}
    return Study.parse(content)


def _changed(mirror: Mirror, change: Change) -> Mirror:
    kind, _, rest = change.path.partition(".")
    name, _, part = rest.rpartition(".")
    where = f"--set {change.path}"
    if kind not in PARTS or part not in PARTS[kind]:
        known = [f"{one}.NAME.{each}" for one, parts in PARTS.items() for each in parts]
        raise CallerError(WRONG, [Problem(where, "an unknown value", f"one of: {', '.join(known)}")])
    there: Mapping[str, Any] = {"link": mirror.links, "device": mirror.devices, "site": mirror.sites}[kind]
    if name not in there:
        near = closest(name, list(there))
        raise CallerError(
            WRONG, [Problem(where, repr(name), f"one of: {', '.join(there)}", f"Did you mean {near}?" if near else "")]
        )
    names = ("there", "back") if part == RATE else (part,)
    one = there[name]
    unit = getattr(one, names[0]).unit
    try:
        value, said = value_of(change.value)
    except ValueError:
        raise CallerError(WRONG, [Problem(where, repr(change.value), f"a value in {unit}")]) from None
    if (said or "1") not in (unit, "1" if unit in ("1", "count") else unit):
        raise CallerError(
            WRONG, [Problem(where, f"a value in {said}" if said else "a number without its unit", f"a value in {unit}")]
        )
    put = replace(one, **{each: declared(value, unit, "what if") for each in names})
    return _with(mirror, put)


def _with(mirror: Mirror, one: Link | Device | MirrorSite) -> Mirror:
    if isinstance(one, Link):
        return replace(mirror, links={**mirror.links, one.name: one})
    if isinstance(one, Device):
        return replace(mirror, devices={**mirror.devices, one.name: one})
    return replace(mirror, sites={**mirror.sites, one.name: one})
