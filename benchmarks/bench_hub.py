"""What the hub's bookkeeping costs, beside the signed ledger entry that it cannot do without; ratios within one run."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from huizhen.clock import ManualClock
from huizhen.federation.consent import Consent
from huizhen.hub import running, usecases
from huizhen.hub.actor import Actor, Member, MembersInMemory
from huizhen.hub.db import HubStore
from huizhen.hub.lives import Lives
from huizhen.hub.running import Hub
from huizhen.ledger.keys import new_key, public_hex
from huizhen.ledger.store import SqliteLedger
from huizhen.policy.disclosure import DisclosurePolicy

LI = Actor("li", "researcher", "ULI")
STUDY = {"method": {"summary": {"variables": ["age"]}}}
POLICY = DisclosurePolicy().model_dump(mode="json")


def hub_with(sites, folder):
    keys = {f"site-{k}": new_key() for k in range(sites)}
    members = [Member(name, "site", f"U{name}", public_hex(key.public)) for name, key in keys.items()]
    by_name = {one.name: one for one in [*members, Member("li", "researcher", "ULI")]}
    lives = Lives(HubStore(folder / "hub.sqlite"), SqliteLedger(folder / "ledger.sqlite", new_key()))
    return Hub(lives, MembersInMemory(by_name), ManualClock()), keys


def close(hub):
    hub.lives.store.close()
    hub.lives.ledger.close()


def consent(hub, id, name, key):
    digest = hub.lives.life(id).proposal
    return Consent(digest, id, name, "accept", "", "2026-01-01T00:00:00+00:00", policy=POLICY).signed(key).content


def cpu_of(work):
    started = time.process_time()
    work()
    return time.process_time() - started


def test_a_consent_costs_few_times_its_ledger_entry():
    with TemporaryDirectory() as folder:
        hub, keys = hub_with(100, Path(folder))
        id = usecases.submit(hub, LI, {"study": STUDY})["id"]
        bodies = {name: consent(hub, id, name, key) for name, key in keys.items()}
        consents = cpu_of(lambda: [usecases.consent(hub, Actor(n, "site", f"U{n}"), body) for n, body in bodies.items()])
        fact = {"study": id, "number": 1, "state": "waiting", "event": {"kind": "accepted", "by": "site-1", "reason": ""}}
        bare = cpu_of(lambda: [hub.lives.ledger.append("bare", fact, hub.clock.now()) for _ in bodies])
        assert running.queue(hub) == (id,)
        close(hub)
    print(f"\na consent: {1e3 * consents / 100:.2f} ms of processor time, {consents / bare:.1f} ledger entries")
    assert consents < 12 * bare


def test_an_inbox_costs_little_more_after_many_studies():
    with TemporaryDirectory() as folder:
        hub, _ = hub_with(3, Path(folder))
        site = Actor("site-0", "site", "Usite-0")

        def ask():
            [usecases.inbox_of(hub, site, {}) for _ in range(20)]

        usecases.submit(hub, LI, {"study": STUDY})
        ask()
        few = cpu_of(ask)
        for _ in range(300):
            usecases.cancel(hub, LI, {"id": usecases.submit(hub, LI, {"study": STUDY})["id"]})
        ask()
        many = cpu_of(ask)
        close(hub)
    print(f"\nan inbox of one suggestion: {1e3 * few / 20:.2f} ms, after 300 studies that are over {1e3 * many / 20:.2f} ms")
    assert many < 30 * few
