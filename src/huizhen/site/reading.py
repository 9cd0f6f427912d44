"""What a site looks up in a source before it accepts a study: whether the columns are there, how they read, how many rows it has.

What is told to the hub is a kind for each column and an image's shape; shares and counts stay here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huizhen.data.cohort import choose
from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.examples import SITE
from huizhen.data.records import open_source
from huizhen.errors import DataError, Problem, closest
from huizhen.federation.proposal import Proposal
from huizhen.federation.reading import STRAY, settled, unsettled
from huizhen.federation.study import Study
from huizhen.site.settings import Settings

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Looks into the sources of a configuration."""

    settings: Settings

    def read(self, proposal: Proposal, source: str) -> Mapping[str, Any]:
        """How a source holds every variable of a study: by name its ``kind`` (``number``, ``category`` or ``image``), and of an
        image its ``shape`` and how it is ``stored``.

        Raises:
            DataError: the source cannot be read, or lacks variables; all of them are named.
        """
        return {name: _told(facts) for name, facts in self._columns(proposal.study, source).items()}

    def count(self, proposal: Proposal, source: str) -> int:
        """Rows of a source that are of the study's cohort; for the site's own decision.

        Raises:
            DataError: the source cannot be read as the cohort's conditions need it.
        """
        study = proposal.study
        columns = self._columns(study, source)
        texts = {name: _is_text(columns[name]) for name in unsettled(study)}
        conditions = (*study.conditions, *study.exclusions)
        wanted = {name for condition in conditions for name in condition.variables if name != SITE}
        variables = {name: one for name, one in settled(study, [texts], {}).items() if name in wanted}
        examples = open_source(self.settings.path_of(source)).read(variables, site=self.settings.site.name)
        chosen = choose(examples, study.conditions)
        for condition in study.exclusions:
            chosen &= condition.evaluate(examples) != 1
        return int(chosen.sum())

    def _columns(self, study: Study, source: str) -> dict[str, ColumnFacts]:
        found = {column.name: column for column in open_source(self.settings.path_of(source)).columns}
        names = [name for name in study.uses if name != SITE]
        missing = [
            Problem(f"source.{source}", f"no column {name}", "every variable of the study", _near(name, found))
            for name in names
            if name not in found
        ]
        if missing:
            raise DataError("The source cannot answer this study.", missing)
        return {name: found[name] for name in names}


def _told(facts: ColumnFacts) -> dict[str, Any]:
    if facts.kind == "image":
        return {"kind": "image", "shape": list(facts.shape), "stored": facts.stored}
    return {"kind": "category" if _is_text(facts) else "number"}


def _is_text(facts: ColumnFacts) -> bool:
    return facts.texts / max(facts.filled, 1) > STRAY


def _near(name: str, known: Mapping[str, ColumnFacts]) -> str:
    near = closest(name, tuple(known))
    return f"Did you mean {near}?" if near else ""
