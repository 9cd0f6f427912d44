"""A plan of servers: read whole with all mistakes; what is written for each; a leaf's key as long as the plan names it."""

import stat
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubs import hub_at
from huizhen.errors import CallerError
from huizhen.federation.wire.certificates import names_of
from huizhen.federation.wire.subjects import leaf_permissions
from huizhen.federation.wire.tokens import read_token
from huizhen.hub.leaves import keep_leaves, shut_leaves
from huizhen.hub.plan import parse_plan, read_plan
from huizhen.hub.serverfiles import server_files

DEPLOYED = Path(__file__).parents[3] / "deploy" / "cluster" / "cluster.toml"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ONE = {"server": {"cloud-1": {"host": "cloud-1.example.org"}}}


def test_the_plan_that_is_deployed_has_three_servers_and_two_leaf_nodes():
    plan = read_plan(DEPLOYED)
    assert (tuple(plan.servers), tuple(plan.leaves)) == (("cloud-1", "cloud-2", "cloud-3"), ("north", "south"))
    assert plan.addresses[0] == "tls://cloud-1.example.org:4222"


def test_all_mistakes_of_a_plan_are_told_at_once():
    wrong = {
        "cluster": {"name": "a b"},
        "server": {"one": {"host": "x", "listen": "here", "port": 0}},
        "leaf": {"two": {"hosts": "x"}},
        "sever": {},
    }
    with pytest.raises(CallerError) as raised:
        parse_plan(wrong)
    where = {problem.where for problem in raised.value.problems}
    assert {"cluster.name", "server.one.listen", "server.one.port", "leaf.two.hosts", "leaf.two.host", "sever"} <= where


@pytest.mark.parametrize("content", [{}, {"leaf": {"north": {"host": "x"}}}, ONE | {"leaf": {"cloud-1": {"host": "x"}}}])
def test_a_plan_without_servers_or_with_one_name_twice_is_refused(content):
    with pytest.raises(CallerError):
        parse_plan(content)


def test_each_server_gets_what_it_needs_and_no_more(tmp_path):
    plan = parse_plan(tomllib.loads(DEPLOYED.read_text(encoding="utf-8")))
    with hub_at(tmp_path / "hub", program="") as hub:
        files = server_files(hub.folder, plan, tmp_path / "out", hub.joining.account_token, {}, NOW)
    assert set(files["cloud-1"]) == {"nats.conf", "authority.pem", "server.pem"}
    assert set(files["north"]) == {"nats.conf", "authority.pem", "server.pem", "leaf.creds", "accounts.creds"}
    assert "cloud-1.example.org" in names_of(files["cloud-1"]["server.pem"][0])
    told = {name: content["nats.conf"][0].decode() for name, content in files.items()}
    assert "/etc/huizhen-nats/server.pem" in told["cloud-1"]
    assert "huizhen-routes" in told["cloud-1"]
    assert "huizhen-routes" not in told["north"]
    assert "jetstream" not in "".join(told.values())
    modes = {name: mode for name, (_, mode) in files["north"].items()}
    assert {name for name, mode in modes.items() if mode & stat.S_IROTH} == {"authority.pem"}


def test_a_leaf_node_may_pass_on_what_actors_say_and_nothing_else(tmp_path):
    plan = read_plan(DEPLOYED)
    with hub_at(tmp_path / "hub", program="") as hub:
        content = server_files(hub.folder, plan, tmp_path, hub.joining.account_token, {}, NOW)["north"]["leaf.creds"][0].decode()
    token = read_token(content.splitlines()[1])
    assert token.permissions == leaf_permissions()
    assert token.nats["allowed_connection_types"] == ["LEAFNODE"]
    assert "hz.hub.>" not in token.permissions.publish
    assert ">" not in token.permissions.subscribe


def test_a_leaf_keeps_its_key_until_the_plan_names_it_no_more(tmp_path):
    with hub_at(tmp_path / "hub", program="") as hub:
        root = hub.folder.root
        first = keep_leaves(root, ["north", "south"])
        assert keep_leaves(root, ["north", "south"])["north"].public == first["north"].public
        assert shut_leaves(root) == ()
        keep_leaves(root, ["south"])
        assert shut_leaves(root) == (first["north"].public,)
        assert first["north"].public in read_token(hub.joining.account_token()).revoked
        assert keep_leaves(root, ["north", "south"])["north"].public != first["north"].public
