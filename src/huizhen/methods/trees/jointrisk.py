"""Cox with joint risk sets, at the hub: from sums of relative hazards by time to what every site needs of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from huizhen.data.folds import TRAINING
from huizhen.errors import NotEstimable
from huizhen.methods.trees.rows import increments
from huizhen.privacy.release import Total

__all__ = ["joint_hazard", "risk_scale"]

RISK_LIMIT = 61  # bits of a sum of relative hazards, which is added up in two halves
FEWEST_BITS = 16  # of fraction that a relative hazard must keep


def risk_scale(most_weight: float, reach: float) -> int:
    """The scale at which no sum of relative hazards passes its limit, with margins of at most `reach`.

    Raises:
        NotEstimable: too few bits are left for small hazards.
    """
    scale = RISK_LIMIT - math.ceil(reach / math.log(2.0)) - math.frexp(most_weight)[1]
    if scale < FEWEST_BITS:
        raise NotEstimable(
            "the log hazards have grown too far apart to be summed exactly; choose fewer trees, a lower learning_rate or more l2"
        )
    return scale


def joint_hazard(total: Total, scale: int) -> tuple[dict[str, Any], tuple[float, ...]]:
    """What every site needs of the joint risk sets, and their part of the loss by fold (sum of d log S)."""
    risk = np.cumsum(total.sums["risk"][:, ::-1], axis=1)[:, ::-1] * 2.0**-scale  # (fold, place)
    events = total.sums["events"] * 2.0**-scale
    steps = increments(events[TRAINING], risk[TRAINING])
    lost = [float((d[d > 0] * np.log(s[d > 0])).sum()) for d, s in zip(events, risk)]
    return {"first": np.cumsum(steps[0]), "second": np.cumsum(steps[1])}, tuple(lost)
