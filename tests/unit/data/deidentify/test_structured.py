"""Fields by their rules: pseudonyms, shifted dates, ages, bins; what is declared wrongly is told whole."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.data.deidentify.dates import read_date
from huizhen.data.deidentify.keyfile import create_secret, load_secret
from huizhen.data.deidentify.rules import Plan, Rule, TextPlan, plan_of
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.structured import applied, checked_columns
from huizhen.errors import SiteError

SECRET, OTHER = Secret(b"a" * 32), Secret(b"b" * 32)
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))


def one(value, rule, **plan):
    return applied({"x": value, "patient": "p1"}, Plan({"x": rule}, **plan), SECRET).fields.get("x")


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_pseudonym_is_stable_and_differs_between_values_keys_and_purposes(one_value, another):
    assert SECRET.pseudonym("patient", one_value) == SECRET.pseudonym("patient", one_value)
    assert SECRET.pseudonym("patient", one_value) != OTHER.pseudonym("patient", one_value)
    assert SECRET.pseudonym("patient", one_value) != SECRET.pseudonym("visit", one_value)
    assert (SECRET.pseudonym("patient", one_value) == SECRET.pseudonym("patient", another)) == (one_value == another)


@given(DAYS, DAYS, st.text(min_size=1, max_size=8), st.integers(1, 5000))
def test_shifted_dates_keep_intervals_and_order_and_never_stand_still(first, second, patient, most):
    plan = Plan({"a": Rule("shift"), "b": Rule("shift")}, patient="patient", most_days=most)
    moved = applied({"a": first.isoformat(), "b": second.isoformat(), "patient": f"P{patient}"}, plan, SECRET).fields
    a, b = (date.fromisoformat(moved[name]) for name in "ab")
    assert b - a == second - first
    assert 1 <= abs((a - first).days) <= most


@given(st.integers(1, 400))
def test_every_shift_within_the_bound_and_none_outside_is_drawn(most):
    drawn = {SECRET.days(f"patient {at}", most=most) for at in range(50)}
    assert all(1 <= abs(days) <= most for days in drawn)


@given(DAYS, st.integers(-400, 400), st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%Y%m%d", "%Y.%m.%d"]))
def test_a_date_moves_in_the_way_it_is_written(day, days, how):
    assert read_date(day.strftime(how)).shifted(days) == (day + timedelta(days)).strftime(how)


@pytest.mark.parametrize("text", ["2023-02-31", "31 February", "2023-13-01", "00000000", "in May", ""])
def test_a_day_that_no_calendar_has_is_not_read(text):
    assert read_date(text) is None


def test_days_and_months_stand_in_the_declared_order():
    assert read_date("03/04/2024", "day first").day == date(2024, 4, 3)
    assert read_date("03/04/2024", "month first").day == date(2024, 3, 4)


def test_a_date_that_cannot_be_read_is_emptied_and_counted():
    found = applied({"x": "31 February", "patient": "p1"}, Plan({"x": Rule("shift")}, patient="patient"), SECRET)
    assert found.fields == {"x": None}
    assert found.counts == {("x", "unreadable"): 1, ("patient", "drop"): 1}


def test_a_date_without_a_patient_is_emptied_for_it_cannot_move_with_the_others():
    assert applied({"x": "2024-01-01", "patient": ""}, Plan({"x": Rule("shift")}, patient="patient"), SECRET).fields == {"x": None}


def test_a_patient_is_one_however_the_number_is_written():
    plan = Plan({"patient": Rule("pseudonym", purpose="patient")}, patient="patient")
    assert len({applied({"patient": value}, plan, SECRET).fields["patient"] for value in (7, 7.0, "7", " 7 ")}) <= 2
    assert applied({"patient": " 7 "}, plan, SECRET).fields == applied({"patient": "7"}, plan, SECRET).fields


@pytest.mark.parametrize(
    ("value", "rule", "told"),
    [
        (93, Rule("age"), "90+"),
        ("89", Rule("age"), "80-89"),
        (0, Rule("age", width=5), "0-4"),
        (-1, Rule("age"), None),
        (44, Rule("age", width=1), "44"),
        ("6500011", Rule("prefix", keep=3), "650*"),
        ("12.5", Rule("bin", width=5), "[10, 15)"),
        (3, Rule("bin", edges=(5, 10)), "<5"),
        (5, Rule("bin", edges=(5, 10)), "[5, 10)"),
        (10, Rule("bin", edges=(5, 10)), ">=10"),
        ("much", Rule("bin", width=5), None),
        ("2024-05-17", Rule("date"), "2024"),
        ("2024-05-17 08:00", Rule("date", to="month"), "2024-05"),
        (datetime(2024, 5, 17), Rule("date", to="quarter"), "2024-Q2"),
        ("NA", Rule("pseudonym"), "NA"),
        ("kept", Rule("keep"), "kept"),
    ],
)
def test_a_rule_tells_a_value_more_coarsely(value, rule, told):
    assert one(value, rule) == told


def test_a_field_without_a_rule_is_dropped():
    assert applied({"name": "somebody"}, Plan({}), SECRET).fields == {}


def test_columns_without_rules_and_rules_without_columns_are_told_together():
    with pytest.raises(SiteError) as error:
        checked_columns(Plan({"age": Rule("age"), "sex": Rule("keep")}), ("age", "name"))
    assert [problem.where for problem in error.value.problems] == ["column.name", "column.sex"]


def test_rules_are_checked_whole():
    wrong = {
        "deidentify": {"unnamed": "keep", "pateint": "id"},
        "column": {"a": {"rule": "vanish"}, "b": {"rule": "shift"}, "c": {"rule": "bin"}, "d": {"rule": "age", "width": 0}, "e": 3},
        "text": {"categories": ["names"], "dates": "never"},
        "colunm": {},
    }
    with pytest.raises(SiteError) as error:
        plan_of(wrong)
    found = {problem.where for problem in error.value.problems}
    assert found == {
        *("colunm", "deidentify.unnamed", "deidentify.pateint", "column.a", "column.c", "column.d.width", "column.e"),
        *("text.categories", "text.dates", "column.b"),
    }


def test_a_report_of_a_record_loses_what_the_record_says_of_the_patient_elsewhere():
    plan = Plan({"note": Rule("text")}, text=TextPlan(known=("name",)))
    found = applied({"name": "Qzx Wvu", "note": "meanwhile qzx wvu slept"}, plan, SECRET)
    assert found.fields == {"note": "meanwhile <NAME> slept"}


def test_a_key_is_kept_where_its_owner_alone_can_read_it(tmp_path):
    path = tmp_path / "key"
    made = create_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_secret(path).pseudonym("p", "1") == made.pseudonym("p", "1")
    assert path.read_text().strip() not in repr(made)
    with pytest.raises(SiteError, match="already"):
        create_secret(path)
    path.chmod(0o640)
    with pytest.raises(SiteError, match="others can read"):
        load_secret(path)


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"zz" * 32, b"\xff\xfe"])
def test_a_file_that_holds_no_key_is_refused(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SiteError, match="no key"):
        load_secret(path)
