"""What a site's people do with its records before a study: rows made by a mapping, rows checked by rules; nothing leaves."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from huizhen.data.declaration import read_declaration
from huizhen.data.examples import SITE
from huizhen.data.mapping.report import MappingReport
from huizhen.data.mapping.source import open_mapped
from huizhen.data.quality.duplicates import Pair
from huizhen.data.quality.report import QualityReport, check, leaving
from huizhen.data.quality.rules import Rules
from huizhen.data.records import open_source
from huizhen.errors import DataError, MachineError, Problem, closest
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.privacy.release import Variable
from huizhen.site.settings import REGISTRY

__all__ = ["check_rows", "map_rows", "write_review", "write_shared"]

REVIEW = ("one", "other", "likeness", "same")


def map_rows(mapping: Path, root: Path, out: Path) -> MappingReport:
    """Writes the rows that a mapping makes of a site's registry as Parquet; what became of each variable.

    Args:
        root: the site's folder.
        out: a new file, or an old one that is replaced.

    Raises:
        DataError: mapping and registry do not fit. MachineError: the file cannot be written.
    """
    source = open_mapped(mapping, root / REGISTRY)
    report = source.report()
    try:
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.write(out)
    except OSError as error:
        raise _unwritable(out, error) from None
    return report


def check_rows(rules: Path, place: Path) -> QualityReport:
    """What rules say of a table, or of the rows that a mapping makes.

    Raises:
        DataError: the rules cannot be used, or name what is not there.
    """
    declared = read_declaration(rules, Rules, "The rules cannot be used.")
    source = open_source(place)
    kinds = {column.name: column.kind for column in source.columns if column.kind != "image" and column.filled}
    empty = [column.name for column in source.columns if not column.filled]
    known = (*kinds, *empty)
    problems = [_unknown(rules, name, known) for name in declared.variables_read if name not in known]
    problems += [
        Problem(rules.name, f"variable {name!r} without any value", "a variable with values", "Leave its rules out")
        for name in declared.variables_read
        if name in empty
    ]
    if problems:
        raise DataError("The rules cannot be used.", problems)
    # The column that says whose row it is has the name of the site at every study, so one of that name is not read.
    wanted = {name: Variable("number" if kind == "number" else "category") for name, kind in kinds.items() if name != SITE}
    return check(declared, source.read(wanted, site=SITE))


def write_review(pairs: tuple[Pair, ...], path: Path) -> None:
    """Writes pairs of rows that are alike, with a column for a person's decision; it holds numbers of rows and no value.

    Raises:
        MachineError: the file cannot be written.
    """
    try:
        with open(path, "w", encoding="utf-8", newline="", opener=_own) as file:
            rows = csv.writer(file)
            rows.writerow(REVIEW)
            rows.writerows((pair.one, pair.other, pair.likeness, "") for pair in pairs)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_shared(report: QualityReport, policy: DisclosurePolicy, path: Path) -> dict[str, Any]:
    """Writes what of a report may leave the site, by its policy.

    Raises:
        MachineError: the file cannot be written.
    """
    told = leaving(report, min_cell_count=policy.min_cell_count, min_rows=policy.min_rows, round_to=policy.round_to)
    try:
        path.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from None
    return told


def _own(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _unknown(rules: Path, name: str, known: tuple[str, ...]) -> Problem:
    near = closest(name, known)
    expected = f"one of: {', '.join(known[:20])}"
    return Problem(rules.name, f"no column {name[:60]!r}", expected, f"Did you mean {near}?" if near else "")


def _unwritable(path: Path, error: OSError) -> MachineError:
    problem = Problem(str(path), error.strerror or "an error", "a file in a folder that can be written")
    return MachineError("The file cannot be written.", [problem])
