"""Replies are checked whole before anything is done with them: a site that sends what is no reply fails alone, and is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from huizhen.federation.rounds import Answered, Box, Failed, Refused, Reply, Silent
from huizhen.privacy.release import Answer, Part

__all__ = ["checked", "each_fits", "is_answer", "most_say"]

NO_REPLY = "what it sent is no answer to what it was asked"
MOST_ROWS = 2**53
DEEPEST = 12  # packets are mappings in mappings, and no deeper than this
NUMBERS = (np.float64, np.float32, np.int64, np.int16)


def checked(reply: Any) -> Reply:
    """The reply, or a failure where it is none: of other types, with numbers that are not finite, or rows that no site has."""
    try:
        if isinstance(reply, Silent | Failed):
            return reply if isinstance(reply.reason, str) else Failed(NO_REPLY)
        if isinstance(reply, Refused):
            words = (*reply.reasons, *reply.clauses)
            return reply if all(isinstance(word, str) for word in words) else Failed(NO_REPLY)
        return reply if isinstance(reply, Answered) and _is_sound(reply) else Failed(NO_REPLY)
    except Exception:  # whatever it is, it is not what a site sends
        return Failed(NO_REPLY)


def each_fits(handle: Callable[[str, Mapping[str, Any]], bool], replies: Mapping[str, Answered], why: str) -> dict[str, str]:
    """The sites whose packets are not what the protocol wants, each with the reason; what nobody thought of counts as such."""
    unfit = {}
    for site, reply in replies.items():
        try:
            fits = handle(site, reply.packet)
        except Exception:  # one site's packet must not end the others' round
            fits = False
        if not fits:
            unfit[site] = why
    return unfit


def most_say(said: Iterable[Hashable]) -> Any:
    """What most sites say, of equals the first: a single site does not decide for all. None where nobody says anything."""
    counted = Counter(said)
    return max(counted, key=lambda each: counted[each]) if counted else None


def _is_sound(reply: Answered) -> bool:
    boxes = all(isinstance(b, Box) and isinstance(b.sealed, bytes) and isinstance(b.receiver, str) for b in reply.boxes)
    packet = isinstance(reply.packet, Mapping) and _is_shallow(reply.packet, DEEPEST)
    return boxes and packet and isinstance(reply.seconds, float | int) and (reply.answer is None or is_answer(reply.answer))


def is_answer(answer: Any) -> bool:
    """Whether it is an answer whose numbers are finite, of types that a sum knows, and of rows that a site may have."""
    return (
        isinstance(answer, Answer)
        and _is_count(answer.rows)
        and all(isinstance(name, str) and isinstance(part, Part) and _is_part(part) for name, part in answer.parts.items())
    )


def _is_part(part: Part) -> bool:
    values = part.values
    if not isinstance(values, np.ndarray) or values.dtype not in NUMBERS or not _is_count(part.rows):
        return False
    if values.dtype.kind != "f":
        return True
    with np.errstate(over="ignore", invalid="ignore"):  # a sum is one quick look; one that is too large is no proof
        return bool(np.isfinite(np.add.reduce(values, axis=None, dtype=np.float64)) or np.isfinite(values).all())


def _is_count(rows: Any) -> bool:
    return isinstance(rows, int) and not isinstance(rows, bool) and 0 <= rows <= MOST_ROWS


def _is_shallow(value: Any, deep: int) -> bool:
    if not isinstance(value, Mapping | list | tuple):
        return True
    inner = value.values() if isinstance(value, Mapping) else value
    return deep > 0 and all(_is_shallow(each, deep - 1) for each in inner)
