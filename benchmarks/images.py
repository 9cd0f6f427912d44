"""Imaging networks over 5 sites unlike each other: federation, every site alone and pooled images, on the images held aside.

    python benchmarks/images.py [FOLDER]

FOLDER holds ``pneumoniamnist/pneumoniamnist.npz`` (MedMNIST v2) and ``luna16_nodule_patches/luna16_patches_50x50.npz``; by default
``../shared/data`` beside the checkout. The images of one class are dealt to the sites in shares of 8, 12, 20, 25 and 35 %, those of
the other in shares of 35, 25, 20, 12 and 8 %, so that the share of nodules, say, is 46 % at one site and 4 % at another. The same
network, epochs and batches for all. Bar: the federation's area under the ROC curve within 0.01 of the pooled one.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from huizhen import Study, run
from huizhen.policy.disclosure import DisclosurePolicy

FOLDER = Path(__file__).parents[1] / "../shared/data"
SETS = {"pneumonia": "pneumoniamnist/pneumoniamnist.npz", "nodule": "luna16_nodule_patches/luna16_patches_50x50.npz"}
SHARES = (0.08, 0.12, 0.20, 0.25, 0.35)
FOLDS = {"train": "train", "val": "validation", "test": "test"}
SETTINGS = {
    "network": "small_cnn", "image": "image", "outcome": "label", "validation": "split == 'validation'", "test": "split == 'test'",
    "rounds": 240, "early_stopping": 60, "steps": 25, "batch": 16, "optimiser": "adam", "learning_rate": 0.003, "augment": "flip",
}  # fmt: skip


def main(folder: Path) -> None:
    for name, file in SETS.items():
        sites = dealt(folder / file, seed=1)
        study = Study.parse(
            {
                "study": {"title": name, "question": "Can it be seen?", "seed": 1},
                "variables": {"label": {"type": "category", "levels": [0, 1]}},
                "method": {"averaging": SETTINGS},
            }
        )
        for site, table in sites.items():
            print(f"{name} {site}: {len(table['label'])} images, {np.mean(table['label']):.1%} of class 1")
        began = time.process_time()
        findings = run(study, sites, policy=DisclosurePolicy(allow_one_class=True))
        finding = findings["averaging"]
        print(finding.result.failure or finding.result.facts)
        told = finding.to_pandas("quality")
        print(told[told.rows == "all"].drop(columns=["rows"]).to_string(index=False))
        by_model = told[told.rows == "all"].set_index("model").auc
        print(f"{name}: federation less pooled {by_model['federation'] - by_model['pooled']:+.4f} of AUC (bar 0.01), "
              f"{time.process_time() - began:.0f} s of processor time\n", flush=True)  # fmt: skip


def dealt(path: Path, *, seed: int) -> dict[str, dict[str, Any]]:
    """The images of a file in MedMNIST's layout, dealt to five sites."""
    with np.load(path, allow_pickle=False) as file:
        image, label = (np.concatenate([file[f"{fold}_{kind}"] for fold in FOLDS]) for kind in ("images", "labels"))
        split = np.repeat(list(FOLDS.values()), [len(file[f"{fold}_labels"]) for fold in FOLDS])
    rng, site = np.random.default_rng(seed), np.zeros(len(label), int)
    for level, shares in enumerate((SHARES, SHARES[::-1])):
        places = np.flatnonzero(label[:, 0] == level)
        site[places] = rng.choice(5, len(places), p=shares)
    tables = ({"image": image[site == k], "label": label[site == k, 0], "split": split[site == k]} for k in range(5))
    return {f"site-{place}": table for place, table in enumerate(tables, 1)}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
