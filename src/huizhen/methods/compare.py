"""Whether the means of a number differ between groups: t tests and analysis of variance, from joint sums."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import chdtrc, fdtrc, stdtr, stdtrit

from huizhen.errors import NotEstimable
from huizhen.methods.description.levels import LEVELS_STEPS, agree_levels, read_by
from huizhen.methods.description.moments import MOMENTS_STEPS, Moments, joint_moments
from huizhen.methods.method import ScriptedMethod, Spec, Use
from huizhen.privacy.release import Question, Terms, Total
from huizhen.privacy.result import Result, Table, listed

__all__ = ["COMPARE", "CompareSpec", "Groups", "anova", "t_test", "welch_anova"]

Array = NDArray[np.float64]


class CompareSpec(Spec):
    """Settings of ``[method.compare]``.

    Attributes:
        variable: the number that is compared.
        by: the category whose levels are the groups.
        test: ``welch`` and ``student`` for two groups, ``anova`` and ``welch_anova`` for two or more; default ``welch`` for
            two groups and ``anova`` for more.
        confidence: of all limits.
    """

    variable: str
    by: str
    test: Literal["", "welch", "student", "anova", "welch_anova"] = ""
    confidence: float = Field(default=0.95, gt=0, lt=1)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Sizes, means (from any common origin) and variances of groups; float64 (group,)."""

    n: Array
    mean: Array
    variance: Array


def t_test(groups: Groups, *, pooled: bool, confidence: float) -> dict[str, float]:
    """Student's (`pooled`) or Welch's t test of two groups, as R's ``t.test(y ~ group)``: first mean minus second.

    Returns:
        ``t``, ``df`` (Welch-Satterthwaite), ``p_value`` (two-sided), ``difference``, ``standard_error``, ``ci_low``, ``ci_high``.
    """
    n, variance = groups.n, groups.variance
    each = variance / n
    error, df = math.sqrt(each.sum()), float(each.sum() ** 2 / (each**2 / (n - 1)).sum())
    if pooled:
        df = float(n.sum() - 2)
        error = math.sqrt(((n - 1) * variance).sum() / df * (1 / n).sum())
    difference = float(groups.mean[0] - groups.mean[1])
    reach = float(stdtrit(df, 0.5 + confidence / 2)) * error
    t = difference / error
    limits = {"ci_low": difference - reach, "ci_high": difference + reach}
    return {"t": t, "df": df, "p_value": 2 * float(stdtr(df, -abs(t))), "difference": difference, "standard_error": error} | limits


def anova(groups: Groups) -> dict[str, float]:
    """One-way analysis of variance: ``f``, ``df_between``, ``df_within``, ``p_value``, ``eta_squared``."""
    n, mean = groups.n, groups.mean
    between = float((n * (mean - (n * mean).sum() / n.sum()) ** 2).sum())
    within = float(((n - 1) * groups.variance).sum())
    df1, df2 = float(len(n) - 1), float(n.sum() - len(n))
    f = between / df1 / (within / df2)
    return {
        "f": f,
        "df_between": df1,
        "df_within": df2,
        "p_value": float(fdtrc(df1, df2, f)),
        "eta_squared": between / (between + within),
    }


def welch_anova(groups: Groups) -> dict[str, float]:
    """Welch 1951 (Biometrika 38:330), as R's ``oneway.test``: ``f``, ``df_between``, ``df_within``, ``p_value``."""
    k, weight = len(groups.n), groups.n / groups.variance
    centre = (weight * groups.mean).sum() / weight.sum()
    lack = float(((1 - weight / weight.sum()) ** 2 / (groups.n - 1)).sum()) / (k**2 - 1)
    f = float((weight * (groups.mean - centre) ** 2).sum()) / ((k - 1) * (1 + 2 * (k - 2) * lack))
    df1, df2 = float(k - 1), 1 / (3 * lack)
    return {"f": f, "df_between": df1, "df_within": df2, "p_value": float(fdtrc(df1, df2, f))}


def _program(spec: CompareSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Levels, then two rounds of moments.

    Facts: of the test (see `t_test`, `anova`, `welch_anova`), with two groups also ``cohens_d`` (pooled standard deviation) and
    ``hedges_g`` (times 1 - 3 / (4 df - 1), Hedges 1981); ``bartlett_k2``, ``bartlett_df``, ``bartlett_p_value`` (R's
    ``bartlett.test``) and ``levene_f``, ``levene_p_value`` (about the means, Levene 1960). Tables: ``groups``, and
    ``coefficients`` with the difference of two means.
    """
    levels = yield from agree_levels("compare", [spec.by], terms)
    labels = levels[spec.by]
    moments = yield from joint_moments("compare", [spec.variable], by=spec.by, groups=labels, absolute=True)
    held = moments.n[:, 0] > 0
    groups = _checked(spec, moments, held, terms.min_cell_count)
    test = spec.test or ("welch" if len(groups.n) == 2 else "anova")
    facts = {"test": test} | _test(test, groups, spec.confidence) | _spread(groups, moments, held)
    names = [label for label, some in zip(labels, held) if some]
    tables = {"groups": _groups(spec, names, groups, moments.mean[held, 0])}
    if len(groups.n) == 2:
        facts |= _effect(groups)
        paired = facts if "t" in facts else t_test(groups, pooled=True, confidence=spec.confidence)
        tables["coefficients"] = _difference(f"{names[0]} - {names[1]}", paired)
    note = f"Differences are the mean of the first level of {spec.by!r} minus that of the second (as t.test of R)."
    notes = (note,) if len(groups.n) == 2 else ()
    return Result("compare", int(groups.n.sum()), terms.roster, facts, tables, notes=notes)


def _checked(spec: CompareSpec, moments: Moments, held: NDArray[np.bool_], at_least: int) -> Groups:
    n = moments.n[held, 0]
    if len(n) < 2:
        raise NotEstimable(f"{spec.by!r}: found fewer than two groups with a value of {spec.variable!r}, expected two or more")
    if len(n) != 2 and spec.test in ("welch", "student"):
        raise NotEstimable(f"a t test needs two groups, {spec.by!r} has {len(n)}: set test = 'anova' or 'welch_anova'")
    if (n < max(at_least, 2)).any():
        raise NotEstimable(
            f"{spec.by!r}: a group has fewer than {max(at_least, 2)} patients with a value of {spec.variable!r}, too few to "
            "publish or to test; merge its levels, or leave it out by a cohort condition"
        )
    if moments.rare(at_least).any():
        raise NotEstimable(
            f"{spec.variable!r}: in a group all patients but 1 to {at_least - 1} have one code, 0, 1 or 2, so that its "
            "mean would tell of these few; tabulate it instead"
        )
    variance = moments.variance[held, 0]
    if not (variance > 0).any() or (spec.test == "welch_anova" and not (variance > 0).all()):
        raise NotEstimable(f"{spec.variable!r} has the same value throughout a group: its spread is zero, there is nothing to test")
    return Groups(n.astype(float), moments.offset[held, 0], variance)


def _test(test: str, groups: Groups, confidence: float) -> dict[str, Any]:
    if test in ("welch", "student"):
        return dict(t_test(groups, pooled=test == "student", confidence=confidence))
    return dict(anova(groups) if test == "anova" else welch_anova(groups))


def _effect(groups: Groups) -> dict[str, float]:
    df = groups.n.sum() - 2
    pooled = math.sqrt(((groups.n - 1) * groups.variance).sum() / df)
    d = float(groups.mean[0] - groups.mean[1]) / pooled
    return {"cohens_d": d, "hedges_g": d * (1 - 3 / (4 * df - 1))}


def _spread(groups: Groups, moments: Moments, held: NDArray[np.bool_]) -> dict[str, float]:
    """Bartlett's and Levene's tests of equal variances; Bartlett's only where no variance is zero."""
    assert moments.absolute is not None
    n, variance, k = groups.n, groups.variance, len(groups.n)
    mean = moments.absolute[held, 0] / n
    away = Groups(n, mean, np.maximum((n - 1) * variance - n * mean**2, 0) / (n - 1))
    found: dict[str, float] = {}
    if (away.variance > 0).any():
        levene = anova(away)
        found |= {"levene_f": levene["f"], "levene_p_value": levene["p_value"]}
    if (variance > 0).all():
        rest = n.sum() - k
        joint = ((n - 1) * variance).sum() / rest
        correction = 1 + ((1 / (n - 1)).sum() - 1 / rest) / (3 * (k - 1))
        k2 = float(((n - 1) * np.log(joint / variance)).sum() / correction)
        found |= {"bartlett_k2": k2, "bartlett_df": k - 1, "bartlett_p_value": float(chdtrc(k - 1, k2))}
    return found


def _groups(spec: CompareSpec, labels: Sequence[str], groups: Groups, mean: Array) -> Table:
    sd = np.sqrt(groups.variance)
    columns: dict[str, tuple[Any, ...]] = {"group": tuple(labels), "n": tuple(groups.n.astype(int).tolist())}
    columns |= {"mean": listed(mean), "sd": listed(sd), "standard_error": listed(sd / np.sqrt(groups.n))}
    return Table(columns, "group", f"{spec.variable} by {spec.by}", ("n",), "n", ("standard_error",))


def _difference(term: str, found: Mapping[str, Any]) -> Table:
    """The term names both groups, so that nobody averages it with the difference of two others."""
    columns = {"term": term, "coefficient": found["difference"], "standard_error": found["standard_error"]}
    columns |= {name: found[name] for name in ("t", "p_value", "ci_low", "ci_high")}
    return Table({title: (value,) for title, value in columns.items()}, "term", "Difference of the two means")


COMPARE = ScriptedMethod(
    name="compare",
    spec=CompareSpec,
    program=_program,
    steps={**LEVELS_STEPS, **MOMENTS_STEPS},
    reads=lambda spec: [Use(spec.variable, "number"), *(Use(name, "any") for name in read_by([spec.by]))],
)
