"""k-anonymity and l-diversity: measured as by hand, reached with the least loss."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.data.deidentify.anonymity import coded, measured
from huizhen.data.deidentify.hierarchy import goal_of
from huizhen.data.deidentify.lattice import _Work, reach
from huizhen.errors import SiteError


def table(rows=300, seed=1):
    drawn = random.Random(seed)
    return {
        "age": [str(drawn.randint(20, 90)) for _ in range(rows)],
        "postcode": [f"65{drawn.randint(0, 3)}{drawn.randint(0, 9)}" for _ in range(rows)],
        "sex": [drawn.choice("FM") for _ in range(rows)],
        "diagnosis": [drawn.choice(["C34", "I21", "J45"]) for _ in range(rows)],
    }


def goal(**changes):
    columns = {"age": {"bands": [5, 10, 20, 40]}, "postcode": {"prefix": [3, 2]}, "sex": {}}
    return goal_of({"anonymity": {"k": 5, "column": columns, **changes}})


def test_k_and_l_are_those_of_the_smallest_and_the_poorest_class():
    age, _ = coded(["30", "30", "30", "40", "40"])
    diagnosis, _ = coded(["a", "a", "b", "c", "c"])
    found = measured([age], diagnosis)
    assert (found.k, found.classes, found.unique, found.distinct, found.entropy) == (2, 2, 0, 1, 1.0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_measured_agrees_with_counting_by_hand(rows):
    classes = {}
    for *identity, sensitive in rows:
        classes.setdefault(tuple(identity), []).append(sensitive)
    columns = [np.array(column, np.int64) for column in zip(*rows)]
    found = measured(columns[:2], columns[2])
    assert found.k == min(map(len, classes.values()))
    assert found.distinct == min(len(set(values)) for values in classes.values())
    assert 1 <= found.entropy <= found.distinct + 1e-9


@pytest.mark.parametrize("changes", [{}, {"suppress": 0.05}, {"sensitive": "diagnosis", "l": 3}, {"k": 40, "suppress": 0.1}])
@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_the_least_loss_of_all_combinations(changes, seed):
    rows, wanted = table(seed=seed), goal(**changes)
    work = _Work(rows, wanted)
    heights = [len(wanted.hierarchies[name].steps) for name in wanted.hierarchies]
    fitting = [node for node in itertools.product(*map(range, heights)) if work._fits(np.array(node))]
    least = min(work._loss(np.array(node)) for node in fitting)
    found = reach(rows, wanted)
    assert work._loss(np.array(tuple(found.steps.values()))) == pytest.approx(least)
    assert found.after.k >= wanted.k
    assert found.kept.mean() >= 1 - wanted.suppress
    assert found.tried < len(list(itertools.product(*map(range, heights))))


@pytest.mark.parametrize("suppress", [0.0, 0.1])
def test_entropy_diversity_is_reached(suppress):
    found = reach(table(), goal(sensitive="diagnosis", l=2.5, diversity="entropy", suppress=suppress))
    assert found.after.entropy >= 2.5 - 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_the_table_that_comes_out_is_as_anonymous_as_it_says(seed, k):
    rows = table(120, seed)
    found = reach(rows, goal(k=k, suppress=0.02))
    classes = {}
    for identity in zip(*found.columns.values()):
        classes[identity] = classes.get(identity, 0) + 1
    assert min(classes.values()) >= k
    assert sum(classes.values()) == int(found.kept.sum())


def test_what_cannot_be_reached_is_said():
    with pytest.raises(SiteError, match="cannot be made anonymous"):
        reach(table(10), goal(k=11))


def test_groups_and_dates_are_steps_too():
    columns = {"ward": {"groups": [{"surgical": ["eye", "heart"]}]}, "day": {"dates": ["month", "year"]}}
    wanted = goal_of({"anonymity": {"k": 2, "column": columns}})
    found = reach({"ward": ["eye", "heart", "x", "x"], "day": ["2024-01-01", "2024-01-30", "2023-05-05", "2023-05-06"]}, wanted)
    assert found.columns == {"ward": ["surgical", "surgical", "*", "*"], "day": ["2024-01", "2024-01", "2023-05", "2023-05"]}


def test_a_goal_is_checked_whole():
    with pytest.raises(SiteError) as error:
        goal_of(
            {
                "anonymity": {
                    "k": 0,
                    "l": 2,
                    "suppress": 2,
                    "diversity": "much",
                    "column": {"a": {"bands": []}, "b": {"odd": [1]}},
                    "kk": 1,
                }
            }
        )
    found = {problem.where for problem in error.value.problems}
    of_columns = {"anonymity.column.a.bands", "anonymity.column.b"}
    assert found == {"anonymity.kk", "anonymity.k", "anonymity.suppress", "anonymity.diversity", "anonymity.sensitive"} | of_columns
