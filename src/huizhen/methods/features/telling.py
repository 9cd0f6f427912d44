"""What was fitted, for a reader of the result, and for whoever scores a new patient with the same features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from huizhen.methods.features.declared import Features
from huizhen.methods.features.fitted import Fitted
from huizhen.privacy.release import Terms, Variable
from huizhen.privacy.result import Table

__all__ = ["FEATURES", "facts_of", "from_facts", "table_of"]

NOTHING = "–"  # None would read as withheld
FEATURES = "features"  # a fact and a table of a result


def table_of(features: Features, fitted: Fitted) -> Table:
    """A row for each number or level that was found, and one for each feature that needs none."""
    rows = list(_rows(features, fitted))
    titles = ("feature", "declared", "parameter", "value")
    return Table(dict(zip(titles, zip(*rows))), "feature", "Features, as they were fitted jointly")


def facts_of(features: Features, fitted: Fitted, terms: Terms) -> dict[str, Any]:
    """Declarations, parameters, and how the variables behind them are read; canonical values."""
    reads = {use.name: use.kind for use in features.reads}
    kinds = {name: terms.variables[name].kind if name in terms.variables else kind for name, kind in reads.items()}
    return {"declared": [[name, text] for name, text in features.texts.items()], "fitted": fitted.facts(), "variables": kinds}


def from_facts(facts: Mapping[str, Any]) -> tuple[Features, Fitted, dict[str, Variable]]:
    """The features, what was fitted, and the variables that they read, behind `facts_of`.

    Raises:
        FederationError, StudyError: it is none.
    """
    features = Features.of(dict(facts["declared"]))
    reads = {name: Variable("number" if kind == "number" else "category") for name, kind in facts["variables"].items()}
    return features, Fitted.told(facts["fitted"], features, whole=True), reads


def _rows(features: Features, fitted: Fitted) -> Iterator[tuple[str, str, str, Any]]:
    for name in features.texts:
        found = [(key, one) for key, one in fitted.parameters.items() if features.fitted_calls[key][0] == name]
        if not found:
            yield name, features.texts[name], "", NOTHING
        for key, parameters in found:
            call = str(features.fitted_calls[key][1])
            for title, value in parameters.items():
                if title != "other":
                    yield from ((name, call, *each) for each in _named(title, value))


def _named(title: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple):
        one = {"cuts": "cut", "knots": "knot", "levels": "level"}[title]
        yield from ((f"{one} {place}", each) for place, each in enumerate(value, 1))
    else:
        yield title, value
