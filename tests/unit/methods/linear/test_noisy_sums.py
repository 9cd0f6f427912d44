"""In a regression with noise no patient counts for more than is stated, whatever is asked and whatever the patient's values."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.errors import DataError, SiteError, StudyError
from huizhen.methods.design.columns import Design
from huizhen.methods.design.declared import declared_design, reached
from huizhen.methods.design.formula import parse
from huizhen.methods.glm import GLM, GlmSpec, _noisy_model
from huizhen.methods.linear.noisysums import MOMENTS, NOISY_STEPS, SCORES, SUMS, packed, unpacked
from huizhen.methods.method import Local
from huizhen.privacy.release import Question, Variable

VARIABLES = {
    "age": Variable("number", range=(18.0, 98.0)),
    "lab": Variable("number", range=(0.5, 50.0)),
    "sex": Variable("category", ("f", "m")),
    "stage": Variable("category", ("I", "II", "III")),
    "died": Variable("category", ("no", "yes")),
    "falls": Variable("number", range=(0.0, 12.0)),
    "score": Variable("number", range=(-3.0, 40.0)),
    "time": Variable("number", range=(-1.0, 2.0)),
    "open": Variable("number"),
    "loose": Variable("category"),
}
RIGHT = "age*sex + log(lab) + I(age^2) + stage"
SPECS = {
    "binomial": {"formula": f"died ~ {RIGHT}", "family": "binomial", "offset": "time"},
    "poisson": {"formula": f"falls ~ {RIGHT}", "family": "poisson", "offset": "time"},
    "gaussian": {"formula": f"score ~ {RIGHT}", "family": "gaussian", "offset": "time"},
    "gaussian through 0": {"formula": "score ~ 0 + age + sex:stage", "family": "gaussian"},
}
NUMBERS = [name for name, variable in VARIABLES.items() if variable.kind == "number"]
ANY = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, 18.0, 98.0, -3.0, 40.0, 12.0, np.inf, -np.inf]))
PATIENT = st.fixed_dictionaries(
    {name: ANY if one.kind == "number" else st.integers(0, max(len(one.levels) - 1, 0)) for name, one in VARIABLES.items()}
)


def rows(patients):
    columns = {}
    for name, one in VARIABLES.items():
        values = [patient[name] for patient in patients]
        levels = one.levels or ("a",)
        columns[name] = Numbers(np.array(values, float)) if one.kind == "number" else Categories(np.array(values, np.int32), levels)
    return Examples(columns, len(patients))


def noisy(name):
    return _noisy_model(GlmSpec.model_validate(SPECS[name]), VARIABLES, "patient")


def question(model, coefficients=None):
    if model.model.family.name == "gaussian":
        return Question(
            "glm", MOMENTS, {**model.facts(), "units": np.array([model.moment_unit]), "centred": np.array(model.centred)}
        )
    units = np.array(model.score_units(first=coefficients is None))
    return Question("glm", SCORES, {**model.facts(), "units": units, "coefficients": coefficients})


def answer(asked, examples):
    (part,) = NOISY_STEPS[asked.step](asked, examples, Local(), np.random.default_rng(0))[0].parts.values()
    return part


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=60, deadline=None)
@given(patients=st.lists(PATIENT, max_size=4), one=PATIENT, seed=st.integers(0, 99), size=st.sampled_from([0, 0.3, 3, 1e6, None]))
def test_one_patient_more_changes_the_whole_vector_by_no_more_than_is_stated(name, patients, one, seed, size):
    model = noisy(name)
    found = None if size is None else size * np.random.default_rng(seed).normal(size=model.columns)
    if model.model.family.name == "binomial" and found is None:
        found = np.zeros(model.columns)
    asked = question(model, found)
    with_one, without = answer(asked, rows([*patients, one])), answer(asked, rows(patients))
    change = with_one.values - without.values
    assert np.isfinite(with_one.values).all()
    assert np.linalg.norm(change) <= with_one.sensitivity.l2 * (1 + 1e-12)
    assert np.abs(change).sum() <= with_one.sensitivity.l1 * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(one=PATIENT, wide=st.floats(1e-9, 1e9), unit=st.floats(1e-9, 1e9), shift=st.floats(-1e6, 1e6))
@pytest.mark.parametrize("name", ["binomial", "poisson", "gaussian"])
def test_a_hub_that_asks_with_units_ranges_and_columns_of_its_own_learns_no_more(name, one, wide, unit, shift):
    model = noisy(name)
    asked = question(model, np.full(model.columns, shift))
    facts = {**asked.facts, "units": asked.facts["units"] * unit, "ranges": {}, "limits": [0.0, 1e9]}
    facts["design"] = {**facts["design"], "scale": np.full(model.columns, wide), "center": np.full(model.columns, shift)}
    part = answer(replace(asked, facts=facts), rows([one]))
    assert np.linalg.norm(part.values) <= 1.0


@pytest.mark.parametrize("units", [[0.0, 1.0], [np.nan, 1.0], [np.inf, 1.0], [-1.0, 1.0], [1.0]])
def test_units_that_are_none_are_refused(units):
    asked = question(noisy("poisson"))
    with pytest.raises(SiteError, match="not asked by the study"):
        answer(replace(asked, facts={**asked.facts, "units": np.array(units)}), rows([]))


@pytest.mark.parametrize("name", ["binomial", "gaussian", "gaussian through 0"])
def test_a_row_within_its_ranges_is_never_shortened(name):
    """So that noise is the only price; and the bound is reached nearly, so that it is not too large a price."""
    rng = np.random.default_rng(4)
    patients = [
        {name: rng.uniform(*one.range) if one.range else rng.integers(max(len(one.levels), 1)) for name, one in VARIABLES.items()}
        | {"open": 0.0}
        for _ in range(300)
    ]
    model = noisy(name)
    asked = question(model, rng.normal(size=model.columns))
    alone = np.array([np.linalg.norm(answer(asked, rows([one])).values) for one in patients])
    facts = {**asked.facts, "units": asked.facts["units"] * 2}
    longer = np.array([np.linalg.norm(answer(replace(asked, facts=facts), rows([one])).values) for one in patients])
    assert longer == pytest.approx(alone / 2)
    design = model.bounded.design
    length = np.linalg.norm(design.standardised(rows(patients), slice(0, 300)), axis=0)
    assert 0.75 * model.bounded.reach < length.max() <= model.bounded.reach
    assert 0.4 < alone.max() <= 1.0


@given(seed=st.integers(0, 1000), size=st.integers(1, 6))
def test_packing_keeps_the_matrix_and_its_norm(seed, size):
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    matrix += matrix.T
    assert np.linalg.norm(packed(matrix)) == pytest.approx(np.linalg.norm(matrix))
    assert unpacked(packed(matrix), size) == pytest.approx(matrix)


def test_what_is_asked_is_what_was_stated_beforehand():
    for name in SPECS:
        model, spec = noisy(name), GlmSpec.model_validate(SPECS[name])
        (step,) = GLM.noised(spec, VARIABLES, "patient")
        asked = question(model, np.zeros(model.columns))
        part = answer(asked, rows([]))
        assert (step.step, step.times) == (asked.step, 1 if model.model.family.name == "gaussian" else 8)
        assert step.parts[SUMS].sensitivity == (part.sensitivity,)
        assert step.parts[SUMS].size == part.values.size
    (step,) = GLM.noised(
        spec.model_copy(update={"family": "poisson", "formula": "falls ~ age", "max_iterations": 5}), VARIABLES, "patient"
    )
    assert step.times == 5


def test_a_design_of_declared_ranges_is_within_1_and_indicators_stay():
    bounded = declared_design(parse(f"~ {RIGHT}"), VARIABLES, "patient")
    design = bounded.design
    assert design.columns[:4] == ("Intercept", "age", "sex[m]", "log(lab)")
    assert (design.center[1], design.scale[1]) == (58.0, 40.0)
    assert (design.center[2], design.scale[2]) == (0.0, 1.0)
    assert bounded.reach**2 == pytest.approx(1 + 1 + 1 + 1 + 1 + 1 + 1), "intercept, age, sex, log(lab), age^2, stage, age:sex"
    assert reached(parse("~ I(age^2)").factors[0], -2.0, 1.0) == (0.0, 4.0)
    assert reached(parse("~ I(age^3)").factors[0], -2.0, 1.0) == (-8.0, 1.0)
    assert reached(parse("~ I(age^-1)").factors[0], -2.0, 1.0) is None
    assert reached(parse("~ log(age)").factors[0], 0.0, 1.0) is None
    assert isinstance(design, Design)


def test_a_label_that_is_not_declared_is_refused_and_not_named():
    examples = rows([dict.fromkeys(VARIABLES, 0)])
    strange = Examples({**examples.columns, "stage": Categories(np.array([0], np.int32), ("IV",))}, 1)
    with pytest.raises(DataError, match="not among its declared levels") as refused:
        answer(question(noisy("gaussian")), strange)
    assert "IV" not in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "where", "remedy"),
    [
        ({"formula": "died ~ open"}, "open", "Declare a range in"),
        ({"formula": "died ~ loose"}, "loose", "levels in"),
        ({"formula": "died ~ age + site"}, "site", "Leave it out"),
        ({"formula": "died ~ scale(age)"}, "scale(age)", "Write age"),
        ({"formula": "died ~ bs(age, 4)"}, "bs(age, 4)", "Use powers"),
        ({"formula": "died ~ log(time)"}, "log(time)", "Narrow the range"),
        ({"formula": "died ~ 0"}, "formula", ""),
        ({"formula": "stage ~ age"}, "stage", ""),
        ({"formula": "falls ~ age"}, "falls", "Set range = [0, 1]"),
        ({"formula": "died ~ age + died"}, "died", "Leave it out"),
        ({"formula": "time ~ age", "family": "poisson"}, "time", "such as range = [0, 20]"),
        ({"formula": "died ~ age", "offset": "open"}, "open", "Declare a range in"),
        ({"formula": "lab ~ age", "family": "gamma"}, "family", "Choose one of these"),
        ({"formula": "died ~ age", "link": "probit"}, "family", "Choose one of these"),
        ({"formula": "died ~ age", "weights": "lab"}, "weights", "Leave weights out"),
        ({"formula": "died ~ age", "site_effects": True}, "site_effects", "Leave it out"),
        ({"formula": "died ~ age", "tests": ["wald"]}, "tests", "Read the table"),
        ({"formula": "died ~ age", "standard_errors": "robust"}, "standard_errors", "Set standard_errors"),
    ],
)
def test_what_is_not_bounded_is_refused_with_what_to_do(spec, where, remedy):
    with pytest.raises(StudyError) as refused:
        GLM.noised(GlmSpec.model_validate({"family": "binomial", **spec}), VARIABLES, "patient")
    assert where in [problem.where for problem in refused.value.problems]
    assert any(remedy in problem.remedy for problem in refused.value.problems if problem.where == where)


def test_all_that_is_wrong_is_told_at_once_and_a_whole_site_is_not_hidden():
    spec = GlmSpec.model_validate({"formula": "died ~ open + loose", "family": "binomial", "weights": "lab"})
    with pytest.raises(StudyError) as refused:
        GLM.noised(spec, VARIABLES, "patient")
    assert {problem.where for problem in refused.value.problems} == {"weights", "open", "loose"}
    with pytest.raises(StudyError, match="level = 'patient'"):
        GLM.noised(GlmSpec.model_validate(SPECS["binomial"]), VARIABLES, "site")
