"""How many patients stand at each crossing of two categories, and whether the two go together: the joint table and its tests."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from huizhen.data.examples import SITE, Examples, chunks
from huizhen.methods.description.contingency import Alternative, Estimate, fisher, odds_ratio, pearson, risk_difference, risk_ratio
from huizhen.methods.description.levels import LEVELS_STEPS, Coder, agree_levels, coder, label_counts, read_by
from huizhen.methods.description.noised import ONE_CELL, levels_declared
from huizhen.methods.description.stratified import (
    cochran_mantel_haenszel,
    homogeneity,
    homogeneity_terms,
    mantel_haenszel,
    stratum_terms,
)
from huizhen.methods.method import Local, ScriptedMethod, Spec, Use
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep
from huizhen.privacy.release import Answer, Part, Question, Terms, Total, Variable
from huizhen.privacy.result import CellTable, Result, Table

__all__ = ["TABULATE", "TabulateSpec"]

NAIVE = "Tests, estimates and their limits take the noisy counts for exact ones: they are less certain than they look."


class TabulateSpec(Spec):
    """Settings of ``[method.tabulate]``.

    Attributes:
        rows: the variable down the side (say, an exposure).
        columns: the variable across the top (say, an outcome), or "" for a one-way table.
        strata: "" or the variable whose strata are put together by Mantel-Haenszel; with ``site`` each site adds the terms of
            its own stratum, so that the hub needs no table by site.
        alternative: of Fisher's test.
        confidence: of all limits.
    """

    rows: str
    columns: str = ""
    strata: str = ""
    alternative: Alternative = "two-sided"
    confidence: float = Field(default=0.95, gt=0, lt=1)


def _program(spec: TabulateSpec, terms: Terms) -> Generator[Question, Total, Result]:
    """Levels, counts with the sums over strata, and where there are strata of two-by-two tables their homogeneity.

    Facts: ``chi2``, ``df``, ``p_value`` (Pearson, no correction), ``chi2_yates``, ``p_value_yates`` (2x2; R's default),
    ``cramers_v``, ``expected_min``, ``expected_below_5``, ``fisher_p_value`` (2x2); with strata ``cmh``, ``cmh_df``,
    ``cmh_p_value``, ``cmh_corrected``, ``cmh_corrected_p_value`` (R's default), ``breslow_day``, ``tarone``,
    ``homogeneity_df`` and their p values, ``strata``. Table ``association``: the estimates with limits. Cells: ``counts``.
    """
    strata = spec.strata if spec.columns else ""
    crossed = tuple(name for name in (spec.rows, spec.columns) if name)
    levels = yield from agree_levels("tabulate", [*crossed, *([strata] if strata not in ("", SITE) else [])], terms)
    facts = {"rows": spec.rows, "columns": spec.columns, "strata": strata, "levels": {k: list(v) for k, v in levels.items()}}
    read = read_by([*crossed, strata])
    total = yield Question("tabulate", "tables", facts, read)
    tables = total.sums["tables"]  # (stratum, row, column); one stratum where a site's own strata are already summed
    counts = tables.sum(axis=0)
    found, estimates = _crude(counts, spec) if spec.columns else ({}, [])
    if strata:
        sums = total.sums if strata == SITE else stratum_terms(tables)
        found |= {"strata": int(sums["strata"][0])} | cochran_mantel_haenszel(sums)
        common = mantel_haenszel(sums, spec.confidence) if "ratio" in sums else None
        if common is not None:
            estimates.append(common)
        if common is not None and common.value is not None:
            if strata == SITE:
                asked = Question("tabulate", "homogeneity", {**facts, "common": common.value}, read)
                found |= homogeneity((yield asked).sums)
            else:
                found |= homogeneity(homogeneity_terms(tables, common.value))
    result = _result(spec, total, counts, levels, found, estimates)
    return replace(result, notes=(*result.notes, NAIVE)) if terms.noise and spec.columns else result


def _crude(counts: NDArray[np.int64], spec: TabulateSpec) -> tuple[dict[str, Any], list[Estimate]]:
    found, estimates = pearson(counts), []
    if counts.shape == (2, 2):
        found["fisher_p_value"], exact = fisher(counts, spec.alternative, spec.confidence)
        estimates = [measure(counts, spec.confidence) for measure in (odds_ratio, risk_ratio, risk_difference)]
        estimates.insert(1, exact)
    return found, estimates


def _result(
    spec: TabulateSpec,
    total: Total,
    counts: NDArray[np.int64],
    levels: Mapping[str, Sequence[str]],
    found: Mapping[str, Any],
    estimates: Sequence[Estimate],
) -> Result:
    tables = {}
    if estimates:
        tables["association"] = Table(
            {
                "measure": tuple(e.measure for e in estimates),
                "estimate": tuple(e.value for e in estimates),
                "ci_low": tuple(e.low for e in estimates),
                "ci_high": tuple(e.high for e in estimates),
                "log_standard_error": tuple(e.log_standard_error for e in estimates),
            },
            "measure",
            f"Association of {spec.rows} and {spec.columns}",
        )
    across = tuple(levels[spec.columns]) if spec.columns else ("n",)
    caption = f"Patients by {spec.rows} and {spec.columns}" if spec.columns else f"Patients by {spec.rows}"
    cells = CellTable(spec.rows, spec.columns, tuple(levels[spec.rows]), across, counts, (*found, *tables), caption)
    return Result("tabulate", total.rows, total.roster, dict(found), tables, {"counts": cells}, notes=_notes(spec, counts, found))


def _notes(spec: TabulateSpec, counts: NDArray[np.int64], found: Mapping[str, Any]) -> tuple[str, ...]:
    notes = []
    if found.get("expected_below_5"):
        notes.append("Some expected counts are below 5: the chi-squared approximation may be poor; prefer Fisher's exact test.")
    if spec.columns and "chi2" not in found:
        notes.append("Fewer than two rows or two columns hold anyone: there is nothing to test.")
    if counts.shape == (2, 2):
        notes.append(
            f"Risks are those of the second level of {spec.columns!r}, in the second level of {spec.rows!r} against the first."
        )
    elif spec.columns:
        notes.append("Fisher's exact test and ratios are given for two-by-two tables only.")
    if spec.strata and spec.columns and "cmh" not in found:
        notes.append("The strata say nothing together: in every one a row or a column is empty.")
    return tuple(notes)


def _answer_tables(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    tables = _tables(question, examples)
    if question.facts["strata"] != SITE:
        return Answer({"tables": Part(tables, examples.rows, cells=True, sensitivity=ONE_CELL)}, examples.rows), local
    parts = {"tables": Part(tables.sum(axis=0, keepdims=True), examples.rows, cells=True)}
    parts |= {name: Part(values, examples.rows) for name, values in stratum_terms(tables).items()}
    return Answer(parts, examples.rows), local


def _answer_homogeneity(question: Question, examples: Examples, local: Local, _rng: np.random.Generator) -> tuple[Answer, Local]:
    terms = homogeneity_terms(_tables(question, examples), question.facts["common"])
    return Answer({name: Part(values, examples.rows) for name, values in terms.items()}, examples.rows), local


def _tables(question: Question, examples: Examples) -> NDArray[np.int64]:
    """Counts int64 (stratum, row, column): by the joint strata, or by the sites whose rows these are."""
    facts = question.facts
    levels = facts["levels"]
    strata = tuple(label_counts(examples, SITE)) if facts["strata"] == SITE else levels.get(facts["strata"], [])
    names = [(facts["strata"], strata), *((name, levels.get(name, [])) for name in (facts["rows"], facts["columns"]))]
    shape = [len(labels) if name else 1 for name, labels in names]
    codes: list[Coder] = [coder(examples, name, labels) for name, labels in names]
    counts = np.zeros(int(np.prod(shape)), np.int64)
    for piece in chunks(examples.rows):
        k, i, j = (code(piece) for code in codes)
        whole = (k >= 0) & (i >= 0) & (j >= 0)
        place = (k * shape[1] + i) * shape[2] + j
        counts += np.bincount(place[whole], minlength=len(counts))
    return counts.reshape(shape)


def _noised(spec: TabulateSpec, variables: Mapping[str, Variable], level: Literal["patient", "site"]) -> tuple[NoisyStep, ...]:
    """One table: a patient stands in one of its cells, or in none."""
    names = [name for name in (spec.rows, spec.columns, spec.strata if spec.columns else "") if name]
    sizes = levels_declared(names, variables, level)
    return (NoisyStep("tables", 1, {"tables": NoisyPart("counts", (ONE_CELL,), prod(sizes[name] for name in names))}),)


def _reads(spec: TabulateSpec) -> list[Use]:
    return [Use(name, "any") for name in read_by((spec.rows, spec.columns, spec.strata))]


TABULATE = ScriptedMethod(
    name="tabulate",
    spec=TabulateSpec,
    program=_program,
    steps={**LEVELS_STEPS, "tables": _answer_tables, "homogeneity": _answer_homogeneity},
    reads=_reads,
    noised=_noised,
)
