"""What the lab shall run: sites, lines, quotas, studies and their configurations; read from TOML with all its mistakes at once.

A block ``[[configuration]]`` stands for all combinations of what it lists: two lines and three studies are six configurations.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from types import MappingProxyType
from typing import Any

from huizhen import canonical
from huizhen.errors import CallerError, Problem, StudyError, closest
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name

__all__ = ["SHAPINGS", "Configuration", "LabPlan", "LabSite", "LabStudy", "Line", "Transfer", "read_plan"]

SHAPINGS = ("auto", "namespaces", "userspace")
MEGABIT = 125_000.0  # bytes
NOTHING: Mapping[str, Any] = MappingProxyType({})
MOST_SITES, FEWEST_SITES, FEWEST_ROWS = 32, 2, 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line: bytes a second either way (up: towards the hub; 0: as fast as the machine), seconds of a round trip, share of packets
    lost."""

    up: float = 0.0
    down: float = 0.0
    rtt_s: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class LabSite:
    """A site: rows of its made-up table."""

    rows: int = 200


@dataclass(frozen=True, slots=True)
class LabStudy:
    """A study as in a study file, without its participants.

    Attributes:
        content: its tables, such as ``method`` and ``protection``.
        rounds: how many it has; numbers: that go each way in one of them, and flop: that a site computes in it; what the naive
            formula is told.
    """

    content: Mapping[str, Any]
    rounds: int = 1
    numbers: int = 0
    flop: float = 0.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """A bare transfer of bytes over a line that nobody else uses."""

    bytes: int
    way: str = "up"  # up, down


@dataclass(frozen=True, slots=True)
class Configuration:
    """One thing to run, and how often.

    Attributes:
        name: unique in a plan.
        study: its name, or a transfer's.
        sites: who takes part, in order; lines: of each, by site.
        hub: the line that all share, "" for none.
        cores: quota of each site, 0 for none.
        held_out: judged, and never learnt from.
    """

    name: str
    study: str
    sites: tuple[str, ...]
    lines: Mapping[str, str]
    hub: str = ""
    cores: float = 0.0
    held_out: bool = True


@dataclass(frozen=True, slots=True)
class LabPlan:
    """The whole plan."""

    title: str
    seed: int
    repetitions: int
    shaping: str
    sites: Mapping[str, LabSite]
    lines: Mapping[str, Line]
    studies: Mapping[str, LabStudy]
    transfers: Mapping[str, Transfer]
    configurations: tuple[Configuration, ...]
    digest: str = field(default="")


LAB_KEYS = ("title", "seed", "repetitions", "shaping")
LINE_KEYS = ("up_mbit_s", "down_mbit_s", "rtt_ms", "loss")
TABLES = ("lab", "site", "line", "study", "transfer", "configuration")
BLOCK_KEYS = ("study", "line", "lines", "hub", "cores", "sites", "held_out")
SECTIONS = ("method", "protection", "cohort", "variables", "missing", "features")  # of a study file


def read_plan(content: bytes) -> LabPlan:
    """The plan in a file.

    Raises:
        CallerError: all that is wrong with it.
    """
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise CallerError("The plan of the lab cannot be read.", [Problem("plan", str(error), "a TOML file")]) from None
    wrong: list[Problem] = [_unknown(key, key, TABLES) for key in table if key not in TABLES]
    lab = _table(table, "lab", wrong)
    wrong += [_unknown(f"lab.{key}", key, LAB_KEYS) for key in lab if key not in LAB_KEYS]
    sites = {name: _site(f"site.{name}", name, one, wrong) for name, one in _entries(table, "site", wrong)}
    lines = {name: _line(f"line.{name}", one, wrong) for name, one in _entries(table, "line", wrong)}
    studies = {name: _study(f"study.{name}", one, tuple(sites), wrong) for name, one in _entries(table, "study", wrong)}
    transfers = {name: _transfer(f"transfer.{name}", one, wrong) for name, one in _entries(table, "transfer", wrong)}
    if not FEWEST_SITES <= len(sites) <= MOST_SITES:
        wrong.append(Problem("site", f"{len(sites)} sites", f"{FEWEST_SITES} to {MOST_SITES} sites"))
    wrong += [Problem(f"transfer.{name}", "the name of a study", "a name of its own") for name in transfers if name in studies]
    known = _Known(tuple(sites), tuple(lines), (*studies, *transfers), frozenset(transfers))
    configurations = tuple(_configurations(table.get("configuration"), known, wrong))
    title = lab.get("title", "lab")
    if not isinstance(title, str):
        wrong.append(Problem("lab.title", repr(title), "a text"))
    shaping = lab.get("shaping", "auto")
    if shaping not in SHAPINGS:
        wrong.append(Problem("lab.shaping", repr(shaping), f"one of: {', '.join(SHAPINGS)}"))
    seed = _whole("lab.seed", lab.get("seed", 1), 0, 2**31, wrong)
    repetitions = _whole("lab.repetitions", lab.get("repetitions", 3), 1, 1000, wrong)
    if wrong:
        raise CallerError("The plan of the lab cannot be used.", wrong)
    digest = canonical.digest(table)
    return LabPlan(title, seed, repetitions, shaping, sites, lines, studies, transfers, configurations, digest)


@dataclass(frozen=True, slots=True)
class _Known:
    sites: tuple[str, ...]
    lines: tuple[str, ...]
    studies: tuple[str, ...]
    transfers: frozenset[str]


def _table(table: Mapping[str, Any], key: str, wrong: list[Problem]) -> Mapping[str, Any]:
    found = table.get(key, {})
    if isinstance(found, Mapping):
        return found
    wrong.append(Problem(key, type(found).__name__, "a table"))
    return NOTHING


def _entries(table: Mapping[str, Any], key: str, wrong: list[Problem]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, one in _table(table, key, wrong).items():
        if not is_name(name):
            wrong.append(Problem(f"{key}.{name}", "a name that cannot be used", NAME_RULE))
        elif not isinstance(one, Mapping):
            wrong.append(Problem(f"{key}.{name}", type(one).__name__, "a table"))
        else:
            yield name, one


def _site(where: str, name: str, one: Mapping[str, Any], wrong: list[Problem]) -> LabSite:
    wrong += [_unknown(f"{where}.{key}", key, ("rows",)) for key in one if key != "rows"]
    if name in ("hub", "researcher"):
        wrong.append(Problem(where, "the name of a program of the lab", "another name"))
    return LabSite(_whole(f"{where}.rows", one.get("rows", 200), FEWEST_ROWS, 10**7, wrong))


def _line(where: str, one: Mapping[str, Any], wrong: list[Problem]) -> Line:
    wrong += [_unknown(f"{where}.{key}", key, LINE_KEYS) for key in one if key not in LINE_KEYS]
    up, down = (_number(f"{where}.{key}", one.get(key, 0), 0, 1e6, wrong) for key in ("up_mbit_s", "down_mbit_s"))
    rtt = _number(f"{where}.rtt_ms", one.get("rtt_ms", 0), 0, 10_000, wrong)
    return Line(up * MEGABIT, down * MEGABIT, rtt / 1000, _number(f"{where}.loss", one.get("loss", 0), 0, 0.5, wrong))


def _study(where: str, one: Mapping[str, Any], sites: tuple[str, ...], wrong: list[Problem]) -> LabStudy:
    keys = (*SECTIONS, "rounds", "numbers", "flop")
    wrong += [_unknown(f"{where}.{key}", key, keys) for key in one if key not in keys]
    numbers = _whole(f"{where}.numbers", one.get("numbers", 0), 0, 10**12, wrong)
    flop = _number(f"{where}.flop", one.get("flop", 0), 0, 1e24, wrong)
    rounds = _whole(f"{where}.rounds", one.get("rounds", 1), 1, 10**6, wrong)
    content = {key: one[key] for key in SECTIONS if key in one}
    try:
        Study.parse({"study": {"title": where}, "participants": {"sites": list(sites)}, **content})
    except StudyError as error:
        wrong += [replace(problem, where=f"{where}.{problem.where}") for problem in error.problems]
    return LabStudy(content, rounds, numbers, flop)


def _transfer(where: str, one: Mapping[str, Any], wrong: list[Problem]) -> Transfer:
    names = tuple(each.name for each in fields(Transfer))
    wrong += [_unknown(f"{where}.{key}", key, names) for key in one if key not in names]
    way = one.get("way", "up")
    if way not in ("up", "down"):
        wrong.append(Problem(f"{where}.way", repr(way), "up or down"))
    return Transfer(_whole(f"{where}.bytes", one.get("bytes", 0), 1, 10**10, wrong), str(way))


def _configurations(found: Any, known: _Known, wrong: list[Problem]) -> Iterator[Configuration]:
    if not isinstance(found, list) or not found:
        wrong.append(Problem("configuration", "none", "at least one [[configuration]]"))
        return
    names: set[str] = set()
    for place, block in enumerate(found, 1):
        for one in _block(f"configuration {place}", block, known, wrong):
            if one.name in names:
                wrong.append(Problem(f"configuration {place}", f"{one.name} a second time", "every combination once"))
            names.add(one.name)
            yield one


def _block(where: str, block: Mapping[str, Any], known: _Known, wrong: list[Problem]) -> Iterator[Configuration]:
    before = len(wrong)
    wrong += [_unknown(f"{where}.{key}", key, BLOCK_KEYS) for key in block if key not in BLOCK_KEYS]
    sites = tuple(_listed(block.get("sites", list(known.sites))))
    studies, lines = _listed(block.get("study", [])), _listed(block.get("line", []))
    hubs, cores, own = _listed(block.get("hub", [""])), _listed(block.get("cores", [0])), block.get("lines", {})
    own = own if isinstance(own, Mapping) else {"": ""}
    held_out = block.get("held_out", True)
    wrong += _strange(f"{where}.sites", sites, known.sites) + _strange(f"{where}.study", studies, known.studies)
    wrong += _strange(f"{where}.line", (*lines, *own.values()), known.lines) + _strange(f"{where}.lines", own, known.sites)
    wrong += _strange(f"{where}.hub", [name for name in hubs if name != ""], known.lines)
    for number in cores:
        _number(f"{where}.cores", number, 0, 1024, wrong)
    if not studies:
        wrong.append(Problem(f"{where}.study", "none", "a study or a transfer"))
    if not lines and set(own) != set(sites):
        wrong.append(Problem(f"{where}.line", "none", "a line for every site", "Name one line for all, or lines for each."))
    if not isinstance(held_out, bool):
        wrong.append(Problem(f"{where}.held_out", repr(held_out), "true or false"))
    if len(set(sites)) < FEWEST_SITES and not set(studies) <= known.transfers:
        wrong.append(Problem(f"{where}.sites", f"{len(set(sites))} sites", f"{FEWEST_SITES} to {MOST_SITES} sites"))
    if len(wrong) > before:
        return
    for study, line, hub, quota in product(studies, lines or [""], hubs, cores):
        who = sites[:1] if study in known.transfers else sites
        name = "/".join([study, line or "own", *([f"hub-{hub}"] if hub else []), *([f"{quota:g}-cores"] if quota else [])])
        if sites != known.sites:
            name += f"/{len(sites)}-sites"
        yield Configuration(name, study, who, {one: own.get(one, line) for one in who}, hub, float(quota), held_out)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _strange(where: str, names: Iterable[Any], known: tuple[str, ...]) -> list[Problem]:
    return [_unknown(where, str(name), known) for name in names if name not in known]


def _unknown(where: str, name: str, known: tuple[str, ...]) -> Problem:
    near = closest(name, known)
    return Problem(where, repr(name), f"one of: {', '.join(known)}", f"Did you mean {near}?" if near else "")


def _number(where: str, value: Any, low: float, high: float, wrong: list[Problem]) -> float:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    if not sound:
        wrong.append(Problem(where, repr(value), f"a number from {low:g} to {high:g}"))
        return low
    return float(value)


def _whole(where: str, value: Any, low: int, high: int, wrong: list[Problem]) -> int:
    if type(value) is not int or not low <= value <= high:
        wrong.append(Problem(where, repr(value), f"a whole number from {low} to {high}"))
        return low
    return value
