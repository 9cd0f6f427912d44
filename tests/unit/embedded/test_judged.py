"""Learned models beside each other, the sites' own, the joint and the pooled one, on rows that none of them learnt from."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from huizhen.data.examples import Examples, Numbers
from huizhen.embedded.judged import judge
from huizhen.embedded.run import run_tables
from huizhen.errors import SiteError
from huizhen.federation.study import Analysis, Study
from huizhen.methods.alone import alone
from huizhen.methods.method import ScriptedMethod, Spec, Use
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.measure import measure, quality
from huizhen.privacy.release import Answer, Part, Question, Terms
from huizhen.privacy.result import Result, Table
from huizhen.report.content import Unjudged

AIM = Aim("binary", ("died",), ("0", "1"))
NAMES = ("died", "x", "noise", "kept")


class LineSpec(Spec):
    """A score along the difference of the class means; rows with ``kept`` 1 or 2 are held aside."""


def program(spec, terms):
    total = yield Question("line", "sums", variables=NAMES)
    died, lived = total.sums["died"], total.sums["lived"]
    slope = died[1:] / died[0] - lived[1:] / lived[0]
    return Result("line", total.rows, total.roster, {"slope": slope.tolist()})


def sums(question, examples, local, rng):
    learnt = examples.number("kept") == 0
    x = np.stack([np.ones(examples.rows), examples.number("x"), examples.number("noise")])
    died = examples.number("died") == 1
    parts = {
        "died": Part(x[:, learnt & died].sum(axis=1), examples.rows),
        "lived": Part(x[:, learnt & ~died].sum(axis=1), examples.rows),
    }
    return Answer(parts, examples.rows), local


def scores(slope, rows):
    return slope[0] * rows.number("x") + slope[1] * rows.number("noise")


def appraise(result, spec, terms, examples, fold):
    rows = examples.where(examples.number("kept") == fold)
    if not rows.rows:
        return {}
    found = measure(AIM, scores(result.facts["slope"], rows)[:, None], AIM.targets(rows))
    return quality(AIM, found, min_cell_count=terms.min_cell_count)


LINE = ScriptedMethod(
    name="line",
    spec=LineSpec,
    program=program,
    steps={"sums": sums},
    reads=lambda spec: [Use(name, "number") for name in NAMES],
    appraise=appraise,
)


def site(count, seed, *, kept=2, aside=0.4):
    rng = np.random.default_rng(seed)
    died = (rng.random(count) < 0.5).astype(float)
    columns = {
        "died": died,
        "x": died + rng.normal(0, 1.0, count),
        "noise": rng.normal(0, 1.0, count),
        "kept": kept * (rng.random(count) < aside).astype(float),
    }
    return Examples({name: Numbers(values) for name, values in columns.items()}, count)


def telling(spec, terms):
    """As the program, with the quality on the rows held aside in the result."""
    total = yield Question("line", "sums", variables=NAMES)
    slope = total.sums["died"][1:] / total.sums["died"][0] - total.sums["lived"][1:] / total.sums["lived"][0]
    judged_ = yield Question("line", "judge", {"slope": slope.tolist()}, variables=NAMES)
    course = Table({"loss": (0.7,)}, "", "The course of learning.")
    tables = {"learning": course, **quality(AIM, judged_.sums)}
    return Result("line", total.rows, total.roster, {"slope": slope.tolist()}, tables, model={"slope": slope.tolist()})


def judge_rows(question, examples, local, rng):
    rows = examples.where(examples.number("kept") == 2)
    found = measure(AIM, scores(question.facts["slope"], rows)[:, None], AIM.targets(rows))
    return Answer({name: Part(values, examples.rows) for name, values in found.items()}, examples.rows), local


TELLING = replace(LINE, program=telling, steps={"sums": sums, "judge": judge_rows})

SITES = {"east": site(120, 1), "west": site(200, 2), "north": site(150, 3)}
STUDY = Study.parse({"study": {"title": "Lines"}, "method": {"summary": {"variables": ["x"]}}})
LEARNING = replace(STUDY, analyses=(Analysis("line", LINE, LineSpec()),))


def row(table, **wanted):
    places = [
        i for i in range(len(table.columns["model"])) if all(table.columns[name][i] == value for name, value in wanted.items())
    ]
    assert len(places) == 1, wanted
    return {name: values[places[0]] for name, values in table.columns.items()}


def judged(sites, terms=None):
    analysis, terms = Analysis("line", LINE, LineSpec()), terms or Terms()
    own = {name: alone(LINE, LineSpec(), terms, rows) for name, rows in sites.items()}
    joint = alone(LINE, LineSpec(), terms, SITES["west"])
    return judge(analysis, joint, alone=own, pooled=joint, rows=sites, terms=terms)


def test_a_run_judges_every_model_on_every_sites_rows_and_on_all():
    finding = run_tables(LEARNING, SITES)["line"]
    table = finding.quality
    assert len(table.columns["model"]) == (3 + 2) * (3 + 1)
    kept = {name: rows.where(rows.number("kept") == 2) for name, rows in SITES.items()}
    for kind, name, slope in (
        ("federation", "", finding.result),
        ("alone", "east", finding.alone["east"]),
        ("pooled", "", finding.pooled),
    ):
        for where, rows in kept.items():
            told = row(table, model=kind, site=name, rows=where)
            assert told["auc"] == pytest.approx(roc_auc_score(rows.number("died"), scores(slope.facts["slope"], rows)), abs=1e-3)
            assert told["auc_low"] < told["auc"] < told["auc_high"]
            assert told["patients"] == rows.rows
    federation, pooled = (row(table, model=kind, rows="all") for kind in ("federation", "pooled"))
    assert federation["auc"] == pooled["auc"]
    assert federation["patients"] == sum(rows.rows for rows in kept.values())
    frame = finding.to_pandas("quality")
    assert frame[frame["rows"] == "all"]["auc"].notna().all()
    assert set(finding.judged.curves) == {"", "*", "east", "west", "north"}
    assert finding.judged.curves[""].keys() == {"roc", "calibration"}


def test_without_test_rows_the_validation_rows_are_looked_at_and_without_those_nothing():
    of_validation = judged({name: site(100, i, kept=1) for i, name in enumerate(SITES)})
    assert row(of_validation.quality, model="federation", rows="all")["auc"] is not None
    assert judged({name: site(100, i, aside=0.0) for i, name in enumerate(SITES)}).quality is None


def test_a_method_that_does_not_learn_is_not_judged():
    finding = run_tables(STUDY, SITES)["summary"]
    assert finding.quality is None
    assert not finding.judged.curves


def few_missed(rows, missed):
    """The rows, all held aside, with `missed` deaths below the cut of 0 and all others rightly scored."""
    died = rows.number("died")
    x = np.where(died == 1, 2.0, -2.0)
    x[np.flatnonzero(died == 1)[:missed]] = -2.0
    x[np.flatnonzero(died == 0)[:9]] = 2.0
    columns = {"died": died, "x": x, "noise": np.zeros(rows.rows), "kept": np.full(rows.rows, 2.0)}
    return Examples({name: Numbers(values) for name, values in columns.items()}, rows.rows)


def test_where_one_sites_rate_tells_of_a_few_patients_a_second_sites_is_withheld_too():
    sites = {"east": few_missed(SITES["east"], 2), "west": few_missed(SITES["west"], 12), "north": few_missed(SITES["north"], 9)}
    analysis, terms = Analysis("line", LINE, LineSpec()), Terms(min_cell_count=5)
    model = Result("line", 100, facts={"slope": [1.0, 0.0]})
    table = judge(analysis, model, alone={}, pooled=None, rows=sites, terms=terms).quality
    told = {name: row(table, model="federation", rows=name) for name in (*sites, "all")}
    assert told["east"]["sensitivity"] is None  # 2 missed
    assert told["north"]["sensitivity"] is None  # the smallest other one
    assert told["west"]["sensitivity"] is not None
    assert told["all"]["sensitivity"] is not None
    assert all(one["auc"] is not None for one in told.values())


def test_how_many_patients_bear_a_label_at_one_site_is_not_to_be_had_from_the_others():
    few = SITES["east"]
    died = few.number("died") * (np.cumsum((few.number("died") == 1) & (few.number("kept") == 2)) <= 3)
    sites = {**SITES, "east": Examples({**few.columns, "died": Numbers(died)}, few.rows)}
    assert (died[few.number("kept") == 2] == 1).sum() == 3
    table = judged(sites).quality
    told = {name: row(table, model="federation", rows=name) for name in (*sites, "all")}
    assert told["east"]["auc"] is told["north"]["auc"] is None
    assert told["west"]["auc"] is not None
    assert told["east"]["brier"] is told["north"]["brier"] is told["east"]["log_loss"] is None  # losses count the label too
    assert told["west"]["brier"] is not None
    assert told["east"]["patients"] == (few.number("kept") == 2).sum()
    own = run_tables(replace(LEARNING, analyses=(Analysis("line", TELLING, LineSpec()),)), sites)["line"].alone
    groups = {
        name: dict(zip(own[name].tables["quality"].columns["measure"], own[name].tables["quality"].columns["smallest_group"]))
        for name in sites
    }
    assert groups["east"]["auc"] is groups["north"]["auc"] is None  # else the joint number less those of the others is 3
    assert groups["west"]["auc"] is not None
    assert groups["north"]["brier"] is None


def test_a_sites_own_model_and_its_course_and_curves_are_for_the_comparison_only():
    finding = run_tables(replace(LEARNING, analyses=(Analysis("line", TELLING, LineSpec()),)), SITES)["line"]
    assert finding.result.model
    assert {"learning", "roc", "calibration"} <= finding.result.tables.keys()
    for result in finding.alone.values():
        assert not result.model
        assert result.tables.keys() == {"quality", "at_threshold"}
    assert row(finding.quality, model="alone", site="east", rows="all")["auc"] is not None


def test_a_sites_few_rows_are_not_told_of_and_not_to_be_had_from_the_others():
    sites = {**SITES, "east": site(12, 9)}
    assert 0 < (sites["east"].number("kept") == 2).sum() < 8
    table = judged(sites, Terms(min_cell_count=8)).quality
    told = {name: row(table, model="federation", rows=name) for name in (*sites, "all")}
    assert told["east"]["patients"] is told["north"]["patients"] is None
    assert told["east"]["auc"] is told["north"]["auc"] is told["north"]["brier"] is None
    assert told["west"]["auc"] is not None
    assert told["all"]["auc"] is not None


def test_rates_that_would_undo_rounding_are_withheld():
    table = judged(SITES, Terms(round_to=10)).quality
    told = row(table, model="federation", rows="all")
    assert told["sensitivity"] is None
    assert told["auc"] is not None
    assert told["patients"] % 10 == 0


def test_a_model_that_could_not_be_learnt_has_an_empty_row():
    analysis, failed = Analysis("line", LINE, LineSpec()), Result("line", failure="one class only")
    good = alone(LINE, LineSpec(), Terms(), SITES["west"])
    table = judge(analysis, good, alone={"east": failed}, pooled=None, rows=SITES, terms=Terms()).quality
    assert row(table, model="alone", site="east", rows="west")["auc"] is None
    assert row(table, model="federation", rows="west")["auc"] is not None
    assert judge(analysis, failed, alone={"east": good}, pooled=None, rows=SITES, terms=Terms()).quality is None


def stubborn(error, *, on=None):
    """As the method, but the model of slope 1 along x cannot be used, on these rows or on any."""

    def judged_stubbornly(result, spec, terms, examples, fold):
        if result.facts["slope"] == [1.0, 0.0] and (on is None or examples is on):
            raise error
        return appraise(result, spec, terms, examples, fold)

    return Analysis("line", replace(LINE, appraise=judged_stubbornly), LineSpec())


def test_why_a_model_could_not_be_judged_on_some_rows_is_kept_beside_the_others_numbers():
    odd, good = Result("line", 100, facts={"slope": [1.0, 0.0]}), Result("line", 100, facts={"slope": [1.0, 0.1]})
    analysis = stubborn(SiteError("it has not seen the level 'rare'"), on=SITES["east"])
    found = judge(analysis, good, alone={"west": odd}, pooled=None, rows=SITES, terms=Terms())
    assert found.untold == (Unjudged("alone", "west", "east", "it has not seen the level 'rare'"),)
    assert row(found.quality, model="alone", site="west", rows="east")["auc"] is None
    assert row(found.quality, model="alone", site="west", rows="north")["auc"] is not None


def test_a_foreign_exception_while_judging_is_told_without_its_text_and_the_others_are_still_judged():
    odd, good = Result("line", 100, facts={"slope": [1.0, 0.0]}), Result("line", 100, facts={"slope": [1.0, 0.1]})
    found = judge(stubborn(ValueError("SECRET-4711")), odd, alone={"west": good}, pooled=None, rows=SITES, terms=Terms())
    assert {(each.model, each.rows) for each in found.untold} == {("federation", name) for name in (*SITES, "all")}
    assert all("ValueError" in each.reason and "SECRET" not in each.reason for each in found.untold)
    assert row(found.quality, model="federation", rows="all")["auc"] is None
    assert row(found.quality, model="alone", site="west", rows="all")["auc"] is not None


def test_each_judgement_is_announced():
    told = []
    good = Result("line", 100, facts={"slope": [1.0, 0.0]})
    announce = lambda place, of: told.append((place, of))  # noqa: E731
    analysis = Analysis("line", LINE, LineSpec())
    judge(analysis, good, alone={"west": good}, pooled=good, rows=SITES, terms=Terms(), judging=announce)
    assert told == [(place, 12) for place in range(1, 13)]
