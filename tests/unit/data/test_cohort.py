"""Conditions: what they say, how they are read, and that a mistake in them is named where it stands."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huizhen.data.cohort import choose, joint_uses, parse, unparse
from huizhen.data.condition import Coded, Compare, Every, Missing, Name, Not, OneOf, Some
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.errors import DataError, StudyError


def numbers(*values):
    return Numbers(np.array(values, float))


def categories(*labels):
    levels = tuple(sorted({label for label in labels if label is not None}))
    return Categories(np.array([-1 if label is None else levels.index(label) for label in labels], np.int32), levels)


ROWS = Examples(
    {
        "age": numbers(17, 18, 64, 65, np.nan),
        "ph.ecog": numbers(0, 1, 2, np.nan, 1),
        "年龄": numbers(17, 18, 64, 65, 70),
        "dead": numbers(1, 0, np.nan, 1, 0),
        "blood pressure": numbers(120, 130, 140, 150, 160),
        "sex": categories("f", "m", None, "m", "f"),
        "stage": categories("I", "II", "III", None, "II"),
        "status": categories("1", "2", "2", "1", None),
        "diagnosis": categories("C34.1", "c341", "C34", "C50.9", None),
    },
    5,
)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("age >= 18", [0, 1, 1, 1, -1]),
        ("18 <= age < 65", [0, 1, 1, 0, -1]),
        ("65 > age", [1, 1, 1, 0, -1]),
        ("age == 18.0", [0, 1, 0, 0, -1]),
        ("age != 18", [1, 0, 1, 1, -1]),
        ("age in [17, 65]", [1, 0, 0, 1, -1]),
        ("ph.ecog < age", [1, 1, 1, -1, -1]),
        ("年龄 > 64", [0, 0, 0, 1, 1]),
        ("`blood pressure` > 130", [0, 0, 1, 1, 1]),
        ('sex == "f"', [1, 0, -1, 0, 1]),
        ("sex != 'f'", [0, 1, -1, 1, 0]),
        ('stage in ["II", "III"]', [0, 1, 1, -1, 1]),
        ('stage not in ["II", "III"]', [1, 0, 0, -1, 0]),
        ("status == 2", [0, 1, 1, 0, -1]),
        ('status == "2.0"', [0, 1, 1, 0, -1]),
        ("diagnosis in ICD10:C34", [1, 1, 1, 0, -1]),
        ("diagnosis in ICD10:c34.1", [1, 1, 0, 0, -1]),
        ("diagnosis in ICD10:C00-C49", [1, 1, 1, 0, -1]),
        ("diagnosis in [ICD10:C50, ICD10:C34.1]", [1, 1, 0, 1, -1]),
        ("diagnosis not in ICD10:C34", [0, 0, 0, 1, -1]),
        ("sex is missing", [0, 0, 1, 0, 0]),
        ("sex is not missing", [1, 1, 0, 1, 1]),
        ("dead", [1, 0, -1, 1, 0]),
        ("not dead", [0, 1, -1, 0, 1]),
        ("dead or age > 60", [1, 0, 1, 1, -1]),
        ("dead and age > 60", [0, 0, -1, 1, 0]),
        ("not (dead or age > 60)", [0, 1, 0, 0, -1]),
        ("dead OR sex == 'm' AND age < 20", [1, 1, -1, 1, 0]),
    ],
)
def test_a_condition_is_true_false_or_unknown_for_each_row(text, truth):
    answer = parse(text).evaluate(ROWS)
    assert answer.dtype == np.int8
    assert answer.tolist() == truth


def test_only_rows_for_which_every_condition_is_true_are_chosen():
    chosen = choose(ROWS, [parse("age >= 18"), parse("dead or dead is missing")])
    assert chosen.tolist() == [False, False, True, True, False]


def test_without_conditions_every_row_is_chosen():
    assert choose(ROWS, []).tolist() == [True] * 5


def test_unknown_follows_the_strong_logic_of_kleene():
    order = {0: 0, -1: 1, 1: 2}  # false, unknown, true
    truths = Examples({"a": numbers(*[1, 0, np.nan] * 3), "b": numbers(*np.repeat([1, 0, np.nan], 3))}, 9)
    a, b = parse("a").evaluate(truths), parse("b").evaluate(truths)
    assert parse("a and b").evaluate(truths).tolist() == [min(x, y, key=order.get) for x, y in zip(a, b)]
    assert parse("a or b").evaluate(truths).tolist() == [max(x, y, key=order.get) for x, y in zip(a, b)]
    assert parse("not a").evaluate(truths).tolist() == [{1: 0, 0: 1, -1: -1}[int(x)] for x in a]


def test_a_site_without_rows_answers_with_no_rows():
    empty = Examples({"age": numbers(), "sex": Categories(np.array([], np.int32), ())}, 0)
    assert parse("age > 3 and sex == 'f' and sex in ICD10:C").evaluate(empty).shape == (0,)


def test_a_level_that_a_site_does_not_have_matches_none_of_its_rows():
    assert parse('stage == "IV"').evaluate(ROWS).tolist() == [0, 0, 0, -1, 0]


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("age > 3 and status == 2", {"age": "number", "status": "any"}),
        ('status == 2 and status == "x"', {"status": "category"}),
        ("status == 2 and status < 5", {"status": "number"}),
        ("a < b", {"a": "number", "b": "number"}),
        ("d in ICD10:C or e is missing or f", {"d": "category", "e": "any", "f": "any"}),
        ('g in [1, "x"]', {"g": "category"}),
    ],
)
def test_a_condition_says_as_what_it_reads_each_variable(text, uses):
    assert dict(parse(text).uses) == uses
    assert parse(text).variables == tuple(uses)


def test_conditions_that_read_one_variable_in_two_ways_are_refused():
    with pytest.raises(StudyError, match="variable 'a': found a use as a number and a use as text"):
        parse("a > 3 and a == 'x'")
    with pytest.raises(StudyError, match="contradict"):
        joint_uses([parse("a > 3"), parse("a == 'x'")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column 1: found the end, expected a variable"),
        ("age = 3", "column 5: found the character '=', .*Write =="),
        ("age >", "column 6: found the end"),
        ("age > 3 & sex == 'f'", "column 9: .*Write and"),
        ("age > 3)", "column 8: found '\\)', expected and, or, or the end"),
        ("(age > 3", "column 9: found the end, expected a closing bracket"),
        ("sex == 'f", "column 8: .*Close the quotes"),
        ("stage in []", "column 11: found '\\]', expected a number, or a text"),
        ("stage in ['I'", "column 14: found the end, expected a comma or a closing bracket"),
        ("stage in x", "column 10: found 'x', expected a list"),
        ("stage < 'II'", "column 7: found < with a text.*no order"),
        ("1 < 2", "column 3: found a comparison without a variable"),
        ("3", "column 2: found the end, expected a comparison"),
        ("'x' is missing", "column 1: found a number or a text, expected a variable"),
        ("age is 3", "column 8: found '3', expected missing"),
        ("age not 3", "column 9: found '3', expected in"),
        ("age > 1e999", "column 7: found a number beyond"),
        ("age > 12abc", "column 7"),
        ("d in ICD10:C34-C3", "column 6: found 'ICD10:C34-C3', expected a code, or a range"),
        ("d in ICD10:C34-C33", "column 6"),
        ("d in ICD10:...", "column 6"),
        ("年龄 ≥ 18", "column 4: .*Write >="),
        ("__import__('os').system('x')", "column 17: found the character '.'"),
        ("not " * 51 + "a", "expected at most 50"),
        ("(" * 51 + "a" + ")" * 51, "expected at most 50"),
        ("a or " * 500 + "a", "found 2501 characters, expected at most 2000"),
    ],
)
def test_a_mistake_is_named_where_it_stands(text, said):
    with pytest.raises(StudyError, match=said) as caught:
        parse(text)
    assert len(caught.value.problems) == 1


def test_fifty_brackets_inside_each_other_are_still_read():
    assert parse("(" * 49 + "a" + ")" * 49) == Compare("a", "==", 1.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight > 3", "variable 'weight': found no such column, expected one of: age, ph.ecog"),
        ("sex > 3", "variable 'sex': found a category, expected a number"),
        ("age == 'old'", "variable 'age': found a number, expected a category"),
        ("age in [1, 'old']", "variable 'age': found a number, expected a category"),
        ("age in ICD10:C34", "variable 'age': found a number, expected a category .*ICD10"),
        ("sex == age", "variable 'sex': found a category, expected a number"),
    ],
)
def test_a_variable_of_the_wrong_kind_is_named(text, said):
    with pytest.raises(DataError, match=said):
        parse(text).evaluate(ROWS)


NAMES = st.text(min_size=1, max_size=8) | st.sampled_from(["age", "ph.ecog", "年龄", "and", "Not", "missing", "a`b", "1x"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9).map(float)
TEXTS = st.text(max_size=8) | st.sampled_from(['"', "\\", "'", "\n", 'a\\"b'])
LEAVES = st.one_of(
    st.builds(Compare, NAMES, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), FLOATS | NAMES.map(Name)),
    st.builds(Compare, NAMES, st.sampled_from(["==", "!="]), TEXTS),
    st.builds(OneOf, NAMES, st.lists(FLOATS | TEXTS, min_size=1, max_size=3).map(tuple)),
    st.sampled_from([Coded("dx", "ICD10", "C34.1", "C34.1"), Coded("dx", "ICD10", "C0.0", "C9.7")]),
    st.builds(Missing, NAMES),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Every),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Some),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(CONDITIONS)
def test_a_condition_written_and_read_again_is_the_same(condition):
    text = unparse(condition)
    assume(len(text) <= 2000)
    try:
        dict(condition.uses)
    except StudyError:
        with pytest.raises(StudyError):
            parse(text)
    else:
        assert parse(text) == condition


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused_in_words(text):
    try:
        condition = parse(text)
    except StudyError:
        return
    assert parse(unparse(condition)) == condition
