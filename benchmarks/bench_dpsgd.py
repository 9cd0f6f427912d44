"""What a private step costs beside a plain one: fused clipping, noise from a secure source and Poisson sampling together.

Batch 256, SGD, one thread; `Learner.train` and `train_privately` in turns within one run; `time.process_time` for each step,
medians. Bar for multilayer perceptrons: 1.4 times the plain step. The small convolutional network, whose rows' gradients are
formed a few at a time, has none.
"""

from __future__ import annotations

import secrets
import statistics
import time

import numpy as np
import pytest

from huizhen.methods.scores.aim import Aim
from huizhen.methods.training import Network, Private, Recipe, learner_of, train_privately

BINARY = Aim("binary", ("y",), ("0", "1"))
DIGITS = Aim("multiclass", ("y",), tuple("0123456789"))
TURNS, BATCH, BATCHES, BAR = 15, 256, 10, 1.4
TASKS = {
    "mlp 30-64-32-1": (Network("mlp", (30,), 1, {"widths": [64, 32]}), BINARY, 200, BAR),
    "mlp 784-256-128-10": (Network("mlp", (784,), 10, {"widths": [256, 128]}), DIGITS, 40, BAR),
    "logistic 30-1": (Network("logistic", (30,), 1), BINARY, 200, None),
    "small_cnn 1x28x28": (Network("small_cnn", (1, 28, 28), 10), DIGITS, 2, None),
}


def seconds(work, steps):
    began = time.process_time()
    work()
    return (time.process_time() - began) / steps


@pytest.mark.parametrize("name", TASKS)
def test_a_private_step_beside_a_plain_one(name, capsys):
    torch = pytest.importorskip("torch")
    network, aim, steps, bar = TASKS[name]
    learner, rng = learner_of(network, aim), np.random.default_rng(0)
    x = rng.normal(size=(BATCHES * BATCH, *network.inputs)).astype(np.float32)
    y = rng.integers(0, len(aim.levels), len(x)).astype(np.int64 if aim is DIGITS else np.float64)
    start, recipe = learner.initial(0), Recipe("sgd", 0.01, batch=BATCH, steps=steps)
    private = Recipe("sgd", 0.01, batch=BATCH, steps=steps, private=Private(1.0, 1.1))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        turns = [
            (
                seconds(lambda: learner.train(start, x, y, recipe, seed=1), steps),
                seconds(lambda: train_privately(learner, start, x, y, private, entropy=secrets.token_bytes), steps),
            )
            for _ in range(TURNS)
        ]
    finally:
        torch.set_num_threads(before)
    plain, noisy = (statistics.median(each) for each in zip(*turns))
    ratio = statistics.median(noisy / plain for plain, noisy in turns)
    least = min(noisy for _, noisy in turns) / min(plain for plain, _ in turns)
    times = f"plain {plain * 1e6:,.0f} us, private {noisy * 1e6:,.0f} us"
    with capsys.disabled():
        print(f"\n{name}: {times}; median ratio {ratio:.2f}, ratio of the least {least:.2f}; bar {bar}")
