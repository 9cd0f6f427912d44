"""Images of three hospitals, each kept in its own way, and one network trained on them together. Needs torch."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from huizhen import Study, run


def scans(seed, rows):
    """Grey images of 16 x 16 pixels; a malignant one has a bright spot somewhere."""
    rng = np.random.default_rng(seed)
    label, image = rng.integers(0, 2, rows), rng.integers(0, 90, (rows, 16, 16)).astype(np.uint8)
    for place in np.flatnonzero(label):
        row, column = rng.integers(0, 11, 2)
        image[place, row : row + 5, column : column + 5] += 120
    return image, np.array(["benign", "malignant"])[label]


STUDY = {
    "study": {"title": "Benign or malignant", "seed": 1},
    "method": {
        "averaging": {
            "network": "small_cnn",
            "image": "image",
            "outcome": "label",
            "rounds": 4,
            "epochs": 2,
            "learning_rate": 0.05,
            "momentum": 0.9,
            "validation": 0.25,
        }
    },
}

with tempfile.TemporaryDirectory() as folder:
    # West keeps an archive, east a folder for each class; north has its arrays in memory.
    image, label = scans(1, 120)
    np.savez(Path(folder, "west.npz"), image=image, label=label)
    for place, (pixels, name) in enumerate(zip(*scans(2, 90))):
        Path(folder, "east", name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(Path(folder, "east", name, f"{place:03}.png"))
    image, label = scans(3, 60)
    sites = {"west": Path(folder, "west.npz"), "east": Path(folder, "east"), "north": {"image": image, "label": label}}

    finding = run(Study.parse(STUDY), sites, compare=False)["averaging"]
    facts = finding.result.facts
    print(f"{finding.result.rows} images of {len(finding.outcome.roster)} hospitals, {facts['rounds']} rounds")

    quality = finding.result.tables["quality"].columns
    measures = dict(zip(quality["measure"], quality["estimate"]))
    print(f"AUC on the rows kept aside is above 0.9: {measures['auc'] > 0.9}")

    for path in finding.export(Path(folder, "models")):
        print(path.name)
