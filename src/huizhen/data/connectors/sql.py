"""Tables of databases through SQLAlchemy: streamed, and incremental by a column that grows with every change.

Only `select` is ever sent, on a connection that is read only where the database has that. Names are looked up in the database and
quoted by SQLAlchemy: what stands in the configuration never becomes SQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from huizhen.data.connectors.files import unreadable_source
from huizhen.data.connectors.options import SqlOptions
from huizhen.data.connectors.rows import AT_ONCE, RowReader, fitting_columns
from huizhen.data.events.schema import Batch, Changes
from huizhen.errors import MachineError, Problem

__all__ = ["database", "sql_rows", "table_of"]

NO_CHANGE = "a row that does not say when it changed: read with every sync"


def sql_rows(options: SqlOptions, folder: Path, cursor: Any) -> Changes:
    """The rows of a table; where `SqlOptions.changed` is set, those that changed since the last sync."""
    return Changes(_batches(options, folder, cursor), whole=not options.changed, settings=options.digest)


def _batches(options: SqlOptions, folder: Path, cursor: Any) -> Iterator[Batch]:
    import_sqlalchemy()
    from sqlalchemy import or_, select

    with database(options.url, options.password_file, folder) as connection:
        table = table_of(connection, options.table, options.database_schema)
        columns = [column.name for column in table.columns]
        fitting_columns(options.table, columns, options, cursor["columns"] if cursor else [])
        asked = select(*table.columns)
        place = None
        if options.changed:
            if options.changed not in columns:
                raise unreadable_source(options.table, f"no column {options.changed!r}", "the column that says when a row changed")
            place, changed = columns.index(options.changed), table.columns[options.changed]
            # "At least", as rows of the same moment may have come since; those that were read are found to be the same.
            since = None if cursor is None or cursor["since"] is None else _read_back(cursor["since"])
            asked = asked.where(or_(changed >= since, changed.is_(None))) if since is not None else asked
            asked = asked.order_by(changed.is_not(None), changed)  # rows without it first: the cursor only ever grows
        reached = cursor["since"] if cursor else None
        for rows in _streamed(connection, asked):
            reader = RowReader(options, columns)
            events = [event for row in rows for event in reader.events(row, "")]
            if place is not None:
                reader.notes[NO_CHANGE] += sum(row[place] is None for row in rows)
                reached = _written(rows[-1][place]) or reached
            cursor_here = None if place is None else {"since": reached, "columns": columns}
            yield Batch(events, len(rows), reader.refused, +reader.notes, cursor=cursor_here)
        yield Batch(cursor={"since": reached, "columns": columns})


def _streamed(connection: Any, asked: Any) -> Iterator[Any]:
    """Rows, some at a time; the database's own cursor is closed whatever happens."""
    with closing(connection.execute(asked)) as result:
        yield from result.partitions(AT_ONCE)


def import_sqlalchemy() -> None:
    """Looks whether SQLAlchemy is there.

    Raises:
        MachineError: it is not.
    """
    try:
        import sqlalchemy  # noqa: F401
    except ImportError:
        problem = Problem("sqlalchemy", "a package that is not installed", "sqlalchemy", "pip install 'huizhen[registry]'")
        raise MachineError("A database cannot be read.", [problem]) from None


@contextmanager
def database(url: str, password_file: str, folder: Path) -> Iterator[Any]:
    """A connection that streams; its errors become ours, without what the database says, which may hold values.

    Raises:
        SiteError: the database cannot be reached, or went away.
    """
    import_sqlalchemy()
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    found = ""
    try:
        place = make_url(url)
        if password_file:
            place = place.set(password=(folder / password_file).read_text(encoding="utf-8").strip())
        if place.get_backend_name() == "sqlite":
            place = _existing(place, folder)
        engine = create_engine(place, hide_parameters=True)
        try:
            with engine.connect() as connection:
                yield connection.execution_options(stream_results=True, yield_per=AT_ONCE)
        finally:
            engine.dispose()
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        found = "a URL of a database that is not known" if not isinstance(error, ImportError) else "a driver that is not installed"
    except OSError:
        found = "a password file that cannot be read"
    except SQLAlchemyError as error:
        found = f"a database that does not answer ({type(error).__name__})"
    if found:
        remedy = "What was read before is kept: the next sync goes on from there"
        raise unreadable_source("url", found, "a database that answers", remedy)


def table_of(connection: Any, name: str, schema: str) -> Any:
    """A table or view as the database describes it.

    Raises:
        SiteError: it is not there.
    """
    from sqlalchemy import MetaData, Table
    from sqlalchemy.exc import NoSuchTableError

    try:
        return Table(name, MetaData(), autoload_with=connection, schema=schema or None, resolve_fks=False)
    except NoSuchTableError:
        raise unreadable_source(name[:64], "no such table", "a table or view of the database") from None


def _existing(url: Any, folder: Path) -> Any:
    """SQLite would make a new database where there is none."""
    if not url.database or url.database == ":memory:":
        raise unreadable_source("url", "a database in memory", "a file")
    path = folder / url.database
    if not path.is_file():
        raise unreadable_source("url", "no such file", "a SQLite database")
    return url.set(database=f"file:{path.resolve()}", query={"mode": "ro", "uri": "true"})


def _written(value: Any) -> Any:
    """A value of the column of changes as JSON."""
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    return str(value) if isinstance(value, Decimal | bytes) else value


def _read_back(written: Any) -> Any:
    if not isinstance(written, dict):
        return written
    return datetime.fromisoformat(written["time"]) if "time" in written else date.fromisoformat(written["day"])
