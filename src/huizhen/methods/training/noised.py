"""What averaging states of noise before a row is read: the steps it asks, what of them holds noise, and what that costs.

Three kinds: noise by site, around the change of the weights; noise by patient, inside training (DP-SGD), of a size that the study's
epsilon gives; and training that is private by its own settings, in a study that asks for no noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from huizhen.data.folds import VALIDATION
from huizhen.errors import Problem, StudyError
from huizhen.methods.training.declared import undeclared, without_range
from huizhen.methods.training.features import formula_of
from huizhen.methods.training.spec import AveragingSpec
from huizhen.methods.training.spending import Spending
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep, NoisyTraining
from huizhen.privacy.release import Variable

__all__ = ["beside_noise", "noised", "noised_by_settings"]

NOT_NOISED = "Noise cannot be added."
LARGEST = 2**28  # weights of a network, more than any has here; what noise costs hardly depends on it
ASIDE = ("rows kept aside, which are counted and judged", "Set validation and test to 0")
CYCLIC = ("'cyclic', which shows one site's change", "Set order = 'together'")
SUMS = ("sums beside the change", "Set control and normalise to false")


def noised(spec: AveragingSpec, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> tuple[NoisyStep, ...]:
    """What a study with noise asks.

    By site: every round's change, of equal weight. The first question tells rows alone, the last is not asked. By patient: rounds
    of private training alone, weighted by noisy numbers of rows.

    Raises:
        StudyError: settings by which something exact would leave.
    """
    problems = _by_patient(spec, variables) if level == "patient" else _by_site(spec, variables)
    if problems:
        raise StudyError(NOT_NOISED, problems)
    if level == "patient":
        return (_private_rounds(spec, alone=True),)
    change = {"change": NoisyPart("change", size=LARGEST)}
    train = NoisyStep("train", spec.rounds, change, ones=("weight",), rest="withheld")
    return NoisyStep("rows", 1, rows=("folds",), rest="withheld"), train


def noised_by_settings(spec: AveragingSpec) -> tuple[NoisyStep, ...]:
    """Rounds of private training in a study that asks for no noise; () where training is not private.

    Raises:
        StudyError: `private` leaves its noise to a study that asks for none.
    """
    if spec.private is None:
        return ()
    if spec.private.noise is None:
        expected, remedy = (
            "noise, in the table private or for the whole study",
            "Add noise, or [protection.noise] with epsilon and delta",
        )
        raise StudyError(NOT_NOISED, [Problem("private.noise", "nothing", expected, remedy)])
    return (_private_rounds(spec, alone=False),)


def beside_noise(spec: AveragingSpec, variables: Mapping[str, Variable]) -> list[Problem]:
    """By which settings something exact would leave beside the weights of private training."""
    told = {
        "validation": (bool(spec.validation or spec.test), *ASIDE),
        "order": (spec.order != "together", *CYCLIC),
        "control": (spec.control or spec.normalise, *SUMS),
        "scale": (bool(spec.image) and spec.scale == "joint", "'joint', which adds up inputs", "Set scale = 'none'"),
    }
    problems = _problems(told)
    labels = spec.outcome if spec.task == "classification" else ()
    numbers = spec.outcome if spec.task == "regression" else ()
    return [*problems, *undeclared(spec.covariates, labels, numbers, variables)]


def _by_patient(spec: AveragingSpec, variables: Mapping[str, Variable]) -> list[Problem]:
    problems = beside_noise(spec, variables)
    if spec.private is None:
        found = "noise by patient on a change of weights, which one patient may turn as far as any"
        expected = "noise inside training (private), which bounds each patient's gradient"
        problems.append(Problem("private", found, expected, "Add private = { clip = 1.0, rate = 0.05 }, or set level = 'site'"))
        return problems
    if spec.private.noise is not None:
        remedy = "Leave noise out of private, or leave [protection.noise] out"
        problems.append(Problem("private.noise", "noise here and an epsilon for the whole study", "one of them", remedy))
    if not spec.private.rate:
        found = "no rate, so that what training costs depends on each site's number of rows"
        problems.append(
            Problem("private.rate", found, "a rate above 0, the same for all sites", "Set rate in private, such as 0.05")
        )
    if spec.covariates and spec.scale == "joint":
        inputs = [use.name for use in formula_of(spec.covariates).uses() if use.name in variables]
        problems += [
            Problem(one.where, one.found, one.expected, f"{one.remedy}, or set scale = 'none'")
            for one in without_range(inputs, variables)
        ]
    return problems


def _by_site(spec: AveragingSpec, variables: Mapping[str, Variable]) -> list[Problem]:
    no_scale = ("a number, whose scale the sites agree on", "Use task = 'classification'")
    told = {
        "scale": (spec.scale == "joint", "'joint', which adds up inputs", "Set scale = 'site' or 'none'"),
        "validation": (bool(spec.validation or spec.test), *ASIDE),
        "order": (spec.order != "together", *CYCLIC),
        "control": (spec.control or spec.normalise, *SUMS),
        "outcome": (spec.task == "regression", *no_scale),
        "task": (spec.task == "cox" and not spec.ends, "times that the sites agree on", "Use task = 'discrete_time' with ends"),
        "private.noise": (
            spec.private is not None and spec.private.noise is None,
            "nothing, in a study whose noise hides a site",
            "Add noise to private, or set level = 'patient'",
        ),
    }
    labels = spec.outcome if spec.task == "classification" else ()
    return [*_problems(told), *undeclared(spec.covariates, labels, (), variables)]


def _problems(told: Mapping[str, tuple[bool, str, str]]) -> list[Problem]:
    return [Problem(key, found, "nothing beside the change", remedy) for key, (holds, found, remedy) in told.items() if holds]


def _private_rounds(spec: AveragingSpec, *, alone: bool) -> NoisyStep:
    """Every round's training. Alone: nothing exact leaves with it, and its noise is the study's."""
    assert spec.private is not None
    recipe = (spec.with_noise(1.0) if alone else spec).recipe
    facts: dict[str, Any] = {"recipe": recipe.facts(), "normalise": spec.normalise, "own_layers": False}
    facts |= {"aside": [spec.validation, spec.test], "folds": [VALIDATION] if spec.validation else []}
    facts |= {} if spec.control else {"control": None}
    facts |= {} if spec.order == "cyclic" else {"turn": None}
    steps = Spending.of(recipe, 1).steps
    noise = 0.0 if alone else spec.private.noise or 0.0
    return NoisyStep(
        "train",
        spec.rounds,
        rows=("weight",),
        training=NoisyTraining(spec.private.rate, steps, noise, spec.private.delta),
        computed=("change",),
        withheld=("classes", "events"),
        beside=not alone,
        facts=facts,
        noise_at=("recipe", "private", "noise") if alone else (),
    )
