"""Error feedback, around any way of shrinking: what was not sent is kept at the site and added to the next round's values.

Without it, an entry that is never among those sent is never learned, and what is clipped is lost; with it, everything is sent some
time (Seide et al. 2014; Stich, Cordonnier and Jaggi 2018, algorithm 1; Karimireddy et al. 2019, algorithm 2).

    sent over all rounds, restored  +  what is kept  =  the values of all rounds      (to the rounding of float32)

What is kept tells of single patients as the values do. It stays at the site, like a control variate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huizhen.privacy.compression.blocks import Floats
from huizhen.privacy.compression.quantising import Entropy
from huizhen.privacy.compression.shrinking import Compression, Public, Shrunk

__all__ = ["Kept", "send"]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a site keeps between rounds.

    A round may be asked again, and an answer may be lost on the way to the sum. What was sent then has not arrived: the round
    counts as if the site had not taken part, and what it kept before still holds.

    Attributes:
        round: of the newest answer, as `Public.round` counts; -1 before the first.
        before: what was kept before it, float32 (n,); None: nothing.
        after: what is kept if it was counted.
    """

    round: int = -1
    before: Floats | None = None
    after: Floats | None = None

    def facts(self) -> dict[str, Any]:
        """As canonical values, for the site's own checkpoint."""
        return {"round": self.round, "before": self.before, "after": self.after}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Kept:
        """What is kept, from `facts`."""
        return cls(facts["round"], facts["before"], facts["after"])

    def as_of(self, counted: int) -> Floats | None:
        """What is kept when the site was last counted in round `counted` (-1: never)."""
        return self.after if counted >= self.round else self.before


def send(
    compression: Compression, values: Floats, kept: Kept, public: Public, entropy: Entropy, *, counted: int | None = None
) -> tuple[Shrunk, Kept]:
    """What a site sends in a round, and what it keeps then.

    Args:
        values: float32 (n,); not changed.
        counted: the round in which the site was last counted; None: in that of its newest answer, unless this round is asked again.

    Raises:
        SiteError: a value is not finite.
        CallerError: values that are not of the compression's blocks.
    """
    compression.blocks.check(values)
    if counted is None:
        counted = kept.round if kept.round < public.round else public.round - 1
    before = kept.as_of(counted)
    target = values.copy() if before is None else values + before
    shrunk = compression.shrink(target, public, entropy)
    if shrunk.values.base is target or shrunk.values is target:
        shrunk = Shrunk(shrunk.values.copy(), shrunk.places, shrunk.clipped)
    compression.restore_onto(target, shrunk, public, times=-1.0)
    return shrunk, Kept(public.round, before, target)
