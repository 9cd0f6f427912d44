"""What is said in frames: a worker's order, questions and answers as canonical values, and back, with every type looked at.

Agent and worker say one thing at a time, each with the number of the turn: ``open`` and ``opened``, ``muster`` and ``mustered``,
``answer`` and ``answered``; in place of each answer ``failed``, with a code and a sentence that holds no patient's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.federation.replies import is_answer
from huizhen.federation.wire.agreements import variable_from, variable_to
from huizhen.federation.workplace import DRAW_BYTES
from huizhen.privacy.release import Answer, Part, Question, Sensitivity, Variable

__all__ = ["Order", "answer_from", "answer_to", "question_from", "question_to", "taken"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is started for.

    Attributes:
        site: its name.
        content: of the study, as `Study.content`.
        digest: of the study that the site accepted.
        source: path of the site's table or images.
        variables: every variable that the study reads, as all participants agreed.
        methods, networks: the names that are enabled at this site.
        key: path of the site's key for de-identification, by which the places of images are sealed; "" for none.
    """

    site: str
    content: Mapping[str, Any]
    digest: str
    source: str
    variables: Mapping[str, Variable]
    methods: tuple[str, ...]
    networks: tuple[str, ...]
    key: str = ""

    def body(self) -> dict[str, Any]:
        """As canonical values."""
        return {
            "site": self.site,
            "content": self.content,
            "digest": self.digest,
            "source": self.source,
            "variables": [[name, variable_to(variable)] for name, variable in self.variables.items()],
            "methods": list(self.methods),
            "networks": list(self.networks),
            "key": self.key,
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Order:
        """The order behind canonical values.

        Raises:
            ValueError: it is none.
        """
        site, content, digest, source, variables, methods, networks, key = taken(
            body, site=str, content=dict, digest=str, source=str, variables=list, methods=list, networks=list, key=str
        )
        try:
            read = {str(name): variable_from(said) for name, said in variables}
        except TypeError:
            raise ValueError("variables") from None
        return cls(site, content, digest, source, read, _texts(methods), _texts(networks), key)


def taken(body: Mapping[str, Any], **kinds: type) -> list[Any]:
    """The values of exactly these names, each of its kind.

    Raises:
        ValueError: one is missing, is of another kind, or there are more.
    """
    if (
        not isinstance(body, Mapping)
        or body.keys() - {"turn"} != kinds.keys()
        or not all(isinstance(body[name], kind) for name, kind in kinds.items())
    ):
        raise ValueError(", ".join(kinds))
    return [body[name] for name in kinds]


def question_to(question: Question) -> dict[str, Any]:
    """A question as canonical values, without its progress, on which no answer depends."""
    return {
        "method": question.method,
        "step": question.step,
        "facts": question.facts,
        "variables": list(question.variables),
        "degrees": question.degrees,
    }


def question_from(body: Mapping[str, Any]) -> Question:
    """The question behind canonical values.

    Raises:
        ValueError: it is none.
    """
    method, step, facts, variables, degrees = taken(body, method=str, step=str, facts=dict, variables=list, degrees=int)
    return Question(method, step, facts, _texts(variables), degrees)


def answer_to(answer: Answer) -> dict[str, Any]:
    """An answer as canonical values; the order of its parts is kept."""
    return {"rows": answer.rows, "parts": [[name, _part_to(part)] for name, part in answer.parts.items()]}


def answer_from(body: Mapping[str, Any]) -> Answer:
    """The answer behind canonical values.

    Raises:
        ValueError: it is none, as `huizhen.federation.replies.is_answer` judges.
    """
    rows, parts = taken(body, rows=int, parts=list)
    answer = Answer({name: _part_from(said) for name, said in parts}, rows)
    if len(answer.parts) != len(parts) or not is_answer(answer):
        raise ValueError("answer")
    return answer


def is_draw(draw: Any) -> bool:
    """Whether it is a key of draws."""
    return isinstance(draw, bytes) and len(draw) == DRAW_BYTES


def _part_to(part: Part) -> dict[str, Any]:
    return {
        "values": part.values,
        "rows": part.rows,
        "kind": part.kind,
        "cells": part.cells,
        "keys": None if part.keys is None else list(part.keys),
        "sensitivity": _sensitivity_to(part.sensitivity),
        "layout": [[name, list(shape)] for name, shape in part.layout],
        "unit": part.unit,
    }


def _part_from(body: Any) -> Part:
    kinds: dict[str, Any] = {"keys": object, "sensitivity": object}
    values, rows, kind, cells, keys, sensitivity, layout, unit = taken(
        body, values=np.ndarray, rows=int, kind=str, cells=bool, **kinds, layout=list, unit=str
    )
    if kind not in ("addend", "individual"):
        raise ValueError("kind")
    if keys is not None:
        keys = _texts(keys)
        if values.shape != (len(keys),):
            raise ValueError("keys")
    shapes = tuple((name, tuple(shape)) for name, shape in layout)
    if not all(isinstance(name, str) and all(type(n) is int and n >= 0 for n in shape) for name, shape in shapes):
        raise ValueError("layout")
    return Part(values, rows, kind, cells, keys, _sensitivity_from(sensitivity), shapes, unit)


def _sensitivity_to(said: Sensitivity | tuple[Sensitivity, ...] | None) -> Any:
    if said is None:
        return None
    if isinstance(said, Sensitivity):
        return {"whole": [float(said.l1), float(said.l2), int(said.entries)]}
    return {"slices": [[float(one.l1), float(one.l2), int(one.entries)] for one in said]}


def _sensitivity_from(said: Any) -> Sensitivity | tuple[Sensitivity, ...] | None:
    if said is None:
        return None
    if set(said) == {"whole"}:
        return _one_sensitivity(said["whole"])
    (slices,) = taken(said, slices=list)
    return tuple(map(_one_sensitivity, slices))


def _one_sensitivity(said: Any) -> Sensitivity:
    l1, l2, entries = said
    if type(l1) is not float or type(l2) is not float or type(entries) is not int or not (l1 >= 0 and l2 >= 0 and entries >= 0):
        raise ValueError("sensitivity")
    return Sensitivity(l1, l2, entries)


def _texts(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise ValueError("texts")
    return tuple(said)
