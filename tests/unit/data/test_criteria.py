"""Criteria are checked whole, compiled, and give the patients whom plain Python finds in the same events."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from huizhen.data.criteria.attrition import rounded, told, told_together
from huizhen.data.criteria.compiled import in_other_units, members, sketched
from huizhen.data.criteria.declarations import criteria_of
from huizhen.data.criteria.reading import parse_criteria, read_criteria
from huizhen.data.criteria.rules import RULES
from huizhen.data.criteria.sketch import Sketch, buckets_for, near, nearly_two, stacked
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.errors import CallerError, MachineError
from registries import NOW

DAY0 = datetime(2020, 6, 15, 10)
DIABETES = {"kind": "condition", "system": "ICD10", "codes": ["E11"], "descendants": True}


def on(day, patient, kind="condition", code="E11.9", system="ICD10", **others):
    begins = None if day is None else DAY0 + timedelta(days=day)
    return (patient, kind, begins, {"system": system, "code": code, **others})


def person(patient, born=None, sex="female"):
    return (patient, "person", born, {"text": sex})


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def held(registry, *events):
    found = [
        Event(patient, kind, others.pop("record", f"r{number}"), begins=begins, **others)
        for number, (patient, kind, begins, others) in enumerate([(*each[:3], dict(each[3])) for each in events])
    ]
    registry.sync("a", Changes([Batch(found, len(found), cursor=1)]), now=NOW)


def criteria(tmp_path, *include, exclude=(), index=DIABETES, **others):
    return parse_criteria(
        {
            "cohort": {"title": "diabetes"},
            "index": index,
            "include": [{"name": f"i{i}", **each} for i, each in enumerate(include)],
            "exclude": [{"name": f"x{i}", **each} for i, each in enumerate(exclude)],
            **others,
        },
        tmp_path,
    )


def cohort(registry, wanted):
    """The patients who meet every criterion."""
    statement = members(wanted)
    with registry.connect() as connection:
        rows = connection.execute(statement.sql, statement.bound).fetchall()
    assert len(rows) == len({patient for patient, _, _ in rows})
    return {patient for patient, _, reached in rows if reached == len(wanted.steps)}


def test_the_first_event_in_the_period_is_the_index(registry, tmp_path):
    held(registry, on(0, "a"), on(-4000, "b"), on(10, "b"), on(9, "c", code="E10"))
    wanted = criteria(tmp_path, index={**DIABETES, "since": DAY0.date()})
    statement = members(wanted)
    with registry.connect() as connection:
        found = {patient: day for patient, day, _ in connection.execute(statement.sql, statement.bound).fetchall()}
    assert found == {"a": DAY0, "b": DAY0 + timedelta(days=10)}


@pytest.mark.parametrize(("until", "found"), [(0, {"a"}), (-1, set())])
def test_the_last_day_of_the_period_belongs_to_it(registry, tmp_path, until, found):
    held(registry, on(0, "a"))
    last = (DAY0 + timedelta(days=until)).date()
    assert cohort(registry, criteria(tmp_path, index={**DIABETES, "until": last})) == found


@pytest.mark.parametrize(
    ("written", "asked", "is_found"),
    [
        ("E11.9", "E11", True),
        ("E119", "E11.9", True),
        ("E11.9", "E119", True),
        ("E11.91", "E11.9", True),
        ("E110", "E11.9", False),
        ("E12", "E11", False),
        ("E1", "E11", False),
    ],
)
def test_descendants_begin_with_the_code_with_or_without_its_dot(registry, tmp_path, written, asked, is_found):
    held(registry, on(0, "a", code=written))
    assert bool(cohort(registry, criteria(tmp_path, index={**DIABETES, "codes": [asked]}))) == is_found


def test_without_descendants_a_code_is_that_code_alone(registry, tmp_path):
    held(registry, on(0, "a", code="E11"), on(0, "b", code="E11.9"))
    assert cohort(registry, criteria(tmp_path, index={**DIABETES, "descendants": False})) == {"a"}


def test_descendants_of_other_terminologies_come_from_a_file_in_which_circles_do_no_harm(registry, tmp_path):
    (tmp_path / "snomed.csv").write_text("parent,child\n1,2\n2,3\n3,1\n4,5\n")
    index = {"kind": "condition", "system": "SNOMED", "codes": ["1"], "descendants": True}
    held(registry, *(on(0, f"p{code}", code=code, system="SNOMED") for code in "12345"))
    assert cohort(registry, criteria(tmp_path, index=index, hierarchy={"SNOMED": "snomed.csv"})) == {"p1", "p2", "p3"}


@pytest.mark.parametrize(
    ("born", "rule", "is_found"),
    [
        (datetime(2002, 6, 15), {"at_least": 18}, True),  # the birthday itself
        (datetime(2002, 6, 16), {"at_least": 18}, False),  # the day before it
        (datetime(2001, 6, 16), {"at_most": 18}, True),
        (datetime(2001, 6, 15), {"at_most": 18}, False),
        (None, {"at_least": 0}, False),  # not known: the rule does not hold
    ],
)
def test_age_is_in_completed_years_at_the_index_date(registry, tmp_path, born, rule, is_found):
    held(registry, on(0, "a"), person("a", born))
    assert bool(cohort(registry, criteria(tmp_path, {"rule": "age", **rule}))) == is_found


def test_an_exclusion_that_cannot_be_decided_excludes_nobody(registry, tmp_path):
    held(registry, on(0, "a"), person("a"), on(0, "b"), person("b", datetime(1980, 1, 1)))
    assert cohort(registry, criteria(tmp_path, exclude=[{"rule": "age", "at_least": 18}])) == {"a"}


def test_sex_is_that_of_the_person(registry, tmp_path):
    held(registry, on(0, "a"), person("a", sex="male"), on(0, "b"), person("b"), on(0, "c"))
    assert cohort(registry, criteria(tmp_path, {"rule": "sex", "one_of": ["female", "other"]})) == {"b"}


@pytest.mark.parametrize(("day", "is_found"), [(-31, False), (-30, True), (0, True), (1, False)])
def test_both_days_of_a_window_belong_to_it(registry, tmp_path, day, is_found):
    held(registry, on(0, "a"), on(day, "a", "procedure", "x", "local"))
    rule = {"rule": "event", "kind": "procedure", "system": "local", "codes": ["x"], "days": [-30, 0]}
    assert bool(cohort(registry, criteria(tmp_path, rule))) == is_found


@pytest.mark.parametrize(("days", "is_found"), [("ever", True), ("until index", False)])
def test_by_default_nothing_counts_that_came_later(registry, tmp_path, days, is_found):
    held(registry, on(0, "a"), on(5, "a", "procedure", "x", "local"))
    rule = {"rule": "event", "kind": "procedure", "days": days}
    assert bool(cohort(registry, criteria(tmp_path, rule))) == is_found


def test_a_record_with_two_codes_counts_once(registry, tmp_path):
    held(
        registry,
        *(on(0, "a"), on(0, "b")),
        *(on(-1, "a", "procedure", code, "local", record=record) for code, record in [("x", "q"), ("y", "q#c1")]),
        *(on(-1, "b", "procedure", "x", "local", record=record) for record in ("s", "t")),
    )
    rule = {"rule": "event", "kind": "procedure", "at_least": 2}
    assert cohort(registry, criteria(tmp_path, rule)) == {"b"}


def test_a_first_event_has_none_before_it_and_a_washout_none_for_so_long(registry, tmp_path):
    index = {**DIABETES, "since": DAY0.date()}
    held(registry, on(0, "new"), on(0, "late"), on(-400, "late"), on(0, "soon"), on(-100, "soon"))
    assert cohort(registry, criteria(tmp_path, {"rule": "first"}, index=index)) == {"new"}
    assert cohort(registry, criteria(tmp_path, {"rule": "washout", "days": 365}, index=index)) == {"new", "late"}
    insulin = {"rule": "first", "kind": "drug", "system": "ATC", "codes": ["A10A"], "descendants": True}
    assert cohort(registry, criteria(tmp_path, insulin, index=index)) == {"new", "late", "soon"}


HBA1C = {"rule": "measurement", "system": "LOINC", "codes": ["4548-4"], "value": ">= 6.5", "units": ["%"]}


def measured(day, patient, number, unit="%", **others):
    return on(day, patient, "measurement", "4548-4", "LOINC", number=number, unit=unit, **others)


@pytest.mark.parametrize(("which", "found"), [("any", {"up", "down"}), ("first", {"down"}), ("last", {"up"})])
def test_of_several_measurements_any_the_first_or_the_last_counts(registry, tmp_path, which, found):
    held(
        registry,
        *(on(0, patient) for patient in ("up", "down", "none")),
        *(measured(-9, "up", 5.0), measured(-2, "up", 6.5), measured(-9, "down", 7.0), measured(-2, "down", 6.4)),
        measured(-2, "none", 60.0, "mmol/mol"),
    )
    assert cohort(registry, criteria(tmp_path, {**HBA1C, "which": which})) == found


def test_an_answer_in_words_is_one_of_those_asked_for(registry, tmp_path):
    held(registry, on(0, "a"), on(0, "b"), measured(0, "a", None, None, text="positive"), measured(0, "b", None, None, text="neg"))
    rule = {"rule": "measurement", "system": "LOINC", "codes": ["4548-4"], "answers": ["positive", "detected"]}
    assert cohort(registry, criteria(tmp_path, rule)) == {"a"}


def test_an_exposure_that_lasts_into_the_window_counts(registry, tmp_path):
    def drug(patient, day, ends):
        return on(day, patient, "drug", "A10BA02", "ATC", ends=DAY0 + timedelta(days=ends))

    held(registry, on(0, "a"), on(0, "b"), drug("a", -90, -5), drug("b", -90, -40))
    rule = {"rule": "drug", "system": "ATC", "codes": ["A10BA"], "descendants": True, "days": [-30, 0]}
    assert cohort(registry, criteria(tmp_path, rule)) == {"a"}


def test_an_image_is_of_a_modality_and_a_part_of_the_body(registry, tmp_path):
    series = [("a", "CT", "CHEST"), ("b", "MR", "CHEST"), ("c", "CT", "Head"), ("d", "CT", None)]
    held(registry, *(on(0, p) for p in "abcd"), *(on(9, p, "image", code, "DICOM", display=part) for p, code, part in series))
    assert cohort(registry, criteria(tmp_path, {"rule": "image", "modality": "CT", "body_part": ["Chest", "thorax"]})) == {"a"}
    assert cohort(registry, criteria(tmp_path, {"rule": "image", "modality": "CT"})) == {"a", "c", "d"}


def test_visits_are_counted_none_of_them_too(registry, tmp_path):
    held(
        registry, *(on(0, p) for p in "abc"), *(on(-i, "abc"[i], "visit", "IMP", visit=f"{i}{n}") for i in (1, 2) for n in range(i))
    )
    assert cohort(registry, criteria(tmp_path, {"rule": "visits", "at_least": 2})) == {"c"}
    assert cohort(registry, criteria(tmp_path, {"rule": "visits", "at_most": 0})) == {"a"}
    assert cohort(registry, criteria(tmp_path, {"rule": "visits", "at_least": 1, "classes": ["AMB"]})) == set()


@pytest.mark.parametrize("word", ["'; drop view events; --", '") or true or ("', "$p0", "E11' or '1'='1"])
def test_sql_in_a_code_is_a_code_that_nobody_has(registry, tmp_path, word):
    held(registry, on(0, "a"))
    rule = {"rule": "event", "kind": "condition", "system": word, "codes": [word], "days": "ever"}
    wanted = criteria(tmp_path, rule)
    assert cohort(registry, wanted) == set()
    assert word not in members(wanted).sql.replace("$p0", "") or word == "$p0"


def test_a_file_is_checked_whole(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        """
        [cohort]
        [index]
        kind = "disease"
        codes = ["E11"]
        [[include]]
        name = "a"
        rule = "age"
        [[include]]
        name = "a"
        rule = "measurement"
        system = "LOINC"
        codes = ["1"]
        value = "about 7"
        units = ["%"]
        [[exclude]]
        rule = "ages"
        [[exclude]]
        name = "c"
        rule = "event"
        kind = "condition"
        system = "SNOMED"
        codes = ["1"]
        descendants = true
        days = [1, -1]
        code = "2"
        [indexes]
        """
    )
    with pytest.raises(CallerError) as raised:
        read_criteria(path)
    found = {problem.where: problem for problem in raised.value.problems}
    assert set(found) == {
        *("indexes", "cohort.title", "index.kind", "include[1]", "include[2]", "exclude[1].rule"),
        *("exclude[2].code", "exclude[2].days"),
    }
    assert found["indexes"].remedy == "Did you mean index?"


def test_a_terminology_that_does_not_say_what_is_above_needs_a_file(tmp_path):
    index = {"kind": "condition", "system": "SNOMED", "codes": ["1"], "descendants": True}
    with pytest.raises(CallerError, match="descendants in SNOMED"):
        criteria(tmp_path, index=index)
    (tmp_path / "other.csv").write_text("a;b\n")
    with pytest.raises(CallerError, match="parent and child"):
        criteria(tmp_path, index=index, hierarchy={"SNOMED": "other.csv"})


def test_a_file_that_is_not_there_is_the_machines_matter(tmp_path):
    with pytest.raises(MachineError):
        read_criteria(tmp_path / "none.toml")


def test_another_name_is_the_same_cohort_and_another_bound_is_not(tmp_path):
    one, same = (criteria(tmp_path, {"rule": "age", "at_least": 18, "name": name}) for name in ("adults", "18 or more"))
    other = criteria(tmp_path, {"rule": "age", "at_least": 19})
    assert one.digest == same.digest != other.digest


def test_every_rule_is_tried_here():
    assert set(RULES) == {"age", "sex", "event", "first", "washout", "measurement", "drug", "image", "visits"}


@pytest.mark.parametrize("seed", range(5))
def test_few_patients_more_or_less_never_escape_the_sketch(registry, tmp_path, seed):
    draw = np.random.default_rng(seed)
    people = [f"p{i}" for i in range(300)]
    held(registry, *(on(0, p) for p in people), *(on(-1, p, "procedure", str(draw.integers(4)), "local") for p in people))
    minimum = int(draw.integers(2, 40))
    buckets = buckets_for(minimum)

    def sketch(*codes):
        rule = {"rule": "event", "kind": "procedure", "system": "local", "codes": list(codes)}
        wanted = criteria(tmp_path, rule)
        statement = sketched(wanted, buckets)
        with registry.connect() as connection:
            rows = connection.execute(statement.sql, statement.bound).fetchall()
        return cohort(registry, wanted), *stacked(rows, 1, buckets)

    (everyone, counts, mixed), (part, other_counts, other) = sketch("0", "1", "2", "3"), sketch("0", "1", "2")
    assert counts.tolist() == [300, 300] == [300, len(everyone)]
    assert other_counts.tolist() == [300, len(part)]
    for least in (2, len(everyone ^ part), len(everyone ^ part) + 1):
        is_near = near(mixed, other, least)[1, 1]
        assert is_near or len(everyone ^ part) >= least
    assert not near(mixed, mixed, 300).diagonal().any()


def test_counts_that_can_be_had_by_subtraction_are_not_told():
    assert told([100, 98, 96, 95, 3, 0], 5).tolist() == [True, False, False, True, False, True]
    assert told([3, 2, 0], 5).tolist() == [False, False, True]


def test_a_sum_never_gives_one_sites_number_away():
    of_sum, of_sites = told_together({"a": [50, 40, 38], "b": [50, 47, 40]}, {"a": 5, "b": 5})
    # b lost 3 first, and a 2 then: whoever knows the other's number would have it from the sum.
    assert of_sum.tolist() == of_sites.tolist() == [True, False, False]
    of_sum, of_sites = told_together({name: [50, 48] for name in "abc"}, dict.fromkeys("abc", 5))
    assert (of_sum.tolist(), of_sites.tolist()) == ([True, True], [True, False])  # 150, 144: three sites withhold theirs


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_told_differs_by_none_or_by_enough(seed):
    draw = np.random.default_rng(seed)
    sites = {name: np.sort(draw.integers(0, 60, 7))[::-1].tolist() for name in "abc"}
    of_sum, of_sites = told_together(sites, dict.fromkeys("abc", 5))
    assert not (of_sites & ~of_sum).any()
    total = np.sum(list(sites.values()), axis=0)
    for counts, seen in [(total, of_sum), *((np.array(each), of_sites) for each in sites.values())]:
        shown = counts[seen]
        gaps = np.abs(shown[:, None] - shown[None, :])
        assert ((shown == 0) | (shown >= 5)).all()
        assert ((gaps == 0) | (gaps >= 5)).all()


def test_told_numbers_are_rounded_and_none_below_the_minimum():
    may = np.array([True, True, True, False])
    assert rounded([104, 6, 0, 3], may, 5, 10) == (100, 10, 0, None)


def test_criteria_as_plain_values_are_the_same_criteria_with_what_they_need_of_a_hierarchy(tmp_path):
    (tmp_path / "snomed.csv").write_text("parent,child\n1,2\n2,3\n4,5\n")
    index = {"kind": "condition", "system": "SNOMED", "codes": ["1"], "descendants": True, "since": DAY0.date()}
    wanted = criteria(tmp_path, {"rule": "age", "at_least": 18}, index=index, hierarchy={"SNOMED": "snomed.csv"})
    assert wanted.content["hierarchy"] == {"SNOMED": {"1": ["2"], "2": ["3"]}}
    assert wanted.content["index"]["since"] == "2020-06-15"
    assert criteria_of(wanted.content) == wanted


@pytest.mark.parametrize("hierarchy", ["snomed.csv", {"SNOMED": "snomed.csv"}, {"SNOMED": {"1": "2"}}, {"SNOMED": {"1": [2]}}])
def test_plain_values_hold_their_hierarchies_themselves(hierarchy):
    with pytest.raises(CallerError, match="hierarchy"):
        criteria_of({"cohort": {"title": "x"}, "index": DIABETES, "hierarchy": hierarchy})


def test_three_cohorts_of_which_two_are_nearly_the_third_are_found_whichever_comes_last():
    hashes = np.random.default_rng(1).integers(1, 2**63, 200, dtype=np.uint64)

    def cohort_of(chosen):
        mixed = np.zeros(4096, np.uint64)
        for one in chosen:
            mixed[int(one) & 4095] ^= one
        return Sketch(len(chosen), mixed)

    everybody, women, men, some = (cohort_of(hashes[part]) for part in (slice(None), slice(120), slice(120, 197), slice(50, 150)))
    for last, others in ((men, [everybody, women]), (women, [men, everybody]), (everybody, [women, men])):
        assert nearly_two(last, [some, *others], [], 5) == (1, 2)
        assert nearly_two(last, [others[0]], [some, others[1]], 5) == (0, 2)
        assert nearly_two(last, [some, *others], [], 3) is None  # three are enough
    assert nearly_two(some, [everybody, women], [], 5) is None


def test_numbers_in_other_units_are_counted_by_criterion_and_unit(registry, tmp_path):
    def lab(day, patient, number, unit):
        return on(day, patient, "measurement", "4548-4", "LOINC", number=number, unit=unit)

    measured = {"rule": "measurement", "system": "LOINC", "codes": ["4548-4"], "value": ">= 6.5", "units": ["%"], "days": [-30, 0]}
    events = [on(0, "a"), on(0, "b"), lab(0, "a", 7, "%"), lab(-1, "a", 53, "mmol/mol"), lab(-2, "b", 60, "mmol/mol")]
    events += [lab(-3, "b", 8, None), lab(-31, "b", 60, "mmol/mol"), lab(0, "c", 60, "mmol/mol"), lab(0, "a", None, "mmol/mol")]
    held(registry, *events)
    wanted = criteria(tmp_path, {"rule": "age", "at_least": 1}, measured)
    statement = in_other_units(wanted)
    with registry.connect() as connection:
        found = connection.execute(statement.sql, statement.bound).fetchall()
    assert found == [(2, "mmol/mol", 2), (2, None, 1)]  # the window, the index event and a number are asked for
    assert in_other_units(criteria(tmp_path, {"rule": "age", "at_least": 1})) is None
