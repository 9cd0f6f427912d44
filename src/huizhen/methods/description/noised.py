"""What descriptions must be told, and what one patient changes in them, for their answers to carry noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE
from huizhen.errors import Problem, StudyError
from huizhen.privacy.release import Sensitivity, Variable

__all__ = ["ONE_CELL", "each_of", "levels_declared", "ranges_declared", "ranges_of"]

ONE_CELL = Sensitivity(1.0, 1.0)  # a patient stands in one cell of a table, or in none
CANNOT = "Noise cannot be added."
Level = Literal["patient", "site"]


def each_of(count: int) -> Sensitivity:
    """A patient stands in one cell of each of so many tables."""
    return Sensitivity(float(count), sqrt(count), count)


def levels_declared(names: Iterable[str], variables: Mapping[str, Variable], level: Level) -> dict[str, int]:
    """How many levels each of these categories has, as declared, by name.

    Raises:
        StudyError: one has none declared, or the noise is to hide a whole site; all are named.
    """
    problems = _of_level(level)
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name == SITE:
            problems.append(Problem(SITE, "the site as a category", "a variable with declared levels", "Leave it out"))
        elif name not in variables or not variables[name].levels:
            remedy = f"Set type = 'category' and levels in [variables.{name}]"
            problems.append(Problem(name, "levels that only rows would tell, without noise", "declared levels", remedy))
    if problems:
        raise StudyError(CANNOT, problems)
    return {name: len(variables[name].levels) for name in wanted}


def ranges_declared(names: Iterable[str], variables: Mapping[str, Variable], level: Level) -> tuple[tuple[float, float], ...]:
    """The declared range of each of these numbers.

    Raises:
        StudyError: one has none; all are named.
    """
    problems, wanted = _of_level(level), tuple(dict.fromkeys(names))
    ranges = {name: variables[name].range for name in wanted if name in variables}
    for name in wanted:
        if not ranges.get(name) or variables[name].kind != "number":
            remedy = f"Declare a range in [variables.{name}], such as range = [0, 120]; values beyond are cut to it"
            problems.append(
                Problem(name, "a number without a range, so that one patient may change its sum by any amount", "a range", remedy)
            )
    if problems:
        raise StudyError(CANNOT, problems)
    return tuple(one for one in ranges.values() if one is not None)


def ranges_of(names: Sequence[str], variables: Mapping[str, Variable]) -> NDArray[np.float64]:
    """Declared ranges as float64 (variable, 2): smallest, largest."""
    return np.array([variables[name].range or (np.nan, np.nan) for name in names])


def _of_level(level: Level) -> list[Problem]:
    if level == "patient":
        return []
    remedy = "Set level = 'patient'"
    return [Problem("protection.noise.level", "'site'", "'patient': a site's counts have no bound that noise could hide", remedy)]
