"""The joint description equals pandas, numpy and scipy on the pooled rows, however the rows are split."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from huizhen.errors import DataError
from huizhen.methods.description import moments as moments_module
from huizhen.methods.summary import SUMMARY, SummarySpec
from huizhen.privacy.release import Terms, Variable
from tables import hospital

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/heart_disease"
TERMS = Terms(
    variables={
        "x": Variable("number"),
        "y": Variable("number"),
        "sex": Variable("category"),
        "arm": Variable("category", ("control", "drug", "placebo")),
    }
)


def shares(frame, parts):
    return {f"s{i}": hospital(frame[parts == i]) for i in range(parts.max() + 1)}


def patients(n=300, seed=1, mean=0.0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": mean + rng.normal(size=n), "y": rng.gamma(2, 3, n)})
    frame["y"] += 0.3 * (frame["x"] - mean)
    frame["sex"], frame["arm"] = rng.choice(["f", "m"], n), rng.choice(["control", "drug"], n)
    frame.loc[rng.random(n) < 0.1, "x"] = np.nan
    frame.loc[rng.random(n) < 0.05, "y"] = np.nan
    frame.loc[rng.random(n) < 0.05, "sex"] = None
    return frame


def by_name(table, name):
    return dict(zip(table.columns["variable"], table.columns[name]))


def test_a_summary_equals_pandas_on_the_pooled_rows(federate):
    frame = patients()
    spec = SummarySpec(variables=["x", "y"], shape=True)
    result = federate(SUMMARY, spec, TERMS, shares(frame, np.arange(300) % 3))
    table = result.tables["numbers"]
    for name in ("x", "y"):
        pooled = frame[name]
        expected = {
            "n": pooled.count(),
            "missing": pooled.isna().sum(),
            "sum": pooled.sum(),
            "mean": pooled.mean(),
            "variance": pooled.var(),
            "sd": pooled.std(),
            "standard_error": pooled.sem(),
            "skewness": pooled.skew(),
            "kurtosis": pooled.kurt(),
        }
        for title, value in expected.items():
            assert by_name(table, title)[name] == pytest.approx(value, rel=1e-11), title
        limits = stats.t.interval(0.95, pooled.count() - 1, pooled.mean(), pooled.sem())
        assert (by_name(table, "ci_low")[name], by_name(table, "ci_high")[name]) == pytest.approx(limits, rel=1e-11)
    assert result.rows == 300


def test_a_mean_of_a_thousand_million_keeps_the_digits_of_the_spread(federate):
    frame = patients(2000, mean=1e9)[["x"]].dropna()
    result = federate(SUMMARY, SummarySpec(variables=["x"]), TERMS, shares(frame, np.arange(len(frame)) % 4))
    exact = np.array(frame["x"] - 1e9).var(ddof=1)  # the subtraction is exact in float64
    assert by_name(result.tables["numbers"], "variance")["x"] == pytest.approx(exact, rel=1e-12)


def test_groups_are_described_apart_and_an_empty_declared_group_has_no_mean(federate):
    frame = patients()
    result = federate(SUMMARY, SummarySpec(variables=["x"], by="arm"), TERMS, shares(frame, np.arange(300) % 2))
    table = result.tables["numbers"]
    assert table.columns["group"] == ("control", "drug", "placebo")
    assert table.columns["n"][2] == 0
    assert table.columns["mean"][2] is None
    assert table.columns["mean"][:2] == pytest.approx(tuple(frame.groupby("arm")["x"].mean()), rel=1e-12)
    assert table.columns["sd"][:2] == pytest.approx(tuple(frame.groupby("arm")["x"].std()), rel=1e-12)


def test_correlations_rest_on_complete_rows(federate):
    frame = patients()
    spec = SummarySpec(variables=["x", "y"], correlation=True)
    result = federate(SUMMARY, spec, TERMS, shares(frame, np.arange(300) % 3))
    complete = frame[["x", "y"]].dropna()
    assert result.tables["correlation"].columns["complete_rows"] == (len(complete),) * 2
    assert result.tables["correlation"].columns["incomplete_rows"] == (300 - len(complete),) * 2
    np.testing.assert_allclose(result.arrays["covariance"], np.cov(complete.T), rtol=1e-11)
    np.testing.assert_allclose(result.arrays["correlation"], np.corrcoef(complete.T), rtol=1e-11)


def test_categories_are_counted_by_level_and_group(federate):
    frame = patients()
    result = federate(SUMMARY, SummarySpec(variables=["sex", "x"], by="arm"), TERMS, shares(frame, np.arange(300) % 3))
    cells = result.cells["sex"]
    pooled = pd.crosstab(frame["sex"], frame["arm"])
    assert cells.rows == ("f", "m")
    assert cells.columns == ("control", "drug", "placebo")
    np.testing.assert_array_equal(cells.counts[:, :2], pooled)
    missing = frame["sex"].isna().groupby(frame["arm"]).sum()
    assert result.tables["categories"].columns["missing"][:2] == tuple(missing)


def test_a_site_that_lacks_a_level_or_has_no_rows_still_answers(federate):
    frame = patients()
    parts = np.where(frame["sex"] == "f", 0, 1)
    sites = {**shares(frame, parts), "empty": hospital(frame.iloc[:0])}
    spec = SummarySpec(variables=["sex", "x"], by="arm")
    apart = federate(SUMMARY, spec, TERMS, sites)
    whole = federate(SUMMARY, spec, TERMS, {"all": hospital(frame)})
    np.testing.assert_array_equal(apart.cells["sex"].counts, whole.cells["sex"].counts)
    assert apart.tables["numbers"].columns["mean"][:2] == pytest.approx(whole.tables["numbers"].columns["mean"][:2], rel=1e-13)


def test_a_label_outside_the_declared_levels_is_refused_without_being_named(federate):
    frame = patients()
    frame.loc[7, "arm"] = "MARKED"
    with pytest.raises(DataError, match="not among its declared levels") as caught:
        federate(SUMMARY, SummarySpec(variables=["x"], by="arm"), TERMS, {"all": hospital(frame)})
    assert "MARKED" not in str(caught.value)


def test_variables_without_any_value_are_described_as_missing_throughout(federate):
    frame = patients().assign(x=np.nan, sex=pd.Series([None] * 300, dtype=object))
    result = federate(SUMMARY, SummarySpec(variables=["x", "y", "sex"]), TERMS, shares(frame, np.arange(300) % 2))
    assert result.tables["numbers"].columns["missing"][0] == 300
    assert result.tables["numbers"].columns["mean"][0] is None
    assert result.tables["categories"].columns["missing"] == (300,)
    assert result.cells["sex"].counts.shape == (0, 1)
    assert (
        "has no value in any row"
        in federate(SUMMARY, SummarySpec(variables=["y"], by="sex"), TERMS, shares(frame, np.arange(300) % 2)).failure
    )


def test_infinite_numbers_are_refused(federate):
    frame = patients()
    frame.loc[3, "x"] = np.inf
    with pytest.raises(DataError, match="infinite"):
        federate(SUMMARY, SummarySpec(variables=["x"]), TERMS, {"all": hospital(frame)})


def test_equal_values_have_no_spread(federate):
    frame = pd.DataFrame({"x": np.full(31, 0.1)})
    result = federate(SUMMARY, SummarySpec(variables=["x"], shape=True), TERMS, shares(frame, np.arange(31) % 3))
    assert by_name(result.tables["numbers"], "sd")["x"] == 0
    assert by_name(result.tables["numbers"], "skewness")["x"] is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20), sites=st.integers(1, 6))
def test_how_rows_are_split_over_sites_does_not_matter(federate, seed, sites):
    frame = patients(60, seed)
    parts = np.random.default_rng(seed).integers(0, sites, 60)
    parts[:sites] = np.arange(sites)
    spec = SummarySpec(variables=["x", "y", "sex"], by="arm", shape=True, correlation=True)
    apart = federate(SUMMARY, spec, replace(TERMS, min_cell_count=1), shares(frame, parts))
    whole = federate(SUMMARY, spec, replace(TERMS, min_cell_count=1), {"all": hospital(frame)})
    for title, values in whole.tables["numbers"].columns.items():
        found = apart.tables["numbers"].columns[title]
        if isinstance(values[0], str):
            assert found == values
        else:
            np.testing.assert_allclose(np.array(found, float), np.array(values, float), rtol=1e-9, atol=1e-12, err_msg=title)
    np.testing.assert_array_equal(apart.cells["sex"].counts, whole.cells["sex"].counts)
    np.testing.assert_allclose(apart.arrays["covariance"], whole.arrays["covariance"], rtol=1e-9)


def test_patients_are_counted_by_site_and_the_sites_name_is_not_read_from_a_source(federate):
    frame = patients().assign(site=lambda rows: np.where(rows["arm"] == "drug", "north", "south"))
    spec = SummarySpec(variables=["site", "x"], by="site")
    result = federate(SUMMARY, spec, TERMS, {"all": hospital(frame)})
    assert result.cells["site"].counts.diagonal().tolist() == frame["site"].value_counts().sort_index().tolist()
    assert [use.name for use in SUMMARY.uses(spec)] == ["x"]
    assert SUMMARY.ask(SUMMARY.begin(spec, TERMS)).variables == ()


def test_chunks_do_not_matter(federate, monkeypatch):
    frame = patients()
    spec = SummarySpec(variables=["x", "y"], by="sex", correlation=True)
    frame = frame[frame["sex"].notna()]
    whole = federate(SUMMARY, spec, TERMS, {"all": hospital(frame)})
    original = moments_module.chunks
    monkeypatch.setattr(moments_module, "chunks", lambda rows: original(rows, 7))
    pieces = federate(SUMMARY, spec, TERMS, {"all": hospital(frame)})
    assert pieces.tables["numbers"].columns["sd"] == pytest.approx(whole.tables["numbers"].columns["sd"], rel=1e-13)
    np.testing.assert_allclose(pieces.arrays["covariance"], whole.arrays["covariance"], rtol=1e-13)


@pytest.mark.shared_data
def test_four_hospitals_agree_with_the_published_description(federate):
    if not SHARED.exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    reference = json.loads((SHARED / "reference_values.json").read_text())
    frame = pd.read_csv(SHARED / "flamby_prepared.csv")
    names = list(reference["describe_pooled_all"])
    terms = Terms(variables={name: Variable("number") for name in names})
    result = federate(
        SUMMARY, SummarySpec(variables=names, correlation=True), terms, shares(frame[names], frame["centre"].to_numpy())
    )
    for name, expected in reference["describe_pooled_all"].items():
        for title, key in (
            ("n", "n"),
            ("missing", "n_missing"),
            ("sum", "sum"),
            ("mean", "mean"),
            ("variance", "var"),
            ("sd", "sd"),
        ):
            assert by_name(result.tables["numbers"], title)[name] == pytest.approx(expected[key], rel=1e-12), (name, title)
    features = len(reference["features"])
    np.testing.assert_allclose(result.arrays["covariance"][:features, :features], reference["cov_pooled_all"], rtol=1e-10)
    np.testing.assert_allclose(result.arrays["correlation"][:features, :features], reference["corr_pooled_all"], rtol=1e-10)
