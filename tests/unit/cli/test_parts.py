"""The command line loads what it is asked for, and knows all of it."""

import typer

from huizhen.cli.app import commands
from huizhen.cli.parts import PARTS


def names_in(app: typer.Typer, group: str) -> set[str]:
    known = typer.main.get_command(app).commands
    return set(known[group].commands if group else known)


def test_every_part_adds_the_commands_that_it_names():
    for part in PARTS:
        alone = commands([part.group, part.names[0]] if part.group else [part.names[0]])
        assert names_in(alone, part.group) == set(part.names), part


def test_words_that_are_not_known_find_all_commands():
    whole = commands()
    for words in (["studdy"], ["study"], ["study", "chek"], ["--help"]):
        for group in ("", "study", "ledger", "hub", "site"):
            assert names_in(commands(words), group) == names_in(whole, group)
