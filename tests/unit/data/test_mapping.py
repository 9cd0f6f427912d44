"""A mapping: from events of a registry to the variables of a dictionary; what is doubtful is told and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest

from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.data.mapping.parts import ranges
from huizhen.data.mapping.source import MappedSource
from huizhen.data.mapping.units import NoConversion, conversion
from huizhen.data.records import open_source
from huizhen.errors import DataError
from huizhen.privacy.release import Variable
from huizhen.site.check import checked_settings
from huizhen.site.settings import parse_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "Zhang-Secret-77"


def at(day, hour=0):
    return datetime(2020, 1, day, hour)


def lab(record, day=1, number=None, patient="p", code="2160-0", unit="mg/dL", hour=0, **others):
    begins = None if day is None else at(day, hour)
    return Event(patient, "measurement", record, "LOINC", code, "Creatinine", number, unit=unit, begins=begins, **others)


def stay(record, first, last, patient="p"):
    return Event(patient, "visit", record, "ActCode", "IMP", begins=at(first), ends=last and at(last), visit=record)


@pytest.fixture
def mapped(tmp_path):
    """A mapping with one variable, or several, over events."""

    def make(events, rule, entry='type = "number"\nunit = "mg/dL"', index="", extra="", others=""):
        Registry(tmp_path / "registry").sync("a", Changes([Batch(events, len(events))], whole=True), now=NOW)
        (tmp_path / "dictionary.toml").write_text(f"[variable.x]\n{entry}\n{extra}", encoding="utf-8")
        top = f'[mapping]\ndictionary = "dictionary.toml"\n{others}\n'
        (tmp_path / "map.toml").write_text(f"{top}{index}\n[variable.x]\n{rule}", encoding="utf-8")
        return open_source(tmp_path / "map.toml")

    return make


def values(source, kind="number", name="x"):
    column = source.read({name: Variable(kind)}, site="s").columns[name]
    if kind == "number":
        return [None if np.isnan(value) else value for value in column.values.tolist()]
    return [column.levels[code] if code >= 0 else None for code in column.codes.tolist()]


def told(source, name="x"):
    (found,) = [each for each in source.report().variables if each.name == name]
    return {**found.left_out, **found.notes}


LAB = 'kind = "measurement"\ncodes = ["LOINC:2160-0"]\n'
STAY = '[index]\nkind = "visit"\npick = "{}"\n'
FIVE = [lab(f"o{i}", day, number) for i, (day, number) in enumerate([(3, 5.0), (1, 2.0), (9, 1.0), (4, 4.0)])]


@pytest.mark.parametrize(
    ("take", "expected"),
    [("", 1.0), ("first", 2.0), ("last", 1.0), ("min", 1.0), ("max", 5.0), ("mean", 3.0), ("count", 4.0), ("exists", 1.0)],
)
def test_of_several_events_one_value_is_taken_as_declared(mapped, take, expected):
    assert values(mapped(FIVE, LAB + f'take = "{take}"')) == [expected]


def test_the_last_creatinine_before_discharge_is_that_before_the_visit_ends(mapped):
    source = mapped([*FIVE, stay("v", 2, 5)], LAB + 'until = "0 h"\ncounted_from = "ends"', index=STAY.format("first"))
    assert values(source) == [4.0]  # of day 4; that of day 9 is after the discharge on day 5


def test_the_first_value_in_24_hours_after_admission_is_in_a_window_with_its_ends(mapped):
    events = [
        stay("v", 2, 5),
        lab("before", 1, 1.0, hour=23),
        lab("late", 3, 2.0, hour=0),
        lab("too late", 3, 3.0, hour=1),
    ]
    rule = LAB + 'take = "first"\nsince = "0 h"\nuntil = "24 h"'
    assert values(mapped(events, rule, index=STAY.format("first"))) == [2.0]


def test_each_visit_is_a_row_with_the_events_of_that_visit(mapped):
    events = [stay("v1", 1, 3), stay("v2", 6, 8), lab("a", 2, 5.0, visit="v1"), lab("b", 7, 6.0, visit="v2"), lab("c", 7, 7.0)]
    assert values(mapped(events, LAB + "same_visit = true", index=STAY.format("each"))) == [5.0, 6.0]
    assert values(mapped(events, LAB + 'take = "count"', index=STAY.format("last"))) == [3.0]


def test_a_window_at_a_discharge_that_is_unknown_has_no_value_and_is_told(mapped):
    source = mapped([stay("v", 2, None), *FIVE], LAB + 'until = "0 h"\ncounted_from = "ends"', index=STAY.format("first"))
    with pytest.raises(DataError, match="no value in any of 1 row"):
        values(source)
    assert told(source)["without a time, where a window is declared"] == 4


def test_patients_without_an_event_have_a_row_without_a_value(mapped):
    events = [*FIVE, lab("q", 1, 3.0, patient="q", code="other")]
    assert values(mapped(events, LAB)) == [1.0, None]
    assert values(mapped(events, LAB + 'take = "exists"')) == [1.0, 0.0]


def test_an_event_with_a_second_code_of_the_same_set_counts_once(mapped):
    events = [lab("o#", 1, 1.0), lab("o#c1", 1, 1.0, code="38483-4"), lab("o#1", 1, 1.0)]
    rule = 'kind = "measurement"\ncodes = ["LOINC:2160-0", "LOINC:38483-4"]\ntake = "count"'
    assert values(mapped(events, rule)) == [2.0]  # the record and its component


def test_units_that_are_not_declared_are_left_out_and_told(mapped):
    events = [lab("a", 1, 88.4, unit="umol/L"), lab("b", 2, 2.0, unit=None), lab("c", 3, 3.0, patient="q")]
    source = mapped(events, LAB)
    assert values(source) == [None, 3.0]
    assert told(source) == {"another unit than declared": 1, "a number without a unit": 1}


def test_declared_units_are_converted_and_several_are_told(mapped):
    pytest.importorskip("ucumvert", reason="pip install 'huizhen[registry]'")
    events = [lab("a", 1, 88.4, unit="umol/l"), lab("b", 2, 2.0, unit=None, patient="q"), lab("c", 3, 3.0, patient="r")]
    units = 'units = { "umol/l" = "umol/L", "mg/dL" = "mg/dL", "" = "g/L" }\nmolar_mass = 113.12'
    source = mapped(events, LAB + units)
    assert values(source) == pytest.approx([88.4 * 113.12 / 1e4, 200.0, 3.0])  # 1 umol of 113.12 g/mol is 0.11312 mg
    assert told(source) == {"events in several units, converted": 3}


@pytest.mark.parametrize(("found", "wanted"), [("meq/L", "mmol/L"), ("[iU]/L", "U/L"), ("mg/dL", "umol/L"), ("mgg", "kg")])
def test_a_conversion_that_is_not_certain_is_refused(found, wanted):
    pytest.importorskip("ucumvert", reason="pip install 'huizhen[registry]'")
    with pytest.raises(NoConversion):
        conversion(found, wanted)


def test_temperatures_have_an_offset_and_annotations_mean_nothing():
    pytest.importorskip("ucumvert", reason="pip install 'huizhen[registry]'")
    how = conversion("[degF]", "Cel")
    assert 212 * how.factor + how.offset == pytest.approx(100)
    assert conversion("{score}", "") == conversion("kg", "kg")


def test_a_unit_of_another_quantity_is_a_mistake_of_the_mapping(mapped):
    pytest.importorskip("ucumvert", reason="pip install 'huizhen[registry]'")
    source = mapped(FIVE, LAB + 'units = ["umol/L"]')
    with pytest.raises(DataError, match=r"variable.x.units: found 'umol/L': units of different quantities"):
        values(source)


def test_bounds_text_and_marks_for_missing_values_are_no_numbers(mapped):
    events = [
        lab("a", 1, 0.1, text="<"),
        lab("b", 2, text=SECRET, unit=None),
        lab("c", 3, -9.0),
        lab("d", 4, None, unit=None),
        lab("e", 5, 1.5),
    ]
    source = mapped(events, LAB + "missing = [-9]")
    assert values(source) == [1.5]
    assert told(source) == {
        "a bound such as < instead of a number": 1,
        "text where a number belongs": 1,
        "a mark for a missing value": 1,
        "no value": 1,
    }
    assert SECRET not in repr(source.report())


def test_values_without_a_time_that_differ_are_not_chosen_from(mapped):
    events = [lab("a", None, 1.0), lab("b", None, 2.0), lab("c", None, 3.0, patient="q"), lab("d", None, 3.0, patient="q")]
    source = mapped(events, LAB)
    assert values(source) == [None, 3.0]
    assert told(source) == {"several values without a time in a row: none is taken": 1}


def test_labels_become_the_values_of_the_dictionary_and_others_are_told(mapped):
    rows = [("p", "M", None), ("q", None, 2.0), ("r", SECRET, None)]
    events = [Event(who, "value", f"{who}#sex", "local", "sex", "sex", number, text) for who, text, number in rows]
    source = mapped(
        events, 'column = "sex"\nvalues = { M = "male", 2 = "female" }', 'type = "category"\nvalues = ["female", "male"]'
    )
    assert values(source, "category") == ["male", "female", None]
    assert told(source) == {"a value that is not declared": 1}


def test_age_is_in_completed_years_and_days_count_from_the_index(mapped):
    events = [Event(who, "person", who, begins=datetime(1980, month, 1), text="female") for who, month in (("p", 6), ("q", 5))]
    day = "[index]\ndate = 2020-05-31\n"
    assert values(mapped(events, 'kind = "person"\nread = "age"', 'type = "number"\nunit = "a"', index=day)) == [39.0, 40.0]
    died = [*events, Event("p", "death", "d", begins=datetime(2020, 6, 10))]
    assert values(mapped(died, 'kind = "death"\nread = "days"', 'type = "number"\nunit = "d"', index=day)) == [10.0, None]


def coded(who, code, system="ICD10"):
    return Event(who, "condition", who, system, code, begins=at(1))


def test_descendants_are_codes_that_begin_so_or_stand_below_in_a_hierarchy_file(mapped, tmp_path):
    events = [coded("a", "C34.1"), coded("b", "c34"), coded("c", "C35"), coded("d", "9", "SNOMED"), coded("e", "7", "SNOMED")]
    prefix = 'kind = "condition"\ncodes = ["ICD10:C34"]\ndescendants = true'
    assert values(mapped(events, prefix, 'type = "truth"')) == [1.0, 1.0, 0.0, 0.0, 0.0]
    (tmp_path / "isa.csv").write_text("parent,child\n1,5\n5,9\n9,1\n7,1\n", encoding="utf-8")  # with a circle
    below = 'kind = "condition"\nvalue_set = "tumours"\n[value_set.tumours]\ncodes = ["SNOMED:1"]\ndescendants = true'
    source = mapped(events, below, 'type = "truth"', others='hierarchy = { SNOMED = "isa.csv" }')
    assert values(source) == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_origins_leave_the_events_of_other_sources_out(mapped, tmp_path):
    source = mapped(FIVE, LAB, others='origins = ["b"]')
    Registry(tmp_path / "registry").sync("b", Changes([Batch([lab("x", 1, 8.0, patient="z")], 1)]), now=NOW)
    assert values(source) == [8.0]


def test_what_a_file_says_is_never_sql(mapped):
    evil = "x'); drop view events; --"
    events = [coded("p", evil), coded("q", "I10")]
    source = mapped(events, f'kind = "condition"\ncodes = ["ICD10:{evil}"]', 'type = "truth"', others=f'origins = ["a", "{evil}"]')
    assert values(source) == [1.0, 0.0]
    assert source.rows == 2


def test_a_variable_may_have_a_name_that_is_sql(tmp_path, mapped):
    mapped(FIVE, LAB)
    name = "x' ; drop table made -- 年龄"
    (tmp_path / "dictionary.toml").write_text(f'[variable."{name}"]\ntype = "number"\nunit = "mg/dL"', encoding="utf-8")
    (tmp_path / "map.toml").write_text(f'[mapping]\ndictionary = "dictionary.toml"\n[variable."{name}"]\n{LAB}', encoding="utf-8")
    assert values(open_source(tmp_path / "map.toml"), name=name) == [1.0]


def test_a_variable_that_is_not_mapped_is_said_and_cannot_be_read(mapped):
    source = mapped(FIVE, LAB, extra='[variable.age]\ntype = "number"\nunit = "a"\n')
    assert told(source, "age") == {"in the dictionary, and not in the mapping": 1}
    assert "variable 'age'" in str(source.warnings[0])
    with pytest.raises(DataError, match="no column 'age'"):
        values(source, name="age")


def test_codes_without_an_event_are_said_and_values_outside_the_range_are_kept(mapped):
    source = mapped(FIVE, 'kind = "drug"\ncodes = ["ATC:C09"]\ntake = "count"', 'type = "number"')
    assert told(source) == {"no event of these codes": 1}
    source = mapped(FIVE, LAB, 'type = "number"\nunit = "mg/dL"\nrange = [2, 9]')
    assert told(source) == {"values outside the range of the dictionary: kept": 1}
    assert values(source) == [1.0]


def test_a_study_that_reads_another_kind_or_unit_is_refused(mapped):
    source = mapped(FIVE, LAB)
    with pytest.raises(DataError, match="found the unit 'mg/dL' in the dictionary, expected 'g/L'"):
        source.read({"x": Variable("number", unit="g/L")}, site="s")
    with pytest.raises(DataError, match="expected a image"):
        source.read({"x": Variable("image")}, site="s")
    assert values(source, "category") == ["1"]


@pytest.mark.parametrize(
    ("rule", "entry", "index", "expected"),
    [
        ('kind = "measuring"', 'type = "number"', "", "one of: condition"),
        ('column = "x"\nkind = "drug"', 'type = "number"', "", "either column, or kind and codes"),
        ('kind = "drug"\ncodes = ["ATC"]', 'type = "number"', "", "codes"),
        ('kind = "drug"\nvalue_set = "acei"', 'type = "number"', "", r"a table \[value_set.NAME\]"),
        ('kind = "drug"\nsince = "-3 d"', 'type = "number"', "", r"a table \[index\]"),
        ('kind = "drug"\nsince = "3 weeks"', 'type = "number"', "", "a duration is a positive number"),
        (
            'kind = "drug"\nsince = "3 d"\nuntil = "0 d"',
            'type = "number"',
            "[index]\ndate = 2020-01-01",
            "since no later than until",
        ),
        ('kind = "drug"\nsame_visit = true', 'type = "number"', "[index]\ndate = 2020-01-01", "an .index. that is an event"),
        ('kind = "drug"\ntake = "mean"', 'type = "category"', "", "text or code, first or last"),
        ('kind = "drug"\nvalues = { a = "b" }', 'type = "category"\nvalues = ["c"]', "", "found 'b', expected one of: c"),
        ('kind = "drug"\nvalues = { a = 2 }', 'type = "truth"', "", "0 or 1, for a truth"),
        ('kind = "drug"\nwindow = 3', 'type = "number"', "", "a key that is not known"),
        ('kind = "drug"', 'type = "number"\nrange = [3, 1]', "", "two numbers, the smaller one first"),
        ('kind = "drug"', 'type = "truth"\nunit = "g"', "", "unit and range are for a number"),
        ('kind = "drug"', 'type = "number"', "[index]\n", "either a date or the kind of an event"),
        ('kind = "drug', 'type = "number"', "", "TOML 1.0"),
    ],
)
def test_every_mistake_in_the_files_is_told(mapped, rule, entry, index, expected):
    with pytest.raises(DataError, match=expected):
        mapped(FIVE, rule, entry, index)


def test_a_mapping_without_a_registry_or_patients_says_so(mapped, tmp_path):
    source = mapped(FIVE, LAB, others='registry = "nowhere"')
    with pytest.raises(DataError, match="no registry"):
        values(source)
    assert not (tmp_path / "nowhere").exists()
    source = mapped(FIVE, LAB, others='origins = ["nobody"]')
    with pytest.raises(DataError, match="found no row"):
        values(source)


def test_rows_are_written_as_parquet_for_this_account_alone(mapped, tmp_path):
    source, path = mapped(FIVE, LAB), tmp_path / "rows.parquet"
    assert source.write(path) == source.write(path) == 1
    assert duckdb.sql(f"select patient, x from '{path}'").fetchall() == [("p", 1.0)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_source(path).read({"x": Variable("number")}, site="s").number("x").tolist() == [1.0]


def test_a_source_of_a_site_may_be_its_registry(mapped, tmp_path):
    source = mapped(FIVE, LAB)
    settings = parse_settings({"site": {"name": "a"}, "source": {"rows": {"kind": "registry", "mapping": "map.toml"}}}, tmp_path)
    assert settings.source == "rows"
    assert checked_settings(settings) == ()
    assert open_source(settings.path_of("rows")).columns == source.columns
    (tmp_path / "map.toml").write_text("[mapping]", encoding="utf-8")
    assert "source.rows: map.toml: mapping.dictionary" in str(checked_settings(settings)[0])


def test_rows_read_some_patients_after_others_are_those_that_are_read_at_once(mapped):
    rng = np.random.default_rng(3)
    events = [
        lab(
            f"o{i}",
            int(rng.integers(1, 28)),
            float(rng.integers(0, 9)),
            patient=f"p{rng.integers(40):02}",
            code=f"c{rng.integers(3)}",
        )
        for i in range(600)
    ]
    others = '\n[variable.word]\nkind = "measurement"\ncodes = ["LOINC:c2"]\nread = "code"'
    source = mapped(events, LAB.replace("2160-0", "c1") + 'take = "mean"' + others, extra='[variable.word]\ntype = "category"')
    parted = MappedSource(source.mapping, source.registry, source.hierarchy, at_once=50)
    asked = {"x": Variable("number"), "word": Variable("category")}
    whole, parts = source.read(asked, site="s"), parted.read(asked, site="s")
    assert parts.rows == whole.rows == source.rows == parted.rows == 40
    np.testing.assert_array_equal(parts.number("x"), whole.number("x"))
    assert parts.category("word").levels == whole.category("word").levels
    np.testing.assert_array_equal(parts.category("word").codes, whole.category("word").codes)
    assert parted.report() == source.report()
    assert parted.columns == source.columns
    for name, one in (("a", source), ("b", parted)):
        assert one.write(source.path.with_name(f"{name}.parquet")) == 40
    held = [duckdb.sql(f"select * from '{source.path.with_name(f'{name}.parquet')}'").fetchall() for name in "ab"]
    assert held[0] == held[1]
    assert [row[0] for row in held[1]] == sorted(f"p{number:02}" for number in range(40))
    with parted.registry.connect() as connection:
        found = list(ranges(connection, 600, 50))
    assert len(found) > 5  # the test is of several parts
