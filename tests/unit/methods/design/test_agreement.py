import numpy as np
import pandas as pd
import patsy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.data.examples import CHUNK, Examples, Numbers
from huizhen.errors import NotEstimable
from huizhen.methods.design.agreement import DESIGN_STEPS, Design, agree
from huizhen.methods.design.spline import Spline
from huizhen.methods.method import Local
from huizhen.privacy.release import Variable


@pytest.fixture
def design_of(agreed, sites_of, terms_of):
    def agree_on(frame, formula, least=5, declared=None, **options):
        terms = terms_of(frame, least, **(declared or {}))
        return agreed(agree("glm", formula, terms, **options), DESIGN_STEPS, sites_of(frame))[0]

    return agree_on


@pytest.mark.parametrize(
    "formula",
    [
        "age + stage + sex",
        "stage*sex",
        "stage:sex",
        "0 + stage + sex",
        "0 + stage:sex",
        "stage:age",
        "stage:sex:age + sex",
        "0 + sex:age + stage*age",
        "stage + C(grade)*sex*age",
        "log(exposure) + sqrt(age)",
    ],
)
def test_the_columns_are_those_of_patsy(patients, design_of, rows_of, formula):
    design = design_of(patients, f"~ {formula}")
    mine = design.matrix(rows_of(patients), slice(0, len(patients))).T
    functions = {"log": np.log, "sqrt": np.sqrt}
    theirs = np.asarray(patsy.dmatrix(formula, patients, eval_env=patsy.EvalEnvironment([functions])))
    assert sorted(map(tuple, mine.T.tolist())) == sorted(map(tuple, theirs.T.tolist()))


def test_columns_are_named_by_variable_and_level_in_rs_order(patients, design_of):
    design = design_of(patients, "~ C(grade, ref=2) + age*stage + bs(bmi, knots=[25], range=[5, 50])")
    spline = "bs(bmi, knots=[25], range=[5, 50])"
    assert design.columns == (
        "Intercept", "grade[1]", "grade[3]", "age", "stage[II]", "stage[III]", *(f"{spline}[{n}]" for n in (1, 2, 3, 4)),
        "age:stage[II]", "age:stage[III]",
    )  # fmt: skip
    assert design.terms[1] == "grade"
    assert design.terms[-1] == "age:stage"


def test_a_cox_design_is_coded_with_an_intercept_but_has_none(patients, design_of):
    design = design_of(patients, "~ stage", intercept=False, center=True)
    assert design.columns == ("stage[II]", "stage[III]")
    assert np.all(design.center > 0)


def test_a_bspline_with_given_knots_is_that_of_patsy_and_r(patients, design_of, rows_of):
    design = design_of(patients, "~ bs(age, knots=[50, 60], range=[20, 90])")
    theirs = patsy.dmatrix("bs(age, knots=[50, 60], lower_bound=20, upper_bound=90)", patients)
    assert np.allclose(design.matrix(rows_of(patients), slice(0, 900)).T, theirs, rtol=0, atol=1e-14)


def test_a_natural_spline_bends_nowhere_outside_and_spans_that_of_patsy(patients):
    spline, x = Spline((50.0, 60.0), (30.0, 79.0), natural=True), patients.age.to_numpy()
    basis = np.vstack([np.ones(len(x)), spline.evaluate(x)])
    theirs = np.asarray(patsy.dmatrix("cr(age, knots=[50, 60], lower_bound=30, upper_bound=79) - 1", patients))
    assert np.linalg.matrix_rank(np.hstack([basis.T, theirs]), tol=1e-8) == 4
    outside = spline.evaluate(np.array([80.0, 85.0, 90.0, 10.0, 15.0, 20.0]))
    assert np.allclose(np.diff(outside[:, :3], 2), 0, atol=1e-12)
    assert np.allclose(np.diff(outside[:, 3:], 2), 0, atol=1e-12)


def test_beyond_its_boundary_a_bspline_goes_on_as_a_cubic():
    spline = Spline((1.0,), (0.0, 2.0))
    assert np.allclose(np.diff(spline.evaluate(np.arange(2.0, 8.0)), 4), 0, atol=1e-9)


def test_knots_of_whole_numbers_are_the_joint_quantiles(patients, design_of):
    spline = design_of(patients, "~ bs(age, 6)").pieces[0].spline
    assert spline.inner == tuple(np.quantile(patients.age, [0.25, 0.5, 0.75]))
    assert spline.boundary == (30.0, 79.0)


def test_knots_are_not_narrowed_down_to_fewer_rows_than_the_minimum(patients, design_of):
    spline = design_of(patients, "~ bs(bmi, 5)", least=100).pieces[0].spline
    assert not set(spline.inner) & set(patients.bmi)
    assert np.allclose(spline.inner, np.quantile(patients.bmi, [1 / 3, 2 / 3]), atol=2)
    assert np.mean(patients.bmi <= spline.boundary[0]) > 0.05


def test_a_declared_range_is_the_boundary_and_needs_no_round(patients, agreed, sites_of, terms_of):
    terms = terms_of(patients, bmi=Variable("number", range=(10.0, 60.0)))
    design, asked = agreed(agree("glm", "~ bs(bmi)", terms), DESIGN_STEPS, sites_of(patients))
    assert design.pieces[0].spline.boundary == (10.0, 60.0)
    assert [question.step for question in asked] == ["design.columns", "design.products"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_same_design_comes_out_however_the_rows_are_split(patients, agreed, rows_of, terms_of, seed, parts):
    formula, terms = "~ bs(age, 5) + ns(bmi, 3) + scale(log(exposure)):sex + C(grade)", terms_of(patients)
    split = np.random.default_rng(seed).integers(0, parts, len(patients))
    sites = {str(part): rows_of(patients[split == part]) for part in range(parts)}
    one, _ = agreed(agree("glm", formula, terms), DESIGN_STEPS, {"all": rows_of(patients)})
    many, _ = agreed(agree("glm", formula, terms), DESIGN_STEPS, sites)
    assert one.columns == many.columns
    assert [piece.spline for piece in one.pieces] == [piece.spline for piece in many.pieces]
    assert np.allclose(one.scale, many.scale, rtol=1e-13, atol=0)
    assert np.allclose(one.center, many.center, rtol=1e-13, atol=1e-15)


def test_scaling_uses_the_joint_mean_and_standard_deviation(patients, design_of, rows_of):
    design = design_of(patients, "~ scale(bmi) + center(age)")
    matrix = design.matrix(rows_of(patients), slice(0, 900))
    assert np.allclose(matrix[1], (patients.bmi - patients.bmi.mean()) / patients.bmi.std(ddof=1), atol=1e-13)
    assert np.allclose(matrix[2], patients.age - patients.age.mean(), atol=1e-12)


def test_standardised_columns_have_mean_0_and_mean_square_1(patients, design_of, rows_of):
    x = design_of(patients, "~ age*stage").standardised(rows_of(patients), slice(0, 900))
    assert np.allclose(x[1:].mean(axis=1), 0, atol=1e-13)
    assert np.allclose((x**2).mean(axis=1), 1, atol=1e-13)


def test_unscaling_undoes_the_standardisation(patients, design_of, rows_of):
    design, rng = design_of(patients, "~ age*stage"), np.random.default_rng(0)
    standardised = rng.normal(size=6)
    coefficients, covariance = design.unscale(standardised, np.eye(6))
    rows = rows_of(patients)
    fitted = standardised @ design.standardised(rows, slice(0, 900))
    assert np.allclose(coefficients @ design.matrix(rows, slice(0, 900)), fitted, atol=1e-11)
    jacobian = np.column_stack([design.unscale(unit, np.eye(6))[0] for unit in np.eye(6)])
    assert np.allclose(covariance, jacobian @ jacobian.T)


def test_a_design_comes_back_from_its_encoded_facts(patients, design_of, rows_of):
    design = design_of(patients, "~ age*stage + bs(bmi, 4) + scale(log(exposure)) + C(grade)")
    local = Local()
    again = Design.from_facts(canonical.decode(canonical.encode(design.facts())), local)
    rows = rows_of(patients)
    assert np.array_equal(again.standardised(rows, slice(5, 50)), design.standardised(rows, slice(5, 50)))
    assert Design.from_facts(design.facts(), local) is again


def test_chunks_do_not_matter(agreed, terms_of):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(1e6, 1, CHUNK + 100), "site": "one"})
    rows = Examples({"x": Numbers(frame.x.to_numpy())}, len(frame))
    design, _ = agreed(agree("glm", "~ x", terms_of(frame)), DESIGN_STEPS, {"one": rows})
    assert np.isclose(design.scale[1], frame.x.std(ddof=0), rtol=1e-12)


def test_a_site_without_rows_changes_nothing(patients, agreed, rows_of, sites_of, terms_of):
    sites = sites_of(patients)
    formula, terms = "~ stage + bs(age, 5) + C(grade)", terms_of(patients)
    design, _ = agreed(agree("glm", formula, terms), DESIGN_STEPS, {**sites, "zero": rows_of(patients[:0])})
    assert np.array_equal(design.scale, agreed(agree("glm", formula, terms), DESIGN_STEPS, sites)[0].scale)


def test_what_counts_patients_is_marked_as_such(patients, agreed, sites_of, terms_of):
    formula = agree("glm", "~ stage + bs(age, 5)", terms_of(patients))
    _, asked = agreed(formula, DESIGN_STEPS, sites_of(patients))
    marked = {}
    for question in asked:
        answer, _ = DESIGN_STEPS[question.step](question, sites_of(patients)["north"], Local(), None)
        marked |= {f"{question.step}/{name}": part.cells for name, part in answer.parts.items()}
        assert all(part.kind == "addend" for part in answer.parts.values())
    assert {name for name, cells in marked.items() if cells} == {"levels/stage", "design.below/below", "design.columns/unlike"}
    assert asked[-1].degrees == 8


def test_declared_levels_stand_as_they_are(patients, design_of):
    declared = {"stage": Variable("category", ("III", "I", "II"))}
    assert design_of(patients, "~ stage", declared=declared).columns == ("Intercept", "stage[I]", "stage[II]")


def test_a_variable_may_stand_twice_with_its_levels_in_another_order(patients, design_of):
    design = design_of(patients, '~ C(stage, levels=["III", "II", "I"]) + stage:bmi')
    first, second = design.pieces[0].levels, design.pieces[1].levels
    assert (first, second) == (("III", "II", "I"), ("I", "II", "III"))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("~ secret", "secret: 1 of 3 levels have fewer than 5 rows"),
        ("~ age + I(age^2) + twice", "twice is a linear combination of age"),
        ("~ rare", "fewer than 5 rows over all participants (rare: 1)"),
        ("~ same", "same is the same in all rows"),
        ("~ log(signed)", "log(signed) is not a finite number in some rows"),
        ("~ bs(log(signed), 5)", "bs(log(signed), 5) is not a finite number in some rows"),
        ("~ scale(same)", "scale(same) has the same value in all rows"),
        ('~ C(stage, ref="V")', 'ref="V" is none of its 3 levels'),
        ("~ one_level", "one_level: all complete rows have the same level"),
        ("~ bs(age, 2)", "needs df of at least 3"),
        ("~ bs(age, knots=[10], range=[20, 90])", "do not increase within its range"),
        ("~ bs(rare, 8)", "do not increase within its range"),
        ("~ 0", "no column to fit"),
        ("~ stage:sex + stage + sex", ""),
    ],
)
def test_what_cannot_be_told_apart_is_said_in_plain_words(patients, design_of, formula, said):
    frame = patients.assign(
        secret=np.where(np.arange(900) < 3, "MARKED", patients.sex),
        twice=2 * patients.age - 1,
        rare=(np.arange(900) < 4).astype(float),
        same=7.25,
        signed=patients.bmi - 26,
        one_level="a",
    )
    if not said:
        design_of(frame, formula)
        return
    with pytest.raises(NotEstimable) as caught:
        design_of(frame, formula)
    assert said in str(caught.value)
    assert "MARKED" not in str(caught.value)
    assert "7.25" not in str(caught.value)


def test_an_undeclared_level_is_refused_without_its_name(patients, design_of):
    frame = patients.assign(stage=patients.stage.replace("III", "MARKED"))
    with pytest.raises(NotEstimable, match="stage: some rows have a level that is not declared") as caught:
        design_of(frame, "~ stage", declared={"stage": Variable("category", ("I", "II"))})
    assert "MARKED" not in str(caught.value)


def test_a_rare_combination_of_levels_is_refused_without_its_name(patients, design_of):
    frame = patients.assign(one=np.where(np.arange(900) % 2 == 0, "a", "b"))
    frame.loc[(frame.stage == "II") & (np.arange(900) > 12), "one"] = "b"
    assert 0 < ((frame.stage == "II") & (frame.one == "a")).sum() < 5
    with pytest.raises(NotEstimable, match="stage:one: 1") as caught:
        design_of(frame, "~ stage:one")
    assert "II" not in str(caught.value)


@pytest.mark.parametrize(
    ("spline", "printed"),
    [
        # R: coef(lm(weight ~ bs(height, df = 5), data = women)) and the same with ns, as printed by example(bs) and example(ns)
        (Spline((62 + 2 / 3, 67 + 1 / 3), (58.0, 72.0)), [114.8799, 3.4657, 13.0300, 27.6161, 40.8481, 49.1296]),
        (Spline((60.8, 63.6, 66.4, 69.2), (58.0, 72.0), natural=True), [114.7447, 15.9474, 25.1695, 33.2582, 50.7894, 45.0363]),
    ],
)
def test_spline_columns_are_rs_own(spline, printed):
    weight = np.array([115, 117, 120, 123, 126, 129, 132, 135, 139, 142, 146, 150, 154, 159, 164])
    columns = np.vstack([np.ones(15), spline.evaluate(np.arange(58.0, 73.0))]).T
    assert np.allclose(np.linalg.lstsq(columns, weight, rcond=None)[0], printed, atol=6e-5)
