"""A cohort of five criteria over 10,000,000 events: the compiled statement against one written by hand, in one run.

`EVENTS=1000000 pytest benchmarks/bench_cohort.py -s` for a smaller one.
"""

from __future__ import annotations

import os
import statistics
import time

import duckdb
import pytest

from huizhen.data.criteria.compiled import members, sketched
from huizhen.data.criteria.reading import parse_criteria
from huizhen.data.criteria.sketch import buckets_for
from huizhen.data.events.manifest import Manifest, Origin, Segment, write_manifest
from huizhen.data.events.segments import ORDER, WRITTEN
from huizhen.data.events.store import Registry

EVENTS = int(os.environ.get("EVENTS", 10_000_000))
SEGMENTS, PATIENTS, RUNS = 10, EVENTS // 50, 5
BAR = 2.0

CRITERIA = {
    "cohort": {"title": "Type 2 diabetes on metformin"},
    "index": {"kind": "condition", "system": "ICD10", "codes": ["E11"], "descendants": True},
    "include": [
        {"name": "adults", "rule": "age", "at_least": 18},
        {
            "name": "HbA1c",
            "rule": "measurement",
            "system": "LOINC",
            "codes": ["4548-4"],
            "value": ">= 6.5",
            "units": ["%"],
            "days": [-365, 0],
        },
        {"name": "metformin", "rule": "drug", "system": "ATC", "codes": ["A10BA"], "descendants": True, "days": [0, 90]},
        {"name": "seen before", "rule": "visits", "at_least": 2, "days": [-365, 0]},
    ],
    "exclude": [{"name": "type 1", "rule": "event", "kind": "condition", "system": "ICD10", "codes": ["E10"], "descendants": True}],
}

BY_HAND = """
with starts as (select patient, min(begins) as day from events
    where kind = 'condition' and system = 'ICD10' and (code = 'E11' or code like 'E11%') and begins is not null group by patient)
select s.patient from starts s
where exists (select 1 from events p where p.kind = 'person' and p.patient = s.patient
        and date_sub('year', cast(p.begins as date), cast(s.day as date)) >= 18)
  and exists (select 1 from events m where m.kind = 'measurement' and m.system = 'LOINC' and m.code = '4548-4'
        and m.patient = s.patient and m.unit = '%' and m.number >= 6.5 and m.begins >= date_trunc('day', s.day) - interval 365 day
        and m.begins < date_trunc('day', s.day) + interval 1 day)
  and exists (select 1 from events d where d.kind = 'drug' and d.system = 'ATC' and d.code like 'A10BA%' and d.patient = s.patient
        and coalesce(d.ends, d.begins) >= date_trunc('day', s.day) and d.begins < date_trunc('day', s.day) + interval 91 day)
  and (select count(distinct v.visit) from events v where v.kind = 'visit' and v.patient = s.patient
        and v.begins >= date_trunc('day', s.day) - interval 365 day and v.begins < date_trunc('day', s.day) + interval 1 day) >= 2
  and not exists (select 1 from events o where o.kind = 'condition' and o.system = 'ICD10' and o.code like 'E10%'
        and o.patient = s.patient and o.begins < date_trunc('day', s.day) + interval 1 day)
"""


# By frequency as they come in hospitals: few codes are common, many rare. Some 40 patients are in the cohort.
EVENT = f"""
    select i, kind, case when kind = 'person' then i else cast(floor(u3 * {PATIENTS}) as bigint) end as who,
        case kind when 'condition' then 'ICD10' when 'measurement' then 'LOINC' when 'drug' then 'ATC'
                  when 'visit' then 'ActCode' end as system,
        case when kind = 'condition' and u1 < 0.05 then 'E11.' || cast(floor(u2 * 10) as integer)
             when kind = 'condition' and u1 < 0.06 then 'E10.1'
             when kind = 'condition' then chr(65 + cast(floor(u1 * 20) as integer)) || (10 + cast(floor(u2 * u2 * 90) as integer))
             when kind = 'measurement' and u1 < 0.1 then '4548-4'
             when kind = 'measurement' then cast(floor(u2 * 500) as integer) || '-0'
             when kind = 'drug' and u1 < 0.3 then 'A10BA02'
             when kind = 'drug' then 'B' || cast(floor(u2 * 300) as integer)
             when kind = 'visit' then 'AMB' end as code
    from (select i, random() as u1, random() as u2, random() as u3,
          case when i < {PATIENTS} then 'person' when i % 10 < 5 then 'measurement' when i % 10 < 7 then 'condition'
               when i % 10 < 9 then 'drug' else 'visit' end as kind from range($first, $last) t(i))
"""
EVENTS_SQL = f"""
    select 'p' || lpad(cast(who as varchar), 8, '0') as patient, kind, system, code, cast(null as varchar) as display,
        case when kind = 'measurement' then 4 + 6 * random() end as number,
        case when kind = 'person' then 'female' end as text,
        case when kind = 'measurement' then '%' end as unit,
        case when kind = 'person' then timestamp '1935-01-01' + to_days(cast(25000 * random() as integer))
             else timestamp '2015-01-01' + to_minutes(cast(3650 * 1440 * random() as integer)) end as begins,
        cast(null as timestamp) as ends, case when kind = 'visit' then 'v' || i end as visit, 'a' as origin,
        cast(i as varchar) as record, '1' as version
    from ({EVENT}) order by {ORDER}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Persons, measurements, diagnoses, drugs and visits in segments as a sync writes them."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "spill").mkdir()
    segments = []
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("select setseed(0.5)")
        for number in range(SEGMENTS):
            first, last = number * EVENTS // SEGMENTS, (number + 1) * EVENTS // SEGMENTS
            name = f"a-1-{number}.parquet"
            sql = EVENTS_SQL.replace("$first", str(first)).replace("$last", str(last))
            connection.execute(f"copy ({sql}) to '{folder / name}' {WRITTEN}")
            segments.append(Segment(name, last - first))
    write_manifest(folder, Manifest(1, {"a": Origin(tuple(segments))}))
    return Registry(folder)


def test_a_cohort_of_five_criteria_takes_no_more_than_twice_the_statement_by_hand(registry, tmp_path):
    wanted = parse_criteria(CRITERIA, tmp_path)
    ours, counted = members(wanted), sketched(wanted, buckets_for(5))
    seconds: dict[str, list[float]] = {"by hand": [], "compiled": [], "counted": []}
    with registry.connect(memory="2GB") as connection:
        connection.execute("select count(*) from events where patient = ''").fetchall()  # the files are in the cache for all alike
        for _ in range(RUNS):
            by_hand = timed(seconds["by hand"], connection, BY_HAND, {})
            rows = timed(seconds["compiled"], connection, f"select patient from ({ours.sql}) where reached = 5", ours.bound)
            timed(seconds["counted"], connection, counted.sql, counted.bound)
    assert sorted(by_hand) == sorted(rows)
    assert rows
    found = {name: statistics.median(each) for name, each in seconds.items()}
    ratio, counting = found["compiled"] / found["by hand"], found["counted"] / found["by hand"]
    print(f"\n{EVENTS:,} events, cohort of {len(rows):,}; seconds of processor time (median of {RUNS}): {found}")
    print(f"compiled / by hand {ratio:.2f}; with counts of every step and the sketch {counting:.2f}; bar {BAR}")
    assert ratio < BAR


def timed(kept: list[float], connection, sql: str, bound):
    start = time.process_time()
    rows = connection.execute(sql, bound).fetchall()
    kept.append(time.process_time() - start)
    return rows
