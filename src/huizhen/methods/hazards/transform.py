"""Functions of time by which the proportional-hazards test asks whether an effect changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.survival.curve import product_limit
from huizhen.methods.survival.timegrid import TimeGrid, fine_interval, joint_interval

__all__ = ["JOINT", "TransformName", "of_grid", "on_cells"]

Floats = NDArray[np.float64]
TransformName = Literal["identity", "log", "km", "rank"]
JOINT = ("km", "rank")  # what they give for a time depends on all patients, so a joint grid must be agreed first


def of_grid(name: TransformName, grid: TimeGrid) -> dict[str, Any]:
    """The transform as a question carries it, from the joint counts of one group.

    ``km`` is 1 less the Kaplan-Meier estimate just before the time (R's ``cox.zph``), with the estimate at the time beside it
    (lifelines); ``rank`` is the mean rank of the time among all times, those of censored patients included (R).
    """
    leaving = (grid.events + grid.censored)[0]
    if name == "rank":
        before = np.cumsum(leaving) - leaving
        values = [before + (leaving + 1) / 2.0]
    else:
        survival = product_limit(grid.times, grid.at_risk[0], grid.events[0]).survival
        values = [1.0 - np.concatenate(([1.0], survival[:-1])), 1.0 - survival]
    at_events = grid.events[0] > 0
    values = [found[at_events] for found in values]
    return {"name": name, "resolution": grid.resolution, "ends": grid.event_ends, "values": values}


def on_cells(transform: Mapping[str, Any], time: Floats) -> list[Floats]:
    """At the moments `time` (cell,): the transform, its square, and lifelines' variant where it differs; float64 (cell,) each."""
    if transform["name"] == "identity":
        values = [time]
    elif transform["name"] == "log":
        with np.errstate(divide="ignore"):
            values = [np.log(time)]
    else:
        place = joint_interval(fine_interval(time, transform["resolution"]), np.asarray(transform["ends"]))
        values = [np.asarray(found, np.float64)[place] for found in transform["values"]]
    return [values[0], values[0] ** 2, *values[1:]]
