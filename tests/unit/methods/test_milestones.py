"""A long program may be begun again at its last milestone, and forgets the totals before it."""

import numpy as np
import pytest

from huizhen.methods.method import Finished, History, Milestone, ScriptedMethod, Spec
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result


class WalkSpec(Spec):
    steps: int = 6


def _from(spec, place, found):
    while place < spec.steps:
        for half in ("first", "second"):
            total = yield Question("walk", half, {"place": place, "found": found})
            found = found * 3 + int(total.sums["x"][0])
        place += 1
        yield Milestone({"place": place, "found": found})
    return Result("walk", facts={"found": found})


WALK = ScriptedMethod(
    "walk",
    WalkSpec,
    lambda spec, terms: _from(spec, 0, 0),
    {},
    lambda spec: [],
    resume=lambda spec, terms, value: _from(spec, value["place"], value["found"]),
)


def total(question):
    x = question.facts["place"] + 10 * question.facts["found"] % 7 + len(question.step)
    return Total({"x": np.array([x])}, {}, {}, 1, ("a",))


def walk(state):
    """Every state on the way, and the result."""
    states = [state]
    while not isinstance(asked := WALK.ask(states[-1]), Finished):
        states.append(WALK.fold(states[-1], total(asked)))
    return states, asked.result


def test_a_state_keeps_only_the_totals_since_its_last_milestone():
    states, _ = walk(WALK.begin(WalkSpec(), Terms()))
    assert [len(state.totals) for state in states] == [0, 1] * 6 + [0]
    assert WALK.milestone(states[0]) is None
    assert WALK.milestone(states[4]).value["place"] == 2
    assert WALK.milestone(states[5]) is WALK.milestone(states[4])


@pytest.mark.parametrize("place", range(13))
def test_a_program_begun_again_from_any_state_finds_the_same(place):
    states, result = walk(WALK.begin(WalkSpec(), Terms()))
    kept = states[place]
    again = WALK.begin(WalkSpec(), Terms(), kept.milestone)
    for one in kept.totals:
        again = WALK.fold(again, one)
    assert walk(again)[1].facts == result.facts
    assert walk(History(kept.spec, kept.terms, kept.totals, kept.milestone))[1].facts == result.facts
