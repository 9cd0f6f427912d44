"""`huizhen hub init`, `invite`, `pending`, `admit`, `revoke`, `actors`: who takes part; they work while the hub runs, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from huizhen.cli.terminal import Terminal
from huizhen.cli.words import Language, say
from huizhen.clock import WallClock
from huizhen.errors import CallerError, FederationError, Problem
from huizhen.federation.wire.accounts import push_account
from huizhen.federation.wire.subjects import ROLES
from huizhen.hub.actorsdb import Actor, ActorStore
from huizhen.hub.folder import create_folder, open_folder
from huizhen.hub.joining import INVITATION_LASTS, Joining
from huizhen.hub.plan import read_plan
from huizhen.hub.serverfiles import write_servers
from huizhen.hub.settings import HubSettings
from huizhen.translation import translate

__all__ = ["add_to"]

HubDir = Annotated[Path, typer.Option("--dir", help="The hub's folder.")]
ActorName = Annotated[str, typer.Argument(help="The name of a site, a researcher or a compute provider.")]
HERE = Path("huizhen-hub")
WIDE = 250  # columns: a fingerprint is compared letter by letter, and must not be cut to fit a narrow terminal


def init(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The hub's folder; nothing is there yet.")] = HERE,
    name: Annotated[str, typer.Option(help="The hub's name.")] = "hub",
    address: Annotated[
        list[str] | None, typer.Option(help="Where sites dial, e.g. tls://hub.example.org:4222. May be repeated.")
    ] = None,
    listen: Annotated[str, typer.Option(help="The network interface to listen on; 0.0.0.0 for all of them.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 4222,
    program: Annotated[str, typer.Option(help="The NATS server to run; '' where the addresses are a cluster's.")] = "nats-server",
) -> None:
    """Make a hub: its keys, its certificates and its settings, in a new folder."""
    addresses = tuple(address) if address else (f"tls://127.0.0.1:{port}",)
    settings = HubSettings(name=name, addresses=addresses, listen=listen, port=port, program=program)
    create_folder(path, settings, WallClock().now())
    typer.echo(say("hub made", context.obj, path=path))
    if not address:
        typer.echo(say("hub alone", context.obj, path=path / "hub.toml"))


def invite(
    context: typer.Context,
    name: ActorName,
    role: Annotated[str, typer.Option(help="What it may be: site, researcher or provider.")] = "site",
    path: HubDir = HERE,
    address: Annotated[
        list[str] | None, typer.Option(help="Where this actor dials, e.g. a leaf node; else the hub's addresses. May be repeated.")
    ] = None,
) -> None:
    """Print a one-time code with which one actor may ask to join, within 72 hours."""
    known = next((known for known in ROLES if known == role), None)
    if known is None:
        raise CallerError("There is no such role.", [Problem("--role", repr(role), f"one of: {', '.join(ROLES)}")])
    with _joining(path) as joining:
        code = joining.invite(name, known, addresses=address or ())
    hours = int(INVITATION_LASTS.total_seconds() // 3600)
    typer.echo(say("invited", context.obj, name=name, hours=hours), err=True)
    typer.echo(code)


def pending(context: typer.Context, path: HubDir = HERE) -> None:
    """List who asked to join and waits, with the fingerprint to compare."""
    with _joining(path) as joining:
        _show(joining, joining.pending(), context.obj)


def actors(context: typer.Context, path: HubDir = HERE) -> None:
    """List all who ever asked to join, and what became of them."""
    with _joining(path) as joining:
        _show(joining, joining.store.actors(), context.obj)


def admit(context: typer.Context, name: ActorName, path: HubDir = HERE) -> None:
    """Let in an actor that waits, once the fingerprint it sees is the one shown here."""
    with _joining(path) as joining:
        actor = joining.admit(name)
        typer.echo(say("admitted", context.obj, name=actor.name, fingerprint=joining.fingerprint(actor), until=_day(actor.expires)))


def revoke(context: typer.Context, name: ActorName, path: HubDir = HERE) -> None:
    """Shut an actor out for ever, at once, in mid-study too."""
    with _joining(path) as joining:
        actor = joining.revoke(name)
        typer.echo(say("revoked", context.obj, name=actor.name))
        _told_servers(joining, context.obj)


@contextmanager
def _joining(path: Path) -> Iterator[Joining]:
    folder = open_folder(path)
    with ActorStore(folder.actors) as store:
        yield Joining(folder, store, WallClock())


def servers(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(help="The plan of a cluster and its leaf nodes (TOML).")],
    out: Annotated[Path, typer.Option(help="Folder for the servers' files, one folder for each.")] = Path("huizhen-servers"),
    path: HubDir = HERE,
) -> None:
    """Write what the NATS servers of a cluster and its leaf nodes need: configuration, certificates, credentials."""
    read = read_plan(plan)
    with _joining(path) as joining:
        keys = {name: _keys_of(joining, name, leaf.sites) for name, leaf in read.leaves.items()}
        write_servers(joining.folder, read, out, joining.account_token, keys, joining.clock.now())
        for name in (*read.servers, *read.leaves):
            typer.echo(say("server written", context.obj, name=name, path=out / name))
        if set(read.addresses) != set(joining.folder.settings.addresses) or joining.folder.settings.program:
            said = ", ".join(f'"{address}"' for address in read.addresses)
            typer.echo(say("hub elsewhere", context.obj, path=path / "hub.toml", addresses=said))


def _keys_of(joining: Joining, leaf: str, sites: Sequence[str]) -> tuple[str, ...]:
    admitted = {actor.name: actor.nkey for actor in joining.store.actors() if actor.state == "admitted"}
    if unknown := [site for site in sites if site not in admitted]:
        remedy = "Admit them first, or leave the list out: then every actor may use this leaf node."
        problem = Problem(f"leaf.{leaf}.sites", ", ".join(unknown), "names of actors that are admitted", remedy)
        raise CallerError("The plan of servers cannot be used.", [problem])
    return tuple(admitted[site] for site in sites)


def _told_servers(joining: Joining, spoken: Language) -> None:
    """Tell the running server now; where none runs, the next one is told as it starts."""
    try:
        push_account(joining.folder.keeper_access(joining.clock.now()), joining.account_token())
    except FederationError:
        typer.echo(say("no server told", spoken), err=True)


def _show(joining: Joining, found: Sequence[Actor], spoken: Language) -> None:
    heads = ("name", "role", "state", "fingerprint", "asked on", "valid until")
    table = Table(*(translate(head, spoken) for head in heads), box=None, pad_edge=False)
    for actor in found:
        until = _day(actor.expires) if actor.state == "admitted" else ""
        words = (translate(actor.role, spoken), translate(actor.state, spoken))
        table.add_row(actor.name, *words, joining.fingerprint(actor), _day(actor.asked), until)
    Terminal(soft_wrap=True, width=WIDE).print(table)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "minutes")


def add_to(group: typer.Typer) -> None:
    """Adds these commands to a group."""
    for name, command in COMMANDS.items():
        group.command(name)(command)


COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "invite": invite,
    "pending": pending,
    "actors": actors,
    "admit": admit,
    "revoke": revoke,
    "servers": servers,
}
