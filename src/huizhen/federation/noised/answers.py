"""What a site has sent with noise, kept so that none of it is drawn twice: by study, site and analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.selection import MUSTER
from huizhen.privacy.noiseplan import NoisePlan
from huizhen.privacy.release import Answer, Part

__all__ = ["ROWS", "answer_from", "answer_to", "draws_of", "kept_of", "mustered", "musters_among", "name_of"]

ROWS = "rows"  # the part that tells how many there are


def name_of(site: str, analysis: str) -> str:
    return f"{site}.{analysis}.noisy"


def kept_of(kept: Checkpoints, name: str, plan: NoisePlan, data: str) -> dict[str, Any]:
    """Noisy answers by question, and how many different ones were asked by step; of these rows and this plan."""
    mine = {"data": data, "multiplier": plan.multiplier, "honest": plan.wanted.honest}
    found = kept.load(name)
    if isinstance(found, Mapping) and found.get("of") == mine:
        return dict(found)
    return {"of": mine, "answers": {}, "asked": {}, "draws": []}


def draws_of(kept: Checkpoints, site: str, analysis: str, plan: NoisePlan, data: str) -> list[str]:
    """Of all noisy answers, also of those that are not kept any more: they count as asked, so that none is drawn again."""
    return list(kept_of(kept, name_of(site, analysis), plan, data)["draws"])


def musters_among(answers: Mapping[str, Any]) -> dict[str, Any]:
    return {question: one for question, one in answers.items() if one["step"] == MUSTER}


def mustered(part: Part, count: int) -> Answer:
    """The noisy number of rows, which the hub sees by site; it is that of the answer, too."""
    return Answer({ROWS: replace(part, values=np.array([count], np.int64), rows=count, cells=True)}, count)


def answer_to(answer: Answer) -> dict[str, Any]:
    """The parts as canonical values."""
    return {
        name: {
            "values": part.values,
            "rows": part.rows,
            "kind": part.kind,
            "cells": part.cells,
            "keys": None if part.keys is None else list(part.keys),
            "layout": [[tensor, list(shape)] for tensor, shape in part.layout],
            "unit": part.unit,
        }
        for name, part in answer.parts.items()
    }


def answer_from(found: Mapping[str, Any]) -> Answer:
    parts = {
        name: Part(
            np.asarray(one["values"]),
            one["rows"],
            one["kind"],
            one["cells"],
            None if one["keys"] is None else tuple(one["keys"]),
            layout=tuple((tensor, tuple(shape)) for tensor, shape in one["layout"]),
            unit=one["unit"],
        )
        for name, one in found["parts"].items()
    }
    return Answer(parts, found["rows"])
