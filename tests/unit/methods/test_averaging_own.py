"""What stays at a site between rounds: control variates (SCAFFOLD) and normalisation layers (FedBN), also when answers are lost."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from huizhen import canonical
from huizhen.data.examples import concatenate
from huizhen.errors import CallerError, SiteError
from huizhen.methods.averaging import AVERAGING, AveragingSpec
from huizhen.methods.method import Finished, Local
from huizhen.methods.networks import Network, build
from huizhen.methods.prediction import predict
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training import state
from huizhen.methods.training.learner import learner_of
from huizhen.privacy.release import Terms, Total, Variable
from tables import by_site

pytest.importorskip("torch")

SIZES = {"east": 30, "north": 50, "west": 21}
BASE = {"network": "logistic", "outcome": "y", "covariates": ("a", "b"), "scale": "none", "steps": 3, "batch": 64}
SCAFFOLD = {**BASE, "control": True}
FEDBN = {**BASE, "network": "mlp", "settings": {"widths": [4], "norm": "batch"}, "learning_rate": 0.2, "own_layers": True}
TERMS = Terms(
    variables={"y": Variable("category", ("0", "1")), "a": Variable("number"), "b": Variable("number")},
    roster=tuple(SIZES),
    seed=3,
)
AIM = Aim("binary", ("y",), ("0", "1"))
BEFORE, AFTER = "the question does not arrive", "the answer does not arrive"


def patients(apart=1.0):
    rng = np.random.default_rng(1)
    tables = []
    for shift, (site, rows) in enumerate(SIZES.items()):
        a, b = rng.normal(0, 1, rows), rng.normal(0, 1 + shift, rows)
        y = (rng.random(rows) < 1 / (1 + np.exp(-a + 0.3 * b))).astype(int)
        tables.append(pd.DataFrame({"a": a + apart * (shift - 1), "b": b, "y": y.astype(str), "site": site}))
    return pd.concat(tables, ignore_index=True)


ROWS = patients()


def learn(spec, rows, *, misses=lambda site, step, number: "", terms=TERMS, told=None):
    """The result, where some answers are lost as `misses` says of a site, a step and how often that step was asked before."""
    sites = by_site(rows)
    at, local, number = AVERAGING.begin(spec, terms), {site: Local() for site in sites}, {}
    while not isinstance(question := AVERAGING.ask(at), Finished):
        answers = {}
        for site, own in sites.items():
            lost = misses(site, question.step, number.get(question.step, 0))
            if lost != BEFORE:
                answer, local[site] = AVERAGING.answer(question, own, local[site], rng=np.random.default_rng(0))
                # As a site's checkpoint holds it.
                local[site] = Local(canonical.decode(canonical.encode(dict(local[site].kept))), local[site].memo)
                if not lost:
                    answers[site] = answer
        number[question.step] = number.get(question.step, 0) + 1
        if told is not None:
            told.append((question, dict(answers)))
        parts = [answer.parts for answer in answers.values()]
        sums = {name: sum(part[name].values for part in parts) for name in parts[0] if parts[0][name].kind == "addend"}
        own = {name: {s: a.parts[name].values for s, a in answers.items()} for name in parts[0] if name not in sums}
        at = AVERAGING.fold(at, Total(sums, {}, own, len(rows), tuple(answers)))
    return question.result


def logistic_gradient(weights, rows):
    x = np.column_stack([rows.a, rows.b, np.ones(len(rows))])
    return x.T @ (1 / (1 + np.exp(-x @ weights)) - rows.y.astype(float)) / len(rows)


def descend(weights, rows, *, rate, steps=3, drift=0.0):
    for _ in range(steps):
        weights = weights - rate * (logistic_gradient(weights, rows) + drift)
    return weights


def begin():
    import torch

    torch.manual_seed(3)
    layer = torch.nn.Linear(2, 1)
    return np.concatenate([layer.weight.detach().numpy().ravel(), layer.bias.detach().numpy()]).astype(float)


def scaffold(missing, rounds, rate):
    """Karimireddy et al. 2020, algorithm 1 with option II and sites weighted by rows; c is the mean of all that were counted."""
    w, own, rows = begin(), {}, dict(list(ROWS.groupby("site")))
    for number in range(rounds):
        here = [site for site in SIZES if site not in missing.get(number, ())]
        c = np.average([own[s] for s in own], axis=0, weights=[SIZES[s] for s in own]) if own else np.zeros(3)
        ends = {s: descend(w, rows[s], rate=rate, drift=c - own.get(s, 0)) for s in here}
        own |= {s: own.get(s, 0) - c + (w - ends[s]) / (3 * rate) for s in here}
        w = w + np.average([ends[s] - w for s in here], axis=0, weights=[SIZES[s] for s in here])
    return w


@pytest.mark.parametrize("lost", [BEFORE, AFTER])
@pytest.mark.parametrize("missing", [{}, {0: ["west"]}, {1: ["west", "east"], 2: ["west"], 4: ["north"]}], ids=str)
def test_control_variates_follow_scaffold_whoever_is_counted(missing, lost):
    spec = AveragingSpec(**SCAFFOLD, learning_rate=0.1, rounds=8)
    found = learn(spec, ROWS, misses=lambda site, step, n: lost if step == "train" and site in missing.get(n, ()) else "")
    assert found.model["weights"] == pytest.approx(scaffold(missing, 8, 0.1), abs=2e-6)


@pytest.mark.parametrize("lost", [BEFORE, AFTER])
def test_a_site_that_misses_rounds_and_comes_back_leaves_the_fixed_point_where_it_was(lost):
    """With equally many steps at every site that is the fit of the pooled rows."""
    pooled = descend(begin(), ROWS, rate=0.3, steps=4000)
    spec = AveragingSpec(**SCAFFOLD, learning_rate=0.5, rounds=100)
    gone = range(4, 14)
    found = learn(spec, ROWS, misses=lambda site, step, n: lost if (site, step) == ("west", "train") and n in gone else "")
    assert found.model["weights"] == pytest.approx(pooled, abs=2e-3)
    without = learn(AveragingSpec(**{**SCAFFOLD, "control": False}, learning_rate=0.5, rounds=100), ROWS)
    assert np.abs(without.model["weights"] - pooled).max() > 1e-2


def test_a_site_that_has_lost_what_it_kept_says_so_and_does_not_begin_anew():
    spec = AveragingSpec(**SCAFFOLD, learning_rate=0.1, rounds=3)
    told = []
    learn(spec, ROWS, told=told)
    third = [question for question, _ in told if question.step == "train"][2]
    with pytest.raises(SiteError, match="kept of earlier rounds"):
        AVERAGING.answer(third, by_site(ROWS)["east"], Local(), rng=np.random.default_rng(0))


# FedBN written out: Li et al. 2021, algorithm 1, with torch's own modules and optimiser.


def fedbn(rows, rounds, misses=lambda site, n: False, rate=0.2, steps=3):
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    network = Network("mlp", (2,), 1, {"widths": [4], "norm": "batch"})
    modules = {site: build(network) for site in SIZES}
    for module in modules.values():
        module.load_state_dict(modules["east"].state_dict())
    is_own = {name: any(key.startswith(name.rpartition(".")[0]) for key in modules["east"].state_dict() if "running" in key)
              for name in modules["east"].state_dict()}  # fmt: skip
    for number in range(rounds):
        here = [site for site in SIZES if not misses(site, number)]
        for site in here:
            table = rows[rows.site == site]
            x = torch.tensor(table[["a", "b"]].to_numpy(), dtype=torch.float32)
            y = torch.tensor(table.y.astype(float).to_numpy(), dtype=torch.float32)
            module = modules[site].train()
            optimiser = torch.optim.SGD(module.parameters(), lr=rate)
            for _ in range(steps):
                optimiser.zero_grad()
                binary_cross_entropy_with_logits(module(x)[:, 0], y).backward()
                optimiser.step()
        states = {site: modules[site].state_dict() for site in SIZES}
        shared = {
            name: sum(states[s][name] * SIZES[s] for s in here) / sum(SIZES[s] for s in here)
            for name, own in is_own.items()
            if not own
        }
        for module in modules.values():
            module.load_state_dict(shared, strict=False)
    return modules, is_own


def log_loss(modules, rows):
    import torch

    losses = []
    for site, module in modules.items():
        table = rows[rows.site == site]
        with torch.no_grad():
            z = module.eval()(torch.tensor(table[["a", "b"]].to_numpy(), dtype=torch.float32))[:, 0].numpy().astype(float)
        losses += np.logaddexp(0, np.where(table.y == "1", -z, z)).tolist()
    return np.mean(losses)


def of_measure(result, name):
    table = result.tables["quality"].columns
    return table["estimate"][table["measure"].index(name)]


@pytest.mark.parametrize("lost", ["", BEFORE, AFTER])
def test_sites_with_their_own_layers_learn_and_are_judged_as_fedbn(lost):
    """Inputs that lie 20 apart: one normalisation for all would fit nobody."""
    rows = patients(apart=20.0)
    gone = (lambda site, n: bool(lost) and site == "west" and n in (2, 3)) if lost else (lambda site, n: False)
    with state.alone(3, threads=1):
        modules, is_own = fedbn(rows, 8, gone)
    spec = AveragingSpec(**FEDBN, rounds=8)
    told = []
    found = learn(spec, rows, told=told, misses=lambda site, step, n: lost if step == "train" and gone(site, n) else "")
    learner = learner_of(Network("mlp", (2,), 1, spec.settings), AIM)
    shared = {name: modules["east"].state_dict()[name] for name, own in is_own.items() if not own}
    weights = np.load(io.BytesIO(AVERAGING.export(found)["npz"]))
    assert set(weights.files) == set(shared)
    for name, value in shared.items():
        assert weights[name] == pytest.approx(value.numpy(), abs=1e-5)
    assert of_measure(found, "log_loss") == pytest.approx(log_loss(modules, rows), abs=1e-5)
    assert log_loss(modules, rows) < 0.9 * of_measure(
        learn(AveragingSpec(**{**FEDBN, "own_layers": False}, rounds=8), rows), "log_loss"
    )
    changes = [
        answer.parts["change"].values for question, answers in told if question.step == "train" for answer in answers.values()
    ]
    assert not np.any([change[learner.normalisation] for change in changes])
    assert "keeps its own normalisation" in " ".join(found.notes)


def test_the_best_weights_are_judged_with_the_layers_that_went_with_them():
    """What early stopping chose is what it saw: the validation loss of the chosen round stands in the final judgement."""
    rows = patients(apart=20.0)
    spec = AveragingSpec(**{**FEDBN, "learning_rate": 0.6, "steps": 10}, rounds=30, validation="b > 0.4", early_stopping=3)
    found = learn(spec, rows)
    losses = found.tables["learning"].columns["log_loss"]
    chosen = found.facts["chosen_round"]
    assert 1 < chosen == len(losses) - 3 < 27
    assert of_measure(found, "log_loss") == pytest.approx(losses[chosen - 1])
    assert of_measure(found, "log_loss") != pytest.approx(losses[-1])


def test_in_a_cycle_a_sites_own_layers_move_with_its_turn_alone():
    spec, told = AveragingSpec(**FEDBN, rounds=6, order="cyclic"), []
    order = [list(SIZES)[place] for place in np.random.default_rng(3).permutation(3)]
    kept = learn(spec, patients(apart=20.0), told=told, misses=lambda site, step, n: AFTER if (site, n) == (order[1], 1) else "")
    assert not kept.failure
    train = [answers for question, answers in told if question.step == "train"]
    assert [site for site in order[:3] if site in train[1]] == [order[0], order[2]]
    assert told[-1][0].facts["counted"] == {order[1]: 6}


def test_one_participant_by_itself_has_no_layers_beside_the_joint_ones():
    own = by_site(ROWS)["east"]
    spec = AveragingSpec(**FEDBN, rounds=3)
    alone = learn(spec, ROWS[ROWS.site == "east"], terms=replace(TERMS, roster=("alone",)))
    plain = learn(AveragingSpec(**{**FEDBN, "own_layers": False}, rounds=3), ROWS[ROWS.site == "east"])
    assert alone.model["weights"].tobytes() == plain.model["weights"].tobytes()
    assert np.isfinite(predict(alone, own)).all()


def test_own_layers_of_a_network_without_any_are_refused():
    spec = AveragingSpec(**{**FEDBN, "settings": {"norm": "none"}})
    assert "the network has no batch normalisation" in learn(spec, ROWS).failure


def test_joint_weights_without_the_sites_layers_predict_nothing_and_their_files_name_what_is_missing():
    found = learn(AveragingSpec(**FEDBN, rounds=2), ROWS)
    with pytest.raises(CallerError, match="every site keeps for itself"):
        predict(found, by_site(ROWS)["east"])
    files = AVERAGING.export(found)
    assert set(files) == {"json", "npz"}
    card, held = json.loads(files["json"]), np.load(io.BytesIO(files["npz"])).files
    assert len(card["own_layers"]) == 4
    assert not set(card["own_layers"]) & set(held)
    assert "every site keeps its own" in card["incomplete"]


def test_the_federations_judgement_stands_for_all_rows_and_for_no_single_site():
    spec = AveragingSpec(**FEDBN, rounds=2, test="b > 0")
    found, sites = learn(spec, ROWS), by_site(ROWS)
    told = AVERAGING.appraise(found, spec, TERMS, concatenate(list(sites.values())), 2)
    assert told["quality"] == found.tables["quality"]
    assert AVERAGING.appraise(found, spec, TERMS, concatenate(list(sites.values())), 1) == {}
    with pytest.raises(CallerError, match="cannot be judged on these rows alone"):
        AVERAGING.appraise(found, spec, TERMS, sites["east"], 2)


def test_a_site_that_only_tests_is_scaled_by_the_rows_it_has():
    spec = AveragingSpec(**{**BASE, "scale": "site"}, rounds=2, test="site == 'north'")
    found = learn(spec, ROWS)
    assert not found.failure
    north = ROWS[ROWS.site == "north"]
    x = north[["a", "b"]]
    z = ((x - x.mean()) / x.std()).to_numpy() @ found.model["weights"][:2] + found.model["weights"][2]
    assert of_measure(found, "log_loss") == pytest.approx(np.logaddexp(0, np.where(north.y == "1", -z, z)).mean(), abs=1e-5)
