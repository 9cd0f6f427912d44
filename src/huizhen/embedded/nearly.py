"""Analyses of one study that rest on nearly the same rows: the few patients between them are not counted by subtraction.

A model of patients who miss nothing in five variables, beside a curve of those who miss nothing in three, has so many rows fewer
as patients miss a value. Where that is 1 to the minimum cell count - 1 patients, jointly or at a site, the model's numbers of
patients are withheld. Tables of counts keep theirs; of two of them see `docs/explanation/threats.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from huizhen.embedded.findings import Finding
from huizhen.policy.publication import COUNT_FACTS, TELL_COUNTS
from huizhen.privacy.result import Result, Withheld

__all__ = ["without_near_counts"]

WHY = "Another analysis of this study rests on nearly the same patients, and the difference would count the few between them."


def without_near_counts(findings: Mapping[str, Finding], minimum: int) -> dict[str, Finding]:
    """The findings, where a model rests on 1 to `minimum` - 1 patients fewer or more than another analysis without its numbers."""
    told = [finding for finding in findings.values() if _counts_in_tables(finding.result)]
    shown = dict(findings)
    for label, finding in findings.items():
        if finding in told or not finding.result.rows:
            continue
        if any(_nearly(finding.outcome.rows, other.outcome.rows, minimum) for other in told):
            shown[label] = _without_numbers(finding)
        else:
            told.append(finding)
    return shown


def _counts_in_tables(result: Result) -> bool:
    return bool(result.cells) or any(table.counts for table in result.tables.values())


def _nearly(rows: Mapping[str, int], others: Mapping[str, int], minimum: int) -> bool:
    apart = [abs(rows[site] - others[site]) for site in rows if site in others]
    if rows.keys() == others.keys():
        apart.append(abs(sum(rows.values()) - sum(others.values())))
    return any(0 < difference < minimum for difference in apart)


def _without_numbers(finding: Finding) -> Finding:
    return replace(
        finding,
        outcome=replace(finding.outcome, result=_untold(finding.result), rows={}),
        alone={site: _untold(result) for site, result in finding.alone.items()},
        pooled=_untold(finding.pooled) if finding.pooled else None,
        judged=finding.judged.without_numbers(),
    )


def _untold(result: Result) -> Result:
    gone = {name: None for name in (*COUNT_FACTS, *TELL_COUNTS) if name in result.facts}
    return replace(
        result, rows=0, facts={**result.facts, **gone}, withheld=(*result.withheld, Withheld("numbers of patients", WHY))
    )
