"""The least coarsening under which a table hides its patients well enough: the optimum over all combinations of steps.

Combinations form a lattice. What is anonymous stays so when it is made coarser, what is not stays so when it is made finer; so
chains are
bisected and both sides ruled out, as in the optimal lattice anonymization of El Emam et al. (2009). Entropy diversity with rows
left out has no
such order; then combinations are tried one by one, from the least loss on. Loss: for each cell the share of the column's other
values that it
can no longer be told from (Iyengar 2002, equation 3), the mean over cells; a row left out has lost everything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from huizhen.data.deidentify.anonymity import Codes, Measured, Texts, classes_of, coded, diversity_of, measured
from huizhen.data.deidentify.hierarchy import Goal
from huizhen.errors import Problem, SiteError

__all__ = ["MOST", "Reached", "reach"]

MOST = 200_000  # combinations; more take minutes
Nodes = NDArray[np.int64]  # (combination, column)
TOLERANCE = 1e-9  # of an entropy, so that l values alike often count as l


@dataclass(frozen=True)
class Reached:
    """A table made anonymous enough.

    Attributes:
        columns: what the columns of the goal now say, by name; rows that were left out are not in it.
        kept: (row,) which rows stayed.
        steps: how far each column was made coarser; 0 is not at all.
        loss: 0 to 1.
        before: k and l of the table as it came.
        after: and as it is now.
        tried: combinations that were looked at.
    """

    columns: Mapping[str, list[str]]
    kept: NDArray[np.bool_]
    steps: Mapping[str, int]
    loss: float
    before: Measured
    after: Measured
    tried: int


def reach(table: Mapping[str, Sequence[str | None] | Texts], goal: Goal) -> Reached:
    """The combination of steps with the least loss that meets the goal.

    Args:
        table: columns of equal length.
        goal: what is to be reached, and how.

    Raises:
        SiteError: columns are missing, there are more combinations than can be looked at, or none meets the goal.
    """
    named = [*goal.hierarchies, *([goal.sensitive] if goal.sensitive else [])]
    missing = [Problem(f"anonymity: {name}", "no such column", "a column of the table") for name in named if name not in table]
    if missing:
        raise SiteError("The table cannot be made anonymous.", missing)
    work = _Work(table, goal)
    best = work.search()
    if best is None:
        problem = Problem(
            "anonymity", "no combination of steps that meets it", "k and l that the table can reach", "Let more rows be left out"
        )
        raise SiteError("The table cannot be made anonymous.", [problem])
    return work.made(best)


class _Work:
    """One table: its distinct combinations of values, and what was learned of the lattice so far."""

    def __init__(self, table: Mapping[str, Sequence[str | None] | Texts], goal: Goal) -> None:
        self._goal, self._names = goal, list(goal.hierarchies)
        self._codes, levels = {}, {}
        for name in self._names:
            self._codes[name], levels[name] = coded(table[name])
        self._labels = {name: goal.hierarchies[name].labels(levels[name]) for name in self._names}
        self._steps = {name: goal.hierarchies[name].codes(levels[name]) for name in self._names}
        self._sensitive = coded(table[goal.sensitive])[0] if goal.sensitive else None
        parts = [*self._codes.values(), *([self._sensitive] if self._sensitive is not None else [])]
        _, first, counts = np.unique(classes_of(parts), return_index=True, return_counts=True)
        self._first, self._weights = first, counts.astype(np.float64)
        self._rows = len(parts[0])
        self._tried: dict[tuple[int, ...], bool] = {}
        self._column_loss = {name: [self._lost(name, step) for step in self._steps[name]] for name in self._names}

    def _lost(self, name: str, step: Codes) -> float:
        """The loss of one column under one step, the mean over its rows."""
        if len(step) < 2 or not self._rows:
            return 0.0
        merged = np.bincount(step)[step]  # for each distinct value, with how many it is now one
        rows = np.bincount(self._codes[name], minlength=len(step))
        return float((rows * (merged - 1)).sum() / (len(step) - 1) / self._rows)

    def search(self) -> tuple[int, ...] | None:
        heights = [len(self._steps[name]) for name in self._names]
        if np.prod(heights, dtype=float) > MOST:
            problem = Problem(
                "anonymity.column",
                f"{np.prod(heights, dtype=float):.0f} combinations of steps",
                f"at most {MOST}",
                "Declare fewer steps",
            )
            raise SiteError("The table cannot be made anonymous.", [problem])
        nodes = np.array(list(itertools.product(*map(range, heights))), np.int64).reshape(-1, len(heights))
        losses = np.array([self._loss(node) for node in nodes])
        nodes, losses = nodes[np.argsort(losses, kind="stable")], np.sort(losses, kind="stable")
        ordered = self._goal.diversity == "distinct" or self._goal.suppress == 0 or self._goal.l == 1
        return (
            _bisected(nodes, self._fits) if ordered else next((tuple(map(int, node)) for node in nodes if self._fits(node)), None)
        )

    def _loss(self, node: NDArray[np.int64]) -> float:
        return float(np.mean([self._column_loss[name][step] for name, step in zip(self._names, node)]))

    def _fits(self, node: NDArray[np.int64]) -> bool:
        key = tuple(map(int, node))
        if key not in self._tried:
            weak, _ = self._weak(key, self._first, self._weights)
            self._tried[key] = float(self._weights[weak].sum()) <= self._goal.suppress * self._rows
        return self._tried[key]

    def _weak(self, node: tuple[int, ...], rows: Codes, weights: NDArray[np.float64]) -> tuple[NDArray[np.bool_], Codes]:
        """Which of these rows are in classes that do not meet the goal, and the classes."""
        classes = classes_of([self._steps[name][step][self._codes[name][rows]] for name, step in zip(self._names, node)])
        poor = np.bincount(classes, weights) < self._goal.k
        if self._sensitive is not None and self._goal.l > 1:
            poor |= diversity_of(classes, self._sensitive[rows], weights, self._goal.diversity) < self._goal.l - TOLERANCE
        return poor[classes], classes

    def made(self, node: tuple[int, ...]) -> Reached:
        every = np.arange(self._rows)
        weak, _ = self._weak(node, every, np.ones(self._rows))
        kept = ~weak
        sensitive = None if self._sensitive is None else self._sensitive[kept]
        told = {name: [self._labels[name][step][at] for at in self._codes[name][kept]] for name, step in zip(self._names, node)}
        codes = [self._steps[name][step][self._codes[name][kept]] for name, step in zip(self._names, node)]
        out = float(weak.mean()) if self._rows else 0.0
        before = measured(list(self._codes.values()), self._sensitive)
        loss = out + (1 - out) * self._loss(np.array(node))
        return Reached(told, kept, dict(zip(self._names, node)), loss, before, measured(codes, sensitive), len(self._tried))


def _bisected(nodes: Nodes, fits: Callable[[NDArray[np.int64]], bool]) -> tuple[int, ...] | None:
    """The first node, in the order given, that fits, where fitting goes on upwards; an order by loss does too."""
    open_ = np.ones(len(nodes), bool)
    best = len(nodes)
    top = nodes.max(axis=0)
    if not fits(top):
        return None
    while True:
        waiting = np.flatnonzero(open_[:best])
        if not len(waiting):
            return tuple(map(int, nodes[best])) if best < len(nodes) else tuple(map(int, top))
        chain = _chain(nodes[waiting[0]], top)
        low, high = 0, len(chain) - 1
        while low < high:  # the first of the chain that fits
            middle = (low + high) // 2
            low, high = (low, middle) if fits(chain[middle]) else (middle + 1, high)
        open_ &= ~(nodes >= chain[low]).all(axis=1)  # cost as much or more
        if low:
            open_ &= ~(nodes <= chain[low - 1]).all(axis=1)
        best = min(best, int(np.flatnonzero((nodes == chain[low]).all(axis=1))[0]))


def _chain(node: NDArray[np.int64], top: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """From a node to the top, a step of one column at a time, all columns in turn."""
    chain, now = [node], node
    while (now < top).any():
        for at in range(len(top)):
            if now[at] < top[at]:
                now = now.copy()
                now[at] += 1
                chain.append(now)
    return chain
