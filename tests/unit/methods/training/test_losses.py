"""Each loss is what its formula says, row by row, and rows of weight 0 count for nothing."""

import numpy as np
import pytest

from huizhen.methods.training.losses import loss_of

torch = pytest.importorskip("torch")


def evaluated(aim, outputs, targets, weights=None):
    y = (
        torch.from_numpy(targets)
        if aim.task in ("multiclass", "segmentation", "cox", "discrete_time")
        else torch.tensor(targets).float()
    )
    w = torch.ones(len(outputs)) if weights is None else torch.tensor(weights).float()
    return loss_of(aim)(torch.tensor(outputs).float(), y, w).item()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def test_binary_multilabel_multiclass_and_regression_are_the_textbook_losses(aims, rng, targets_for):
    for task in ("binary", "multilabel"):
        y, z = targets_for(aims[task], 9, rng), rng.normal(size=(9, aims[task].outputs))
        p, truth = sigmoid(z), y.reshape(9, -1)
        expected = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
        assert evaluated(aims[task], z, y) == pytest.approx(expected, rel=1e-5)
    y, z = targets_for(aims["multiclass"], 9, rng), rng.normal(size=(9, 3))
    expected = -np.log((np.exp(z) / np.exp(z).sum(1, keepdims=True))[np.arange(9), y]).mean()
    assert evaluated(aims["multiclass"], z, y) == pytest.approx(expected, rel=1e-5)
    y, z = rng.normal(size=9), rng.normal(size=(9, 1))
    assert evaluated(aims["regression"], z, y) == pytest.approx(((z[:, 0] - y) ** 2).mean(), rel=1e-5)


def test_cox_is_breslows_partial_likelihood_over_the_number_of_rows(aims, rng, targets_for):
    y, z = targets_for(aims["cox"], 30, rng), rng.normal(size=(30, 1))  # 6 distinct times: many ties
    total = sum(z[i, 0] - np.log(np.exp(z[y[:, 0] >= y[i, 0], 0]).sum()) for i in range(30) if y[i, 1])
    assert evaluated(aims["cox"], z, y) == pytest.approx(-total / 30, rel=1e-5)


def test_cox_agrees_with_the_likelihood_of_lifelines(aims, rng):
    lifelines = pytest.importorskip("lifelines")
    import pandas as pd

    frame = pd.DataFrame({"x": rng.normal(size=40), "time": rng.permutation(40) + 1.0, "event": rng.integers(0, 2, 40)})
    fitted = lifelines.CoxPHFitter().fit(frame, "time", "event")  # no ties: Efron's likelihood is Breslow's
    found = evaluated(aims["cox"], frame[["x"]].to_numpy() * fitted.params_["x"], frame[["time", "event"]].to_numpy(float))
    assert found == pytest.approx(-fitted.log_likelihood_ / 40, rel=1e-5)


def test_cox_without_an_event_has_neither_loss_nor_gradient(aims):
    outputs = torch.randn(5, 1, requires_grad=True)
    targets = torch.tensor([[float(i), 0.0] for i in range(5)], dtype=torch.float64)
    loss = loss_of(aims["cox"])(outputs, targets, torch.ones(5))
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad.abs().max() == 0


def test_discrete_time_is_the_likelihood_of_the_hazards(aims, rng):
    y = np.array([[0, 1], [2, 1], [3, 0], [0, 0]], float)
    z = rng.normal(size=(4, 4))
    h = sigmoid(z)
    likelihoods = [
        h[0, 0],  # the event came in the first interval
        (1 - h[1, 0]) * (1 - h[1, 1]) * h[1, 2],
        np.prod(1 - h[2]),  # lived through all intervals
        1 - h[3, 0],
    ]
    assert evaluated(aims["discrete_time"], z, y) == pytest.approx(-np.log(likelihoods).mean(), rel=1e-5)


def test_segmentation_is_cross_entropy_and_dice(aims, rng, targets_for):
    y, z = targets_for(aims["segmentation"], 3, rng, (5, 4)), rng.normal(size=(3, 3, 5, 4))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    t = np.stack([y == k for k in range(3)], 1).astype(float)
    dice = 2 * (p * t).sum((2, 3)) / (p + t).sum((2, 3))
    expected = -(t * np.log(p)).sum(1).mean() + 1 - dice.mean()
    assert evaluated(aims["segmentation"], z, y) == pytest.approx(expected, rel=1e-4)


def test_a_perfect_map_has_no_loss_even_of_a_class_that_is_not_there(aims):
    y = np.zeros((2, 4, 4), int)
    z = np.where(np.arange(3)[None, :, None, None] == 0, 50.0, -50.0) * np.ones((2, 3, 4, 4))
    assert evaluated(aims["segmentation"], z, y) == pytest.approx(0, abs=1e-5)


def test_rows_of_weight_zero_count_for_nothing_and_weight_two_counts_twice(aims, rng, targets_for):
    for task, aim in aims.items():
        space = (4, 4) if task == "segmentation" else ()
        y, z = targets_for(aim, 8, rng, space), rng.normal(size=(8, aim.outputs, *space))
        alone = evaluated(aim, z[:6], y[:6])
        assert evaluated(aim, z, y, [1] * 6 + [0] * 2) == pytest.approx(alone, rel=1e-5), task
        twice = evaluated(aim, np.concatenate([z, z[:1]]), np.concatenate([y, y[:1]]))
        assert evaluated(aim, z, y, [2] + [1] * 7) == pytest.approx(twice, rel=1e-5), task
