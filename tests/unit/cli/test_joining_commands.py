"""A hospital joins by the commands that people give, while the hub runs elsewhere."""

import asyncio
import re

import pytest

from hubs import Hub, answering, connected, free_port, hub_at, running, until
from huizhen.cli.app import main
from huizhen.clock import WallClock
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
