"""Kaplan-Meier curves and log-rank tests over several sites, against lifelines and R on the pooled rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_lung
from lifelines.statistics import multivariate_logrank_test, pairwise_logrank_test

from huizhen.errors import DataError
from huizhen.methods.kaplan_meier import KAPLAN_MEIER
from huizhen.privacy.release import Terms, Variable
from tables import by_site, hospital

TERMS = Terms(min_cell_count=1, variables={"sex": Variable("number"), "ph.ecog": Variable("number")})


@pytest.fixture(scope="module")
def lung():
    frame = load_lung().rename(columns={"inst": "site"})
    frame = frame[["site", "time", "status", "sex", "ph.ecog"]].dropna(subset=["site"])
    frame["status"] = frame["status"] + 1  # lifelines codes 0 and 1, R and the trial 1 and 2
    return frame.assign(site="inst-" + frame["site"].astype(int).astype(str)).reset_index(drop=True)


def spec(**settings):
    return KAPLAN_MEIER.spec(**{"time": "time", "event": "status == 2", **settings})


def test_the_curve_of_all_sites_is_that_of_lifelines_on_the_pooled_rows(lung, federate):
    result = federate(KAPLAN_MEIER, spec(), TERMS, by_site(lung))
    table = result.tables["survival"].columns
    fitted = KaplanMeierFitter().fit(lung["time"], lung["status"] == 2)
    np.testing.assert_allclose(table["survival"], fitted.survival_function_.loc[list(table["time"])].iloc[:, 0], rtol=1e-12)
    limits = fitted.confidence_interval_.loc[list(table["time"])]
    np.testing.assert_allclose(table["ci_low"][:-1], limits.iloc[:-1, 0], rtol=1e-10)
    np.testing.assert_allclose(table["ci_high"][:-1], limits.iloc[:-1, 1], rtol=1e-10)
    assert sum(table["events"]) == result.facts["events"] == 164
    assert table["at_risk"] == tuple(fitted.event_table["at_risk"].loc[list(table["time"])])
    assert "every distinct time of the pooled rows" in result.notes[0]


def test_group_tables_medians_and_restricted_means_are_those_of_r(federate):
    frame = load_lung()[["time", "status", "sex"]]
    frame["site"] = np.where(np.arange(len(frame)) % 3 == 0, "a", "b")
    result = federate(
        KAPLAN_MEIER,
        spec(event="status", by="sex", conf_type="log", restricted_mean=500.0),
        TERMS,
        by_site(frame),
    )
    medians = result.tables["medians"].columns
    # R 4.2, survival 3.5-3: summary(survfit(Surv(time, status) ~ sex, lung), rmean = 500)$table
    assert medians["median"] == (270.0, 426.0)
    assert medians["ci_low"] == (212.0, 348.0)
    assert medians["ci_high"] == (310.0, 550.0)
    np.testing.assert_allclose(medians["restricted_mean"], [278.763231529994, 360.910954195466], rtol=1e-13)
    np.testing.assert_allclose(medians["restricted_mean_se"], [14.3545585667123, 16.8010181686940], rtol=1e-13)
    log_log = federate(KAPLAN_MEIER, spec(event="status", by="sex"), TERMS, by_site(frame)).tables["medians"].columns
    assert (log_log["ci_low"], log_log["ci_high"]) == ((210.0, 345.0), (306.0, 524.0))


def test_plain_limits_are_those_of_r(federate):
    frame = load_lung()[["time", "status"]].assign(site="a")
    table = federate(KAPLAN_MEIER, spec(event="status", conf_type="plain"), TERMS, by_site(frame)).tables["survival"].columns
    at = table["time"].index(883.0)
    # R: summary(survfit(Surv(time, status) ~ 1, lung, conf.type = "plain"), times = 883)
    assert table["at_risk"][at] == 4
    got = [table[name][at] for name in ("survival", "standard_error", "ci_low", "ci_high")]
    expected = [0.0503455680708105, 0.0228480489160838, 0.00556421507827679, 0.0951269210633441]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_log_rank_test_is_that_of_r_and_lifelines(federate):
    frame = load_lung()[["time", "status", "sex"]].assign(site="a")
    frame.loc[100:, "site"] = "b"
    result = federate(KAPLAN_MEIER, spec(event="status", by="sex"), TERMS, by_site(frame))
    # R: survdiff(Surv(time, status) ~ sex, lung)
    assert result.facts["chi2"] == pytest.approx(10.32674195489, rel=1e-12)
    assert result.facts["p_value"] == pytest.approx(0.0013111645204, rel=1e-10)
    np.testing.assert_allclose(result.tables["logrank"].columns["expected"], [91.58173902957, 73.41826097043], rtol=1e-12)
    fitted = multivariate_logrank_test(frame["time"], frame["sex"], frame["status"])
    assert result.facts["chi2"] == pytest.approx(fitted.test_statistic, rel=1e-12)


def test_the_test_stratified_by_site_needs_no_grid_and_is_that_of_r(lung, federate):
    settings = spec(by="sex", strata="site", resolution=100.0)  # a coarse grid blurs the curves, not the test
    for sites in (by_site(lung), {"pooled": hospital(lung)}):
        result = federate(KAPLAN_MEIER, settings, TERMS, sites)
        # R: survdiff(Surv(time, status) ~ sex + strata(inst), lung)
        assert result.facts["chi2"] == pytest.approx(8.52446736332317, rel=1e-12)
        np.testing.assert_allclose(result.tables["logrank"].columns["expected"], [93.924585898, 70.075414102], rtol=1e-10)


def test_the_peto_prentice_test_is_that_of_r(federate):
    frame = load_lung()[["time", "status", "sex"]].assign(site="a")
    result = federate(KAPLAN_MEIER, spec(event="status", by="sex", rho=1), TERMS, by_site(frame))
    # R: survdiff(Surv(time, status) ~ sex, lung, rho = 1)
    assert result.facts["chi2"] == pytest.approx(12.7141514011575, rel=1e-12)
    np.testing.assert_allclose(result.tables["logrank"].columns["observed"], [70.3775422947522, 28.7286532721899], rtol=1e-12)


def test_pairs_of_groups_are_tested_as_by_lifelines(lung, federate):
    rows = lung[lung["ph.ecog"] < 3].dropna(subset=["ph.ecog"])
    result = federate(KAPLAN_MEIER, spec(by="ph.ecog", pairwise=True), TERMS, by_site(rows))
    fitted = pairwise_logrank_test(rows["time"], rows["ph.ecog"], rows["status"] == 2)
    np.testing.assert_allclose(result.tables["pairwise"].columns["chi2"], fitted.summary["test_statistic"], rtol=1e-10)
    assert result.facts["df"] == 2


def test_a_stratified_test_without_sites_is_the_sum_over_strata_of_pooled_tests(lung, federate):
    rows = lung[lung["ph.ecog"] < 3].dropna(subset=["ph.ecog"])
    result = federate(KAPLAN_MEIER, spec(by="sex", strata=["ph.ecog"]), TERMS, by_site(rows))
    pooled = rows.assign(site="s" + rows["ph.ecog"].astype(str))
    same = federate(KAPLAN_MEIER, spec(by="sex", strata="site"), TERMS, {"pooled": hospital(pooled)})
    assert result.facts["chi2"] == pytest.approx(same.facts["chi2"], rel=1e-12)


def test_with_a_minimum_the_curve_is_that_of_the_rows_moved_to_the_grid(lung, federate):
    terms = Terms(min_cell_count=5)
    result = federate(KAPLAN_MEIER, spec(), terms, by_site(lung))
    table = result.tables["survival"].columns
    grid, died = np.array(table["time"]), lung["status"] == 2
    ends = [grid[np.array(table[kind]) > 0] for kind in ("events", "censored")]
    moved = np.where(died, *(own[np.minimum(np.searchsorted(own, lung["time"]), len(own) - 1)] for own in ends))
    fitted = KaplanMeierFitter().fit(moved, lung["status"] == 2)
    np.testing.assert_allclose(table["survival"], fitted.survival_function_.loc[list(table["time"])].iloc[:, 0], rtol=1e-12)
    for name in ("events", "censored"):
        assert all(count == 0 or count >= 5 for count in table[name])
    assert "moved to the right end" in result.notes[0]


def test_a_horizon_ends_follow_up_for_everybody(lung, federate):
    result = federate(KAPLAN_MEIER, spec(horizon=365.0), TERMS, by_site(lung))
    table = result.tables["survival"].columns
    fitted = KaplanMeierFitter().fit(lung["time"].clip(upper=365.0), (lung["status"] == 2) & (lung["time"] <= 365))
    assert table["time"][-1] == 365.0
    np.testing.assert_allclose(table["survival"], fitted.survival_function_.loc[list(table["time"])].iloc[:, 0], rtol=1e-12)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abc"), min_size=60, max_size=60), st.integers(0, 3))
def test_how_rows_are_split_over_sites_does_not_matter(federate, places, least):
    rng = np.random.default_rng(least)
    frame = pd.DataFrame({"time": rng.integers(0, 30, 60), "status": rng.integers(1, 3, 60), "sex": rng.integers(0, 2, 60)})
    terms = Terms(min_cell_count=least)
    split = federate(KAPLAN_MEIER, spec(by="sex"), terms, by_site(frame.assign(site=places)))
    whole = federate(KAPLAN_MEIER, spec(by="sex"), terms, by_site(frame.assign(site="all")))
    assert split.failure == whole.failure
    assert split.tables == whole.tables
    assert split.facts == whole.facts


def test_a_variable_that_is_not_zero_and_one_is_no_event(lung, federate):
    with pytest.raises(DataError, match="values other than 0 and 1"):
        federate(KAPLAN_MEIER, spec(event="status"), TERMS, by_site(lung))


def test_times_below_zero_are_refused_without_their_value(federate):
    frame = pd.DataFrame({"time": [3.0, -17.25, 5.0], "status": [1, 1, 0], "site": "a"})
    result = federate(KAPLAN_MEIER, spec(event="status"), TERMS, by_site(frame))
    assert "below zero" in result.failure
    assert "17" not in result.failure


def test_a_rare_group_is_refused_without_its_label(federate):
    frame = pd.DataFrame({"time": np.arange(30.0), "status": 1, "arm": ["surgery"] * 28 + ["leeches"] * 2, "site": "a"})
    result = federate(KAPLAN_MEIER, spec(event="status", by="arm"), Terms(min_cell_count=5), by_site(frame))
    assert "1 of 2 levels have fewer than 5 rows" in result.failure
    assert "leeches" not in result.failure


def test_an_undeclared_label_is_refused_without_being_named(federate):
    frame = pd.DataFrame({"time": np.arange(30.0), "status": 1, "arm": ["surgery"] * 20 + ["leeches"] * 10, "site": "a"})
    terms = Terms(variables={"arm": Variable("category", ("surgery", "none"))})
    result = federate(KAPLAN_MEIER, spec(event="status", by="arm"), terms, by_site(frame))
    assert "some rows have a level that is not declared" in result.failure
    assert "leeches" not in result.failure


def test_too_fine_a_grid_is_refused_with_the_remedy(lung, federate):
    result = federate(KAPLAN_MEIER, spec(resolution=0.001), TERMS, by_site(lung))
    assert "Set a coarser resolution" in result.failure


def test_nobody_with_the_event_is_said(lung, federate):
    result = federate(KAPLAN_MEIER, spec(event="status == 3"), TERMS, by_site(lung))
    assert "no patient had the event" in result.failure


def test_a_site_without_rows_changes_nothing(lung, federate):
    sites = by_site(lung)
    result = federate(KAPLAN_MEIER, spec(by="sex", strata="site"), TERMS, sites)
    empty = {name: rows.where(np.zeros(rows.rows, bool)) for name, rows in list(sites.items())[:1]}
    again = federate(KAPLAN_MEIER, spec(by="sex", strata="site"), TERMS, {**sites, "empty": next(iter(empty.values()))})
    assert again.facts == pytest.approx(result.facts, rel=1e-14)


@pytest.mark.parametrize(
    "wrong", [{"by": "site", "strata": "site"}, {"strata": "site"}, {"event": "status =="}, {"confidence": 1.0}]
)
def test_settings_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(ValueError):
        spec(**wrong)


def test_declared_groups_keep_their_order(lung, federate):
    terms = Terms(min_cell_count=1, variables={"sex": Variable("category", ("2", "1"))})
    result = federate(KAPLAN_MEIER, spec(by="sex"), terms, by_site(lung))
    assert result.tables["logrank"].columns["group"] == ("2", "1")
