"""A hub, its sites and researchers as programs in this process, on a real server with TLS and keys; and actors that play foul."""

from __future__ import annotations

import csv
import json
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubs import hub_at, need_nats_server, site_of
from huizhen.clock import WallClock
from huizhen.federation.found import Found
from huizhen.federation.life import FINAL
from huizhen.federation.study import Study
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.ways import ActorWay, HubWay
from huizhen.hub.app import HubProgram
from huizhen.hub.folder import HubFolder
from huizhen.hub.server import Server
from huizhen.site.app import SiteProgram

ENOUGH_S = 60.0  # a story that takes longer has failed
ACCEPT = {
    "fitting": "accept",
    "sums": ["plain", "masked", "paillier"],
    "individual": True,
    "min_participants": 1,
    "max_epsilon": 100.0,
    "max_rounds": 100_000,
}


def write_table(path: Path, columns) -> Path:
    """A CSV file of a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(list(column) for column in columns.values())))
    return path


def until(condition, what="it", within_s=ENOUGH_S):
    """What a condition gives, once it gives something; fails where it never does."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if told := condition():
            return told
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come about")


def configuration(name: str, path: Path | None, policy=None, accept=None, **more: dict[str, Any]) -> str:
    """A site's configuration as TOML, in which a JSON value is a value."""
    tables = {"site": {"name": name}, "accept": {**ACCEPT, **(accept or {})}, **more}
    if path is not None:
        tables["source.main"] = {"path": str(path)}
    budget = dict(policy or {}).pop("budget", None)
    tables["policy"] = {key: value for key, value in (policy or {}).items() if key != "budget"}
    if budget is not None:
        tables["policy.budget"] = budget
    lines = [f"[{head}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in body.items()) for head, body in tables.items()]
    return "\n".join(lines)


class Researcher:
    """Somebody with an identity, and a connection."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.bus = Bus(folder.access, ActorWay(folder.pair.public), {})

    def ask(self, verb, **body):
        return self.bus.ask(verb, body, timeout_s=ENOUGH_S)

    def submit(self, study, **wish) -> str:
        content = study.content if isinstance(study, Study) else study
        return self.ask("submit", study=content, **wish)["id"]

    def status(self, id):
        return self.ask("status", id=id)

    def ended(self, id):
        """How a study stands once it is over."""

        def over():
            told = self.status(id)
            return told if told["state"] in FINAL else None

        return until(over, f"the end of {id}")

    def found(self, id) -> Found:
        """What a study found; fails with its reason where it found nothing."""
        told = self.ended(id)
        assert told["state"] == "done", told["reason"]
        return Found.parse(self.ask("result", id=id)["result"])

    def asked(self, study, **wish):
        """What a study finds, by analysis."""
        return {outcome.label: outcome for outcome in self.found(self.submit(study, **wish)).outcomes}


@dataclass
class Federation:
    """A hub with its sites and researchers.

    Attributes:
        folders: identities by name; said: what programs told their operators.
    """

    root: Path
    hub_folder: HubFolder
    folders: dict[str, Any]
    hub: HubProgram | None = None
    sites: dict[str, SiteProgram] = field(default_factory=dict)
    people: dict[str, Researcher] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def start_site(self, name: str) -> SiteProgram:
        program = SiteProgram(self.folders[name], WallClock(), self.said.append)
        self.sites[name] = self._stack.enter_context(program)
        until(lambda: program.is_connected, f"the connection of {name}")
        return program

    def bus(self, name: str, verbs=None) -> Bus:
        """Whatever the actor of that name wishes to say, over its own connection."""
        folder = self.folders[name]
        return self._stack.enter_context(Bus(folder.access, ActorWay(folder.pair.public), verbs or {}))

    def asking(self, name: str) -> Bus:
        """A line that only asks, not opened yet; beside the program of that name."""
        folder = self.folders[name]
        return Bus(folder.access, ActorWay(folder.pair.public), None)

    def __getattr__(self, name: str) -> Researcher:
        if name in self.__dict__.get("people", ()):
            return self.people[name]
        raise AttributeError(name)


@contextmanager
def federation(root: Path, tables, *, policies=None, settings=None, people=("li",), providers=(), run=True, start=True, **hub):
    """The programs, until the context is left.

    Args:
        tables: by site: columns, or the path of a source; None: a site that is admitted and whose program is left to the story.
        policies: by site, clauses of the disclosure policy; settings: by site, other tables of its configuration.
        run: whether the hub's program runs; else its server alone, and the story plays the hub.
    """
    need_nats_server()
    with hub_at(root / "hub", **hub) as made:
        folders = {name: site_of(made, name, root / name) for name in tables}
        folders |= {name: site_of(made, name, root / name, role="provider") for name in providers}
        folders |= {name: site_of(made, name, root / name, role="researcher") for name in people}
        for name, table in {**tables, **dict.fromkeys(providers)}.items():
            path = write_table(root / f"{name}.csv", table) if isinstance(table, dict) else table
            told = configuration(name, path, (policies or {}).get(name), **(settings or {}).get(name, {}))
            (root / name / "site.toml").write_text(told, encoding="utf-8")
        one = Federation(root, made.folder, folders)
        with ExitStack() as stack:
            one._stack = stack
            if run:
                one.hub = stack.enter_context(HubProgram(made.folder, made.clock, one.said.append))
            else:
                stack.enter_context(Server(made.folder, made.joining.account_token, made.clock, one.said.append))
            for name in (*tables, *providers):
                if start and (name in providers or tables[name] is not None):
                    one.start_site(name)
            for name in people if run else ():
                one.people[name] = Researcher(folders[name])
                stack.enter_context(one.people[name].bus)
            yield one


class FoulHub:
    """A hub with the true keys that says what a story has it say; `heard` are the consents that sites sent."""

    def __init__(self, federation: Federation, proposals=()) -> None:
        self.federation, self.proposals, self.heard = federation, list(proposals), []
        self._came = threading.Event()
        verbs = {"inbox": self._inbox, "consent": self._consent, "renew": lambda *_: {"state": "refused", "token": ""}}
        folder, clock = federation.hub_folder, WallClock()
        self.bus = federation._stack.enter_context(Bus(lambda: folder.hub_access(clock.now()), HubWay(), verbs))

    def suggest(self, proposal, *sites):
        """Suggest, and wait until the sites have decided."""
        before = len(self.heard)
        self.proposals.append(proposal)
        for site in sites:
            self.tell(site, "news")
        until(lambda: len(self.heard) >= before + len(sites), "a decision")
        return proposal

    def tell(self, site, verb, **body):
        return self.bus.ask(verb, body, timeout_s=ENOUGH_S, peer=self.federation.folders[site].pair.public)

    def _inbox(self, _peer, body):
        fresh = [one for one in self.proposals if one.digest not in body["known"]]
        now = WallClock().now().isoformat()
        told = [{"proposal": one.content, "state": "proposed"} for one in fresh]
        return {"now": now, "suggestions": told, "states": {}}

    def _consent(self, _peer, body):
        self.heard.append(body)
        return {}
