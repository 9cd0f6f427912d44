"""What a finding says of its noise: how much stands in each number, what the study spent, and whether anything is left of it."""

from __future__ import annotations

import math
from dataclasses import replace

from huizhen.federation.events import Outcome
from huizhen.privacy.accounting.usefulness import usefulness
from huizhen.privacy.noiseplan import NoisePlan, StepNoise
from huizhen.privacy.result import Table

__all__ = ["with_noise"]

TABLE = "noise"
CAPTION = "Standard deviation of the noise in each number of a joint answer, in its unit."
PATIENTS = "one patient, by being there or not"
SITES = "whatever one site adds to the weights, but not how many rows it has"


def with_noise(outcome: Outcome, plan: NoisePlan) -> Outcome:
    """The outcome with what its noise is and costs: facts ``epsilon``, ``epsilon_rdp``, ``delta``, a table ``noise``, notes."""
    asked, spent, result = plan.wanted, plan.spent, outcome.result
    steps = {step: noise for (label, step), noise in plan.steps.items() if label == outcome.label and noise.parts}
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
    if asked.place == "shares":
        notes.append(f"Nobody knows the noise as long as {asked.honest} of the sites in each sum are honest.")
    if asked.level == "patient":
        notes.append("Numbers of patients hold noise too; those that it carried below 0 are told as 0.")
    if (judged := _usefulness(outcome, plan, steps)) is not None:
        notes.append(judged)
    facts = {**result.facts, "epsilon": spent.pld, "epsilon_rdp": spent.rdp, "delta": asked.delta}
    tables = {**result.tables, TABLE: table}
    if result.failure:
        return replace(outcome, result=replace(result, notes=(*result.notes, notes[0])))
    return replace(outcome, result=replace(result, facts=facts, tables=tables, notes=(*result.notes, *notes)))


def _usefulness(outcome: Outcome, plan: NoisePlan, steps: dict[str, StepNoise]) -> str | None:
    """Of a network's change, whether noise leaves anything."""
    changes = [(noise, part) for noise in steps.values() for part in noise.parts.values() if part.kind == "change"]
    size, sites = outcome.result.facts.get("parameters"), len(outcome.roster)
    if not changes or not size or not sites:
        return None
    noise, part = changes[0]
    multiplier = math.sqrt(sites) * part.slices[0].sd / plan.wanted.clip
    return usefulness(units=sites, noise_multiplier=multiplier, entries=int(size), rounds=noise.planned.times).words
