"""Features are fitted on the rows of all sites together: as pooled rows would give them, however the rows lie, and about nobody."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huizhen import DisclosurePolicy, Study, run

RNG = np.random.default_rng(7)
COUNT = 300
POOLED = pd.DataFrame(
    {
        "age": RNG.normal(60, 9, COUNT).round(1),
        "crp": RNG.gamma(2, 10, COUNT).round(3),
        "ldl": np.where(RNG.random(COUNT) < 0.2, np.nan, RNG.gamma(4, 1, COUNT).round(2)),
        "stage": RNG.choice(["I", "II", "III"], COUNT, p=[0.5, 0.3, 0.2]),
    }
)
OPEN = DisclosurePolicy(min_cell_count=1, min_rows=1)


def fitted(features, tables, *, policy=OPEN, variables=None, include=()):
    """Parameters by what they are of, and the failure if there are none."""
    content = {"features": features, "variables": variables or {}, "method": {"summary": {"variables": list(features)}}}
    content["cohort"] = {"include": list(include)}
    result = run(Study.parse(content), tables, policy=policy, compare=False)["summary"].result
    if result.failure:
        return result.failure
    return {key: dict(found) for key, found in result.facts["features"]["fitted"].items()}


def split(table, places):
    edges = [0, *sorted(places), len(table)]
    return {f"s{i}": table[low:high] for i, (low, high) in enumerate(pairwise(edges)) if high > low}


EVERY = {
    "z": "standardise(log(crp))",
    "filled": "impute(ldl, median)",
    "mean": "impute(ldl, mean)",
    "inner": "standardise(filled * z)",
    "bent": "spline(crp, 5)",
    "groups": "quantiles(age, 4)",
    "bounded": "minmax(age)",
    "level": "category(stage)",
    "often": "impute(stage, mode)",
}


def test_what_is_found_is_what_the_pooled_rows_give():
    found = fitted(EVERY, split(POOLED, [40, 110]))
    filled = POOLED.ldl.fillna(POOLED.ldl.median())
    z = (np.log(POOLED.crp) - np.log(POOLED.crp).mean()) / np.log(POOLED.crp).std()
    assert found["z: standardise(log(crp))"] == pytest.approx({"mean": np.log(POOLED.crp).mean(), "sd": np.log(POOLED.crp).std()})
    assert found["filled: impute(ldl, median)"] == {"value": pytest.approx(POOLED.ldl.median(), abs=1e-8)}
    assert found["mean: impute(ldl, mean)"] == {"value": pytest.approx(POOLED.ldl.mean(), abs=1e-12)}
    inner = filled * z
    assert found["inner: standardise(filled * z)"] == pytest.approx({"mean": inner.mean(), "sd": inner.std()}, abs=1e-9)
    assert found["bent: spline(crp, 5)"]["knots"] == pytest.approx(np.quantile(POOLED.crp, [0.05, 0.275, 0.5, 0.725, 0.95]))
    assert found["groups: quantiles(age, 4)"]["cuts"] == pytest.approx(np.quantile(POOLED.age, [0.25, 0.5, 0.75]))
    assert found["bounded: minmax(age)"] == pytest.approx(dict(zip(("low", "high"), np.quantile(POOLED.age, [0.01, 0.99]))))
    assert found["level: category(stage)"] == {"levels": ["I", "II", "III"], "other": False}
    assert found["often: impute(category(stage), mode)"] == {"value": POOLED.stage.mode()[0]}


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, COUNT - 1), max_size=4, unique=True), st.randoms(use_true_random=False))
def test_however_the_rows_lie_the_features_are_the_same(places, random):
    order = list(range(COUNT))
    random.shuffle(order)
    sites = split(POOLED.iloc[order], places)
    assume(all(rows.notna().any().all() for rows in sites.values()))  # a site without any value of a variable takes no part
    whole, parts = fitted(EVERY, {"one": POOLED}), fitted(EVERY, sites)
    assert whole.keys() == parts.keys()
    for key, parameters in whole.items():
        for name, value in parameters.items():
            one = value if isinstance(value, list | str | bool) else [value]
            other = parts[key][name] if isinstance(value, list | str | bool) else [parts[key][name]]
            near = all(isinstance(each, float) for each in one) if isinstance(one, list) else False
            assert one == (pytest.approx(other, rel=1e-11, abs=1e-11) if near else other), key


def test_a_median_that_would_be_one_patient_s_own_is_the_middle_of_where_five_lie():
    values = np.sort(RNG.normal(0, 1, 101))
    (found,) = fitted({"f": "impute(x, median)"}, split(pd.DataFrame({"x": values}), [50]), policy=DisclosurePolicy()).values()
    assert values[44] < found["value"] < values[56]
    assert not np.isclose(values, found["value"], atol=1e-9).any()


def test_levels_that_few_patients_have_stand_together():
    stages = ["I"] * 40 + ["II"] * 9 + ["III"] * 2 + ["IV"] * 1
    table = pd.DataFrame({"stage": stages, "n": 1.0})
    found = fitted({"g": "category(stage)"}, split(table, [20]), policy=DisclosurePolicy())
    # Three are still too few to stand together, so the next rarest joins them.
    assert found == {"g: category(stage)": {"levels": ["I", "other"], "other": True}}
    assert fitted({"g": "category(stage)"}, split(table, [20]))["g: category(stage)"]["levels"] == ["I", "II", "III", "IV"]


def test_declared_levels_keep_their_order_and_a_declared_range_needs_no_rows():
    declared = {
        "stage": {"type": "category", "levels": ["III", "II", "I"]},
        "age": {"type": "number", "range": [18, 110]},
    }
    found = fitted({"g": "category(stage)", "a": "minmax(age)"}, split(POOLED, [100]), variables=declared)
    assert found["g: category(stage)"]["levels"] == ["III", "II", "I"]
    assert found["a: minmax(age)"] == {"low": 18.0, "high": 110.0}


def test_a_site_without_a_value_or_a_level_has_the_same_features_as_the_others():
    one = pd.DataFrame({"ldl": [np.nan] * 30 + [1.0], "stage": ["I"] * 31, "adult": [1.0] * 30 + [0.0]})
    other = pd.DataFrame({"ldl": np.arange(40.0), "stage": ["I", "II"] * 20, "adult": 1.0})
    wanted, sites = {"l": "impute(ldl, mean)", "g": "category(stage)"}, {"one": one, "other": other}
    found = fitted(wanted, sites, policy=DisclosurePolicy(), include=["adult == 1"])
    assert found["l: impute(ldl, mean)"] == {"value": 19.5}
    assert found["g: category(stage)"]["levels"] == ["I", "II"]


TIED = pd.DataFrame(
    {
        "same": [3.0] * 60,
        "none": ([np.nan] * 29 + [1.0]) * 2,
        "tied": [0.0] * 50 + [float(n) for n in range(10)],
        "few": [0.0] * 57 + [1.0] * 3,
        "one": ["a"] * 58 + ["b"] * 2,
        "each": [f"p{n}" for n in range(60)],
        "adult": ([1.0] * 29 + [0.0]) * 2,
    }
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("standardise(same)", "the same value in all rows"),
        ("spline(same, 3)", "the same value in all rows"),
        ("impute(none, median)", "fewer than 5 rows have a value"),
        ("standardise(log(none))", "fewer than 5 rows have a value"),
        ("quantiles(tied, 4)", "joint quantiles fall together"),
        ("spline(tied, 5)", "joint quantiles fall together"),
        ("standardise(few)", "all rows but fewer than 5 have the same value"),
        ("impute(few, mean)", "all rows but fewer than 5 have the same value"),
        ("category(one)", "fewer than two levels"),
        ("category(each)", "fewer than two levels"),
        ("impute(each, mode)", "fewer than two levels"),
    ],
)
def test_a_feature_that_the_rows_cannot_give_is_refused_in_plain_words(text, why):
    include = ["adult == 1"] if "none" in text else []
    found = fitted({"f": text}, split(TIED, [30]), policy=DisclosurePolicy(), include=include)
    assert isinstance(found, str)
    assert found.startswith("f: ")
    assert why in found


def test_features_are_fitted_on_the_rows_of_the_analysis_alone():
    table = POOLED.assign(y=np.where(np.arange(COUNT) % 3 == 0, np.nan, POOLED.age * 2 + RNG.normal(0, 1, COUNT)))
    study = Study.parse({"features": {"z": "standardise(age)"}, "method": {"glm": {"formula": "y ~ z", "family": "gaussian"}}})
    result = run(study, split(table, [100]), compare=False)["glm"].result
    kept = table.age[table.y.notna()]
    assert dict(result.facts["features"]["fitted"]["z: standardise(age)"]) == pytest.approx({"mean": kept.mean(), "sd": kept.std()})
    assert result.rows == len(kept)
