"""Comparisons of means equal scipy on the pooled rows and R's printed values."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.oneway import anova_oneway

from huizhen.methods.compare import COMPARE, CompareSpec
from huizhen.privacy.release import Terms, Variable
from tables import shares

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/heart_disease"
TERMS = Terms(variables={"x": Variable("number"), "arm": Variable("category"), "ward": Variable("category")})
# datasets::sleep, extra hours of sleep of ten patients under two drugs
SLEEP = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0, 1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def patients(n=300, seed=1, mean=50.0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"arm": rng.choice(["a", "b"], n), "ward": rng.choice(["u", "v", "w", "z"], n)})
    frame["x"] = mean + rng.normal(size=n) * (1 + (frame["arm"] == "b")) + 0.5 * (frame["ward"] == "v")
    return frame


def groups(frame, by):
    return [rows["x"].to_numpy() for _, rows in frame.groupby(by)]


def run(federate, frame, sites=3, **settings):
    return federate(COMPARE, CompareSpec(variable="x", **settings), TERMS, shares(frame, np.arange(len(frame)) % sites))


@pytest.mark.parametrize(("test", "equal"), [("", False), ("welch", False), ("student", True)])
def test_a_t_test_equals_scipy_on_the_pooled_rows(federate, test, equal):
    frame = patients()
    result = run(federate, frame, by="arm", test=test)
    expected = stats.ttest_ind(*groups(frame, "arm"), equal_var=equal)
    limits = expected.confidence_interval()
    assert (result.facts["t"], result.facts["df"]) == pytest.approx((expected.statistic, expected.df), rel=1e-11)
    assert result.facts["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert (result.facts["ci_low"], result.facts["ci_high"]) == pytest.approx((limits.low, limits.high), rel=1e-10)
    a, b = groups(frame, "arm")
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / 298)
    assert result.facts["cohens_d"] == pytest.approx((a.mean() - b.mean()) / pooled, rel=1e-10)
    assert result.tables["groups"].columns["sd"] == pytest.approx((a.std(ddof=1), b.std(ddof=1)), rel=1e-12)


def test_the_sleep_data_as_r_prints_them(federate):
    frame = pd.DataFrame({"x": SLEEP, "arm": ["1"] * 10 + ["2"] * 10})
    facts = run(federate, frame, by="arm").facts
    assert facts["t"] == pytest.approx(-1.8608, abs=5e-5)  # t.test(extra ~ group, data = sleep)
    assert facts["df"] == pytest.approx(17.776, abs=5e-4)
    assert facts["p_value"] == pytest.approx(0.07939, abs=5e-6)
    assert (facts["ci_low"], facts["ci_high"]) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


def test_an_analysis_of_variance_equals_scipy_and_statsmodels(federate):
    frame = patients()
    each = groups(frame, "ward")
    facts = run(federate, frame, by="ward").facts
    expected = stats.f_oneway(*each)
    assert (facts["f"], facts["p_value"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    facts = run(federate, frame, by="ward", test="welch_anova").facts
    expected = anova_oneway(each, use_var="unequal", welch_correction=True)
    assert (facts["f"], facts["p_value"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert (facts["df_between"], facts["df_within"]) == pytest.approx((expected.df_num, expected.df_denom), rel=1e-10)


def test_two_groups_give_the_same_answer_by_t_and_by_f(federate):
    frame = patients()
    for t_test, f_test in (("student", "anova"), ("welch", "welch_anova")):
        t, f = run(federate, frame, by="arm", test=t_test).facts, run(federate, frame, by="arm", test=f_test).facts
        assert t["t"] ** 2 == pytest.approx(f["f"], rel=1e-11)
        assert t["p_value"] == pytest.approx(f["p_value"], rel=1e-9)


def test_tests_of_equal_variances_equal_scipy(federate):
    frame = patients()
    facts = run(federate, frame, by="ward").facts
    bartlett, levene = stats.bartlett(*groups(frame, "ward")), stats.levene(*groups(frame, "ward"), center="mean")
    assert (facts["bartlett_k2"], facts["bartlett_p_value"]) == pytest.approx((bartlett.statistic, bartlett.pvalue), rel=1e-9)
    assert (facts["levene_f"], facts["levene_p_value"]) == pytest.approx((levene.statistic, levene.pvalue), rel=1e-9)


def test_a_large_common_mean_does_not_cancel(federate):
    frame = patients(mean=1e9)
    result = run(federate, frame, by="ward")
    shifted = frame.assign(x=frame["x"] - 1e9)  # exact in float64
    assert result.facts["f"] == pytest.approx(stats.f_oneway(*groups(shifted, "ward")).statistic, rel=1e-11)


@pytest.mark.parametrize(
    ("frame", "settings", "reason"),
    [
        (pd.DataFrame({"x": np.arange(40.0), "arm": ["a"] * 40}), {}, "fewer than two groups"),
        (pd.DataFrame({"x": np.arange(40.0), "arm": ["a"] * 37 + ["MARKED"] * 3}), {}, "fewer than 5 patients"),
        (pd.DataFrame({"x": np.ones(40), "arm": ["a", "b"] * 20}), {}, "spread is zero"),
        (pd.DataFrame({"x": np.arange(42.0), "arm": ["a", "b", "c"] * 14}), {"test": "welch"}, "needs two groups"),
    ],
)
def test_what_cannot_be_compared_is_said_in_plain_words(federate, frame, settings, reason):
    result = run(federate, frame, by="arm", **settings)
    assert reason in result.failure
    assert "MARKED" not in result.failure
    assert not result.facts
    assert not result.tables


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20))
def test_how_rows_are_split_over_sites_does_not_matter(federate, seed):
    frame = patients(80, seed)
    parts = np.random.default_rng(seed).integers(0, 4, 80)
    spec = CompareSpec(variable="x", by="arm")
    apart = federate(COMPARE, spec, TERMS, shares(frame, parts)).facts
    whole = federate(COMPARE, spec, TERMS, shares(frame, np.zeros(80, int))).facts
    assert apart.keys() == whole.keys()
    for name, value in whole.items():
        assert apart[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9)), name


@pytest.mark.shared_data
def test_four_hospitals_agree_with_the_published_tests(federate):
    if not SHARED.exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    reference = json.loads((SHARED / "reference_values.json").read_text())
    frame = pd.read_csv(SHARED / "flamby_prepared.csv")
    terms = Terms(variables={"age": Variable("number"), "y": Variable("number")})
    sites = shares(frame[["age", "y"]], frame["centre"])
    for test, expected in reference["ttest_age_by_y"].items():
        facts = federate(COMPARE, CompareSpec(variable="age", by="y", test=test), terms, sites).facts
        # the reference takes the sick minus the well
        assert (-facts["t"], facts["p_value"], facts["df"]) == pytest.approx(
            (expected["t"], expected["p"], expected["df"]), rel=1e-10
        )
    facts = federate(COMPARE, CompareSpec(variable="age", by="site"), terms, sites).facts
    expected = reference["anova_age_by_centre"]
    assert (facts["f"], facts["p_value"]) == pytest.approx((expected["F"], expected["p"]), rel=1e-10)
