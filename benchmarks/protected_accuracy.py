"""What protection costs in accuracy: area under the ROC curve of networks, in the clear, masked, and compressed, on the same rows.

    python benchmarks/protected_accuracy.py [FOLDER]

FOLDER holds ``heart_disease/flamby_prepared.csv`` and ``pneumoniamnist/pneumoniamnist.npz``; by default ``../shared/data`` beside
the checkout. What is not there is left out, and said. Bars: masked in 16 bits within 0.002 of float32, a shared quarter of the
entries within 0.01; exact methods under masks within 1e-8 of the unmasked coefficients.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from huizhen import Study, run
from huizhen.policy.disclosure import DisclosurePolicy

FOLDER = Path(__file__).parents[1] / "../shared/data"
OPEN = DisclosurePolicy(min_cell_count=1, min_rows=1, allow_one_class=True)
QUARTER = {"kind": "shared", "share": 0.25, "bits": 16}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "float32": {"sum": "plain"},
    "masked": {"sum": "masked"},
    "quarter": {"sum": "plain", "compress": QUARTER},
    "both": {"sum": "masked", "compress": QUARTER},
}
Tables = Mapping[str, Mapping[str, Any]]


def main(folder: Path) -> None:
    print(f"{'network':34} " + " ".join(f"{way:>9}" for way in WAYS) + "   masked  quarter     both (less float32)")
    for name, tables, settings, seeds in tasks(folder):
        areas = {way: np.mean([auc(tables, settings, protection, seed) for seed in seeds]) for way, protection in WAYS.items()}
        apart = " ".join(f"{areas[way] - areas['float32']:+8.4f}" for way in ("masked", "quarter", "both"))
        print(f"{name:34} " + " ".join(f"{area:9.4f}" for area in areas.values()) + f" {apart}", flush=True)
    exact()


def tasks(folder: Path) -> Iterator[tuple[str, Tables, Mapping[str, Any], range]]:
    """Name, tables by site, settings of averaging, seeds."""
    covariates = [f"x{place}" for place in range(8)]
    dense = {"covariates": covariates, "outcome": "y", "test": 0.4, "optimiser": "adam", "learning_rate": 0.01, "batch": 32}
    generated = {f"site-{place}": rows(place, 400 + 200 * place) for place in range(5)}
    yield "logistic, generated rows", generated, {**dense, "network": "logistic", "rounds": 30}, range(3)
    yield (
        "mlp 64-32, generated rows",
        generated,
        {**dense, "network": "mlp", "settings": {"widths": [64, 32]}, "rounds": 40},
        range(3),
    )
    heart = folder / "heart_disease/flamby_prepared.csv"
    if heart.exists():
        import pandas as pd

        table = pd.read_csv(heart)
        names = [name for name in table if name not in ("centre", "split", "source_row", "y")]
        centres = {f"centre-{place}": part for place, part in table.groupby("centre")}
        settings = {"covariates": names, "outcome": "y", "test": "split == 'test'", "network": "logistic", "batch": 4}
        settings |= {"learning_rate": 0.001, "rounds": 15, "steps": 100}  # FedAvg as `flamby_heart.py` has it
        yield "logistic, heart disease", centres, settings, range(42, 47)
        wide = {**settings, "network": "mlp", "settings": {"widths": [64, 32]}, "learning_rate": 0.01, "batch": 16, "rounds": 30}
        yield "mlp 64-32, heart disease", centres, wide, range(42, 52)
    images = folder / "pneumoniamnist/pneumoniamnist.npz"
    if images.exists():
        settings = {"network": "small_cnn", "image": "image", "outcome": "label", "test": "split == 'test'", "optimiser": "adam"}
        yield "small_cnn, pneumonia", dealt(images), {**settings, "rounds": 12, "batch": 32, "learning_rate": 0.002}, range(1)
    for path in (heart, images):
        if not path.exists():
            print(f"{path.name} is not here, so nothing is measured on it")


def rows(seed: int, count: int) -> dict[str, Any]:
    """Rows whose outcome follows a curved rule; sites differ in their means."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.2 * seed, 1, (count, 8))
    score = x[:, 0] + x[:, 1] * x[:, 2] - 0.5 * x[:, 3] ** 2 + np.sin(2 * x[:, 4])
    return {f"x{place}": x[:, place] for place in range(8)} | {"y": (rng.random(count) < 1 / (1 + np.exp(-score))).astype(int)}


def dealt(path: Path) -> dict[str, dict[str, Any]]:
    """Images over five sites, with unlike shares of the classes."""
    with np.load(path, allow_pickle=False) as file:
        image, label = (np.concatenate([file[f"{fold}_{kind}"] for fold in ("train", "test")]) for kind in ("images", "labels"))
        split = np.repeat(["train", "test"], [len(file["train_labels"]), len(file["test_labels"])])
    rng, site = np.random.default_rng(1), np.zeros(len(label), int)
    for level, shares in enumerate(((0.08, 0.12, 0.2, 0.25, 0.35), (0.35, 0.25, 0.2, 0.12, 0.08))):
        places = np.flatnonzero(label[:, 0] == level)
        site[places] = rng.choice(5, len(places), p=shares)
    return {f"site-{k}": {"image": image[site == k], "label": label[site == k, 0], "split": split[site == k]} for k in range(5)}


def auc(tables: Tables, settings: Mapping[str, Any], protection: Mapping[str, Any], seed: int) -> float:
    study = {
        "study": {"seed": seed},
        "variables": {settings["outcome"]: {"type": "category", "levels": [0, 1]}},
        "method": {"averaging": settings},
        "protection": protection,
    }
    result = run(Study.parse(study), tables, policy=OPEN, compare=False)["averaging"].result
    if result.failure:
        raise SystemExit(result.failure)
    told = result.tables["quality"].columns
    return float(dict(zip(told["measure"], told["estimate"]))["auc"])


def exact() -> None:
    """Coefficients of a logistic and a Cox regression over unscaled columns, masked and not."""
    tables = {}
    for place in range(5):
        rng, count = np.random.default_rng(place), 300 + 50 * place
        table = {"age": rng.normal(60, 9, count), "lab": rng.lognormal(9, 1.5, count), "time": rng.exponential(300, count)}
        table |= {"died": rng.integers(0, 2, count), "high": (table["age"] + rng.normal(0, 9, count) > 60).astype(int)}
        tables[f"site-{place}"] = table
    methods = {
        "glm": {"formula": "high ~ age + lab", "family": "binomial"},
        "cox": {"time": "time", "event": "died == 1", "covariates": ["age", "lab"]},
    }
    found = {
        sum_: run(Study.parse({"method": methods, "protection": {"sum": sum_}}), tables, compare=False)
        for sum_ in ("plain", "masked")
    }
    for name in methods:
        each = [found[sum_][name].result.tables["coefficients"].columns for sum_ in found]
        for column in ("coefficient", "standard_error"):
            if column in each[0]:
                plain, masked = (np.array(columns[column], float) for columns in each)
                print(f"{name} {column}: masked less plain, relative, at most {np.abs(masked / plain - 1).max():.1e} (bar 1e-8)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
