"""What somebody tries who wants more than a study may tell: each attack as it was first carried out, and what it gets now."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from huizhen import run
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


def hospital(seed, rows=60, **more):
    rng = np.random.default_rng(seed)
    columns = {
        "age": rng.integers(30, 85, rows).astype(float),
        "crp": rng.normal(90, 18, rows),
        "sex": rng.choice(["f", "m"], rows),
        "died": (rng.random(rows) < 0.4).astype(float),
        "time": rng.integers(1, 900, rows).astype(float),
    }
    return columns | {name: make(rows) for name, make in more.items()}


def marking(value, patients, other=0.0):
    """A column that is `other` for everybody but a few."""
    return lambda rows: np.where(np.arange(rows) < patients, value, other)


def ask(study, **more):
    """The findings at three hospitals; `more`: columns that only the first one's patients differ in."""
    sites = {"west": hospital(1, **more), "north": hospital(2), "east": hospital(3)}
    for site in ("north", "east"):
        sites[site] |= {name: np.full(60, make(10_000)[-1]) for name, make in more.items()}
    return run(Study.parse(study), sites, compare=False)


RARE = [(1.0, 0.0), (0.0, 1.0), (2.0, 1.0), (7.0, 0.0)]


@pytest.mark.parametrize(("value", "other"), RARE)
def test_the_mean_of_a_code_does_not_count_the_few_who_have_it(value, other):
    study = {
        "method": {"summary": {"variables": ["rare", "age"], "correlation": True}, "table_one": {"variables": ["rare", "age"]}}
    }
    findings = ask(study, rare=marking(value, 3, other))
    for finding in findings:
        columns = finding.result.tables["numbers"].columns
        assert (columns["n"], columns["mean"][0], columns["sd"][0]) == ((180, 180), None, None)
        assert columns["mean"][1] is not None
        assert "moments of rare" in {one.what for one in finding.result.withheld}
    summary = findings["summary"].result
    assert "sum" in summary.tables["numbers"].columns
    assert summary.tables["numbers"].columns["sum"][0] is None
    assert summary.arrays == {}
    many = ask(study, rare=marking(value, 8, other))["summary"].result
    assert many.tables["numbers"].columns["sum"][0] == 8 * value + 172 * other


@pytest.mark.parametrize(("value", "other"), RARE)
@pytest.mark.parametrize("formula", ["age ~ rare", "age ~ center(rare)", "age ~ scale(rare)", "age ~ I(rare^2)", "rare ~ age"])
def test_no_model_describes_the_few_who_have_a_code(formula, value, other):
    finding = next(iter(ask(glm(formula), rare=marking(value, 3, other))))
    assert "1 to 4" in finding.result.failure or "fewer than 5" in finding.result.failure
    assert finding.result.tables == {}
    assert not next(iter(ask(glm(formula), rare=marking(value, 8, other)))).result.failure


@pytest.mark.parametrize("other", [0.0, 1e-9])
@pytest.mark.parametrize("kind", ["prior", "frequency"])
def test_weights_do_not_make_a_model_of_a_few_patients(kind, other):
    study = glm("crp ~ age", weights="w", weights_kind=kind)
    finding = next(iter(ask(study, w=marking(1.0, 4, other))))
    assert "outweigh" in finding.result.failure
    assert not next(iter(ask(study, w=marking(2.0, 9, 1.0)))).result.failure


def test_an_outcome_class_of_few_patients_is_not_hidden_behind_weights_of_zero():
    rows = {"w": marking(0.0, 1, 1.0)}
    sites = {name: hospital(seed, **rows) for seed, name in enumerate(("west", "north", "east"))}
    for columns in sites.values():
        columns["died"] = np.where(np.arange(60) < 2, 1.0, 0.0)  # six deaths, of which three have a weight
    study = {"method": {"glm": {"formula": "died ~ age", "family": "binomial", "weights": "w"}}}
    assert "classes" in run(Study.parse(study), sites, compare=False)["glm"].result.failure


def test_correlations_do_not_give_back_the_one_patient_whom_they_leave_out():
    study = {"method": {"summary": {"variables": ["age", "lab"], "correlation": True}}}
    for gone, shown in ((1, False), (4, False), (9, True), (0, True)):
        sites = {"west": hospital(1, lab=marking(np.nan, gone, 3.0)), "north": hospital(2, lab=lambda n: np.arange(n) + 5.0)}
        result = run(Study.parse(study), sites, compare=False)["summary"].result
        assert ("covariance" in result.arrays, "correlation" in result.tables) == (shown, shown), gone


def test_a_site_alone_does_not_give_back_what_another_withholds():
    """West has three deaths among the women; the joint table less those of the others would tell."""
    sites = {name: hospital(seed, 60) for seed, name in enumerate(("west", "north", "east"))}
    women = np.arange(60) < 30
    for site, dead in (("west", 3), ("north", 11), ("east", 12)):
        sites[site]["sex"] = np.where(women, "f", "m")
        sites[site]["died"] = np.where((np.arange(60) < dead) | (np.arange(60) >= 50), 1.0, 0.0)
    sites["west"]["lab"] = marking(np.nan, 3, 4.0)(60)
    sites["north"]["lab"], sites["east"]["lab"] = np.arange(60) + 3.0, np.append(np.arange(50) + 3.0, [np.nan] * 10)
    study = {"method": {"tabulate": {"rows": "sex", "columns": "died"}, "summary": {"variables": ["lab"]}}}
    findings = run(Study.parse(study), sites)
    whole, own = findings["tabulate"].result.cells["counts"].counts, findings["tabulate"].alone
    assert (whole >= 5).all()
    assert sum("counts" in result.cells for result in own.values()) <= 1
    numbers = [result.tables["numbers"].columns["n"][0] for result in findings["summary"].alone.values()]
    assert findings["summary"].result.tables["numbers"].columns["n"] == (167,)
    assert sum(n is None for n in numbers) == 2, "one withheld number could be had by subtraction"


def test_a_site_alone_fits_no_model_on_a_class_of_few_and_the_smallest_other_site_tells_of_none():
    """The deviances of the others, joint less theirs, would count the deaths in the west."""
    sites = {name: hospital(seed) for seed, name in enumerate(("west", "north", "east"))}
    sites["west"]["died"] = np.where(np.arange(60) % 20 == 7, 1.0, 0.0)
    study = {"method": {"glm": {"formula": "died ~ age", "family": "binomial"}}}
    finding = run(Study.parse(study), sites)["glm"]
    assert not finding.result.failure
    assert "min_cell_count" in finding.alone["west"].failure
    assert "would tell of that site's patients" in finding.alone["north"].failure
    assert not finding.alone["north"].facts
    assert "coefficients" in finding.alone["east"].tables


def test_a_number_of_events_is_not_read_off_a_criterion():
    from huizhen.policy.publication import publish
    from huizhen.privacy.release import Terms
    from huizhen.privacy.result import Result, Table

    few = publish(Result("cox", 100, facts={"events": 97, "aic": 310.0, "bic": 312.0}), Terms())
    assert (few.facts["events"], few.facts["bic"], few.facts["aic"]) == (None, None, 310.0)
    table = Table({"variable": ("age",), "n": (103,), "sd": (9.0,), "se": (0.9,)}, "variable", "", ("n",), "n", ("se",))
    rounded = publish(Result("summary", 103, facts={"n": 103, "df_residual": 99}, tables={"t": table}), Terms(round_to=10))
    assert (rounded.facts["n"], rounded.facts["df_residual"], rounded.tables["t"].columns["se"]) == (100, None, (None,))


def test_a_method_cannot_claim_more_rows_than_it_was_given():
    """The limit of parameters per row is judged by the rows that an answer claims to rest on."""
    from dataclasses import replace

    study = Study.parse({"method": {"summary": {"variables": ["age"]}}})
    analysis = study.analyses[0]

    def boast(question, examples, local, rng):
        answer, local = analysis.method.answer(question, examples, local, rng=rng)
        return replace(answer, rows=10**9), local

    boasting = replace(analysis.method, steps=dict.fromkeys(analysis.method.steps, boast))
    study = replace(study, analyses=(replace(analysis, method=boasting),))
    result = run(study, {"west": hospital(1), "north": hospital(2)}, compare=False)["summary"].result
    assert "claims more rows" in result.failure


@pytest.mark.parametrize(("gone", "told"), [(1, False), (4, False), (5, True), (0, True)])
def test_the_rows_of_two_analyses_do_not_count_the_few_between_them(gone, told):
    lab = np.arange(60) % 17 + 5.0
    sites = {"west": hospital(1) | {"lab": np.where(np.arange(60) < gone, np.nan, lab)}, "north": hospital(2) | {"lab": lab}}
    cox = {"time": "time", "event": "died", "strata": "site"}
    study = {
        "method": {
            "tabulate": {"rows": "sex", "columns": "died"},
            "cox": [{"label": "small", **cox, "formula": "~ age"}, {"label": "large", **cox, "formula": "~ age + lab"}],
        }
    }
    findings = run(Study.parse(study), sites)
    assert (findings["small"].result.rows, findings["small"].result.facts["rows"]) == (120, 120)
    large = findings["large"]
    assert len(large.coef_) == 2
    for result in (large.result, large.pooled, *large.alone.values()):
        assert (result.facts["events"] is not None, result.facts["bic"] is not None, bool(result.rows)) == (told,) * 3
    assert bool(large.outcome.rows) == told


def test_totals_before_suppression_are_not_readable_by_other_users(tmp_path):
    study = Study.parse({"method": {"summary": {"variables": ["age"]}}})
    run(study, {"west": hospital(1), "north": hospital(2)}, out=tmp_path, compare=False)
    kept = tmp_path / "checkpoints"
    assert list(kept.iterdir())
    assert kept.stat().st_mode & 0o077 == 0
