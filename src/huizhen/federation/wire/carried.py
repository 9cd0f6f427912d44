"""Asks and replies as what a message holds, and back; whatever comes is checked whole before it is one.

What is for people only (progress), or what a reader works out for itself (identity, sensitivity), is not carried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from huizhen.errors import FederationError, Problem
from huizhen.federation.rounds import Answered, Ask, Box, Failed, Lane, Refused, Reply, Silent
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["UNTOLD", "ask_from", "ask_to", "name_in", "reply_from", "reply_to"]

UNTOLD = {"reply": "untold"}  # a site's answer to a name that it does not know, or knows no more
LANES = get_args(Lane)
LONGEST = 4000  # characters of a reason or a name
MOST = 10_000  # entries of a list that is not data
T = TypeVar("T")


def ask_to(ask: Ask, *, named: str = "", told: bool = False) -> dict[str, Any]:
    """What a message holds of an ask.

    Args:
        named: a name for its question, by which a later stage of the round can ask it again without telling it; "": none.
        told: whether the site was told it under this name, so that the name is enough.
    """
    body = _ask_to(ask)
    if told:
        del body["question"]
    return body | {"named": named} if named else body


def _ask_to(ask: Ask) -> dict[str, Any]:
    question = ask.question
    return {
        "study": ask.study,
        "run": ask.run,
        "analysis": ask.analysis,
        "round": ask.round,
        "stage": ask.stage,
        "question": {
            "method": question.method,
            "step": question.step,
            "facts": dict(question.facts),
            "variables": list(question.variables),
            "degrees": question.degrees,
        },
        "roster": list(ask.roster),
        "lane": ask.lane,
        "scope": ask.scope,
        "boxes": [_box_to(box) for box in ask.boxes],
        "notice": dict(ask.notice),
        "lineage": ask.lineage,
        "seed": ask.seed,
    }


def name_in(told: Mapping[str, Any]) -> tuple[str, bool]:
    """The name of an ask's question, "" for none; and whether the name is all there is.

    Raises:
        FederationError: neither question nor name are there.
    """
    body = _Told(_mapping(told), "ask")
    return body.get("named", _text, ""), "question" not in told


def ask_from(told: Mapping[str, Any], kept: Question | None = None) -> Ask:
    """The ask in a message.

    Args:
        kept: its question, where the message only names it.

    Raises:
        FederationError: it holds none.
    """
    with_question = _Told(_mapping(told), "ask")
    return Ask(
        study=with_question.get("study", _text),
        run=with_question.get("run", _text),
        analysis=with_question.get("analysis", _text),
        round=with_question.get("round", _count),
        stage=with_question.get("stage", _text),
        question=kept or _question_from(with_question.get("question", _mapping)),
        roster=with_question.get("roster", _texts),
        lane=with_question.get("lane", _lane),
        scope=with_question.get("scope", _text),
        boxes=with_question.get("boxes", _boxes),
        notice=with_question.get("notice", _mapping),
        lineage=with_question.get("lineage", _text),
        seed=with_question.get("seed", _count),
    )


def _question_from(told: Mapping[str, Any]) -> Question:
    question = _Told(told, "question")
    return Question(
        question.get("method", _text),
        question.get("step", _text),
        question.get("facts", _mapping),
        question.get("variables", _texts),
        question.get("degrees", _count),
    )


def reply_to(reply: Reply) -> dict[str, Any]:
    """What a message holds of a reply."""
    if isinstance(reply, Answered):
        answer = None if reply.answer is None else _answer_to(reply.answer)
        boxes = [_box_to(box) for box in reply.boxes]
        return {"reply": "answered", "answer": answer, "boxes": boxes, "packet": dict(reply.packet), "seconds": reply.seconds}
    if isinstance(reply, Refused):
        return {"reply": "refused", "reasons": list(reply.reasons), "clauses": list(reply.clauses)}
    return {"reply": "failed" if isinstance(reply, Failed) else "silent", "reason": reply.reason}


def reply_from(told: Mapping[str, Any]) -> Reply:
    """The reply in a message; what numbers and rows it may hold is checked by `replies.checked`.

    Raises:
        FederationError: it holds none.
    """
    body = _Told(_mapping(told), "reply")
    kind = body.get("reply", _text)
    if kind == "answered":
        answer = body.get("answer", lambda value: None if value is None else _answer_from(value))
        return Answered(answer, body.get("boxes", _boxes), body.get("packet", _mapping), body.get("seconds", _seconds))
    if kind == "refused":
        return Refused(body.get("reasons", _texts), body.get("clauses", _texts))
    if kind in ("failed", "silent"):
        return (Failed if kind == "failed" else Silent)(body.get("reason", _text))
    raise _Told.unfit("reply.reply")


def _answer_to(answer: Answer) -> dict[str, Any]:
    return {"rows": answer.rows, "parts": {name: _part_to(part) for name, part in answer.parts.items()}}


def _part_to(part: Part) -> dict[str, Any]:
    told: dict[str, Any] = {"values": part.values, "rows": part.rows}
    if part.kind != "addend":
        told["kind"] = part.kind
    if part.cells:
        told["cells"] = True
    if part.keys is not None:
        told["keys"] = list(part.keys)
    return told


def _answer_from(value: Any) -> Answer:
    answer = _Told(_mapping(value), "answer")
    return Answer({name: _part_from(part) for name, part in answer.get("parts", _mapping).items()}, answer.get("rows", _count))


def _part_from(value: Any) -> Part:
    part = _Told(_mapping(value), "part")
    values, rows = part.get("values", _array), part.get("rows", _count)
    kind: Literal["addend", "individual"] = part.get("kind", _kind, "addend")
    cells = part.get("cells", _flag, False)
    keys = part.get("keys", _keys, None)
    if keys is not None and values.shape != (len(keys),):
        raise _Told.unfit("part.keys")
    return Part(values, rows, kind, cells, keys)


def _box_to(box: Box) -> list[Any]:
    return [box.sender, box.receiver, box.sealed]


class _Told:
    """A mapping that is read by name and type; what does not fit is named, and never shown."""

    def __init__(self, told: Mapping[str, Any], what: str) -> None:
        self._told, self._what = told, what

    def get(self, name: str, read: Callable[[Any], T], *default: T) -> T:
        if name not in self._told and default:
            return default[0]
        try:
            return read(self._told[name])
        except (KeyError, TypeError, ValueError):
            raise self.unfit(f"{self._what}.{name}") from None

    @staticmethod
    def unfit(where: str) -> FederationError:
        return FederationError("A message cannot be read.", [Problem(where, "nothing that fits", "what the protocol names")])


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST:
        raise TypeError
    return tuple(map(_text, value))


def _keys(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e9:
        raise TypeError
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _lane(value: Any) -> Lane:
    if value not in LANES:
        raise ValueError
    lane: Lane = value
    return lane


def _kind(value: Any) -> Any:
    if value not in ("addend", "individual"):
        raise ValueError
    return value


def _array(value: Any) -> np.ndarray[Any, Any]:
    if not isinstance(value, np.ndarray):
        raise TypeError
    return value


def _boxes(value: Any) -> tuple[Box, ...]:
    if not isinstance(value, list) or len(value) > MOST:
        raise TypeError
    boxes = []
    for sender, receiver, sealed in value:
        if not isinstance(sealed, bytes):
            raise TypeError
        boxes.append(Box(_text(sender), _text(receiver), sealed))
    return tuple(boxes)
