"""From a hub's event log to facts: how long every round and stage took, who answered when, and what it cost them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Round", "makespan", "read_events", "rounds_of"]

CLOSING = ("mustered", "folded", "finished", "restarted", "asked")


@dataclass(frozen=True, slots=True)
class Round:
    """One round as the hub saw it, times in seconds.

    Attributes:
        took: from the question to the fold.
        stages: from the question, or the stage before, to the last reply of each.
        cpu: processor time that each site told, of all stages; bytes: of numbers that left it.
    """

    analysis: str
    round: int
    step: str
    took: float
    stages: tuple[float, ...]
    cpu: Mapping[str, float]
    bytes: Mapping[str, int]


def read_events(text: str) -> list[Mapping[str, Any]]:
    """The lines of an event log; one that is being written is left out."""
    return [json.loads(line) for line in text.split("\n")[:-1] if line]


def makespan(events: Sequence[Mapping[str, Any]]) -> float:
    """From the first question of a run to its last event; 0 for a run that asked nothing."""
    asked = [one["at_s"] for one in events if one["event"] == "asked"]
    return float(max(one["at_s"] for one in events) - min(asked)) if asked else 0.0


def rounds_of(events: Iterable[Mapping[str, Any]]) -> tuple[Round, ...]:
    """All rounds that were closed, in order; a round that is asked again is two."""
    found, lines = [], [one for one in events if one.get("analysis")]
    for place, one in enumerate(lines):
        if one["event"] != "asked":
            continue
        within: list[Mapping[str, Any]] = []
        for later in lines[place + 1 :]:
            if later["event"] in CLOSING and later["analysis"] == one["analysis"]:
                if later["event"] in ("mustered", "folded"):
                    found.append(_round(one, within, later))
                break
            within.append(later)
    return tuple(found)


def _round(asked: Mapping[str, Any], within: Sequence[Mapping[str, Any]], closed: Mapping[str, Any]) -> Round:
    begins = float(asked["at_s"])
    passed = [one for one in within if one["event"] == "passed"]
    answered = [one for one in within if one["event"] == "answered"]
    stages, before = [], begins
    for last in _stage_ends(passed, answered):
        stages.append(last - before)
        before = last
    cpu: dict[str, float] = {}
    size: dict[str, int] = {}
    for one in answered:
        cpu[one["site"]] = cpu.get(one["site"], 0.0) + float(one.get("cpu_s", 0.0))
        size[one["site"]] = size.get(one["site"], 0) + int(one.get("bytes", 0))
    step = str(closed.get("step") or asked.get("step") or closed["event"])
    return Round(asked["analysis"], int(asked["round"]), step, float(closed["at_s"]) - begins, tuple(stages), cpu, size)


def _stage_ends(passed: Sequence[Mapping[str, Any]], answered: Sequence[Mapping[str, Any]]) -> list[float]:
    """When the last reply of each stage came: a site passes once in every stage before the last."""
    turns: dict[str, int] = {}
    ends: dict[int, float] = {}
    for one in passed:
        turn = turns[one["site"]] = turns.get(one["site"], -1) + 1
        ends[turn] = max(ends.get(turn, 0.0), float(one["at_s"]))
    last = [max(float(one["at_s"]) for one in answered)] if answered else []
    return [*(ends[turn] for turn in sorted(ends)), *last]
