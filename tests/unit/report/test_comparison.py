"""Sides of one analysis: rows meet by their labels, differences are those of published numbers."""

import numpy as np

from huizhen.privacy.result import CellTable, Result, Table, Withheld
from huizhen.report.alone import alone_grid, reasons
from huizhen.report.comparison import beside, facts_grid, main_columns, matching, row_differences
from huizhen.report.content import Analysis
from huizhen.report.curves import curves, published
from huizhen.report.forest import estimates
from huizhen.report.grid import counts_grid
from huizhen.report.table_one import table_one_grid
from huizhen.report.words import as_is


def model(*rows):
    return Table(
        {"term": tuple(r[0] for r in rows), "coefficient": tuple(r[1] for r in rows), "standard_error": tuple(r[2] for r in rows)},
        "term",
    )


def analysis(federation, pooled=None, alone=None):
    return Analysis("a", federation, alone or {}, pooled)


def texts(row):
    return [cell.text.en for cell in row]


def test_rows_meet_by_their_labels_and_not_by_their_place():
    assert matching(model(("a", 1.0, 1.0), ("b", 2.0, 1.0)), model(("b", 2.0, 1.0), ("c", 1.0, 1.0), ("a", 1.0, 1.0))) == [2, 0]


def test_rows_without_labels_meet_by_place_if_there_are_as_many():
    one, two = Table({"x": (1, 2)}), Table({"x": (1, 2, 3)})
    assert matching(one, one) == [0, 1]
    assert matching(one, two) == [None, None]


def test_a_difference_is_relative_and_the_largest_of_its_row():
    gaps = row_differences(model(("a", 1.0, 2.0)), model(("a", 1.0 + 1e-9, 2.0)))
    np.testing.assert_allclose(gaps, 1e-9, rtol=1e-6)


def test_a_withheld_count_tells_no_difference():
    shown = Table({"v": ("x", "y"), "n": (-1, 90)}, "v", counts=("n",))
    whole = Table({"v": ("x", "y"), "n": (3, 90)}, "v", counts=("n",))
    assert row_differences(shown, whole) == [None, 0.0]


def test_a_number_that_is_nothing_but_rounding_is_no_difference():
    gaps = row_differences(model(("a", 5.0, 1.0), ("b", 1e-17, 1.0)), model(("a", 5.0, 1.0), ("b", 0.0, 1.0)))
    assert max(gaps) < 1e-10


def test_the_pooled_rows_stand_beside_the_federation():
    one = Result("glm", 90, ("s",), {}, {"coefficients": model(("a", 0.5, 0.1))})
    grid = beside(analysis(one, one), "coefficients", as_is("c"))
    assert [group.text.en for group in grid.groups] == ["", "Federation", "Pooled rows", ""]
    assert texts(grid.rows[0]) == ["a", "0.500", "0.100", "0.500", "0.100", "0"]


def test_a_square_matrix_has_no_main_column():
    assert main_columns(Table({"v": ("x", "y"), "x": (1.0, 0.5), "y": (0.5, 1.0), "rows": (9, 9)}, "v", counts=("rows",))) == ()


def test_facts_that_a_policy_withholds_are_said_to_be_withheld():
    result = Result("tabulate", 90, ("s",), {"chi2": None, "t": None}, withheld=(Withheld("chi2", "gives a cell away"),))
    grid = facts_grid(analysis(result, Result("tabulate", 90, ("s",), {"chi2": 9.5})))
    assert [texts(row) for row in grid.rows] == [["Chi-square", "withheld", "–"], ["t", "–", "–"]]


def test_every_hospital_alone_is_a_row_and_those_that_failed_are_named_by_reason():
    whole = Result("glm", 90, ("s", "t"), {}, {"coefficients": model(("a", 0.5, 0.1))})
    own = Result("glm", 40, ("s",), {}, {"coefficients": model(("a", 0.75, 0.2))})
    bad = Result("glm", failure="one class only")
    seen = analysis(whole, None, {"s": own, "t": bad, "u": bad})
    grid = alone_grid(seen)
    assert [texts(row) for row in grid.rows] == [["s", "40", "0.750"]]
    assert grid.rows[0][2].note == "(0.200)"
    assert reasons(seen) == ((as_is("one class only"), ("t", "u")),)


def test_where_no_hospital_can_answer_alone_there_is_no_table():
    assert alone_grid(analysis(Result("glm"), None, {"s": Result("glm", failure="no")})) is None


def test_counts_have_margins_where_all_their_cells_are_published():
    grid = counts_grid(CellTable("x", "y", ("a", "b"), ("c", "d"), np.array([[1, 3], [5, -1]])), as_is("n"))
    assert [texts(row) for row in grid.rows] == [["a", "1", "3", "4"], ["b", "5", "withheld", "–"]]
    assert texts(grid.foot) == ["Total", "6", "–", "–"]
    assert grid.rows[0][2].note == "75.0 %"


def test_curves_are_found_by_table_name_and_by_group_column():
    step = {"time": (1.0, 2.0), "survival": (0.9, 0.8)}
    by_name = Result("km", tables={"survival sex=1": Table(step, "time"), "survival sex=2": Table(step, "time")})
    columns = {"time": (1.0, 2.0, 1.0), "survival": (0.9, 0.8, 0.7), "group": ("f", "f", "m")}
    assert [curve.group for curve in curves(by_name)] == ["sex = 1", "sex = 2"]
    assert [(c.group, len(c.time)) for c in curves(Result("km", tables={"all": Table(columns)}))] == [("f", 2), ("m", 1)]


def test_the_number_at_risk_is_that_just_before_a_time():
    table = Table({"time": (2.0, 4.0), "survival": (0.9, 0.8), "at_risk": (10, 7), "events": (1, 2), "censored": (2, 1)}, "time")
    (curve,) = curves(Result("km", tables={"survival": table}))
    assert [curve.at(time) for time in (0, 2, 3, 4, 5)] == ["10", "10", "7", "7", "4"]


def test_a_withheld_number_at_risk_is_not_shown():
    table = Table({"time": (2.0, 4.0), "survival": (0.9, 0.8), "at_risk": (10, -1)}, "time", counts=("at_risk",))
    (curve,) = curves(Result("km", tables={"survival": table}))
    assert [curve.at(time) for time in (1, 3, 9)] == ["10", "–", "–"]


def test_the_pooled_curve_is_not_drawn_where_the_federation_withholds_it():
    shown = curves(Result("km", tables={"survival": Table({"time": (1.0, 2.0), "survival": (0.9, None)}, "time")}))
    whole = curves(Result("km", tables={"survival": Table({"time": (1.0, 2.0), "survival": (0.9, 0.123)}, "time")}))
    (kept,) = published(whole, shown)
    np.testing.assert_array_equal(kept.survival, [0.9, np.nan])


def test_an_intercept_is_not_drawn_in_a_forest():
    table = {"term": ("Intercept", "age"), "coefficient": (9.0, 0.1), "ci_low": (8.0, 0.0), "ci_high": (10.0, 0.2)}
    found = estimates(Result("glm", tables={"coefficients": Table(table, "term")}))
    assert found.terms == ("age",)
    assert not found.is_ratio


def test_table_one_is_put_together_from_its_pieces(content):
    grid = table_one_grid(content.analyses[0].federation)
    assert [head.text.en for head in grid.heads] == ["Characteristic", "1", "2", "p", "Standardised difference"]
    assert [texts(row) for row in grid.rows] == [
        ["n", "138", "90", "", ""],
        ["age, mean (SD)", "63.3 (9.1)", "61.1 (8.8)", "0.064", "0.25"],
        ["age, median [IQR]", "64 [57–70]", "61 [55, 67–69]", "", ""],
        ["ph.ecog, n (%)", "", "", "–", "–"],
        ["\u20030", "36 (26.3)", "27", "", ""],
        ["\u20031", "71 (51.8)", "42", "", ""],
        ["\u20032", "30 (21.9)", "withheld", "", ""],
    ]
