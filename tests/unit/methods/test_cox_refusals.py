"""What Cox regression cannot answer, and how it says so: in plain words, and without a patient's value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from huizhen import canonical
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.errors import NotEstimable
from huizhen.methods.cox import COX
from huizhen.methods.hazards.prediction import linear_predictor, survival
from huizhen.privacy.release import Terms

TERMS = Terms(min_cell_count=1)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    rows = 60
    return pd.DataFrame(
        {
            "time": rng.integers(1, 40, rows).astype(float),
            "event": rng.integers(0, 2, rows).astype(float),
            "age": rng.normal(60, 9, rows),
            "sex": rng.integers(0, 2, rows).astype(float),
            "site": np.array(["a", "b", "c"])[rng.integers(0, 3, rows)],
        }
    )


def by_site(frame):
    sites = {}
    for site, rows in frame.groupby("site", sort=True):
        columns = {name: Numbers(rows[name].to_numpy(np.float64)) for name in rows if name != "site"}
        sites[site] = Examples({**columns, "site": Categories(np.zeros(len(rows), np.int32), (site,))}, len(rows))
    return sites


@pytest.fixture
def fit(federate):
    def run(frame, terms=TERMS, **settings):
        said = {"time": "time", "event": "event", "covariates": ["age", "sex"], **settings}
        return federate(COX, COX.spec(**said), terms, by_site(frame) if isinstance(frame, pd.DataFrame) else frame)

    return run


@pytest.mark.parametrize("strata", ["", "site"])
def test_no_event_is_said(frame, fit, strata):
    result = fit(frame.assign(event=0.0), strata=strata)
    assert "no patient had the event" in result.failure
    assert not result.tables


@pytest.mark.parametrize("strata", ["", "site"])
def test_a_coefficient_that_runs_to_infinity_is_named(frame, fit, strata):
    early = frame.assign(event=np.where(frame["sex"] == 1, frame["event"], 0.0))  # only one sex has events
    result = fit(early, strata=strata)
    assert "the coefficient of sex runs to infinity" in result.failure
    assert "age" not in result.failure
    assert not fit(early, strata=strata, ridge=1.0).failure


def test_a_column_that_does_not_vary_within_strata_is_named(frame, fit):
    size = frame["site"].map({"a": 1.0, "b": 2.0, "c": 4.0})
    result = fit(frame.assign(beds=size), covariates=["age", "beds"], strata="site")
    assert "beds: no variation within any risk set" in result.failure


def test_columns_that_say_the_same_within_strata_are_named(frame, fit):
    shifted = frame["age"] + frame["site"].map({"a": 1.0, "b": 2.0, "c": 4.0})
    result = fit(frame.assign(older=shifted), covariates=["age", "sex", "older"], strata="site")
    assert "age and older: within the risk sets one is a linear combination" in result.failure


def test_fewer_events_than_coefficients_are_said(frame, fit):
    few = frame.assign(event=(np.arange(len(frame)) < 1).astype(float))
    assert "there are fewer events" in fit(few).failure


@pytest.mark.parametrize("strata", ["", "site"])
def test_times_below_zero_are_said_without_their_value(frame, fit, strata):
    frame.loc[3, "time"] = -4321.5
    result = fit(frame, strata=strata)
    assert "below zero" in result.failure
    assert "4321" not in result.failure


@pytest.mark.parametrize("strata", ["", "site"])
def test_weights_that_are_not_above_zero_are_said_without_their_value(frame, fit, strata):
    weighted = frame.assign(w=np.where(np.arange(len(frame)) == 5, -77.25, 1.0))
    result = fit(weighted, weights="w", strata=strata)
    assert "expected weights above 0" in result.failure
    assert "77" not in result.failure


@pytest.mark.parametrize("strata", ["", "site"])
def test_the_log_of_time_zero_is_not_tested_and_the_model_stands(frame, fit, strata):
    frame.loc[0, ["time", "event"]] = 0.0, 1.0  # time 0 itself is a time, as in R
    result = fit(frame, strata=strata, proportional_hazards="log")
    assert not result.failure
    assert "proportional_hazards" not in result.tables
    assert "not defined for an event at time 0" in " ".join(result.notes)


def test_too_few_steps_are_no_convergence(frame, fit):
    assert "found no maximum within 1 steps" in fit(frame, max_iterations=1).failure


@pytest.mark.parametrize("strata", ["", "site"])
def test_a_site_without_rows_or_without_events_changes_nothing(frame, fit, strata):
    sites = by_site(frame)
    nobody = np.zeros(sites["a"].rows, bool)
    settings = {"strata": strata, "standard_errors": "robust by site", "proportional_hazards": "km"}
    before, after = fit(sites, **settings), fit({**sites, "empty": sites["a"].where(nobody)}, **settings)
    assert after.tables["coefficients"].columns["z"] == pytest.approx(before.tables["coefficients"].columns["z"], rel=1e-12)
    if strata:
        quiet = frame.assign(site="quiet", event=0.0)
        joined = fit(pd.concat([frame, quiet]), strata=strata)
        assert joined.facts["loglik"] == pytest.approx(fit(frame, strata=strata).facts["loglik"], rel=1e-8)


def test_a_stratum_without_events_has_no_baseline_and_no_prediction(frame, fit):
    lonely = frame.assign(ward=np.where(frame["site"] == "a", 1.0, 2.0))
    lonely["event"] = np.where(lonely["ward"] == 1, 0.0, lonely["event"])
    result = fit(lonely, strata=["ward"])
    assert set(result.tables["baseline"].columns["stratum"]) == {"ward=2"}
    predicted = survival(result, by_site(lonely)["a"], [5.0])
    assert np.isnan(predicted).all()
    assert not np.isnan(survival(result, by_site(lonely)["b"], [5.0])).any()


def test_a_model_stratified_by_site_predicts_no_survival(frame, fit):
    result = fit(frame, strata="site")
    with pytest.raises(NotEstimable, match="stays at its site"):
        survival(result, by_site(frame)["a"], [5.0])


def test_a_model_that_was_not_fitted_predicts_nothing(frame, fit):
    with pytest.raises(NotEstimable, match="no model to predict with"):
        linear_predictor(fit(frame.assign(event=0.0)), by_site(frame)["a"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"formula": "~ age"},
        {"covariates": []},
        {"covariates": [], "formula": "time ~ age"},
        {"covariates": [], "formula": "~ age +"},
        {"ridge": -1.0},
        {"ties": "exact"},
        {"proportional_hazards": ["quadratic"]},
        {"resolution": 0.0},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError):
        COX.spec(**{"time": "time", "event": "event", "covariates": ["age"], **wrong})


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_questions_are_canonical_and_answers_finite(frame, strata):
    spec = COX.spec(time="time", event="event", covariates=["age", "sex"], strata=strata, standard_errors="robust", baseline=True)
    asked = []
    federated = COX.begin(spec, TERMS)
    from huizhen.methods.method import Finished, Local
    from huizhen.privacy.release import Total

    local, rows = Local(), by_site(frame.assign(site="a"))["a"]
    while not isinstance(question := COX.ask(federated), Finished):
        facts = canonical.decode(canonical.encode(dict(question.facts)))
        sent = type(question)(question.method, question.step, facts, question.variables, question.degrees)
        answer, local = COX.answer(sent, rows, local, rng=np.random.default_rng(0))
        assert all(np.isfinite(part.values).all() for part in answer.parts.values())
        asked.append(question)
        sums = {name: part.values for name, part in answer.parts.items() if part.keys is None}
        federated = COX.fold(federated, Total(sums, {}, {}, answer.rows, ("a",)))
    assert not question.result.failure
    assert {q.step for q in asked if q.degrees == 2} >= {"residuals"}
    assert all("site" not in q.variables for q in asked)


@pytest.mark.parametrize("strata", ["", "site"])
def test_a_covariate_that_orders_all_events_has_no_finite_coefficient(fit, strata):
    ordered = np.arange(1.0, 41.0)
    frame = pd.DataFrame({"time": ordered, "event": 1.0, "score": -np.sqrt(ordered), "site": "a"})
    assert "the coefficient of score runs to infinity" in fit(frame, covariates=["score"], strata=strata).failure


def test_an_effect_that_is_strong_but_finite_is_estimated(fit):
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    time = np.ceil(rng.exponential(1e4, 300) * np.exp(-4 * x))
    frame = pd.DataFrame({"time": np.minimum(time, 1e5), "event": (time < 1e5).astype(float), "x": x, "site": "a"})
    assert not fit(frame, covariates=["x"]).failure


def test_fewer_sites_than_coefficients_give_no_joint_test(frame, fit):
    result = fit(
        frame.assign(x=frame["age"] % 1, y=frame["age"] % 2), covariates=["age", "sex", "x", "y"], standard_errors="robust by site"
    )
    assert result.facts["wald_chi2"] is None
    assert result.facts["wald_p"] is None
    assert "more sites than coefficients" in " ".join(result.notes)
