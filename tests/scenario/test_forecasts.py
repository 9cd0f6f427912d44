"""Researchers ask how long a study will take: from tables and cards, on a mirror, with what-ifs, and beside what came."""

from __future__ import annotations

import json

import pytest

NAMES = ("west-lake", "east-gate", "south-hill")
DATA = [part for name in NAMES for part in ("--data", f"{name}={name}.csv")]


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        (
            "en",
            ("Time until the answer", "Probability of an answer", "where the time goes", "What was assumed", "No mirror was given"),
        ),
        ("zh", ("得到结果所需时间", "在期限内得到结果的概率", "时间用在哪里", "所作的假定", "未给出镜像联邦")),
    ],
)
def test_a_forecast_is_read_in_both_languages(huizhen, hospitals, lang, said):
    told = huizhen("--lang", lang, "forecast", "study.toml", *DATA, "--deadline", "2 h", "--draws", "40", "--page", "page.html")
    assert told.code == 0, told.err
    for words in said:
        assert words in told.out
    assert "west-lake" in told.out


def test_the_page_is_whole_and_calls_nobody(huizhen, hospitals, tmp_path):
    assert huizhen("forecast", "study.toml", *DATA, "--draws", "20", "--page", "page.html").code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What is to be expected" in page
    assert "预期" in page
    assert page.count("<svg") >= 3
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_cards_do_as_well_as_tables(huizhen, hospitals, tmp_path):
    (tmp_path / "cards").mkdir()
    for name in NAMES:
        (tmp_path / "cards" / f"{name}.json").write_text(huizhen("describe", f"{name}.csv", "--json").out, encoding="utf-8")
    told = huizhen("forecast", "study.toml", "--cards", "cards", "--draws", "20", "--json")
    assert told.code == 0, told.err
    content = json.loads(told.out)
    assert [site[0] for site in content["sites"]] == sorted(NAMES)
    assert len(content["digest"]) == 64


def test_a_mirror_is_written_edited_and_forecast_on_and_what_ifs_stand_side_by_side(huizhen, hospitals, tmp_path):
    assert huizhen("twin", "mirror", *NAMES).code == 0
    file = tmp_path / "federation.twin.toml"
    assert huizhen("twin", "mirror", *NAMES).code == 2  # it is there already
    slow = (
        file.read_text(encoding="utf-8")
        .replace('"0.02 s"', '"0.5 s"')
        .replace('"0.01 s"', '"0.4 s"')
        .replace('"0.04 s"', '"0.6 s"')
    )
    file.write_text(slow, encoding="utf-8")
    more = [*DATA, "--mirror", "federation.twin.toml", "--draws", "20", "--deadline", "1 h"]
    there = json.loads(huizhen("forecast", "study.toml", *more, "--json").out)
    usual = json.loads(huizhen("forecast", "study.toml", *DATA, "--draws", "20", "--json").out)
    assert there["total"][0] > 5 * usual["total"][0]
    told = huizhen("twin", "scenario", "study.toml", *more, "--set", "link.west-lake.rtt=2 s", "--protect", "masked")
    assert told.code == 0, told.err
    for words in ("as things are", "link.west-lake.rtt = 2 s", "protect masked", "all of it"):
        assert words in told.out


def test_a_run_with_a_forecast_tells_both_and_the_report_of_the_twin_knows_it(huizhen, hospitals, tmp_path):
    told = huizhen(*hospitals, "--no-compare", "--forecast")
    assert told.code == 0, told.err
    assert "forecast beside actual" in told.out
    (report,) = (tmp_path / "huizhen-out").glob("*/report.html")
    page = report.read_text(encoding="utf-8")
    assert "Forecast beside actual" in page
    assert "预测与实际" in page
    told = huizhen("twin", "report")
    assert told.code == 0, told.err
    for part in ("total", "compute", "bytes", "rest"):
        assert part in told.out
    shadow = tmp_path / "huizhen-out" / "shadow.jsonl"
    shadow.write_text(shadow.read_text().replace('"seen":', '"seen":1', 1))
    told = huizhen(*hospitals, "--no-compare", "--forecast")
    assert told.code == 2
    assert "does not follow the one before" in told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["forecast", "study.toml"], "neither"),
        (["forecast", "study.toml", *DATA, "--deadline", "soon"], "The deadline is no duration"),
        (["forecast", "study.toml", *DATA, "--mirror", "none.toml"], "a file that can be read"),
        (["forecast", "study.toml", *DATA, "--mirror", "broken.toml"], "a device of the mirror"),
        (["forecast", "study.toml", *DATA, "--mirror", "few.toml"], "south-hill"),
        (["forecast", "study.toml", *DATA, "--mirror", "few.toml", "--in-process"], "no lines to be declared"),
        (["forecast", "study.toml", "--cards", "nowhere"], "a folder of cards"),
        (["twin", "scenario", "study.toml", *DATA, "--set", "link.west-lake.rtt=20 Mbit/s"], "a value in s"),
        (["twin", "scenario", "study.toml", *DATA, "--set", "link.moon.rtt=2 s"], "moon"),
        (["twin", "scenario", "study.toml", *DATA, "--set", "moon"], "no PATH=VALUE"),
        (["twin", "scenario", "study.toml", *DATA, "--without", "moon"], "moon"),
        (["twin", "scenario", "study.toml", *DATA, "--protect", "hope"], "one of: plain, masked, paillier"),
        (["twin", "report"], "No run has been compared"),
        (["twin", "mirror", "a b"], "'a b'"),
        (["twin", "lab", "there", "--plan", "none.toml"], "a plan of the lab"),
        (["twin", "calibrate", "--out", "study.toml"], "a file that is there already"),
    ],
    ids=str,
)
def test_what_cannot_be_foreseen_is_said_with_what_to_do(huizhen, hospitals, tmp_path, words, said):
    assert huizhen("twin", "mirror", *NAMES[:2], "--out", "few.toml").code == 0
    whole = (tmp_path / "few.toml").read_text(encoding="utf-8")
    (tmp_path / "broken.toml").write_text(whole.replace('device = "this-machine"', 'device = "abacus"'), encoding="utf-8")
    told = huizhen(*words)
    assert told.code in (2, 4), told.out
    assert said in told.err
