"""Huizhen (会诊): hospitals answer a medical question together while no patient row leaves its hospital.

    from huizhen import Estimator, Study, run

The names below are loaded when they are first used, so that a ground file costs no more than itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huizhen.embedded.estimator import Estimator
    from huizhen.embedded.findings import Finding, Findings
    from huizhen.embedded.foresight import forecast
    from huizhen.embedded.run import run
    from huizhen.federation.study import Study
    from huizhen.policy.disclosure import DisclosurePolicy

__all__ = ["DisclosurePolicy", "Estimator", "Finding", "Findings", "Study", "forecast", "run"]

_HOMES = {
    "DisclosurePolicy": "huizhen.policy.disclosure",
    "Estimator": "huizhen.embedded.estimator",
    "Finding": "huizhen.embedded.findings",
    "Findings": "huizhen.embedded.findings",
    "Study": "huizhen.federation.study",
    "forecast": "huizhen.embedded.foresight",
    "run": "huizhen.embedded.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'huizhen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
