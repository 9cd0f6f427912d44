"""What arrives from outside, checked whole before anything is done with it: size, depth, types, names; all mistakes at once.

Bodies are plain canonical values (`huizhen.canonical`); they are looked into level by level, so that no nesting reaches the stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from huizhen import canonical
from huizhen.errors import CallerError, Problem
from huizhen.federation.mistakes import Mistakes, check_section, no_text

__all__ = ["DEEPEST", "LARGEST", "Body", "plain_body", "read_body"]

LARGEST = 4_000_000  # bytes of a body: a study file has a million characters at most, of up to four bytes each
DEEPEST = 24  # levels: a study's settings are some eight deep
MOST = 200_000  # values in a body

Read = TypeVar("Read", bound=BaseModel)


class Body(BaseModel):
    """The layout of a body; frozen, unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_body(model: type[Read], body: Any, *, what: str, largest: int = LARGEST) -> Read:
    """A body as `model`.

    Args:
        what: what the body is, for the message, e.g. ``consent``.
        largest: bytes of its canonical encoding at most.

    Raises:
        CallerError: with every mistake; a body that is too large or too deep is not looked into any further.
    """
    content = plain_body(body, what=what, largest=largest)
    mistakes = Mistakes()
    mistakes.extend(no_text(content, what))
    read = None if mistakes.problems else check_section(model, content, what, mistakes)
    if read is None or mistakes.problems:
        raise CallerError("What was sent cannot be read.", mistakes.problems)
    return read


def plain_body(body: Any, *, what: str, largest: int = LARGEST) -> Mapping[str, Any]:
    """A body once it is found to be a mapping of plain values, small and shallow enough to be looked into.

    Raises:
        CallerError: it is not.
    """
    problem = _too_much(body, what)
    if problem is None and not isinstance(body, Mapping):
        problem = Problem(what, f"a {type(body).__name__}", "a mapping")
    if problem is None:
        try:
            size = len(canonical.encode(body))
        except (TypeError, ValueError, OverflowError):  # half a character cannot be encoded either
            problem = Problem(what, "values that have no canonical encoding", "plain values")
        else:
            problem = Problem(what, f"{size} bytes", f"at most {largest}") if size > largest else None
    if problem is not None:
        raise CallerError("What was sent cannot be read.", [problem])
    content: Mapping[str, Any] = body
    return content


def _too_much(body: Any, what: str) -> Problem | None:
    level, count = [body], 0
    for _ in range(DEEPEST):
        inner = [one for value in level for one in _inside(value)]
        if not inner:
            return None
        if any(isinstance(one, np.ndarray) for one in inner):  # compared with plain values they are neither true nor false
            return Problem(what, "an array", "plain values")
        count += len(inner)
        if count > MOST:
            return Problem(what, f"more than {MOST} values", "a body of reasonable size")
        level = inner
    return Problem(what, f"more than {DEEPEST} levels", "a shallow body")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
