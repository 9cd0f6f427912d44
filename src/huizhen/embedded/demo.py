"""Two real questions, from data that ships inside ordinary packages: lung cancer over 18 institutions, breast cancer over 4 sites.

The studies are ordinary study files, `demo_studies/*.toml`; only the layout of the rows over sites is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from huizhen.errors import MachineError, Problem
from huizhen.federation.study import Study

__all__ = ["DEMOS", "Demo"]


@dataclass(frozen=True, slots=True)
class Demo:
    """A study with the rows of its sites."""

    name: str
    source: str
    sites: Callable[[], Mapping[str, Any]]

    def study(self) -> Study:
        import tomllib

        text = (files("huizhen.embedded") / "demo_studies" / f"{self.name}.toml").read_text(encoding="utf-8")
        return Study.parse(tomllib.loads(text))


def lung_sites() -> Mapping[str, Any]:
    """NCCTG lung cancer (Loprinzi et al. 1994), 228 patients by the institution that entered them; one has none recorded."""
    try:
        from lifelines.datasets import load_lung
    except ImportError:
        raise _missing("lifelines") from None
    frame = load_lung()
    frame.columns = [name.replace(".", "_") for name in frame.columns]
    known = frame.dropna(subset=["inst"])
    sites = {f"inst-{int(inst):02d}": rows.drop(columns="inst").reset_index(drop=True) for inst, rows in known.groupby("inst")}
    return dict(sorted(sites.items()))


def breast_sites() -> Mapping[str, Any]:
    """Wisconsin diagnostic breast cancer (Street et al. 1993), 569 masses over 4 sites by quartile of mean radius."""
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise _missing("scikit-learn") from None
    import numpy as np

    frame = load_breast_cancer(as_frame=True).frame
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    shape = ["mean_smoothness", "mean_concavity", "mean_symmetry"]  # fractions; per cent make coefficients readable
    frame[shape] = 100 * frame[shape]
    frame["malignant"] = 1 - frame.pop("target")
    edges = np.quantile(frame["mean_radius"], [0.25, 0.5, 0.75])
    quartile = np.searchsorted(edges, frame["mean_radius"], side="left")
    names = ["smallest", "small", "large", "largest"]
    return {name: frame[quartile == place].reset_index(drop=True) for place, name in enumerate(names)}


DEMOS = (
    Demo("lung", "NCCTG lung cancer, from lifelines", lung_sites),
    Demo("breast", "Wisconsin breast cancer, from scikit-learn", breast_sites),
)


def _missing(package: str) -> MachineError:
    problem = Problem(package, "not installed", "the demo's data come inside this package", "pip install 'huizhen[demo]'")
    return MachineError("The demo needs a package.", [problem])
