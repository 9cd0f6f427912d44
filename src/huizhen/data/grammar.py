"""How a condition is written: text to facts and back; read by hand, never evaluated as code.

    condition  = both ("or" both)*
    both       = single ("and" single)*
    single     = "not" single | "(" condition ")" | comparison
    comparison = NAME "is" ["not"] "missing"
               | NAME ["not"] "in" ("[" choice ("," choice)* "]" | CODES)
               | operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)*      at least one operand is a NAME
    choice     = NUMBER | TEXT | CODES
    NAME       = letters of any script, digits, "_" and "." (not a digit first), or anything between backticks
    TEXT       = between double or single quotes; a backslash keeps the next character
    CODES      = SYSTEM ":" CODE ["-" CODE], e.g. ICD10:C34 or ICD10:C00-C97

Words of the grammar may be in upper case. A name alone means that the variable is 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from huizhen.data.condition import OPERATORS, Coded, Compare, Condition, Every, Missing, Name, Not, OneOf, Some, bare_code
from huizhen.errors import Problem, StudyError

__all__ = ["parse", "unparse"]

LONGEST = 2_000  # characters; a longer condition is a list of values that belongs into a column of its own
DEEPEST = 50  # brackets and "not" inside each other; keeps recursion far from Python's own limit
WORDS = ("and", "or", "not", "in", "is")
MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

TOKEN = re.compile(
    r"""(?P<blank>\s+)
      | (?P<codes>[A-Za-z][A-Za-z0-9_]*:[A-Za-z0-9.]+(?:-[A-Za-z0-9.]+)?)
      | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<name>[^\W\d][\w.]*)
      | `(?P<quoted>(?:[^`]|``)+)`
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | '(?P<single>(?:[^'\\]|\\.)*)'
      | (?P<mark>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)""",
    re.VERBOSE | re.DOTALL,
)
PLAIN_NAME = re.compile(r"[^\W\d][\w.]*")

# What people write out of habit, and what it is called here.
HABITS = {
    "=": "Write == for equality",
    "&": "Write and",
    "|": "Write or",
    "!": "Write not, or != for unequal",
    "~": "Write not",
    '"': "Close the quotes",
    "'": "Close the quotes",
    "`": "Close the backticks",
    "“": 'Write straight quotes: "',
    "”": 'Write straight quotes: "',
    "（": "Write a plain bracket: (",
    "）": "Write a plain bracket: )",
    "，": "Write a plain comma: ,",
    "：": "Write a plain colon: :",
    "≥": "Write >=",
    "≤": "Write <=",
    "≠": "Write !=",
    "-": "Put a name that contains a hyphen between backticks",
    "$": "Put a name that contains this character between backticks",
    "#": "Put a name that contains this character between backticks",
}


def parse(text: str) -> Condition:
    """The condition that `text` says, e.g. ``18 <= age < 65 and diagnosis in ICD10:C34``.

    Raises:
        StudyError: it is no condition; with the column in the text, what stands there and what may stand there.
    """
    if len(text) > LONGEST:
        problem = Problem("condition", f"{len(text)} characters", f"at most {LONGEST}", "Split it into several conditions")
        raise StudyError("a condition is too long", [problem])
    condition = _Reader(text).whole()
    condition.uses  # noqa: B018  a contradiction is found now, not at a site
    return condition


def unparse(condition: Condition) -> str:
    """The text of a condition; ``parse(unparse(c)) == c``."""
    match condition:
        case Compare(variable, sign, value):
            return f"{_show_name(variable)} {sign} {_show_value(value)}"
        case OneOf(variable, choices):
            return f"{_show_name(variable)} in [{', '.join(_show_value(choice) for choice in choices)}]"
        case Coded(variable, system, first, last):
            return f"{_show_name(variable)} in {system}:{first}" + (f"-{last}" if last != first else "")
        case Missing(variable):
            return f"{_show_name(variable)} is missing"
        case Not(Missing(variable)):
            return f"{_show_name(variable)} is not missing"
        case Not(inner):
            return f"not {_bracket(inner)}"
        case Every(conditions):
            return " and ".join(_bracket(inner) for inner in conditions)
        case Some(conditions):
            return " or ".join(_bracket(inner) for inner in conditions)
        case _:
            raise TypeError(f"a {type(condition).__name__} has no text")


def _bracket(condition: Condition) -> str:
    return f"({unparse(condition)})" if isinstance(condition, Every | Some) else unparse(condition)


def _show_name(name: str) -> str:
    if PLAIN_NAME.fullmatch(name) and name.lower() not in WORDS:
        return name
    return "`" + name.replace("`", "``") + "`"


def _show_value(value: float | str | Name) -> str:
    if isinstance(value, Name):
        return _show_name(value.name)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, text, codes, word (of the grammar), mark or end
    text: str
    column: int  # 1-based


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            _refuse(text, place + 1, f"the character {text[place]!r}", "a condition", HABITS.get(text[place], ""))
        kind, content = str(match.lastgroup), match.group(str(match.lastgroup))
        column, place = place + 1, match.end()
        if kind == "name" and content.lower() in WORDS:
            tokens.append(_Token("word", content.lower(), column))
        elif kind == "quoted":
            tokens.append(_Token("name", content.replace("``", "`"), column))
        elif kind in ("double", "single"):
            tokens.append(_Token("text", re.sub(r"\\(.)", r"\1", content, flags=re.DOTALL), column))
        elif kind != "blank":
            tokens.append(_Token(kind, content, column))
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Reader:
    """Recursive descent over the tokens; one method for each line of the grammar."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.place, self.depth = text, _tokens(text), 0, 0

    def whole(self) -> Condition:
        condition = self.condition()
        if self.next.kind != "end":
            self.refuse("and, or, or the end of the condition")
        return condition

    def condition(self) -> Condition:
        parts = [self.both()]
        while self.take("word", "or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def both(self) -> Condition:
        parts = [self.single()]
        while self.take("word", "and"):
            parts.append(self.single())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def single(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(f"at most {DEEPEST} brackets and nots inside each other")
        if self.take("word", "not"):
            condition: Condition = Not(self.single())
        elif self.take("mark", "("):
            condition = self.condition()
            if not self.take("mark", ")"):
                self.refuse("a closing bracket )")
        else:
            condition = self.comparison()
        self.depth -= 1
        return condition

    def comparison(self) -> Condition:
        start, left = self.next.column, self.operand()
        if self.take("word", "is"):
            negated = self.take("word", "not")
            if not (self.next.kind == "name" and self.next.text.lower() == "missing"):
                self.refuse("missing")
            self.place += 1
            return _negate_if(negated, Missing(self.variable(left, start)))
        negated = self.take("word", "not")
        if self.take("word", "in"):
            return _negate_if(negated, self.membership(self.variable(left, start)))
        if negated:
            self.refuse("in")
        return self.chain(left)

    def chain(self, left: float | str | Name) -> Condition:
        links: list[Condition] = []
        while self.next.kind == "mark" and self.next.text in OPERATORS:
            sign, column = self.next.text, self.next.column
            self.place += 1
            right = self.operand()
            links.append(self.compare(left, sign, right, column))
            left = right
        if not links:
            if isinstance(left, Name):
                return Compare(left.name, "==", 1.0)
            self.refuse("a comparison such as ==, < or in")
        return links[0] if len(links) == 1 else Every(tuple(links))

    def compare(self, left: float | str | Name, sign: str, right: float | str | Name, column: int) -> Compare:
        if not isinstance(left, Name):
            if not isinstance(right, Name):
                _refuse(self.text, column, "a comparison without a variable", "a variable on one side", "A text stands in quotes")
            left, sign, right = right, MIRRORED[sign], left
        if isinstance(right, str) and sign not in ("==", "!="):
            _refuse(self.text, column, f"{sign} with a text", "== or != (text has no order)", "List the values: in [...]")
        return Compare(left.name, sign, right)

    def membership(self, variable: str) -> Condition:
        if self.next.kind == "codes":
            return self.coded(variable)
        if not self.take("mark", "["):
            self.refuse('a list such as ["II", "III"] or codes such as ICD10:C34')
        if self.next.kind == "codes":
            coded = [self.coded(variable)]
            while self.take("mark", ","):
                coded.append(self.coded(variable))
            self.close_list()
            return coded[0] if len(coded) == 1 else Some(tuple(coded))
        choices = [self.choice()]
        while self.take("mark", ","):
            choices.append(self.choice())
        self.close_list()
        return OneOf(variable, tuple(choices))

    def close_list(self) -> None:
        if not self.take("mark", "]"):
            self.refuse("a comma or a closing bracket ]")

    def choice(self) -> float | str:
        if self.next.kind not in ("number", "text"):
            self.refuse("a number, or a text in quotes")
        value = self.operand()
        assert not isinstance(value, Name)
        return value

    def coded(self, variable: str) -> Condition:
        if self.next.kind != "codes":
            self.refuse("codes such as ICD10:C34")
        system, _, span = self.next.text.partition(":")
        first, _, last = span.partition("-")
        last = last or first
        if not bare_code(first) or len(bare_code(first)) != len(bare_code(last)) or bare_code(first) > bare_code(last):
            self.refuse("a code, or a range of two codes of equal length in order, such as ICD10:C00-C97")
        self.place += 1
        return Coded(variable, system, first, last)

    def operand(self) -> float | str | Name:
        token = self.next
        if token.kind not in ("name", "number", "text"):
            self.refuse("a variable, a number or a text in quotes")
        self.place += 1
        if token.kind == "number":
            value = float(token.text)
            if abs(value) == float("inf"):
                _refuse(self.text, token.column, "a number beyond every float64", "a finite number", "")
            return value
        return Name(token.text) if token.kind == "name" else token.text

    def variable(self, operand: float | str | Name, column: int) -> str:
        if not isinstance(operand, Name):
            _refuse(self.text, column, "a number or a text", "a variable", "A name with blanks stands between backticks")
        return operand.name

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self, kind: str, text: str) -> bool:
        found = self.next.kind == kind and self.next.text == text
        self.place += found
        return found

    def refuse(self, expected: str) -> NoReturn:
        token = self.next
        _refuse(self.text, token.column, "the end" if token.kind == "end" else repr(token.text), expected, "")


def _negate_if(negated: bool, condition: Condition) -> Condition:
    return Not(condition) if negated else condition


def _refuse(text: str, column: int, found: str, expected: str, remedy: str) -> NoReturn:
    raise StudyError(f"cannot read the condition {text!r}", [Problem(f"column {column}", found, expected, remedy)])
