"""A hospital de-identifies a table, reports and images on its command line; what is marked appears nowhere."""

from __future__ import annotations

import csv
import json
import logging

import pytest

from huizhen.cli.app import main
from huizhen.data.deidentify.files import deidentify_table
from huizhen.data.deidentify.secret import Secret
from huizhen.errors import HuizhenError

MARK = "Qzxmark"
RULES = """
[deidentify]
patient = "id"
most_days = 60
[column.id]
rule = "pseudonym"
[column.name]
rule = "drop"
[column.age]
rule = "age"
[column.admitted]
rule = "shift"
[column.discharged]
rule = "shift"
[column.note]
rule = "text"
[text]
known = ["name"]
dates = "shift"
[anonymity]
k = 2
suppress = 0.5
[anonymity.column.age]
groups = [{ adult = ["20-29", "30-39", "40-49"] }]
"""


def huizhen(*words, monkeypatch, capsys):
    """Runs the console script; its exit code and all that it printed."""
    monkeypatch.setattr("sys.argv", ["huizhen", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    return end.value.code or 0, told.out + told.err


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    rows = [
        ("1", f"{MARK} One", "34", "2024-05-17", "2024-05-20", f"{MARK} one was well on 2024-05-18"),
        ("2", f"{MARK} Two", "47", "2024-01-01", "2024-01-31", "患者今日出院"),
        ("3", f"{MARK} Three", "95", "2023-02-31", "2023-03-01", f"Dr. {MARK} Three called 13912345678"),
    ]
    with (tmp_path / "stays.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "name", "age", "admitted", "discharged", "note"), *rows])
    (tmp_path / "rules.toml").write_text(RULES)
    assert huizhen("data", "key", tmp_path / "key", monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    return tmp_path


def deidentify(folder, source, *words, monkeypatch, capsys):
    options = ("--rules", folder / "rules.toml", "--key", folder / "key", *words)
    return huizhen("data", "deidentify", folder / source, *options, monkeypatch=monkeypatch, capsys=capsys)


def test_a_table_goes_in_and_a_table_without_identifiers_comes_out(folder, monkeypatch, capsys):
    code, told = deidentify(folder, "stays.csv", "--out", folder / "out.csv", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0, told
    written = (folder / "out.csv").read_text()
    assert MARK.lower() not in (written + told).lower()
    rows = list(csv.DictReader(written.splitlines()))
    assert list(rows[0]) == ["id", "age", "admitted", "discharged", "note"]
    assert [row["age"] for row in rows] == ["adult", "adult"]  # the patient of 90 or more would be alone
    assert (folder / "out.csv").stat().st_mode & 0o777 == 0o600
    assert "k = 2 (it was 1)" in told


def test_a_preview_counts_and_writes_nothing(folder, monkeypatch, capsys):
    before = sorted(folder.iterdir())
    code, told = deidentify(folder, "stays.csv", "--preview", "--json", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0, told
    facts = json.loads(told)
    assert (facts["read"], facts["written"], facts["anonymity"]["k"]) == (3, 2, 2)
    assert {"where": "admitted", "what": "unreadable", "count": 1} in facts["counts"]
    assert sorted(folder.iterdir()) == before


def test_reports_lose_names_in_their_text_and_in_their_file_names(folder, monkeypatch, capsys):
    reports = folder / "reports"
    reports.mkdir()
    (reports / f"{MARK}.txt").write_text(f"Patient Name: {MARK} One\nMRN: 4711000", encoding="utf-8")
    (reports / "second.txt").write_bytes("姓名：王小明，手机13912345678".encode("gb18030"))
    (reports / "third.txt").write_bytes(b"\xff\xff\xff")
    code, told = deidentify(folder, "reports", "--out", folder / "clean", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0, told
    texts = sorted(path.read_text(encoding="utf-8") for path in (folder / "clean").iterdir())
    assert texts == ["Patient Name: <NAME>\nMRN: <RECORD>", "姓名：<NAME>，手机<PHONE>"]
    assert MARK not in told + "".join(path.name for path in (folder / "clean").iterdir())
    assert "1 x no text in UTF-8 or GB18030" in told


def test_dicom_files_are_renamed_and_those_with_words_in_the_image_are_set_aside(folder, monkeypatch, capsys):
    pydicom = pytest.importorskip("pydicom", reason="pydicom is missing. Install it: pip install 'huizhen[deidentify]'")
    images = folder / "images"
    images.mkdir()
    for at, modality in enumerate(("CT", "US")):
        dataset = pydicom.Dataset()
        dataset.PatientName, dataset.PatientID, dataset.Modality = MARK, MARK, modality
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.{at}"
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.save_as(images / f"{MARK}{at}.dcm", enforce_file_format=True)
    (images / "broken.dcm").write_bytes(b"no DICOM")
    code, told = deidentify(folder, "images", "--out", folder / "clean", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0, told
    (only,) = (folder / "clean").iterdir()
    assert MARK.encode() not in only.read_bytes()
    assert only.stem == pydicom.dcmread(only).SOPInstanceUID
    assert "1 x a kind of image that often has words" in told
    assert "1 x no DICOM file that can be read" in told
    assert MARK not in told


@pytest.mark.parametrize(
    ("rules", "table"),
    [
        ("", f"name,age\n{MARK},3\n"),
        (RULES, f"id,name\n1,{MARK}\n"),
        (RULES, f"id,name,age,admitted,discharged,note\n1,{MARK}\n"),
        (RULES, f'id,name,age,admitted,discharged,note\n1,"{MARK},2,3,4,5\n'),
        (RULES.replace("k = 2", "k = 9").replace("0.5", "0"), f"id,name,age,admitted,discharged,note\n1,{MARK},x,y,z,{MARK}\n"),
    ],
)
def test_no_error_tells_a_marked_value_and_nothing_half_done_is_left(folder, rules, table, monkeypatch, capsys):
    (folder / "stays.csv").write_text(table)
    (folder / "rules.toml").write_text(rules)
    before = sorted(folder.iterdir())
    for words in ((), ("--lang", "zh")):
        monkeypatch.setattr("sys.argv", [])
        options = ("--rules", folder / "rules.toml", "--key", folder / "key", "--out", folder / "out.csv")
        call = (*words, "data", "deidentify", folder / "stays.csv", *options)
        code, told = huizhen(*call, monkeypatch=monkeypatch, capsys=capsys)
        assert code == 2
        assert MARK not in told
    assert sorted(folder.iterdir()) == before


def test_no_exception_and_no_log_line_holds_a_marked_value(folder, caplog):
    (folder / "bad.csv").write_text(f"id,name\n{MARK},{MARK}\n{MARK}\n")
    rules = {"column": {"id": {"rule": "pseudonym"}, "name": {"rule": "text"}}}
    with caplog.at_level(logging.DEBUG), pytest.raises(HuizhenError) as error:
        deidentify_table(folder / "bad.csv", folder / "out.csv", rules, Secret(bytes(32)))
    chain = [error.value, error.value.__cause__, error.value.__context__]
    assert MARK not in "".join(map(repr, chain)) + caplog.text


def test_the_same_rows_in_a_parquet_file_give_the_same_table(folder, monkeypatch, capsys):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.read_csv(folder / "stays.csv", dtype=str).to_parquet(folder / "stays.parquet")
    for source, out in (("stays.csv", "a.csv"), ("stays.parquet", "b.csv")):
        assert deidentify(folder, source, "--out", folder / out, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    assert (folder / "a.csv").read_text() == (folder / "b.csv").read_text()


def test_both_or_neither_of_out_and_preview_is_refused(folder, monkeypatch, capsys):
    code, told = deidentify(folder, "stays.csv", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "neither --out nor --preview" in told
