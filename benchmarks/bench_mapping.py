"""Rows of 10,000,000 events: a mapping of eight variables beside the same question as a person would write it in DuckDB's SQL.

Bar: at most twice the time of the hand-written statement, on the same connection with the same threads; processor time.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from huizhen.data.events.manifest import Manifest, Origin, Segment, write_manifest
from huizhen.data.events.store import Registry
from huizhen.data.mapping.compiling import rows_statement
from huizhen.data.mapping.source import open_mapped

EVENTS, PATIENTS, CODES, TIMES = 10_000_000, 200_000, 60, 3
TAKES = ("last", "first", "max", "mean", "count", "exists", "last", "min")
WINDOW = "begins >= timestamp '2020-01-01' and begins <= timestamp '2022-01-01'"


def events(folder: Path) -> Registry:
    """A registry that is written at once, in the order in which a sync writes it."""
    for name in ("spill", "work"):
        (folder / name).mkdir(exist_ok=True)
    duckdb.sql(
        f"""copy (select 'p' || (hash(i) % {PATIENTS}) as patient, 'measurement' as kind, 'LOINC' as system,
          'c' || (i % {CODES}) as code, 'words' as display, (hash(i + 7) % 1000) / 10.0 as number, null::varchar as text,
          'mg/dL' as unit, timestamp '2018-01-01' + to_hours((hash(i + 3) % 50000)::bigint) as begins, null::timestamp as ends,
          null::varchar as visit, 'lab' as origin, 'r' || i as record, '1' as version
          from range({EVENTS}) t(i) order by kind, system, code, patient, begins)
        to '{folder / "a.parquet"}' (format parquet, compression zstd, row_group_size 61440)"""
    )
    now = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    write_manifest(folder, Manifest(1, {"lab": Origin((Segment("a.parquet", EVENTS),), synced=now)}))
    return Registry(folder)


def written(folder: Path) -> Path:
    entries = "\n".join(f'variable.v{i} = {{ type = "number", unit = "mg/dL" }}' for i in range(len(TAKES)))
    (folder / "dictionary.toml").write_text(entries, encoding="utf-8")
    rules = "\n".join(
        f'[variable.v{i}]\nkind = "measurement"\ncodes = ["LOINC:c{i}"]\ntake = "{take}"\nsince = "-731 d"\nuntil = "0 d"'
        for i, take in enumerate(TAKES)
    )
    text = f'[mapping]\ndictionary = "dictionary.toml"\n[index]\ndate = 2022-01-01\n{rules}'
    (folder / "map.toml").write_text(text, encoding="utf-8")
    return folder / "map.toml"


def by_hand() -> str:
    how = {
        "last": "arg_max(number, begins)",
        "first": "arg_min(number, begins)",
        "max": "max(number)",
        "min": "min(number)",
        "mean": "avg(number)",
        "count": "count(*)",
        "exists": "max(1)",
    }
    columns = ", ".join(
        f"{how[take]} filter (where code = 'c{i}' and unit = 'mg/dL' and {WINDOW}) as v{i}" for i, take in enumerate(TAKES)
    )
    named = ", ".join(f"'c{i}'" for i in range(len(TAKES)))
    return f"""select patient, v.* exclude (patient) from (select distinct patient from events) p left join
      (select patient, {columns} from events
        where kind = 'measurement' and system = 'LOINC' and code in ({named}) group by patient) v
      using (patient)"""


def test_a_mapping_costs_at_most_twice_what_hand_written_sql_costs(tmp_path):
    (tmp_path / "registry").mkdir()
    registry, source = events(tmp_path / "registry"), written(tmp_path)
    statement = rows_statement(open_mapped(source).mapping, [f"v{i}" for i in range(len(TAKES))], {})
    took: dict[str, list[float]] = {"mapping": [], "by hand": []}
    sums = {}
    asked = {"mapping": (statement.sql, statement.bound), "by hand": (by_hand(), {})}
    for _ in range(TIMES):
        for name, (sql, bound) in asked.items():
            with registry.connect() as connection:
                started_s = time.process_time()
                connection.execute(f"create temp table made as {sql}", bound or None)
                took[name].append(time.process_time() - started_s)
                sums[name] = connection.execute("select count(*), sum(v0), sum(v3), sum(v4), sum(v5) from made").fetchone()
    mapping_s, hand_s = min(took["mapping"]), min(took["by hand"])
    print(f"\n{EVENTS:,} events: mapping {mapping_s:.2f} s, by hand {hand_s:.2f} s, ratio {mapping_s / hand_s:.2f}")
    assert [round(value, 3) for value in sums["mapping"]] == [round(value, 3) for value in sums["by hand"]]
    assert mapping_s <= 2 * hand_s
