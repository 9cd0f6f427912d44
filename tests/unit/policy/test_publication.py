"""What people get to see of a joint result."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.policy.publication import publish
from huizhen.privacy.release import Terms, Variable
from huizhen.privacy.result import CellTable, Result, Table

TERMS = Terms(
    min_cell_count=5,
    roster=("west", "east"),
    variables={"sex": Variable("category", ("f", "m")), "stage": Variable("category"), "age": Variable("number")},
)


def cells(counts, reveals=("chi2", "p_value"), rows=("f", "m"), columns=None):
    counts = np.array(counts, dtype=np.int64)
    columns = columns or tuple(f"stage {n}" for n in range(counts.shape[1]))
    return CellTable("sex", "stage", rows, columns, counts, reveals)


def tabulated(counts, **more):
    table = cells(counts, **more)
    facts = {"chi2": 4.5, "p_value": 0.03, "df": 2, "rows": int(table.counts.sum())}
    tables = {"expected": Table({"stage": ("I", "II"), "expected": (3.5, 6.5)})}
    return Result(
        "tabulate", int(table.counts.sum()), ("west", "east"), facts, tables, {"counts": table}, {"residuals": np.ones(2)}
    )


def same(one, other):
    """Whether two results are equal, arrays included."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, (Table, CellTable, Result)):
        return type(one) is type(other) and all(same(getattr(one, name), getattr(other, name)) for name in one.__slots__)
    if hasattr(one, "items"):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one == other


def test_a_table_without_small_counts_is_published_whole_with_its_totals():
    published = publish(tabulated([[10, 20], [30, 40]]), TERMS)
    table = published.cells["counts"]
    assert table.counts.tolist() == [[10, 20], [30, 40]]
    assert (table.row_totals.tolist(), table.column_totals.tolist(), table.total) == ([30, 70], [40, 60], 100)
    assert published.facts["chi2"] == 4.5
    assert published.withheld == ()


def test_a_small_cell_takes_others_and_the_statistics_that_would_give_it_away():
    before = tabulated([[3, 20, 30], [40, 50, 60]], reveals=("chi2", "p_value", "expected", "residuals", "not there"))
    published = publish(before, TERMS)
    table = published.cells["counts"]
    assert table.counts.tolist() == [[-1, -1, 30], [-1, -1, 60]]
    assert table.row_totals.tolist() == [53, 150]
    assert (published.facts["chi2"], published.facts["p_value"], published.facts["df"]) == (None, None, 2)
    assert "expected" not in published.tables
    assert "residuals" not in published.arrays
    assert {one.what for one in published.withheld} == {"cells of counts", "chi2", "p_value", "expected", "residuals"}


def test_what_is_withheld_is_never_told_in_words():
    before = tabulated([[4, 977, 877], [777, 677, 577]])
    published = publish(before, TERMS)
    told = repr(published.withheld)
    assert not any(str(number) in told for number in (977, 877, 777, 677, 577, 4.5, 0.03))


def test_statistics_of_exact_counts_are_withheld_where_counts_are_rounded():
    published = publish(tabulated([[11, 22], [33, 44]]), replace(TERMS, round_to=10))
    table = published.cells["counts"]
    assert table.counts.tolist() == [[10, 20], [30, 40]]
    assert (table.row_totals.tolist(), table.column_totals.tolist(), table.total) == ([30, 80], [40, 70], 110)
    assert (published.facts["chi2"], published.rows, published.facts["rows"]) == (None, 110, 110)


def test_rounding_never_makes_a_small_count_of_a_permitted_one():
    table = publish(tabulated([[5, 6], [7, 50]]), replace(TERMS, round_to=4)).cells["counts"]
    assert table.counts.tolist() == [[8, 8], [8, 48]]  # 5 to the nearest 4 would be 4, below the minimum of 5


def test_a_rare_label_that_nobody_declared_is_not_shown():
    before = tabulated([[1, 60, 70], [2, 50, 80]], columns=("MARKED", "I", "II"))
    table = publish(before, TERMS).cells["counts"]
    assert table.columns == ("(withheld 1)", "I", "II")
    declared = replace(TERMS, variables={"stage": Variable("category", ("MARKED", "I", "II"))})
    assert publish(before, declared).cells["counts"].columns == ("MARKED", "I", "II")


def test_a_one_way_table_is_protected_by_its_total():
    table = CellTable("sex", "", ("f", "m", "x"), ("n",), np.array([[40], [50], [3]]))
    published = publish(Result("summary", 93, cells={"sex": table}), TERMS)
    assert published.cells["sex"].counts.ravel().tolist() == [-1, 50, -1]
    assert published.cells["sex"].total == 93
    assert published.cells["sex"].columns == ("n",)


def test_a_few_missing_patients_cannot_be_got_back_from_a_table_and_the_number_of_all():
    table = CellTable("sex", "", ("f", "m"), ("n",), np.array([[40], [50]]))
    published = publish(Result("summary", 92, cells={"sex": table}), TERMS)  # two without a sex
    shown = published.cells["sex"]
    assert shown.total == -1
    assert shown.counts.ravel().tolist() == [-1, 50]
    crossed = publish(replace(tabulated([[10, 20], [30, 40]]), rows=102), TERMS).cells["counts"]
    assert crossed.total == -1
    assert (crossed.counts == -1).any()


def test_a_total_withheld_in_one_table_is_withheld_in_every_table_that_shows_it():
    one_way = CellTable("sex", "", ("f", "m", "x"), ("n",), np.array([[67], [33], [1]]))
    crossed = cells([[20, 47], [30, 3], [0, 1]], rows=("f", "m", "x"))
    alone = [
        publish(Result("table_one", 101, cells={"t": one}), TERMS).cells["t"].row_totals.tolist() for one in (one_way, crossed)
    ]
    assert alone == [[67, -1, -1], [-1, 33, -1]], "each hides x behind another total"
    together = publish(Result("table_one", 101, cells={"sex": one_way, "by stage": crossed}), TERMS)
    assert {tuple(table.row_totals) for table in together.cells.values()} == {(-1, -1, -1)}


def test_the_total_of_a_single_column_is_withheld_where_another_table_withholds_it():
    column = CellTable("sex", "stage", ("f", "m"), ("I",), np.array([[20], [13]]))
    by_stage = CellTable("stage", "", ("I", "II", "III"), ("n",), np.array([[33], [65], [3]]))
    published = publish(Result("table_one", 101, cells={"column": column, "by stage": by_stage}), TERMS).cells
    assert published["by stage"].counts.ravel().tolist() == [-1, 65, -1]
    assert (published["column"].total, published["column"].column_totals.tolist()) == (-1, [-1])
    assert (published["column"].counts == -1).all(), "20 + 13 would tell"


def summary(n, missing, support=True):
    columns = {"variable": ("age", "weight"), "n": n, "missing": missing, "mean": (61.5, 70.25), "se": (0.5, 0.25)}
    return Table(columns, index="variable", counts=("n", "missing"), support="n" if support else "", reveals=("se",))


def test_a_few_missing_values_cannot_be_got_back_from_the_others():
    published = publish(Result("summary", 100, tables={"summary": summary((97, 80), (3, 20))}), TERMS)
    columns = published.tables["summary"].columns
    assert (columns["n"], columns["missing"]) == ((None, 80), (None, 20))
    assert columns["mean"] == (61.5, 70.25)
    assert columns["se"] == (None, 0.25), "a standard error beside a standard deviation tells n"
    assert [one.what for one in published.withheld] == ["counts of summary"]


def test_a_row_on_too_few_patients_is_withheld_but_for_a_public_label():
    published = publish(Result("summary", 100, tables={"summary": summary((4, 80), (96, 20))}), TERMS)
    columns = published.tables["summary"].columns
    assert [columns[name][0] for name in columns] == ["age", None, None, None, None]
    assert columns["mean"][1] == 70.25


def test_a_group_is_not_got_back_from_the_others_and_its_undeclared_label_not_shown():
    groups = Table({"stage": ("I", "II", "MARKED"), "n": (60, 37, 3), "mean": (1.5, 2.5, 3.5)}, index="stage", support="n")
    columns = publish(Result("compare", 100, tables={"groups": groups}), TERMS).tables["groups"].columns
    assert columns["stage"] == ("I", "II", "(withheld 1)")
    assert columns["n"] == (60, None, None), "37 falls with 3, for 100 - 60 - 37 = 3"
    assert columns["mean"] == (1.5, 2.5, None)
    elsewhere = publish(Result("compare", 150, tables={"groups": groups}), TERMS).tables["groups"].columns
    assert elsewhere["n"] == (60, 37, None), "the groups do not add up to anything published"


@pytest.mark.parametrize(("events", "shown"), [(50, 50), (3, None), (97, None), (0, 0), (100, 100)])
def test_a_small_number_of_events_or_of_the_others_is_withheld(events, shown):
    assert publish(Result("cox", 100, facts={"events": events, "df": 3}), TERMS).facts == {"events": shown, "df": 3}


def test_rounded_numbers_do_not_differ_by_a_small_count_either():
    terms = replace(TERMS, round_to=3)  # 106 - 101 = 5 patients, but rounded 105 - 102 = 3
    assert publish(Result("cox", 106, facts={"events": 101}), terms).facts["events"] is None


def test_a_result_on_too_few_patients_is_withheld_whole():
    before = replace(tabulated([[1, 1], [1, 1]]), arrays={"covariance": np.eye(2)})
    published = publish(before, TERMS)
    assert (published.rows, dict(published.facts), dict(published.cells), dict(published.arrays)) == (0, {}, {}, {})
    assert "withheld" in published.failure
    assert same(publish(published, TERMS), published)


def test_a_model_without_counts_is_published_as_it_is():
    coefficients = Table({"term": ("age",), "coefficient": (0.5,), "p_value": (float("nan"),)}, index="term")
    before = Result("cox", 100, tables={"coefficients": coefficients}, arrays={"covariance": np.eye(1)}, notes=("a note",))
    assert publish(before, TERMS) == before


def test_no_policy_no_suppression():
    before = tabulated([[1, 2], [3, 4]])
    assert publish(before, replace(TERMS, min_cell_count=1)).cells["counts"].counts.tolist() == [[1, 2], [3, 4]]


counts = st.integers(0, 12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(counts, min_size=3, max_size=3), min_size=2, max_size=2),
    st.lists(st.tuples(counts, counts), min_size=2, max_size=4),
    st.integers(1, 6),
    st.sampled_from([1, 3, 4, 5, 10]),
    st.integers(0, 30),
)
def test_publishing_twice_changes_nothing_and_no_small_count_is_seen(table, groups, minimum, step, events):
    terms = replace(TERMS, min_cell_count=minimum, round_to=step)
    before = tabulated(table)
    size = len(groups)
    columns = {
        "g": tuple("abcd"[:size]),
        "n": tuple(n for n, _ in groups),
        "missing": tuple(m for _, m in groups),
        "se": (0.5,) * size,
    }
    grouped = Table(columns, index="g", counts=("n", "missing"), support="n", reveals=("se",))
    before = replace(before, facts={**before.facts, "events": events}, tables={**before.tables, "groups": grouped})
    once = publish(before, terms)
    assert same(publish(once, terms), once)
    seen = [
        once.facts.get("events"),
        *(v for name in ("n", "missing") for v in once.tables.get("groups", Table({name: ()})).columns[name]),
    ]
    for shown in once.cells.values():
        seen += [*shown.counts.ravel(), *shown.row_totals, *shown.column_totals, shown.total]
    assert not [count for count in seen if count is not None and 0 < count < minimum]
    assert all(count is None or count < 1 or count % step == 0 for count in seen)
