"""Mapped rows of up to 1,000,000 patients: the memory of a process that reads or writes them, beside the size of the registry.

What is read comes to memory as columns, so these are taken off; what is left is bounded by the patients turned into rows at once.
Bar: four times the events take at most a quarter more memory beyond the columns, and no more than half as much processor time again
for each event.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from huizhen.data.events.manifest import Manifest, Origin, Segment, write_manifest

PATIENTS, EACH, CODES = (250_000, 1_000_000), 10, 40  # events of each patient
TAKES = ("last", "first", "max", "mean", "count", "exists", "last", "min")
CHILD = """
import json, resource, sys, time
from huizhen.data.mapping.source import open_mapped
from huizhen.privacy.release import Variable
from pathlib import Path
source, how = open_mapped(Path(sys.argv[1])), sys.argv[2]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
if how == "read":
    rows = source.read({name: Variable("number") for name in source.names}, site="s")
    held, count = sum(column.values.nbytes for name, column in rows.columns.items() if name != "site"), rows.rows
else:
    held, count = 0, source.write(Path(sys.argv[1]).with_name("rows.parquet"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
beyond_mb, held_mb = (peak - before) / 1024 - held / 2**20, held / 2**20
print(json.dumps({"took_s": time.process_time() - started, "beyond_mb": beyond_mb, "held_mb": held_mb, "rows": count}))
"""


def site(folder: Path, patients: int) -> Path:
    """A registry in ten segments, each sorted as a sync sorts it, and its mapping."""
    registry = folder / "registry"
    for name in ("", "spill", "work"):
        (registry / name).mkdir(parents=True, exist_ok=True)
    events = patients * EACH // 10
    for part in range(10):
        duckdb.sql(
            f"""copy (select 'p' || (i % {patients}) as patient, 'measurement' as kind, 'LOINC' as system,
              'c' || (hash(i + 5) % {CODES}) as code, 'words' as display, (hash(i + 7) % 1000) / 10.0 as number,
              null::varchar as text,
              'mg/dL' as unit, timestamp '2018-01-01' + to_hours((hash(i + 3) % 50000)::bigint) as begins, null::timestamp as ends,
              null::varchar as visit, 'lab' as origin, 'r' || i as record, '1' as version
              from range({part * events}, {(part + 1) * events}) t(i) order by kind, system, code, patient, begins)
            to '{registry / f"{part}.parquet"}' (format parquet, compression zstd, row_group_size 61440)"""
        )
    segments = tuple(Segment(f"{part}.parquet", events) for part in range(10))
    now = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    write_manifest(registry, Manifest(1, {"lab": Origin(segments, synced=now)}))
    entries = "\n".join(f'variable.v{i} = {{ type = "number", unit = "mg/dL" }}' for i in range(len(TAKES)))
    (folder / "dictionary.toml").write_text(entries, encoding="utf-8")
    rules = "\n".join(
        f'[variable.v{i}]\nkind = "measurement"\ncodes = ["LOINC:c{i}"]\ntake = "{take}"\nsince = "-731 d"\nuntil = "0 d"'
        for i, take in enumerate(TAKES)
    )
    text = f'[mapping]\ndictionary = "dictionary.toml"\n[index]\ndate = 2022-01-01\n{rules}'
    (folder / "map.toml").write_text(text, encoding="utf-8")
    return folder / "map.toml"


def measured(mapping: Path, how: str) -> dict[str, float]:
    """What a process of its own took."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(mapping), how],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ},
        timeout=600,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_memory_beyond_the_columns_does_not_grow_with_the_registry(tmp_path):
    found = {}
    for patients in PATIENTS:
        (tmp_path / str(patients)).mkdir()
        mapping = site(tmp_path / str(patients), patients)
        for how in ("read", "write"):
            one = found[how, patients] = measured(mapping, how)
            per_event_us = one["took_s"] / (patients * EACH) * 1e6
            print(
                f"\n{patients:,} patients, {patients * EACH:,} events, {how}: {one['beyond_mb']:.0f} MB beyond "
                f"{one['held_mb']:.0f} MB of columns, {one['took_s']:.1f} s, {per_event_us:.2f} microseconds an event"
            )
            assert one["rows"] == patients
    few, many = PATIENTS
    for how in ("read", "write"):
        assert found[how, many]["beyond_mb"] <= 1.25 * found[how, few]["beyond_mb"]
        assert found[how, many]["took_s"] <= 1.5 * many / few * found[how, few]["took_s"]
