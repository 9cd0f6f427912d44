"""What a person types at a site and at a hub, on folders whose programs may run meanwhile."""

import json

import pytest
import typer
from typer.testing import CliRunner

from huizhen.cli import hub_studies, site_inbox
from huizhen.clock import WallClock
from huizhen.errors import CallerError, SiteError
from huizhen.hub import usecases
from huizhen.hub.actor import Actor, Member, MembersInMemory
from huizhen.hub.db import HubStore
from huizhen.hub.lives import Lives
from huizhen.hub.running import Hub
from huizhen.ledger.keys import create_key, load_key, new_key, public_hex
from huizhen.ledger.store import MemoryLedger
from huizhen.site.db import SiteStore
from huizhen.site.inbox import Inbox
from huizhen.site.settings import read_settings

LI = Actor("li", "researcher", "ULI")


def program():
    app = typer.Typer()

    @app.callback()
    def root(context: typer.Context, lang: str = "en") -> None:
        context.obj = lang

    for name, room in (("site", site_inbox), ("hub", hub_studies)):
        group = typer.Typer()
        room.add_to(group)
        app.add_typer(group, name=name)
    return app


@pytest.fixture
def type_in():
    def type_in(*words):
        done = CliRunner().invoke(program(), [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return type_in


@pytest.fixture
def folders(tmp_path):
    """A hub that runs, and a site whose agent has looked into its inbox."""
    site = tmp_path / "site"
    (site / "identity").mkdir(parents=True)
    key = create_key(site / "identity" / "identity.pem")
    (site / "site.toml").write_text('[site]\nname = "east"\n[source.main]\npath = "t.csv"\n')
    (site / "t.csv").write_text("age,died\n60,1\n61,0\n")
    member = Member("east", "site", "UEAST", public_hex(key.public))
    members = MembersInMemory({"li": Member("li", "researcher", "ULI"), "east": member})
    with HubStore(tmp_path / "hub.sqlite") as store:
        hub = Hub(Lives(store, MemoryLedger(new_key())), members, WallClock())
        study = {"study": {"title": "Age of \x1b[31mpatients"}, "method": {"summary": {"variables": ["age"]}}}
        id = usecases.submit(hub, LI, {"study": study})["id"]
        with SiteStore(site / "site.sqlite") as inbox_store:
            inbox = Inbox(
                "east",
                read_settings(site / "site.toml"),
                inbox_store,
                load_key(site / "identity" / "identity.pem"),
                public_hex(key.public),
                WallClock(),
            )
            inbox.take(usecases.inbox_of(hub, Actor("east", "site", "UEAST"), {}))
            yield hub, inbox, tmp_path, site, id


def test_a_person_reads_and_accepts_while_agent_and_hub_run(folders, type_in):
    hub, inbox, hub_dir, site, id = folders
    assert id in type_in("site", "inbox", "--dir", site)
    shown = type_in("site", "show", id, "--dir", site)
    assert "Not masked: the hub sees this site's own sums, of every round." in shown
    assert "\x1b" not in shown
    digest = hub.lives.life(id).proposal
    assert digest in shown
    assert digest in type_in("site", "accept", digest[:8], "--dir", site)
    (decided,) = inbox.pending()
    assert usecases.consent(hub, Actor("east", "site", "UEAST"), decided.consent)["state"] == "waiting"
    assert id in type_in("hub", "queue", "--dir", hub_dir)
    assert "accepted" in type_in("hub", "show", id, "--dir", hub_dir)
    type_in("site", "withdraw", id, "--dir", site, "--why", "audit")
    usecases.consent(hub, Actor("east", "site", "UEAST"), inbox.pending()[1].consent)
    assert [one["state"] for one in json.loads(type_in("hub", "studies", "--dir", hub_dir, "--json"))] == ["failed"]
    assert "No studies" in type_in("hub", "queue", "--dir", hub_dir)


def test_a_person_declines_with_a_reason_in_chinese(folders, type_in):
    _, inbox, _, site, id = folders
    assert "谁提出" in type_in("--lang", "zh", "site", "show", id, "--dir", site)
    assert "已谢绝" in type_in("--lang", "zh", "site", "decline", id, "--dir", site, "--why", "没有时间")
    assert inbox.pending()[0].consent["reason"] == "没有时间"
    assert "没有等待" in type_in("--lang", "zh", "site", "inbox", "--dir", site)
    (told,) = json.loads(type_in("site", "inbox", "--dir", site, "--all", "--json"))
    assert (told["study"], told["standing"], told["initiator"]) == (id, "declined", "li")


def test_a_site_is_checked_before_it_starts(tmp_path, type_in):
    type_in("site", "new", "--dir", tmp_path)
    with pytest.raises(SiteError) as caught:
        type_in("site", "check", "--dir", tmp_path)
    assert len(caught.value.problems) == 2  # no key, no source
    (tmp_path / "identity").mkdir()
    create_key(tmp_path / "identity" / "identity.pem")
    (tmp_path / "lung.csv").write_text("age,died\n60,1\n61,0\n")
    assert "ready" in type_in("site", "check", "--dir", tmp_path)


def test_a_folder_that_is_none_is_told(tmp_path, type_in):
    with pytest.raises(CallerError, match="no hub here"):
        type_in("hub", "studies", "--dir", tmp_path)
    type_in("site", "new", "--dir", tmp_path)
    (tmp_path / "identity").mkdir()
    create_key(tmp_path / "identity" / "identity.pem")
    with pytest.raises(CallerError, match="no site here"):
        type_in("site", "inbox", "--dir", tmp_path)
