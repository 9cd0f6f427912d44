"""`huizhen data deidentify` and `huizhen data key`: a site's own tables, reports and images without identifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from huizhen.cli.terminal import Terminal
from huizhen.cli.words import Language, say
from huizhen.data.deidentify.files import Done, deidentify_table, read_rules
from huizhen.data.deidentify.folders import deidentify_folder
from huizhen.data.deidentify.keyfile import create_secret, load_secret
from huizhen.errors import CallerError, Problem
from huizhen.translation import translate

__all__ = ["add_to"]


def add_to(data: typer.Typer) -> None:
    """Puts the commands under `huizhen data`."""
    data.command("deidentify")(deidentify)
    data.command("key")(new_key)


def new_key(context: typer.Context, path: Annotated[Path, typer.Argument(help="A new file for the key.")]) -> None:
    """Make the key from which this site's pseudonyms, shifted dates and UIDs come."""
    create_secret(path)
    typer.echo(say("key made", context.obj, path=path))


def deidentify(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder of reports (.txt) or DICOM files.")],
    rules: Annotated[Path, typer.Option(help="The rules (TOML): what happens to each column, to text, to DICOM.")],
    key: Annotated[Path, typer.Option(help="This site's key, as huizhen data key makes it.")],
    out: Annotated[Path | None, typer.Option(help="Where to write: a new CSV or Parquet file, or a new folder.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Write nothing; only count what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """De-identify a table, reports or images by this site's rules; what is told of it are counts."""
    if preview == (out is not None):
        found = "both --out and --preview" if preview else "neither --out nor --preview"
        raise CallerError("It is not clear what to do.", [Problem("--out", found, "one of --out and --preview")])
    work = deidentify_folder if source.is_dir() else deidentify_table
    done = work(source, out, read_rules(rules), load_secret(key))
    if as_json:
        typer.echo(json.dumps(_facts(done), ensure_ascii=False, indent=2))
    else:
        _show(done, context.obj, out)


def _facts(done: Done) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "read": done.units,
        "written": done.kept,
        "counts": [{"where": where, "what": what, "count": count} for (where, what), count in sorted(done.counts.items())],
        "set aside": dict(sorted(done.notes.items())),
    }
    if done.reached is not None:
        after = done.reached.after
        facts["anonymity"] = {
            "k": after.k,
            "distinct": after.distinct,
            "loss": done.reached.loss,
            "steps": dict(done.reached.steps),
        }
    return facts


def _show(done: Done, spoken: Language, out: Path | None) -> None:
    console = Terminal(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading, right in (("where", False), ("what", False), ("count", True)):
        table.add_column(say(f"deidentified {heading}", spoken), justify="right" if right else "left")
    for (where, what), count in sorted(done.counts.items()):
        table.add_row(where, translate(what, spoken), str(count))
    console.print(table)
    for reason, count in sorted(done.notes.items()):
        console.print(say("set aside", spoken, count=count, reason=translate(reason, spoken)), markup=False)
    if (reached := done.reached) is not None:
        before, after, loss = reached.before, reached.after, f"{reached.loss:.3f}"
        values = {
            "before": before.k,
            "after": after.k,
            "loss": loss,
            "rows": int((~reached.kept).sum()),
            "distinct": after.distinct,
        }
        console.print(say("anonymous", spoken, **values), markup=False)
    told = say("nothing written", spoken) if out is None else say("deidentified", spoken, path=out)
    console.print(say("read and written", spoken, read=done.units, kept=done.kept), told, markup=False)
