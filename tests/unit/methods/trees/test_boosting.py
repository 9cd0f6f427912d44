"""Boosted trees over sites: the forest of the pooled rows, split for split, and what XGBoost makes of the same rows."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from huizhen import canonical
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.errors import DataError, SiteError
from huizhen.federation.rounds import QuestionIdentity
from huizhen.methods import prediction
from huizhen.methods.alone import alone
from huizhen.methods.boosting import BOOSTING, BoostingSpec
from huizhen.methods.description.levels import LEVELS_STEPS
from huizhen.methods.method import Finished, Local
from huizhen.methods.trees import site
from huizhen.methods.trees.binning import BINNING_STEPS, agree_binning
from huizhen.methods.trees.forest import LEAF, Forest, margins, predict
from huizhen.methods.trees.kernels import NumpyKernels
from huizhen.privacy.release import Terms, Total, Variable
from tables import hospital, shares

SHARED = Path(__file__).resolve().parents[4] / "../shared/data"
TASKS = [
    {},
    {"outcome": "kind"},
    {"task": "regression", "outcome": "pressure"},
    {"task": "cox"},
    {"weights": "weight"},
    {"monotone": {"age": 1, "bmi": -1}},
    {"task": "regression", "outcome": "pressure", "weights": "weight", "validation": 0.2},
    {"task": "cox", "weights": "weight", "test": 0.2},
]


def forest_of(result):
    assert not result.failure, result.failure
    return Forest.from_facts(result.model)


def auc(score, truth):
    order = pd.Series(score).rank().to_numpy()
    ones = truth == 1
    return (order[ones].sum() - ones.sum() * (ones.sum() + 1) / 2) / (ones.sum() * (~ones).sum())


# Law of sums


@pytest.mark.parametrize("settings_", TASKS, ids=str)
def test_the_forest_is_the_same_however_rows_are_split_over_sites(boost, table, split, bytes_of, settings_):
    rng = np.random.default_rng(8)
    pooled = boost({"all": table}, **settings_)
    assert not pooled.failure, pooled.failure
    for sites in (2, 7):
        joint = boost(split(table, rng.integers(0, sites, table.rows)), **settings_)
        assert bytes_of(joint) == bytes_of(pooled)
        assert joint.tables["learning"] == pooled.tables["learning"]


def test_with_risk_sets_within_sites_pooled_rows_give_the_same_forest(boost, table, split, bytes_of):
    sites = split(table, np.random.default_rng(2).integers(0, 3, table.rows))
    one = {
        name: np.concatenate([rows.columns[name].values for rows in sites.values()]) for name in ("age", "grade", "died", "days")
    }
    columns = {name: Numbers(values) for name, values in one.items()}
    names = np.repeat(np.arange(3, dtype=np.int32), [rows.rows for rows in sites.values()])
    pooled = Examples({**columns, "site": Categories(names, tuple(sites))}, table.rows)
    settings_ = {"task": "cox", "strata": "site", "covariates": ("age", "grade")}
    assert bytes_of(boost(sites, **settings_)) == bytes_of(boost({"all": pooled}, **settings_))


# Against a plain pooled booster


def plain_booster(codes, sizes, categorical, truth, trees, depth, least):
    """Histogram boosting on pooled rows as a textbook writes it: every node, covariate, cut and side in turn, in float64."""
    share = truth.mean()
    margin, grown = np.full(len(truth), np.log(share / (1 - share))), []

    def candidates(rows, covariate):
        code, missing = codes[covariate, rows], sizes[covariate]
        if categorical[covariate]:
            code = np.where(np.bincount(code, minlength=256)[code] < least, missing, code)
            ratio = {
                level: gradient[rows][code == level].sum() / (hessian[rows][code == level].sum() + 1)
                for level in set(code) - {missing}
            }
            order = sorted(ratio, key=lambda level: (ratio[level], level))
            sides = [np.isin(code, order[:count]) for count in range(1, len(order) + 1)]
        else:
            sides = [code < cut for cut in range(1, missing + 1)]
        without = code == missing
        for goes in sides:
            most = 2 * goes.sum() >= (~without).sum()
            ways = (most,) if 0 < without.sum() < least else (False, True)
            yield from ((goes | (without & way), way) for way in ways)

    def score(rows):
        return gradient[rows].sum() ** 2 / (hessian[rows].sum() + 1)

    def split_node(rows, left_of_depth):
        best = (1e-6, None)
        for covariate in range(len(codes)) if left_of_depth else ():
            for goes, _ in candidates(rows, covariate):
                left, right = rows[goes], rows[~goes]
                if min(len(left), len(right)) < least or min(hessian[left].sum(), hessian[right].sum()) < 1:
                    continue
                gain = score(left) + score(right) - score(rows)
                if gain > best[0] + 1e-9:
                    best = (gain, (covariate, left, right))
        if best[1] is None:
            leaves.append((rows, -0.3 * gradient[rows].sum() / (hessian[rows].sum() + 1)))
            return None
        covariate, left, right = best[1]
        return covariate, split_node(left, left_of_depth - 1), split_node(right, left_of_depth - 1)

    for _ in range(trees):
        chance, leaves = 1 / (1 + np.exp(-margin)), []
        gradient, hessian = chance - truth, chance * (1 - chance)
        grown.append(split_node(np.arange(len(truth)), depth))
        for rows, value in leaves:
            margin[rows] += value
    return grown, margin


def nested(tree, node=0):
    if tree.covariate[node] == LEAF:
        return None
    child = int(tree.child[node])
    return int(tree.covariate[node]), nested(tree, child), nested(tree, child + 1)


def test_it_equals_a_plain_pooled_booster_with_the_same_bins_split_for_split(boost, make_table, split, agreed, terms):
    table = make_table(500)
    result = boost(split(table, np.random.default_rng(3).integers(0, 3, table.rows)), trees=4, bins=24)
    forest = forest_of(result)
    covariates = ("age", "bmi", "grade", "stage")
    program = agree_binning("boosting", covariates, terms(), bins=24)
    (binning, _), _ = agreed(program, {**BINNING_STEPS, **LEVELS_STEPS}, {"all": table})
    grown, expected = plain_booster(
        binning.encode(table).astype(int), binning.sizes, binning.categorical, table.number("died"), trees=4, depth=3, least=5
    )
    assert [nested(tree) for tree in forest.trees] == grown
    np.testing.assert_allclose(margins(forest, table)[:, 0], expected, atol=2e-7)


# Against XGBoost


def xgboost_margins(inputs, truth, base, forest, **parameters):
    xgb = pytest.importorskip("xgboost")
    types = ["c" if category else "float" for category in forest.categorical]
    rows = xgb.DMatrix(inputs, truth, feature_types=types, enable_categorical=True)
    kept = {"tree_method": "hist", "max_depth": 3, "eta": 0.3, "base_score": base, "max_cat_to_onehot": 1, "nthread": 1}
    return xgb.train({**kept, **parameters}, rows, 5).predict(rows, output_margin=True)


@pytest.mark.parametrize(
    ("settings_", "objective"),
    [({}, "binary:logistic"), ({"task": "regression", "outcome": "pressure"}, "reg:squarederror")],
)
def test_where_every_value_has_a_bin_the_margins_are_those_of_xgboost(boost, table, split, settings_, objective):
    names = ("age", "grade")
    result = boost(split(table, np.arange(table.rows) % 3), least=1, covariates=names, **settings_)
    forest = forest_of(result)
    truth = table.number(settings_.get("outcome", "died"))
    inputs = np.column_stack([table.number(name) for name in names])
    theirs = xgboost_margins(inputs, truth, float(truth.mean()), forest, objective=objective)
    np.testing.assert_allclose(margins(forest, table)[:, 0], theirs, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("strata", ["", "site"])
def test_where_every_value_and_time_has_a_bin_the_log_hazards_are_those_of_xgboost(boost, table, split, strata):
    """Times without ties, for XGBoost lets the order of the rows decide between equal ones."""
    order = np.argsort(np.argsort(table.number("days"), kind="stable")) + 1.0
    untied = Examples({**table.columns, "days": Numbers(order)}, table.rows)
    names = ("age", "grade")
    sites = split(untied, np.arange(table.rows) % (1 if strata else 3))
    forest = forest_of(boost(sites, least=1, task="cox", covariates=names, strata=strata))
    signed = np.where(table.number("died") == 1, 1, -1) * order
    inputs = np.column_stack([table.number(name) for name in names])
    theirs = xgboost_margins(inputs, signed, 1.0, forest, objective="survival:cox")
    np.testing.assert_allclose(margins(forest, table)[:, 0], theirs, rtol=2e-6, atol=2e-5)


def test_a_cox_tree_of_one_split_has_the_leaves_of_breslows_formula(boost, table):
    result = boost(
        {"all": table}, least=1, task="cox", covariates=("grade",), trees=1, depth=1, learning_rate=1.0, min_child_weight=0
    )
    tree = forest_of(result).trees[0]
    time, event = table.number("days"), table.number("died")
    gone, squared = np.zeros(table.rows), np.zeros(table.rows)
    for moment in np.unique(time[event == 1]):
        risk, died = (time >= moment).sum(), ((time == moment) & (event == 1)).sum()
        gone[time >= moment] += died / risk
        squared[time >= moment] += died / risk**2
    left = table.number("grade") < tree.threshold[0]
    expected = [-(gone - event)[rows].sum() / ((gone - squared)[rows].sum() + 1) for rows in (left, ~left)]
    np.testing.assert_allclose(tree.value[1:], expected, rtol=1e-6)


@pytest.mark.shared_data
def test_on_heart_disease_the_area_is_that_of_xgboost(federate):
    if not (SHARED / "heart_disease").exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    xgb = pytest.importorskip("xgboost")
    frame = pd.read_csv(SHARED / "heart_disease/flamby_prepared.csv")
    names = [name for name in frame if name not in ("centre", "split", "source_row", "y")]
    train, test = frame[frame.split == "train"], frame[frame.split == "test"]
    spec = BoostingSpec(task="classification", outcome="y", covariates=names, trees=50, depth=3)
    kinds = {name: Variable("number") for name in (*names, "y")}
    sites = shares(train[[*names, "y"]], train.centre.to_numpy())
    forest = forest_of(federate(BOOSTING, spec, Terms(min_cell_count=1, variables=kinds), sites))
    parameters = {
        "tree_method": "hist",
        "max_depth": 3,
        "eta": 0.3,
        "objective": "binary:logistic",
        "base_score": train.y.mean(),
        "nthread": 1,
    }
    booster = xgb.train(parameters, xgb.DMatrix(train[names], train.y), 50)
    for rows in (train, test):
        mine, theirs = predict(forest, hospital(rows[names])), booster.predict(xgb.DMatrix(rows[names]))
        assert auc(mine, rows.y.to_numpy()) == pytest.approx(auc(theirs, rows.y.to_numpy()), abs=0.002)


@pytest.mark.slow
@pytest.mark.shared_data
def test_on_diabetic_inpatients_with_many_categories_the_area_is_that_of_xgboost(federate):
    archive = SHARED / "diabetes_130us/dataset_diabetes.zip"
    if not archive.exists():
        pytest.skip("the records of diabetic inpatients are not beside this repository")
    xgb = pytest.importorskip("xgboost")
    with zipfile.ZipFile(archive) as folder, folder.open("dataset_diabetes/diabetic_data.csv") as file:
        frame = pd.read_csv(file, na_values="?", low_memory=False, keep_default_na=False)
    numbers = [
        "time_in_hospital",
        "num_lab_procedures",
        "num_medications",
        "number_inpatient",
        "number_emergency",
        "number_diagnoses",
    ]
    categories = ["race", "gender", "age", "discharge_disposition_id", "admission_source_id", "medical_specialty", "insulin"]
    names = [*numbers, *categories]
    frame["again"] = (frame.readmitted != "NO").astype(float)
    frame[categories] = frame[categories].map(lambda value: None if pd.isna(value) else str(value))
    unseen = np.random.default_rng(0).random(len(frame)) < 0.3
    train, test = frame[~unseen], frame[unseen]
    kinds = dict.fromkeys([*numbers, "again"], Variable("number")) | dict.fromkeys(categories, Variable("category"))
    spec = BoostingSpec(task="classification", outcome="again", covariates=names, trees=60)
    sites = shares(train[[*names, "again"]], (train.patient_nbr % 10).to_numpy())
    mine = predict(forest_of(federate(BOOSTING, spec, Terms(variables=kinds), sites)), hospital(test[names]))
    coded = frame[names].astype(dict.fromkeys(categories, "category"))
    rows = [xgb.DMatrix(coded[chosen], frame.again[chosen], enable_categorical=True) for chosen in (~unseen, unseen)]
    parameters = {"tree_method": "hist", "max_depth": 6, "eta": 0.3, "objective": "binary:logistic", "nthread": 1}
    theirs = xgb.train(parameters, rows[0], 60).predict(rows[1])
    truth = test.again.to_numpy()
    assert auc(mine, truth) == pytest.approx(auc(theirs, truth), abs=0.002)


# What trees are told


def test_a_weight_counts_a_row_so_often(boost, table, split):
    names = ("age", "grade")
    times = table.number("weight").astype(int)
    repeated = Examples({name: Numbers(np.repeat(table.number(name), times)) for name in (*names, "died")}, int(times.sum()))
    settings_ = {"covariates": names, "min_child_weight": 4.0}
    weighted = forest_of(boost({"all": table}, least=1, weights="weight", **settings_))
    counted = forest_of(boost({"all": repeated}, least=1, **settings_))
    np.testing.assert_allclose(margins(weighted, table), margins(counted, table), atol=1e-6)
    np.testing.assert_allclose(weighted.base, counted.base, rtol=1e-9)


def test_rows_of_weight_0_are_none_of_those_that_a_leaf_must_hold(boost, table):
    weight = (np.arange(table.rows) % 4 == 0).astype(float)
    counted = Examples({**table.columns, "weight": Numbers(weight)}, table.rows)
    weighted = forest_of(boost({"all": counted}, least=20, weights="weight", min_child_weight=0, covariates=("age", "grade")))
    kept = counted.where(weight > 0)
    for tree in weighted.trees:
        alone = Forest(weighted.names, weighted.levels, weighted.categorical, weighted.aim, np.zeros(1), (tree,))
        assert np.unique(margins(alone, kept), return_counts=True)[1].min() >= 20


def test_predictions_follow_a_monotone_covariate_whatever_the_others_are(boost, table):
    forest = forest_of(boost({"all": table}, monotone={"age": 1, "bmi": -1}, trees=20, depth=5))
    free = forest_of(boost({"all": table}, trees=20, depth=5))

    def along(model, name, values):
        columns = dict(table.columns)
        found = []
        for value in values:
            columns[name] = Numbers(np.full(table.rows, value))
            found.append(margins(model, Examples(columns, table.rows))[:, 0])
        return np.diff(found, axis=0)

    assert (along(forest, "age", np.arange(30, 90, 3.0)) >= 0).all()
    assert (along(forest, "bmi", np.arange(15, 40, 1.0)) <= 0).all()
    assert (along(free, "age", np.arange(30, 90, 3.0)) < 0).any()


def test_growth_stops_when_the_validation_loss_no_longer_falls_and_the_best_forest_is_kept(boost, table):
    result = boost({"all": table}, trees=60, depth=4, early_stopping=3, validation=0.3)
    losses = result.tables["learning"].columns["validation_loss"]
    best = int(np.argmin(losses))
    assert result.facts["stopped_early"]
    assert len(losses) == best + 4
    assert result.facts["trees"] == result.facts["chosen_tree"] == best == len(forest_of(result).trees)
    assert "classes" not in result.facts


def test_trees_of_several_classes_are_told_by_round(boost, table):
    facts = boost({"all": table}, outcome="kind", trees=2).facts
    assert (facts["trees"], facts["classes"], facts["chosen_tree"]) == (6, 3, 2)


def test_the_loss_in_the_table_is_that_of_the_trees_so_far(boost, table):
    result = boost({"all": table})
    chance, died = predict(forest_of(result), table), table.number("died")
    log_loss = -np.mean(np.log(np.where(died == 1, chance, 1 - chance)))
    assert result.tables["learning"].columns["training_loss"][-1] == pytest.approx(log_loss, rel=1e-9)


def test_rows_set_aside_teach_nothing(boost, table, bytes_of):
    aside = table.number("age") >= 75
    changed = dict(table.columns)
    changed["died"] = Numbers(np.where(aside, 1 - table.number("died"), table.number("died")))
    settings_ = {"test": "age >= 75", "covariates": ("grade", "stage")}
    one, other = boost({"all": table}, **settings_), boost({"all": Examples(changed, table.rows)}, **settings_)
    assert bytes_of(one) == bytes_of(other)
    assert one.tables["quality"] != other.tables["quality"]


def test_a_constant_covariate_and_one_without_any_value_do_no_harm(boost, table):
    columns = {**table.columns, "bmi": Numbers(np.full(table.rows, 3.0)), "grade": Numbers(np.full(table.rows, np.nan))}
    result = boost({"all": Examples(columns, table.rows)})
    assert set(result.tables["importance"].columns["covariate"]) <= {"age", "stage"}


def test_a_covariate_that_only_misses_can_still_split(boost, table):
    died = table.number("died")
    columns = {**table.columns, "bmi": Numbers(np.where(died == 1, np.nan, 1.0))}
    forest = forest_of(boost({"all": Examples(columns, table.rows)}, covariates=("bmi",), trees=1, depth=1))
    examples = Examples({"bmi": Numbers(np.array([np.nan, 1.0]))}, 2)
    missing, there = predict(forest, examples).tolist()
    assert missing > died.mean() > there


def test_no_leaf_has_fewer_rows_than_the_policies_minimum(boost, table):
    forest = forest_of(boost({"all": table}, least=40, depth=6, min_child_weight=0))
    for tree in forest.trees:
        alone = Forest(forest.names, forest.levels, forest.categorical, forest.aim, np.zeros(1), (tree,))
        assert np.unique(margins(alone, table), return_counts=True)[1].min() >= 40


def test_rare_levels_count_as_missing(boost, table):
    stage = table.category("stage")
    codes = stage.codes.copy()
    codes[:3] = 5
    named = Examples({**table.columns, "stage": Categories(codes, (*stage.levels, "rare"))}, table.rows)
    unnamed = Examples(
        {**table.columns, "stage": Categories(np.where(codes == 5, -1, codes).astype(np.int32), stage.levels)}, table.rows
    )
    one, other = boost({"all": named}), boost({"all": unnamed})
    assert "rare" not in repr(one.model)
    assert canonical.encode(one.model) == canonical.encode(other.model)
    assert any("count as missing" in note for note in one.notes)


# Questions, memos, milestones


def add_up(answers):
    names = answers[0].parts
    keyed = {}
    for name in names:
        if names[name].keys is not None:
            keyed[name] = {}
            for answer in answers:
                for key, value in zip(answer.parts[name].keys, answer.parts[name].values.tolist()):
                    keyed[name][key] = keyed[name].get(key, 0) + value
    sums = {name: sum(answer.parts[name].values for answer in answers) for name in names if name not in keyed}
    return Total(sums, keyed, {}, sum(answer.rows for answer in answers), ())


def conversation(spec, terms, sites, *, forget=False, keep=None):
    """The result, with every memo forgotten before each question, and with the states passed on to `keep`.

    What a site keeps travels through bytes, as through its checkpoint.
    """
    state, local = BOOSTING.begin(spec, terms), {name: Local() for name in sites}
    while not isinstance(asked := BOOSTING.ask(state), Finished):
        if keep is not None:
            keep.append(state)
        answers = []
        for name, rows in sites.items():
            known = Local(canonical.decode(canonical.encode(dict(local[name].kept)))) if forget else local[name]
            answer, local[name] = BOOSTING.answer(asked, rows, known, rng=np.random.default_rng(0))
            answers.append(answer)
        state = BOOSTING.fold(state, add_up(answers))
    return asked.result


SPEC = {
    "task": "classification",
    "outcome": "kind",
    "covariates": ("age", "bmi", "stage"),
    "trees": 3,
    "depth": 3,
    "validation": 0.2,
}


def test_a_published_result_is_judged_and_taken_away_with_its_forest_alone(boost, table, terms):
    result = boost({"all": table}, test=0.3)
    spec = BoostingSpec(task="classification", outcome="died", covariates=("age", "bmi", "grade", "stage"), test=0.3)
    tables = BOOSTING.appraise(result, spec, terms(), table, 2)
    own, told = (each["quality"].columns["estimate"] for each in (tables, result.tables))
    assert [one for one in own if one is not None] == pytest.approx([one for one in told if one is not None], rel=1e-9)
    assert [one is None for one in own] == [one is None for one in told]
    assert own[0] is not None
    assert BOOSTING.appraise(result, spec, terms(), table, 1) == {}
    assert set(BOOSTING.export(result)) == {"xgboost.json", "onnx"}
    np.testing.assert_array_equal(prediction.predict(result, table), predict(forest_of(result), table))
    assert prediction.variables_of(result)["stage"].levels == ("I", "II", "III", "IV", "V")


@pytest.mark.parametrize("settings_", [{}, {"outcome": "died", "trees": 40, "depth": 1}], ids=str)
def test_a_site_that_forgot_all_but_what_it_keeps_answers_the_same(table, split, terms, bytes_of, settings_):
    sites, spec = split(table, np.arange(table.rows) % 2), BoostingSpec(**{**SPEC, **settings_})
    assert bytes_of(conversation(spec, terms(), sites)) == bytes_of(conversation(spec, terms(), sites, forget=True))


@pytest.mark.parametrize("settings_", [{}, {"task": "cox", "outcome": "", "time": "days", "event": "died"}], ids=str)
def test_questions_that_travel_as_bytes_are_answered_the_same(table, terms, bytes_of, settings_):
    spec = BoostingSpec(**{**SPEC, **settings_})
    state, local = BOOSTING.begin(spec, terms()), Local()
    while not isinstance(asked := BOOSTING.ask(state), Finished):
        travelled = replace(asked, facts=canonical.decode(canonical.encode(asked.facts)))
        answer, local = BOOSTING.answer(travelled, table, local, rng=np.random.default_rng(0))
        state = BOOSTING.fold(state, add_up([answer]))
    assert bytes_of(asked.result) == bytes_of(conversation(spec, terms(), {"all": table}))


@pytest.mark.parametrize("settings_", [{}, {"task": "cox", "outcome": "", "time": "days", "event": "died"}], ids=str)
def test_begun_again_at_any_milestone_it_grows_the_same_forest(table, split, terms, bytes_of, settings_):
    sites, spec, states = split(table, np.arange(table.rows) % 2), BoostingSpec(**{**SPEC, **settings_}), []
    whole = conversation(spec, terms(), sites, keep=states)
    milestones = list({id(state.milestone): state.milestone for state in states if state.milestone}.values())
    assert len(milestones) == 3
    for milestone in milestones:
        value = canonical.decode(canonical.encode(milestone.value))
        state, local = BOOSTING.begin(spec, terms(), type(milestone)(value)), {name: Local() for name in sites}
        while not isinstance(asked := BOOSTING.ask(state), Finished):
            answers = []
            for name, rows in sites.items():
                answer, local[name] = BOOSTING.answer(asked, rows, local[name], rng=np.random.default_rng(0))
                answers.append(answer)
            state = BOOSTING.fold(state, add_up(answers))
        assert bytes_of(asked.result) == bytes_of(whole)
        assert asked.result.tables["learning"] == whole.tables["learning"]


def asked_of(spec, terms, table):
    """Every question to a single site, with the state that it was asked in and what the site knew before it."""
    state, local = BOOSTING.begin(spec, terms), Local()
    while not isinstance(asked := BOOSTING.ask(state), Finished):
        yield asked, state, local
        answer, local = BOOSTING.answer(asked, table, local, rng=np.random.default_rng(0))
        state = BOOSTING.fold(state, add_up([answer]))


def test_questions_carry_the_newest_trees_and_not_the_whole_forest(table, terms):
    spec = BoostingSpec(**{**SPEC, "outcome": "died", "trees": 60, "depth": 1})
    grown = [asked.facts for asked, *_ in asked_of(spec, terms(), table) if asked.step == "boosting.grow"]
    assert [len(facts["forest"]["nodes"]) for facts in grown[:20]] == [*range(17), 1, 2, 3]
    assert max(len(facts["forest"]["nodes"]) for facts in grown) == 16
    assert [place for place, facts in enumerate(grown) if facts["setting"]] == [0]


def test_a_site_that_lost_what_it_kept_says_so_and_is_told_all_when_the_run_begins_again(table, terms):
    spec = BoostingSpec(**SPEC)
    asked, state, knew = [each for each in asked_of(spec, terms(), table) if each[0].facts.get("level")][-1]
    with pytest.raises(SiteError) as lost:
        BOOSTING.answer(asked, table, Local(), rng=np.random.default_rng(0))
    assert "Run the study again" in str(lost.value)
    begun = BOOSTING.begin(spec, terms(), state.milestone)
    for total in state.totals:  # it was in the middle of a tree
        begun = BOOSTING.fold(begun, total)
    again, _ = BOOSTING.answer(BOOSTING.ask(begun), table, Local(), rng=np.random.default_rng(0))
    before, _ = BOOSTING.answer(asked, table, knew, rng=np.random.default_rng(0))
    for name, part in before.parts.items():
        np.testing.assert_array_equal(part.values, again.parts[name].values)


def test_a_question_is_the_same_question_however_much_of_the_forest_it_tells(table, terms):
    """Else one put in full and one in short, to rosters that differ by a site, would give that site's answer away."""
    spec, keys, put = BoostingSpec(**SPEC), {}, {}
    for asked, state, _ in asked_of(spec, terms(), table):
        if state.milestone is None or asked.step != "boosting.grow":
            continue
        begun = BOOSTING.begin(spec, terms(), state.milestone)
        for total in state.totals:
            begun = BOOSTING.fold(begun, total)
        short, full = asked, BOOSTING.ask(begun)
        assert short.facts["setting"] is None
        assert full.facts["setting"]
        mine, again = (QuestionIdentity.of(each, "cohort", BOOSTING.telling) for each in (short, full))
        assert mine.key == again.key
        assert mine.digest != again.digest, "the ledger says how it was put"
        keys[mine.key] = put[short.facts["mark"], short.facts["level"]] = True
    assert len(keys) == len(put) > 3, "and another forest, or level, is another question"


@pytest.mark.parametrize("kept", ["memo", "checkpoint", "nothing"])
def test_a_question_whose_mark_names_another_forest_is_not_answered(table, terms, kept):
    """A mark of one's own choice would make a new question of an old one."""
    spec = BoostingSpec(**SPEC)
    tried = 0
    for asked, state, knew in asked_of(spec, terms(), table):
        if asked.step != "boosting.grow" or not len(asked.facts["forest"]["nodes"]):
            continue
        tried += 1
        if kept == "nothing":
            begun = BOOSTING.begin(spec, terms(), state.milestone)
            for total in state.totals:
                begun = BOOSTING.fold(begun, total)
            asked = whole = BOOSTING.ask(begun)
        local = {"memo": Local(knew.kept, dict(knew.memo)), "checkpoint": Local(knew.kept), "nothing": Local()}[kept]
        values = np.asarray(asked.facts["forest"]["value"])
        for change in (
            {"mark": "f" * 64},
            {"forest": {**asked.facts["forest"], "value": values + np.float32(0.5)}, "mark": "e" * 64},
        ):
            with pytest.raises(SiteError, match="another than its mark names"):
                BOOSTING.answer(replace(asked, facts={**asked.facts, **change}), table, local, rng=np.random.default_rng(0))
    assert tried > 3
    if kept == "nothing":
        setting = {**whole.facts["setting"], "base": np.asarray(whole.facts["setting"]["base"]) + 0.25}
        with pytest.raises(SiteError, match="another than its mark names"):
            BOOSTING.answer(replace(whole, facts={**whole.facts, "setting": setting}), table, Local(), rng=np.random.default_rng(0))


def test_without_numba_the_forest_is_the_same(table, split, terms, bytes_of, monkeypatch):
    from huizhen.methods.trees import binning

    sites, spec = split(table, np.arange(table.rows) % 2), BoostingSpec(**SPEC)
    with_numba = bytes_of(conversation(spec, terms(), sites))
    for module in (site, binning):
        monkeypatch.setattr(module, "kernels", NumpyKernels)
    assert bytes_of(conversation(spec, terms(), sites)) == with_numba


def test_questions_show_how_far_growth_is(table, terms):
    spec, seen = BoostingSpec(**SPEC), []
    state, local = BOOSTING.begin(spec, terms()), Local()
    while not isinstance(asked := BOOSTING.ask(state), Finished):
        if asked.progress:
            seen.append((asked.progress.done, asked.progress.of, sorted(asked.progress.measures)))
        answer, local = BOOSTING.answer(asked, table, local, rng=np.random.default_rng(0))
        state = BOOSTING.fold(state, add_up([answer]))
    assert seen[0] == (0, 3, [])
    assert (2, 3, ["training_loss", "validation_loss"]) in seen
    assert seen[-1] == (3, 3, ["training_loss", "validation_loss"])


def test_growth_that_ended_early_is_planned_no_farther(table, terms):
    spec = BoostingSpec(**{**SPEC, "outcome": "died", "trees": 60, "depth": 4, "validation": 0.3, "early_stopping": 3})
    told = [(asked.step, asked.progress) for asked, *_ in asked_of(spec, terms(), table) if asked.progress]
    grown = max(progress.done for step, progress in told if step == "boosting.grow")
    assert grown < 60
    assert (told[-1][0], told[-1][1].done, told[-1][1].of) == ("boosting.judge", grown, grown)
    assert all(progress.of == 60 for step, progress in told[:-1])


# What cannot be


def test_an_outcome_that_all_rows_share_is_refused_in_plain_words(boost, table):
    same = Examples({**table.columns, "died": Numbers(np.zeros(table.rows))}, table.rows)
    assert "nothing can be learnt" in boost({"all": same}).failure
    flat = Examples({**table.columns, "pressure": Numbers(np.full(table.rows, 120.0))}, table.rows)
    assert "nothing can be learnt" in boost({"all": flat}, task="regression", outcome="pressure").failure


def test_a_site_with_one_class_takes_part_where_its_policy_allows(boost, table, split):
    result = boost(split(table, table.number("died").astype(int)))
    assert len(forest_of(result).trees) == 5


def test_negative_weights_and_weights_of_a_few_are_refused(boost, table):
    weight = np.ones(table.rows)
    weight[0] = -1
    negative = Examples({**table.columns, "weight": Numbers(weight)}, table.rows)
    assert "negative" in boost({"all": negative}, weights="weight").failure
    weight[:2] = 1e6
    few = Examples({**table.columns, "weight": Numbers(weight)}, table.rows)
    assert "outweigh" in boost({"all": few}, weights="weight").failure


def test_a_label_outside_the_declared_levels_is_refused(federate, table, terms):
    spec = BoostingSpec(task="classification", outcome="kind", covariates=("age",))
    agreed = terms(kind=Variable("category", ("mild", "plain")))
    with pytest.raises(DataError) as refused:
        federate(BOOSTING, spec, agreed, {"all": table})
    assert "severe" not in str(refused.value)


def test_no_event_and_no_row_for_validation_are_refused(boost, table):
    nobody = Examples({**table.columns, "died": Numbers(np.zeros(table.rows))}, table.rows)
    assert "no patient had the event" in boost({"all": nobody}, task="cox", least=1).failure
    assert "for validation" in boost({"all": table}, validation="age > 200").failure


@pytest.mark.parametrize("rule", ["validation", "test"])
def test_rows_set_aside_that_nobody_can_be_judged_on_are_refused(boost, table, rule):
    old = table.number("age") >= 75
    weightless = Examples({**table.columns, "weight": Numbers(np.where(old, 0.0, 1.0))}, table.rows)
    assert f"all rows for {rule} have a weight of 0" in boost({"all": weightless}, weights="weight", **{rule: "age >= 75"}).failure
    eventless = Examples({**table.columns, "died": Numbers(np.where(old, 0.0, table.number("died")))}, table.rows)
    early = {"early_stopping": 2} if rule == "validation" else {}
    assert f"no patient for {rule} had the event" in boost({"all": eventless}, task="cox", **{rule: "age >= 75"}, **early).failure
    nothing = Examples({**table.columns, "weight": Numbers(np.zeros(table.rows))}, table.rows)
    failure = boost({"all": nothing}, task="regression", outcome="pressure", weights="weight").failure
    assert "all rows for training have a weight of 0" in failure
    both = Examples({**table.columns, "weight": weightless.columns["weight"]}, table.rows)
    failure = boost({"all": both}, task="cox", weights="weight", **{rule: "age >= 75"}).failure
    assert f"no patient for {rule} had the event" in failure


def test_a_whole_site_may_be_the_test_and_every_other_site_learns_alone(boost, table, split, terms):
    sites = split(table, np.arange(table.rows) % 3)
    settings_ = {"task": "classification", "outcome": "died", "covariates": ("age", "bmi"), "trees": 5, "test": "site == 's2'"}
    spec = BoostingSpec(**settings_)
    own = alone(BOOSTING, spec, terms(), sites["s0"])
    assert not own.failure
    assert own.facts["judged_on"] == "nothing"
    assert "quality" not in own.tables
    assert any("none of the rows here is for test" in note for note in own.notes)
    without = alone(BOOSTING, BoostingSpec(**{**settings_, "test": 0.0}), terms(), sites["s0"])
    assert canonical.encode(own.model) == canonical.encode(without.model)
    tables = BOOSTING.appraise(own, spec, terms(), sites["s2"], 2)
    assert "auc" in tables["quality"].columns["measure"]
    assert "fewer than 5 rows are for training" in alone(BOOSTING, spec, terms(), sites["s2"]).failure
    few = {name: sites[name] for name in ("s0", "s1")}
    assert "fewer than 5 rows are for test" in boost(few, **{**settings_, "covariates": ("age", "bmi")}).failure


def test_a_site_whose_rows_weigh_nothing_has_no_measures_of_its_own(boost, table, terms):
    spec = BoostingSpec(task="classification", outcome="died", covariates=("age", "bmi"), weights="weight", test=0.3)
    result = boost({"all": table}, covariates=("age", "bmi"), weights="weight", test=0.3)
    weightless = Examples({**table.columns, "weight": Numbers(np.zeros(table.rows))}, table.rows)
    assert BOOSTING.appraise(result, spec, terms(), weightless, 2) == {}


def test_a_category_cannot_be_monotone(boost, table):
    assert "stage is a category" in boost({"all": table}, monotone={"stage": 1}).failure


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"outcome": ""}, "outcome: found none"),
        ({"task": "cox"}, "time: found none"),
        ({"early_stopping": 3}, "found no validation"),
        ({"monotone": {"height": 1}}, "height is not among the covariates"),
        ({"covariates": ("age", "died")}, "died is not to be learnt from"),
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"validation": "age >"}, "condition"),
        ({"strata": "site"}, "has no meaning"),
        ({"bins": 257}, "256"),
        ({"trees": 10_000, "depth": 12}, "found up to 40,960,000 leaves, expected at most 16,777,216"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings_, said):
    with pytest.raises(ValidationError, match=said):
        BoostingSpec(**{"task": "classification", "outcome": "died", "covariates": ("age",), **settings_})


def test_a_published_forest_says_no_number_of_rows(boost, table):
    result = boost({"all": table})
    whole = {array.dtype.kind for array in result.model.values() if isinstance(array, np.ndarray)}
    assert whole <= {"i", "u", "f"}
    assert table.rows not in [value for array in result.model.values() if isinstance(array, np.ndarray) for value in array.ravel()]
    json.dumps(dict(result.facts))
