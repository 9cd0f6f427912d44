"""A mirrored federation as a TOML file, `federation.twin.toml`: read whole, with all its mistakes at once, and written again.

>>> said = statements_in('''
... at = "2026-03-01T08:00:00Z"
... [hub]
... name = "hub"
... device = "server"
... [[device]]
... name = "server"
... kind = "cpu"
... cores = 8
... peak = "400 Gflop/s"
... memory = "32 GiB"
... ''')
>>> said[1].quantities["peak"].value
400000000000.0
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huizhen.clock import moment, written
from huizhen.errors import CallerError, Problem, closest
from huizhen.twin.mirror import Mirror
from huizhen.twin.quantity import PROVENANCES, Quantity, declared
from huizhen.twin.warehouse.kinds import KINDS, MIRRORED, Measure
from huizhen.twin.warehouse.measures import value_of, written_value
from huizhen.twin.warehouse.mirroring import mirror_from
from huizhen.twin.warehouse.statements import Statement, check

__all__ = ["NAME", "QUANTITY_KEYS", "read_mirror", "statements_in", "written_file"]

NAME = "federation.twin.toml"
QUANTITY_KEYS = ("value", "unit", "low", "high", "provenance", "source", "at")
TABLES = (*MIRRORED, "institution", "path")
WRONG = "The file of the mirrored federation cannot be used."


def read_mirror(path: Path, *, at: datetime | None = None) -> Mirror:
    """The mirror that a file declares, as far as it may be relied on at a time; by default the time that the file names.

    Raises:
        CallerError: it cannot be read, or is wrong; all mistakes at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "a file that is not UTF-8"
        raise CallerError(WRONG, [Problem(str(path), found, "a file that can be read")]) from None
    said = statements_in(text, source=path.name)
    return mirror_from(said, at or max(one.since for one in said))


def statements_in(text: str, *, source: str = NAME) -> tuple[Statement, ...]:
    """What a file says, checked by itself; that it fits together is seen in `mirror_from`.

    Raises:
        CallerError: all mistakes at once.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallerError(WRONG, [Problem(source, f"no TOML: {error}", "a TOML file")]) from None
    problems: list[Problem] = []
    since = _time("at", content.pop("at", None), problems)
    problems += [
        Problem(name, "an unknown table", f"one of {', '.join(TABLES)}", _meant(name, TABLES))
        for name in content
        if name not in TABLES
    ]
    read = [
        _statement(kind, place, said, since, source, problems)
        for kind in TABLES
        for place, said in enumerate(_entries(kind, content.get(kind, []), problems), start=1)
    ]
    problems += _repeated(read)
    if not read and not problems:
        problems.append(Problem(source, "nothing", "a hub, its sites, their devices, and links that join them"))
    problems += _left(read, problems)
    if problems:
        raise CallerError(WRONG, problems)
    return tuple(read)


def _repeated(read: list[Statement]) -> Iterable[Problem]:
    seen: set[tuple[str, str]] = set()
    for one in read:
        if (one.kind, one.name) in seen:
            yield Problem(f"{one.kind} {one.name}", "twice", "every name once")
        seen.add((one.kind, one.name))


def _left(read: list[Statement], told: list[Problem]) -> list[Problem]:
    """What is wrong with the statements beside what was told already: what could not be read is not missing as well."""
    try:
        check({(one.kind, one.name): one for one in read}.values())
    except CallerError as error:
        places = [problem.where for problem in told]
        return [one for one in error.problems if not any(f"{place}.".startswith(f"{one.where}.") for place in places)]
    return []


def _entries(kind: str, found: Any, problems: list[Problem]) -> list[dict[str, Any]]:
    entries = [found] if isinstance(found, dict) else found
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        problems.append(Problem(kind, "something else", f"tables such as [[{kind}]]"))
        return []
    return entries


def _statement(kind: str, place: int, said: Mapping[str, Any], since: datetime, source: str, problems: list[Problem]) -> Statement:
    name = said.get("name")
    if not isinstance(name, str) or not name.strip():
        problems.append(Problem(_fact(kind, str(place), "name"), "nothing" if name is None else "something else", "a name"))
        name = f"{kind}-{place}"
    words: dict[str, str] = {}
    quantities: dict[str, Quantity] = {}
    table = KINDS[kind]
    known = ("name", *table.words, *table.quantities)
    for key, found in said.items():
        where = _fact(kind, name, key)
        if key == "name":
            continue
        if key in table.quantities:
            quantity = _quantity(where, found, table.quantities[key], since, source, problems)
            if quantity is not None:
                quantities[key] = quantity
        elif key not in table.words:
            problems.append(Problem(where, "an unknown key", f"one of {', '.join(known)}", _meant(key, known)))
        elif isinstance(found, bool):
            words[key] = "yes" if found else "no"
        elif isinstance(found, str):
            words[key] = found
        else:
            problems.append(Problem(where, "something else", "a text"))
    return Statement(kind, name, since, words, quantities, source)


def _quantity(where: str, found: Any, measure: Measure, since: datetime, source: str, problems: list[Problem]) -> Quantity | None:
    if isinstance(found, dict):
        return _whole(where, found, measure, source, problems)
    value = _value(where, found, measure, problems)
    at = None if measure.doubles_s == float("inf") else since
    return None if value is None else declared(value, measure.unit, source, spread=measure.doubt, at=at)


def _whole(where: str, found: Mapping[str, Any], measure: Measure, source: str, problems: list[Problem]) -> Quantity | None:
    """A quantity with its interval and provenance."""
    before = len(problems)
    for key in found:
        if key not in QUANTITY_KEYS:
            remedy = _meant(key, QUANTITY_KEYS)
            problems.append(Problem(f"{where}.{key}", "an unknown key", f"one of {', '.join(QUANTITY_KEYS)}", remedy))
    value = _value(f"{where}.value", _with_unit(found.get("value"), found), measure, problems)
    low, high = (
        _value(f"{where}.{end}", _with_unit(found[end], found), measure, problems)
        if end in found
        else None
        if value is None
        else factor
        for end, factor in (("low", (value or 0.0) / measure.doubt), ("high", (value or 0.0) * measure.doubt))
    )
    provenance = found.get("provenance", "declared")
    if provenance not in PROVENANCES:
        problems.append(Problem(f"{where}.provenance", str(provenance), f"one of {', '.join(PROVENANCES)}"))
    at = _time(f"{where}.at", found["at"], problems) if "at" in found else None
    if len(problems) > before or value is None or low is None or high is None:
        return None
    try:
        return Quantity(value, measure.unit, low, high, provenance, str(found.get("source", source)), at)
    except CallerError as error:
        problems += [Problem(where, one.found, one.expected) for one in error.problems]
        return None


def _with_unit(value: Any, found: Mapping[str, Any]) -> Any:
    bare = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value!r} {found['unit']}" if bare and "unit" in found else value


def _value(where: str, found: Any, measure: Measure, problems: list[Problem]) -> float | None:
    try:
        value, unit = value_of(found)
    except ValueError:
        expected = f"a value in {measure.unit}, such as '{_example(measure.unit)}'"
        problems.append(Problem(where, "something else" if not isinstance(found, str) else repr(found), expected))
        return None
    bare = measure.unit in ("1", "count")
    if (unit or ("" if not bare else measure.unit)) != measure.unit:
        expected = f"a value in {measure.unit}, such as '{_example(measure.unit)}'"
        problems.append(Problem(where, f"a value in {unit}" if unit else "a number without its unit", expected))
        return None
    if not 0 <= value <= measure.most:
        problems.append(Problem(where, f"{value:g}", "0 or more" if value < 0 else f"at most {measure.most:g}"))
        return None
    return value


EXAMPLES = {"byte/s": "100 Mbit/s", "s": "30 ms", "byte": "16 GiB", "flop/s": "400 Gflop/s", "1": "0.05", "count": "1200"}


def _example(unit: str) -> str:
    return EXAMPLES.get(unit, f"1 {unit}")


def _time(where: str, found: Any, problems: list[Problem]) -> datetime:
    example = "a time with its time zone, such as '2026-03-01T08:00:00+08:00'"
    try:
        if isinstance(found, datetime) and found.tzinfo is not None:
            return found.astimezone(UTC)
        if isinstance(found, str):
            return moment(found)
        problems.append(Problem(where, "nothing" if found is None else "something else", example))
    except ValueError as error:
        problems.append(Problem(where, repr(found), str(error)))
    return datetime(1970, 1, 1, tzinfo=UTC)


def _meant(name: str, known: tuple[str, ...]) -> str:
    near = closest(name, known)
    return f"Did you mean {near}?" if near else ""


def written_file(mirror: Mirror) -> str:
    """A mirror as a file. Read again at the mirror's own time, it has the same values and intervals, as of that time."""
    lines = [
        _line("at", _text(written(mirror.at))),
        "",
        "[hub]",
        _line("name", _text(mirror.hub)),
        _line("device", _text(mirror.hub_device)),
    ]
    lines += _region(mirror, mirror.hub)
    for node in mirror.nodes.values():
        if node.kind == "router":
            lines += ["", "[[router]]", _line("name", _text(node.name)), *_region(mirror, node.name)]
    for device in mirror.devices.values():
        words = {"name": device.name, "kind": device.kind, "calibration": device.calibration}
        lines += [
            "",
            "[[device]]",
            *_words(words),
            _line("cores", str(device.cores)),
            *_quantities("device", device, mirror.at, skip="cores"),
        ]
    for link in mirror.links.values():
        words = {"name": link.name, "a": link.a, "b": link.b, "shared": "yes" if link.shared else "no"}
        lines += ["", "[[link]]", *_words(words), *_quantities("link", link, mirror.at)]
    for site in mirror.sites.values():
        words = {"name": site.name, "institution": site.institution, "device": site.device}
        lines += ["", "[[site]]", *_words(words), *_region(mirror, site.name), *_quantities("site", site, mirror.at)]
    return "\n".join(lines) + "\n"


def _region(mirror: Mirror, name: str) -> list[str]:
    region = mirror.nodes[name].region
    return [_line("region", _text(region))] if region else []


def _words(words: Mapping[str, str]) -> Iterable[str]:
    return [f"{key} = {_text(said)}" for key, said in words.items() if said]


def _quantities(kind: str, one: Any, at: datetime, *, skip: str = "") -> list[str]:
    return [f"{name} = {_inline(getattr(one, name), at)}" for name in KINDS[kind].quantities if name != skip]


def _inline(it: Quantity, at: datetime) -> str:
    texts = {
        "value": written_value(it.value, it.unit),
        "low": written_value(it.low, it.unit),
        "high": written_value(it.high, it.unit),
    }
    texts |= {"provenance": it.provenance, "source": it.source}
    if it.at is not None:
        texts["at"] = written(at)  # the interval has been aged up to here, and is not to be aged twice
    return "{ " + ", ".join(f"{key} = {_text(said)}" for key, said in texts.items()) + " }"


def _fact(kind: str, name: str, key: str) -> str:
    return f"{kind} {name}, {key}"


def _line(key: str, said: str) -> str:
    return f"{key} = {said}"


def _text(said: str) -> str:
    return json.dumps(said, ensure_ascii=False).replace("\x7f", "\\u007f")  # of JSON's strings TOML forbids this sign alone
