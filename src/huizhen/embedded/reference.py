"""The demo's second opinion: what lifelines and scikit-learn find on the pooled rows of the sites that took part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from huizhen.data.examples import SITE
from huizhen.embedded.findings import Finding, Findings
from huizhen.privacy.result import Result, Table

__all__ = ["with_references"]


def with_references(findings: Findings, sites: Mapping[str, Any]) -> Findings:
    """The same findings, with an independent library's result beside each one that has any; `sites` are pandas DataFrames."""
    described = {}
    for analysis in findings.study.analyses:
        needs = [name for name in findings.study.needs(analysis) if name != SITE]
        described[analysis.label] = _second_opinion(findings[analysis.label], sites, needs)
    return replace(findings, findings=described)


def _second_opinion(finding: Finding, sites: Mapping[str, Any], needs: list[str]) -> Finding:
    ask = LIBRARIES.get(finding.result.method)
    if ask is None or finding.result.failure:
        return finding
    import pandas

    rows = [sites[site].assign(site=site).dropna(subset=needs) for site in finding.outcome.roster]
    result, name = ask(pandas.concat(rows, ignore_index=True), finding.result)
    return replace(finding, reference=result, reference_name=name)


def _lifelines_cox(rows: Any, mine: Result) -> tuple[Result, str]:
    """`CoxPHFitter` with strata of sites, Efron's ties, run until the step is negligible."""
    from lifelines import CoxPHFitter

    columns = ["time", "status", "age", "sex", "ph_ecog", "site"]
    complete = rows[columns].dropna().assign(sex=lambda frame: frame["sex"] - 1)
    fitter = CoxPHFitter()
    fitter.fit(complete, "time", "status", strata=["site"], fit_options={"precision": 1e-13, "max_steps": 100})
    z = fitter.params_ / fitter.standard_errors_
    table = {
        "term": mine.tables["coefficients"].columns["term"],
        "coefficient": tuple(fitter.params_),
        "standard_error": tuple(fitter.standard_errors_),
        "z": tuple(z),
        "hazard_ratio": tuple(np.exp(fitter.params_)),
    }
    facts = {"loglik": float(fitter.log_likelihood_), "events": int(complete["status"].sum())}
    return Result("cox", len(complete), facts=facts, tables={"coefficients": Table(table, "term")}), _named("lifelines")


def _lifelines_curves(rows: Any, mine: Result) -> tuple[Result, str]:
    """`KaplanMeierFitter` on the pooled rows, events and censorings moved to the joint grids of the result."""
    from lifelines import KaplanMeierFitter

    tables = {}
    for name, curve in mine.tables.items():
        if not name.startswith("survival"):
            continue
        sex = float(name.rpartition("=")[2])
        group = rows[rows["sex"] == sex]
        grid, time = np.array(curve.columns["time"], dtype=float), group["time"].to_numpy(float)
        events, censored = (grid[np.array(curve.columns[kind]) > 0] for kind in ("events", "censored"))
        moved = [ends[np.minimum(np.searchsorted(ends, time), len(ends) - 1)] for ends in (events, censored)]
        times = np.where(group["status"] == 1, *moved)
        fitter = KaplanMeierFitter().fit(times, group["status"])
        tables[name] = Table({"time": tuple(grid.tolist()), "survival": tuple(fitter.predict(grid))}, "time")
    return Result("kaplan_meier", len(rows), tables=tables), _named("lifelines")


def _sklearn_logistic(rows: Any, mine: Result) -> tuple[Result, str]:
    """`LogisticRegression` without a penalty, by Newton's method on standardised columns; coefficients per unit."""
    from sklearn.linear_model import LogisticRegression

    terms = mine.tables["coefficients"].columns["term"]
    columns = rows[[term for term in terms if term != "Intercept"]]
    mean, spread = columns.mean().to_numpy(), columns.std().to_numpy()
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=100)
    model.fit((columns.to_numpy() - mean) / spread, rows["malignant"])
    slopes = model.coef_[0] / spread
    values = (float(model.intercept_[0] - slopes @ mean), *slopes.tolist())
    return Result("glm", len(rows), tables={"coefficients": Table({"term": terms, "coefficient": values}, "term")}), _named(
        "scikit-learn"
    )


def _scipy_welch(rows: Any, _mine: Result) -> tuple[Result, str]:
    """`scipy.stats.ttest_ind` with unequal variances."""
    from scipy.stats import ttest_ind

    groups = [rows.loc[rows["malignant"] == value, "mean_texture"] for value in (0, 1)]
    test = ttest_ind(*groups, equal_var=False)
    facts = {"t": float(test.statistic), "df": float(test.df), "p_value": float(test.pvalue)}
    return Result("compare", len(rows), facts=facts), _named("scipy")


def _pandas_description(rows: Any, mine: Result) -> tuple[Result, str]:
    """`DataFrame.describe` and its relatives."""
    numbers = mine.tables["numbers"]
    names = numbers.columns["variable"]
    table = {
        "variable": names,
        "mean": tuple(float(rows[name].mean()) for name in names),
        "sd": tuple(float(rows[name].std()) for name in names),
        "variance": tuple(float(rows[name].var()) for name in names),
    }
    return Result("summary", len(rows), tables={"numbers": Table(table, "variable")}), _named("pandas")


def _named(package: str) -> str:
    return f"{package} {version(package)}"


LIBRARIES: Mapping[str, Callable[[Any, Result], tuple[Result, str]]] = {
    "compare": _scipy_welch,
    "cox": _lifelines_cox,
    "glm": _sklearn_logistic,
    "kaplan_meier": _lifelines_curves,
    "summary": _pandas_description,
}
