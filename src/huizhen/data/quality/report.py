"""What checking has found: exact counts for the site's own eyes, and what of them may leave it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from huizhen.data.examples import SITE, Examples
from huizhen.data.quality.duplicates import Duplicates, find_duplicates
from huizhen.data.quality.judging import Outcome, judge
from huizhen.data.quality.rules import Rules

__all__ = ["QualityReport", "check", "leaving"]

PATTERNS = 10  # that are shown


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Rows and rules.

    Attributes:
        missing: by variable, rows without a value.
        complete: rows that miss nothing.
        patterns: which variables are missing together, with the number of rows, the commonest first.
    """

    rows: int
    outcomes: tuple[Outcome, ...]
    missing: Mapping[str, int]
    complete: int
    patterns: tuple[tuple[tuple[str, ...], int], ...]
    duplicates: Duplicates


def check(rules: Rules, examples: Examples) -> QualityReport:
    """Everything that is declared, and what is missing.

    Raises:
        DataError: a condition does not fit the variables.
    """
    rows = examples.without([SITE])
    outcomes = tuple(judge(rule, rows) for rule in rules.rule)
    absent = {name: column.missing() for name, column in rows.columns.items()}
    counts = {name: int(np.count_nonzero(mask)) for name, mask in absent.items()}
    patterns = _patterns([name for name, count in counts.items() if count], absent)
    complete = rows.rows - sum(patterns.values())
    return QualityReport(
        rows.rows, outcomes, counts, complete, tuple(patterns.most_common(PATTERNS)), find_duplicates(rows, rules.duplicates)
    )


def leaving(report: QualityReport, *, min_cell_count: int, min_rows: int, round_to: int = 1) -> dict[str, Any]:
    """What may leave the site, as plain values: counts that are 0 or no small cell, nor leave one; None where one is.

    Pairs of rows and patterns stay. Of a table with fewer than `min_rows` rows nothing but the names of rules leaves.
    """
    is_small = report.rows < min_rows

    def count(found: int, of: int) -> int | None:
        """A count of a part of rows, if neither it nor the rest is few."""
        few = any(0 < cell < min_cell_count for cell in (found, of - found))
        return None if is_small or few else round(found / round_to) * round_to

    rules = [
        {
            "name": each.name,
            "kind": each.kind,
            "variables": list(each.variables),
            "judged": count(each.judged, report.rows),
            "broken": count(each.broken, each.judged),
        }
        for each in report.outcomes
    ]
    missing = {name: count(found, report.rows) for name, found in report.missing.items()}
    rows = None if is_small else round(report.rows / round_to) * round_to
    return {"rows": rows, "rules": rules, "missing": missing, "complete": count(report.complete, report.rows)}


def _patterns(names: list[str], absent: Mapping[str, Any]) -> Counter[tuple[str, ...]]:
    if not names:
        return Counter()
    masks = np.stack([absent[name] for name in names], axis=1)
    found, counts = np.unique(np.packbits(masks, axis=1), axis=0, return_counts=True)
    bits = np.unpackbits(found, axis=1, count=len(names)).astype(bool)
    patterns = {tuple(name for name, is_absent in zip(names, row) if is_absent): int(n) for row, n in zip(bits, counts)}
    return Counter({pattern: count for pattern, count in patterns.items() if pattern})
