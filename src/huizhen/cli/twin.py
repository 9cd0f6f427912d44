"""`huizhen twin`: a mirror to be edited, what-ifs, the calibration of this machine, and how wrong forecasts have been."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from huizhen.cli.forecasting import Data, Deadline, Draws, Folder, InProcess, MirrorFile, Policy, Seed, rehearsed
from huizhen.cli.foreseen import duration, per_cent
from huizhen.cli.terminal import Terminal
from huizhen.cli.words import Language, colon
from huizhen.clock import WallClock
from huizhen.embedded.foresight import cores, seconds_of
from huizhen.embedded.whatif import Change, changed, protected, without
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name
from huizhen.translation import translate
from huizhen.twin.forecast.foreseeing import Asked
from huizhen.twin.forecast.foreseen import Foreseen
from huizhen.twin.forecast.journal import kept_in
from huizhen.twin.forecast.oneprocess import this_machine
from huizhen.twin.forecast.usual import usual_mirror
from huizhen.twin.shadow.cards import card, repeat_spread
from huizhen.twin.shadow.learnt import Compared
from huizhen.twin.warehouse.mirrorfile import NAME, read_mirror, written_file
from huizhen.units import show_bytes

__all__ = ["add_to", "calibrate", "lab", "mirror", "report", "scenario"]


def mirror(
    context: typer.Context,
    sites: Annotated[list[str], typer.Argument(metavar="SITE...", help="The sites' names.")],
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path(NAME),
) -> None:
    """Write a mirrored federation to start from, with usual lines and machines. A file that is there is not overwritten."""
    if bad := [name for name in sites if not is_name(name)]:
        raise CallerError("The mirror cannot be written.", [Problem("SITE", repr(name), NAME_RULE) for name in bad])
    made = usual_mirror(dict.fromkeys(sites, 1000.0), this_machine(cores()), WallClock().now())
    _new_file(out, written_file(made), "The mirror cannot be written.")
    Terminal().print(
        f"{translate('Edit it, then forecast on it with --mirror', context.obj)}{colon(context.obj)}{out}", markup=False
    )


def scenario(
    context: typer.Context,
    study_file: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).")],
    data: Data = [],  # noqa: B006  (typer reads the default and never edits it)
    cards: Folder = None,
    mirror: MirrorFile = None,
    in_process: InProcess = False,
    deadline: Deadline = "",
    draws: Draws = 200,
    seed: Seed = 0,
    policy: Policy = [],  # noqa: B006
    put: Annotated[
        list[str], typer.Option("--set", metavar="PATH=VALUE", help="Another value, such as link.north.rate='20 Mbit/s'.")
    ] = [],  # noqa: B006
    absent: Annotated[list[str], typer.Option("--without", metavar="SITE", help="A site that takes no part.")] = [],  # noqa: B006
    protect: Annotated[str, typer.Option(help="Another protection of the sums: plain, masked or paillier.")] = "",
) -> None:
    """What if: every change by itself beside the forecast as things are, and all of them together."""
    changes, asked = _changes(put), Asked(draws, seed, seconds_of(deadline))
    base = rehearsed(study_file, data, cards, policy, in_process=in_process, seed=seed)
    there = base.mirror if mirror is None else read_mirror(mirror)
    rows = [("as things are", base.on(there, asked=asked))]
    for change in changes:
        rows.append((f"{change.path} = {change.value}", base.on(changed(there, [change]), asked=asked)))
    other = base
    if absent or protect:
        study = Study.read(study_file)
        if absent:
            without(there, absent)
            alone = base.of(study, leaving_out=absent)
            rows.append((f"sites left out: {', '.join(absent)}", alone.on(there, asked=asked)))
        if protect:
            rows.append((f"protect {protect}", base.of(protected(study, protect)).on(there, asked=asked)))
        other = base.of(protected(study, protect) if protect else study, leaving_out=absent)
    if len(rows) > 2:
        rows.append(("all of it", other.on(changed(there, changes), asked=asked)))
    Terminal().print(_side_by_side(rows, context.obj))


def calibrate(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Where to write the pack.")] = Path("pack.json"),
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long it may take.")] = 60.0,
    name: Annotated[str, typer.Option(help="The device's name, as in the mirror.")] = "this-machine",
) -> None:
    """Measure this machine with made-up work: no row is read, and nothing is shown to anyone."""
    from huizhen.twin.compute.calibration import calibrate as measure
    from huizhen.twin.compute.pack import to_json

    _must_be_free(out)
    pack = measure(seconds, name=name)
    _new_file(out, to_json(pack), "The pack cannot be written.")
    Terminal().print(f"{translate('The calibration is in', context.obj)}{colon(context.obj)}{out}", markup=False)


def report(
    context: typer.Context,
    shadow: Annotated[Path, typer.Argument(metavar="SHADOW", help="The file in which runs keep what forecasts were worth.")] = Path(
        "huizhen-out/shadow.jsonl"
    ),
) -> None:
    """Tell how wrong forecasts have been, part by part, beside the usual formula and beside how much repetitions differ."""
    kept = kept_in(shadow)
    if not kept:
        problem = Problem(str(shadow), "no comparisons", "a file that runs wrote", "Run a study: huizhen run STUDY ... --forecast")
        raise CallerError("No run has been compared with a forecast yet.", [problem])
    Terminal().print(_cards(kept, context.obj))


def lab(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder for what the lab's programs keep.")],
    plan: Annotated[Path | None, typer.Option(help="A plan of the lab (TOML); by default the lab's own.")] = None,
) -> None:
    """Run real programs between shaped lines on this machine, and judge every forecast by what came. It takes long."""
    from huizhen.twin.lab.plan import read_plan
    from huizhen.twin.lab.running import run_lab, shown

    try:
        content = (files("huizhen.twin.lab") / "plan.toml").read_bytes() if plan is None else plan.read_bytes()
    except OSError as error:
        problem = Problem(str(plan), error.strerror or type(error).__name__, "a plan of the lab (TOML)")
        raise CallerError("The plan cannot be read.", [problem]) from None
    aside = Terminal(stderr=True)
    done = run_lab(read_plan(content), folder, lambda said: aside.print(translate(said, context.obj), markup=False))
    typer.echo(shown(done))


def add_to(group: typer.Typer) -> None:
    """The commands, below `huizhen twin`."""
    for command in (mirror, scenario, calibrate, report, lab):
        group.command(command.__name__)(command)


def _changes(put: Sequence[str]) -> list[Change]:
    problems, found = [], []
    for one in put:
        path, equals, value = one.partition("=")
        if not equals or not value.strip():
            problems.append(Problem(f"--set {one}", "no PATH=VALUE", "for example --set 'link.north.rate=20 Mbit/s'"))
        found.append(Change(path.strip(), value.strip()))
    if problems:
        raise CallerError("This scenario cannot be played.", problems)
    return found


def _side_by_side(rows: Sequence[tuple[str, Foreseen]], spoken: Language) -> Table:
    deadline = any(seen.deadline_s for _, seen in rows)
    heads = ["what if", "time", "90 %", "bytes", *(["in time"] if deadline else []), "answer"]
    table = Table(*(translate(head, spoken) for head in heads), box=box.SIMPLE_HEAD, pad_edge=False)
    for name, seen in rows:
        ends = f"{duration(seen.total.low)} - {duration(seen.total.high)}"
        chance = [per_cent(seen.in_time)] if deadline else []
        cells = [duration(seen.total.value), ends, show_bytes(seen.moved.value), *chance, per_cent(seen.ends)]
        table.add_row(Text(translate(name, spoken)), *cells)
    return table


def _cards(kept: Sequence[Compared], spoken: Language) -> Table:
    heads = ("part", "comparisons", "error", "bias", "covered by 90 %", "usual formula", "repetitions differ by")
    table = Table(*(translate(head, spoken) for head in heads), box=box.SIMPLE_HEAD, pad_edge=False)
    for part in dict.fromkeys(one.residual.part for one in kept):
        mine = [one for one in kept if one.residual.part == part]
        usual = [one.naive for one in mine] if all(one.naive for one in mine) else []
        found = card(part, [one.residual for one in mine], naive=usual, spread=_spread(mine))
        shares = (found.mape, found.bias, found.coverage, found.naive, found.spread)
        table.add_row(
            translate(part, spoken), str(found.count), *("" if math.isnan(one) else f"{100 * one:.0f} %" for one in shares)
        )
    return table


def _spread(some: Sequence[Compared]) -> float:
    """How much the same thing of the same study differs from run to run."""
    repeated: dict[str, list[float]] = {}
    for one in some:
        if one.residual.seen > 0:
            repeated.setdefault(f"{one.study}/{one.residual.subject}", []).append(one.residual.seen)
    return repeat_spread(repeated)


def _must_be_free(path: Path) -> None:
    if path.exists():
        raise CallerError("Nothing is written.", [Problem(str(path), "a file that is there already", "a name that is free")])


def _new_file(path: Path, text: str, message: str) -> None:
    _must_be_free(path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        problem = Problem(str(path), error.strerror or type(error).__name__, "a new file in a writable folder")
        raise MachineError(message, [problem]) from None
