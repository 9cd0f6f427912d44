"""What somebody tries who wants more than a study may tell: each attack as it was first carried out, and what it gets now."""

from __future__ import annotations

import csv
import json

import pytest

from huizhen.errors import StudyError
from huizhen.federation.study import Study
from huizhen.methods.design.formula import parse


def glm(formula, **settings):
    return {"method": {"glm": {"formula": formula, "family": "gaussian", **settings}}}


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ (" + " + ".join(f"v{i}" for i in range(60)) + ")^9",
        "y ~ " + " * ".join(f"v{i}" for i in range(40)),
        "y ~ " + "(" * 4_000 + "x" + ")" * 4_000,
        "y ~ bs(x, knots=[" + ", ".join(map(str, range(100_000))) + "])",
    ],
    ids=["power", "product", "parentheses", "knots"],
)
def test_a_short_text_cannot_spell_an_endless_formula(formula):
    with pytest.raises(StudyError):
        parse(formula)


@pytest.mark.parametrize(
    "content",
    [
        {"method": {"quantile": {"variables": ["x"], "probabilities": [i / 2_000 for i in range(2_000)]}}},
        {"method": {"quantile": {"variables": ["x"], "tolerance": float("inf")}}},
        {"method": {"cox": {"time": "t", "event": "e", "covariates": ["x"], "max_iterations": 10**9}}},
        {"method": {"summary": {"variables": ["x"]}}, "variables": {"x": {"range": [0, float("inf")]}}},
        {"method": {"summary": {"variables": ["x"]}}, "variables": {"x": {"range": [float("nan"), 1.0]}}},
        {"method": {"summary": {"variables": ["x"], "label": "../../elsewhere"}}},
    ],
    ids=["probabilities", "tolerance", "iterations", "endless range", "no range", "label"],
)
def test_a_setting_without_bounds_is_a_mistake(content):
    with pytest.raises(StudyError):
        Study.parse(content)


def test_a_study_file_of_brackets_or_of_great_length_is_a_mistake_with_a_message(tmp_path):
    deep, long = tmp_path / "deep.toml", tmp_path / "long.toml"
    deep.write_text("[method.summary]\nvariables = " + "[" * 5_000 + "]" * 5_000)
    long.write_text("# " + "a" * 2_000_000)
    for path in (deep, long):
        with pytest.raises(StudyError):
            Study.read(path)


HOSTILE = ("[red]x[/blue]", "<script>alert(1)</script>", "\x1b]0;owned\x07\x1b[2J", "\u202egnp")


def write(path, columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    return path


def test_names_and_labels_of_a_table_are_shown_and_not_obeyed(huizhen, tmp_path):
    write(tmp_path / "odd.csv", {name: [f"{name} {i % 2}" for i in range(40)] for name in HOSTILE})
    for said in (huizhen("describe", "odd.csv"), huizhen("describe", "odd.csv", "--json")):
        assert said.code == 0
        assert "[red]x[/blue]" in said.out
        assert not any(mark in said.out for mark in ("\x1b]", "\x1b[2J", "\x07", "\u202e"))


def test_a_card_does_not_tell_a_value_that_outweighs_all_others(huizhen, tmp_path):
    columns = {"income": [1_000 + 7 * (i % 9) for i in range(59)] + [98_765_432], "age": [30 + 7 * i % 50 for i in range(60)]}
    write(tmp_path / "rich.csv", columns)
    income, age = json.loads(huizhen("describe", "rich.csv", "--json").out)["variables"]
    assert (income["mean"], income["sd"]) == (None, None)
    assert age["mean"] is not None
