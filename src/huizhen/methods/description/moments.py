"""Joint moments of numeric variables by group: sums first, then powers of the distance from the joint mean.

Nothing cancels: the second round is centred about the joint mean of the first, and what that mean lacks by rounding is put
right (Chan, Golub & LeVeque 1983, The American Statistician 37, eq. 1.7). A mean of 1e9 with a standard deviation of 1 keeps
all digits that the rows have.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Examples, chunks
from huizhen.errors import DataError, Problem, SiteError
from huizhen.methods.description.codes import CODES
from huizhen.methods.description.levels import coder, read_by
from huizhen.methods.description.noised import each_of
from huizhen.methods.method import Local, Step
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Answer, Part, Question, Sensitivity, Total

__all__ = ["MOMENTS_STEPS", "Moments", "joint_moments", "noisy_moments"]


@dataclass(frozen=True)
class Moments:
    """Joint moments; every array is (group, variable) unless said otherwise, NaN where the rows are too few.

    Attributes:
        n: int64, rows that have a value.
        missing: int64, rows that miss it.
        unlike: int64 (code, group, variable), rows that have a value other than 0, other than 1, other than 2.
        total: the sum.
        mean: the mean.
        offset: the mean's distance from a number near all means of the variable; distances between groups lose no digits in it.
        powers: sums of the second, third and fourth power of the distance from the mean, by exponent; 3 and 4 on demand.
        absolute: the sum of absolute distances from the mean, or None.
        complete: int64 (group,), rows that miss no variable, or None.
        complete_unlike: as `unlike`, of those rows, or None.
        products: float64 (group, variable, variable), sums of products of the distances over complete rows, or None.
    """

    n: NDArray[np.int64]
    missing: NDArray[np.int64]
    unlike: NDArray[np.int64]
    total: NDArray[np.float64]
    mean: NDArray[np.float64]
    offset: NDArray[np.float64]
    powers: Mapping[int, NDArray[np.float64]]
    absolute: NDArray[np.float64] | None = None
    complete: NDArray[np.int64] | None = None
    complete_unlike: NDArray[np.int64] | None = None
    products: NDArray[np.float64] | None = None

    def rare(self, least: int) -> NDArray[np.bool_]:
        """Variables of which in some group all rows but 1 to `least` - 1 have one code, bool (variable,).

        A sum or mean of such a variable is a number of patients, or a sum over these few. All groups of the variable are meant:
        the others' would give the group's back from a mean of all.
        """
        return np.asarray(((self.unlike > 0) & (self.unlike < least) & (self.n >= least)).any(axis=(0, 1)))

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """With denominator n - 1."""
        return _divide(self.powers[2], self.n - 1)

    @cached_property
    def sd(self) -> NDArray[np.float64]:
        return np.sqrt(self.variance)

    @cached_property
    def standard_error(self) -> NDArray[np.float64]:
        """Of the mean."""
        return self.sd / np.sqrt(np.maximum(self.n, 1))

    @cached_property
    def skewness(self) -> NDArray[np.float64]:
        """G1 of Joanes & Gill 1998 (The Statistician 47), as SAS, SPSS and pandas."""
        n = self.n.astype(float)
        plain = _divide(_divide(self.powers[3], n), _divide(self.powers[2], n) ** 1.5)
        return np.where(self.n > 2, plain * np.sqrt(np.maximum(n * (n - 1), 0)) / np.where(n > 2, n - 2, 1), np.nan)

    @cached_property
    def kurtosis(self) -> NDArray[np.float64]:
        """Excess kurtosis, G2 of Joanes & Gill 1998, as SAS, SPSS and pandas."""
        n = self.n.astype(float)
        excess = _divide(_divide(self.powers[4], n), _divide(self.powers[2], n) ** 2) - 3
        return np.where(self.n > 3, (n - 1) * ((n + 1) * excess + 6) / np.where(n > 3, (n - 2) * (n - 3), 1), np.nan)


def joint_moments(
    method: str,
    variables: Sequence[str],
    *,
    by: str = "",
    groups: Sequence[str] = (),
    shape: bool = False,
    absolute: bool = False,
    products: bool = False,
    ranges: NDArray[np.float64] | None = None,
) -> Generator[Question, Total, Moments]:
    """Joint moments of `variables` within each of the `groups` of `by` (one group where `by` is ""); two rounds.

    Args:
        shape: also third and fourth powers.
        absolute: also absolute distances.
        products: also products of each pair of variables, over the rows that miss none of them.
        ranges: float64 (variable, 2), in a study with noise: values beyond are cut to these, and distances are taken from their
            middle, so that noise can hide a patient. Then `Moments.unlike` is 0, for noise hides the few; and where the noise
            exceeds a variance, that is NaN.
    """
    read = read_by([*variables, by])
    facts: dict[str, Any] = {"variables": list(variables), "by": by, "groups": list(groups), "products": products}
    if ranges is not None:
        return (yield from _noisy_moments(method, facts | {"ranges": ranges}, read, shape=shape))
    sums = (yield Question(method, "sums", facts, read)).sums
    mean = _divide(sums["sum"], sums["n"], empty=0.0)
    facts |= {"mean": mean, "shape": shape, "absolute": absolute}
    if products:
        facts["complete_mean"] = _divide(sums["complete_sum"], sums["complete"][:, None], empty=0.0)
    centred = (yield Question(method, "centred", facts, read)).sums
    return _settle(sums, mean, centred)


def _noisy_moments(
    method: str, facts: dict[str, Any], read: tuple[str, ...], *, shape: bool
) -> Generator[Question, Total, Moments]:
    counts = (yield Question(method, "sums", facts, read)).sums
    middle = np.broadcast_to(facts["ranges"].mean(axis=1), counts["n"].shape)
    facts |= {"mean": np.array(middle), "shape": shape, "absolute": False}
    centred = (yield Question(method, "centred", facts, read)).sums
    n = counts["n"]
    sums = {**counts, "sum": n * middle + centred["power1"], "unlike": np.zeros((len(CODES), *n.shape), np.int64)}
    moments = _settle(sums, middle, centred)
    return replace(moments, powers={**moments.powers, 2: np.where(moments.powers[2] > 0, moments.powers[2], np.nan)})


def _settle(sums: Mapping[str, NDArray[Any]], mean: NDArray[np.float64], centred: Mapping[str, NDArray[Any]]) -> Moments:
    n = sums["n"]
    rest = _divide(centred["power1"], n, empty=0.0)  # what the mean of the first round lacks, by rounding
    second = centred["power2"] - n * rest**2
    # Equal values differ from their own mean by its rounding at most: that is no variance.
    second = np.where(second <= n * (4 * np.finfo(float).eps * np.abs(mean)) ** 2, 0.0, second)
    powers = {2: second}
    if "power3" in centred:
        powers[3] = centred["power3"] - 3 * rest * centred["power2"] + 2 * n * rest**3
        powers[4] = centred["power4"] - 4 * rest * centred["power3"] + 6 * rest**2 * centred["power2"] - 3 * n * rest**4
    products = None
    if "products" in centred:
        lack = centred["complete1"]
        outer = lack[:, :, None] * lack[:, None, :]
        products = centred["products"] - _divide(outer, sums["complete"][:, None, None], empty=0.0)
    settled = np.where(n > 0, mean + rest, np.nan)
    offset = np.where(n > 0, mean - _divide((n * mean).sum(axis=0), n.sum(axis=0), empty=0.0) + rest, np.nan)
    return Moments(
        n=n,
        missing=sums["missing"],
        unlike=sums["unlike"],
        total=sums["sum"],
        mean=settled,
        offset=offset,
        powers=powers,
        absolute=centred.get("absolute"),
        complete=sums.get("complete"),
        complete_unlike=sums.get("complete_unlike"),
        products=products,
    )


def _answer_sums(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    names, groups, group = _reading(question, examples)
    n, missing, total = (np.zeros((groups, len(names))) for _ in range(3))
    complete, complete_sum = np.zeros(groups), np.zeros((groups, len(names)))
    unlike, complete_unlike = (np.zeros((len(CODES), groups, len(names)), np.int64) for _ in range(2))
    for rows in chunks(examples.rows):
        where, columns = group(rows), [examples.number(name)[rows] for name in names]
        for j, values in enumerate(columns):
            seen = ~np.isnan(values)
            n[:, j] += _by_group(where[seen], groups)
            missing[:, j] += _by_group(where[~seen], groups)
            total[:, j] += _by_group(where[seen], groups, values[seen])
            unlike[:, :, j] += _unlike(values[seen], where[seen], groups)
        if question.facts["products"]:
            whole = ~np.any(np.isnan(columns), axis=0)
            complete += _by_group(where[whole], groups)
            for j, values in enumerate(columns):
                complete_sum[:, j] += _by_group(where[whole], groups, values[whole])
                complete_unlike[:, :, j] += _unlike(values[whole], where[whole], groups)
    _check_finite(total, names)
    one = each_of(len(names))
    parts = {
        "n": Part(n.astype(np.int64), examples.rows, cells=True, sensitivity=one),
        "missing": Part(missing.astype(np.int64), examples.rows, cells=True, sensitivity=one),
    }
    if "ranges" in question.facts:  # sums come with the powers, from the middle of the ranges
        return Answer(parts, examples.rows), local
    parts |= {"unlike": Part(unlike, examples.rows, cells=True), "sum": Part(total, examples.rows)}
    if question.facts["products"]:
        parts["complete"] = Part(complete.astype(np.int64), examples.rows, cells=True)
        parts["complete_unlike"] = Part(complete_unlike, examples.rows, cells=True)
        parts["complete_sum"] = Part(complete_sum, examples.rows)
    return Answer(parts, examples.rows), local


def _answer_centred(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    facts = question.facts
    names, groups, group = _reading(question, examples)
    ranges = facts.get("ranges")
    if ranges is not None:
        _check_ranges(ranges, names)
    # In the middle of the ranges no one is farther away than half of one, whatever mean is asked for.
    mean = facts["mean"] if ranges is None else np.broadcast_to((ranges[:, 0] + ranges[:, 1]) / 2, (groups, len(names)))
    exponents = (1, 2, 3, 4) if facts["shape"] else (1, 2)
    sums = {f"power{exponent}": np.zeros((groups, len(names))) for exponent in exponents}
    if facts["absolute"]:
        sums["absolute"] = np.zeros((groups, len(names)))
    if facts["products"]:
        sums |= {"complete1": np.zeros((groups, len(names))), "products": np.zeros((groups, len(names), len(names)))}
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in chunks(examples.rows):
            where = group(rows)
            for j, name in enumerate(names):
                distance = _within(examples.number(name)[rows], ranges, j) - mean[where, j]
                seen = ~np.isnan(distance)
                place, distance = where[seen], distance[seen]
                power = np.ones_like(distance)
                for exponent in exponents:
                    power = power * distance
                    sums[f"power{exponent}"][:, j] += _by_group(place, groups, power)
                if facts["absolute"]:
                    sums["absolute"][:, j] += _by_group(place, groups, np.abs(distance))
            if facts["products"]:
                _add_products(sums, examples, rows, names, where, facts["complete_mean"])
    _check_finite(sums[f"power{exponents[-1]}"], names)
    parts = {name: Part(values, examples.rows) for name, values in sums.items()}
    if ranges is not None:
        half = (ranges[:, 1] - ranges[:, 0]) / 2
        for exponent in exponents:
            name = f"power{exponent}"
            parts[name] = replace(parts[name], sensitivity=_reach(half**exponent))
    return Answer(parts, examples.rows), local


def noisy_moments(ranges: Sequence[tuple[float, float]], groups: int, *, shape: bool) -> tuple[NoisyStep, ...]:
    """What `joint_moments` asks in a study with noise."""
    limits, one = np.array(ranges, float).reshape(-1, 2), each_of(len(ranges))
    counts = {name: NoisyPart("counts", (one,), groups * len(ranges)) for name in ("n", "missing")}
    half = (limits[:, 1] - limits[:, 0]) / 2
    powers = {f"power{e}": NoisyPart("reals", _reach(half**e), groups) for e in ((1, 2, 3, 4) if shape else (1, 2))}
    return NoisyStep("sums", 1, counts), NoisyStep("centred", 1, powers)


def _reach(most: NDArray[np.float64]) -> tuple[Sensitivity, ...]:
    """A patient adds to one entry of each variable, at most so much."""
    return tuple(Sensitivity(float(one), float(one)) for one in most)


def _within(values: NDArray[np.float64], ranges: NDArray[np.float64] | None, j: int) -> NDArray[np.float64]:
    return values if ranges is None else np.clip(values, ranges[j, 0], ranges[j, 1])


MOMENTS_STEPS: Mapping[str, Step] = {"sums": _answer_sums, "centred": _answer_centred}


def _check_ranges(ranges: Any, names: Sequence[str]) -> None:
    """What a patient can change hangs on them, so they must be what they seem."""
    whole = isinstance(ranges, np.ndarray) and ranges.dtype == np.float64 and ranges.shape == (len(names), 2)
    if not whole or not np.isfinite(ranges).all() or not (ranges[:, 0] < ranges[:, 1]).all():
        problem = Problem("ranges", "no smallest and largest value for each variable", "those that the study declares")
        raise SiteError("This is not asked by the study.", [problem])


def _add_products(
    sums: Mapping[str, NDArray[np.float64]],
    examples: Examples,
    rows: slice,
    names: Sequence[str],
    where: NDArray[np.int64],
    mean: NDArray[np.float64],
) -> None:
    values = np.stack([examples.number(name)[rows] for name in names], axis=1)  # (row, variable)
    for g in range(len(mean)):
        distance = values[where == g] - mean[g]
        distance = distance[~np.isnan(distance).any(axis=1)]
        sums["complete1"][g] += distance.sum(axis=0)
        sums["products"][g] += distance.T @ distance


def _reading(question: Question, examples: Examples) -> tuple[list[str], int, Any]:
    """Names of the variables, number of groups, and the group of each row of a slice (rows without one: a last, idle group)."""
    groups = question.facts["groups"] or [""]
    return question.facts["variables"], len(groups), coder(examples, question.facts["by"], groups)


def _by_group(group: NDArray[np.int64], groups: int, weights: NDArray[np.float64] | None = None) -> NDArray[Any]:
    # A row without a group (-1) is counted at the last place, which is cut off.
    return np.bincount(group % (groups + 1), weights, minlength=groups + 1)[:groups]


def _unlike(values: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Rows by code that they do not have and by group, int64 (code, group)."""
    return np.stack([_by_group(group[values != code], groups) for code in CODES]).astype(np.int64)


def _check_finite(sums: NDArray[np.float64], names: Sequence[str]) -> None:
    wrong = [name for name, column in zip(names, sums.T) if not np.isfinite(column).all()]
    if wrong:
        raise DataError(f"infinite or too large numbers in {', '.join(map(repr, wrong))}: expected finite ones; correct the source")


def _divide(above: NDArray[Any], below: NDArray[Any], empty: float = np.nan) -> NDArray[np.float64]:
    """Quotient, `empty` where the divisor is not positive."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    quotient: NDArray[np.float64] = np.divide(above, below, out=np.full(above.shape, empty), where=below > 0)
    return quotient
