"""What only the in-process engine must do: sites that hang keep no other site from answering, and leave it when they wake."""

from __future__ import annotations

import threading

import numpy as np

from huizhen.errors import MachineError
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.rounds import Answered, Ask, Failed, Silent
from huizhen.privacy.release import Answer, Part, Question


class Site:
    def __init__(self, site: str, until: threading.Event | None = None) -> None:
        self.site, self.until = site, until

    def respond(self, ask: Ask) -> Answered:
        if self.until is not None:
            self.until.wait(30)
        return Answered(Answer({"round": Part(np.array([float(ask.round)]), 10)}, 10))


def asks(sites, number=1):
    question = Question("mean", "sums")
    return {site: Ask("digest", "run", "mean", number, "answer", question, tuple(sites), "plain", "scope") for site in sites}


def test_four_sites_that_hang_keep_nobody_from_answering():
    wake = threading.Event()
    sites = {
        name: Site(name, wake if name.startswith("slow") else None) for name in ("slow-1", "slow-2", "slow-3", "slow-4", "a", "b")
    }
    engine = InProcessEngine(sites)
    first = dict(engine.exchange(asks(sites), deadline_s=5))
    assert {site for site, reply in first.items() if isinstance(reply, Silent)} == {"slow-1", "slow-2", "slow-3", "slow-4"}
    second = dict(engine.exchange(asks(["a", "b"], 2), deadline_s=5))
    assert all(isinstance(reply, Answered) for reply in second.values())
    wake.set()
    third = dict(engine.exchange(asks(sites, 3), deadline_s=30))
    assert {reply.answer.parts["round"].values[0] for reply in third.values()} == {3.0}
    engine.close()


def test_nobody_asked_is_nobody_answering():
    engine = InProcessEngine({"a": Site("a")})
    assert dict(engine.exchange({}, deadline_s=1)) == {}
    engine.close()


def test_a_reply_whose_ledger_cannot_be_made_durable_is_not_handed_on():
    def settle(site: str) -> None:
        if site == "b":
            raise MachineError("The ledger cannot be made durable.")

    engine = InProcessEngine({name: Site(name) for name in "ab"}, settle=settle)
    replies = dict(engine.exchange(asks("ab"), deadline_s=5))
    assert isinstance(replies["a"], Answered)
    assert replies["b"] == Failed("The ledger cannot be made durable. Nothing leaves.")
    engine.close()
