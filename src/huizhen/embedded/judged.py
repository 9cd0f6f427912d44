"""Learned models on the rows that none of them learnt from: every site's own model, the federation's and that of the pooled rows,
each on every site's rows held aside and on all of them together.

Only one process can do this. What it tells obeys the joint policy: an estimate that would tell of a few patients is not there, and
where one site's is not, a second one's is not either, for the joint number less those of the others would be that site's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from huizhen.data.examples import Examples, concatenate
from huizhen.data.folds import TEST, VALIDATION
from huizhen.federation.breaking import why_it_broke
from huizhen.federation.study import Analysis
from huizhen.methods.method import Appraise
from huizhen.policy.publication import publish
from huizhen.policy.rounding import is_small, round_count
from huizhen.policy.suppression import suppress_line
from huizhen.privacy.release import EMPTY, Terms
from huizhen.privacy.result import Result, Table
from huizhen.report.content import Unjudged

__all__ = ["ALL_ROWS", "Judged", "judge"]

ALL_ROWS = "all"
FEDERATION, POOLED, ALONE = "federation", "pooled", "alone"
# The joint number less those of the other sites is nobody's own. An area is not among them: as a fraction of a number of pairs, its
# digits tell how many patients bear the label.
NOT_ADDED = frozenset({"concordance", "calibration_slope", "calibration_intercept", "r2"})
SPOKEN = ("", "macro")  # of several labels, the measure of all together
Tables = Mapping[str, Table]
Scores = dict[str, tuple[Any, Any, Any]]  # estimate and limits by measure


@dataclass(frozen=True, slots=True)
class Judged:
    """Several models beside each other.

    Attributes:
        quality: one row for each model and each set of rows: ``model`` (``alone``, ``federation`` or ``pooled``), ``site`` (whose
            model, "" for the joint ones), ``rows`` (a site's, or ``all``), ``patients``, and each measure with its limits, e.g.
            ``auc``, ``auc_low``, ``auc_high``. None where the method is not judged so, or no row is held aside.
        curves: tables ``roc`` and ``calibration`` on all rows held aside, by model: a site's name, or ``""`` for the federation and
            ``"*"`` for the pooled rows.
        untold: which models could not be judged on which rows, and why.
    """

    quality: Table | None = None
    curves: Mapping[str, Tables] = field(default_factory=lambda: EMPTY)
    untold: tuple[Unjudged, ...] = ()

    def without_numbers(self) -> Judged:
        """The same without numbers of patients."""
        if self.quality is None:
            return self
        untold = (None,) * len(self.quality.columns["patients"])
        quality = replace(self.quality, columns={**self.quality.columns, "patients": untold})
        return replace(self, quality=quality, curves=EMPTY)


@dataclass(frozen=True, slots=True)
class _Model:
    kind: str
    site: str
    result: Result

    @property
    def key(self) -> str:
        return {FEDERATION: "", POOLED: "*"}.get(self.kind, self.site)


def judge(
    analysis: Analysis,
    federation: Result,
    *,
    alone: Mapping[str, Result],
    pooled: Result | None,
    rows: Mapping[str, Examples],
    terms: Terms,
    whole: Examples | None = None,
    judging: Callable[[int, int], None] | None = None,
) -> Judged:
    """Every model on the rows that the method holds aside, for the last judgement or else from training.

    Args:
        federation, alone, pooled: results that carry a model: the joint one, each site's own, that of the pooled rows.
        rows: each site's rows; whole: all of them together, where the caller has them so already.
        judging: is told before each judgement which one it is, from 1, and how many there are.
    """
    appraise: Appraise | None = getattr(analysis.method, "appraise", None)
    if appraise is None or federation.failure:
        return Judged()
    models = [_Model(FEDERATION, "", federation)] + [_Model(ALONE, site, result) for site, result in alone.items()]
    models += [_Model(POOLED, "", pooled)] if pooled is not None else []
    able = [model for model in models if not model.result.failure]
    sets = {ALL_ROWS: concatenate(list(rows.values())) if whole is None else whole, **rows}
    ordered = sorted(models, key=lambda model: (ALONE, FEDERATION, POOLED).index(model.kind))
    judged = Judged()
    for fold in (TEST, VALIDATION):

        def appraised(model: _Model, some: Examples, fold: int = fold) -> Tables:
            return appraise(model.result, analysis.spec, terms, some, fold)

        told, untold = _told(appraised, able, sets, judging)
        judged = Judged(untold=untold)
        if any(told.values()):
            by_model = {model.key: told.get(model.key, {}) for model in ordered}
            quality = _quality(ordered, by_model, tuple(rows), terms)
            return replace(judged, quality=quality, curves=_curves(analysis.method.name, by_model, terms))
    return judged


def _told(
    appraised: Callable[[_Model, Examples], Tables],
    models: list[_Model],
    sets: Mapping[str, Examples],
    judging: Callable[[int, int], None] | None,
) -> tuple[dict[str, dict[str, Tables]], tuple[Unjudged, ...]]:
    """Each model's quality by set of rows, all rows first, and where it cannot be told, why; nothing of rows that are not there."""
    told: dict[str, dict[str, Tables]] = {model.key: {} for model in models}
    untold = []
    for place, (name, model) in enumerate(((name, model) for name in sets for model in models), 1):
        if judging is not None:
            judging(place, len(sets) * len(models))
        try:
            tables = appraised(model, sets[name])
        except Exception as error:  # say, a model that cannot be used on rows such as its site has never seen
            untold.append(Unjudged(model.kind, model.site, name, why_it_broke(error)))
            continue
        if tables:
            told[model.key][name] = tables
        elif name == ALL_ROWS:
            break  # no row is held aside
    return told, tuple(untold)


def _curves(method: str, told: Mapping[str, Mapping[str, Tables]], terms: Terms) -> dict[str, Tables]:
    found: dict[str, Tables] = {}
    for key, by_rows in told.items():
        tables = by_rows.get(ALL_ROWS, {})
        curves = {name: tables[name] for name in ("roc", "calibration") if name in tables}
        if curves:
            found[key] = publish(Result(method, _patients(tables), tables=curves), terms).tables
    return found


def _quality(models: list[_Model], told: Mapping[str, Mapping[str, Tables]], sites: tuple[str, ...], terms: Terms) -> Table:
    patients = {name: max((_patients(told[model.key].get(name, {})) for model in models), default=0) for name in (*sites, ALL_ROWS)}
    shown = _shown(patients, sites, terms)
    measures = list(dict.fromkeys(m for by_rows in told.values() for tables in by_rows.values() for m in _scores(tables, terms)[0]))
    columns: dict[str, list[Any]] = {name: [] for name in ("model", "site", "rows", "patients")}
    columns |= {f"{measure}{limit}": [] for measure in measures for limit in ("", "_low", "_high")}
    for model in models:
        scores = _held_together(told[model.key], sites, patients, terms)
        for name in (*sites, ALL_ROWS):
            found = scores.get(name, {}) if name in shown else {}
            for column, value in zip(("model", "site", "rows", "patients"), (model.kind, model.site, name, shown.get(name))):
                columns[column].append(value)
            for measure in measures:
                for limit, value in zip(("", "_low", "_high"), found.get(measure, (None, None, None))):
                    columns[f"{measure}{limit}"].append(value)
    caption = "Every model on the rows that none of them learnt from."
    return Table({name: tuple(values) for name, values in columns.items()}, "", caption, counts=("patients",))


def _patients(tables: Tables) -> int:
    """Numbers of rows held aside, whatever their weights."""
    return max((int(value) for value in tables["quality"].columns["patients"] if value), default=0) if tables else 0


def _shown(patients: Mapping[str, int], sites: tuple[str, ...], terms: Terms) -> dict[str, int]:
    """Numbers of patients as published, without the sets of rows of which nothing is told."""
    hidden = suppress_line(np.array([patients[site] for site in sites], np.int64), minimum=terms.min_cell_count)
    kept = [site for site, gone in zip(sites, hidden) if not gone]
    whole = [] if is_small(patients[ALL_ROWS], terms.min_cell_count) else [ALL_ROWS]
    return {name: round_count(patients[name], terms) for name in (*kept, *whole)}


def _held_together(
    by_rows: Mapping[str, Tables], sites: tuple[str, ...], patients: Mapping[str, int], terms: Terms
) -> dict[str, Scores]:
    """Estimates by set of rows; where a single site's is kept back, that of the smallest other one is too."""
    found = {name: _scores(tables, terms) for name, tables in by_rows.items()}
    scores = {name: dict(told) for name, (told, _) in found.items()}
    for measure in {measure for told in scores.values() for measure in told} - NOT_ADDED:
        hidden = [site for site in sites if site in found and measure in found[site][1]]
        others = [site for site in sites if scores.get(site, {}).get(measure, (None,))[0] is not None]
        if len(hidden) == 1 and others:
            scores[min(others, key=lambda site: patients[site])][measure] = (None, None, None)
    return scores


def _scores(tables: Tables, terms: Terms) -> tuple[Scores, set[str]]:
    """Estimates with limits of all labels together, and the measures that would tell of a few patients."""
    found: Scores = {}
    kept_back: set[str] = set()
    for name in ("quality", "at_threshold"):
        columns = tables[name].columns if name in tables else {"measure": ()}
        labels = columns.get("label", ("",) * len(columns["measure"]))
        for place, (measure, label) in enumerate(zip(columns["measure"], labels)):
            if label not in SPOKEN or measure.endswith("_error_bound"):
                continue
            undone = terms.round_to > 1 and "estimate" in tables[name].reveals  # it would undo the rounding
            few = is_small(columns["smallest_group"][place], terms.min_cell_count)
            if few:
                kept_back.add(measure)
            told = (None, None, None) if few or undone else tuple(columns[c][place] for c in ("estimate", "ci_low", "ci_high"))
            found[measure] = (told[0], told[1], told[2])
    return found, kept_back
