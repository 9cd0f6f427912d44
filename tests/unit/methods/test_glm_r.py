"""Against values that R prints.

R stops as soon as the deviance changes by less than 1e-8 of itself, and takes standard errors and dispersion from the step before:
where its last printed digits differ from those at the maximum, the tolerance says so.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from huizhen.methods.glm import GLM, GlmSpec
from huizhen.privacy.release import Variable


@pytest.fixture
def fit(federate, sites_of, terms_of):
    def run(frame, declared=None, **spec):
        frame = frame.assign(site=np.where(np.arange(len(frame)) % 3 == 0, "a", "b"))
        result = federate(GLM, GlmSpec(**spec), terms_of(frame, 1, **(declared or {})), sites_of(frame))
        assert not result.failure
        return result

    return run


@pytest.fixture
def mtcars():
    weights = (
        "2.620 2.875 2.320 3.215 3.440 3.460 3.570 3.190 3.150 3.440 3.440 4.070 3.730 3.780 5.250 5.424 5.345 2.200 1.615 1.835 "
        "2.465 3.520 3.435 3.840 3.845 1.935 2.140 1.513 3.170 2.770 3.570 2.780"
    )
    miles = (
        "21.0 21.0 22.8 21.4 18.7 18.1 14.3 24.4 22.8 19.2 17.8 16.4 17.3 15.2 10.4 10.4 14.7 32.4 30.4 33.9 21.5 15.5 15.2 13.3 "
        "19.2 27.3 26.0 30.4 15.8 19.7 15.0 21.4"
    )
    manual = [1.0] * 3 + [0.0] * 14 + [1.0] * 3 + [0.0] * 5 + [1.0] * 7
    return pd.DataFrame({"wt": [float(w) for w in weights.split()], "mpg": [float(m) for m in miles.split()], "am": manual})


def printed(result, name, *values, atol):
    assert np.allclose(result.tables["coefficients"].columns[name], values, atol=atol, rtol=0)


def test_dobsons_randomised_trial(fit):
    # example(glm): glm(counts ~ outcome + treatment, family = poisson())
    frame = pd.DataFrame(
        {"counts": [18.0, 17, 15, 20, 10, 20, 25, 13, 12], "outcome": list("123" * 3), "treatment": list("111222333")}
    )
    result = fit(frame, formula="counts ~ outcome + treatment", family="poisson", tests=["likelihood-ratio"])
    printed(result, "coefficient", 3.044522, -0.4542553, -0.2929871, 0, 0, atol=1e-6)
    printed(result, "standard_error", 0.1708987, 0.2021708, 0.1927423, 0.2, 0.2, atol=1e-6)
    assert result.facts["deviance"] == pytest.approx(5.1291, abs=5e-5)
    assert result.facts["null_deviance"] == pytest.approx(10.5814, abs=5e-5)
    assert (result.facts["df_residual"], result.facts["df_null"]) == (4, 8)
    assert result.facts["aic"] == pytest.approx(56.76, abs=5e-3)
    assert result.tables["tests"].columns["statistic"] == pytest.approx((5.4523, 0.0), abs=5e-5)


def test_clotting_times_of_mccullagh_and_nelder(fit):
    # example(glm): glm(lot1 ~ log(u), data = clotting, family = Gamma)
    frame = pd.DataFrame({"u": [5.0, 10, 15, 20, 30, 40, 60, 80, 100], "lot1": [118.0, 58, 42, 35, 27, 25, 21, 19, 18]})
    result = fit(frame, formula="lot1 ~ log(u)", family="gamma")
    printed(result, "coefficient", -0.01655438, 0.01534311, atol=5e-9)
    printed(result, "standard_error", 0.00092754, 0.00041496, atol=1e-8)
    assert result.facts["dispersion"] == pytest.approx(0.002446059, abs=3e-8)
    assert result.facts["deviance"] == pytest.approx(0.01673, abs=5e-6)
    assert result.facts["null_deviance"] == pytest.approx(3.51283, abs=5e-6)
    assert result.facts["aic"] == pytest.approx(37.99, abs=5e-3)


def test_breaks_of_yarn(fit):
    # glm(breaks ~ wool + tension, data = warpbreaks, family = poisson)
    breaks = (
        "26 30 54 25 70 52 51 26 67 18 21 29 17 12 18 35 30 36 36 21 24 18 10 43 28 15 26 "
        "27 14 29 19 29 31 41 20 44 42 26 19 16 39 28 21 39 29 20 21 24 17 13 15 15 16 28"
    )
    frame = pd.DataFrame(
        {"breaks": [float(b) for b in breaks.split()], "wool": np.repeat(["A", "B"], 27), "tension": list("LMH" * 18)}
    )
    frame["tension"] = np.tile(np.repeat(["L", "M", "H"], 9), 2)
    declared = {"tension": Variable("category", ("L", "M", "H"))}
    result = fit(frame, declared, formula="breaks ~ wool + tension", family="poisson")
    printed(result, "coefficient", 3.69196, -0.20599, -0.32132, -0.51849, atol=5e-6)
    printed(result, "standard_error", 0.04541, 0.05157, 0.06027, 0.06396, atol=5e-6)
    assert result.facts["null_deviance"] == pytest.approx(297.37, abs=5e-3)
    assert result.facts["deviance"] == pytest.approx(210.39, abs=5e-3)
    assert result.facts["aic"] == pytest.approx(493.06, abs=5e-3)


def test_manual_gears_by_weight(mtcars, fit):
    # glm(am ~ wt, data = mtcars, family = binomial)
    result = fit(mtcars, formula="am ~ wt", family="binomial")
    printed(result, "coefficient", 12.040, -4.024, atol=5e-4)
    printed(result, "standard_error", 4.510, 1.436, atol=6e-4)
    printed(result, "p_value", 0.00759, 0.00508, atol=2e-5)
    assert result.facts["null_deviance"] == pytest.approx(43.230, abs=5e-4)
    assert result.facts["deviance"] == pytest.approx(19.176, abs=5e-4)
    assert result.facts["aic"] == pytest.approx(23.176, abs=5e-4)


def test_miles_by_weight(mtcars, fit):
    # summary(lm(mpg ~ wt, data = mtcars)); AIC(lm(...)) = 166.0294, BIC = 170.4266
    result = fit(mtcars, formula="mpg ~ wt", family="gaussian")
    printed(result, "coefficient", 37.2851, -5.3445, atol=5e-5)
    printed(result, "standard_error", 1.8776, 0.5591, atol=5e-5)
    printed(result, "t", 19.858, -9.559, atol=5e-4)
    facts = result.facts
    assert facts["r2"] == pytest.approx(0.7528, abs=5e-5)
    assert facts["adjusted_r2"] == pytest.approx(0.7446, abs=5e-5)
    assert facts["f_statistic"] == pytest.approx(91.38, abs=5e-3)
    assert np.sqrt(facts["dispersion"]) == pytest.approx(3.046, abs=5e-4)
    assert facts["aic"] == pytest.approx(166.0294, abs=5e-5)
    assert facts["bic"] == pytest.approx(170.4266, abs=5e-5)


def test_splines_with_knots_at_joint_quantiles(mtcars, fit):
    # lm(mpg ~ bs(wt, df = 5), mtcars); its inner knots lie between the values of two cars
    result = fit(mtcars, formula="mpg ~ bs(wt, 5)", family="gaussian")
    (piece,) = result.facts["design"]["pieces"]
    assert piece["spline"]["inner"] == pytest.approx([2.81166666666666654, 3.5], rel=1e-14)
    assert piece["spline"]["boundary"] == [1.513, 5.424]
    coefficients = 31.13207469806, -0.0464960940008911, -10.4912980685607, -14.7264676149474, -20.4600749671486, -19.1713748883133
    errors = 2.23288734740981, 4.84440010727105, 3.2869225625689, 4.49121758054677, 8.66640970092194, 3.11526478091254
    table = result.tables["coefficients"].columns
    assert table["coefficient"] == pytest.approx(coefficients, rel=1e-9)
    assert table["standard_error"] == pytest.approx(errors, rel=1e-9)


def test_longley_to_the_certified_digits_of_nist(federate, sites_of, terms_of):
    # NIST StRD, Longley: columns so nearly dependent that careless sums lose all digits
    frame = sm.datasets.longley.load_pandas().data
    frame.columns = ["y", "x1", "x2", "x3", "x4", "x5", "x6"]
    frame["site"] = ["a", "b"] * 8
    spec = GlmSpec(formula="y ~ x1 + x2 + x3 + x4 + x5 + x6", family="gaussian")
    result = federate(GLM, spec, terms_of(frame, 1), sites_of(frame))
    coefficients = [
        -3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359, -0.0511041056535807,
        1829.15146461355,
    ]  # fmt: skip
    errors = [
        890420.383607373, 84.9149257747669, 0.0334910077722432, 0.488399681651699, 0.214274163161675, 0.226073200069370,
        455.478499142212,
    ]  # fmt: skip
    table = result.tables["coefficients"].columns
    assert np.allclose(table["coefficient"], coefficients, rtol=1e-11, atol=0)
    assert np.allclose(table["standard_error"], errors, rtol=1e-11, atol=0)
    assert result.facts["r2"] == pytest.approx(0.995479004577296, rel=1e-13)
