"""A site says whole what its sources are, and takes them over by command."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from huizhen.cli.app import commands
from huizhen.errors import SiteError
from huizhen.site.check import checked_settings
from huizhen.site.settings import parse_settings

SITE = '[site]\nname = "west-lake"\n[source.lab]\nkind = "table"\npath = "lab.csv"\npatient = "pid"\nrecord = "id"\n'


def settings(tmp_path, **source):
    return parse_settings({"site": {"name": "a"}, "source": {"x": source}}, tmp_path)


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ({"kind": "wire"}, "source.x.kind"),
        ({"kind": "table", "path": "a.csv"}, "source.x.patient"),
        ({"kind": "table", "path": "a.csv", "patient": "p", "pateint": "q"}, "source.x.pateint"),
        ({"kind": "table", "path": "a.csv", "patient": "p", "time_zone": "Mars/One"}, "source.x.time_zone"),
        ({"kind": "sql", "url": "postgresql://me:secret@host/db", "table": "t", "patient": "p", "record": "i"}, "source.x.url"),
        ({"kind": "fhir", "path": "a", "url": "http://host/fhir"}, "source.x"),
        ({"kind": "fhir", "url": "file:///etc/passwd"}, "source.x.url"),
        ({"kind": "reports", "path": "a", "name": "{doctor}.txt"}, "source.x.name"),
    ],
)
def test_every_mistake_in_a_source_is_named_by_its_key(tmp_path, source, where):
    with pytest.raises(SiteError) as raised:
        settings(tmp_path, **source)
    assert where in [problem.where for problem in raised.value.problems]
    assert "secret" not in str(raised.value)


def test_a_source_with_a_kind_feeds_the_registry_and_answers_no_study(tmp_path):
    found = settings(tmp_path, kind="dicom", path="pacs")
    assert (list(found.sources), list(found.connected)) == ([], ["x"])
    assert [problem.found for problem in checked_settings(found)] == ["no such file or folder"]


def run(*arguments):
    return CliRunner().invoke(commands(), ["--lang", "en", "data", *map(str, arguments)])


def test_a_person_syncs_and_sees_what_the_registry_holds(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "lab.csv").write_text("pid,id,age\n1,1,50\n,2,marked\n")
    assert json.loads(run("sources", "--dir", tmp_path, "--json").output)[0]["synced"] == ""
    said = run("sync", "--dir", tmp_path).output
    assert "2 records read; 1 new" in said
    assert "left out (1): a row without a patient" in said
    assert "marked" not in said
    assert json.loads(run("sources", "--dir", tmp_path, "--json").output)[0]["events"] == 1
    chinese = CliRunner().invoke(commands(), ["--lang", "zh", "data", "sync", "--dir", str(tmp_path)]).output
    assert "读取 0 条记录" in chinese


def test_a_source_that_fails_does_not_keep_the_others_from_the_registry(tmp_path):
    (tmp_path / "site.toml").write_text(SITE + '[source.gone]\nkind = "dicom"\npath = "gone"\n')
    (tmp_path / "lab.csv").write_text("pid,id,age\n1,1,50\n")
    failed = run("sync", "gone", "lab", "--dir", tmp_path)
    assert isinstance(failed.exception, SiteError)
    assert "source.gone" in str(failed.exception)
    assert "lab: 1 records read" in failed.output


def test_a_source_that_nobody_configured_is_said_with_those_that_are(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    assert "one of: lab" in str(run("sync", "lob", "--dir", tmp_path).exception)
