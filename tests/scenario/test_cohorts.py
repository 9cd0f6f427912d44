"""Hospitals count a cohort in their registries: in real records as plain tools count it, and never so that few patients show."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from huizhen.clock import ManualClock
from huizhen.data.criteria.reading import parse_criteria
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.embedded.cohorts import count_together
from huizhen.errors import LedgerError, MachineError, PolicyError
from huizhen.ledger.store import read_file
from huizhen.site.counting import CountingSite, count_here
from huizhen.site.registering import sync
from huizhen.site.settings import read_settings
from registries import NOW

SHARED = Path(__file__).parents[3] / "shared" / "data"
OMOP, FHIR = SHARED / "omop_synthea27nj" / "Synthea27Nj_5.4.zip", SHARED / "synthea_fhir_hiv"
POLICY = 'min_cell_count = 5\nlanes = ["embedded", "plain"]'
CLOCK = ManualClock()
INDEX = {"kind": "condition", "system": "ICD10", "codes": ["E11"], "descendants": True}


def site(root, name, policy=POLICY, source=""):
    folder = root / name
    folder.mkdir()
    (folder / "site.toml").write_text(f'[site]\nname = "{name}"\n[policy]\n{policy}\n{source}')
    return folder


def diabetics(folder, ages, prefix="p"):
    """One patient of each age, with a diagnosis of diabetes at that age."""
    day = datetime(2020, 1, 1)
    events = []
    for number, age in enumerate(ages):
        who = f"{prefix}{number}"
        born = day - timedelta(days=int(age * 365.25 + 100))
        events.append(Event(who, "person", f"person/{who}", text="female", begins=born))
        events.append(Event(who, "condition", f"condition/{who}", "ICD10", "E11.9", begins=day))
    Registry(folder / "registry").sync("a", Changes([Batch(events, len(events), cursor=1)], whole=True), now=NOW)


def adults(tmp_path, at_least=18, *others, title="adults"):
    rules = [{"name": "adults", "rule": "age", "at_least": at_least}, *others]
    return parse_criteria({"cohort": {"title": title}, "index": INDEX, "include": rules}, tmp_path)


def count(folder, wanted):
    return count_here(folder, wanted, CLOCK, run="count-1")


def test_a_site_counts_and_withholds_what_could_be_subtracted(tmp_path):
    folder = site(tmp_path, "a")
    diabetics(folder, [10] * 3 + [30] * 20 + [70] * 30)
    wanted = adults(tmp_path, 18, {"name": "65 or more", "rule": "age", "at_least": 65})
    assert count(folder, wanted).patients == (53, None, 30)  # 3 are lost first, 20 then


def test_counts_are_rounded_as_the_policy_says(tmp_path):
    folder = site(tmp_path, "a", POLICY + "\nround_to = 10")
    diabetics(folder, [10] * 9 + [30] * 44)
    assert count(folder, adults(tmp_path)).patients == (50, 40)


def test_criteria_that_differ_by_few_patients_are_refused_and_it_is_on_the_ledger(tmp_path):
    folder = site(tmp_path, "a")
    diabetics(folder, [10] * 20 + [18] * 2 + [30] * 20 + [50] * 9)
    assert count(folder, adults(tmp_path)).patients == (51, 31)
    with pytest.raises(PolicyError) as raised:
        count(folder, adults(tmp_path, 19, title="older"))
    assert "differs by too few patients from 'adults' after 'adults'" in str(raised.value)
    assert "2" not in raised.value.problems[0].found  # how few is not told
    assert count(folder, adults(tmp_path, 40)).patients == (51, 9)
    kinds = [entry.kind for entry in read_file(folder / "cohorts" / "ledger.sqlite")]
    assert kinds == ["released", "cohort refused", "released"]


def test_the_same_cohort_may_be_counted_again_and_again(tmp_path):
    folder = site(tmp_path, "a")
    diabetics(folder, [10] * 20 + [30] * 20)
    assert count(folder, adults(tmp_path)) == count(folder, adults(tmp_path))
    assert len(list((folder / "cohorts").glob("answered-*.json"))) == 1


def test_after_few_new_patients_the_earlier_numbers_stand_and_after_many_they_change(tmp_path):
    folder = site(tmp_path, "a")
    for ages, expected, is_noted in [([30] * 40, (40, 40), False), ([30] * 42, (40, 40), True), ([30] * 50, (50, 50), False)]:
        diabetics(folder, ages)
        found = count(folder, adults(tmp_path))
        assert found.patients == expected
        assert bool(found.note) == is_noted


def test_what_a_site_remembers_holds_no_patient(tmp_path):
    folder = site(tmp_path, "a")
    diabetics(folder, [30] * 40, prefix="PLANTED")
    count(folder, adults(tmp_path))
    for path in (folder / "cohorts").iterdir():
        assert b"PLANTED" not in path.read_bytes()
    mixed = np.load(folder / "cohorts" / "answered-000000.npy", allow_pickle=False)
    assert mixed.dtype == np.uint64


def test_without_its_memory_a_site_counts_nothing(tmp_path):
    folder = site(tmp_path, "a")
    diabetics(folder, [30] * 40)
    count(folder, adults(tmp_path))
    (folder / "cohorts" / "answered-000000.npy").write_bytes(b"cut off")
    with pytest.raises(MachineError, match="What was answered cannot be read"):
        count(folder, adults(tmp_path))


def test_two_counts_at_once_do_not_pass_each_other(tmp_path):
    folder = site(tmp_path, "a")
    with CountingSite(folder, CLOCK), pytest.raises(LedgerError, match="in use"):
        count(folder, adults(tmp_path))


@pytest.mark.parametrize("policy", ["min_rows = 100", 'methods = ["glm"]', 'lanes = ["masked"]'])
def test_a_policy_that_does_not_allow_it_is_kept_to(tmp_path, policy):
    folder = site(tmp_path, "a", policy)
    diabetics(folder, [30] * 40)
    with pytest.raises(PolicyError, match=policy.split(" ")[0]):
        count(folder, adults(tmp_path))


def test_sites_count_together_and_no_site_follows_from_the_sum(tmp_path):
    folders = {name: site(tmp_path, name) for name in "abc"}
    for name, young in (("a", 3), ("b", 10), ("c", 12)):
        diabetics(folders[name], [10] * young + [30] * 40, prefix=name)
    found = count_together(folders, adults(tmp_path), CLOCK, run="count-1")
    assert found.patients == (145, None)
    assert found.sites == {"a": (43, None), "b": (50, None), "c": (52, None)}  # a lost 3: nobody's second number is told


def test_three_sites_that_withhold_their_numbers_have_a_sum_that_may_be_told(tmp_path):
    folders = {name: site(tmp_path, name) for name in "abc"}
    for name in folders:
        diabetics(folders[name], [10] * 2 + [30] * 40, prefix=name)
    found = count_together(folders, adults(tmp_path), CLOCK, run="count-1")
    assert found.patients == (126, 120)
    assert set(found.sites.values()) == {(42, None)}


def test_sums_of_rosters_that_differ_by_few_sites_are_refused(tmp_path):
    folders = {name: site(tmp_path, name) for name in "abcd"}
    for name in folders:
        diabetics(folders[name], [10] * 2 + [30] * 40, prefix=name)
    assert count_together(folders, adults(tmp_path), CLOCK, run="count-1").patients == (168, 160)
    longer = adults(tmp_path, 18, {"name": "65 or more", "rule": "age", "at_least": 65})
    assert count_together(folders, longer, CLOCK, run="count-2").patients == (168, 160, 0)  # what was told may be built on
    fewer = {name: folders[name] for name in "abc"}
    with pytest.raises(PolicyError, match="other sites"):
        count_together(fewer, adults(tmp_path), CLOCK, run="count-2")
    assert count_together(folders, adults(tmp_path), CLOCK, run="count-3").patients == (168, 160)


def test_a_site_that_refuses_keeps_the_others_from_nothing_but_the_answer(tmp_path):
    folders = {name: site(tmp_path, name) for name in "ab"}
    for name, count_of in (("a", 40), ("b", 4)):
        diabetics(folders[name], [30] * count_of, prefix=name)
    with pytest.raises(PolicyError) as raised:
        count_together(folders, adults(tmp_path), CLOCK, run="count-1")
    assert [problem.where for problem in raised.value.problems] == ["site b"]
    assert count_together({"a": folders["a"]}, adults(tmp_path), CLOCK, run="count-2").patients == (40, 40)


def synced(root, source):
    folder = site(root, "a", "min_cell_count = 1\nmin_rows = 1", source)
    settings = read_settings(folder / "site.toml")
    for report in sync(settings, folder, [], CLOCK):
        assert not isinstance(report, Exception), report
    return folder


@pytest.mark.shared_data
@pytest.mark.skipif(not OMOP.exists(), reason="the OMOP sample is not beside this repository")
def test_a_cohort_in_an_omop_database_has_the_patients_that_pandas_finds(tmp_path):
    folder = synced(tmp_path, f'[source.cdm]\nkind = "omop"\npath = "{OMOP}"')
    wanted = parse_criteria(
        {
            "cohort": {"title": "sinusitis"},
            "index": {"kind": "condition", "system": "SNOMED", "codes": ["444814009", "195662009"]},
            "include": [
                {"name": "adults", "rule": "age", "at_least": 18},
                {
                    "name": "weight",
                    "rule": "measurement",
                    "system": "LOINC",
                    "codes": ["29463-7"],
                    "value": ">= 70",
                    "units": ["kg"],
                    "days": [-3650, 365],
                },
                {"name": "seen", "rule": "visits", "at_least": 3, "days": [-730, 0]},
            ],
            "exclude": [{"name": "ibuprofen", "rule": "event", "kind": "drug", "system": "RxNorm", "codes": ["310965"]}],
        },
        tmp_path,
    )
    found = count(folder, wanted).patients

    with zipfile.ZipFile(OMOP) as packed:

        def table(name):
            return pd.read_csv(io.BytesIO(packed.read(f"{name}.csv")), low_memory=False)

        concepts = pd.read_csv(io.BytesIO(packed.read("CONCEPT.csv")), dtype=str)
        person, visits, drugs = table("PERSON"), table("VISIT_OCCURRENCE"), table("DRUG_EXPOSURE")
        conditions, measurements = table("CONDITION_OCCURRENCE"), table("MEASUREMENT")
    number = concepts.set_index(["vocabulary_id", "concept_code"])["concept_id"].astype(int)
    wanted_ids = [number["SNOMED", "444814009"], number["SNOMED", "195662009"]]
    first = conditions[conditions.condition_concept_id.isin(wanted_ids)].assign(
        day=lambda rows: pd.to_datetime(rows.condition_start_datetime)
    )
    day = first.groupby("person_id").day.min()
    born = pd.to_datetime(person.set_index("person_id").birth_datetime).reindex(day.index)
    age = day.dt.year - born.dt.year - ((day.dt.month * 100 + day.dt.day) < (born.dt.month * 100 + born.dt.day))

    def near(rows, column, first, last):
        away = (pd.to_datetime(rows[column]) - rows.person_id.map(day).dt.normalize()).dt.days
        return rows[(away <= last) if first is None else away.between(first, last)]

    weights = measurements[
        (measurements.measurement_concept_id == number["LOINC", "29463-7"]) & (measurements.value_as_number >= 70)
    ]
    heavy = set(near(weights, "measurement_datetime", -3650, 365).person_id)
    seen = near(visits, "visit_start_datetime", -730, 0).groupby("person_id").size()
    treated = set(
        near(drugs[drugs.drug_concept_id == number["RxNorm", "310965"]], "drug_exposure_start_datetime", None, 0).person_id
    )
    left = [set(day.index)]
    for keep in (set(age[age >= 18].index), heavy, set(seen[seen >= 3].index), set(day.index) - treated):
        left.append(left[-1] & keep)
    assert found == tuple(map(len, left))
    assert len(left[0]) > len(left[-1]) > 0


@pytest.mark.shared_data
@pytest.mark.skipif(not FHIR.exists(), reason="the FHIR bundles are not beside this repository")
def test_a_cohort_in_fhir_bundles_has_the_patients_that_a_walk_through_them_finds(tmp_path):
    folder = synced(tmp_path, f'[source.bundles]\nkind = "fhir"\npath = "{FHIR}"')
    tuberculosis, weight = "112141AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "5089AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    wanted = parse_criteria(
        {
            "cohort": {"title": "tuberculosis"},
            "index": {"kind": "condition", "system": "SNOMED", "codes": [tuberculosis]},
            "include": [
                {"name": "women", "rule": "sex", "one_of": ["female"]},
                {
                    "name": "weight",
                    "rule": "measurement",
                    "system": "LOINC",
                    "codes": [weight],
                    "value": ">= 60",
                    "units": ["kg"],
                    "days": "ever",
                },
                {"name": "vaccinated", "rule": "event", "kind": "drug", "system": "CVX", "codes": ["03"], "days": "ever"},
            ],
        },
        tmp_path,
    )
    found = count(folder, wanted).patients

    ill, women, heavy, vaccinated = set(), set(), set(), set()
    for path in FHIR.glob("*.json.gz"):
        for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]:
            resource = entry["resource"]
            kind = resource["resourceType"]
            if kind not in ("Patient", "Condition", "Observation", "Immunization"):
                continue
            who = (
                (resource.get("subject") or resource.get("patient") or {})
                .get("reference", "")
                .rpartition(":")[2]
                .rpartition("/")[2]
            )
            codes = {each.get("code") for each in (resource.get("code") or resource.get("vaccineCode") or {}).get("coding", ())}
            if kind == "Patient" and resource["gender"] == "female":
                women.add(resource["id"])
            elif kind == "Condition" and tuberculosis in codes:
                ill.add(who)
            elif kind == "Observation" and weight in codes and resource["valueQuantity"]["value"] >= 60:
                heavy.add(who)
            elif kind == "Immunization" and "03" in codes:
                vaccinated.add(who)
    assert found == (len(ill), len(ill & women), len(ill & women & heavy), len(ill & women & heavy & vaccinated))
    assert found[0] > found[1] > found[-1] > 0
