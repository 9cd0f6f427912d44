"""One method over several sites in the habit of scikit-learn: `Estimator("cox", ...).fit(sites).summary()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from huizhen.embedded.findings import Finding
from huizhen.embedded.predicting import predict
from huizhen.embedded.run import run
from huizhen.embedded.sources import Table
from huizhen.errors import CallerError, NotEstimable, Problem
from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy

__all__ = ["Estimator"]


class Estimator:
    """A method with its settings, to be fitted on tables of several sites in this process.

        model = Estimator("glm", formula="died ~ age + sex", family="binomial")
        model.fit({"west-lake": west, "east-gate": east})   # DataFrames, mappings of columns, or paths
        model.coef_, model.summary(), model.predict(patients)

    Attributes:
        finding_: the whole result, with notes and what was withheld; set by `fit`.
    """

    def __init__(self, method: str, **settings: Any) -> None:
        self.method = method
        self.settings = settings
        self.finding_: Finding | None = None

    def fit(
        self,
        sites: Mapping[str, Table],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        variables: Mapping[str, Mapping[str, Any]] | None = None,
        policy: DisclosurePolicy | None = None,
    ) -> Self:
        """Runs the method over the sites.

        Args:
            sites: tables by site.
            include, exclude: cohort conditions.
            variables: declarations as under ``[variables.NAME]`` in a study file.
            policy: every site's disclosure policy; by default the strict default policy.

        Raises:
            StudyError: settings that do not fit the method, all at once.
            DataError: tables that cannot be read as the method needs them.
            NotEstimable: there is no answer, and why.
        """
        content: dict[str, Any] = {
            "cohort": {"include": list(include), "exclude": list(exclude)},
            "variables": {name: dict(declared) for name, declared in (variables or {}).items()},
            "method": {self.method: self.settings},
        }
        finding = next(iter(run(Study.parse(content), sites, policy=policy, compare=False)))
        if finding.result.failure:
            raise NotEstimable(f"{self.method} has no answer: {finding.result.failure}")
        self.finding_ = finding
        return self

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Coefficients in the order of `feature_names_`, float64 (term,)."""
        return self._fitted.coef_

    @property
    def feature_names_(self) -> tuple[str, ...]:
        return self._fitted.feature_names_

    @property
    def covariance_(self) -> NDArray[np.float64]:
        """Covariance of the coefficients, float64 (term, term)."""
        return self._fitted.covariance_

    def summary(self) -> Any:
        """The coefficients as a pandas DataFrame."""
        return self._fitted.summary()

    def predict(self, patients: Table) -> NDArray[np.float64]:
        """Means (glm) or hazards relative to the average patient (cox), float64 (row,); NaN where a value misses."""
        return predict(self._fitted.result, patients)

    @property
    def _fitted(self) -> Finding:
        if self.finding_ is None:
            problem = Problem(self.method, "a model that was not fitted", "a fitted one", "Call fit(sites) first")
            raise CallerError("There is nothing to read yet.", [problem])
        return self.finding_
