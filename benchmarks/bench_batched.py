"""1,000 sites x 20 rounds of federated averaging of a small network in one process, against `pfl` on the same task.

A multilayer perceptron 30-16-1, SGD, one local epoch, batch 32, 30 to 70 rows at each site. Bar: at most a fiftieth of pfl's
processor time, and the weights of our own plain loop within 1e-5. pfl has a virtual environment of its own under build/, made when
it is first needed. Each side runs in a process of its own, as it comes, and reports its own `time.process_time`: drawing the order
of rows, training and averaging are in it, making the rows is not. pfl is also timed with one thread, which suits so small a step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SITES, ROUNDS, LEAST, MOST, BATCH, RATE = 1000, 20, 30, 70, 32, 0.05
ENVIRONMENT = Path(__file__).parent.parent / "build" / "pfl-venv"
PACKAGES = ("torch==2.13.0", "pfl==0.6.0")  # torch first, or a build for GPUs comes along

ROWS = f"""
import json, sys, time
import numpy as np

SITES, ROUNDS, BATCH, RATE = {SITES}, {ROUNDS}, {BATCH}, {RATE}
rng = np.random.default_rng(3)
counts = rng.integers({LEAST}, {MOST} + 1, SITES)
effect = rng.normal(size=30)
sites = []
for count in counts:
    x = rng.normal(size=(count, 30)).astype(np.float32)
    sites.append((x, (rng.random(count) < 1 / (1 + np.exp(-x @ effect))).astype(np.float32)))

def say(seconds, **more):
    print(json.dumps(dict(seconds=seconds, **more)))
"""

HUIZHEN = """
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training import Network, Recipe, Sites, average_many, learner_of, site_seeds, train_many

learner = learner_of(Network("mlp", (30,), 1, {"widths": [16]}), Aim("binary", ("y",), ("0", "1")))
recipe, start = Recipe("sgd", RATE, batch=BATCH), learner.initial(0)
average_many(learner, start, sites[:2], recipe, rounds=1, seed=0)  # what torch builds at its first step is no part of a round

began = time.process_time()
weights, losses = average_many(learner, start, sites, recipe, rounds=ROUNDS, seed=0)
together = time.process_time() - began

began = time.process_time()
plain = start
for number in range(ROUNDS if sys.argv[1] == "whole" else 2):
    seeds = site_seeds(0, number, SITES)
    trained = [learner.train(plain, x, y, recipe, seed=int(seed)) for (x, y), seed in zip(sites, seeds)]
    plain = np.average([each.weights for each in trained], axis=0, weights=counts).astype(np.float32)
alone = time.process_time() - began
say(together, plain=alone, apart=float(abs(plain - weights).max()), first=float(losses[0].mean()), loss=float(losses[-1].mean()))
"""

PFL = """
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.model.pytorch import PyTorchModel

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(30, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))

    def loss(self, x, y):
        return torch.nn.functional.binary_cross_entropy_with_logits(self.layers(x)[:, 0], y)

    def metrics(self, x, y):
        return {}

torch.manual_seed(0)
net = Net()
held = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in sites]
users = FederatedDataset(lambda user: PyTorchTensorDataset(held[user]), get_user_sampler("minimize_reuse", list(range(SITES))))

def mean_loss():
    with torch.no_grad():
        return float(np.mean([net.loss(x, y).item() for x, y in held]))

def train(rounds):
    model = PyTorchModel(net, torch.optim.SGD, torch.optim.SGD(net.parameters(), 1.0))
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(rounds, 10**6, SITES, 0),
        backend=SimulatedBackend(users, users),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=RATE, local_batch_size=BATCH, local_num_steps=None
        ),
        model_eval_params=None,
        callbacks=[],
    )

first, began = mean_loss(), time.process_time()
train(ROUNDS)
say(time.process_time() - began, first=first, loss=mean_loss())
"""


def measured(python: Path | str, program: str, *arguments: str, threads: int = 0) -> dict[str, float]:
    limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)) if threads else {}
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", ROWS + program, *arguments],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def pfl_python() -> Path:
    python = ENVIRONMENT / "bin" / "python"
    if not list(ENVIRONMENT.glob("lib/python3*/site-packages/pfl")):
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        for package in PACKAGES:
            subprocess.run([str(python), "-m", "pip", "install", "-q", package], check=True)
    return python


@pytest.mark.benchmark(group="batched")
def test_a_thousand_sites_learn_together(benchmark) -> None:
    ours, theirs = measured(sys.executable, HUIZHEN, "whole"), measured(pfl_python(), PFL)
    single = measured(pfl_python(), PFL, threads=1)
    each = 1e6 / SITES / ROUNDS
    print(f"\nmicroseconds of processor time for each site and round, {SITES:,} sites x {ROUNDS} rounds:")
    print(f"  pfl {PACKAGES[1][5:]}                {theirs['seconds'] * each:8.1f}")
    print(f"  pfl {PACKAGES[1][5:]}, one thread    {single['seconds'] * each:8.1f}")
    print(f"  Huizhen, plain loop      {ours['plain'] * each:8.1f}")
    print(f"  Huizhen, sites together  {ours['seconds'] * each:8.1f}")
    print(f"  pfl / sites together     {theirs['seconds'] / ours['seconds']:8.1f}   (bar: 50)")
    print(f"  ... pfl with one thread  {single['seconds'] / ours['seconds']:8.1f}")
    print(f"  largest difference of a weight from the plain loop's: {ours['apart']:.1e}   (bar: 1e-5)")
    print(f"  mean loss: pfl {theirs['first']:.3f} to {theirs['loss']:.3f}, Huizhen {ours['first']:.3f} to {ours['loss']:.3f}")
    benchmark.extra_info.update(ratio=theirs["seconds"] / ours["seconds"], apart=ours["apart"])
    benchmark.pedantic(lambda: measured(sys.executable, HUIZHEN, "short"), rounds=1)
