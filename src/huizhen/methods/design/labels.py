"""The levels of a formula's categories, agreed over all participants, the reference first."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from huizhen.data.examples import show_number
from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import ask_levels, refuse_rare
from huizhen.methods.design.formula import Factor
from huizhen.privacy.release import Question, Terms, Total

__all__ = ["agree_labels", "declared_labels"]


def agree_labels(
    method: str, factors: Sequence[Factor], terms: Terms
) -> Generator[Question, Total, Mapping[Factor, tuple[str, ...]]]:
    """The levels of each category, the reference first.

    Raises:
        NotEstimable: rows with a label that is not declared, levels with fewer rows than the minimum, one level only, or a
            reference that is no level. No label is named: a rare one would give a patient away.
    """
    if not factors:
        return {}
    counted = yield from ask_levels(method, [(factor.variable, _declared(factor, terms)) for factor in factors])
    return {factor: _levels(factor, counts, terms) for factor, counts in zip(factors, counted)}


def declared_labels(factor: Factor, terms: Terms) -> tuple[str, ...]:
    """The levels of a category as declared, the reference first; () where none are. Nothing is asked.

    Raises:
        NotEstimable: its reference is none of them.
    """
    declared = _declared(factor, terms)
    return _with_reference(factor, declared) if declared else ()


def _declared(factor: Factor, terms: Terms) -> tuple[str, ...]:
    stated = factor.calls[-1].option("levels") if factor.calls else None
    if stated:
        return tuple(_label(level) for level in stated)
    variable = terms.variables.get(factor.variable)
    return variable.levels if variable is not None else ()


def _label(value: str | float) -> str:
    return value if isinstance(value, str) else show_number(value)


def _levels(factor: Factor, counts: Mapping[str, int], terms: Terms) -> tuple[str, ...]:
    refuse_rare(factor.variable, counts, max(terms.min_cell_count, 1))
    if len(counts) < 2:
        raise NotEstimable(f"{factor.variable}: all complete rows have the same level, so it explains nothing; leave it out")
    return _with_reference(factor, tuple(counts))


def _with_reference(factor: Factor, levels: tuple[str, ...]) -> tuple[str, ...]:
    stated = factor.calls[-1].option("ref") if factor.calls else None
    if stated is None:
        return levels
    reference = _label(stated)
    if reference not in levels:
        raise NotEstimable(f'{factor.variable}: ref="{reference}" is none of its {len(levels)} levels')
    return (reference, *(level for level in levels if level != reference))
