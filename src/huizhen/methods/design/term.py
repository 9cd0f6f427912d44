"""What a formula says, as frozen facts: factors, their products (terms), and the formula as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from huizhen.data.examples import show_number
from huizhen.methods.method import Use

__all__ = ["ELEMENTWISE", "OPTIONS", "POSITIONAL", "Call", "Factor", "Formula", "Term", "Value", "by_degree"]

Value = float | str | tuple[float | str, ...]

ELEMENTWISE = ("log", "log2", "log10", "log1p", "sqrt", "exp", "pow")
# What each function may be told besides its variable: names in the order in which they may also stand without a name.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "C": ("ref", "levels"),
    "bs": ("df", "knots", "range", "degree"),
    "ns": ("df", "knots", "range"),
    "center": (),
    "scale": (),
    "pow": ("exponent",),
    **{name: () for name in ELEMENTWISE if name != "pow"},
}
POSITIONAL = {"bs": 1, "ns": 1, "pow": 1}


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it was told, options sorted by name."""

    name: str
    options: tuple[tuple[str, Value], ...] = ()

    def option(self, name: str) -> Any:
        """What the option was set to, or None."""
        return dict(self.options).get(name)


@dataclass(frozen=True, slots=True)
class Factor:
    """A variable with the functions applied to it, the innermost first."""

    variable: str
    calls: tuple[Call, ...] = ()

    @property
    def outer(self) -> str:
        """Name of the outermost function, "" for the bare variable."""
        return self.calls[-1].name if self.calls else ""

    def __str__(self) -> str:
        text = self.variable
        for call in self.calls:
            text = _show_call(call, text)
        return text

    def facts(self) -> dict[str, Any]:
        """Canonical form."""
        return {"variable": self.variable, "calls": [[call.name, dict(call.options)] for call in self.calls]}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Factor:
        """The factor behind `facts`."""
        calls = [
            Call(name, tuple(sorted((key, tuple(value) if isinstance(value, list) else value) for key, value in options.items())))
            for name, options in facts["calls"]
        ]
        return cls(facts["variable"], tuple(calls))


@dataclass(frozen=True, slots=True)
class Term:
    """A product of factors, in the order in which they were written."""

    factors: tuple[Factor, ...]

    def __str__(self) -> str:
        return ":".join(str(factor) for factor in self.factors)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Term) and set(self.factors) == set(other.factors)

    def __hash__(self) -> int:
        return hash(frozenset(self.factors))

    def __le__(self, other: Term) -> bool:
        """Whether this term is marginal to `other`: all its factors stand in it."""
        return set(self.factors) <= set(other.factors)


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula.

    Attributes:
        text: as it was written.
        response: the left-hand side, or None.
        terms: the right-hand side without the intercept, by degree, then as written (R's order).
        intercept: whether there is one.
    """

    text: str
    response: Factor | None
    terms: tuple[Term, ...]
    intercept: bool = True

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The distinct factors of the right-hand side, in order."""
        return tuple(dict.fromkeys(factor for term in self.terms for factor in term.factors))

    @property
    def variables(self) -> tuple[str, ...]:
        """The distinct variables of the right-hand side, in order."""
        return tuple(dict.fromkeys(factor.variable for factor in self.factors))

    def uses(self) -> tuple[Use, ...]:
        """The variables of the right-hand side, and as what they are read."""
        numbers = {factor.variable for factor in self.factors if factor.outer not in ("", "C")}
        return tuple(Use(name, "number" if name in numbers else "any") for name in self.variables)

    def plus(self, term: Term) -> Formula:
        """The formula with one more term."""
        return self if term in self.terms else Formula(self.text, self.response, by_degree((*self.terms, term)), self.intercept)


def by_degree(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms by their number of factors, otherwise as they stand (R's order)."""
    return tuple(sorted(terms, key=lambda term: len(term.factors)))


def _show_call(call: Call, inner: str) -> str:
    if call.name == "C":
        return inner  # a category is named by its variable: stage[II]
    if call.name == "pow":
        return f"I({inner}^{_show(call.option('exponent'))})"
    first = POSITIONAL.get(call.name, 0)
    named = dict(call.options)
    shown = [
        _show(named[name]) if place < first else f"{name}={_show(named[name])}"
        for place, name in enumerate(OPTIONS[call.name])
        if name in named
    ]
    return f"{call.name}({', '.join([inner, *shown])})"


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_show(one) for one in value)}]"
    return f'"{value}"' if isinstance(value, str) else show_number(value)
