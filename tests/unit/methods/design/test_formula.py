import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import StudyError
from huizhen.methods.design.formula import Factor, Term, parse
from huizhen.methods.method import Use


def names(text):
    return [str(term) for term in parse(text).terms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ a + b:c + d*e - f", ["a", "d", "e", "b:c", "d:e"]),
        ("~ a*b*c", ["a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"]),
        ("~ (a + b):c", ["a:c", "b:c"]),
        ("~ (a + b + c)^2", ["a", "b", "c", "a:b", "a:c", "b:c"]),
        ("~ (a + b)**2 - a:b", ["a", "b"]),
        ("~ a/b", ["a", "a:b"]),
        ("~ (a + b)/c", ["a", "b", "a:b:c"]),
        ("~ a:a + a", ["a"]),
        ("~ b:a + a:b", ["b:a"]),
        ("~ a*b:c", ["a", "b:c", "a:b:c"]),
        ("~ ph.ecog*年龄 + `Heart rate (1/min)`", ["ph.ecog", "年龄", "Heart rate (1/min)", "ph.ecog:年龄"]),
        ("~ log(x) + log( x ) + I(x^2) + pow(x, 2) + I(x^0.5)", ["log(x)", "I(x^2)", "I(x^0.5)"]),
        ("~ scale(log(x)) + center(x)", ["scale(log(x))", "center(x)"]),
        ("~ bs(age, 4) + bs(age, df=4)", ["bs(age, 4)"]),
        ("~ bs(age, knots=[50, 60], range=[20, 90])", ["bs(age, knots=[50, 60], range=[20, 90])"]),
        ("~ ns(x, 3) + I(x)", ["x", "ns(x, 3)"][::-1]),
        ("~ a + b + c - (a + b)", ["c"]),
    ],
)
def test_a_formula_spells_these_terms(text, expected):
    assert names(text) == expected


@pytest.mark.parametrize(
    ("text", "intercept"),
    [
        ("~ a", True),
        ("~ a - 1", False),
        ("~ 0 + a", False),
        ("~ a + 0", False),
        ("~ -1 + a", False),
        ("~ 0 + a + 1", True),
        ("~ 1", True),
    ],
)
def test_the_intercept_comes_and_goes_as_in_r(text, intercept):
    assert parse(text).intercept is intercept


def test_the_response_may_be_left_out_or_transformed():
    assert parse("~ a").response is None
    assert parse("y ~ a").response == Factor("y")
    assert str(parse("log(y) ~ a").response) == "log(y)"


def test_a_category_is_named_by_its_variable_and_keeps_its_reference():
    factor = parse('~ C(stage, ref="II", levels=["I", "II"])').factors[0]
    assert str(factor) == "stage"
    assert factor.calls[0].option("ref") == "II"
    assert factor.calls[0].option("levels") == ("I", "II")


def test_variables_are_read_as_numbers_where_a_function_needs_numbers():
    assert parse("y ~ stage + C(grade) + log(x)").uses() == (Use("stage", "any"), Use("grade", "any"), Use("x", "number"))


def test_a_factor_comes_back_from_its_facts():
    for factor in parse(
        '~ bs(log(x), 5, degree=2) + C(g, ref="a b") + x + scale(x) + I(x^3) + ns(x, knots=[1, 2], range=[0, 3])'
    ).factors:
        assert Factor.from_facts(factor.facts()) == factor


@pytest.mark.parametrize(
    ("text", "character", "found"),
    [
        ("y", 2, "the end"),
        ("y ~", 4, "the end"),
        ("y ~ a +", 8, "the end"),
        ("y ~ a b", 7, '"b"'),
        ("y ~ a ~ b", 7, '"~"'),
        ("~ __import__(a)", 3, '"__import__"'),
        ("~ a.b.__class__()", 3, '"a.b.__class__"'),
        ("~ bs(age, knots=[3, 2])", 17, '"["'),
        ("~ bs(age, 4, df=3)", 14, '"df"'),
        ("~ bs(age, 2.5)", 11, '"2.5"'),
        ("~ log(a, 2)", 10, '"2"'),
        ("~ pow(a)", 8, '")"'),
        ("~ (a", 5, "the end"),
        ("~ a^x", 5, '"x"'),
        ("~ a^2.5", 5, '"2.5"'),
        ("~ .", 3, '"."'),
        ("~ a | b", 5, '"|"'),
        ('~ C(a, ref="b)', 12, '"""'),
        ("~ 2", 3, '"2"'),
        ("~ a + (b + 0)", 12, '"0"'),
        ("~ a:0", 4, '":"'),
        ("~ scale(bs(a))", 9, '"bs"'),
        ("~ C(log(a))", 5, '"log"'),
        ("bs(y) ~ a", 1, '"bs"'),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_stands_there(text, character, found):
    with pytest.raises(StudyError) as caught:
        parse(text)
    (problem,) = caught.value.problems
    assert f"character {character}" in problem.where
    assert problem.found == found
    assert problem.expected


@given(st.text(alphabet="ab~+-*/:^()[]=,.01 \"'`日CIbslog", max_size=30))
def test_any_text_is_read_or_refused_as_a_mistake_of_the_caller(text):
    with contextlib.suppress(StudyError):
        assert parse(text).text == text


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), st.lists(st.sampled_from("abcd"), min_size=1, max_size=4))
def test_a_product_is_the_same_in_any_order(left, right):
    one, other = parse(f"~ ({'+'.join(left)}):({'+'.join(right)})"), parse(f"~ ({'+'.join(right)}):({'+'.join(left)})")
    assert set(one.terms) == set(other.terms)


def test_a_term_is_marginal_to_the_products_that_hold_it():
    a, product = Term((Factor("a"),)), Term((Factor("b"), Factor("a")))
    assert a <= product
    assert not product <= a
