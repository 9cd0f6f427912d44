"""Whether an answer is what was planned: no part that tells more of a patient than the study said."""

from __future__ import annotations

from typing import Any

from huizhen import canonical
from huizhen.errors import Problem, SiteError
from huizhen.privacy.noiseplan import StepNoise
from huizhen.privacy.noisysteps import NoisyPart
from huizhen.privacy.release import Answer, Part, Sensitivity

__all__ = ["ASK", "is_rows", "not_planned", "refusal", "says_the_same", "unplanned", "weight_of"]

ASK = "Ask who runs the hub; this site answers nothing else"


def weight_of(answer: Answer, noise: StepNoise) -> float:
    """The rows by which a change was multiplied; nothing is divided where there are none."""
    weights = [float(answer.parts[name].values.sum()) for name in noise.planned.ones]
    return next((one for one in weights if one > 0), 1.0)


def unplanned(name: str, part: Part, planned: NoisyPart, noise: StepNoise) -> list[Problem]:
    slices = noise.parts[name].slices
    entries = part.values.size // max(len(slices), 1)
    if entries > planned.size or (len(slices) > 1 and part.values.shape[-1:] != (len(slices),)):
        return [Problem(f"part {name!r}", "more numbers than planned", f"at most {planned.size}")]
    if planned.kind == "change":
        return []
    declared = part.sensitivity if isinstance(part.sensitivity, tuple) else (part.sensitivity,)
    if len(declared) != len(slices) or not all(
        _is_within(one, other) for one, other in zip(declared, planned.sensitivity, strict=True)
    ):
        return [Problem(f"part {name!r}", "no bound, or a larger one, on what a patient changes", "the planned bound")]
    return []


def _is_within(declared: Sensitivity | None, planned: Sensitivity) -> bool:
    slack = 1 + 1e-12
    return declared is not None and 0 <= declared.l1 <= planned.l1 * slack and 0 <= declared.l2 <= planned.l2 * slack


def is_rows(part: Part, rows: int) -> bool:
    """Whether the part holds the number of rows, and zeros."""
    flat = part.values.reshape(-1)
    return bool(flat.size and flat[0] == rows and not flat[1:].any())


def says_the_same(said: Any, planned: Any) -> bool:
    """Whether two facts are one canonical value."""
    try:
        return canonical.digest(said) == canonical.digest(planned)
    except (TypeError, ValueError):
        return False


def not_planned(name: str) -> Problem:
    return Problem(f"part {name!r}", "a part that the study's plan of noise does not hold", "what was planned")


def refusal(found: str, expected: str, remedy: str = "") -> SiteError:
    return SiteError("This answer cannot carry the study's noise.", [Problem("protection.noise", found, expected, remedy)])
