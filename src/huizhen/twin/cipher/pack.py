"""A calibration pack: what each algorithm's steps took on one device at some lengths, as facts that travel as JSON.

Between two lengths seconds grow in a straight line; beyond the longest they go on as before. So it is a fixed part and a part for
each byte, by itself for short, middling and long runs, for what leaves the processor's caches costs more.

>>> law = Law((16, 1_000_000), (1e-6, 1e-3), 0.02)
>>> round(law.seconds(2_000_000), 6)
0.001999
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from huizhen.clock import moment, written
from huizhen.errors import CallerError, Problem
from huizhen.twin.cipher.profiles import profile

__all__ = ["FORMAT", "Law", "Pack", "from_json", "to_json"]

FORMAT = "huizhen-cipher-calibration-1"
MOST_BYTES = 1 << 20  # of a pack's file


@dataclass(frozen=True, slots=True)
class Law:
    """Seconds of one call by length.

    Attributes:
        lengths: rising, as the algorithm counts.
        seconds_at: at each of them, not falling; processor time, smallest of some repetitions.
        spread: typical relative distance of a repetition from the smallest.
    """

    lengths: tuple[int, ...]
    seconds_at: tuple[float, ...]
    spread: float

    @property
    def fixed_s(self) -> float:
        """What a call takes however short it is."""
        return self.seconds(0)

    def seconds(self, length: int) -> float:
        """Of one call of this length."""
        if len(self.lengths) == 1:
            return self.seconds_at[0]
        last = len(self.lengths) - 2
        here = next((place for place in range(last) if length <= self.lengths[place + 1]), last)
        (short, long), (few, many) = self.lengths[here : here + 2], self.seconds_at[here : here + 2]
        return max(few + (many - few) * (length - short) / (long - short), few / 2 if here == 0 else few)


@dataclass(frozen=True, slots=True)
class Pack:
    """All laws of one device.

    Attributes:
        device: its name, as in the mirror.
        at: when it was calibrated, aware, UTC; None: a usual device, of no particular day.
        laws: by algorithm and step.
        software: names and versions of what computed.
    """

    device: str
    at: datetime | None
    laws: Mapping[tuple[str, str], Law]
    software: Mapping[str, str]


def to_json(pack: Pack) -> str:
    """As JSON."""
    laws = [
        {"algorithm": algorithm, "step": step, "lengths": law.lengths, "seconds": law.seconds_at, "spread": law.spread}
        for (algorithm, step), law in pack.laws.items()
    ]
    at = written(pack.at) if pack.at else None
    content = {"format": FORMAT, "device": pack.device, "at": at, "software": dict(pack.software), "laws": laws}
    return json.dumps(content, indent=1)


def from_json(text: str) -> Pack:
    """The pack behind its JSON.

    Raises:
        CallerError: it is none; all that is wrong with it is said.
    """
    told: Any = None
    if len(text) <= MOST_BYTES:
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            told = None
    problems = list(_problems(told))
    if problems:
        raise CallerError("A calibration pack of ciphers cannot be read.", problems)
    laws = {
        (one["algorithm"], one["step"]): Law(tuple(one["lengths"]), tuple(map(float, one["seconds"])), float(one["spread"]))
        for one in told["laws"]
    }
    at = moment(told["at"]) if told["at"] is not None else None
    return Pack(told["device"], at, laws, dict(told["software"]))


def _problems(told: Any) -> Iterator[Problem]:
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        yield Problem("pack", "something else", FORMAT, "Calibrate the device with this release")
        return
    software = told.get("software")
    if not isinstance(told.get("device"), str) or not told["device"]:
        yield Problem("device", "no name", "the device's name in the mirror")
    if not isinstance(software, dict) or not all(isinstance(one, str) for one in software.values()):
        yield Problem("software", "something else", "versions by name")
    if told.get("at", "") is not None and not _is_moment(told.get("at")):
        yield Problem("at", "no time", "a time with its time zone")
    if not isinstance(told.get("laws"), list):
        yield Problem("laws", "something else", "a list")
        return
    for number, law in enumerate(told["laws"], 1):
        yield from _law_problems(f"law {number}", law)


def _law_problems(where: str, law: Any) -> Iterator[Problem]:
    if not isinstance(law, dict) or set(law) != {"algorithm", "step", "lengths", "seconds", "spread"}:
        yield Problem(where, "something else", "algorithm, step, lengths, seconds, spread")
        return
    try:
        known = isinstance(law["algorithm"], str) and law["step"] in profile(law["algorithm"]).steps
    except CallerError:
        known = False
    if not known:
        yield Problem(where, "an algorithm or step that is not known", "one of the twin's profiles")
    lengths, seconds = law["lengths"], law["seconds"]
    if not _numbers(lengths, int) or not _numbers(seconds, int, float) or len(lengths) != len(seconds):
        yield Problem(where, "lengths and seconds that are none", "as many of one as of the other, 0 or more and finite")
    elif list(lengths) != sorted(set(lengths)) or list(seconds) != sorted(seconds):
        yield Problem(where, "lengths or seconds that fall", "rising ones")
    if not _numbers([law["spread"]], int, float):
        yield Problem(where, "a spread that is none", "0 or more and finite")


def _numbers(told: Any, *kinds: type) -> bool:
    return isinstance(told, list) and bool(told) and all(type(one) in kinds and one >= 0 and math.isfinite(one) for one in told)


def _is_moment(told: Any) -> bool:
    try:
        moment(told)
    except (TypeError, ValueError):
        return False
    return True
