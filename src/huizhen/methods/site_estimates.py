"""What a site tells a meta-analysis: its own estimates, fitted once, kept there, and put into sums."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from huizhen.data.examples import SITE, Examples
from huizhen.errors import NotEstimable, Problem, StudyError
from huizhen.methods.alone import alone
from huizhen.methods.description.levels import coder, label_counts
from huizhen.methods.method import Local, Method, Step
from huizhen.methods.survival.followup import SurvivalSpec
from huizhen.privacy.release import Answer, Part, Question, Terms, Variable

__all__ = ["estimate_steps", "inner_settings", "packed"]

Array = NDArray[np.float64]
Estimates = Mapping[str, tuple[float, float]]  # by term: coefficient, standard error


def inner_settings(methods: Mapping[str, Method], of: str, settings: Mapping[str, Any]) -> tuple[Method, Any]:
    """The method that each site runs by itself, and its settings.

    A survival method is told that nobody is compared across sites: so each site's risk sets stand on its own times, which do
    not leave it, instead of on a grid that others could see.

    Raises:
        StudyError: the method is not known here, or its settings are wrong.
    """
    method = methods.get(of)
    if method is None:
        raise StudyError("the study cannot run", [Problem("method.meta.of", repr(of), f"one of: {', '.join(sorted(methods))}")])
    try:
        spec = method.spec(**settings)
        if isinstance(spec, SurvivalSpec) and not spec.by_site:
            spec = method.spec(**{**settings, "strata": (*spec.strata, SITE)})
    except ValidationError as error:
        problems = [
            Problem(".".join(("method.meta.settings", *map(str, one["loc"]))), repr(one["input"]), one["msg"])
            for one in error.errors(include_url=False)
        ]
        raise StudyError("the study cannot run", problems) from None
    return method, spec


def packed(terms: Terms) -> dict[str, Any]:
    """What a site needs of the terms, as facts of a question."""
    variables = {name: {**asdict(variable), "levels": list(variable.levels)} for name, variable in terms.variables.items()}
    return {
        "variables": variables,
        "min_cell_count": terms.min_cell_count,
        "max_degrees": terms.max_degrees,
        "round_to": terms.round_to,
    }


def estimate_steps(methods: Mapping[str, Method]) -> Mapping[str, Step]:
    """The steps; each splits the rows by site, so that a table of several sites answers as they would."""

    def estimates(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
        each, local = _known(methods, question, examples, local)
        sums: dict[str, Array] = {}
        for estimate in each.values():
            for term, (value, error) in estimate.items():
                weight = error**-2
                sums[term] = sums.get(term, np.zeros(4)) + np.array([1, weight, weight * value, weight**2])
        keys, width = tuple(sums), np.array(list(sums.values())).reshape(-1, 4)
        named = zip(("sites", "weight", "weighted", "weight_squared"), width.T)
        parts = {name: Part(values.copy(), examples.rows, keys=keys) for name, values in named}
        # What stands behind each label, for a policy that judges labels: the rows that the model was fitted to.
        parts["rows"] = Part(np.full(len(keys), examples.rows), examples.rows, cells=True, keys=keys)
        counted = np.array([len(each), sum(bool(estimate) for estimate in each.values())])
        return Answer({**parts, "counted": Part(counted, examples.rows)}, examples.rows), local

    def distances(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
        each, local = _known(methods, question, examples, local)
        value, error, known = _matrix(each, question.facts["found"])
        weight, away = known / error**2, value - question.facts["fixed"]
        sums = np.array([(weight * away).sum(axis=0), (weight * away**2).sum(axis=0)])
        return Answer({"distances": Part(sums, examples.rows)}, examples.rows), local

    def random(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
        each, local = _known(methods, question, examples, local)
        value, error, known = _matrix(each, question.facts["found"])
        weight, away = known / (error**2 + question.facts["tau2"]), value - question.facts["fixed"]
        sums = np.array([weight.sum(axis=0), (weight * away).sum(axis=0), (weight * away**2).sum(axis=0)])
        return Answer({"random": Part(sums, examples.rows)}, examples.rows), local

    def per_site(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
        each, local = _known(methods, question, examples, local)
        sites, found = question.facts["sites"], question.facts["found"]
        values = np.zeros((len(sites), len(found), 3))
        rows = [sites.index(site) for site in each]
        values[rows] = np.stack(_matrix(each, found), axis=2)
        return Answer({"per_site": Part(values, examples.rows, kind="individual")}, examples.rows), local

    return {"estimates": estimates, "distances": distances, "random": random, "per_site": per_site}


def _known(
    methods: Mapping[str, Method], question: Question, examples: Examples, local: Local
) -> tuple[Mapping[str, Estimates], Local]:
    """The estimates of each site whose rows these are, fitted once and kept."""
    if "estimates" not in local.kept:
        fitted = {site: _fit(methods, question, rows) for site, rows in _by_site(examples)}
        local = replace(local, kept={**local.kept, "estimates": fitted})
    kept = local.kept["estimates"]
    return {site: {term: (pair[0], pair[1]) for term, pair in terms.items()} for site, terms in kept.items()}, local


def _by_site(examples: Examples) -> Generator[tuple[str, Examples], None, None]:
    sites = tuple(label_counts(examples, SITE))
    code = coder(examples, SITE, sites)(slice(0, examples.rows))
    yield from ((site, examples.where(code == place)) for place, site in enumerate(sites))


def _fit(methods: Mapping[str, Method], question: Question, rows: Examples) -> dict[str, list[float]]:
    """A site's estimates by term; empty where its model cannot be estimated or has too many coefficients for its rows."""
    facts = question.facts
    terms = _unpacked(facts["terms"])
    method, spec = inner_settings(methods, facts["of"], facts["settings"])
    try:
        table = alone(method, spec, terms, rows).tables.get("coefficients")
    except NotEstimable:
        return {}
    if table is None or len(table.columns["term"]) > terms.max_degrees * rows.rows:
        return {}
    columns = (table.columns[name] for name in ("term", "coefficient", "standard_error"))
    found = {term: [float(value), float(error)] for term, value, error in zip(*columns) if value is not None and error}
    return {term: pair for term, pair in found.items() if np.isfinite(pair).all() and pair[1] > 0}


def _matrix(each: Mapping[str, Estimates], found: list[str]) -> tuple[Array, Array, Array]:
    """Coefficients, standard errors (1 where unknown) and whether known, float64 (site, term)."""
    pairs = [[estimate.get(term, (0.0, 0.0)) for term in found] for estimate in each.values()]
    both = np.array(pairs, float).reshape(len(each), len(found), 2)
    known = both[:, :, 1] > 0
    return both[:, :, 0], np.where(known, both[:, :, 1], 1.0), known.astype(float)


def _unpacked(facts: Mapping[str, Any]) -> Terms:
    variables = {
        name: Variable(
            kind=variable["kind"],
            levels=tuple(variable["levels"]),
            unit=variable["unit"],
            range=tuple(variable["range"]) if variable["range"] else None,
        )
        for name, variable in facts["variables"].items()
    }
    return Terms(facts["min_cell_count"], facts["round_to"], facts["max_degrees"], variables=variables)
