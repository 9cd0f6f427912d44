"""Networks trained together: every round the sites train the joint weights on their own rows, and the hub takes the mean change.

FedAvg (McMahan et al. 2017) and its kin, composed of independent choices: what a site adds to its gradient (``proximal``,
``control``), what it divides its change by (``normalise``), which layers it keeps (``own_layers``), who trains in a round
(``order``), and what the hub does with the mean (``server``). The joint weights after every round are a milestone.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE
from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import agree_levels
from huizhen.methods.method import Milestone, ScriptedMethod, Use
from huizhen.methods.networks import Network
from huizhen.methods.scores.aim import Aim, outcome_uses
from huizhen.methods.scores.measure import headline, learning, quality, remarks, untold
from huizhen.methods.survival.groups import Groups
from huizhen.methods.survival.timegrid import GRID_STEPS, agree_exits
from huizhen.methods.training.aggregation import Joint, advance, mean_change
from huizhen.methods.training.appraisal import appraise
from huizhen.methods.training.export import to_files
from huizhen.methods.training.features import FEATURES_STEPS, agree_features, formula_of
from huizhen.methods.training.learner import Learner, learner_of
from huizhen.methods.training.local import FOLDS, TRAINING_STEPS
from huizhen.methods.training.spec import AveragingSpec
from huizhen.privacy.release import Progress, Question, Terms, Total
from huizhen.privacy.result import Result, Table

__all__ = ["AVERAGING", "AveragingSpec"]

NAME = "averaging"
TRAINING, VALIDATION, TEST = 0, 1, 2
SEEN = "The measures are of rows that the network has learned from, and so too good; keep some aside with validation or test."
OWN = "Every site keeps its own normalisation layers; the joint weights hold those that the network began with."
Script = Generator[Question | Milestone, Any, Result]


@dataclass(slots=True)
class Course:
    """What was learned so far: a row for each round, and the best weights where early stopping looks for them."""

    rounds: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> dict[str, float]:
        """What was last heard of each measure: those of a round's weights come with the answers of the next."""
        return {name: value for one in self.rounds[-2:] for name, value in one.items()}

    @property
    def since_best(self) -> int:
        return len(self.rounds) - int(self.best["round"]) if self.best else 0


def _program(spec: AveragingSpec, terms: Terms) -> Script:
    aim = yield from _agree_aim(spec, terms)
    features, shape = yield from agree_features(NAME, spec.covariates, spec.image, scale=spec.scale, terms=terms)
    network = Network(spec.network, shape, aim.outputs, dict(spec.settings))
    learner = learner_of(network, aim)
    setting = {
        "network": network.facts(),
        "aim": aim.facts(),
        "features": features.facts(),
        "aside": [spec.validation, spec.test],
        "drawn_by": list(_drawn_by(spec)),
        "own_layers": spec.own_layers,
    }
    joint = Joint.start(learner.initial(terms.seed), learner.parameters, control=spec.control)
    return (yield from _rounds(spec, terms, learner, setting, joint, Course()))


def _resume(spec: AveragingSpec, terms: Terms, value: Mapping[str, Any]) -> Script:
    setting = value["setting"]
    learner = learner_of(Network.from_facts(setting["network"]), Aim.from_facts(setting["aim"]))
    course = Course([dict(one) for one in value["rounds"]], dict(value["best"]))
    return (yield from _rounds(spec, terms, learner, setting, Joint.from_facts(value["joint"]), course))


def _rounds(
    spec: AveragingSpec, terms: Terms, learner: Learner, setting: Mapping[str, Any], joint: Joint, course: Course
) -> Script:
    """From wherever learning stands to its end. A round's question also judges the weights that the round before left."""
    aim, variables = learner.aim, tuple(use.name for use in _reads(spec))
    watched = [VALIDATION] if spec.validation else []
    while len(course.rounds) < spec.rounds and not (spec.early_stopping and course.since_best >= spec.early_stopping):
        done = len(course.rounds)
        facts = {
            **setting,
            "weights": joint.weights,
            "recipe": spec.recipe.facts(),
            "control": joint.control if spec.control else None,
            "normalise": spec.normalise,
            "turn": _turn(spec, terms, done),
            "folds": watched,
        }
        total = yield Question(NAME, "train", facts, variables, progress=Progress(done + 1, spec.rounds, course.newest))
        if watched and done:
            _note(course, headline(aim, _of_fold(total, VALIDATION), min_cell_count=terms.min_cell_count), joint, spec)
        joint = _advanced(spec, joint, total, learner.parameters, facts["turn"])
        course.rounds.append(_loss(total))
        rounds = [dict(one) for one in course.rounds]  # a copy: the course goes on
        yield Milestone({"setting": setting, "joint": joint.facts(), "rounds": rounds, "best": course.best})
    return (yield from _judged(spec, terms, learner, setting, joint, course, variables))


def _advanced(spec: AveragingSpec, joint: Joint, total: Total, parameters: int, turn: str | None) -> Joint:
    if turn is not None:  # the changes are individual releases, all zero but one
        if not total.sums["weight"][0]:
            return joint  # whose turn it was is lost, or keeps all its rows aside
        change = np.sum(list(total.individual["change"].values()), axis=0)
        total = Total({**total.sums, "change": change}, total.keyed, {}, total.rows, total.roster)
    change = mean_change(total, parameters)
    if not np.isfinite(change).all():
        raise NotEstimable("training diverged: the joint weights are not finite; lower learning_rate, or set clip")
    control: NDArray[np.float32] | None = None
    if spec.control:
        control = (total.sums["control"] / total.sums["weight"][0]).astype(np.float32)
    return advance(spec.server_rule, joint, change, parameters, control=control)


def _loss(total: Total) -> dict[str, float]:
    rows = float(total.sums["weight"][0])
    return {"loss": float(total.sums["loss"][0]) / rows} if rows else {}


def _note(course: Course, measures: Mapping[str, float], joint: Joint, spec: AveragingSpec) -> None:
    """Writes the validation measures of the newest weights into the course, and keeps the weights if they are the best so far."""
    course.rounds[-1] |= measures
    if not measures:
        return  # they would tell of a few patients: without them no round is better than another
    loss = next((measures[name] for name in ("log_loss", "rmse") if name in measures), None)
    loss = -next(iter(measures.values()), np.inf) if loss is None else loss  # a concordance, a Dice: the larger, the better
    if spec.early_stopping and (not course.best or loss < course.best["loss"]):
        course.best = {"loss": float(loss), "round": len(course.rounds), "weights": joint.weights}


def _judged(
    spec: AveragingSpec,
    terms: Terms,
    learner: Learner,
    setting: Mapping[str, Any],
    joint: Joint,
    course: Course,
    variables: tuple[str, ...],
) -> Script:
    """The last question: how good are the weights on rows that they have not seen?"""
    if not any("loss" in one for one in course.rounds):
        raise NotEstimable("no site has trained: whenever it was a site's turn, it was lost or had no row to train on")
    asides = [fold for fold, rule in ((VALIDATION, spec.validation), (TEST, spec.test)) if rule]
    facts = {**setting, "weights": joint.weights, "folds": asides or [TRAINING]}
    progress = Progress(len(course.rounds), len(course.rounds), course.rounds[-1])
    total = yield Question(NAME, "judge", facts, variables, progress=progress)
    if spec.validation:
        _note(course, headline(learner.aim, _of_fold(total, VALIDATION), min_cell_count=terms.min_cell_count), joint, spec)
    weights = joint.weights
    if course.best and course.best["round"] < len(course.rounds):
        weights = course.best["weights"]
        total = yield Question(NAME, "judge", {**facts, "weights": weights}, variables, progress=progress)
    hidden: frozenset[str] = frozenset()
    if spec.validation:
        hidden = untold(learner.aim, _of_fold(total, VALIDATION), min_cell_count=terms.min_cell_count)
    fold = facts["folds"][-1]
    found = learning(course.rounds, without=hidden)
    return _result(spec, terms, learner, setting, weights, course, found, _of_fold(total, fold), FOLDS[fold], total.rows)


def _result(
    spec: AveragingSpec,
    terms: Terms,
    learner: Learner,
    setting: Mapping[str, Any],
    weights: NDArray[np.float32],
    course: Course,
    learnt: Table,
    sums: Mapping[str, NDArray[Any]],
    fold: str,
    rows: int,
) -> Result:
    aim = learner.aim
    tables = {"learning": learnt}
    tables |= quality(aim, sums, confidence=spec.confidence, min_cell_count=terms.min_cell_count)
    chosen = int(course.best["round"]) if course.best else len(course.rounds)
    facts = {
        "network": spec.network,
        "parameters": learner.parameters,
        "rounds": len(course.rounds),
        "chosen_round": chosen,
        "stopped_early": len(course.rounds) < spec.rounds,
        "judged_on": fold,
    }
    notes = (
        *remarks(aim, sums, min_cell_count=terms.min_cell_count),
        *((SEEN,) if fold == "training" else ()),
        *((OWN,) if spec.own_layers else ()),
    )
    model = {**setting, "weights": weights}
    return Result(NAME, rows, terms.roster, facts, tables, model=model, notes=notes)


def _agree_aim(spec: AveragingSpec, terms: Terms) -> Generator[Question, Total, Aim]:
    if spec.task == "classification":
        levels = (yield from agree_levels(NAME, spec.outcome, terms))[spec.outcome[0]]
        if len(levels) < 2:
            raise NotEstimable(f"all rows have the same {spec.outcome[0]}: expected at least two classes")
        return Aim("binary" if len(levels) == 2 else "multiclass", spec.outcome, levels, threshold=spec.threshold)
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
    prefix = f"{FOLDS[fold]}/"
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


AVERAGING = ScriptedMethod(
    name=NAME,
    spec=AveragingSpec,
    program=_program,
    resume=_resume,
    steps={**FEATURES_STEPS, **GRID_STEPS, **TRAINING_STEPS},
    reads=_reads,
    needs=lambda spec: [use.name for use in _needs(spec)],
    export=to_files,
    exact=False,
    appraise=appraise,
)
