"""What every warehouse promises, in SQLite and in PostgreSQL: nothing is erased, and what was once read can be read again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import huizhen
from federationfile import FILE
from huizhen.errors import CallerError, MachineError
from huizhen.twin.quantity import Quantity, declared
from huizhen.twin.warehouse.mirrorfile import statements_in
from huizhen.twin.warehouse.sql import Postgres, Sqlite
from huizhen.twin.warehouse.statements import Statement, Version, standing
from huizhen.twin.warehouse.store import Warehouse, mirror_of, opened
from postgres import Postgres as Server

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMAS = count(1)


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Opens the same database, again and again."""
    if request.param == "sqlite":
        return lambda: Sqlite(tmp_path / "warehouse.db")
    url, schema = request.getfixturevalue("server").url, f"twin_{next(SCHEMAS)}"
    return lambda: Postgres(url, schema=schema)


@pytest.fixture
def warehouse(database):
    with Warehouse(database()) as warehouse:
        yield warehouse


def rtt(value, *, since=NOW, name="north-hub", says="is"):
    """What is said of a path."""
    if says != "is":
        return Statement("path", name, since, says=says)
    words = {"from": "north", "to": "hub"}
    return Statement("path", name, since, words, {"rtt": declared(value, "s", "a person", spread=1.2, at=since)})


def seen(warehouse, valid, known=None):
    """The round trips that held."""
    return {one.name: one.quantities["rtt"].value for one in warehouse.as_of(valid, known).statements}


def test_a_statement_comes_back_as_it_was_said(warehouse):
    measured = Quantity(0.03, "s", 0.02, 0.05, "measured", "iperf3 <北>", NOW - DAY)
    said = Statement("path", "北-hub", NOW, {"from": "北", "to": "hub"}, {"rtt": measured}, "a file", "measured")
    warehouse.record([said], now=NOW)
    (version,) = warehouse.as_of(NOW).versions
    assert version.statement == said
    assert version.known == NOW


def test_what_holds_is_what_was_said_last_before_that_day(warehouse):
    warehouse.record([rtt(0.01, since=NOW), rtt(0.05, since=NOW + 10 * DAY)], now=NOW)
    assert seen(warehouse, NOW - DAY) == {}
    assert seen(warehouse, NOW + 9 * DAY) == {"north-hub": 0.01}
    assert seen(warehouse, NOW + 10 * DAY) == {"north-hub": 0.05}


def test_a_correction_replaces_and_what_was_believed_before_can_still_be_read(warehouse):
    first = warehouse.record([rtt(0.01)], now=NOW).known
    second = warehouse.record([rtt(0.02)], now=NOW + DAY).known
    assert seen(warehouse, NOW, first) == {"north-hub": 0.01}
    assert seen(warehouse, NOW, second) == {"north-hub": 0.02}
    assert [one.statement.quantities["rtt"].value for one in warehouse.history("path", "north-hub")] == [0.01, 0.02]


def test_a_correction_of_an_old_value_leaves_what_came_after_it(warehouse):
    warehouse.record([rtt(0.01), rtt(0.05, since=NOW + 10 * DAY)], now=NOW)
    warehouse.record([rtt(0.02)], now=NOW + 20 * DAY)
    assert (seen(warehouse, NOW + DAY), seen(warehouse, NOW + 11 * DAY)) == ({"north-hub": 0.02}, {"north-hub": 0.05})


def test_what_is_withdrawn_lets_go_on_what_stood_before_and_what_is_ended_is_gone(warehouse):
    warehouse.record([rtt(0.01), rtt(0.05, since=NOW + DAY)], now=NOW)
    warehouse.record([rtt(0, since=NOW + DAY, says="withdrawn"), rtt(0, since=NOW + 5 * DAY, says="ended")], now=NOW + DAY)
    assert seen(warehouse, NOW + 2 * DAY) == {"north-hub": 0.01}
    assert seen(warehouse, NOW + 5 * DAY) == {}


def test_what_is_told_twice_is_kept_once(warehouse):
    said = statements_in(FILE)
    first, second = warehouse.record(said, now=NOW), warehouse.record([*said, *said], now=NOW + DAY)
    assert (first.new, first.same, second.new, second.same) == (9, 0, 0, 9)  # a hub, a router, two devices, three links, two sites
    assert second.known == first.known


def test_a_clock_that_was_set_back_writes_nothing_into_the_past(warehouse):
    first = warehouse.record([rtt(0.01)], now=NOW)
    second = warehouse.record([rtt(0.02)], now=NOW - DAY)
    assert second.known > first.known
    assert seen(warehouse, NOW, first.known) == {"north-hub": 0.01}


STATEMENTS = st.builds(
    lambda value, day, name, says: rtt(value / 100, since=NOW + day * DAY, name=name, says=says),
    st.integers(1, 9),
    st.integers(-3, 3),
    st.sampled_from("ab"),
    st.sampled_from(["is", "is", "is", "withdrawn", "ended"]),
)
BATCHES = st.lists(st.lists(STATEMENTS, max_size=3, unique_by=lambda one: (one.name, one.since)), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BATCHES, st.integers(-4, 4))
def test_what_was_read_reads_the_same_after_everything_that_is_written_later(database, tmp_path_factory, batches, day):
    with fresh(database, tmp_path_factory) as warehouse:
        read = []
        for number, batch in enumerate(batches):
            warehouse.record(batch, now=NOW + number * timedelta(hours=1))
            answer = warehouse.as_of(NOW + day * DAY)
            read.append((answer.known, answer.versions))
        assert [warehouse.as_of(NOW + day * DAY, known).versions for known, _ in read] == [versions for _, versions in read]
        # And the SQL says what the rule says.
        told = [version for name in "ab" for version in warehouse.history("path", name)]
        for known, versions in read:
            assert set(map(number_of, versions)) == set(map(number_of, standing(told, NOW + day * DAY, known).values()))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STATEMENTS, max_size=6, unique_by=lambda one: (one.name, one.since)), st.randoms(use_true_random=False))
def test_the_order_in_which_statements_come_does_not_matter(database, tmp_path_factory, said, random):
    shuffled = random.sample(said, len(said))
    with fresh(database, tmp_path_factory) as one, fresh(database, tmp_path_factory) as other:
        one.record(said, now=NOW)
        for statement in shuffled:
            other.record([statement], now=NOW)
        for day in range(-4, 5):
            assert one.as_of(NOW + day * DAY).statements == other.as_of(NOW + day * DAY).statements


def number_of(version: Version) -> int:
    return version.number


def fresh(database, tmp_path_factory):
    """An empty warehouse in the same kind of database."""
    made = database()
    made.close()
    if isinstance(made, Sqlite):
        return Warehouse(Sqlite(tmp_path_factory.mktemp("warehouse") / "warehouse.db"))
    return Warehouse(Postgres(made._address, schema=f"twin_{next(SCHEMAS)}"))


def test_all_that_cannot_be_said_is_told_at_once_and_nothing_is_written(warehouse):
    wrong = [
        Statement("satellite", "a", NOW),
        rtt(0.01, name=" "),
        Statement("path", "b", NOW.replace(tzinfo=None), {"from": "b"}, {"rtt": declared(1, "byte")}),
        Statement("link", "c", NOW, {"a": "x", "b": "y", "colour": "red"}, {"loss": declared(2, "1")}),
        rtt(0.01, name="d"),
        rtt(0.02, name="d"),
    ]
    with pytest.raises(CallerError) as error:
        warehouse.record([*wrong, rtt(0.01)], now=NOW)
    told = {(problem.where, problem.found) for problem in error.value.problems}
    assert told >= {
        ("satellite a", "kind satellite"),
        ("path  ", "no name"),
        ("path b, since", "a time without its time zone"),
        ("path b, to", "nothing"),
        ("path b, rtt", "byte"),
        ("link c, colour", "a fact that this kind does not have"),
        ("link c, rtt", "nothing"),
        ("link c, loss", "2"),
        ("path d", "two statements that hold from the same time"),
    }
    assert warehouse.as_of(NOW + DAY).versions == ()


def test_an_empty_warehouse_says_what_to_declare(warehouse):
    with pytest.raises(CallerError, match="Nothing is known of the federation") as error:
        mirror_of(warehouse, NOW)
    assert "federation.twin.toml" in error.value.problems[0].remedy


def test_the_mirror_is_as_of_the_day_asked_for_and_as_was_known_then(warehouse):
    said = statements_in(FILE)
    first = warehouse.record(said, now=NOW).known
    link = next(one for one in said if one.name == "to west")
    faster = {**link.quantities, "there": declared(12.5e6, "byte/s", "the provider", spread=1.1)}
    warehouse.record([Statement("link", link.name, link.since + 30 * DAY, link.words, faster)], now=NOW + 30 * DAY)
    at = said[0].since + 31 * DAY
    assert mirror_of(warehouse, at).links["to west"].there.value == 12.5e6
    assert mirror_of(warehouse, at, known=first).links["to west"].there.value == 2.5e6
    assert any("link, back: known for up to 31 days" in note for note in mirror_of(warehouse, at, known=first).notes)


def test_residuals_of_a_month_are_found_by_their_time(warehouse):
    def residual(day, seen):
        values = {"predicted": declared(10, "s"), "seen": declared(seen, "s")}
        return Statement("residual", f"round of {day}", NOW + day * DAY, {"part": "round", "subject": "study"}, values)

    warehouse.record([residual(1, 11), residual(5, 12), residual(40, 13)], now=NOW + 50 * DAY)
    found = warehouse.between("residual", NOW, NOW + 30 * DAY)
    assert [one.statement.quantities["seen"].value for one in found] == [11, 12]


def test_the_database_itself_refuses_to_change_or_delete_a_statement(database):
    with Warehouse(database()) as warehouse:
        warehouse.record([rtt(0.01)], now=NOW)
    for change in ("UPDATE statement SET known = 0", "DELETE FROM statement"):
        raw = database()
        with pytest.raises(MachineError), raw.writing():
            raw.write(change)
        raw.close()
    with Warehouse(database()) as warehouse:
        assert seen(warehouse, NOW) == {"north-hub": 0.01}


def test_several_writers_at_once_lose_nothing_and_share_no_transaction_time(database):
    Warehouse(database()).close()

    def write(writer):
        with Warehouse(database()) as warehouse:
            for number in range(10):
                warehouse.record([rtt(0.01, name=f"{writer}-{number}")], now=NOW)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Warehouse(database()) as warehouse:
        versions = warehouse.as_of(NOW).versions
    assert len(versions) == len({one.known for one in versions}) == 40


def test_a_schema_of_before_is_brought_up_to_date_with_what_it_holds(database):
    old = database()
    old.steps = old.steps[:1]
    with Warehouse(old) as warehouse:
        known = warehouse.record([rtt(0.01)], now=NOW).known
    with Warehouse(database()) as warehouse:
        assert seen(warehouse, NOW, known) == {"north-hub": 0.01}
        warehouse.record([rtt(0.02)], now=NOW + DAY)
    again = database()
    with pytest.raises(MachineError), again.writing():
        again.write("DELETE FROM statement")  # the step that refuses it was taken
    again.close()


def test_a_schema_of_a_newer_program_is_left_alone(database):
    newer = database()
    newer.steps = (*newer.steps, ("CREATE TABLE later (number BIGINT)",))
    Warehouse(newer).close()
    with pytest.raises(MachineError, match="newer program"):
        Warehouse(database())


KILLED = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from huizhen.twin.quantity import declared
from huizhen.twin.warehouse.statements import Statement
from huizhen.twin.warehouse.store import opened

def pair(number):
    words = {"from": "north", "to": "hub"}
    since, values = datetime(2026, 3, 1, tzinfo=UTC), {"rtt": declared(0.01, "s")}
    return [Statement("path", f"{side}-{number}", since, words, values) for side in "ab"]

with opened(sys.argv[1]) as warehouse:
    for number in range(100_000):
        warehouse.record(pair(number), now=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number))
        print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_all_it_had_written_and_no_half(server, tmp_path):
    for address in (str(tmp_path / "warehouse.db"), server.url):
        source = str(Path(huizhen.__file__).parent.parent)
        command = [sys.executable, "-c", KILLED, address]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source})
        try:
            told = [int(child.stdout.readline()) for _ in range(15)]
        finally:
            child.send_signal(signal.SIGKILL)
            told += [int(line) for line in child.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        with opened(address) as warehouse:
            names = {one.statement.name for one in warehouse.as_of(NOW + DAY).versions}
        assert names >= {f"{side}-{number}" for number in told for side in "ab"}
        assert {name[2:] for name in names if name[0] == "a"} == {name[2:] for name in names if name[0] == "b"}


def test_another_programs_file_is_not_touched(tmp_path):
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(MachineError, match="no warehouse"):
        opened(path)
    assert path.read_bytes() == before


def test_an_address_that_cannot_be_opened_is_named_without_its_password(tmp_path):
    with pytest.raises(CallerError, match="cannot be opened"):
        opened("mysql://me:secret@host/db")
    with pytest.raises(MachineError) as error:
        opened("postgresql://me:secret@127.0.0.1:9/db?connect_timeout=2")
    assert "secret" not in str(error.value)
    with pytest.raises(MachineError):
        opened(tmp_path / "nowhere" / "warehouse.db")
