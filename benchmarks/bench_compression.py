"""What compression costs in processor time, saves in bytes and loses in accuracy; all in one process.

Speed: a million float32 weights. Bar: about 1 ms to round them to 16 bits with numpy alone.
Accuracy: averaging over five sites with unlike mixtures of classes, a logistic model and a multilayer perceptron in numpy on the
handwritten digits that come with scikit-learn; area under the curve on rows that no site has. Bar: 0.01 for the shared quarter.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss, roc_auc_score

from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.feedback import Kept, send
from huizhen.privacy.compression.lowrank import LowRank
from huizhen.privacy.compression.packing import pack, unpack
from huizhen.privacy.compression.quantised import Quantised
from huizhen.privacy.compression.quantising import Grid, restore, round_at_random, round_nearest
from huizhen.privacy.compression.shared import SharedSupport, cyclic, drawn
from huizhen.privacy.compression.shrinking import restored
from huizhen.privacy.compression.top import TopK
from huizhen.privacy.compression.whole import Whole

SITES, SEEDS = 5, 5
MILLION = Blocks(
    ("w1", "b1", "w2", "b2", "w3", "b3"), ((512, 784), (512,), (512, 512), (512,), (338, 1000), (6,))
)  # 1,002,582 weights of a multilayer perceptron


def milliseconds(work: Callable[[], object], times: int = 25) -> float:
    """Median processor time."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent) * 1e3


@pytest.mark.benchmark(group="compression", timer=time.process_time)
def test_rounding_a_million_weights(benchmark) -> None:
    rng = np.random.Generator(np.random.Philox(1))
    count = 1_000_000
    values = (rng.standard_normal(count) * 0.1).astype(np.float32)
    print("\nms of processor time, 1,000,000 float32:")
    print(f"  a copy of them                          {milliseconds(values.copy):6.2f}")
    for bits, addends in ((16, SITES), (12, 1), (10, 1), (8, 1)):
        grid = Grid(np.array([count]), np.array([1.0]), bits, addends)
        rounded = round_at_random(values, grid, rng.bytes)
        near = milliseconds(partial(round_nearest, values, grid))
        random = milliseconds(partial(round_at_random, values, grid, rng.bytes))
        back = milliseconds(partial(restore, rounded.levels, grid))
        packed = pack(rounded.levels, bits)
        to_bytes = milliseconds(partial(pack, rounded.levels, bits))
        from_bytes = milliseconds(partial(unpack, packed, count, bits))
        print(
            f"  {bits:2} bits: nearest {near:5.2f}  at random {random:5.2f}  restore {back:5.2f}  "
            f"pack {to_bytes:5.2f}  unpack {from_bytes:5.2f}  {len(packed) / 1e6:.2f} MB"
        )
    grid = Grid(np.array([count]), np.array([1.0]), 16, SITES)
    benchmark.pedantic(round_at_random, (values, grid, rng.bytes), rounds=20)


@pytest.mark.benchmark(group="compression", timer=time.process_time)
def test_shrinking_a_million_weights(benchmark) -> None:
    rng = np.random.Generator(np.random.Philox(2))
    values = (rng.standard_normal(MILLION.size) * 0.1).astype(np.float32)
    print(
        f"\n{MILLION.size:,} weights, ms of processor time at a site (with what is kept) and at the hub; share of float32's bytes:"
    )
    ways = {
        "whole": Whole(MILLION),
        "shared 1/4": SharedSupport(MILLION, 4),
        "shared 1/10": SharedSupport(MILLION, 10),
        "top-k 1/4": TopK(MILLION, 0.25),
        "top-k 1/100": TopK(MILLION, 0.01),
        "low rank 4": LowRank(MILLION, 4),
    }
    for name, inner in ways.items():
        way = Quantised(inner, 16, SITES)
        public = way.begin(1, np.full(len(MILLION.names), 1.0))
        shrunk, kept = send(way, values, Kept(), public, rng.bytes)
        site = milliseconds(partial(send, way, values, kept, public, rng.bytes), 9)
        hub = milliseconds(
            lambda way=way, public=public, shrunk=shrunk: restored(way, way.total([shrunk] * SITES, public), public), 9
        )
        print(f"  {name:12}  site {site:6.2f}  hub {hub:6.2f}  {way.describe()['of_float32']:.4f}")
    shared = Quantised(ways["shared 1/4"], 16, SITES)
    public = shared.begin(1, np.full(len(MILLION.names), 1.0))
    benchmark.pedantic(send, (shared, values, Kept(), public, rng.bytes), rounds=10)


Weights = np.ndarray
Rows = tuple[np.ndarray, np.ndarray]


class Perceptron:
    """Dense layers with ReLU in between and softmax at the end; no layer in between: a logistic model."""

    def __init__(self, sizes: Sequence[int]) -> None:
        pairs = list(pairwise(sizes))
        self.shapes = [shape for inputs, outputs in pairs for shape in ((inputs, outputs), (outputs,))]
        self.blocks = Blocks(tuple(f"{i}" for i in range(len(self.shapes))), tuple(self.shapes))

    def begin(self, rng: np.random.Generator) -> Weights:
        parts = [rng.standard_normal(s) * (2 / s[0]) ** 0.5 if len(s) == 2 else np.zeros(s) for s in self.shapes]
        return np.concatenate([part.ravel() for part in parts]).astype(np.float32)

    def layers(self, weights: Weights) -> list[np.ndarray]:
        return [part.reshape(shape) for part, shape in zip(np.split(weights, self.blocks.starts[1:]), self.shapes, strict=True)]

    def outputs(self, weights: Weights, rows: np.ndarray) -> list[np.ndarray]:
        layers, found = self.layers(weights), [rows]
        for i in range(0, len(layers), 2):
            inner = found[-1] @ layers[i] + layers[i + 1]
            found.append(np.maximum(inner, 0) if i < len(layers) - 2 else inner)
        scores = np.exp(found[-1] - found[-1].max(axis=1, keepdims=True))
        found[-1] = scores / scores.sum(axis=1, keepdims=True)
        return found

    def gradient(self, weights: Weights, rows: np.ndarray, labels: np.ndarray) -> Weights:
        layers, found = self.layers(weights), self.outputs(weights, rows)
        slope, parts = found[-1].copy(), []
        slope[np.arange(len(labels)), labels] -= 1
        slope /= len(labels)
        for i in range(len(layers) - 2, -1, -2):
            parts += [slope.sum(axis=0), found[i // 2].T @ slope]
            slope = (slope @ layers[i].T) * (found[i // 2] > 0)
        return np.concatenate([part.ravel() for part in reversed(parts)]).astype(np.float32)


def digits(seed: int) -> tuple[list[Rows], Rows]:
    """Five sites with unlike mixtures of classes (Dirichlet, 0.5), and rows that no site has."""
    rng = np.random.default_rng(seed)
    rows, labels = load_digits(return_X_y=True)
    rows, order = (rows / 16).astype(np.float32), rng.permutation(len(labels))
    aside, others = order[:540], order[540:]
    site = np.zeros(len(labels), int)
    for label in range(10):
        which = others[labels[others] == label]
        site[which] = rng.choice(SITES, len(which), p=rng.dirichlet(np.full(SITES, 0.5)))
    found = [others[site[others] == number] for number in range(SITES)]
    return [(rows[which], labels[which]) for which in found if len(which)], (rows[aside], labels[aside])


def average(
    model: Perceptron, way, seed: int, looks: Sequence[int], *, feedback: bool = True, rate: float = 0.1
) -> list[tuple[float, float]]:
    """AUC (mean over classes, one against the others) and log loss on rows held aside, after so many rounds."""
    sites, (rows, labels) = digits(seed)
    rng, roundings = (np.random.Generator(np.random.Philox([seed, stream])) for stream in (0, 1))  # all ways see the same batches
    weights, course = model.begin(rng), []
    kept, total_rows = [Kept() for _ in sites], sum(len(own) for _, own in sites)
    public = None if way is None else way.begin(seed, np.full(len(model.shapes), 5.0))
    for number in range(1, looks[-1] + 1):
        changes = []
        for own_rows, own_labels in sites:
            own = weights.copy()
            for batch in np.array_split(rng.permutation(len(own_labels)), -(-len(own_labels) // 32)):
                own -= np.float32(rate) * model.gradient(own, own_rows[batch], own_labels[batch])
            changes.append((own - weights) * np.float32(len(own_labels)))
        if way is None:
            change = sum(changes)
        else:
            sent = [send(way, each, before, public, roundings.bytes) for each, before in zip(changes, kept, strict=True)]
            kept = [after if feedback else Kept() for _, after in sent]
            total = way.total([shrunk for shrunk, _ in sent], public)
            change, public = restored(way, total, public), way.next_public(public, total, len(sites))
        weights = weights + change / np.float32(total_rows)
        if number not in looks:
            continue
        risks = model.outputs(weights, rows)[-1].astype(float)
        risks /= risks.sum(axis=1, keepdims=True)
        course.append((roc_auc_score(labels, risks, multi_class="ovr"), log_loss(labels, risks, labels=range(10))))
    return course


def ways(blocks: Blocks) -> dict[str, tuple[object, bool]]:
    """Name: how vectors are shrunk, and whether what is not sent is kept."""
    few = partial(Quantised, bits=16, addends=SITES)
    return {
        "float32": (None, True),
        "16 bits": (few(Whole(blocks)), True),
        "8 bits": (Quantised(Whole(blocks), 8), True),
        "shared 1/4, cyclic": (few(SharedSupport(blocks, 4)), True),
        "shared 1/4, drawn": (few(SharedSupport(blocks, 4, drawn)), True),
        "shared 1/4, cyclic, entries": (few(SharedSupport(blocks, 4, cyclic, 1)), True),
        "shared 1/4, drawn, entries": (few(SharedSupport(blocks, 4, drawn, 1)), True),
        "shared 1/4, nothing kept": (few(SharedSupport(blocks, 4)), False),
        "shared 1/8, cyclic": (few(SharedSupport(blocks, 8)), True),
        "shared 1/8, drawn": (few(SharedSupport(blocks, 8, drawn)), True),
        "shared 1/10, cyclic": (few(SharedSupport(blocks, 10)), True),
        "shared 1/10, drawn": (few(SharedSupport(blocks, 10, drawn)), True),
        "top-k 1/4": (few(TopK(blocks, 0.25)), True),
        "top-k 1/20": (few(TopK(blocks, 0.05)), True),
        "low rank 4": (few(LowRank(blocks, 4)), True),
        "low rank 8": (few(LowRank(blocks, 8)), True),
        "low rank 4, nothing kept": (few(LowRank(blocks, 4)), False),
    }


@pytest.mark.parametrize(
    ("name", "sizes", "looks"), [("logistic", (64, 10), (5, 20, 60)), ("perceptron", (64, 128, 64, 10), (10, 30, 80))]
)
def test_accuracy(name: str, sizes: tuple[int, ...], looks: tuple[int, ...]) -> None:
    model = Perceptron(sizes)
    print(f"\n{name}, {model.blocks.size:,} weights, mean of {SEEDS} seeds: AUC and log loss after {looks} rounds")
    last = {}
    for label, (way, feedback) in ways(model.blocks).items():
        courses = np.array([average(model, way, seed, looks, feedback=feedback) for seed in range(SEEDS)])
        told = "  ".join(f"{auc:.4f} {loss:6.3f}" for auc, loss in courses.mean(axis=0))
        last[label] = courses[:, -1, 0].mean()
        saved = 1.0 if way is None else way.describe()["of_float32"]
        print(f"  {label:28}  {told}   bytes {saved:.3f}")
    assert abs(last["16 bits"] - last["float32"]) < 0.002
    assert abs(last["shared 1/4, cyclic"] - last["float32"]) < 0.01
