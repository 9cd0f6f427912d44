"""What de-identification on the way in costs a sync: processor time with it and without, and texts per second.

Bars: a sync of measurements takes less than twice the processor time that it takes without; reports are counted
by themselves, as the recognisers read every word of them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from huizhen.data.deidentify.eventrules import EventRules
from huizhen.data.deidentify.events import Treatment
from huizhen.data.deidentify.secret import Secret
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = Secret(bytes(range(32)))
COUNT, AT_ONCE = 200_000, 2000
REPORT = "患者{0}因反复胸闷3年入院，手机139{0:08d}。查体：心肺无殊。Seen by Dr. Voss on 2024-02-03, MRN: 4711{0:04d}. "


def measurements():
    begins = datetime(2020, 1, 1)
    for start in range(0, COUNT, AT_ONCE):
        yield Batch(
            [
                Event(
                    f"p{at % 5000}", "measurement", f"Observation/{at}", "LOINC", f"{at % 97}-1", f"a thing {at % 97}", float(at),
                    None, "mmol/L", begins + timedelta(minutes=at), None, f"v{at % 20_000}",
                )
                for at in range(start, start + AT_ONCE)
            ],
            AT_ONCE,
            cursor=start,
        )  # fmt: skip


def seconds(work) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_a_sync_of_measurements_with_de_identification_against_one_without(tmp_path, capsys):
    plain = seconds(lambda: Registry(tmp_path / "plain").sync("a", Changes(measurements()), now=NOW))
    told = [f"\nSync of {COUNT:,} measurements: {COUNT / plain:,.0f} events per second as they come"]
    ratios = []
    for name, rules in {"pseudonyms": EventRules(), "pseudonyms and dates": EventRules(dates="shift")}.items():
        treatment = Treatment(rules.plan(SECRET.mark), SECRET, "a")
        changes = treatment.changes(Changes(measurements()))
        ratios.append(seconds(lambda: Registry(tmp_path / name.replace(" ", "-")).sync("a", changes, now=NOW)) / plain)  # noqa: B023
        told.append(f"{name}: {ratios[-1]:.2f} times the processor time")
    with capsys.disabled():
        print("; ".join(told))
    assert max(ratios) < 2


def test_reports_that_are_cleaned(capsys):
    treatment = Treatment(EventRules().plan(SECRET.mark), SECRET, "a")
    reports = [Event(f"p{at}", "report", f"r{at}", text=REPORT.format(at) * 4) for at in range(500)]
    spent = seconds(lambda: treatment.batch(Batch(reports, len(reports))))
    with capsys.disabled():
        print(f"\nReports of {len(reports[9].text or '')} characters: {len(reports) / spent:,.0f} per second of processor time")
    assert len(reports) / spent > 100
