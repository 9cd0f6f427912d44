"""Local training does what a loop in plain torch does, step for step, and fails in words."""

import threading
import time

import numpy as np
import pytest

from huizhen.canonical import decode, encode
from huizhen.data.examples import Examples, Numbers
from huizhen.errors import SiteError, StudyError
from huizhen.methods.method import Local
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training import Network, Recipe, learner_of
from huizhen.methods.training.export import onnx
from huizhen.methods.training.features import agree_features
from huizhen.methods.training.order import Schedule, row_orders, seed_of
from huizhen.methods.training.rows import forget, prepare
from huizhen.methods.training.state import alone, memory_named
from huizhen.privacy.release import Terms

torch = pytest.importorskip("torch")

MLP = Network("mlp", (5,), 1, {"widths": [4]})
CNN = Network("small_cnn", (1, 8, 8), 1, {"widths": [4, 6], "norm": "batch"})


@pytest.fixture
def table(aims):
    rng = np.random.default_rng(1)
    return rng.normal(size=(23, 5)).astype(np.float32), rng.integers(0, 2, 23).astype(float)


@pytest.fixture
def learner(aims):
    return learner_of(MLP, aims["binary"])


def in_plain_torch(learner, weights, x, y, recipe, seed, optimiser, added=lambda parameters: ()):
    """The same training, as a textbook of torch writes it."""
    module = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    torch.nn.utils.vector_to_parameters(torch.tensor(weights), module.parameters())
    steps, losses = optimiser(module.parameters()), []
    schedule = Schedule.of(np.array([len(x)]), recipe.batch, epochs=recipe.epochs, steps=recipe.steps, pairs=False)
    for step in range(int(schedule.steps[0])):
        order = row_orders(seed_of(seed), schedule.epoch(step), schedule.rows)[0]
        first, count = (int(each[0]) for each in schedule.bounds(step))
        rows = order[first : first + count]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            module(torch.tensor(x[rows]))[:, 0], torch.tensor(y[rows]).float()
        )
        losses.append((loss.item(), count))
        steps.zero_grad()
        loss.backward()
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        for parameter, more in zip(module.parameters(), added(list(module.parameters()))):
            parameter.grad += more
        steps.step()
    losses = losses if recipe.steps else losses[-int(schedule.per_epoch[0]) :]
    mean = sum(loss * count for loss, count in losses) / sum(count for _, count in losses)
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy(), mean


RECIPES = [
    (Recipe("sgd", 0.1, batch=4), lambda p: torch.optim.SGD(p, 0.1)),
    (Recipe("sgd", 0.1, momentum=0.9, weight_decay=0.05, batch=7, epochs=3), lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 0.05)),
    (Recipe("adam", 0.02, weight_decay=0.05, batch=8, steps=11), lambda p: torch.optim.Adam(p, 0.02, weight_decay=0.05)),
    (Recipe("adamw", 0.02, weight_decay=0.1, batch=50, epochs=4), lambda p: torch.optim.AdamW(p, 0.02, weight_decay=0.1)),
    (Recipe("sgd", 0.5, batch=4, epochs=2, clip=0.2), lambda p: torch.optim.SGD(p, 0.5)),
]


@pytest.mark.parametrize(("recipe", "optimiser"), RECIPES)
def test_training_is_that_of_a_loop_in_plain_torch(learner, table, recipe, optimiser):
    start = learner.initial(3)
    found = learner.train(start, *table, recipe, seed=9)
    weights, loss = in_plain_torch(learner, start, *table, recipe, 9, optimiser)
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.rows == 23


def test_drift_and_the_proximal_term_are_added_to_every_gradient(learner, table):
    start, recipe = learner.initial(3), Recipe("sgd", 0.1, batch=6, epochs=3, proximal=0.7)
    drift = np.random.default_rng(2).normal(size=learner.parameters).astype(np.float32)
    found = learner.train(start, *table, recipe, seed=9, drift=drift)
    first = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 1))

    def pieces(vector):
        torch.nn.utils.vector_to_parameters(torch.tensor(vector), first.parameters())
        return [each.detach().clone() for each in first.parameters()]

    starts, drifts = pieces(start), pieces(drift)

    def added(parameters):
        return [0.7 * (now.detach() - then) + d for now, then, d in zip(parameters, starts, drifts)]

    weights, _ = in_plain_torch(learner, start, *table, recipe, 9, lambda p: torch.optim.SGD(p, 0.1), added)
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)


def test_the_initial_weights_are_torchs_own_under_its_seed(aims, learner):
    torch.manual_seed(42)
    layer = torch.nn.Linear(13, 1)
    expected = torch.nn.utils.parameters_to_vector(layer.parameters()).detach().numpy()
    np.testing.assert_array_equal(learner_of(Network("logistic", (13,), 1), aims["binary"]).initial(42), expected)
    assert not np.array_equal(learner.initial(1), learner.initial(2))


def test_weights_hold_parameters_in_module_order_and_then_running_means_and_variances(aims):
    learner = learner_of(CNN, aims["binary"])
    assert [name for name, _ in learner.names[-4:]] == ["1.running_mean", "1.running_var", "5.running_mean", "5.running_var"]
    assert learner.names[0] == ("0.weight", (4, 1, 3, 3))
    assert learner.size - learner.parameters == 2 * 4 + 2 * 6
    assert learner.normalisation.sum() == 4 * (4 + 6)
    weights = learner.initial(0)
    assert (
        weights[learner.normalisation].tolist()
        == [1.0] * 4 + [0.0] * 4 + [1.0] * 6 + [0.0] * 6 + [0.0] * 4 + [1.0] * 4 + [0.0] * 6 + [1.0] * 6
    )


def test_weights_come_back_from_the_network_as_they_went_in(aims):
    learner = learner_of(CNN, aims["binary"])
    weights = np.arange(learner.size, dtype=np.float32)
    learner.store.load(weights)
    np.testing.assert_array_equal(learner.store.weights(), weights)
    kernel = dict(learner.store.module.named_parameters())["4.weight"]
    place = next(
        sum(int(np.prod(shape)) for _, shape in learner.names[:i]) for i, (n, _) in enumerate(learner.names) if n == "4.weight"
    )
    np.testing.assert_array_equal(kernel.detach().numpy().ravel(), weights[place : place + kernel.numel()])


@pytest.mark.parametrize("network", [Network("mlp", (5,), 1, {"widths": [8], "dropout": 0.5}), CNN])
def test_the_same_seed_gives_the_same_bytes_whatever_happened_in_between(aims, network):
    learner, rng = learner_of(network, aims["binary"]), np.random.default_rng(0)
    x, y = rng.normal(size=(20, *network.inputs)).astype(np.float32), rng.integers(0, 2, 20).astype(float)
    start, recipe = learner.initial(0), Recipe("adam", 0.01, batch=6, epochs=2)
    first = learner.train(start, x, y, recipe, seed=4)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    other = learner.train(first.weights, x, y, recipe, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    learner.outputs(other.weights, x)
    assert learner.train(start, x, y, recipe, seed=4).weights.tobytes() == first.weights.tobytes()
    assert other.weights.tobytes() != first.weights.tobytes()


def test_sites_in_threads_of_one_process_do_not_disturb_each_other(learner, table):
    start, recipe = learner.initial(0), Recipe(batch=4, epochs=2)
    expected = [learner.train(start, *table, recipe, seed=seed).weights.tobytes() for seed in range(6)]
    found = {}

    def work(seed):
        found[seed] = learner.train(start, *table, recipe, seed=seed).weights.tobytes()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [found[seed] for seed in range(6)] == expected


def test_eight_bit_images_are_those_of_0_to_1(aims):
    learner, rng = learner_of(CNN, aims["binary"]), np.random.default_rng(0)
    images, y = rng.integers(0, 256, (9, 1, 8, 8), dtype=np.uint8), rng.integers(0, 2, 9).astype(float)
    scaled, recipe = (images / np.float32(255)).astype(np.float32), Recipe(batch=4, augment="flip")
    start = learner.initial(0)
    found, expected = (learner.train(start, each, y, recipe, seed=1).weights for each in (images, scaled))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(learner.outputs(start, images), learner.outputs(start, scaled))


def test_images_are_mirrored_with_their_label_maps_half_of_the_time(aims):
    learner, rng = (
        learner_of(Network("unet", (1, 4, 6), 3, {"widths": [2, 2], "units": 0}), aims["segmentation"]),
        np.random.default_rng(0),
    )
    images, maps = rng.normal(size=(40, 1, 4, 6)).astype(np.float32), rng.integers(0, 3, (40, 4, 6))
    seen = []
    whole = learner.loss

    def watch(outputs, targets, weights):
        seen.append(targets.numpy())
        return whole(outputs, targets, weights)

    learner.loss = watch
    try:
        learner.train(learner.initial(0), images, maps, Recipe(batch=40, augment="flip"), seed=1)
    finally:
        learner.loss = whole
    order = row_orders(seed_of(1), np.array([0]), np.array([40]))[0]
    mirrored = [np.array_equal(found, maps[row][:, ::-1]) for row, found in zip(order, seen[0])]
    assert all(flipped or np.array_equal(found, maps[row]) for row, found, flipped in zip(order, seen[0], mirrored))
    assert 10 <= sum(mirrored) <= 30


def test_outputs_are_those_of_the_module_at_rest_and_do_not_depend_on_how_many_rows_there_are(aims):
    learner, rng = learner_of(CNN, aims["binary"]), np.random.default_rng(0)
    images, y = rng.normal(size=(40, 1, 8, 8)).astype(np.float32), rng.integers(0, 2, 40).astype(float)
    weights = learner.train(learner.initial(0), images, y, Recipe(batch=8), seed=1).weights
    found = learner.outputs(weights, images)
    assert found.shape == (40, 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        np.concatenate([learner.outputs(weights, images[i : i + 7]) for i in range(0, 40, 7)]), found, atol=1e-6
    )
    assert learner.outputs(weights, images[:0]).shape == (0, 1)


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression", "cox", "discrete_time", "segmentation"])
def test_every_task_learns(aims, task, targets_for):
    aim, rng = aims[task], np.random.default_rng(0)
    space = (8, 8) if task == "segmentation" else ()
    network = (
        Network("unet", (1, *space), 3, {"widths": [4, 4], "units": 0})
        if space
        else Network("mlp", (5,), aim.outputs, {"widths": [32]})
    )
    learner = learner_of(network, aim)
    x, y = rng.normal(size=(40, *network.inputs)).astype(np.float32), targets_for(aim, 40, rng, space)
    start = learner.initial(0)
    first = learner.train(start, x, y, Recipe("adam", 1e-6, batch=40), seed=1)
    last = learner.train(start, x, y, Recipe("adam", 0.02, batch=40, epochs=40), seed=1)
    assert last.loss < 0.9 * first.loss


def test_training_that_diverges_names_the_step(aims, table):
    learner = learner_of(MLP, aims["regression"])
    with pytest.raises(SiteError, match=r"training diverged: .* in step [2-9] \(lower learning_rate, or set clip\)"):
        learner.train(learner.initial(0), *table, Recipe(learning_rate=1e25, batch=4), seed=1)
    x, y = table
    broken = np.where(np.arange(5) == 2, np.float32(np.nan), x)
    with pytest.raises(SiteError, match="in step 1 "):
        learner.train(learner.initial(0), broken, y, Recipe(batch=4), seed=1)
    with pytest.raises(SiteError, match="in step 1 "):  # the loss was finite, the weights after it are not
        learner.train(learner.initial(0), x, y, Recipe(learning_rate=3e38, batch=50), seed=1)


def test_a_thread_that_waits_takes_the_number_of_threads_from_what_it_finds_when_its_turn_comes():
    usual, seen = torch.get_num_threads(), []
    inside, waiting = threading.Event(), threading.Event()

    def first():
        with alone(0, threads=1):
            inside.set()
            waiting.wait(10)
            time.sleep(0.1)  # the second one stands before the door

    def second():
        inside.wait(10)
        waiting.set()
        with alone(0):
            seen.append(torch.get_num_threads())

    torch.set_num_threads(3)
    try:
        both = [threading.Thread(target=work) for work in (first, second)]
        for each in both:
            each.start()
        for each in both:
            each.join()
        with alone(0):
            seen.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(usual)
    assert seen == [3, 3]


def test_writing_a_network_as_onnx_leaves_torchs_random_state_as_it_was(learner):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    onnx(learner, learner.initial(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_batch_of_one_row_joins_the_one_before_it_where_a_batch_is_normalised(aims):
    learner = learner_of(Network("mlp", (5,), 1, {"norm": "batch"}), aims["binary"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 5)).astype(np.float32), rng.integers(0, 2, 9).astype(float)
    assert learner.train(learner.initial(0), x, y, Recipe(batch=4), seed=1).steps == 2
    with pytest.raises(
        SiteError, match=r"^found too few rows to train on: batch normalisation takes its mean over two rows at least"
    ):
        learner.train(learner.initial(0), x[:1], y[:1], Recipe(batch=4), seed=1)


def test_rows_of_another_shape_are_said(aims):
    learner = learner_of(CNN, aims["binary"])
    with pytest.raises(SiteError, match="found rows of 1 x 8 x 9, the network was built for rows of 1 x 8 x 8"):
        learner.train(learner.initial(0), np.zeros((4, 1, 8, 9), np.uint8), np.zeros(4), Recipe(), seed=1)
    with pytest.raises(SiteError, match="bring them to one size"):
        learner.outputs(learner.initial(0), np.zeros((4, 1, 9, 8), np.uint8))


def test_no_rows_are_said(learner, table):
    x, y = table
    with pytest.raises(SiteError, match="no rows to train on"):
        learner.train(learner.initial(0), x[:0], y[:0], Recipe(), seed=1)


def test_memory_that_runs_out_is_said_in_plain_words():
    with pytest.raises(SiteError, match="memory ran out with 64 rows in a batch; choose a smaller batch"), memory_named(64):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(SiteError, match="memory ran out"), memory_named(64):
        raise MemoryError
    with pytest.raises(RuntimeError, match="shapes"), memory_named(64):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_a_network_with_other_outputs_than_the_aim_is_refused(aims):
    with pytest.raises(StudyError, match="found 1 outputs, expected 3, as the aim has"):
        learner_of(MLP, aims["multiclass"])


def test_a_network_that_gives_maps_is_for_segmentation_and_no_other_is(aims):
    with pytest.raises(StudyError, match="found outputs for every pixel, expected outputs for a row"):
        learner_of(Network("unet", (1, 8, 8), 1, {"widths": [2, 2]}), aims["binary"])
    with pytest.raises(StudyError, match="found outputs for a row, expected outputs for every pixel"):
        learner_of(Network("small_cnn", (1, 8, 8), 3), aims["segmentation"])


def test_a_recipe_is_the_same_after_its_facts_are_encoded():
    for recipe, _ in RECIPES:
        assert Recipe.from_facts(decode(encode(recipe.facts()))) == recipe


def test_a_learner_is_kept_for_the_next_question(aims):
    again = Network.from_facts(decode(encode(MLP.facts())))
    assert learner_of(again, aims["binary"]) is learner_of(MLP, aims["binary"])


def test_a_site_prepares_the_folds_that_are_asked_for_and_lets_go_of_those_that_are_not_asked_for_again():
    rows = Examples({"x": Numbers(np.arange(10.0)), "y": Numbers(np.arange(10.0))}, 10)
    features = agreed(agree_features("averaging", ("x",), "", scale="none", terms=Terms()))
    facts = {"features": features, "aim": Aim("regression", ("y",)).facts(), "aside": ["x > 6", "x < 2"], "drawn_by": ["x", "y"]}
    local = Local()
    assert prepare(facts, rows, local, 1).targets.tolist() == [7, 8, 9]
    assert prepare(facts, rows, local, 2, keep=False).inputs[:, 0].tolist() == [0, 1]
    (held,) = local.memo.values()
    assert set(held) == {"folds", 1}
    assert prepare(facts, rows, local, 0) is prepare(facts, rows, local, 0)
    forget(facts, local, but=[1])
    assert set(held) == {"folds", 1}


def agreed(program):
    """The features of plain numbers, on which there is nothing to ask."""
    with pytest.raises(StopIteration) as stop:
        next(program)
    return stop.value.value[0].facts()
