"""Estimates of sites put together equal the textbook's formulas on the list of estimates, though no list leaves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from lifelines.datasets import load_lung
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from huizhen.canonical import decode, encode
from huizhen.errors import NotEstimable, StudyError
from huizhen.methods.alone import alone
from huizhen.methods.compare import COMPARE, CompareSpec
from huizhen.methods.meta import META, MetaSpec, meta
from huizhen.methods.method import Local, ScriptedMethod, Spec, Use
from huizhen.privacy.release import Answer, Part, Question, Terms, Variable
from huizhen.privacy.result import Result, Table
from tables import hospital, shares

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/heart_disease"
TERMS = Terms(variables={"x": Variable("number"), "arm": Variable("category")}, max_degrees=0.33)


def patients(n=400, seed=1, sites=5):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"arm": rng.choice(["a", "b"], n)})
    parts = rng.integers(0, sites, n)
    frame["x"] = rng.normal(size=n) * (1 + 0.2 * parts) + (frame["arm"] == "b") * (0.3 + 0.3 * parts)
    return frame, parts


def each_alone(sites):
    spec = CompareSpec(variable="x", by="arm")
    tables = [alone(COMPARE, spec, TERMS, rows).tables["coefficients"].columns for rows in sites.values()]
    return np.array([t["coefficient"][0] for t in tables]), np.array([t["standard_error"][0] for t in tables])


def run(federate, sites, **extra):
    return federate(META, MetaSpec(of="compare", settings={"variable": "x", "by": "arm"}, **extra), TERMS, sites)


def test_fixed_and_random_effects_equal_statsmodels(federate):
    sites = shares(*patients())
    value, error = each_alone(sites)
    pooled = combine_effects(value, error**2, method_re="dl")
    result = run(federate, sites)
    fixed, random, spread = (result.tables[name].columns for name in ("fixed", "random", "heterogeneity"))
    assert fixed["coefficient"][0] == pytest.approx(pooled.mean_effect_fe, rel=1e-12)
    assert fixed["standard_error"][0] == pytest.approx(pooled.sd_eff_w_fe, rel=1e-12)
    assert random["coefficient"][0] == pytest.approx(pooled.mean_effect_re, rel=1e-11)
    assert random["standard_error"][0] == pytest.approx(pooled.sd_eff_w_re, rel=1e-11)
    assert spread["tau2"][0] == pytest.approx(pooled.tau2, rel=1e-10)
    assert spread["q"][0] == pytest.approx(pooled.q, rel=1e-11)
    assert spread["i2"][0] == pytest.approx(pooled.i2, rel=1e-10)
    assert spread["p_value"][0] == pytest.approx(stats.chi2.sf(pooled.q, 4), rel=1e-9)
    assert result.tables["coefficients"] == result.tables["random"]
    assert run(federate, sites, model="fixed").tables["coefficients"] == result.tables["fixed"]
    assert dict(result.facts) == {"sites": 5, "sites_estimable": 5}


def test_hartung_knapp_limits_equal_statsmodels(federate):
    sites = shares(*patients())
    value, error = each_alone(sites)
    pooled = combine_effects(value, error**2, method_re="dl", use_t=True)
    random = run(federate, sites, limits="hartung_knapp").tables["random"].columns
    assert random["standard_error"][0] == pytest.approx(pooled.sd_eff_w_re_hksj, rel=1e-10)
    low, high = pooled.conf_int()[3]
    assert (random["ci_low"][0], random["ci_high"][0]) == pytest.approx((low, high), rel=1e-9)


def test_one_table_of_several_sites_answers_as_the_sites_do(federate):
    frame, parts = patients()
    together = {"pooled": hospital(frame.assign(site=[f"s{part}" for part in parts]))}
    apart = run(federate, shares(frame, parts)).tables
    whole = run(federate, together).tables
    for name, table in whole.items():
        for title, column in table.columns.items():
            assert apart[name].columns[title] == (column if title == "term" else pytest.approx(column, rel=1e-12)), title


def test_each_sites_estimates_leave_only_when_asked_for_and_as_individual_releases(federate):
    frame, parts = patients()
    sites = shares(frame, parts)
    assert "sites" not in run(federate, sites).tables
    spec = MetaSpec(of="compare", settings={"variable": "x", "by": "arm"}, per_site=True)
    kinds = {}
    tables = federate(watched(META, spec, kinds), spec, TERMS, sites).tables
    assert {step for step, kind in kinds.items() if kind == {"individual"}} == {"per_site"}
    value, error = each_alone(sites)
    assert tables["sites"].columns["site"] == tuple(sites)
    assert tables["sites"].columns["coefficient"] == pytest.approx(value, rel=1e-12)
    assert tables["sites"].columns["weight"] == pytest.approx(error**-2 / (error**-2).sum(), rel=1e-11)


def watched(method, spec, kinds):
    """The method, with the kinds of what leaves noted by step."""

    def noting(step, name):
        def answer(question, examples, local, rng):
            found, local = step(question, examples, local, rng)
            kinds[name] = {part.kind for part in found.parts.values()}
            return found, local

        return answer

    steps = {name: noting(step, name) for name, step in method.steps.items()}
    return ScriptedMethod(method.name, method.spec, method.program, steps, method.reads, method.needs)


def test_a_site_that_cannot_estimate_its_own_model_counts_as_such_and_adds_nothing(federate):
    frame, parts = patients()
    sites = shares(frame, parts)
    lonely = {**sites, "s9": hospital(pd.DataFrame({"x": np.arange(20.0), "arm": ["a"] * 20, "site": ["s9"] * 20}))}
    with_it, without = run(federate, lonely, per_site=True), run(federate, sites)
    assert dict(with_it.facts) == {"sites": 6, "sites_estimable": 5}
    assert with_it.tables["random"] == without.tables["random"]
    assert "1 of 6 sites could not estimate" in with_it.notes[0]
    assert with_it.tables["sites"].columns["coefficient"][-1] is None
    assert "Not estimable by themselves: s9." in with_it.notes


def test_a_single_estimable_site_is_not_passed_off_as_a_pooled_estimate(federate):
    frame, _ = patients()
    sites = shares(frame.assign(arm=np.where(np.arange(400) < 200, frame["arm"], "a")), np.arange(400) // 200)
    assert "1 of 2 sites" in run(federate, sites).failure


def test_a_site_whose_own_first_level_differs_is_not_averaged_with_the_others(federate):
    frame, parts = patients()
    frame.loc[parts == 0, "arm"] = np.where(np.arange((parts == 0).sum()) % 2, "b", "c")
    result = federate(
        META, MetaSpec(of="compare", settings={"variable": "x", "by": "arm", "test": "welch"}), TERMS, shares(frame, parts)
    )
    value, error = each_alone({site: rows for site, rows in shares(frame, parts).items() if site != "s0"})
    assert result.tables["fixed"].columns["term"] == ("a - b",)
    assert any("single site" in note for note in result.notes)  # b - c is one site's own
    assert result.tables["fixed"].columns["coefficient"][0] == pytest.approx((value / error**2).sum() / (error**-2).sum())


def test_what_a_site_keeps_is_canonical_and_enough_to_go_on(federate):
    spec = MetaSpec(of="compare", settings={"variable": "x", "by": "arm"})
    sites = shares(*patients())
    expected = run(federate, sites).tables

    def forgetful(question, examples, local, rng):
        answer, after = META.steps[question.step](question, examples, Local(decode(encode(local.kept))), rng)
        return answer, Local(after.kept)

    steps = dict.fromkeys(META.steps, forgetful)
    method = ScriptedMethod("meta", META.spec, META.program, steps, META.reads, META.needs)
    assert federate(method, spec, TERMS, sites).tables == expected


def test_questions_are_canonical():
    state = META.begin(MetaSpec(of="compare", settings={"variable": "x", "by": "arm"}), TERMS)
    assert isinstance(encode(dict(META.ask(state).facts)), bytes)


def test_mistakes_in_the_inner_settings_are_named():
    with pytest.raises(StudyError, match=r"method.meta.settings.tset"):
        META.uses(MetaSpec(of="compare", settings={"variable": "x", "by": "arm", "tset": "welch"}))
    with pytest.raises(StudyError, match="expected one of: compare, cox, glm"):
        META.uses(MetaSpec(of="average"))


class LogisticSpec(Spec):
    outcome: str
    covariates: list[str]
    formula: str = ""


def newton(question, examples, local, rng):
    spec, beta = question.facts["spec"], question.facts["beta"]
    x = np.column_stack([np.ones(examples.rows), *(examples.number(name) for name in spec["covariates"])])
    mu = 1 / (1 + np.exp(-x @ beta))
    parts = {"score": x.T @ (examples.number(spec["outcome"]) - mu), "information": (x.T * (mu * (1 - mu))) @ x}
    return Answer({name: Part(value, examples.rows) for name, value in parts.items()}, examples.rows), local


def logistic_program(spec, terms):
    beta = np.zeros(len(spec.covariates) + 1)
    for _ in range(30):
        sums = (yield Question("logistic", "newton", {"spec": spec.model_dump(), "beta": beta})).sums
        if np.linalg.cond(sums["information"]) > 1e12:
            raise NotEstimable("separated")
        beta = beta + np.linalg.solve(sums["information"], sums["score"])
    error = np.sqrt(np.diag(np.linalg.inv(sums["information"])))
    columns = {"term": ("intercept", *spec.covariates), "coefficient": tuple(beta), "standard_error": tuple(error)}
    return Result("logistic", tables={"coefficients": Table(columns, "term")})


LOGISTIC = ScriptedMethod(
    "logistic",
    LogisticSpec,
    logistic_program,
    {"newton": newton},
    lambda spec: [Use(name, "number") for name in (spec.outcome, *spec.covariates)],
)


def test_a_model_with_too_many_coefficients_for_a_sites_rows_is_not_estimable_there(federate):
    frame, parts = patients()
    frame = frame.assign(y=(frame["arm"] == "b") * 1.0)[["x", "y"]]
    terms = Terms(variables={"x": Variable("number"), "y": Variable("number")}, max_degrees=0.01)
    spec = MetaSpec(of="logistic", settings={"outcome": "y", "covariates": ["x"]})
    assert "0 of 5 sites" in federate(meta({"logistic": LOGISTIC}), spec, terms, shares(frame, parts)).failure


def test_a_basis_that_each_site_would_fit_to_its_own_rows_is_refused(federate):
    frame, parts = patients()
    spec = MetaSpec(of="logistic", settings={"outcome": "x", "covariates": ["x"], "formula": "y ~ bs(x, 4) + scale(z)"})
    result = federate(meta({"logistic": LOGISTIC}), spec, TERMS, shares(frame, parts))
    assert "bs(), scale()" in result.failure


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20), holders=st.integers(1, 4))
def test_who_holds_which_sites_does_not_matter(federate, seed, holders):
    frame, parts = patients(200, seed)
    frame = frame.assign(site=[f"s{part}" for part in parts])
    held = {f"h{h}": hospital(frame[parts % holders == h]) for h in range(holders)}
    apart, whole = run(federate, held), run(federate, {"all": hospital(frame)})
    assert apart.facts == whole.facts
    for title, column in whole.tables["heterogeneity"].columns.items():
        if title != "term":
            assert apart.tables["heterogeneity"].columns[title] == pytest.approx(column, rel=1e-9, abs=1e-12)


@pytest.mark.shared_data
def test_three_hospitals_agree_with_the_published_meta_analysis(federate):
    if not SHARED.exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    reference = json.loads((SHARED / "reference_values.json").read_text())["meta_reduced_3centres"]
    frame = pd.read_csv(SHARED / "flamby_prepared.csv")
    frame = frame[frame["centre"] != 2]  # one class nearly alone
    names = reference["names"]
    terms = Terms(variables={name: Variable("number") for name in [*names[1:], "y"]})
    spec = MetaSpec(of="logistic", settings={"outcome": "y", "covariates": names[1:]})
    tables = federate(meta({"logistic": LOGISTIC}), spec, terms, shares(frame[[*names[1:], "y"]], frame["centre"])).tables
    order = [tables["fixed"].columns["term"].index(name) for name in names]
    for table, title, key in (
        ("fixed", "coefficient", "fixed"),
        ("fixed", "standard_error", "fixed_se"),
        ("random", "coefficient", "random"),
        ("random", "standard_error", "random_se"),
        ("heterogeneity", "q", "Q"),
        ("heterogeneity", "i2", "I2"),
        ("heterogeneity", "tau2", "tau2_DL"),
    ):
        found = np.array(tables[table].columns[title])[order]
        np.testing.assert_allclose(found, reference[key], rtol=1e-8, err_msg=f"{table} {title}")


@pytest.mark.shared_data
def test_a_hospital_with_one_class_nearly_alone_is_recognised_and_left_out(federate):
    if not SHARED.exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    reference = json.loads((SHARED / "reference_values.json").read_text())["meta_reduced_3centres"]
    frame = pd.read_csv(SHARED / "flamby_prepared.csv")
    names = reference["names"][1:]
    terms = Terms(variables={name: Variable("number") for name in [*names, "y"]})
    spec = MetaSpec(of="glm", settings={"formula": f"y ~ {' + '.join(names)}", "family": "binomial"})
    result = federate(META, spec, terms, shares(frame[[*names, "y"]], frame["centre"]))
    assert dict(result.facts) == {"sites": 4, "sites_estimable": 3}
    columns = result.tables["random"].columns
    found = dict(zip(columns["term"], columns["coefficient"]))
    assert [found[name] for name in names] == pytest.approx(reference["random"][1:], rel=1e-8)
    assert columns["odds_ratio"] == pytest.approx(np.exp(columns["coefficient"]))


def test_hazards_are_estimated_on_each_sites_own_times(federate):
    lung = load_lung()[["inst", "time", "status", "age", "sex"]].dropna()
    lung = lung[lung["inst"].isin([1, 3, 12])].astype({"inst": int})
    terms = Terms(variables={name: Variable("number") for name in ("time", "status", "age", "sex")})
    spec = MetaSpec(of="cox", settings={"time": "time", "event": "status == 1", "covariates": ["age", "sex"]}, per_site=True)
    tables = federate(META, spec, terms, shares(lung.drop(columns="inst"), lung["inst"])).tables
    each = [CoxPHFitter().fit(rows.drop(columns="inst"), "time", "status") for _, rows in lung.groupby("inst")]
    expected = [value for fit in each for value in fit.params_]
    # lifelines stops its Newton steps at about five digits here
    assert tables["sites"].columns["site"] == ("s1", "s1", "s12", "s12", "s3", "s3")
    rearranged = [*expected[:2], *expected[4:], *expected[2:4]]
    assert list(tables["sites"].columns["coefficient"]) == pytest.approx(rearranged, rel=1e-4)
    assert "hazard_ratio" in tables["coefficients"].columns


def test_alone_leaves_out_rows_that_miss_what_the_method_needs():
    frame = pd.DataFrame({"x": [1.0, 2, 4, np.nan, 7, 9, 3, 8, 1, 2, 3], "arm": list("aaaaabbbbbb")})
    result = alone(
        COMPARE, CompareSpec(variable="x", by="arm"), Terms(min_cell_count=2, variables=TERMS.variables), hospital(frame)
    )
    assert result.rows == 10
    assert result.roster == ("alone",)
    complete = frame.dropna()
    expected = stats.ttest_ind(*(rows["x"] for _, rows in complete.groupby("arm")), equal_var=False)
    assert result.facts["t"] == pytest.approx(expected.statistic, rel=1e-12)
