"""`huizhen data map`, `huizhen data check`: a registry becomes rows, and rows are checked, at the site."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from huizhen.cli.site_inbox import CONFIGURATION
from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import Language, say
from huizhen.data.mapping.report import MappingReport
from huizhen.data.quality.report import QualityReport
from huizhen.site.preparing import check_rows, map_rows, write_review, write_shared
from huizhen.site.settings import read_settings
from huizhen.translation import translate

__all__ = ["add_to", "check", "map_records"]

SITE = Path("huizhen-site")
SHOWN = 10  # variables of a pattern
Dir = Annotated[Path, typer.Option("--dir", help="The site's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def map_records(
    context: typer.Context,
    mapping: Annotated[Path, typer.Argument(metavar="MAP", help="A mapping file (TOML).")],
    dir: Dir = SITE,
    out: Annotated[Path | None, typer.Option(help="The Parquet file; by default rows/NAME.parquet in the site's folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make rows of the registry by a mapping, and say what became of each variable."""
    place = out or dir / "rows" / f"{mapping.stem}.parquet"
    report = map_rows(mapping, dir, place)
    if as_json:
        typer.echo(json.dumps({**asdict(report), "written": str(place)}, ensure_ascii=False))
        return
    _show_mapping(report, context.obj)
    typer.echo(say("rows written", context.obj, rows=f"{report.rows:,}", path=place))


def check(
    context: typer.Context,
    rules: Annotated[Path, typer.Argument(metavar="RULES", help="A file of rules (TOML).")],
    dir: Dir = SITE,
    source: Annotated[str, typer.Option(help="A source of the site; by default the one that studies are answered from.")] = "",
    table: Annotated[Path | None, typer.Option(help="A table or a mapping file instead of a source.")] = None,
    review: Annotated[Path | None, typer.Option(help="Write pairs of rows that are alike to this CSV file.")] = None,
    share: Annotated[Path | None, typer.Option(help="Write what the site's policy lets leave to this JSON file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check rows by declared rules; the counts are exact, and for the site's own eyes."""
    settings = read_settings(dir / CONFIGURATION) if table is None or share is not None else None
    if table is None and settings is not None:
        table = settings.path_of(source or settings.source)
    if table is None:  # settings were read
        raise typer.Exit(2)
    report = check_rows(rules, table)
    if review is not None:
        write_review(report.duplicates.pairs, review)
    if share is not None and settings is not None:
        write_shared(report, settings.policy, share)
    if as_json:
        typer.echo(json.dumps(asdict(report), ensure_ascii=False))
        return
    _show_quality(report, context.obj)


def add_to(app: typer.Typer) -> None:
    """Makes them commands."""
    app.command("map")(map_records)
    app.command("check")(check)


def _show_mapping(report: MappingReport, spoken: Language) -> None:
    table = _table(("variable", "events", "used", "filled"), spoken)
    for each in report.variables:
        table.add_row(harmless(each.name), *(f"{count:,}" for count in (each.events, each.used, each.rows)))
    Terminal().print(table)
    for each in report.variables:
        _show_reasons("unsaid", each.name, each.left_out, spoken)
        _show_reasons("doubtful", each.name, each.notes, spoken)


def _show_reasons(key: str, name: str, reasons: Mapping[str, int], spoken: Language) -> None:
    for reason, count in reasons.items():
        typer.echo("  " + say(key, spoken, name=harmless(name), count=f"{count:,}", reason=translate(reason, spoken)))


def _show_quality(report: QualityReport, spoken: Language) -> None:
    table = _table(("rule", "judged", "broken", "unknown", "verdict"), spoken)
    for each in report.outcomes:
        verdict = say("passed" if each.passed else "not passed", spoken)
        table.add_row(harmless(each.name), *(f"{count:,}" for count in (each.judged, each.broken, each.unknown)), verdict)
    Terminal().print(table)
    typer.echo(say("complete rows", spoken, complete=f"{report.complete:,}", rows=f"{report.rows:,}"))
    for name, count in sorted(report.missing.items(), key=lambda pair: -pair[1]):
        if count:
            typer.echo("  " + say("missing in", spoken, name=harmless(name), count=f"{count:,}"))
    for names, count in report.patterns:
        if len(names) > 1:
            typer.echo("  " + say("missing together", spoken, names=harmless(", ".join(names[:SHOWN])), count=f"{count:,}"))
    found = report.duplicates
    typer.echo(say("duplicates", spoken, exact=f"{found.exact:,}", pairs=f"{len(found.pairs):,}", left=f"{found.left_out:,}"))


def _table(heads: tuple[str, ...], spoken: Language) -> Table:
    return Table(*(say(head, spoken) for head in heads), box=None)
