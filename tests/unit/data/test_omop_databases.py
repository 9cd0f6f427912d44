"""A CDM in a database gives the events that its files give; a database that goes away in the middle changes nothing."""

from __future__ import annotations

import csv
import io
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from huizhen.data.connectors import omop
from huizhen.data.connectors.omop import TABLES
from huizhen.data.events.store import Registry
from huizhen.errors import SiteError
from postgres import Postgres
from registries import rows, synced

sqlalchemy = pytest.importorskip("sqlalchemy")
SAMPLE = Path(__file__).resolve().parents[3] / "../shared/data/omop_synthea27nj/Synthea27Nj_5.4.zip"
ALL = "select * exclude (origin, version) from events order by record"
SMALL = {
    "person": [
        {"person_id": "1", "gender_concept_id": "8532", "year_of_birth": "1950", "birth_datetime": "", "gender_source_value": "F"}
    ],
    "measurement": [
        {
            "measurement_id": str(number),
            "person_id": "1",
            "measurement_concept_id": "3016723",
            "measurement_date": "2020-02-03",
            "measurement_datetime": "2020-02-03 08:30:00",
            "value_as_number": value,
            "value_as_concept_id": "0",
            "unit_concept_id": "8840",
            "unit_source_value": "mg/dL",
            "value_source_value": value or "not done",
            "visit_occurrence_id": "",
        }
        for number, value in enumerate(["1.25", "", "0.70", "12"], 1)
    ],
    "death": [{"person_id": "1", "death_date": "2021-05-06", "death_datetime": "", "cause_concept_id": "0"}],
    "concept": [
        {"concept_id": "3016723", "vocabulary_id": "LOINC", "concept_code": "2160-0", "concept_name": "Creatinine"},
        {"concept_id": "8840", "vocabulary_id": "UCUM", "concept_code": "mg/dL", "concept_name": "milligram per deciliter"},
    ],
}


def sample():
    """The tables of the sample, those that are read and their concepts, as text."""
    if not SAMPLE.exists():
        pytest.skip("the OMOP sample is not beside this repository")
    found = {}
    with zipfile.ZipFile(SAMPLE) as packed:
        for name in packed.namelist():
            table = Path(name).stem.lower()
            if name.lower().endswith(".csv") and table in (*TABLES, "concept"):
                text = io.TextIOWrapper(packed.open(name), encoding="utf-8-sig", newline="")
                read = csv.DictReader(text)
                found[table] = [{key.lower(): value for key, value in row.items()} for row in read]
    return {name: content for name, content in found.items() if content}


def typed(column):
    if column in ("vocabulary_id", "domain_id", "concept_class_id", "unique_device_id", "production_id"):
        return "text"
    if column.endswith(("_id", "_of_birth")):
        return "bigint"
    if column.endswith("_date"):
        return "date"
    if column.endswith("_datetime"):
        return "timestamp"
    return "numeric" if column in ("value_as_number", "quantity") else "text"


def as_files(folder, tables):
    folder.mkdir()
    for name, content in tables.items():
        with (folder / f"{name.upper()}.csv").open("w", encoding="utf-8", newline="") as file:
            written = csv.DictWriter(file, list(content[0]))
            written.writeheader()
            written.writerows(content)


def as_database(url, tables, schema="", *, as_views=False):
    """The tables with the types of the CDM's own definitions; empty cells are null."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    within = f"{schema}." if schema else ""
    is_postgres = url.startswith("postgresql")
    with engine.begin() as connection:
        if schema:
            connection.execute(sqlalchemy.text(f"drop schema if exists {schema} cascade"))
            connection.execute(sqlalchemy.text(f"create schema {schema}"))
        for name, content in tables.items():
            stored = f"{name}_stored" if as_views else name
            columns = list(content[0])
            declared = ", ".join(f"{column} {typed(column)}" for column in columns)
            connection.execute(sqlalchemy.text(f"create table {within}{stored} ({declared})"))
            places = ", ".join(f"cast(:{column} as {typed(column)})" if is_postgres else f":{column}" for column in columns)
            many = [{column: value if value != "" else None for column, value in row.items()} for row in content]
            connection.execute(sqlalchemy.text(f"insert into {within}{stored} values ({places})"), many)
            if as_views:
                connection.execute(sqlalchemy.text(f"create view {within}{name} as select * from {within}{stored}"))
    engine.dispose()


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Puts tables into a database; returns what a source says of it, without its kind."""

    def fill(tables, *, as_views=False):
        if request.param == "sqlite":
            as_database(f"sqlite:///{tmp_path / 'cdm.db'}", tables, as_views=as_views)
            return {"url": "sqlite:///cdm.db"}
        url = request.getfixturevalue("postgres").url
        as_database(url, tables, "cdm", as_views=as_views)
        return {"url": url, "database_schema": "cdm"}

    return fill


def same_events(tmp_path, tables, source):
    as_files(tmp_path / "files", tables)
    from_files, from_database = Registry(tmp_path / "a"), Registry(tmp_path / "b")
    one = synced(from_files, tmp_path, kind="omop", path="files")
    other = synced(from_database, tmp_path, kind="omop", **source)
    assert rows(from_database, ALL) == rows(from_files, ALL)
    assert (other.read, other.refused, other.notes) == (one.read, one.refused, one.notes)
    again = synced(from_database, tmp_path, kind="omop", **source)
    assert (again.same, again.new, again.changed, again.removed) == (one.new, 0, 0, 0)
    return one


@pytest.mark.parametrize("as_views", [False, True])
def test_a_database_gives_the_events_that_its_files_give(tmp_path, database, as_views):
    report = same_events(tmp_path, SMALL, database(SMALL, as_views=as_views))
    assert report.new == 6
    found = rows(Registry(tmp_path / "b"), "select number, text, unit from events where kind = 'measurement' order by record")
    assert found == [(1.25, None, "mg/dL"), (None, "not done", "mg/dL"), (0.7, None, "mg/dL"), (12.0, None, "mg/dL")]


@pytest.mark.shared_data
def test_the_sample_in_a_database_gives_the_events_of_its_files(tmp_path, database):
    tables = sample()
    report = same_events(tmp_path, tables, database(tables))
    assert report.read == sum(len(content) for name, content in tables.items() if name in TABLES)


def test_a_database_that_goes_away_in_mid_sync_leaves_the_registry_as_it_was(tmp_path, postgres, monkeypatch):
    many = [{**SMALL["measurement"][0], "measurement_id": str(number)} for number in range(20_000)]
    as_database(postgres.url, {**SMALL, "measurement": many[:500]}, "cdm")
    source = {"kind": "omop", "url": postgres.url, "database_schema": "cdm"}
    registry = Registry(tmp_path / "r")
    assert synced(registry, tmp_path, **source).new == 502
    before = rows(registry, ALL)
    as_database(postgres.url, {**SMALL, "measurement": many}, "cdm")
    taken = []

    def chunks_until_it_is_gone(found, size=200):
        for number, chunk in enumerate(real(found, size)):
            if number == 5 and len(chunk) == size:  # in the middle of the measurements
                postgres.stop()
                taken.append(number)
            yield chunk

    real = omop.chunks
    monkeypatch.setattr(omop, "chunks", chunks_until_it_is_gone)
    with pytest.raises(SiteError) as caught:
        synced(registry, tmp_path, **source)
    assert taken
    assert "a database that does not answer" in str(caught.value)
    assert "3016723" not in str(caught.value)
    assert rows(registry, ALL) == before
    monkeypatch.undo()
    postgres.start()
    report = synced(registry, tmp_path, **source)
    assert (report.new, report.same, report.removed) == (19_500, 502, 0)


def test_a_table_that_lost_its_column_of_persons_is_said_and_nothing_changes(tmp_path):
    as_database(f"sqlite:///{tmp_path / 'cdm.db'}", SMALL)
    registry = Registry(tmp_path / "r")
    source = {"kind": "omop", "url": "sqlite:///cdm.db"}
    synced(registry, tmp_path, **source)
    before = rows(registry, ALL)
    with closing(sqlite3.connect(tmp_path / "cdm.db")) as connection, connection:
        connection.execute("alter table measurement rename column person_id to patient_id")
    with pytest.raises(SiteError, match="no column 'person_id'"):
        synced(registry, tmp_path, **source)
    assert rows(registry, ALL) == before
