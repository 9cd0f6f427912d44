"""Regressions with noise find what regressions without find, and their standard errors tell how far they may be off."""

from dataclasses import replace

import numpy as np
import pytest

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.glm import GLM, GlmSpec
from huizhen.methods.linear.noisysums import MOMENTS, SCORES, SUMS
from huizhen.methods.method import Finished, Local
from huizhen.privacy.release import Terms, Total, Variable

VARIABLES = {
    "age": Variable("number", range=(20.0, 100.0)),
    "sex": Variable("category", ("f", "m")),
    "died": Variable("category", ("no", "yes")),
    "falls": Variable("number", range=(0.0, 12.0)),
    "score": Variable("number", range=(-20.0, 40.0)),
    "time": Variable("number", range=(-1.0, 1.0)),
}
SPECS = {
    "binomial": {"formula": "died ~ age + sex", "family": "binomial"},
    "poisson": {"formula": "falls ~ age + sex", "family": "poisson", "offset": "time"},
    "gaussian": {"formula": "score ~ age + sex", "family": "gaussian"},
}
STEPS = {"binomial": SCORES, "poisson": SCORES, "gaussian": MOMENTS}


def patients(rng, count):
    age, sex, time = rng.uniform(30, 90, count), rng.integers(0, 2, count), rng.uniform(-0.5, 0.5, count)
    eta = -1.2 + 0.03 * (age - 60) + 0.8 * sex
    died = (rng.random(count) < 1 / (1 + np.exp(-eta))).astype(np.int32)
    return Examples(
        {
            "age": Numbers(age),
            "sex": Categories(sex.astype(np.int32), ("f", "m")),
            "died": Categories(died, ("no", "yes")),
            "falls": Numbers(np.minimum(rng.poisson(np.exp(eta + 1 + time)), 12).astype(float)),
            "score": Numbers(np.clip(6 * eta + rng.normal(0, 4, count), -20, 40)),
            "time": Numbers(time),
        },
        count,
    )


def fitted(name, examples, sd=0.0, rng=None, **more):
    """A run at one site, with noise of this standard deviation in each number; the same without noise where there is no `rng`."""
    spec = GlmSpec.model_validate({**SPECS[name], **more})
    terms = Terms(variables=VARIABLES, roster=("west",), noise_sd={(STEPS[name], SUMS): (sd,)})
    if rng is not None:
        terms = replace(terms, noise="patient")
    state, local, rounds = GLM.begin(spec, terms), Local(), 0
    while not isinstance(asked := GLM.ask(state), Finished):
        answer, local = GLM.answer(asked, examples, local, rng=np.random.default_rng(0))
        sums = {
            part: one.values if rng is None else one.values + rng.normal(0, sd, one.values.shape)
            for part, one in answer.parts.items()
        }
        keyed = {part: dict(zip(one.keys, one.values.tolist())) for part, one in answer.parts.items() if one.keys}
        state, rounds = GLM.fold(state, Total(sums, keyed, {}, answer.rows, ("west",))), rounds + 1
    assert not asked.result.failure
    return asked.result, rounds


@pytest.mark.parametrize("more", [{}, {"ridge": 30.0}], ids=["plain", "ridge"])
@pytest.mark.parametrize("name", SPECS)
def test_without_noise_the_steps_end_where_the_exact_model_does(name, more):
    examples = patients(np.random.default_rng(1), 3000)
    exact, _ = fitted(name, examples, **more)
    found, rounds = fitted(name, examples, rng=np.random.default_rng(0), **more)
    assert rounds == (1 if name == "gaussian" else 8)
    assert found.arrays["coefficients"] == pytest.approx(exact.arrays["coefficients"], rel=1e-5)
    told, wanted = (one.tables["coefficients"].columns["standard_error"] for one in (found, exact))
    if not more:
        assert told == pytest.approx(wanted, rel=1e-3)
    assert found.facts["dispersion"] == pytest.approx(exact.facts["dispersion"], rel=1e-3) or name != "gaussian"


@pytest.mark.parametrize(("name", "sd"), [("binomial", 14.0), ("poisson", 3.0), ("gaussian", 3.0)])
def test_coefficients_spread_as_their_standard_errors_tell(name, sd):
    """Over 150 fresh tables with fresh noise: each standard deviation is known to some 6 percent, each mean to 8 of one."""
    rng = np.random.default_rng(7)
    large, _ = fitted(name, patients(rng, 200_000))
    runs = [fitted(name, patients(rng, 4000), sd, rng)[0] for _ in range(150)]
    found = np.array([one.arrays["coefficients"] for one in runs])
    told = np.sqrt([np.diag(one.arrays["covariance"]) for one in runs])
    share = np.mean([np.diag(one.arrays["noise_covariance"]) / np.diag(one.arrays["covariance"]) for one in runs], axis=0)
    assert (share > 0.3).any(), "noise is not a trifle here"
    scaled = (found - large.arrays["coefficients"]) / told
    assert scaled.std(axis=0) == pytest.approx(1.0, abs=0.2)
    assert np.abs(scaled.mean(axis=0)).max() < 0.3


@pytest.mark.parametrize(("name", "poor"), [("binomial", 2.0), ("poisson", 0.4), ("gaussian", 1.0)])
def test_where_noise_drowns_the_answer_it_says_so_and_stays_finite(name, poor):
    examples = patients(np.random.default_rng(2), 200)
    found, _ = fitted(name, examples, 60.0, np.random.default_rng(3))
    assert np.isfinite(found.arrays["coefficients"]).all()
    assert found.tables["coefficients"].columns["standard_error"] == (None,) * 3
    assert any(note.startswith("Useless") for note in found.notes)
    less, _ = fitted(name, examples, poor, np.random.default_rng(3))
    assert any(note.startswith("Poor") for note in less.notes)
    none, _ = fitted(name, examples, 0.0, np.random.default_rng(3))
    assert not any(note.startswith(("Poor", "Useless")) for note in none.notes)


def test_nothing_exact_is_told_beside_the_coefficients():
    found, _ = fitted("binomial", patients(np.random.default_rng(2), 4000), 1.0, np.random.default_rng(3))
    assert set(found.facts) == {"family", "link", "n", "df_residual", "dispersion", "iterations", "converged", "offset", "design"}
    assert set(found.tables) == {"coefficients"}
    assert set(found.arrays) == {"coefficients", "covariance", "noise_covariance"}


def test_values_beyond_their_range_count_as_its_ends():
    examples = patients(np.random.default_rng(5), 500)
    age = examples.number("age").copy()
    age[:20], inside = 1e6, age.copy()
    inside[:20] = 100.0
    wild, tame = (
        fitted("gaussian", Examples({**examples.columns, "age": Numbers(one)}, 500), rng=np.random.default_rng(0))[0]
        for one in (age, np.where(np.arange(500) < 20, 100.0, inside))
    )
    assert wild.arrays["coefficients"] == pytest.approx(tame.arrays["coefficients"])
