"""Which categories of a term get a column of their own: treatment contrasts wherever the full set would be redundant.

A category is coded without its first level where its full set of indicators adds nothing to what earlier terms span, and with all
levels where it does: without an intercept, or in a product without its margins. This is the rule of Chambers and Hastie
(Statistical Models in S, 1992, section 2.4.1) as patsy carries it out; wherever R's own shortcut leads to a full-rank matrix, the
two agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

from huizhen.methods.design.formula import Factor, Formula, Term

__all__ = ["Block", "blocks"]


@dataclass(frozen=True, slots=True)
class Block:
    """A product of factors; every category in it shows all its levels, or all but the first.

    Attributes:
        term: the term it belongs to.
        factors: in the term's order, some of them may be missing.
        full: the categories that show all levels.
    """

    term: Term
    factors: tuple[Factor, ...]
    full: frozenset[Factor]


def blocks(formula: Formula, is_category: Callable[[Factor], bool]) -> tuple[Block, ...]:
    """The blocks of columns of every term, in order, without the intercept's own."""
    # Terms with the same numeric factors compete for the same space; others never do.
    used: dict[frozenset[Factor], set[frozenset[Factor]]] = {frozenset(): {frozenset()} if formula.intercept else set()}
    found: list[Block] = []
    for term in formula.terms:
        numeric = frozenset(factor for factor in term.factors if not is_category(factor))
        categories = [factor for factor in term.factors if factor not in numeric]
        taken = used.setdefault(numeric, set())
        fresh = [subset for subset in _subsets(categories) if subset not in taken]
        taken.update(fresh)
        found += [_block(term, numeric, part) for part in _merge([_Part(subset, frozenset()) for subset in fresh])]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Part:
    categories: frozenset[Factor]
    full: frozenset[Factor]

    def with_room_for(self, other: _Part) -> _Part | None:
        """The one part that spans this and `other`, which has one contrast-coded category more; None if they do not fit."""
        more = other.categories - self.categories
        if len(more) != 1 or not self.categories <= other.categories or other.full - more != self.full or more & other.full:
            return None
        return _Part(other.categories, other.full | more)


def _block(term: Term, numeric: frozenset[Factor], part: _Part) -> Block:
    return Block(term, tuple(factor for factor in term.factors if factor in numeric or factor in part.categories), part.full)


def _subsets(factors: Iterable[Factor]) -> list[frozenset[Factor]]:
    listed = list(factors)
    return [frozenset(subset) for size in range(len(listed) + 1) for subset in combinations(listed, size)]


def _merge(parts: list[_Part]) -> list[_Part]:
    for short, long in combinations(range(len(parts)), 2):
        joined = parts[short].with_room_for(parts[long])
        if joined:
            return _merge([joined if place == long else part for place, part in enumerate(parts) if place != short])
    return parts
