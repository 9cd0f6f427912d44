"""Sites with registries for tests of cohorts that are counted across hospitals."""

from __future__ import annotations

from datetime import datetime, timedelta

from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
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
