"""Joint quantiles are the pooled order statistics; no patient's own value comes out."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huizhen.methods import quantile as quantile_module
from huizhen.methods.alone import total_of_one
from huizhen.methods.quantile import QUANTILE, QuantileSpec
from huizhen.privacy.release import Terms, Variable
from tables import hospital, shares

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/heart_disease"
NINE = [0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0]


def terms(at_least, *names):
    return Terms(min_cell_count=at_least, variables={name: Variable("number") for name in names})


def values(result):
    return np.array(result.tables["quantiles"].columns["value"], float)


@pytest.mark.parametrize("spread", [1e-8, 1.0, 1e8])
def test_without_a_minimum_count_quantiles_equal_numpy_to_the_tolerance(federate, spread):
    x = np.random.default_rng(1).normal(3 * spread, spread, 501)
    spec = QuantileSpec(variables=["x"], probabilities=NINE)
    result = federate(QUANTILE, spec, terms(1, "x"), shares(pd.DataFrame({"x": x}), np.arange(501) % 3))
    np.testing.assert_allclose(values(result), np.quantile(x, NINE), rtol=0, atol=1.1e-9 * x.std(ddof=1))


def test_a_tolerance_of_zero_gives_the_last_bit(federate):
    x = np.random.default_rng(1).normal(size=301)
    spec = QuantileSpec(variables=["x"], probabilities=[0.0, 0.25, 0.5, 1.0], tolerance=0.0)
    result = federate(QUANTILE, spec, terms(1, "x"), shares(pd.DataFrame({"x": x}), np.arange(301) % 3))
    assert values(result).tolist() == np.quantile(x, [0.0, 0.25, 0.5, 1.0]).tolist()


def test_written_decimals_come_out_exactly(federate):
    x = np.round(np.random.default_rng(5).gamma(2, 10, 400), 1)
    result = federate(
        QUANTILE,
        QuantileSpec(variables=["x"], probabilities=NINE),
        terms(1, "x"),
        shares(pd.DataFrame({"x": x}), np.arange(400) % 3),
    )
    np.testing.assert_allclose(values(result), np.quantile(x, NINE), rtol=1e-15)


def test_ages_in_years_are_given_where_enough_patients_share_them(federate):
    ages = np.repeat(np.arange(30.0, 90.0), 20)
    result = federate(
        QUANTILE,
        QuantileSpec(variables=["age"], probabilities=NINE),
        terms(5, "age"),
        shares(pd.DataFrame({"age": ages}), np.arange(1200) % 3),
    )
    assert values(result).tolist() == np.quantile(ages, NINE).tolist()


@pytest.mark.parametrize("at_least", [2, 5, 11])
def test_a_quantile_that_is_one_patients_own_is_an_interval_that_holds_enough_patients(federate, at_least):
    x = np.random.default_rng(7).lognormal(2, 1, 700)
    spec = QuantileSpec(variables=["x"], probabilities=NINE)
    result = federate(QUANTILE, spec, terms(at_least, "x"), shares(pd.DataFrame({"x": x}), np.arange(700) % 3))
    columns = result.tables["quantiles"].columns
    assert columns["value"] == (None,) * 9
    for p, low, high, support in zip(NINE, columns["low"], columns["high"], columns["support"]):
        assert low <= np.quantile(x, p) <= high
        assert support >= at_least
        assert ((x > low) & (x <= high)).sum() >= at_least
        assert not np.isin([low, high], x).any()
    assert any("single patient" in note for note in result.notes)


def test_an_interval_is_as_narrow_as_a_64th_of_a_bracket_allows(federate):
    x = np.random.default_rng(7).normal(size=5000)
    result = federate(
        QUANTILE,
        QuantileSpec(variables=["x"], probabilities=[0.5]),
        terms(5, "x"),
        shares(pd.DataFrame({"x": x}), np.arange(5000) % 2),
    )
    columns = result.tables["quantiles"].columns
    assert 0 < columns["high"][0] - columns["low"][0] < 0.06


@pytest.mark.parametrize("at_least", [2, 5])
@pytest.mark.parametrize("shape", ["smooth", "tied", "outlier"])
def test_no_two_intervals_differ_by_fewer_patients_than_the_minimum(federate, at_least, shape):
    rng = np.random.default_rng(11)
    x = {"smooth": rng.normal(size=97), "tied": rng.integers(0, 12, 97) + 0.0, "outlier": np.append(rng.gamma(1, 9, 96), 4e3)}[
        shape
    ]
    spec = QuantileSpec(variables=["x"], probabilities=[i / 96 for i in range(97)])  # every order statistic
    result = federate(QUANTILE, spec, terms(at_least, "x"), shares(pd.DataFrame({"x": x}), np.arange(97) % 3))
    columns = result.tables["quantiles"].columns
    pieces = sorted(set(zip(columns["low"], columns["high"])))
    assert len(pieces) > 3
    assert all(below[1] <= above[0] for below, above in pairwise(pieces)), "intervals overlap"
    assert all(((x > low) & (x <= high)).sum() >= at_least for low, high in pieces)


def test_a_group_with_too_few_patients_has_no_quantile(federate):
    frame = pd.DataFrame({"x": np.repeat([1.0, 2.0], 50), "g": ["a"] * 97 + ["b"] * 3})
    result = federate(QUANTILE, QuantileSpec(variables=["x"], by="g"), terms(5, "x"), shares(frame, np.arange(100) % 2))
    columns = result.tables["quantiles"].columns
    assert columns["value"] == (1.0, 1.0, 2.0, None, None, None)
    assert columns["low"][3:] == (None,) * 3
    assert columns["support"][3:] == (3,) * 3


def test_the_first_cuts_depend_on_the_moments_alone():
    spec = QuantileSpec(variables=["x"], probabilities=[0.5])
    asked = []
    for pair in ([-5.0, -5.0, 5.0, 5.0], [-7.0, -1.0, 1.0, 7.0]):  # mean 0, mean square 25
        rows = hospital(pd.DataFrame({"x": pair * 20}))
        state = QUANTILE.begin(spec, terms(5, "x"))
        while (question := QUANTILE.ask(state)).step != "between":
            answer, _ = QUANTILE.answer(question, rows, None, rng=None)
            state = QUANTILE.fold(state, total_of_one(answer, "a"))
        asked.append(question.facts["cuts"])
    np.testing.assert_array_equal(*asked)


def test_equal_values_and_a_single_row_are_their_own_quantiles(federate):
    for x in ([0.0] * 9, [0.1] * 9, [-4e7] * 9):
        result = federate(QUANTILE, QuantileSpec(variables=["x"]), terms(5, "x"), shares(pd.DataFrame({"x": x}), np.arange(9) % 2))
        assert values(result).tolist() == x[:3]
    result = federate(QUANTILE, QuantileSpec(variables=["x"]), terms(1, "x"), shares(pd.DataFrame({"x": [2.5]}), np.zeros(1, int)))
    assert values(result).tolist() == [2.5] * 3


def test_no_rows_no_quantile(federate):
    result = federate(
        QUANTILE, QuantileSpec(variables=["x"]), terms(5, "x"), shares(pd.DataFrame({"x": [np.nan] * 6}), np.zeros(6, int))
    )
    assert result.tables["quantiles"].columns["value"] == (None,) * 3


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20), sites=st.integers(2, 5))
def test_intervals_are_the_same_however_rows_are_split(federate, seed, sites):
    x = np.random.default_rng(seed).integers(0, 40, 120) * 1.0  # round means, values at cuts
    spec = QuantileSpec(variables=["x"], probabilities=NINE)
    apart = federate(QUANTILE, spec, terms(5, "x"), shares(pd.DataFrame({"x": x}), np.arange(120) % sites))
    whole = federate(QUANTILE, spec, terms(5, "x"), shares(pd.DataFrame({"x": x}), np.zeros(120, int)))
    assert apart.tables == whole.tables


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    x=st.lists(st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=40),
    sites=st.integers(1, 4),
    seed=st.integers(0, 99),
    p=st.floats(0, 1),
)
def test_any_rows_split_in_any_way_give_numpys_quantile(federate, x, sites, seed, p):
    parts = np.random.default_rng(seed).integers(0, sites, len(x))
    spec = QuantileSpec(variables=["x"], probabilities=[p, 0.5])
    result = federate(QUANTILE, spec, terms(1, "x"), shares(pd.DataFrame({"x": x}), parts))
    expected = np.quantile(x, list(dict.fromkeys([p, 0.5])))
    np.testing.assert_allclose(
        values(result), expected, rtol=1e-9, atol=max(2e-9 * np.std(x), 1e-9 * np.max(np.abs(x)), 1e-300) + 1e-12
    )


def test_chunks_do_not_matter(federate, monkeypatch):
    frame = pd.DataFrame({"x": np.random.default_rng(1).normal(size=99)})
    spec = QuantileSpec(variables=["x"])
    whole = federate(QUANTILE, spec, terms(1, "x"), shares(frame, np.arange(99) % 2))
    original = quantile_module.chunks
    monkeypatch.setattr(quantile_module, "chunks", lambda rows: original(rows, 7))
    assert federate(QUANTILE, spec, terms(1, "x"), shares(frame, np.arange(99) % 2)).tables == whole.tables


@pytest.mark.shared_data
def test_four_hospitals_agree_with_the_published_quantiles(federate):
    if not SHARED.exists():
        pytest.skip("the heart disease data of four hospitals are not beside this repository")
    reference = json.loads((SHARED / "reference_values.json").read_text())["describe_pooled_all"]
    frame = pd.read_csv(SHARED / "flamby_prepared.csv")
    spec = QuantileSpec(variables=list(reference), probabilities=[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    for at_least in (1, 5):
        result = federate(QUANTILE, spec, terms(at_least, *reference), shares(frame[list(reference)], frame["centre"]))
        columns = result.tables["quantiles"].columns
        for name, p, value, low, high in zip(*(columns[c] for c in ("variable", "probability", "value", "low", "high"))):
            expected = reference[name]["quantiles_type7"][str(p)]
            assert low - 1e-9 <= expected <= high + 1e-9
            if value is not None or at_least == 1:
                assert value == pytest.approx(expected, rel=1e-13, abs=1e-13), (name, p)
