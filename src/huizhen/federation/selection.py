"""Which of a site's rows take part in an analysis, and the first question of every analysis: how many are there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen import canonical
from huizhen.data.cohort import choose
from huizhen.data.examples import SITE, Examples, Images
from huizhen.errors import DataError, Problem
from huizhen.federation.study import Analysis, Study
from huizhen.methods.features.coding import present
from huizhen.privacy.release import Answer, Part, Question, Sensitivity

__all__ = ["MUSTER", "Selected", "muster", "muster_question", "scope_of", "select"]

MUSTER = "muster"


@dataclass(frozen=True, slots=True)
class Selected:
    """A site's rows for one analysis."""

    examples: Examples


def select(study: Study, analysis: Analysis, examples: Examples) -> Selected:
    """The rows of the cohort that are complete as the study's rule for missing values demands.

    Raises:
        DataError: the rule is `refuse` and a row misses a value.
    """
    chosen = choose(examples, study.conditions)
    for condition in study.exclusions:
        chosen &= condition.evaluate(examples) != 1
    complete = examples.complete(study.needs(analysis))
    if columns := study.needs_features(analysis):
        complete &= present(study.features, columns, examples)
    if (chosen & ~complete).any() and study.missing.rule == "refuse":
        problem = Problem(
            "missing.rule", "rows with missing values", "none, since the rule is 'refuse'", "Use 'complete', or clean the source"
        )
        raise DataError(f"The rows for {analysis.label} are not complete.", [problem])
    read = {use.name for use in analysis.uses}
    unread = (name for name, column in examples.columns.items() if isinstance(column, Images) and name not in read)
    return Selected(examples.without(unread).where(chosen & complete))  # images take room: none is copied for nothing


def muster_question(study: Study, analysis: Analysis) -> Question:
    """How many rows does a site have for an analysis? It names all that will be read: a site that denies a variable says so now."""
    read = (use.name for use in analysis.uses if use.name != SITE)
    chosen = (name for condition in (*study.conditions, *study.exclusions) for name in condition.variables)
    return Question(analysis.method.name, MUSTER, variables=tuple(dict.fromkeys((*read, *chosen))))


def muster(rows: int) -> Answer:
    """The answer of a site with so many rows."""
    return Answer(
        {"rows": Part(np.array([rows], np.int64), rows, cells=True, sensitivity=Sensitivity(1.0, 1.0), unit="patients")}, rows
    )


def scope_of(study: Study, analysis: Analysis) -> str:
    """Digest of everything but the question that decides which rows answer it."""
    chosen: list[Any] = [study.cohort.model_dump(), study.missing.rule, list(study.needs(analysis))]
    if columns := study.needs_features(analysis):
        chosen.append([list(columns), sorted(study.features.only(columns).texts.items())])
    if analysis.features:  # another feature of the same name is another question
        chosen.append(sorted(analysis.features.texts.items()))
    return canonical.digest(chosen)
