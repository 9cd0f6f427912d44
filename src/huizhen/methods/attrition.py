"""How many patients are left after each criterion, jointly and, where the sites allow it, at each of them: an attrition table.

It is answered from the events of the sites' registries, not from rows. First every site says after which criteria its number may be
told, beside what it has answered before; then those numbers alone are added up.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from huizhen.data.criteria.attrition import rounded, told
from huizhen.data.criteria.declarations import Criteria, criteria_of
from huizhen.data.criteria.rules import Coded
from huizhen.data.examples import Examples
from huizhen.errors import CallerError, FederationError, Problem
from huizhen.methods.method import Local, ScriptedMethod, Spec, Unsound
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result, Table, Withheld

__all__ = ["AGREE", "ATTRITION", "COUNT", "AttritionSpec"]

NAME, AGREE, COUNT = "attrition", "agree", "count"
NEAR = "At some site the patients there differ by too few from a cohort that was answered before."
FEW = "At some site too few patients are left there, or too few were lost since the number before."
JOINT = "Too few patients are left there, or too few were lost since the number before."
AGAIN = "At some sites the patients have changed by fewer than the minimum since this was answered: their earlier numbers stand."


class AttritionSpec(Spec):
    """Settings of ``[method.attrition]``.

    Attributes:
        criteria: the tables of a file of criteria; in place of a file, a hierarchy is a table of lists by code.
        by_site: also the numbers of each site by itself, of those whose policies let them out.
    """

    criteria: dict[str, Any]
    by_site: bool = False

    @field_validator("criteria")
    @classmethod
    def _sound(cls, content: dict[str, Any]) -> dict[str, Any]:
        try:
            return criteria_of(content).content
        except CallerError as error:
            raise Unsound(error.problems) from None


def _program(spec: AttritionSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Two rounds. Table ``attrition``: `step`, `patients`; with `by_site` table ``by_site``: `site`, `step`, `patients`."""
    criteria = criteria_of(spec.criteria)
    may = yield Question(NAME, AGREE)
    near, few = may.sums["near"] > 0, may.sums["few"] > 0
    # Where the hub sees each site's own number, none of them may be one of few patients.
    is_seen = terms.lane == "plain" or spec.by_site
    open_ = ~(near | few) if is_seen else ~near
    notes = (AGAIN,) if may.sums["again"].sum() else ()
    total = yield Question(NAME, COUNT, {"told": open_.astype(np.int64)})
    shown = np.zeros(len(open_), dtype=bool)
    shown[open_] = told(total.sums["patients"][open_], terms.min_cell_count)
    columns = {"step": criteria.names, "patients": _rounded(total.sums["patients"], shown, terms)}
    tables = {NAME: Table(columns, index="step", caption="Patients who are left, all sites together.", counts=("patients",))}
    if spec.by_site:
        tables["by_site"] = _by_site(criteria, total, terms)
    withheld = (
        *_why(criteria, near, NEAR),
        *(_why(criteria, few & ~near, FEW) if is_seen else ()),
        *_why(criteria, open_ & ~shown, JOINT),
    )
    return Result(NAME, rows=total.rows, tables=tables, notes=notes, withheld=withheld)


def _by_site(criteria: Criteria, total: Total, terms: Terms) -> Table:
    sites, told_here = total.roster, total.individual["told"]
    found = [_rounded(total.individual["here"][site], told_here[site] == 1, terms) for site in sites]
    columns = {
        "site": tuple(site for site in sites for _ in criteria.names),
        "step": criteria.names * len(sites),
        "patients": tuple(count for counts in found for count in counts),
    }
    return Table(columns, index="step", caption="Patients who are left, by site.", counts=("patients",))


def _rounded(counts: NDArray[np.int64], shown: NDArray[np.bool_], terms: Terms) -> tuple[int | None, ...]:
    return rounded(counts, shown, terms.min_cell_count, terms.round_to)


def _why(criteria: Criteria, withheld: NDArray[np.bool_], reason: str) -> Iterator[Withheld]:
    for name in (name for name, is_so in zip(criteria.names, withheld) if is_so):
        yield Withheld(f"patients after {name}", reason)


def _patients(spec: AttritionSpec) -> tuple[str, ...]:
    """The criteria for whoever decides, one sentence each."""
    criteria = criteria_of(spec.criteria)
    lines = [f"patients of the registry with an event {criteria.index.kind}: {_facts(criteria.index)}"]
    for each in criteria.criteria:
        said = f"{each.rule.name} ({each.rule.rule}: {_facts(each.rule)})"
        lines.append(f"of them those for whom holds: {said}" if each.is_kept else f"of them those for whom does not hold: {said}")
    return tuple(lines)


def _facts(rule: Any) -> str:
    facts = rule.model_dump(mode="json", exclude={"name", "rule", "kind"}, exclude_defaults=True)
    if isinstance(rule, Coded) and len(rule.codes) > SHOWN:
        facts["codes"] = [*rule.codes[:SHOWN], f"+{len(rule.codes) - SHOWN}"]
    return "; ".join(f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in facts.items())


SHOWN = 20  # codes listed at most


def _at_site(_question: Question, _examples: Examples, _local: Local, _rng: np.random.Generator) -> NoReturn:
    problem = Problem("source", "rows of a table", 'the events of a registry, a source of kind = "registry"')
    raise FederationError("Cohorts are not counted in rows.", [problem])


ATTRITION = ScriptedMethod(
    NAME,
    AttritionSpec,
    _program,
    {AGREE: _at_site, COUNT: _at_site},
    reads=lambda _: (),
    individual=lambda spec: ("here", "told") if spec.by_site else (),
    over="events",
    patients=_patients,
)
