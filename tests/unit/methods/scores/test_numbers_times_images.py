"""Measures of numbers, of times to an event and of drawn regions: joint sums are pooled, and agree with other computations."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from scipy.special import expit
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from huizhen.methods.hazards.concordance import from_pairs, pairs_within
from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.lifetimes import survival_of
from huizhen.methods.scores.measure import COUNTS, headline, measure, quality, remarks

NUMBER = Aim("regression", ("ef",))
COX = Aim("cox", ("time",), event="status == 2")
HAZARDS = Aim("discrete_time", ("time",), event="status == 2", ends=(1.0, 2.0, 4.0, 8.0))
REGIONS = Aim("segmentation", ("mask",), ("background", "liver", "tumour"))


def rows_of(aim, count, seed=1):
    rng = np.random.default_rng(seed)
    if aim is NUMBER:
        y = rng.normal(55.0, 10.0, count)
        return (y + rng.normal(0.5, 6.0, count))[:, None], y
    if aim is COX:
        risk = rng.normal(0.0, 0.8, count)
        time, end = rng.exponential(400.0 * np.exp(-risk)), rng.uniform(50.0, 900.0, count)
        return risk[:, None], np.stack([np.ceil(np.minimum(time, end)), (time <= end).astype(float)], axis=1)
    if aim is HAZARDS:
        return rng.normal(-1.0, 1.0, (count, 4)), np.stack([rng.integers(0, 4, count), rng.random(count) < 0.6], axis=1).astype(
            float
        )
    return rng.normal(0.0, 1.0, (count, 3, 6, 5)), rng.integers(0, 3, (count, 6, 5))


def found(table, measure, label=None):
    columns = table.columns
    at = [i for i, name in enumerate(columns["measure"]) if name == measure and (label is None or columns["label"][i] == label)]
    assert len(at) == 1, (measure, label)
    return tuple(columns[name][at[0]] for name in ("estimate", "ci_low", "ci_high"))


@pytest.mark.parametrize("aim", [NUMBER, COX, HAZARDS, REGIONS], ids=lambda aim: aim.task)
@settings(deadline=None, max_examples=6)
@given(cuts=st.lists(st.integers(0, 40), max_size=3), seed=st.integers(0, 99))
def test_sums_over_sites_and_chunks_are_those_of_the_pooled_rows(aim, cuts, seed):
    outputs, targets = rows_of(aim, 40, seed)
    weights = np.random.default_rng(seed).integers(0, 3, 40).astype(float)
    parts = [measure(aim, outputs[a:b], targets[a:b], weights[a:b]) for a, b in pairwise([0, *sorted(cuts), 40])]
    pooled = measure(aim, outputs, targets, weights)
    for name, array in pooled.items():
        assert array.dtype == np.float64
        total = sum(part[name] for part in parts)
        assert np.array_equal(total, array) if name in COUNTS else np.allclose(total, array, rtol=1e-11), name
    repeated = measure(aim, np.repeat(outputs, weights.astype(int), axis=0), np.repeat(targets, weights.astype(int), axis=0))
    for name, array in repeated.items():
        if name != "followed":  # numbers of rows, whatever they weigh
            assert np.allclose(array, pooled[name]), name


def test_errors_of_a_number_are_those_of_sklearn():
    outputs, y = rows_of(NUMBER, 500)
    sums = measure(NUMBER, outputs, y)
    table = quality(NUMBER, sums)["quality"]
    predicted = outputs[:, 0]
    assert found(table, "rmse")[0] == pytest.approx(root_mean_squared_error(y, predicted))
    assert found(table, "mae")[0] == pytest.approx(mean_absolute_error(y, predicted))
    assert found(table, "r2")[0] == pytest.approx(r2_score(y, predicted))
    assert found(table, "bias")[0] == pytest.approx((y - predicted).mean())
    error = np.abs(y - predicted)
    reach = 1.959964 * error.std(ddof=1) / np.sqrt(500)
    assert found(table, "mae")[1:] == pytest.approx((error.mean() - reach, error.mean() + reach))
    assert headline(NUMBER, sums) == {"rmse": found(table, "rmse")[0]}


def test_the_interval_of_r2_is_that_of_drawing_the_rows_again():
    outputs, y = rows_of(NUMBER, 600)
    rng = np.random.default_rng(5)
    drawn = [r2_score(y[at], outputs[at, 0]) for at in (rng.integers(0, 600, 600) for _ in range(400))]
    _, low, high = found(quality(NUMBER, measure(NUMBER, outputs, y))["quality"], "r2")
    assert high - low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.15)


def test_a_number_far_from_the_center_has_no_r2_rather_than_a_wrong_one():
    outputs, y = rows_of(NUMBER, 100)
    assert found(quality(NUMBER, measure(NUMBER, outputs + 1e7, y + 1e7))["quality"], "r2") == (None, None, None)
    near = Aim("regression", ("ef",), center=1e7)
    value, low, high = found(quality(near, measure(near, outputs + 1e7, y + 1e7))["quality"], "r2")
    assert value == pytest.approx(r2_score(y, outputs[:, 0]), rel=1e-6)
    assert low < value < high
    constant = quality(NUMBER, measure(NUMBER, outputs, np.full(100, 3.0)))["quality"]
    assert found(constant, "r2") == (None, None, None)


def test_the_concordance_is_that_of_the_pairs_within_its_bound():
    outputs, targets = rows_of(COX, 400)
    time, event = targets[:, 0], targets[:, 1] > 0
    ones = np.ones(400)
    exact = from_pairs(*pairs_within(time, event, np.zeros(400, np.int64), ones, outputs[:, 0]))
    every = Aim("cox", ("time",), event="status == 2", ends=tuple(np.unique(time)))
    for aim, tolerance in ((every, 2e-3), (COX, 0.01)):
        sums = {
            name: measure(aim, outputs[:90], targets[:90])[name] + rest
            for name, rest in measure(aim, outputs[90:], targets[90:]).items()
        }
        table = quality(aim, sums)["quality"]
        value, low, high = found(table, "concordance")
        bound = found(table, "concordance_error_bound")[0]
        assert abs(value - exact.value) <= min(bound, tolerance)
        assert high - low == pytest.approx(2 * 1.959964 * exact.standard_error, rel=0.03)
        assert headline(aim, sums)["concordance"] == value
    assert bound < 0.06


def test_without_an_event_there_is_no_concordance():
    outputs, targets = rows_of(COX, 30)
    targets[:, 1] = 0.0
    assert found(quality(COX, measure(COX, outputs, targets))["quality"], "concordance") == (None, None, None)


def brier_by_hand(outputs, targets, end):
    """Graf's score: the weights from lifelines' curve of censoring, where the censored leave after the events of their interval."""
    survival = np.cumprod(1 - expit(outputs), axis=1)[:, end]
    interval, event = targets[:, 0], targets[:, 1] > 0
    curve = KaplanMeierFitter().fit(interval + 0.5 * ~event, ~event)
    followed = {k: curve.predict(k) for k in range(end + 1)}
    total = 0.0
    for s, k, dead in zip(survival, interval, event):
        if dead and k <= end:
            total += s**2 / followed[int(k)]
        elif k > end or (k == end and not dead):
            total += (1 - s) ** 2 / followed[end]
    return total / len(survival)


def test_hazards_by_interval_have_grafs_brier_score_and_the_likelihood_of_training():
    outputs, targets = rows_of(HAZARDS, 300)
    sums = measure(HAZARDS, outputs, targets)
    table = quality(HAZARDS, sums)["quality"]
    for place, end in enumerate(HAZARDS.ends):
        value, low, high = found(table, "brier", f"{end:g}")
        assert value == pytest.approx(brier_by_hand(outputs, targets, place))
        assert low < value < high
    loss = 0.0
    for hazards, (k, event) in zip(expit(outputs), targets):
        loss -= np.log(1 - hazards[: int(k)]).sum() + np.log(hazards[int(k)] if event else 1 - hazards[int(k)])
    assert found(table, "log_loss")[0] == pytest.approx(loss / 300)
    risk = 1 - survival_of(outputs)[0][:, -1]
    exact = from_pairs(*pairs_within(targets[:, 0], targets[:, 1] > 0, np.zeros(300, np.int64), np.ones(300), risk))
    assert found(table, "concordance")[0] == pytest.approx(exact.value, abs=1e-3)
    assert "probability of censoring" in remarks(HAZARDS, sums)[0]


def test_certain_hazards_give_finite_sums():
    outputs = np.array([[1000.0, 0, 0, 0], [-1000.0] * 4, [-1000.0, 900.0, 0.0, 0.0]])
    sums = measure(HAZARDS, outputs, np.array([[0.0, 1.0], [3.0, 0.0], [1.0, 1.0]]))
    assert all(np.isfinite(one).all() for one in sums.values())


def test_dice_is_that_of_each_image_and_of_all_pixels():
    outputs, truth = rows_of(REGIONS, 20)
    truth[:15][truth[:15] == 2] = 0
    outputs[:12, 2] = -99.0  # twelve images without a tumour, found or true
    sums = measure(REGIONS, outputs, truth)
    table = quality(REGIONS, sums)["quality"]
    chosen = outputs.argmax(axis=1)
    for k, name in enumerate(REGIONS.levels):
        pairs = [(c == k, t == k) for c, t in zip(chosen, truth)]
        each = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs if (a | b).any()]
        value, low, high = found(table, "dice", name)
        assert value == pytest.approx(np.mean(each))
        assert (low + high) / 2 == pytest.approx(value)
        both, all_ = sum((a & b).sum() for a, b in pairs), sum(a.sum() + b.sum() for a, b in pairs)
        assert found(table, "pooled_dice", name)[0] == pytest.approx(2 * both / all_)
    assert sums["images"].tolist() == [20, 20, 8]
    of_drawn = [found(table, "dice", name)[0] for name in ("liver", "tumour")]
    assert found(table, "dice", "macro")[0] == headline(REGIONS, sums)["dice"] == pytest.approx(np.mean(of_drawn))


def test_few_images_with_a_class_have_no_published_dice():
    outputs, truth = rows_of(REGIONS, 20)
    truth[:18][truth[:18] == 2] = 0
    outputs[:18, 2] = -99.0
    tables = quality(REGIONS, measure(REGIONS, outputs, truth), min_cell_count=5)
    assert found(tables["quality"], "dice", "tumour") == (None, None, None)
    assert found(tables["quality"], "dice", "liver")[0] is not None


def test_the_interval_of_the_pooled_dice_is_that_of_drawing_the_images_again():
    outputs, truth = rows_of(REGIONS, 80)
    outputs += 1.5 * np.random.default_rng(2).random((80, 1, 1, 1)) * (truth[:, None] == np.arange(3)[:, None, None])
    _, low, high = found(quality(REGIONS, measure(REGIONS, outputs, truth))["quality"], "pooled_dice", "liver")
    chosen = outputs.argmax(axis=1)
    both = ((chosen == 1) & (truth == 1)).sum(axis=(1, 2))
    each = (chosen == 1).sum(axis=(1, 2)) + (truth == 1).sum(axis=(1, 2))
    rng = np.random.default_rng(3)
    drawn = [2 * both[at].sum() / each[at].sum() for at in (rng.integers(0, 80, 80) for _ in range(600))]
    assert high - low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.15)
    perfect = quality(REGIONS, measure(REGIONS, 9.0 * (truth[:, None] == np.arange(3)[:, None, None]), truth))["quality"]
    assert found(perfect, "pooled_dice", "liver") == (1.0, None, None)


def test_the_share_of_variance_explained_keeps_its_digits_far_from_zero():
    rng = np.random.default_rng(5)
    x = rng.normal(size=200)
    y = 1e6 + (x + rng.normal(0.0, 0.5, 200)) * 1e-2
    outputs = 1e6 + 0.9 * x * 1e-2
    aim = Aim("regression", ("y",), center=1e6 + 0.003)
    told = []
    for sites in (1, 2, 5):
        parts = [measure(aim, o, t) for o, t in zip(np.array_split(outputs, sites), np.array_split(y, sites))]
        told.append(found(quality(aim, {name: sum(one[name] for one in parts) for name in parts[0]})["quality"], "r2"))
    expected = 1 - np.mean((y - outputs) ** 2) / np.var(y)
    assert told == [pytest.approx(told[0], rel=1e-9)] * 3
    assert told[0][0] == pytest.approx(expected, rel=1e-6)
    far = measure(Aim("regression", ("y",)), outputs, y)
    assert found(quality(Aim("regression", ("y",)), far)["quality"], "r2") == (None, None, None)  # no digits are left


def test_weights_do_not_stand_for_patients_and_one_of_them_not_for_all():
    rng = np.random.default_rng(6)
    y, weights = rng.normal(size=150), np.ones(150)
    aim = Aim("regression", ("y",))
    for scale in (1e-9, 1e9):
        columns = quality(aim, measure(aim, np.zeros(150), y, weights * scale))["quality"].columns
        assert set(columns["smallest_group"]) == set(columns["patients"]) == {150}
        assert columns["estimate"][0] is not None
    weights[3] = 1e9
    sums = measure(aim, np.zeros(150), y, weights)
    columns = quality(aim, sums)["quality"].columns
    assert set(columns["estimate"]) == {None}
    assert max(columns["smallest_group"]) < 5
    assert headline(aim, sums) == {}


def test_huge_errors_leave_finite_sums():
    sums = measure(Aim("regression", ("y",)), np.array([1e120, 0.0]), np.array([0.0, 1e200]))
    assert all(np.isfinite(one).all() for one in sums.values())


@pytest.mark.parametrize("events", [2, 198])
def test_few_events_or_few_others_leave_no_concordance_no_bound_and_no_loss(events):
    for aim in (COX, HAZARDS):
        outputs, targets = rows_of(aim, 200)
        targets[:, 1] = np.arange(200) < events
        sums = measure(aim, outputs, targets)
        columns = quality(aim, sums, min_cell_count=5)["quality"].columns
        assert set(columns["estimate"]) == {None}
        assert set(columns["patients"]) == {200}
        assert headline(aim, sums, min_cell_count=5) == {}


def test_hazards_that_take_few_values_have_no_losses_where_few_are_behind_one():
    outputs, targets = rows_of(HAZARDS, 200)
    outputs = np.where(outputs[:, :1] > 0, -1.0, -2.0) + np.zeros((200, len(HAZARDS.ends)))
    table = quality(HAZARDS, measure(HAZARDS, outputs, targets), min_cell_count=30)["quality"]
    assert found(table, "log_loss") == (None, None, None)
    assert found(table, "concordance")[0] is not None
