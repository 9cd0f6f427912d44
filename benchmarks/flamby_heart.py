"""Fed-Heart-Disease of the FLamby benchmark (arXiv 2210.04620), by its published recipe: our table beside the published one.

    python benchmarks/flamby_heart.py [FOLDER [STRATEGY ...]]

FOLDER holds ``flamby_prepared.csv`` and ``published_flamby.json``; by default ``../shared/data/heart_disease`` beside the checkout.
Accuracy at 0.5, mean over the four centres' test rows, and over the seeds 42 to 46; the spread over ten further seeds is shown
beside it, for the published figures rest on five. The exact logistic regression stands below all of them. In a cycle the order of
the centres is drawn from the seed, as FLamby draws it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from huizhen import Study, run
from huizhen.embedded.predicting import predict
from huizhen.policy.disclosure import DisclosurePolicy

FOLDER = Path(__file__).parents[1] / "../shared/data/heart_disease"
SEEDS, FURTHER = range(42, 47), range(100, 110)
# Centre 2 has 30 rows to train on and 16 to test: the recipe needs a policy that lets every count out.
OPEN = DisclosurePolicy(min_cell_count=1, min_rows=1, allow_individual=True, allow_one_class=True)
STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "FedAvg100": {"learning_rate": 0.001},
    "FedProx100": {"learning_rate": 0.001, "proximal": 0.01},
    "Scaffold100": {"learning_rate": 0.001, "control": True},
    "Cyclic100": {"learning_rate": 0.01, "order": "cyclic"},
    "FedAdagrad100": {"learning_rate": 10**-2.5, "server": "adagrad", "server_learning_rate": 10**-0.5},
    "FedAdam100": {"learning_rate": 0.01, "server": "adam", "server_learning_rate": 0.01},
    "FedYogi100": {"learning_rate": 10**-2.5, "server": "yogi", "server_learning_rate": 0.01},
}
ADAM = {"optimiser": "adam", "learning_rate": 0.001, "rounds": 1, "steps": 0, "epochs": 50}
ALL = [*STRATEGIES, "Pooled Training", *(f"Local {place}" for place in range(4))]
TEST = "split == 'test'"


def main(folder: Path, strategies: Sequence[str]) -> dict[str, float]:
    """Prints the table; returns our mean of the five seeds by strategy."""
    rows = pd.read_csv(folder / "flamby_prepared.csv")
    published = json.loads((folder / "published_flamby.json").read_text())["results"]
    covariates = [name for name in rows if name not in ("centre", "split", "source_row", "y")]
    centres = {f"centre-{place}": part for place, part in scaled(rows, covariates).groupby("centre")}
    print(f"{'strategy':16} {'published':>10} {'ours':>8} {'difference':>11} {'ten further seeds':>22}")
    found = {}
    for name in strategies:
        ours = np.array([accuracy(name, seed, rows, centres, covariates) for seed in SEEDS])
        more = np.array([accuracy(name, seed, rows, centres, covariates) for seed in FURTHER])
        found[name], theirs = float(ours.mean()), published[name]["mean_over_clients_and_seeds"]
        half = 2.262 * more.std(ddof=1) / np.sqrt(len(more))  # Student's t, 9 degrees of freedom
        print(
            f"{name:16} {theirs:10.4f} {found[name]:8.4f} {found[name] - theirs:+11.4f} {more.mean():13.4f} ± {half:.4f}",
            flush=True,
        )
    for name, value in exact(rows, centres, covariates).items():
        print(f"{name:27} {value:8.4f}")
    return found


def accuracy(name: str, seed: int, rows: pd.DataFrame, centres: Mapping[str, pd.DataFrame], covariates: list[str]) -> float:
    """Mean over the centres of the accuracy of one model."""
    recipe: Mapping[str, Any] = {"rounds": 15, "steps": 100, **STRATEGIES[name]} if name in STRATEGIES else ADAM
    if name == "Pooled Training":
        # Learned on the rows by their pooled scale, and judged, as published, on each centre's rows by its own.
        tables, judged = {"all": scaled(rows.assign(centre=0), covariates)}, centres
    elif name.startswith("Local"):
        tables, judged = {"one": centres[f"centre-{name[-1]}"]}, centres
    else:
        tables, judged = centres, centres
    return float(np.mean([of_one(trained(tables, recipe, seed, covariates), part, covariates) for part in judged.values()]))


TRAINED: dict[Any, Any] = {}


def trained(tables: Mapping[str, pd.DataFrame], recipe: Mapping[str, Any], seed: int, covariates: list[str]) -> Any:
    key = (tuple(tables), tuple(len(part) for part in tables.values()), tuple(recipe.items()), seed)
    if key not in TRAINED:
        settings = {
            "network": "logistic", "outcome": "y", "covariates": covariates, "scale": "none", "test": TEST, "batch": 4,
            "beta1": 0.9, "beta2": 0.999, "tau": 1e-8, **recipe,
        }  # fmt: skip
        study = {
            "study": {"title": "Fed-Heart-Disease", "question": "Heart disease?", "seed": seed},
            "variables": {"y": {"type": "category", "levels": [0, 1]}},
            "method": {"averaging": settings},
        }
        result = run(Study.parse(study), tables, policy=OPEN, compare=False)["averaging"].result
        if result.failure:
            raise SystemExit(result.failure)
        TRAINED[key] = result
    return TRAINED[key]


def of_one(result: Any, part: pd.DataFrame, covariates: list[str]) -> float:
    test = part[part.split == "test"]
    said = predict(result, test[covariates])
    return float(((said > 0.5) == (test.y == 1)).mean())


def scaled(rows: pd.DataFrame, covariates: list[str]) -> pd.DataFrame:
    """Each centre's covariates by mean and standard deviation of its training rows (ddof 1, plus 1e-9), as the recipe says."""
    whole = rows.copy()
    for _, part in rows.groupby("centre"):
        train = part[part.split == "train"][covariates]
        whole.loc[part.index, covariates] = (part[covariates] - train.mean()) / (train.std() + 1e-9)
    return whole


def exact(rows: pd.DataFrame, centres: Mapping[str, pd.DataFrame], covariates: list[str]) -> dict[str, float]:
    """The exact logistic fit on the rows of all centres: with and without each centre's own scale."""
    found = {}
    raw = {f"centre-{place}": part for place, part in rows.groupby("centre")}
    for name, tables in (("Exact glm, own scales", centres), ("Exact glm, raw values", raw)):
        usable = [c for c in covariates if all(part[c].nunique() > 1 for part in tables.values())]
        study = {
            "cohort": {"exclude": [TEST]},
            "variables": {"y": {"type": "category", "levels": [0, 1]}},
            "method": {"glm": {"formula": "y ~ " + " + ".join(usable), "family": "binomial"}},
        }
        result = run(Study.parse(study), tables, policy=OPEN, compare=False)["glm"].result
        if result.failure:
            print(f"{name}: {result.failure}")
            continue
        found[name] = float(np.mean([of_one(result, part, covariates) for part in tables.values()]))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, sys.argv[2:] or ALL)
