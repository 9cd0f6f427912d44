"""Learned models taken away: files that other programs read, the same predictions there, and nothing half-written."""

import io
import json
import resource
import warnings

import numpy as np
import pytest

from huizhen import Study, run
from huizhen.embedded.exporting import write_together
from huizhen.embedded.predicting import predict
from huizhen.errors import CallerError, MachineError, NotEstimable
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.export import onnx, weights_by_name
from huizhen.methods.training.learner import learner_of
from huizhen.methods.training.prediction import READ

TRAINING = {"rounds": 1, "learning_rate": 0.05, "outcome": "label"}


@pytest.fixture(scope="module")
def images():
    pytest.importorskip("torch")
    rng = np.random.default_rng(3)

    def site(rows):
        label, image = rng.integers(0, 2, rows), rng.integers(0, 60, (rows, 12, 12)).astype(np.uint8)
        image[label == 1, 3:8, 3:8] += 120
        return {"image": image, "label": np.array(["benign", "malignant"])[label]}

    return {"west": site(40), "east": site(30)}


@pytest.fixture(scope="module")
def imaging(images):
    study = Study.parse({"method": {"averaging": {"network": "small_cnn", "image": "image", **TRAINING}}})
    return run(study, images, compare=False)["averaging"]


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(4)

    def site(rows):
        age, sex = rng.normal(60, 10, rows), rng.choice(["f", "m"], rows)
        return {"age": age, "sex": sex, "label": np.where(age + 5 * (sex == "m") + rng.normal(0, 5, rows) > 62, "yes", "no")}

    return {"west": site(60), "east": site(50)}


@pytest.fixture(scope="module")
def tabular(patients):
    pytest.importorskip("torch")
    study = Study.parse({"method": {"averaging": {"network": "mlp", "covariates": ["age", "sex"], **TRAINING}}})
    return run(study, patients, compare=False)["averaging"]


def session(path):
    onnxruntime = pytest.importorskip("onnxruntime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return onnxruntime.InferenceSession(path.read_bytes())


def test_an_imaging_network_is_a_card_its_weights_and_the_network_itself(imaging, tmp_path):
    paths = imaging.export(tmp_path / "new" / "models")
    assert [path.name for path in paths] == ["averaging.json", "averaging.npz", "averaging.onnx"]
    assert sorted(path.name for path in (tmp_path / "new" / "models").iterdir()) == sorted(path.name for path in paths)
    card = json.loads(paths[0].read_text(encoding="utf-8"))
    assert (card["task"], card["classes"], card["network"]["inputs"]) == ("binary", ["benign", "malignant"], [1, 12, 12])
    assert (card["rows"], card["sites"], card["input"]["image"]) == (70, 2, "image")
    with np.load(io.BytesIO(paths[1].read_bytes()), allow_pickle=False) as weights:
        flat = np.concatenate([weights[name].ravel() for name in weights.files])
        assert all("." in name for name in weights.files)
    assert np.array_equal(flat, imaging.result.model["weights"])


def test_another_program_predicts_the_same_from_the_onnx_file(imaging, images, tmp_path):
    ours = predict(imaging.result, {"image": images["west"]["image"]})
    network = session(imaging.export(tmp_path)[-1])
    for rows in (1, 7, 40):
        (theirs,) = network.run(None, {"input": images["west"]["image"][:rows, None].astype(np.float32) / 255})
        assert np.allclose(1 / (1 + np.exp(-theirs[:, 0])), ours[:rows], atol=1e-5)


def test_images_in_a_file_are_predicted_as_those_in_memory(imaging, images, tmp_path):
    np.savez(tmp_path / "new.npz", image=images["east"]["image"])
    assert np.array_equal(predict(imaging.result, tmp_path / "new.npz"), predict(imaging.result, images["east"]))


def test_a_network_of_covariates_codes_new_patients_as_it_was_taught(tabular, patients, tmp_path):
    west = {name: patients["west"][name] for name in ("age", "sex")}
    ours = predict(tabular.result, west)
    assert ((ours > 0) & (ours < 1)).all()
    gap = predict(tabular.result, {"age": np.r_[np.nan, west["age"][1:]], "sex": west["sex"]})
    assert np.isnan(gap[0])
    assert np.allclose(gap[1:], ours[1:], atol=1e-6)
    paths = tabular.export(tmp_path)
    told = json.loads(paths[0].read_text(encoding="utf-8"))["input"]
    assert told["columns"] == ["age", "sex[m]"]
    design = told["design"]
    columns = np.column_stack([west["age"], west["sex"] == "m"])
    prepared = ((columns - design["center"]) / design["scale"]).astype(np.float32)
    (theirs,) = session(paths[-1]).run(None, {"input": prepared})
    assert np.allclose(1 / (1 + np.exp(-theirs[:, 0])), ours, atol=1e-5)


@pytest.mark.parametrize(("name", "inputs", "norm"), [("small_cnn", (3, 12, 12), "batch"), ("unet", (1, 16, 16), "instance")])
def test_any_network_is_the_same_in_onnx_running_means_and_all(name, inputs, norm, tmp_path):
    pytest.importorskip("torch")
    aim = Aim("segmentation", ("m",), ("a", "b")) if name == "unet" else Aim("multiclass", ("y",), ("a", "b", "c"))
    learner = learner_of(Network(name, inputs, aim.outputs, {"norm": norm}), aim)
    rng = np.random.default_rng(6)
    weights = learner.initial(1) + np.abs(rng.normal(0, 0.01, learner.size)).astype(np.float32)  # variances stay above 0
    named = weights_by_name(learner, weights)
    assert sum(each.size for each in named.values()) == learner.size
    assert any("running_var" in each for each in named) == (norm == "batch")
    (tmp_path / "n.onnx").write_bytes(onnx(learner, weights))
    rows = rng.normal(size=(3, *inputs)).astype(np.float32)
    (theirs,) = session(tmp_path / "n.onnx").run(None, {"input": rows})
    assert np.allclose(theirs, learner.outputs(weights, rows), atol=1e-4)


def test_outputs_are_told_on_the_scale_of_the_outcome():
    outputs = np.array([[0.0, np.log(3.0)]])
    assert READ["binary"](outputs)[0] == 0.5
    assert np.allclose(READ["multiclass"](outputs), [[0.25, 0.75]])
    assert np.allclose(READ["multilabel"](outputs), [[0.5, 0.75]])
    assert READ["regression"](outputs)[0] == 0.0
    assert READ["cox"](outputs)[0] == 1.0
    assert np.allclose(
        READ["discrete_time"](outputs), [[0.5, 0.125]]
    )  # half survive the first interval, a quarter of them the second
    assert np.allclose(READ["segmentation"](outputs[:, :, None, None])[0, :, 0, 0], [0.25, 0.75])


def test_a_result_without_a_model_is_refused_in_words(patients):
    found = run(Study.parse({"method": {"summary": {"variables": ["age"]}}}), patients, compare=False)["summary"]
    with pytest.raises(CallerError, match="There is no model to take away"):
        found.export("models")


def test_an_analysis_without_an_answer_has_no_model(patients):
    pytest.importorskip("torch")
    study = Study.parse({"method": {"averaging": {"covariates": ["age"], **TRAINING}}})
    one_class = {site: {**table, "label": ["no"] * len(table["age"])} for site, table in patients.items()}
    with pytest.raises(NotEstimable, match="has no answer"):
        run(study, one_class, compare=False)["averaging"].export("models")


def test_files_replace_the_old_ones_together_or_not_at_all(tmp_path):
    write_together(tmp_path, {"a.json": b"old", "a.npz": b"old"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as a full disk: a longer file cannot be written
    try:
        with pytest.raises(MachineError, match="The model cannot be written"):
            write_together(tmp_path, {"a.json": b"new", "a.npz": b"n" * 20_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"old", "a.npz": b"old"}
    assert write_together(tmp_path, {"a.json": b"new"}) == (tmp_path / "a.json",)
    assert (tmp_path / "a.json").read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MachineError, match="models"):
        write_together(tmp_path / "file" / "models", {"a.json": b"new"})
