"""What a study found across hospitals, as findings: the same tables, exports and report as of a run in one process.

Pooled rows and every site alone are not there: no one place has the rows.
"""

from __future__ import annotations

from huizhen.embedded.findings import Finding, Findings
from huizhen.federation.found import Found
from huizhen.federation.study import Study
from huizhen.policy.disclosure import disclosure_policy

__all__ = ["findings_of"]


def findings_of(study: Study, found: Found) -> Findings:
    """The findings.

    Args:
        study: whose digest the hub has shown; found: what it kept.
    """
    sites = dict.fromkeys(site for outcome in found.outcomes for site in outcome.rows)
    return Findings(
        study=study,
        run=found.run,
        started=found.started,
        seconds=found.seconds,
        findings={outcome.label: Finding(outcome, {}) for outcome in found.outcomes},
        offered={site: max(outcome.rows.get(site, 0) for outcome in found.outcomes) for site in sites},
        left=found.left,
        policies={site: disclosure_policy(policy) for site, policy in found.policies.items()},
        ledgers=found.ledgers,
        notes=found.notes,
        one_process=False,
    )
