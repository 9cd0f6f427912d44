"""`huizhen describe`: the card of a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from huizhen.cli.policies import read_policy
from huizhen.cli.terminal import Terminal, harmless
from huizhen.cli.words import say

__all__ = ["describe"]


def describe(
    context: typer.Context,
    data: Annotated[
        Path, typer.Argument(help="A CSV or Parquet file, an .npz archive of images, or a folder of tables or images.")
    ],
    policy: Annotated[Path | None, typer.Option(help="A disclosure policy (TOML); by default the strict default policy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Describe a table without showing a row: variables, kinds, units, missing values, and ranges as the policy permits."""
    from huizhen.embedded.cards import card_of, card_table

    card = card_of(data, read_policy(policy))
    if as_json:
        typer.echo(harmless(json.dumps(card.to_dict(), ensure_ascii=False, indent=2)))
    else:
        Terminal().print(card_table(card, say("card of", context.obj, name=card.name), context.obj))
