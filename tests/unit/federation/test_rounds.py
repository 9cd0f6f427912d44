"""Rules of rounds: sums commute, what does not fit is not added, and what is asked has one identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.errors import FederationError
from huizhen.federation.checkpoint import total_from, total_to
from huizhen.federation.rounds import Adding, QuestionIdentity
from huizhen.privacy.release import Answer, Part, Question

COUNTS = st.lists(st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3), min_size=1, max_size=6)
LABELS = st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50)), min_size=1, max_size=6)


def add_up(answers, roster):
    adding = Adding()
    for site in roster:
        adding.add(site, answers[site])
    return adding.total()


def answer(counts=(1, 2, 3), labels=None, rows=10) -> Answer:
    parts = {"n": Part(np.array(counts, np.int64), rows)}
    if labels is not None:
        keys = tuple(labels)
        parts["levels"] = Part(np.array([labels[key] for key in keys], np.int64), rows, keys=keys, cells=True)
    return Answer(parts, rows)


@given(COUNTS, st.randoms(use_true_random=False))
def test_the_order_of_sites_does_not_matter(counts, random):
    sites = [f"site-{place}" for place in range(len(counts))]
    answers = {site: answer(each) for site, each in zip(sites, counts)}
    shuffled = random.sample(sites, len(sites))
    assert (add_up(answers, tuple(sites)).sums["n"] == add_up(answers, tuple(shuffled)).sums["n"]).all()
    assert add_up(answers, tuple(sites)).sums["n"].tolist() == [sum(column) for column in zip(*counts)]


@given(LABELS)
def test_keyed_sums_run_over_the_union_of_labels(labels):
    answers = {f"site-{place}": answer(labels=each) for place, each in enumerate(labels)}
    total = add_up(answers, tuple(answers)).keyed["levels"]
    assert total == {key: sum(each.get(key, 0) for each in labels) for key in sorted({key for each in labels for key in each})}


@given(COUNTS, LABELS)
def test_a_total_is_its_checkpoint(counts, labels):
    sites = [f"site-{place}" for place in range(min(len(counts), len(labels)))]
    answers = {site: answer(each, label) for site, each, label in zip(sites, counts, labels)}
    total = add_up(answers, tuple(sites))
    back = total_from(canonical.decode(canonical.encode(total_to(total))))
    assert back.keyed == total.keyed
    assert back.roster == total.roster
    assert back.rows == total.rows
    assert (back.sums["n"] == total.sums["n"]).all()
    assert list(back.keyed["levels"]) == list(total.keyed["levels"])


def test_adding_up_does_not_edit_an_answer():
    first = answer((1, 1, 1))
    add_up({"a": first, "b": answer((5, 5, 5))}, ("a", "b"))
    assert first.parts["n"].values.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "odd",
    [
        answer((1, 2)),
        Answer({"n": Part(np.zeros(3), 10)}, 10),
        Answer({"m": Part(np.zeros(3, np.int64), 10)}, 10),
        Answer({"n": Part(np.zeros(3, np.int64), 10, kind="individual")}, 10),
        Answer({"n": Part(np.zeros(3, np.int64), 10, keys=("a", "b", "c"))}, 10),
        Answer({}, 10),
    ],
)
def test_answers_that_do_not_fit_are_not_added_and_the_site_is_named(odd):
    with pytest.raises(FederationError, match="site b"):
        add_up({"a": answer(), "b": odd}, ("a", "b"))


def test_individual_releases_are_kept_apart_by_site():
    each = {site: Answer({"x": Part(np.array([value]), 9, kind="individual")}, 9) for site, value in (("b", 2.0), ("a", 1.0))}
    total = add_up(each, ("b", "a"))
    assert list(total.individual["x"]) == ["b", "a"]
    assert not total.sums


def test_the_same_question_of_the_same_patients_has_the_same_key_whoever_is_asked():
    question = Question("glm", "newton", {"beta": np.zeros(3)}, ("age",), 3)
    same = Question("glm", "newton", {"beta": np.zeros(3)}, ("age",), 3)
    other = Question("glm", "newton", {"beta": np.array([0.0, 0.0, 1e-300])}, ("age",), 3)
    assert QuestionIdentity.of(question, "cohort") == QuestionIdentity.of(same, "cohort")
    assert QuestionIdentity.of(question, "cohort").key != QuestionIdentity.of(question, "another cohort").key
    assert QuestionIdentity.of(question, "cohort").digest != QuestionIdentity.of(other, "cohort").digest


def test_facts_that_only_tell_again_make_no_other_question():
    full = Question("boosting", "grow", {"mark": "m", "forest": np.zeros(9)}, ("age",), 3)
    short = Question("boosting", "grow", {"mark": "m", "forest": None}, ("age",), 3)
    other = Question("boosting", "grow", {"mark": "n", "forest": None}, ("age",), 3)
    in_full, in_short, another = (QuestionIdentity.of(each, "cohort", frozenset({"forest"})) for each in (full, short, other))
    assert in_full.key == in_short.key != another.key
    assert in_full.digest != in_short.digest
    assert QuestionIdentity.of(full, "cohort").key != QuestionIdentity.of(short, "cohort").key
