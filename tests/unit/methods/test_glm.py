"""Against statsmodels and scipy on the pooled rows."""

import re

import numpy as np
import pandas as pd
import patsy
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from huizhen import canonical
from huizhen.methods.glm import GLM, GlmSpec, linear_predictor, predict
from huizhen.methods.method import Local
from huizhen.privacy.release import Variable

FAMILIES = {
    "gaussian": sm.families.Gaussian,
    "binomial": sm.families.Binomial,
    "poisson": sm.families.Poisson,
    "gamma": sm.families.Gamma,
}
LINKS = {
    "identity": sm.families.links.Identity,
    "log": sm.families.links.Log,
    "inverse": sm.families.links.InversePower,
    "logit": sm.families.links.Logit,
    "probit": sm.families.links.Probit,
    "cloglog": sm.families.links.CLogLog,
}
CONCENTRATED = [("gaussian", "log"), ("gaussian", "inverse")]
CASES = [
    {"formula": "died ~ age + bmi*stage", "family": "binomial"},
    {"formula": "died ~ 0 + stage + age", "family": "binomial"},
    {"formula": "died ~ age + stage + C(grade)", "family": "binomial", "link": "probit"},
    {"formula": "died ~ age + sex", "family": "binomial", "link": "cloglog"},
    {"formula": "died ~ stage", "family": "binomial", "link": "identity"},
    {"formula": "died ~ sex", "family": "binomial", "link": "log"},
    {"formula": "died ~ age", "family": "binomial", "offset": "log_exposure"},
    {"formula": "died ~ age + site", "family": "binomial", "weights": "trials", "weights_kind": "frequency"},
    {"formula": "visits ~ age + stage*sex", "family": "poisson", "offset": "log_exposure"},
    {"formula": "visits ~ age + stage", "family": "poisson", "offset": "log_exposure", "weights": "trials"},
    {"formula": "visits ~ age + stage", "family": "poisson", "weights": "trials", "weights_kind": "frequency"},
    {"formula": "visits ~ stage", "family": "poisson", "link": "identity"},
    {"formula": "days ~ age + stage", "family": "gamma"},
    {"formula": "days ~ age + stage", "family": "gamma", "link": "log", "weights": "trials"},
    {"formula": "days ~ age + stage", "family": "gamma", "link": "identity"},
    {"formula": "days ~ age + stage", "family": "gamma", "link": "log", "offset": "log_exposure"},
    {"formula": "pressure ~ age + bmi + stage*sex", "family": "gaussian"},
    {"formula": "pressure ~ age + stage", "family": "gaussian", "weights": "exposure"},
    {"formula": "pressure ~ age + stage", "family": "gaussian", "weights": "trials", "weights_kind": "frequency"},
    {"formula": "pressure ~ age + stage - 1", "family": "gaussian"},
    {"formula": "pressure ~ age + bmi", "family": "gaussian", "link": "log"},
    {"formula": "pressure ~ age + bmi", "family": "gaussian", "link": "inverse"},
    {"formula": "share ~ age + stage", "family": "binomial", "weights": "trials"},
]


@pytest.fixture
def fit(federate, sites_of, terms_of):
    def run(frame, least=5, **spec):
        result = federate(GLM, GlmSpec(**spec), terms_of(frame, least), sites_of(frame))
        assert not result.failure
        return result

    return run


def pooled_design(result, frame, formula):
    """Columns by patsy, in the order of the result."""
    response, columns = patsy.dmatrices(formula, frame, return_type="dataframe")
    columns.columns = [re.sub(r"C\((\w+)\)", r"\1", re.sub(r"\[T\.([^.\]]+)(\.0)?\]", r"[\1]", name)) for name in columns.columns]
    return response.iloc[:, 0].to_numpy(), columns[list(column(result, "term"))].to_numpy()


def reference(result, frame, formula, family, link="", offset="", weights="", weights_kind="prior"):
    response, columns = pooled_design(result, frame, formula)
    options = {"offset": frame[offset].to_numpy()} if offset else {}
    if weights:
        options["freq_weights" if weights_kind == "frequency" else "var_weights"] = frame[weights].to_numpy()
    known = FAMILIES[family](LINKS[link]()) if link else FAMILIES[family]()
    return sm.GLM(response, columns, family=known, **options)


def column(result, name, table="coefficients"):
    return np.array(result.tables[table].columns[name])


def close(mine, theirs, rtol=1e-9):
    return np.allclose(mine, theirs, rtol=rtol, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*does not respect the domain")
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(str(part) for part in case.values()))
def test_it_equals_statsmodels_on_the_pooled_rows(patients, fit, case):
    result = fit(patients, **case)
    model = reference(result, patients, **case)
    theirs = model.fit(tol=1e-13, tol_criterion="params", maxiter=200)
    facts = result.facts
    assert close(column(result, "coefficient"), theirs.params)
    assert close(column(result, "standard_error"), theirs.bse)
    assert close(result.arrays["covariance"], theirs.cov_params())
    assert close(facts["deviance"], theirs.deviance)
    assert close(facts["pearson_chi2"], theirs.pearson_chi2)
    assert close(facts["dispersion"], theirs.scale)
    assert facts["df_residual"] == theirs.df_resid
    if "Intercept" in column(result, "term"):
        # Without an intercept R's null model has no intercept either, statsmodels' has.
        assert close(facts["null_deviance"], theirs.null_deviance)
        assert facts["df_null"] == facts["n"] - 1
    # statsmodels takes the likelihood at another dispersion there, or without the number of ways to get so many of the trials.
    if case["family"] != "gamma" and "share" not in case["formula"] and (case["family"], case.get("link", "")) not in CONCENTRATED:
        assert close(facts["loglik"], theirs.llf)
        assert close(facts.get("aic_without_dispersion", facts["aic"]), theirs.aic)
    statistic = theirs.params / theirs.bse
    if case["family"] in ("gaussian", "gamma"):
        assert close(column(result, "t"), statistic)
        assert close(column(result, "p_value"), 2 * scipy.stats.t.sf(np.abs(statistic), theirs.df_resid), rtol=1e-8)
        reach = scipy.stats.t.ppf(0.975, theirs.df_resid) * theirs.bse
    else:
        assert close(column(result, "z"), statistic)
        assert close(column(result, "p_value"), theirs.pvalues, rtol=1e-8)
        reach = scipy.stats.norm.ppf(0.975) * theirs.bse
    assert close(column(result, "ci_low"), theirs.params - reach)
    assert close(column(result, "ci_high"), theirs.params + reach)


@pytest.mark.filterwarnings("ignore:.*does not respect the domain")
@pytest.mark.parametrize("standard_errors", ["robust", "robust-hc1"])
@pytest.mark.parametrize("case", [CASES[0], CASES[8], CASES[12], CASES[16]], ids=lambda case: case["family"])
def test_robust_standard_errors_equal_statsmodels_for_canonical_links(patients, fit, case, standard_errors):
    result = fit(patients, **case, standard_errors=standard_errors)
    theirs = reference(result, patients, **case).fit(tol=1e-13, tol_criterion="params", cov_type="HC0")
    # statsmodels' GLM leaves the factor of HC1 out; its OLS has it.
    factor = 900 / theirs.df_resid if standard_errors == "robust-hc1" else 1.0
    assert close(result.arrays["covariance"], factor * theirs.cov_params())
    if (case["family"], standard_errors) == ("gaussian", "robust-hc1"):
        ols = sm.OLS(*pooled_design(result, patients, case["formula"])).fit(cov_type="HC1")
        assert close(result.arrays["covariance"], ols.cov_params())


def test_robust_standard_errors_use_the_expected_information_as_rs_sandwich_does(patients, fit):
    case = {"formula": "died ~ age + stage", "family": "binomial", "link": "probit"}
    result = fit(patients, **case, standard_errors="robust")
    y, x = pooled_design(result, patients, case["formula"])
    eta = x @ column(result, "coefficient")
    mean, slope = scipy.stats.norm.cdf(eta), scipy.stats.norm.pdf(eta)
    variance = mean * (1 - mean)
    bread = np.linalg.inv(x.T * (slope**2 / variance) @ x)
    scores = x * ((y - mean) * slope / variance)[:, None]
    assert close(result.arrays["covariance"], bread @ scores.T @ scores @ bread)


def test_frequency_weights_equal_so_many_rows_also_for_robust_standard_errors(patients, fit):
    spec = {"formula": "pressure ~ age + stage", "family": "gaussian", "standard_errors": "robust-hc1", "tests": ["wald"]}
    repeated = patients.loc[patients.index.repeat(patients.trials.astype(int))].reset_index(drop=True)
    once = fit(patients, **spec, weights="trials", weights_kind="frequency")
    many = fit(repeated, **spec)
    assert close(once.arrays["covariance"], many.arrays["covariance"])
    same = [name for name, value in many.facts.items() if isinstance(value, float)]
    assert len(same) > 10
    assert all(once.facts[name] == pytest.approx(many.facts[name], rel=1e-10) for name in same)


def test_the_gamma_likelihood_is_rs(patients, fit):
    result = fit(patients, formula="days ~ age", family="gamma", weights="trials")
    y, x = pooled_design(result, patients, "days ~ age")
    mean, weights = 1 / (x @ column(result, "coefficient")), patients.trials.to_numpy()
    dispersion = result.facts["deviance"] / weights.sum()
    likelihood = weights @ scipy.stats.gamma.logpdf(y, 1 / dispersion, scale=mean * dispersion)
    assert close(result.facts["loglik"], likelihood)
    assert close(result.facts["aic"], -2 * likelihood + 2 * 3)
    assert close(result.facts["bic"], -2 * likelihood + np.log(900) * 3)


def test_the_likelihood_of_proportions_is_that_of_so_many_trials(patients, fit):
    result = fit(patients, formula="share ~ age + stage", family="binomial", weights="trials")
    y, x = pooled_design(result, patients, "share ~ age + stage")
    mean, trials = 1 / (1 + np.exp(-x @ column(result, "coefficient"))), patients.trials.to_numpy()
    assert close(result.facts["loglik"], scipy.stats.binom.logpmf(np.rint(y * trials), trials, mean).sum())


def test_linear_regression_tells_r2_and_its_f_test_as_ols(patients, fit):
    result = fit(patients, formula="pressure ~ age + stage", family="gaussian")
    theirs = sm.OLS(*pooled_design(result, patients, "pressure ~ age + stage")).fit()
    for name, value in {
        "r2": theirs.rsquared,
        "adjusted_r2": theirs.rsquared_adj,
        "f_statistic": theirs.fvalue,
        "f_p": theirs.f_pvalue,
        "bic": theirs.bic + np.log(900),
    }.items():
        assert close(result.facts[name], value), name


def test_logistic_regression_tells_odds_ratios_and_mcfaddens_r2(patients, fit):
    result = fit(patients, formula="died ~ age + stage", family="binomial", confidence=0.9)
    theirs = sm.Logit(*pooled_design(result, patients, "died ~ age + stage")).fit(disp=False, tol=1e-14)
    assert close(result.facts["pseudo_r2"], theirs.prsquared)
    assert close(result.facts["lr_chi2"], theirs.llr)
    assert close(result.facts["lr_p"], theirs.llr_pvalue)
    assert close(result.facts["bic"], theirs.bic)
    assert close(column(result, "odds_ratio"), np.exp(theirs.params))
    assert close(np.column_stack([column(result, "or_low"), column(result, "or_high")]), np.exp(theirs.conf_int(alpha=0.1)))


def test_without_an_intercept_the_null_model_is_the_offset_alone_as_in_r(patients, fit):
    result = fit(patients, formula="died ~ 0 + age", family="binomial")
    assert close(result.facts["null_deviance"], 2 * 900 * np.log(2))
    assert result.facts["df_null"] == 900
    share = patients.died.mean()
    mean_only = 900 * (share * np.log(share) + (1 - share) * np.log(1 - share))
    assert close(result.facts["pseudo_r2"], 1 - result.facts["loglik"] / mean_only)


def test_terms_are_tested_as_a_whole(patients, fit):
    spec = {"family": "binomial", "site_effects": True}
    result = fit(patients, formula="died ~ age*stage + bmi", tests=["wald", "likelihood-ratio"], **spec)
    tests = {
        (term, test): place
        for place, (term, test) in enumerate(zip(column(result, "term", "tests"), column(result, "test", "tests")))
    }
    statistic, df = column(result, "statistic", "tests"), column(result, "df", "tests")

    def deviance(formula):
        return fit(patients, formula=formula, **spec).facts["deviance"]

    main = deviance("died ~ age + stage + bmi")
    expected = {
        "age": deviance("died ~ stage + bmi") - main,
        "stage": deviance("died ~ age + bmi") - main,
        "bmi": deviance("died ~ age*stage") - result.facts["deviance"],
        "age:stage": main - result.facts["deviance"],
    }
    for term, value in expected.items():
        assert close(statistic[tests[term, "likelihood-ratio"]], value, rtol=1e-7)
    assert df[tests["site", "wald"]] == 2
    places = [place for place, name in enumerate(column(result, "term")) if name in ("age:stage[II]", "age:stage[III]")]
    chosen, covariance = column(result, "coefficient")[places], result.arrays["covariance"][np.ix_(places, places)]
    assert close(statistic[tests["age:stage", "wald"]], chosen @ np.linalg.inv(covariance) @ chosen)
    assert close(
        column(result, "p_value", "tests")[tests["age:stage", "wald"]],
        scipy.stats.chi2.sf(statistic[tests["age:stage", "wald"]], 2),
    )


def test_a_term_without_which_others_are_coded_anew_is_tested_by_that_model(patients, fit):
    result = fit(patients, formula="pressure ~ 0 + stage + sex", family="gaussian", tests=["likelihood-ratio"])
    without = fit(patients, formula="pressure ~ 0 + sex", family="gaussian").facts["deviance"]
    assert column(result, "df", "tests").tolist() == [2, 1]
    expected = (without - result.facts["deviance"]) / result.facts["dispersion"]
    assert close(column(result, "statistic", "tests")[0], expected)


def test_ridge_equals_scikit_learn_on_standardised_columns(patients, fit):
    x = StandardScaler().fit_transform(patients[["age", "bmi"]]) * np.sqrt(899 / 900)  # ddof 1
    result = fit(patients, formula="died ~ scale(age) + scale(bmi)", family="binomial", ridge=2.0)
    theirs = LogisticRegression(C=0.5, tol=1e-12, max_iter=1000, solver="newton-cholesky").fit(x, patients.died)
    assert close(column(result, "coefficient"), np.concatenate([theirs.intercept_, theirs.coef_[0]]), rtol=1e-8)
    assert "aic" not in result.facts
    linear = fit(patients, formula="pressure ~ age + bmi", family="gaussian", ridge=50.0)
    theirs = Ridge(alpha=50.0, tol=1e-14).fit(patients[["age", "bmi"]], patients.pressure)
    assert close(column(linear, "coefficient")[1:], theirs.coef_)
    assert linear.facts["df_effective"] < 3


def test_breast_cancer_by_quartile_of_radius(federate, sites_of, terms_of):
    data = load_breast_cancer(as_frame=True)
    frame = data.data[["mean radius", "mean texture", "mean smoothness", "mean symmetry"]].copy()
    frame["benign"] = data.target.astype(float)
    frame["site"] = pd.qcut(frame["mean radius"], 4, labels=["a", "b", "c", "d"]).astype(str)
    formula = "benign ~ `mean radius` + `mean texture` + `mean smoothness` + `mean symmetry`"
    result = federate(GLM, GlmSpec(formula=formula, family="binomial"), terms_of(frame), sites_of(frame))
    columns = sm.add_constant(frame.iloc[:, :4].to_numpy())
    theirs = sm.GLM(frame.benign.to_numpy(), columns, family=sm.families.Binomial()).fit(tol=1e-13, tol_criterion="params")
    assert close(column(result, "coefficient"), theirs.params)
    assert close(column(result, "standard_error"), theirs.bse)
    assert close(result.facts["loglik"], theirs.llf)


@pytest.mark.parametrize(
    "spec", [CASES[0], CASES[9], CASES[14], {"formula": "pressure ~ bs(age, 5)*sex", "family": "gaussian"}], ids=str
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 5))
def test_how_rows_are_split_over_sites_does_not_matter(patients, federate, rows_of, terms_of, spec, seed, parts):
    where = np.random.default_rng(seed).integers(0, parts, len(patients))
    sites = {str(part): rows_of(patients[where == part]) for part in range(parts)}
    many = federate(GLM, GlmSpec(**spec), terms_of(patients), sites)
    one = federate(GLM, GlmSpec(**spec), terms_of(patients), {"all": rows_of(patients)})
    assert close(column(many, "coefficient"), column(one, "coefficient"), rtol=1e-11)
    assert close(many.arrays["covariance"], one.arrays["covariance"], rtol=1e-10)
    assert close(many.facts["loglik"], one.facts["loglik"], rtol=1e-12)


def test_a_site_without_rows_changes_nothing(patients, federate, rows_of, sites_of, terms_of):
    spec, terms, sites = GlmSpec(**CASES[0], standard_errors="robust"), terms_of(patients), sites_of(patients)
    with_empty = federate(GLM, spec, terms, {**sites, "zero": rows_of(patients[:0])})
    assert np.array_equal(with_empty.arrays["covariance"], federate(GLM, spec, terms, sites).arrays["covariance"])


def test_badly_scaled_columns_lose_no_digits(fit):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(0, 1, 400), "z": rng.normal(0, 1, 400), "site": np.repeat(["a", "b"], 200)})
    frame["y"] = (rng.uniform(size=400) < 1 / (1 + np.exp(-frame.x))).astype(float)
    plain = fit(frame, formula="y ~ x + z", family="binomial")
    frame["x"], frame["z"] = frame.x * 2.0**-30 + 2.0**-10, frame.z * 2.0**20 + 2.0**35
    far = fit(frame, formula="y ~ x + z", family="binomial")
    assert close(column(far, "z")[1:], column(plain, "z")[1:], rtol=1e-7)  # the far columns themselves are rounded to 1e-10


def test_a_category_of_two_levels_may_be_the_response_and_the_second_counts(patients, fit, federate, sites_of, terms_of):
    words, numbers = (fit(patients, formula=f"{name} ~ age", family="binomial") for name in ("died_word", "died"))
    assert np.array_equal(column(words, "coefficient"), column(numbers, "coefficient"))
    terms = terms_of(patients, died_word=Variable("category", ("yes", "no")))
    other = federate(GLM, GlmSpec(formula="died_word ~ age", family="binomial"), terms, sites_of(patients))
    assert close(column(other, "coefficient"), -column(numbers, "coefficient"))


def test_site_effects_are_the_site_as_a_category_and_vanish_at_a_single_site(patients, fit, rows_of, terms_of, federate):
    result = fit(patients, formula="died ~ age", family="binomial", site_effects=True)
    assert close(
        column(result, "coefficient"), column(fit(patients, formula="died ~ age + site", family="binomial"), "coefficient")
    )
    assert "Site effects" in result.notes[0]
    spec = GlmSpec(formula="died ~ age", family="binomial", site_effects=True)
    pooled = federate(GLM, spec, terms_of(patients), {"all": rows_of(patients)})
    assert pooled.tables["coefficients"].columns["term"] == result.tables["coefficients"].columns["term"]
    alone = federate(GLM, spec, terms_of(patients), {"east": rows_of(patients[patients.site == "east"])})
    assert tuple(column(alone, "term")) == ("Intercept", "age")
    assert "one site" in alone.notes[0]


@pytest.mark.parametrize(
    "case", [CASES[0], CASES[8], CASES[12], {"formula": "pressure ~ bs(age, 5) + scale(bmi)", "family": "gaussian"}]
)
def test_predictions_come_from_the_result_alone(patients, fit, rows_of, case):
    result = fit(patients, **case)
    link = result.facts["link"]
    again = canonical.decode(canonical.encode({"facts": result.facts, "arrays": result.arrays}))
    assert again["facts"]["deviance"] == result.facts["deviance"]
    means = predict(result, rows_of(patients))
    total = patients[case["formula"].split()[0]].sum()
    eta = linear_predictor(result, rows_of(patients))
    assert np.allclose(means, LINKS[link]().inverse(eta))
    assert close(means.sum(), total, rtol=1e-10)  # canonical links with an intercept keep the total


def test_rows_that_the_model_cannot_judge_are_predicted_as_nan(patients, fit, rows_of):
    result = fit(patients, formula="died ~ age + stage + C(grade)", family="binomial")
    strange = patients[:5].assign(stage=["I", "IV", "I", "I", "I"], age=[50, 50, np.nan, 50, 50], grade=[1, 1, 1, 9, np.nan])
    assert np.isnan(predict(result, rows_of(strange))).tolist() == [False, True, True, True, True]


def test_policies_see_classes_and_degrees(patients, sites_of, terms_of):
    state = GLM.begin(GlmSpec(**CASES[0]), terms_of(patients))
    question = GLM.ask(state)
    answer, _ = GLM.answer(question, sites_of(patients)["north"], Local(), rng=None)
    north = patients[patients.site == "north"]
    assert question.step == "glm.response"
    assert answer.parts["classes"].cells
    assert answer.parts["classes"].values.tolist() == [int((north.died == 0).sum()), int(north.died.sum())]


def test_site_is_not_named_as_a_variable_of_patients(patients):
    uses = GLM.uses(GlmSpec(formula="died ~ age + site", family="binomial", weights="trials"))
    assert [use.name for use in uses] == ["died", "age", "trials"]


def test_a_row_of_weight_0_counts_as_no_row(patients, fit):
    frame = patients.assign(weight=(np.arange(900) % 4 > 0).astype(float))
    weighted = fit(frame, formula="pressure ~ age + stage", family="gaussian", weights="weight", standard_errors="robust-hc1")
    fewer = fit(frame[frame.weight > 0], formula="pressure ~ age + stage", family="gaussian", standard_errors="robust-hc1")
    assert close(weighted.arrays["covariance"], fewer.arrays["covariance"])
    for name in ("deviance", "null_deviance", "loglik", "aic", "bic", "f_p", "n", "df_residual"):
        assert weighted.facts[name] == pytest.approx(fewer.facts[name], rel=1e-12), name


def test_the_intercept_alone_is_the_mean(patients, fit):
    result = fit(patients, formula="days ~ 1", family="gamma", link="log")
    assert close(column(result, "coefficient"), np.log(patients.days.mean()))
    assert close(result.facts["deviance"], result.facts["null_deviance"])
    assert "lr_chi2" not in result.facts


def test_steps_that_leave_the_domain_are_halved(fit):
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"x": rng.uniform(0, 1, 300), "site": np.repeat(["a", "b", "c"], 100)})
    frame["y"] = (rng.uniform(size=300) < 0.02 + 0.95 * frame.x).astype(float)  # nearly leaves 0..1 at both ends
    result = fit(frame, formula="y ~ x", family="binomial", link="identity", max_iterations=500)
    low, slope = column(result, "coefficient")
    mean = low + slope * frame.x
    assert mean.between(0, 1).all()
    assert np.allclose([((frame.y - mean) / (mean * (1 - mean)) * part).sum() for part in (1, frame.x)], 0, atol=1e-6)


def test_levels_that_spell_no_finite_number_stand_in_alphabetic_order(patients, fit):
    frame = patients.assign(code=np.random.default_rng(0).choice(["10", "9", "nan"], 900))
    result = fit(frame, formula="died ~ code", family="binomial")
    assert tuple(column(result, "term")) == ("Intercept", "code[9]", "code[nan]")
