"""Cards for tests: what a site might say of its data, and a site's folder with records to be described."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from huizhen.clock import WallClock
from huizhen.federation.cards import CodeEntry, Content, KindEntry, ModalityEntry, SignedCard, SourceEntry, VariableEntry
from huizhen.ledger.keys import new_key
from huizhen.site.registering import sync
from huizhen.site.settings import read_settings

AT = "2026-01-01T00:00:00+00:00"
LUNG = CodeEntry(kind="condition", system="ICD10CN", code="C34.1", display="肺上叶恶性肿瘤", patients=620)
LOWER = CodeEntry(kind="condition", system="ICD10CN", code="C34.3", display="肺下叶恶性肿瘤", patients=150)
CREATININE = CodeEntry(kind="measurement", system="LOINC", code="2160-0", display="Creatinine", unit="mg/dL", patients=900)
CHEST = ModalityEntry(name="CT", patients=480)
AGE = VariableEntry(name="age", type="number", unit="a", complete="95-100 %")
SERUM = VariableEntry(name="serum_creatinine", type="number", unit="umol/L", code="LOINC:14682-9", complete="80-95 %")


def content(**other):
    """A card's content; what is named replaces what stands there."""
    said = {
        "about": "Thoracic surgery, 华东",
        "patients": 1200,
        "first": 2015,
        "last": 2024,
        "kinds": [KindEntry(kind="condition", patients=1100, first=2015, last=2024)],
        "codes": [CREATININE, LUNG, LOWER],
        "modalities": [CHEST],
        "sources": [SourceEntry(alias="lung", about="Lung cancer", rows=700, variables=[AGE, SERUM])],
        "quality": {"completeness": "95-100 %"},
        "min_cell_count": 5,
    }
    return Content(**{**said, **other})


def signed(site="east", number=1, key=None, **other):
    """A signed card."""
    return SignedCard.of(content(**other), site=site, number=number, at=AT, key=key or new_key())


class RecordsOfASite:
    """A site's folder whose registry is filled from a table of diagnoses, row by row; with the patients' own numbers, so that how
    they fall into the buckets of a guard is the same in every run."""

    def __init__(self, root: Path, **policy) -> None:
        self.root, self.rows = root, []
        root.mkdir(parents=True, exist_ok=True)
        self.configure(policy=policy)

    def configure(self, name="east", policy=None, publish=None, more="") -> None:
        clauses = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"min_cell_count": 5, **(policy or {})}.items())
        about = "".join(f"{key} = {json.dumps(value)}\n" for key, value in (publish or {}).items())
        text = f'[site]\nname = "{name}"\n{SOURCE}\n[deidentify]\nas_is = true\n[policy]\n{clauses}\n[publish]\n{about}\n{more}'
        (self.root / "site.toml").write_text(text, encoding="utf-8")

    def add(self, patients, code="C34.1", words="Lung cancer", day="2020-01-01") -> RecordsOfASite:
        self.rows += [(f"p{patient}", code, words, day) for patient in patients]
        return self.written()

    def remove(self, patients, code) -> RecordsOfASite:
        gone = {(f"p{patient}", code) for patient in patients}
        self.rows = [row for row in self.rows if row[:2] not in gone]
        return self.written()

    def written(self) -> RecordsOfASite:
        with (self.root / "diagnoses.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("who", "code", "words", "day"))
            writer.writerows(self.rows)
        list(sync(read_settings(self.root / "site.toml"), self.root, [], WallClock()))
        return self


SOURCE = """[source.diagnoses]
kind = "table"
path = "diagnoses.csv"
patient = "who"
code = "code"
display = "words"
time = "day"
system = "ICD10"
row = "condition"
"""
