"""Patients for boosting: numbers with holes, a category, outcomes of every kind; and a forest grown over some sites."""

import numpy as np
import pytest

from huizhen import canonical
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.methods.boosting import BOOSTING, BoostingSpec
from huizhen.privacy.release import Terms, Variable

ROWS = 900
COVARIATES = ("age", "bmi", "grade", "stage")


def whole_table(rows=ROWS, seed=5):
    rng = np.random.default_rng(seed)
    age, bmi = rng.integers(30, 90, rows).astype(float), rng.normal(26, 4, rows)
    grade, stage = rng.integers(0, 6, rows).astype(float), rng.integers(0, 5, rows).astype(np.int32)
    eta = 0.06 * (age - 60) + 0.8 * np.isin(stage, (1, 3)) - 0.1 * (bmi - 26) * (grade > 2)
    died = (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(float)
    kind = np.clip(np.rint(eta + rng.normal(0, 1, rows)), -1, 1).astype(np.int32) + 1
    days = np.ceil(200 * rng.exponential(np.exp(-eta)))
    bmi[rng.random(rows) < 0.1], stage[rng.random(rows) < 0.05] = np.nan, -1
    columns = {
        "age": Numbers(age), "bmi": Numbers(bmi), "grade": Numbers(grade),
        "stage": Categories(stage, ("I", "II", "III", "IV", "V")),
        "died": Numbers(died), "kind": Categories(kind, ("mild", "plain", "severe")), "pressure": Numbers(120 + 8 * eta),
        "days": Numbers(days), "weight": Numbers(rng.integers(1, 4, rows).astype(float)),
    }  # fmt: skip
    return Examples(columns, rows)


def parted(table, parts):
    """One table for each site; every row knows its site."""
    found = {}
    for part in sorted(set(parts.tolist())):
        rows = table.where(parts == part)
        column = Categories(np.zeros(rows.rows, np.int32), (f"s{part}",))
        found[f"s{part}"] = Examples({**rows.columns, "site": column}, rows.rows)
    return found


@pytest.fixture(scope="session")
def table():
    return whole_table()


@pytest.fixture(scope="session")
def make_table():
    return whole_table


@pytest.fixture(scope="session")
def split():
    return parted


@pytest.fixture(scope="session")
def terms():
    def make(least=5, **declared):
        kinds = dict.fromkeys(("age", "bmi", "grade", "died", "pressure", "days", "weight"), Variable("number"))
        kinds |= dict.fromkeys(("stage", "kind"), Variable("category"))
        return Terms(min_cell_count=least, variables={**kinds, **declared})

    return make


@pytest.fixture
def boost(federate, terms):
    """The result of boosting over sites, with a few shallow trees unless told otherwise."""

    def run(sites, least=5, **settings):
        kept = {"task": "classification", "outcome": "died", "covariates": COVARIATES, "trees": 5, "depth": 3}
        if settings.get("task") == "cox":
            kept |= {"outcome": "", "time": "days", "event": "died"}
        spec = BoostingSpec(**{**kept, **settings})
        return federate(BOOSTING, spec, terms(least), sites)

    return run


@pytest.fixture(scope="session")
def bytes_of():
    """A forest as bytes: two forests are the same when these are."""
    return lambda result: canonical.encode(result.model)
