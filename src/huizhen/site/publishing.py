"""What this site tells others of its registry: a card, as its policy lets it."""

from __future__ import annotations

from pathlib import Path

from huizhen.data.events.segments import guarded
from huizhen.data.events.store import Registry
from huizhen.data.registrycard import CODES_SQL, KINDS_SQL, YEARS_SQL, Facts, RegistryCard, registry_card
from huizhen.site.registering import REGISTRY
from huizhen.site.settings import read_settings

__all__ = ["card_of_registry"]


def card_of_registry(root: Path) -> RegistryCard:
    """The card of the registry in a site's folder.

    Raises:
        SiteError, MachineError: configuration or registry cannot be read.
    """
    settings, registry = read_settings(root / "site.toml"), Registry(root / REGISTRY)
    policy = settings.policy

    def asked() -> Facts:
        with registry.connect() as connection:
            (patients,) = connection.execute("select count(distinct patient) from events").fetchone()
            kinds, years = (connection.execute(sql).fetchall() for sql in (KINDS_SQL, YEARS_SQL))
            bound = {"least": max(policy.min_cell_count, 1)}
            return Facts(patients, kinds, years, connection.execute(CODES_SQL, bound).fetchall())

    facts = guarded(registry.folder, asked)
    limits = {"min_cell_count": policy.min_cell_count, "min_rows": policy.min_rows, "round_to": policy.round_to}
    return registry_card(settings.site.name, facts, **limits)
