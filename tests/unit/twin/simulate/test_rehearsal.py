"""A rehearsal is the study itself: the same states as in a process, and the bytes that the wire carries."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.data.card import describe
from huizhen.errors import CallerError
from huizhen.federation.conduct import conduct
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.rounds import Failed, Refused, Silent
from huizhen.federation.wire.engine import WireEngine
from huizhen.federation.wire.post import Post
from huizhen.federation.wire.serving import Serving
from huizhen.federation.wire.ways import ActorWay, HubWay
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.twin.course import Work
from huizhen.twin.quantity import exactly
from huizhen.twin.simulate.carriage import there_and_back
from huizhen.twin.simulate.engine import unpadded
from huizhen.twin.simulate.federation import Standins, federation_of
from huizhen.twin.simulate.growing import SIZES, grown
from huizhen.twin.simulate.rehearsal import rehearse, rehearsed
from huizhen.twin.simulate.standins import rows_from_cards
from mirrors import names, standins
from natsserver import Line, NatsServer

TRAINING = {"averaging": {"task": "classification", "outcome": ["smoker"], "covariates": ["age", "lab", "sex"], "rounds": 40}}


def nothing(*_):
    return None


def run_of(here):
    """The participants of a rehearsal and its run, to be carried by another engine."""
    there = {}
    wrap = here.wrap

    def kept(site, respondent):
        there[site] = wrap(site, respondent)
        return there[site]

    return federation_of(replace(here, wrap=kept), ManualClock(), seen=nothing, worked=nothing), there


def to_the_end(run):
    events, steps = [], conduct(run)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value


def states(events):
    return [(event.kind, event.analysis, event.round, event.site, event.step) for event in events]


class Losing:
    """A site's program that says something else from one turn on, or once."""

    def __init__(self, respondent, turn, reply, *, once):
        self._respondent, self._turn, self._reply, self._once, self._now = respondent, turn, reply, once, 0

    def respond(self, ask):
        self._now += 1
        is_lost = self._now == self._turn if self._once else self._now >= self._turn
        return self._reply if is_lost else self._respondent.respond(ask)


STORIES = {
    "all answer": None,
    "one falls silent": (4, Silent(), False),
    "one is silent once": (4, Silent(), True),
    "one fails": (3, Failed("its disk is full"), False),
    "one refuses": (5, Refused(("the budget is spent",), ("budget",)), False),
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("protection", [{}, {"sum": "masked"}], ids=["plain", "masked"])
def test_a_rehearsal_goes_through_the_states_of_a_run_in_one_process(story, protection):
    def wrap(site, respondent):
        told = STORIES[story]
        return respondent if told is None or site != "site-002" else Losing(respondent, told[0], told[1], once=told[2])

    here = standins(4, protection=protection, participants={"patience": 1, "round_deadline": "2 s"}, wrap=wrap)
    rehearsal = rehearsed(here)
    run, there = run_of(here)
    engine = InProcessEngine(there)
    try:
        events, outcomes = to_the_end(replace(run, engine=engine))
    finally:
        engine.close()
    assert states(rehearsal.events) == states(events)
    assert [one.result.failure for one in rehearsal.outcomes] == [one.result.failure for one in outcomes]
    kinds = {event.kind for event in events}
    assert {"one falls silent": "silent", "one fails": "failed", "one refuses": "refused"}.get(story, "folded") in kinds


def test_the_same_seed_rehearses_to_the_same_course():
    assert rehearse(standins(4, protection={"sum": "masked"})) == rehearse(standins(4, protection={"sum": "masked"}))


# --- bytes -----------------------------------------------------------------------------------------------------------------


@contextmanager
def relayed(port):
    """A relay to a port of this machine that counts what passes: bytes to the server, and from it."""
    passed, socks, listening = [0, 0], [], socket.create_server(("127.0.0.1", 0))

    def copy(one, other, way):
        with suppress(OSError):
            while some := one.recv(1 << 16):
                passed[way] += len(some)
                other.sendall(some)

    def accept():
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", port))
                socks.extend((near, far))
                for way, (one, other) in enumerate(((near, far), (far, near))):
                    threading.Thread(target=copy, args=(one, other, way), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with closing(listening):
        yield listening.getsockname()[1], passed
    for each in socks:
        each.close()


@pytest.mark.parametrize("protection", [{}, {"sum": "masked"}], ids=["plain", "masked"])
def test_bytes_are_those_of_the_real_wire(tmp_path, protection):
    here = standins(3, protection=protection)
    course = rehearse(here)
    expected_down = sum(one.times.value * sum(stage.down.values()) for one in course.rounds for stage in one.stages)
    expected_up = sum(one.times.value * sum(stage.up.values()) for one in course.rounds for stage in one.stages)
    run, there = run_of(here)
    server = NatsServer(tmp_path)
    server.start()
    try:
        with relayed(server.port) as (port, passed), ThreadPoolExecutor(8) as workers:
            keys = {site: "U" + site[-3:] * 18 + "A" for site in there}
            lines = {site: Line(f"nats://127.0.0.1:{port}") for site in there}
            hub = Line(server.url)
            try:
                for site, respondent in there.items():
                    line = lines[site]
                    post = Post(line.connection, ActorWay(keys[site]), verbs={"ask": Serving(respondent.respond)}, workers=workers)
                    line.loop.run(post.open())
                    line.loop.run(line.connection.flush())
                post = Post(hub.connection, HubWay(), verbs={}, workers=workers)
                hub.loop.run(post.open())
                before = list(passed)
                _, outcomes = to_the_end(replace(run, engine=WireEngine(hub.loop, post, keys)))
                up, down = (after - earlier for after, earlier in zip(passed, before, strict=True))
            finally:
                for line in (*lines.values(), hub):
                    line.close()
    finally:
        server.kill()
    assert all(len(key) == 56 for key in keys.values())
    assert not outcomes[0].result.failure
    assert expected_down == pytest.approx(down, rel=0.005)
    assert expected_up == pytest.approx(up, rel=0.005)


def test_a_large_message_is_announced_wanted_and_carried_in_pieces():
    small, large = there_and_back(1000, 1 << 20), there_and_back(1000, (3 << 20) + 5)
    assert small.up > 1 << 20
    assert (3 << 20) + 5 < large.up < (3 << 20) + 2000
    assert small.down < large.down < small.down + 2000, "each piece is wished for, and the end confirmed"


@pytest.mark.parametrize("protection", [{}, {"sum": "masked"}], ids=["plain", "masked"])
def test_a_large_roster_is_told_from_three_small_ones_to_half_a_percent(protection):
    small = [rehearse(standins(size, protection=protection, measure=unpadded)) for size in SIZES]
    whole = rehearse(standins(26, protection=protection))
    large = grown(small, whole.roster, {})
    assert total(large) == pytest.approx(total(whole), rel=0.005)
    assert total(large) > 1.5 * total(small[-1]), "and it did grow"


def total(course):
    return sum(
        one.times.value * (sum(stage.down.values()) + sum(stage.up.values())) for one in course.rounds for stage in one.stages
    )


def test_rehearsals_of_other_sizes_do_not_grow():
    small = rehearse(standins(4))
    with pytest.raises(CallerError, match="do not grow"):
        grown([small, small, small], tuple(names(40)), {})


# --- work and rounds -------------------------------------------------------------------------------------------------------


def test_the_work_of_a_step_is_that_of_the_sites_real_rows():
    asked = []

    def demand(method, question, rows, columns):
        asked.append((question.step, rows, columns))
        return Work(f"{method}.{question.step}", (), rows)

    course = rehearse(standins(3, rows=60), rows={"site-001": 6000}, demand=demand)
    scores = [stage.work for one in course.rounds if one.step == "glm.score" for stage in one.stages]
    assert {work["site-001"].rows for work in scores} == {6000}
    assert {work["site-000"].rows for work in scores} == {60}
    assert {columns for step, _, columns in asked if step == "glm.score"} == {4}


def test_a_long_training_is_rehearsed_short_and_told_long():
    course = rehearse(standins(3, method=TRAINING))
    times = {}
    for one in course.rounds:
        times[one.step] = times.get(one.step, 0) + one.times.value
    assert 40 in times.values(), times
    assert times["muster"] == 1
    assert not course.keeps_roster


def test_hidden_sums_renew_their_keys_every_thirty_two_rounds():
    course = rehearse(standins(3, method=TRAINING, protection={"sum": "masked"}))
    asked = [one for one in course.rounds if one.step != "muster"]
    keyed = sum(one.times.value for one in asked if one.stages[0].stage == "advertise")
    assert keyed == np.ceil(sum(one.times.value for one in asked) / 32)
    assert keyed >= 2


def test_what_earlier_runs_told_of_iterations_is_believed():
    known = exactly(7, "count", "earlier runs")
    course = rehearse(standins(3), often={("glm", "glm.score"): known})
    assert known in [one.times for one in course.rounds if one.step == "glm.score"]
    guessed = rehearse(standins(3))
    assert "assumed" in {one.times.provenance for one in guessed.rounds}


def test_protections_are_used_as_often_as_the_scheme_has_it():
    course = rehearse(standins(4, protection={"sum": "masked"}))
    first = next(one for one in course.rounds if one.step != "muster")
    uses = {stage.stage: stage.protect["site-001"] for stage in first.stages}
    masks = [use for use in uses["mask"] if use.step == "mask"]
    assert {use.times for use in masks} == {4}, "its own mask, and one with each of the 3 others"
    assert [use.algorithm for use in masks] == ["masking-64", "masking-512"], "counts and real numbers"
    assert [use.times for use in uses["share"] if use.algorithm == "ml-kem-768"] == [3]


# --- cards -----------------------------------------------------------------------------------------------------------------


def test_cards_alone_are_enough_for_a_rehearsal():
    here = standins(3, rows=400)
    cards = {site: describe(rows, name=site).to_dict() for site, rows in here.tables.items()}
    tables, variables = rows_from_cards(here.study, cards, rows=200, seed=1)
    assert {rows.rows for rows in tables.values()} == {200}
    from_cards = rehearse(Standins(here.study, tables, dict.fromkeys(tables, DisclosurePolicy()), variables))
    steps = lambda course: {one.step for one in course.rounds}  # noqa: E731
    assert steps(from_cards) == steps(rehearse(here))


def test_cards_that_lack_a_variable_are_named():
    here = standins(3)
    cards = {site: {"rows": 100, "variables": []} for site in here.tables}
    with pytest.raises(CallerError) as error:
        rows_from_cards(here.study, cards, rows=50, seed=1)
    assert {problem.where for problem in error.value.problems} == {f"variable {name}" for name in ("age", "lab", "sex", "smoker")}


def test_what_nobody_can_take_part_in_is_no_course():
    here = standins(3, rows=5)
    with pytest.raises(CallerError, match="cannot be rehearsed"):
        rehearse(here)
