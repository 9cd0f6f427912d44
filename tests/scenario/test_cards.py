"""Sites publish what their data hold, others find it over the wire, and what is forged, old or revoked is not found."""

import json

import pytest
from typer.testing import CliRunner

from cards import SOURCE, RecordsOfASite, signed
from federations import FoulHub, federation, until
from huizhen.cli.app import commands
from huizhen.clock import WallClock
from huizhen.errors import FederationError
from huizhen.federation.cards import SignedCard
from huizhen.federation.cardsearch import read_wish
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.joining import Joining
from huizhen.site.publishing import publish, unpublish
from huizhen.site.searching import card_at_hub, search_hub

CLOCK = WallClock()
TABLE = {"age": [40.0 + number % 40 for number in range(60)], "creatinine": [80.0 + number for number in range(60)]}


class Records(RecordsOfASite):
    """Records of a site whose folder is there already, with its configuration."""

    def __init__(self, root) -> None:
        self.root, self.rows = root, []
        with (root / "site.toml").open("a", encoding="utf-8") as file:
            file.write(SOURCE)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with federation(tmp_path_factory.mktemp("cards"), {"east": TABLE, "west": TABLE}, people=("li", "wang")) as programs:
        Records(programs.folders["east"].root).add(range(200), words="肺上叶恶性肿瘤 Lung cancer")
        Records(programs.folders["west"].root).add(range(60), "E11.9", "Type 2 diabetes")
        yield programs


def found(place, who, text="", **wish):
    return [card.site for card, _ in search_hub(place.folders[who].root, read_wish(text, **wish)).cards]


def told(place, name):
    """The newest card of a site, once the hub has it."""
    root = place.folders[name].root
    signed = publish(root, CLOCK).signed
    until(lambda: place.sites[name]._store.undelivered_card() is None, "the delivery of a card")
    return signed


def run(*words):
    return CliRunner().invoke(commands([*words]), [*words], obj="en", catch_exceptions=False)


def test_what_sites_publish_others_and_researchers_find(place):
    told(place, "east"), told(place, "west")
    assert found(place, "li", "diagnosis ICD10:C34", variables=["creatinine"], min_patients=200) == ["east"]
    assert found(place, "west", "肺") == ["east"]  # beside its own agent, which goes on
    assert found(place, "li") == ["east", "west"]
    assert found(place, "li", "ICD10:I21") == []


def test_the_card_that_arrives_is_the_one_that_was_signed(place):
    sent = told(place, "east")
    assert card_at_hub(place.folders["li"].root, "east") == sent
    assert sent.key == place.hub._members.member("east").identity


def test_a_search_takes_no_question_from_the_agent_of_its_folder(place):
    study = {"study": {"title": "Age"}, "participants": {"sites": ["east", "west"]}, "method": {"summary": {"variables": ["age"]}}}
    with place.asking("east"):  # as a search has it open
        place.li.found(place.li.submit({**study, "protection": {"sum": "plain"}}))


def test_a_site_cannot_publish_for_another_over_the_wire(place):
    bus = place.wang.bus
    with pytest.raises(FederationError, match="may not"):
        bus.ask("publish", signed("wang").content)
    east = place.sites["east"]._bus
    with pytest.raises(FederationError, match="not the site's own"):
        east.ask("publish", signed("west").content)
    with pytest.raises(FederationError):
        east.ask("publish", {"card": "x" * 1000})
    with pytest.raises(FederationError):
        east.ask("publish", {"card": "x" * 9_000_000})


def test_an_old_card_sent_again_is_refused(place):
    first = told(place, "west")
    Records.add(_records(place, "west"), range(60, 80), "E11.9")
    second = told(place, "west")
    assert second.number > first.number
    with pytest.raises(FederationError, match="newer"):
        place.sites["west"]._bus.ask("publish", first.content)


def _records(place, name):
    records = RecordsOfASite.__new__(RecordsOfASite)
    records.root = place.folders[name].root
    records.rows = [(f"p{number}", "E11.9", "Type 2 diabetes", "2020-01-01") for number in range(60)]
    return records


def test_the_command_line_publishes_searches_shows_and_takes_back(place):
    east, li = (str(place.folders[name].root) for name in ("east", "li"))
    shown = run("site", "publish", "--dir", east, "--dry-run")
    assert shown.exit_code == 0
    assert "C34.1" in shown.stdout
    assert run("site", "publish", "--dir", east).exit_code == 0
    until(lambda: place.sites["east"]._store.undelivered_card() is None, "the delivery of a card")
    wish = ("diagnosis ICD10:C34", "--variable", "creatinine", "--min-patients", "100", "--dir", li)
    table = run("data", "search", *wish)
    assert "diagnosis ICD10 C34.1" in table.stdout
    (card,) = json.loads(run("data", "search", *wish, "--json").stdout)["cards"]
    assert (card["site"], card["match"]["patients"]) == ("east", 200)
    assert "signed by the key" in run("data", "show", "east", "--dir", li).stdout
    assert run("site", "unpublish", "--dir", east).exit_code == 0
    until(lambda: place.sites["east"]._store.undelivered_card() is None, "the taking back")
    assert found(place, "li", "ICD10:C34") == []
    with pytest.raises(FederationError, match="There is no such card"):
        card_at_hub(place.folders["li"].root, "east")


def test_the_card_of_a_site_that_is_revoked_disappears(place):
    told(place, "west")
    assert "west" in found(place, "wang")
    with ActorStore(place.hub_folder.actors) as actors:
        Joining(place.hub_folder, actors, CLOCK).revoke("west")
        assert "west" not in found(place, "wang")


def test_a_hub_that_plays_foul_with_cards_is_found_out(tmp_path):
    with federation(tmp_path, {"east": None}, run=False) as programs:
        root, hub = programs.folders["li"].root, FoulHub(programs)
        own = SignedCard.parse(signed("east", 2).content)
        altered, other = {**own.content, "number": 3}, signed("east", 9)
        answers = [own.content]
        hub.bus._post._verbs["search"] = lambda *_: {"cards": answers, "more": 0, "cards_read": 1}
        hub.bus._post._verbs["card"] = lambda *_: {"card": answers[0]}
        assert [card.number for card, _ in search_hub(root, read_wish("")).cards] == [2]
        for answers[0] in (altered, other.content, {"site": "east"}, None):
            told = search_hub(root, read_wish(""))
            assert (told.cards, bool(told.left_out)) == ((), True)
        answers[0] = signed("west").content
        with pytest.raises(FederationError, match="something else"):
            card_at_hub(root, "east")
        answers[0] = other.content
        with pytest.raises(FederationError, match="left out"):
            card_at_hub(root, "east")
        assert card_at_hub(root, "east", anew=True) == other


def test_what_was_taken_back_before_it_was_sent_is_sent_once(tmp_path):
    with federation(tmp_path, {"east": TABLE}, start=False) as programs:
        root = programs.folders["east"].root
        publish(root, CLOCK)
        unpublish(root, CLOCK)
        program = programs.start_site("east")
        until(lambda: program._store.undelivered_card() is None, "the taking back")
        assert found(programs, "li") == []
        kept = programs.hub.hub.lives.store.cards()
        assert [one.number for one in kept] == [2]
