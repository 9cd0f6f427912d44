"""One stage in many lanes at once, as arrays over lanes and sites: when each site has what, and when the hub is through.

The hub takes replies in roster order, adds each up, and fetches the next while it adds, as the engine across hospitals does. Small
replies come by themselves; large ones are announced, the first of them are brought at once as far as there is room, and the others
are pulled one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.federation.wire.engine import AHEAD
from huizhen.twin.simulate.models import Array, Transfers
from huizhen.twin.simulate.sheet import StageSheet

__all__ = ["NOTE", "PARTS", "Given", "StageTimes", "play_stage"]

NOTE = 200.0  # bytes of an announcement, and of a wish for a piece, on the bus
PARTS = ("download", "compute", "protect", "upload", "aggregate", "wait")


@dataclass(frozen=True, slots=True)
class Given:
    """A stage as it comes in some lanes; arrays are (lane, site), or (lane, 1).

    Attributes:
        present: who is asked; silent: who will not answer.
        down, up: bytes; compute, protect: seconds; sealing, add: at the hub, (lane, 1).
        deadline_s: 0: none.
    """

    present: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    down: Array
    up: Array
    compute: Array
    protect: Array
    sealing: Array
    add: Array
    deadline_s: float


@dataclass(frozen=True, slots=True)
class StageTimes:
    """What came of a stage; seconds from its beginning.

    Attributes:
        ends: (lane,); parts: (lane, part), which add up to `ends`, along the site that everything waited for.
        missing: who did not answer in time, (lane, site).
        asked, worked, ready, came: (lane, site): when the ask was there, the work done, the answer protected, the reply at the hub.
    """

    ends: Array
    parts: Array
    missing: NDArray[np.bool_]
    asked: Array
    worked: Array
    ready: Array
    came: Array


def play_stage(sheet: StageSheet, given: Given, transfers: Transfers) -> StageTimes:
    """One stage. A site that is not asked changes nothing for the others."""
    begins = np.where(given.present, given.sealing, np.inf)
    asked = transfers.together("down", begins, given.down)
    worked = asked + given.compute
    ready = worked + given.protect
    speaks = given.present & ~given.silent
    limit = given.deadline_s or np.inf
    if sheet.pulled:
        return _pulled(given, transfers, asked, worked, np.where(speaks, ready, np.inf), limit)
    came = transfers.together("up", np.where(speaks, ready, np.inf), given.up)
    missing = given.present & ~(came <= limit)
    taken = np.where(missing, limit, came)
    order = np.cumsum(np.where(missing | ~given.present, 0.0, given.add), axis=1)
    before = order - np.where(missing | ~given.present, 0.0, given.add)
    waits = np.where(given.present, taken - before, -np.inf)
    last = np.argmax(waits, axis=1)[:, None]
    whole = np.take_along_axis(waits, last, 1)[:, 0] + order[:, -1]
    ends = np.where(given.present.any(axis=1), np.maximum(whole, given.sealing[:, 0]), given.sealing[:, 0])
    parts = _parts(given, asked, worked, ready, taken, missing, last, ends)
    return StageTimes(ends, parts, missing, asked, worked, ready, came)


def _parts(
    given: Given,
    asked: Array,
    worked: Array,
    ready: Array,
    taken: Array,
    missing: NDArray[np.bool_],
    last: NDArray[np.intp],
    ends: Array,
) -> Array:
    """Where the time went, along the site that the hub waited for last."""
    steps = [np.take_along_axis(each, last, 1)[:, 0] for each in (asked, worked, ready, taken)]
    late = np.take_along_axis(missing, last, 1)[:, 0]
    sealed = given.sealing[:, 0]
    none = ~given.present.any(axis=1)
    parts = np.zeros((len(ends), len(PARTS)))
    sound = ~(late | none)
    a, w, r, t = (np.where(sound, each, 0.0) for each in steps)
    parts[:, 0] = np.where(sound, a - sealed, 0.0)
    parts[:, 1] = w - a
    parts[:, 2] = r - w + np.where(late, 0.0, sealed)
    parts[:, 3] = t - r
    parts[:, 5] = np.where(late, steps[3], 0.0)
    parts[:, 4] = ends - parts[:, [0, 1, 2, 3, 5]].sum(axis=1)
    return parts


def _pulled(given: Given, transfers: Transfers, asked: Array, worked: Array, ready: Array, limit: float) -> StageTimes:
    """Large replies: announced, then brought or pulled."""
    small = np.full_like(given.up, NOTE)
    note, wish = transfers.alone("up", small), transfers.alone("down", small)
    announced = ready + note
    told = given.present & (announced <= limit)
    rank = np.argsort(np.where(told, announced, np.inf), axis=1, kind="stable")
    room = np.take_along_axis(
        np.cumsum(np.take_along_axis(np.where(told, given.up, np.inf), rank, 1), axis=1) <= AHEAD, rank.argsort(1), 1
    )
    brought = transfers.together("up", np.where(room & told, announced + wish, np.inf), given.up)
    pull = wish + transfers.alone("up", given.up)
    came = np.where(told, np.where(room, brought, np.inf), np.inf)
    lanes, sites = given.present.shape
    free, added, chain = np.zeros(lanes), np.asarray(given.sealing[:, 0]).copy(), np.full(lanes, -1)
    late, missing, end_of_pull = np.zeros(lanes, bool), given.present & ~told, np.zeros(lanes)
    for k in range(sites):
        here = given.present[:, k]
        if not here.any():
            continue
        begin = np.where((announced[:, k] <= free), free, np.maximum(announced[:, k], added))
        own = np.where(room[:, k], brought[:, k], begin + np.minimum(pull[:, k], limit))
        slow = told[:, k] & ((~room[:, k] & (pull[:, k] > limit)) | (room[:, k] & (brought[:, k] > announced[:, k] + limit)))
        own = np.where(room[:, k] & slow, announced[:, k] + limit, own)
        missing[:, k] |= here & slow
        own = np.where(told[:, k], own, limit)
        got = np.maximum(own, added)
        fresh = here & (own > added) & ((begin > free) | room[:, k] | ~told[:, k] | (chain < 0))
        chain = np.where(fresh, k, chain)
        late = np.where(fresh, missing[:, k], late)
        end_of_pull = np.where(here, got, end_of_pull)
        free = np.where(here, got, free)
        added = np.where(here, got + np.where(missing[:, k], 0.0, given.add[:, 0]), added)
        came[:, k] = np.where(here & ~missing[:, k], np.minimum(own, got), came[:, k])
    last = np.maximum(chain, 0)[:, None]
    taken = np.broadcast_to(end_of_pull[:, None], ready.shape)
    parts = _parts(given, asked, worked, ready, taken, missing & late[:, None], last, added)
    return StageTimes(added, parts, missing, asked, worked, ready, came)
