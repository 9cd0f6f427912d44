"""A file of criteria, read with the hierarchies that stand beside it; every mistake is named at once.

criteria = read_criteria(Path("diabetes.toml"))
"""

from __future__ import annotations

import csv
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huizhen.data.criteria.declarations import WRONG, Criteria, checked_criteria
from huizhen.errors import CallerError, MachineError, Problem

__all__ = ["parse_criteria", "read_criteria"]

LONGEST = 10_000_000  # characters of a file
HEADER = ["parent", "child"]


def read_criteria(path: Path) -> Criteria:
    """The criteria in a TOML file; hierarchies stand in CSV files beside it.

    Raises:
        CallerError: every mistake: the key, what was found, what was expected.
        MachineError: a file cannot be read.
    """
    return parse_criteria(_toml(path), path.parent)


def parse_criteria(content: Mapping[str, Any], folder: Path) -> Criteria:
    """The criteria in a mapping with the layout of the file.

    Raises:
        CallerError, MachineError: as `read_criteria`.
    """
    problems: list[Problem] = []
    return checked_criteria(content, _hierarchies(content.get("hierarchy", {}), folder, problems), problems)


def _toml(path: Path) -> Mapping[str, Any]:
    found = ""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > LONGEST:
            raise CallerError(WRONG, [Problem(str(path), f"more than {LONGEST:,} characters", "a file of criteria")])
        return tomllib.loads(text)
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a readable TOML file")
        raise MachineError("The criteria cannot be read.", [problem]) from None
    except UnicodeDecodeError:
        found = "text that is not UTF-8"
    except RecursionError:
        found = "brackets too deep inside each other"
    except tomllib.TOMLDecodeError as error:
        found = str(error)
    raise CallerError(WRONG, [Problem(str(path), found, "TOML 1.0")])


def _hierarchies(content: Any, folder: Path, problems: list[Problem]) -> dict[str, dict[str, list[str]]]:
    if not isinstance(content, Mapping):
        problems.append(Problem("hierarchy", "another value", "a table such as [hierarchy] with SYSTEM = FILE"))
        return {}
    found: dict[str, dict[str, list[str]]] = {}
    for system, name in content.items():
        where = f"hierarchy.{system}"
        if not isinstance(name, str):
            problems.append(Problem(where, "another value", "the name of a CSV file beside the criteria"))
        else:
            found[system] = _parents(folder / name, where, problems)
    return found


def _parents(path: Path, where: str, problems: list[Problem]) -> dict[str, list[str]]:
    expected = "a CSV file, UTF-8, with the columns parent and child"
    found: dict[str, list[str]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            if next(rows, None) != HEADER:
                problems.append(Problem(where, "other columns", expected))
                return {}
            for row in rows:
                if len(row) != len(HEADER):
                    problems.append(Problem(where, f"another number of cells in line {rows.line_num}", expected))
                    return {}
                found[row[0].strip()].append(row[1].strip())
    except OSError as error:
        problems.append(Problem(where, error.strerror or "an error", expected))
    except (UnicodeDecodeError, csv.Error):
        problems.append(Problem(where, "a file that is no CSV in UTF-8", expected))
    return dict(found)
