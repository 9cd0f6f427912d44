"""Gradient-boosted trees over all sites: the forest that grows on the pooled rows with the same bins, split for split.

Sites add up histograms of gradients (T. Chen and C. Guestrin, "XGBoost", KDD 2016). Bins are agreed jointly; gradients and hessians
are summed as whole numbers, so that no split depends on the order of adding; of two children the sites are asked for the smaller
one's histogram alone.

Facts of the result: ``task``, ``rows``, ``trees``, ``classes`` (of several, each of which has a tree in every round),
``chosen_tree`` (rounds that are kept), ``stopped_early``, ``depth``, ``judged_on``. Tables:
``learning`` (loss by tree), ``importance`` (gain and splits by covariate), ``quality`` and what goes with it. `Result.model` is the
forest.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen import canonical
from huizhen.data.folds import FOLD_NAMES, TEST, TRAINING, VALIDATION
from huizhen.methods.description.levels import LEVELS_STEPS
from huizhen.methods.method import Milestone, ScriptedMethod
from huizhen.methods.scores.measure import quality, remarks
from huizhen.methods.survival.timegrid import GRID_STEPS
from huizhen.methods.trees.binning import BINNING_STEPS, agree_binning
from huizhen.methods.trees.fixedpoint import scale_for
from huizhen.methods.trees.forest import LEAF, Forest, trees_facts
from huizhen.methods.trees.growing import grow_trees
from huizhen.methods.trees.growth import TELLING, Growth
from huizhen.methods.trees.jointrisk import joint_hazard, risk_scale
from huizhen.methods.trees.judging import JUDGE, JUDGING_STEPS
from huizhen.methods.trees.objective import loss_bound
from huizhen.methods.trees.prediction import appraise, to_files
from huizhen.methods.trees.purpose import agree_aim, agree_grid
from huizhen.methods.trees.spec import BoostingSpec, drawn_from, needs, reads
from huizhen.methods.trees.split import Rules
from huizhen.methods.trees.start import START_STEPS, agree_start
from huizhen.methods.trees.steps import GROW, RISK, SITE_STEPS
from huizhen.methods.trees.telling import importance_table, learning_table
from huizhen.privacy.release import Progress, Question, Terms, Total
from huizhen.privacy.result import Result

__all__ = ["BOOSTING", "BoostingSpec"]

NAME = "boosting"
SEEN = "No rows were set aside: the model was judged on the rows that it learnt from, which is too kind."
ELSEWHERE = "The model was not judged: none of the rows here is for test."

Script = Generator[Question | Milestone, Any, Result]


def _program(spec: BoostingSpec, terms: Terms) -> Script:
    variables = tuple(use.name for use in reads(spec))
    aim = yield from agree_aim(NAME, spec, terms)
    facts = {
        "aim": aim.facts(),
        "weights": spec.weights,
        "aside": [spec.validation, spec.test],
        "drawn_from": drawn_from(spec),
    }
    start = yield from agree_start(NAME, facts, aim, variables, terms)
    if aim.task == "regression":
        aim = replace(aim, center=float(start.base[0]))
    binning, notes = yield from agree_binning(NAME, spec.covariates, terms, bins=spec.bins)
    grid, noted = (yield from agree_grid(NAME, spec, terms)) if aim.task == "cox" and not spec.strata else (None, ())
    if grid is not None:  # measures are judged on the same times; the last end is somebody's, and nobody stands beyond it
        times = np.union1d(grid["event_ends"], grid["censored_ends"]) * grid["resolution"]
        times = times[: max(len(times) - 1, 1)]
        aim = replace(aim, ends=tuple(times.tolist()))
    setting = {
        **facts,
        "aim": aim.facts(),
        "binning": binning.facts(),
        "base": start.base,
        "scales": dict(start.scales),
        "grid": grid,
        "strata": list(spec.strata),
    }
    key = setting["key"] = canonical.digest(setting)
    agreed = {
        "weights": list(start.weights),
        "most_weight": start.most_weight,
        "largest": start.largest,
        "rows": list(start.rows),
        "notes": [*notes, *noted],
    }
    forest = Forest(binning.names, binning.levels, binning.categorical, aim, start.base)
    return (yield from _grow(spec, terms, Growth(setting, agreed, binning, forest, key)))


def _resume(spec: BoostingSpec, terms: Terms, value: Mapping[str, Any]) -> Script:
    return (yield from _grow(spec, terms, Growth.from_facts(value)))


def _grow(spec: BoostingSpec, terms: Terms, growth: Growth) -> Script:
    """From wherever growth stands to the result. The first question of each tree also tells the loss so far."""
    rules = _rules(spec, terms, growth)
    ended = False
    while growth.rounds < spec.trees and not ended:
        seen: list[tuple[float, ...]] = []
        asking = yield from _asking(spec, growth)

        def enough(total: Total, seen: list[tuple[float, ...]] = seen, growth: Growth = growth, asked: Any = asking) -> bool:
            seen.append(_losses(growth, total, asked.hazard_loss, asked.loss_scale))
            return _worse(spec, (*growth.losses, *seen))

        trees = yield from grow_trees(asking, enough, len(growth.forest.base), growth.binning, rules, spec.shape)
        if not trees:
            ended = True
            growth = replace(growth, losses=(*growth.losses, *seen))
        elif all(tree.covariate[0] == LEAF for tree in trees):
            ended = True  # nothing is left to split
        else:
            growth = growth.grown(trees, *seen)
            yield Milestone(growth.facts())
    return (yield from _judged(spec, terms, growth))


def _rules(spec: BoostingSpec, terms: Terms, growth: Growth) -> Rules:
    scales = growth.setting["scales"]
    return Rules(
        spec.l2,
        spec.min_split_gain,
        spec.min_child_weight,
        max(spec.min_rows_per_leaf, terms.min_cell_count, 1),
        np.array([spec.monotone.get(name, 0) for name in spec.covariates], np.int64),
        scales["gradient"],
        scales["hessian"],
        max(terms.min_cell_count, 1),
        scales["weight"],
        scales["squared"],
    )


@dataclass(frozen=True, slots=True)
class _Asking:
    """Puts the questions of one round of trees."""

    facts: Mapping[str, Any]
    variables: tuple[str, ...]
    progress: Progress
    hazard_loss: tuple[float, ...]

    @property
    def loss_scale(self) -> int:
        return int(self.facts["loss_scale"])

    def __call__(self, level: int, growing: Mapping[str, Any], wanted: NDArray[np.int32]) -> Question:
        facts = {**self.facts, "level": level, "growing": growing, "wanted": wanted}
        # Every pair of children gives four leaves at most; a root two.
        degrees = (4 if level else 2) * len(wanted)
        return Question(NAME, GROW, facts, self.variables, degrees=degrees, progress=self.progress)


def _asking(spec: BoostingSpec, growth: Growth) -> Generator[Question, Total, _Asking]:
    task, reach, agreed = growth.forest.aim.task, growth.reach, growth.agreed
    variables = tuple(use.name for use in reads(spec))
    most = agreed["most_weight"] * loss_bound(task, reach, agreed["largest"])
    if task == "cox":
        most += agreed["most_weight"] * (reach + math.log(max(agreed["most_weight"], 2.0)) + 1.0)
    progress = Progress(growth.rounds, spec.trees, _measures(growth))
    facts: dict[str, Any] = {
        **growth.told(),
        "loss_scale": scale_for(most),
        "risk_scale": 0,
        "hazard": None,
    }
    hazard_loss: tuple[float, ...] = (0.0, 0.0)
    if task == "cox":
        facts["risk_scale"] = risk_scale(agreed["most_weight"], reach)
        if growth.setting["grid"]:
            asked = {**facts, "scale": facts["risk_scale"]}
            total = yield Question(NAME, RISK, asked, variables, progress=progress)
            facts["hazard"], hazard_loss = joint_hazard(total, facts["risk_scale"])
    return _Asking(facts, variables, progress, hazard_loss)


def _measures(growth: Growth) -> dict[str, float]:
    """The newest losses, for people."""
    last = growth.losses[-1] if growth.losses else ()
    return {f"{FOLD_NAMES[fold]}_loss": value for fold, value in enumerate(last) if math.isfinite(value)}


def _ended(growth: Growth) -> Progress:
    """Nothing more is grown, whatever was planned."""
    return Progress(growth.rounds, growth.rounds, _measures(growth))


def _losses(growth: Growth, total: Total, hazard_loss: Sequence[float], scale: int) -> tuple[float, ...]:
    """Mean loss by fold; not a number where a fold has no rows."""
    sums = total.sums["loss"] * 2.0**-scale
    found = zip(sums.tolist(), hazard_loss, growth.agreed["weights"])
    return tuple((lost + more) / weight if weight > 0 else math.nan for lost, more, weight in found)


def _worse(spec: BoostingSpec, losses: Sequence[tuple[float, ...]]) -> bool:
    """Whether the last trees did not lower the loss on validation rows."""
    if not spec.early_stopping or not losses:
        return False
    course = [each[VALIDATION] for each in losses]
    return len(course) - 1 - int(np.argmin(course)) >= spec.early_stopping


def _judged(spec: BoostingSpec, terms: Terms, growth: Growth) -> Script:
    """The last questions: the loss after the last tree where it is to be known, and how good the forest is."""
    growth = yield from _with_last_loss(spec, growth)
    aim, rows, rounds = growth.forest.aim, growth.agreed["rows"], growth.rounds
    chosen = growth.best if spec.early_stopping else rounds
    forest = replace(growth.forest, trees=growth.forest.trees[: chosen * len(growth.forest.base)])
    tables = {"learning": learning_table(growth), "importance": importance_table(forest)}
    fold = TEST if spec.test else VALIDATION if spec.validation else TRAINING
    if rows[fold]:
        facts, variables = {**growth.whole(chosen), "fold": fold}, tuple(use.name for use in reads(spec))
        total = yield Question(NAME, JUDGE, facts, variables, progress=_ended(growth))
        tables |= quality(aim, total.sums, confidence=spec.confidence, min_cell_count=terms.min_cell_count)
        notes = (*remarks(aim, total.sums, min_cell_count=terms.min_cell_count), *((SEEN,) if fold == TRAINING else ()))
    else:
        notes = (ELSEWHERE,)
    found = {
        "task": spec.task,
        "rows": sum(rows),
        "trees": len(forest.trees),
        **({"classes": len(forest.base)} if len(forest.base) > 1 else {}),
        "chosen_tree": chosen,
        "stopped_early": rounds < spec.trees,
        "depth": spec.depth,
        "judged_on": FOLD_NAMES[fold] if rows[fold] else "nothing",
    }
    notes = (*growth.agreed["notes"], *notes)
    return Result(NAME, sum(rows), terms.roster, found, tables, model=forest.facts(), notes=notes)


def _with_last_loss(spec: BoostingSpec, growth: Growth) -> Generator[Question, Total, Growth]:
    if len(growth.losses) > growth.rounds:
        return growth
    asking = yield from _asking(spec, growth)
    total = yield replace(asking(0, trees_facts([]), np.zeros((0, 2), np.int32)), progress=_ended(growth))
    return replace(growth, losses=(*growth.losses, _losses(growth, total, asking.hazard_loss, asking.loss_scale)))


STEPS = {**LEVELS_STEPS, **GRID_STEPS, **START_STEPS, **BINNING_STEPS, **SITE_STEPS, **JUDGING_STEPS}
BOOSTING = ScriptedMethod(
    name=NAME,
    spec=BoostingSpec,
    program=_program,
    steps=STEPS,
    reads=reads,
    needs=needs,
    resume=_resume,
    appraise=appraise,
    export=to_files,
    telling=TELLING,
    drawn=lambda spec: (spec.aside, tuple(drawn_from(spec))),
)
