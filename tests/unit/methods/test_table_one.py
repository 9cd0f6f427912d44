"""A Table 1 in pieces equals pandas and scipy on the pooled rows."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from huizhen.methods.table_one import TABLE_ONE, TableOneSpec
from huizhen.privacy.release import Terms, Variable
from tables import shares

TERMS = Terms(
    variables={
        "age": Variable("number"),
        "ward": Variable("category"),
        "sex": Variable("category"),
        "stage": Variable("category"),
        "arm": Variable("category"),
    }
)


def patients(n=300, seed=1):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"arm": rng.choice(["a", "b"], n), "ward": rng.choice(["u", "v", "w"], n)})
    frame["age"] = np.round(rng.normal(50, 9, n)) + (frame["arm"] == "b")
    frame["sex"], frame["stage"] = rng.choice(["f", "m"], n), rng.choice(["I", "II", "III"], n)
    frame.loc[rng.random(n) < 0.1, "age"] = np.nan
    frame.loc[rng.random(n) < 0.1, "stage"] = None
    return frame


def run(federate, frame, terms=TERMS, **settings):
    spec = TableOneSpec(variables=["age", "sex", "stage"], **settings)
    return federate(TABLE_ONE, spec, terms, shares(frame, np.arange(len(frame)) % 3))


def test_numbers_by_group_equal_pandas(federate):
    frame = patients()
    columns = run(federate, frame, by="arm").tables["numbers"].columns
    ages = frame.groupby("arm")["age"]
    assert columns["group"] == ("a", "b")
    assert columns["mean"] == pytest.approx(tuple(ages.mean()), rel=1e-12)
    assert columns["sd"] == pytest.approx(tuple(ages.std()), rel=1e-12)
    assert columns["missing"] == tuple(frame["age"].isna().groupby(frame["arm"]).sum())


def test_quartiles_are_pandas_where_they_may_be_told(federate):
    frame = patients()
    result = run(federate, frame, by="arm")
    columns = result.tables["quantiles"].columns
    expected = frame.groupby("arm")["age"].quantile([0.25, 0.5, 0.75]).to_list()
    told = [(value, right) for value, right in zip(columns["value"], expected) if value is not None]
    assert told
    assert all(value == right for value, right in told)
    assert all(low <= right <= high for low, right, high in zip(columns["low"], expected, columns["high"]))


def test_tests_are_those_of_the_tableone_package_for_r(federate):
    frame = patients()
    result = run(federate, frame, by="arm")
    a, b = (rows["age"].dropna() for _, rows in frame.groupby("arm"))
    row = {name: column[0] for name, column in result.tables["tests"].columns.items()}
    assert (row["test"], row["p_value"]) == ("student", pytest.approx(stats.ttest_ind(a, b).pvalue, rel=1e-9))
    assert row["smd"] == pytest.approx(abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2), rel=1e-10)
    sex = {name: column[0] for name, column in result.tables["sex_test"].columns.items()}
    counts = pd.crosstab(frame["sex"], frame["arm"])
    assert (sex["test"], sex["p_value"]) == ("chi2_yates", pytest.approx(stats.chi2_contingency(counts).pvalue, rel=1e-10))
    p, q = (counts / counts.sum()).loc["m"]
    assert sex["smd"] == pytest.approx(abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2), rel=1e-10)
    stage = {name: column[0] for name, column in result.tables["stage_test"].columns.items()}
    counts = pd.crosstab(frame["stage"], frame["arm"])
    assert (stage["test"], stage["p_value"]) == ("chi2", pytest.approx(stats.chi2_contingency(counts).pvalue, rel=1e-10))


def test_more_than_two_groups_are_compared_by_analysis_of_variance(federate):
    frame = patients()
    each = [rows["age"].dropna() for _, rows in frame.groupby("ward")]
    tests = run(federate, frame, by="ward").tables["tests"].columns
    assert (tests["test"], tests["p_value"]) == (("anova",), pytest.approx((stats.f_oneway(*each).pvalue,), rel=1e-9))
    assert run(federate, frame, by="ward", variances="unequal").tables["tests"].columns["test"] == ("welch_anova",)


def test_without_groups_there_is_nothing_to_test(federate):
    frame = patients()
    result = run(federate, frame)
    assert set(result.tables) == {"numbers", "quantiles", "categories"}
    assert result.cells["stage"].counts[:, 0].tolist() == frame["stage"].value_counts().sort_index().tolist()
    assert result.tables["categories"].columns["missing"] == (0, frame["stage"].isna().sum())
    assert result.rows == 300


def test_a_test_is_named_as_revealing_its_table_and_rests_on_the_smallest_group(federate):
    frame = patients()
    result = run(federate, frame, by="arm")
    assert result.cells["sex"].reveals == ("sex_test",)
    assert result.tables["tests"].columns["smallest_group"] == (frame.groupby("arm")["age"].count().min(),)
    assert result.tables["tests"].support == "smallest_group"


def test_a_group_nobody_is_in_is_shown_and_not_tested(federate):
    terms = Terms(variables={**TERMS.variables, "arm": Variable("category", ("a", "b", "c"))})
    frame = patients()
    result = run(federate, frame, terms, by="arm")
    assert result.tables["numbers"].columns["mean"][2] is None
    assert result.tables["tests"].columns["test"] == ("student",)
    assert result.tables["sex_test"].columns["test"] == ("chi2_yates",)
