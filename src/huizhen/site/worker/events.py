"""A workplace over the events of a registry: counts cohorts where the registry is, and tells them to the site's own agent alone.

What it answers never leaves: `site.cohortguard` judges it there, puts in its place what may, and knows no step that tells a sketch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.criteria.sketch import buckets_for
from huizhen.errors import FederationError, Problem
from huizhen.federation.study import Study
from huizhen.federation.workplace import Worked, Workplace
from huizhen.privacy.release import Answer, Part, Question
from huizhen.site.eventcounts import SKETCH, cohorts_of, count_events, registry_of

__all__ = ["Events", "has_rows"]

FEWEST = buckets_for(1)


def has_rows(study: Study) -> bool:
    """Whether some analysis of a study is answered from rows."""
    return len(cohorts_of(study)) < len(study.analyses)


class Events:
    """Answers analyses over events, and hands the others on.

    Args:
        source: the registry, or a mapping that names it.
        rows: where the other analyses are answered; None: the study has none.

    Raises:
        DataError: there is no registry.
    """

    def __init__(self, study: Study, source: Path, rows: Workplace | None = None) -> None:
        self._cohorts = cohorts_of(study)
        self._registry = registry_of(source)
        self._rows = rows
        self._counted: dict[tuple[str, int], tuple[NDArray[np.int64], NDArray[np.uint64]]] = {}

    def muster(self, analysis: str) -> int:
        if analysis not in self._cohorts:
            return self._others().muster(analysis)
        return int(self._count(analysis, FEWEST)[0][0])

    def answer(
        self,
        analysis: str,
        question: Question,
        kept: Mapping[str, Any],
        *,
        draw: bytes,
        course: str,
        counted: int | None = None,
    ) -> Worked:
        if analysis not in self._cohorts:
            return self._others().answer(analysis, question, kept, draw=draw, course=course, counted=counted)
        if question.step != SKETCH:  # what a hub asks is answered by the guard, from the sketch
            rows = self.muster(analysis)
            return Worked(Answer({}, rows), kept)
        buckets = question.facts.get("buckets")
        if type(buckets) is not int or not FEWEST <= buckets <= MOST or buckets & (buckets - 1):
            raise ValueError
        counts, mixed = self._count(analysis, buckets)
        rows = int(counts[0])
        return Worked(Answer({"counts": Part(counts, rows), "mixed": Part(mixed.view(np.int64), rows)}, rows), kept)

    def close(self) -> None:
        self._counted.clear()
        if self._rows is not None:
            self._rows.close()

    def _count(self, analysis: str, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        if (analysis, buckets) not in self._counted:
            self._counted.clear()  # one cohort after the other
            self._counted[analysis, buckets] = count_events(self._registry, self._cohorts[analysis], buckets)
        return self._counted[analysis, buckets]

    def _others(self) -> Workplace:
        if self._rows is None:
            problem = Problem("analysis", "an analysis that the study does not have", "one of the study's")
            raise FederationError("Nothing can be answered here.", [problem])
        return self._rows


MOST = buckets_for(10_000)  # the largest minimum that a policy may have
