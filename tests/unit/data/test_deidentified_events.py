"""Events lose what need not be kept on their way into a registry, and stay the same events from sync to sync."""

from __future__ import annotations

from datetime import datetime

import pytest

from huizhen.data.deidentify.eventrules import EventRules
from huizhen.data.deidentify.events import Treatment
from huizhen.data.deidentify.identifying import is_identifying
from huizhen.data.deidentify.secret import Secret
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.errors import SiteError
from registries import NOW, rows

KEY, OTHER = Secret(bytes(32)), Secret(bytes([1] * 32))


def treated(*events, secret=KEY, alias="lab", removed=(), **rules):
    plan = EventRules.model_validate(rules).plan(secret.mark)
    return Treatment(plan, secret, alias).batch(Batch(events, len(events), removed=removed))


def cell(code, text=None, number=None, patient="p1", record="r1", **more):
    return Event(patient, "value", f"{record}#{code}", "local", code, code, number, text, **more)


def test_a_patient_has_one_pseudonym_over_all_sources_and_a_record_one_in_each():
    lab, ward = (treated(cell("a", "x", visit="v1"), alias=alias).events[0] for alias in ("lab", "ward"))
    assert (lab.patient, lab.visit) == (ward.patient, ward.visit) == (KEY.pseudonym("patient", "p1"), KEY.pseudonym("visit", "v1"))
    assert lab.record != ward.record
    assert lab.record.endswith("#a")
    assert treated(cell("a", "x"), secret=OTHER).events[0].patient != lab.patient


def test_the_number_of_a_deleted_record_is_that_under_which_it_is_held():
    found = treated(cell("a", "x"), removed=["r1"])
    assert found.removed == [found.events[0].record.partition("#")[0]]


def test_dates_of_a_patient_move_together_and_of_its_versions_the_later_stays_the_later():
    begins, ends = datetime(2020, 1, 30), datetime(2020, 2, 3, 12)
    stay = Event("p1", "visit", "r1", begins=begins, ends=ends, version="2020-03-01T00:00:00")
    other = stay._replace(patient="p2", version="2020-03-02T00:00:00")
    one, two = treated(stay, other, dates="shift").events
    assert one.ends - one.begins == ends - begins
    assert one.begins - begins == two.begins - begins or one.begins != two.begins
    assert one.begins - begins == datetime(2020, 1, 1) + (one.begins - begins) - datetime(2020, 1, 1) != datetime.min - datetime.min
    assert (one.begins - begins).days == KEY.days("p1", most=365)
    assert "2020-03-01T00:00:00" != one.version < two.version  # of one record, whosever it is


def test_a_time_that_no_living_person_has_is_left_to_be_refused():
    (event,) = treated(Event("p", "visit", "r", begins=datetime(9999, 12, 31)), dates="shift").events
    assert event.begins == datetime(9999, 12, 31)


def test_a_birth_is_told_by_its_year_where_the_site_says_so():
    birth, visit = Event("p", "person", "r", begins=datetime(1950, 5, 7)), Event("p", "visit", "s", begins=datetime(2020, 5, 7))
    found = treated(birth, visit, births="year").events
    assert [event.begins for event in found] == [datetime(1950, 1, 1), datetime(2020, 5, 7)]


def test_cells_of_columns_that_say_who_it_is_are_dropped_and_looked_for_in_the_texts_of_the_row():
    found = treated(cell("姓名", "Qzx Mark"), cell("note", "Seen with qzx mark today."), cell("sex", "female"))
    assert [(event.code, event.text) for event in found.events] == [("note", "Seen with <NAME> today."), ("sex", "female")]
    assert found.treated["a cell dropped: its column says that it tells who somebody is"] == 1
    assert found.treated["a name in a text"] == 1
    assert len(treated(cell("姓名", "Qzx Mark"), identifying="keep").events) == 1


@pytest.mark.parametrize(
    "column", ["patient_name", "PatientName", "name", "患者姓名", "mobile", "E-Mail", "id_card", "MRN", "住院号"]
)
def test_columns_that_say_who_it_is(column):
    assert is_identifying(column)


@pytest.mark.parametrize(
    "column", ["drug_name", "sex", "age", "hypertension", "number", "record", "诊断名称", "emailed_report_count_"]
)
def test_columns_that_say_something_else(column):
    assert not is_identifying(column)


def test_a_telephone_or_id_number_in_any_cell_becomes_a_mark():
    found = treated(cell("x", number=13912345678.0), cell("y", number=110105194912310021.0), cell("z", "13912345678"))
    assert [(event.number, event.text) for event in found.events] == [(None, "<PHONE>"), (None, "<ID>"), (None, "<PHONE>")]


def test_answers_and_words_of_terminologies_stay_as_they_are():
    drug = Event("p", "drug", "r", "RxNorm", "1", "Atropine Sulfate 1 MG/ML Injectable Solution", 1.0)
    asked = (drug, cell("result", "Detected"), cell("diagnosis", "急性心肌梗死"), cell("day", "2024-02-03"))
    for event, kept in zip(asked, treated(*asked).events, strict=True):
        assert (event.display, event.number, event.text) == (kept.display, kept.number, kept.text)


def test_a_cell_that_is_a_date_moves_as_the_dates_of_its_patient():
    (event,) = treated(cell("day", "2024-02-03"), dates="shift").events
    assert (datetime.fromisoformat(event.text) - datetime(2024, 2, 3)).days == KEY.days("p1", most=365)


def test_rules_by_code_are_followed_and_nothing_is_done_twice():
    rules = {"age": {"rule": "age"}, "gone": {"rule": "drop"}, "day": {"rule": "shift"}, "note": {"rule": "keep"}}
    texts = (cell("age", number=93.0), cell("gone", "x"), cell("day", "2024-02-03"), cell("note", "Dr. Bob Smith, 13912345678"))
    found = treated(*texts, cell("day", "31 February", record="r2"), code=rules, dates="shift")
    age, day, note = found.events
    assert (age.number, age.text, note.text) == (None, "90+", "Dr. Bob Smith, 13912345678")
    assert (datetime.fromisoformat(day.text) - datetime(2024, 2, 3)).days == KEY.days("p1", most=365)
    assert (found.treated["a value dropped by a rule"], found.treated["a value dropped: its rule cannot read it"]) == (1, 1)


def test_of_cells_those_that_are_named_may_be_the_only_ones():
    found = treated(cell("age", number=3.0), cell("other", "x"), code={"age": {"rule": "keep"}}, cells="named")
    assert [event.code for event in found.events] == ["age"]


@pytest.mark.parametrize(("texts", "told"), [("drop", None), ("keep", "Dr. Bob Smith"), ("clean", "Dr. <NAME>")])
def test_reports_are_cleaned_dropped_or_kept(texts, told):
    assert treated(Event("p", "report", "r", text="Dr. Bob Smith"), texts=texts).events[0].text == told


def test_the_place_of_images_and_the_uid_of_a_series_are_not_told():
    image = Event("p", "image", "ImagingStudy/s#1.2.840.1", "DICOM", "CT", "CHEST", 3.0, "Qzx/ct", "images")
    (event,) = treated(image).events
    assert event.number == 3.0
    assert not {"Qzx", "1.2.840.1", "ImagingStudy"} & set(" ".join((event.text, event.record)).replace("/", " ").split())
    assert "1.2.840.1" not in event.record


def test_mistakes_in_rules_are_told_by_their_place():
    with pytest.raises(SiteError) as raised:
        EventRules.model_validate({"code": {"age": {"rule": "agee"}, "w": {"rule": "bin"}}}).plan("")
    assert [problem.where for problem in raised.value.problems] == ["deidentify.code.age", "deidentify.code.w"]


def test_a_cursor_is_sealed_by_the_key_and_opened_by_no_other():
    cursor = {"files": {"王小明.txt": [1, 2]}}
    sealed = KEY.sealed(cursor)
    assert "王" not in sealed
    assert (KEY.opened(sealed), OTHER.opened(sealed), KEY.opened("x"), KEY.opened(None)) == (cursor, None, None, None)


def test_events_of_the_same_version_are_written_anew_where_the_rules_are_others(tmp_path):
    registry = Registry(tmp_path / "registry")
    report = Event("p", "report", "r", text="Dr. Bob Smith", version="2020-01-01T00:00:00")
    for texts in ("keep", "clean"):
        treatment = Treatment(EventRules(texts=texts).plan(KEY.mark), KEY, "a")
        registry.sync("a", treatment.changes(Changes([Batch([report], 1, cursor=1)])), now=NOW)
        before = {path.name for path in registry.folder.glob("*.parquet")}
    assert rows(registry, "select text from events") == [("Dr. <NAME>",)]
    assert before == {segment.name for segment in registry.manifest.segments}  # nothing of the old rules is left on the disk


def test_sources_that_were_treated_in_different_ways_are_not_asked_together(tmp_path):
    registry = Registry(tmp_path / "registry")
    event = Event("p", "report", "r", text="well")
    for alias, secret in (("a", KEY), ("b", OTHER)):
        treatment = Treatment(EventRules().plan(secret.mark), secret, alias)
        registry.sync(alias, treatment.changes(Changes([Batch([event], 1, cursor=1)])), now=NOW)
    with pytest.raises(SiteError, match=r"different ways: a \| b"):
        registry.connect()


def test_what_was_counted_after_the_last_cursor_is_counted_once(tmp_path):
    registry = Registry(tmp_path / "registry")
    treatment = Treatment(EventRules().plan(KEY.mark), KEY, "a")
    one, two = (Batch([Event("p", "visit", number)], 1, cursor=number) for number in ("r1", "r2"))

    def failing():
        yield one
        yield Batch([Event("p", "visit", "r2")], 1)
        raise SiteError("The source cannot be read.")

    with pytest.raises(SiteError):
        registry.sync("a", treatment.changes(Changes(failing())), now=NOW)
    assert registry.manifest.origins["a"].treated == {"a record by a pseudonym": 1, "a patient by a pseudonym": 1}
    assert treatment.opened(registry.cursor("a", treatment.settings(""))) == "r1"
    report = registry.sync("a", treatment.changes(Changes([two])), now=NOW)
    assert report.treated == {"a record by a pseudonym": 1, "a patient by a pseudonym": 1}
    assert registry.manifest.origins["a"].treated == {"a record by a pseudonym": 2, "a patient by a pseudonym": 2}
