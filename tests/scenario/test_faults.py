"""Programs are killed in mid-study, run out of room or are told to stop: the joint result is the calm one, or says whose it is."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from huizhen import canonical
from huizhen.ledger.keys import load_key
from huizhen.ledger.store import read_file, verify_file
from huizhen.policy.purse import RESERVED, SETTLED
from programs import CLI, programs, until
from smokers import off, patients, study

SITES = ("west", "east", "south")
SPARE = "north"  # is shut out by its story, so no other story asks it
BUDGET = "[policy.budget]\nepsilon = 1.0\ndelta = 1e-6\nallow_exact = true\n"
NOISY = {"sum": "masked", "noise": {"epsilon": 0.7, "delta": 1e-6}}  # two of them are more than the budget
CLOSE = 1e-8  # from the pooled fit, relative


def short(*sites, title="Smoking", **sections):
    """One regression: some ten rounds, which is enough to be interrupted."""
    made = study(sites or SITES, title, **sections)
    return {**made, "method": {"glm": made["method"]["glm"][-1:]}}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    tables = {name: patients(seed, 400 + 50 * seed) for seed, name in enumerate((*SITES, SPARE))}
    with programs(tmp_path_factory.mktemp("faults"), tables, configuration={SPARE: BUDGET}) as running:
        yield running


@pytest.fixture(scope="module")
def calm(federation):
    """What the study finds when nobody disturbs it."""
    outcomes = federation.outcomes(federation.submit(short()))
    assert off(outcomes, federation.tables) <= CLOSE
    return bytes_of(outcomes)


def bytes_of(outcomes):
    return canonical.encode([one["result"] for one in outcomes])


def huizhen(*arguments):
    """One command, as a person types it beside the programs that run."""
    places = os.pathsep.join(place for place in sys.path if place)
    env = {**os.environ, "PYTHONPATH": places, "HUIZHEN_LANG": "en"}
    typed = [sys.executable, "-c", CLI, *map(str, arguments)]
    return subprocess.run(typed, env=env, capture_output=True, text=True, timeout=60)


def sound_ledgers(federation):
    """Whether the hub's and every site's ledger verifies."""
    keys = {"hub": "keys", **dict.fromkeys(SITES, "identity")}
    paths = {name: federation.root / name for name in keys}
    found = {n: verify_file(paths[n] / "ledger.sqlite", [load_key(paths[n] / keys[n] / "identity.pem").public]) for n in keys}
    return all(verdict.sound for verdict in found.values())


@pytest.mark.parametrize("number", [3, 6, 8])
def test_a_study_whose_hub_was_killed_goes_on_after_the_last_closed_round_to_the_same_bytes(federation, calm, number):
    id = federation.submit(short())
    with federation.amid(id, "m3", number, site="east") as (at, round):
        federation.hub.kill()
        federation.hub.start()
    outcomes = federation.outcomes(id)
    resumed = [(one["analysis"], one["detail"]) for one in federation.events(id) if one["event"] == "resumed"]
    assert resumed[-1] == (at, f"after round {round - 1}")
    assert bytes_of(outcomes) == calm
    assert sound_ledgers(federation)


def test_a_killed_nats_server_is_started_again_and_the_round_is_answered(federation, calm):
    id = federation.submit(short())
    with federation.amid(id, "m3", 4, site="east"):
        before = federation.server_pid()
        os.kill(before, signal.SIGKILL)
        until(lambda: federation.server_pid() != before, "another server")
    assert bytes_of(federation.outcomes(id)) == calm


def test_a_killed_worker_fails_one_answer_and_the_round_is_asked_again(federation, calm):
    id = federation.submit(short())
    federation.asked(id, "m3", 3)
    workers = federation.sites["south"].workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    federation.open_round(id)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert bytes_of(federation.outcomes(id)) == calm
    failed = [one["detail"] for one in federation.events(id) if one["event"] == "failed"]
    assert failed == ["the worker was ended by SIGKILL; the next question starts it anew"]


def test_a_hub_without_room_stands_still_and_goes_on_by_itself(federation, calm):
    id, hub = federation.submit(short()), federation.hub
    with federation.amid(id, "m3", 4, site="west"):
        said = len(hub.said)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        room = hub.log.stat().st_size + 1500  # for what the hub says; the study's files are larger already
        assert (federation.root / "hub" / "studies" / id / "events.jsonl").stat().st_size > room
        resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, (room, hard))
    try:
        until(lambda: f"study {id} stands still" in hub.said[said:], "the hub's complaint", pause_s=0.05)
        assert federation.status(id)["state"] == "running"
    finally:
        resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert bytes_of(federation.outcomes(id)) == calm
    assert sound_ledgers(federation)


def test_a_second_hub_on_the_same_folder_is_refused_and_the_first_goes_on(federation, calm):
    id = federation.submit(short())
    with federation.amid(id, "m3", 2, site="west"):
        second = huizhen("hub", "run", federation.root / "hub")
    assert second.returncode != 0
    assert "The hub's folder is in use." in second.stderr
    assert bytes_of(federation.outcomes(id)) == calm


def test_a_study_cancelled_in_mid_round_asks_nothing_more(federation):
    id = federation.submit(short())
    with federation.amid(id, "m3", 3, site="east"):
        assert huizhen("study", "cancel", id, "--dir", federation.root / "li").returncode == 0
        events = until(lambda: found if (found := federation.events(id))[-1]["event"] != "asked" else None, "the end of the round")
    assert {one["detail"] for one in events if one["event"] == "failed"} <= {"the study was cancelled", "the worker was closed"}
    assert federation.status(id)["state"] == "cancelled"
    assert [one for one in federation.events(id)[len(events) :] if one["event"] == "asked"] == []


def test_a_study_cancelled_in_mid_round_gives_back_what_it_has_not_spent_of_a_privacy_budget(federation):
    noisy = {**short(*SITES, SPARE, protection=NOISY), "method": {"tabulate": {"rows": "sex"}}}
    id, ledger = federation.submit(noisy), federation.root / SPARE / "ledger.sqlite"
    with federation.amid(id, "tabulate", 1, site="east"):
        assert RESERVED in kinds(ledger)
        assert huizhen("study", "cancel", id, "--dir", federation.root / "li").returncode == 0
    until(lambda: kinds(ledger)[-2:] == ["interrupted", SETTLED], "the end at the site", pause_s=0.05)
    again = federation.submit({**noisy, "study": {"title": "Once more"}})
    assert federation.outcomes(again)[0]["roster"] == [*SITES, SPARE]


def kinds(ledger):
    return [entry.kind for entry in read_file(ledger)]


def test_a_site_that_withdraws_in_mid_round_is_left_out_and_named(federation):
    id = federation.submit(short())
    with federation.amid(id, "m3", 3, site="east"):
        assert huizhen("site", "withdraw", id, "--dir", federation.root / "west").returncode == 0
        until(lambda: federation.status(id)["stances"]["west"] == "withdrawn", "the withdrawal", pause_s=0.05)
    outcomes = federation.outcomes(id)
    assert [one["roster"] for one in outcomes] == [["east", "south"]]
    assert {(loss[0], loss[2]) for one in outcomes for loss in one["losses"]} == {("west", "this site has withdrawn")}
    assert off(outcomes, federation.tables) <= CLOSE


def test_a_site_that_is_shut_out_while_it_is_asked_is_not_waited_for(federation):
    id = federation.submit(short(*SITES, SPARE, participants={"round_deadline": "1 h"}))
    with federation.amid(id, "m3", 3, site=SPARE):
        assert huizhen("hub", "revoke", SPARE, "--dir", federation.root / "hub").returncode == 0
        outcomes = federation.outcomes(id)
    assert [one["roster"] for one in outcomes] == [list(SITES)]
    assert {(loss[0], loss[2]) for one in outcomes for loss in one["losses"]} == {
        (SPARE, "this site is shut out of the federation")
    }
    assert off(outcomes, federation.tables) <= CLOSE


@pytest.mark.slow
def test_a_site_that_stays_silent_is_asked_twice_and_then_left_out(federation):
    id = federation.submit(short(participants={"round_deadline": "1 s"}))
    with federation.amid(id, "m3", 3, site="south"):
        outcomes = federation.outcomes(id)
    assert outcomes[0]["roster"] == ["west", "east"]
    assert off(outcomes, federation.tables) <= CLOSE


@pytest.mark.slow
def test_a_killed_agent_goes_on_with_what_it_was_prepared_for(federation, calm):
    id, site = federation.submit(short()), federation.sites["south"]
    with federation.amid(id, "m3", 3, site="south"):
        site.kill()
        site.start()
    assert bytes_of(federation.outcomes(id)) == calm
    assert sound_ledgers(federation)


@pytest.mark.slow
def test_messages_that_come_twice_late_and_in_another_order_change_nothing(federation, calm):
    every = {"hub": federation.hub, **{name: federation.sites[name] for name in SITES}}
    for one in every.values():
        one.stop()
    try:
        for seed, (name, one) in enumerate(every.items()):
            one.unruly(federation.root / name, seed=seed)
        assert bytes_of(federation.outcomes(federation.submit(short()))) == calm
    finally:
        for one in every.values():
            one.stop()
            one.start()
