"""What a forest, its losses and its files do not tell: outcomes, values and numbers of a few patients."""

import json

import numpy as np
import pytest

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.trees.forest import LEAF, Forest, margins


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
