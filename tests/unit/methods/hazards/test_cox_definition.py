"""Cox regression against its definition, written out row by row; and the laws of sums."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import huizhen.methods.hazards.riskset as riskset
import huizhen.methods.hazards.risksums as risksums
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.cox import COX
from huizhen.privacy.release import Terms

TERMS = Terms(min_cell_count=1)


def rows_like_a_trial(seed, rows=90):
    rng = np.random.default_rng(seed)
    x1, x2 = rng.normal(50, 10, rows), rng.integers(0, 2, rows).astype(float)
    time = np.ceil(rng.exponential(12, rows) * np.exp(-0.03 * (x1 - 50) - 0.5 * x2))  # heavily tied
    weight = rng.integers(1, 4, rows) / 2
    arm = np.array(["left", "right"])[rng.integers(0, 2, rows)]
    site = np.array(["a", "b", "c"])[rng.integers(0, 3, rows)]
    return pd.DataFrame(
        {"time": time, "event": rng.integers(0, 3, rows) > 0, "x1": x1, "x2": x2, "w": weight, "arm": arm, "site": site}
    )


def examples_of(frame):
    columns = {name: Numbers(frame[name].to_numpy(np.float64)) for name in ("time", "event", "x1", "x2", "w")}
    for name in ("arm", "site"):
        codes, levels = pd.factorize(frame[name], sort=True)
        columns[name] = Categories(codes.astype(np.int32), tuple(levels))
    return Examples(columns, len(frame))


def by_site(frame):
    return {site: examples_of(rows) for site, rows in frame.groupby("site", sort=True)}


def steps(frame, strata, ties):
    """Every event step of the definition: rows at risk, rows of the events, their share of being gone, mean weight."""
    for _, stratum in frame.groupby(strata) if strata else [("", frame)]:
        for time in sorted(stratum.loc[stratum["event"], "time"].unique()):
            at_risk = stratum.index[stratum["time"] >= time]
            dying = stratum.index[(stratum["time"] == time) & stratum["event"]]
            for place in range(len(dying)):
                gone = place / len(dying) if ties == "efron" else 0.0
                yield time, at_risk, dying, gone, frame.loc[dying, "w"].mean()


def by_definition(frame, *, strata=(), ties="efron", ridge=0.0):
    """Coefficients, information, score residuals of the rows, and the parts of the test against time, by plain loops."""
    x = frame[["x1", "x2"]].to_numpy() - frame[["x1", "x2"]].to_numpy().mean(axis=0)
    w, event = frame["w"].to_numpy(), frame["event"].to_numpy()
    moments = list(steps(frame, list(strata), ties))

    def look(beta):
        theta = w * np.exp(x @ beta)
        loglik = np.sum(w[event] * (x[event] @ beta))
        score, residual = w[event] @ x[event], (w * event)[:, None] * x
        information = np.zeros((3, 2, 2))
        against = np.zeros(2)
        for time, at_risk, dying, gone, mean_weight in moments:
            own = pd.Series(1.0, at_risk)
            own[dying] -= gone
            share = theta[at_risk] * own.to_numpy()
            total = share.sum()
            mean = share @ x[at_risk] / total
            loglik -= mean_weight * np.log(total)
            score = score - mean_weight * mean
            spread = mean_weight * ((x[at_risk].T * share) @ x[at_risk] / total - np.outer(mean, mean))
            information += np.array([1, time, time**2])[:, None, None] * spread
            against += time * ((w[dying, None] * x[dying]).sum(axis=0) / len(dying) - mean_weight * mean)
            residual[at_risk] -= (share * mean_weight / total)[:, None] * (x[at_risk] - mean)
            residual[dying] -= (w[dying] / len(dying))[:, None] * mean
        return loglik, score - ridge * beta, information, residual, against

    beta = np.zeros(2)
    for _ in range(12):
        _, score, information, _, _ = look(beta)
        beta = beta + np.linalg.solve(information[0] + ridge * np.eye(2), score)
    return beta, *look(beta)


CASES = [
    (strata, ties, ridge)
    for strata in ((), ("site",), ("arm",), ("site", "arm"))
    for ties in ("efron", "breslow")
    for ridge in (0.0, 3.0)
]


@pytest.mark.parametrize(("strata", "ties", "ridge"), CASES)
def test_every_option_is_as_defined(federate, strata, ties, ridge):
    frame = rows_like_a_trial(1)
    # every row's steps are the definition's, except that Breslow's steps of one moment are all alike
    beta, loglik, _, information, residual, _ = by_definition(frame, strata=strata, ties=ties, ridge=ridge)
    said = {"time": "time", "event": "event", "covariates": ["x1", "x2"], "weights": "w"}
    said |= {"strata": list(strata), "ties": ties, "ridge": ridge, "standard_errors": "robust"}
    result = federate(COX, COX.spec(**said), TERMS, by_site(frame))
    table = result.tables["coefficients"].columns
    np.testing.assert_allclose(table["coefficient"], beta, rtol=1e-10)
    assert result.facts["loglik"] == pytest.approx(loglik, rel=1e-12)
    bread = np.linalg.inv(information[0] + ridge * np.eye(2))
    np.testing.assert_allclose(table["model_standard_error"], np.sqrt(np.diag(bread)), rtol=1e-10)
    meat = residual.T @ residual
    np.testing.assert_allclose(result.arrays["covariance"], bread @ meat @ bread, rtol=1e-9)


@pytest.mark.parametrize("strata", [(), ("site",), ("arm",)])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_test_against_time_is_as_defined(federate, strata, ties):
    frame = rows_like_a_trial(2)
    _, _, _, information, _, against = by_definition(frame, strata=strata, ties=ties)
    said = {"time": "time", "event": "event", "covariates": ["x1", "x2"], "weights": "w", "strata": list(strata), "ties": ties}
    result = federate(COX, COX.spec(**said, proportional_hazards="identity"), TERMS, by_site(frame))
    v, vg, vgg = information
    whole = np.block([[v, vg], [vg.T, vgg]])
    u = np.concatenate(([0.0, 0.0], against))
    expected = [u[[0, 1, k]] @ np.linalg.solve(whole[np.ix_([0, 1, k], [0, 1, k])], u[[0, 1, k]]) for k in (2, 3)]
    expected.append(u @ np.linalg.solve(whole, u))
    np.testing.assert_allclose(result.tables["proportional_hazards"].columns["chi2"], expected, rtol=1e-8)


SPLITS = st.lists(st.sampled_from("abcd"), min_size=90, max_size=90)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SPLITS, st.sampled_from(["model", "robust"]), st.sampled_from([(), ("arm",)]), st.integers(1, 5))
def test_how_rows_are_split_over_sites_does_not_matter(federate, places, errors, strata, least):
    frame = rows_like_a_trial(3)
    said = {"time": "time", "event": "event", "formula": "~ x1*x2", "strata": list(strata), "standard_errors": errors}
    spec = COX.spec(**said, proportional_hazards="km")
    terms = Terms(min_cell_count=least)
    split = federate(COX, spec, terms, by_site(frame.assign(site=places)))
    whole = federate(COX, spec, terms, by_site(frame.assign(site="all")))
    same(split, whole)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(90)), st.sampled_from(["robust", "robust by site"]))
def test_a_study_stratified_by_site_equals_one_participant_that_holds_all_sites(federate, order, errors):
    frame = rows_like_a_trial(4)
    said = {"time": "time", "event": "event", "formula": "~ x1 + x2", "strata": ["site", "arm"], "standard_errors": errors}
    spec = COX.spec(**said, weights="w", proportional_hazards=["log", "rank"])
    split = federate(COX, spec, TERMS, by_site(frame))
    whole = federate(COX, spec, TERMS, {"pooled": examples_of(frame.iloc[list(order)].reset_index(drop=True))})
    same(split, whole)


@pytest.mark.parametrize("strata", [(), ("site",), ("site", "arm")])
def test_how_rows_are_cut_into_chunks_does_not_matter(federate, monkeypatch, strata):
    frame = rows_like_a_trial(5)
    said = {"time": "time", "event": "event", "formula": "~ x1 + x2", "strata": list(strata), "standard_errors": "robust"}
    spec = COX.spec(**said, proportional_hazards="identity")
    whole = federate(COX, spec, TERMS, by_site(frame))
    for module in (riskset, risksums):
        monkeypatch.setattr(module, "CHUNK", 7)
    monkeypatch.setattr(risksums, "chunks", lambda rows: small_chunks(rows, 7))
    same(federate(COX, spec, TERMS, by_site(frame)), whole)


def small_chunks(rows, size):
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def same(one, other):
    assert one.failure == other.failure == ""
    for name in one.tables:
        for column, values in one.tables[name].columns.items():
            if isinstance(values[0], str):
                assert values == other.tables[name].columns[column]
            else:
                np.testing.assert_allclose(
                    values, other.tables[name].columns[column], rtol=1e-8, atol=1e-12, err_msg=f"{name} {column}"
                )
    for name in ("loglik", "concordance", "wald_chi2", "aic"):
        assert one.facts[name] == pytest.approx(other.facts[name], rel=1e-9)
