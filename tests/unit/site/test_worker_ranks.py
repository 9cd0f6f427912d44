"""Two processes of a site that compute one answer: the answer of one, from the same rows; a rank that is lost fails one answer."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from huizhen.data.records import open_source
from huizhen.federation.study import Study
from huizhen.federation.workplace import Here, Unanswered, draw_key
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.learner import Network, learner_of
from huizhen.methods.training.recipe import Recipe
from huizhen.privacy.release import EMPTY, Terms, Variable
from huizhen.site.worker.confine import NotConfined
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order

VARIABLES = {"age": Variable("number"), "ill": Variable("category", ("no", "yes"))}
SETTING = {"task": "classification", "outcome": "ill", "covariates": ["age"], "network": "mlp", "rounds": 3, "batch": 7}
LIMITS = Limits(answer_s=60, ranks=2)
ROWS = 50  # 7 batches of 7 rows and one of a single row, of which the second rank has none


class OfOne:
    """A team of one: a sum over it is what it was."""

    rank, size, added = 0, 1, 0

    def add(self, values) -> None:
        self.added += 1


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    rng = np.random.default_rng(8)
    ages = rng.normal(60, 10, ROWS)
    ill = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-(ages - 60) / 5)), "yes", "no")
    path = tmp_path_factory.mktemp("site") / "rows.csv"
    path.write_text("age,ill\n" + "\n".join(f"{age:.2f},{one}" for age, one in zip(ages, ill)))
    return path


def study_of(**more) -> Study:
    return Study.parse({"method": {"averaging": {**SETTING, **more}}})


@pytest.fixture(scope="module")
def training(source):
    """A study, and its question to train, as the hub asks it."""
    study = study_of()
    method, spec = study.analyses[0].method, study.analyses[0].spec
    here = Here(study, open_source(source).read(VARIABLES, site="east"))
    return study, to_train(method, spec, here), here


def to_train(method, spec, here):
    from huizhen.federation.rounds import Adding

    state = method.begin(spec, Terms(variables=VARIABLES, roster=("east",)))
    while (question := method.ask(state)).step != "train":
        sums = Adding()
        sums.add("east", here.answer("averaging", question, EMPTY, draw=bytes(16), course="c").answer)
        state = method.fold(state, sums.total())
    return question


def asked(workplace, question):
    return workplace.answer("averaging", question, EMPTY, draw=draw_key(0, "east", "averaging", 2), course="c").answer


def recipe_of(question, **more):
    recipe = question.facts["recipe"]
    return {**question.facts, "recipe": {**recipe, **more}}


@pytest.fixture
def worker(source, training, tmp_path):
    study = training[0]
    order = Order("east", study.content, study.digest, str(source), VARIABLES, ("averaging",), ("mlp",))
    made = WorkerProcess(order, limits=LIMITS, log=tmp_path / "worker.log")
    yield made
    made.close()


def of_group(pid: int) -> list[int]:
    """The processes in a worker's group, but the worker."""
    found = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [each for each in found if each != pid and _group(each) == pid]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def test_a_lost_rank_fails_its_answer_alone_and_two_answer_as_one(worker, training):
    _, question, here = training
    endless = replace(question, facts=recipe_of(question, steps=10_000_000, epochs=1))
    worker.open()
    meeting = worker._running.meeting
    failed: list[Unanswered] = []

    def wait() -> None:
        with pytest.raises(Unanswered) as lost:
            asked(worker, endless)
        failed.append(lost.value)

    waiting = threading.Thread(target=wait)
    waiting.start()
    beat = threading.Event()
    while not (meeting / "file").exists() and waiting.is_alive():  # where the ranks meet, in the middle of an answer
        beat.wait(0.05)
    (rank,) = of_group(worker.pid)
    os.kill(rank, signal.SIGKILL)
    waiting.join(30)
    assert [(each.code, "one of the worker's ranks ended" in str(each)) for each in failed] == [("ended", True)]
    assert not meeting.exists()

    expected, found = asked(here, question), asked(worker, question)
    assert learner_of(Network.from_facts(question.facts["network"]), Aim.from_facts(question.facts["aim"])).shares
    assert len(of_group(worker.pid)) == 1
    assert found.rows == expected.rows == ROWS
    assert found.parts["weight"].values == expected.parts["weight"].values == [ROWS]
    for name, part in expected.parts.items():
        assert np.allclose(found.parts[name].values, part.values, rtol=1e-4, atol=1e-5), name
    assert np.abs(expected.parts["change"].values).max() > 0.01


MLP = {"widths": [5], "norm": "none"}


@pytest.mark.parametrize(
    ("settings", "task", "steps"),
    [(MLP, "binary", 10), ({**MLP, "dropout": 0.5}, "binary", 0), ({**MLP, "norm": "batch"}, "binary", 0), (MLP, "cox", 0)],
)
def test_a_batch_is_shared_out_where_its_gradient_is_a_mean_of_rows(settings, task, steps):
    aim = Aim("cox", ("time",), event="died") if task == "cox" else Aim("binary", ("ill",), ("no", "yes"))
    learner, rng = learner_of(Network("mlp", (3,), 1, settings), aim), np.random.default_rng(2)
    inputs, targets = rng.normal(size=(23, 3)).astype(np.float32), (rng.random(23) < 0.5).astype(np.float32)
    if task == "cox":
        targets = np.stack([rng.random(23), targets], 1)
    recipe, start = Recipe(batch=5, epochs=2, learning_rate=0.1, optimiser="adam"), learner.initial(1)
    alone, team = learner.train(start, inputs, targets, recipe, seed=4), OfOne()
    together = learner.train(start, inputs, targets, recipe, seed=4, team=team)
    assert team.added == 2 * steps  # a gradient and a loss
    assert np.array_equal(together.weights, alone.weights)


def test_ranks_that_would_have_a_way_out_do_not_start(monkeypatch, capsys):
    from huizhen.site.worker import program

    def refuse() -> None:
        raise NotConfined("the kernel gives no network of its own (Operation not permitted)")

    monkeypatch.setattr(program, "confine_to_loop", refuse)
    assert program.main("3", '{"network": "none", "rank": 0, "meeting": "/nowhere", "ranks": 2}') == program.UNCONFINED
    assert "no network of its own" in capsys.readouterr().err
