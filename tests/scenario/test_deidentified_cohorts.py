"""Laws of de-identification on the way in: counts by age and interval stay; keys and plans do not mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.data.criteria.reading import parse_criteria
from huizhen.data.events.store import Registry
from huizhen.embedded.cohorts import count_together
from huizhen.errors import HuizhenError, SiteError
from huizhen.site.registering import REGISTRY, made_key, sync
from huizhen.site.settings import read_settings
from registries import rows

CLOCK = ManualClock()
PERSONS = 'kind = "table"\npath = "persons.csv"\npatient = "pid"\nrecord = "pid"\ntime = "born"\nrow = "person"\nvalue = "sex"\n'
CODED = (
    'kind = "table"\npath = "{0}.csv"\npatient = "pid"\nrecord = "id"\ntime = "day"\nrow = "{1}"\ncode = "code"\nsystem = "{2}"\n'
)
CRITERIA = {
    "cohort": {"title": "law"},
    "index": {"kind": "condition", "system": "ICD10", "codes": ["E11"]},
    "include": [
        {"name": "adults", "rule": "age", "at_least": 18},
        {"name": "80 at most", "rule": "age", "at_most": 80},
        {
            "name": "measured within 90 days",
            "rule": "event",
            "kind": "measurement",
            "system": "LOINC",
            "codes": ["2160-0"],
            "days": [0, 90],
        },
    ],
}


def hospital(folder: Path, seed: int, rules: str = "") -> Path:
    """Patients with a birth, a diagnosis and a measurement some time after it."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    count = 400
    days = np.datetime64("2015-01-01") + rng.integers(0, 3000, count)
    born = days - rng.integers(10 * 365, 90 * 365, count)
    after = days + rng.integers(-30, 180, count)
    sex = rng.choice(["female", "male"], count)
    tables = {
        "persons": ["pid,born,sex", *(f"p{at},{born[at]},{sex[at]}" for at in range(count))],
        "diagnoses": ["pid,id,day,code", *(f"p{at},d{at},{days[at]},E11" for at in range(count))],
        "lab": ["pid,id,day,code", *(f"p{at},m{at},{after[at]},2160-0" for at in range(count))],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    sources = [
        f"[source.persons]\n{PERSONS}",
        "[source.diagnoses]\n" + CODED.format("diagnoses", "condition", "ICD10"),
        "[source.lab]\n" + CODED.format("lab", "measurement", "LOINC"),
    ]
    policy = '[policy]\nmin_cell_count = 1\nmin_rows = 1\nlanes = ["embedded", "plain"]\n'
    settings = "\n".join(['[site]\nname = "a"', policy, *sources, rules])
    (folder / "site.toml").write_text(settings, encoding="utf-8")
    return folder


def synced(folder, *aliases):
    reports = list(sync(read_settings(folder / "site.toml"), folder, list(aliases), CLOCK))
    assert not [report for report in reports if isinstance(report, HuizhenError)], reports
    return reports


def patients(folder, wanted):
    return count_together({"a": folder}, wanted, CLOCK, run="count-1").patients


@pytest.mark.parametrize("seed", range(3))
def test_ages_at_the_index_and_intervals_count_the_same_whatever_moved(tmp_path, seed):
    ways = {"plain": "as_is = true", "named": "", "moved": 'dates = "shift"', "far": 'dates = "shift"\nmost_days = 3000'}
    wanted, counts, times = parse_criteria(CRITERIA, tmp_path), {}, {}
    for name, rules in ways.items():
        folder = hospital(tmp_path / name, seed, f"[deidentify]\n{rules}\n")
        synced(folder)
        counts[name] = patients(folder, wanted)
        times[name] = rows(Registry(folder / REGISTRY), "select list(begins order by record, origin) from events")
    assert counts["plain"] == counts["named"] == counts["moved"] == counts["far"]
    assert 0 < counts["plain"][-1] < counts["plain"][0] == 400
    assert times["moved"] != times["plain"]


def test_a_record_that_is_gone_or_changed_is_gone_or_changed_in_the_registry(tmp_path):
    folder = hospital(tmp_path / "a", 1)
    synced(folder)
    lines = (folder / "lab.csv").read_text(encoding="utf-8").splitlines()
    changed = [lines[0], lines[1].replace("2160-0", "718-7"), *lines[3:]]
    (folder / "lab.csv").write_text("\n".join([*changed, ""]), encoding="utf-8")
    (report,) = synced(folder, "lab")
    assert (report.changed, report.removed, report.same, report.new) == (1, 1, 398, 0)


@pytest.mark.parametrize("rules", ['dates = "shift"', 'patients = "keep"', "as_is = true"])
def test_another_plan_reads_all_again_and_until_then_nothing_is_asked(tmp_path, rules):
    folder = hospital(tmp_path / "a", 1)
    synced(folder)
    hospital(folder, 1, f"[deidentify]\n{rules}\n")
    (report,) = synced(folder, "lab")
    assert report.read == 400
    with pytest.raises(SiteError, match="de-identified in different ways"):
        Registry(folder / REGISTRY).connect()
    synced(folder)
    assert patients(folder, parse_criteria(CRITERIA, tmp_path))[0] == 400
    held = Registry(folder / REGISTRY)
    assert {path.name for path in held.folder.glob("*.parquet")} == {segment.name for segment in held.manifest.segments}


def test_another_key_gives_other_patients_and_no_mix_and_a_lost_key_is_not_replaced_in_silence(tmp_path):
    folder = hospital(tmp_path / "a", 1)
    settings = read_settings(folder / "site.toml")
    assert made_key(settings, folder) == folder / "deidentify.key"
    assert (folder / "deidentify.key").stat().st_mode & 0o777 == 0o600
    synced(folder)
    before = set(rows(Registry(folder / REGISTRY), "select distinct patient from events"))
    (folder / "deidentify.key").rename(tmp_path / "kept")
    with pytest.raises(SiteError, match="Bring the key back"):
        synced(folder)
    (folder / "deidentify.key").write_text("ab" * 32)
    (folder / "deidentify.key").chmod(0o600)
    synced(folder)
    after = set(rows(Registry(folder / REGISTRY), "select distinct patient from events"))
    assert len(before) == len(after) == 400
    assert not before & after
