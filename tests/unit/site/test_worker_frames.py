"""Frames: what is said comes out as it went in, and what is no frame is refused whole, whoever sends it."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.federation.wire.message import pack
from huizhen.privacy.release import Answer, Part, Question, Sensitivity
from huizhen.site.worker.frames import Ended, Frame, NotAFrame, decoded, encoded, receive, send
from huizhen.site.worker.speech import answer_from, answer_to, question_from, question_to

MOST = 2**26
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary()
ARRAYS = st.builds(
    lambda dtype, shape, seed: np.random.default_rng(seed).integers(0, 100, shape).astype(dtype),
    st.sampled_from(["<f8", "<f4", "<i8", "<i4", "<i2", "|u1", ">f8"]),
    st.sampled_from([(), (0,), (3,), (2, 3), (1024,), (40, 40), (2, 0, 5), (4097,), (16, 8, 64)]),
    st.integers(0, 99),
)
INNER = st.recursive(
    SCALARS | ARRAYS, lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=4), each, max_size=4)
)
BODIES = st.dictionaries(st.text(max_size=5), INNER, max_size=5)


def joined(frame: Frame) -> bytes:
    return b"".join(encoded(frame)[1:])


def alike(one, other) -> bool:
    """Whether two bodies are the same, arrays by every byte, dtype and shape."""
    if isinstance(one, np.ndarray):
        little = one.dtype.newbyteorder("<")
        return isinstance(other, np.ndarray) and one.shape == other.shape and one.astype(little).tobytes() == other.tobytes()
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and one == other


@settings(max_examples=60, deadline=None)
@given(BODIES)
def test_what_is_said_comes_out_as_it_went_in(body):
    frame = decoded(joined(Frame("answer", body)))
    assert frame.kind == "answer"
    assert alike(body, frame.body)


@settings(max_examples=150, deadline=None)
@given(BODIES, st.data())
def test_a_damaged_frame_is_refused_or_read_and_nothing_else_happens(body, data):
    content = bytearray(joined(Frame("answer", body)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        frame = decoded(bytes(content))
    except NotAFrame:
        return
    assert isinstance(frame.body, dict)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(content):
    with pytest.raises(NotAFrame):
        decoded(content)


@pytest.mark.parametrize(
    "value", [{}, {"kind": "x"}, {"kind": 1, "body": {}}, {"kind": "x", "body": [1]}, {"kind": "x", "body": {}, "z": 0}]
)
def test_a_message_of_something_else_is_no_frame(value):
    with pytest.raises(NotAFrame, match="no frame"):
        decoded(pack(value).whole())


def test_a_body_that_cannot_be_said_is_an_error_of_the_speaker():
    deep: list = []
    for _ in range(3000):
        deep = [deep]
    for unfit in ({"x": object()}, {"x": np.array(["a" * 4096], object)}, {"x": np.zeros(1000, complex)}, {"x": deep}):
        with pytest.raises(TypeError):
            encoded(Frame("answer", unfit))


@pytest.fixture
def line():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_large_array_goes_through_a_line_without_being_copied(line):
    values = np.arange(2_000_000, dtype=np.float32)
    view = encoded(Frame("answer", {"values": values}))[2]
    assert np.shares_memory(np.frombuffer(view, np.float32), values)
    sender = threading.Thread(target=send, args=(line[0], Frame("answer", {"values": values, "n": 3})))
    sender.start()
    frame = receive(line[1], most=MOST)
    sender.join()
    assert frame.body["n"] == 3
    assert np.array_equal(frame.body["values"], values)


def test_a_frame_that_is_too_large_is_refused_before_it_is_read(line):
    sender = threading.Thread(target=send, args=(line[0], Frame("answer", {"values": np.zeros(1000)})))
    sender.start()
    with pytest.raises(NotAFrame, match="larger"):
        receive(line[1], most=1000)
    sender.join()


def test_whoever_is_late_or_gone_is_noticed(line):
    with pytest.raises(TimeoutError):
        receive(line[0], most=MOST, left=lambda: 0.02)
    with pytest.raises(TimeoutError):
        send(line[0], Frame("answer", {"values": np.zeros(2**20)}), lambda: 0.02)
    line[1].close()
    with pytest.raises(Ended):
        send(line[0], Frame("answer", {"values": np.zeros(2**20)}))
    with pytest.raises(Ended):
        receive(line[0], most=MOST)


ANSWER = Answer(
    {
        "z": Part(np.arange(3), 7, cells=True, sensitivity=Sensitivity(1.0, 1.0), unit="patients"),
        "a": Part(np.ones((2, 2)), 5, kind="individual", sensitivity=(Sensitivity(1.0, 2.0), Sensitivity(0.0, 0.0, 3))),
        "k": Part(np.array([1.0, 2.0]), 3, keys=("f", "m"), layout=(("w", (2, 1)), ("b", ()))),
    },
    7,
)


def test_an_answer_comes_back_with_its_parts_in_order():
    back = answer_from(decoded(joined(Frame("answered", answer_to(ANSWER)))).body)
    assert list(back.parts) == ["z", "a", "k"]
    assert back.rows == 7
    for name, part in ANSWER.parts.items():
        other = back.parts[name]
        assert np.array_equal(part.values, other.values)
        assert part.values.dtype == other.values.dtype
        for said in ("rows", "kind", "cells", "keys", "sensitivity", "layout", "unit"):
            assert getattr(part, said) == getattr(other, said), said


def changed(body, **values):
    parts = [[name, {**part, **values}] for name, part in body["parts"]]
    return {**body, "parts": parts}


@pytest.mark.parametrize(
    "body",
    [
        changed(answer_to(ANSWER), rows=-1),
        changed(answer_to(ANSWER), rows=True),
        changed(answer_to(ANSWER), kind="gift"),
        changed(answer_to(ANSWER), values=np.array([np.nan])),
        changed(answer_to(ANSWER), values=[1, 2]),
        changed(answer_to(ANSWER), keys=["one too few"]),
        changed(answer_to(ANSWER), sensitivity={"whole": [-1.0, 1.0, 1]}),
        changed(answer_to(ANSWER), more=1),
        {**answer_to(ANSWER), "parts": answer_to(ANSWER)["parts"] * 2},
        {"rows": 3},
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(body):
    with pytest.raises((ValueError, TypeError)):
        answer_from(body)


@given(st.text(), st.text(), st.lists(st.text()), st.integers(0, 2**40), BODIES)
@settings(max_examples=30, deadline=None)
def test_a_question_comes_back_as_it_was(method, step, variables, degrees, facts):
    question = Question(method, step, facts, tuple(variables), degrees)
    back = question_from(decoded(joined(Frame("answer", question_to(question)))).body)
    assert (back.method, back.step, back.variables, back.degrees) == (method, step, tuple(variables), degrees)
    assert alike(facts, dict(back.facts))
