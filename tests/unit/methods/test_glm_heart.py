"""Four hospitals' heart patients (UCI), against values computed on the pooled rows by others."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from huizhen.methods.glm import GLM, GlmSpec, predict

FOLDER = Path(__file__).parents[3] / "../shared/data/heart_disease"
FEATURES = [
    "age",
    "sex",
    "trestbps",
    "chol",
    "fbs",
    "thalach",
    "exang",
    "oldpeak",
    "cp_2",
    "cp_3",
    "cp_4",
    "restecg_1",
    "restecg_2",
]
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not FOLDER.exists(), reason="../shared/data/heart_disease is not here"),
]


@pytest.fixture(scope="module")
def heart():
    frame = pd.read_csv(FOLDER / "flamby_prepared.csv")
    frame["site"] = frame.centre.map(dict(enumerate(["cleveland", "hungarian", "switzerland", "va"])))
    return frame.astype({"y": float})


@pytest.fixture(scope="module")
def values():
    return json.loads((FOLDER / "reference_values.json").read_text())


@pytest.fixture
def fit(federate, sites_of, terms_of):
    def run(frame, features=FEATURES, response="y", **spec):
        formula = f"{response} ~ {' + '.join(features)}"
        result = federate(GLM, GlmSpec(formula=formula, **{"family": "binomial", **spec}), terms_of(frame), sites_of(frame))
        assert not result.failure
        return result

    return run


def column(result, name):
    return np.array(result.tables["coefficients"].columns[name])


def agrees(result, expected):
    assert np.allclose(column(result, "coefficient"), expected["coef"], rtol=1e-8, atol=0)
    assert np.allclose(column(result, "standard_error"), expected["se"], rtol=1e-8, atol=0)
    assert np.allclose(result.arrays["covariance"], expected["cov"], rtol=1e-7, atol=1e-12)
    assert result.facts["loglik"] == pytest.approx(expected["loglik"], rel=1e-11)
    assert result.facts["deviance"] == pytest.approx(expected["deviance"], rel=1e-11)
    assert result.rows == expected["n"]


def test_all_patients(heart, values, fit):
    agrees(fit(heart), values["logit_mle_all740"])


def test_hospital_effects(heart, values, fit):
    agrees(fit(heart, site_effects=True), values["logit_mle_all740_centre_fixed_effects"])


def test_the_training_patients_and_predictions_for_the_others(heart, values, fit, rows_of):
    expected, others = values["logit_mle_train486"], heart[heart.split == "test"]
    result = fit(heart[heart.split == "train"])
    agrees(result, expected)
    chance, died = predict(result, rows_of(others)), others.y.to_numpy()
    assert np.mean((chance - died) ** 2) == pytest.approx(expected["test_pooled"]["brier"], rel=1e-10)
    loss = -np.mean(died * np.log(chance) + (1 - died) * np.log(1 - chance))
    assert loss == pytest.approx(expected["test_pooled"]["log_loss"], rel=1e-10)


def test_each_hospital_alone(heart, values, fit):
    agrees(fit(heart, FEATURES[:2] + FEATURES[5:8]), values["logit_mle_reduced_all740"])
    for site, expected in values["logit_mle_reduced_per_centre"].items():
        if isinstance(expected, dict) and "coef" in expected:
            agrees(fit(heart[heart.site == site], FEATURES[:2] + FEATURES[5:8]), expected)


def test_ridge_on_standardised_training_patients(heart, values, fit):
    expected = values["logit_ridge_C1_train_standardised"]
    result = fit(heart[heart.split == "train"], [f"scale({name})" for name in FEATURES], ridge=1.0)
    assert np.allclose(column(result, "coefficient"), expected["coef"], rtol=1e-8, atol=1e-10)


def test_blood_pressure_by_age_and_sex(heart, values, fit):
    expected = values["ols_trestbps"]
    result = fit(heart, ["age", "sex", *expected["names"][3:]], "trestbps", family="gaussian")
    assert np.allclose(column(result, "coefficient"), expected["coef"], rtol=1e-9, atol=0)
    assert np.allclose(column(result, "standard_error"), expected["se"], rtol=1e-9, atol=0)
    assert result.facts["r2"] == pytest.approx(expected["r2"], rel=1e-10)
    assert result.facts["dispersion"] == pytest.approx(expected["sigma2"], rel=1e-11)
