"""A cohort counted at several sites whose folders are on this machine: each through its own gate, and the sum of all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from huizhen.clock import Clock
from huizhen.data.criteria.attrition import Attrition, rounded, told_together
from huizhen.data.criteria.declarations import Criteria
from huizhen.errors import CallerError, PolicyError, Problem
from huizhen.policy.disclosure import Lane, strictest
from huizhen.site.answered import Counted
from huizhen.site.counting import CountingSite

__all__ = ["count_together"]


def count_together(folders: Mapping[str, Path], criteria: Criteria, clock: Clock, *, run: str) -> Attrition:
    """The attrition table of each site and of all together.

    Args:
        folders: each site's folder, by the name that its configuration says.

    Raises:
        CallerError: a folder is another site's. PolicyError: a site's policy refuses; nothing of any site is shown.
        SiteError, MachineError, LedgerError: a site cannot be used.
    """
    with ExitStack() as stack:
        sites = {name: CountingSite(folder, clock) for name, folder in folders.items()}
        problems = [
            Problem(f"--site {name}=", f"the folder of {site.name}", f"the folder of {name}")
            for name, site in sites.items()
            if site.name != name
        ]
        if problems:
            raise CallerError("A folder is another site's.", problems)
        for site in sites.values():
            stack.enter_context(site)
        policies = {name: site.settings.policy for name, site in sites.items()}
        lane: Lane = "embedded" if all("embedded" in policy.lanes for policy in policies.values()) else "plain"
        terms = strictest(policies.values(), lane=lane, variables={}, roster=tuple(sites))
        minima = {name: policy.min_cell_count for name, policy in policies.items()}
        about: dict[str, Any] = {"lane": lane, "roster": tuple(sites), "run": run}
        counted = {name: site.count(criteria) for name, site in sites.items()}
        first, _ = told_together(_counts(counted), minima)
        refusals: list[Problem] = []
        for name, site in sites.items():
            try:
                counted[name] = site.judge(criteria, counted[name], lambda _: first, **about)
            except PolicyError as error:
                refusals += error.problems
        if refusals:  # before any site has released anything
            raise PolicyError("The policy does not answer this cohort.", refusals)
        of_sum, of_sites = (mask & first for mask in told_together(_counts(counted), minima))
        for name, site in sites.items():
            site.release(criteria, counted[name], lambda _: of_sum, **about)
    counts = _counts(counted)
    each = {name: rounded(counts[name], of_sites, minima[name], policies[name].round_to) for name in sites}
    total = np.sum([one.counts for one in counted.values()], axis=0)
    patients = rounded(total, of_sum, terms.min_cell_count, terms.round_to)
    return Attrition(
        criteria.title,
        criteria.names,
        patients,
        each,
        next((one.note for one in counted.values() if one.note), ""),
    )


def _counts(counted: Mapping[str, Counted]) -> dict[str, list[int]]:
    return {name: one.counts.tolist() for name, one in counted.items()}
