"""A calibration pack: what a device took for operators and whole steps, as facts and as one JSON file that is checked whole.

A pack holds no data: all numbers that were computed with were drawn from a seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

from huizhen.errors import CallerError, Problem
from huizhen.twin.compute.operators import Sample

__all__ = ["FORMAT", "DeviceFacts", "Pack", "Step", "from_json", "to_json"]

FORMAT = "huizhen-calibration-1"
SHOWN = 10  # mistakes that one message lists
BROKEN = "The calibration pack cannot be used."


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The device, as far as seconds hang on it.

    Attributes:
        threads: that operators were timed with.
        blas_threads: that the library of matrix products may take, 0: not known.
        versions: of Python, numpy, scipy, torch and numba, where they are installed.
    """

    kind: str
    processor: str
    cores: int
    memory: int
    threads: int
    blas_threads: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """A whole step of a drawn network, run as it is, beside the sum of its operators' seconds.

    Attributes:
        operators, views: how many of either; moved: bytes of all of them; traced: sum of their seconds.
        seconds: processor time of the step; spread: median relative distance of its repetitions from that.
    """

    family: str
    operators: int
    views: int
    moved: float
    traced: float
    seconds: float
    spread: float


@dataclass(frozen=True, slots=True)
class Pack:
    """What was measured.

    Attributes:
        name: of the device; at: when, ISO 8601, UTC; seed: behind what was drawn.
        drawn: networks so far; elapsed_s: seconds that it has taken; load: mean of the machine's load meanwhile.
        watching: seconds that timing adds to an operator, taken off already.
        parallel: share of an operator's work that further threads share, 0 to 1; nan: not measured.
    """

    name: str
    at: str
    seed: int
    device: DeviceFacts
    drawn: int
    elapsed_s: float
    load: float
    watching: float
    parallel: float
    samples: tuple[Sample, ...]
    steps: tuple[Step, ...]


def to_json(pack: Pack) -> str:
    """The pack as text; samples are rows below one line of names."""
    table = {"columns": [one.name for one in fields(Sample)], "rows": [_row(one) for one in pack.samples]}
    facts = {"format": FORMAT, **asdict(pack), "samples": table, "steps": [asdict(one) for one in pack.steps]}
    facts["parallel"] = None if math.isnan(pack.parallel) else pack.parallel
    return json.dumps(facts, allow_nan=False, separators=(",", ":"))


def from_json(text: str, source: str = "pack") -> Pack:
    """The pack behind the text.

    Raises:
        CallerError: no pack of this format; lists what is wrong with it.
    """
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        raise CallerError(BROKEN, [Problem(source, "no JSON", "a file that calibration wrote", "Calibrate again")]) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise CallerError(BROKEN, [Problem(source, "another format", FORMAT, "Calibrate again")])
    facts = {**facts, "parallel": math.nan if facts.get("parallel") is None else facts["parallel"]}
    problems = list(_wrong(facts, source))
    if problems:
        raise CallerError(BROKEN, problems[:SHOWN])
    samples = tuple(Sample(row[0], tuple(row[1]), *row[2:]) for row in facts["samples"]["rows"])
    steps = tuple(Step(**one) for one in facts["steps"])
    plain = {one.name: facts[one.name] for one in fields(Pack) if one.name not in ("device", "samples", "steps")}
    return Pack(**plain, device=DeviceFacts(**facts["device"]), samples=samples, steps=steps)


def _row(one: Sample) -> list[Any]:
    return [getattr(one, each.name) for each in fields(one)]


def _wrong(facts: Mapping[str, Any], source: str) -> Iterator[Problem]:
    flat = {name: hint for name, hint in get_type_hints(Pack).items() if name not in ("device", "samples", "steps")}
    yield from _mistyped(facts, flat, source)
    device = facts.get("device")
    yield from _mistyped(device if isinstance(device, dict) else {}, get_type_hints(DeviceFacts), f"{source}, device")
    table = facts.get("samples")
    names = [one.name for one in fields(Sample)]
    if not isinstance(table, dict) or table.get("columns") != names or not isinstance(table.get("rows"), list):
        yield Problem(f"{source}, samples", "another table", f"columns {', '.join(names)}", "Calibrate again")
        return
    hints = get_type_hints(Sample)
    for place, row in enumerate(table["rows"]):
        where = f"{source}, sample {place + 1}"
        if not isinstance(row, list) or len(row) != len(names):
            yield Problem(where, "another number of entries", str(len(names)))
            continue
        yield from _mistyped(dict(zip(names, row)), hints, where, positive=("seconds",))
    steps = facts.get("steps")
    for place, step in enumerate(steps if isinstance(steps, list) else [None]):
        where = f"{source}, step {place + 1}"
        yield from _mistyped(step if isinstance(step, dict) else {}, get_type_hints(Step), where, positive=("seconds", "traced"))


Hints = Mapping[str, Any]


def _mistyped(facts: Mapping[str, Any], hints: Hints, where: str, *, positive: Sequence[str] = ()) -> Iterator[Problem]:
    for name, hint in hints.items():
        if name not in facts:
            yield Problem(f"{where}, {name}", "nothing", "a value", "Calibrate again")
        elif not _fits(facts[name], hint, above=name in positive):
            expected = "a finite number above 0" if name in positive else _EXPECTED.get(hint, "a value of its kind")
            yield Problem(f"{where}, {name}", "another value", expected, "Calibrate again")
    if extra := sorted(set(facts) - set(hints) - {"format", "device", "samples", "steps"}):
        yield Problem(where, f"keys that are not known: {', '.join(extra)}", "none of them")


_EXPECTED: Mapping[Any, str] = {str: "text", int: "a whole number, 0 or more", float: "a finite number, 0 or more"}


def _fits(value: Any, hint: Any, *, above: bool) -> bool:
    if hint is str:
        return isinstance(value, str)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (math.isnan(value) or (0 <= value < math.inf and (value > 0 or not above)))
    if isinstance(value, dict):
        return all(isinstance(one, str) for pair in value.items() for one in pair)
    return isinstance(value, list) and all(isinstance(one, int) and one >= 0 for one in value)
