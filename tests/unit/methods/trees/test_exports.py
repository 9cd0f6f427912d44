"""A forest elsewhere: XGBoost and ONNX Runtime predict what it predicts."""

import json

import numpy as np
import pytest

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.trees.forest import Forest, inputs, margins, predict
from huizhen.methods.trees.onnx_model import to_onnx
from huizhen.methods.trees.xgboost_model import to_xgboost_json

TASKS = [{}, {"outcome": "kind"}, {"task": "regression", "outcome": "pressure"}, {"task": "cox", "learning_rate": 0.1}]


@pytest.fixture(params=TASKS, ids=str)
def forest(request, boost, table):
    result = boost({"all": table}, trees=20, depth=4, **request.param)
    assert not result.failure, result.failure
    return Forest.from_facts(result.model)


@pytest.fixture(scope="module")
def patients(make_table):
    """Other patients, with values beyond those seen, and a level that nobody had."""
    table = make_table(700, seed=77)
    age = table.number("age").copy()
    age[:5], age[5:9] = [1e30, -1e30, 0.0, np.nan, 59.5], 60.0
    stage = table.category("stage")
    codes = np.where(np.arange(table.rows) % 50 == 0, 5, stage.codes).astype(np.int32)
    return Examples({**table.columns, "age": Numbers(age), "stage": Categories(codes, (*stage.levels, "new"))}, table.rows)


def test_xgboost_reads_the_forest_and_predicts_the_same(forest, patients):
    xgb = pytest.importorskip("xgboost")
    booster = xgb.Booster()
    booster.load_model(bytearray(json.dumps(to_xgboost_json(forest)), "utf-8"))
    types = ["c" if category else "float" for category in forest.categorical]
    matrix = inputs(forest, patients, slice(0, patients.rows))
    rows = xgb.DMatrix(matrix, feature_names=list(forest.names), feature_types=types, enable_categorical=True)
    expected = predict(forest, patients)
    np.testing.assert_allclose(booster.predict(rows).reshape(expected.shape), expected, rtol=1e-6, atol=1e-6)


def test_onnx_runtime_reads_the_forest_and_predicts_the_same(forest, patients):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    session = onnxruntime.InferenceSession(to_onnx(forest), providers=["CPUExecutionProvider"])
    raw, found = session.run(None, {"inputs": inputs(forest, patients, slice(0, patients.rows))})
    expected = predict(forest, patients)
    np.testing.assert_allclose(raw, margins(forest, patients), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=2e-6, atol=1e-6)


def test_a_forest_comes_back_from_its_facts_whole(forest, patients):
    again = Forest.from_facts(forest.facts())
    np.testing.assert_array_equal(margins(again, patients), margins(forest, patients))
    assert again.facts().keys() == forest.facts().keys()


def test_a_forest_without_trees_predicts_its_constant(forest, patients):
    onnxruntime = pytest.importorskip("onnxruntime")
    bare = Forest(forest.names, forest.levels, forest.categorical, forest.aim, forest.base)
    matrix = inputs(bare, patients, slice(0, 3))
    session = onnxruntime.InferenceSession(to_onnx(bare), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["margins"], {"inputs": matrix})[0], margins(bare, patients)[:3], rtol=1e-6)
