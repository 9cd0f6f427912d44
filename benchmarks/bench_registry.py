"""Records into a registry: FHIR bundles to Parquet against parsing with `fhir.resources` alone, and memory.

The bundles stand beside the checkout (shared_data). `fhir.resources` is no dependency: it is installed for this file alone.
Bars: five times its resources per second of processor time; ten times as many events take no more
memory than DuckDB may hold besides.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from huizhen.data.connectors.fhirfiles import fhir_files
from huizhen.data.events.store import Registry

BUNDLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "synthea_fhir_hiv"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

FILLING = """
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry

count = int(sys.argv[2])
def batches():
    for start in range(0, count, 1000):
        numbers = range(start, start + 1000)
        events = [Event(f"p{i % 5000}", "measurement", f"r{i}", "LOINC", f"{i % 97}-1", None, float(i)) for i in numbers]
        yield Batch(events, 1000, cursor=start)
Registry(Path(sys.argv[1])).sync("lab", Changes(batches()), now=datetime(2026, 1, 1, tzinfo=UTC))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.shared_data
def test_fhir_to_parquet_takes_a_fifth_of_parsing_with_fhir_resources(tmp_path, capsys):
    models = pytest.importorskip("fhir.resources.R4B", reason="pip install fhir.resources")
    if not BUNDLES.exists():
        pytest.skip("the FHIR bundles are not beside this repository")
    files = sorted(BUNDLES.glob("*.json.gz"))
    started = time.process_time()
    report = Registry(tmp_path / "registry").sync("emr", fhir_files(BUNDLES, None, ""), now=NOW)
    ours = report.read / (time.process_time() - started)
    texts = [gzip.decompress(path.read_bytes()) for path in files[::4]]
    names = {entry["resource"]["resourceType"] for text in texts for entry in json.loads(text)["entry"]}
    kinds = {name: models.get_fhir_model_class(name) for name in names}
    parsed, started = 0, time.process_time()
    for text in texts:
        for entry in json.loads(text)["entry"]:
            kinds[entry["resource"]["resourceType"]].model_validate(entry["resource"])
            parsed += 1
    theirs = parsed / (time.process_time() - started)
    with capsys.disabled():
        print(
            f"\nFHIR to Parquet: {ours:,.0f} resources per second; fhir.resources alone: {theirs:,.0f}; ratio {ours / theirs:.1f}"
        )
    assert ours > 5 * theirs


def test_memory_is_bounded_by_the_chunk_and_not_by_the_source(tmp_path, capsys):
    peaks = []
    for count in (200_000, 2_000_000):
        child = [sys.executable, "-c", FILLING, str(tmp_path / str(count)), str(count)]
        peaks.append(int(subprocess.run(child, check=True, capture_output=True).stdout) / 1024)
    with capsys.disabled():
        print(f"\nPeak memory: {peaks[0]:.0f} MB for 200,000 events, {peaks[1]:.0f} MB for 2,000,000")
    assert peaks[1] < peaks[0] + 512  # what DuckDB may fill before it spills
