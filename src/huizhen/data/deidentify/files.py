"""A table file in, a table file out: every row through `applied`, then the whole table to its goal; counts are told, and no value.

What is written is a CSV file of mode 0600; it appears at its place when it is whole, or not at all.
"""

from __future__ import annotations

import csv
import os
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from huizhen.data.deidentify.hierarchy import Goal, goal_of
from huizhen.data.deidentify.lattice import Reached, reach
from huizhen.data.deidentify.rules import Plan, plan_of
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.structured import applied, checked_columns
from huizhen.data.delimited import broken_row, repeated, sniff, unreadable_bytes
from huizhen.data.tablefile import Unreadable, parquet_file
from huizhen.errors import DataError, Problem, SiteError

__all__ = ["Done", "deidentify_table", "read_rules", "written_whole"]

OWNER_ONLY = 0o600
PARQUET = (".parquet", ".pq")
Row = Mapping[str, str | None]


@dataclass
class Done:
    """What was done to a table or a folder, in counts.

    Attributes:
        units: rows or files that were read.
        kept: of those, how many were written.
        counts: by column (or kind of file) and what happened.
        reached: how anonymous the table is now; None where nothing was asked.
        notes: why files were set aside, and how many.
    """

    units: int = 0
    kept: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    reached: Reached | None = None
    notes: Counter[str] = field(default_factory=Counter)


def read_rules(path: Path) -> dict[str, Any]:
    """The TOML file of rules.

    Raises:
        SiteError: it is not there, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = str(error.strerror)
    except UnicodeDecodeError:
        found = "bytes that are no UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        found = str(error)
    raise SiteError("The rules for de-identification cannot be used.", [Problem(str(path), found, "a TOML file of rules")])


def deidentify_table(path: Path, out: Path | None, rules: Mapping[str, Any], secret: Secret) -> Done:
    """Reads a CSV or Parquet file, writes a CSV file; without `out` everything is done but the writing.

    Raises:
        SiteError: the rules are wrong, or do not fit the table; the file cannot be written.
        DataError: the file cannot be followed.
    """
    plan, goal = plan_of(rules), goal_of(rules)
    columns, rows = _opened(path)
    checked_columns(plan, columns)
    kept = [name for name in columns if name in plan.rules and plan.rules[name].kind != "drop"]
    done = Done()
    cleaned = _cleaned(rows, plan, secret, done)
    if goal is not None:
        cleaned = iter(_anonymous(list(cleaned), kept, goal, done))
    if out is None:
        done.kept = sum(1 for _ in cleaned)
        return done
    with written_whole(out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(kept)
        for row in cleaned:
            writer.writerow([row[name] for name in kept])
            done.kept += 1
    return done


def _cleaned(rows: Iterator[Row], plan: Plan, secret: Secret, done: Done) -> Iterator[dict[str, str]]:
    for row in rows:
        found = applied(row, plan, secret)
        done.units += 1
        done.counts.update(found.counts)
        yield {name: "" if value is None else str(value) for name, value in found.fields.items()}


def _anonymous(rows: list[dict[str, str]], kept: Sequence[str], goal: Goal, done: Done) -> list[dict[str, str]]:
    reached = reach({name: [row[name] for row in rows] for name in kept}, goal)
    done.reached = reached
    staying = [row for row, stays in zip(rows, reached.kept) if stays]
    return [row | {name: told[at] for name, told in reached.columns.items()} for at, row in enumerate(staying)]


def _opened(path: Path) -> tuple[tuple[str, ...], Iterator[Row]]:
    if not path.is_file():
        raise DataError(f"{path.name} cannot be opened as a table", [Problem(str(path), "no such file", "a CSV or Parquet file")])
    return _parquet(path) if path.suffix.lower() in PARQUET else _csv(path)


def _csv(path: Path) -> tuple[tuple[str, ...], Iterator[Row]]:
    wrong = unreadable_bytes(path)
    layout = wrong or sniff(path)
    if isinstance(layout, Problem):
        raise DataError(f"{path.name} cannot be opened as a table", [layout])
    twice = repeated(path.name, layout.names)
    expected = "a name for every column"
    unnamed = [
        Problem(path.name, f"column {at + 1} (without a name)", expected) for at, name in enumerate(layout.names) if not name
    ]
    problems = [*([twice] if twice else []), *unnamed]
    if problems:
        raise DataError(f"{path.name} cannot be opened as a table", problems)

    def rows() -> Iterator[Row]:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=layout.delimiter, strict=True)
            next(reader)
            try:
                for cells in reader:
                    if len(cells) != len(layout.names):
                        if not cells:
                            continue
                        break
                    yield dict(zip(layout.names, cells))
                else:
                    return
            except csv.Error:
                pass
        raise DataError(f"{path.name} cannot be read", [broken_row(path, layout)])

    return layout.names, rows()


def _parquet(path: Path) -> tuple[tuple[str, ...], Iterator[Row]]:
    try:
        file, _ = parquet_file(path.resolve())
        names = tuple(file.places)
        texts = file.texts(names)
        codes = file.values((), texts)
    except Unreadable:
        remedy = "Copy or export it again; if it was cut short, its last four bytes are not PAR1"
        problem = Problem(path.name, "a damaged file, or none in Parquet format", "a whole Parquet file", remedy)
        raise DataError(f"{path.name} cannot be read", [problem]) from None
    if file.unread:
        problems = [Problem(path.name, what, "a named column of numbers, text or dates") for what in file.unread]
        raise DataError(f"{path.name} cannot be opened as a table", problems)
    columns = [[None if code < 0 else texts[name][code] for code in codes[name]] for name in names]
    return names, (dict(zip(names, cells)) for cells in zip(*columns))


@contextmanager
def written_whole(out: Path) -> Iterator[TextIO]:
    """A new text file that only its owner can read; it takes its name when it is whole.

    Raises:
        SiteError: something stands there already, or the folder cannot be written.
    """
    half = out.with_name(f".{out.name}.part")
    try:
        if out.exists():
            raise FileExistsError(0, "a file that is there already")
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, OWNER_ONLY)
    except OSError as error:
        problem = Problem(str(out), str(error.strerror), "a new file in a writable folder")
        raise SiteError("The output cannot be written.", [problem]) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            yield stream
        os.replace(half, out)
    finally:
        half.unlink(missing_ok=True)
