"""What the engine adds to the training of a large network: 45 MB of weights, 5 sites, 5 rounds, all kept in files.

The processor time of a whole run (`run_tables`, everything kept in files), less what was spent inside the learner (`initial`,
`train`, `outputs`), over what was spent there. Importing torch is left out. Bar: 15 %.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from huizhen.data.examples import Categories, Examples, Images
from huizhen.embedded.run import run_tables
from huizhen.federation.study import Study
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.learner import Learner, learner_of

ONE_AT_A_TIME = threading.Lock()
SITES, ROUNDS, ROWS = 5, 5, 192
SETTINGS = {
    "network": "resnet", "settings": {"depth": 18}, "image": "image", "outcome": "label", "rounds": ROUNDS, "batch": 32,
    "learning_rate": 0.01,
}  # fmt: skip


def test_a_large_network() -> None:
    inside = [0.0]
    for name in ("initial", "train", "outputs"):
        setattr(Learner, name, timed(getattr(Learner, name), inside))
    learner_of(Network("resnet", (1, 32, 32), 1, {"depth": 18}), Aim("binary", ("label",), ("0", "1")))  # imports torch
    tables = sites()
    study = Study.parse({"method": {"averaging": SETTINGS}})
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = run_tables(study, tables, out=folder, compare=False)["averaging"].result
        whole = time.process_time() - start
    assert not result.failure, result.failure
    size = result.model["weights"].nbytes / 1e6
    learner, engine = inside[0], whole - inside[0]
    print(f"\n{size:.1f} MB of weights, {SITES} sites, {ROUNDS} rounds: learner {learner:.1f} s, engine {engine:.2f} s")
    print(f"engine / learner: {engine / learner:.1%} (bar 15 %)")


def timed(work: Callable[..., Any], inside: list[float]) -> Callable[..., Any]:
    def timing(*arguments: Any, **named: Any) -> Any:
        with ONE_AT_A_TIME:  # as training is anyway; a site that waits for its turn must not count the other's time
            start = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                inside[0] += time.process_time() - start

    return timing


def sites() -> dict[str, Examples]:
    rng, tables = np.random.default_rng(3), {}
    for place in range(SITES):
        label = rng.integers(0, 2, ROWS).astype(np.int32)
        image = rng.integers(0, 200, (ROWS, 1, 32, 32)).astype(np.uint8)
        image[label == 1, :, 8:24, 8:24] += 50
        site = Categories(np.zeros(ROWS, np.int32), (f"site-{place}",))
        tables[f"site-{place}"] = Examples({"image": Images(image), "label": Categories(label, ("0", "1")), "site": site}, ROWS)
    return tables
