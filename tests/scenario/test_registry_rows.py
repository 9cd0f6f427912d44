"""Hospitals turn records into registries, map them to the same variables and answer together; plain counts confirm the rows."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from huizhen import Study, run
from huizhen.data.events.store import Registry
from huizhen.data.records import open_source
from huizhen.privacy.release import Variable
from registries import synced

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
RETURN, WEIGHT, HEIGHT, LOAD = (f"{number}{'A' * (36 - len(number))}" for number in ("5096", "5089", "5090", "856"))


def shared(name):
    path = (SHARED / name).resolve()
    if not path.exists():
        pytest.skip(f"{name} is not beside this repository")
    return path


def fit(frame, outcome, names):
    whole = frame[[outcome, *names]].dropna().astype(float)
    return sm.Logit(whole[outcome], sm.add_constant(whole[names])).fit(disp=0, tol=1e-12), len(whole)


def joint(sites, method):
    findings = run(Study.parse({"method": {"glm": {"family": "binomial", **method}}}), sites)
    result = findings["glm"].result
    columns = result.tables["coefficients"].columns
    return dict(zip(columns["term"], columns["coefficient"])), result.rows


HIV = f"""
[mapping]
dictionary = "../dictionary.toml"
[index]
date = 2021-10-01
[variable.age]
kind = "person"
read = "age"
[variable.sex]
kind = "person"
[variable.height]
kind = "measurement"
codes = ["LOINC:{HEIGHT}"]
units = ["cm"]
[variable.weight]
kind = "measurement"
codes = ["LOINC:{WEIGHT}"]
[variable.viral_load]
kind = "measurement"
codes = ["LOINC:{LOAD}"]
units = {{ "" = "{{copies}}/mL" }}
take = "max"
[variable.returns]
kind = "measurement"
codes = ["LOINC:{RETURN}"]
[variable.tuberculosis]
kind = "condition"
"""
HIV_DICTIONARY = f"""
variable.age = {{ type = "number", unit = "a" }}
variable.sex = {{ type = "category", values = ["female", "male"] }}
variable.height = {{ type = "number", unit = "cm" }}
variable.weight = {{ type = "number", unit = "kg" }}
variable.viral_load = {{ type = "number", unit = "{{copies}}/mL" }}
variable.returns = {{ type = "truth" }}
variable.tuberculosis = {{ type = "truth", code = "SNOMED:112141{"A" * 30}" }}
"""


def plain_patient(bundle):
    """One patient's variables, counted from the bundle as plain JSON."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    (person,) = [each for each in resources if each["resourceType"] == "Patient"]
    measured: dict[str, list] = {}
    for each in resources:
        if each["resourceType"] == "Observation":
            code, found = each["code"]["coding"][0]["code"], each.get("valueQuantity", {}).get("value")
            measured.setdefault(code, []).append((each["effectiveDateTime"], found))
    year, month, day = map(int, person["birthDate"].split("-"))
    return {
        "id": person["id"],
        "age": 2021 - year - ((month, day) > (10, 1)),
        "female": person["gender"] == "female",
        "height": measured[HEIGHT][0][1],
        "weight": measured[WEIGHT][0][1],
        "viral_load": max(value for _, value in measured[LOAD]),
        "returns": RETURN in measured,
        "tuberculosis": any(
            each["code"]["coding"][0]["code"].startswith("112141") for each in resources if each["resourceType"] == "Condition"
        ),
    }


@pytest.mark.shared_data
def test_three_hospitals_answer_from_fhir_bundles_as_a_plain_count_has_it(tmp_path):
    files = sorted(path for path in shared("synthea_fhir_hiv").glob("*.json.gz") if "Information" not in path.name)
    assert len(files) == 79
    (tmp_path / "dictionary.toml").write_text(HIV_DICTIONARY, encoding="utf-8")
    plain, sites = [], {}
    for number in range(3):
        site = tmp_path / f"hospital-{number}"
        (site / "bundles").mkdir(parents=True)
        (site / "map.toml").write_text(HIV, encoding="utf-8")
        for path in files[number::3]:
            (site / "bundles" / path.name).write_bytes(path.read_bytes())
            plain.append(plain_patient(json.loads(gzip.decompress(path.read_bytes()))))
        assert not synced(Registry(site / "registry"), site, kind="fhir", path="bundles").refused
        sites[f"h{number}"] = site / "map.toml"
    frame = pd.DataFrame(plain)

    names = ("age", "height", "weight", "viral_load", "returns", "tuberculosis")
    held = [open_source(path).read({name: Variable("number") for name in names}, site="s") for path in sites.values()]
    for name in names:
        found = np.sort(np.concatenate([rows.number(name) for rows in held]))
        np.testing.assert_allclose(found, np.sort(frame[name].astype(float)), err_msg=name)

    formula = "returns ~ age + sex + weight"
    coefficients, rows = joint(sites, {"formula": formula})
    reference, _ = fit(frame.assign(male=~frame["female"]), "returns", ["age", "male", "weight"])
    assert rows == 79
    for term, there in zip(("Intercept", "age", "sex[male]", "weight"), reference.params):
        assert coefficients[term] == pytest.approx(there, rel=1e-6), term


HEART_COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"),
)
HEART = """
[mapping]
dictionary = "../dictionary.toml"
[variable.age]
column = "age"
units = { "" = "a" }
[variable.sex]
column = "sex"
values = { 0 = "female", 1 = "male" }
[variable.pressure]
column = "trestbps"
units = { "" = "mm[Hg]" }
missing = [0]
[variable.cholesterol]
column = "chol"
units = { "" = "mg/dL" }
missing = [0]
[variable.disease]
column = "num"
values = { 0 = 0, 1 = 1, 2 = 1, 3 = 1, 4 = 1 }
"""
HEART_DICTIONARY = """
variable.age = { type = "number", unit = "a" }
variable.sex = { type = "category", values = ["female", "male"] }
variable.pressure = { type = "number", unit = "mm[Hg]" }
variable.cholesterol = { type = "number", unit = "mg/dL", range = [50, 700] }
variable.disease = { type = "truth" }
"""


@pytest.mark.shared_data
def test_four_hospitals_with_their_own_marks_for_missing_values_answer_as_the_pooled_rows(tmp_path):
    place = shared("heart_disease")
    (tmp_path / "dictionary.toml").write_text(HEART_DICTIONARY, encoding="utf-8")
    sites, frames = {}, []
    for name in ("cleveland", "hungarian", "switzerland", "va"):
        site = tmp_path / name
        site.mkdir()
        raw = (place / f"processed.{name}.data").read_text(encoding="utf-8").splitlines()
        lines = [f"p{number},{line}" for number, line in enumerate(line for line in raw if line)]
        (site / "heart.csv").write_text("\n".join([f"patient,{','.join(HEART_COLUMNS)}", *lines, ""]), encoding="utf-8")
        (site / "map.toml").write_text(HEART, encoding="utf-8")
        synced(Registry(site / "registry"), site, kind="table", path="heart.csv", patient="patient", record="patient")
        sites[name] = site / "map.toml"
        frames.append(pd.read_csv(site / "heart.csv", na_values="?").assign(hospital=name))
    pooled = pd.concat(frames)
    pooled[["chol", "trestbps"]] = pooled[["chol", "trestbps"]].replace(0, np.nan)
    pooled["disease"] = pooled["num"] > 0

    report = {each.name: each for each in open_source(sites["va"]).report().variables}
    there = pooled[pooled["hospital"] == "va"]["chol"]
    assert report["cholesterol"].rows == there.notna().sum()
    assert report["cholesterol"].left_out["a mark for a missing value"] == (frames[3]["chol"] == 0).sum()
    with pytest.raises(Exception, match="no value in any of 123 rows"):  # Switzerland measured none
        open_source(sites["switzerland"]).read({"cholesterol": Variable("number")}, site="s")

    coefficients, rows = joint(sites, {"formula": "disease ~ age + sex + pressure"})
    reference, whole = fit(pooled, "disease", ["age", "sex", "trestbps"])
    assert rows == whole
    for term, expected in zip(("Intercept", "age", "sex[male]", "pressure"), reference.params):
        assert coefficients[term] == pytest.approx(expected, rel=1e-6), term


DIABETES = """
[mapping]
dictionary = "dictionary.toml"
[index]
kind = "value"
codes = ["local:time_in_hospital"]
pick = "each"
[variable.stay]
column = "time_in_hospital"
same_visit = true
units = { "" = "d" }
[variable.readmitted]
column = "readmitted"
same_visit = true
values = { "NO" = "no", ">30" = "later", "<30" = "early" }
[variable.tested]
column = "A1Cresult"
same_visit = true
values = { "None" = "no", "Norm" = "yes", ">7" = "yes", ">8" = "yes" }
"""
DIABETES_DICTIONARY = """
variable.stay = { type = "number", unit = "d" }
variable.readmitted = { type = "category", values = ["no", "early", "later"] }
variable.tested = { type = "category", values = ["no", "yes"] }
"""


@pytest.mark.shared_data
def test_encounters_of_one_table_are_rows_as_a_plain_count_has_it(tmp_path):
    with zipfile.ZipFile(shared("diabetes_130us/dataset_diabetes.zip")) as archive:
        raw = archive.read("dataset_diabetes/diabetic_data.csv")
    wanted = ["time_in_hospital", "readmitted", "A1Cresult"]
    frame = pd.read_csv(io.BytesIO(raw), usecols=["encounter_id", "patient_nbr", *wanted], dtype=str, keep_default_na=False)
    frame.to_csv(tmp_path / "diabetes.csv", index=False)
    (tmp_path / "dictionary.toml").write_text(DIABETES_DICTIONARY, encoding="utf-8")
    (tmp_path / "map.toml").write_text(DIABETES, encoding="utf-8")
    roles = {"patient": "patient_nbr", "record": "encounter_id", "visit": "encounter_id", "columns": wanted}
    synced(Registry(tmp_path / "registry"), tmp_path, kind="table", path="diabetes.csv", **roles)
    source = open_source(tmp_path / "map.toml")
    levels = {"readmitted": ("no", "early", "later"), "tested": ("no", "yes")}
    asked = {"stay": Variable("number"), **{name: Variable("category", levels=found) for name, found in levels.items()}}
    rows = source.read(asked, site="s")
    assert rows.rows == len(frame) == 101_766
    assert np.sort(rows.number("stay")).tolist() == sorted(frame["time_in_hospital"].astype(float))
    found = pd.crosstab(rows.category("tested").codes, rows.category("readmitted").codes)
    there = pd.crosstab(frame["A1Cresult"] != "None", frame["readmitted"])[["NO", "<30", ">30"]]
    assert found.to_numpy().tolist() == there.to_numpy().tolist()
