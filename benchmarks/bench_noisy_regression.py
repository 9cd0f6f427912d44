"""What noise costs a regression: processor time of a site's step beside the exact one, and how much wider its standard errors are.

The step over 200,000 rows: at most 3 times the exact one. A logistic model of age, a laboratory value, sex and stage at 5 sites, at
epsilon 1, 2 and 8: the noisy coefficients stay within 5 of their own standard errors of the exact ones.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from huizhen import Study, run
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.glm import GLM, GlmSpec
from huizhen.methods.linear.noisysums import SCORES, SUMS
from huizhen.methods.method import Local
from huizhen.privacy.release import Terms, Total, Variable

RANGES = {"age": (18.0, 98.0), "lab": (0.0, 50.0)}
VARIABLES = {
    **{name: Variable("number", range=ends) for name, ends in RANGES.items()},
    "sex": Variable("category", ("f", "m")),
    "stage": Variable("category", ("I", "II", "III")),
    "died": Variable("category", ("no", "yes")),
}
SECTION = {
    **{name: {"type": "number", "range": list(ends)} for name, ends in RANGES.items()},
    **{name: {"type": "category", "levels": list(one.levels)} for name, one in VARIABLES.items() if one.levels},
}
METHOD = {"formula": "died ~ age + lab + sex + stage", "family": "binomial"}


def patients(count: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    age, lab = np.clip(rng.normal(60, 12, count), 18, 98), np.minimum(rng.gamma(4, 3, count), 50)
    sex, stage = rng.integers(0, 2, count), rng.integers(0, 3, count)
    eta = -3 + 0.03 * age + 0.05 * lab - 0.5 * sex + 0.4 * stage
    died = (rng.random(count) < 1 / (1 + np.exp(-eta))).astype(int)
    return {"age": age, "lab": lab, "sex": sex, "stage": stage, "died": died}


def labelled(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array(VARIABLES[name].levels)[values] if VARIABLES[name].levels else values for name, values in table.items()}


def examples(table: dict[str, np.ndarray]) -> Examples:
    columns = {
        name: Categories(values.astype(np.int32), VARIABLES[name].levels) if VARIABLES[name].levels else Numbers(values)
        for name, values in table.items()
    }
    return Examples(columns, len(table["age"]))


def seconds_of(step: str, rows: Examples, terms: Terms) -> float:
    """The least processor time of a late question of this step, of 5."""
    state, local = GLM.begin(GlmSpec.model_validate(METHOD), terms), Local()
    times = []
    while len(times) < 5:
        question = GLM.ask(state)
        started = time.process_time()
        answer, local = GLM.answer(question, rows, local, rng=np.random.default_rng(0))
        if question.step == step and question.facts["coefficients"] is not None:
            times.append(time.process_time() - started)
        sums = {name: part.values for name, part in answer.parts.items()}
        state = GLM.fold(state, Total(sums, {}, {}, answer.rows, ("west",)))
    return min(times)


def test_a_sites_step_with_noise_costs_little_more_than_the_exact_one():
    rows = examples(patients(200_000, 1))
    terms = Terms(variables=VARIABLES, roster=("west",), noise_sd={(SCORES, SUMS): (0.0,)})
    exact = seconds_of("glm.score", rows, terms)
    noisy = seconds_of(SCORES, rows, Terms(variables=VARIABLES, roster=("west",), noise="patient", noise_sd=terms.noise_sd))
    print(f"\nexact step {1e3 * exact:.1f} ms, bounded step {1e3 * noisy:.1f} ms, ratio {noisy / exact:.2f}")
    assert noisy < 3 * exact


@pytest.mark.parametrize("rows", [2_000, 10_000, 50_000])
def test_how_much_wider_standard_errors_are(rows):
    sites = {f"site-{place}": labelled(patients(rows // 5, place)) for place in range(5)}
    content = {"variables": SECTION, "method": {"glm": METHOD}, "protection": {"sum": "masked"}}
    exact = run(Study.parse(content), sites, compare=False)["glm"].result
    plain = np.array(exact.tables["coefficients"].columns["standard_error"], float)
    print(f"\n{rows} rows, standard errors of age, lab, sex and two stages over the exact ones:")
    for epsilon in (1.0, 2.0, 8.0):
        content["protection"]["noise"] = {"epsilon": epsilon, "delta": 1e-6, "mechanism": "gaussian"}
        found = run(Study.parse(content), sites, compare=False)["glm"].result
        error = np.array([np.nan if one is None else one for one in found.tables["coefficients"].columns["standard_error"]])
        judged = next((note.split(":")[0] for note in found.notes if note.startswith(("Poor", "Useless"))), "")
        print(f"  epsilon {epsilon:g}: {np.round(error / plain, 2)[1:].tolist()} {judged}")
        away = np.abs(found.arrays["coefficients"] - exact.arrays["coefficients"])
        assert (away < 5 * error)[np.isfinite(error)].all()
