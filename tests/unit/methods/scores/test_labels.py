"""Measures of labels: sums over sites are the pooled sums, and what they say is what well-known libraries say."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from huizhen.errors import SiteError
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.histogram import area, count_by_bin, middles, place
from huizhen.methods.scores.measure import COUNTS, headline, learning, measure, quality, remarks, untold
from huizhen.policy.decision import Context
from huizhen.policy.disclosure import DisclosurePolicy, decide
from huizhen.policy.publication import publish
from huizhen.privacy.release import Answer, Part, Question, Terms
from huizhen.privacy.result import Result

BINARY = Aim("binary", ("died",), ("no", "yes"), threshold=0.3)
CLASSES = Aim("multiclass", ("stage",), ("I", "II", "III"))
LABELS = Aim("multilabel", ("edema", "mass"))


def rows_of(task, count, seed=3):
    rng = np.random.default_rng(seed)
    if task == "binary":
        z = rng.normal(-1.0, 1.3, (count, 1))
        return BINARY, z, (rng.random(count) < expit(0.8 * z[:, 0] + 0.2)).astype(float)
    if task == "multiclass":
        z = rng.normal(0.0, 1.5, (count, 3))
        return CLASSES, z, np.array([rng.choice(3, p=softmax(one)) for one in z])
    z = rng.normal(-0.5, 1.0, (count, 2))
    return LABELS, z, (rng.random((count, 2)) < expit(z)).astype(float)


def added(sums):
    return {name: sum(one[name] for one in sums) for name in sums[0]}


def found(table, measure, label=None):
    columns = table.columns
    at = [i for i, name in enumerate(columns["measure"]) if name == measure and (label is None or columns["label"][i] == label)]
    assert len(at) == 1, (measure, label)
    return tuple(columns[name][at[0]] for name in ("estimate", "ci_low", "ci_high"))


def delong(score, truth):
    """Area and standard error by DeLong's placements, row by row."""
    p, n = score[truth == 1], score[truth == 0]
    wins = (p[:, None] > n) + 0.5 * (p[:, None] == n)
    of_p, of_n = wins.mean(axis=1), wins.mean(axis=0)
    return wins.mean(), np.sqrt(of_p.var(ddof=1) / len(p) + of_n.var(ddof=1) / len(n))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@settings(deadline=None, max_examples=10)
@given(cuts=st.lists(st.integers(0, 90), max_size=4), seed=st.integers(0, 99))
def test_sums_over_sites_and_chunks_are_those_of_the_pooled_rows(task, cuts, seed):
    aim, outputs, targets = rows_of(task, 90, seed)
    weights = np.random.default_rng(seed).integers(0, 3, 90).astype(float)
    bounds = [0, *sorted(cuts), 90]
    parts = [measure(aim, outputs[a:b], targets[a:b], weights[a:b], bins=64) for a, b in itertools.pairwise(bounds)]
    pooled = measure(aim, outputs, targets, weights, bins=64)
    total = added(parts)
    assert total.keys() == pooled.keys()
    for name, array in pooled.items():
        assert array.dtype == np.float64
        assert array.shape == parts[0][name].shape
        if name in COUNTS:
            assert np.array_equal(total[name], array), name
        else:
            assert np.allclose(total[name], array, rtol=1e-12), name


def test_a_row_that_counts_twice_is_two_rows():
    aim, outputs, targets = rows_of("binary", 60)
    weights = np.where(np.arange(60) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(60), weights.astype(int))
    weighted, repeated = measure(aim, outputs, targets, weights), measure(aim, outputs[twice], targets[twice])
    for name, array in repeated.items():
        assert np.allclose(weighted[name], array), name
    assert weighted["positive_rows"].sum() == targets.sum()


def test_the_area_of_two_sites_is_the_pooled_histograms_and_that_of_sklearn_within_its_bound():
    aim, outputs, targets = rows_of("binary", 4000)
    at_sites = [measure(aim, outputs[:700], targets[:700]), measure(aim, outputs[700:], targets[700:])]
    pooled = measure(aim, outputs, targets)
    total = added(at_sites)
    joint, whole = (area(one["positives"][0], one["negatives"][0]) for one in (total, pooled))
    assert joint == whole
    assert joint.bound < 1e-4
    assert abs(joint.value - roc_auc_score(targets, outputs[:, 0])) <= joint.bound


def test_the_bound_holds_where_bins_are_few():
    aim, outputs, targets = rows_of("binary", 500)
    sums = measure(aim, outputs, targets, bins=16)
    seen = area(sums["positives"][0], sums["negatives"][0])
    truth = roc_auc_score(targets, outputs[:, 0])
    assert 0.005 < seen.bound < 0.2
    assert abs(seen.value - truth) <= seen.bound


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=12))
def test_an_area_counts_each_pair_within_a_bin_one_half(counts):
    p, n = np.array(counts, float).T
    seen = area(p, n)
    if not (p.sum() and n.sum()):
        assert seen.value is None
        return
    score = np.arange(len(p))
    rows = np.concatenate([np.repeat(score, p.astype(int)), np.repeat(score, n.astype(int))])
    truth = np.concatenate([np.ones(int(p.sum())), np.zeros(int(n.sum()))])
    assert seen.value == pytest.approx(roc_auc_score(truth, rows))
    if p.sum() > 1 and n.sum() > 1:
        assert seen.error == pytest.approx(delong(rows, truth)[1])


def test_delongs_interval_is_that_of_the_rows():
    aim, outputs, targets = rows_of("binary", 1500)
    value, low, high = found(quality(aim, measure(aim, outputs, targets))["quality"], "auc")
    expected, error = delong(outputs[:, 0], targets)
    assert value == pytest.approx(expected, abs=1e-4)
    assert (low, high) == pytest.approx((expected - norm.ppf(0.975) * error, expected + norm.ppf(0.975) * error), abs=3e-4)


def test_the_middle_of_a_bin_is_in_the_bin_and_saturated_scores_stay_apart():
    z, share = middles(1024)
    assert np.array_equal(place(z, 1024), np.arange(1024))
    assert np.allclose(share, expit(z))
    assert place(np.array([-1e300, 1e300])).tolist() == [0, 16383]
    assert len(set(place(np.array([20.0, 30.0, 40.0, 60.0, 100.0])).tolist())) == 5
    assert count_by_bin(np.zeros((0, 2), np.int64), np.zeros((0, 2)), 4).dtype == np.float64


def test_losses_and_rates_are_those_of_sklearn_with_wilsons_intervals():
    aim, outputs, targets = rows_of("binary", 800)
    tables = quality(aim, measure(aim, outputs, targets), confidence=0.9)
    share = expit(outputs[:, 0])
    brier, low, high = found(tables["quality"], "brier")
    assert brier == pytest.approx(brier_score_loss(targets, share))
    squared = (share - targets) ** 2
    reach = norm.ppf(0.95) * squared.std(ddof=1) / np.sqrt(800)
    assert (low, high) == pytest.approx((brier - reach, brier + reach))
    assert found(tables["quality"], "log_loss")[0] == pytest.approx(log_loss(targets, share))
    called = share >= 0.3
    for name, hits, of in (
        ("sensitivity", (called & (targets == 1)).sum(), (targets == 1).sum()),
        ("specificity", (~called & (targets == 0)).sum(), (targets == 0).sum()),
        ("positive_predictive_value", (called & (targets == 1)).sum(), called.sum()),
        ("negative_predictive_value", (~called & (targets == 0)).sum(), (~called).sum()),
        ("accuracy", (called == targets).sum(), 800),
    ):
        limits = proportion_confint(hits, of, alpha=0.1, method="wilson")
        assert found(tables["at_threshold"], name) == pytest.approx((hits / of, *limits)), name


def test_the_calibration_line_is_that_of_statsmodels():
    aim, outputs, targets = rows_of("binary", 2000)
    table = quality(aim, measure(aim, outputs, targets))["quality"]
    fit = sm.GLM(targets, sm.add_constant(outputs[:, 0]), family=sm.families.Binomial()).fit()
    limits = fit.conf_int()
    for place_, name in enumerate(("calibration_intercept", "calibration_slope")):
        assert found(table, name) == pytest.approx((fit.params[place_], *limits[place_]), abs=1e-4), name


def test_scores_that_part_the_classes_have_an_area_and_no_calibration_line():
    outputs = np.concatenate([np.linspace(-3, -1, 40), np.linspace(1, 3, 40)])[:, None]
    targets = np.repeat([0.0, 1.0], 40)
    table = quality(BINARY, measure(BINARY, outputs, targets))["quality"]
    assert found(table, "auc") == (1.0, None, None)
    assert found(table, "calibration_slope") == (None, None, None)
    flat = quality(BINARY, measure(BINARY, np.zeros((80, 1)), targets))["quality"]
    assert found(flat, "auc")[0] == 0.5
    assert found(flat, "calibration_slope") == (None, None, None)


def test_one_class_only_has_no_area_and_a_remark_says_so():
    outputs = np.linspace(-2, 2, 30)[:, None]
    sums = measure(BINARY, outputs, np.zeros(30))
    tables = quality(BINARY, sums)
    assert found(tables["quality"], "auc") == (None, None, None)
    assert "roc" not in tables
    assert remarks(BINARY, sums)[0] == "The rows hold one class only: nothing can tell them apart."
    assert "auc" not in headline(BINARY, sums)
    assert headline(BINARY, sums)["log_loss"] > 0


def test_no_row_at_all_is_a_sum_of_zeros():
    for task in ("binary", "multiclass", "multilabel"):
        aim, outputs, targets = rows_of(task, 8)
        empty, full = measure(aim, outputs[:0], targets[:0]), measure(aim, outputs, targets)
        assert {name: one.shape for name, one in empty.items()} == {name: one.shape for name, one in full.items()}
        assert not any(one.any() for one in empty.values())
        assert (
            found(quality(aim, empty)["quality"], "brier", "macro" if task == "multiclass" else None)
            if task != "multilabel"
            else True
        )


def test_several_classes_are_one_against_the_rest_and_their_mean():
    aim, outputs, targets = rows_of("multiclass", 1200)
    tables = quality(aim, measure(aim, outputs, targets))
    share = softmax(outputs, axis=1)
    expected = [roc_auc_score(targets == k, share[:, k]) for k in range(3)]
    got = [found(tables["quality"], "auc", name)[0] for name in aim.levels]
    assert got == pytest.approx(expected, abs=2e-4)
    assert found(tables["quality"], "auc", "macro")[0] == pytest.approx(np.mean(got))
    assert found(tables["quality"], "log_loss", "macro")[0] == pytest.approx(log_loss(targets, share))
    truth = np.eye(3)[targets]
    assert found(tables["quality"], "brier", "macro")[0] == pytest.approx(((share - truth) ** 2).sum(axis=1).mean())
    chosen = outputs.argmax(axis=1)
    assert found(tables["at_threshold"], "accuracy", "macro")[0] == pytest.approx((chosen == targets).mean())
    recall = ((chosen == 1) & (targets == 1)).sum() / (targets == 1).sum()
    assert found(tables["at_threshold"], "sensitivity", "II")[0] == pytest.approx(recall)


def test_classes_of_certain_outputs_have_finite_scores():
    outputs = np.array([[900.0, 0.0, 0.0], [0.0, 900.0, 0.0], [30.0, 0.0, 0.0], [45.0, 0.0, 0.0]])
    sums = measure(CLASSES, outputs, np.array([0, 1, 1, 0]))
    assert area(sums["positives"][0], sums["negatives"][0]).value == 1.0
    assert all(np.isfinite(one).all() for one in sums.values())


def test_several_labels_are_judged_one_by_one():
    aim, outputs, targets = rows_of("multilabel", 900)
    table = quality(aim, measure(aim, outputs, targets))["quality"]
    for k, name in enumerate(aim.outcome):
        assert found(table, "auc", name)[0] == pytest.approx(roc_auc_score(targets[:, k], outputs[:, k]), abs=2e-4)
        assert found(table, "brier", name)[0] == pytest.approx(brier_score_loss(targets[:, k], expit(outputs[:, k])))


def test_outputs_that_are_no_numbers_are_a_sites_error():
    with pytest.raises(SiteError, match="cannot be judged"):
        measure(BINARY, np.array([[0.1], [np.nan]]), np.zeros(2))


def roc_counts(table, p, n):
    """Numbers of patients between neighbouring points."""
    columns = table.columns
    return np.diff(np.round(np.array(columns["sensitivity"]) * p)), np.diff(np.round(np.array(columns["false_positive_rate"]) * n))


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 999),
    count=st.integers(20, 400),
    minimum=st.integers(1, 12),
    threshold=st.sampled_from([0.05, 0.3, 0.5, 0.9]),
)
def test_no_point_of_a_curve_and_no_difference_of_two_tells_of_few_patients(seed, count, minimum, threshold):
    _, outputs, targets = rows_of("binary", count, seed)
    aim = Aim("binary", ("died",), ("no", "yes"), threshold=threshold)
    sums = measure(aim, outputs, targets)
    tables = quality(aim, sums, min_cell_count=minimum)
    p, n = targets.sum(), count - targets.sum()
    if "roc" not in tables:
        assert min(p, n) < max(minimum, 1)
        return
    steps = roc_counts(tables["roc"], p, n)
    for step in steps:
        assert ((step == 0) | (step >= minimum)).all()
    columns = tables["roc"].columns
    assert (columns["sensitivity"][0], columns["sensitivity"][-1]) == (0.0, 1.0)
    rates = tables["at_threshold"].columns
    if rates["smallest_group"][0] >= minimum:  # the chosen point is on the curve, so no point lies a few patients beside it
        points = set(zip(np.round(np.array(columns["sensitivity"]) * p), np.round(np.array(columns["false_positive_rate"]) * n)))
        tp, _, fp, _ = sums["decided"][0]
        assert (tp, fp) in points
    tenths = tables["calibration"].columns
    hits = np.array(tenths["observed"]) * np.array(tenths["patients"])
    for part in (np.round(hits), np.array(tenths["patients"]) - np.round(hits)):
        assert ((part == 0) | (part >= minimum)).all()
    assert sum(tenths["patients"]) == count
    positives_above = np.cumsum(np.round(hits)[::-1])
    assert set(positives_above) <= set(np.round(np.array(columns["sensitivity"]) * p))  # the tenths are cut where the curve is


def test_the_curves_are_close_to_those_of_the_rows():
    aim, outputs, targets = rows_of("binary", 5000)
    tables = quality(aim, measure(aim, outputs, targets))
    x, y = (np.array(tables["roc"].columns[name]) for name in ("false_positive_rate", "sensitivity"))
    assert len(x) > 60
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(targets, outputs[:, 0]), abs=2e-3)
    tenths = tables["calibration"].columns
    assert len(tenths["observed"]) == 10
    assert (np.diff(tenths["mean_predicted"]) > 0).all()
    assert np.array(tenths["mean_predicted"]) @ np.array(tenths["patients"]) == pytest.approx(expit(outputs).sum(), rel=1e-4)


def test_rates_that_give_a_few_patients_away_are_withheld_and_areas_are_not():
    outputs = np.concatenate([np.full(48, 2.0), np.full(2, -2.0), np.full(10, 2.0), np.full(40, -2.0)])[:, None]
    targets = np.repeat([1.0, 0.0], 50)  # 48 found and 2 missed: sensitivity 1 - 2/50 would tell of the 2
    tables = quality(BINARY, measure(BINARY, outputs, targets), min_cell_count=5)
    shown = publish(Result("boosting", 100, tables=tables), Terms(min_cell_count=5)).tables
    rates = shown["at_threshold"]
    for name in ("sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value"):
        assert found(rates, name) == (None, None, None)
    assert found(rates, "accuracy")[0] == pytest.approx(0.88)
    assert found(shown["quality"], "auc")[0] is not None
    rounded = publish(Result("boosting", 100, tables=tables), Terms(min_cell_count=5, round_to=5)).tables
    assert set(rounded["roc"].columns["sensitivity"]) == {None}


def test_a_course_of_learning_has_a_row_for_each_round():
    table = learning([{"loss": 0.7}, {"loss": 0.5, "auc": 0.8}])
    assert table.columns == {"round": (1, 2), "loss": (0.7, 0.5), "auc": (None, 0.8)}
    assert table.index == "round"


def test_the_headline_is_the_measure_of_the_table():
    for task in ("binary", "multiclass", "multilabel"):
        aim, outputs, targets = rows_of(task, 300)
        sums = measure(aim, outputs, targets)
        label = None if task == "binary" else "macro"
        assert headline(aim, sums)["auc"] == pytest.approx(found(quality(aim, sums)["quality"], "auc", label)[0])


def test_the_headline_tells_nothing_of_few_patients():
    outputs, targets = np.linspace(-2, 2, 40)[:, None], np.zeros(40)
    targets[[5, 20, 33]] = 1.0
    sums = measure(BINARY, outputs, targets)
    assert headline(BINARY, sums) == {}
    assert headline(BINARY, sums, min_cell_count=3).keys() == {"auc", "log_loss"}
    assert headline(BINARY, measure(BINARY, outputs[:4], targets[:4])) == {}
    two = measure(LABELS, np.repeat(outputs, 2, axis=1), np.stack([targets, np.arange(40) % 2], axis=1).astype(float))
    assert headline(LABELS, two) == {}


def test_of_several_labels_the_mean_does_not_give_a_small_ones_area_back():
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(0, 1, (60, 2)), np.zeros((60, 2))
    targets[:3, 0], targets[:30, 1] = 1.0, 1.0
    table = quality(LABELS, measure(LABELS, outputs, targets), min_cell_count=5)["quality"]
    assert found(table, "auc", "edema") == found(table, "auc", "macro") == (None, None, None)
    assert found(table, "auc", "mass")[0] is not None


def test_the_gate_of_the_plain_lane_refuses_the_histogram_of_one_site():
    outputs, targets = np.linspace(-2, 2, 40)[:, None], (np.arange(40) % 2).astype(float)
    parts = {name: Part(values, 40, cells=name in COUNTS) for name, values in measure(BINARY, outputs, targets).items()}
    question, answer = Question("boosting", "judge", variables=("died",)), Answer(parts, 40)
    assert not decide(DisclosurePolicy(), question, answer, Context("east", "plain", ("east", "west"), "k")).allowed
    assert decide(DisclosurePolicy(), question, answer, Context("east", "embedded", ("east", "west"), "k")).allowed


def few_deaths(count, deaths):
    """Two predicted risks, a logit of -1 or 0.5; nobody but a few has died."""
    outputs = np.where(np.arange(count) % 2 == 0, -1.0, 0.5)[:, None]
    return outputs, (np.arange(count) < deaths).astype(float)


@pytest.mark.parametrize("deaths", [2, 98])
def test_where_few_bear_the_label_or_lack_it_no_loss_and_no_bound_is_told(deaths):
    rng = np.random.default_rng(1)
    sums = measure(BINARY, rng.normal(size=(100, 1)), few_deaths(100, deaths)[1])
    columns = quality(BINARY, sums, min_cell_count=5)["quality"].columns
    assert columns["estimate"] == (None,) * 5
    assert set(columns["smallest_group"]) == {2}
    assert set(columns["patients"]) == {100}
    assert headline(BINARY, sums, min_cell_count=5) == {}
    assert remarks(BINARY, sums, min_cell_count=5) == ()
    assert remarks(BINARY, sums, min_cell_count=2) != ()


def test_of_several_labels_a_rare_one_has_no_loss_and_the_course_has_none():
    aim, outputs, targets = rows_of("multilabel", 300)
    targets[:, 1] = np.arange(300) < 2
    sums = measure(aim, outputs, targets)
    table = quality(aim, sums, min_cell_count=5)["quality"]
    assert found(table, "brier", "mass") == found(table, "log_loss", "mass") == (None, None, None)
    assert found(table, "brier", "edema")[0] is not None
    assert headline(aim, sums, min_cell_count=5) == {}


def test_digits_of_predictions_of_few_values_are_not_told_unless_many_have_each():
    outputs, targets = few_deaths(200, 20)
    targets[np.flatnonzero(outputs[:, 0] > 0)[-30:]] = 1.0  # 10 and 40 have died
    enough = quality(BINARY, measure(BINARY, outputs, targets), min_cell_count=5)["quality"]
    assert found(enough, "log_loss")[0] == pytest.approx(log_loss(targets, expit(outputs[:, 0])))
    targets[(outputs[:, 0] < 0) & (np.arange(200) >= 6)] = 0.0  # 3 and 40
    sums = measure(BINARY, outputs, targets)
    tables = quality(BINARY, sums, min_cell_count=5)
    for name in ("brier", "log_loss", "calibration_slope"):
        assert found(tables["quality"], name) == (None, None, None)
    value, *_ = found(tables["quality"], "auc")
    x, y = (np.array(tables["roc"].columns[name]) for name in ("false_positive_rate", "sensitivity"))
    assert value == pytest.approx(np.trapezoid(y, x))  # what the curve tells, and no more
    assert any("take few values" in one for one in remarks(BINARY, sums, min_cell_count=5))
    assert untold(BINARY, sums, min_cell_count=5) >= {"auc", "log_loss"}
    assert learning([{"loss": 1.0, "auc": 0.5, "log_loss": 0.7}], without={"auc", "log_loss"}).columns.keys() == {"round", "loss"}


def test_scores_that_hardly_ever_meet_keep_their_digits():
    aim, outputs, targets = rows_of("binary", 60)
    assert found(quality(aim, measure(aim, outputs, targets), min_cell_count=5)["quality"], "brier")[0] is not None
    assert untold(aim, measure(aim, outputs, targets), min_cell_count=5).isdisjoint({"auc", "log_loss"})


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_weights_do_not_stand_for_patients(task):
    aim, outputs, targets = rows_of(task, 150)
    for scale in (1e-9, 1.0, 1e9):
        weights = np.full(150, scale)
        columns = quality(aim, measure(aim, outputs, targets, weights))["quality"].columns
        plain = quality(aim, measure(aim, outputs, targets))["quality"].columns
        assert columns["smallest_group"] == plain["smallest_group"]
        assert set(columns["patients"]) == {150}
        assert [one is None for one in columns["estimate"]] == [one is None for one in plain["estimate"]]


def test_where_weights_let_one_patient_stand_for_all_nothing_is_told():
    aim, outputs, targets = rows_of("binary", 150)
    weights = np.ones(150)
    weights[7] = 1e9
    sums = measure(aim, outputs, targets, weights)
    tables = quality(aim, sums, min_cell_count=5)
    assert set(tables["quality"].columns["estimate"]) == {None}
    assert set(tables["at_threshold"].columns["estimate"]) == {None}
    assert tables.keys() == {"quality", "at_threshold"}
    assert headline(aim, sums, min_cell_count=5) == {}


def test_certain_and_wrong_outputs_leave_finite_sums():
    for outputs in (np.array([[1e200], [-1e200], [1e308]]), np.array([[1e160], [3.0], [0.0]])):
        sums = measure(BINARY, outputs, np.array([0.0, 1.0, 0.0]))
        assert all(np.isfinite(one).all() for one in sums.values())
