"""Hospitals count a cohort together over the wire, again and again, each by its policy and beside all that it has answered."""

from __future__ import annotations

import pytest

from attritions import ADULTS, OLD, REGISTRY, attrition, diabetics
from federations import federation

SITES = {"east": 30, "west": 40, "north": 50}


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    root = tmp_path_factory.mktemp("attrition")
    with federation(root, dict.fromkeys(SITES), settings={name: REGISTRY for name in SITES}, start=False) as made:
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
