"""The post over a network that loses, doubles, delays and reorders messages."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.errors import ConnectionClosedError

from huizhen.errors import FederationError, Problem
from huizhen.federation.wire import post as posting
from huizhen.federation.wire import pulling
from huizhen.federation.wire.message import pack
from huizhen.federation.wire.post import Post
from huizhen.federation.wire.pulling import NoReply, Patience
from huizhen.federation.wire.ways import HUB, ActorWay, HubWay

QUICK = Patience(again_s=0.01, seldom_s=0.02, piece_s=0.01, given_up_s=2.0)


class Network:
    """Messages between posts in this process; `lose`, `double` and `late` are chances."""

    def __init__(self, seed: int = 0, lose: float = 0.0, double: float = 0.0, late: float = 0.0) -> None:
        self._rng, self._lose, self._double, self._late = random.Random(seed), lose, double, late
        self._heard: list[tuple[str, object]] = []
        self.sent: list[str] = []

    async def subscribe(self, subject, *, cb):
        self._heard.append((subject, cb))

    async def publish(self, subject, payload):
        self.sent.append(subject)
        if self._rng.random() < self._lose:
            return
        for _ in range(2 if self._rng.random() < self._double else 1):
            delay = self._rng.random() * 0.02 if self._rng.random() < self._late else 0
            asyncio.get_running_loop().call_later(delay, self._deliver, subject, bytes(payload))

    def _deliver(self, subject, payload):
        for pattern, cb in self._heard:
            parts, names = pattern.split("."), subject.split(".")
            if all(part in ("*", ">", name) for part, name in zip(parts, names)):
                asyncio.get_running_loop().create_task(cb(SimpleNamespace(subject=subject, data=payload)))


def play(story, network=None, verbs=None, **limits):
    """A hub's post and a site's, and what happens between them."""

    async def told():
        net = network or Network()
        with ThreadPoolExecutor(4) as workers:
            hub = Post(net, HubWay("t"), verbs=verbs or {}, workers=workers, patience=QUICK, **limits)
            site = Post(net, ActorWay("UA", "t"), verbs=verbs or {}, workers=workers, patience=QUICK, **limits)
            await hub.open()
            await site.open()
            try:
                return await story(hub, site)
            finally:
                await hub.close()
                await site.close()

    return asyncio.run(told())


def test_a_request_is_answered_and_known_by_its_sender():
    async def story(hub, site):
        to_site = await (await hub.ask("UA", "who", {"x": 1}, timeout_s=5)).fetch(hub)
        to_hub = await (await site.ask(HUB, "who", {"x": 2}, timeout_s=5)).fetch(site)
        return to_site, to_hub

    told = play(story, verbs={"who": lambda peer, body: {"asked by": peer, "x": body["x"]}})
    assert told == ({"asked by": "hub", "x": 1}, {"asked by": "UA", "x": 2})


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_a_network_that_loses_and_doubles_and_delays_changes_no_answer_and_does_no_work_twice(seed):
    turns, lock = [], threading.Lock()

    def work(peer, body):
        with lock:
            turns.append(body["round"])
        return {"sum": body["values"] * 2, "round": body["round"]}

    async def story(hub, site):
        asked = [hub.ask("UA", "work", {"values": np.arange(700.0), "round": number}, timeout_s=20) for number in range(5)]
        return [await arrived.fetch(hub) for arrived in await asyncio.gather(*asked)]

    network = Network(seed, lose=0.3, double=0.3, late=0.5)
    with pytest.MonkeyPatch.context() as patched:
        for module in (posting, pulling):
            patched.setattr(module, "PIECE", 1000)
        told = play(story, network, {"work": work})
    assert [each["round"] for each in told] == list(range(5))
    assert all((each["sum"] == np.arange(700.0) * 2).all() for each in told)
    assert sorted(turns) == list(range(5)), "each request was worked on once"


def test_a_program_that_only_asks_leaves_what_is_asked_of_its_key_to_the_other_one():
    """Each message of a hub reaches both: large requests are pulled from one, large answers given by one, none is refused."""

    async def story(hub, site):
        with ThreadPoolExecutor(1) as workers:
            beside = Post(network, ActorWay("UA", "t"), verbs=None, workers=workers, patience=QUICK)
            await beside.open()
            asked = [hub.ask("UA", "work", {"values": np.arange(700.0), "round": number}, timeout_s=20) for number in range(8)]
            answers = [await arrived.fetch(hub) for arrived in await asyncio.gather(*asked)]
            own = await (await beside.ask(HUB, "double", {"round": 9}, timeout_s=20)).fetch(beside)
            await beside.close()
            return [*answers, own]

    network = Network(1, lose=0.2, late=0.5)
    with pytest.MonkeyPatch.context() as patched:
        for module in (posting, pulling):
            patched.setattr(module, "PIECE", 1000)
        work = {"work": lambda _, body: {"sum": body["values"] * 2, "round": body["round"]}}
        double = {"double": lambda _, body: {"sum": np.arange(700.0) * 2, **body}}
        told = play(story, network, work | double)
    assert [each["round"] for each in told] == [*range(8), 9]
    assert all((each["sum"] == np.arange(700.0) * 2).all() for each in told)


def test_a_large_answer_stays_where_it_is_until_it_is_fetched():
    async def story(hub, site):
        arrived = await hub.ask("UA", "model", {}, timeout_s=5)
        before = [subject for subject in network.sent if ".piece." in subject]
        value = await arrived.fetch(hub)
        return arrived, before, value

    network = Network()
    arrived, before, value = play(story, network, {"model": lambda peer, body: {"weights": np.ones(400_000)}})
    assert not before
    assert arrived.size > 3_200_000
    assert value["weights"].sum() == 400_000


def test_more_than_is_taken_in_is_not_pulled():
    async def story(hub, site):
        await (await hub.ask("UA", "model", {}, timeout_s=5)).fetch(hub)

    network = Network()
    with pytest.raises(FederationError, match="too large"):
        play(story, network, {"model": lambda peer, body: {"weights": np.ones(400_000)}}, largest=2_000_000)
    assert not any(".want." in subject for subject in network.sent)


def test_why_there_is_no_answer_is_told_and_what_broke_is_not():
    def refuse(peer, body):
        raise FederationError("It is not for you.", [Problem("study", "another's", "one of yours", "Ask its initiator")])

    def broken(peer, body):
        raise ValueError("could not convert 'SECRET-4711' to float")

    async def story(hub, site):
        said = []
        for verb in ("refuse", "broken", "unknown"):
            with pytest.raises(FederationError) as error:
                await site.ask(HUB, verb, {}, timeout_s=5)
            said.append(str(error.value))
        return said

    refused, broke, unknown = play(story, verbs={"refuse": refuse, "broken": broken})
    assert "It is not for you." in refused
    assert "Ask its initiator" in refused
    assert "ValueError" in broke
    assert "SECRET" not in broke
    assert "refuse, broken" in unknown


def test_a_peer_that_is_not_there_is_silent_and_one_that_works_is_told_apart():
    gate = threading.Event()

    async def story(hub, site):
        with pytest.raises(NoReply, match="nothing came back"):
            await hub.ask("UNOBODY", "work", {}, timeout_s=0.1)
        with pytest.raises(NoReply, match="works on it"):
            await hub.ask("UA", "work", {}, timeout_s=0.3)
        gate.set()

    play(story, verbs={"work": lambda peer, body: {"done": gate.wait(10)}})


def test_a_replayed_or_forged_answer_is_dropped():
    async def story(hub, site):
        first = await (await hub.ask("UA", "count", {}, timeout_s=5)).fetch(hub)
        old = next(subject for subject in network.sent if ".from.UA.reply." in subject)
        nonce = old.rsplit(".", 1)[1]
        asking = asyncio.create_task(hub.ask("UA", "count", {}, timeout_s=5))
        for subject in (old, f"t.from.UB.reply.{nonce}", "t.from.UA.reply", "t.from.UA.piece.reply.x.y", "t.from.UA."):
            await network.publish(subject, b"HZ\x01\x00")
        return first, await (await asking).fetch(hub)

    network, turns = Network(), []

    def count(peer, body):
        turns.append(1)
        return {"turn": len(turns)}

    assert play(story, network, {"count": count}) == ({"turn": 1}, {"turn": 2})


def test_a_nudge_sends_at_once_what_waits():
    async def story(hub, site):
        asking = asyncio.create_task(hub.ask("UNOBODY", "work", {}, timeout_s=0.5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = len(network.sent)
        hub.nudge()
        await asyncio.sleep(0.005)
        asking.cancel()
        return before, len(network.sent)

    network = Network()
    patience = QUICK
    before, after = play(story, network, {})
    assert patience.again_s > 0.005
    assert (before, after) == (1, 2)


def test_nobody_pulls_what_another_was_answered():
    async def story(hub, site):
        arrived = await site.ask(HUB, "result", {}, timeout_s=5)
        nonce = next(subject for subject in network.sent if subject.startswith("t.to.UA.reply.")).rsplit(".", 1)[1]
        await network.publish(f"t.from.UB.want.reply.{nonce}.0", b"")
        await asyncio.sleep(0.02)
        assert arrived.size > 1 << 20

    network, carried = Network(), []
    deliver = network._deliver
    network._deliver = lambda subject, payload: (carried.append((subject, payload)), deliver(subject, payload))
    play(story, network, {"result": lambda peer, body: {"weights": np.ones(400_000)}})
    assert [payload for subject, payload in carried if subject.startswith("t.to.UB.piece.")] == [b""]


async def announce(network, size, nonce="0" * 32, which="ask"):
    await network.publish(f"t.from.UA.{which}.{nonce}", pack({"announced": size}).whole())


def resident() -> int:
    """Bytes of this process that are in memory; addresses that nothing was written to are not."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_announced_takes_no_memory_before_it_comes():
    async def story(hub, site):
        await announce(network, 4 << 30)
        await asyncio.sleep(0.1)
        return resident() - before

    network, before = Network(), resident()
    assert play(story, network) < 64 << 20
    assert any(".want." in subject for subject in network.sent), "it is pulled, and nothing comes"


def test_a_request_may_be_less_large_than_a_reply():
    async def story(hub, site):
        arrived = await hub.ask("UA", "model", {}, timeout_s=5)
        assert arrived.size > 3_200_000
        with pytest.raises(FederationError, match="too large"):
            await site.ask(HUB, "submit", {"weights": np.ones(400_000)}, timeout_s=5)
        return (await arrived.fetch(hub))["weights"].sum()

    assert play(story, verbs={"model": lambda peer, body: {"weights": np.ones(400_000)}}, largest_ask=1_000_000) == 400_000


def test_a_flood_of_requests_by_one_peer_is_dropped_and_others_are_answered():
    async def story(hub, site):
        asking = pack({"verb": "slow", "body": {}}).whole()
        for number in range(500):
            await network.publish(f"t.from.UB.ask.{number:032x}", asking)
        await asyncio.sleep(0.05)
        mine = {peer for peer, _ in hub._at_work}
        told = await site.ask(HUB, "quick", {}, timeout_s=5)
        held.set()
        return mine, len(hub._at_work), (await told.fetch(hub))["told"]

    network, held = Network(), threading.Event()

    def slow(peer, body):
        held.wait(10)
        return {}

    def quick(peer, body):
        return {"told": peer}

    async def meant(hub, site):
        hub._workers = ThreadPoolExecutor(80)  # so that what is not dropped is at work
        try:
            return await story(hub, site)
        finally:
            held.set()
            hub._workers.shutdown()

    mine, most, told = play(meant, network, {"slow": slow, "quick": quick})
    assert mine == {"UB"}
    assert most == posting.AT_ONCE
    assert told == "UA"


def test_replies_to_one_peer_are_kept_however_many_another_asks_for():
    count = []

    async def story(hub, site):
        mine = pack({"verb": "once", "body": {}}).whole()
        await network.publish(f"t.from.UA.ask.{'a' * 32}", mine)
        for number in range(2 * posting.KEPT):
            await network.publish(f"t.from.UB.ask.{number:032x}", mine)
            await asyncio.sleep(0.001)
        before = count.count("UA")
        await network.publish(f"t.from.UA.ask.{'a' * 32}", mine)
        await asyncio.sleep(0.05)
        return before, count.count("UA"), len(hub._given["UB"])

    network = Network()
    assert play(story, network, {"once": lambda peer, body: count.append(peer) or {}}) == (1, 1, posting.KEPT)


def test_a_reply_that_comes_a_piece_a_minute_is_given_up_at_the_deadline():
    async def story(hub, site):
        arrived = await hub.ask("UA", "model", {}, timeout_s=5)
        network._deliver = lambda subject, payload: None if subject.endswith(".1048576") else deliver(subject, payload)
        with pytest.raises(NoReply, match="an announced reply"):
            await arrived.fetch(hub, within_s=0.1)

    network = Network()
    deliver = network._deliver
    play(story, network, {"model": lambda peer, body: {"weights": np.ones(400_000)}})


def test_a_closed_connection_is_a_lost_message_and_no_other_error():
    async def closed(subject, payload):
        raise ConnectionClosedError

    async def story(hub, site):
        network.publish = closed
        with pytest.raises(NoReply):
            await site.ask(HUB, "submit", {}, timeout_s=0.1)

    network = Network()
    play(story, network)


def test_a_request_that_is_worked_on_is_asked_after_and_not_sent_again():
    gate, network = threading.Event(), Network()

    async def story(hub, site):
        asking = asyncio.create_task(hub.ask("UA", "work", {"values": np.ones(90_000)}, timeout_s=10))
        while not sum(".still." in subject for subject in network.sent) > 3:
            await asyncio.sleep(0.005)
        gate.set()
        return await (await asking).fetch(hub)

    assert play(story, network, {"work": lambda peer, body: {"done": gate.wait(10)}}) == {"done": True}
    assert sum(".to.UA.ask." in subject for subject in network.sent) <= 3, "until it was known that it had come"


def test_a_peer_that_was_started_anew_says_so_and_is_told_all_of_it_again():
    gate, turns = threading.Event(), []

    def work(peer, body):
        turns.append(len(body["values"]))
        return {"done": gate.wait(10)}

    async def story(hub, site):
        asking = asyncio.create_task(hub.ask("UA", "work", {"values": np.ones(500)}, timeout_s=10))
        while not any(".still." in subject for subject in network.sent):
            await asyncio.sleep(0.005)
        site._at_work.clear()  # it knows of nothing any more
        while len(turns) < 2:
            await asyncio.sleep(0.005)
        gate.set()
        return await (await asking).fetch(hub)

    network = Network()
    assert play(story, network, {"work": work}) == {"done": True}
    assert turns == [500, 500]
