"""What a person sees of cohorts: a table, JSON, every mistake, and an exit code for each end."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import pytest

from huizhen.cli.app import main
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from registries import NOW

CRITERIA = """
[cohort]
title = "diabetes"
[index]
kind = "condition"
system = "ICD10"
codes = ["E11"]
[[include]]
name = "women"
rule = "sex"
one_of = ["{sex}"]
"""


@pytest.fixture
def folder(tmp_path):
    site = tmp_path / "west"
    site.mkdir()
    (site / "site.toml").write_text('[site]\nname = "west"\n')
    events = []
    for number in range(40):
        who = f"p{number}"
        events.append(Event(who, "person", f"p/{who}", text="male" if number < 3 else "female"))
        events.append(Event(who, "condition", f"c/{who}", "ICD10", "E11", begins=datetime(2020, 1, 1)))
    Registry(site / "registry").sync("a", Changes([Batch(events, len(events), cursor=1)]), now=NOW)
    (tmp_path / "c.toml").write_text(CRITERIA.format(sex="female"))
    return site


@pytest.fixture
def huizhen(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["huizhen", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


def test_a_table_says_who_is_left_and_what_is_withheld(huizhen, folder, tmp_path):
    code, out, _ = huizhen("cohort", "count", tmp_path / "c.toml", "--dir", folder)
    assert code == 0
    assert "index event: diagnosis" in out
    assert out.split("women")[1].split()[0] == "withheld"  # 3 men would follow


def test_json_holds_the_same(huizhen, folder, tmp_path):
    _, out, _ = huizhen("cohort", "count", tmp_path / "c.toml", "--site", f"west={folder}", "--json")
    assert json.loads(out) | {"note": ""} == {
        "title": "diabetes",
        "steps": ["condition", "women"],
        "patients": [40, None],
        "sites": {"west": [40, None]},
        "note": "",
    }


def test_a_refusal_is_told_in_the_readers_language_and_ends_with_3(huizhen, folder, tmp_path):
    (folder / "site.toml").write_text('[site]\nname = "west"\n[policy]\nmin_rows = 41\n')
    code, _, err = huizhen("--lang", "zh", "cohort", "count", tmp_path / "c.toml", "--dir", folder)
    assert code == 3
    assert "策略不回答这一队列" in err


def test_mistakes_in_criteria_and_in_sites_end_with_2(huizhen, folder, tmp_path):
    (tmp_path / "c.toml").write_text(CRITERIA.format(sex="women"))
    code, _, err = huizhen("cohort", "check", tmp_path / "c.toml")
    assert (code, "include[1].one_of" in err) == (2, True)
    (tmp_path / "c.toml").write_text(CRITERIA.format(sex="female"))
    assert huizhen("cohort", "check", tmp_path / "c.toml")[0] == 0
    code, _, err = huizhen("cohort", "count", tmp_path / "c.toml", "--site", f"east={folder}")
    assert (code, "the folder of west" in err) == (2, True)
    assert huizhen("cohort", "count", tmp_path / "c.toml", "--site", "west")[0] == 2


def test_a_card_is_shown_and_becomes_stand_ins(huizhen, folder, tmp_path):
    code, out, _ = huizhen("data", "card", "--dir", folder)
    assert (code, "ICD10 E11" in out) == (0, True)
    _, out, _ = huizhen("data", "card", "--dir", folder, "--json")
    (tmp_path / "card.json").write_text(out, encoding="utf-8")
    code, out, _ = huizhen("data", "synthesise", tmp_path / "card.json", tmp_path / "made", "--rows", 3, "--signals", 1)
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["fhir", "signals.npy"]
    assert len(list((tmp_path / "made" / "fhir").iterdir())) == 3


def test_numbers_that_a_criterion_leaves_out_because_of_their_unit_are_told_at_the_site(huizhen, folder, tmp_path):
    text = (
        CRITERIA.format(sex="female")
        + """
[[include]]
name = "high"
rule = "measurement"
system = "LOINC"
codes = ["4548-4"]
value = ">= 6.5"
units = ["%"]
"""
    )
    (tmp_path / "c.toml").write_text(text)
    when = datetime(2019, 12, 1)
    events = [
        Event("p1", "measurement", f"m{at}", "LOINC", "4548-4", None, 50.0, None, unit, when) for at, unit in enumerate("xxy")
    ]
    Registry(folder / "registry").sync("b", Changes([Batch(events, len(events), cursor=1)]), now=NOW)
    code, out, _ = huizhen("cohort", "check", tmp_path / "c.toml", "--dir", folder)
    assert code == 0
    assert out.splitlines()[1:] == [
        "high: 2 numbers are left out, as they are in x",
        "high: 1 numbers are left out, as they are in y",
    ]
    assert "left out" not in huizhen("cohort", "check", tmp_path / "c.toml")[1]
    assert huizhen("cohort", "check", tmp_path / "c.toml", "--dir", tmp_path / "nowhere")[0] != 0
