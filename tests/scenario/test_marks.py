"""One patient is marked in every source of a hospital; every path of its records is followed for the marks."""

from __future__ import annotations

import json
import logging
import traceback

import pytest

from federations import federation
from huizhen.clock import ManualClock
from huizhen.data.events.store import Registry
from huizhen.errors import HuizhenError
from huizhen.site.registering import REGISTRY, sync
from huizhen.site.settings import read_settings
from marks import IDENTITY, MARKS, NAME, PATIENT, PHONE, RARE, RECORD, SENTENCE, SURNAME, csv_text, found_in, marked_site, table

pytest.importorskip("pydicom", reason="pydicom is missing. Install it: pip install 'huizhen[registry]'")
pytest.importorskip("sqlalchemy", reason="sqlalchemy is missing. Install it: pip install 'huizhen[registry]'")

STUDY = """
[study]
title = "Age and sex"
[variables.sex]
type = "category"
[method.summary]
variables = ["age"]
[method.tabulate]
rows = "sex"
"""


@pytest.fixture
def site(tmp_path):
    return marked_site(tmp_path / "huizhen-site")


def files_below(folder, *without):
    return [path for path in folder.rglob("*") if path.is_file() and not any(path.is_relative_to(folder / one) for one in without)]


def told(said):
    assert found_in(said.all) == []
    return said


def test_the_registry_holds_no_identity_in_its_rows_its_files_or_their_names(huizhen, site):
    said = told(huizhen("data", "sync"))
    assert said.code == 0, said.err
    registry = Registry(site / REGISTRY)
    with registry.connect() as connection:
        events = connection.execute("select * from events").fetchall()
    assert {event[11] for event in events} == {"lab", "ward", "emr", "cdm", "pacs", "letters"}  # every source gave something
    whole = repr(events)
    assert found_in(whole, IDENTITY) == []
    assert set(found_in(whole)) == {RARE, SENTENCE}  # what is no identity is what a registry is for
    for path in files_below(site / REGISTRY):
        assert found_in(path.read_bytes(), IDENTITY) == [], path.name
        assert found_in(path.name) == []
    assert len({event[0] for event in events if event[11] in ("emr", "cdm", "pacs", "letters")}) == 1  # linked all the same
    kinds = "de-identified"
    assert said.out.count(kinds) > 10
    assert "a name in a text" in said.out
    again = told(huizhen("data", "sync", "--json"))
    reports = [json.loads(line) for line in again.out.splitlines()]
    assert [report["new"] + report["changed"] + report["removed"] for report in reports] == [0] * 6


def test_without_de_identification_the_marks_are_there_so_that_they_would_be_found(huizhen, site):
    text = (site / "site.toml").read_text(encoding="utf-8")
    (site / "site.toml").write_text(text + "\n[deidentify]\nas_is = true\n", encoding="utf-8")
    assert told(huizhen("data", "sync")).code == 0
    with Registry(site / REGISTRY).connect() as connection:
        whole = repr(connection.execute("select * from events").fetchall())
    assert set(found_in(whole)) >= {*MARKS} - {PHONE}  # a number there


def test_everything_that_is_said_of_the_registry_is_without_a_mark(huizhen, site, caplog):
    caplog.set_level(logging.DEBUG)
    (site / "study.toml").write_text(STUDY, encoding="utf-8")
    calls = [
        ("site", "check"),
        ("data", "sync"),
        ("data", "sources"),
        ("data", "sources", "--json"),
        ("data", "map", site / "map.toml"),
        ("data", "map", site / "map.toml", "--json"),
        ("data", "check", site / "rules.toml", "--share", "shared.json"),
        ("data", "check", site / "rules.toml", "--json"),
        ("data", "card"),
        ("cohort", "check", site / "criteria.toml"),
        ("cohort", "count", site / "criteria.toml"),
        ("cohort", "count", site / "criteria.toml", "--json"),
    ]
    for call in calls:
        assert found_in(" ".join(map(str, call))) == []
        if call[:2] != ("site", "check"):  # it asks for keys that this site has none of
            assert told(huizhen(*call)).code == 0, call
        told(huizhen("--lang", "zh", *call))
    card = told(huizhen("data", "card", "--json"))
    (site.parent / "card.json").write_text(card.out, encoding="utf-8")
    assert told(huizhen("data", "synthesise", "card.json", "standins")).code == 0
    run = told(huizhen("run", site / "study.toml", "--site", f"east={site / 'map.toml'}", "--site", f"west={site / 'map.toml'}"))
    assert run.code == 0, run.err
    written = files_below(site.parent, "huizhen-site")
    assert {"report.html", "shared.json", "card.json"} <= {path.name for path in written}
    for path in [*written, *files_below(site / "cohorts")]:
        assert found_in(path.read_bytes()) == [], path.name
        assert found_in(str(path.relative_to(site.parent))) == []
    assert found_in(caplog.text) == []


DAMAGE = {
    "lab, without a header": ("lab.csv", csv_text({f"{PATIENT}": [1], "pid2": [SENTENCE], f"number-{RARE}": [RECORD]})),
    "lab, a header of values near to names": ("lab.csv", csv_text({"pid4": [1], "number7": [2], "seen": [3]})),
    "lab, the same value twice in the header": ("lab.csv", f"pid,number,seen,{NAME},{NAME}\n1,2,2024-01-01,{RARE},{SENTENCE}\n"),
    "lab, other columns": ("lab.csv", csv_text({name: cells for name, cells in table().items() if name != "age"})),
    "lab, a quote that never ends": ("lab.csv", csv_text(table()) + f'"{PATIENT},{RECORD},{SENTENCE}'),
    "lab, wrong width and dates": ("lab.csv", csv_text(table()) + f"{PATIENT}\n{PATIENT},{RECORD}9,{SENTENCE},,,,,,\n"),
    "lab, bytes of no encoding": ("lab.csv", csv_text(table()).encode() + b"\xff\xff\xff" + SENTENCE.encode()),
    "ward, no database": ("ward.db", f"{SENTENCE} {NAME} {SURNAME}"),
    "emr, cut off": ("fhir/all.json", f'{{"resourceType": "Bundle", "entry": [{{"resource": {{"id": "{PATIENT}{SENTENCE}'),
    "emr, nonsense": ("fhir/all.json", json.dumps({"resourceType": "Bundle", "entry": [[PATIENT], {"resource": [SENTENCE]}]})),
    "cdm, no persons": ("omop/person.csv", f"{PATIENT},{NAME}\n{SENTENCE}\n"),
    "cdm, no dates": ("omop/person.csv", f"person_id,year_of_birth\n{PATIENT},{SENTENCE}\n"),
    "letters, bytes of no encoding": (f"letters/{PATIENT}_{RECORD}.txt", b"\xff\xff" + SENTENCE.encode()),
    "letters, a name of another form": (f"letters/{PATIENT}.txt", SENTENCE),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("before", ["synced before", "never synced"])
def test_no_message_log_line_or_trace_about_records_that_cannot_be_read_tells_one(site, huizhen, caplog, damage, before):
    caplog.set_level(logging.DEBUG)
    if before == "synced before":
        assert told(huizhen("data", "sync")).code == 0
    name, content = DAMAGE[damage]
    (site / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    alias = damage.partition(",")[0]
    for language in ("en", "zh"):
        told(huizhen("--lang", language, "data", "sync", alias))
    (found,) = sync(read_settings(site / "site.toml"), site, [alias], ManualClock())
    assert "pid4" not in repr(found)  # near to a name, and somebody's
    if isinstance(found, HuizhenError):
        trace = "".join(traceback.TracebackException.from_exception(found, capture_locals=False).format())
        chain = [found, found.__cause__, found.__context__]
        assert found_in(trace + repr(chain) + repr(list(found.problems))) == []
    else:
        assert found_in(repr(found)) == []
    assert found_in(caplog.text) == []
    for path in files_below(site / REGISTRY):
        assert found_in(path.read_bytes(), IDENTITY) == [], path.name


def test_a_study_over_registries_sends_no_mark_whatever_becomes_of_it(tmp_path, monkeypatch, capfd):
    from nats.aio.client import Client

    sent: list[bytes] = []
    publish = Client.publish

    async def recording(self, subject, payload=b"", *more, **others):
        sent.append(payload)
        return await publish(self, subject, payload, *more, **others)

    monkeypatch.setattr(Client, "publish", recording)
    names = ("east", "north", "west")
    rows = {"source.rows": {"kind": "registry", "mapping": "map.toml"}}
    policy = {"min_cell_count": 5, "lanes": ["plain", "masked"]}
    settings = dict.fromkeys(names, rows)
    with federation(tmp_path, dict.fromkeys(names), policies=dict.fromkeys(names, policy), settings=settings) as found:
        for name in names:
            place = marked_site(tmp_path / "made" / name)
            for report in sync(read_settings(place / "site.toml"), place, [], ManualClock()):
                assert not isinstance(report, HuizhenError)
            for file in ("map.toml", "dictionary.toml", "registry"):
                (place / file).rename(tmp_path / name / file)
            found.start_site(name)
        content = {"method": {"summary": {"variables": ["age"]}}, "participants": {"sites": list(names)}}
        id = found.li.submit(content)
        assert found.li.ended(id)["state"] == "done", found.li.status(id)["reason"]
        broken = {**content, "method": {"summary": {"variables": ["remark"]}}}  # texts where numbers belong
        id = found.li.submit(broken)
        ended = found.li.ended(id)
        result = str(found.li.ask("result", id=id)) if ended["state"] == "done" else ""
        assert "remark" in result + str(ended)
        assert found_in(result + str(ended)) == []
        told_operators = "".join(found.said)
    assert len(sent) > 20
    assert found_in(b"".join(sent)) == []
    assert found_in(told_operators + "".join(capfd.readouterr())) == []
    for path in files_below(tmp_path / "hub"):
        assert found_in(path.read_bytes()) == [], path.name
    for name in names:
        for path in files_below(tmp_path / name):
            assert found_in(path.read_bytes(), IDENTITY) == [], path.name
