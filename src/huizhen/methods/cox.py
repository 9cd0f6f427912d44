"""Cox regression over all sites, equal to that on the pooled rows.

Stratified by site, sites send sums over their own risk sets, on their patients' own times: exactly the pooled answer of
``strata(site)``. Otherwise risk sets span sites and stand on a joint grid of times (see `timegrid`): exactly the pooled answer on
the times of that grid.

Facts of the result: ``rows``, ``events``, ``parameters``, ``loglik``, ``loglik_null``, ``aic``, ``bic`` (log of the number of
events, as R), ``lr_chi2``, ``wald_chi2``, ``score_chi2`` with ``_p``, ``df``, ``iterations``, ``converged``, ``concordance`` with
``concordance_se`` and ``concordance_error_bound``; ``ties``, ``strata`` and ``design`` (for prediction). Tables:
``coefficients``; ``tests``; ``proportional_hazards`` and ``proportional_hazards_correlation``; ``baseline``. Arrays:
``covariance``.

Sources: see `hazard`, `concordance`, `proportional_hazards`; robust standard errors: D. Y. Lin and L. J. Wei, JASA 84 (1989) 1074.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from huizhen.errors import NotEstimable
from huizhen.methods.design.agreement import DESIGN_STEPS, Design, agree
from huizhen.methods.hazards.concordance import CONCORDANCE_STEPS, Concordance, bins_for, from_bins, from_pairs
from huizhen.methods.hazards.effects import likelihood_facts, maximum, term_tests
from huizhen.methods.hazards.likelihood import GridSurface, SiteSurface
from huizhen.methods.hazards.newton import Maximum
from huizhen.methods.hazards.proportional_hazards import test_tables
from huizhen.methods.hazards.riskset import Floats
from huizhen.methods.hazards.setting import Setting, agree_setting
from huizhen.methods.hazards.site import COX_STEPS
from huizhen.methods.hazards.spec import CoxSpec, reads
from huizhen.methods.hazards.tables import baseline_table, hazard_ratios
from huizhen.methods.hazards.transform import JOINT, TransformName, of_grid
from huizhen.methods.method import ScriptedMethod, without_noise
from huizhen.methods.survival.groups import Groups
from huizhen.methods.survival.timegrid import GRID_STEPS, agree_exits
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result, Table

__all__ = ["COX", "CoxSpec"]

NAME = "cox"
BY_SITE = (
    "Standard errors are robust over sites. They need many sites, say 30, to be trusted, and more sites than coefficients for a "
    "joint Wald test."
)


def estimate(spec: CoxSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Agree on columns and cells, climb to the maximum, then ask what the spec wants to know there."""
    uses = tuple(dict.fromkeys(use.name for use in reads(spec)))
    design = yield from agree(NAME, spec.parsed, terms, intercept=False, uses=uses, center=True)
    setting = yield from agree_setting(spec, design, terms)
    surface, rows, events = setting.surface, setting.rows, setting.events
    best = yield from maximum(spec, surface, design)
    covariance = yield from _covariance(spec, setting, design, best)
    tables = {"coefficients": hazard_ratios(design, best, covariance, spec.confidence, spec.standard_errors)}
    facts = {"rows": rows, "events": events, **likelihood_facts(best, covariance, events)}
    facts |= {"ties": spec.ties, "strata": list(spec.strata)}
    notes = list(setting.notes)
    if spec.ridge:
        notes.append("With a ridge penalty the p-values are those of an unpenalised model and only indicative.")
    if spec.standard_errors == "robust by site":
        notes.append(BY_SITE)
    if spec.tests:
        tables["tests"] = yield from term_tests(spec, setting, design, best, covariance)
    if spec.concordance:
        found = yield from _concordance(spec, setting, design, best, terms)
        facts |= {"concordance": found.value, "concordance_se": found.standard_error, "concordance_error_bound": found.error_bound}
    if spec.proportional_hazards:
        try:
            tables |= yield from _proportional_hazards(spec, setting, design, best, terms, notes)
        except NotEstimable as reason:  # the model stands all the same
            notes.append(f"Proportional hazards were not tested: {reason}")
    if spec.baseline and isinstance(surface, GridSurface) and best.there.hazard is not None:
        tables["baseline"] = baseline_table(setting.strata, surface.cells, best.there.hazard, design, best.coefficients)
    facts["design"] = design.facts()
    arrays = {"covariance": design.unscale(best.coefficients, covariance)[1]}
    return Result(NAME, rows, terms.roster, facts, tables, arrays=arrays, notes=tuple(notes))


STEPS = {**DESIGN_STEPS, **GRID_STEPS, **COX_STEPS, **CONCORDANCE_STEPS}
COX = ScriptedMethod(
    NAME, CoxSpec, estimate, STEPS, reads, noised=without_noise("Use averaging with a network, or leave [protection.noise] out")
)


def _covariance(spec: CoxSpec, setting: Setting, design: Design, best: Maximum) -> Generator[Question, Total, Floats]:
    """Of the standardised coefficients: from the information, or the sandwich around it."""
    bread = best.covariance
    if spec.standard_errors == "model":
        return bread
    cluster = spec.standard_errors == "robust by site"
    meat = yield from setting.surface.residual_products(design, best.coefficients, cluster=cluster)
    sandwich: Floats = bread @ meat @ bread
    return sandwich


def _concordance(
    spec: CoxSpec, setting: Setting, design: Design, best: Maximum, terms: Terms
) -> Generator[Question, Total, Concordance]:
    surface = setting.surface
    facts = {"model": surface.model, "design": design.facts(), "coefficients": best.coefficients}
    if isinstance(surface, SiteSurface):
        cluster = spec.standard_errors == "robust by site"
        total = yield Question(NAME, "pairs", {**facts, "cluster": cluster}, surface.variables)
        return from_pairs(total.sums["pairs"], total.sums["influence"])
    total = yield Question(NAME, "spread", facts, surface.variables)
    spread = float(np.sqrt(total.sums["squares"][0] / setting.rows)) or 1.0
    binned = {**facts, "spread": spread, "bins": bins_for(surface.cells.count, setting.rows, terms.min_cell_count)}
    total = yield Question(NAME, "bins", binned, surface.variables)
    return from_bins(surface.cells, total.sums["bin_events"], total.sums["bin_others"])


def _proportional_hazards(
    spec: CoxSpec, setting: Setting, design: Design, best: Maximum, terms: Terms, notes: list[str]
) -> Generator[Question, Total, dict[str, Table]]:
    transforms: list[dict[str, Any]] = [{"name": name} for name in spec.proportional_hazards if name not in JOINT]
    joint: list[TransformName] = [name for name in spec.proportional_hazards if name in JOINT]
    if joint:
        exits = yield from agree_exits(NAME, spec, Groups())
        grid = exits.grid(terms.min_cell_count)
        transforms += [of_grid(name, grid) for name in joint]
        if spec.by_site:
            notes.append(exits.note(grid, f" of the transform{'s' if len(joint) > 1 else ''} {' and '.join(joint)}"))
    weighted = yield from setting.surface.weighted(design, best.coefficients, transforms)
    if weighted.undefined:
        raise NotEstimable(
            "the log of time is not defined for an event at time 0: expected times above 0. "
            "Choose another transform, or correct the times"
        )
    names = [transform["name"] for transform in transforms]
    return test_tables(design, weighted, names, best.covariance, setting.events)
