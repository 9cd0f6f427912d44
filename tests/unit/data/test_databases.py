"""Databases are read as they stream, and again only where they changed; what they say of themselves never becomes SQL."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import datetime

import pytest

from huizhen.data.connectors import sql
from huizhen.data.events import store
from huizhen.data.events.store import Registry
from huizhen.errors import SiteError
from postgres import Postgres
from registries import records, rows, synced

sqlalchemy = pytest.importorskip("sqlalchemy")

LAB = [(f"r{i:03}", f"p{i % 7}", "2160-0", float(i), "umol/L", f"2024-01-01 00:{i // 60:02}:{i % 60:02}") for i in range(100)]
ROLES = {
    "patient": "pid",
    "record": "id",
    "row": "measurement",
    "code": "code",
    "value": "value",
    "unit": "unit",
    "system": "LOINC",
}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def lab(tmp_path):
    """A SQLite database, and how to change it."""
    path = tmp_path / "lab.db"

    def execute(statement, many=None):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(statement, many) if many else connection.execute(statement)

    execute("create table lab (id text, pid text, code text, value real, unit text, changed text)")
    execute("insert into lab values (?, ?, ?, ?, ?, ?)", LAB)
    return execute


def read(registry, folder, **options):
    return synced(registry, folder, **{"kind": "sql", "url": "sqlite:///lab.db", "table": "lab", **ROLES, **options})


def test_only_rows_that_changed_are_read_again(registry, lab, tmp_path):
    assert read(registry, tmp_path, changed="changed").new == 100
    lab("update lab set value = -1, changed = '2024-02-01' where id = 'r007'")
    lab("insert into lab values ('new', 'p1', '2160-0', 5, 'umol/L', '2024-02-02')")
    report = read(registry, tmp_path, changed="changed")
    assert (report.new, report.changed, report.same) == (1, 1, 1)  # and the row of the moment at which the last sync ended
    assert rows(registry, "select number from events where record = 'r007'") == [(-1.0,)]


def test_rows_that_do_not_say_when_they_changed_are_read_and_counted(registry, lab, tmp_path):
    lab("insert into lab values ('new', 'p1', '2160-0', 5, 'umol/L', null)")
    assert read(registry, tmp_path, changed="changed").notes == {"a row that does not say when it changed: read with every sync": 1}
    assert read(registry, tmp_path, changed="changed").read == 2


def test_without_a_column_of_changes_all_is_read_and_what_is_gone_goes(registry, lab, tmp_path):
    read(registry, tmp_path)
    lab("delete from lab where id = 'r000'")
    report = read(registry, tmp_path)
    assert (report.same, report.removed, len(records(registry))) == (99, 1, 99)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("table", "lab; drop table lab"),
        ("table", 'lab" where 1=1 --'),
        ("changed", "changed) or 1=1 --"),
        ("code", "code, (select 1)"),
    ],
)
def test_names_with_sql_in_them_are_names_that_are_not_there(registry, lab, tmp_path, option, name):
    with pytest.raises(SiteError, match=r"no such table|no column"):
        read(registry, tmp_path, **{option: name})
    assert read(registry, tmp_path).new == 100


def test_a_table_whose_name_looks_like_sql_is_read(registry, lab, tmp_path):
    lab('create table "lab""; drop table lab; --" as select * from lab limit 3')
    assert read(registry, tmp_path, table='lab"; drop table lab; --').new == 3
    assert read(registry, tmp_path, alias="whole").new == 100


def test_a_database_that_is_not_there_is_not_made(registry, tmp_path):
    with pytest.raises(SiteError, match="no such file"):
        read(registry, tmp_path)
    assert not (tmp_path / "lab.db").exists()


def test_a_database_is_opened_for_reading_alone(registry, lab, tmp_path):
    (tmp_path / "lab.db").chmod(stat.S_IRUSR)
    with sql.database("sqlite:///lab.db", "", tmp_path) as connection:
        with pytest.raises(sqlalchemy.exc.OperationalError, match="readonly"):
            connection.execute(sqlalchemy.text("delete from lab"))
        connection.rollback()


def test_columns_that_change_between_syncs_are_said(registry, lab, tmp_path):
    cells = {"row": "cells", "code": "", "value": "", "unit": "", "changed": "changed"}
    read(registry, tmp_path, **cells)
    lab("alter table lab rename column unit to units")
    with pytest.raises(SiteError, match="no longer a column 'unit'"):
        read(registry, tmp_path, **cells)


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def hospital(postgres):
    """A table in PostgreSQL, and how to change it."""
    engine = sqlalchemy.create_engine(postgres.url, poolclass=sqlalchemy.NullPool)

    def execute(statement, many=None):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement), many)

    execute("drop table if exists lab")
    execute("create table lab (id text, pid text, code text, value numeric, unit text, changed timestamptz)")
    many = [dict(zip(("id", "pid", "code", "value", "unit", "changed"), row)) for row in LAB]
    execute("insert into lab values (:id, :pid, :code, :value, :unit, cast(:changed as timestamptz))", many)
    yield execute
    engine.dispose()


def test_postgresql_is_read_and_then_asked_for_what_changed(registry, hospital, postgres, tmp_path):
    options = {"url": postgres.url, "changed": "changed", "time": "changed"}
    assert read(registry, tmp_path, **options).new == 100
    hospital("update lab set value = 1.25, changed = '2024-03-01T08:00+08' where id = 'r007'")
    report = read(registry, tmp_path, **options)
    assert (report.changed, report.same) == (1, 1)
    assert rows(registry, "select number, begins from events where record = 'r007'") == [(1.25, datetime(2024, 3, 1))]


# psycopg says that a cursor was left open on a connection that had broken: nobody can close it there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_database_that_goes_away_in_the_middle_has_lost_nothing(registry, hospital, postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "AT_ONCE", 10)
    monkeypatch.setattr(store, "CHUNK", 10)
    reader, seen = sql.RowReader.events, []

    def stopping(self, row, numbered):
        seen.append(1)
        if len(seen) == 35:
            postgres.stop()
        return reader(self, row, numbered)

    monkeypatch.setattr(sql.RowReader, "events", stopping)
    hospital("insert into lab select id || 'x' || n, pid, code, value, unit, changed from lab, generate_series(1, 3000) n")
    options = {"url": postgres.url, "changed": "changed"}
    with pytest.raises(SiteError, match="does not answer"):
        read(registry, tmp_path, **options)
    assert 0 < len(records(registry)) < 300_100
    postgres.start()
    monkeypatch.undo()
    hospital("delete from lab where id like '%x%'")
    read(registry, tmp_path, **options)
    assert rows(registry, "select count(*) from events where record not like '%x%'") == [(100,)]
