"""Every method sees features as if they were variables: equal to the same steps on pooled rows, and scored the same way later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from huizhen import DisclosurePolicy, Study, run
from huizhen.embedded.predicting import predict
from huizhen.errors import DataError, StudyError
from huizhen.federation.selection import muster_question, scope_of
from huizhen.methods.features.coding import harrell

RNG = np.random.default_rng(3)
COUNT = 500
POOLED = pd.DataFrame(
    {
        "age": RNG.normal(60, 9, COUNT).round(1),
        "weight": RNG.normal(75, 12, COUNT).round(1),
        "height": np.where(RNG.random(COUNT) < 0.04, 0.0, RNG.normal(1.7, 0.1, COUNT).round(2)),
        "crp": RNG.gamma(2, 10, COUNT).round(1),
        "ldl": np.where(RNG.random(COUNT) < 0.2, np.nan, RNG.gamma(4, 1, COUNT).round(2)),
        "stage": RNG.choice(["I", "II", "III"], COUNT, p=[0.5, 0.3, 0.2]),
        "time": RNG.exponential(300, COUNT).round() + 1,
        "dead": RNG.integers(0, 2, COUNT),
    }
)
POOLED["ill"] = (RNG.random(COUNT) < 1 / (1 + np.exp(-(POOLED.age - 60) / 9))).astype(int)
SITES = {"west": POOLED[:120], "east": POOLED[120:300], "south": POOLED[300:]}
OPEN = DisclosurePolicy(min_cell_count=1, min_rows=1, max_degrees=1.0)
FEATURES = {
    "age_z": "standardise(age)",
    "bmi": "weight / height^2",
    "crp_s": "spline(log(crp + 1), 4)",
    "ldl": "impute(ldl, median)",
    "ldl_missing": "missing(ldl)",
    "stage": "category(stage)",
    "decade": "cut(age, 50, 65)",
    "both": "age_z * ldl",
}


def pooled_columns():
    """The same features by pandas, on the rows that have a body mass index."""
    kept = POOLED[POOLED.height > 0].copy()
    log_crp = np.log(kept.crp + 1)
    splines = harrell(log_crp.to_numpy(), tuple(np.quantile(log_crp, [0.05, 0.35, 0.65, 0.95])))
    age_z, ldl = (kept.age - kept.age.mean()) / kept.age.std(), kept.ldl.fillna(kept.ldl.median())
    columns = {"age_z": age_z, "bmi": kept.weight / kept.height**2}
    columns |= {f"crp_s.{place}": pd.Series(values, kept.index) for place, values in enumerate(splines, 1)}
    columns |= {"ldl": ldl, "ldl_missing": kept.ldl.isna().astype(float)}
    columns |= {f"stage[{level}]": (kept.stage == level).astype(float) for level in ("II", "III")}
    columns |= {"decade[[50, 65)]": kept.age.between(50, 65, inclusive="left") * 1.0, "decade[>=65]": (kept.age >= 65) * 1.0}
    return kept, pd.DataFrame({**columns, "both": age_z * ldl})


def coefficients(result):
    table = result.tables["coefficients"].columns
    return dict(zip(table["term"], table["coefficient"])), dict(zip(table["term"], table["standard_error"]))


def test_a_regression_over_features_equals_the_one_on_pooled_columns():
    formula = "ill ~ age_z + bmi + crp_s + ldl + ldl_missing + stage + decade + both"
    study = Study.parse({"features": FEATURES, "method": {"glm": {"formula": formula, "family": "binomial"}}})
    result = run(study, SITES, policy=OPEN, compare=False)["glm"].result
    kept, columns = pooled_columns()
    fit = sm.GLM(kept.ill, sm.add_constant(columns), sm.families.Binomial()).fit(tol=1e-14)
    estimates, errors = coefficients(result)
    assert list(estimates)[1:] == list(columns)
    assert result.rows == len(kept) < COUNT  # rows that divide by zero miss their body mass index
    assert list(estimates.values()) == pytest.approx(list(fit.params), rel=1e-7, abs=1e-8)
    assert list(errors.values()) == pytest.approx(list(fit.bse), rel=1e-7)


def test_a_regression_over_features_equals_a_pipeline_of_scikit_learn():
    features = {"age": "standardise(age)", "ldl": "standardise(impute(ldl, mean))", "stage": "category(stage)"}
    method = {"formula": "ill ~ age + ldl + stage", "family": "binomial", "ridge": 0.5}
    result = run(Study.parse({"features": features, "method": {"glm": method}}), SITES, policy=OPEN, compare=False)["glm"].result
    numbers = make_pipeline(SimpleImputer(strategy="mean"), StandardScaler())
    columns = make_column_transformer((numbers, ["age", "ldl"]), (OneHotEncoder(drop="first"), ["stage"]))
    # Its deviations divide by n and ours by n - 1, so that its penalty falls on columns longer by that.
    shrunk = np.sqrt(COUNT / (COUNT - 1))
    scaled = columns.fit_transform(POOLED) / np.array([shrunk, shrunk, 1, 1])
    fitted = LogisticRegression(C=2.0, tol=1e-12, max_iter=10_000).fit(scaled, POOLED.ill)
    assert list(coefficients(result)[0].values())[1:] == pytest.approx(fitted.coef_[0], abs=1e-6)
    assert predict(result, POOLED) == pytest.approx(fitted.predict_proba(scaled)[:, 1], abs=1e-6)


def test_cox_over_features_equals_the_one_on_pooled_columns():
    cox = {"time": "time", "event": "dead == 1", "covariates": ["age_z", "bmi", "crp_s"], "strata": "site"}
    study = Study.parse({"features": {name: FEATURES[name] for name in ("age_z", "bmi", "crp_s")}, "method": {"cox": cox}})
    assert study.analyses[0].spec.covariates == ("age_z", "bmi", "crp_s.1", "crp_s.2", "crp_s.3")
    result = run(study, SITES, policy=OPEN, compare=False)["cox"].result
    kept, columns = pooled_columns()
    table = columns[["age_z", "bmi", "crp_s.1", "crp_s.2", "crp_s.3"]].assign(time=kept.time, dead=kept.dead)
    table["where"] = np.repeat([0, 1, 2], [120, 180, 200])[kept.index]
    fit = CoxPHFitter().fit(table, "time", "dead", strata="where", fit_options={"precision": 1e-12})
    assert list(coefficients(result)[0].values()) == pytest.approx(list(fit.params_), rel=1e-4, abs=1e-6)
    made = {site: table[table["where"] == place].drop(columns="where") for place, site in enumerate(SITES)}
    plain = Study.parse({"method": {"cox": {**cox, "covariates": list(columns.columns[:5])}}})
    same = run(plain, made, policy=OPEN, compare=False)["cox"].result
    assert list(coefficients(result)[0].values()) == pytest.approx(list(coefficients(same)[0].values()), rel=1e-6, abs=1e-8)


def test_a_description_of_features_is_that_of_their_columns():
    study = Study.parse({"features": FEATURES, "method": {"summary": {"variables": list(FEATURES)}}})
    result = run(study, SITES, policy=OPEN, compare=False)["summary"].result
    numbers = dict(zip(result.tables["numbers"].columns["variable"], result.tables["numbers"].columns["mean"]))
    missing = dict(zip(result.tables["numbers"].columns["variable"], result.tables["numbers"].columns["missing"]))
    assert numbers["bmi"] == pytest.approx((POOLED.weight / POOLED.height**2)[POOLED.height > 0].mean())
    assert missing["bmi"] == (POOLED.height == 0).sum() > 0
    assert (missing["ldl"], numbers["ldl_missing"]) == (0, pytest.approx(POOLED.ldl.isna().mean()))
    cells = result.cells["decade"]
    assert dict(zip(cells.rows, cells.counts[:, 0])) == {
        "<50": (POOLED.age < 50).sum(),
        "[50, 65)": POOLED.age.between(50, 65, inclusive="left").sum(),
        ">=65": (POOLED.age >= 65).sum(),
    }


BOOSTED = {
    "task": "classification",
    "outcome": "ill",
    "covariates": ["age_z", "stage", "crp_s"],
    "trees": 4,
    "depth": 2,
    "test": 0.3,
}


def boosted(**more):
    features = {name: FEATURES[name] for name in ("age_z", "stage", "crp_s")}
    return Study.parse({"features": features, "method": {"boosting": {**BOOSTED, **more}}})


def test_a_forest_over_features_holds_the_same_rows_aside_as_on_pooled_rows_and_fits_on_the_others():
    finding = run(boosted(), SITES)["boosting"]
    assert not finding.result.failure
    course, pooled = (next(iter(one.tables.values())).columns["training_loss"] for one in (finding.result, finding.pooled))
    assert course == pytest.approx(pooled, rel=1e-12)
    told = finding.judged.quality.columns
    joint = {key: place for place, key in enumerate(zip(told["model"], told["rows"]))}
    assert told["auc"][joint["federation", "all"]] == told["auc"][joint["pooled", "all"]]
    plain = run(Study.parse({"method": {"boosting": {**BOOSTED, "covariates": ["age", "stage", "crp"]}}}), SITES, compare=False)
    mean = finding.result.facts["features"]["fitted"]["age_z: standardise(age)"]["mean"]
    assert mean != pytest.approx(POOLED.age.mean(), abs=1e-9)  # the rows that are held aside are no part of it
    assert mean == pytest.approx(POOLED.age.mean(), abs=1.0)
    assert plain["boosting"].result.rows == finding.result.rows


def test_a_run_that_was_interrupted_goes_on_with_the_features_that_it_had(tmp_path):
    study, whole = boosted(), run(boosted(), SITES, compare=False)["boosting"].result

    def stop(event):
        if event.kind == "folded" and event.progress is not None and event.progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study, SITES, out=tmp_path, compare=False, watch=stop)
    events = []
    again = run(study, SITES, out=tmp_path, compare=False, watch=events.append)["boosting"].result
    assert any(event.kind == "resumed" for event in events)
    assert again.facts["features"] == whole.facts["features"]
    assert np.array_equal(predict(again, POOLED), predict(whole, POOLED))


def test_a_network_learns_from_features():
    pytest.importorskip("torch")
    features = {"age": "standardise(age)", "ldl": "impute(ldl, median)", "stage": "category(stage)"}
    method = {"network": "mlp", "outcome": "ill", "covariates": ["age", "ldl", "stage"], "rounds": 2, "scale": "none"}
    result = run(Study.parse({"features": features, "method": {"averaging": method}}), SITES, compare=False)["averaging"].result
    assert not result.failure
    new = POOLED.drop(columns=["ill", "time", "dead"])
    assert np.isfinite(predict(result, new)).all()


def test_a_meta_analysis_and_a_table_over_features():
    meta = {"of": "glm", "settings": {"formula": "ill ~ age_z + crp_s", "family": "binomial"}, "model": "fixed"}
    features = {name: FEATURES[name] for name in ("age_z", "crp_s", "decade")}
    methods = {"meta": meta, "table_one": {"variables": ["age_z", "decade"], "by": "ill"}}
    found = run(Study.parse({"features": features, "method": methods}), SITES, policy=OPEN, compare=False)
    assert [finding.result.failure for finding in found] == ["", ""]
    assert "crp_s.3" in found["meta"].result.tables["coefficients"].columns["term"]


def test_a_new_patient_is_scored_by_the_variables_as_they_are_read():
    method = {"formula": "ill ~ age_z + ldl + stage + bmi", "family": "binomial"}
    result = run(Study.parse({"features": FEATURES, "method": {"glm": method}} | {"features": {
        name: FEATURES[name] for name in ("age_z", "ldl", "stage", "bmi")}}), SITES, compare=False)["glm"].result  # fmt: skip
    patient = {"age": [70.0] * 4, "weight": [80.0] * 4, "height": [1.8, 1.8, 0.0, 1.8], "ldl": [3.0, np.nan, 3.0, 3.0],
               "stage": ["I", "II", "I", "V"]}  # fmt: skip
    risks = predict(result, patient)
    assert np.isfinite(risks[:2]).all()
    assert np.isnan(risks[2:]).all()  # no body mass index; a stage that no site had
    with pytest.raises(DataError, match="height"):
        predict(result, {name: values for name, values in patient.items() if name != "height"})


AGAINST_ITSELF = {**BOOSTED, "covariates": ["age_z"], "test": "age_z > 0"}
GLM = {"glm": {"formula": "ill ~ age_z", "family": "binomial"}}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"features": "age"}, "features: found a str"),
        ({"features": {"age_z": 3}, "method": GLM}, "features.age_z: found a int"),
        ({"features": {"age_z": "standardise("}, "method": GLM}, "features.age_z, character 13: found the end"),
        ({"features": {"age_z": "standardise(age)", "b": "log(age)"}, "method": GLM}, "features.b: found a feature that no method"),
        (
            {"features": {"age_z": "standardise(age)"}, "method": GLM, "cohort": {"include": ["age_z > 0"]}},
            "condition of the cohort",
        ),
        (
            {"features": {"age_z": "standardise(age)"}, "method": GLM, "cohort": {"include": ['age == "x"']}},
            "as a number and as a cat",
        ),
        (
            {"features": {"age_z": "cut(age, 50)"}, "method": {"quantile": {"variables": "age_z"}}},
            "age_z: found a feature that is a category, expected a number",
        ),
        (
            {"features": {"age_z": "standardise(age)"}, "method": {"boosting": AGAINST_ITSELF}},
            "a feature in a condition that holds rows aside",
        ),
        (
            {
                "features": {"age_z": "standardise(age)"},
                "variables": {"age": {"type": "number", "range": [0, 110]}, "ill": {"type": "number", "range": [0, 1]}},
                "method": GLM,
                "protection": {"noise": {"epsilon": 1.0, "delta": 1e-6, "place": "local"}},
            },
            "features, whose fit carries no noise",
        ),
    ],
)
def test_a_study_whose_features_cannot_be_meant_is_refused(content, found):
    with pytest.raises(StudyError) as refused:
        Study.parse({"method": GLM, **content})
    assert found in str(refused.value)


def test_a_study_s_features_are_part_of_its_content_and_of_what_a_question_is():
    one = Study.parse({"features": {"age_z": "standardise(age)"}, "method": GLM})
    other = Study.parse({"features": {"age_z": "log(age)"}, "method": GLM})
    assert Study.parse(one.content).digest == one.digest != other.digest
    assert scope_of(one, one.analyses[0]) != scope_of(other, other.analyses[0])
    assert muster_question(one, one.analyses[0]).variables == ("ill", "age")
    assert set(one.uses) == {"ill", "age"}


def test_a_policy_judges_the_variables_that_a_feature_is_made_of():
    study = Study.parse({"features": {"age_z": "standardise(age)"}, "method": GLM})
    denying = DisclosurePolicy(denied_variables=("age",))
    assert "which this site denies" in run(study, SITES, policy=denying, compare=False)["glm"].result.failure


@pytest.mark.parametrize(("rule", "rows"), [("complete", [480, 500]), ("study", [480, 480]), ("refuse", None)])
def test_a_row_that_misses_a_feature_is_treated_as_the_study_says(rule, rows):
    table = POOLED.assign(height=np.where(np.arange(COUNT) < 20, 0.0, 1.7))
    methods = [{"formula": "ill ~ bmi", "family": "binomial"}, {"formula": "ill ~ age", "family": "binomial"}]
    content = {"features": {"bmi": "weight / height^2"}, "missing": {"rule": rule}, "method": {"glm": methods}}
    found = [finding.result for finding in run(Study.parse(content), {"a": table[:250], "b": table[250:]}, compare=False)]
    if rows is None:
        assert (found[0].rows, found[0].roster) == (250, ("b",))  # the other does not answer
    else:
        assert [result.rows for result in found] == rows
