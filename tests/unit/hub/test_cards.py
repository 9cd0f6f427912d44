"""Cards at the hub: who may publish and look, and what a forger, a thief of old cards or a revoked site gets."""

import sqlite3

import pytest

from cards import AT, LUNG, content, signed
from huizhen.canonical import encode
from huizhen.clock import ManualClock
from huizhen.errors import CallerError, MachineError, PolicyError
from huizhen.federation.cards import LARGEST, SignedCard
from huizhen.federation.cardsearch import read_wish
from huizhen.hub import cards
from huizhen.hub.actor import Actor, Member, MembersInMemory
from huizhen.hub.db import HubStore
from huizhen.hub.lives import Lives
from huizhen.hub.running import Hub
from huizhen.ledger.keys import new_key, public_hex
from huizhen.ledger.store import MemoryLedger, SqliteLedger

KEYS = {name: new_key() for name in ("east", "west")}
LI, GPU = Actor("li", "researcher", "ULI"), Actor("gpu", "provider", "UGPU")
OPERATOR = Actor("operator", "operator", "")


def site(name):
    return Actor(name, "site", f"U{name.upper()}")


def members(*without, **other_keys):
    found = [Member("li", "researcher", "ULI"), Member("gpu", "provider", "UGPU", public_hex(new_key().public))]
    keys = {**KEYS, **other_keys}
    found += [Member(name, "site", f"U{name.upper()}", public_hex(key.public)) for name, key in keys.items()]
    return MembersInMemory({one.name: one for one in found if one.name not in without})


@pytest.fixture
def hub(tmp_path):
    with HubStore(tmp_path / "hub.sqlite") as store:
        yield Hub(Lives(store, MemoryLedger(new_key())), members(), ManualClock())


def card_of(name, number=1, **other):
    return signed(name, number, KEYS[name], **other)


def publish(hub, name, number=1, **other):
    return cards.publish(hub, site(name), card_of(name, number, **other).content)


def found(hub, text="", actor=LI, **wish):
    told = cards.search(hub, actor, {"wish": read_wish(text, **wish).model_dump()})
    return [one["site"] for one in told["cards"]]


def numbers(hub):
    return [(entry.payload["site"], entry.payload["number"]) for entry in hub.lives.ledger.entries() if entry.kind == "card"]


def test_what_one_site_publishes_others_find(hub):
    publish(hub, "east")
    publish(hub, "west", codes=[])
    assert found(hub, "diagnosis ICD10:C34") == ["east"]
    assert found(hub, "", site("west")) == ["east", "west"]
    assert found(hub, "", OPERATOR) == ["east", "west"]
    assert numbers(hub) == [("east", 1), ("west", 1)]


def test_a_card_leaves_the_hub_as_it_was_signed(hub):
    publish(hub, "east")
    assert SignedCard.parse(cards.card(hub, LI, {"site": "east"})["card"]) == card_of("east")


def test_the_same_card_sent_again_changes_nothing(hub):
    for _ in range(3):
        assert publish(hub, "east") == {"number": 1}
    assert numbers(hub) == [("east", 1)]


def test_an_old_card_is_not_taken_back_in(hub):
    old = card_of("east").content
    cards.publish(hub, site("east"), old)
    publish(hub, "east", 2, patients=50)
    with pytest.raises(CallerError, match="newer"):
        cards.publish(hub, site("east"), old)
    with pytest.raises(CallerError, match="newer"):
        publish(hub, "east", 2, patients=51)
    assert cards.card(hub, LI, {"site": "east"})["card"]["card"]["patients"] == 50


def test_a_card_that_was_taken_back_is_found_no_more_and_does_not_come_back(hub):
    publish(hub, "east")
    withdrawn = SignedCard.of(None, site="east", number=2, at=AT, key=KEYS["east"])
    cards.publish(hub, site("east"), withdrawn.content)
    assert found(hub) == []
    with pytest.raises(CallerError, match="There is no such card"):
        cards.card(hub, LI, {"site": "east"})
    with pytest.raises(CallerError, match="newer"):
        publish(hub, "east")
    assert publish(hub, "east", 3) == {"number": 3}
    assert found(hub) == ["east"]


@pytest.mark.parametrize(
    "body",
    [
        signed("west", 1, KEYS["west"]).content,  # another's card
        signed("west", 1, KEYS["east"]).content,  # in another's name
        signed("east", 1, KEYS["west"]).content,  # by another's key
        signed("east", 1).content,  # by a key of nobody
        {**signed("east", 1, KEYS["east"]).content, "number": 7},  # altered
        {**signed("east", 1, KEYS["east"]).content, "signature": bytes(64)},
        {**signed("east", 1).content, "key": public_hex(KEYS["east"].public)},
    ],
)
def test_nobody_publishes_in_the_name_of_another(hub, body):
    with pytest.raises(PolicyError, match="not the site's own"):
        cards.publish(hub, site("east"), body)
    assert found(hub) == []
    assert numbers(hub) == []


@pytest.mark.parametrize("actor", [LI, GPU, OPERATOR, Actor("east", "site", "USTRANGER"), Actor("nobody", "site", "UNOBODY")])
def test_only_a_member_that_is_a_site_publishes(hub, actor):
    with pytest.raises(PolicyError):
        cards.publish(hub, actor, card_of("east").content)


@pytest.mark.parametrize("actor", [GPU, Actor("nobody", "researcher", "UNOBODY"), Actor("li", "researcher", "UOTHER")])
def test_only_members_with_the_role_look(hub, actor):
    publish(hub, "east")
    with pytest.raises(PolicyError):
        cards.search(hub, actor, {"wish": {}})
    with pytest.raises(PolicyError):
        cards.card(hub, actor, {"site": "east"})


def test_the_card_of_a_revoked_site_disappears_and_one_under_a_new_key_begins_anew(hub, tmp_path):
    publish(hub, "east", 5)
    without = Hub(hub.lives, members("east"), hub.clock)
    assert found(without) == []
    with pytest.raises(CallerError, match="There is no such card"):
        cards.card(without, LI, {"site": "east"})
    key = new_key()
    again = Hub(hub.lives, members(east=key), hub.clock)
    assert found(again) == []  # joined anew, and has published nothing
    cards.publish(again, site("east"), signed("east", 1, key, patients=77).content)
    assert cards.card(again, LI, {"site": "east"})["card"]["card"]["patients"] == 77


@pytest.mark.parametrize("body", [None, [], {"card": 1}, {**card_of("east").content, "extra": 1}, {"site": "east"}])
def test_what_is_no_card_is_refused(hub, body):
    with pytest.raises(CallerError):
        cards.publish(hub, site("east"), body)


def test_a_huge_card_is_refused_before_its_signature_is_looked_at(hub):
    body = card_of("east").content
    body["card"] = {**body["card"], "about": "x" * LARGEST}
    with pytest.raises(CallerError, match=f"at most {LARGEST}"):
        cards.publish(hub, site("east"), body)


@pytest.mark.parametrize(
    "wish", [{"sql": "1"}, {"words": "x"}, {"min_patients": -1}, {"words": ["x"] * 51}, {"codes": [{"system": "a"}]}]
)
def test_a_wish_that_is_none_is_refused(hub, wish):
    with pytest.raises(CallerError):
        cards.search(hub, LI, {"wish": wish})


def test_signs_of_sql_find_nothing_and_harm_nothing(hub):
    publish(hub, "east")
    for text in ("x'; DROP TABLE card; --", "east' OR '1'='1"):
        assert cards.search(hub, LI, {"wish": {"words": [text], "variables": [text]}})["cards"] == []
        with pytest.raises(CallerError):
            cards.card(hub, LI, {"site": text})
    assert found(hub, "east") == ["east"]


def test_one_answer_holds_so_many_cards_and_says_how_many_more(hub, monkeypatch):
    publish(hub, "east")
    publish(hub, "west", patients=5000)
    monkeypatch.setattr(cards, "AT_A_TIME", 1)
    told = cards.search(hub, LI, {"wish": {}})
    assert ([one["site"] for one in told["cards"]], told["more"], told["cards_read"]) == (["west"], 1, 2)


def test_a_card_that_cannot_be_recorded_is_not_kept(tmp_path, monkeypatch):
    class Full(MemoryLedger):
        def append(self, *_):
            raise MachineError("the disk is full")

    with HubStore(tmp_path / "hub.sqlite") as store:
        hub = Hub(Lives(store, Full(new_key())), members(), ManualClock())
        with pytest.raises(MachineError):
            publish(hub, "east")
        assert store.cards() == ()


def test_cards_survive_the_hub_and_its_older_stores(tmp_path):
    path, key = tmp_path / "hub.sqlite", new_key()
    HubStore(path).close()
    with sqlite3.connect(path) as file:
        file.execute("DROP TABLE card")  # as a hub without cards has left it
    file.close()
    for _ in range(2):
        ledger = SqliteLedger(tmp_path / "ledger.sqlite", key)
        with HubStore(path) as store:
            hub = Hub(Lives(store, ledger), members(), ManualClock())
            publish(hub, "east")
            assert found(hub) == ["east"]
        ledger.close()


def test_the_hub_keeps_of_a_site_its_card_and_nothing_else(hub):
    publish(hub, "east", codes=[LUNG])
    (kept,) = hub.lives.store.cards()
    assert kept.encoded == encode(card_of("east", codes=[LUNG]).content)
    (entry,) = [entry for entry in hub.lives.ledger.entries() if entry.kind == "card"]
    assert set(entry.payload) == {"site", "number", "digest", "is_withdrawn"}
    assert content(codes=[LUNG]).digest
