"""Ctrl-C ends a run, also when a library swallowed it."""

from __future__ import annotations

import contextlib
import signal

import pytest

from huizhen.cli.interruption import Interruption


@pytest.fixture(autouse=True)
def usual_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_raises_at_once_and_again_at_the_next_event_if_it_was_swallowed():
    with Interruption() as interruption:
        interruption.heed()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.heed()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_ignores_interrupts_goes_on_ignoring_them():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        interruption.heed()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
