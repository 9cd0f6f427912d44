"""A feature is declared in one readable line; what cannot be meant is refused, all at once, with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import StudyError
from huizhen.methods.features.declared import Features
from huizhen.methods.features.expression import Arithmetic, Call, Number, Variable
from huizhen.methods.features.grammar import MOST_WORDS, parse

NUMBERS = st.integers(-50, 50).map(float) | st.sampled_from([0.5, 1e-9, 2.5e8])
LEAVES = st.sampled_from(["age", "ph.ecog", "年龄", "a b", "x_1"]).map(Variable) | NUMBERS.map(Number)


def grown(inner):
    sums = st.builds(Arithmetic, st.sampled_from("+-*/"), inner, inner)
    powers = st.builds(Arithmetic, st.just("^"), inner, NUMBERS.map(Number))
    logs = st.builds(lambda of: Call("log", (Arithmetic("+", of, Variable("age")),)), inner)
    return sums | powers | logs


@given(st.recursive(LEAVES, grown, max_leaves=12))
def test_what_a_declaration_says_is_written_and_read_back(expression):
    assert parse(str(expression)) == expression


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight / height^2", "weight / height ^ 2"),
        ("a - (b - c)", "a - (b - c)"),
        ("-age^2", "-1 * age ^ 2"),
        ("cut(age, -5, 0, 65)", "cut(age, -5, 0, 65)"),
        ("impute(stage, mode)", "impute(category(stage), mode)"),
        ("impute(ldl, 0)", "impute(ldl, 0)"),
        ("standardise( impute(`ldl mg`, median) )", "standardise(impute(`ldl mg`, median))"),
        ("minmax(age, 18, 90)", "minmax(age, 18, 90)"),
    ],
)
def test_a_declaration_reads_as_it_is_written(text, said):
    assert str(parse(text)) == said


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("", "character 1", "the end"),
        ("standardise(age", "character 16", "the end"),
        ("age + ", "character 6", "the end"),
        ("age $ 2", "character 5", "'$'"),
        ("standardize(age)", "character 1", "Did you mean standardise?"),
        ("lgo(age)", "character 1", "Did you mean log?"),
        ("age^sex", "character 4", "the exponent"),
        ("cut(age, 65, 50)", "character 1", "cut(x, 50, 65)"),
        ("cut(age)", "character 1", "cut(x, 50, 65)"),
        ("spline(age, 2)", "character 1", "spline(x, 4)"),
        ("spline(age, 3.5)", "character 1", "spline(x, 4)"),
        ("quantiles(age, 1)", "character 1", "quantiles(x, 4)"),
        ("impute(age, most)", "character 1", "impute(x, mean)"),
        ("category(age + 1)", "character 1", "category(x)"),
        ("days(a + 1, b)", "character 1", "days(later, earlier)"),
        ("log(5)", "character 1", "log(x)"),
        ("standardise(age, 2)", "character 1", "standardise(x)"),
        ("age 2", "character 5", "end of the declaration"),
        ("1e999 * age", "character 1", "a finite number"),
        ("__import__('os')", "character 12", "backticks"),
        ("(" * 60 + "x" + ")" * 60, "character 41", "at most 40"),
        ("x" + " + x" * MOST_WORDS, "", "names, numbers and signs"),
        ("x" * 3000, "", "3000 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, where, found):
    with pytest.raises(StudyError) as refused:
        parse(text)
    (problem,) = refused.value.problems
    assert problem.where == where
    assert found in str(problem)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"a": "b + 1", "b": "c * 2", "c": "a - 1"}, "a circle: "),
        ({"a": "age"}, '"age" alone'),
        ({"z": "log(standardise(age))"}, "log(standardise(age))"),
        ({"z": "sqrt(impute(age, mean))"}, "Put it inside"),
        ({"z": "age / standardise(bmi)"}, "age / standardise(bmi)"),
        ({"z": "standardise(age)", "y": "z^0.5"}, "z ^ 0.5"),
        ({"s": "spline(age, 4) * 2"}, "several columns"),
        ({"s": "spline(age, 4)", "t": "standardise(s)"}, "several columns"),
        ({"s": "spline(age, 4)", "t": "category(s)"}, "several columns"),
        ({"g": "cut(age, 50)", "h": "log(g)"}, "a category, g, in log(g)"),
        ({"m": "impute(age + 1, mode)"}, "a number, age + 1, in impute"),
        ({"site": "category(sex)"}, "whose row it is"),
        ({"a b": "log(x)"}, "a name with other signs"),
        ({"s": "spline(age, 3)", "s.1": "log(age)"}, "a name that two features have"),
    ],
)
def test_features_that_do_not_fit_together_are_refused(texts, found):
    with pytest.raises(StudyError, match="cannot be used") as refused:
        Features.of(texts)
    assert found in str(refused.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(StudyError) as refused:
        Features.of({"a": "log(", "b": "2 +", "site": "log(x)"})
    assert [problem.where.split(",")[0] for problem in refused.value.problems] == ["a", "b", "site"]


def test_within_its_own_declaration_a_name_is_the_variable_and_elsewhere_the_feature():
    features = Features.of({"z": "standardise(ldl)", "ldl": "impute(ldl, median)", "gone": "missing(ldl)"})
    assert list(features.expressions) == ["ldl", "gone", "z"] or list(features.expressions).index("ldl") < 2
    assert list(features.fitted_calls) == ["ldl: impute(ldl, median)", "z: standardise(ldl)"]
    assert features.needed_by(*features.fitted_calls["z: standardise(ldl)"]) == {"ldl: impute(ldl, median)"}
    assert features.expressions["gone"] == Call("missing", (Variable("ldl"),))  # of what was imputed none is missing


def test_a_feature_reads_the_variables_that_it_is_made_of():
    features = Features.of({"bmi": "weight / height^2", "z": "standardise(bmi)", "s": "spline(crp, 4)", "stay": "days(out, in)"})
    assert {use.name: use.kind for use in features.only(["z"]).reads} == {"weight": "number", "height": "number"}
    assert {use.name: use.kind for use in features.only(["stay"]).reads} == {"out": "category", "in": "category"}
    assert features.columns("s") == ("s.1", "s.2", "s.3")
    assert features.origins("s.2") == ("crp",)


def test_features_made_of_features_are_looked_into_once():
    doubled = {f"f{n}": f"f{n - 1} + f{n - 1} * standardise(f{n - 1})" for n in range(1, 400)}
    features = Features.of({"f0": "standardise(x)", **doubled})  # written out, it would be 3^400 long
    assert len(features.keys_of("f399")) == 400
