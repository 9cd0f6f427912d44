"""How a feature is declared: text to facts, read by hand and never evaluated as code.

    declaration = product (("+" | "-") product)*
    product     = power (("*" | "/") power)*
    power       = atom ["^" atom]
    atom        = NUMBER | NAME | "-" atom | "(" declaration ")" | FUNCTION "(" declaration ("," declaration)* ")"
    NAME        = letters of any script, digits, "_" and "." (not a digit first), or anything between backticks

A name is another feature's, or else a variable's; in the declaration of a feature with a variable's name it is the variable.

>>> str(parse("standardise(impute(ldl, median))"))
'standardise(impute(ldl, median))'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NoReturn, cast

from huizhen.errors import Problem, StudyError, closest
from huizhen.methods.features.expression import ELEMENTWISE, FUNCTIONS, WORDS, Arithmetic, Call, Expression, Number, Variable

__all__ = ["parse"]

LONGEST = 2_000  # characters
MOST_WORDS = 200  # names, numbers and signs
DEEPEST = 40  # brackets and minus signs inside each other; keeps recursion far from Python's own limit
MOST_POINTS = 50
MOST_GROUPS = 20
KNOTS = range(3, 8)
TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
          | (?P<name>[^\W\d][\w.]*)
          | `(?P<quoted>[^`]+)`
          | (?P<sign>\*\*|[+\-*/^(),]))""",
    re.VERBOSE,
)
# What people write out of habit, and what it is called here.
HABITS = {
    ":": "Write * for a product",
    "（": "Write a plain bracket: (",
    "）": "Write a plain bracket: )",
    "，": "Write a plain comma: ,",
    "=": 'A declaration stands behind the name: age_z = "standardise(age)"',
    '"': "Put a name that holds blanks or signs between backticks",
    "'": "Put a name that holds blanks or signs between backticks",
}
SPELLINGS = {"standardize": "standardise", "scale": "standardise", "zscore": "standardise", "rcs": "spline", "factor": "category"}
SPLIT = "Split it into several features"
CANNOT = "The feature cannot be read."


def parse(text: str) -> Expression:
    """What a declaration says.

    Raises:
        StudyError: it says nothing that can be read; with the place in the text, what stands there and what may stand there.
    """
    if len(text) > LONGEST:
        raise StudyError(CANNOT, [Problem("", f"{len(text)} characters", f"at most {LONGEST}", SPLIT)])
    reader = _Reader(text)
    if len(reader.tokens) > MOST_WORDS:
        found, expected = f"{len(reader.tokens)} names, numbers and signs", f"at most {MOST_WORDS}"
        raise StudyError(CANNOT, [Problem("", found, expected, SPLIT)])
    said = reader.sum()
    if reader.now.kind != "end":
        reader.refuse("one of + - * / ^, or the end of the declaration")
    return said


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["number", "name", "quoted", "sign", "end"]
    text: str
    place: int  # from 1


def _tokens(text: str) -> list[_Token]:
    found, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            expected = "a variable, a feature, a number, a function or one of + - * / ^ ( ) ,"
            raise StudyError(CANNOT, [Problem(f"character {at + 1}", repr(text[at]), expected, HABITS.get(text[at], ""))])
        kind = cast(Literal["number", "name", "quoted", "sign"], match.lastgroup)
        word = match[kind]
        found.append(_Token(kind, "^" if word == "**" else word, match.start(kind) + 1))
        place = match.end()
    return [*found, _Token("end", "", end + 1)]


class _Reader:
    """Recursive descent over the tokens; one method for each line of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens, self.place, self.depth = _tokens(text), 0, 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *signs: str) -> str:
        """The sign that stands here, if it is one of these; else ""."""
        if self.now.kind == "sign" and self.now.text in signs:
            self.place += 1
            return self.tokens[self.place - 1].text
        return ""

    def sum(self) -> Expression:
        left = self.product()
        while sign := self.take("+", "-"):
            left = Arithmetic("+" if sign == "+" else "-", left, self.product())
        return left

    def product(self) -> Expression:
        left = self.power()
        while sign := self.take("*", "/"):
            left = Arithmetic("*" if sign == "*" else "/", left, self.power())
        return left

    def power(self) -> Expression:
        base = self.atom()
        at = self.now
        if not self.take("^"):
            return base
        exponent = self.atom()
        if not isinstance(exponent, Number):
            self.refuse("a number, the exponent", at)
        return Arithmetic("^", base, exponent)

    def atom(self) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(f"at most {DEEPEST} brackets and signs inside each other")
        found = self._atom()
        self.depth -= 1
        return found

    def _atom(self) -> Expression:
        token = self.now
        if self.take("-"):
            inner = self.power()
            return Number(-inner.value) if isinstance(inner, Number) else Arithmetic("*", Number(-1.0), inner)
        if self.take("("):
            inner = self.sum()
            self.close()
            return inner
        if token.kind not in ("number", "name", "quoted"):
            self.refuse("a variable, a feature, a number or a function")
        self.place += 1
        if token.kind == "number":
            value = float(token.text)
            if value == float("inf"):
                self.refuse("a finite number", token)
            return Number(value)
        if token.kind == "name" and self.take("("):
            return self.call(token)
        return Variable(token.text)

    def call(self, name: _Token) -> Call:
        arguments = [self.sum()]
        while self.take(","):
            arguments.append(self.sum())
        self.close()
        if name.text not in FUNCTIONS:
            near = SPELLINGS.get(name.text) or closest(name.text, tuple(FUNCTIONS))
            remedy = f"Did you mean {near}?" if near else ""
            self.refuse(f"one of the functions {', '.join(FUNCTIONS)}", name, remedy)
        made = _call(name.text, arguments)
        if made is None:
            self.refuse(FUNCTIONS[name.text], name)
        return made

    def close(self) -> None:
        if not self.take(")"):
            self.refuse("a comma or a closing bracket )")

    def refuse(self, expected: str, token: _Token | None = None, remedy: str = "") -> NoReturn:
        token = token or self.now
        found = "the end" if token.kind == "end" else f'"{token.text}"'
        raise StudyError(CANNOT, [Problem(f"character {token.place}", found, expected, remedy)])


def _call(function: str, arguments: list[Expression]) -> Call | None:
    """The call, or None where the arguments are not such as the function takes."""
    first, rest = arguments[0], arguments[1:]
    if isinstance(first, Number):
        return None
    if function == "days":
        return Call(function, tuple(arguments)) if len(rest) == 1 and all(isinstance(a, Variable) for a in arguments) else None
    if function == "impute" and len(rest) == 1 and isinstance(rest[0], Variable):
        return _imputed(first, rest[0].name)
    numbers = tuple(each.value for each in rest if isinstance(each, Number))
    if len(numbers) < len(rest) or not _fits(function, numbers):
        return None
    if function == "category" and not isinstance(first, Variable):
        return None
    return Call(function, (first,), numbers)


def _imputed(first: Expression, word: str) -> Call | None:
    if word not in WORDS:
        return None
    if word == "mode" and isinstance(first, Variable):
        first = Call("category", (first,))
    return Call("impute", (first,), word=word)


def _fits(function: str, numbers: tuple[float, ...]) -> bool:
    """Whether so many numbers, such as these, stand behind a function's argument."""
    rising = all(low < high for low, high in pairwise(numbers))
    whole = all(number.is_integer() for number in numbers)
    if function in (*ELEMENTWISE, "category", "missing", "standardise"):
        return not numbers
    if function == "cut":
        return 1 <= len(numbers) <= MOST_POINTS and rising
    if function == "impute":
        return len(numbers) == 1
    if function == "minmax":
        return len(numbers) in (0, 2) and rising
    if function == "quantiles":
        return len(numbers) == 1 and whole and 2 <= numbers[0] <= MOST_GROUPS
    if function == "spline":
        return (len(numbers) == 1 and numbers[0] in KNOTS) or (3 <= len(numbers) <= MOST_POINTS and rising)
    return False
