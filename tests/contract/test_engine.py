"""What every engine must do; each new engine is added to `ENGINES` and inherits the whole story."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.errors import FederationError
from huizhen.federation.checkpoint import FileCheckpoints
from huizhen.federation.conduct import conduct
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.rounds import Answered, Ask, Box, Failed, Refused, Reply, Silent
from huizhen.federation.wire.engine import WireEngine
from huizhen.federation.wire.post import Post
from huizhen.federation.wire.serving import Serving
from huizhen.federation.wire.ways import ActorWay, HubWay
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.privacy.masking import wide
from huizhen.privacy.release import Answer, Part, Question
from huizhen.twin.simulate.engine import VirtualEngine
from natsserver import Line, NatsServer


class WiredEngine(WireEngine):
    """The engine across hospitals, with every site on a connection of its own to a server."""

    def __init__(self, respondents: dict[str, Any], url: str) -> None:
        self._lines = {site: Line(url) for site in respondents}
        self._hub, self._workers = Line(url), ThreadPoolExecutor(16)
        root = f"t{secrets.token_hex(4)}"
        keys = {site: f"U{place}" for place, site in enumerate(respondents)}
        for site, respondent in respondents.items():
            verbs = {"ask": Serving(respondent.respond)}
            line = self._lines[site]
            line.loop.run(Post(line.connection, ActorWay(keys[site], root), verbs=verbs, workers=self._workers).open())
            line.loop.run(line.connection.flush())
        post = Post(self._hub.connection, HubWay(root), verbs={}, workers=self._workers)
        self._hub.loop.run(post.open())
        super().__init__(self._hub.loop, post, keys)

    def close(self) -> None:
        for line in (*self._lines.values(), self._hub):
            line.close()
        self._lines, self._hub = {}, self._hub
        self._workers.shutdown(wait=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = NatsServer(tmp_path_factory.mktemp("nats"))
    one.start()
    yield one
    one.kill()


@pytest.fixture
def virtual_clock():
    return ManualClock()


@pytest.fixture(params=["in-process", "wire", "virtual"])
def engine_of(request, virtual_clock):
    """Makes an engine over respondents, and closes it after the story."""
    opened = []

    def make(respondents):
        if request.param == "in-process":
            opened.append(InProcessEngine(respondents))
        elif request.param == "virtual":
            opened.append(VirtualEngine(respondents, virtual_clock))
        else:
            opened.append(WiredEngine(respondents, request.getfixturevalue("server").url))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


@pytest.fixture
def held(request, engine_of, virtual_clock):
    """Holds a site until an event comes, half a minute at most; under virtual time nothing comes before that."""
    is_virtual = request.node.callspec.params["engine_of"] == "virtual"
    return (lambda gate: virtual_clock.advance(30)) if is_virtual else (lambda gate: gate.wait(30))


@dataclass
class Scripted:
    """A site that does what the story needs; `reply(ask, turn)`."""

    site: str
    reply: Callable[[Ask, int], Reply]
    turns: int = 0

    def respond(self, ask: Ask) -> Reply:
        self.turns += 1
        return self.reply(ask, self.turns)


def answered(value: float, rows: int = 10) -> Answered:
    return Answered(Answer({"sum": Part(np.array([value]), rows)}, rows))


def ask_of(site: str, number: int = 1, boxes: tuple[Box, ...] = ()) -> Ask:
    return Ask("digest", "run", "mean", number, "answer", Question("mean", "sums"), ("a", "b", "c"), "plain", "scope", boxes)


def test_every_site_asked_gets_one_reply_under_its_own_name(engine_of):
    engine = engine_of({site: Scripted(site, lambda ask, turn, value=value: answered(value)) for value, site in enumerate("abc")})
    replies = dict(engine.exchange({site: ask_of(site) for site in "ac"}, deadline_s=5))
    assert {site: reply.answer.parts["sum"].values[0] for site, reply in replies.items()} == {"a": 0.0, "c": 2.0}
    assert engine.sites == ("a", "b", "c")


def test_a_site_that_is_not_here_cannot_be_asked(engine_of):
    engine = engine_of({"a": Scripted("a", lambda ask, turn: answered(1))})
    with pytest.raises(FederationError, match="stranger"):
        engine.exchange({"stranger": ask_of("stranger")}, deadline_s=5)


def test_a_site_without_a_reply_at_the_deadline_is_silent_and_comes_back(engine_of, held):
    gate = threading.Event()

    def slow_once(ask, turn):
        if turn == 1:
            held(gate)
        return answered(100.0 + turn)

    engine = engine_of({"slow": Scripted("slow", slow_once), "quick": Scripted("quick", lambda ask, turn: answered(turn))})
    first = dict(engine.exchange({site: ask_of(site) for site in ("slow", "quick")}, deadline_s=0.2))
    assert isinstance(first["slow"], Silent)
    assert isinstance(first["quick"], Answered)
    gate.set()
    second = dict(engine.exchange({site: ask_of(site, 2) for site in ("slow", "quick")}, deadline_s=30))
    assert second["slow"].answer.parts["sum"].values[0] == 102.0  # the reply to round 2, not the late one to round 1


def test_a_site_that_breaks_fails_alone_and_tells_no_value(engine_of):
    def broken(ask, turn):
        raise ValueError("could not convert 'SECRET-4711' to float")

    engine = engine_of({"broken": Scripted("broken", broken), "whole": Scripted("whole", lambda ask, turn: answered(3))})
    replies = dict(engine.exchange({site: ask_of(site) for site in ("broken", "whole")}, deadline_s=5))
    assert isinstance(replies["whole"], Answered)
    assert isinstance(replies["broken"], Failed)
    assert "SECRET" not in replies["broken"].reason


def test_an_engine_may_be_closed_twice(engine_of):
    engine = engine_of({"a": Scripted("a", lambda ask, turn: answered(1))})
    engine.close()
    engine.close()


# --- whole studies -------------------------------------------------------------------------------------------------------


def test_a_study_equals_the_pooled_answer(engine_of, federation):
    joint = federation()
    events, (outcome,) = joint.conduct(engine_of(joint.participants()))
    pooled = np.concatenate([rows.number("age") for rows in joint.rows.values()])
    assert outcome.result.facts["mean"] == pytest.approx(pooled.mean(), rel=1e-14)
    assert outcome.roster == ("west-lake", "east-gate", "south-hill")
    assert outcome.rows == {"west-lake": 12, "east-gate": 20, "south-hill": 31}
    kinds = [event.kind for event in events]
    assert kinds.count("answered") == 3 * 4  # three sites, one muster and three rounds
    assert kinds[-1] == "finished"


def test_the_same_seed_gives_the_same_bytes(engine_of, federation):
    first, second = (federation().conduct(engine_of(federation().participants()))[1][0].result.facts for _ in range(2))
    assert first == second
    assert len(set(first["draws"])) == 3, "each round draws anew"


def test_another_seed_gives_other_draws(engine_of, federation):
    one, two = federation(), federation()
    two.study = replace(two.study, about=two.study.about.model_copy(update={"seed": 8}))
    draws = [each.conduct(engine_of(each.participants()))[1][0].result.facts["draws"] for each in (one, two)]
    assert draws[0] != draws[1]


def test_a_site_under_its_policys_minimum_is_left_out_and_named(engine_of, federation):
    joint = federation(sizes=(12, 4, 31))
    _, (outcome,) = joint.conduct(engine_of(joint.participants()))
    assert outcome.roster == ("west-lake", "south-hill")
    assert [(loss.site, loss.kind) for loss in outcome.losses] == [("east-gate", "left out")]
    assert "4" not in outcome.losses[0].reason.replace("10", ""), "how few rows there are is itself not told"


def test_too_few_sites_for_the_quorum_is_no_answer(engine_of, federation):
    joint = federation(sizes=(12, 4, 3), quorum=2)
    _, (outcome,) = joint.conduct(engine_of(joint.participants()))
    assert "quorum is 2" in outcome.result.failure
    assert not outcome.result.facts


class Losing:
    """A participant that is lost at one turn: it replies as the story says, and for that turn only if `once`."""

    def __init__(self, participant: Any, at_turn: int, reply: Reply, *, once: bool) -> None:
        self.site, self._participant, self._at, self._reply, self._once, self._turn = (
            participant.site,
            participant,
            at_turn,
            reply,
            once,
            0,
        )

    def respond(self, ask: Ask) -> Reply:
        self._turn += 1
        lost = self._turn == self._at if self._once else self._turn >= self._at
        return self._reply if lost else self._participant.respond(ask)


@pytest.mark.parametrize("reply", [Silent(), Failed("its disk is full")])
def test_an_exact_method_restarts_without_a_lost_site_and_says_so(engine_of, federation, reply):
    joint = federation()
    sites = joint.participants()
    sites["east-gate"] = Losing(sites["east-gate"], 3, reply, once=False)
    events, (outcome,) = joint.conduct(engine_of(sites))
    rest = np.concatenate([joint.rows[site].number("age") for site in ("west-lake", "south-hill")])
    assert outcome.result.facts["mean"] == pytest.approx(rest.mean(), rel=1e-14)
    assert outcome.result.facts["turns"] == [2, 4, 6], "both sites began anew: no local state of the abandoned attempt"
    assert outcome.restarts == 1
    assert [loss.site for loss in outcome.losses] == ["east-gate"]
    assert any(event.kind == "restarted" and "east-gate" in event.detail for event in events)


def test_a_site_that_comes_back_in_time_is_waited_for(engine_of, federation):
    joint = federation(patience=1)
    sites = joint.participants()
    sites["east-gate"] = Losing(sites["east-gate"], 3, Silent(), once=True)
    events, (outcome,) = joint.conduct(engine_of(sites))
    assert outcome.restarts == 0
    assert len(outcome.roster) == 3
    assert [event.kind for event in events].count("waiting") == 1


def test_a_study_that_waits_rather_stops_than_changes_its_roster(engine_of, federation):
    joint = federation(on_loss="wait")
    sites = joint.participants()
    sites["east-gate"] = Losing(sites["east-gate"], 3, Silent(), once=False)
    _, (outcome,) = joint.conduct(engine_of(sites))
    assert "east-gate" in outcome.result.failure
    assert "keeps its roster" in outcome.result.failure


def test_a_method_that_is_not_exact_goes_on_with_the_quorum(engine_of, federation):
    joint = federation(exact=False, quorum=2)
    sites = joint.participants()
    sites["east-gate"] = Losing(sites["east-gate"], 3, Silent(), once=True)
    _, (outcome,) = joint.conduct(engine_of(sites))
    assert outcome.restarts == 0
    assert outcome.result.facts["turns"] == [3, 4, 8], "two sites in the middle round, three in the others"


@pytest.mark.parametrize("on_loss", ["restart", "wait"])
def test_a_method_that_is_not_exact_waits_for_its_quorum_then_stops_and_goes_on_later(engine_of, federation, tmp_path, on_loss):
    whole = federation(exact=False).conduct(engine_of(federation(exact=False).participants()))[1][0].result.facts
    joint, checkpoints = federation(exact=False, quorum=3, patience=1, on_loss=on_loss), FileCheckpoints(tmp_path)
    sites = joint.participants(checkpoints=checkpoints)
    sites["east-gate"] = Losing(sites["east-gate"], 3, Silent(), once=False)
    events, (outcome,) = joint.conduct(engine_of(sites), checkpoints=checkpoints)
    assert [event.kind for event in events].count("waiting") == 1
    assert outcome.restarts == 0
    assert "2 sites answered in round 3, the quorum is 3 (east-gate (no reply before the deadline))" in outcome.result.failure
    assert "exact" not in outcome.result.failure
    events, (outcome,) = joint.conduct(engine_of(joint.participants(checkpoints=checkpoints)), checkpoints=checkpoints)
    assert outcome.result.facts == whole
    assert [event.kind for event in events].count("asked") == 1 + 2, "the muster and the two rounds that were left"


def test_a_refusal_ends_the_analysis_with_its_reason(engine_of, federation):
    joint = federation()
    sites = joint.participants()
    sites["east-gate"] = Losing(sites["east-gate"], 3, Refused(("the budget is spent",), ("budget",)), once=False)
    _, (outcome,) = joint.conduct(engine_of(sites))
    assert outcome.result.failure == "site east-gate refused: the budget is spent"


def test_a_site_answers_no_study_that_it_did_not_accept(engine_of, federation):
    joint, other = federation(), federation(rounds=9)
    sites = joint.participants() | {"east-gate": other.participants()["east-gate"]}
    _, (outcome,) = joint.conduct(engine_of(sites))
    assert "digest" in outcome.result.failure


def test_a_policy_that_forbids_the_method_refuses_on_every_engine(engine_of, federation):
    joint = federation(policy=DisclosurePolicy(methods=["summary"]))
    _, (outcome,) = joint.conduct(engine_of(joint.participants()))
    assert "mean" in outcome.result.failure
    assert not outcome.result.facts


def test_answers_of_different_shape_are_not_added(engine_of, federation):
    joint = federation()
    sites = joint.participants()
    odd = Answered(Answer({"sum": Part(np.zeros(2), 20)}, 20))
    sites["east-gate"] = Losing(sites["east-gate"], 2, odd, once=True)
    _, (outcome,) = joint.conduct(engine_of(sites))
    assert "east-gate" in outcome.result.failure


class Crash(Exception):
    """The hub dies."""


class Dying:
    """An engine whose hub dies before a round."""

    def __init__(self, engine, before_round):
        self._engine, self.sites, self.name, self._last = engine, engine.sites, "dying", before_round

    def exchange(self, asks, *, deadline_s):
        if next(iter(asks.values())).round >= self._last:
            raise Crash
        return self._engine.exchange(asks, deadline_s=deadline_s)


@pytest.mark.parametrize("crash_after", [1, 2, 3])
def test_an_interrupted_run_resumes_to_the_same_numbers(engine_of, federation, tmp_path, crash_after):
    whole = federation().conduct(engine_of(federation().participants()))[1][0].result.facts
    joint, checkpoints = federation(), FileCheckpoints(tmp_path)
    engine = Dying(engine_of(joint.participants(checkpoints=checkpoints)), crash_after + 1)
    with pytest.raises(Crash):
        joint.conduct(engine, checkpoints=checkpoints)
    events, (outcome,) = joint.conduct(engine_of(joint.participants(checkpoints=checkpoints)), checkpoints=checkpoints)
    assert outcome.result.facts == whole
    asked = [event for event in events if event.kind == "asked"]
    assert len(asked) == 1 + 3 - (crash_after - 1), "what was answered before is not asked again"


def without_east_gate(joint, checkpoints, *, from_turn):
    sites = joint.participants(checkpoints=checkpoints)
    return sites | {"east-gate": Losing(sites["east-gate"], from_turn, Silent(), once=False)}


def test_a_run_that_lost_a_site_and_was_interrupted_goes_on_with_the_roster_that_was_left(engine_of, federation, tmp_path):
    """East-gate falls silent in round 3, the two others begin anew; the hub dies before round 6, and east-gate stays away."""
    joint, kept = federation(), FileCheckpoints(tmp_path)
    memory = FileCheckpoints(tmp_path / "whole")
    whole = joint.conduct(engine_of(without_east_gate(joint, memory, from_turn=3)), checkpoints=memory)[1][0]
    assert whole.restarts == 1
    with pytest.raises(Crash):
        joint.conduct(Dying(engine_of(without_east_gate(joint, kept, from_turn=3)), 6), checkpoints=kept)
    events, (outcome,) = joint.conduct(engine_of(without_east_gate(joint, kept, from_turn=1)), checkpoints=kept)
    assert outcome.roster == ("west-lake", "south-hill")
    assert outcome.result.facts == whole.result.facts, "the same draws and local states as without the interruption"
    assert outcome.result.facts["turns"] == [2, 4, 6]
    assert [event.round for event in events if event.kind == "asked"] == [1, 6]
    assert [event.detail for event in events if event.kind == "resumed"] == ["after round 5"]


def test_a_roster_that_a_run_comes_back_to_goes_on_where_it_was(engine_of, federation, tmp_path):
    """Two rounds with all three sites, one with two of them, then all three again: neither costs the other its place."""
    whole = federation().conduct(engine_of(federation().participants()))[1][0].result.facts
    joint, kept = federation(rounds=3), FileCheckpoints(tmp_path)
    with pytest.raises(Crash):
        joint.conduct(Dying(engine_of(joint.participants(checkpoints=kept)), 4), checkpoints=kept)
    with pytest.raises(Crash):
        joint.conduct(Dying(engine_of(without_east_gate(joint, kept, from_turn=1)), 3), checkpoints=kept)
    events, (outcome,) = joint.conduct(engine_of(joint.participants(checkpoints=kept)), checkpoints=kept)
    assert outcome.result.facts == whole
    assert [event.round for event in events if event.kind == "asked"] == [1, 4]


def test_local_state_of_a_course_that_was_begun_anew_is_forgotten(engine_of, federation, tmp_path):
    joint, sites_kept = federation(), FileCheckpoints(tmp_path)
    first = joint.conduct(engine_of(joint.participants(checkpoints=sites_kept)))[1][0].result.facts
    again = joint.conduct(engine_of(joint.participants(checkpoints=sites_kept)))[1][0].result.facts
    assert first["turns"] == again["turns"] == [3, 6, 9], "the hub kept nothing, so the sites begin anew with it"


def test_what_a_site_holds_for_an_analysis_is_let_go_of_when_the_next_one_is_asked(engine_of, federation):
    joint, alive = federation(), []

    class Prepared:
        """A copy of the rows, as large as they are."""

    def preparing(question, examples, local, rng):
        if "rows" not in local.memo:
            local.memo["rows"] = Prepared()
            alive.append(weakref.ref(local.memo["rows"]))
        answer, after = analysis.method.steps["sums"](question, examples, local, rng)
        return answer, replace(after, memo=local.memo)

    (analysis,) = joint.study.analyses
    prepared = replace(analysis.method, steps={**analysis.method.steps, "sums": preparing})
    two = tuple(replace(analysis, label=label, method=prepared) for label in ("first", "second"))
    joint.study = replace(joint.study, analyses=two)
    left = {}
    for event in conduct(joint.run(engine_of(joint.participants()))):
        left[event.analysis, event.kind] = sum(each() is not None for each in alive)
    assert left["first", "folded"] == 3
    assert left["second", "mustered"] == 0
    assert left["second", "folded"] == 3


# --- sealed boxes and stages ---------------------------------------------------------------------------------------------


MASKED = MaskedSum(secrets.token_bytes)


def test_a_masked_round_adds_up_what_no_single_packet_shows(engine_of, federation):
    joint = federation(scheme=MASKED)
    seen: list[Ask] = []
    replies_seen: list[Reply] = []

    class Overheard:
        def __init__(self, engine):
            self._engine, self.sites, self.name = engine, engine.sites, engine.name

        def exchange(self, asks, *, deadline_s):
            seen.extend(ask for ask in asks.values() if ask.question.step != "muster")
            replies = dict(self._engine.exchange(asks, deadline_s=deadline_s))
            if next(iter(asks.values())).question.step != "muster":
                replies_seen.extend(replies.values())
            return iter(replies.items())

    _, (outcome,) = joint.conduct(Overheard(engine_of(joint.participants())))
    pooled = np.concatenate([rows.number("age") for rows in joint.rows.values()])
    assert outcome.result.facts["mean"] == pytest.approx(pooled.mean(), rel=1e-14)
    assert {ask.stage for ask in seen} == {"advertise", "share", "mask", "confirm", "unmask"}
    assert all(reply.answer is None for reply in replies_seen), "nothing leaves in the clear"
    sent = [reply.packet["words"]["real"] for reply in replies_seen if "words" in reply.packet]
    shown = np.concatenate([wide.decode(words) for words in sent])
    true_sums = [rows.number("age").sum() for rows in joint.rows.values()]
    assert len(shown) == 9 * 4
    assert np.abs(shown[:, None] - np.array(true_sums)[None, :]).min() > 1, "and no masked number is a site's own"


def test_keys_go_to_and_fro_while_a_site_computes(engine_of, federation):
    """A site that takes long has begun when its keys are advertised: the answer waits for the keys, not the keys for the answer."""
    from concurrent.futures import ThreadPoolExecutor

    joint = federation(scheme=MASKED)
    shared, waited = threading.Event(), []
    answer = joint.study.analyses[0].method.steps["sums"]

    def slow(question, examples, local, rng):
        waited.append(shared.wait(10))
        return answer(question, examples, local, rng)

    method = replace(joint.study.analyses[0].method, steps={"sums": slow})
    joint.study = replace(joint.study, analyses=(replace(joint.study.analyses[0], method=method),))

    class Watched:
        def __init__(self, engine):
            self._engine, self.sites, self.name = engine, engine.sites, engine.name

        def exchange(self, asks, *, deadline_s):
            replies = dict(self._engine.exchange(asks, deadline_s=deadline_s))
            if next(iter(asks.values())).stage == "share":
                shared.set()  # all have shared, and none has needed its answer for it
            return iter(replies.items())

    with ThreadPoolExecutor(3) as ahead:
        _, (outcome,) = joint.conduct(Watched(engine_of(joint.participants(ahead=ahead))))
    assert not outcome.result.failure
    assert all(waited), "nobody gave up waiting"
    pooled = np.concatenate([rows.number("age") for rows in joint.rows.values()])
    assert outcome.result.facts["mean"] == pytest.approx(pooled.mean(), rel=1e-14)
    at_once = federation(scheme=MASKED)
    _, (same,) = at_once.conduct(engine_of(at_once.participants()))
    assert same.result.facts["draws"] == outcome.result.facts["draws"], "and it draws what it would have drawn"


def test_boxes_come_to_the_site_they_name_unread_and_unchanged(engine_of, federation):
    joint = federation(scheme=MASKED)
    delivered: list[tuple[str, Box]] = []
    sites = joint.participants()

    class Reading:
        def __init__(self, participant):
            self.site, self._participant = participant.site, participant

        def respond(self, ask):
            delivered.extend((self.site, box) for box in ask.boxes)
            return self._participant.respond(ask)

    joint.conduct(engine_of({site: Reading(participant) for site, participant in sites.items()}))
    assert delivered
    assert all(box.receiver == site and box.sender != site and len(box.sealed) > 1000 for site, box in delivered)


def test_nobody_speaks_for_another_site(engine_of, federation):
    joint = federation(scheme=MASKED)
    sites = joint.participants()

    class Forging:
        def __init__(self, participant):
            self.site, self._participant = participant.site, participant

        def respond(self, ask):
            reply = self._participant.respond(ask)
            forged = Box("west-lake", "south-hill", b"forged by east-g")
            return replace(reply, boxes=(*reply.boxes, forged)) if isinstance(reply, Answered) else reply

    delivered: list[Box] = []
    sites["east-gate"] = Forging(sites["east-gate"])
    south = sites["south-hill"]

    class Reading:
        site = "south-hill"

        def respond(self, ask):
            delivered.extend(ask.boxes)
            return south.respond(ask)

    sites["south-hill"] = Reading()
    joint.conduct(engine_of(sites))
    assert delivered
    assert all(b"forged" not in box.sealed for box in delivered)


def test_a_gate_answers_no_masked_question_for_a_roster_smaller_by_one(engine_of, federation):
    joint = federation(sizes=(12, 20, 31, 40), scheme=MASKED)
    sites = joint.participants()
    sites["east-gate"] = Losing(sites["east-gate"], 9, Silent(), once=False)  # silent in the second of its rounds
    _, (outcome,) = joint.conduct(engine_of(sites))
    assert "refused" in outcome.result.failure
    assert "roster" in outcome.result.failure
