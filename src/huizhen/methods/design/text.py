"""The words of a formula's text: names, numbers, quoted text and signs, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from huizhen.errors import Problem, StudyError

__all__ = ["Token", "tokens"]

WORD = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*)
    | `(?P<quoted>[^`]+)`
    | "(?P<double>[^"]*)"
    | '(?P<single>[^']*)'
    | (?P<sign>\*\*|[~+\-*/:^(),=\[\]])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word. `place` counts characters from 0; `quoted`: a name in backticks, which is never a function."""

    kind: Literal["name", "number", "text", "sign", "end"]
    text: str
    place: int
    quoted: bool = False


def tokens(text: str) -> tuple[Token, ...]:
    """The words of `text`, closed by one of kind ``end``.

    Raises:
        StudyError: a character that no formula holds, or a quote that is not closed.
    """
    found: list[Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = WORD.match(text, place)
        if match is None or match.lastgroup is None:
            raise _stranger(text, place + len(text[place:]) - len(text[place:].lstrip()))
        found.append(_token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return (*found, Token("end", "", end))


def _token(group: str, text: str, place: int) -> Token:
    if group in ("double", "single"):
        return Token("text", text, place - 1)
    if group == "quoted":
        return Token("name", text, place - 1, quoted=True)
    if group == "number":
        return Token("number", text, place)
    return Token("name", text, place) if group == "name" else Token("sign", "^" if text == "**" else text, place)


def _stranger(text: str, place: int) -> StudyError:
    remedy = {".": "A dot does not stand for all other variables here: name them", "|": "Give strata in the method's own key"}
    quotes = "a closing quote" if text[place] in "`\"'" else "a variable, a number or one of ~ + - * / : ^ ( ) , = [ ]"
    problem = Problem(f'formula "{text}", character {place + 1}', f'"{text[place]}"', quotes, remedy.get(text[place], ""))
    return StudyError("The formula cannot be read", [problem])
