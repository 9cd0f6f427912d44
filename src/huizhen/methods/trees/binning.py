"""How covariates become bins: cut points near joint quantiles, joint levels of categories, and one bin for the missing.

    binning, notes = yield from agree_binning("boosting", covariates, terms, bins=256)
    codes = binning.encode(examples)

The same bins come out however the rows are split over sites.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.methods.description.levels import ask_levels, locate
from huizhen.methods.method import Local, Step
from huizhen.methods.trees.kernels import kernels
from huizhen.methods.trees.lattice import WHOLE, Cells, count_keys, cuts_between, keys_of, refine
from huizhen.privacy.release import Answer, Part, Question, Terms, Total

__all__ = ["BINNING_STEPS", "CELLS", "Binning", "agree_binning"]

CELLS = "boosting.cells"
FINER = 4  # cells hold at most this part of a bin's rows, unless they hold one value
MOST_ROUNDS = 10  # 12 bits in the first round and at least 4 in each after it: 6 are enough for 32


@dataclass(frozen=True)
class Binning:
    """The bins of every covariate.

    Attributes:
        names: the covariates.
        cuts: of a number: float32 (cut,), rising; a value below a cut lies on its left. Of a category: empty.
        levels: of a category: its joint levels with enough rows, in order. Of a number: ().
        categorical: which are categories.
    """

    names: tuple[str, ...]
    cuts: tuple[NDArray[np.float32], ...]
    levels: tuple[tuple[str, ...], ...]
    categorical: tuple[bool, ...]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Bins of values of each covariate, int64 (covariate,); the missing have the next one."""
        return np.array(
            [
                len(levels) if category else len(cuts) + 1
                for cuts, levels, category in zip(self.cuts, self.levels, self.categorical)
            ],
            np.int64,
        )

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where the bins of each covariate begin in a histogram, int64 (covariate + 1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes + 1)])

    def encode(self, examples: Examples) -> NDArray[np.uint8]:
        """The bin of each row, uint8 (covariate, row)."""
        codes = np.empty((len(self.names), examples.rows), np.uint8)
        for place, (name, cuts, levels) in enumerate(zip(self.names, self.cuts, self.levels)):
            missing = int(self.sizes[place])
            if not self.categorical[place]:
                kernels().encode(examples.number(name), cuts, missing, codes[place])
                continue
            code = locate(examples, name, levels)
            for rows in chunks(examples.rows):
                found = code(rows)
                codes[place, rows] = np.where(found < 0, missing, found)
        return codes

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {
            "names": list(self.names),
            "categorical": list(self.categorical),
            "levels": [list(levels) for levels in self.levels],
            "cuts": np.concatenate([np.zeros(0, np.float32), *self.cuts]),
            "counts": np.array([len(cuts) for cuts in self.cuts], np.int32),
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Binning:
        """The binning behind `facts`."""
        ends = np.cumsum(np.asarray(facts["counts"]))[:-1]
        cuts = tuple(np.split(np.asarray(facts["cuts"], np.float32), ends))
        levels = tuple(tuple(each) for each in facts["levels"])
        return cls(tuple(facts["names"]), cuts, levels, tuple(facts["categorical"]))


def agree_binning(
    method: str, covariates: Sequence[str], terms: Terms, *, bins: int
) -> Generator[Question, Total, tuple[Binning, tuple[str, ...]]]:
    """Agrees on the bins of the covariates, and says what a reader must know about them.

    Args:
        bins: the most bins of a covariate, that of the missing among them; at most 256.

    Raises:
        NotEstimable: no covariate has two bins; a category has more levels than there can be.
    """
    least = max(terms.min_cell_count, 1)
    kinds = [terms.variables[name].kind if name in terms.variables else "number" for name in covariates]
    numbers = [name for name, kind in zip(covariates, kinds) if kind == "number"]
    categories = [name for name, kind in zip(covariates, kinds) if kind != "number"]
    cuts = (yield from _agree_cuts(method, numbers, bins - 1, least)) if numbers else {}
    levels, notes = (yield from _agree_levels(method, categories, terms, bins - 1, least)) if categories else ({}, ())
    none = np.zeros(0, np.float32)
    binning = Binning(
        tuple(covariates),
        tuple(cuts.get(name, none) for name in covariates),
        tuple(levels.get(name, ()) for name in covariates),
        tuple(name in levels for name in covariates),
    )
    return binning, notes


def _agree_cuts(
    method: str, names: Sequence[str], bins: int, least: int
) -> Generator[Question, Total, dict[str, NDArray[np.float32]]]:
    """Cells of the float32 numbers, halved until each holds few rows or one value; then cuts between them."""
    cells, light = dict.fromkeys(names, WHOLE), 2 * least - 1
    for round_ in range(MOST_ROUNDS):
        open_ = [name for name in names if cells[name].heavy(light).any()]
        if not open_:
            break
        total = yield Question(method, CELLS, _cells_facts(cells, open_, light), tuple(open_))
        for name in open_:
            cells[name] = refine(cells[name], light, total.sums[f"rows/{name}"])
        if round_ == 0:
            light = max(light, int(max(each.rows.sum() for each in cells.values())) // (FINER * bins))
    return {name: cuts_between(each, bins, least) for name, each in cells.items()}


def _cells_facts(cells: Mapping[str, Cells], names: Sequence[str], light: int) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name in names:
        heavy = cells[name].heavy(light)
        facts[name] = {
            "starts": cells[name].starts[heavy],
            "log2_sizes": cells[name].log2_sizes[heavy].astype(np.uint8),
            "log2_parts": cells[name].parts(light).astype(np.uint8),
        }
    return facts


def count_cells(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    """At a site: rows in each part of each cell."""
    parts = {}
    for name, cells in question.facts.items():
        values = examples.number(name)
        ordered = np.sort(keys_of(values[~np.isnan(values)]))
        counts = count_keys(ordered, *(np.asarray(cells[each], np.int64) for each in ("starts", "log2_sizes", "log2_parts")))
        parts[f"rows/{name}"] = Part(counts, examples.rows, cells=True)
    return Answer(parts, examples.rows), local


BINNING_STEPS: Mapping[str, Step] = {CELLS: count_cells}


def _agree_levels(
    method: str, names: Sequence[str], terms: Terms, most: int, least: int
) -> Generator[Question, Total, tuple[dict[str, tuple[str, ...]], tuple[str, ...]]]:
    """The levels with enough rows; the others are as if missing."""
    declared = [terms.variables[name].levels for name in names]
    counted = yield from ask_levels(method, list(zip(names, declared)))
    levels, notes = {}, []
    for name, rows in zip(names, counted):
        enough = {level: count for level, count in rows.items() if count >= least}
        kept = set(sorted(enough, key=lambda level: -enough[level])[:most])
        levels[name] = tuple(level for level in enough if level in kept)
        rare = sum(1 for level, count in rows.items() if count and level not in kept)
        if rare:
            notes.append(
                f"{name}: {rare} of its levels have fewer than {least} rows, or are beyond the {most} most frequent; "
                "they count as missing."
            )
    return levels, tuple(notes)
