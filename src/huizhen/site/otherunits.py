"""Numbers that a criterion leaves out because of their unit: exact, so for the site's own eyes only; nothing of it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huizhen.data.criteria.compiled import in_other_units
from huizhen.data.criteria.declarations import Criteria
from huizhen.data.events.segments import guarded
from huizhen.data.events.store import Registry
from huizhen.errors import Problem, SiteError
from huizhen.site.settings import REGISTRY

__all__ = ["LeftOut", "left_out"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Numbers in one unit that a criterion does not name.

    Attributes:
        criterion: its name.
        unit: as it stands in the registry; "" for none.
    """

    criterion: str
    unit: str
    events: int


def left_out(root: Path, criteria: Criteria) -> tuple[LeftOut, ...]:
    """What the criteria leave out of a site's registry, by criterion and unit, the most frequent first.

    Raises:
        SiteError: there is no registry. MachineError: it is damaged.
    """
    registry, statement = Registry(root / REGISTRY), in_other_units(criteria)
    if not registry.folder.is_dir():
        problem = Problem(str(registry.folder), "no registry", "the folder of a registry", "`huizhen data sync` makes one")
        raise SiteError("The registry cannot be looked into.", [problem])
    if statement is None:
        return ()

    def asked() -> list[tuple[Any, ...]]:
        with registry.connect() as connection:
            found: list[tuple[Any, ...]] = connection.execute(statement.sql, statement.bound).fetchall()
            return found

    names = [each.rule.name for each in criteria.criteria]
    return tuple(LeftOut(names[number - 1], unit or "", events) for number, unit, events in guarded(registry.folder, asked))
