"""What a finding says of its noise: how much stands in each number, what the study spent, and whether anything is left of it."""

from __future__ import annotations

import math
from dataclasses import replace

from huizhen.federation.events import Outcome
from huizhen.federation.selection import MUSTER
from huizhen.privacy.accounting.usefulness import POOR, Usefulness, usefulness
from huizhen.privacy.noiseplan import NoisePlan, StepNoise
from huizhen.privacy.noisysteps import NoisyTraining
from huizhen.privacy.result import Result, Table

__all__ = ["with_noise"]

TABLE = "noise"
CAPTION = "Standard deviation of the noise in each number of a joint answer, in its unit."
DEVIATIONS = 2.0  # of its noise, that a number of rows is taken to be less: noise must not make a setting look useful
PATIENTS = "one patient, by being there or not"
SITES = "whatever one site adds to the weights, but not how many rows it has"


def with_noise(outcome: Outcome, plan: NoisePlan) -> Outcome:
    """The outcome with what its noise is and costs: facts ``epsilon``, ``epsilon_rdp``, ``delta``, a table ``noise``, notes."""
    asked, spent, result = plan.wanted, plan.spent, outcome.result
    judged = _usefulness(outcome, plan)
    if asked.level == "settings":  # what it costs the method has told
        return outcome if judged is None or judged.ratio >= POOR else replace(outcome, result=_noted(result, judged.words))
    steps = {step: noise for (label, step), noise in plan.steps.items() if label == outcome.label}
    rows = [
        (step, name, place, deviation)
        for (step, name), deviations in plan.deviations(outcome.label, len(outcome.roster)).items()
        for place, deviation in enumerate(deviations, 1)
    ]
    columns = tuple(zip(*rows, strict=True)) if rows else ((), (), (), ())
    table = Table(dict(zip(("step", "part", "place", "standard_deviation"), columns, strict=True)), "", CAPTION)
    hidden = PATIENTS if asked.level == "patient" else SITES
    notes = [
        f"The answers hold noise that hides {hidden}: all analyses of the study together spend at most epsilon {spent.pld:.3g} at "
        f"delta {asked.delta:g} (by Rényi differential privacy: {spent.rdp:.3g}).",
    ]
    if any(one.shares > 1 for noise in steps.values() for part in noise.parts.values() for one in part.slices):
        notes.append(f"Nobody knows the noise as long as {asked.honest} of the sites in each sum are honest.")
    if asked.level == "patient":
        notes.append("Numbers of patients hold noise too; those that it carried below 0 are told as 0.")
    if judged is not None:
        notes.append(judged.words)
    facts = {**result.facts, "epsilon": spent.pld, "epsilon_rdp": spent.rdp, "delta": asked.delta}
    tables = {**result.tables, TABLE: table}
    if result.failure:
        return replace(outcome, result=_noted(result, notes[0]))
    if any(noise.planned.training for noise in steps.values()):
        facts["noise_multiplier"] = plan.multiplier
    return replace(outcome, result=replace(_noted(result, *notes), facts=facts, tables=tables))


def _noted(result: Result, *notes: str) -> Result:
    return replace(result, notes=(*result.notes, *notes))


def _usefulness(outcome: Outcome, plan: NoisePlan) -> Usefulness | None:
    """Of a network, whether noise leaves anything."""
    size, sites = outcome.result.facts.get("parameters"), len(outcome.roster)
    if not size or not sites:
        return None
    for noise in (noise for (label, _), noise in plan.steps.items() if label == outcome.label):
        if (training := noise.planned.training) is not None and training.rate:
            return _of_training(outcome, plan, noise, training, int(size))
        for part in noise.parts.values():
            if part.kind == "change":
                multiplier = math.sqrt(sites) * part.slices[0].sd / plan.wanted.clip
                return usefulness(units=sites, noise_multiplier=multiplier, entries=int(size), rounds=noise.planned.times)
    return None


def _of_training(outcome: Outcome, plan: NoisePlan, noise: StepNoise, training: NoisyTraining, size: int) -> Usefulness:
    """Over N rows of S sites the mean gradient holds noise of a standard deviation of sqrt(S) multipliers / (rate N)."""
    counted = plan.steps[outcome.label, MUSTER].parts.values()
    spread = math.sqrt(sum(part.slices[0].sd ** 2 for part in counted) * len(outcome.roster))
    rows = max(sum(outcome.rows.values()) - DEVIATIONS * spread, 1.0)
    units, rounds = training.rate * rows / math.sqrt(len(outcome.roster)), noise.planned.times * training.steps
    return usefulness(units=units, noise_multiplier=training.noise or plan.multiplier, entries=size, rounds=rounds)
