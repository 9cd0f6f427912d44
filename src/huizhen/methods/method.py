"""What a method is, and how one is written as a program over totals.

A method is four pure functions and a frozen state, so that every engine can drive it: `begin`, `ask`, `answer` (at the site,
on its rows) and `fold`. Most methods are easier to read as one program that asks, waits for the total and goes on:

    def program(spec, terms):
        total = yield Question("mean", "sums", variables=(spec.variable,))
        return Result("mean", facts={"mean": float(total.sums["sum"] / total.sums["n"])})

`ScriptedMethod` makes the four functions from it. The state is the history of totals: frozen, small, and enough to replay the
program to the same question, after a crash, in an audit or in the twin. A program of many large totals (the trees of a forest, the
rounds of a network) also yields a `Milestone` now and then: what it can be begun again from, so that older totals may go.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from huizhen.data.examples import Examples
from huizhen.data.folds import Aside
from huizhen.errors import MachineError, NotEstimable, Problem, StudyError
from huizhen.privacy.noisysteps import NoisyStep
from huizhen.privacy.release import EMPTY, Answer, Question, Terms, Total, Variable
from huizhen.privacy.result import Result, Table

__all__ = [
    "Appraise",
    "Export",
    "Finished",
    "History",
    "Local",
    "Method",
    "Milestone",
    "Names",
    "Noised",
    "Program",
    "ScriptedMethod",
    "Spec",
    "Step",
    "Team",
    "Unsound",
    "Use",
    "without_noise",
]


class Spec(BaseModel):
    """A method's own settings, as they stand under ``[method.NAME]`` in a study file; frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Unsound(ValueError):
    """What a validator of a `Spec` raises for a setting that holds settings of its own: each mistake with its key below it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


def _as_names(value: Any) -> Any:
    """A study file may write one name as text, several as a list."""
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]


@dataclass(frozen=True, slots=True)
class Use:
    """A variable that a method reads, and as what: a number, a category, either of them, or an image."""

    name: str
    kind: Literal["number", "category", "any", "image"]


class Team(Protocol):
    """Processes of one site that compute one answer together, each on its share of the rows; all are asked the same."""

    @property
    def rank(self) -> int:
        """Which of them this is, from 0."""

    @property
    def size(self) -> int:
        """How many they are."""

    def add(self, values: Any) -> None:
        """Replaces a tensor by its sum over all of them, to the same bytes in each; all call it alike."""


@dataclass(frozen=True, slots=True)
class Local:
    """What a site keeps for one analysis; never released.

    Attributes:
        kept: checkpointed at the site; canonical values only.
        memo: derived from rows and questions, rebuilt when lost, never checkpointed.
        entropy: so many bytes from the site's secure source, for what must stay secret; None: the site was given none.
        counted: the number of the site's rows as it was told, with noise, where noise hides a patient; None: it is no secret.
        team: with whom this process computes; None: alone.
    """

    kept: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    memo: dict[str, Any] = field(default_factory=dict)
    entropy: Callable[[int], bytes] | None = field(default=None, repr=False, compare=False)
    counted: int | None = None
    team: Team | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """A method has nothing more to ask."""

    result: Result


@dataclass(frozen=True, slots=True)
class Milestone:
    """What a program can be begun again from, in place of the totals before it: canonical values only."""

    value: Any


class Method(Protocol):
    """A joint computation. `exact`: it equals the pooled answer and keeps one roster for a whole run."""

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> type[Spec]: ...

    @property
    def exact(self) -> bool: ...

    @property
    def telling(self) -> frozenset[str]:
        """Facts by which a question only tells again what another of its facts names, and the site holds to that name.

        They make no difference to the answer, so a question that has them and one that has not are the same question: neither
        may be answered for another roster so that the totals could be subtracted.
        """

    def uses(self, spec: Any) -> tuple[Use, ...]:
        """The variables that the method reads."""

    def complete(self, spec: Any) -> tuple[str, ...]:
        """The variables that a row must not miss to take part; other variables may be missing in it."""

    def begin(self, spec: Any, terms: Terms, milestone: Milestone | None = None) -> Any:
        """The state before the first question, or at a milestone."""

    def milestone(self, state: Any) -> Milestone | None:
        """The last milestone that the state has passed; totals before it are not needed any more."""

    def ask(self, state: Any) -> Question | Finished:
        """What every participant is asked next."""

    def answer(self, question: Question, examples: Examples, local: Local, *, rng: np.random.Generator) -> tuple[Answer, Local]:
        """A site's answer, from its own rows."""

    def fold(self, state: Any, total: Total) -> Any:
        """The state after a round."""


Script = Generator[Question | Milestone, Any, Result]  # is sent the total of each question, None at a milestone
Program = Callable[[Any, Terms], Generator[Any, Any, Result]]
Appraise = Callable[[Result, Any, Terms, Examples, int], Mapping[str, Table]]
Export = Callable[[Result], Mapping[str, bytes]]
Noised = Callable[[Any, Mapping[str, Variable], Literal["patient", "site"]], tuple[NoisyStep, ...]]
Step = Callable[[Question, Examples, Local, np.random.Generator], tuple[Answer, Local]]


def without_noise(remedy: str) -> Noised:
    """What a method states whose sums cannot carry noise, with what to do instead."""

    def refuse(_spec: Any, _variables: Mapping[str, Variable], _level: str) -> NoReturn:
        expected = "a method whose every answer can carry noise"
        raise StudyError(
            "Noise cannot be added.", [Problem("", "sums that one patient may change without bound", expected, remedy)]
        )

    return refuse


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class History:
    """The state of a scripted method: everything it was told so far, or since its last milestone."""

    spec: Any
    terms: Terms
    totals: tuple[Total, ...] = ()
    milestone: Milestone | None = None


class _Live(NamedTuple):
    program: Script
    asked: Question | Finished
    passed: Milestone | None  # on the way to this question; one before the first total saves nothing and is not kept


@dataclass(frozen=True, slots=True, eq=False)
class ScriptedMethod:
    """A method made of a program (at the hub, over totals) and its steps (at the site, over rows).

    The program must be a pure function of spec, terms and totals. It says that there is no answer by raising `NotEstimable`.

    Attributes:
        steps: what answers a question, by `Question.step`.
        reads: the variables it reads, from its spec.
        needs: the variables that a row must not miss, from its spec; by default all that it reads.
        resume: the program begun at a milestone's value; for programs that yield milestones.
        appraise: how good a learned model is on the rows of a fold (`data.folds`) among these, from its result, the spec and the
            terms: tables as `methods.scores.measure.quality` gives them, none where there are no such rows. For methods that learn.
        export: a learned model from its published result, as files for other programs: contents by suffix (``onnx``...).
        noised: all that the method asks in a study with noise, from its spec, the variables as declared and whom the noise hides;
            it raises `StudyError` where some answer could not carry noise. None: the method has no answers that can.
        noised_by_settings: the noisy steps that its own settings ask for, in a study that asks for no noise; () where they do not.
        telling: see `Method.telling`.
        individual: names of the parts that the hub sees as each site's own, from its spec; None: every part is only ever added up.
        drawn: which rows no model learns from, and the variables whose content draws them, from its spec; for methods that learn.
        over: what it is answered from: a site's ``rows``, or the ``events`` of its registry, in which case the site answers the
            steps itself (`site.counting`) and they have no function here.
        patients: which patients it is about, from its spec, in sentences for whoever decides on a study; None: those of the study.
    """

    name: str
    spec: type[Spec]
    program: Program
    steps: Mapping[str, Step]
    reads: Callable[[Any], Iterable[Use]]
    needs: Callable[[Any], Iterable[str]] | None = None
    exact: bool = True
    resume: Callable[[Any, Terms, Any], Generator[Any, Any, Result]] | None = None
    appraise: Appraise | None = None
    export: Export | None = None
    noised: Noised | None = None
    noised_by_settings: Callable[[Any], tuple[NoisyStep, ...]] | None = None
    telling: frozenset[str] = frozenset()
    individual: Callable[[Any], tuple[str, ...]] | None = None
    drawn: Callable[[Any], tuple[Aside, tuple[str, ...]]] | None = None
    over: Literal["rows", "events"] = "rows"
    patients: Callable[[Any], tuple[str, ...]] | None = None
    _running: WeakKeyDictionary[History, _Live] = field(default_factory=WeakKeyDictionary, repr=False)

    def uses(self, spec: Any) -> tuple[Use, ...]:
        return tuple(self.reads(spec))

    def complete(self, spec: Any) -> tuple[str, ...]:
        return tuple(self.needs(spec)) if self.needs else tuple(dict.fromkeys(use.name for use in self.reads(spec)))

    def begin(self, spec: Any, terms: Terms, milestone: Milestone | None = None) -> History:
        return History(spec, terms, (), milestone)

    def milestone(self, state: History) -> Milestone | None:
        return state.milestone

    def ask(self, state: History) -> Question | Finished:
        if state not in self._running:
            self._running[state] = self._replay(state)
        return self._running[state].asked

    def answer(self, question: Question, examples: Examples, local: Local, *, rng: np.random.Generator) -> tuple[Answer, Local]:
        return self.steps[question.step](question, examples, local, rng)

    def fold(self, state: History, total: Total) -> History:
        live = self._running.pop(state, None) or self._replay(state)
        live = self._tell(live.program, total)
        if live.passed is None:
            after = History(state.spec, state.terms, (*state.totals, total), state.milestone)
        else:
            after = History(state.spec, state.terms, (), live.passed)
        self._running[after] = live
        return after

    def _replay(self, state: History) -> _Live:
        live = self._tell(self._begun(state), None)
        for total in state.totals:
            live = self._tell(live.program, total)
        return live

    def _begun(self, state: History) -> Script:
        if state.milestone is None:
            return self.program(state.spec, state.terms)
        assert self.resume is not None, f"{self.name} yields milestones and cannot be resumed"
        return self.resume(state.spec, state.terms, state.milestone.value)

    def _tell(self, program: Script, total: Total | None) -> _Live:
        passed = None
        try:
            said = next(program) if total is None else program.send(total)
            while isinstance(said, Milestone):
                passed = said
                said = next(program)
            return _Live(program, said, passed)
        except StopIteration as stop:
            return _Live(program, Finished(stop.value), passed)
        except (MachineError, NotEstimable, StudyError) as reason:  # a package that is missing ends this analysis alone
            return _Live(program, Finished(Result(self.name, failure=" ".join(str(reason).split()))), passed)
