"""The engine across hospitals: whom it waits for, and whom not."""

import asyncio
import threading

import pytest

from huizhen.federation.rounds import Ask, Failed
from huizhen.federation.wire.engine import WireEngine
from huizhen.federation.wire.loop import Loop
from huizhen.privacy.release import Question

ASK = Ask("digest", "run", "mean", 1, "answer", Question("mean", "sums"), ("east",), "plain", "scope", ())


class NobodyReplies:
    """A post whose peers are asked and never reply."""

    def __init__(self):
        self.asked, self.given_up = threading.Event(), threading.Event()

    async def ask(self, peer, verb, body, *, timeout_s):
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()


@pytest.fixture
def loop():
    one = Loop("engine")
    yield one
    one.close()


def test_a_site_that_is_shut_out_while_it_is_asked_is_not_waited_for(loop):
    post = NobodyReplies()
    engine = WireEngine(loop, post, {"east": "UEAST"}, lambda: {"east": "shut out"} if post.asked.is_set() else {})
    assert list(engine.exchange({"east": ASK}, deadline_s=3600)) == [("east", Failed("shut out"))]
    assert post.given_up.wait(5)


def test_a_site_that_is_gone_before_is_not_asked(loop):
    post = NobodyReplies()
    engine = WireEngine(loop, post, {"east": "UEAST"}, lambda: {"east": "it has withdrawn"})
    assert list(engine.exchange({"east": ASK}, deadline_s=3600)) == [("east", Failed("it has withdrawn"))]
    assert not post.asked.is_set()
