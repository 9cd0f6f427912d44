"""Rows that stand in for a site's, made from its card alone; and how a study reads them.

A stand-in has the columns, levels, shares and shapes that the card tells, drawn column by column; nothing of any patient is in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples
from huizhen.data.frames import table
from huizhen.data.synthetic.tables import columns
from huizhen.errors import CallerError, Problem
from huizhen.federation.reading import settled
from huizhen.federation.study import Study
from huizhen.privacy.release import Variable

__all__ = ["read_as", "rows_from_cards"]

FEWEST = 12  # rows: policies want ten
UNKNOWN = 1.0, 1000.0  # a range that nobody told


def read_as(study: Study, cards: Mapping[str, Mapping[str, Any]]) -> dict[str, Variable]:
    """How the sites would read the study's variables, by what their cards tell of the columns.

    Raises:
        CallerError: a variable that no card has.
    """
    told = [{one["name"]: one for one in card["variables"]} for card in cards.values()]
    known = {name for each in told for name in each}
    if missing := [name for name in study.uses if name not in known and name != "site"]:
        problems = [Problem(f"variable {name}", "no card that tells of it", "a variable of the sites' cards") for name in missing]
        raise CallerError("Nothing can be rehearsed from these cards.", problems)
    texts = [{name: one["kind"] != "number" for name, one in each.items()} for each in told]
    shapes = {name: tuple(one["shape"]) for each in told for name, one in each.items() if one["kind"] == "image"}
    return settled(study, texts, shapes)


def rows_from_cards(
    study: Study, cards: Mapping[str, Mapping[str, Any]], *, rows: int, seed: int
) -> tuple[dict[str, Examples], dict[str, Variable]]:
    """Stand-ins of every site with at most `rows` rows each, and how they were read.

    Raises:
        CallerError: a card tells of no rows, or lacks a variable.
        DataError: a declared level or range that the card's values do not meet.
    """
    variables = read_as(study, cards)
    if few := [site for site, card in cards.items() if not card.get("rows")]:
        problems = [Problem(f"site {site}", "a card of too few rows", "a number of rows") for site in few]
        raise CallerError("Nothing can be rehearsed from these cards.", problems)
    tables = {}
    for place, (site, card) in enumerate(cards.items()):
        rng = np.random.default_rng([seed, place])
        count = max(min(rows, int(card["rows"])), FEWEST)
        wanted = [one for one in card["variables"] if one["name"] in variables]
        fitting = [_as_read(one, variables[one["name"]], cards) for one in wanted]
        cells: dict[str, Any] = dict(columns(fitting, count, rng))
        cells |= {one["name"]: _pixels(one, count, rng) for one in wanted if one["kind"] == "image"}
        tables[site] = table({name: np.asarray(cells[name]) for name in cells}, variables=variables, site=site)
    return tables, variables


def _as_read(told: Mapping[str, Any], variable: Variable, cards: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """A variable of the card as the study reads it: a small site's card may take numbers for names, or withhold their range."""
    if variable.kind == "category":
        return _levels(told, variable)
    if variable.kind != "number":
        return told
    if levels := _numeric_levels(told, cards):
        return {**told, "kind": "number", "levels": levels, "rarer_levels": 0}
    low, high = _range(told, variable, cards)
    return {**told, "kind": "number", "levels": {}, "low": low, "high": high, "mean": (low + high) / 2, "sd": (high - low) / 3.3}


def _numeric_levels(told: Mapping[str, Any], cards: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Of the card itself, else of one that tells some; none where the numbers are no codes."""
    if told["kind"] == "number" and told.get("low") is not None:
        return {}
    same = [one for card in cards.values() for one in card["variables"] if one["name"] == told["name"]]
    each = [{level: float(count) for level, count in one["levels"].items() if _is_number(level)} for one in (told, *same)]
    return max(each[:1] if each[0] else each, key=len)


def _range(told: Mapping[str, Any], variable: Variable, cards: Mapping[str, Mapping[str, Any]]) -> tuple[float, float]:
    """Of the card itself, else of the study, else of another card that tells one, else of any numbers above 0."""
    if told.get("low") is not None and told.get("high") is not None and told["kind"] == "number":
        return told["low"], told["high"]
    if variable.range is not None:
        return variable.range
    others = [one for card in cards.values() for one in card["variables"] if one["name"] == told["name"]]
    known = [(one["low"], one["high"]) for one in others if one["kind"] == "number" and one["low"] is not None]
    return next((one for one in known if one[1] is not None), UNKNOWN)


def _is_number(level: str) -> bool:
    try:
        return math.isfinite(float(level))
    except ValueError:
        return False


def _levels(told: Mapping[str, Any], variable: Variable) -> Mapping[str, Any]:
    """A variable of the card, with the study's levels where it declares some: rows of others would not be read."""
    if not variable.levels:
        return {**told, "kind": "category"}
    known = dict(told["levels"])
    return {**told, "kind": "category", "levels": {level: known.get(level, 1) for level in variable.levels}, "rarer_levels": 0}


def _pixels(told: Mapping[str, Any], rows: int, rng: np.random.Generator) -> NDArray[Any]:
    shape: Sequence[int] = (rows, *told["shape"])
    if told["stored"] == "float32":
        return rng.random(shape, dtype=np.float32)
    low, high, kind = (0, 256, np.uint8) if told["stored"] == "uint8" else (-1024, 3072, np.int16)
    return rng.integers(low, high, shape, dtype=kind)
