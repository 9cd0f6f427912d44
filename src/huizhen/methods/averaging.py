"""Networks trained together: every round the sites train the joint weights on their own rows, and the hub takes the mean change.

FedAvg (McMahan et al. 2017) and its kin, composed of independent choices: what a site adds to its gradient (``proximal``,
``control``), what it divides its change by (``normalise``), which layers it keeps (``own_layers``), who trains in a round
(``order``), and what the hub does with the mean (``server``). The joint weights after every round are a milestone.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE
from huizhen.data.folds import FOLD_NAMES, TRAINING, VALIDATION
from huizhen.errors import NotEstimable
from huizhen.methods.method import Milestone, ScriptedMethod, Use
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim, outcome_uses
from huizhen.methods.scores.classes import agree_classes
from huizhen.methods.scores.measure import headline, learning, quality, remarks, untold
from huizhen.methods.survival.groups import Groups
from huizhen.methods.survival.timegrid import GRID_STEPS, agree_exits
from huizhen.methods.training.aggregation import Joint, advance, mean_change
from huizhen.methods.training.appraisal import appraise
from huizhen.methods.training.course import Course
from huizhen.methods.training.declared import declared_features, declared_scale
from huizhen.methods.training.export import to_files
from huizhen.methods.training.features import FEATURES_STEPS, agree_features, formula_of
from huizhen.methods.training.learner import Learner, learner_of
from huizhen.methods.training.local import TRAINING_STEPS
from huizhen.methods.training.noised import beside_noise, noised, noised_by_settings
from huizhen.methods.training.outcome import SCALE_STEPS, agree_scale
from huizhen.methods.training.privately import why_not_private
from huizhen.methods.training.spec import AveragingSpec
from huizhen.methods.training.spending import spent_by
from huizhen.methods.training.start import START_STEPS, agree_rows
from huizhen.privacy.release import Progress, Question, Terms, Total
from huizhen.privacy.result import Result

__all__ = ["AVERAGING", "AveragingSpec"]

NAME = "averaging"
SEEN = "The measures are of rows that the network has learned from, and so too good; keep some aside with validation or test."
BLIND = "Early stopping had nothing to judge by: no measure of the validation rows could be told; the last weights are taken."
OWN = (
    "Every site keeps its own normalisation layers; the joint weights hold those that the network began with, and are judged with "
    "the sites' own."
)
COVERED = (
    "The noise covers what the weights tell of the rows learned from. Numbers of rows and of classes, scales of the inputs and the "
    "measures of rows kept aside are exact."
)
UNTOLD = (
    "What the training costs each patient depends on the site's number of rows; with a rate in private it is one figure for all."
)
UNJUDGED = (
    "With noise by site the losses and measures stay at the sites, for none of them can carry it: judge the weights on rows of "
    "your own."
)
UNTOLD_LOSSES = "No loss and no measure is told, for they would be exact: judge the weights on rows of your own."
ROWS_COVERED = (
    "The noise covers what the weights tell of the rows learned from. How many rows each site has is told exactly, and nothing "
    "else: a site's privacy budget lets out no other exact number."
)
UNCOUNTED = (
    "the noise has carried every site's number of rows below 0, so nothing is left to weigh sites by; allow a larger epsilon"
)
RANGES = "Inputs have the scale of their declared ranges; those without a range were taken as they are."
Script = Generator[Question | Milestone, Any, Result]


def _program(spec: AveragingSpec, terms: Terms) -> Script:
    spec = spec.with_noise(terms.noise_multiplier)
    if _asks_nothing_exact(spec, terms) and (problems := beside_noise(spec, terms.variables)):
        raise NotEstimable(
            "a site has a privacy budget and lets no exact number out beside noisy ones. " + "; ".join(map(str, problems))
        )
    aim = yield from _agree_aim(spec, terms)
    if terms.noise or _asks_nothing_exact(spec, terms):
        features, shape = declared_features(spec.covariates, spec.image, scale=spec.scale, terms=terms)
    else:
        features, shape = yield from agree_features(NAME, spec.covariates, spec.image, scale=spec.scale, terms=terms)
    network = Network(spec.network, shape, aim.outputs, dict(spec.settings))
    learner = learner_of(network, aim)
    if spec.own_layers and not learner.normalisation.any():
        raise NotEstimable(
            "own_layers: the network has no batch normalisation; choose norm = 'batch' in settings, or own_layers = false"
        )
    if spec.private and (reason := why_not_private(learner)):
        raise NotEstimable(reason)
    if not terms.noise:
        spent_by(spec, spec.rounds)  # without the package that accounts for it nothing is trained
    setting = {
        "network": network.facts(),
        "aim": aim.facts(),
        "features": features.facts(),
        "aside": [spec.validation, spec.test],
        "drawn_by": list(_drawn_by(spec)),
        "own_layers": spec.own_layers and len(terms.roster) > 1,  # one participant's own layers are the joint ones
    }
    if _asks_nothing_exact(spec, terms):
        judged = [TRAINING]  # which is not judged
    else:
        judged = yield from agree_rows(NAME, setting, spec.aside, _variables(spec), terms)
    if aim.task == "regression":
        if _asks_nothing_exact(spec, terms):
            aim = declared_scale(aim, terms.variables)
        else:
            aim = yield from agree_scale(NAME, setting, aim, _variables(spec), terms)
        setting["aim"], learner = aim.facts(), learner_of(network, aim)
    joint = Joint.start(learner.initial(terms.seed), learner.parameters, control=spec.control)
    return (yield from _rounds(spec, terms, learner, setting, joint, Course(judged)))


def _asks_nothing_exact(spec: AveragingSpec, terms: Terms) -> bool:
    """Whether training is private and stands alone: noise hides every patient, or some site lets nothing exact out beside it."""
    return spec.private is not None and (terms.noise == "patient" or not (terms.noise or terms.allow_exact))


def _resume(spec: AveragingSpec, terms: Terms, value: Mapping[str, Any]) -> Script:
    spec = spec.with_noise(terms.noise_multiplier)
    setting = value["setting"]
    learner = learner_of(Network.from_facts(setting["network"]), Aim.from_facts(setting["aim"]))
    joint, course = Joint.from_facts(value["joint"]), Course.from_facts(value["course"])
    return (yield from _rounds(spec, terms, learner, setting, joint, course))


def _rounds(
    spec: AveragingSpec, terms: Terms, learner: Learner, setting: Mapping[str, Any], joint: Joint, course: Course
) -> Script:
    """From wherever learning stands to its end. A round's question also judges the weights that the round before left."""
    watched = [VALIDATION] if spec.validation else []
    while course.done < spec.rounds and not course.has_stopped(spec.early_stopping):
        done = course.done
        facts = {
            **setting,
            **_so_far(course),
            "weights": joint.weights,
            "of_round": done,
            "recipe": spec.recipe.facts(),
            "control": joint.control if spec.control else None,
            "normalise": spec.normalise,
            "turn": _turn(spec, terms, done),
            "folds": watched,
        }
        total = yield Question(NAME, "train", facts, _variables(spec), progress=Progress(done, spec.rounds, course.newest))
        if watched and done:
            _note(spec, terms, learner.aim, course, joint, total)
        if terms.noise == "patient" and not total.sums["weight"][0]:
            raise NotEstimable(UNCOUNTED)
        joint = _advanced(spec, joint, total, learner.parameters, facts["turn"])
        course.add({} if terms.noise else _loss(total, learner.aim), here=total.roster, roster=terms.roster)
        yield Milestone({"setting": setting, "joint": joint.facts(), "course": course.facts()})
    return (yield from _judged(spec, terms, learner, setting, joint, course))


def _so_far(course: Course) -> dict[str, Any]:
    """What a site needs to know of the rounds before, to settle what is its own."""
    return {"done": course.done, "best": course.best_round, "counted": dict(course.counted)}


def _advanced(spec: AveragingSpec, joint: Joint, total: Total, parameters: int, turn: str | None) -> Joint:
    if turn is not None:  # the changes are individual releases, all zero but one
        if not total.sums["weight"][0]:
            return joint  # whose turn it was is lost, or keeps all its rows aside
        change = np.sum(list(total.individual["change"].values()), axis=0)
        total = Total({**total.sums, "change": change}, total.keyed, {}, total.rows, total.roster)
    change = mean_change(total, parameters)
    if not np.isfinite(change).all():
        raise NotEstimable("training diverged: the joint weights are not finite; lower learning_rate, or set clip")
    return advance(spec.server_rule, joint, change, parameters, total=total)


def _loss(total: Total, aim: Aim) -> dict[str, float]:
    """Mean over the rows that were trained on; of squared errors in the outcome's own unit."""
    rows = float(total.sums["weight"][0])
    return {"loss": float(total.sums["loss"][0]) / rows * aim.scale**2} if rows and "loss" in total.sums else {}


def _note(spec: AveragingSpec, terms: Terms, aim: Aim, course: Course, joint: Joint, total: Total) -> None:
    measures = headline(aim, _of_fold(total, VALIDATION), min_cell_count=terms.min_cell_count)
    course.note(measures, joint.weights, looks_for_best=spec.early_stopping > 0)


def _retell(terms: Terms, aim: Aim, course: Course, total: Total) -> None:
    """The validation measures of the round that is kept, as finely as the result tells them: rounds are followed by coarse bins."""
    course.rounds[course.best_round - 1] |= headline(aim, _of_fold(total, VALIDATION), min_cell_count=terms.min_cell_count)


def _judged(
    spec: AveragingSpec, terms: Terms, learner: Learner, setting: Mapping[str, Any], joint: Joint, course: Course
) -> Script:
    """The last question: how good are the weights on rows that they have not seen?"""
    if terms.noise or _asks_nothing_exact(spec, terms):
        return _unjudged(spec, terms, learner, setting, joint, course)
    if not _has_trained(spec, terms, learner, joint, course):
        raise NotEstimable("no site has trained: whenever it was a site's turn, it was lost or had no row to train on")
    facts = {**setting, **_so_far(course), "weights": joint.weights, "of_round": course.done, "turn": _turn(spec, terms, 0)}
    facts["folds"] = course.judged
    progress = Progress(course.done, course.done, course.rounds[-1])
    total = yield Question(NAME, "judge", facts, _variables(spec), progress=progress)
    if spec.validation:
        _note(spec, terms, learner.aim, course, joint, total)
    weights = joint.weights
    if 0 < course.best_round < course.done:
        weights = course.best["weights"]
        facts |= {"best": course.best_round, "weights": weights, "of_round": course.best_round}
        total = yield Question(NAME, "judge", facts, _variables(spec), progress=progress)
        _retell(terms, learner.aim, course, total)
    return _result(spec, terms, learner, setting, weights, course, total)


def _unjudged(
    spec: AveragingSpec, terms: Terms, learner: Learner, setting: Mapping[str, Any], joint: Joint, course: Course
) -> Result:
    """What noise leaves: the weights, and nothing of how good they are."""
    facts: dict[str, Any] = {
        "network": spec.network,
        "parameters": learner.parameters,
        "rounds": course.done,
        "judged_on": "nothing",
    }
    notes = [UNJUDGED if terms.noise == "site" else UNTOLD_LOSSES]
    if terms.noise != "site" and spec.scale == "joint":
        notes.append(RANGES)
    if not terms.noise:
        notes.append(ROWS_COVERED)
        facts |= _spent(spec, course)
    return Result(NAME, 0, terms.roster, facts, model={**setting, "weights": joint.weights}, notes=tuple(notes))


def _spent(spec: AveragingSpec, course: Course) -> dict[str, Any]:
    """What private training by its own settings cost, where that is known."""
    spent = spent_by(spec, course.done)
    return {} if spent is None else {"epsilon": spent.pld, "epsilon_rdp": spent.rdp, "delta": spent.delta}


def _has_trained(spec: AveragingSpec, terms: Terms, learner: Learner, joint: Joint, course: Course) -> bool:
    if spec.private:  # no loss is told, but noise has moved the weights
        return not np.array_equal(joint.weights, learner.initial(terms.seed))
    return any("loss" in one for one in course.rounds)


def _result(
    spec: AveragingSpec,
    terms: Terms,
    learner: Learner,
    setting: Mapping[str, Any],
    weights: NDArray[np.float32],
    course: Course,
    total: Total,
) -> Result:
    aim, fold, sums = learner.aim, FOLD_NAMES[course.judged[-1]], _of_fold(total, course.judged[-1])
    hidden: frozenset[str] = frozenset()
    if spec.validation:
        hidden = untold(aim, _of_fold(total, VALIDATION), min_cell_count=terms.min_cell_count)
    tables = {"learning": learning(course.rounds, without=hidden)}
    tables |= quality(aim, sums, confidence=spec.confidence, min_cell_count=terms.min_cell_count)
    facts = {
        "network": spec.network,
        "parameters": learner.parameters,
        "rounds": course.done,
        "chosen_round": course.best_round or course.done,
        "stopped_early": course.done < spec.rounds,
        "judged_on": fold,
    }
    said = {
        SEEN: fold == FOLD_NAMES[TRAINING],
        BLIND: spec.early_stopping and not course.best,
        OWN: setting["own_layers"],
        UNTOLD: spec.private is not None and not spec.private.rate,
        COVERED: spec.private is not None,
    }
    facts |= _spent(spec, course)
    notes = (*remarks(aim, sums, min_cell_count=terms.min_cell_count), *(note for note, holds in said.items() if holds))
    model = {**setting, "weights": weights}
    return Result(NAME, total.rows, terms.roster, facts, tables, model=model, notes=notes)


def _agree_aim(spec: AveragingSpec, terms: Terms) -> Generator[Question, Total, Aim]:
    if spec.task == "classification":
        return (yield from agree_classes(NAME, spec.outcome[0], terms, threshold=spec.threshold))
    if spec.task == "segmentation":
        declared = terms.variables[spec.outcome[0]].levels if spec.outcome[0] in terms.variables else ()
        levels = declared or tuple(str(place) for place in range(spec.classes))
        return Aim("segmentation", spec.outcome, levels)
    if spec.survival is not None and not spec.ends:
        exits = yield from agree_exits(NAME, spec.survival, Groups())
        ends = tuple(exits.grid(terms.min_cell_count).times.tolist())
    else:
        ends = spec.ends
    outcome = (spec.time,) if spec.time else spec.outcome
    return Aim(spec.task, outcome, event=spec.event, ends=ends, threshold=spec.threshold)


def _turn(spec: AveragingSpec, terms: Terms, done: int) -> str | None:
    """Whose turn it is in a cycle; every cycle goes round in a new order. None: everybody trains."""
    sites = terms.roster
    if spec.order == "together" or len(sites) < 2:
        return None
    rng, order = np.random.default_rng(terms.seed), list[int]()
    while len(order) <= done:
        order += rng.permutation(len(sites)).tolist()
    return sites[order[done]]


def _of_fold(total: Total, fold: int) -> dict[str, NDArray[Any]]:
    prefix = f"{FOLD_NAMES[fold]}/"
    return {name.removeprefix(prefix): values for name, values in total.sums.items() if name.startswith(prefix)}


def _drawn_by(spec: AveragingSpec) -> Sequence[str]:
    """What a draw of rows kept aside looks at: inputs and outcome."""
    inputs = [spec.image] if spec.image else [use.name for use in formula_of(spec.covariates).uses()]
    uses = outcome_uses(spec.task, (spec.time,) if spec.time else spec.outcome, spec.event)
    return tuple(dict.fromkeys([*inputs, *(use.name for use in uses if use.kind != "image")]))


def _needs(spec: AveragingSpec) -> tuple[Use, ...]:
    inputs = (Use(spec.image, "image"),) if spec.image else formula_of(spec.covariates).uses()
    uses = outcome_uses(spec.task, (spec.time,) if spec.time else spec.outcome, spec.event)
    return tuple(use for use in dict.fromkeys((*uses, *inputs)) if use.name != SITE)


def _reads(spec: AveragingSpec) -> tuple[Use, ...]:
    aside = tuple(Use(name, kind) for name, kind in spec.aside.uses.items() if name != SITE)
    return tuple(dict.fromkeys((*_needs(spec), *aside)))


def _variables(spec: AveragingSpec) -> tuple[str, ...]:
    return tuple(use.name for use in _reads(spec))


AVERAGING = ScriptedMethod(
    name=NAME,
    spec=AveragingSpec,
    program=_program,
    resume=_resume,
    steps={**FEATURES_STEPS, **GRID_STEPS, **START_STEPS, **SCALE_STEPS, **TRAINING_STEPS},
    reads=_reads,
    needs=lambda spec: [use.name for use in _needs(spec)],
    export=to_files,
    exact=False,
    appraise=appraise,
    noised=noised,
    noised_by_settings=noised_by_settings,
    individual=lambda spec: ("change",) if spec.order == "cyclic" else (),
    drawn=lambda spec: (spec.aside, _variables(spec)),
)
