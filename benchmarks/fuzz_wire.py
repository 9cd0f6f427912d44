"""What comes from outside, fuzzed with coverage: messages, asks, replies, consents, proposals, preparations, events, results.

    python -m venv fuzzing && fuzzing/bin/pip install atheris . && fuzzing/bin/python benchmarks/fuzz_wire.py -max_total_time=300

Whatever bytes come, they are read as one of these or refused with an error of ours, within a second and little memory. Bytes that
are not are written to a file `crash-...` by the fuzzer, to become a test.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import atheris

with atheris.instrument_imports(include=["huizhen.canonical", "huizhen.federation", "huizhen.hub.usecases", "huizhen.site.inbox"]):
    from huizhen import canonical
    from huizhen.errors import HuizhenError
    from huizhen.federation.consent import Consent
    from huizhen.federation.found import Found
    from huizhen.federation.proposal import Initiator, Party, Proposal
    from huizhen.federation.replies import checked
    from huizhen.federation.rounds import Answered
    from huizhen.federation.wire.agreements import Preparation
    from huizhen.federation.wire.carried import ask_from, ask_to, reply_from, reply_to
    from huizhen.federation.wire.message import pack, unpack
    from huizhen.federation.wire.subjects import answer_place, sender_of

import numpy as np

from huizhen.federation.events import Outcome
from huizhen.federation.rounds import Ask, Box
from huizhen.federation.study import Study
from huizhen.privacy.release import Answer, Part, Question, Variable
from huizhen.privacy.result import Result

LONGEST_S = 1.0  # for a few kilobytes; a machine under load takes its time, so what is slower is tried twice
# In the order of `SOUND`.
READERS = (ask_from, lambda told: checked(reply_from(told)), Preparation.parse, Consent.parse, Proposal.parse, Found.parse)


def one_input(content: bytes) -> None:
    """Reads bytes as everything that may come."""
    if not content:
        return
    started = time.process_time()
    _read(content[0], content[1:])
    if time.process_time() - started > LONGEST_S:
        started = time.process_time()
        _read(content[0], content[1:])
        assert time.process_time() - started < LONGEST_S, "a few bytes that take long"


def _read(kind: int, content: bytes) -> None:
    if kind % 8 == 7:
        text = content.decode("utf-8", "replace")
        sender_of(text)
        answer_place(text[: len(text) // 2], text[len(text) // 2 :])
        return
    readers = READERS
    try:
        if kind % 8 >= 4:
            told, reader = _changed(content)
            readers = (reader,)
        else:
            told = unpack(content) if kind % 2 else canonical.decode(content)
    except (HuizhenError, ValueError):
        return
    canonical.encode(told)  # what was read can be said again
    for read in readers if isinstance(told, dict) else ():
        try:
            read(told)
        except HuizhenError:
            continue


def _changed(content: bytes) -> tuple[Any, Callable[[Any], Any]]:
    """A sound value with its reader, of which up to three parts are others: bytes alone seldom get past a first look."""
    chooses = atheris.FuzzedDataProvider(content)
    which = chooses.ConsumeIntInRange(0, len(SOUND) - 1)
    told = copy.deepcopy(SOUND[which])
    for _ in range(chooses.ConsumeIntInRange(1, 3)):
        inside: Any = told
        while True:
            places = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            if not places:
                break
            place = places[chooses.ConsumeIntInRange(0, len(places) - 1)]
            if not isinstance(inside[place], dict | list) or not inside[place] or chooses.ConsumeBool():
                inside[place] = _part(chooses, inside[place])
                break
            inside = inside[place]
    return told, READERS[which]


def _part(chooses: Any, before: Any) -> Any:
    """Another part: of any type, or the one before, twice as deep or as long."""
    kinds = (
        lambda: None,
        chooses.ConsumeBool,
        lambda: chooses.ConsumeInt(9),
        chooses.ConsumeFloat,
        lambda: chooses.ConsumeUnicodeNoSurrogates(12),
        lambda: chooses.ConsumeBytes(12),
        list,
        dict,
        lambda: [before],
        lambda: {"": before},
        lambda: before * 2 if isinstance(before, str | bytes | list) else [before, before],
        lambda: np.frombuffer(chooses.ConsumeBytes(16).ljust(16), "<f8"),
        lambda: np.zeros((0, 3)),
    )
    return kinds[chooses.ConsumeIntInRange(0, len(kinds) - 1)]()


def sound() -> list[Any]:
    """Sound values of every kind."""
    question = Question("summary", "moments", {"variables": ["age"]}, ("age",))
    ask = Ask("d", "run-1", "summary", 1, "answer", question, ("a", "b"), "plain", "s", (Box("a", "b", b"x"),))
    reply = Answered(Answer({"sums": Part(np.arange(4.0), 9), "n": Part(np.arange(2), 9, cells=True, keys=("f", "m"))}, 9))
    ready = Preparation("0" * 64, "run-1", ("a", "b"), {"age": Variable("number", ("x",), "a", (0.0, 1.0))})
    consent = Consent("0" * 64, "study-1", "a", "accept", "", "2026-01-01T00:00:00+00:00", signature=bytes(64))
    study = Study.parse({"method": {"summary": {"variables": ["age"]}, "glm": {"formula": "y ~ age", "family": "binomial"}}})
    parties = [Party(name=name, key=digit * 64) for name, digit in (("a", "0"), ("b", "1"))]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    asker = Initiator(name="li", key="ULI")
    proposal = Proposal.of(study, id="s-1", initiator=asker, participants=parties, created=now, expires=now + timedelta(days=1))
    found = Found("run-1", now, 1.0, (Outcome("summary", Result("summary", 9), ("a",), {"a": 9}, (), 1, 0),), (), {}, ())
    told = [ask_to(ask), reply_to(reply), ready.content, consent.content, proposal.content, found.content]
    return [canonical.decode(canonical.encode(one)) for one in told]


def corpus() -> list[bytes]:
    """Sound messages to begin from, as heads alone and whole, and choices of what to change."""
    values = [*SOUND, {"verb": "ask", "body": {"x": np.ones(1000)}}]
    changes = [bytes([kind, *([number] * 40)]) for kind in (4, 5, 6) for number in range(0, 256, 5)]
    shared = b"\x82\xd8\x1c\x81\x00\xd8\x1d\x00"
    heads, whole = [b"\0" + canonical.encode(one) for one in values], [b"\1" + pack(one).whole() for one in values]
    return [*heads, *whole, *changes, b"\0" + shared]


SOUND = sound()


if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        for number, one in enumerate(corpus()):
            (Path(folder) / f"sound-{number}").write_bytes(one)
        atheris.Setup([*sys.argv, folder, "-max_len=4096"], one_input)
        atheris.Fuzz()
