"""Which connector reads a source, by what the configuration says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huizhen.data.connectors.dicom import images
from huizhen.data.connectors.fhirfiles import fhir_files
from huizhen.data.connectors.fhirserver import fhir_server
from huizhen.data.connectors.omop import omop
from huizhen.data.connectors.options import (
    DicomOptions,
    FhirOptions,
    OmopOptions,
    Options,
    ReportsOptions,
    SqlOptions,
    TableOptions,
)
from huizhen.data.connectors.reports import reports
from huizhen.data.connectors.sql import sql_rows
from huizhen.data.connectors.tables import table_files
from huizhen.data.events.schema import Changes

__all__ = ["changes"]


def changes(options: Options, folder: Path, cursor: Any) -> Changes:
    """What a source delivers to its next sync.

    Args:
        options: what the configuration says of it.
        folder: of the configuration: relative paths start there.
        cursor: of the last sync with these options, else None.

    Raises:
        SiteError: it is not there.
    """
    match options:
        case TableOptions():
            return table_files(folder / options.path, options, cursor)
        case SqlOptions():
            return sql_rows(options, folder, cursor)
        case FhirOptions():
            return (
                fhir_server(options, folder, cursor) if options.url else fhir_files(folder / options.path, cursor, options.digest)
            )
        case OmopOptions():
            return omop(options, folder / options.path, folder, cursor)
        case DicomOptions():
            return images(folder / options.path, options, cursor)
        case ReportsOptions():
            return reports(folder / options.path, options, cursor)
    raise TypeError(type(options).__name__)
