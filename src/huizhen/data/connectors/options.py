"""What a site's configuration says of a source that is read into its registry: ``[source.ALIAS]`` with a `kind`.

Each kind has its own keys; an unknown one is a mistake. Relative paths are beside the configuration.
"""

from __future__ import annotations

import hashlib
import re
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from huizhen.data.events.schema import KINDS

__all__ = [
    "OPTIONS",
    "DicomOptions",
    "FhirOptions",
    "OmopOptions",
    "Options",
    "ReportsOptions",
    "Roles",
    "SqlOptions",
    "TableOptions",
]

Column = Annotated[str, Field(max_length=200)]
Where = Annotated[str, Field(max_length=4000)]
FHIR_TYPES = (
    *("Patient", "Encounter", "Condition", "Observation", "Procedure", "MedicationRequest", "MedicationAdministration"),
    *("Immunization", "AllergyIntolerance", "Device", "DiagnosticReport", "DocumentReference", "ImagingStudy"),
)
PLACES = ("patient", "time", "record")  # what may stand in the name of a file


class Options(BaseModel):
    """What every source has."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: str
    about: str = Field("", max_length=2000)

    @property
    def digest(self) -> str:
        """Changes where other events would come from the same source."""
        content = self.model_dump_json(exclude={"about", "password_file", "token_file"})
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Zoned(Options):
    """A source whose times say no zone."""

    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("the name of a time zone, such as Asia/Shanghai") from None
        return name


class Roles(Zoned):
    """Which column of a table says what.

    Attributes:
        patient: who.
        time, ends: when.
        record: the number of a row; without it the rows of a file are counted.
        visit: the visit that a row belongs to.
        row: what a row is: ``cells``, a `value` for every other column, or one event of this kind.
        code, display, value, unit: of that event.
        system: the name of the terminology of its codes.
        columns: with ``cells``: these columns only.
    """

    patient: Column = Field(min_length=1)
    time: Column = ""
    ends: Column = ""
    record: Column = ""
    visit: Column = ""
    row: str = "cells"
    columns: list[Column] = []
    code: Column = ""
    display: Column = ""
    value: Column = ""
    unit: Column = ""
    system: Annotated[str, Field(max_length=200)] = "local"

    @field_validator("row")
    @classmethod
    def _is_row(cls, row: str) -> str:
        if row != "cells" and row not in KINDS:
            raise ValueError(f"cells or one of: {', '.join(sorted(KINDS))}")
        return row

    @model_validator(mode="after")
    def _fits(self) -> Roles:
        if self.row == "cells" and (self.code or self.value or self.unit or self.display):
            raise ValueError("code, display, value and unit are for a row that is one event: set row to its kind")
        if self.row != "cells" and self.columns:
            raise ValueError("columns is for a row of cells")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that must be there."""
        roles = (self.patient, self.time, self.ends, self.record, self.visit, self.code, self.display, self.value, self.unit)
        return tuple(dict.fromkeys(name for name in (*roles, *self.columns) if name))


class TableOptions(Roles):
    """``kind = "table"``: CSV, TSV, Excel or Parquet, one file or a folder of files with the same columns."""

    kind: Literal["table"]
    path: Where = Field(min_length=1)
    sheet: str = Field("", max_length=200)


class SqlOptions(Roles):
    """``kind = "sql"``: one table or view of a database.

    Attributes:
        url: as SQLAlchemy writes it, without a password, e.g. ``postgresql+psycopg://reader@host/lab`` or ``sqlite:///lab.db``.
        password_file: a file that holds the password.
        changed: a column that grows whenever a row changes: only rows that have it at least as large as at the last sync are read.
    """

    kind: Literal["sql"]
    url: Where = Field(min_length=1)
    password_file: Where = ""
    table: Column = Field(min_length=1)
    database_schema: Column = ""
    changed: Column = ""

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        return without_password(url)

    @model_validator(mode="after")
    def _numbered(self) -> SqlOptions:
        if not self.record:
            raise ValueError("record must name the column that numbers the rows")
        return self


class FhirOptions(Options):
    """``kind = "fhir"``: files (`path`) or a server (`url`).

    Attributes:
        token_file: a file that holds a bearer token.
        types: resources that a server is asked for.
    """

    kind: Literal["fhir"]
    path: Where = ""
    url: str = Field("", max_length=2000, pattern=r"^(https?://\S+)?$")
    token_file: Where = ""
    types: list[Annotated[str, Field(pattern=r"^[A-Za-z]{1,60}$")]] = list(FHIR_TYPES)

    @model_validator(mode="after")
    def _one_place(self) -> FhirOptions:
        if bool(self.path) == bool(self.url):
            raise ValueError("either path or url")
        return self


class OmopOptions(Zoned):
    """``kind = "omop"``: the tables of the OMOP CDM 5.3 or 5.4 as CSV in a folder or a zip (`path`), or in a database (`url`)."""

    kind: Literal["omop"]
    path: Where = ""
    url: Where = ""
    password_file: Where = ""
    database_schema: Column = ""

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        return without_password(url)

    @model_validator(mode="after")
    def _one_place(self) -> OmopOptions:
        if bool(self.path) == bool(self.url):
            raise ValueError("either path or url")
        return self


class DicomOptions(Options):
    """``kind = "dicom"``: a folder of DICOM or NIfTI files; headers alone are read.

    Attributes:
        patient: ``header``, or the ``folder`` directly below `path` where the headers name nobody. NIfTI headers never do.
    """

    kind: Literal["dicom"]
    path: Where = Field(min_length=1)
    patient: Literal["header", "folder"] = "header"


class ReportsOptions(Zoned):
    """``kind = "reports"``: a folder of text files.

    Attributes:
        name: how a file's name says whose it is and when, e.g. ``{patient}_{time}.txt``.
        title: what kind of report it is.
    """

    kind: Literal["reports"]
    path: Where = Field(min_length=1)
    name: str = Field("{patient}.txt", max_length=200)
    title: str = Field("report", max_length=200)

    @field_validator("name")
    @classmethod
    def _names(cls, name: str) -> str:
        places = re.findall(r"\{(\w*)\}", name)
        if "patient" not in places or len(set(places)) < len(places) or not set(places) <= set(PLACES):
            raise ValueError("a name with patient and, if need be, time and record in braces, each once")
        return name


OPTIONS: Mapping[str, type[Options]] = {
    "table": TableOptions,
    "sql": SqlOptions,
    "fhir": FhirOptions,
    "omop": OmopOptions,
    "dicom": DicomOptions,
    "reports": ReportsOptions,
}


def without_password(url: str) -> str:
    """A database's URL, unless a password stands in it."""
    if url and (re.match(r"[^/]*://[^/@]*:[^/@]*@", url) or "password=" in url.lower()):
        raise ValueError("a URL without a password: write it into a file and name that as password_file")
    if url and "://" not in url:
        raise ValueError("a URL such as postgresql+psycopg://reader@host/lab or sqlite:///lab.db")
    return url
