"""Shared support: all sites send the same part of the entries, drawn from what all know, and keep the rest for later rounds.

A block is cut into runs of 16 neighbouring entries (one cache line), and these into groups of as many runs as there are rounds in
a period. Of every group one run is sent in a round, so a share of 1/period of the entries; the ends of blocks, less than a group
long, and with them many biases and scales, are sent in every round. Which run is a `Choice`. Picking entries is linear: it can be
masked.

Runs and not single entries, for a gather of cache lines costs little more than a copy. One run of every group and not a draw among
all runs, for that needs no sorting, and no part of a block is passed over for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.mixing import draw, seed_of
from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.quantising import Entropy
from huizhen.privacy.compression.shrinking import Public, Shrunk, added

__all__ = ["RUN", "Choice", "SharedSupport", "cyclic", "drawn", "usual"]

RUN = 16
LONGEST_CYCLE = 4
Choice = Callable[[int, int, int, Ints], Ints]  # seed, round, period, groups -> which run of each group, from 0 to period - 1


def cyclic(seed: int, round_: int, period: int, groups: Ints) -> Ints:
    """One run after the other, each group beginning at a run of its own: every entry is sent once in `period` rounds."""
    first = draw(seed_of(seed), groups) % np.array([period], np.uint64)
    return (first.astype(np.int64) + round_) % period


def drawn(seed: int, round_: int, period: int, groups: Ints) -> Ints:
    """A new draw in every round: an entry waits `period` rounds in the mean, and for long with a small probability."""
    return (draw(seed_of(seed), round_, groups) % np.array([period], np.uint64)).astype(np.int64)


def usual(period: int) -> Choice:
    """The choice that lost least where it was tried (`docs/explanation/compression.md`): cyclic up to four rounds, then drawn.

    At a quarter, cyclic is ahead in the first rounds and equal at the end; at an eighth and below, a loss swung up again with it,
    and did not with draws. Periods of five to seven were not tried.
    """
    return cyclic if period <= LONGEST_CYCLE else drawn


@dataclass(frozen=True)
class SharedSupport:
    """Sends one of `period` runs of each group.

    Attributes:
        blocks: layout of the vectors.
        period: 2 or more; the share is 1/period.
        choose: which run of each group is sent in a round.
        run: entries in a run.
    """

    blocks: Blocks
    period: int
    choose: Choice = cyclic
    run: int = RUN
    maskable: bool = True

    def begin(self, seed: int, ranges: NDArray[np.float64]) -> Public:
        return Public(seed, 0, np.asarray(ranges, np.float64))

    def shrink(self, values: Floats, public: Public, entropy: Entropy) -> Shrunk:
        self.blocks.check(values)
        sent = np.empty(int(self._lengths.sum()), np.float32)
        for runs, ends, rows, picked, rest in self._parts(values, sent, public):
            np.take(runs, rows, axis=0, out=picked, mode="clip")  # any mode but raise writes without a copy between
            rest[:] = ends
        return Shrunk(sent)

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        return self._lengths

    def fits(self, shrunk: Shrunk, public: Public) -> bool:
        return shrunk.places is None and shrunk.values.shape == (int(self._lengths.sum()),)

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        return added(shrunk)

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        values = shrunk.values if times == 1 else shrunk.values * np.float32(times)
        for runs, ends, rows, picked, rest in self._parts(onto, values, public):
            runs[rows] += picked
            ends += rest

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        return replace(public, round=public.round + 1)

    def describe(self) -> Mapping[str, Any]:
        sent = int(self._lengths.sum())
        return {
            "kind": "shared",
            "period": self.period,
            "choice": self.choose.__name__,
            "sent": sent,
            "share": sent / self.blocks.size,
        }

    @cached_property
    def _groups(self) -> Ints:
        """Whole groups of each block."""
        return self.blocks.sizes // (self.run * self.period)

    @cached_property
    def _lengths(self) -> Ints:
        return self.blocks.sizes - self._groups * self.run * (self.period - 1)

    def _parts(self, whole: Floats, sent: Floats, public: Public) -> Iterator[tuple[Floats, Floats, Ints, Floats, Floats]]:
        """By block: its runs (run, entry), its end, which runs are sent; and the places of both in what is sent. All are views."""
        groups = self._groups
        chosen = self.choose(public.seed, public.round, self.period, np.arange(int(groups.sum())))
        firsts, places = np.cumsum(groups) - groups, np.cumsum(self._lengths) - self._lengths
        for block, count in enumerate(groups.tolist()):
            start, place = int(self.blocks.starts[block]), int(places[block])
            whole_block = whole[start : start + int(self.blocks.sizes[block])]
            sent_block = sent[place : place + int(self._lengths[block])]
            in_groups, in_runs = count * self.period * self.run, count * self.run
            rows = np.arange(count) * self.period + chosen[firsts[block] : firsts[block] + count]
            yield (
                whole_block[:in_groups].reshape(-1, self.run),
                whole_block[in_groups:],
                rows,
                sent_block[:in_runs].reshape(-1, self.run),
                sent_block[in_runs:],
            )
