"""Hospitals count a cohort together over the wire, again and again, each by its policy and beside all that it has answered."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from attritions import ADULTS, OLD, REGISTRY, attrition, criteria, diabetics
from federations import federation, until
from huizhen.clock import WallClock
from huizhen.data.criteria.reading import parse_criteria
from huizhen.data.events.store import Registry
from huizhen.errors import PolicyError
from huizhen.site.counting import count_here
from registries import synced

FHIR = Path(__file__).parents[3] / "shared" / "data" / "synthea_fhir_hiv"
SITES = {"east": 30, "west": 40, "north": 50}


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    root = tmp_path_factory.mktemp("attrition")
    with federation(root, dict.fromkeys(SITES), settings=dict.fromkeys(SITES, REGISTRY), start=False) as made:
        for name, adults in SITES.items():
            diabetics(root / name / "registry", [10] * 10 + [30] * adults + [70] * 20, prefix=name)
            made.start_site(name)
        yield made


def counted(outcome):
    assert not outcome.result.failure, outcome.result.failure
    return outcome.result.tables["attrition"].columns["patients"]


def test_hospitals_count_together_and_the_hub_sees_the_sum_alone(hospitals):
    found = hospitals.li.asked(attrition(ADULTS, OLD, sites=SITES))["attrition"]
    assert counted(found) == (210, 180, 60)


def test_a_person_counts_in_a_terminal(hospitals, huizhen):
    path = hospitals.root / "criteria.toml"
    path.write_text(
        '[cohort]\ntitle = "diabetes"\n[index]\nkind = "condition"\nsystem = "ICD10"\ncodes = ["E11"]\ndescendants = true\n'
        '[[include]]\nname = "children"\nrule = "age"\nat_most = 17\n'
    )
    command = ["cohort", "count", str(path), "--identity", str(hospitals.folders["li"].root), "--json"]
    for site in SITES:
        command += ["--across", site]
    told = json.loads(huizhen(*command).out)
    assert (told["steps"], told["patients"], told["note"]) == (["condition", "children"], [210, 30], "")


def test_what_a_hub_was_told_a_sites_own_people_are_held_to_and_the_other_way_round(hospitals):
    folder = hospitals.root / "east"
    nearly = parse_criteria(criteria({**ADULTS, "at_least": 30}), folder)  # the same patients as adults
    assert count_here(folder, nearly, WallClock(), run="count-1").patients == (60, 50)
    diabetics(folder / "registry", [10] * 10 + [30] * 30 + [70] * 20 + [31, 32], prefix="east")
    with pytest.raises(PolicyError, match="too few patients"):
        count_here(folder, parse_criteria(criteria({**ADULTS, "at_least": 31}, title="x"), folder), WallClock(), run="count-2")


def test_a_site_without_a_registry_does_not_accept_and_says_so(hospitals):
    with federation(hospitals.root / "without", {"south": {"age": [1, 2, 3]}, "far": {"age": [4]}, "near": {"age": [5]}}) as made:
        id = made.li.submit(attrition(ADULTS, sites=("south", "far", "near")))
        until(lambda: made.sites["south"].inbox.entries(), "the suggestion")
        kept = until(lambda: next((one for one in made.sites["south"].inbox.entries() if one.notes), None), "the note")
        assert kept.standing == "open"
        assert 'a source of kind = "registry"' in " ".join(kept.notes)
        made.li.ask("cancel", id=id, reason="")


def test_a_rule_lets_counting_be_accepted_at_once_while_other_studies_wait(tmp_path):
    accept = {"fitting": "wait", "at_once": ["attrition"], "methods": "any enabled"}
    sites = ("a", "b", "c")
    with federation(
        tmp_path, dict.fromkeys(sites), settings={name: {**REGISTRY, "accept": accept} for name in sites}, start=False
    ) as made:
        for name in sites:
            diabetics(tmp_path / name / "registry", [10] * 10 + [30] * 30, prefix=name)
            made.start_site(name)
        found = made.li.asked(attrition(ADULTS, sites=sites))["attrition"]
        assert counted(found) == (120, 90)
        id = made.li.submit({"method": {"summary": {"variables": ["age"]}}, "participants": {"sites": list(sites)}})
        waiting = until(lambda: [one for one in made.sites["a"].inbox.entries() if one.study == id], "the suggestion")
        assert waiting[0].standing == "open"


@pytest.mark.shared_data
@pytest.mark.skipif(not FHIR.exists(), reason="the FHIR bundles are not beside this repository")
def test_hospitals_with_fhir_bundles_count_what_a_plain_walk_through_them_finds(tmp_path):
    bundles, sites = sorted(FHIR.glob("*.json.gz")), ("a", "b", "c")
    weight = "5089AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    policy, loose = {"min_cell_count": 1, "min_rows": 1}, {**REGISTRY}
    with federation(
        tmp_path, dict.fromkeys(sites), policies=dict.fromkeys(sites, policy), settings=dict.fromkeys(sites, loose), start=False
    ) as made:
        for place, name in enumerate(sites):
            folder = tmp_path / f"{name}-bundles"
            folder.mkdir()
            for path in bundles[place::3]:
                (folder / path.name).symlink_to(path)
            synced(Registry(tmp_path / name / "registry"), tmp_path, kind="fhir", path=str(folder))
            made.start_site(name)
        index = {"kind": "measurement", "system": "LOINC", "codes": [weight]}
        women = {"name": "women", "rule": "sex", "one_of": ["female"]}
        heavy = {
            "name": "60 kg",
            "rule": "measurement",
            "system": "LOINC",
            "codes": [weight],
            "value": ">= 60",
            "units": ["kg"],
            "days": "ever",
        }
        found = made.li.asked(attrition(women, heavy, index=index, sites=sites))["attrition"]
    weighed, female, over = set(), set(), set()
    for path in bundles:
        for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] == "Patient" and resource["gender"] == "female":
                female.add(resource["id"])
            elif resource["resourceType"] == "Observation":
                who = resource["subject"]["reference"].rpartition(":")[2].rpartition("/")[2]
                if weight in {each.get("code") for each in resource["code"].get("coding", ())}:
                    weighed.add(who)
                    if resource["valueQuantity"]["value"] >= 60:
                        over.add(who)
    assert counted(found) == (len(weighed), len(weighed & female), len(weighed & female & over))
    assert len(weighed) > len(weighed & female & over) > 0
