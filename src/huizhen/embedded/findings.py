"""What a run found, in the habits of the Python ecosystem: pandas tables, `coef_`, `summary()`, `predict()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.embedded.exporting import export
from huizhen.embedded.judged import Judged
from huizhen.errors import CallerError, MachineError, NotEstimable, Problem
from huizhen.federation.events import Outcome
from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.privacy.result import Result, Table
from huizhen.report.content import LedgerHead, Left
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.shadow.learnt import Compared

__all__ = ["Finding", "Findings"]


@dataclass(frozen=True)
class Finding:
    """One analysis: what the federation found and, where asked for, each site alone and the pooled rows.

    Attributes:
        outcome: the federation's result with its roster and losses.
        alone: the same method on each participant's own rows, by site.
        pooled: the same method on all participants' rows together; in one process only, to compare.
        judged: the federation's model, every site's own and the pooled one on the rows that none learnt from.
        reference: an independent library on the pooled rows, with its name; set by the demo.
    """

    outcome: Outcome
    alone: Mapping[str, Result]
    pooled: Result | None = None
    reference: Result | None = None
    reference_name: str = ""
    judged: Judged = field(default_factory=Judged)

    def __repr__(self) -> str:
        said = (
            f"no answer: {self.result.failure}"
            if self.result.failure
            else f"{self.result.rows} rows of {len(self.outcome.roster)} sites"
        )
        return f"<Finding {self.label!r}: {said}>"

    @property
    def result(self) -> Result:
        return self.outcome.result

    @property
    def label(self) -> str:
        return self.outcome.label

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Coefficients in the order of `feature_names_`, float64 (term,)."""
        return np.array(self._coefficients.columns["coefficient"], dtype=np.float64)

    @property
    def feature_names_(self) -> tuple[str, ...]:
        return self._coefficients.columns["term"]

    @property
    def covariance_(self) -> NDArray[np.float64]:
        """Covariance of the coefficients, float64 (term, term)."""
        self._answered()
        return self.result.arrays["covariance"]

    @property
    def quality(self) -> Table | None:
        """Every model (the sites' own, the federation's, the pooled one) on each site's rows held aside and on all of them."""
        return self.judged.quality

    def summary(self) -> Any:
        """The coefficients as a pandas DataFrame, one row a term."""
        return _frame(self._coefficients)

    def to_pandas(self, table: str = "") -> Any:
        """A table of the result as a pandas DataFrame; without a name, the facts as a Series. ``quality``: as `quality`, if it is.

        Raises:
            CallerError: there is no such table.
            MachineError: pandas is not installed.
        """
        pandas = _pandas()
        if not table:
            return pandas.Series({name: value for name, value in self.result.facts.items() if not isinstance(value, dict | list)})
        if table in self.result.cells:
            cells = self.result.cells[table]
            frame = pandas.DataFrame(cells.counts, index=list(cells.rows), columns=list(cells.columns))
            return frame.rename_axis(index=cells.row_variable, columns=cells.column_variable).mask(frame.to_numpy() < 0)
        if table == "quality" and self.quality is not None:
            return _frame(self.quality)
        if table not in self.result.tables:
            names = ", ".join([*self.result.tables, *self.result.cells]) or "none"
            raise CallerError(
                "There is no such table.", [Problem(f"{self.label}.{table}", "no table of that name", f"one of: {names}")]
            )
        return _frame(self.result.tables[table])

    def export(self, folder: str | Path) -> tuple[Path, ...]:
        """Writes the learned model into a folder, in files named by the label that other programs read; returns their paths.

        Raises:
            NotEstimable: there is no answer, so no model.
            CallerError: the method learns no model that other programs could use.
            MachineError: the folder cannot be written, or a package for the format is missing.
        """
        self._answered()
        return export(self.result, self.label, Path(folder))

    @property
    def _coefficients(self) -> Table:
        self._answered()
        if "coefficients" not in self.result.tables:
            raise CallerError("No coefficients.", [Problem(self.label, f"a result of {self.result.method}", "a regression model")])
        return self.result.tables["coefficients"]

    def _answered(self) -> None:
        if self.result.failure:
            raise NotEstimable(f"{self.label} has no answer: {self.result.failure}")


@dataclass(frozen=True)
class Findings:
    """Everything that a run found; `findings["cox"]` is one analysis. `cut_short`: Ctrl-C ended the comparison, and only that.
    `foreseen`: the forecast of this run, where one was made; `compared`: what came, part by part, beside it."""

    study: Study
    run: str
    started: datetime
    seconds: float
    findings: Mapping[str, Finding]
    offered: Mapping[str, int]  # rows of each site's source
    left: tuple[Left, ...]
    policies: Mapping[str, DisclosurePolicy]
    ledgers: tuple[LedgerHead, ...]
    notes: tuple[str, ...] = ()
    cut_short: bool = False
    one_process: bool = True  # whether one process held all sites
    doubts: tuple[Problem, ...] = ()  # about the sources; for the sites' own eyes, so in no report
    foreseen: Foreseen | None = None
    compared: tuple[Compared, ...] = ()

    def __repr__(self) -> str:
        return f"<Findings of {self.study.title!r}: {', '.join(map(repr, self.findings))}>"

    def __getitem__(self, label: str) -> Finding:
        if label not in self.findings:
            known = ", ".join(self.findings)
            raise CallerError("There is no such analysis.", [Problem(label, "no analysis of that label", f"one of: {known}")])
        return self.findings[label]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings.values())

    @property
    def failures(self) -> Mapping[str, str]:
        """Why an analysis has no answer, by label."""
        return {each.label: each.result.failure for each in self if each.result.failure}


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        problem = Problem("pandas", "not installed", "pandas 2 or newer", "pip install 'huizhen[pandas]'")
        raise MachineError("Tables as DataFrames need pandas.", [problem]) from None
    return pandas


def _frame(table: Table) -> Any:
    frame = _pandas().DataFrame({name: list(values) for name, values in table.columns.items()})
    return frame.set_index(table.index) if table.index else frame
