"""Ctrl-C ends a run when its round is over, at once when pressed twice, and also when a library swallowed it."""

from __future__ import annotations

import contextlib
import signal

import pytest

from huizhen.cli.interruption import Interruption
from huizhen.federation.events import Event


@pytest.fixture(autouse=True)
def usual_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def event(kind):
    return Event(kind, "mean", 1, 0.0)


def test_an_interrupt_within_a_round_waits_for_its_end_and_says_so():
    told = []
    with Interruption(lambda: told.append("waiting")) as interruption:
        interruption.heed(event("mustered"))
        interruption.heed(event("asked"))
        signal.raise_signal(signal.SIGINT)
        interruption.heed(event("answered"))
        assert told == ["waiting"]
        with pytest.raises(KeyboardInterrupt):
            interruption.heed(event("folded"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_ends_the_round_too():
    with Interruption() as interruption:
        interruption.heed(event("asked"))
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_between_rounds_an_interrupt_raises_at_once_and_again_at_the_next_event_if_it_was_swallowed():
    with Interruption() as interruption:
        interruption.heed(event("folded"))
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.heed(event("finished"))


def test_a_program_that_ignores_interrupts_goes_on_ignoring_them():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        interruption.heed(event("folded"))
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
