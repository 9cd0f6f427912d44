"""Meta-analysis: every site estimates by itself, and the estimates are put together, fixed and random (DerSimonian & Laird).

By default only sums over sites leave: of weights, weighted estimates and weighted squared distances from the pooled estimate.
A site whose own model cannot be estimated adds nothing and is counted.

Sources: DerSimonian & Laird 1986 (Controlled Clinical Trials 7:177); Hartung & Knapp 2001 (Statistics in Medicine 20:3875).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import chdtrc

from huizhen.data.examples import SITE
from huizhen.errors import NotEstimable
from huizhen.methods.compare import COMPARE
from huizhen.methods.cox import COX
from huizhen.methods.description.levels import LEVELS_STEPS, agree_levels, read_by
from huizhen.methods.design.wald import coefficient_table
from huizhen.methods.glm import GLM
from huizhen.methods.method import Method, ScriptedMethod, Spec, Use
from huizhen.methods.site_estimates import estimate_steps, inner_settings, packed
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result, Table, listed

__all__ = ["META", "MetaSpec", "meta"]

Array = NDArray[np.float64]


class MetaSpec(Spec):
    """Settings of ``[method.meta]``.

    Attributes:
        of: the method that each site runs by itself.
        settings: that method's own settings, as a table.
        model: which pooled estimates stand in ``coefficients``; both are computed.
        per_site: also release each site's own estimates, one by one (for a forest plot); policies may refuse that.
        limits: of the random model: ``wald``, or ``hartung_knapp`` (t distribution; better with few sites).
        confidence: of all limits.
    """

    of: str
    settings: dict[str, Any] = Field(default_factory=dict)
    model: Literal["fixed", "random"] = "random"
    per_site: bool = False
    limits: Literal["wald", "hartung_knapp"] = "wald"
    confidence: float = Field(default=0.95, gt=0, lt=1)


def meta(methods: Mapping[str, Method]) -> ScriptedMethod:
    """The meta-analysis of `methods`, by name: each must give a table ``coefficients`` with coefficient and standard_error."""

    def inner(spec: MetaSpec) -> tuple[Method, Any]:
        return inner_settings(methods, spec.of, spec.settings)

    def needs(spec: MetaSpec) -> list[str]:
        method, settings = inner(spec)
        return [name for name in method.complete(settings) if name != SITE]

    return ScriptedMethod(
        name="meta",
        spec=MetaSpec,
        program=lambda spec, terms: _program(inner(spec), spec, terms),
        steps={**LEVELS_STEPS, **estimate_steps(methods)},
        reads=lambda spec: [use for use in inner(spec)[0].uses(inner(spec)[1]) if use.name != SITE],
        needs=needs,
        individual=lambda spec: ("per_site",) if spec.per_site else (),
    )


def _program(inner: tuple[Method, Any], spec: MetaSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Levels jointly, then three rounds: weights and estimates, distances from the fixed estimate, random weights.

    Facts: ``sites``, ``sites_estimable``. Tables: ``coefficients`` (of `model`), ``fixed``, ``random`` (term, coefficient,
    standard_error, z or t, p_value, ci_low, ci_high), ``heterogeneity`` (term, sites, q, df, p_value, i2, tau2) and with
    `per_site` ``sites`` (site, term, coefficient, standard_error, weight). A term that fewer than two sites could estimate
    has no pooled estimate: it would be that site's own.
    """
    method, settings = inner
    _refuse_local_bases(spec)
    names = read_by(use.name for use in method.uses(settings))
    agreed = yield from _agree(method.uses(settings), terms)
    facts = {"of": spec.of, "settings": dict(spec.settings), "terms": packed(agreed)}
    first = yield Question("meta", "estimates", facts, names)
    keyed = first.keyed
    found = [term for term, sites in keyed["sites"].items() if sites > 1]
    sites, estimable = (int(n) for n in first.sums["counted"])
    if not found:
        raise NotEstimable(
            f"{estimable} of {sites} sites could estimate {spec.of} by themselves, and no coefficient is common to two: "
            "expected at least two sites; choose a smaller model or the joint method"
        )
    k, weight, weighted, squared = (_column(keyed[name], found) for name in ("sites", "weight", "weighted", "weight_squared"))
    fixed = weighted / weight
    facts |= {"found": found, "fixed": fixed}
    away = (yield Question("meta", "distances", facts, names)).sums["distances"]
    q = away[1] - away[0] ** 2 / weight
    fixed = fixed + away[0] / weight
    tau2 = np.maximum(0.0, (q - (k - 1)) / (weight - squared / weight))
    facts |= {"fixed": fixed, "tau2": tau2}
    random = (yield Question("meta", "random", facts, names)).sums["random"]
    tables = _pooled(spec, found, k, fixed, weight, random)
    tables["coefficients"] = tables[spec.model]
    tables["heterogeneity"] = _heterogeneity(found, k, q, tau2)
    notes = [] if sites == estimable else [f"{sites - estimable} of {sites} sites could not estimate the model and do not count."]
    if len(found) < len(keyed["sites"]):
        notes.append("Coefficients that a single site could estimate are left out: they would be that site's own.")
    if spec.per_site:
        tables["sites"] = yield from _each_site(facts, names, found, weight)
        notes += _unable(tables["sites"])
    order = ("coefficients", "fixed", "random", "heterogeneity", "sites")
    shown = {name: tables[name] for name in order if name in tables}
    return Result("meta", first.rows, terms.roster, {"sites": sites, "sites_estimable": estimable}, shown, notes=tuple(notes))


def _agree(uses: tuple[Use, ...], terms: Terms) -> Generator[Question, Total, Terms]:
    """The terms with joint levels declared: otherwise each site would take its own first level as the reference."""
    names = [use.name for use in uses if use.name in terms.variables]
    categories = [name for name in names if terms.variables[name].kind == "category"]
    levels = yield from agree_levels("meta", categories, terms)
    return replace(
        terms,
        variables={
            name: replace(terms.variables[name], levels=tuple(levels.get(name, terms.variables[name].levels))) for name in names
        },
    )


def _pooled(spec: MetaSpec, found: list[str], k: Array, fixed: Array, weight: Array, random: Array) -> dict[str, Table]:
    total, once, twice = random  # sums of w*, w* (estimate - fixed), w* (estimate - fixed)^2
    shift = once / total
    pooled, error = fixed + shift, 1 / np.sqrt(total)
    tables = {"fixed": _table(spec, found, fixed, 1 / np.sqrt(weight), inf, "Fixed effect (inverse variance)")}
    if spec.limits == "hartung_knapp":
        error = np.sqrt((twice - total * shift**2) / ((k - 1) * total))
        return tables | {"random": _table(spec, found, pooled, error, k - 1, "Random effects (DerSimonian-Laird, Hartung-Knapp)")}
    return tables | {"random": _table(spec, found, pooled, error, inf, "Random effects (DerSimonian-Laird)")}


def _table(spec: MetaSpec, found: list[str], value: Array, error: Array, df: float | Array, caption: str) -> Table:
    ratio = _ratio(spec)
    table = coefficient_table(found, value, error, confidence=spec.confidence, df=df, ratio=(ratio, f"{ratio}_ci"))
    return replace(table, caption=caption)


def _ratio(spec: MetaSpec) -> str:
    """What exp(coefficient) is called, or ""."""
    if spec.of == "cox":
        return "hazard_ratio"
    usual = spec.settings.get("link", "") in ("", "logit", "log")
    return {"binomial": "odds_ratio", "poisson": "rate_ratio"}.get(str(spec.settings.get("family", "")), "") if usual else ""


def _heterogeneity(found: list[str], k: Array, q: Array, tau2: Array) -> Table:
    i2 = np.divide(np.maximum(q - (k - 1), 0), q, out=np.zeros_like(q), where=q > 0)
    columns = {"term": tuple(found), "sites": tuple(int(n) for n in k), "q": listed(q), "df": tuple(int(n) - 1 for n in k)}
    columns |= {"p_value": listed(chdtrc(k - 1, q)), "i2": listed(i2), "tau2": listed(tau2)}
    return Table(columns, "term", "Heterogeneity between sites (Cochran's Q, I squared, DerSimonian-Laird tau squared)")


def _each_site(
    facts: Mapping[str, Any], names: tuple[str, ...], found: list[str], weight: Array
) -> Generator[Question, Total, Table]:
    """Every site's own estimates, as individual releases; `weight` is its share of the fixed estimate."""
    sites = (yield from agree_levels("meta", [SITE], Terms()))[SITE]
    asked = Question("meta", "per_site", {**facts, "sites": list(sites)}, names)
    released = sum((yield asked).individual["per_site"].values(), np.zeros((len(sites), len(found), 3)))
    rows = [(s, t) for s in range(len(sites)) for t in range(len(found))]
    value, error, known = (np.array([released[s, t, i] for s, t in rows]) for i in range(3))
    share = np.divide(1, error**2 * np.array([weight[t] for _, t in rows]), out=np.full(len(rows), np.nan), where=known > 0)
    columns = {"site": tuple(sites[s] for s, _ in rows), "term": tuple(found[t] for _, t in rows)}
    columns |= {
        "coefficient": listed(np.where(known > 0, value, np.nan)),
        "standard_error": listed(np.where(known > 0, error, np.nan)),
    }
    return Table(columns | {"weight": listed(share)}, "site", "Each site's own estimates")


def _unable(table: Table) -> list[str]:
    able = {site for site, value in zip(table.columns["site"], table.columns["coefficient"]) if value is not None}
    unable = [site for site in dict.fromkeys(table.columns["site"]) if site not in able]
    return [f"Not estimable by themselves: {', '.join(unable)}."] if unable else []


def _column(keyed: Mapping[str, float], found: list[str]) -> Array:
    return np.array([keyed[term] for term in found], float)


def _refuse_local_bases(spec: MetaSpec) -> None:
    """Splines, centring and scaling would mean something else at every site: their coefficients cannot be put together."""
    formula = str(spec.settings.get("formula", "")).replace(" ", "")
    found = [call for call in ("bs(", "ns(", "center(", "scale(") if call in formula]
    if found:
        raise NotEstimable(
            f"the formula uses {', '.join(f'{call})' for call in found)}, which each site would fit to its own rows, so that "
            "coefficients of different meaning would be averaged; use transformations with fixed constants, or the joint method"
        )


META = meta({"compare": COMPARE, "cox": COX, "glm": GLM})
