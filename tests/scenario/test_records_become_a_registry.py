"""A hospital's records become a registry: real files, and counts that plain counting confirms."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from huizhen.clock import ManualClock
from huizhen.data.events.store import Registry
from huizhen.errors import HuizhenError
from huizhen.site.registering import REGISTRY, connected, sync
from huizhen.site.settings import parse_settings
from registries import rows

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.shared_data


def place_of(name):
    if not (SHARED / name).exists():
        pytest.skip(f"the data {name} are not beside this repository")
    return SHARED / name


def taken_over(tmp_path, **sources):
    """The registry of a site after one sync of its sources, and the reports."""
    settings = parse_settings({"site": {"name": "west-lake"}, "deidentify": {"as_is": True}, "source": sources}, tmp_path)
    reports = list(sync(settings, tmp_path, [], ManualClock()))
    assert not [report for report in reports if isinstance(report, HuizhenError)], reports
    assert [each.events > 0 for each in connected(settings, tmp_path)] == [True] * len(sources)
    again = list(sync(settings, tmp_path, [], ManualClock()))
    assert [report.new + report.changed + report.removed for report in again] == [0] * len(sources)
    return Registry(tmp_path / REGISTRY), reports


def test_79_patients_in_fhir_bundles(tmp_path):
    folder = place_of("synthea_fhir_hiv")
    registry, (report,) = taken_over(tmp_path, emr={"kind": "fhir", "path": str(folder)})
    texts = [gzip.decompress(path.read_bytes()) for path in folder.glob("*.json.gz")]
    resources = [entry["resource"] for text in texts for entry in json.loads(text)["entry"]]
    counted = Counter(resource["resourceType"] for resource in resources)
    assert (counted["Patient"], counted["Observation"], report.read) == (79, 17279, len(resources))
    same = {"person": "Patient", "visit": "Encounter", "condition": "Condition", "procedure": "Procedure", "device": "Device"}
    kinds = {**same, "measurement": "Observation"}
    expected = {kind: counted[name] for kind, name in kinds.items()}
    expected["drug"] = counted["MedicationRequest"] + counted["Immunization"]
    expected["report"] = counted["DiagnosticReport"] + counted["DocumentReference"]
    expected["death"] = sum("deceasedDateTime" in one or one.get("deceasedBoolean", False) for one in resources) or None
    found = dict(rows(registry, "select kind, count(distinct split_part(record, '#', 1)) from events group by kind"))
    assert found == {kind: count for kind, count in expected.items() if count}
    providers = {one["serviceProvider"]["reference"] for one in resources if one["resourceType"] == "Encounter"}
    assert rows(registry, "select count(distinct text) from events where kind = 'visit'") == [(len(providers),)]
    amounts = [one["valueQuantity"]["value"] for one in resources if "valueQuantity" in one]
    ((count, total),) = rows(registry, "select count(number), sum(number) from events where kind = 'measurement'")
    assert (count, total) == (len(amounts), pytest.approx(sum(amounts)))
    women = sum(one.get("gender") == "female" for one in resources if one["resourceType"] == "Patient")
    assert rows(registry, "select count(*) from events where kind = 'person' and text = 'female'") == [(women,)]


def test_an_omop_sample_in_a_zip_archive(tmp_path):
    (archive,) = place_of("omop_synthea27nj").glob("*.zip")
    registry, _ = taken_over(tmp_path, cdm={"kind": "omop", "path": str(archive)})
    with zipfile.ZipFile(archive) as packed:
        names = [name for name in packed.namelist() if name.endswith(".csv") and "MACOSX" not in name]
        tables = {Path(name).stem.lower(): pd.read_csv(packed.open(name), low_memory=False) for name in names}
    expected = {
        kind: sum(len(tables[name]) for name in those)
        for kind, those in {
            "person": ["person"],
            "death": ["death"],
            "visit": ["visit_occurrence"],
            "condition": ["condition_occurrence"],
            "drug": ["drug_exposure"],
            "procedure": ["procedure_occurrence"],
            "device": ["device_exposure"],
            "measurement": ["measurement", "observation"],
        }.items()
    }
    assert dict(rows(registry, "select kind, count(*) from events where record not like '%#%' group by kind")) == expected
    concepts = tables["concept"].set_index("concept_id")
    named = tables["condition_occurrence"].condition_concept_id.map(concepts.concept_code).astype(str)
    codes = dict(
        rows(registry, "select code, count(*) from events where kind = 'condition' and record not like '%#%' group by code")
    )
    assert codes == named.value_counts().to_dict()
    assert rows(registry, "select distinct system from events where kind = 'condition'") == [("SNOMED",)]
    women = (tables["person"].gender_concept_id == 8532).sum()
    assert rows(registry, "select count(*) from events where kind = 'person' and text = 'female'") == [(women,)]


def test_slices_of_a_ct(tmp_path):
    pytest.importorskip("pydicom")
    slices = sorted(place_of("ct_dicom").glob("*.dcm"))
    (tmp_path / "pacs" / "p1").mkdir(parents=True)
    for path in slices:
        shutil.copy(path, tmp_path / "pacs" / "p1")
    registry, _ = taken_over(tmp_path, pacs={"kind": "dicom", "path": "pacs", "patient": "folder"})
    assert rows(registry, "select patient, kind, code, sum(number), text from events group by all") == [
        ("p1", "image", None, float(len(slices)), "p1")  # their headers were stripped: they say no modality
    ]


def test_encounters_with_diabetes_in_a_table(tmp_path):
    with zipfile.ZipFile(place_of("diabetes_130us") / "dataset_diabetes.zip") as packed:
        (tmp_path / "diabetes.csv").write_bytes(packed.read("dataset_diabetes/diabetic_data.csv"))
    columns = ["race", "readmitted", "time_in_hospital"]
    source = {"kind": "table", "path": "diabetes.csv", "patient": "patient_nbr", "record": "encounter_id", "columns": columns}
    registry, (report,) = taken_over(tmp_path, ward=source)
    frame = pd.read_csv(tmp_path / "diabetes.csv", na_values="?", usecols=[*columns, "patient_nbr"], keep_default_na=False)
    assert (report.read, report.new) == (len(frame), len(frame)) == (101766, 101766)
    assert dict(rows(registry, "select code, count(*) from events group by code")) == frame[columns].count().to_dict()
    assert (
        dict(rows(registry, "select text, count(*) from events where code = 'race' group by text"))
        == frame.race.value_counts().to_dict()
    )
    assert rows(registry, "select count(distinct patient), sum(number) from events") == [
        (frame.patient_nbr.nunique(), float(frame.time_in_hospital.sum()))
    ]
