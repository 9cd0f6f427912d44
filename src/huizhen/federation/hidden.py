"""What the hub's sides of sums that hide each site's numbers, masked and encrypted, have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huizhen.errors import Problem
from huizhen.federation.scheme import Summed
from huizhen.privacy.masking import words
from huizhen.privacy.release import EMPTY, Total

__all__ = ["Scales", "alike", "signature_in", "told", "too_few"]


@dataclass(slots=True)
class Scales:
    """How the numbers of each step are coded, from what was learned of their sizes in its last round.

    Attributes:
        bits: 16 or 32, of changes of weights.
        heights: by step and part, the scale of each run.
    """

    bits: int
    heights: dict[str, Mapping[str, Any]]

    def coding(self, step: str, sites: int) -> words.Coding:
        """How so many sites code the next answer to this step."""
        return words.Coding(sites, self.bits, self.heights.get(step, EMPTY))

    def read(
        self,
        total: words.Words,
        step: str,
        outline: words.Outline,
        coding: words.Coding,
        individual: Mapping[str, Mapping[str, Any]],
        survivors: tuple[str, ...],
    ) -> Summed:
        """The sum of a round, whose sizes give the next one's scales.

        Args:
            individual: individual releases by site, then by part.

        Raises:
            FederationError: it is no sum of sound answers.
        """
        joint, self.heights[step] = words.decode(total, outline, coding, survivors)
        single = {name: {site: individual[site][name] for site in survivors} for name in individual[survivors[0]]}
        cells = tuple(name for name, _, _, _, counts in outline if counts)
        return Summed(Total(joint.sums, {}, single, joint.rows, survivors), {}, cells)

    def facts(self) -> Mapping[str, Any]:
        """What the next rounds depend on, as canonical values."""
        return {"heights": {step: dict(heights) for step, heights in self.heights.items()}}


def told(coding: words.Coding, members: tuple[str, ...], place: int) -> dict[str, Any]:
    """What all sites are told when they are to answer; `Coding.told` reads it."""
    return {"members": list(members), "place": place, "bits": coding.bits, "heights": dict(coding.heights)}


def alike(individual: Any, others: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a site's individual releases are of the same parts as those of the sites before it."""
    return isinstance(individual, Mapping) and (not others or set(individual) == set(next(iter(others.values()))))


def signature_in(packet: Mapping[str, Any], site: str, signatures: dict[str, bytes]) -> bool:
    """Whether a packet holds a signature, which is kept; the sites verify it, not the hub."""
    signature = packet.get("signature")
    if isinstance(signature, bytes):
        signatures[site] = signature
    return isinstance(signature, bytes)


def too_few(stage: str, came: tuple[str, ...], fewest: int) -> list[Problem]:
    """The problem of a stage that fewer sites came through than a sum takes; none where there were enough."""
    if len(came) >= fewest:
        return []
    expected = f"at least {fewest}, so that the sum of those who stay is nobody's secret"
    return [Problem(f"stage {stage}", f"{len(came)} sites", expected)]
