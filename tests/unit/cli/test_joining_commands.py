"""A hospital joins by the commands that people give, while the hub runs elsewhere."""

import asyncio
import re

import pytest

from hubs import Hub, answering, connected, free_port, hub_at, running, site_of, until
from huizhen.cli.app import main
from huizhen.clock import WallClock
from huizhen.federation.wire.invitations import read_code
from huizhen.hub.actorsdb import ActorStore
from huizhen.hub.folder import open_folder
from huizhen.hub.joining import Joining
from huizhen.site.folder import open_identity

FINGERPRINT = re.compile(r"(?:[A-Z2-7]{4}-){4}[A-Z2-7]{4}")


@pytest.fixture
def huizhen(monkeypatch, capsys):
    def say(*arguments, language="en"):
        monkeypatch.setattr("sys.argv", ["huizhen", "--lang", language, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return say


def test_a_hospital_joins_and_is_shut_out_from_another_terminal(huizhen, tmp_path):
    port, at = free_port(), ("--dir", tmp_path / "hub")
    assert huizhen("hub", "init", tmp_path / "hub", "--port", port)[0] == 0
    assert huizhen("hub", "init", tmp_path / "hub")[0] == 2
    folder, clock = open_folder(tmp_path / "hub"), WallClock()
    with ActorStore(folder.actors) as store:
        hub = Hub(folder, store, Joining(folder, store, clock), clock)
        with running(hub), answering(hub):
            code = huizhen("hub", "invite", "West Lake Hospital", *at)[1].strip()
            join = ("site", "join", code, "--dir", tmp_path / "site", "--wait", 0)
            _, waiting, _ = huizhen(*join)
            shown = FINGERPRINT.search(waiting).group()
            _, listed, _ = huizhen("hub", "pending", *at)
            assert "west-lake-hospital" in listed
            assert shown in listed
            assert shown in huizhen("hub", "admit", "West Lake Hospital", *at)[1]
            assert "Admitted" in huizhen(*join)[1]
            asyncio.run(_cut_off(open_identity(tmp_path / "site"), lambda: huizhen("hub", "revoke", "west-lake-hospital", *at)))
            assert "revoked" in huizhen("hub", "actors", *at)[1]
            assert huizhen("hub", "pending", *at)[1].count("\n") == 1


async def _cut_off(site, revoke):
    closed = []
    async with connected(site.access(), closed=closed.append):
        assert await asyncio.to_thread(revoke)
        await until(lambda: closed)
    assert closed == ["revoked"]


def test_mistakes_are_told_in_chinese(huizhen, tmp_path):
    with hub_at(tmp_path / "hub"):
        at = ("--dir", tmp_path / "hub")
        assert "没有这个主体" in huizhen("hub", "admit", "east", *at, language="zh")[2]
        assert "没有这种角色" in huizhen("hub", "invite", "east", "--role", "hub", *at, language="zh")[2]
        assert "没有中心" in huizhen("hub", "actors", "--dir", tmp_path / "none", language="zh")[2]
        assert "邀请无法读取" in huizhen("site", "join", "HZ1-abc", "--dir", tmp_path / "site", language="zh")[2]
        assert not (tmp_path / "site").exists()


PLAN = """
[server.cloud-1]
host = "127.0.0.1"
[leaf.north]
host = "localhost"
sites = [{sites}]
"""


def test_the_servers_of_a_plan_are_written_and_the_hub_is_told_to_use_them(huizhen, tmp_path):
    hub, plan = tmp_path / "hub", tmp_path / "cluster.toml"
    assert huizhen("hub", "init", hub, "--address", "tls://127.0.0.1:4222", "--program", "")[0] == 0
    plan.write_text(PLAN.format(sites=""), encoding="utf-8")
    command = ("hub", "servers", plan, "--dir", hub, "--out", tmp_path / "servers")
    ended, said, _ = huizhen(*command)
    assert (ended, sorted(one.name for one in (tmp_path / "servers").iterdir())) == (0, ["cloud-1", "north"])
    assert "hub.toml" not in said  # its addresses are the plan's already
    plan.write_text(PLAN.format(sites='"nobody"'), encoding="utf-8")
    ended, _, wrong = huizhen(*command, language="zh")
    assert ended == 2
    assert "已接纳的参与方的名称" in wrong


def test_an_actor_is_invited_to_a_leaf_node(huizhen, tmp_path):
    at = ("--dir", tmp_path / "hub")
    huizhen("hub", "init", tmp_path / "hub")
    code = huizhen("hub", "invite", "west", *at, "--address", "tls://south.example.org:4222")[1].strip()
    assert read_code(code).addresses == ("tls://south.example.org:4222",)
    assert huizhen("hub", "invite", "west", *at, "--address", "http://south.example.org")[0] == 2


def test_a_site_that_calls_itself_by_another_name_is_told_before_it_starts(huizhen, tmp_path):
    with hub_at(tmp_path / "hub") as hub:
        site_of(hub, "west-lake-hospital", tmp_path / "west")
    (tmp_path / "west" / "site.toml").write_text('[site]\nname = "west-lake"\n', encoding="utf-8")
    ended, _, wrong = huizhen("site", "check", "--dir", tmp_path / "west")
    assert ended == 2
    assert "'west-lake-hospital', as the hub admitted it" in wrong
