"""A question of several stages is told once, and told again to a site that does not know its name."""

import asyncio

import numpy as np
import pytest

from huizhen.federation.rounds import Answered, Ask
from huizhen.federation.wire.engine import WireEngine
from huizhen.federation.wire.loop import Loop
from huizhen.federation.wire.message import pack, unpack
from huizhen.federation.wire.post import Arrived
from huizhen.federation.wire.serving import Serving
from huizhen.privacy.release import Question

WEIGHTS = np.arange(10_000.0)


class Site:
    """Answers every ask, and keeps what it was asked; `start_anew` forgets what it was told."""

    def __init__(self):
        self.asked = []
        self.start_anew()

    def start_anew(self):
        self._serving = Serving(self.respond)

    def respond(self, ask):
        self.asked.append(ask)
        return Answered(None)

    def reply(self, body):
        return self._serving("hub", body)


class OnePost:
    """Carries every ask to one site at once, and counts bytes."""

    def __init__(self, site):
        self._site, self.sizes = site, []

    async def ask(self, _key, _verb, body, *, timeout_s):
        await asyncio.sleep(0)
        packed = pack(body)
        self.sizes.append(packed.size)
        reply = unpack(pack(self._site.reply(unpack(packed.whole()))).whole())
        return Arrived(0, "", "", reply)


@pytest.fixture
def loop():
    one = Loop("test")
    yield one
    one.close()


def exchange(engine, question, stage, lane="masked"):
    ask = Ask("d" * 64, "run", "averaging", 3, stage, question, ("east",), lane, "s" * 64)
    ((_, reply),) = engine.exchange({"east": ask}, deadline_s=5)
    assert reply == Answered(None)


def question_of(number):
    return Question("averaging", "train", {"weights": WEIGHTS + number}, ("x",))


def test_the_stages_after_the_first_name_the_question_and_the_site_has_all_of_it(loop):
    site = Site()
    post = OnePost(site)
    engine, question = WireEngine(loop, post, {"east": "U1"}), question_of(0)
    for stage in ("mask", "confirm", "unmask"):
        exchange(engine, question, stage)
    assert [ask.stage for ask in site.asked] == ["mask", "confirm", "unmask"]
    assert all(np.array_equal(ask.question.facts["weights"], WEIGHTS) for ask in site.asked)
    assert post.sizes[0] > WEIGHTS.nbytes > 50 * max(post.sizes[1:])


def test_a_site_that_was_started_anew_in_mid_round_is_told_the_question_again(loop):
    site = Site()
    engine, question = WireEngine(loop, OnePost(site), {"east": "U1"}), question_of(0)
    exchange(engine, question, "mask")
    site.start_anew()
    exchange(engine, question, "confirm")
    assert [ask.stage for ask in site.asked] == ["mask", "confirm"]
    assert np.array_equal(site.asked[1].question.facts["weights"], WEIGHTS)


def test_another_question_is_told_even_if_it_looks_the_same(loop):
    site = Site()
    post = OnePost(site)
    engine = WireEngine(loop, post, {"east": "U1"})
    for number in (1, 2):
        exchange(engine, question_of(number), "mask")
    assert [ask.question.facts["weights"][0] for ask in site.asked] == [1, 2]
    assert min(post.sizes) > WEIGHTS.nbytes


def test_a_question_of_one_stage_has_no_name_and_is_not_kept(loop):
    site = Site()
    post = OnePost(site)
    engine, question = WireEngine(loop, post, {"east": "U1"}), question_of(0)
    for _ in range(2):
        exchange(engine, question, "answer", lane="plain")
    assert min(post.sizes) > WEIGHTS.nbytes


def test_a_name_that_was_never_told_is_answered_by_nobody():
    asked = []
    serving = Serving(asked.append)
    assert serving("hub", {"named": "anything"}) == {"reply": "untold"}
    assert asked == []
