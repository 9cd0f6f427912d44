"""Studies under masked sums: the same answers, and a hub that sees nobody's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from huizhen import DisclosurePolicy, Study, run
from huizhen.embedded.story import story
from huizhen.errors import FederationError
from huizhen.report import page

EXACT = {
    "variables": {"sex": {"type": "category", "levels": ["f", "m"]}},
    "method": {
        "summary": {"variables": ["age", "lab"]},
        "tabulate": {"rows": "sex"},
        "quantile": {"variables": ["age"]},
        "glm": {"formula": "high ~ age + sex + lab", "family": "binomial"},
        "cox": {"time": "time", "event": "dead == 1", "covariates": ["age", "sex", "lab"]},
        "kaplan_meier": {"time": "time", "event": "dead == 1"},
    },
}


def table(seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(60, 9, count), rng.choice(["f", "m"], count)
    lab = rng.lognormal(8, 1, count)  # some thousands beside a 0 and a 1: unscaled columns
    risk = (age - 60) / 9 + 0.5 * (sex == "m")
    high = (rng.random(count) < 1 / (1 + np.exp(-risk))).astype(int)
    return {
        "age": age,
        "sex": sex,
        "lab": lab,
        "high": high,
        "time": rng.exponential(300, count),
        "dead": rng.integers(0, 2, count),
    }


SITES = {f"site-{place}": table(place, 60 + 20 * place) for place in range(5)}


AGE = {"method": {"summary": {"variables": ["age"]}}}


def asked(sum_: str, content=EXACT):
    return Study.parse({**content, "protection": {"sum": sum_}})


@pytest.fixture(scope="module")
def both():
    return {sum_: run(asked(sum_), SITES, compare=False) for sum_ in ("plain", "masked")}


def numbers(finding) -> dict[str, np.ndarray]:
    """Every number of a result, by where it stands."""
    result = finding.result
    found = {f"fact {name}": np.array([value]) for name, value in result.facts.items() if isinstance(value, int | float)}
    found |= {f"array {name}": values for name, values in result.arrays.items()}
    found |= {f"cells {name}": cells.counts for name, cells in result.cells.items()}
    for name, each in result.tables.items():
        for column, values in each.columns.items():
            if all(value is None or isinstance(value, int | float) for value in values):
                found[f"{name}/{column}"] = np.array([np.nan if value is None else value for value in values], float)
    return found


@pytest.mark.parametrize("label", EXACT["method"])
def test_an_exact_method_gives_the_same_answer_under_masks(both, label):
    plain, masked = (numbers(both[sum_][label]) for sum_ in ("plain", "masked"))
    assert plain
    assert set(plain) == set(masked)
    for name, values in plain.items():
        assert masked[name] == pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True), name


def test_everything_but_the_count_of_rows_leaves_masked(both, tmp_path):
    left = [one for one in both["masked"].left if one.kind != "masked"]
    assert {one.what.rpartition("/")[2] for one in left} == {"rows"}
    assert all(one.numbers <= 6 for one in left)
    written = page.write(story(both["masked"]), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "masked: the hub sees totals only" in written
    assert "the sums were masked as between machines" in written


def test_each_opened_sum_stands_in_every_sites_ledger_with_its_roster(tmp_path):
    from huizhen.ledger.keys import open_key
    from huizhen.ledger.store import SqliteLedger

    run(asked("masked", AGE), SITES, out=tmp_path, compare=False)
    with SqliteLedger(tmp_path / "ledger" / "site-2.sqlite", open_key(tmp_path / "keys" / "site-2.pem")) as ledger:
        entries = list(ledger.entries())
    revealed = [entry for entry in entries if entry.kind == "revealed"]
    released = [entry for entry in entries if entry.kind == "released" and entry.payload["step"] != "muster"]
    assert len(revealed) == len(released) > 0
    assert all(entry.payload["roster"] == list(SITES) for entry in revealed)


def test_a_study_with_one_site_less_is_refused_by_the_sites_that_remember(tmp_path):
    """The same question, asked of all five and then of four, would tell the fifth's numbers by subtraction."""
    study = asked("masked", AGE)
    assert not run(study, SITES, out=tmp_path, compare=False).failures
    four = {site: table for site, table in SITES.items() if site != "site-3"}
    again = run(study, four, out=tmp_path, compare=False)
    assert "roster" in again.failures["summary"]


def test_two_sites_make_no_masked_sum():
    with pytest.raises(FederationError, match="of a sum of two each site knows the other's answer"):
        run(asked("masked"), dict(list(SITES.items())[:2]))


def test_a_policy_that_wants_masks_takes_part_in_no_other_sum():
    policy = DisclosurePolicy(lanes=("masked",))
    assert not run(asked("masked", AGE), SITES, policy=policy, compare=False).failures
    assert "lanes: found 'embedded'" in run(asked("plain", AGE), SITES, policy=policy, compare=False).failures["summary"]


def test_undeclared_levels_are_asked_for_once_for_all_sites():
    study = asked("masked", {"method": EXACT["method"]})
    failure = run(study, SITES, compare=False).failures["glm"]
    assert failure.count("Declare the levels") == 1
    assert "site-0, site-1, site-2, site-3, site-4" in failure


def test_forests_are_the_same_to_the_last_bit_and_networks_nearly():
    pytest.importorskip("torch")
    pytest.importorskip("numba")
    study = {
        "variables": {"sex": {"type": "category", "levels": ["f", "m"]}, "high": {"type": "category", "levels": [0, 1]}},
        "method": {
            "boosting": {"task": "classification", "outcome": "high", "covariates": ["age", "sex", "lab"], "trees": 6, "test": 0.3},
            "averaging": {"network": "mlp", "outcome": "high", "covariates": ["age", "sex", "lab"], "rounds": 8, "test": 0.3},
        },
    }
    found = {sum_: run(asked(sum_, study), SITES, compare=False) for sum_ in ("plain", "masked")}
    assert not found["masked"].failures
    plain, masked = (found[sum_]["boosting"].result for sum_ in ("plain", "masked"))
    assert plain.facts == masked.facts
    plain, masked = (found[sum_]["averaging"].result for sum_ in ("plain", "masked"))
    weights = [np.asarray(result.model["weights"]) for result in (plain, masked)]
    assert np.abs(weights[0] - weights[1]).max() < 0.01 * np.abs(weights[0]).max()
    assert not np.array_equal(*weights), "16 bits are not 32"
