"""Beside the joint answer: what breaks there, what is interrupted there and what is seen of it costs nobody the joint answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from huizhen import Study, canonical, run
from huizhen.data.examples import Examples, Numbers
from huizhen.embedded import comparing
from huizhen.embedded.demo import DEMOS
from huizhen.embedded.run import run_tables
from huizhen.embedded.story import story
from huizhen.federation.keeping import result_from, result_to
from huizhen.federation.study import Analysis
from huizhen.methods.method import Local, ScriptedMethod, Spec, Use
from huizhen.privacy.release import Answer, Part, Progress, Question
from huizhen.privacy.result import Result
from huizhen.report import page
from huizhen.report.story import chapters

STUDY = Study.parse({"study": {"title": "Means", "seed": 11}, "method": {"summary": {"variables": ["x"]}}})
SITES = {
    site: Examples({"x": Numbers(np.random.default_rng(place).normal(place, 1, rows))}, rows)
    for place, (site, rows) in enumerate({"west": 40, "north": 30, "east": 50}.items())
}


class MeanSpec(Spec):
    """A mean asked three times."""


def program(spec, terms):
    for turn in range(3):
        total = yield Question("mean", "sums", variables=("x",), progress=Progress(turn, 3, {"loss": 1.0 / (turn + 1)}))
    return Result("mean", total.rows, total.roster, {"mean": float(total.sums["x"][0] / total.rows), "drawn": total.sums["x"][1]})


def sums(question, examples, local, rng):
    return Answer({"x": Part(np.array([examples.number("x").sum(), rng.normal()]), examples.rows)}, examples.rows), Local()


def breaking(when):
    """The step, which breaks as the story says where few enough rows are together."""

    def step(question, examples, local, rng):
        when(examples)
        return sums(question, examples, local, rng)

    return step


def study_of(step=sums, **more):
    method = ScriptedMethod("mean", MeanSpec, program, {"sums": step}, lambda spec: [Use("x", "number")], **more)
    return replace(STUDY, analyses=(Analysis("mean", method, MeanSpec()),))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("SECRET-4711"), "the memory ran out"),
        (ValueError("could not convert 'SECRET-4711'"), "the program broke (ValueError"),
    ],
)
def test_what_breaks_beside_the_joint_answer_is_said_there_without_a_value(error, said):
    def pooled_alone(examples):
        if examples.rows == 120:
            raise error

    finding = run_tables(study_of(breaking(pooled_alone)), SITES)["mean"]
    assert not finding.result.failure
    assert said in finding.pooled.failure
    assert "SECRET" not in finding.pooled.failure
    assert all(not own.failure for own in finding.alone.values())


def test_rows_that_cannot_be_put_together_leave_the_joint_answer_and_every_site_alone(monkeypatch):
    def full(tables):
        raise MemoryError

    monkeypatch.setattr(comparing, "concatenate", full)
    finding = run_tables(study_of(), SITES)["mean"]
    assert not finding.result.failure
    assert "memory ran out" in finding.pooled.failure
    assert set(finding.alone) == set(SITES)


def test_a_training_that_diverges_at_one_site_leaves_the_joint_answer_and_says_why_that_site_has_none_alone():
    pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    sites = {}
    for site, factor in {"west": 1.0, "north": 1.0, "east": 1e25}.items():
        a = rng.normal(size=60)
        sites[site] = {"a": a * factor, "y": np.where(rng.random(60) < 1 / (1 + np.exp(-a)), "ill", "well")}
    settings = {"network": "mlp", "outcome": "y", "covariates": ["a"], "scale": "none", "rounds": 4, "learning_rate": 1.0}
    findings = run(Study.parse({"study": {"seed": 5}, "method": {"averaging": settings}}), sites)
    finding = findings["averaging"]
    assert not finding.result.failure
    assert "training diverged" in finding.alone["east"].failure
    assert "training diverged" in finding.pooled.failure
    assert not finding.alone["west"].failure
    assert "training diverged" in " ".join(phrase.en for phrase, _ in reasons_of(findings))


def reasons_of(findings):
    return chapters(story(findings))[0].reasons


def test_every_model_is_an_event_with_the_methods_own_progress(tmp_path):
    events = []
    run_tables(study_of(), SITES, out=tmp_path, watch=events.append)
    told = [event for event in events if event.kind == "comparing"]
    assert [event.comparing.whose for event in told if event.progress is None] == ["west", "north", "east", ""]
    assert {(event.comparing.place, event.comparing.of) for event in told} == {(1, 4), (2, 4), (3, 4), (4, 4)}
    north = [event for event in told if event.comparing.whose == "north"]
    assert [event.progress.done for event in north if event.progress] == [0, 1, 2]
    assert [event.comparing.share for event in north] == pytest.approx([40 / 240, 40 / 240, 50 / 240, 60 / 240])
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["whose"] for line in lines if line["event"] == "comparing" and "done" not in line] == [
        *("west", "north", "east"),
        "pooled",
    ]


def test_an_interrupted_comparison_leaves_the_joint_answer_and_goes_on_where_it_was(tmp_path):
    learned = []

    def count(examples):
        learned.append(examples.rows)

    def interrupt(event):
        if event.kind == "comparing" and event.comparing.whose == "east":
            raise KeyboardInterrupt

    study = study_of(breaking(count))
    broken = run_tables(study, SITES, out=tmp_path, watch=interrupt)
    assert broken.cut_short
    assert not broken["mean"].result.failure
    assert not broken["mean"].alone
    assert any("cut short" in note for note in broken.notes)
    learned.clear()
    after = run_tables(study, SITES, out=tmp_path)
    assert not after.cut_short
    assert learned == [50] * 3 + [120] * 3, "the models of west and north were kept"
    whole = run_tables(study, SITES)
    assert after["mean"].alone == whole["mean"].alone
    assert after["mean"].pooled == whole["mean"].pooled
    learned.clear()
    other = {**SITES, "west": Examples({"x": Numbers(SITES["west"].number("x") + 1)}, 40)}
    assert run_tables(study, other, out=tmp_path)["mean"].alone["west"] != after["mean"].alone["west"]


def test_each_site_alone_draws_from_the_studys_seed():
    def drawn(seed):
        study = study_of()
        return run_tables(replace(study, about=study.about.model_copy(update={"seed": seed})), SITES)["mean"].alone["west"].facts

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_results_that_were_kept_tell_the_same_report():
    for demo in DEMOS:
        findings = run(demo.study(), demo.sites())
        kept = {
            finding.label: replace(
                finding,
                alone={site: kept_and_back(own) for site, own in finding.alone.items()},
                pooled=kept_and_back(finding.pooled),
            )
            for finding in findings
        }
        assert page.render(story(replace(findings, findings=kept))) == page.render(story(findings))


def kept_and_back(result):
    return result_from(canonical.decode(canonical.encode(result_to(result))))


def test_ctrl_c_in_the_comparison_leaves_the_report_and_the_same_command_goes_on_with_it(start, huizhen, hospitals, tmp_path):
    pressed = (
        "import signal\nfrom huizhen.embedded import comparing\nlearn = comparing.by_itself\n"
        "def interrupted(analysis, *rest, **more):\n"
        "    if analysis.label == 'glm':\n        signal.raise_signal(signal.SIGINT)\n"
        "    return learn(analysis, *rest, **more)\n"
        "comparing.by_itself = interrupted"
    )
    process = start(*hospitals, before=pressed)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "was cut short; run the same command again" in err
    assert "Report" in out
    (report,) = tmp_path.rglob("report.html")
    assert "was cut short" in report.read_text(encoding="utf-8")
    again = huizhen(*hospitals)
    assert again.code == 0, again.all
    assert "was cut short" not in report.read_text(encoding="utf-8")


def test_whoever_watches_is_told_whose_source_is_opened_and_read():
    events = []
    sites = {site: {"x": rows.number("x")} for site, rows in SITES.items()}
    run(STUDY, sites, watch=events.append)
    told = [(event.step, event.site, event.progress.done, event.progress.of) for event in events if event.kind == "reading"]
    assert told == [(step, site, done, 3) for step in ("open", "read") for done, site in enumerate(SITES)]
    assert [event.kind for event in events].index("asked") == len(told)
