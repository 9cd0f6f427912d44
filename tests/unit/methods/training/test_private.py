"""Private training: no row changes a step by more than the clip, the noise is what it is said to be, and its cost is told whole."""

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from huizhen.canonical import decode, encode
from huizhen.errors import MachineError, SiteError
from huizhen.methods.averaging import AveragingSpec
from huizhen.methods.training import (
    Network,
    Private,
    Recipe,
    Spending,
    learner_of,
    privacy_events,
    train_many,
    train_privately,
)
from huizhen.methods.training import clipping as clippings
from huizhen.methods.training.batches import inputs_of, targets_of
from huizhen.methods.training.clipping import FusedSum, RowByRowSum, clipped_sum_of
from huizhen.methods.training.losses import ROWS_MEET, loss_of, row_loss_of
from huizhen.methods.training.privately import why_not_private
from huizhen.methods.training.secret import Secret

torch = pytest.importorskip("torch")

TASKS = ("binary", "multiclass", "multilabel", "regression", "discrete_time")
MLP = {"widths": [8, 5]}
CLIP = 0.5
RARE = 1e-5  # what a test of chance may fall below by chance, of which there are dozens here


def seeded(seed):
    """A source that can be repeated, as no secure one can."""
    return np.random.default_rng(seed).bytes


def rows_of(learner, targets_for, rows=13, seed=1):
    rng, space = np.random.default_rng(seed), learner.network.inputs[1:] if learner.aim.task == "segmentation" else ()
    x = rng.normal(size=(rows, *learner.network.inputs)).astype(np.float32)
    return x, targets_for(learner.aim, rows, rng, space)


def ready(learner, seed=0):
    learner.store.load(learner.initial(seed))
    learner.store.module.train()
    learner.store.gradient.zero_()


def clipped(learner, way, x, y, clip=CLIP):
    """What a way of clipping gives, as float64."""
    ready(learner)
    found = way(learner.store, row_loss_of(learner.aim))
    found(inputs_of(x, learner.device), targets_of(learner.aim, y, learner.device), clip=clip, over=1.0)
    return learner.store.gradient.double().numpy().copy()


def one_by_one(learner, x, y, clip=CLIP):
    """The same by the definition: one row's gradient after the other (Abadi et al. 2016, algorithm 1)."""
    ready(learner)
    total, norms = np.zeros(learner.parameters), []
    for i in range(len(x)):
        row, target = (inputs_of(x[i : i + 1], learner.device), targets_of(learner.aim, y[i : i + 1], learner.device))
        learner.store.gradient.zero_()
        loss_of(learner.aim)(learner.store.module(row), target, torch.ones(1)).backward()
        gradient = learner.store.gradient.double().numpy()
        norms.append(np.linalg.norm(gradient))
        total += gradient * min(1.0, clip / norms[-1])
    return total, np.array(norms)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("logistic", {}),
        ("mlp", MLP),
        ("mlp", {**MLP, "norm": "layer", "activation": "gelu"}),
        ("mlp", {**MLP, "activation": "tanh"}),
    ],
    ids=["logistic", "mlp", "mlp-layer-gelu", "mlp-tanh"],
)
def test_the_fused_sum_is_that_of_rows_clipped_one_by_one(aims, targets_for, task, network, settings):
    learner = learner_of(Network(network, (6,), aims[task].outputs, settings), aims[task])
    x, y = rows_of(learner, targets_for)
    _, norms = one_by_one(learner, x, y)
    middle = float(np.median(norms))  # so that some rows are clipped and others are not
    expected, _ = one_by_one(learner, x, y, middle)
    assert type(clipped_sum_of(learner.store, row_loss_of(learner.aim))) is FusedSum
    for way in (FusedSum, RowByRowSum):
        np.testing.assert_allclose(clipped(learner, way, x, y, middle), expected, rtol=2e-5, atol=1e-5)


def test_a_layer_without_a_bias_is_clipped_as_it_is(aims, targets_for):
    learner = learner_of(Network("mlp", (6,), 1, {"widths": [9]}), aims["binary"])
    layers = learner.store.module
    bare = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4, bias=False), torch.nn.ELU(), torch.nn.Linear(4, 1))
    from huizhen.methods.training.store import Store

    store, (x, y) = Store(bare, learner.device), rows_of(learner, targets_for)
    way = clipped_sum_of(store, row_loss_of(learner.aim))
    assert type(way) is FusedSum
    found = []
    for each in (way, RowByRowSum(store, row_loss_of(learner.aim))):
        store.gradient.zero_()
        each(inputs_of(x, learner.device), targets_of(learner.aim, y, learner.device), clip=0.2, over=1.0)
        found.append(store.gradient.clone())
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)
    assert layers is learner.store.module


@pytest.mark.parametrize(
    ("network", "inputs", "settings", "task"),
    [
        ("small_cnn", (1, 8, 8), {"widths": [4, 6]}, "binary"),
        ("small_cnn", (2, 8, 8), {"widths": [4], "norm": "none"}, "multiclass"),
        ("unet", (1, 6, 8), {"widths": [2, 4], "units": 1}, "segmentation"),
        ("swin", (1, 16, 16), {"width": 6, "depths": [1, 1], "heads": [1, 2], "window": 2}, "binary"),
        pytest.param("vgg", (1, 32, 32), {"norm": "group", "depth": 11, "hidden": []}, "binary", marks=pytest.mark.slow),
        pytest.param("resnet", (1, 16, 16), {"norm": "group", "stem": "small"}, "binary", marks=pytest.mark.slow),
    ],
)
def test_other_networks_are_clipped_row_by_row(aims, targets_for, monkeypatch, network, inputs, settings, task):
    learner = learner_of(Network(network, inputs, aims[task].outputs, settings), aims[task])
    x, y = rows_of(learner, targets_for, rows=5)
    if learner.parameters < 10**5:
        monkeypatch.setattr(clippings, "AT_ONCE", 4 * learner.parameters)  # so that rows go in several pieces
    assert type(clipped_sum_of(learner.store, row_loss_of(learner.aim))) is RowByRowSum
    expected, norms = one_by_one(learner, x, y)
    assert norms.max() > CLIP
    np.testing.assert_allclose(clipped(learner, clipped_sum_of, x, y), expected, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("way", [FusedSum, RowByRowSum])
@pytest.mark.parametrize("size", [1.0, 1e6, 1e15, 1e25, 3e38, np.inf, np.nan, 1e-30])
def test_no_row_changes_the_sum_by_more_than_the_clip(aims, targets_for, way, size):
    learner = learner_of(Network("mlp", (6,), 1, MLP), aims["regression"])
    x, y = rows_of(learner, targets_for)
    with np.errstate(over="ignore"):
        x[4] *= size
    without = np.delete(np.arange(len(x)), 4)
    apart = clipped(learner, way, x, y) - clipped(learner, way, x[without], y[without])
    assert np.isfinite(apart).all()
    assert np.linalg.norm(apart) <= CLIP * (1 + 1e-6)


@pytest.mark.parametrize("clip", [1e-4, 1.0, 30.0])
def test_a_row_by_itself_is_never_longer_than_the_clip(aims, targets_for, clip):
    learner = learner_of(Network("mlp", (300,), 1, {"widths": [50, 20]}), aims["regression"])
    x, y = rows_of(learner, targets_for, rows=40)
    for i in range(len(x)):
        assert np.linalg.norm(clipped(learner, FusedSum, 100 * x[i : i + 1], y[i : i + 1], clip)) <= clip


def test_losses_of_rows_by_themselves_make_up_the_loss_of_a_task(aims, targets_for):
    rng = np.random.default_rng(0)
    for task, aim in aims.items():
        if task in ROWS_MEET:
            continue
        space = (4, 4) if task == "segmentation" else ()
        outputs = torch.from_numpy(rng.normal(size=(7, aim.outputs, *space)).astype(np.float32))
        y = targets_of(aim, targets_for(aim, 7, rng, space), torch.device("cpu"))
        each, weights = row_loss_of(aim)(outputs, y), torch.rand(7)
        assert each.shape == (7,)
        torch.testing.assert_close(loss_of(aim)(outputs, y, weights), (each * weights).sum() / weights.sum())
        alone = torch.stack([row_loss_of(aim)(outputs[i : i + 1], y[i : i + 1])[0] for i in range(7)])
        torch.testing.assert_close(each, alone)
    assert set(aims) - set(ROWS_MEET) == {*TASKS, "segmentation"}


@pytest.mark.parametrize("entries", [1, 2, 4097, 40_001, 300_001])
def test_noise_is_normal_with_the_deviation_that_was_asked_for(entries):
    secret, scale = Secret(seeded(3), most=entries), 2.5
    out = torch.empty(entries)
    drawn = []
    while sum(map(len, drawn)) < 300_000:
        secret.fill(out, scale)
        drawn.append(out.numpy().copy())
        if len(drawn) == 5000:
            break
    found = np.concatenate(drawn).astype(float) / scale
    assert np.isfinite(found).all()
    assert stats.kstest(found, "norm").pvalue > RARE
    assert found.var() == pytest.approx(1, abs=5 * np.sqrt(2 / len(found)))
    assert stats.kurtosis(found) == pytest.approx(0, abs=5 * np.sqrt(24 / len(found)))
    assert (np.abs(found) > 3).mean() == pytest.approx(2 * stats.norm.sf(3), abs=5 * np.sqrt(0.0027 / len(found)))


def test_noise_is_never_the_same_twice_nor_alike_from_one_entry_to_another():
    secret = Secret(seeded(5), most=200_000)
    first, second = torch.empty(200_000), torch.empty(200_000)
    secret.fill(first, 1.0)
    secret.fill(second, 1.0)
    bound = 5 / np.sqrt(200_000)
    assert abs(np.corrcoef(first.numpy(), second.numpy())[0, 1]) < bound
    for lag in (1, 100_000):
        assert abs(np.corrcoef(first[lag:].numpy(), first[:-lag].numpy())[0, 1]) < bound
        assert abs(np.corrcoef(first[lag:].numpy() ** 2, first[:-lag].numpy() ** 2)[0, 1]) < bound


def test_what_a_source_gives_decides_all_draws_and_another_gives_others():
    def draws(seed):
        secret, out = Secret(seeded(seed), most=5000), torch.empty(5000)
        secret.fill(out, 1.0)
        return [secret.seed(), out.tolist(), [rows.tolist() for rows, _ in zip(secret.samples(100, 0.3), range(3))]]

    assert draws(1) == draws(1)
    assert all(one != other for one, other in zip(draws(1), draws(2)))


def test_a_source_that_dries_up_is_refused():
    with pytest.raises(MachineError, match="another number of bytes"):
        Secret(lambda count: b"x" * (count - 1))


@pytest.mark.parametrize(("rows", "rate"), [(50, 0.2), (1000, 0.003), (7, 0.9), (20_000, 0.4)])
def test_a_sample_takes_every_row_by_itself_with_the_same_probability(rows, rate):
    samples = 400 if rows > 10_000 else 3000
    drawn = [sample for sample, _ in zip(Secret(seeded(7)).samples(rows, rate), range(samples))]
    assert all((np.diff(sample) > 0).all() and (len(sample) == 0 or 0 <= sample[0] <= sample[-1] < rows) for sample in drawn)
    counts = np.array([len(sample) for sample in drawn])
    cuts = np.unique(stats.binom.ppf(np.linspace(0.1, 0.9, 9), rows, rate))
    edges = np.concatenate([[-1], cuts, [rows]])
    chances = np.diff(stats.binom.cdf(edges, rows, rate))
    seen = np.histogram(counts, edges + 0.5)[0]
    kept = chances > 0
    assert stats.chisquare(seen[kept], chances[kept] * seen.sum()).pvalue > RARE
    taken = np.bincount(np.concatenate(drawn), minlength=rows)
    assert stats.chisquare(taken).statistic / (rows - 1) < 1.5 if rows > 100 else stats.chisquare(taken).pvalue > RARE
    following = [len(np.intersect1d(one, other)) for one, other in pairwise(drawn)]
    assert np.mean(following) == pytest.approx(rows * rate**2, abs=6 * np.sqrt(rows * rate**2 / len(following)) + 0.02)


def test_with_a_rate_of_1_every_row_is_taken():
    assert next(iter(Secret(seeded(0)).samples(5, 1.0))).tolist() == [0, 1, 2, 3, 4]


def private(**more):
    return Recipe(**{"learning_rate": 1.0, "batch": 8, "private": Private(CLIP, 1.3), **more})


def test_a_step_moves_the_weights_by_the_clipped_sum_and_the_noise_over_the_rows_to_be_expected(aims, targets_for):
    learner = learner_of(Network("mlp", (6,), 1, MLP), aims["binary"])
    x, y = rows_of(learner, targets_for, rows=20)
    start = learner.initial(0)
    found = train_privately(learner, start, x, y, private(batch=100, steps=1), entropy=seeded(2))  # so that all rows are taken
    secret, noise = Secret(seeded(2), most=learner.parameters), torch.empty(learner.parameters)
    secret.seed()
    secret.fill(noise, 1.3 * CLIP / 20)
    expected = start - (clipped(learner, FusedSum, x, y) / 20 + noise.numpy())
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    assert found.spent == Spending(1.0, 1.3, 1)
    assert np.isnan(found.loss)  # nothing of it may be told


def test_where_the_number_of_rows_is_hidden_the_one_that_was_told_stands_for_it(aims, targets_for):
    """Twice the rows are expected, so that clipped sum and noise move the weights half as far; and the answer weighs as told."""
    learner = learner_of(Network("mlp", (6,), 1, MLP), aims["binary"])
    x, y = rows_of(learner, targets_for, rows=20)
    start, recipe = learner.initial(0), Recipe(learning_rate=1.0, steps=1, private=Private(CLIP, 1.3, 0.5))
    whole, half, none = (
        train_privately(learner, start, x, y, recipe, entropy=seeded(2), counted=counted) for counted in (None, 40, 0)
    )
    np.testing.assert_allclose(half.weights - start, (whole.weights - start) / 2, atol=1e-6)
    assert (whole.rows, half.rows, none.rows) == (20, 40, 0)
    assert np.isfinite(none.weights).all()
    with pytest.raises(SiteError, match="set rate in private"):
        train_privately(learner, start, x, y, private(), entropy=seeded(2), counted=40)


def test_a_step_on_no_row_is_one_of_noise_alone(aims):
    learner = learner_of(Network("logistic", (6,), 1), aims["binary"])
    x, y = np.ones((3, 6), np.float32), np.ones(3)
    recipe = private(steps=2, private=Private(CLIP, 1.3, rate=1e-9))
    moved = train_privately(learner, learner.initial(0), x, y, recipe, entropy=seeded(4)).weights - learner.initial(0)
    secret, noise = Secret(seeded(4), most=7), np.zeros(7)
    secret.seed()
    for sample, _ in zip(secret.samples(3, 1e-9), range(2)):
        assert len(sample) == 0
        step = torch.empty(7)
        secret.fill(step, 1.3 * CLIP / 3e-9)
        noise -= step.numpy()
    np.testing.assert_allclose(moved, noise, rtol=1e-5)


@pytest.mark.parametrize("settings", [{"widths": [8], "dropout": 0.5}, {"widths": [8]}])
def test_private_training_learns_what_is_there_to_learn(aims, settings):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 6)).astype(np.float32)
    y = (x[:, 0] - x[:, 1] > 0).astype(float)
    learner = learner_of(Network("mlp", (6,), 1, settings), aims["binary"])
    recipe = Recipe("adam", 0.02, batch=100, epochs=10, private=Private(1.0, 1.0))
    found = train_privately(learner, learner.initial(0), x, y, recipe, entropy=seeded(1))
    assert ((learner.outputs(found.weights, x)[:, 0] > 0) == y).mean() > 0.9
    assert found.spent == Spending(0.05, 1.0, 200)
    again = train_privately(learner, learner.initial(0), x, y, recipe, entropy=seeded(2))
    assert not np.array_equal(found.weights, again.weights)


def test_images_are_mirrored_in_private_training_too(aims, targets_for):
    learner = learner_of(Network("small_cnn", (1, 8, 8), 1, {"widths": [3], "dropout": 0.3}), aims["binary"])
    x, y = rows_of(learner, targets_for, rows=12)
    found = {
        augment: train_privately(learner, learner.initial(0), x, y, private(steps=3, augment=augment), entropy=seeded(1)).weights
        for augment in ("none", "flip")
    }
    assert np.isfinite(found["flip"]).all()
    assert not np.array_equal(found["none"], found["flip"])


@pytest.mark.parametrize(
    ("network", "inputs", "remedy"),
    [
        ("mlp", (6,), "norm = 'none' or 'layer'"),
        ("small_cnn", (1, 8, 8), "norm = 'group' or 'none'"),
        ("unet", (1, 8, 8), "norm = 'instance'"),
        ("resnet", (1, 16, 16), "norm = 'group'"),
    ],
)
def test_a_network_that_normalises_over_a_batch_is_refused_with_what_to_set_instead(aims, network, inputs, remedy):
    aim = aims["segmentation" if network == "unet" else "binary"]
    settings = {"norm": "batch"} if network != "resnet" else {"stem": "small"}
    learner = learner_of(Network(network, inputs, aim.outputs, settings), aim)
    x = np.zeros((4, *inputs), np.float32)
    with pytest.raises(SiteError, match=f"a row acts on all others; choose {remedy} in settings"):
        train_privately(learner, learner.initial(0), x, np.zeros(4), private(), entropy=seeded(0))


def test_a_loss_that_compares_rows_is_refused(aims):
    learner = learner_of(Network("mlp", (6,), aims["cox"].outputs, MLP), aims["cox"])
    assert "discrete_time" in why_not_private(learner)
    with pytest.raises(SiteError, match="compares rows"):
        train_privately(learner, learner.initial(0), np.zeros((4, 6), np.float32), np.zeros((4, 2)), private(), entropy=seeded(0))


def test_without_a_secure_source_or_in_a_way_without_noise_nothing_is_trained(aims, targets_for):
    learner = learner_of(Network("mlp", (6,), 1, MLP), aims["binary"])
    x, y = rows_of(learner, targets_for)
    start = learner.initial(0)
    with pytest.raises(SiteError, match="no secure source"):
        train_privately(learner, start, x, y, private(), entropy=None)
    with pytest.raises(SiteError, match="adds no noise"):
        learner.train(start, x, y, private(), seed=1)
    with pytest.raises(SiteError, match="adds no noise"):
        train_many(learner, start, [(x, y)], private(), seeds=[1])
    with pytest.raises(SiteError, match="no rows"):
        train_privately(learner, start, x[:0], y[:0], private(), entropy=seeded(0))


def test_a_row_that_breaks_the_loss_does_not_show_in_whether_training_succeeds(aims, targets_for):
    learner = learner_of(Network("mlp", (6,), 1, MLP), aims["regression"])
    x, y = rows_of(learner, targets_for)
    y[3] = 1e30
    found = train_privately(learner, learner.initial(0), x, y, private(steps=4), entropy=seeded(0))
    assert np.isfinite(found.weights).all()


def test_what_private_training_costs_is_known_before_it_begins():
    assert Spending.of(private(batch=32, epochs=3), 100) == Spending(0.32, 1.3, 12)  # 4 steps for 100 rows, 3 times
    assert Spending.of(private(batch=32), 20) == Spending(1.0, 1.3, 1)
    assert Spending.of(private(steps=7, private=Private(1.0, 2.0, rate=0.25)), 100) == Spending(0.25, 2.0, 7)
    assert Spending.of(private(epochs=2, private=Private(1.0, 2.0, rate=0.3)), 100) == Spending(0.3, 2.0, 8)
    assert Spending.of(private(), 0).steps == 0
    with pytest.raises(ValueError, match="adds no noise"):
        Spending.of(Recipe(), 100)


def test_events_of_a_study_are_those_of_all_its_rounds():
    spec = settings(rounds=10, batch=50, epochs=2)
    event = {"kind": "gaussian", "noise_multiplier": 1.1}
    assert privacy_events(spec, 200) == [{"kind": "poisson_sampled", "probability": 0.25, "event": event, "count": 80}]
    assert privacy_events(spec, 200, 3)[0]["count"] == 24
    assert privacy_events(spec, 0) == privacy_events(spec, 200, 0) == []
    with pytest.raises(ValueError, match="adds no noise"):
        privacy_events(AveragingSpec(outcome="y", covariates="a"), 200)


def test_a_recipe_is_its_facts_and_says_nothing_of_privacy_where_there_is_none():
    for recipe in (Recipe(), private(), private(private=Private(2.0, 0.7, 0.01))):
        assert Recipe.from_facts(decode(encode(recipe.facts()))) == recipe
    assert "private" not in Recipe().facts()


@pytest.mark.parametrize(
    "wrong", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (np.inf, 1.0), (1.0, np.nan), (1.0, 1.0, 1.1), (1.0, 1.0, 1e-12)]
)
def test_numbers_that_bound_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="expected clip and noise above 0"):
        Private(*wrong)


def settings(**more):
    return AveragingSpec(**{"outcome": "y", "covariates": "a", "private": {"clip": 1.0, "noise": 1.1}, **more})


def test_the_settings_say_how_a_site_trains_privately():
    assert settings().recipe.private == Private(1.0, 1.1)
    assert settings(private={"clip": 0.1, "noise": 2.0, "rate": 0.02}).recipe.private == Private(0.1, 2.0, 0.02)
    assert AveragingSpec(outcome="y", covariates="a").recipe.private is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scale": "site"}, "scale = site"),
        ({"clip": 1.0}, "which clips every row"),
        ({"task": "cox", "outcome": (), "time": "t", "event": "e == 1"}, "whose loss compares rows"),
        ({"private": {"clip": 1.0, "noise": 0.0}}, "noise"),
        ({"private": {"clip": 1.0, "noise": 1.0, "rate": 1e-12}}, "a rate of 0"),
        ({"private": {"clip": 1.0, "noise": 1.0, "epsilon": 3.0}}, "epsilon"),
    ],
)
def test_settings_that_would_bound_nothing_are_refused(more, said):
    with pytest.raises(ValidationError, match=said):
        settings(**more)
