"""A table file in, a table file out: every row through `applied`, then the whole table to its goal; counts are told, and no value.

Rows stream; where the table has a goal it is gone through twice, and what is kept of it in between are codes of the columns of
that goal. What is written is a CSV or Parquet file of mode 0600; it appears at its place when it is whole, or not at all.
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

from huizhen.data.deidentify.anonymity import Texts
from huizhen.data.deidentify.hierarchy import Goal, goal_of
from huizhen.data.deidentify.lattice import Reached, reach
from huizhen.data.deidentify.rules import Plan, plan_of
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.structured import applied, checked_columns
from huizhen.data.delimited import broken_row, repeated, sniff, unreadable_bytes
from huizhen.data.tablefile import TableFile, Unreadable, parquet_file, parquet_from
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
    """Reads a CSV or Parquet file, writes one, by the name of `out`; without `out` everything is done but the writing.

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
        _reach(cleaned, kept, goal, done)
        again = Done()
        cleaned = _coarser(path, _cleaned(_opened(path)[1], plan, secret, again), done, again)
    if out is None:
        done.kept = sum(1 for _ in cleaned)
    elif out.suffix.lower() in PARQUET:
        with whole_parquet(out) as half:
            done.kept = _written(half, kept, cleaned)
    else:
        with written_whole(out) as stream:
            done.kept = _rows_to(stream, kept, cleaned)
    return done


def _written(half: Path, kept: Sequence[str], rows: Iterator[dict[str, str]]) -> int:
    with half.open("w", encoding="utf-8", newline="") as stream:
        return _rows_to(stream, kept, rows)


def _rows_to(stream: TextIO, kept: Sequence[str], rows: Iterator[dict[str, str]]) -> int:
    writer, count = csv.writer(stream, lineterminator="\n"), 0
    writer.writerow(kept)
    for row in rows:
        writer.writerow([row[name] for name in kept])
        count += 1
    return count


def _cleaned(rows: Iterator[Row], plan: Plan, secret: Secret, done: Done) -> Iterator[dict[str, str]]:
    for row in rows:
        found = applied(row, plan, secret)
        done.units += 1
        done.counts.update(found.counts)
        yield {name: "" if value is None else str(value) for name, value in found.fields.items()}


def _reach(rows: Iterator[dict[str, str]], kept: Sequence[str], goal: Goal, done: Done) -> None:
    """How the table reaches its goal, from the columns that the goal names."""
    named = {*goal.hierarchies, goal.sensitive}
    columns = {name: Texts() for name in kept if name in named}
    for row in rows:
        for name, column in columns.items():
            column.add(row[name])
    done.reached = reach(columns, goal)


def _coarser(path: Path, rows: Iterator[dict[str, str]], done: Done, again: Done) -> Iterator[dict[str, str]]:
    """The rows that stay, told as coarsely as the goal needs.

    Raises:
        DataError: the file is no longer what it was when it was gone through first.
    """
    reached = done.reached
    assert reached is not None
    at = 0
    for number, row in enumerate(rows):
        if number < len(reached.kept) and reached.kept[number]:
            yield row | {name: told[at] for name, told in reached.columns.items()}
            at += 1
    if again.units != done.units or again.counts != done.counts:
        problem = Problem(path.name, "another content than a moment ago", "a file that nobody writes", "Do it again")
        raise DataError(f"{path.name} cannot be read", [problem])


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
    except Unreadable:
        raise _damaged(path) from None
    if file.unread:
        problems = [Problem(path.name, what, "a named column of numbers, text or dates") for what in file.unread]
        raise DataError(f"{path.name} cannot be opened as a table", problems)
    return names, _streamed(path, file, names)


def _streamed(path: Path, file: TableFile, names: tuple[str, ...]) -> Iterator[Row]:
    try:
        for cells in file.cells(names):
            yield dict(zip(names, cells))
    except Unreadable:
        raise _damaged(path) from None


def _damaged(path: Path) -> DataError:
    remedy = "Copy or export it again; if it was cut short, its last four bytes are not PAR1"
    problem = Problem(path.name, "a damaged file, or none in Parquet format", "a whole Parquet file", remedy)
    return DataError(f"{path.name} cannot be read", [problem])


@contextmanager
def whole_parquet(out: Path) -> Iterator[Path]:
    """A place for a CSV file that becomes a new Parquet file, which only its owner can read, once it is whole.

    Raises:
        SiteError: something stands there already, or the folder cannot be written.
    """
    half, made = out.with_name(f".{out.name}.csv.part"), out.with_name(f".{out.name}.part")
    try:
        if out.exists():
            raise FileExistsError(0, "a file that is there already")
        for place in (half, made):
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, OWNER_ONLY))
    except OSError as error:
        problem = Problem(str(out), str(error.strerror), "a new file in a writable folder")
        raise SiteError("The output cannot be written.", [problem]) from None
    try:
        yield half
        parquet_from(half.resolve(), made.resolve())
        made.chmod(OWNER_ONLY)
        os.replace(made, out)
    finally:
        half.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


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
