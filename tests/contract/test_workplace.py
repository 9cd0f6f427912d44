"""What every workplace keeps to: the same rows and questions give the same answers, byte for byte, wherever they are computed."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from huizhen import canonical
from huizhen.clock import ManualClock
from huizhen.data.records import open_source
from huizhen.errors import HuizhenError
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.participant import Participant
from huizhen.federation.rounds import Adding
from huizhen.federation.scheme import PlainSum
from huizhen.federation.study import Study
from huizhen.federation.workplace import Here, draw_key
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.methods.method import Finished
from huizhen.policy.disclosure import DisclosurePolicy, strictest
from huizhen.policy.gate import Gate
from huizhen.privacy.release import EMPTY, Terms, Variable
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order, answer_to

CONTENT = {
    "study": {"title": "Who falls ill?", "seed": 11},
    "cohort": {"include": ["age >= 40"]},
    "method": {
        "summary": {"variables": ["age", "sex"]},
        "glm": {"family": "binomial", "formula": "ill ~ age + sex"},
        "averaging": {
            "task": "classification", "outcome": "ill", "covariates": ["age"], "network": "logistic", "rounds": 2, "batch": 8,
            "control": True,
        },
    },
}  # fmt: skip
VARIABLES = {"age": Variable("number"), "sex": Variable("category", ("f", "m")), "ill": Variable("category", ("no", "yes"))}
METHODS = ("summary", "glm", "averaging")
SITES = ("east", "west")


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.parse(CONTENT)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A table for each site."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(3)
    for place, site in enumerate(SITES):
        with (folder / f"{site}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["age", "sex", "ill"])
            for age in rng.normal(60, 12, 90 + 10 * place):
                ill = rng.random() < 1 / (1 + np.exp(-(age - 60) / 8))
                rows.writerow([f"{age:.2f}", rng.choice(["f", "m"]), "yes" if ill else "no"])
    return folder


@pytest.fixture(scope="module")
def workplaces(study, tables, tmp_path_factory):
    """Of every kind one for each site, by the name of the kind."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        found: dict = {"here": {}, "process": {}}
        for site in SITES:
            source = tables / f"{site}.csv"
            found["here"][site] = Here(study, open_source(source).read(VARIABLES, site=site), lambda n: b"\0" * n)
            order = Order(site, study.content, study.digest, str(source), VARIABLES, METHODS, ("logistic",))
            worker = found["process"][site] = WorkerProcess(order, limits=Limits(answer_s=60), log=logs / f"{site}.log")
            stack.callback(worker.close)
            worker.start()
        yield found


KINDS = pytest.mark.parametrize("kind", ["here", "process"])


def walk(study, analysis, workplaces):
    """An analysis to its end, without gate and engine; every answer's bytes, and what each site keeps."""
    terms = Terms(variables=VARIABLES, roster=SITES, seed=11)
    state, kept, said, turn = analysis.method.begin(analysis.spec, terms), dict.fromkeys(SITES, EMPTY), [], 1
    while not isinstance(question := analysis.method.ask(state), Finished):
        sums = Adding()
        for site in SITES:
            draw = draw_key(11, site, analysis.label, turn)
            worked = workplaces[site].answer(analysis.label, question, kept[site], draw=draw, course="c")
            kept[site] = worked.kept
            sums.add(site, worked.answer)
            said.append(canonical.encode(answer_to(worked.answer)))
        state, turn = analysis.method.fold(state, sums.total()), turn + 1
    assert not question.result.failure, question.result.failure
    return said, canonical.encode(kept)


@pytest.mark.parametrize("label", METHODS)
def test_answers_are_the_same_bytes_wherever_they_are_computed(study, workplaces, label):
    analysis = next(each for each in study.analyses if each.label == label)
    expected, kept = walk(study, analysis, workplaces["here"])
    found = walk(study, analysis, workplaces["process"])
    assert len(expected) >= 2 * 2
    assert found == (expected, kept)


@KINDS
def test_a_muster_counts_the_rows_of_the_cohort(workplaces, tables, kind):
    ages = [float(row.split(",")[0]) for row in (tables / "east.csv").read_text().splitlines()[1:]]
    for label in METHODS:
        assert workplaces[kind]["east"].muster(label) == sum(age >= 40 for age in ages)


@KINDS
def test_an_analysis_that_the_study_does_not_have_is_refused(workplaces, kind):
    with pytest.raises(HuizhenError, match="Nothing can be answered here"):
        workplaces[kind]["east"].muster("mortality")


@KINDS
def test_a_participant_with_a_workplace_conducts_a_whole_study(study, workplaces, kind):
    """The agent's side is the same: gate, ledger and checkpoints see nothing of where rows are."""
    study = replace(study, analyses=study.analyses[:2])
    # the digest is that of fewer analyses; a workplace goes by labels, and the agent alone by the digest
    clock, policy = ManualClock(), DisclosurePolicy()
    ledgers = {site: MemoryLedger(new_key()) for site in SITES}
    sites = {
        site: Participant(site, study, workplaces[kind][site], gate=Gate(site, policy, ledgers[site], clock), scheme=PlainSum())
        for site in SITES
    }
    engine = InProcessEngine(sites)

    def terms(roster):
        return strictest([policy] * 2, lane="plain", variables=VARIABLES, roster=roster)

    steps = conduct(Run("run", study, engine, PlainSum(), terms, clock))
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        outcomes = stop.value
    finally:
        engine.close()
    assert [outcome.result.failure for outcome in outcomes] == ["", ""]
    assert all(ledger.head.entries > 4 for ledger in ledgers.values())


def test_draws_are_those_of_the_key_alone(study):
    assert draw_key(1, "east", "glm", 2) != draw_key(1, "east", "glm", 3) != draw_key(1, "west", "glm", 3)
    assert len(draw_key(1, "东湖", "glm", 2)) == 16
