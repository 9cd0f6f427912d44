"""A cohort counted across hospitals again and again: seconds from a researcher's wish to the table, for 3 and for 5 sites.

Hub, sites, workers and a server with TLS and keys, on this machine. Each site has 20,000 patients with some 100,000 events; every
try has other criteria. Beside it stands what the SQL alone takes.

Wall time, for it is what a person waits for; printed, not judged.
"""

from __future__ import annotations

import statistics
import time
from datetime import datetime, timedelta

import numpy as np
import pytest

from attritions import INDEX, REGISTRY, attrition
from federations import federation
from huizhen.data.criteria.declarations import criteria_of
from huizhen.data.criteria.sketch import buckets_for
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.site.eventcounts import count_events
from registries import NOW

PATIENTS, TRIES = 20_000, 5


def filled(registry, seed):
    rng = np.random.default_rng(seed)
    events, day = [], datetime(2020, 1, 1)
    for number, age in enumerate(rng.integers(1, 95, PATIENTS)):
        who = f"{seed}-{number}"
        events.append(
            Event(who, "person", f"p/{who}", text="female" if number % 2 else "male", begins=day - timedelta(days=int(age) * 366))
        )
        events.append(Event(who, "condition", f"c/{who}", "ICD10", "E11.9", begins=day))
        events += [
            Event(
                who,
                "measurement",
                f"m{k}/{who}",
                "LOINC",
                "4548-4",
                number=float(value),
                unit="%",
                begins=day - timedelta(days=30 * k),
            )
            for k, value in enumerate(rng.normal(6.5, 1.5, 3).round(1))
        ]
    Registry(registry).sync("a", Changes([Batch(events, len(events), cursor=1)], whole=True), now=NOW)


def wished(age):
    """Criteria of three rules."""
    days = {"days": [-365, 0], "system": "LOINC", "codes": ["4548-4"], "units": ["%"]}
    return (
        {"name": "old enough", "rule": "age", "at_least": age},
        {"name": "HbA1c", "rule": "measurement", "value": ">= 6.5", **days},
        {"name": "women", "rule": "sex", "one_of": ["female"]},
    )


@pytest.mark.parametrize("sites", [3, 5])
@pytest.mark.parametrize("sum", ["masked", "plain"])
def test_seconds_from_a_wish_to_the_table(tmp_path, sites, sum):
    names, took = [f"site-{k}" for k in range(sites)], []
    with federation(tmp_path, dict.fromkeys(names), settings=dict.fromkeys(names, REGISTRY), start=False) as made:
        for seed, name in enumerate(names):
            filled(tmp_path / name / "registry", seed)
            made.start_site(name)
        for age in range(20, 20 + 5 * TRIES, 5):
            started = time.perf_counter()
            found = made.li.asked(attrition(*wished(age), sites=names, sum=sum))["attrition"].result
            took.append(time.perf_counter() - started)
            assert found.tables["attrition"].columns["patients"][0] == PATIENTS * sites
    wanted = criteria_of(attrition(*wished(40), index=INDEX)["method"]["attrition"]["criteria"])
    started = time.perf_counter()
    count_events(tmp_path / names[0] / "registry", wanted, buckets_for(5))
    alone = time.perf_counter() - started
    spread = f"{min(took):.2f} to {max(took):.2f}"
    print(f"\n{sites} sites, {sum}: median {statistics.median(took):.2f} s, {spread}; the SQL at one {alone:.2f} s")
