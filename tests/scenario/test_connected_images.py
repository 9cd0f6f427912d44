"""Two hospitals connect their CT series, map them with diagnoses, and train one network on what they hold, unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from connectedscans import connected, scan
from huizhen import Study, run
from huizhen.clock import ManualClock
from huizhen.data.deidentify.keyfile import load_secret
from huizhen.data.deidentify.secret import Secret
from huizhen.data.records import open_source
from huizhen.errors import DataError
from huizhen.privacy.release import Variable
from huizhen.site.registering import sync
from huizhen.site.settings import read_settings

pytest.importorskip("pydicom")
pytest.importorskip("monai")
STUDY = {
    "method": {
        "averaging": {
            "network": "densenet",
            "image": "scan",
            "outcome": "cancer",
            "task": "classification",
            "rounds": 1,
            "batch": 8,
        }
    }
}
DICTIONARY = """
[variable.scan]
type = "image"
shape = [1, 32, 32]
steps = [{ do = "window", low = -1000, high = 400 }, { do = "slice" }, { do = "resize", size = [32, 32] }]
[variable.cancer]
type = "truth"
[variable.age]
type = "number"
"""


@pytest.fixture
def hospitals(tmp_path):
    made = {}
    for seed, name in enumerate(("west", "east")):
        site = tmp_path / name
        patients = {f"{name}{number:02}": number % 2 == 0 for number in range(12)}
        for number, (patient, is_ill) in enumerate(patients.items()):
            scan(site / "scans" / f"{number}", patient, nodules=int(is_ill), seed=100 * seed + number, shape=(3, 32, 32))
        made[name] = connected(site, patients, dictionary=DICTIONARY)
    return made


def test_a_densenet_is_trained_on_connected_series_with_labels_from_diagnoses(hospitals):
    findings = run(Study.parse(STUDY), hospitals, compare=False)
    found = findings["averaging"].result
    assert found.rows == 24
    again = run(Study.parse(STUDY), hospitals, compare=False)["averaging"].result
    assert found.facts == again.facts
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])


def test_card_of_connected_series_says_their_shape_and_no_more(huizhen, hospitals):
    said = huizhen("describe", str(hospitals["west"]))
    assert said.code == 0, said.all
    assert "1 x 32 x 32 (float32)" in said.out
    assert "west0" not in said.all


def test_images_of_a_registry_that_was_de_identified_are_found_again_by_the_key_and_by_nobody_else(hospitals, tmp_path):
    mapping = hospitals["west"]
    (mapping.parent / "site.toml").write_text(SITE.format(pacs=mapping.parent / "scans", emr=mapping.parent / "diagnoses.csv"))
    (mapping.parent / "registry").rename(tmp_path / "as it came")
    settings = read_settings(mapping.parent / "site.toml")
    assert [report.alias for report in sync(settings, mapping.parent, (), ManualClock())] == ["pacs", "emr"]
    wanted = {"scan": Variable("image"), "cancer": Variable("category")}
    opened = open_source(mapping, load_secret(settings.key_path).opened).read(wanted, site="west")
    assert opened.rows == 12
    assert len({image.tobytes() for image in opened.columns["scan"].values}) == 12
    with pytest.raises(DataError, match="sealed by the site's key") as error:
        open_source(mapping).read(wanted, site="west")
    assert "west0" not in str(error.value)
    with pytest.raises(DataError, match="another key"):
        open_source(mapping, Secret(bytes(32)).opened).read(wanted, site="west")


SITE = """
[site]
name = "west"
[source.pacs]
kind = "dicom"
path = "{pacs}"
[source.emr]
kind = "table"
path = "{emr}"
patient = "patient"
row = "condition"
code = "code"
system = "ICD10"
"""
