"""What methods state of a patient is true: no patient changes an answer by more than they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.data.records import table
from huizhen.errors import StudyError
from huizhen.methods.averaging import AVERAGING
from huizhen.methods.cox import COX
from huizhen.methods.description.noisyquantile import noisy_quantile
from huizhen.methods.glm import GLM
from huizhen.methods.method import Finished, Local
from huizhen.methods.quantile import QUANTILE
from huizhen.methods.summary import SUMMARY
from huizhen.methods.tabulate import TABULATE
from huizhen.privacy.release import Terms, Total, Variable

VARIABLES = {
    "age": Variable("number", range=(0.0, 100.0)),
    "lab": Variable("number", range=(-5.0, 20_000.0)),
    "sex": Variable("category", ("f", "m")),
    "arm": Variable("category", ("a", "b", "c")),
}
TERMS = Terms(variables=VARIABLES, noise="patient", roster=("west",))
WHOLE = {
    TABULATE: {"rows": "sex", "columns": "arm", "strata": "sex"},
    SUMMARY: {"variables": ["age", "lab", "sex", "arm"], "by": "arm", "shape": True},
    QUANTILE: {"variables": ["age", "lab"], "by": "sex"},
}
PATIENT = st.fixed_dictionaries(
    {
        "age": st.one_of(st.floats(-1e9, 1e9), st.just(np.nan)),
        "lab": st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1.0, 2.0]), st.just(np.nan)),
        "sex": st.sampled_from(["f", "m"]),
        "arm": st.sampled_from(["a", "b", "c"]),
    }
)


SOMEBODY = {"age": 50.0, "lab": 9.0, "sex": "f", "arm": "a"}  # a column of no values is refused


def rows(patients):
    columns = {name: np.array([one[name] for one in patients], float if name in ("age", "lab") else object) for name in VARIABLES}
    return table(columns, variables=VARIABLES, site="west")


def spec_of(method):
    return method.spec.model_validate(WHOLE[method])


def exchanges(method, examples):
    """Every question of a run over these rows, with the answer."""
    state = method.begin(spec_of(method), TERMS)
    while not isinstance(question := method.ask(state), Finished):
        answer, _ = method.answer(question, examples, Local(), rng=np.random.default_rng(0))
        yield question, answer
        sums = {name: part.values for name, part in answer.parts.items()}
        state = method.fold(state, Total(sums, {}, {}, answer.rows, ("west",)))


@pytest.mark.parametrize("method", WHOLE, ids=lambda method: method.name)
@settings(max_examples=40, deadline=None)
@given(patients=st.lists(PATIENT, min_size=0, max_size=10), one=PATIENT)
def test_one_patient_more_changes_no_part_by_more_than_is_stated(method, patients, one):
    everybody = [SOMEBODY, *patients]
    fewer, more = rows(everybody), rows([*everybody, one])
    for question, answer in exchanges(method, more):
        without, _ = method.answer(question, fewer, Local(), rng=np.random.default_rng(0))
        for name, part in answer.parts.items():
            change = np.asarray(part.values, float) - without.parts[name].values
            declared = part.sensitivity if isinstance(part.sensitivity, tuple) else (part.sensitivity,)
            slices = [change] if len(declared) == 1 else [change[..., place] for place in range(len(declared))]
            for stated, changed in zip(declared, slices, strict=True):
                assert np.abs(changed).sum() <= stated.l1 * (1 + 1e-9), name
                assert np.linalg.norm(changed) <= stated.l2 * (1 + 1e-9), name


@pytest.mark.parametrize("method", WHOLE, ids=lambda method: method.name)
def test_what_is_asked_is_what_was_stated_beforehand(method):
    """Steps, parts, their sensitivities and their sizes."""
    patients = [{"age": 5.0 * i, "lab": 7.0 * i, "sex": "fm"[i % 2], "arm": "abc"[i % 3]} for i in range(30)]
    planned = {step.step: step for step in method.noised(spec_of(method), VARIABLES, "patient")}
    asked = list(exchanges(method, rows(patients)))
    assert [question.step for question, _ in asked] == list(planned)
    for question, answer in asked:
        parts = planned[question.step].parts
        assert set(answer.parts) == set(parts)
        for name, part in answer.parts.items():
            declared = part.sensitivity if isinstance(part.sensitivity, tuple) else (part.sensitivity,)
            assert declared == parts[name].sensitivity
            assert part.values.size == parts[name].size * len(declared)


def test_what_cannot_carry_noise_is_refused_with_what_to_do():
    bare = {name: Variable("number") for name in ("age", "lab")}
    for method, spec, variables, remedy in [
        (TABULATE, {"rows": "sex"}, {}, "levels in"),
        (TABULATE, {"rows": "sex", "columns": "arm", "strata": "site"}, VARIABLES, "Leave it out"),
        (SUMMARY, {"variables": ["age"]}, bare, "Declare a range"),
        (SUMMARY, {"variables": ["age", "lab"], "correlation": True}, VARIABLES, "Leave correlation out"),
        (QUANTILE, {"variables": ["age"]}, bare, "Declare a range"),
        (AVERAGING, {"outcome": "sex", "covariates": ["age"]}, VARIABLES, "or set level = 'site'"),
        (GLM, {"formula": "age ~ lab", "family": "gamma"}, VARIABLES, "Choose one of these"),
        (COX, {"time": "age", "event": "lab > 1", "covariates": ["sex"]}, VARIABLES, "Use averaging with a network"),
    ]:
        with pytest.raises(StudyError, match=remedy):
            method.noised(method.spec.model_validate(spec), variables, "patient")
    with pytest.raises(StudyError, match="level = 'patient'"):
        TABULATE.noised(spec_of(TABULATE), VARIABLES, "site")


def test_averaging_states_what_leaves_with_noise_by_site():
    spec = AVERAGING.spec.model_validate({"outcome": "sex", "covariates": ["age"], "scale": "none", "rounds": 7})
    first, train = AVERAGING.noised(spec, VARIABLES, "site")
    assert (first.step, first.rows, first.rest) == ("rows", ("folds",), "withheld")
    assert (train.step, train.times, list(train.parts), train.ones) == ("train", 7, ["change"], ("weight",))
    wrong = spec.model_copy(update={"scale": "joint", "validation": 0.2, "control": True})
    with pytest.raises(StudyError) as caught:
        AVERAGING.noised(wrong, {}, "site")
    assert [problem.where for problem in caught.value.problems] == ["scale", "validation", "control", "sex", "age"]


def test_a_noisy_quantile_is_near_the_true_one_and_not_drawn_towards_the_middle():
    """Most bins are empty: cut at 0 each, they would add some 100 patients, and 0.2 here."""
    rng = np.random.default_rng(3)
    values, edges = rng.normal(20, 2, 4000), np.linspace(0, 100, 65)
    exact = np.histogram(values, edges)[0]
    without = noisy_quantile(edges, exact, 0.9, at_least=5).value
    assert without == pytest.approx(np.quantile(values, 0.9), abs=100 / 64 / 4)
    found = [noisy_quantile(edges, exact + np.rint(rng.normal(0, 5, 64)).astype(int), 0.9, at_least=5) for _ in range(200)]
    assert np.mean([one.value for one in found]) == pytest.approx(without, abs=0.06)
    assert all(one.low < one.value <= one.high and one.support >= 5 for one in found)


def test_of_too_few_patients_there_is_no_noisy_quantile():
    assert noisy_quantile(np.array([0.0, 1.0, 2.0]), np.array([3, -9]), 0.5, at_least=5).value is None
