"""Asks and replies cross as they are; what does not fit is refused by the name of its field."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.federation.rounds import Answered, Ask, Box, Failed, Refused, Silent
from huizhen.federation.wire.carried import ask_from, ask_to, reply_from, reply_to
from huizhen.federation.wire.message import pack, unpack
from huizhen.privacy.release import Answer, Part, Question

ASK = Ask(
    "digest",
    "run-1",
    "cox",
    3,
    "answer",
    Question("cox", "newton", {"beta": np.arange(3.0), "names": ["age"], "deep": {"x": None}}, ("age",), 2),
    ("a", "b"),
    "masked",
    "scope",
    (Box("b", "a", b"sealed"),),
    {"epoch": b"12"},
    "course-1",
    7,
)
REPLIES = [
    Answered(Answer({"sum": Part(np.arange(3.0), 12), "n": Part(np.array([5]), 5, cells=True)}, 12), seconds=0.5),
    Answered(Answer({"levels": Part(np.array([1, 2]), 3, keys=("x", "y"))}, 3)),
    Answered(Answer({"one": Part(np.zeros((2, 2)), 3, "individual")}, 3)),
    Answered(None, (Box("a", "b", b"s"),), {"words": {"real": np.arange(9, dtype=np.uint64)}}),
    Refused(("too few rows",), ("min_rows",)),
    Failed("its disk is full"),
    Silent(),
]


def crossed(value):
    return unpack(pack(value).whole())


def test_an_ask_crosses_as_it_is():
    there = ask_from(crossed(ask_to(ASK)))
    assert crossed(ask_to(there)).keys() == crossed(ask_to(ASK)).keys()
    assert there.question.facts["beta"].tolist() == [0, 1, 2]
    assert (there.roster, there.boxes, there.notice, there.lane) == (ASK.roster, ASK.boxes, ASK.notice, ASK.lane)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
def test_a_reply_crosses_as_it_is(reply):
    there = reply_from(crossed(reply_to(reply)))
    assert type(there) is type(reply)
    assert pack(reply_to(there)).whole() == pack(reply_to(reply)).whole()


def what_is_said(read, told) -> str:
    try:
        read(told)
    except FederationError as error:
        return error.problems[0].where
    return ""


JUNK = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(), st.none())


@given(st.data())
def test_a_field_that_does_not_fit_is_named_and_nothing_else_happens(data):
    for told, read in ((ask_to(ASK), ask_from), (reply_to(data.draw(st.sampled_from(REPLIES))), reply_from)):
        name = data.draw(st.sampled_from(sorted(told)))
        changed = {**told, name: data.draw(JUNK)}
        said = what_is_said(read, crossed(changed))
        assert said.split(".")[0] in ("", "ask", "question", "reply", "answer", "part")


def test_a_field_that_a_newer_program_adds_is_passed_over():
    assert ask_from({**crossed(ask_to(ASK)), "colour": "blue"}).round == 3


def test_a_missing_field_is_named():
    told = ask_to(ASK)
    del told["roster"]
    with pytest.raises(FederationError, match=r"ask\.roster"):
        ask_from(told)
    with pytest.raises(FederationError, match=r"reply\.reply"):
        reply_from({"reply": "perhaps"})
