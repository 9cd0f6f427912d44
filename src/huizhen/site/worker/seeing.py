"""What a site looks up in a source before it accepts a study: whether the columns are there, how they read, how many rows it has.

What is told to the hub is a kind for each column and an image's shape; shares and counts stay here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huizhen.data.cohort import choose
from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.examples import SITE
from huizhen.data.records import open_source
from huizhen.errors import DataError, Problem, closest
from huizhen.federation.reading import STRAY, settled, unsettled
from huizhen.federation.study import Study
from huizhen.site.eventcounts import cohorts_of, registry_of
from huizhen.site.worker.events import Events, has_rows

__all__ = ["seen"]


def seen(study: Study, source: str, site: str) -> dict[str, Any]:
    """What a source holds for a study: ``rows`` of its cohort, and of every variable by name what it ``reads`` as.

    Args:
        source: path of the table or images.
        site: its name.

    Raises:
        DataError: the source cannot be read, or lacks variables; all of them are named.
    """
    if cohorts_of(study):
        registry_of(Path(source))  # whether there is one; how many patients is asked in the study
        if not has_rows(study):
            return {"reads": {}, "rows": _patients(study, source)}
    columns = _columns(study, source)
    reads = {name: _told(facts) for name, facts in columns.items()}
    return {"reads": reads, "rows": _counted(study, source, site, columns)}


def _patients(study: Study, source: str) -> int:
    """Patients with the index event, of the cohort that has the fewest."""
    events = Events(study, Path(source))
    return min(events.muster(label) for label in cohorts_of(study))


def _counted(study: Study, source: str, site: str, columns: Mapping[str, ColumnFacts]) -> int:
    """Rows that are of the study's cohort."""
    texts = {name: _is_text(columns[name]) for name in unsettled(study)}
    conditions = (*study.conditions, *study.exclusions)
    wanted = {name for condition in conditions for name in condition.variables if name != SITE}
    variables = {name: one for name, one in settled(study, [texts], {}).items() if name in wanted}
    examples = open_source(source).read(variables, site=site)
    chosen = choose(examples, study.conditions)
    for condition in study.exclusions:
        chosen &= condition.evaluate(examples) != 1
    return int(chosen.sum())


def _columns(study: Study, source: str) -> dict[str, ColumnFacts]:
    found = {column.name: column for column in open_source(source).columns}
    names = [name for name in study.uses if name != SITE]
    missing = [
        Problem("source", f"no column {name}", "every variable of the study", _near(name, found))
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
