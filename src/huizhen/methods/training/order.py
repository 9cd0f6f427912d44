"""In which order rows are learned from: a draw by counter, so that one site or thousands are drawn alike, on any machine.

A draw is a hash of (seed, purpose, counter), never a state that moves on: splitmix64, see `huizhen.mixing`.

>>> import numpy as np
>>> row_orders(np.array([7, 8], np.uint64), np.array([0, 0]), np.array([4, 2]))
array([[2, 3, 1, 0],
       [0, 1, 2, 3]])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.mixing import draw, seed_of

__all__ = ["AUGMENT", "DROPOUT", "ORDER", "ROUND", "Schedule", "coin", "draw", "row_orders", "seed_of"]

ORDER, DROPOUT, AUGMENT, ROUND = range(1, 5)  # what is drawn: streams of one seed that do not meet
Draws = NDArray[np.uint64]
Ints = NDArray[np.int64]

_S32, _LOW = (np.array([n], np.uint64) for n in (32, 0xFFFFFFFF))


def coin(seeds: Draws, *counters: int | Ints | Draws) -> NDArray[np.bool_]:
    """A fair coin for each combination of `seeds` and `counters`."""
    return draw(seeds, *counters) >> np.array([63], np.uint64) > 0


def row_orders(seeds: Draws, epochs: Ints, rows: Ints) -> Ints:
    """An order of the rows of every site.

    Args:
        seeds: (site,).
        epochs: which pass over the rows it is, (site,).
        rows: each site's rows (site,), below 2**32.

    Returns:
        (site, largest number of rows): a permutation of 0 ... rows - 1 in front, and what follows it behind.
    """
    places = np.arange(int(rows.max(initial=0)), dtype=np.uint64)
    keys = draw(draw(seeds, ORDER, epochs)[:, None], places[None, :])
    # The upper half is drawn and the lower half is the row: all differ, so any way of sorting gives the same order.
    keys = (keys >> _S32 << _S32) | places
    keys[places[None, :] >= rows.astype(np.uint64)[:, None]] |= _LOW << _S32
    keys.sort(axis=1)
    return (keys & _LOW).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which places of an epoch's order every step takes, for sites with unlike numbers of rows.

    Attributes:
        rows: of each site, (site,).
        batch: rows in a step.
        per_epoch: steps of one pass, (site,).
        steps: steps altogether, (site,).
    """

    rows: Ints
    batch: int
    per_epoch: Ints
    steps: Ints

    @classmethod
    def of(cls, rows: Ints, batch: int, *, epochs: int, steps: int, pairs: bool) -> Schedule:
        """The schedule of `epochs` passes, or of `steps` steps where that is above 0.

        Args:
            pairs: no batch of one row (a variance is taken over a batch): a single row that is left joins the batch before it.
        """
        per_epoch = -(-rows // batch)
        if pairs:
            per_epoch = per_epoch - ((rows % batch == 1) & (rows > 1) & (batch > 1))
        return cls(rows, batch, per_epoch, np.full_like(rows, steps) if steps else per_epoch * epochs)

    def epoch(self, step: int) -> Ints:
        """The pass that a step belongs to, (site,)."""
        return step // self.per_epoch

    def bounds(self, step: int) -> tuple[Ints, Ints]:
        """First place and number of places in the epoch's order, (site,) each."""
        place = step % self.per_epoch
        first = place * self.batch
        return first, np.where(place == self.per_epoch - 1, self.rows - first, self.batch)

    def of_sites(self, which: Ints) -> Schedule:
        """The schedule of some of the sites."""
        return Schedule(self.rows[which], self.batch, self.per_epoch[which], self.steps[which])
