"""A study file is data: it is read whole, and everything wrong with it is said at once."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

from huizhen.errors import StudyError
from huizhen.extension import installed
from huizhen.federation.study import Study

WHOLE = {
    "study": {"title": "Lung", "question": "Does performance status predict survival?", "seed": 3},
    "cohort": {"include": ["age >= 18"], "exclude": ["ph_ecog > 3"]},
    "variables": {"sex": {"type": "category", "levels": [1, 2]}, "age": {"unit": "a", "range": [18, 110]}},
    "method": {"cox": {"time": "time", "event": "status == 2", "formula": "~ age + sex", "strata": "site"}},
    "participants": {"quorum": 2, "round_deadline": "60 s"},
}


def mistakes(content) -> dict[str, str]:
    with pytest.raises(StudyError) as raised:
        Study.parse(content)
    return {problem.where: str(problem) for problem in raised.value.problems}


def test_a_whole_study_is_read_and_named_by_its_digest():
    study = Study.parse(WHOLE)
    assert [analysis.label for analysis in study.analyses] == ["cox"]
    assert study.variables["sex"].labels == ("1", "2")
    assert study.uses["age"] == "number"
    assert study.uses["sex"] == "category"
    assert len(study.digest) == 64


def test_a_study_is_its_content():
    study = Study.parse(WHOLE)
    assert Study.parse(study.content).digest == study.digest
    assert Study.parse({**WHOLE, "study": {**WHOLE["study"], "seed": 4}}).digest != study.digest


def test_all_mistakes_are_said_at_once_each_with_its_key():
    found = mistakes(
        {
            "study": {"tilte": "x"},
            "cohort": {"include": ["age >>= 18"]},
            "method": {"coxx": {}, "cox": {"time": "time", "event": "status == 2", "formula": "~ age +"}},
            "participants": {"quorum": 0, "round_deadline": "soon"},
            "protection": {"sum": "magic"},
            "extra": {},
        }
    )
    for key in ("study.tilte", "method.coxx", "participants.quorum", "participants.round_deadline", "protection.sum", "extra"):
        assert key in found, found
    assert "Did you mean study.title?" in found["study.tilte"]
    assert "Did you mean method.cox?" in found["method.coxx"]
    assert any(key.startswith("cohort.include[1]") for key in found)
    assert "character" in found["method.cox.formula"], "a mistake inside a formula names its key and its place"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"method": {"summary": {"variables": ["age", "\ud800"]}}}, "method.summary.variables[2]"),
        ({"variables": {"\udfff": {}}}, "variables"),
        ({"study": {"title": "a\ud83d"}}, "study.title"),
        ({"cohort": {"include": ["age > 18", "\ud800 > 3"]}}, "cohort.include[2]"),
        ({"variables": {5: {}}}, "variables"),
        ({5: {}}, "study"),
    ],
)
def test_names_and_texts_that_are_no_unicode_are_refused(change, where):
    found = mistakes({**WHOLE, **change})
    assert list(found) == [where]
    assert "expected characters of Unicode" in found[where]
    assert found[where].encode()


def test_a_method_twice_needs_labels_that_differ():
    cox = WHOLE["method"]["cox"]
    study = Study.parse({**WHOLE, "method": {"cox": [{**cox, "label": "crude", "formula": "~ sex"}, {**cox, "label": "adjusted"}]}})
    assert [analysis.label for analysis in study.analyses] == ["crude", "adjusted"]
    assert "method" in mistakes({**WHOLE, "method": {"cox": [{**cox, "label": "same"}, {**cox, "label": "same"}]}})


def test_no_method_is_a_mistake():
    assert "method" in mistakes({"study": {"title": "x"}})


def test_a_variable_is_a_number_or_a_category_throughout():
    found = mistakes({**WHOLE, "variables": {"age": {"type": "category"}, "sex": {"type": "category"}}})
    assert "both as a number and as a category" in found["variables.age"]


def test_a_declared_variable_that_nobody_reads_is_a_mistake():
    assert "no method and no condition" in mistakes({**WHOLE, "variables": {"agee": {"unit": "a"}}})["variables.agee"]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"type": "number", "levels": [1]}, "levels belong to a category"),
        ({"range": [9, 3]}, "the smaller first"),
        ({"levels": [1, 1.0]}, "differ"),
    ],
)
def test_a_declaration_must_make_sense(declared, expected):
    found = mistakes({**WHOLE, "variables": {"age": declared}})
    assert expected in " ".join(found.values())


def test_sites_have_names_that_differ_and_are_safe():
    assert "repeated: a" in " ".join(mistakes({**WHOLE, "participants": {"sites": ["a", "a"]}}).values())
    assert "cannot name a site" in " ".join(mistakes({**WHOLE, "participants": {"sites": ["../x"]}}).values())


def test_protection_that_is_not_built_is_refused_rather_than_ignored():
    assert "protection.sum" in mistakes({**WHOLE, "protection": {"sum": "whispered"}})


def test_a_file_that_is_not_toml_or_not_there_is_said(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        Study.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[study\n")
    with pytest.raises(StudyError, match="not TOML"):
        Study.read(tmp_path / "bad.toml")
    (tmp_path / "chinese.toml").write_text("[variables.年龄]\n", encoding="utf-8")
    with pytest.raises(StudyError, match="in quotes"):
        Study.read(tmp_path / "chinese.toml")
    (tmp_path / "latin.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(StudyError, match="not UTF-8"):
        Study.read(tmp_path / "latin.toml")


def test_the_template_and_the_demos_are_valid_studies(tmp_path):
    for package, name in (("huizhen.cli", "study_template.toml"), ("huizhen.embedded", "demo_studies/lung.toml")):
        path = tmp_path / "study.toml"
        path.write_text((files(package) / name).read_text(encoding="utf-8"), encoding="utf-8")
        assert Study.read(path).analyses


AVERAGING = {"network": "resnet", "image": "scan", "outcome": "status"}


def averaging(**more):
    return {**WHOLE, "variables": {"scan": {"shape": [1, 28, 28]}}, "cohort": {}, "method": {"averaging": {**AVERAGING, **more}}}


def test_a_network_that_is_not_known_is_a_mistake_of_the_study_with_the_close_name():
    found = mistakes({**averaging(network="resnt", rounds=0), "participants": {"quorum": 0}})
    assert set(found) == {"method.averaging.network", "method.averaging.rounds", "participants.quorum"}
    said = found["method.averaging.network"]
    assert "found 'resnt', expected one of: densenet, logistic, mlp" in said
    assert said.endswith("Did you mean resnet?")


@pytest.mark.parametrize(
    ("network", "settings", "where", "said"),
    [
        ("resnet", {"depht": 18}, "depht", "a key that is not known, expected one of: depth, norm, stem. Did you mean depth?"),
        ("resnet", {"depth": 20}, "depth", "found 20, expected 18, 34, 50, 101 or 152"),
        ("small_cnn", {"widths": [4, 0]}, "widths[2]", "found 0, expected greater than or equal to 1"),
        ("swin", {"heads": [3]}, "", "heads: one number for each stage"),
        ("logistic", {"widths": [3]}, "widths", "a key that is not known, expected one of: none"),
    ],
)
def test_settings_of_a_network_are_mistakes_of_the_study_each_with_its_key(network, settings, where, said):
    found = mistakes(averaging(network=network, settings=settings, rounds=0))
    key = "method.averaging.settings" + (f".{where}" if where else "")
    assert set(found) == {key, "method.averaging.rounds"}
    assert said in found[key]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "", "covariates": ["age"]}, "found resnet with covariates, expected one that reads a row of features"),
        ({"network": "unet"}, "found unet for classification, expected a network that gives outputs for a row"),
        ({"task": "segmentation"}, "found resnet for segmentation, expected a network that gives outputs for every pixel"),
    ],
)
def test_a_network_that_suits_neither_inputs_nor_task_is_a_mistake_of_the_study(change, said):
    study = averaging(**change)
    study["variables"] = {}
    assert said in mistakes(study)["method.averaging"]


WITHOUT_TORCH = """
import sys

class Nowhere:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "monai"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nowhere)
from huizhen.errors import StudyError
from huizhen.extension import installed
from huizhen.federation.study import Study

for name in installed("huizhen.networks"):
    settings = {"network": name, "settings": {"depht": 1}, "image": "scan", "outcome": "y"}
    try:
        Study.parse({"method": {"averaging": settings}})
    except StudyError as error:
        print(name, *(each.where for each in error.problems))
"""


def test_a_study_of_networks_is_checked_where_torch_is_not_installed():
    said = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [f"{name} method.averaging.settings.depht" for name in installed("huizhen.networks")]
