"""Any method over features: they are fitted first, then the method sees them as if they were variables.

The questions of the fit and the method's own are asked in one course, over one roster, through the same gate, with the same
protection. Each question of the method carries what was fitted; a site makes the columns of its rows by the declarations that it
has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import numpy as np

from huizhen.data.examples import Examples
from huizhen.errors import Problem, StudyError
from huizhen.methods.features.coding import made
from huizhen.methods.features.declared import Features
from huizhen.methods.features.fitted import Fitted
from huizhen.methods.features.fitting import FITTED, fit, fit_steps, variables_of
from huizhen.methods.features.telling import FEATURES, facts_of, from_facts, table_of
from huizhen.methods.method import Local, Method, Milestone, ScriptedMethod, Step, Use
from huizhen.privacy.release import Answer, Question, Terms
from huizhen.privacy.result import Result, Table

__all__ = ["featured", "spelled_out"]

CANNOT = "The method cannot see these features."
WORD = re.compile(r"""`[^`]*`|"[^"]*"|'[^']*'|[^\W\d][\w.]*""")
KEPT = "rows"  # in the memo: the rows with their features


def featured(method: Method, spec: Any, features: Features) -> ScriptedMethod:
    """The method over those features that its settings name; for these settings alone.

    Raises:
        StudyError: a feature is of another kind than the method needs, or the method cannot carry features; all are named.
    """
    uses = method.uses(spec)
    _check(method, spec, uses, features)
    assert isinstance(method, ScriptedMethod)
    mine = features.only(use.name for use in uses)
    drawn = method.drawn(spec) if method.drawn is not None else None

    def program(spec: Any, terms: Terms) -> Generator[Any, Any, Result]:
        fitted = yield from fit(method.name, mine, terms, drawn)
        inner = method.program(spec, _extended(terms, mine, fitted))
        return (yield from _led(inner, mine, fitted, terms))

    def resume(spec: Any, terms: Terms, value: Any) -> Generator[Any, Any, Result]:
        assert method.resume is not None
        fitted = Fitted.told(value[FITTED], mine, whole=True)
        inner = method.resume(spec, _extended(terms, mine, fitted), value["of"])
        return (yield from _led(inner, mine, fitted, terms))

    def appraise(result: Result, spec: Any, terms: Terms, examples: Examples, fold: int) -> Mapping[str, Table]:
        assert method.appraise is not None
        _, fitted, _ = from_facts(result.facts[FEATURES])
        return method.appraise(result, spec, _extended(terms, mine, fitted), made(mine, fitted, examples), fold)

    return replace(
        method,
        program=program,
        steps={**fit_steps(mine), **{name: _over(mine, step) for name, step in method.steps.items()}},
        reads=lambda _: _reads(uses, mine),
        needs=lambda spec: [name for name in method.complete(spec) if name not in mine.owner],
        resume=resume if method.resume is not None else None,
        appraise=appraise if method.appraise is not None else None,
        noised=_no_noise,
        noised_by_settings=None if method.noised_by_settings is None else lambda spec: _none_by_settings(method, spec),
        _running=WeakKeyDictionary(),
    )


def spelled_out(settings: Any, features: Features) -> Any:
    """A method's settings with the columns of a feature in the place of its name, where it has several: in lists and formulas."""
    several = {name: features.columns(name) for name in features.expressions if features.kind(name) == "columns"}
    return _spelled(settings, several) if several else settings


def _spelled(value: Any, several: Mapping[str, tuple[str, ...]]) -> Any:
    if isinstance(value, Mapping):
        return {key: _spelled(inner, several) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [each for one in value for each in (several.get(one, (one,)) if isinstance(one, str) else (one,))]
    if isinstance(value, str) and value in several:
        return list(several[value])
    if isinstance(value, str) and "~" in value:
        return _spelled_formula(value, several)
    return value


def _spelled_formula(text: str, several: Mapping[str, tuple[str, ...]]) -> str:
    """Text in quotes and names in backticks stay as they are."""
    return WORD.sub(lambda word: f"({' + '.join(several[word[0]])})" if word[0] in several else word[0], text)


def _led(inner: Any, features: Features, fitted: Fitted, terms: Terms) -> Generator[Any, Any, Result]:
    """The method's program: its questions carry what was fitted, and name the variables that features are made of."""
    told: Any = None
    while True:
        try:
            said = next(inner) if told is None else inner.send(told)
        except StopIteration as stop:
            return _with_features(stop.value, features, fitted, terms)
        if isinstance(said, Milestone):
            yield Milestone({FITTED: fitted.facts(), "of": said.value})
            told = None
        else:
            told = yield replace(said, facts={**said.facts, FITTED: fitted.facts()}, variables=_sources(said.variables, features))


def _with_features(result: Result, features: Features, fitted: Fitted, terms: Terms) -> Result:
    if result.failure:
        return result
    tables = {**result.tables, FEATURES: table_of(features, fitted)}
    return replace(result, facts={**result.facts, FEATURES: facts_of(features, fitted, terms)}, tables=tables)


def _over(features: Features, step: Step) -> Step:
    """A step of the method, over rows with their features."""

    def answer(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:
        facts = dict(question.facts)
        fitted = Fitted.told(facts.pop(FITTED), features, whole=True)
        memo = local.memo
        if memo.get("fitted") != fitted.parameters:  # what was derived from other features is of no use
            memo = {"fitted": fitted.parameters, KEPT: made(features, fitted, examples), "of": {}}
        inner = replace(local, memo=memo["of"])
        answered, after = step(replace(question, facts=facts), memo[KEPT], inner, rng)
        return answered, replace(after, memo={**memo, "of": after.memo})

    return answer


def _extended(terms: Terms, features: Features, fitted: Fitted) -> Terms:
    return replace(terms, variables={**terms.variables, **variables_of(features, fitted)})


def _reads(uses: Iterable[Use], features: Features) -> list[Use]:
    """The variables of the sites' sources, each once; as a number or a category where one use says so."""
    kinds: dict[str, Use] = {}
    for use in (*(use for use in uses if use.name not in features.owner), *features.reads):
        if use.name not in kinds or kinds[use.name].kind == "any":
            kinds[use.name] = use
    return [*kinds.values(), *_conflicts(uses, features, kinds)]


def _conflicts(uses: Iterable[Use], features: Features, kinds: Mapping[str, Use]) -> list[Use]:
    """Uses of one variable as two kinds, so that the study's own check sees them."""
    every = (*(use for use in uses if use.name not in features.owner), *features.reads)
    return [use for use in dict.fromkeys(every) if use.kind not in ("any", kinds[use.name].kind)]


def _sources(variables: Iterable[str], features: Features) -> tuple[str, ...]:
    """The variables of a question as a site's source and policy know them."""
    found: dict[str, None] = {}
    for name in variables:
        found |= dict.fromkeys(features.origins(name) if name in features.owner else (name,))
    return tuple(found)


def _check(method: Method, spec: Any, uses: Iterable[Use], features: Features) -> None:
    if not isinstance(method, ScriptedMethod):
        problem = Problem("", "a method that is no program over totals", "one that is", "Use variables in place of features")
        raise StudyError(CANNOT, [problem])
    problems = []
    for use in uses:
        if use.name not in features.owner or use.kind == "any":
            continue
        name = features.owner[use.name]
        kind = "category" if features.kind(name) == "category" else "number"
        if kind != use.kind:
            expected = {"number": "a number", "category": "a category", "image": "an image"}[use.kind]
            problems.append(Problem(use.name, f"a feature that is a {kind}", expected))
    conditions = method.drawn(spec)[0].uses if method.drawn is not None else {}
    problems += [
        Problem(name, "a feature in a condition that holds rows aside", "a variable", "Features are fitted on the other rows")
        for name in conditions
        if name in features.owner
    ]
    if problems:
        raise StudyError(CANNOT, problems)


def _no_noise(*_: Any) -> NoReturn:
    expected = "variables, with ranges and levels that the study declares"
    remedy = "Leave [features] out, or [protection.noise]"
    raise StudyError("Noise cannot be added.", [Problem("", "features, whose fit carries no noise", expected, remedy)])


def _none_by_settings(method: ScriptedMethod, spec: Any) -> tuple[Any, ...]:
    assert method.noised_by_settings is not None
    return _no_noise() if method.noised_by_settings(spec) else ()
