"""Many sites trained at once have the weights that each would have alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import SiteError
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training import Network, Recipe, Sites, average_many, learner_of, many, site_seeds, train_many

pytest.importorskip("torch")

CLOSE = 1e-5


def apart(learner, starts, sites, recipe, seeds, drifts=None):
    return [
        learner.train(starts[i], x, y, recipe, seed=int(seeds[i]), drift=None if drifts is None else drifts[i])
        for i, (x, y) in enumerate(sites)
    ]


def same(found, expected, close=CLOSE):
    np.testing.assert_allclose(found.weights, [each.weights for each in expected], atol=close, rtol=close)
    np.testing.assert_allclose(found.losses, [each.loss for each in expected], rtol=1e-4, atol=CLOSE)
    assert found.steps.tolist() == [each.steps for each in expected]
    assert not found.diverged.any()


@st.composite
def recipes(draw):
    optimiser = draw(st.sampled_from(["sgd", "adam", "adamw"]))
    return Recipe(
        optimiser,
        draw(st.sampled_from([0.003, 0.05])) if optimiser == "sgd" else 0.003,
        momentum=draw(st.sampled_from([0.0, 0.9])),
        weight_decay=draw(st.sampled_from([0.0, 0.01])),
        batch=draw(st.integers(1, 9)),
        epochs=draw(st.integers(1, 3)),
        steps=draw(st.sampled_from([0, 0, 5])),
        proximal=draw(st.sampled_from([0.0, 0.5])),
        clip=draw(st.sampled_from([0.0, 0.1])),
    )


@settings(deadline=None, max_examples=30)
@given(
    recipe=recipes(),
    counts=st.lists(st.integers(2, 20), min_size=1, max_size=6),
    network=st.sampled_from(
        [("logistic", {}), ("mlp", {"widths": [4, 3], "activation": "tanh"}), ("mlp", {"widths": [5], "norm": "batch"})]
    ),
    task=st.sampled_from(["binary", "multiclass", "cox", "discrete_time"]),
    features=st.integers(1, 7),
    drifting=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_together_is_as_apart(recipe, counts, network, task, features, drifting, seed, aims, targets_for):
    rng, aim = np.random.default_rng(seed), aims[task]
    recipe = replace(recipe, batch=max(recipe.batch, 2)) if "norm" in network[1] else recipe
    # The constant of a Cox model has a gradient of rounding alone, which Adam divides by its own size.
    recipe = replace(recipe, optimiser="sgd") if task == "cox" else recipe
    learner = learner_of(Network(network[0], (features,), aim.outputs, network[1]), aim)
    sites = [(rng.normal(size=(n, features)).astype(np.float32), targets_for(aim, n, rng)) for n in counts]
    starts = np.stack([learner.initial(i) for i in range(len(counts))])
    drifts = rng.normal(size=(len(counts), learner.parameters)).astype(np.float32) / 10 if drifting else None
    seeds = site_seeds(seed, 0, len(counts))
    found = train_many(learner, starts, Sites(sites), recipe, seeds=seeds, drifts=drifts)
    # Normalising few rows divides by how little they differ, which makes much of a rounding.
    same(found, apart(learner, starts, sites, recipe, seeds, drifts), 1e-3 if "norm" in network[1] else CLOSE)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_any_network_can_be_laid_over_the_sites(norm, aims, monkeypatch):
    learner = learner_of(Network("small_cnn", (1, 6, 6), 1, {"widths": [4, 6], "norm": norm}), aims["binary"])
    monkeypatch.setattr(learner, "dense", True)
    monkeypatch.setattr(learner, "threads", lambda batch: 1)
    rng = np.random.default_rng(0)
    sites = [(rng.integers(0, 256, (n, 1, 6, 6), dtype=np.uint8), rng.integers(0, 2, n).astype(float)) for n in (5, 9, 2, 7)]
    starts, recipe = np.stack([learner.initial(0)] * 4), Recipe("sgd", 0.05, momentum=0.5, batch=4, epochs=2, augment="flip")
    same(train_many(learner, starts, sites, recipe, seeds=range(4)), apart(learner, starts, sites, recipe, range(4)))


@pytest.mark.parametrize(
    ("network", "settings"), [("mlp", {"widths": [8], "dropout": 0.5}), ("small_cnn", {"widths": [4], "dropout": 0.2})]
)
def test_networks_that_gain_nothing_or_draw_go_one_after_another(network, settings, aims):
    learner = learner_of(Network(network, (1, 4, 4), 1, settings), aims["binary"])
    rng = np.random.default_rng(0)
    sites = [(rng.normal(size=(n, 1, 4, 4)).astype(np.float32), rng.integers(0, 2, n).astype(float)) for n in (5, 9, 3)]
    start, recipe = learner.initial(0), Recipe("adam", 0.01, batch=4)
    found = train_many(learner, start, sites, recipe, seeds=range(3))
    for site, each in enumerate(apart(learner, [start] * 3, sites, recipe, range(3))):
        assert found.weights[site].tobytes() == each.weights.tobytes()


def some_sites(counts=(30, 64, 33, 7, 70, 31)):
    rng = np.random.default_rng(5)
    return [(rng.normal(size=(n, 6)).astype(np.float32), rng.integers(0, 2, n).astype(float)) for n in counts]


@pytest.fixture
def learner(aims):
    return learner_of(Network("mlp", (6,), 1, {"widths": [5]}), aims["binary"])


def test_it_does_not_matter_how_many_sites_memory_is_meant_for(learner, monkeypatch):
    sites, start, recipe = some_sites(), learner.initial(0), Recipe(batch=16, epochs=2)
    whole = train_many(learner, start, sites, recipe, seeds=range(6))
    monkeypatch.setattr(many, "AT_ONCE", 800)
    assert len(list(many._groups(learner, Sites(sites), recipe, learner.schedule(Sites(sites).counts, recipe)))) > 3
    few = train_many(learner, start, sites, recipe, seeds=range(6))
    np.testing.assert_allclose(few.weights, whole.weights, atol=1e-6)
    np.testing.assert_array_equal(few.steps, whole.steps)


def test_averaging_many_is_the_mean_of_each_sites_own_training_weighted_by_rows(learner):
    sites, recipe = some_sites(), Recipe("sgd", 0.2, batch=16)
    weights = start = learner.initial(0)
    means = []
    for number in range(4):
        trained = apart(learner, [weights] * 6, sites, recipe, site_seeds(7, number, 6))
        weights = np.average([each.weights for each in trained], axis=0, weights=[each.rows for each in trained]).astype(np.float32)
        means.append([each.loss for each in trained])
    found, losses = average_many(learner, start, sites, recipe, rounds=4, seed=7)
    np.testing.assert_allclose(found, weights, atol=CLOSE)
    np.testing.assert_allclose(losses, means, rtol=1e-4)


def test_a_site_that_diverges_is_left_out_and_leaves_the_others_alone(learner):
    sites, recipe = some_sites(), Recipe("sgd", 0.2, batch=16)
    sites[2][0][4, 3] = np.nan
    start = learner.initial(0)
    found = train_many(learner, start, sites, recipe, seeds=site_seeds(7, 0, 6))
    assert (found.diverged > 0).tolist() == [False, False, True, False, False, False]
    assert np.isnan(found.losses[2])
    with pytest.raises(SiteError, match=rf"in step {found.diverged[2]} \("):
        learner.train(start, *sites[2], recipe, seed=int(site_seeds(7, 0, 6)[2]))
    kept = [i for i in range(6) if i != 2]
    expected = np.average(found.weights[kept], axis=0, weights=[len(sites[i][0]) for i in kept])
    weights, losses = average_many(learner, start, sites, recipe, rounds=1, seed=7)
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert np.isnan(losses[0]).tolist() == [i == 2 for i in range(6)]


def test_if_every_site_diverges_it_is_said(learner):
    sites = [(np.full_like(x, np.nan), y) for x, y in some_sites()]
    with pytest.raises(SiteError, match="at every site in round 1"):
        average_many(learner, learner.initial(0), sites, Recipe(), rounds=2, seed=0)


def test_a_site_with_too_few_rows_is_said():
    learner = learner_of(Network("mlp", (6,), 1, {"norm": "batch"}), Aim("binary", ("y",), ("0", "1")))
    with pytest.raises(SiteError, match="found too few rows"):
        train_many(learner, learner.initial(0), some_sites((8, 1)), Recipe(), seeds=[0, 1])
