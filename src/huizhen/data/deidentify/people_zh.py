"""How much Chinese characters look like a name: surnames by rarity, characters of given names and of foreign ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["FLOOR", "cost_of_name", "foreign_cost", "surname_cost", "tables"]

FLOOR = 12.0  # a character that is in no table: any character may be a surname or stand in a given name
STEP = 2
FAMILIAR = "老小阿"  # 老王, 小李


@cache
def tables() -> dict[str, dict[str, float]]:
    """Costs by table: `surname`, `first` and `last` characters of given names, `foreign`."""
    found: dict[str, dict[str, float]] = {"surname": {}, "first": {}, "last": {}, "foreign": {}}
    for line in (files("huizhen.data.deidentify") / "people_zh.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            table, cost, *keys = line.split()
            found[table].update(dict.fromkeys(keys, int(cost) / STEP))
    return found


def surname_cost(name: str, withheld: frozenset[str] = frozenset()) -> tuple[float, int]:
    """The cost of the surname with which a name begins and its length; `FLOOR` and 1 for one that is in no table."""
    surnames = tables()["surname"]
    if len(name) > 2 and name[:2] in surnames and name[:2] not in withheld:
        return surnames[name[:2]], 2
    return _cost(surnames, name[0], withheld), 1


def cost_of_name(name: str, withheld: frozenset[str] = frozenset()) -> float:
    """-log of the chance of a name, by its characters alone."""
    surname, size = surname_cost(name, withheld)
    given = name[size:]
    return (
        surname
        + (_cost(tables()["first"], given[0]) if len(given) > 1 else 0.0)
        + (_cost(tables()["last"], given[-1]) if given else 0.0)
    )


def foreign_cost(name: str) -> float:
    """-log of the chance of a name that is written by its sound."""
    table, cost = tables()["foreign"], 0.0
    for character in name:
        cost += table.get(character, FLOOR)
    return cost


def _cost(table: Mapping[str, float], key: str, withheld: frozenset[str] = frozenset()) -> float:
    return table.get(key, FLOOR) if key not in withheld else FLOOR
