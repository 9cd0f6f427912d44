"""A learned model in the report: curves, the course of learning, importance, and models beside each other."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from scipy.special import expit

from huizhen.data.examples import Examples, Numbers
from huizhen.embedded.judged import judge
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.measure import learning, measure, quality
from huizhen.privacy.release import Terms
from huizhen.privacy.result import Result, Table, Withheld
from huizhen.report import discrimination, glance, learned, plain, story
from huizhen.report.content import Analysis, ReportContent, Unjudged
from huizhen.report.page import render
from huizhen.report.plain import tables
from huizhen.report.quality import leading_measure, measured, quality_grids

AIM = Aim("binary", ("died",), ("0", "1"))
LABELS = Aim("multilabel", ("edema", "mass", "effusion"))
SITES = ("cleveland", "hungary", "switzerland", "long-beach")


def rows(count, seed):
    rng = np.random.default_rng(seed)
    risk = rng.normal(-0.3, 1.3, count)
    died = (rng.random(count) < expit(risk)).astype(float)
    return Examples({"died": Numbers(died), "risk": Numbers(risk), "noise": Numbers(rng.normal(0, 1, count))}, count)


def appraise(result, spec, terms, examples, fold):
    score = examples.number("risk") + result.facts["wrong"] * examples.number("noise")
    found = measure(AIM, score[:, None] * result.facts["too_bold"], AIM.targets(examples))
    return quality(AIM, found, min_cell_count=terms.min_cell_count)


def course():
    rng, n = np.random.default_rng(0), 60
    loss = 0.42 + 0.3 * np.exp(-np.arange(n) / 12)
    auc = 0.83 - 0.2 * np.exp(-np.arange(n) / 8) - 1e-5 * np.maximum(np.arange(n) - 35, 0) ** 2 + rng.normal(0, 0.002, n)
    held = 0.47 + 0.25 * np.exp(-np.arange(n) / 10) + 5e-5 * np.maximum(np.arange(n) - 30, 0) ** 2
    return learning([{"loss": a, "log_loss": b, "auc": c} for a, b, c in zip(loss, held, auc)])


def binary(sites=SITES):
    tables = {site: rows(80 + 60 * place, place) for place, site in enumerate(sites)}
    joint = Result("boosting", sum(one.rows for one in tables.values()), sites, {"wrong": 0.25, "too_bold": 1.1})
    alone = {
        site: Result("boosting", tables[site].rows, (site,), {"wrong": 0.6 + 0.3 * i, "too_bold": 1.5})
        for i, site in enumerate(sites)
    }
    pooled = replace(joint, facts={"wrong": 0.26, "too_bold": 1.1})
    method = SimpleNamespace(appraise=appraise, name="boosting")
    judged = judge(SimpleNamespace(method=method, spec=None), joint, alone=alone, pooled=pooled, rows=tables, terms=Terms())
    own = appraise(joint, None, Terms(), rows(500, 77), 1)
    names = ("oldpeak", "thalach", "chest pain", "age", "number of vessels", "cholesterol", "sex", "resting blood pressure")
    gain = tuple(100 * 0.6**i for i in range(8))
    importance = Table(
        {"variable": names, "gain": gain, "splits": tuple(range(80, 0, -10))}, "variable", "Importance of the variables."
    )
    facts = {"rounds": 60, "chosen_round": 36, "judged_on": "test"}
    result = replace(joint, facts=facts, tables={"learning": course(), **own, "importance": importance})
    return Analysis("boosted trees", result, alone, pooled, rounds=64, quality=judged.quality, curves=judged.curves)


def labelled():
    rng = np.random.default_rng(4)
    z = rng.normal(-0.8, 1.0, (900, 3)) * np.array([1.0, 0.6, 1.6])
    truth = (rng.random((900, 3)) < expit(z)).astype(float)
    return Analysis(
        "chest films", Result("averaging", 900, SITES, tables=quality(LABELS, measure(LABELS, z, truth))), {}, rounds=20
    )


def content_of(*analyses):
    return ReportContent(
        title="Does the joint model see more than each hospital?",
        question="Does the joint model see more than each hospital?",
        study_digest="9f2c" * 16,
        run="run-1",
        started=datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC),
        seconds=61.0,
        engine="in-process",
        lane="embedded",
        version="0.1.0",
        cohort=(),
        participants={site: 80 + 60 * place for place, site in enumerate(SITES)},
        left_out=(),
        analyses=analyses or (binary(), labelled()),
        left=(),
        refusals=(),
        policies={},
        ledgers=(),
    )


@pytest.fixture(scope="module")
def page():
    return render(content_of())


def test_a_learned_model_has_its_plots_with_words_in_both_languages(page):
    for title in (
        "Telling patients apart",
        "The course of learning",
        "What the model looks at",
        "区分度与校准",
        "学习过程",
        "变量重要性",
    ):
        assert title in page
    titles = [plot.title.en for plot in story.chapters(content_of())[0].plots]
    assert titles == ["Telling patients apart, and risks that come true", "The course of learning", "What the model looks at"]
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_curves_name_the_areas_of_the_federation_the_pooled_rows_and_the_hospitals_alone(page):
    told = measured(binary(), "auc")
    assert told.keys() == {"federation", "pooled", *SITES}
    own = [told[site][0] for site in SITES]
    for words in (
        f"Federation {told['federation'][0]:.3f}",
        f"Pooled rows {told['pooled'][0]:.3f}",
        f"Alone {min(own):.3f}–{max(own):.3f}",
    ):
        assert words in page


def test_models_stand_beside_each_other_on_all_rows_and_on_each_hospitals():
    analysis = binary()
    on_all, by_site = quality_grids(analysis)
    assert [row[0].text.en for row in on_all.rows] == ["Federation", "Pooled rows", *(f"{site} alone" for site in SITES)]
    value, low, high = measured(analysis, "auc")["federation"]
    assert on_all.rows[0][1].text.en == f"{value:.3f}"
    assert on_all.rows[0][1].note == f"({low:.3f}–{high:.3f})"
    assert [head.text.en for head in by_site.heads[1:]] == list(SITES)
    assert len(by_site.rows) == 6


def test_what_is_withheld_of_a_model_is_not_shown():
    analysis = binary()
    columns = dict(analysis.quality.columns)
    hidden = [rows_ == "hungary" for rows_ in columns["rows"]]
    for name in ("auc", "auc_low", "auc_high"):
        columns[name] = tuple(None if gone else value for value, gone in zip(columns[name], hidden))
    by_site = quality_grids(replace(analysis, quality=replace(analysis.quality, columns=columns)))[1]
    assert {row[2].text.en for row in by_site.rows} == {"–"}
    assert "–" not in {row[1].text.en for row in by_site.rows}


def test_the_short_answer_says_what_sharing_was_worth():
    told = {name: value for name, (value, _, _) in measured(binary(), "auc").items()}
    sentences = [one.en for one in story.short_answer(content_of())]
    own = [told[site] for site in SITES]
    expected = (
        f"boosted trees: on the same patients of all hospitals, which no model had seen, the joint model reaches AUC "
        f"{told['federation']:.3f}, the hospitals' own models {min(own):.3f}–{max(own):.3f}, and a model of the pooled rows "
        f"{told['pooled']:.3f}."
    )
    assert expected in sentences
    assert not any("no pooled rows here" in one for one in sentences)


def test_at_a_glance_a_learned_model_shows_its_leading_measure():
    first = glance.findings(binary().federation)[0]
    assert first.name.en == "AUC"
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3}–0\.\d{3}\)", first.text.en)
    assert [one.text.en.split()[0] for one in glance.findings(labelled().federation)] == ["mean", "edema", "mass"]


def test_several_labels_have_a_curve_each(page):
    analysis = labelled()
    assert discrimination.curves(analysis, "k") is not None
    assert "edema" in page


def test_long_tables_that_a_plot_shows_are_folded():
    chapter = story.chapters(content_of(binary()))[0]
    folded = {grid.caption.en for grid in chapter.folded}
    assert {"The course of learning", "Points of the ROC curve", "Importance of the variables"} <= folded
    assert chapter.alone is None or "round" not in {head.text.en for head in chapter.alone.heads}


def test_a_result_without_curves_has_no_plot_of_them():
    plain = Analysis("empty", Result("averaging", 10, SITES, tables={"learning": learning([{"loss": 1.0}])}), {})
    assert discrimination.curves(plain, "k") is None
    assert learned.learning(plain, "k") is None
    assert learned.importance(plain, "k") is None
    assert quality_grids(plain) == ()
    withheld = Table({"false_positive_rate": (None, None), "sensitivity": (None, None)})
    gone = Result("averaging", 10, SITES, tables={"roc": withheld}, withheld=(Withheld("roc", "It would undo rounding."),))
    assert discrimination.curves(Analysis("rounded", gone, {}), "k") is None


def test_the_leading_measure_is_the_first_that_is_told():
    assert leading_measure(Table({"rmse": (1.0,), "concordance": (None,)})) == "rmse"
    assert leading_measure(Table({"patients": (1,)})) == ""


def test_the_terminal_shows_the_measures_beside_those_of_the_pooled_rows():
    told = printed(content_of(binary()), 160)
    assert "Every model on the same" in told
    assert re.search(r"Federation +0\.\d+", told)
    assert "Calibration slope" in told


def printed(content, width, language="en"):
    console = Console(width=width, record=True, file=io.StringIO())
    for part in tables(content, language):
        console.print(part)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_says_on_whose_patients_each_figure_rests(width):
    """No hospital's figure on its own patients stands beside the federation's on those of all."""
    analysis = binary()
    told = printed(content_of(analysis), width)
    values = {name: f"{value:.3f}" for name, (value, _, _) in measured(analysis, "auc").items()}
    same, own = told.split("Every model on the same")[1].split("AUC of every model, a column for each")
    for name, value in values.items():
        (line,) = [
            line
            for line in same.splitlines()
            if line.strip().startswith({"federation": "Federation", "pooled": "Pooled"}.get(name, name))
        ]
        assert value in line
    assert all(f"{site} alone" in own for site in SITES)
    assert "How good the predictions" not in told


def test_own_measures_in_the_report_say_that_they_rest_on_other_patients():
    alone = story.chapters(content_of(binary()))[0].alone
    assert "each model on its own hospital's patients only" in alone.caption.en


def test_why_a_model_was_not_judged_is_said_in_the_terminal_and_in_the_report():
    reasons = tuple(Unjudged("alone", SITES[0], rows, "the memory ran out") for rows in (SITES[1], "all"))
    analysis = replace(binary(), unjudged=reasons)
    said = f"{SITES[0]} alone was not judged on the patients of {SITES[1]}, all hospitals together: the memory ran out"
    assert said in " ".join(printed(content_of(analysis), 160).split())
    assert said in [note.en for note in story.chapters(content_of(analysis))[0].notes]
    assert "未能在" in printed(content_of(analysis), 160, "zh")


def test_a_model_that_need_not_equal_the_pooled_one_has_no_difference_told_as_an_error():
    analysis = binary()
    analysis = replace(analysis, pooled=replace(analysis.pooled, tables=analysis.federation.tables))
    assert "Difference" in render(content_of(analysis))
    assert "Difference" not in render(content_of(replace(analysis, exact=False)))


def test_a_ring_marks_the_model_that_was_kept_unless_it_is_the_last():
    course = Table({"tree": tuple(range(6)), "training_loss": (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)}, "tree")
    drawn = {}
    for kept in (3, 5, None):
        facts = {} if kept is None else {"chosen_tree": kept}
        analysis = Analysis("trees", Result("boosting", 10, SITES, facts, {"learning": course}), {})
        sheet, text = learned.learning(analysis, "k")
        drawn[kept] = "s-ring" in sheet.markup(text, text)
    assert drawn == {3: True, 5: False, None: False}


def test_what_there_is_no_room_for_is_said():
    sites = tuple(f"site-{place}" for place in range(14))
    by_site = quality_grids(binary(sites))[1]
    assert len(by_site.heads) == 13
    assert by_site.help.en.startswith("2 more hospitals")
    rng, aim = np.random.default_rng(1), Aim("multilabel", tuple("abcdefgh"))
    tables = quality(aim, measure(aim, rng.normal(0, 1, (200, 8)), (rng.random((200, 8)) < 0.5).astype(float)))
    _, text = discrimination.curves(Analysis("films", Result("averaging", 200, SITES, tables=tables), {}), "k")
    assert text.en.startswith("The first 6 of 8 labels")


def few(count):
    """A model that few patients judge, so that its curve has few points."""
    table = rows(count, 1)
    found = quality(AIM, measure(AIM, table.number("risk")[:, None], AIM.targets(table)))
    return Analysis("few", Result("averaging", count, SITES, tables=found), {})


def test_where_the_line_of_few_points_lies_below_the_auc_beside_it_the_report_says_so():
    sparse, dense = few(60), few(4000)
    _, text = discrimination.curves(sparse, "k")
    roc = sparse.federation.tables["roc"].columns
    area = np.trapezoid(roc["sensitivity"], roc["false_positive_rate"])
    assert (roc["false_positive_rate"][-1], roc["sensitivity"][-1]) == (1.0, 1.0)
    assert abs(area - discrimination.auc_of(sparse)[0]) > 0.01
    assert f"the area below it is {area:.3f}" in text.en
    assert f"线下面积为 {area:.3f}" in text.zh
    assert "area below" not in discrimination.curves(dense, "k")[1].en


def test_the_area_beside_a_curve_is_of_the_rows_that_the_curve_is_of():
    whole = binary()
    own = f"{discrimination.estimated(whole.federation, 'auc')[0]:.3f}"
    joint = f"{measured(whole, 'auc')['federation'][0]:.3f}"
    assert own != joint
    for curves, words, other in (
        (whole.curves, joint, own),
        ({**whole.curves, "": {}}, own, joint),  # no curve on the rows of all: its own is drawn
    ):
        analysis = replace(whole, curves=curves)
        said = " ".join(line.en for line, _ in discrimination.auc_lines(analysis, alone=False, pooled=False))
        assert words in said
        assert other not in said
    untold = replace(whole, quality=None)
    assert discrimination.auc_lines(untold, alone=False, pooled=False) == [], "rather none than that of other rows"


def test_trees_of_several_classes_are_told_with_what_they_are_multiplied_from():
    facts = {"trees": 45, "classes": 3, "chosen_tree": 15}
    said = plain.facts_line(Result("boosting", 90, SITES, facts), "en").plain
    assert said == "Trees 45 · Classes, a tree for each in every round 3 · Rounds of trees that were kept 15"
