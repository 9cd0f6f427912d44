"""A table that has what its card tells: columns, types, missing shares, levels and ranges; each column drawn by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["columns"]

WORDS = (
    "no",
    "acute",
    "finding",
    "stable",
    "since",
    "the",
    "last",
    "visit",
    "mild",
    "change",
    "left",
    "right",
    "lung",
    "heart",
    "未见",
    "明显",
    "异常",
)
LETTERS = 40  # words of a free text


def columns(variables: Sequence[Mapping[str, Any]], rows: int, rng: np.random.Generator) -> dict[str, list[str]]:
    """Cells as text, by column; an empty cell is a missing value. Columns of images are left to `volumes`."""
    return {each["name"]: _column(each, rows, rng) for each in variables if each["kind"] != "image"}


def _column(variable: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[str]:
    make = {"number": _numbers, "category": _labels, "date": _dates, "identifier": _identifiers, "text": _texts}[variable["kind"]]
    cells = make(variable, rows, rng)
    absent = rng.random(rows) < (variable.get("missing_share") or 0.0)
    return ["" if gone else cell for cell, gone in zip(cells, absent)]


def _numbers(variable: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[str]:
    if variable["levels"]:
        return _labels(variable, rows, rng)
    low, high = variable.get("low"), variable.get("high")
    middle, width = (0.0, 3.3) if low is None or high is None else ((low + high) / 2, high - low)
    mean = middle if variable.get("mean") is None else float(variable["mean"])
    sd = float(variable.get("sd") or width / 3.3)
    drawn = rng.normal(mean, sd, rows)
    if low is not None and high is not None:
        # What the bounds leave out is about one in ten: it lies beyond them by no more than half their width.
        drawn = np.clip(drawn, low - (high - low) / 2 if low < 0 else max(0.0, low - (high - low) / 2), high + (high - low) / 2)
    is_whole = all(value is None or float(value).is_integer() for value in (low, high)) and sd > 2
    return [f"{value:.0f}" if is_whole else f"{value:.4g}" for value in drawn]


def _labels(variable: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[str]:
    levels = dict(variable["levels"]) or {"a": 1, "b": 1}
    rarer = int(variable.get("rarer_levels") or 0)
    share = max(1.0, 0.01 * sum(levels.values()))
    levels |= {f"rare {number}": share for number in range(1, rarer + 1)}
    weights = np.array(list(levels.values()), np.float64)
    return [str(label) for label in rng.choice(list(levels), rows, p=weights / weights.sum())]


def _dates(variable: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[str]:
    first, last = int(variable.get("low") or 2010), int(variable.get("high") or 2024)
    start = np.datetime64(f"{first:04d}-01-01")
    days = (np.datetime64(f"{last + 1:04d}-01-01") - start).astype(int)
    return [str(start + int(day)) for day in rng.integers(0, days, rows)]


def _identifiers(_: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[str]:
    return [f"STANDIN-{number:08d}" for number in rng.permutation(rows)]


def _texts(_: Mapping[str, Any], rows: int, rng: np.random.Generator) -> list[str]:
    return [sentence(LETTERS, rng) for _ in range(rows)]


def sentence(words: int, rng: np.random.Generator) -> str:
    """Words one after another that say nothing."""
    return "STAND-IN. " + " ".join(rng.choice(WORDS, max(words, 1)))
