"""How many patients of a site's registry are left after each criterion, with what tells whether cohorts differ by few patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from huizhen.data.criteria.compiled import sketched
from huizhen.data.criteria.declarations import Criteria, criteria_of
from huizhen.data.criteria.sketch import stacked
from huizhen.data.events.segments import guarded
from huizhen.data.events.store import Registry
from huizhen.data.mapping.mapfile import read_mapping
from huizhen.errors import DataError, Problem
from huizhen.federation.study import Study
from huizhen.privacy.release import EMPTY

__all__ = ["SKETCH", "cohorts_of", "count_events", "registry_of"]

SKETCH = "sketch"  # a step that no hub may ask: what a worker tells its own agent
MAPPING = ".toml"


def count_events(registry: Path, criteria: Criteria, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Patients left after the index event and after each criterion (step,), and their mixed hashes (step, bucket).

    Raises:
        MachineError: the registry is damaged.
    """
    statement, held = sketched(criteria, buckets), Registry(registry)

    def asked() -> list[tuple[int, int, int, int]]:
        with held.connect() as connection:
            found: list[tuple[int, int, int, int]] = connection.execute(statement.sql, statement.bound).fetchall()
            return found

    return stacked(guarded(registry, asked), len(criteria.steps), buckets)


def cohorts_of(study: Study) -> dict[str, Criteria]:
    """The criteria of the analyses that are answered from a registry, by label."""
    counted = [one for one in study.analyses if getattr(one.method, "over", "rows") == "events"]
    return {one.label: criteria_of(getattr(one.spec, "criteria", EMPTY)) for one in counted}


def registry_of(source: Path) -> Path:
    """The folder of the registry behind a source: the source itself, or that of its mapping.

    Raises:
        DataError: there is none.
    """
    folder = read_mapping(source).registry if source.suffix.lower() == MAPPING and source.is_file() else source
    if folder.is_dir() and Registry(folder).manifest.origins:
        return folder
    found = "no registry, or one that was never filled"
    expected = 'a source of kind = "registry" in the site\'s configuration'
    problem = Problem("source", found, expected, "`huizhen data sync` fills one")
    raise DataError("Cohorts cannot be counted here.", [problem])
