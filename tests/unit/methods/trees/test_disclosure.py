"""What a forest, its losses and its files do not tell: outcomes, values and numbers of a few patients."""

import json
from dataclasses import replace

import numpy as np
import pytest

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.boosting import BOOSTING, BoostingSpec
from huizhen.methods.trees.binning import BINNING_STEPS, agree_binning
from huizhen.methods.trees.forest import LEAF, Forest, margins
from huizhen.methods.trees.prediction import to_files
from huizhen.policy.publication import publish


def with_columns(table, **columns):
    return Examples({**table.columns, **{name: Numbers(np.asarray(values, float)) for name, values in columns.items()}}, table.rows)


def told(result):
    assert not result.failure, result.failure
    return Forest.from_facts(result.model)


# Folds and classes


@pytest.mark.parametrize("rule", ["validation", "test"])
def test_a_fold_with_a_few_of_a_class_or_a_few_events_is_refused(boost, table, rule):
    old, died = table.number("age") >= 75, table.number("died").copy()
    died[old] = 0
    died[np.flatnonzero(old)[:2]] = 1
    few = with_columns(table, died=died)
    assert f"1 to 4 rows for {rule} have some class" in boost({"all": few}, **{rule: "age >= 75"}).failure
    assert f"1 to 4 patients for {rule} had the event" in boost({"all": few}, task="cox", **{rule: "age >= 75"}).failure
    died[np.flatnonzero(old)[:5]] = 1
    assert not boost({"all": with_columns(table, died=died)}, **{rule: "age >= 75"}).failure


def test_a_few_of_a_class_or_a_few_events_to_learn_from_are_refused(boost, table):
    died = np.zeros(table.rows)
    died[:4] = 1
    few = with_columns(table, died=died)
    assert "1 to 4 rows for training have some class" in boost({"all": few}).failure
    assert "1 to 4 patients for training had the event" in boost({"all": few}, task="cox").failure


def test_a_fold_in_which_few_rows_have_a_weight_is_refused(boost, table):
    weight = np.ones(table.rows)
    weight[np.flatnonzero(table.number("age") >= 75)[3:]] = 0
    result = boost({"all": with_columns(table, weight=weight)}, weights="weight", validation="age >= 75")
    assert "fewer than 5 rows are for validation" in result.failure


# Codes


def test_regression_of_a_code_that_few_have_is_refused_as_other_models_refuse_it(boost, table):
    rare = np.zeros(table.rows)
    rare[:2] = 1
    result = boost({"all": with_columns(table, pressure=rare)}, task="regression", outcome="pressure")
    assert "all rows but 1 to 4 have one code" in result.failure
    aside = np.where(table.number("age") >= 75, 0.0, table.number("pressure"))
    aside[np.flatnonzero(table.number("age") >= 75)[:2]] = 1
    result = boost({"all": with_columns(table, pressure=aside)}, task="regression", outcome="pressure", validation="age >= 75")
    assert "all rows but 1 to 4 have one code" in result.failure


@pytest.mark.parametrize("codes", [(0, 1), (1, 2), (0, 2)])
def test_regression_of_two_codes_is_a_classification(boost, table, codes):
    coded = with_columns(table, pressure=np.where(table.number("died") > 0, *codes))
    assert 'task = "classification"' in boost({"all": coded}, task="regression", outcome="pressure").failure


def test_three_codes_may_be_a_number(boost, table):
    coded = with_columns(table, pressure=np.arange(table.rows) % 3)
    assert not boost({"all": coded}, task="regression", outcome="pressure").failure


# Weights


@pytest.mark.parametrize("heavy", ["class", "validation", "event"])
def test_weights_by_which_a_few_outweigh_a_class_or_a_fold_are_refused(boost, table, heavy):
    old, died, weight = table.number("age") >= 75, table.number("died") > 0, np.ones(table.rows)
    few = old if heavy == "validation" else died
    weight[few] = 1e-9
    weight[np.flatnonzero(few)[0]] = 1
    task = {"task": "cox"} if heavy == "event" else {}
    aside = {"validation": "age >= 75"} if heavy == "validation" else {}
    assert "outweigh" in boost({"all": with_columns(table, weight=weight)}, weights="weight", **task, **aside).failure


def test_no_leaf_is_that_of_one_heavy_row(boost, table, split):
    rng = np.random.default_rng(2)
    weight, outcome = np.full(table.rows, 1e-9), rng.normal(50, 10, table.rows)
    heavy = np.arange(20, table.rows, 100)
    weight[heavy] = 1.0
    patients = with_columns(table, weight=weight, pressure=outcome, age=np.arange(table.rows))
    settings_ = {"task": "regression", "outcome": "pressure", "covariates": ("age",), "weights": "weight", "trees": 1, "depth": 8}
    loose = {"learning_rate": 1.0, "l2": 0.0, "min_child_weight": 0.0}
    forest = told(boost(split(patients, np.arange(table.rows) % 3), **settings_, **loose))
    found = margins(forest, patients)[:, 0]
    for value in np.unique(found):
        here = weight[found == value]
        assert here.sum() ** 2 >= 5 * (here**2).sum() * (1 - 1e-9)
    assert np.abs(found[heavy] - outcome[heavy]).min() > 1e-3


def test_weights_that_are_all_alike_change_no_split(boost, table):
    patients = with_columns(table, weight=np.ones(table.rows))
    weighted, plain = boost({"all": patients}, weights="weight"), boost({"all": patients})
    np.testing.assert_array_equal(weighted.model["covariate"], plain.model["covariate"])
    np.testing.assert_array_equal(weighted.model["threshold"], plain.model["threshold"])


# The missing


@pytest.mark.parametrize("missing", ["number", "level"])
def test_where_a_few_without_a_value_go_does_not_depend_on_what_they_have(boost, table, missing):
    ways = []
    for has in (0.0, 1.0):
        for patient in range(3, 60, 8):
            died, age = table.number("died").copy(), table.number("age").copy()
            stage = table.category("stage").codes % 5
            died[patient] = has
            if missing == "number":
                age[patient] = np.nan
            else:
                stage[patient] = 5
            columns = {
                "died": Numbers(died),
                "age": Numbers(age),
                "stage": Categories(stage, ("I", "II", "III", "IV", "V", "rare")),
            }
            patients = Examples({**table.columns, **columns}, table.rows)
            covariate = "age" if missing == "number" else "stage"
            forest = told(boost({"all": patients}, covariates=(covariate,), trees=1, depth=1))
            tree = forest.trees[0]
            at = margins(forest, patients.where(np.arange(table.rows) != patient))[:, 0]
            left = np.isclose(at, forest.base[0] + tree.value[1])
            ways.append(bool(tree.missing_left[0]) == (2 * left.sum() >= len(left)))
    assert all(ways)


def test_a_level_that_few_rows_of_a_node_have_goes_where_the_missing_go(boost, table):
    forest = told(boost({"all": table}, depth=6, min_child_weight=0, trees=3))
    stage = table.category("stage").codes
    for tree in forest.trees:
        rows_of = {0: np.arange(table.rows)}
        for node in np.flatnonzero(tree.covariate != LEAF).tolist():
            rows, covariate = rows_of[node], int(tree.covariate[node])
            child, default = int(tree.child[node]), bool(tree.missing_left[node])
            if forest.categorical[covariate]:
                bits = np.unpackbits(tree.left[node], bitorder="little")[:5].astype(bool)
                counts = np.bincount(stage[rows][stage[rows] >= 0], minlength=5)
                assert (bits[counts < 5] == default).all()
                goes = np.where(stage[rows] < 0, default, bits[stage[rows]])
            else:
                value = table.number(forest.names[covariate])[rows].astype(np.float32)
                goes = np.where(np.isnan(value), default, value < tree.threshold[node])
            rows_of[child], rows_of[child + 1] = rows[goes], rows[~goes]


# Rounded counts


@pytest.mark.parametrize("outcome", ["died", "kind"])
def test_where_counts_are_rounded_the_first_margins_tell_the_rounded_ones(federate, table, terms, outcome):
    agreed = replace(terms(), round_to=10)
    spec = BoostingSpec(task="classification", outcome=outcome, covariates=("age",), trees=1)
    result = federate(BOOSTING, spec, agreed, {"all": table})
    share = np.exp(told(result).base)
    share = share / share.sum() if outcome == "kind" else share / (1 + share)
    counts = share * table.rows
    np.testing.assert_allclose(counts / 10, np.rint(counts / 10), atol=1e-3)
    published = publish(result, agreed).tables["learning"]
    assert set(published.columns["training_loss"]) == {None}


def test_where_counts_are_rounded_the_first_mean_has_three_digits(federate, table, terms):
    spec = BoostingSpec(task="regression", outcome="pressure", covariates=("age",), trees=1)
    base = told(federate(BOOSTING, spec, replace(terms(), round_to=10), {"all": table})).base[0]
    assert base == pytest.approx(float(f"{base:.2e}"), rel=1e-7)
    assert base == pytest.approx(table.number("pressure").mean(), rel=0.01)


# Files


def test_numbers_too_large_for_a_forest_are_refused(boost, table):
    large = with_columns(table, pressure=table.number("pressure") * 1e20)
    assert "change its unit" in boost({"all": large}, task="regression", outcome="pressure").failure


@pytest.mark.parametrize("settings_", [{}, {"task": "regression", "outcome": "pressure"}], ids=str)
def test_a_forest_without_any_penalty_is_still_json(boost, table, settings_):
    patients = with_columns(table, pressure=table.number("pressure") * 1e15)
    loose = {"l2": 0.0, "min_child_weight": 0.0, "learning_rate": 1.0, "trees": 60}
    result = boost({"all": patients}, **loose, **settings_)
    assert np.isfinite(result.tables["importance"].columns["gain"]).all()
    json.loads(to_files(result)["xgboost.json"], parse_constant=pytest.fail)


def test_the_longest_follow_up_stands_neither_in_the_forest_nor_in_its_files(boost, table):
    result = boost({"all": table}, task="cox")
    assert max(result.model["aim"]["ends"]) < table.number("days").max()
    assert b'"ends": []' in to_files(result)["onnx"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: np.round(rng.normal(size=n) * 30),
        lambda rng, n: np.round(rng.lognormal(size=n) * 20, 1),
        lambda rng, n: 1.7e9 + np.round(rng.normal(size=n) * 3000),
        lambda rng, n: rng.normal(size=n),
    ],
)
def test_no_threshold_is_a_value_that_few_have(agreed, terms, draw):
    rng = np.random.default_rng(4)
    for _ in range(5):
        values = draw(rng, 303)
        program = agree_binning("boosting", ("age",), terms(), bins=256)
        (binning, _), _ = agreed(program, BINNING_STEPS, {"all": Examples({"age": Numbers(values)}, 303)})
        seen, rows = np.unique(values.astype(np.float32), return_counts=True)
        assert not np.isin(binning.cuts[0], seen[rows < 5]).any()
        assert len(binning.cuts[0]) > 5
