"""A hospital with one patient who is marked: unmistakable words in every kind of source, and where they may be found."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

PATIENT, NAME, SURNAME = "QZXPID41", "Zyxwhq", "Vraskelov"
NUMBER, PHONE, RECORD = "11010519491231002X", "13987654321", "QZX77310"
IDENTITY = (PATIENT, NAME, SURNAME, NUMBER, PHONE, RECORD)  # not even in the registry
RARE, SENTENCE = "qzxrarevalue", "qzxsentence"
MARKS = (*IDENTITY, RARE, SENTENCE)  # nowhere but in the registry and in rows that the site writes for itself
WRITTEN = f"Patient Name: {NAME} {SURNAME}\nMRN: {RECORD}\nPhone: {PHONE}\nID card: {NUMBER}\nFinding: {SENTENCE} and {RARE}."
ROLES = 'patient = "pid"\nrecord = "number"\ntime = "seen"\n'
SITE = f"""
[site]
name = "east"
[source.rows]
kind = "registry"
mapping = "map.toml"
[source.lab]
kind = "table"
path = "lab.csv"
{ROLES}
[source.ward]
kind = "sql"
url = "sqlite:///ward.db"
table = "stays"
{ROLES}
[source.emr]
kind = "fhir"
path = "fhir"
[source.cdm]
kind = "omop"
path = "omop"
[source.pacs]
kind = "dicom"
path = "pacs"
[source.letters]
kind = "reports"
path = "letters"
name = "{{patient}}_{{record}}.txt"
[policy]
min_cell_count = 5
lanes = ["embedded", "plain", "masked"]
"""
MAPPING = """
[mapping]
dictionary = "dictionary.toml"
[variable.age]
column = "age"
units = { "" = "a" }
[variable.sex]
column = "sex"
values = { F = "female", M = "male" }
[variable.remark]
column = "remark"
"""
DICTIONARY = """
variable.age = { type = "number", unit = "a" }
variable.sex = { type = "category", values = ["female", "male"] }
variable.remark = { type = "category" }
"""
RULES = """
[[rule]]
kind = "range"
variable = "age"
high = 60
[[rule]]
kind = "unique"
variables = ["remark"]
[duplicates]
block = ["sex"]
compare = { remark = "text" }
"""
CRITERIA = """
[cohort]
title = "adults"
[index]
kind = "value"
system = "local"
codes = ["age"]
[[include]]
name = "with a sex"
rule = "event"
kind = "value"
system = "local"
codes = ["sex"]
"""


def marked_site(folder: Path) -> Path:
    """The folder of the site, with all its sources."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"site.toml": SITE, "map.toml": MAPPING, "dictionary.toml": DICTIONARY, "rules.toml": RULES, "criteria.toml": CRITERIA}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    columns = table()
    (folder / "lab.csv").write_text(csv_text(columns), encoding="utf-8")
    with sqlite3.connect(folder / "ward.db") as database:
        named = ", ".join(f'"{name}"' for name in columns)
        database.execute(f"create table stays ({named})")
        places = ", ".join("?" * len(columns))
        database.executemany(f"insert into stays values ({places})", list(zip(*columns.values())))
    database.close()
    for name, content in (("fhir/all.json", json.dumps(fhir())), (f"letters/{PATIENT}_{RECORD}.txt", WRITTEN)):
        (folder / name).parent.mkdir()
        (folder / name).write_text(content, encoding="utf-8")
    _omop(folder / "omop")
    _images(folder / "pacs" / f"{NAME} {SURNAME}")
    return folder


def csv_text(columns) -> str:
    with io.StringIO(newline="") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values())])
        return file.getvalue()


def table():
    """Forty patients and the marked one, by column."""
    count = 40
    return {
        "pid": [*(f"p{at}" for at in range(count)), PATIENT],
        "number": [*(f"n{at}" for at in range(count)), RECORD],
        "seen": [f"2024-03-{1 + at % 28:02d}" for at in range(count + 1)],
        "patient_name": [*("" for _ in range(count)), f"{NAME} {SURNAME}"],
        "mobile": [*("" for _ in range(count)), PHONE],
        "身份证号": [*("" for _ in range(count)), NUMBER],
        "age": [30 + at % 30 for at in range(count + 1)],
        "sex": [*("FM"[at % 2] for at in range(count)), RARE],
        "remark": [*(f"r{at % 4}" for at in range(count)), f"{SENTENCE} of {NAME} {SURNAME}, {RARE}"],
    }


def fhir():
    who = {"reference": f"Patient/{PATIENT}"}
    code = {"coding": [{"system": "http://loinc.org", "code": "8302-2"}], "text": f"height, call {PHONE}"}
    about = {"identifier": [{"value": NUMBER}], "telecom": [{"value": PHONE}]}
    person = {"resourceType": "Patient", "id": PATIENT, "name": [{"family": SURNAME, "given": [NAME]}], "gender": "female", **about}
    value = {"resourceType": "Observation", "id": RECORD, "status": "final", "code": code, "subject": who, "valueString": RARE}
    report = {
        "resourceType": "DiagnosticReport",
        "id": RECORD,
        "status": "final",
        "code": code,
        "subject": who,
        "conclusion": WRITTEN,
    }
    broken = {**value, "id": "b1", "effectiveDateTime": f"2024-02-31 {SENTENCE}"}
    return {"resourceType": "Bundle", "entry": [{"resource": each} for each in (person, value, report, broken, {"id": RARE})]}


def _omop(folder: Path) -> None:
    folder.mkdir()
    tables = {
        "person": f"person_id,gender_concept_id,year_of_birth,person_source_value\n{PATIENT},8532,1970,{NAME} {SURNAME}\n",
        "concept": "concept_id,concept_name,vocabulary_id,concept_code\n8532,FEMALE,Gender,F\n",
        "measurement": "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,measurement_source_value\n"
        f"{RECORD},{PATIENT},0,2024-02-01,7,{RARE}\n{RECORD}2,{PATIENT},0,2024-02-31,7,{SENTENCE}\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")


def _images(folder: Path) -> None:
    import pydicom

    folder.mkdir(parents=True)
    dataset = pydicom.Dataset()
    dataset.PatientName, dataset.PatientID, dataset.Modality = f"{SURNAME}^{NAME}", PATIENT, "CT"
    dataset.StudyDescription, dataset.SeriesInstanceUID = SENTENCE, "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.SamplesPerPixel = 2, 2, 8, 1
    dataset.PixelData = bytes(4)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.save_as(folder / f"{RECORD}.dcm", enforce_file_format=True)
    (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + SENTENCE.encode())


def found_in(said: bytes | str, marks=MARKS) -> list[str]:
    """The marks that stand in something, whatever their case."""
    content = said if isinstance(said, bytes) else said.encode("utf-8", "replace")
    content = content.lower()
    return [mark for mark in marks if mark.lower().encode() in content]
