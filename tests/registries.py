"""A registry for tests: its events as rows, and resources, pages and files to fill it with."""

from __future__ import annotations

from datetime import UTC, datetime

from huizhen.data.connectors.opening import changes
from huizhen.data.connectors.options import OPTIONS
from huizhen.data.events.store import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def synced(registry: Registry, folder, alias="a", **options):
    """One sync of a source, as a site does it."""
    source = OPTIONS[options["kind"]].model_validate(options)
    return registry.sync(alias, changes(source, folder, registry.cursor(alias, source.digest)), now=NOW)


def rows(registry: Registry, sql: str):
    with registry.connect() as connection:
        return connection.execute(sql).fetchall()


def records(registry: Registry):
    """All events, as patient, kind, code, number, text, record."""
    return rows(registry, "select patient, kind, code, number, text, record from events order by record")


def observation(number, patient="p", **others):
    code = {"coding": [{"system": "http://loinc.org", "code": "2160-0", "display": "Creatinine"}]}
    value = {"value": 1.5, "unit": "mg/dL", "code": "mg/dL"}
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": code,
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2020-02-01T08:00:00+08:00",
        "valueQuantity": value,
        **others,
    }


def bundle(*resources, **others):
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources], **others}
