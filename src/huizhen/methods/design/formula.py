"""Model formulas in the notation of Wilkinson and Rogers, as R and patsy read them; parsed to frozen facts, never evaluated.

    y ~ age + sex*ecog + C(stage, ref="II") + bs(age, 4) + log(x) + I(x^2) + scale(bmi) - 1

Operators, from the tightest: ``^`` (all products up to an order), ``:`` (product), ``*`` and ``/`` (``a + b + a:b``, ``a + a:b``),
``+`` and ``-``. A name may hold dots and any letters (``ph.ecog``, ``年龄``), or anything at all between backticks.

Functions: ``C(x, ref=, levels=)`` categories; ``bs(x, df, knots=, range=, degree=)`` and ``ns(x, df, knots=, range=)`` splines;
``log log2 log10 log1p sqrt exp``; ``I(x^2)``, also written ``pow(x, 2)``; ``center(x)`` and ``scale(x)`` by the joint mean and
the joint standard deviation (ddof 1).

>>> [str(term) for term in parse("y ~ age*sex + log(x) - age:sex").terms]
['age', 'sex', 'log(x)']
"""

from __future__ import annotations

from itertools import islice, pairwise, product

from huizhen.errors import Problem, StudyError
from huizhen.methods.design.term import ELEMENTWISE, OPTIONS, POSITIONAL, Call, Factor, Formula, Term, Value, by_degree
from huizhen.methods.design.text import Token, tokens

__all__ = ["ELEMENTWISE", "Call", "Factor", "Formula", "Term", "parse"]

LONGEST = 10_000  # characters
DEEPEST = 50  # parentheses inside each other; keeps recursion far from Python's own limit
MOST_TERMS = 500  # a formula of a few words can spell billions of products
SHAPES = {
    "ref": "a label or a number",
    "levels": "a list of labels",
    "df": "a whole number from 1",
    "degree": "a whole number from 1 to 5",
    "knots": "a list of increasing numbers",
    "range": "a list of two increasing numbers",
    "exponent": "a number",
}


def parse(text: str) -> Formula:
    """The formula that `text` spells.

    Raises:
        StudyError: it spells none, or more than a model can hold; says where, what was found and what was expected.
    """
    if len(text) > LONGEST:
        problem = Problem("formula", f"{len(text)} characters", f"at most {LONGEST}", "Leave out terms")
        raise StudyError("The formula is too long", [problem])
    return _Parser(text).formula()


Terms = tuple[Term, ...]  # without repetition, in order of appearance
NOTHING = Term(())  # the empty product: the intercept


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0
        self.depth = 0

    def formula(self) -> Formula:
        response = None
        if not self.at("~"):
            response = self.factor()
            if response.outer not in ("", *ELEMENTWISE):
                raise self.wrong(self.tokens[0], "a variable, or log(...) and the like of one, before the ~")
        self.take("~", "a ~ between the response and the terms")
        terms = self.sum((NOTHING,), top=True)
        if self.now.kind != "end":
            raise self.wrong(self.now, "an operator (+ - * / : ^) or the end of the formula")
        return Formula(self.text, response, by_degree(term for term in terms if term != NOTHING), NOTHING in terms)

    def sum(self, terms: Terms, *, top: bool) -> Terms:
        sign = self.next().text if self.now.text in ("+", "-") else "+"
        while True:
            start = self.now
            added = self.product()
            if added is None:
                if not top:
                    raise self.wrong(start, "no 0 within parentheses", "Write + 0 or - 1 outside of them")
                # "+ 0" takes the intercept away, and "- 0" gives it back, as in R.
                added, sign = (NOTHING,), "-" if sign == "+" else "+"
            terms = _union(terms, added) if sign == "+" else tuple(term for term in terms if term not in added)
            self.few(terms, start)
            if self.now.text not in ("+", "-"):
                return terms
            sign = self.next().text

    def product(self) -> Terms | None:
        left = self.interaction()
        while self.now.text in ("*", "/"):
            operator = self.next()
            right = self.interaction()
            if left is None or right is None:
                raise self.wrong(operator, "terms on both sides, not 0")
            inner = left if operator.text == "*" else (Term(tuple(dict.fromkeys(f for term in left for f in term.factors))),)
            left = _union(left, right if operator.text == "*" else (), self.cross(inner, right, operator))
        return left

    def interaction(self) -> Terms | None:
        left = self.power()
        while self.at(":"):
            operator = self.next()
            right = self.power()
            if left is None or right is None:
                raise self.wrong(operator, "terms on both sides, not 0")
            left = self.cross(left, right, operator)
        return left

    def power(self) -> Terms | None:
        base = self.atom()
        if not self.at("^"):
            return base
        operator = self.next()
        degree = self.now
        if degree.kind != "number" or not float(degree.text).is_integer() or not 1 <= float(degree.text) <= 9:
            raise self.wrong(degree, "a whole number from 1 to 9 after ^", "A power of a variable is written I(x^2)")
        self.next()
        if base is None:
            raise self.wrong(operator, "terms before ^, not 0")
        products = base
        for _ in range(int(float(degree.text)) - 1):
            products = _union(products, self.cross(products, base, operator))
        return products

    def atom(self) -> Terms | None:
        """The terms in parentheses, 1, a factor; None for 0."""
        if self.at("("):
            opened = self.next()
            self.depth += 1
            if self.depth > DEEPEST:
                raise self.wrong(opened, f"at most {DEEPEST} parentheses inside each other")
            terms = self.sum((), top=False)
            self.depth -= 1
            self.take(")", "a closing parenthesis or an operator")
            return terms
        if self.now.kind == "number":
            if self.now.text not in ("0", "1"):
                raise self.wrong(self.now, "0, 1 or a variable")
            return (NOTHING,) if self.next().text == "1" else None
        return (Term((self.factor(),)),)

    def factor(self) -> Factor:
        name = self.now
        if name.kind != "name":
            raise self.wrong(name, "a variable, a function or a parenthesis")
        self.next()
        if not self.at("(") or name.quoted:
            return Factor(name.text)
        if name.text != "I" and name.text not in OPTIONS:
            raise self.wrong(name, f"one of the functions {', '.join([*OPTIONS, 'I'])}")
        self.next()
        inside = self.now
        inner = self.factor()
        if inner.outer not in ("", *ELEMENTWISE) or (name.text == "C" and inner.calls):
            raise self.wrong(
                inside, f"a bare variable inside {name.text}()" if name.text == "C" else f"no {inner.outer}() inside {name.text}()"
            )
        call = self.identity() if name.text == "I" else Call(name.text, self.options(name))
        self.take(")", "a closing parenthesis")
        return Factor(inner.variable, (*inner.calls, call) if call else inner.calls)

    def identity(self) -> Call | None:
        """What stands after the variable in I(x^2)."""
        if not self.at("^"):
            return None
        self.next()
        return Call("pow", (("exponent", self.number()),))

    def options(self, function: Token) -> tuple[tuple[str, Value], ...]:
        given: dict[str, Value] = {}
        while self.at(","):
            self.next()
            token = self.now
            if token.kind == "name" and self.tokens[self.place + 1].text == "=":
                name = self.next().text
                self.next()
            elif len(given) < POSITIONAL.get(function.text, 0):
                name = OPTIONS[function.text][len(given)]
            else:
                raise self.wrong(token, self.choices(function))
            if name not in OPTIONS[function.text] or name in given:
                raise self.wrong(token, self.choices(function))
            value_at = self.now
            given[name] = self.value()
            if not _fits(name, given[name]):
                raise self.wrong(value_at, f"{SHAPES[name]} for {name}")
        if function.text == "pow" and not given:
            raise self.wrong(self.now, "an exponent, as in pow(x, 2)")
        return tuple(sorted(given.items()))

    def choices(self, function: Token) -> str:
        names = ", ".join(f"{name}=" for name in OPTIONS[function.text])
        return f"one of {names}, each once" if names else f"nothing more in {function.text}()"

    def value(self) -> Value:
        if self.is_text():
            return self.next().text
        if not self.at("["):
            return self.number()
        self.next()
        values: list[float | str] = []
        while not self.at("]"):
            values.append(self.next().text if self.is_text() else self.number())
            if not self.at("]"):
                self.take(",", "a comma or ] in the list")
        self.next()
        return tuple(values)

    def number(self) -> float:
        sign = -1.0 if self.at("-") else 1.0
        if self.at("-"):
            self.next()
        if self.now.kind != "number":
            raise self.wrong(self.now, "a number")
        return sign * float(self.next().text)

    def cross(self, left: Terms, right: Terms, operator: Token) -> Terms:
        """Every product of a term on the left with one on the right."""
        products: dict[Term, None] = {}
        for a, b in product(left, right):
            products[Term(tuple(dict.fromkeys((*a.factors, *b.factors))))] = None
            self.few(tuple(islice(products, MOST_TERMS + 1)) if len(products) > MOST_TERMS else (), operator)
        return tuple(products)

    def few(self, terms: Terms, token: Token) -> Terms:
        if len(terms) > MOST_TERMS:
            raise self.wrong(token, f"a formula of at most {MOST_TERMS} terms", "Leave out terms, or multiply fewer of them")
        return terms

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def is_text(self) -> bool:
        return self.now.kind == "text"

    def at(self, text: str) -> bool:
        return self.now.kind == "sign" and self.now.text == text

    def next(self) -> Token:
        token = self.now
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def take(self, text: str, expected: str) -> None:
        if not self.at(text):
            raise self.wrong(self.now, expected)
        self.next()

    def wrong(self, token: Token, expected: str, remedy: str = "") -> StudyError:
        found = "the end" if token.kind == "end" else f'"{token.text}"'
        where = f'formula "{self.text}", character {token.place + 1}'
        return StudyError("The formula cannot be read", [Problem(where, found, expected, remedy)])


def _union(*groups: Terms) -> Terms:
    return tuple(dict.fromkeys(term for group in groups for term in group))


def _fits(name: str, value: Value) -> bool:
    if name == "ref":
        return not isinstance(value, tuple)
    if name == "levels":
        return isinstance(value, tuple) and len(value) > 1 and len(set(value)) == len(value)
    if name == "exponent":
        return isinstance(value, float)
    if name in ("df", "degree"):
        return isinstance(value, float) and value.is_integer() and 1 <= value <= (5 if name == "degree" else 50)
    numbers = isinstance(value, tuple) and all(isinstance(number, float) for number in value)
    increasing = isinstance(value, tuple) and all(a < b for a, b in pairwise(value)) if numbers else False  # type: ignore[operator]
    return increasing and (name != "range" or len(value) == 2)  # type: ignore[arg-type]
