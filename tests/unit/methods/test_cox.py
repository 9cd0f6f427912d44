"""Cox regression over several sites, against R, lifelines and statsmodels on the pooled rows."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import CoxPHFitter
from lifelines.datasets import load_lung, load_rossi
from lifelines.statistics import proportional_hazard_test
from statsmodels.duration.hazard_regression import PHReg

from huizhen.data.examples import Examples, Numbers
from huizhen.methods.cox import COX
from huizhen.methods.hazards.prediction import linear_predictor, partial_hazard, survival
from huizhen.methods.survival.timegrid import merge
from huizhen.privacy.release import Terms, Variable
from tables import by_site, hospital

TERMS = Terms(min_cell_count=1)
# lifelines looks at the relative gain in likelihood first and so stops at seven to eight digits, whatever it is told
PRECISE = {"fit_options": {"precision": 1e-14, "r_precision": 1e-15, "step_size": 1.0}}
TRANSFORMS = ("identity", "log", "km", "rank")


@pytest.fixture(scope="module")
def lung():
    frame = load_lung().rename(columns={"inst": "site", "ph.ecog": "ecog"})
    frame = frame[["site", "time", "status", "age", "sex", "ecog"]]
    return frame.dropna(subset=["ecog"]).assign(site="inst-" + frame["site"].fillna(0).astype(int).astype(str))


@pytest.fixture(scope="module")
def known(lung):
    """The rows whose institution is known."""
    return lung[lung["site"] != "inst-0"]


@pytest.fixture
def fit(federate):
    def run(frame, terms=TERMS, **settings):
        sites = frame if isinstance(frame, dict) else by_site(frame)
        if "covariates" not in settings:
            settings = {"formula": "~ age + sex + ecog", **settings}
        return federate(COX, COX.spec(**{"time": "time", "event": "status", **settings}), terms, sites)

    return run


def coefficients(result):
    assert result.failure == ""
    table = result.tables["coefficients"].columns
    return np.array(table["coefficient"]), np.array(table["standard_error"])


def zph(result, transform):
    table = result.tables["proportional_hazards"].columns
    return [value for name, value in zip(table["transform"], table["chi2"]) if name == transform]


# The numbers of R are those of R 4.2 with survival 3.5-3 and coxph.control(eps = 1e-14, iter.max = 50).


def test_efron_is_that_of_r(lung, fit):
    result = fit(lung)
    estimate, error = coefficients(result)
    np.testing.assert_allclose(estimate, [0.011066764596118644, -0.552612395531837053, 0.463728475115732175], rtol=1e-12)
    np.testing.assert_allclose(error, [0.0092674110143656993, 0.1677390537834222706, 0.1135772661613712459], rtol=1e-12)
    expected = {
        "rows": 227,
        "events": 164,
        "loglik_null": -744.48045576144023,
        "loglik": -729.23012137486171,
        "score_chi2": 30.499922704949103,
        "wald_chi2": 29.92925119757582,
        "aic": 1464.4602427497234,
        "bic": 1473.759842033196,
    }
    assert {name: result.facts[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert result.facts["lr_chi2"] == pytest.approx(2 * (744.48045576144023 - 729.23012137486171), rel=1e-10)


def test_breslow_is_that_of_r(lung, fit):
    result = fit(lung, ties="breslow")
    estimate, error = coefficients(result)
    np.testing.assert_allclose(estimate, [0.011041136385707521, -0.551889569637656008, 0.462947040334549864], rtol=1e-12)
    np.testing.assert_allclose(error, [0.009266770114202268, 0.167742448017827755, 0.113574052060579647], rtol=1e-12)


def test_robust_errors_are_those_of_r(lung, known, fit):
    _, by_row = coefficients(fit(lung, standard_errors="robust"))
    np.testing.assert_allclose(by_row, [0.0098813927800556634, 0.1647484279499472071, 0.1241588486023233739], rtol=1e-11)
    # coxph(..., cluster = inst)
    _, by_site_ = coefficients(fit(known, standard_errors="robust by site"))
    np.testing.assert_allclose(by_site_, [0.0068887270563309944, 0.1122866799070335458, 0.1176159532712614947], rtol=1e-11)
    # coxph(... + strata(inst), cluster = inst)
    _, stratified = coefficients(fit(known, strata="site", standard_errors="robust by site"))
    np.testing.assert_allclose(stratified, [0.0071184795553037011, 0.0980577624554821309, 0.1421990756277508317], rtol=1e-11)


def test_strata_by_site_are_those_of_r_and_need_no_grid(known, fit):
    for sites in (by_site(known), {"pooled": hospital(known)}):
        result = fit(sites, strata="site", resolution=1000.0)
        estimate, error = coefficients(result)
        np.testing.assert_allclose(estimate, [0.0095613416965579096, -0.5473566768489542822, 0.5972532446804122985], rtol=1e-12)
        np.testing.assert_allclose(error, [0.010291850905659886, 0.181844719206825128, 0.137822833004720202], rtol=1e-12)
        # f$concordance: 1032 concordant, 514 discordant, 10 tied pairs
        assert result.facts["concordance"] == pytest.approx((1032 + 10 / 2) / 1556, rel=1e-15)
        assert result.facts["concordance_se"] == pytest.approx(0.030860506462651052, rel=1e-12)
        assert result.facts["concordance_error_bound"] == 0.0


def test_strata_of_a_variable_and_a_factor_are_those_of_r(lung, fit):
    result = fit(lung[lung["ecog"] < 3], formula="~ age + C(ecog)", strata=["sex"], proportional_hazards="km")
    estimate, error = coefficients(result)
    np.testing.assert_allclose(estimate, [0.01010822771222309, 0.36524883753890491, 0.89867383941783008], rtol=1e-11)
    np.testing.assert_allclose(error, [0.0092917083208823407, 0.2010966825416720949, 0.2283531532767573424], rtol=1e-11)
    # cox.zph(f, "km"): the factor is one term of two degrees of freedom
    np.testing.assert_allclose(zph(result, "km"), [0.1172040561418171, 2.3667167983508786, 2.3751620605981305], rtol=1e-9)
    assert result.tables["proportional_hazards"].columns["df"] == (1, 2, 3)


def test_weights_are_those_of_r(fit):
    whole = load_lung()[["time", "status", "age", "sex"]].assign(site="a")
    whole["w"] = 1 + (np.arange(1, len(whole) + 1) % 3) / 2
    result = fit(whole, formula="~ age + sex", weights="w")
    np.testing.assert_allclose(coefficients(result)[0], [0.019130459501329838, -0.614294053324585976], rtol=1e-12)
    np.testing.assert_allclose(coefficients(result)[1], [0.0076287653401397306, 0.1395211042126096590], rtol=1e-12)
    robust = fit(whole, formula="~ age + sex", weights="w", standard_errors="robust", strata="site")
    np.testing.assert_allclose(coefficients(robust)[1], [0.0093812665739389667, 0.1707725085006299992], rtol=1e-11)
    assert robust.facts["concordance"] == pytest.approx(0.61335837774455815, rel=1e-12)
    assert robust.facts["concordance_se"] == pytest.approx(0.026019345731168503, rel=1e-11)


def test_a_ridge_penalty_is_that_of_r(fit):
    whole = load_lung()[["time", "status", "age", "sex"]].assign(site="a")
    # coxph(Surv(time, status) ~ ridge(age, sex, theta = 20, scale = FALSE))
    result = fit(whole, formula="~ age + sex", ridge=20)
    np.testing.assert_allclose(coefficients(result)[0], [0.017581329237185764, -0.332296998338742655], rtol=1e-9)
    np.testing.assert_allclose(coefficients(result)[1], [0.0092065226524105596, 0.1316173236385883571], rtol=1e-9)
    assert result.facts["loglik"] == pytest.approx(-743.44370719945232, rel=1e-10)
    assert "only indicative" in " ".join(result.notes)


def test_the_score_test_of_proportional_hazards_is_that_of_r(lung, known, fit):
    result = fit(lung, proportional_hazards=list(TRANSFORMS))
    # cox.zph(f, transform)$table: age, sex, ecog, GLOBAL
    expected = {
        "identity": [0.15235031715101927, 2.49191321650826580, 1.57823523825260348, 4.11938295093638018],
        "log": [3.37363401089742965, 2.03493687835780745, 0.37049632473414668, 5.38982142764135652],
        "km": [0.1879876735605050, 2.3054372267748011, 2.0542487738627755, 4.4636575881619986],
        "rank": [0.11729150691840401, 2.04469467962334761, 2.54487838839253697, 4.71068014071902397],
    }
    for transform in TRANSFORMS:
        np.testing.assert_allclose(zph(result, transform), expected[transform], rtol=1e-8)
    stratified = fit(known, strata="site", proportional_hazards=list(TRANSFORMS))
    expected = {
        "identity": [0.067325332400235915, 2.084288452514850398, 1.082075296694847477, 3.776455736641354033],
        "log": [2.844764788608218797, 1.027556764359574215, 0.071228590160406169, 3.659423657719013345],
        "km": [0.1058466729310869, 1.4915686087140221, 1.3077551896954067, 3.1745455423654629],
        "rank": [0.060748847703382299, 1.139444380136138246, 1.654824038441506495, 3.104023098885963172],
    }
    for transform in TRANSFORMS:
        np.testing.assert_allclose(zph(stratified, transform), expected[transform], rtol=1e-9)


def test_survival_and_baseline_are_those_of_r(lung, fit):
    result = fit(lung)
    baseline = result.tables["baseline"].columns
    # tail(basehaz(f, centered = FALSE)): 2.0776 from the last event at time 883 on
    assert baseline["time"][-1] == 883.0
    assert baseline["at_zero"][-1] == pytest.approx(2.0776278757337012, rel=1e-11)
    patient = Examples({name: Numbers(np.array([value])) for name, value in (("age", 60.0), ("sex", 1.0), ("ecog", 1.0))}, 1)
    # summary(survfit(f, newdata), times = c(100, 500))$surv
    np.testing.assert_allclose(survival(result, patient, [100, 500])[0], [0.85093878728917127, 0.22192565028224301], rtol=1e-11)
    stratified = fit(lung[lung["ecog"] < 3], formula="~ age + C(ecog)", strata=["sex"])
    woman = Examples({name: Numbers(np.array([value])) for name, value in (("age", 60.0), ("sex", 2.0), ("ecog", 1.0))}, 1)
    found = survival(stratified, woman, [100, 500])[0]
    np.testing.assert_allclose(found, [0.92950966969413396, 0.44044549971136066], rtol=1e-10)


def test_lifelines_gives_the_same_on_other_data(fit):
    rossi = load_rossi().assign(site=["abc"[row % 3] for row in range(432)])
    names = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    result = fit(rossi, time="week", event="arrest", covariates=names, proportional_hazards=["identity", "log", "km"])
    fitted = CoxPHFitter().fit(rossi[["week", "arrest", *names]], "week", "arrest", **PRECISE)
    estimate, error = coefficients(result)
    np.testing.assert_allclose(estimate, fitted.params_, rtol=1e-7)
    np.testing.assert_allclose(error, fitted.standard_errors_, rtol=1e-8)
    # R: coef(coxph(Surv(week, arrest) ~ fin + age + race + wexp + mar + paro + prio))
    exact = [-0.379422166871205058, -0.057437743013761498, 0.313899785949301957, -0.149795697222782187]
    np.testing.assert_allclose(estimate[:4], exact, rtol=1e-12)
    assert result.facts["loglik"] == pytest.approx(fitted.log_likelihood_, rel=1e-12)
    assert result.facts["aic"] == pytest.approx(fitted.AIC_partial_, rel=1e-12)
    low, high = fitted.confidence_intervals_.to_numpy().T
    np.testing.assert_allclose(result.tables["coefficients"].columns["ci_low"], low, rtol=1e-6)
    np.testing.assert_allclose(result.tables["coefficients"].columns["hr_high"], np.exp(high), rtol=1e-7)
    correlation = result.tables["proportional_hazards_correlation"].columns
    for transform in ("identity", "log", "km"):
        test = proportional_hazard_test(fitted, rossi[["week", "arrest", *names]], time_transform=transform)
        found = [value for name, value in zip(correlation["transform"], correlation["chi2"]) if name == transform]
        np.testing.assert_allclose(found, test.test_statistic, rtol=1e-6)
    baseline = result.tables["baseline"].columns
    steps = fitted.baseline_cumulative_hazard_.loc[list(baseline["time"])].iloc[:, 0]
    np.testing.assert_allclose(baseline["breslow"], steps, rtol=1e-7)
    everyone = hospital(rossi)
    np.testing.assert_allclose(linear_predictor(result, everyone), fitted.predict_log_partial_hazard(rossi), atol=1e-7)
    np.testing.assert_allclose(partial_hazard(result, everyone), fitted.predict_partial_hazard(rossi), rtol=1e-7)
    assert abs(result.facts["concordance"] - fitted.concordance_index_) <= result.facts["concordance_error_bound"]


def test_lifelines_gives_the_same_with_strata(fit):
    rossi = load_rossi().assign(site=["abc"[row % 3] for row in range(432)])
    result = fit(rossi, time="week", event="arrest", covariates=["age", "prio", "fin"], strata=["wexp", "race"])
    columns = ["week", "arrest", "age", "prio", "fin", "wexp", "race"]
    fitted = CoxPHFitter().fit(rossi[columns], "week", "arrest", strata=["wexp", "race"], **PRECISE)
    np.testing.assert_allclose(coefficients(result)[0], fitted.params_.loc[["age", "prio", "fin"]], rtol=1e-7)
    np.testing.assert_allclose(coefficients(result)[1], fitted.standard_errors_.loc[["age", "prio", "fin"]], rtol=1e-7)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_statsmodels_gives_the_same(lung, fit, ties):
    result = fit(lung, ties=ties)
    model = PHReg(lung["time"], lung[["age", "sex", "ecog"]], lung["status"], ties=ties)
    fitted = model.fit(method="newton", tol=1e-12)
    np.testing.assert_allclose(coefficients(result)[0], fitted.params, rtol=1e-8)
    np.testing.assert_allclose(coefficients(result)[1], fitted.bse, rtol=1e-8)
    assert result.facts["loglik"] == pytest.approx(fitted.llf, rel=1e-12)


def test_tests_by_term_compare_with_the_model_without_it(lung, fit):
    frame = lung[lung["ecog"] < 3]
    result = fit(frame, formula="~ age + sex + C(ecog)", tests=["wald", "likelihood-ratio"])
    table = result.tables["tests"].columns
    assert table["term"][:3] == ("age", "sex", "ecog")
    assert (table["test"], table["df"]) == (("wald",) * 3 + ("likelihood-ratio",) * 3, (1, 1, 2) * 2)
    without = fit(frame, formula="~ age + sex")
    assert table["statistic"][5] == pytest.approx(2 * (result.facts["loglik"] - without.facts["loglik"]), rel=1e-10)
    z = np.array(result.tables["coefficients"].columns["z"])
    np.testing.assert_allclose(table["statistic"][:2], z[:2] ** 2, rtol=1e-12)
    product = fit(frame, formula="~ age*sex", tests="likelihood-ratio").tables["tests"].columns
    # a main effect is tested in the model without the product
    both, age = fit(frame, formula="~ age + sex").facts["loglik"], fit(frame, formula="~ age").facts["loglik"]
    assert product["statistic"][1] == pytest.approx(2 * (both - age), rel=1e-9)


def test_with_a_minimum_the_model_is_that_of_the_rows_moved_to_the_grid(lung, fit):
    result = fit(lung, terms=Terms(min_cell_count=5))
    assert len(result.tables["baseline"].columns["time"]) < 40
    died = (lung["status"] == lung["status"].max()).to_numpy()
    counts = np.stack([np.bincount(lung["time"][kind].astype(int), minlength=1100)[np.newaxis] for kind in (died, ~died)])
    grid = merge(counts, 1.0, 5)
    ends = (grid.event_ends, grid.censored_ends)
    moved = lung.assign(
        time=np.where(died, *(own[np.minimum(np.searchsorted(own, lung["time"]), len(own) - 1)] for own in ends)).astype(float)
    )
    np.testing.assert_allclose(coefficients(result)[0], coefficients(fit(moved))[0], rtol=1e-10)
    np.testing.assert_allclose(coefficients(result)[1], coefficients(fit(moved))[1], rtol=1e-10)
    assert "moved to the right end" in result.notes[0]


def test_declared_levels_give_the_reference(lung, fit):
    terms = Terms(min_cell_count=1, variables={"sex": Variable("category", ("2", "1"))})
    result = fit(lung, formula="~ age + sex", terms=terms)
    assert result.tables["coefficients"].columns["term"] == ("age", "sex[1]")


def test_a_site_without_events_takes_part_in_concordance(fit, known):
    quiet = known.assign(site=np.where(known["status"] == 1, known["site"], "quiet"))
    result = fit(quiet)
    assert result.failure == ""
    exact = fit(known).facts["concordance"]
    assert result.facts["concordance"] == pytest.approx(exact, rel=1e-12)


def test_concordance_of_sites_as_clusters_has_their_standard_error(fit, known):
    # coxph(Surv(time, status) ~ age + sex + strata(inst), lung, cluster = inst, subset = !is.na(inst + ph.ecog))$concordance
    result = fit(known, formula="~ age + sex", strata="site", standard_errors="robust by site")
    assert result.facts["concordance"] == pytest.approx(0.61535989717223649, rel=1e-10)
    assert result.facts["concordance_se"] == pytest.approx(0.03421019245827496, rel=1e-10)
