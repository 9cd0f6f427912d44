"""The one door out of a site: nothing passes without a decision and an entry."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from time import sleep

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.errors import LedgerError, MachineError
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger, SqliteLedger
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Answer, Part, Question

MARK = 8_642_086_420.125  # a patient's value, to be found in the ledger's bytes if it ever came there


@pytest.fixture
def ledger():
    return MemoryLedger(new_key())


@pytest.fixture
def gate(ledger):
    return Gate("west", DisclosurePolicy(), ledger, ManualClock())


@pytest.fixture
def release(question, answer, roster):
    def ask(gate, asked=question, answered=None, **circumstances):
        usual = {"study": "5" * 64, "run": "run-1", "round": 3, "lane": "embedded", "roster": roster}
        keys = {"question_key": "a" * 64, "question_digest": "d" * 64}
        return gate.release(asked, answered or answer(), **{**usual, **keys, **circumstances})

    return ask


@pytest.fixture
def reveal():
    def ask(gate, roster, question_key="a" * 64):
        return gate.reveal(study="5" * 64, run="run-1", round=3, roster=roster, question_key=question_key)

    return ask


def test_what_is_released_is_on_the_ledger_with_its_circumstances_and_no_value(gate, ledger, release):
    assert release(gate).allowed
    (entry,) = ledger.entries()
    assert entry.kind == "released"
    assert entry.payload == {
        "study": "5" * 64,
        "run": "run-1",
        "round": 3,
        "method": "glm",
        "step": "newton",
        "question": "d" * 64,
        "question_key": "a" * 64,
        "roster": ["west", "east", "north", "south"],
        "lane": "embedded",
        "enough_rows": True,
        "parts": {"gradient": ["addend", [3], 24], "hessian": ["addend", [3, 3], 72], "classes": ["counts", [2], 16]},
    }


def test_what_is_refused_is_on_the_ledger_with_its_clauses(ledger, release):
    gate = Gate("west", DisclosurePolicy(methods=("cox",), lanes=("masked",)), ledger, ManualClock())
    decision = release(gate)
    (entry,) = ledger.entries()
    assert (decision.allowed, entry.kind) == (False, "refused")
    assert entry.payload["clauses"] == list(decision.clauses) == ["lanes", "methods"]


def test_each_kind_of_part_is_told_apart(ledger, release, answer):
    gate = Gate("west", DisclosurePolicy(allow_individual=True), ledger, ManualClock())
    parts = {
        "own": Part(np.zeros(2), 100, kind="individual"),
        "levels": Part(np.array([60, 40]), 100, cells=True, keys=("f", "männlich")),
    }
    assert release(gate, answered=answer(**parts)).allowed
    (entry,) = ledger.entries()
    assert entry.payload["parts"]["own"] == ["individual", [2], 16]
    assert entry.payload["parts"]["levels"] == ["counts", [2], 16 + 1 + 9]


def test_nothing_leaves_when_the_ledger_cannot_be_written(gate, ledger, release):
    ledger.close()
    decision = release(gate)
    assert (decision.allowed, decision.clauses) == (False, ("ledger",))


def test_nothing_leaves_when_the_disk_is_full(release):
    class Full(MemoryLedger):
        def append(self, kind, payload, time):
            raise MachineError("The ledger cannot be written.")

    gate = Gate("west", DisclosurePolicy(), Full(new_key()), ManualClock())
    assert release(gate).clauses == ("ledger",)


def test_a_malformed_answer_is_refused_and_recorded_and_not_a_crash(gate, ledger, release, answer):
    decision = release(gate, answered=answer(strange=Part(MARK, 100)))
    assert decision.clauses == ("form",)
    (entry,) = ledger.entries()
    assert entry.payload["parts"]["strange"] == ["addend", [], 0]


def test_a_study_that_names_itself_with_an_array_is_refused(gate, release):
    assert release(gate, run=np.zeros(3)).clauses == ("ledger",)


def test_every_question_is_judged_although_judgements_are_kept(gate, release):
    assert release(gate).allowed
    assert not release(gate, lane="open").allowed
    denying = Gate("west", DisclosurePolicy(denied_variables=("name",)), MemoryLedger(new_key()), ManualClock())
    assert release(denying).allowed
    assert release(denying, Question("glm", "newton", variables=("age", "name"))).clauses == ("denied_variables",)
    assert release(denying).allowed


def test_a_site_with_too_few_rows_is_known_before_the_first_question(gate, ledger):
    assert gate.admits(method="cox", lane="plain", variables=("age",), rows=9).clauses == ("min_rows",)
    assert gate.admits(method="cox", lane="plain", variables=("age",), rows=10).allowed
    assert list(ledger.entries()) == []


def test_no_two_sums_are_opened_for_rosters_that_differ_by_one_or_two(gate, release, reveal, roster):
    seven = (*roster, "a", "b", "c")
    assert release(gate, lane="masked", roster=seven).allowed
    assert reveal(gate, seven).allowed
    assert reveal(gate, seven).allowed, "the same roster may be asked again"
    assert reveal(gate, seven[:6]).clauses == ("roster",)
    assert release(gate, lane="masked", roster=seven[:6]).clauses == ("roster",), "what could not be opened need not leave"
    assert reveal(gate, seven[:5]).clauses == ("roster",)
    assert reveal(gate, seven[:4]).allowed
    assert reveal(gate, seven[:6], "b" * 64).allowed, "another question"


def test_what_left_masked_and_was_never_opened_stands_in_no_ones_way(gate, release, reveal, roster):
    seven = (*roster, "a", "b", "c")
    assert release(gate, lane="masked", roster=seven).allowed
    assert release(gate, lane="masked", roster=seven[:6]).allowed
    assert reveal(gate, seven[:6]).allowed, "one fell silent before anything was opened"
    assert reveal(gate, seven).clauses == ("roster",)


def test_a_refused_roster_is_not_remembered_as_opened(gate, reveal, roster):
    assert not reveal(gate, ("west", "east")).allowed
    assert reveal(gate, ("west", "east", "north")).allowed


def test_what_was_opened_is_on_the_ledger_and_remembered_by_the_next_program(tmp_path, release, reveal, roster):
    seven, key = (*roster, "a", "b", "c"), new_key()
    with SqliteLedger(tmp_path / "ledger.sqlite", key) as ledger:
        assert reveal(Gate("west", DisclosurePolicy(), ledger, ManualClock()), seven).allowed
        (entry,) = ledger.entries()
        assert (entry.kind, entry.payload["roster"]) == ("revealed", list(seven))
    with SqliteLedger(tmp_path / "ledger.sqlite", key) as ledger:
        gate = Gate("west", DisclosurePolicy(), ledger, ManualClock())
        assert release(gate, lane="masked", roster=seven[:6]).clauses == ("roster",)
        assert reveal(gate, seven[:6]).clauses == ("roster",)
        assert reveal(gate, seven).allowed


def test_how_many_rows_there_are_is_judged_as_the_hub_sees_it(gate, release, roster):
    few = Answer({"rows": Part(np.array([4]), 40, cells=True)}, 40)
    assert release(gate, answered=few, lane="masked", in_clear=True, roster=("west", "east")).clauses == ("min_cell_count",)
    enough = Answer({"rows": Part(np.array([40]), 40, cells=True)}, 40)
    assert release(gate, answered=enough, lane="masked", in_clear=True, roster=("west", "east")).allowed, "no sum is formed of it"


def test_a_gate_does_not_open_on_a_past_that_was_changed(tmp_path, release):
    key, path = new_key(), tmp_path / "ledger.sqlite"
    with SqliteLedger(path, key) as ledger:
        gate = Gate("west", DisclosurePolicy(), ledger, ManualClock())
        for number in range(3):
            release(gate, round=number)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("DROP TRIGGER entry_never_changes")
        file.execute("UPDATE entry SET payload = replace(payload, 'west', 'east') WHERE sequence = 1")
    with SqliteLedger(path, key) as ledger, pytest.raises(LedgerError, match="entry 1"):
        Gate("west", DisclosurePolicy(), ledger, ManualClock())


def test_a_gate_does_not_open_on_a_past_that_was_cut_short_behind_its_back(tmp_path, release):
    path = tmp_path / "ledger.sqlite"
    with SqliteLedger(path, new_key()) as ledger:
        release(Gate("west", DisclosurePolicy(), ledger, ManualClock()))
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("DROP TRIGGER entry_never_leaves")
            file.execute("DELETE FROM entry")
        with pytest.raises(LedgerError, match="newest"):
            Gate("west", DisclosurePolicy(), ledger, ManualClock())


def test_two_sums_at_once_are_not_both_opened_for_rosters_that_differ_by_one(reveal, roster):
    class Slow(MemoryLedger):
        def append(self, kind, payload, time):
            sleep(0.005)  # others get their turn between deciding and remembering
            return super().append(kind, payload, time)

    gate = Gate("west", DisclosurePolicy(), Slow(new_key()), ManualClock())
    seven = (*roster, "a", "b", "c")
    start, allowed = threading.Barrier(8), []

    def ask(number):
        start.wait()
        allowed.append(reveal(gate, seven if number % 2 else seven[:6]).allowed)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 4, "those of the roster that came first"


def test_facts_beside_releases_are_recorded_but_a_release_is_not_feigned(gate, ledger):
    gate.record("consented", {"study": "5" * 64})
    assert [entry.kind for entry in ledger.entries()] == ["consented"]
    for kind in ("released", "refused", "revealed"):
        with pytest.raises(ValueError, match="releasing alone"):
            gate.record(kind, {})
    with pytest.raises(TypeError):
        gate.record("finished", {"covariance": np.eye(2)})


def test_the_clock_that_was_handed_in_dates_the_entries(ledger, release):
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    gate = Gate("west", DisclosurePolicy(), ledger, clock)
    release(gate)
    clock.advance(60)
    release(gate)
    assert [entry.time[:16] for entry in ledger.entries()] == ["2026-03-01T00:00", "2026-03-01T00:01"]


def test_no_patients_value_reaches_the_bytes_of_the_ledger(tmp_path, release, answer):
    marked = {
        "sums": Part(np.array([MARK, 8_642_086_420]), 100),
        "levels": Part(np.array([60, 40]), 100, cells=True, keys=("MARKED-LABEL", "other")),
        "broken": Part(np.array([MARK, np.nan]), 100),
    }
    asked = Question("glm", "newton", {"beta": np.full(3, MARK)}, ("age",), 3)
    with SqliteLedger(tmp_path / "ledger.sqlite", new_key()) as ledger:
        gate = Gate("west", DisclosurePolicy(), ledger, ManualClock())
        for name, part in marked.items():
            for lane in ("plain", "masked"):
                release(gate, asked, answer(rows=975_319_753, **{name: part}), lane=lane)
        bytes_with_log = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    bytes_at_end = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for content in (bytes_with_log, bytes_at_end):
        assert b"glm" in content
        for trace in (b"8642086420", b"MARKED", b"975319753", np.float64(MARK).tobytes(), np.int64(8_642_086_420).tobytes()):
            assert trace not in content
