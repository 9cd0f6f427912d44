"""A realistic report's content: four analyses over several hospitals, with failures, withheld numbers and refusals."""

from datetime import UTC, datetime

import numpy as np
import pytest

from huizhen.privacy.result import CellTable, Result, Table, Withheld
from huizhen.report.content import Analysis, LedgerHead, Left, LeftOut, Refusal, ReportContent

ROWS = {
    "inst-1": 36,
    "inst-3": 19,
    "inst-5": 11,
    "inst-6": 14,
    "inst-11": 18,
    "inst-12": 23,
    "inst-13": 20,
    "inst-16": 16,
    "inst-22": 17,
}
TERMS = ("age", "sex[2]", "ph.ecog")
SITES = tuple(ROWS)


def coefficients(values, errors):
    values, errors = np.asarray(values), np.asarray(errors)
    low, high = values - 1.959963984540054 * errors, values + 1.959963984540054 * errors
    columns = {
        "term": TERMS,
        "coefficient": values,
        "standard_error": errors,
        "z": values / errors,
        "p_value": np.array([0.2323, 0.000986, 4.45e-05])[: len(values)],
        "ci_low": low,
        "ci_high": high,
        "hazard_ratio": np.exp(values),
        "hr_low": np.exp(low),
        "hr_high": np.exp(high),
    }
    return Table({name: tuple(v.tolist() if isinstance(v, np.ndarray) else v) for name, v in columns.items()}, "term")


def cox_result(shift=0.0, rows=227, roster=SITES):
    facts = {
        "loglik": -729.230130 + shift,
        "loglik_null": -744.480451,
        "lr_chi2": 30.500643,
        "lr_df": 3,
        "lr_p": 1.083e-06,
        "aic": 1464.46026,
        "concordance": 0.637,
        "events": 164,
        "iterations": 4,
        "converged": True,
        "ties": "efron",
        "design": {"kept": "for prediction"},
    }
    values = [0.011067 + shift, -0.552612, 0.463728]
    return Result(
        "cox",
        rows,
        roster,
        facts,
        {"coefficients": coefficients(values, [0.009267, 0.167739, 0.113577])},
        notes=("Baseline hazards stay at the hospitals: the model is stratified by site.",),
    )


def cox(with_pooled=True):
    rng = np.random.default_rng(7)
    alone = {}
    for site, rows in ROWS.items():
        if rows < 12:
            alone[site] = Result("cox", rows, (site,), failure="Fewer events than the model needs: 4 events for 3 coefficients.")
        else:
            found = np.array([0.011, -0.55, 0.46]) + rng.normal(0, 1, 3) * np.array([0.03, 0.6, 0.4])
            table = coefficients(found, np.array([0.03, 0.6, 0.4]) * 6 / np.sqrt(rows))
            alone[site] = Result("cox", rows, (site,), {"loglik": -40.0}, {"coefficients": table})
    pooled = cox_result(1e-14) if with_pooled else None
    return Analysis(
        "cox: survival by performance status",
        cox_result(),
        alone,
        pooled,
        cox_result(3e-11),
        "lifelines 0.30.3",
        1.2e-12,
        4.1e-10,
        6,
    )


def survival_table(hazard):
    time = np.arange(30.0, 1001.0, 30.0)
    survival = np.exp(-((time * hazard) ** 1.15))
    error = np.sqrt(survival * (1 - survival) / 120)
    alive = np.round(120 * np.concatenate([[1.0], survival])).astype(int)
    at_risk, events = alive[:-1], alive[:-1] - alive[1:]
    columns = {
        "time": time,
        "at_risk": at_risk,
        "events": events,
        "censored": np.zeros(len(time), dtype=int),
        "survival": survival,
        "std_error": error,
        "ci_low": np.clip(survival - 1.96 * error, 0, 1),
        "ci_high": np.clip(survival + 1.96 * error, 0, 1),
    }
    return {name: tuple(v.tolist()) for name, v in columns.items()}


def kaplan_meier():
    men, women = survival_table(1 / 320), survival_table(1 / 520)
    tables = {
        "log_rank": Table(
            {"group": ("1", "2"), "n": (138, 90), "observed": (112, 53), "expected": (91.5817, 73.4183)}, "group", counts=("n",)
        ),
        "survival sex=1": Table(men, "time", "Survival where sex is 1", ("at_risk", "events", "censored"), "at_risk"),
        "survival sex=2": Table(women, "time", "Survival where sex is 2", ("at_risk", "events", "censored"), "at_risk"),
        "medians": Table(
            {"group": ("1", "2"), "n": (138, 90), "median": (270.0, 426.0), "ci_low": (212.0, 348.0), "ci_high": (310.0, None)},
            "group",
            "Median survival time with 95% limits",
            ("n",),
            "n",
        ),
    }
    facts = {"chi2": 10.326742, "df": 1, "p_value": 0.001311165, "confidence": 0.95, "intervals": 33, "time_unit": "d"}
    result = Result(
        "kaplan_meier", 228, SITES, facts, tables, notes=("Equality with the pooled rows holds on the joint grid of 33 intervals.",)
    )
    return Analysis(
        "survival by sex",
        result,
        {s: Result("kaplan_meier", n, (s,), facts, tables) for s, n in ROWS.items()},
        result,
        None,
        "",
        0.0,
        None,
        4,
    )


def summary():
    columns = {
        "variable": ("age", "meal.cal", "wt.loss", "bilirubin"),
        "n": (228, 181, 214, None),
        "missing": (0, 47, 14, None),
        "mean": (62.447368421, 928.779005525, 9.831775701, None),
        "sd": (9.073457043, 402.174706, 13.139902, None),
    }
    table = Table(columns, "variable", counts=("n", "missing"), support="n")
    correlation = np.array([[1, -0.24, 0.04], [-0.24, 1, -0.11], [0.04, -0.11, 1.0]])
    frame = Table(
        {
            "variable": ("age", "meal.cal", "wt.loss"),
            **{n: tuple(correlation[i].tolist()) for i, n in enumerate(("age", "meal.cal", "wt.loss"))},
        },
        "variable",
        "Correlation on complete rows",
    )
    result = Result(
        "summary",
        228,
        SITES,
        {"complete_rows": 167},
        {"numbers": table, "correlation": frame},
        withheld=(Withheld("rows of numbers", "They rest on fewer than 5 patients."),),
    )
    return Analysis("description", result, {}, result, None, "", 0.0, None, 2)


def tabulate():
    counts = np.array([[40, 26], [65, 48], [33, -1], [-1, -1]])
    table = CellTable("ph.ecog", "sex", ("0", "1", "2", "3"), ("1", "2"), counts, ("chi2",))
    result = Result(
        "tabulate",
        227,
        SITES,
        {"missing": 0},
        {},
        {"counts": table},
        withheld=(Withheld("chi2", "it would give away a withheld cell"),),
    )
    whole = Result(
        "tabulate",
        227,
        ("pooled",),
        {"missing": 0, "chi2": 0.7712345},
        {},
        {"counts": CellTable("ph.ecog", "sex", table.rows, table.columns, np.array([[40, 26], [65, 48], [33, 7913], [1, 3]]))},
    )
    return Analysis("tabulate: performance status", result, {}, whole, None, "", 0.0, None, 2)


def table_one():
    groups = {"variable": ("age", "age"), "group": ("1", "2")}
    numbers = Table(
        groups | {"n": (138, 90), "missing": (0, 0), "mean": (63.34057971, 61.07777778), "sd": (9.140463, 8.834217)},
        "variable",
        "Numeric variables",
        ("n", "missing"),
        "n",
    )
    quantiles = Table(
        {
            "variable": ("age",) * 6,
            "group": ("1",) * 3 + ("2",) * 3,
            "probability": (0.25, 0.5, 0.75) * 2,
            "value": (57.0, 64.0, 70.0, 55.0, 61.0, None),
            "low": (57.0, 64.0, 70.0, 55.0, 61.0, 67.0),
            "high": (57.0, 64.0, 70.0, 55.0, 61.0, 69.0),
            "support": (8, 9, 7, 6, 7, 5),
        },
        "variable",
        "Quantiles (type 7)",
        ("support",),
        "support",
    )
    tests = Table(
        {"variable": ("age",), "test": ("welch",), "p_value": (0.0636,), "smd": (0.2517,), "smallest_group": (90,)}, "variable"
    )
    counts = CellTable(
        "ph.ecog",
        "sex",
        ("0", "1", "2"),
        ("1", "2"),
        np.array([[36, 27], [71, 42], [30, -1]]),
        caption="Patients by ph.ecog and sex",
    )
    tables = {"numbers": numbers, "quantiles": quantiles, "tests": tests}
    result = Result("table_one", 228, SITES, tables=tables, cells={"ph.ecog": counts})
    return Analysis("table 1 by sex", result, {}, None, None, "", None, None, 11)


def failed():
    result = Result(
        "glm", 227, SITES, failure="The outcome is completely separated by biomarker: its coefficient runs to infinity."
    )
    return Analysis("glm: response", result, {})


@pytest.fixture(scope="session")
def content():
    left = []
    for site, rows in ROWS.items():
        left += [
            Left(site, "cox: survival by performance status", "cox/newton/hessian", "addend", 6, 432 + rows, 54),
            Left(site, "cox: survival by performance status", "cox/newton/events", "counts", 6, 96, 12),
            Left(site, "survival by sex", "kaplan_meier/histogram/events", "counts", 2, 1056, 132),
            Left(site, "description", "summary/moments/second", "addend", 1, 288, 36),
        ]
    policy = {"min_cell_count": "5", "min_rows": "10", "allow_individual": "no", "methods": "any installed"}
    return ReportContent(
        title="Does performance status predict survival after lung cancer?",
        question="Does performance status predict survival after age and sex, in patients of nine institutions?",
        study_digest="9f2c" * 16,
        run="run-2025-03-14-0001",
        started=datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC),
        seconds=11.62,
        engine="in process",
        lane="embedded",
        version="0.1.0",
        cohort=("age >= 18", "diagnosis in ICD10:C34"),
        participants=ROWS,
        left_out=(
            LeftOut("inst-2", "", "5 rows, the policy's minimum is 10"),
            LeftOut("inst-7", "", "8 rows, the policy's minimum is 10"),
            LeftOut("inst-5", "cox: survival by performance status", "did not answer within 60 s"),
        ),
        analyses=(table_one(), summary(), tabulate(), kaplan_meier(), cox(), failed()),
        left=tuple(left),
        refusals=(
            Refusal(
                "inst-22", "meta: by hospital", "meta/estimates", "individual releases are not allowed (allow_individual = no)"
            ),
            Refusal(
                "", "tabulate: performance status", "counts", "2 cells below 5 patients and 1 more to protect them are withheld"
            ),
        ),
        policies={site: policy | ({"min_cell_count": "10"} if site == "inst-1" else {}) for site in SITES},
        ledgers=tuple(LedgerHead(site, 21 + i, f"{i:x}e1f" * 16, "ab12" * 16) for i, site in enumerate(SITES)),
        notes=("The pooled column uses the rows of the nine hospitals that took part.",),
    )
