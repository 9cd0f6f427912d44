"""The commands, put together: all of them, or the few that a command line needs, for most of them take long to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import typer

__all__ = ["GROUPS", "PARTS", "Part", "add_commands"]

GROUPS = {
    "study": "Write study files, and ask hospitals by them.",
    "ledger": "Verify and read ledgers.",
    "hub": "Set up and run a hub, and decide who takes part.",
    "site": "Take part as a hospital: configuration, suggestions, decisions.",
    "data": "Work on a site's own records.",
    "twin": "The digital twin: mirrors, what-ifs, calibration, and how wrong forecasts have been.",
    "cohort": "Cohorts: criteria over the registry's events, counted.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Commands that are loaded together.

    Attributes:
        group: the word before them; "" for none.
        names: the commands.
        load: adds them to the group.
    """

    group: str
    names: tuple[str, ...]
    load: Callable[[typer.Typer], None]


def add_commands(app: typer.Typer, words: Sequence[str] = ()) -> None:
    """Adds the commands that a command line's words ask for; all of them, where they ask for none that is known."""
    wanted = [part for part in PARTS if _is_asked(part, tuple(words))] or list(PARTS)
    groups: dict[str, typer.Typer] = {"": app}
    for part in wanted:
        if part.group not in groups:
            groups[part.group] = typer.Typer(help=GROUPS[part.group], no_args_is_help=True, rich_markup_mode=None)
            app.add_typer(groups[part.group], name=part.group)
        part.load(groups[part.group])


def _is_asked(part: Part, words: tuple[str, ...]) -> bool:
    first, second = (*words, "", "")[:2]
    return first in part.names if not part.group else first == part.group and second in part.names


def _runs(group: typer.Typer) -> None:
    from huizhen.cli import running

    group.command("run")(running.run_study)
    group.command("demo")(running.demo)


def _forecasting(group: typer.Typer) -> None:
    from huizhen.cli import forecasting

    group.command("forecast")(forecasting.forecast)


def _twin(group: typer.Typer) -> None:
    from huizhen.cli import twin

    twin.add_to(group)


def _describing(group: typer.Typer) -> None:
    from huizhen.cli import describing

    group.command("describe")(describing.describe)


def _methods(group: typer.Typer) -> None:
    from huizhen.cli import studies

    group.command("methods")(studies.methods)


def _studies(group: typer.Typer) -> None:
    from huizhen.cli import studies

    studies.add_to(group)


def _asking(group: typer.Typer) -> None:
    from huizhen.cli import asking

    asking.add_to(group)


def _ledgers(group: typer.Typer) -> None:
    from huizhen.cli import ledgers

    ledgers.add_to(group)


def _hubs(group: typer.Typer) -> None:
    from huizhen.cli import hubs

    hubs.add_to(group)


def _hub_studies(group: typer.Typer) -> None:
    from huizhen.cli import hub_studies

    hub_studies.add_to(group)


def _hub_run(group: typer.Typer) -> None:
    from huizhen.cli import programs

    group.command("run")(programs.run_hub)


def _join(group: typer.Typer) -> None:
    from huizhen.cli import sites

    group.command("join")(sites.join)


def _site_inbox(group: typer.Typer) -> None:
    from huizhen.cli import site_inbox

    site_inbox.add_to(group)


def _deidentifying(group: typer.Typer) -> None:
    from huizhen.cli import deidentifying

    deidentifying.add_to(group)


def _records(group: typer.Typer) -> None:
    from huizhen.cli import records

    records.add_to(group)


def _standins(group: typer.Typer) -> None:
    from huizhen.cli import standins

    standins.add_to(group)


def _site_cards(group: typer.Typer) -> None:
    from huizhen.cli import cards

    cards.add_to_site(group)


def _found_cards(group: typer.Typer) -> None:
    from huizhen.cli import cards

    cards.add_to_data(group)


def _cohorts(group: typer.Typer) -> None:
    from huizhen.cli import cohorts

    cohorts.add_to(group)


def _rows(group: typer.Typer) -> None:
    from huizhen.cli import rows

    rows.add_to(group)


def _site_run(group: typer.Typer) -> None:
    from huizhen.cli import programs

    group.command("run")(programs.run_site)


PARTS = (
    Part("study", ("new", "check"), _studies),
    Part("study", ("join", "submit", "list", "status", "watch", "cancel", "result"), _asking),
    Part("ledger", ("verify", "show"), _ledgers),
    Part("hub", ("init", "invite", "pending", "actors", "admit", "revoke", "servers"), _hubs),
    Part("hub", ("studies", "show", "queue"), _hub_studies),
    Part("hub", ("run",), _hub_run),
    Part("site", ("join",), _join),
    Part("site", ("new", "check", "inbox", "show", "accept", "decline", "withdraw"), _site_inbox),
    Part("site", ("publish", "unpublish"), _site_cards),
    Part("site", ("run",), _site_run),
    Part("data", ("deidentify", "key"), _deidentifying),
    Part("data", ("sources", "sync"), _records),
    Part("data", ("card", "synthesise"), _standins),
    Part("data", ("map", "check"), _rows),
    Part("data", ("search", "show"), _found_cards),
    Part("cohort", ("check", "count"), _cohorts),
    Part("", ("run", "demo"), _runs),
    Part("twin", ("mirror", "scenario", "calibrate", "report", "lab"), _twin),
    Part("", ("forecast",), _forecasting),
    Part("", ("describe",), _describing),
    Part("", ("methods",), _methods),
)
