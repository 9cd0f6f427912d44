"""Findings told as a report."""

from __future__ import annotations

import re
from collections import Counter
from importlib.metadata import version

from huizhen.embedded.compare import difference
from huizhen.embedded.findings import Finding, Findings
from huizhen.federation.schemes import lane_of
from huizhen.policy.disclosure import strictest
from huizhen.policy.rounding import round_count
from huizhen.report.content import Analysis, LeftOut, Outlook, Refusal, ReportContent

__all__ = ["story"]


def story(findings: Findings) -> ReportContent:
    """The report's content: the same facts, ordered for a reader."""
    study = findings.study
    return ReportContent(
        title=study.title,
        question=study.about.question,
        study_digest=study.digest,
        run=findings.run,
        started=findings.started,
        seconds=findings.seconds,
        engine="in-process" if findings.one_process else "wire",
        lane=lane_of(study, one_process=findings.one_process),
        version=version("huizhen"),
        cohort=(*study.cohort.include, *(f"not ({condition})" for condition in study.cohort.exclude)),
        participants=_participants(findings),
        left_out=tuple(each for finding in findings for each in _left_out(finding)),
        analyses=tuple(
            _analysis(finding, exact=analysis.method.exact) for finding, analysis in zip(findings, study.analyses, strict=True)
        ),
        left=findings.left,
        refusals=_refusals(findings),
        policies={site: policy.clauses() for site, policy in findings.policies.items()},
        ledgers=findings.ledgers,
        notes=findings.notes,
        outlook=None if findings.foreseen is None else Outlook(findings.foreseen, findings.compared),
    )


def _left_out(finding: Finding) -> list[LeftOut]:
    """Who took no part, and who missed rounds: the same site with the same reason once."""
    losses = [loss for loss in finding.outcome.losses if loss.kind != "refused"]
    whole = [LeftOut(loss.site, finding.label, loss.reason) for loss in losses if not loss.round]
    missed = Counter((loss.site, _in_any_step(loss.reason)) for loss in losses if loss.round)
    return whole + [LeftOut(site, finding.label, reason, rounds) for (site, reason), rounds in missed.items()]


def _in_any_step(reason: str) -> str:
    """A reason without the number of the step in which it came up, which differs from round to round."""
    return re.sub(r" in step \d+", "", reason)


def _participants(findings: Findings) -> dict[str, int]:
    """Rows by site, rounded as the policies round counts, of the sites that took part; nothing is told of the others' sizes."""
    rows: dict[str, int] = {}
    for finding in findings:
        for site, count in finding.outcome.rows.items():
            rows[site] = max(count, rows.get(site, 0))
    present = [site for site in findings.offered if site in rows]
    if not present:
        return {}
    terms = strictest(
        (findings.policies[site] for site in present),
        lane=lane_of(findings.study, one_process=findings.one_process),
        variables={},
        roster=present,
    )
    return {site: round_count(rows[site], terms) for site in present}


def _analysis(finding: Finding, *, exact: bool) -> Analysis:
    return Analysis(
        label=finding.label,
        federation=finding.result,
        alone=finding.alone,
        pooled=finding.pooled,
        reference=finding.reference,
        reference_name=finding.reference_name,
        difference=difference(finding.result, finding.pooled) if finding.pooled and exact else None,
        reference_difference=difference(finding.result, finding.reference) if finding.reference else None,
        rounds=finding.outcome.rounds,
        exact=exact,
        quality=finding.judged.quality,
        curves=finding.judged.curves,
        unjudged=finding.judged.untold,
    )


def _refusals(findings: Findings) -> tuple[Refusal, ...]:
    refused = [
        Refusal(loss.site, finding.label, "answer", loss.reason)
        for finding in findings
        for loss in finding.outcome.losses
        if loss.kind == "refused"
    ]
    withheld = [Refusal("", finding.label, each.what, each.reason) for finding in findings for each in finding.result.withheld]
    return (*refused, *withheld)
