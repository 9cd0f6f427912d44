"""Questions, answers and rosters that many tests of the policy need."""

import numpy as np
import pytest

from huizhen.policy.decision import Context
from huizhen.privacy.release import Answer, Part, Question

ROSTER = ("west", "east", "north", "south")


@pytest.fixture
def roster():
    return ROSTER


@pytest.fixture
def question():
    return Question("glm", "newton", {"beta": np.zeros(3)}, ("age", "sex", "death"), degrees=3)


@pytest.fixture
def answer():
    """A round of a logistic regression on 100 rows."""

    def make(rows=100, **parts):
        usual = {
            "gradient": Part(np.array([1.5, -2.0, 0.25]), rows),
            "hessian": Part(np.eye(3), rows),
            "classes": Part(np.array([rows - 30, 30]), rows, cells=True),
        }
        return Answer({**usual, **parts}, rows)

    return make


@pytest.fixture
def context():
    def make(lane="embedded", roster=ROSTER, earlier=(), site="west"):
        return Context(site, lane, tuple(roster), "key of the question", tuple(frozenset(one) for one in earlier))

    return make
