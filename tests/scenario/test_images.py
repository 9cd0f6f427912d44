"""Hospitals with images: described, checked, settled over all sites, trained together, and the network taken away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from huizhen import Study, run
from huizhen.data.examples import Categories, Examples, Images
from huizhen.embedded.run import run_tables
from huizhen.errors import DataError, StudyError

STUDY = """
[study]
title = "Benign or malignant"

[method.averaging]
network = "small_cnn"
image = "image"
outcome = "label"
rounds = 1
"""
PARSED = {"method": {"averaging": {"network": "small_cnn", "image": "image", "outcome": "label", "rounds": 1}}}


def scans(seed, rows, *space):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, rows)
    image = rng.integers(0, 60, (rows, *(space or (10, 10)))).astype(np.uint8)
    image[label == 1, 3:7, 3:7] += 150
    return image, np.array(["benign", "malignant"])[label]


@pytest.fixture
def hospitals(tmp_path):
    """An archive and a folder of the same kind of images; returns the arguments of `huizhen run`."""
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    image, label = scans(1, 30)
    np.savez(tmp_path / "west.npz", image=image, label=label)
    for at, (pixels, name) in enumerate(zip(*scans(2, 25))):
        (tmp_path / "east" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "east" / name / f"{at:03}.png")
    return ["run", "study.toml", "--site", "west=west.npz", "--site", "east=east", "--no-compare"]


def test_images_are_described_trained_on_and_the_network_is_taken_away(huizhen, hospitals):
    pytest.importorskip("torch")
    card = json.loads(huizhen("describe", "east", "--json").out)
    assert [(each["name"], each["kind"], each["shape"]) for each in card["variables"]] == [
        ("image", "image", [1, 10, 10]),
        ("label", "category", []),
    ]
    assert "1 x 10 x 10 (uint8)" in huizhen("describe", "west.npz").out
    assert "variables read: label, image" in huizhen("study", "check", "study.toml").out
    said = huizhen(*hospitals)
    assert said.code == 0, said.all
    files = sorted(Path("huizhen-out").rglob("models/*"))
    assert [file.name for file in files] == ["averaging.json", "averaging.npz", "averaging.onnx"]
    assert all(str(file.resolve()) in said.out for file in files)


def test_a_folder_of_models_that_cannot_be_written_is_said_after_the_report(huizhen, hospitals):
    pytest.importorskip("torch")
    said = huizhen(*hospitals)
    (models,) = Path("huizhen-out").rglob("models")
    for file in models.iterdir():
        file.unlink()
    models.rmdir()
    models.write_text("no folder")
    said = huizhen(*hospitals)
    assert said.code == 4, said.all
    assert "The model cannot be written." in said.err
    assert list(Path("huizhen-out").rglob("report.html"))


def test_what_is_wrong_at_every_site_is_said_at_once(huizhen, hospitals, tmp_path):
    np.savez(tmp_path / "west.npz", image=scans(1, 30)[0], lable=scans(1, 30)[1])
    first = sorted((tmp_path / "east").rglob("*.png"))[3]
    first.write_bytes(b"SECRET-4711")
    Image.fromarray(scans(3, 1, 10, 11)[0][0]).save(tmp_path / "east" / "benign" / "other.png")
    said = huizhen(*hospitals)
    assert said.code == 2, said.all
    assert "site west, west.npz" in said.err
    assert "Did you mean 'lable'?" in said.err
    images = sorted((tmp_path / "east" / "benign").iterdir())
    for damaged in (first, tmp_path / "east" / "benign" / "other.png"):
        assert f"site east, east/benign/, image {images.index(damaged) + 1} in order of name" in said.err
    assert first.name not in said.all  # it may be a patient's
    assert "SECRET" not in said.all
    assert "Traceback" not in said.all


def test_color_at_one_site_and_grey_at_another_is_settled_before_training():
    grey, color = scans(1, 20), scans(2, 20, 10, 10, 3)
    sites = {
        "west": dict(zip(("image", "label"), grey)),
        "east": dict(zip(("image", "label"), color)),
        "north": {"image": grey[0].astype(np.float32), "label": grey[1]},
    }
    with pytest.raises(DataError) as caught:
        run(Study.parse(PARSED), sites)
    said = [str(problem) for problem in caught.value.problems]
    assert said[0].startswith(
        "site east, column 'image': found images of 3 x 10 x 10, expected images of 1 x 10 x 10, as at site west"
    )
    assert said[1].startswith("site north, column 'image': found pixels of float32, expected pixels of uint8, as at site west")
    assert len(said) == 2


def test_a_declared_shape_says_how_arrays_are_read_and_which_site_does_not_fit():
    content = {**PARSED, "variables": {"image": {"type": "image", "shape": [1, 10, 10]}}}
    small, label = scans(2, 20, 8, 8)
    sites = {"west": dict(zip(("image", "label"), scans(1, 20))), "east": {"image": small, "label": label}}
    with pytest.raises(DataError) as caught:
        run(Study.parse(content), sites)
    (problem,) = caught.value.problems
    assert str(problem).startswith("site east, column 'image': found images of 8 x 8, expected images of 1 x 10 x 10")


def test_rows_in_memory_with_images_of_two_sizes_are_refused():
    def rows(edge):
        images = Images(np.zeros((20, 1, edge, edge), np.uint8))
        return Examples({"image": images, "label": Categories(np.arange(20, dtype=np.int32) % 2, ("no", "yes"))}, 20)

    with pytest.raises(DataError, match="site b, column 'image': found images of 1 x 9 x 9"):
        run_tables(Study.parse(PARSED), {"a": rows(8), "b": rows(9)})


def test_a_condition_on_an_image_is_refused_when_the_study_is_checked():
    with pytest.raises(StudyError, match="a variable used both as an image and as a value"):
        Study.parse({**PARSED, "cohort": {"include": ["image is not missing"]}})
    with pytest.raises(StudyError, match="a shape is an image's"):
        Study.parse({**PARSED, "variables": {"label": {"type": "category", "shape": [1, 2, 3]}}})
    with pytest.raises(StudyError, match="a shape is an image's"):
        Study.parse({**PARSED, "variables": {"image": {"shape": [28, 28]}}})
