"""A forecast is one fact: made of cards alone, canonical, honest about what it assumed, and better for every run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import mirrors
import smokers
from huizhen.data.card import describe
from huizhen.embedded.foresight import cards_in, forecast, seconds_of
from huizhen.embedded.run import run
from huizhen.embedded.shadowing import history_in
from huizhen.errors import CallerError, LedgerError
from huizhen.federation.events import Event, Leaving
from huizhen.federation.study import Study
from huizhen.twin.assembled import across_hospitals, within_one_process
from huizhen.twin.forecast.foreseeing import Asked, foresee
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.forecast.journal import append, kept_in
from huizhen.twin.forecast.oneprocess import InTurn, one_process, this_machine
from huizhen.twin.functional import Residual
from huizhen.twin.quantity import Quantity
from huizhen.twin.shadow.comparing import compared
from huizhen.twin.shadow.learnt import Compared, Learnt, learnt

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def study_and_cards(count=3, **more):
    here = mirrors.standins(count, **more)
    cards = {site: describe(table, name=site, variables=here.variables).to_dict() for site, table in here.tables.items()}
    return here.study, cards


def seen_by(study, cards, mirror=None, **more):
    mirror = mirror or mirrors.mirror(cards)
    by = across_hospitals() if mirror.links else within_one_process(2)
    return foresee(study, cards, mirror, by, made=NOW, **more)


def rows(count=3):
    return {site: smokers.patients(place, 60) for place, site in enumerate(mirrors.names(count))}


def test_the_same_cards_mirror_and_seed_give_the_same_digest_and_another_seed_another():
    study, cards = study_and_cards()
    first = seen_by(study, cards)
    assert first.digest == seen_by(study, cards).digest
    assert first.digest != seen_by(study, cards, asked=Asked(seed=1)).digest


def test_a_forecast_is_read_as_it_was_written_through_json_too():
    seen = seen_by(*study_and_cards(protection={"sum": "masked"}))
    again = Foreseen.parse(json.loads(json.dumps(seen.content)))
    assert again.digest == seen.digest
    assert again.total == seen.total


@pytest.mark.parametrize("change", [{"foreseen": 2}, {"total": None}, {"bars": [["a"]]}, {"kinds": [[]]}, {"made": "yesterday"}])
def test_what_is_no_forecast_is_refused(change):
    content = seen_by(*study_and_cards()).content | change
    with pytest.raises(CallerError, match="version 1 of a forecast"):
        Foreseen.parse(content)


def test_the_parts_add_up_to_the_total_and_the_interval_holds_it():
    seen = seen_by(*study_and_cards())
    assert sum(one.value for one in seen.parts.values()) == pytest.approx(seen.total.value)
    assert seen.total.low < seen.total.value < seen.total.high
    assert seen.naive_s < seen.total.value  # no round trips, no handling


def test_bytes_by_site_are_those_of_the_lines_and_answers_are_fewer():
    seen = seen_by(*study_and_cards())
    for one in seen.sites:
        assert 0 < one.left < one.up
    median = sum(one.down + one.up for one in seen.sites)
    assert seen.moved.low <= median * 1.01
    assert median * 0.99 <= seen.moved.high


def test_links_ten_times_as_fast_do_not_make_it_slower_and_a_longer_way_does():
    study, cards = study_and_cards()
    usual = seen_by(study, cards).total.value
    assert seen_by(study, cards, mirrors.mirror(cards, faster=10)).total.value <= usual
    assert seen_by(study, cards, mirrors.mirror(cards, rtt=0.2)).total.value > 3 * usual


def test_a_deadline_that_is_far_is_met_and_one_that_is_past_is_not():
    study, cards = study_and_cards()
    assert seen_by(study, cards, asked=Asked(deadline_s=1e6)).in_time == 1.0
    assert seen_by(study, cards, asked=Asked(deadline_s=1e-6)).in_time == 0.0


def test_inputs_are_told_with_provenance_and_age_and_those_alike_once():
    study, cards = study_and_cards()
    there = mirrors.mirror(cards)
    old = {
        name: replace(link, rtt=replace(link.rtt, at=NOW - timedelta(hours=3), provenance="measured"))
        for name, link in there.links.items()
    }
    seen = seen_by(study, cards, replace(there, links=old))
    told = {one.name: one for one in seen.relied_on}
    assert told["link.*.rtt (3)"].age_s == 3 * 3600
    assert told["link.*.rtt (3)"].value.provenance == "measured"


def test_a_site_that_tells_of_no_rows_is_left_out_aloud_and_none_at_all_is_refused():
    study, cards = study_and_cards()
    quiet = cards | {"site-001": {"name": "site-001", "rows": None, "variables": [], "note": "few"}}
    seen = seen_by(study, quiet)
    assert [one.site for one in seen.sites] == ["site-000", "site-002"]
    assert any(note.startswith("site-001: a card that tells of no rows") for note in seen.notes)
    with pytest.raises(CallerError, match="a card of too few rows"):
        seen_by(study, dict.fromkeys(cards, quiet["site-001"]), mirrors.mirror(cards))


def test_a_site_without_a_path_is_refused_before_any_work():
    study, cards = study_and_cards()
    there = mirrors.mirror(cards)
    cut = replace(there, links={name: link for name, link in there.links.items() if "001" not in name})
    with pytest.raises(CallerError, match="site-001: found no path"):
        seen_by(study, cards, cut)
    with pytest.raises(CallerError, match="site-002"):
        seen_by(study, cards, mirrors.mirror(list(cards)[:2]))


def test_in_one_process_nothing_travels_and_sites_take_turns():
    study, cards = study_and_cards()
    seen = seen_by(study, cards, one_process({site: card["rows"] for site, card in cards.items()}, this_machine(2), NOW))
    assert (seen.engine, seen.moved.value) == ("in-process", 0)
    begins = sorted(bar.begins_s for bar in seen.bars if bar.part == "compute" and bar.stage == seen.bars[0].stage)
    assert begins == sorted(set(begins))  # no two at once


def test_a_worker_helps_after_a_hundredth_of_a_second():
    ends = InTurn(2).together("up", np.array([[1.0, 1.0, 1.0], [0.001, 0.001, np.inf]]), np.zeros((2, 3)))
    assert ends[0] == pytest.approx([1.0, 1.01, 2.0])
    assert ends[1] == pytest.approx([0.001, 0.002, np.inf])


# --- from tables, and beside a run ----------------------------------------------------------------------------------------------


def test_a_run_commits_to_its_forecast_before_the_start_and_bytes_come_as_foreseen(tmp_path):
    study, _ = study_and_cards()
    seen = forecast(study, rows(), in_process=True)
    found = run(study, rows(), out=tmp_path / "run", compare=False, foreseen=seen)
    parts = {one.residual.part: one.residual for one in found.compared}
    assert set(parts) >= {"total", "times", "round", "compute", "bytes", "rest"}
    assert parts["bytes"].predicted.value == pytest.approx(parts["bytes"].seen)
    from huizhen.ledger.store import read_file

    kinds = [entry.kind for entry in read_file(tmp_path / "run/ledger/site-000.sqlite")]
    assert kinds.index("forecast") < kinds.index("started")
    assert kept_in(tmp_path / "run/shadow.jsonl") == found.compared


def test_the_forecast_of_another_study_is_not_committed_to(tmp_path):
    seen = forecast(study_and_cards(protection={"sum": "masked"})[0], rows(), in_process=True)
    with pytest.raises(CallerError, match="another study"):
        run(study_and_cards()[0], rows(), out=tmp_path / "run", foreseen=seen)


def test_a_run_that_was_resumed_teaches_nothing():
    seen = seen_by(*study_and_cards())
    events = [Event("resumed", "m3", 1, 0.0), Event("finished", "m3", 2, 1.0)]
    assert compared(seen, events, run="run-1", at=NOW) == ()
    assert compared(seen, events[1:], run="run-1", at=NOW) != ()


def told(seen, slower, *, run="run-1"):
    """Events of a run that went as foreseen, but that everything took so many times as long."""
    events, at = [], 0.0
    for one in seen.kinds:
        for turn in range(round(one.times.value)):
            events.append(Event("asked", one.analysis, turn, at, step=one.step))
            at += one.seconds * slower
            for site, work in one.work_s.items():
                left = (Leaving("x", "addend", int(one.left.get(site, 0)), 1),)
                events.append(
                    Event("answered", one.analysis, turn, at, site=site, step=one.step, leaving=left, cpu_s=work * slower)
                )
            events.append(Event("folded", one.analysis, turn, at, step=one.step))
    events.append(Event("finished", "m3", 0, at))
    return compared(seen, events, run=run, at=NOW)


def test_a_machine_that_is_twice_as_slow_is_learnt_after_some_runs():
    study, _ = study_and_cards()
    cards = study_and_cards()[1]
    first = forecast(study, rows(), in_process=True)
    usual = first.total.value
    first = replace(first, total=Quantity(usual, "s", usual / 1.2, usual * 1.2, "fitted"))
    history = learnt([one for number in range(20) for one in told(first, 2.0, run=f"run-{number}")])
    assert history.work.factor({"device": "this-machine"})[0] == pytest.approx(2.0, rel=0.15)
    assert history.rest.factor({"engine": "in-process", "study": study.digest})[0] == pytest.approx(2.0, rel=0.3)
    assert history.runs == 20
    assert history.state.alarms  # the totals were off, all on one side
    seen = seen_by(study, cards, one_process(dict.fromkeys(cards, 60.0), this_machine(2), NOW), history=history)
    assert any("20 earlier runs" in note for note in seen.notes)
    assert any("drifted" in note for note in seen.notes)


def test_steps_come_as_often_as_in_earlier_runs_of_this_study():
    study, cards = study_and_cards()
    before = seen_by(study, cards)
    step = max((one for one in before.kinds), key=lambda one: one.times.value)
    residual = Residual("times", f"{step.analysis}/{step.step}", step.times, 25.0, NOW)
    after = seen_by(study, cards, history=learnt([Compared(residual, study.digest, "run-1")]))
    same = [one for one in after.kinds if (one.analysis, one.step) == (step.analysis, step.step)]
    assert sum(one.times.value for one in same) == 25.0
    other = seen_by(study, cards, history=learnt([Compared(residual, "another", "run-1")]))
    assert other.rounds == before.rounds


def test_a_total_that_was_missed_too_often_gets_a_wider_interval():
    quantity = Quantity(10.0, "s", 9.0, 11.0, "fitted")
    seen = [15.0, 6.0] * 10
    history = learnt([Compared(Residual("total", "s", quantity, one, NOW), "s", str(n)) for n, one in enumerate(seen)])
    wide = history.total(quantity)
    assert wide.low < 6.5
    assert wide.high > 14.5
    assert Learnt().total(quantity) == quantity


# --- the journal ----------------------------------------------------------------------------------------------------------------


def some(count=3):
    quantity = Quantity(1.0, "s", 0.5, 2.0, "fitted", "x", NOW)
    return [
        Compared(Residual("compute", f"m{n}@d", quantity, 1.5, NOW), "study", "run", {"device": "d"}, 1.0, 0.0)
        for n in range(count)
    ]


def test_what_a_crash_left_of_an_append_is_written_over(tmp_path):
    path = tmp_path / "shadow.jsonl"
    append(path, some(2))
    with path.open("ab") as file:
        file.write(b'{"previous": "00')
    assert len(kept_in(path)) == 2
    append(path, some(1))
    assert kept_in(path) == (*some(2), *some(1))


def altered(path, change):
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(lines)) + "\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"seen":1.5', '"seen":1.4'), *lines[1:]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: lines[1:],
        lambda lines: ["{}", *lines],
        lambda lines: [*lines, "noise"],
        lambda lines: [*lines[:2], lines[2].replace('"seen":1.5', '"seen":-1')],
        lambda lines: [*lines[:2], lines[2].replace('"low"', '"part"').replace("compute", "guess")],
    ],
)
def test_a_journal_that_was_altered_is_refused_and_not_added_to(tmp_path, change):
    path = tmp_path / "shadow.jsonl"
    append(path, some())
    altered(path, change)
    before = path.read_bytes()
    with pytest.raises(CallerError, match="does not follow"):
        history_in(path)
    with pytest.raises(CallerError, match="does not follow"):
        append(path, some(1))
    assert path.read_bytes() == before


def test_no_history_teaches_nothing(tmp_path):
    assert history_in(tmp_path / "none.jsonl").runs == 0
    assert history_in(None).runs == 0


def test_ledgers_that_tell_of_another_forecast_are_noticed(tmp_path):
    from huizhen.embedded.shadowing import met
    from huizhen.ledger.keys import new_key
    from huizhen.ledger.store import MemoryLedger

    study, cards = study_and_cards()
    one, other = seen_by(study, cards), seen_by(study, cards, asked=Asked(seed=5))
    ledger = MemoryLedger(new_key())
    with pytest.raises(LedgerError, match="no forecast"):
        met(one, {"a": ledger}, {"a": 0}, [], run="run-1", at=NOW)
    ledger.append("forecast", {"run": "run-1", **other.summary}, NOW)
    with pytest.raises(LedgerError, match="another forecast"):
        met(one, {"a": ledger}, {"a": 0}, [], run="run-1", at=NOW)


# --- bad input --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deadline", ["tomorrow", "-2 h", "2", "0 s", "h 2"])
def test_a_deadline_that_is_no_duration_is_refused(deadline):
    with pytest.raises(CallerError, match="The deadline is no duration"):
        seconds_of(deadline)


def test_cards_that_are_none_are_told_all_at_once(tmp_path):
    (tmp_path / "a b.json").write_text("{}")
    with pytest.raises(CallerError, match="a b"):
        cards_in(tmp_path)
    with pytest.raises(CallerError, match="no cards"):
        cards_in(tmp_path.joinpath("x") if (tmp_path / "x").mkdir() else tmp_path / "x")


def test_a_study_of_other_sites_is_refused():
    content = smokers.study(["north", "south"])
    content["participants"]["sites"] = ["north", "south"]
    with pytest.raises(CallerError, match="north"):
        forecast(Study.parse(content), rows())
