"""Joint tables and their tests equal scipy, statsmodels and R's printed values on the pooled rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2

from huizhen.methods import tabulate as tabulate_module
from huizhen.methods.description.contingency import fisher, pearson
from huizhen.methods.description.levels import in_order
from huizhen.methods.description.stratified import cochran_mantel_haenszel, mantel_haenszel, stratum_terms
from huizhen.methods.tabulate import TABULATE, TabulateSpec
from huizhen.privacy.release import Terms, Variable
from tables import hospital, shares

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/heart_disease"
TERMS = Terms(variables={name: Variable("category") for name in ("smoker", "cough", "stage", "ward")})


def patients(n=400, seed=3):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"smoker": rng.choice(["no", "yes"], n), "ward": rng.choice(["a", "b", "c"], n)})
    chance = 0.3 + 0.2 * (frame["smoker"] == "yes") + 0.2 * (frame["ward"] == "b")
    frame["cough"] = np.where(rng.random(n) < chance, "yes", "no")
    frame["stage"] = rng.choice(["I", "II", "III"], n)
    return frame


def estimates(result, measure):
    columns = result.tables["association"].columns
    at = columns["measure"].index(measure)
    return columns["estimate"][at], columns["ci_low"][at], columns["ci_high"][at]


def test_a_two_by_two_table_equals_scipy_and_statsmodels(federate):
    frame = patients()
    result = federate(TABULATE, TabulateSpec(rows="smoker", columns="cough"), TERMS, shares(frame, np.arange(400) % 3))
    pooled = pd.crosstab(frame["smoker"], frame["cough"]).to_numpy()
    np.testing.assert_array_equal(result.cells["counts"].counts, pooled)
    for corrected, chi2, p in ((False, "chi2", "p_value"), (True, "chi2_yates", "p_value_yates")):
        expected = stats.chi2_contingency(pooled, correction=corrected)
        assert result.facts[chi2] == pytest.approx(expected.statistic, rel=1e-12)
        assert result.facts[p] == pytest.approx(expected.pvalue, rel=1e-10)
    assert result.facts["fisher_p_value"] == pytest.approx(stats.fisher_exact(pooled).pvalue, rel=1e-10)
    assert result.facts["cramers_v"] == pytest.approx(stats.contingency.association(pooled), rel=1e-12)
    table = Table2x2(pooled)
    assert estimates(result, "odds_ratio") == pytest.approx((table.oddsratio, *table.oddsratio_confint()), rel=1e-11)
    # statsmodels takes the first column as the event and the first row as exposed
    turned = Table2x2(pooled[::-1, ::-1])
    assert estimates(result, "risk_ratio") == pytest.approx((turned.riskratio, *turned.riskratio_confint()), rel=1e-11)
    exact = stats.contingency.odds_ratio(pooled)
    limits = exact.confidence_interval()
    assert estimates(result, "fisher_odds_ratio") == pytest.approx((exact.statistic, limits.low, limits.high), rel=1e-8)


def test_fishers_tea_taster_as_r_prints_it():
    p, estimate = fisher(np.array([[3, 1], [1, 3]]), "greater", 0.95)
    assert p == pytest.approx(17 / 70, rel=1e-12)  # (16 + 1) / choose(8, 4)
    assert estimate.value == pytest.approx(6.408309, rel=1e-5)  # R, fisher.test(TeaTasting), solved to 1e-4 there
    assert estimate.low == pytest.approx(0.3135693, abs=5e-6)
    assert estimate.high == np.inf


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=4, max_size=4), st.sampled_from(["two-sided", "less", "greater"]))
def test_fishers_p_value_equals_scipy_for_any_table(cells, alternative):
    table = np.array(cells).reshape(2, 2)
    p, estimate = fisher(table, alternative, 0.95)
    assert p == pytest.approx(stats.fisher_exact(table, alternative).pvalue, rel=1e-9)
    if (table.sum(axis=0) > 0).all() and (table.sum(axis=1) > 0).all():
        exact = stats.contingency.odds_ratio(table)
        limits = exact.confidence_interval(alternative=alternative)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((exact.statistic, limits.low, limits.high), rel=1e-7)


def test_the_berkeley_admissions_as_r_prints_them():
    # datasets::UCBAdmissions, admitted and rejected by sex, departments A to F
    tables = np.array(
        [
            [[512, 313], [89, 19]],
            [[353, 207], [17, 8]],
            [[120, 205], [202, 391]],
            [[138, 279], [131, 244]],
            [[53, 138], [94, 299]],
            [[22, 351], [24, 317]],
        ]
    ).transpose(0, 2, 1)
    sums = stratum_terms(tables)
    found = cochran_mantel_haenszel(sums)
    assert found["cmh_corrected"] == pytest.approx(1.4269, abs=5e-5)  # mantelhaen.test(UCBAdmissions)
    assert found["cmh_corrected_p_value"] == pytest.approx(0.2323, abs=5e-5)
    common = mantel_haenszel(sums, 0.95)
    assert (common.value, common.low, common.high) == pytest.approx((0.9046968, 0.7719074, 1.0603298), abs=5e-7)


@pytest.mark.parametrize("strata", ["site", "ward"])
def test_strata_together_equal_statsmodels(federate, strata):
    frame = patients()
    parts = np.random.default_rng(0).integers(0, 4, 400)
    spec = TabulateSpec(rows="smoker", columns="cough", strata=strata)
    result = federate(TABULATE, spec, TERMS, shares(frame, parts))
    by = parts if strata == "site" else frame["ward"]
    tables = [pd.crosstab(rows["smoker"], rows["cough"]).to_numpy() for _, rows in frame.groupby(by)]
    pooled = StratifiedTable([table.astype(float) for table in tables])
    expected = (pooled.oddsratio_pooled, *pooled.oddsratio_pooled_confint())
    assert estimates(result, "mantel_haenszel_odds_ratio") == pytest.approx(expected, rel=1e-11)
    assert result.facts["cmh"] == pytest.approx(pooled.test_null_odds().statistic, rel=1e-11)
    assert result.facts["cmh_corrected"] == pytest.approx(pooled.test_null_odds(correction=True).statistic, rel=1e-11)
    for name, adjust in (("breslow_day", False), ("tarone", True)):
        test = pooled.test_equal_odds(adjust=adjust)
        assert result.facts[name] == pytest.approx(test.statistic, rel=1e-9)
        assert result.facts[f"{name}_p_value"] == pytest.approx(test.pvalue, rel=1e-9)
    assert result.facts["strata"] == len(tables)


def test_one_table_of_several_sites_answers_as_the_sites_do(federate):
    frame = patients()
    sites = shares(frame, np.arange(400) % 4)
    spec = TabulateSpec(rows="smoker", columns="cough", strata="site")
    together = {"pooled": hospital(frame.assign(site=[f"s{i % 4}" for i in range(400)]))}
    apart, whole = federate(TABULATE, spec, TERMS, sites), federate(TABULATE, spec, TERMS, together)
    for name, value in whole.facts.items():
        assert apart.facts[name] == pytest.approx(value, rel=1e-12), name


def test_a_larger_table_has_one_chi_squared_and_the_general_stratified_test(federate):
    frame = patients()
    result = federate(
        TABULATE, TabulateSpec(rows="stage", columns="cough", strata="ward"), TERMS, shares(frame, np.arange(400) % 2)
    )
    expected = stats.chi2_contingency(pd.crosstab(frame["stage"], frame["cough"]))
    assert (result.facts["chi2"], result.facts["p_value"]) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert "chi2_yates" not in result.facts
    assert result.facts["cmh_df"] == 2
    assert "association" not in result.tables


def test_the_general_stratified_test_of_a_single_stratum_is_pearsons_times_n_minus_one_over_n():
    table = np.array([[12, 7, 3], [5, 9, 14]])
    found = cochran_mantel_haenszel(stratum_terms(table[None]))
    assert found["cmh"] == pytest.approx(pearson(table)["chi2"] * 49 / 50, rel=1e-12)  # 50 patients
    assert found["cmh_df"] == 2


def test_an_empty_declared_level_is_shown_and_not_tested(federate):
    terms = Terms(variables={"stage": Variable("category", ("I", "II", "III", "IV")), "cough": Variable("category")})
    frame = patients()
    result = federate(TABULATE, TabulateSpec(rows="stage", columns="cough"), terms, shares(frame, np.arange(400) % 2))
    assert result.cells["counts"].counts[3].tolist() == [0, 0]
    assert result.facts["df"] == 2


def test_one_column_only_leaves_nothing_to_test_and_says_so(federate):
    frame = patients().assign(cough="no")
    result = federate(
        TABULATE, TabulateSpec(rows="smoker", columns="cough", strata="ward"), TERMS, shares(frame, np.arange(400) % 2)
    )
    assert not {"chi2", "cmh"} & set(result.facts)
    assert any("nothing to test" in note for note in result.notes)


def test_a_one_way_table_only_counts(federate):
    frame = patients()
    result = federate(TABULATE, TabulateSpec(rows="stage"), TERMS, shares(frame, np.arange(400) % 2))
    assert result.cells["counts"].counts[:, 0].tolist() == frame["stage"].value_counts().sort_index().tolist()
    assert dict(result.facts) == {}


def test_every_fact_and_table_of_a_tabulation_is_named_as_revealing(federate):
    spec = TabulateSpec(rows="smoker", columns="cough", strata="site")
    result = federate(TABULATE, spec, TERMS, shares(patients(), np.arange(400) % 2))
    assert set(result.cells["counts"].reveals) == {*result.facts, *result.tables}


def test_a_zero_cell_leaves_ratios_undefined_not_wrong(federate):
    frame = pd.DataFrame({"smoker": ["no"] * 9 + ["yes"] * 11, "cough": ["no"] * 15 + ["yes"] * 5})
    result = federate(TABULATE, TabulateSpec(rows="smoker", columns="cough"), TERMS, shares(frame, np.arange(20) % 2))
    assert estimates(result, "odds_ratio") == (None, None, None)
    assert estimates(result, "fisher_odds_ratio")[0] == np.inf


def test_numbers_are_ordered_by_value_and_words_by_letters():
    assert in_order(["10", "9", "2.5"]) == ("2.5", "9", "10")
    assert in_order(["10", "9", "x"]) == ("10", "9", "x")
    assert in_order(["nan", "1"]) == ("1", "nan")


def test_a_number_is_read_as_a_category_by_its_values(federate):
    terms = Terms(variables={"grade": Variable("number"), "cough": Variable("category")})
    frame = patients().assign(grade=np.arange(400) % 11 * 1.0)
    result = federate(TABULATE, TabulateSpec(rows="grade", columns="cough"), terms, shares(frame, np.arange(400) % 2))
    assert result.cells["counts"].rows == tuple(map(str, range(11)))
    np.testing.assert_array_equal(result.cells["counts"].counts, pd.crosstab(frame["grade"], frame["cough"]))


def test_an_identifier_is_not_taken_for_a_category(federate):
    terms = Terms(variables={"stage": Variable("category")})
    frame = pd.DataFrame({"stage": [f"MARKED{i}" for i in range(600)]})
    with pytest.raises(Exception, match="more than 500 distinct values") as caught:
        federate(TABULATE, TabulateSpec(rows="stage"), terms, shares(frame, np.zeros(600, int)))
    assert "MARKED" not in str(caught.value)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20))
def test_how_rows_are_split_over_sites_does_not_matter(federate, seed):
    frame = patients(80, seed)
    parts = np.random.default_rng(seed).integers(0, 3, 80)
    spec = TabulateSpec(rows="smoker", columns="cough", strata="ward")
    apart = federate(TABULATE, spec, TERMS, shares(frame, parts))
    whole = federate(TABULATE, spec, TERMS, shares(frame, np.zeros(80, int)))
    assert dict(apart.facts) == dict(whole.facts)
    np.testing.assert_array_equal(apart.cells["counts"].counts, whole.cells["counts"].counts)


def test_chunks_do_not_matter(federate, monkeypatch):
    spec = TabulateSpec(rows="smoker", columns="cough", strata="site")
    sites = shares(patients(), np.arange(400) % 3)
    whole = federate(TABULATE, spec, TERMS, sites)
    original = tabulate_module.chunks
    monkeypatch.setattr(tabulate_module, "chunks", lambda rows: original(rows, 7))
    assert dict(federate(TABULATE, spec, TERMS, sites).facts) == dict(whole.facts)


@pytest.mark.shared_data
def test_four_hospitals_agree_with_the_published_tables(federate):
    if not SHARED.exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    reference = json.loads((SHARED / "reference_values.json").read_text())
    frame = pd.read_csv(SHARED / "flamby_prepared.csv")
    terms = Terms(variables={"exang": Variable("number"), "y": Variable("number")})
    spec = TabulateSpec(rows="exang", columns="y", strata="site")
    result = federate(TABULATE, spec, terms, shares(frame[["exang", "y"]], frame["centre"]))
    expected = reference["chi2_exang_y"]
    assert result.cells["counts"].counts.tolist() == expected["table"]
    assert result.facts["chi2"] == pytest.approx(expected["chi2"], rel=1e-12)
    assert result.facts["p_value"] == pytest.approx(expected["p"], rel=1e-10)
    common, together = estimates(result, "mantel_haenszel_odds_ratio"), reference["mantel_haenszel_exang_y_by_centre"]
    assert common[0] == pytest.approx(together["or_"], rel=1e-12)
    assert result.tables["association"].columns["log_standard_error"][-1] == pytest.approx(together["logor_se"], rel=1e-12)
    assert result.facts["cmh"] == pytest.approx(together["cmh_stat"], rel=1e-12)
