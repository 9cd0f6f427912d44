"""What Cox regression stands on before its first step: strata, the joint cells of time, the numbers of rows and of events."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.errors import NotEstimable
from huizhen.methods.design.columns import Design
from huizhen.methods.hazards.likelihood import GridSurface, SiteSurface
from huizhen.methods.hazards.riskset import Cells
from huizhen.methods.hazards.spec import CoxSpec, reads
from huizhen.methods.survival.followup import refuse_unusable
from huizhen.methods.survival.groups import Groups, agree_groups
from huizhen.methods.survival.timegrid import MOVED, Exits, TimeGrid, agree_exits
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["Setting", "agree_setting"]

NAME = "cox"


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that stands before the first Newton step."""

    surface: SiteSurface | GridSurface
    strata: tuple[str, ...]  # names of the joint strata that have events, in the order of the cells; () where there is one
    rows: int
    events: int
    notes: tuple[str, ...]


def agree_setting(spec: CoxSpec, design: Design, terms: Terms) -> Generator[Question, Total, Setting]:
    """Strata and joint cells where risk sets span sites, and whether there is enough to fit.

    Raises:
        NotEstimable: times or weights that cannot be used, no event, or fewer events than coefficients.
    """
    variables = tuple(name for name in dict.fromkeys(use.name for use in reads(spec)))
    model = {"outcome": spec.outcome, "strata": list(spec.strata), "weights": spec.weights, "ties": spec.ties, "cells": None}
    if spec.by_site:
        total = yield Question(NAME, "events", {"model": model}, variables)
        rows, events = _usable(spec, design, total, terms.min_cell_count)
        within = " and ".join(spec.strata)
        notes = (
            f"Stratified by {within}: sums over each site's own risk sets, on the patients' own times.",
            "The baseline hazard of each stratum stays at its site.",
        )
        return Setting(SiteSurface(model, variables), (), rows, events, notes)
    groups = yield from agree_groups(NAME, spec.strata, terms)
    exits = yield from agree_exits(NAME, spec, groups)
    grids = [exits.grid(terms.min_cell_count, slice(code, code + 1)) for code in range(groups.count)]
    cells, joint = _joint_cells(grids, groups)
    model["cells"] = joint
    total = yield Question(NAME, "events", {"model": model}, variables)
    rows, events = _usable(spec, design, total, terms.min_cell_count)
    surface = GridSurface(model, variables, Cells(cells.starts, cells.time, cells.deaths, total.sums["weight"]), spec.ties)
    return Setting(surface, _stratum_names(grids, groups), rows, events, tuple(_grid_notes(spec, exits, grids, groups)))


def _usable(spec: CoxSpec, design: Design, total: Total, least: int) -> tuple[int, int]:
    """Rows and events, after refusing what cannot be fitted."""
    (events, rows), (times, weights) = total.sums["events"].tolist(), total.sums["unusable"].tolist()
    refuse_unusable(times)
    if weights:
        raise NotEstimable(
            f"weights: some rows have a weight {spec.weights!r} of 0, below 0 or without end: expected weights above 0. "
            "Correct them at the source, or leave those rows out with a cohort condition"
        )
    # Kish's effective number (1965, Survey Sampling, section 8.2): of all patients, and of those with the event.
    if any(0 < once**2 < least * twice for once, twice in total.sums.get("balance", np.zeros((0, 2))).tolist()):
        raise NotEstimable(
            f"weights: {spec.weights!r} makes fewer than {least} patients outweigh all others, so that the model would describe "
            "those few. Choose other weights"
        )
    if events == 0:
        raise NotEstimable("no patient had the event: expected at least one. Check the condition that defines the event")
    if events < len(design.columns):
        raise NotEstimable(
            f"the model has {len(design.columns)} coefficients and there are fewer events: expected more events than coefficients "
            "(10 for each is a common rule). Leave out covariates"
        )
    return rows, events


def _joint_cells(grids: list[TimeGrid], groups: Groups) -> tuple[Cells, dict[str, Any]]:
    """Cells from the grids of the strata, and how a site finds the cell of a row."""
    starts, times, deaths = [], [], []
    finding: dict[str, list[Any]] = {"event_ends": [], "event_cells": [], "censored_ends": [], "censored_cells": []}
    count = 0
    for grid in grids:
        own = np.flatnonzero(grid.events[0])[::-1]  # latest first
        latest = np.searchsorted(own[::-1], np.arange(len(grid.ends)), side="right") - 1
        cell = np.where(latest < 0, -1, count + len(own) - 1 - latest)
        for kind, number in (("event", grid.events[0]), ("censored", grid.censored[0])):
            finding[f"{kind}_ends"].append(grid.ends[number > 0])
            finding[f"{kind}_cells"].append(cell[number > 0])
        if len(own):
            starts.append(count)
        times.append(grid.times[own])
        deaths.append(grid.events[0][own])
        count += len(own)
    joined = np.concatenate(deaths)
    cells = Cells(np.array(starts, np.int64), np.concatenate(times), joined, joined.astype(np.float64))
    return cells, {"groups": groups.facts(), "resolution": grids[0].resolution, "count": count, **finding}


def _stratum_names(grids: list[TimeGrid], groups: Groups) -> tuple[str, ...]:
    if not groups.names:
        return ()
    named = (", ".join(f"{name}={label}" for name, label in zip(groups.names, labels)) for labels in groups.labels)
    return tuple(name for name, grid in zip(named, grids) if grid.events.any())


def _grid_notes(spec: CoxSpec, exits: Exits, grids: list[TimeGrid], groups: Groups) -> list[str]:
    if groups.count == 1:
        return [exits.note(grids[0])]
    intervals = sum(len(grid.ends) for grid in grids)
    same = not exits.between and intervals == int(np.count_nonzero(exits.counts.sum(axis=0)))
    exact = "every distinct time of the pooled rows" if same else MOVED
    within = " and ".join(spec.strata)
    said = (
        f"Each stratum of {within} has its own joint grid of times, {intervals} intervals in all (resolution {spec.resolution:g})"
    )
    return [f"{said}: {exact}."]
