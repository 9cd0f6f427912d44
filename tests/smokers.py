"""Made-up patients of four hospitals, a study of them that takes many rounds, and what their pooled rows say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

FORMULAS = {"m0": "smoker ~ age", "m1": "smoker ~ age + lab", "m2": "smoker ~ lab + sex", "m3": "smoker ~ age + lab + sex"}
COLUMNS = ("age", "lab", "sex", "smoker")
STEPS = 50  # of the pooled fit, which settles after about six


def patients(seed: int, rows: int) -> dict[str, list]:
    """One hospital's columns."""
    draws = np.random.default_rng(seed)
    age, lab = np.round(draws.normal(60, 10, rows), 1), np.round(draws.normal(5, 1, rows), 2)
    sex = draws.choice(["F", "M"], rows)
    risk = 0.05 * (age - 60) + 0.4 * (lab - 5) + 0.5 * (sex == "M")
    smoker = (draws.random(rows) < 1 / (1 + np.exp(-risk))).astype(int)
    return {"age": age.tolist(), "lab": lab.tolist(), "sex": sex.tolist(), "smoker": smoker.tolist()}


def study(sites: Iterable[str], title: str = "Smoking", **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Four regressions, one after the other: about forty rounds."""
    participants = {"sites": list(sites), "round_deadline": "20 s", **sections.pop("participants", {})}
    analyses = [{"label": label, "formula": formula, "family": "binomial"} for label, formula in FORMULAS.items()]
    variables = {"sex": {"type": "category", "levels": ["F", "M"]}}
    return {
        "study": {"title": title},
        "participants": participants,
        "variables": variables,
        "method": {"glm": analyses},
        **sections,
    }


def off(outcomes: Sequence[Mapping[str, Any]], tables: Mapping[str, Mapping[str, list]]) -> float:
    """How far the joint results are from the pooled fit of the rosters that they report: the largest difference, relative to the
    largest number of its array."""
    worst = 0.0
    for outcome in outcomes:
        assert not outcome["result"]["failure"], outcome["result"]["failure"]
        pooled = {name: np.concatenate([tables[site][name] for site in outcome["roster"]]) for name in COLUMNS}
        for name, expected in fitted(pooled, FORMULAS[outcome["label"]]).items():
            found = np.asarray(outcome["result"]["arrays"][name]).reshape(expected.shape)
            worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst


def fitted(pooled: Mapping[str, np.ndarray], formula: str) -> dict[str, np.ndarray]:
    """A logistic regression by Fisher scoring on all rows: coefficients and their covariance."""
    terms = formula.split("~")[1].replace(" ", "").split("+")
    columns = [np.ones(len(pooled["smoker"])), *((pooled[t] == "M") if t == "sex" else pooled[t] for t in terms)]
    x, y = np.stack([np.asarray(column, float) for column in columns], axis=1), pooled["smoker"].astype(float)
    beta, covariance = np.zeros(x.shape[1]), np.eye(x.shape[1])
    for _ in range(STEPS):
        mean = 1 / (1 + np.exp(-x @ beta))
        covariance = np.linalg.inv((x.T * (mean * (1 - mean))) @ x)
        beta = beta + covariance @ (x.T @ (y - mean))
    return {"coefficients": beta, "covariance": covariance}
