"""A method over one table: what a site finds by itself, and what a site tells a meta-analysis. Pure; no policy, no engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from huizhen.data.examples import Examples
from huizhen.methods.method import Finished, Local, Method
from huizhen.privacy.release import Answer, Question, Terms, Total
from huizhen.privacy.result import Result

__all__ = ["alone", "total_of_one"]


def alone(
    method: Method,
    spec: Any,
    terms: Terms,
    examples: Examples,
    *,
    site: str = "alone",
    asking: Callable[[Question], None] | None = None,
    judge: Callable[[Question, Answer], None] | None = None,
    entropy: Callable[[int], bytes] | None = None,
) -> Result:
    """The method's result with one participant.

    Args:
        terms: as agreed; a method that draws begins from their seed.
        examples: its rows within the cohort; those that miss a needed variable are left out here.
        site: the participant's name; its roster.
        asking: is shown every question before it is answered.
        judge: is shown every answer before the method sees it, and may raise.
        entropy: so many bytes from a secure source, for methods whose draws must stay secret.

    Returns:
        The result; `Result.failure` says where there is no answer.

    Raises:
        SiteError, CallerError: as the method's own steps and program do.
    """
    rows = examples.where(examples.complete(method.complete(spec)))
    rng = np.random.default_rng(terms.seed)
    state, local = method.begin(spec, replace(terms, roster=(site,))), Local(entropy=entropy)
    while not isinstance(asked := method.ask(state), Finished):
        if asking is not None:
            asking(asked)
        answer, local = method.answer(asked, rows, local, rng=rng)
        if judge is not None:
            judge(asked, answer)
        state = method.fold(state, total_of_one(answer, site))
    return asked.result


def total_of_one(answer: Answer, site: str) -> Total:
    """The sum over a single participant."""
    addends = {name: part for name, part in answer.parts.items() if part.kind == "addend"}
    return Total(
        sums={name: part.values for name, part in addends.items() if part.keys is None},
        keyed={name: dict(sorted(zip(part.keys, part.values.tolist()))) for name, part in addends.items() if part.keys is not None},
        individual={name: {site: part.values} for name, part in answer.parts.items() if part.kind == "individual"},
        rows=answer.rows,
        roster=(site,),
    )
