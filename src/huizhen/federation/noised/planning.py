"""The noise of a study as its file plans it, set aside at every site before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from huizhen.errors import FederationError, PolicyError, Problem
from huizhen.federation.checkpoint import Checkpoints
from huizhen.federation.noise import wanted
from huizhen.federation.noised.answers import ROWS, draws_of
from huizhen.federation.selection import MUSTER
from huizhen.federation.study import Study
from huizhen.policy.gate import Gate
from huizhen.privacy.noiseplan import NoisePlan, plan_noise, plan_of_settings
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Sensitivity

__all__ = ["COUNTED", "COUNTED_EXACTLY", "plan_of", "reserve", "settle"]

COUNTED = NoisyStep(MUSTER, 1, {ROWS: NoisyPart("counts", (Sensitivity(1.0, 1.0),))}, seen=True)
COUNTED_EXACTLY = NoisyStep(MUSTER, 1, rows=(ROWS,))
LOUDER = 8.0  # the noise of a count that only weighs sites, over that of a step of training: it costs it some hundredths


def plan_of(study: Study, sites: int) -> NoisePlan | None:
    """The noise of a study with so many sites; None where it asks for none, in its section nor in the settings of a method.

    Raises:
        StudyError: no noise is enough.
        FederationError: more honest sites are asked for than there are.
        MachineError: the package dp-accounting is not installed.
    """
    noise = study.protection.noise
    if noise is None:
        own = {label: (COUNTED_EXACTLY, *steps) for label, steps in study.noisy_steps.items()}
        return plan_of_settings(own) if own else None
    asked = wanted(noise, sites)
    if asked.place == "shares" and asked.honest > sites:
        problem = Problem("protection.noise.honest", f"{asked.honest}", f"no more than the {sites} sites that are here")
        raise FederationError("The noise cannot be shared out.", [problem])
    return plan_noise(asked, {label: (_counted(noise.level, steps), *steps) for label, steps in study.noisy_steps.items()})


def _counted(level: str, steps: tuple[NoisyStep, ...]) -> NoisyStep:
    if level == "site":
        return COUNTED_EXACTLY
    return replace(COUNTED, louder=LOUDER) if any(step.training is not None for step in steps) else COUNTED


def reserve(gates: Mapping[str, Gate], study: Study, plan: NoisePlan, kept: Checkpoints, data: str = "") -> None:
    """Sets aside at every site with a budget what the whole study will spend, before anything is asked.

    What a site has kept of an earlier run of this study on these rows was paid for then.

    Args:
        kept, data: as of `Noised`.

    Raises:
        PolicyError: at a site it would spend more than is left; every such site is named, and nothing is set aside anywhere.
    """
    problems = []
    for site, gate in gates.items():
        if gate.purse is None:
            continue
        if not math.isfinite(plan.spent.pld) and not gate.purse.budget.allow_exact:
            problems.append(Problem(f"site {site}", *RATELESS))
            continue
        if not plan.events:
            continue
        draws = [draw for analysis in study.analyses for draw in draws_of(kept, site, analysis.label, plan, data)]
        decision = gate.purse.reserve(study.digest, plan.events, draws=draws)
        if not decision.allowed:
            expected = f"room for a study of epsilon {plan.spent.pld:.3g} at delta {plan.wanted.delta:g}"
            problems.append(Problem(f"site {site}", "; ".join(decision.reasons), expected))
    if problems:
        settle(gates, study)
        raise PolicyError("The study would spend more than privacy budgets allow, so it does not start.", problems)


RATELESS = (
    "a privacy budget, and training whose cost is not known beforehand",
    "a cost that the study's file tells",
    "Set rate in private",
)


def settle(gates: Mapping[str, Gate], study: Study) -> None:
    """Ends a study's reservations: what was not spent is free again."""
    for gate in gates.values():
        if gate.purse is not None:
            gate.purse.settle(study.digest)
