"""What de-identification finds, and what it costs: planted identifiers by category and language, DICOM headers, a table's rows."""

from __future__ import annotations

import io
import time
from random import Random

import pytest

import plantednames
import plantednames_people
import plantedreports
from huizhen.data.deidentify.hierarchy import goal_of
from huizhen.data.deidentify.lattice import reach
from huizhen.data.deidentify.names_zh import STRICT, USUAL, names_zh
from huizhen.data.deidentify.profile import Profile
from huizhen.data.deidentify.rules import Plan, Rule, TextPlan
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.spans import without_overlap
from huizhen.data.deidentify.structured import applied
from huizhen.data.deidentify.text import find

SECRET = Secret(bytes(32))
OTHERS = TextPlan(categories=("id", "phone", "address", "record", "email", "date"))
REPORTS, FILES, ROWS = 1200, 600, 50_000


@pytest.mark.parametrize("sentences", ["first", "later", "unseen"])
@pytest.mark.parametrize("surnames", ["rare", "common"])
def test_planted_identifiers(sentences, surnames, monkeypatch):
    if surnames == "common":
        monkeypatch.setattr(plantedreports.zh_name, "__defaults__", (plantedreports.ZH_COMMON,))
    made = plantedreports.reports(REPORTS, seed=5, sentences=sentences)
    before = time.process_time()
    for report in made:
        find(report.text)
    spent = time.process_time() - before
    table = plantedreports.scores(made, find)
    speed = sum(len(report.text) for report in made) / spent / 1e6
    print(f"\n{sentences} sentences, {surnames} surnames: {speed:.2f} million characters a second")
    for (language, category), score in sorted(table.items()):
        print(f"  {language} {category:8s} {score.planted:5d}  recall {score.recall:.3f}  precision {score.precision:.3f}")
    if sentences != "unseen":
        assert all(score.recall > 0.98 and score.precision > 0.90 for score in table.values())


@pytest.mark.parametrize("name", ["judged_1", "judged_2", "judged_3", "judged_4", "judged_5"])
def test_chinese_names_in_sentences_that_were_not_worked_on(name):
    """By mode, report and sort: n common surname, p withheld, s 王 of 王主任, o 老王, m of a minority or from abroad, w apart."""
    made = plantednames_people.judged(name, 12, seed=1)
    everything = [sentence for sentences in made.values() for sentence in sentences]
    characters = sum(len(sentence.text) for sentence in everything)
    for mode, least in (("usual", USUAL), ("strict", STRICT)):

        def marks(text: str, least: float = least) -> list[tuple[int, int]]:
            named = [*find(text, OTHERS), *names_zh(text, least, plantednames_people.WITHHELD)]
            return [(span.begins, span.ends) for span in without_overlap(named) if span.category == "name"]

        before = time.process_time()
        table = plantednames.tally(everything, marks)
        speed = characters / (time.process_time() - before) / 1e6
        score = table["all"]
        print(
            f"\n{name}, {mode}: recall {score.recall:.3f}, precision {score.precision:.3f}, {speed:.3f} million characters a second"
        )
        print("  " + "  ".join(f"{sort} {each.recall:.3f} of {each.planted}" for sort, each in table.items()))
        for kind, sentences in made.items():
            score = plantednames.tally(sentences, marks)["all"]
            print(f"  {kind:16s} recall {score.recall:.3f} precision {score.precision:.3f} of {score.planted}")
        nameless = made["nameless"]
        wrong = sum(len(marks(sentence.text)) for sentence in nameless)
        print(f"  {1000 * wrong / sum(len(sentence.text) for sentence in nameless):.1f} marks in 1,000 characters without names")


def header(pydicom, at: int) -> bytes:
    """A CT file as scanners write it: some 90 attributes, private ones, a sequence, a small image."""
    random, dataset = Random(at), pydicom.Dataset()
    for keyword in (
        "PatientName", "PatientID", "InstitutionName", "StationName", "StudyDescription", "SeriesDescription",
        "ReferringPhysicianName",
        "AccessionNumber", "Manufacturer", "ManufacturerModelName", "ProtocolName", "OperatorsName", "PerformingPhysicianName",
        "InstitutionAddress", "PatientAddress", "StudyID", "DeviceSerialNumber", "RequestedProcedureDescription", "PatientComments",
    ):  # fmt: skip
        setattr(dataset, keyword, f"Text {at}")
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "PatientBirthDate", "InstanceCreationDate"):
        setattr(dataset, keyword, "20240517")
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime"):
        setattr(dataset, keyword, "101112")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, f"1.2.3.{at}.{random.randint(1, 999)}")
    for keyword in (
        "SliceThickness", "KVP", "DataCollectionDiameter", "ReconstructionDiameter", "DistanceSourceToDetector",
        "GantryDetectorTilt",
        "TableHeight", "SliceLocation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "SpiralPitchFactor",
    ):  # fmt: skip
        setattr(dataset, keyword, 1.5)
    for offset in range(20):
        dataset.add_new(0x00191001 + offset, "LO", "private")
    item = pydicom.Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.9"
    dataset.ReferencedImageSequence = [item]
    dataset.Modality, dataset.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"
    dataset.Rows = dataset.Columns = 64
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.HighBit = 15
    dataset.PixelData = bytes(2 * 64 * 64)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_dicom_headers():
    pydicom = pytest.importorskip("pydicom", reason="pydicom is missing. Install it: pip install 'huizhen[deidentify]'")
    from huizhen.data.deidentify.dicom import deidentify

    files = [header(pydicom, at) for at in range(FILES)]
    spent = {}
    for name, treat in (("read and write alone", False), ("de-identified", True)):
        before = time.process_time()
        for content in files:
            dataset = pydicom.dcmread(io.BytesIO(content))
            if treat:
                deidentify(dataset, Profile(("modified dates",)), SECRET)
            dataset.save_as(io.BytesIO())
        spent[name] = time.process_time() - before
        print(f"\n{name}: {FILES / spent[name]:.0f} files a second of processor time")
    dataset = [pydicom.dcmread(io.BytesIO(content)) for content in files]
    before = time.process_time()
    for each in dataset:
        deidentify(each, Profile(("modified dates",)), SECRET)
    print(f"headers alone, in memory: {FILES / (time.process_time() - before):.0f} a second of processor time")
    assert FILES / spent["de-identified"] >= 500


def test_rows_of_a_table():
    plan = Plan(
        {
            "id": Rule("pseudonym", purpose="id"),
            "age": Rule("age"),
            "sex": Rule("keep"),
            "day": Rule("shift"),
            "weight": Rule("bin"),
        },
        "id",
    )
    rows = [{"id": f"P{at % 999}", "age": str(at % 99), "sex": "F", "day": "2024-05-17", "weight": "71.5"} for at in range(ROWS)]
    before = time.process_time()
    for row in rows:
        applied(row, plan, SECRET)
    print(f"\n{ROWS / (time.process_time() - before):.0f} rows of 5 columns a second of processor time")


def test_a_table_made_anonymous():
    random = Random(1)
    table = {
        "age": [str(random.randint(18, 95)) for _ in range(100_000)],
        "postcode": [f"{random.randint(100, 140)}{random.randint(0, 99):02d}" for _ in range(100_000)],
        "sex": [random.choice("FM") for _ in range(100_000)],
        "day": [f"2023-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}" for _ in range(100_000)],
        "diagnosis": [random.choice("abcd") for _ in range(100_000)],
    }
    columns = {
        "age": {"bands": [5, 10, 20, 40]},
        "postcode": {"prefix": [4, 3, 2, 1]},
        "sex": {},
        "day": {"dates": ["month", "quarter", "year"]},
    }
    goal = goal_of({"anonymity": {"k": 5, "l": 2, "sensitive": "diagnosis", "suppress": 0.01, "column": columns}})
    before = time.process_time()
    found = reach(table, goal)
    spent = time.process_time() - before
    print(
        f"\n100,000 rows to k = {found.after.k}: {spent:.1f} s, {found.tried} of 300 combinations looked at, loss {found.loss:.3f}"
    )
    assert found.tried < 100
