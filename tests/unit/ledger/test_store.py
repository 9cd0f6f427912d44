"""A ledger in a file: attacks on it, crashes in the middle, a full disk, a second writer."""

import contextlib
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import huizhen.ledger.store as store
from huizhen.errors import LedgerError, MachineError
from huizhen.ledger.chain import EMPTY
from huizhen.ledger.keys import create_key, load_key, new_key
from huizhen.ledger.store import SqliteLedger, verify_file

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COLUMNS = ["time", "kind", "payload", "previous", "key", "hash", "signature"]


@pytest.fixture
def key():
    return new_key()


@pytest.fixture
def written(tmp_path, key):
    """A closed ledger of six entries, and its head."""
    path = tmp_path / "ledger.sqlite"
    with SqliteLedger(path, key) as ledger:
        for n in range(6):
            ledger.append("released", {"n": n, "site": "west"}, NOON)
        head = ledger.head
    return path, head


def attack(path, *statements):
    """Edit the file as somebody would who may write it: triggers first."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f"DROP TRIGGER {name}")
        for statement, values in statements:
            file.execute(statement, values)


def test_what_was_written_is_there_after_opening_again(written, key):
    path, head = written
    with SqliteLedger(path, key) as ledger:
        assert ledger.head == head
        assert ledger.append("released", {"n": 6}, NOON).sequence == 6
        assert ledger.verify(head).sound
    assert verify_file(path, [key.public], head=head).head.entries == 7


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_character_in_any_column_is_found_at_its_entry(written, key, column, place):
    path, head = written
    with closing(sqlite3.connect(path)) as file:
        was = file.execute(f"SELECT {column} FROM entry WHERE sequence = 2").fetchone()[0]
    place %= len(was)
    now = was[:place] + chr(ord(was[place]) ^ 1) + was[place + 1 :]
    attack(path, (f"UPDATE entry SET {column} = ? WHERE sequence = 2", (now,)))
    verdict = verify_file(path, [key.public], head=head)
    assert (verdict.sound, verdict.sequence) == (False, 2)
    assert "entry 2" in verdict.reason
    with SqliteLedger(path, key) as ledger:  # opening looks at the newest entry alone
        assert ledger.verify().sequence == 2


@pytest.mark.parametrize("value", [None, 7, 1.5, b"\xff\xfe", "\ud800".encode("utf-8", "surrogatepass")])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_value_of_another_type_is_found_at_its_entry(written, key, column, value):
    path, _ = written
    attack(
        path, ("CREATE TABLE copy AS SELECT * FROM entry", ()), ("DROP TABLE entry", ()), ("ALTER TABLE copy RENAME TO entry", ())
    )
    as_text = "CAST(? AS TEXT)" if isinstance(value, bytes) else "?"
    attack(path, (f"UPDATE entry SET {column} = {as_text} WHERE sequence = 2", (value,)))
    verdict = verify_file(path, [key.public])
    assert (verdict.sound, verdict.sequence) == (False, 2)


def test_a_space_more_in_the_payload_is_a_change(written, key):
    path, _ = written
    attack(path, ("UPDATE entry SET payload = replace(payload, ',', ', ') WHERE sequence = 4", ()))
    assert verify_file(path, [key.public]).sequence == 4


def test_bytes_that_are_no_text_are_not_taken_for_the_sign_that_stands_for_them(tmp_path, key):
    path = tmp_path / "ledger.sqlite"
    with SqliteLedger(path, key) as ledger:
        ledger.append("released", {"note": "\N{REPLACEMENT CHARACTER}"}, NOON)
    attack(path, ("UPDATE entry SET payload = CAST(? AS TEXT)", (b'{"note":"\xff"}',)))
    assert verify_file(path, [key.public]).fault == "changed"


@pytest.mark.parametrize(
    ("statement", "sequence", "fault"),
    [
        ("UPDATE entry SET sequence = 99 WHERE sequence = 3", 3, "missing"),
        ("UPDATE entry SET sequence = -4 WHERE sequence = 3", 0, "reordered"),
        ("DELETE FROM entry WHERE sequence = 3", 3, "missing"),
        ("DELETE FROM entry WHERE sequence = 0", 0, "missing"),
        ("DELETE FROM entry WHERE sequence > 3", 4, "truncated"),
        ("DELETE FROM entry", 0, "truncated"),
        ("UPDATE entry SET signature = (SELECT signature FROM entry WHERE sequence = 1) WHERE sequence = 3", 3, "signature"),
    ],
)
def test_removing_or_moving_entries_is_found(written, key, statement, sequence, fault):
    path, head = written
    attack(path, (statement, ()))
    verdict = verify_file(path, [key.public], head=head)
    assert (verdict.sequence, verdict.fault) == (sequence, fault)


def test_two_entries_that_change_places_are_found(written, key):
    path, _ = written
    steps = ["SET sequence = 50 WHERE sequence = 2", "SET sequence = 2 WHERE sequence = 3", "SET sequence = 3 WHERE sequence = 50"]
    attack(path, *((f"UPDATE entry {step}", ()) for step in steps))
    assert verify_file(path, [key.public]).sequence == 2


def test_one_changed_byte_in_the_file_is_found(written, key):
    path, _ = written
    content = bytearray(path.read_bytes())
    place = content.index(b'"n":3') + 4
    content[place] ^= 1
    path.write_bytes(content)
    assert verify_file(path, [key.public]).sequence == 3


def test_a_damaged_page_is_a_bad_entry_and_not_a_crash(tmp_path, key):
    path = tmp_path / "ledger.sqlite"
    with SqliteLedger(path, key) as ledger:
        for n in range(200):
            ledger.append("released", {"n": n, "padding": "x" * 200}, NOON)
    content = bytearray(path.read_bytes())
    middle = content.index(b'"n":100') // 4096 * 4096
    content[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(content)
    verdict = verify_file(path, [key.public])
    assert not verdict.sound
    assert verdict.sequence is not None


def test_rows_cut_off_behind_a_running_program_are_found_by_it(written, key):
    path, _ = written
    with SqliteLedger(path, key) as ledger:
        attack(path, ("DELETE FROM entry WHERE sequence = 5", ()))
        assert ledger.verify().fault == "truncated"
        ledger.append("released", {}, NOON)  # the triggers are gone, too
        verdict = ledger.verify()
        assert (verdict.sequence, verdict.fault) == (5, "missing")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_ledger_whose_newest_entry_was_changed_is_not_opened(written, key, column):
    path, _ = written
    attack(path, (f"UPDATE entry SET {column} = 'x' WHERE sequence = 5", ()))
    with pytest.raises(LedgerError, match="entry 5"):
        SqliteLedger(path, key)


def test_a_ledger_signed_with_a_former_key_is_opened_when_that_key_is_trusted(written, key):
    path, _ = written
    other = new_key()
    with pytest.raises(LedgerError, match="not trusted"):
        SqliteLedger(path, other)
    with SqliteLedger(path, other, trusted=[key.public]) as ledger:
        ledger.append("key changed", {"key": other.key_id}, NOON)
        assert ledger.verify().sound


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET kind = 'x'",
        "DELETE FROM entry",
        "INSERT INTO entry SELECT 99, time, kind, payload, previous, key, hash, signature FROM entry WHERE sequence = 1",
        "INSERT OR REPLACE INTO entry SELECT 1, time, 'x', payload, previous, key, hash, signature FROM entry WHERE sequence = 2",
    ],
)
def test_a_program_that_would_change_the_past_is_stopped_by_the_file(written, key, statement):
    path, head = written
    with closing(sqlite3.connect(path)) as file, pytest.raises(sqlite3.IntegrityError, match="an entry of a ledger"):
        file.execute(statement)
    assert verify_file(path, [key.public], head=head).sound


def test_triggers_that_were_removed_come_back_at_opening(written, key):
    path, _ = written
    attack(path)
    SqliteLedger(path, key).close()
    with closing(sqlite3.connect(path)) as file, pytest.raises(sqlite3.IntegrityError):
        file.execute("DELETE FROM entry")


def test_a_second_writer_is_refused_until_the_first_has_gone(written, key):
    path, _ = written
    with SqliteLedger(path, key) as first:
        with pytest.raises(LedgerError, match="in use"):
            SqliteLedger(path, key)
        first.append("released", {}, NOON)
        assert verify_file(path, [key.public]).head.entries == 7, "reading is free"
    SqliteLedger(path, key).close()


@pytest.mark.parametrize("content", [b"this is no database, but a text that is long enough to be one" * 100, b"short"])
def test_a_file_that_is_no_ledger_is_left_alone(tmp_path, key, content):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        SqliteLedger(path, key)
    with pytest.raises(LedgerError):
        verify_file(path, [key.public])
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path, key):
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE patients (name TEXT)")
    with pytest.raises(LedgerError, match="no ledger"):
        SqliteLedger(path, key)
    with pytest.raises(LedgerError, match="no ledger"):
        verify_file(path, [key.public])


def test_a_folder_that_is_not_there_is_said_so(tmp_path, key):
    with pytest.raises(MachineError):
        SqliteLedger(tmp_path / "no folder" / "ledger.sqlite", key)
    with pytest.raises(MachineError):
        verify_file(tmp_path / "ledger.sqlite", [key.public])


def test_only_the_owner_can_read_a_new_ledger(tmp_path, key):
    before = os.umask(0)
    try:
        with SqliteLedger(tmp_path / "ledger.sqlite", key) as ledger:
            ledger.append("released", {}, NOON)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("ledger.sqlite*")}
    finally:
        os.umask(before)
    assert modes["ledger.sqlite"] == modes["ledger.sqlite-wal"] == 0o600


def run(program, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


APPENDING = """
    import signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started the tests with it ignored
    from datetime import UTC, datetime
    from pathlib import Path
    from huizhen.ledger.keys import load_key
    from huizhen.ledger.store import SqliteLedger

    folder = Path(sys.argv[1])
    ledger = SqliteLedger(folder / "ledger.sqlite", load_key(folder / "key.pem"))
    print("ready", flush=True)
    while True:
        entry = ledger.append("released", {"padding": "x" * 500}, datetime.now(UTC))
        print(entry.sequence, flush=True)
"""


def stopped(writer, how):
    """What the program still said. A library may swallow an interrupt that comes while it calls back: a person asks again."""
    for _ in range(20):
        writer.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return writer.communicate(timeout=5)[0]
    raise AssertionError("the program does not stop")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_program_that_is_stopped_while_it_appends_leaves_a_valid_chain(tmp_path, how):
    key = create_key(tmp_path / "key.pem")
    confirmed = 0
    for lines in (3, 40, 150):
        writer = run(APPENDING, tmp_path)
        for _ in range(lines):
            assert writer.stdout.readline()
        rest = stopped(writer, how)
        numbers = [int(number) for number in re.findall(r"^(\d+)\n", rest, re.MULTILINE)]
        confirmed = max([confirmed, *numbers])
        verdict = verify_file(tmp_path / "ledger.sqlite", [key.public])
        assert verdict.sound
        assert verdict.head.entries > confirmed, "what was confirmed is there"
    with SqliteLedger(tmp_path / "ledger.sqlite", load_key(tmp_path / "key.pem")) as ledger:
        ledger.append("released", {}, NOON)
        assert ledger.verify().sound


FILLING = """
    import resource, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from huizhen.errors import MachineError
    from huizhen.ledger.keys import load_key
    from huizhen.ledger.store import SqliteLedger

    folder = Path(sys.argv[1])
    ledger = SqliteLedger(folder / "ledger.sqlite", load_key(folder / "key.pem"))
    ledger.append("released", {}, datetime.now(UTC))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    written = 0
    try:
        while True:
            ledger.append("released", {"padding": "x" * 3000}, datetime.now(UTC))
            written += 1
    except MachineError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert written > 5
    assert ledger.head.entries == written + 1
    ledger.append("released", {"after": "space was made"}, datetime.now(UTC))
    assert ledger.verify().sound
    assert ledger.head.entries == written + 2
"""


def test_a_full_disk_is_said_and_does_not_harm_the_chain(tmp_path):
    key = create_key(tmp_path / "key.pem")
    writer = run(FILLING, tmp_path)
    told, complaint = writer.communicate(timeout=30)
    assert writer.returncode == 0, complaint
    assert "The ledger cannot be written" in told
    assert "Free space" in told
    assert verify_file(tmp_path / "ledger.sqlite", [key.public]).sound


def test_an_append_that_was_interrupted_after_it_took_place_is_found_again(tmp_path, key, monkeypatch):
    with SqliteLedger(tmp_path / "ledger.sqlite", key) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(store, "head_after", lambda entry: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                ledger.append("released", {"n": 0}, NOON)
        assert ledger.append("released", {"n": 1}, NOON).sequence == 1
        assert ledger.verify().sound
        assert ledger.head.entries == 2


def test_an_empty_file_becomes_a_ledger(tmp_path, key):
    Path(tmp_path / "ledger.sqlite").touch()
    with SqliteLedger(tmp_path / "ledger.sqlite", key) as ledger:
        assert ledger.head == EMPTY
