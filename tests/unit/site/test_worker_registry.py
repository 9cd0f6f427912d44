"""A worker, the confined process that holds rows, reads them from the site's registry by a mapping."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.federation.study import Study
from huizhen.privacy.release import Variable
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order


@pytest.fixture
def mapping(tmp_path):
    born = [Event(f"p{year}", "person", f"p{year}", text="female", begins=datetime(year, 1, 1)) for year in range(1930, 1990)]
    changes = Changes([Batch(born, len(born))], whole=True)
    Registry(tmp_path / "registry").sync("ehr", changes, now=datetime(2026, 1, 1, tzinfo=UTC))
    (tmp_path / "dictionary.toml").write_text('variable.age = { type = "number", unit = "a" }', encoding="utf-8")
    text = '[mapping]\ndictionary = "dictionary.toml"\n[index]\ndate = 2020-01-01\n[variable.age]\nkind = "person"\nread = "age"\n'
    (tmp_path / "map.toml").write_text(text, encoding="utf-8")
    return tmp_path / "map.toml"


def test_a_worker_musters_the_rows_that_a_mapping_makes_of_the_registry(mapping, tmp_path):
    study = Study.parse({"cohort": {"include": ["age >= 50"]}, "method": {"summary": {"variables": ["age"]}}})
    order = Order("east", study.content, study.digest, str(mapping), {"age": Variable("number")}, ("summary",), ())
    worker = WorkerProcess(order, limits=Limits(answer_s=60), log=tmp_path / "worker.log")
    worker.start()
    try:
        worker.open()
        assert worker.muster("summary") == 41  # born from 1930 to 1970
    finally:
        worker.close()
