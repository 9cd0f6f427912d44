"""`huizhen forecast`: how long a study will take, what it moves and what it costs, before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from huizhen.cli.foreseen import shown
from huizhen.cli.policies import read_policies
from huizhen.cli.running import sites_from
from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import Language, colon, say
from huizhen.embedded.foresight import Foresight, cards_in, cards_of, foresight, seconds_of
from huizhen.errors import CallerError, Problem
from huizhen.federation.study import Study
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.twin.forecast.foreseeing import Asked
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.mirror import Mirror
from huizhen.twin.warehouse.mirrorfile import read_mirror

__all__ = ["Data", "Deadline", "Draws", "Folder", "InProcess", "MirrorFile", "Policy", "Seed", "forecast", "rehearsed"]

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).")]
Data = Annotated[
    list[str],
    typer.Option("--data", metavar="NAME=PATH", help="A site and its table, of which a card is made; no row is used otherwise."),
]
Folder = Annotated[Path | None, typer.Option("--cards", help="A folder of the sites' cards, SITE.json, instead of tables.")]
MirrorFile = Annotated[
    Path | None, typer.Option("--mirror", help="The mirrored federation (TOML); without it usual lines and machines are assumed.")
]
InProcess = Annotated[
    bool, typer.Option("--in-process", help="Forecast `huizhen run`, which has all sites in one process on this machine.")
]
Deadline = Annotated[str, typer.Option(help="A duration such as '2 h': how likely is there an answer by then?")]
Draws = Annotated[int, typer.Option(min=1, max=100_000, help="How many times the study is played.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn.")]
Policy = Annotated[
    list[str], typer.Option("--policy", metavar="[NAME=]FILE", help="A disclosure policy, for all sites or for one.")
]


def forecast(
    context: typer.Context,
    study_file: StudyFile,
    data: Data = [],  # noqa: B006  (typer reads the default and never edits it)
    cards: Folder = None,
    mirror: MirrorFile = None,
    in_process: InProcess = False,
    deadline: Deadline = "",
    draws: Draws = 200,
    seed: Seed = 0,
    policy: Policy = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--page", help="Also write the forecast as a page (HTML).")] = None,
) -> None:
    """Tell how long a study will take before it runs: a rehearsal on stand-ins from cards, played many times."""
    asked, there = Asked(draws, seed, seconds_of(deadline)), _mirror(mirror, in_process=in_process)
    seen = rehearsed(study_file, data, cards, policy, in_process=in_process, seed=seed).on(there, asked=asked)
    if out is not None:
        _write(seen, out)
    if as_json:
        typer.echo(harmless(json.dumps({**seen.content, "digest": seen.digest}, ensure_ascii=False, indent=2)))
        return
    _tell(seen, context.obj, out)


def rehearsed(
    study_file: Path, data: list[str], cards: Path | None, policy: list[str], *, in_process: bool, seed: int
) -> Foresight:
    """The study rehearsed on the cards that a command line names.

    Raises:
        CallerError: tables and cards at once, or neither; and all that is wrong with them.
    """
    study = Study.read(study_file)
    if bool(data) == (cards is not None):
        found, expected = ("both", "one of them") if data else ("neither", "--data NAME=PATH for every site, or --cards FOLDER")
        raise CallerError("It is not clear which sites are meant.", [Problem("--data, --cards", found, expected)])
    common, single = read_policies(policy)
    sites = sites_from(data, "--data")
    names = list(sites) if cards is None else []
    each: dict[str, DisclosurePolicy] = {site: single.get(site, common) for site in names}
    told = cards_in(cards) if cards is not None else cards_of(study, sites, each)
    return foresight(
        study, told, policies=each or {site: single.get(site, common) for site in told}, in_process=in_process, seed=seed
    )


def _mirror(path: Path | None, *, in_process: bool) -> Mirror | None:
    if path is None:
        return None
    if in_process:
        problem = Problem("--mirror, --in-process", "both", "one of them", "In one process there are no lines to be declared")
        raise CallerError("It is not clear which federation is meant.", [problem])
    return read_mirror(path)


def _write(seen: Foreseen, path: Path) -> None:
    from huizhen.report import outlookpage

    outlookpage.write(seen, path)


def _tell(seen: Foreseen, spoken: Language, out: Path | None) -> None:
    terminal = Terminal()
    for part in shown(seen, spoken):
        terminal.print(part)
    terminal.print(f"{say('digest', spoken)}{colon(spoken)}{seen.digest}", markup=False, style="dim")
    if out is not None:
        terminal.print(f"{say('report written', spoken)}{colon(spoken)}{out.resolve()}", markup=False, soft_wrap=True)
