"""A site's disclosure policy, and the rules that judge an answer by it: pure, and closed where they know nothing.

>>> policy = disclosure_policy({"min_rows": 20, "denied_variables": ["postcode"]})
>>> admits(policy, method="cox", lane="embedded", variables=("age", "postcode"), rows=12).clauses
('denied_variables', 'min_rows')
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from huizhen.errors import PolicyError, Problem, SiteError
from huizhen.policy.budget import Budget
from huizhen.policy.decision import ALLOWED, Context, Decision
from huizhen.policy.differencing import differencing
from huizhen.privacy.release import Answer, Part, Question, Terms, Total, Variable

__all__ = [
    "Context",
    "Decision",
    "DisclosurePolicy",
    "Lane",
    "admits",
    "decide",
    "disclosure_policy",
    "judge_answer",
    "judge_rows",
    "judge_total",
    "strictest",
]

Lane = Literal["embedded", "plain", "masked"]
LANES: tuple[Lane, ...] = get_args(Lane)
EVERY_METHOD: Literal["any installed"] = "any installed"
EVERY_VARIABLE: Literal["*"] = "*"
ALWAYS_ALLOWED = frozenset({"site"})  # the site's own name: a public fact, constant in its rows
PIECE = 65_536  # entries looked at at once
JUDGED_TOTALS = ("classes", "events")  # parts whose joint counts decide whether a model may be fitted at all


class DisclosurePolicy(BaseModel):
    """What one site lets out, as it stands in the table ``[policy]`` of its configuration; frozen, unknown keys are refused.

    Attributes:
        min_cell_count: no published number of patients lies between 1 and this minus 1 (1 = no rule).
        min_rows: an answer rests on at least this many rows.
        max_degrees: the most model parameters per row.
        round_to: published counts are rounded to a multiple of this (1 = exact).
        methods: the methods that may run here, or ``any installed``.
        variables: the variables that may be read, or ``*``.
        denied_variables: variables that may not be read, whatever `variables` says.
        allow_individual: whether an answer may contain arrays that the hub sees as this site's own.
        allow_one_class: whether an answer may show that all patients of this site have the same outcome.
        lanes: how sums may be formed: ``embedded`` in this process, ``plain`` at the hub, ``masked`` so that it sees totals only.
        budget: what all studies together may reveal in the sense of differential privacy, or None for no such limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    min_cell_count: int = Field(default=5, ge=1, le=10_000)
    min_rows: int = Field(default=10, ge=1)
    max_degrees: float = Field(default=0.33, gt=0, le=1, allow_inf_nan=False)
    round_to: int = Field(default=1, ge=1, le=10_000)
    methods: tuple[str, ...] | Literal["any installed"] = EVERY_METHOD
    variables: tuple[str, ...] | Literal["*"] = EVERY_VARIABLE
    denied_variables: tuple[str, ...] = ()
    allow_individual: bool = False
    allow_one_class: bool = False
    lanes: tuple[Lane, ...] = Field(default=LANES, min_length=1)
    budget: Budget | None = None

    @field_validator("methods", "variables", "denied_variables", "lanes", mode="before")
    @classmethod
    def _list_as_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    def clauses(self) -> Mapping[str, str]:
        """Every clause and its value in words, for a reader."""
        return {name: _show(value) for name, value in self}


def disclosure_policy(table: Mapping[str, Any], *, where: str = "policy") -> DisclosurePolicy:
    """The policy in a configuration table.

    Raises:
        SiteError: the table has mistakes; all are named at once.
    """
    try:
        return DisclosurePolicy.model_validate(dict(table))
    except ValidationError as error:
        raise SiteError(f"The disclosure policy in [{where}] cannot be used.", _problems(error, where)) from None


def strictest(
    policies: Iterable[DisclosurePolicy], *, lane: Lane, variables: Mapping[str, Variable], roster: Iterable[str]
) -> Terms:
    """What all participants can agree to: of every clause the strictest.

    Raises:
        PolicyError: there is no policy, or one does not allow the lane.
    """
    agreed = tuple(policies)
    if not agreed or any(lane not in policy.lanes for policy in agreed):
        found = "no policy at all" if not agreed else "a policy without it"
        raise PolicyError(
            f"The lane {lane} cannot be used.", [Problem("policy.lanes", found, f"{lane} in every participant's lanes")]
        )
    return Terms(
        min_cell_count=max(policy.min_cell_count for policy in agreed),
        round_to=max(policy.round_to for policy in agreed),
        max_degrees=min(policy.max_degrees for policy in agreed),
        lane=lane,
        allow_individual=all(policy.allow_individual for policy in agreed),
        variables=dict(variables),
        roster=tuple(roster),
        allow_exact=all(policy.budget is None or policy.budget.allow_exact for policy in agreed),
    )


def admits(policy: DisclosurePolicy, *, method: str, lane: str, variables: Iterable[str], rows: int | None = None) -> Decision:
    """Whether a site can take part at all, known before the first question is asked.

    Args:
        rows: the rows that the site would answer from, or None to leave them out of the judgement.
    """
    checks = [_lane(policy, lane), _method(policy, method), *_variables(policy, variables)]
    if rows is not None:
        checks.append(judge_rows(policy, rows))
    return Decision.all_of(checks)


def decide(policy: DisclosurePolicy, question: Question, answer: Answer, context: Context) -> Decision:
    """Whether an answer may leave; it leaves whole or not at all.

    In every lane: method, variables, lane, rows, individual parts, one class only, and anything that these rules do not know.
    In the plain lane the hub sees the answer as it is, so every part is judged: no cell from 1 to the minimum minus 1, no label
    behind which fewer rows stand, no part that rests on too few rows, and not too many model parameters. In the masked and embedded
    lanes totals are seen, and `judge_total` judges those; in the masked lane no question is answered for rosters whose totals
    would leave the answer of fewer than three sites by subtraction.
    """
    first = admits(policy, method=question.method, lane=context.lane, variables=question.variables, rows=answer.rows)
    return Decision.all_of([first, *judge_answer(policy, question, answer, context)])


def judge_rows(policy: DisclosurePolicy, rows: int) -> Decision:
    """Whether an answer rests on enough rows; the number itself is not told."""
    if rows >= policy.min_rows:
        return ALLOWED
    reason = (
        f"min_rows is {policy.min_rows}, and fewer complete rows are in the cohort here; leave this site out or widen the cohort"
    )
    return Decision.refuse("min_rows", reason)


def judge_answer(policy: DisclosurePolicy, question: Question, answer: Answer, context: Context) -> list[Decision]:
    """The part of `decide` that reads the answer and the roster: the refusals, none if it may leave."""
    refusals = differencing(context)
    for name, part in answer.parts.items():
        malformed = _malformed(name, part)
        refusals += [malformed] if malformed else _part(policy, name, part, context)
    if context.lane == "plain":
        refusals += _plain(policy, question, answer)
    return refusals


def judge_total(terms: Terms, question: Question, total: Total, cells: Collection[str]) -> Decision:
    """Whether the hub may go on with a total, where it sees totals only (embedded and masked lanes).

    Model parameters are held against all rows. Of the parts that are counts of patients only those named ``classes`` (rows by
    outcome class) and ``events`` are judged: a model on a joint class of 1 to minimum minus 1 patients describes those patients.
    Other counts, such as histograms and tables, are not refused here: the method merges them, or publication suppresses them.

    Args:
        cells: names of the parts whose entries are numbers of patients.
    """
    if terms.lane not in LANES:
        return Decision.refuse("lanes", f"lane: found {terms.lane!r}, expected one of {', '.join(LANES)}")
    refusals = [_degrees(terms.max_degrees, question, total.rows, "all sites together")]
    for name in JUDGED_TOTALS:
        if name in cells and _has_small(_joint(total, name), terms.min_cell_count):
            expected = f"min_cell_count is {terms.min_cell_count}, and a joint number of patients in {name!r} lies below it"
            refusals.append(
                Decision.refuse("min_cell_count", f"{expected}: no model is fitted. Choose an outcome that more patients had.")
            )
    return Decision.all_of(refusals)


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)


def _problems(error: ValidationError, where: str) -> list[Problem]:
    """One for each key; a key that may be a list or a word has two complaints from pydantic, told as one."""
    by_key: dict[tuple[str, ...], list[str]] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        place = tuple(map(str, detail["loc"])) or ("",)
        by_key.setdefault(place[: 2 if place[0] == "budget" else 1], []).append(detail["msg"])
    return [_problem(".".join((where, *place)), place[-1], _keys(place), messages) for place, messages in by_key.items()]


def _keys(place: tuple[str, ...]) -> Collection[str]:
    return (Budget if len(place) > 1 else DisclosurePolicy).model_fields


def _problem(where: str, key: str, known: Collection[str], messages: list[str]) -> Problem:
    if key not in known:
        return Problem(where, "an unknown key", f"one of: {', '.join(known)}")
    return Problem(where, "another value", " or: ".join(dict.fromkeys(messages)))


def _lane(policy: DisclosurePolicy, lane: str) -> Decision:
    if lane in policy.lanes and lane in LANES:
        return ALLOWED
    return Decision.refuse("lanes", f"lanes: found {lane!r}, expected one of {', '.join(policy.lanes)}")


def _method(policy: DisclosurePolicy, method: str) -> Decision:
    if policy.methods == EVERY_METHOD or method in policy.methods:
        return ALLOWED
    return Decision.refuse("methods", f"methods: found {method!r}, which this site has not enabled; ask the site to add it")


def _variables(policy: DisclosurePolicy, variables: Iterable[str]) -> list[Decision]:
    read = [name for name in variables if name not in ALWAYS_ALLOWED]
    denied = [name for name in read if name in policy.denied_variables]
    absent = [] if policy.variables == EVERY_VARIABLE else [name for name in read if name not in (*policy.variables, *denied)]
    found = [("denied_variables", denied, "which this site denies"), ("variables", absent, "which this site has not allowed")]
    return [
        Decision.refuse(clause, f"{clause}: found {', '.join(names)}, {why}; leave them out of the study, or ask the site")
        for clause, names, why in found
        if names
    ]


def _malformed(name: str, part: Part) -> Decision | None:
    """Fail closed: what these rules cannot read, they do not let out."""
    if not isinstance(part.values, np.ndarray) or part.values.dtype not in (np.float64, np.float32, np.int64):
        return Decision.refuse("form", f"part {name!r}: expected an array of float64, float32 or int64, found another type")
    if part.kind not in ("addend", "individual"):
        return Decision.refuse("form", f"part {name!r}: expected an addend or an individual release, found another kind")
    if part.keys is not None and (part.values.shape != (len(part.keys),) or len(set(part.keys)) != len(part.keys)):
        return Decision.refuse("form", f"part {name!r}: expected one number for each of its labels, each label once")
    if part.values.dtype != np.int64 and not _is_finite(part.values):
        return Decision.refuse(
            "finite", f"part {name!r}: expected finite numbers, found some that are not; check the variables' ranges"
        )
    broken = part.values.dtype != np.int64 and bool((part.values != np.floor(part.values)).any())
    if part.cells and (broken or (part.values < 0).any()):
        return Decision.refuse("form", f"part {name!r}: expected numbers of patients, found a negative or broken number")
    return None


def _is_finite(values: NDArray[Any]) -> bool:
    """Whether every entry is; piece by piece, for the weights of a network fill no cache."""
    flat = values.reshape(-1)
    return all(bool(np.isfinite(flat[start : start + PIECE]).all()) for start in range(0, flat.size, PIECE))


def _part(policy: DisclosurePolicy, name: str, part: Part, context: Context) -> list[Decision]:
    refusals = []
    if part.kind == "individual" and not policy.allow_individual:
        remedy = "choose a method or setting that only adds up, or ask the site"
        refusals.append(
            Decision.refuse("allow_individual", f"allow_individual is no, and part {name!r} is an individual release; {remedy}")
        )
    if name == "classes" and part.cells and not policy.allow_one_class and _is_of_one_class(part.values):
        remedy = "set allow_one_class = true in this site's policy, or leave this site out"
        reason = (
            f"allow_one_class is no, and all patients here have the same outcome, so that any answer tells each one's; {remedy}"
        )
        refusals.append(Decision.refuse("allow_one_class", reason))
    if context.lane == "plain" or part.kind == "individual":
        refusals += _seen(policy, name, part)
    elif context.in_clear:
        refusals += _small_cells(policy, name, part)
    return refusals


def _is_of_one_class(counts: NDArray[Any]) -> bool:
    """Whether all patients have the same outcome; of several labels, one a row, all the same of some label."""
    return bool(counts.size and ((counts.sum(axis=-1) > 0) & (counts.sum(axis=-1) == counts.max(axis=-1))).any())


def _seen(policy: DisclosurePolicy, name: str, part: Part) -> list[Decision]:
    """A part that the hub will see as this site's own."""
    refusals = []
    if 0 < part.rows < policy.min_rows:
        reason = f"min_rows is {policy.min_rows}, and part {name!r} rests on fewer; widen the cohort, or use the masked lane"
        refusals.append(Decision.refuse("min_rows", reason))
    return refusals + _small_cells(policy, name, part)


def _small_cells(policy: DisclosurePolicy, name: str, part: Part) -> list[Decision]:
    if part.cells and _has_small(part.values, policy.min_cell_count, lowest=0 if part.keys is not None else 1):
        reason = f"min_cell_count is {policy.min_cell_count}, and part {name!r} has a cell below it; use coarser groups"
        return [Decision.refuse("min_cell_count", reason)]
    return []


def _plain(policy: DisclosurePolicy, question: Question, answer: Answer) -> list[Decision]:
    counted = {part.keys for part in answer.parts.values() if part.cells}
    bare = [name for name, part in answer.parts.items() if part.keys is not None and part.keys not in counted]
    refusals = [
        Decision.refuse("min_cell_count", f"part {name!r}: expected the number of patients behind each label beside it, found none")
        for name in bare
    ]
    degrees = _degrees(policy.max_degrees, question, answer.rows, "this site")
    return refusals if degrees.allowed else [*refusals, degrees]


def _degrees(most: float, question: Question, rows: int, whose: str) -> Decision:
    if question.degrees <= most * rows:
        return ALLOWED
    found = f"{question.degrees} model parameters are too many for the rows of {whose}"
    return Decision.refuse("max_degrees", f"max_degrees is {most:g} per row, and {found}; use fewer terms or more rows")


def _has_small(counts: NDArray[Any], minimum: int, *, lowest: int = 1) -> bool:
    return bool(((counts >= lowest) & (counts < minimum)).any())


def _joint(total: Total, name: str) -> NDArray[Any]:
    return np.asarray(total.sums[name]) if name in total.sums else np.array(list(total.keyed.get(name, {}).values()))
