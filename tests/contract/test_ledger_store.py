"""What every ledger promises, wherever it is kept."""

import threading
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from huizhen.errors import LedgerError
from huizhen.ledger.chain import EMPTY, Head
from huizhen.ledger.keys import new_key, public_hex
from huizhen.ledger.store import MemoryLedger, SqliteLedger, verify_file

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def key():
    return new_key()


STORES = {
    "memory": lambda path, key: MemoryLedger(key),
    "sqlite": SqliteLedger,
    "sqlite, settled when asked": lambda path, key: SqliteLedger(path, key, durable="when settled"),
}


@pytest.fixture(params=STORES)
def ledger(request, tmp_path, key):
    store = STORES[request.param](tmp_path / "ledger.sqlite", key)
    yield store
    store.close()


def test_a_new_ledger_is_empty_and_sound(ledger):
    assert ledger.head == EMPTY
    assert list(ledger.entries()) == []
    assert ledger.verify().sound


def test_what_is_appended_is_read_back_in_order(ledger):
    facts = [{"round": n, "note": "肺癌 ✓", "share": 0.1 + n, "nothing": None, "sites": ["a", "b"], "ok": True} for n in range(5)]
    for fact in facts:
        ledger.append("released", fact, NOON)
    assert [entry.payload for entry in ledger.entries()] == facts
    assert [entry.sequence for entry in ledger.entries(since=3)] == [3, 4]
    assert [entry.sequence for entry in ledger.entries(since=-7)] == [0, 1, 2, 3, 4]


def test_every_entry_names_the_one_before_it_and_the_head_the_newest(ledger, key):
    entries = [ledger.append("kind", {"n": n}, NOON) for n in range(3)]
    assert [entry.previous for entry in entries] == ["0" * 64, entries[0].hash, entries[1].hash]
    assert {entry.key for entry in entries} == {key.key_id}
    assert ledger.head == Head(3, entries[2].hash)
    assert ledger.verify(ledger.head).sound


def test_a_time_is_kept_in_utc_whatever_zone_it_is_given_in(ledger):
    entry = ledger.append("kind", {}, NOON.astimezone(timezone(timedelta(hours=8))))
    assert entry.time == "2026-01-01T12:00:00.000000+00:00"


def test_a_time_without_zone_is_refused_and_leaves_the_ledger_as_it_was(ledger):
    with pytest.raises(ValueError, match="aware"):
        ledger.append("kind", {}, datetime(2026, 1, 1))
    assert ledger.head == EMPTY


@pytest.mark.parametrize(
    "value",
    [np.zeros(3), np.float64(1.5), np.int64(3), b"bytes", {1, 2}, {1: "a"}, object(), float("nan"), float("inf"), list(range(65))],
    ids=["array", "numpy float", "numpy int", "bytes", "set", "number as key", "object", "nan", "infinity", "array in a list"],
)
def test_a_ledger_keeps_plain_facts_only(ledger, value):
    with pytest.raises((TypeError, ValueError), match="found") as refusal:
        ledger.append("kind", {"deep": [{"inner": value}]}, NOON)
    assert "inner" in str(refusal.value)
    assert ledger.head == EMPTY
    assert ledger.append("kind", {"fine": 1.5}, NOON).sequence == 0
    assert ledger.verify().sound


def test_a_fact_that_is_deep_or_long_is_refused(ledger):
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="levels"):
        ledger.append("kind", {"deep": deep}, NOON)
    with pytest.raises(ValueError, match="characters"):
        ledger.append("kind", {"long": "x" * 300_000}, NOON)
    assert ledger.verify().sound


def test_a_chain_that_lost_its_end_does_not_reach_the_head_noted_before(ledger):
    ledger.append("kind", {"n": 0}, NOON)
    noted = Head(ledger.head.entries + 2, "f" * 64)
    verdict = ledger.verify(noted)
    assert (verdict.sound, verdict.fault, verdict.sequence) == (False, "truncated", 1)


def test_a_chain_that_was_written_anew_is_not_the_one_noted_before(ledger):
    for n in range(3):
        ledger.append("kind", {"n": n}, NOON)
    verdict = ledger.verify(Head(2, "f" * 64))
    assert (verdict.sound, verdict.fault, verdict.sequence) == (False, "rewritten", 1)


def test_a_head_noted_before_still_holds_after_the_ledger_has_grown(ledger):
    ledger.append("kind", {"n": 0}, NOON)
    noted = ledger.head
    ledger.append("kind", {"n": 1}, NOON)
    assert ledger.verify(noted).sound


def test_threads_append_to_one_chain(ledger):
    def work(name):
        for n in range(20):
            ledger.append("kind", {"who": name, "n": n}, NOON)

    threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.head.entries == 80
    assert ledger.verify().sound


def test_a_reader_in_the_middle_sees_a_chain_while_others_append(ledger):
    for n in range(600):  # more than a page of the file store
        ledger.append("kind", {"n": n}, NOON)
    reader = ledger.entries()
    first = next(reader)
    ledger.append("kind", {"n": 600}, NOON)
    assert [first.sequence, *(entry.sequence for entry in reader)][:600] == list(range(600))
    assert ledger.verify().sound


def test_a_closed_ledger_takes_no_more_facts(ledger):
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append("kind", {}, NOON)


def test_the_public_key_is_told_so_that_others_can_verify(ledger, key):
    assert ledger.public_key == public_hex(key.public)


def test_settling_changes_nothing_and_may_be_asked_at_any_time(ledger):
    ledger.settle()
    entry = ledger.append("released", {"n": 1}, NOON)
    ledger.settle()
    ledger.settle()
    assert list(ledger.entries()) == [entry]
    assert ledger.verify().sound


def test_a_program_that_is_killed_before_settling_leaves_a_sound_chain(tmp_path, key):
    path = tmp_path / "ledger.sqlite"
    store = SqliteLedger(path, key, durable="when settled")
    for number in range(300):
        store.append("released", {"n": number}, NOON)
    copy = tmp_path / "copy.sqlite"
    for end in ("", "-wal"):
        copy.with_name(copy.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    verdict = verify_file(copy, [key.public])
    assert verdict.sound
    assert verdict.head.entries == 300
    store.close()
