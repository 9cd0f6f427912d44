"""The columns of features at one site: what each function gives, and which rows miss it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from huizhen.data.examples import Categories, Examples, Images, Numbers
from huizhen.errors import DataError, FederationError
from huizhen.methods.design.spline import Spline
from huizhen.methods.features.coding import harrell, made, present
from huizhen.methods.features.declared import Features
from huizhen.methods.features.fitted import Fitted

NAN = np.nan


def rows(**columns) -> Examples:
    built = {}
    for name, values in columns.items():
        if any(isinstance(value, str) for value in values):
            levels = tuple(sorted({value for value in values if value}))
            codes = [levels.index(value) if value else -1 for value in values]
            built[name] = Categories(np.array(codes, np.int32), levels)
        else:
            built[name] = Numbers(np.array(values, float))
    return Examples(built, len(values))


def column(text, fitted=None, **columns):
    features = Features.of({"f": text})
    told = {key: (fitted or {})[call.function] for key, (_, call) in features.fitted_calls.items()}
    return made(features, Fitted(told), rows(**columns)).columns["f"]


def values(text, fitted=None, **columns):
    return column(text, fitted, **columns).values.tolist()


def labels(text, fitted=None, **columns):
    found = column(text, fitted, **columns)
    return [found.levels[code] if code >= 0 else None for code in found.codes]


def test_numbers_are_made_of_numbers():
    assert values("weight / height^2", weight=[80, 50], height=[2, 1]) == [20, 50]
    assert values("-(a - b) * 2 + a", a=[1, 5], b=[3, 5]) == [5, 5]
    assert values("log10(x) + sqrt(x)", x=[100.0]) == [12.0]
    assert values("abs(x)", x=[-2, 3]) == [2, 3]


@pytest.mark.parametrize("text", ["a / b", "log(b)", "b^-1", "log(b) * a", "sqrt(b - 1)", "a / (b * 0)", "exp(a / b)"])
def test_what_is_not_defined_is_missing(text):
    found = values(text, a=[1.0], b=[0.0])
    assert np.isnan(found).all()
    assert present(Features.of({"f": text}), ["f"], rows(a=[1.0], b=[0.0])).tolist() == [False]


def test_a_cut_point_belongs_to_the_group_above_it():
    assert labels("cut(age, 50, 65)", age=[49.9, 50, 64.9, 65, NAN]) == ["<50", "[50, 65)", "[50, 65)", ">=65", None]
    assert labels("quantiles(age, 3)", {"quantiles": {"cuts": [50.0, 65.0]}}, age=[49, 50, 65, NAN]) == ["Q1", "Q2", "Q3", None]


def test_dates_are_told_apart_in_days():
    found = values(
        "days(out, into)",
        into=["2026-02-27", "2026-02-27T23:10:00", "2026/02/27", "27.2.2026", "2026-02-31", ""],
        out=["2026-03-01", "2026-02-28 01:00", "2026-02-27", "2026-03-01", "2026-03-01", "2026-03-01"],
    )
    assert found[:3] == [2, 1, 0]
    assert np.isnan(found[3:]).all()


def test_what_is_missing_is_imputed_and_told():
    assert values("impute(x, median)", {"impute": {"value": 3.5}}, x=[1, NAN]) == [1, 3.5]
    assert values("impute(x, 0)", x=[1, NAN]) == [1, 0]
    assert values("missing(x)", x=[1, NAN]) == [0, 1]
    assert values("missing(log(x))", x=[1, 0]) == [0, 1]
    assert values("missing(sex)", sex=["f", ""]) == [0, 1]
    known = {"category": {"levels": ["f", "m"], "other": False}, "impute": {"value": "m"}}
    assert labels("impute(sex, mode)", known, sex=["f", ""]) == ["f", "m"]


def test_a_level_that_was_not_found_is_other_or_missing():
    many, few = {"levels": ["I", "II", "other"], "other": True}, {"levels": ["I", "II"], "other": False}
    assert labels("category(stage)", {"category": many}, stage=["I", "V", ""]) == ["I", "other", None]
    assert labels("category(stage)", {"category": few}, stage=["I", "V", ""]) == ["I", None, None]
    assert labels("category(ecog)", {"category": {"levels": ["0", "1"], "other": False}}, ecog=[1.0, 0.0]) == ["1", "0"]


def test_bounds_are_0_and_1_and_nothing_lies_beyond():
    assert values("minmax(x)", {"minmax": {"low": 10.0, "high": 20.0}}, x=[5, 10, 15, 99, NAN])[:4] == [0, 0, 0.5, 1]
    assert values("minmax(x, 0, 4)", x=[1.0]) == [0.25]


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=6, unique=True).map(sorted).filter(lambda k: min(np.diff(k)) > 0.1))
def test_a_spline_is_the_natural_cubic_one_with_these_knots(knots):
    x = np.linspace(knots[0] - 5, knots[-1] + 5, 60)
    ours = np.array([np.ones_like(x), *harrell(x, tuple(knots))])
    natural = np.array([np.ones_like(x), *Spline(tuple(knots[1:-1]), (knots[0], knots[-1]), natural=True).evaluate(x)])
    scaled = ours / np.abs(ours).max(axis=1, keepdims=True)
    away = scaled.T - natural.T @ np.linalg.lstsq(natural.T, scaled.T, rcond=None)[0]
    assert np.abs(away).max() < 1e-8


TEXTS = (
    "standardise(x) * y",
    "standardise(x) / y",
    "impute(x / y, median)",
    "missing(log(x)) + y",
    "minmax(log(x), 0, 1)",
    "exp(standardise(x / y))",
    "standardise(impute(x, median))^2 - y",
    "category(s)",
    "cut(impute(y, 1) + x, 0)",
)
KNOWN = {
    "standardise": {"mean": -3.0, "sd": 0.5},
    "impute": {"value": -2.0},
    "category": {"levels": ["a", "b"], "other": False},
}
SOME = st.sampled_from([NAN, 0.0, -1.0, 2.0, 3.5])


@example([(0.0, 0.0, "a")], "standardise(x) / y")
@given(st.lists(st.tuples(SOME, SOME, st.sampled_from(["a", "b", ""])), min_size=1, max_size=8), st.sampled_from(TEXTS))
def test_which_rows_miss_a_feature_is_known_before_it_is_fitted(table, text):
    x, y, s = zip(*table)
    examples = Examples(
        {
            "x": Numbers(np.array(x)),
            "y": Numbers(np.array(y)),
            "s": Categories(np.array([{"a": 0, "b": 1, "": -1}[one] for one in s], np.int32), ("a", "b")),
        },
        len(table),
    )
    features = Features.of({"f": text})
    fitted = Fitted({key: KNOWN[call.function] for key, (_, call) in features.fitted_calls.items()})
    assert present(features, ["f"], examples).tolist() == (~made(features, fitted, examples).columns["f"].missing()).tolist()


def test_a_feature_stands_in_the_place_of_its_variable_and_a_draw_looks_at_the_variable():
    examples = rows(ldl=[1.0, NAN])
    features = Features.of({"ldl": "impute(ldl, 7)", "z": "ldl * 2"})
    found = made(features, Fitted(), examples)
    assert found.columns["z"].values.tolist() == [2, 14]
    (raw,) = found.origins["ldl"]
    assert found.origins["z"] == (raw,)
    assert np.isnan(found.columns[raw].values[1])


def test_a_variable_that_is_not_there_or_is_something_else_is_named():
    examples = Examples({"sex": Categories(np.zeros(2, np.int32), ("f",)), "scan": Images(np.zeros((2, 1, 2, 2), np.uint8))}, 2)
    with pytest.raises(DataError) as refused:
        made(Features.of({"a": "log(age)", "b": "log(sex)", "c": "category(scan)"}), Fitted(), examples)
    assert [problem.where for problem in refused.value.problems] == ["age", "sex", "scan"]


SPLINE, STAGE, Z = "s: spline(x, 3)", "g: category(stage)", "z: standardise(x)"
SOUND = {SPLINE: {"knots": [1.0, 2.0, 3.0]}, STAGE: {"levels": ["I", "II"], "other": False}, Z: {"mean": 0.0, "sd": 1.0}}


@pytest.mark.parametrize(
    "told",
    [
        None,
        {Z: SOUND[Z]},
        {**SOUND, "y: standardise(x)": {"mean": 0.0, "sd": 1.0}},
        {**SOUND, Z: {"mean": 0.0, "sd": 0.0}},
        {**SOUND, Z: {"mean": float("nan"), "sd": 1.0}},
        {**SOUND, Z: {"mean": 0.0}},
        {**SOUND, Z: {"mean": "0", "sd": 1.0}},
        {**SOUND, Z: 3},
        {**SOUND, SPLINE: {"knots": [1.0, 3.0, 2.0]}},
        {**SOUND, SPLINE: {"knots": [1.0, 2.0]}},
        {**SOUND, STAGE: {"levels": ["I", "I"], "other": False}},
        {**SOUND, STAGE: {"levels": ["I", 2], "other": False}},
        {**SOUND, STAGE: {"levels": ["I", "II"], "other": 1}},
    ],
)
def test_a_site_takes_no_other_parameters_than_its_study_s_features_have(told):
    features = Features.of({"s": "spline(x, 3)", "g": "category(stage)", "z": "standardise(x)"})
    assert Fitted.told(SOUND, features, whole=True).parameters == SOUND
    with pytest.raises(FederationError, match="not asked by the study"):
        Fitted.told(told, features, whole=True)
