"""Sites with registries for tests of cohorts that are counted across hospitals."""

from __future__ import annotations

from datetime import datetime, timedelta

from huizhen.clock import ManualClock
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.participant import Participant
from huizhen.federation.scheme import PlainSum
from huizhen.federation.study import Study
from huizhen.ids import new_id
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.policy.disclosure import disclosure_policy, strictest
from huizhen.policy.gate import Gate
from huizhen.site.answered import Answers
from huizhen.site.cohortguard import CohortGuard
from huizhen.site.worker.events import Events
from registries import NOW

DAY = datetime(2020, 1, 1)
INDEX = {"kind": "condition", "system": "ICD10", "codes": ["E11"], "descendants": True}
ADULTS = {"name": "adults", "rule": "age", "at_least": 18}
OLD = {"name": "65 or more", "rule": "age", "at_least": 65}
REGISTRY = {"source.ehr": {"kind": "registry"}}


def diabetics(registry, ages, prefix="p", sex="female"):
    """One patient of each age, with a diagnosis of diabetes at that age; replaces those that were there."""
    events = []
    for number, age in enumerate(ages):
        who = f"{prefix}{number}"
        born = DAY - timedelta(days=int(age * 365.25 + 100))
        told = sex if isinstance(sex, str) else sex[number]
        events.append(Event(who, "person", f"person/{who}", text=told, begins=born))
        events.append(Event(who, "condition", f"condition/{who}", "ICD10", "E11.9", begins=DAY))
    Registry(registry).sync("a", Changes([Batch(events, len(events), cursor=1)], whole=True), now=NOW)


def criteria(*include, exclude=(), title="adults", index=INDEX):
    return {"cohort": {"title": title}, "index": index, "include": list(include), "exclude": list(exclude)}


def attrition(*include, exclude=(), title="adults", index=INDEX, sum="masked", sites=(), by_site=False):
    """A study that counts."""
    settings = {"criteria": criteria(*include, exclude=exclude, title=title, index=index), "by_site": by_site}
    named = {"sites": list(sites)} if sites else {}
    return {
        "study": {"title": title},
        "method": {"attrition": settings},
        "participants": {"quorum": 1 if sum == "plain" else 3, **named},
        "protection": {"sum": sum},
        "start": {"when": "all accepted"},
    }


class Hospitals:
    """Sites in this process, each with registry, policy, gate and memory; the hub's side is played by `conduct`."""

    def __init__(self, root, registries, policies=None):
        self.folders = {name: root / name for name in registries}
        self.policies = {name: disclosure_policy((policies or {}).get(name, {})) for name in registries}
        self.ledgers = {name: MemoryLedger(new_key()) for name in registries}
        for name, ages in registries.items():
            diabetics(self.folders[name] / "registry", ages, prefix=name)

    def participants(self, study, scheme):
        return {name: self._participant(name, study, scheme) for name in self.folders}

    def _participant(self, name, study, scheme):
        gate = Gate(name, self.policies[name], self.ledgers[name], ManualClock())
        events = Events(study, self.folders[name] / "registry")
        guard = CohortGuard(name, study, events, gate, Answers(self.folders[name]))
        return Participant(name, study, events, gate=gate, scheme=scheme, guard=guard)

    def ask(self, content, *, lane="embedded", engine=InProcessEngine):
        """What a study finds."""
        study, scheme = Study.parse(content), PlainSum(lane)

        def terms(roster):
            return strictest([self.policies[site] for site in roster], lane=lane, variables={}, roster=roster)

        run = Run(new_id("run"), study, engine(self.participants(study, scheme)), scheme, terms, ManualClock())
        events = conduct(run)
        while True:
            try:
                next(events)
            except StopIteration as stop:
                return stop.value[0].result

    def kinds(self, name):
        return [entry.kind for entry in self.ledgers[name].entries()]


def patients(result):
    """The joint column of an attrition table."""
    assert not result.failure, result.failure
    return tuple(result.tables["attrition"].columns["patients"])
