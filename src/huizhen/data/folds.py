"""Which rows are kept from training: by a condition on the row, or by a draw from its content.

A share is drawn by a hash of what the row holds and of how many equal rows of its site stand before it. So a row unlike all others
falls into the same fold at whatever site and place it stands, and a pooled comparison sets the same rows aside; and equal rows draw
apart, for where few rows differ, a fold of all patients who are alike and well would leave those who are alike and ill to training.

>>> import numpy as np
>>> from huizhen.data.examples import Examples, Numbers
>>> rows = Examples({"age": Numbers(np.arange(1000.0))}, 1000)
>>> np.bincount(Aside(validation=0.1, test=0.2).fold(rows, ["age"])).tolist()
[708, 100, 192]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.cohort import joint_uses, parse
from huizhen.data.examples import SITE, Categories, Column, Examples, Images, Numbers, chunks
from huizhen.mixing import GAMMA, mixed

__all__ = ["FOLD_NAMES", "TEST", "TRAINING", "VALIDATION", "Aside", "content_hash"]

TRAINING, VALIDATION, TEST = 0, 1, 2
FOLD_NAMES = ("training", "validation", "test")
Rule = float | str  # a share of the rows, 0 for none, or a condition; "" for none
Hashes = NDArray[np.uint64]
FEW = 256  # images hashed at once


@dataclass(frozen=True, slots=True)
class Aside:
    """The rows that no model learns from.

    Attributes:
        validation: rows that early stopping looks at.
        test: rows that only the last judgement looks at; a row that meets both rules is one of these.
    """

    validation: Rule = 0.0
    test: Rule = 0.0

    @property
    def rules(self) -> tuple[Rule, Rule]:
        return self.validation, self.test

    @property
    def uses(self) -> Mapping[str, Literal["number", "category", "any"]]:
        """The variables that conditions read, and as what.

        Raises:
            StudyError: a condition cannot be read.
        """
        return joint_uses([parse(rule) for rule in self.rules if isinstance(rule, str) and rule])

    def fold(self, examples: Examples, names: Iterable[str]) -> NDArray[np.int8]:
        """The fold of each row: int8 (row,), 0 training, 1 validation, 2 test.

        Args:
            names: the variables whose content a draw looks at.
        """
        fold = np.zeros(examples.rows, np.int8)
        draw = _draw(examples, names) if any(isinstance(rule, float) and rule > 0 for rule in self.rules) else None
        start = 0.0
        for place, rule in ((VALIDATION, self.validation), (TEST, self.test)):
            if isinstance(rule, str):
                if rule:
                    fold[parse(rule).evaluate(examples) == 1] = place
            elif rule > 0 and draw is not None:
                share = draw / 2.0**64
                fold[(share >= start) & (share < start + rule)] = place
                start += rule
        return fold


def _draw(examples: Examples, names: Iterable[str]) -> Hashes:
    """A draw for each row, uint64 (row,): the first of equal rows of a site by its content, the next by that and place."""
    hashes = content_hash(examples, names)
    site = examples.category(SITE).codes if SITE in examples.columns else np.zeros(examples.rows, np.int32)
    order = np.lexsort((np.arange(examples.rows), hashes, site))  # stable: equal rows in their order
    new = np.ones(examples.rows, bool)
    new[1:] = (np.diff(hashes[order]) != 0) | (np.diff(site[order]) != 0)
    places = np.arange(examples.rows)
    before = np.empty(examples.rows, np.uint64)
    before[order] = places - np.maximum.accumulate(np.where(new, places, 0))
    return _mix(hashes + before * _seed("occurrence"))


def content_hash(examples: Examples, names: Iterable[str]) -> Hashes:
    """A hash of what each row holds in the named variables, uint64 (row,), evenly spread; the order of names does not matter.

    Not for secrets: see `mixing`.
    """
    total = np.zeros(examples.rows, np.uint64)
    looked_at = {origin for name in names for origin in examples.origins.get(name, (name,))}
    for name in sorted(looked_at):
        total = _mix(total ^ _hashes(examples.columns[name], _seed(name)))
    return total


def _hashes(column: Column, seed: np.uint64) -> Hashes:
    if isinstance(column, Numbers):
        values = column.values + 0.0  # minus zero is zero
        values[np.isnan(values)] = np.nan
        return _mix(values.view(np.uint64) + seed)
    if isinstance(column, Categories):
        by_level = np.array([_seed(level) for level in (*column.levels, "")], np.uint64)
        return _mix(by_level[column.codes] + seed)  # a missing one, -1, takes the last
    return _of_images(column, seed)


def _of_images(column: Images, seed: np.uint64) -> Hashes:
    found = np.empty(len(column.values), np.uint64)
    for rows in chunks(len(found), FEW):
        flat = np.ascontiguousarray(column.values[rows]).reshape(rows.stop - rows.start, -1).view(np.uint8)
        padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).view(np.uint64)
        place = np.arange(padded.shape[1], dtype=np.uint64) + seed
        found[rows] = _mix(np.add.reduce(_mix(padded ^ _mix(place)), axis=1, dtype=np.uint64))
    return found


def _seed(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def _mix(x: Hashes) -> Hashes:
    return mixed(x + GAMMA)
