"""A plan of the lab: what it stands for, and all its mistakes at once."""

import pytest

from huizhen.errors import CallerError
from huizhen.twin.lab.plan import read_plan

PLAN = """
[lab]
title = "three lines"
[site.east]
[site.west]
rows = 500
[line.near]
up_mbit_s = 100
down_mbit_s = 80
rtt_ms = 10
[line.far]
rtt_ms = 120
[study.mean]
method = {summary = {variables = ["age"]}}
[transfer.large]
bytes = 1000
[[configuration]]
study = ["mean", "large"]
line = ["near", "far"]
cores = [0, 0.5]
"""


def test_a_block_stands_for_all_combinations_of_what_it_lists():
    plan = read_plan(PLAN.encode())
    assert len(plan.configurations) == 2 * 2 * 2
    one = next(one for one in plan.configurations if one.name == "mean/far/0.5-cores")
    assert (one.sites, dict(one.lines), one.cores, one.held_out) == (("east", "west"), {"east": "far", "west": "far"}, 0.5, True)


def test_a_megabit_a_second_is_125000_bytes_a_second():
    line = read_plan(PLAN.encode()).lines["near"]
    assert (line.up, line.down, line.rtt_s) == (12_500_000, 10_000_000, 0.01)


def test_a_transfer_is_of_one_site():
    plan = read_plan(PLAN.encode())
    assert {one.sites for one in plan.configurations if one.study == "large"} == {("east",)}


def test_another_plan_has_another_digest():
    assert read_plan(PLAN.encode()).digest != read_plan(PLAN.replace("500", "501").encode()).digest


def test_all_mistakes_are_told_at_once():
    wrong = (
        PLAN.replace("up_mbit_s", "up_mbits")
        .replace("rows = 500", "rows = 5")
        .replace('["near", "far"]', '["near", "fern"]')
        .replace('title = "three lines"', 'shaping = "tunnels"')
        .replace("bytes = 1000", 'bytes = 1000\nway = "sideways"')
    )
    with pytest.raises(CallerError) as told:
        read_plan(wrong.encode())
    assert {problem.where for problem in told.value.problems} == {
        "line.near.up_mbits",
        "site.west.rows",
        "configuration 1.line",
        "lab.shaping",
        "transfer.large.way",
    }


def test_what_is_wrong_with_a_study_is_told_with_the_plan():
    with pytest.raises(CallerError) as told:
        read_plan(PLAN.replace('variables = ["age"]', 'variable = ["age"]').replace("rtt_ms = 120", "rtt = 120").encode())
    places = [problem.where for problem in told.value.problems]
    assert "line.far.rtt" in places
    assert any(place.startswith("study.mean.method.summary") for place in places)


def test_one_site_alone_is_no_federation():
    with pytest.raises(CallerError, match="2 to 32 sites"):
        read_plan(PLAN.replace("[site.west]\nrows = 500", "").encode())


def test_a_combination_that_stands_twice_is_refused():
    twice = PLAN + '[[configuration]]\nstudy = "mean"\nline = "near"\n'
    with pytest.raises(CallerError, match="mean/near a second time"):
        read_plan(twice.encode())


def test_a_site_without_a_line_is_refused():
    partly = PLAN + '[[configuration]]\nstudy = "mean"\nlines = {east = "near"}\n'
    with pytest.raises(CallerError, match="a line for every site"):
        read_plan(partly.encode())
