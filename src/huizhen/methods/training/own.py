"""What belongs to one site between two rounds: its control variate (SCAFFOLD) and its normalisation layers (FedBN).

Both move when a site trains, but its answer may be lost on the way to the sum. A control variate that had moved alone would then
stand against a joint one that had not, and pull the joint weights aside for good. So what a round leaves is *pending*, until a
later question says in which round the site was last counted: it then becomes what the site has, or is forgotten.

    pending    what the newest training left
    counted    what the last training left that was added up
    best       what stood when the joint weights were best so far, for early stopping
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE, Examples
from huizhen.errors import SiteError

__all__ = ["after_training", "at", "named", "settle"]

Floats = NDArray[np.float32]
State = Mapping[str, Any]  # `after`: how many rounds were done then; `control`, `layers`: float32, or None
GONE = (
    "what this site kept of earlier rounds (its control variate, or its own normalisation layers) is gone, so that it cannot go on "
    "in this run; run the study anew, in another folder"
)


def settle(kept: Mapping[str, Any], facts: Mapping[str, Any], examples: Examples, *, trains: bool) -> dict[str, Any]:
    """What is the site's own as of a question.

    Args:
        kept: as it was left by the question before.
        facts: of the question: ``done`` rounds, of these the ``best``, ``counted`` and ``turn``.
        trains: whether the site has rows to train on.

    Raises:
        SiteError: the site was counted, and what it kept of that is not there any more.
    """
    counted_in = facts["done"]
    if facts["counted"]:  # sites that missed a round: when each was last counted
        counted_in = facts["counted"].get(named(examples), counted_in)
    states = [kept[slot] for slot in ("best", "counted", "pending") if slot in kept]  # in the order of rounds
    if "pending" in kept and kept["pending"]["after"] > counted_in:
        states.pop()  # that answer was lost; had a later one been counted, its question would have settled this already
    if trains and facts["turn"] is None and counted_in and (not states or states[-1]["after"] != counted_in):
        raise SiteError(GONE)
    settled = {} if not states else {"counted": states[-1]}
    before = [state for state in states if facts["best"] and state["after"] <= facts["best"]]
    return settled if not before else {**settled, "best": before[-1]}


def at(settled: Mapping[str, Any], done: int) -> State:
    """What was the site's own after so many rounds; nothing before the first."""
    states = [settled[slot] for slot in ("best", "counted") if slot in settled and settled[slot]["after"] <= done]
    return states[-1] if states else {"after": 0, "control": None, "layers": None}


def after_training(settled: Mapping[str, Any], done: int, *, control: Floats | None, layers: Floats | None) -> dict[str, Any]:
    """What is kept after the training of round `done` + 1, which is not counted yet."""
    return {**settled, "pending": {"after": done + 1, "control": control, "layers": layers}}


def named(examples: Examples) -> str:
    """The site that these rows are of."""
    own = examples.category(SITE)
    return str(own.levels[own.codes[0]]) if examples.rows else ""
