"""What a site answers while a forest grows: histograms of nodes, the loss so far, sums over risk sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from huizhen.data.examples import Examples
from huizhen.methods.method import Local, Step
from huizhen.methods.trees.forest import trees_from
from huizhen.methods.trees.told import grower
from huizhen.privacy.release import Answer, Part, Question

__all__ = ["GROW", "RISK", "SITE_STEPS"]

GROW, RISK = "boosting.grow", "boosting.risk"


def grow(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: histograms of some nodes; with those of the roots the loss so far."""
    known, local = grower(question, examples, local)
    facts, rows = question.facts, len(known.training)
    parts: dict[str, Part] = {}
    if facts["level"] == 0 or known.weighed != known.mark:
        loss = known.weigh(facts["hazard"], loss_scale=facts["loss_scale"], risk_scale=facts["risk_scale"])
        known.weighed = known.mark
        if facts["level"] == 0:
            parts["loss"] = Part(loss, examples.rows)
    known.follow(trees_from(facts["growing"]))
    sums = known.histograms(np.asarray(facts["wanted"]))
    parts |= {name: Part(values, rows, cells=name == "rows") for name, values in sums.items()}
    return Answer(parts, examples.rows), local


def risk(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: sums of relative hazards by joint interval of time."""
    known, local = grower(question, examples, local)
    sums = {"risk": known.risk(question.facts["scale"]), "events": known.died(question.facts["scale"])}
    return Answer({name: Part(values, examples.rows) for name, values in sums.items()}, examples.rows), local


SITE_STEPS: Mapping[str, Step] = {GROW: grow, RISK: risk}
