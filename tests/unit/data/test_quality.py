"""Rules of quality over rows: what breaks them, what is missing, what may be one row twice; and what of it leaves a site."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.data.quality.duplicates import find_duplicates, likeness
from huizhen.data.quality.judging import judge, robust_z
from huizhen.data.quality.report import check, leaving
from huizhen.data.quality.rules import DuplicatesSection, Rules
from huizhen.errors import DataError
from huizhen.site.preparing import check_rows, write_review

SECRET = "Zhang-Secret-77"


def labels(*texts):
    levels = tuple(sorted({text for text in texts if text is not None}))
    return Categories(np.array([-1 if text is None else levels.index(text) for text in texts], np.int32), levels)


def numbers(*values):
    return Numbers(np.array([np.nan if value is None else value for value in values], np.float64))


def judged(columns, **rule):
    (found,) = Rules.model_validate({"rule": [rule]}).rule
    rows = len(next(iter(columns.values())).missing())
    outcome = judge(found, Examples(columns, rows))
    return outcome.judged, outcome.broken, outcome.unknown


AGE = {"age": numbers(17, 18, 120, 121, None)}
DATES = {
    "admitted": labels("2020-01-02", "2020-01-02", "2020-02-31", None, "2020-01-02T08:00"),
    "discharged": labels("2020-01-02", "2020-01-01", "2020-03-01", "2020-01-01", "2020-01-02T07:00"),
}


@pytest.mark.parametrize(
    ("columns", "rule", "expected"),
    [
        (AGE, {"kind": "range", "variable": "age", "low": 18, "high": 120}, (4, 2, 1)),
        (AGE, {"kind": "range", "variable": "age", "high": 120.0}, (4, 1, 1)),
        ({"x": labels("7", "x", None, "9")}, {"kind": "range", "variable": "x", "low": 8}, (2, 1, 2)),
        ({"x": labels("7", "7.5", "x", None)}, {"kind": "type", "variable": "x", "type": "integer"}, (3, 2, 1)),
        ({"x": labels("7", "7.5", "x", None)}, {"kind": "type", "variable": "x", "type": "number"}, (3, 1, 1)),
        ({"x": labels("2020-02-29", "2021-02-29", None)}, {"kind": "type", "variable": "x", "type": "date"}, (2, 1, 1)),
        ({"x": numbers(1, 2, 3, None)}, {"kind": "values", "variable": "x", "values": ["1", "2.0"]}, (3, 1, 1)),
        (
            {"x": numbers(1, 2, 3, None), "u": labels("g", "mg", None, "mg")},
            {"kind": "unit", "variable": "x", "given_in": "u", "units": ["g"]},
            (3, 2, 1),
        ),
        (AGE, {"kind": "complete", "variables": ["age"]}, (5, 1, 0)),
        ({"a": labels("x", "x", "x", None), "b": numbers(1, 1, 2, 2)}, {"kind": "unique", "variables": ["a", "b"]}, (3, 2, 1)),
        ({"x": numbers(1, 2, 3, 4, 100, None)}, {"kind": "plausible", "variable": "x"}, (5, 1, 1)),
        ({"x": numbers(1, 1, 1, 100)}, {"kind": "plausible", "variable": "x"}, (0, 0, 4)),
        (DATES, {"kind": "order", "first": "admitted", "then": "discharged"}, (3, 2, 2)),
        ({"a": numbers(1, 3, None), "b": numbers(2, 2, 2)}, {"kind": "order", "first": "a", "then": "b"}, (2, 1, 1)),
        (
            {"a": numbers(1, 5, None, 5), "s": labels("f", "m", "m", "m")},
            {"kind": "condition", "holds": "a < 4", "when": "s == 'm'"},
            (2, 2, 2),
        ),
    ],
)
def test_a_rule_counts_the_rows_that_break_it_and_says_nothing_of_missing_values(columns, rule, expected):
    assert judged(columns, **rule) == expected


@pytest.mark.parametrize(("allow", "passed"), [(0.0, False), (0.24, False), (0.25, True)])
def test_a_rule_passes_where_no_larger_share_breaks_it_than_it_allows(allow, passed):
    rule = {"kind": "range", "variable": "age", "low": 18, "allow": allow}
    (found,) = Rules.model_validate({"rule": [rule]}).rule
    assert judge(found, Examples(AGE, 5)).passed is passed


def test_robust_z_is_that_of_its_formula():
    found = robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0, np.nan]))
    assert found[:5] == pytest.approx([0.6745 * (x - 3) / 1 for x in (1, 2, 3, 4, 100)])  # median 3, MAD 1
    assert np.isnan(found[5])


# Winkler's own examples, as W. E. Winkler lists them in his papers.
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("SHACKLEFORD", "SHACKELFORD", 0.982),
        ("DUNNINGHAM", "CUNNIGHAM", 0.896),
        ("NICHLESON", "NICHULSON", 0.956),
        ("JONES", "JOHNSON", 0.832),
    ],
)
def test_likeness_is_that_of_jaro_and_winkler(one, other, expected):
    assert likeness(one, other) == pytest.approx(expected, abs=6e-4)


@given(st.text(max_size=12), st.text(max_size=12))
def test_likeness_is_between_0_and_1_and_1_for_equal_texts(one, other):
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, one) == 1


def people():
    return Examples(
        {
            "born": labels("1950", "1950", "1950", "1960", None, "1950"),
            "name": labels("Zhang Wei", "Zhang Wie", "Li Na", "Zhang Wei", "Zhang Wei", "Zhang Wei"),
            "height": numbers(170, 171, 170, 170, 170, 170),
        },
        6,
    )


def test_rows_of_one_block_that_are_alike_are_pairs_for_review_and_equal_rows_are_counted(tmp_path):
    declared = DuplicatesSection(block=["born"], compare={"name": "text", "height": 10.0}, at_least=0.9)
    found = find_duplicates(people(), declared)
    assert [(pair.one, pair.other) for pair in found.pairs] == [(1, 6), (1, 2), (2, 6)]
    assert found.pairs[0].likeness == 1.0
    assert found.exact == 1
    write_review(found.pairs, tmp_path / "review.csv")
    rows = list(csv.reader((tmp_path / "review.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[:2] == [["one", "other", "likeness", "same"], ["1", "6", "1.0", ""]]
    assert (tmp_path / "review.csv").stat().st_mode & 0o777 == 0o600
    assert "Zhang" not in (tmp_path / "review.csv").read_text(encoding="utf-8")


def test_a_block_that_is_too_large_is_left_out_and_told():
    declared = DuplicatesSection(block=["born"], compare={"name": "text"}, most=3)
    found = find_duplicates(people(), declared)
    assert (found.pairs, found.left_out) == ((), 4)


def test_what_is_missing_together_is_counted():
    rows = Examples({"a": numbers(1, None, None, 4), "b": labels("x", None, None, None), "c": numbers(1, 2, 3, 4)}, 4)
    report = check(Rules(), rows)
    assert report.missing == {"a": 2, "b": 3, "c": 0}
    assert report.complete == 1
    assert report.patterns == ((("a", "b"), 2), (("b",), 1))


def test_what_leaves_has_no_small_cell_and_leaves_none():
    rows = Examples({"x": numbers(*range(38), None, None)}, 40)
    rules = [
        {"kind": "range", "variable": "x", "low": 2},  # 2 of 38 break it
        {"kind": "range", "variable": "x", "low": 36},  # 2 of 38 keep it
        {"kind": "range", "variable": "x", "low": 20},
        {"kind": "range", "variable": "x", "low": -1},
    ]
    report = check(Rules.model_validate({"rule": rules}), rows)
    told = leaving(report, min_cell_count=3, min_rows=10)
    assert [rule["broken"] for rule in told["rules"]] == [None, None, 20, 0]
    assert (told["rows"], told["missing"], told["complete"], told["rules"][2]["judged"]) == (40, {"x": None}, None, None)
    rounded = leaving(report, min_cell_count=1, min_rows=10, round_to=5)
    assert (rounded["rules"][2]["broken"], rounded["missing"]) == (20, {"x": 0})
    few = leaving(report, min_cell_count=1, min_rows=41)
    assert (few["rows"], few["missing"], [rule["broken"] for rule in few["rules"]]) == (None, {"x": None}, [None] * 4)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ('[[rule]]\nkind = "rangee"\nvariable = "age"', "range"),
        ('[[rule]]\nkind = "range"\nvariable = "age"', "low, high or both"),
        ('[[rule]]\nkind = "range"\nvariable = "age"\nlow = 5\nhigh = 1', "low no larger than high"),
        ('[[rule]]\nkind = "range"\nvariable = "ages"\nlow = 5', "no column 'ages'.*Did you mean age"),
        ('[[rule]]\nkind = "condition"\nholds = "age >"', "condition"),
        ('[[rule]]\nkind = "range"\nvariable = "empty"\nlow = 5', "variable 'empty' without any value"),
        ('[[rule]]\nkind = "condition"\nholds = "name > 3"', "found a category, expected a number"),
        ("[duplicates]\nblock = []\ncompare = {}", "duplicates"),
    ],
)
def test_every_mistake_in_rules_is_told_without_a_value(tmp_path, rules, expected):
    (tmp_path / "rows.csv").write_text(f"age,name,empty\n1,{SECRET},\n2,b,\n", encoding="utf-8")
    (tmp_path / "rules.toml").write_text(rules, encoding="utf-8")
    with pytest.raises(DataError, match=f"(?s){expected}") as caught:
        check_rows(tmp_path / "rules.toml", tmp_path / "rows.csv")
    assert SECRET not in str(caught.value)


def test_a_table_is_checked_as_it_stands(tmp_path):
    (tmp_path / "rows.csv").write_text("age,site\n17,x\n18,x\nNA,y\n", encoding="utf-8")
    (tmp_path / "rules.toml").write_text('[[rule]]\nkind = "range"\nvariable = "age"\nlow = 18', encoding="utf-8")
    report = check_rows(tmp_path / "rules.toml", tmp_path / "rows.csv")
    assert (report.outcomes[0].judged, report.outcomes[0].broken, report.rows) == (2, 1, 3)
    assert report.missing == {"age": 1}
