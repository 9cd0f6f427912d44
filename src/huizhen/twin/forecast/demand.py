"""Operations behind a question, counted from the formulas of its method; of a method without one, none are known."""

from __future__ import annotations

from huizhen.privacy.release import Question
from huizhen.twin.compute.formulas import FORMULAS, Sizes, formula_works
from huizhen.twin.course import Work
from huizhen.twin.simulate.rehearsal import no_demand

__all__ = ["counted"]


def counted(method: str, question: Question, rows: int, columns: int) -> Work:
    """The work of one site for one question.

    Args:
        rows, columns: of the site's part in it; an intercept is added.
    """
    if method not in FORMULAS:
        return no_demand(method, question, rows, columns)
    return formula_works(method, Sizes(rows, columns + 1)).get(question.step) or no_demand(method, question, rows, columns)
