"""What cannot be estimated is said in plain words, and never as a number."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from huizhen.methods.glm import GLM, GlmSpec

MARK = 7654.321


@pytest.fixture(scope="module")
def odd():
    """Rows that defeat a model in many ways."""
    rng = np.random.default_rng(5)
    n = 300
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "g": rng.choice(list("abc"), n)})
    frame["site"] = rng.choice(["s1", "s2", "s3"], n)
    coin = (rng.uniform(size=n) < 0.5).astype(float)
    return frame.assign(
        y=coin,
        above=(frame.x > 0.2).astype(float),
        sure_b=np.where(frame.g == "b", 1.0, coin),
        sure_a=np.where(frame.g == "a", 0.0, coin),
        sure_s2=np.where(frame.site == "s2", 1.0, coin),
        no_c=np.where(frame.g == "c", 0.0, rng.poisson(2, n)),
        one=1.0,
        zero=0.0,
        half=0.5,
        signed=np.where(np.arange(n) == 7, -MARK, rng.poisson(2, n)),
        sum=2 * frame.x - frame.z,
        rare=(np.arange(n) < 3).astype(float),
        few=np.where(np.arange(n) < 2, "MARKED", frame.g),
        three=rng.choice(list("pqr"), n),
        text_one="only",
    )


@pytest.fixture
def refusal(federate, sites_of, terms_of):
    def run(frame, **spec):
        result = federate(GLM, GlmSpec(**{"family": "binomial", **spec}), terms_of(frame), sites_of(frame))
        assert result.facts == {}
        assert not result.tables
        assert str(MARK) not in result.failure
        assert "MARKED" not in result.failure
        return result.failure

    return run


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"formula": "above ~ x"}, "above is predicted completely (complete separation) by x"),
        ({"formula": "above ~ x", "link": "probit"}, "above is predicted completely (complete separation) by x"),
        ({"formula": "above ~ x", "link": "cloglog"}, "above is predicted completely (complete separation) by x"),
        ({"formula": "above ~ x", "max_iterations": 1000}, "complete separation"),
        ({"formula": "sure_b ~ z + g"}, "sure_b is predicted partly (quasi-complete separation) by g[b]"),
        ({"formula": "sure_a ~ z + g"}, "quasi-complete separation) by g[b], g[c]"),
        ({"formula": "sure_s2 ~ z", "site_effects": True}, "quasi-complete separation) by site[s2]"),
        ({"formula": "no_c ~ g + z", "family": "poisson"}, "always 0 are set apart by g[c]"),
        ({"formula": "half ~ x", "family": "gaussian"}, "half is the same in all rows"),
        ({"formula": "zero ~ x", "family": "gaussian"}, "zero is the same in all rows"),
        ({"formula": "half ~ x", "family": "gamma"}, "half is the same in all rows"),
        ({"formula": "one ~ x"}, "one: all rows have the same outcome"),
        ({"formula": "zero ~ x", "family": "poisson"}, "zero: all counts are 0"),
        ({"formula": "text_one ~ x"}, "text_one: all complete rows have the same level"),
        ({"formula": "half ~ x"}, "half: some rows have a response that the binomial family cannot have; it must be 0 or 1"),
        ({"formula": "signed ~ x", "family": "poisson"}, "it must be 0 or a positive number"),
        ({"formula": "signed ~ x", "family": "gamma"}, "it must be a positive number"),
        ({"formula": "zero ~ x", "family": "gamma", "link": "identity"}, "it must be a positive number"),
        ({"formula": "signed ~ x", "family": "gaussian", "link": "log"}, "it must be a positive number"),
        ({"formula": "three ~ x"}, "three has 3 levels, and a binomial response has two"),
        ({"formula": "three ~ x", "family": "poisson"}, "three is a category, and the poisson family needs a number"),
        ({"formula": "y ~ x + z + sum"}, "sum is a linear combination of x and z"),
        ({"formula": "y ~ g + site", "site_effects": True}, ""),
        ({"formula": "y ~ one"}, "one is the same in all rows"),
        ({"formula": "y ~ rare"}, "fewer than 5 rows over all participants (rare: 1)"),
        ({"formula": "y ~ few"}, "few: 1 of 4 levels have fewer than 5 rows"),
        ({"formula": "y ~ log(signed)"}, "log(signed) is not a finite number in some rows"),
        ({"formula": "y ~ x", "weights": "signed"}, "signed: some weights are negative"),
        ({"formula": "y ~ x", "weights": "zero"}, "positive weight"),
        ({"formula": "y ~ x", "max_iterations": 1}, "did not settle within 1 rounds"),
        ({"formula": "no_c ~ z - 1", "family": "poisson", "link": "identity"}, "No coefficients give every row a possible mean"),
        ({"formula": "y ~ x + y"}, "y stands on both sides"),
        ({"formula": "y ~ 0"}, "no column to fit"),
    ],
)
def test_it_is_refused_in_plain_words(odd, refusal, federate, sites_of, terms_of, spec, said):
    if said:
        assert said in refusal(odd, **spec)
    else:
        assert not federate(GLM, GlmSpec(**{"family": "binomial", **spec}), terms_of(odd), sites_of(odd)).failure


def test_fewer_rows_than_coefficients_are_refused(odd, refusal):
    few = odd[:4].assign(u=[0.3, 0.1, 0.9, 0.4], v=[2.0, 1.0, 5.0, 5.5], y=[0.0, 1, 0, 1])
    said = refusal(few, formula="x ~ z + u + v", family="gaussian")
    assert "4 rows are too few for 4 coefficients" in said


def test_no_rows_at_all_are_refused(odd, federate, rows_of, terms_of):
    result = federate(GLM, GlmSpec(formula="y ~ x", family="binomial"), terms_of(odd), {"s1": rows_of(odd[:0])})
    assert "nothing to fit" in result.failure


def test_ridge_gives_a_finite_estimate_under_separation(odd, federate, sites_of, terms_of):
    spec = GlmSpec(formula="above ~ x", family="binomial", ridge=1.0)
    result = federate(GLM, spec, terms_of(odd), sites_of(odd))
    assert not result.failure
    assert any("Ridge" in note for note in result.notes)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"formula": "y ~", "family": "binomial"}, "character 4: found the end"),
        ({"formula": "~ x", "family": "binomial"}, "expected a response before the ~"),
        (
            {"formula": "y ~ x", "family": "gamma", "link": "logit"},
            "the gamma family has the links inverse, log, identity, not logit",
        ),
        ({"formula": "y ~ x", "family": "normal"}, "Input should be"),
        ({"formula": "y ~ x", "family": "gaussian", "ridge": -1}, "greater than or equal to 0"),
        ({"formula": "y ~ x", "family": "gaussian", "ridge": 1, "tests": ["wald"]}, "no tests of terms"),
        ({"formula": "y ~ x", "family": "gaussian", "weights_kind": "frequency"}, "needs weights"),
        ({"formula": "y ~ x", "family": "gaussian", "confidence": 95}, "less than 1"),
        ({"formula": "y ~ x", "family": "gaussian", "colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_are_checked_when_they_are_read(spec, said):
    with pytest.raises(ValidationError, match=said):
        GlmSpec(**spec)


def test_a_perfect_fit_is_said_to_be_one(odd, federate, sites_of, terms_of):
    spec = GlmSpec(formula="sum ~ x + z", family="gaussian")
    perfect = federate(GLM, spec, terms_of(odd), sites_of(odd))
    assert "The fit is perfect but for rounding: standard errors, tests and criteria mean nothing." in perfect.notes
    noisy = odd.assign(sum=odd["sum"] + 1e-9 * odd["y"])
    assert not any("perfect" in note for note in federate(GLM, spec, terms_of(noisy), sites_of(noisy)).notes)
