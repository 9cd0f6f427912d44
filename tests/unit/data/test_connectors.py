"""Whatever a source holds, what can be understood becomes events, the rest is counted, and no value is told."""

from __future__ import annotations

import gzip
import json
import struct
import threading
import zipfile
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from huizhen.data.connectors import files
from huizhen.data.connectors.moments import moment, written_moment
from huizhen.data.events.store import Registry
from huizhen.errors import SiteError
from registries import bundle, observation, records, rows, synced


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "source"
    place.mkdir()
    return place


def fhir(registry, folder, **resources):
    for name, content in resources.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return synced(registry, folder, kind="fhir", path=".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-02-01T08:00:00+08:00", datetime(2020, 2, 1)),
        ("2020-02-01", datetime(2020, 2, 1)),
        ("2020/2/1", datetime(2020, 2, 1)),
        ("2020年2月1日", datetime(2020, 2, 1)),
        ("2020", datetime(2020, 1, 1)),
    ],
)
def test_a_time_is_read_as_it_is_written_in_utc(text, expected):
    assert written_moment(text) == expected


@pytest.mark.parametrize("text", ["2020-02-31", "2020/2/31", "2020-13", "yesterday", ""])
def test_a_time_that_does_not_exist_is_none(text):
    with pytest.raises(ValueError):
        moment(text)


# --- FHIR ----------------------------------------------------------------------------------------------------------------------


def test_an_observation_is_one_event_and_its_components_are_parts_of_it(registry, folder):
    component = {
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "valueQuantity": {"value": 120, "unit": "mmHg"},
    }
    fhir(registry, folder, a=bundle(observation(1, component=[component])))
    assert records(registry) == [
        ("p", "measurement", "2160-0", 1.5, None, "Observation/o1"),
        ("p", "measurement", "8480-6", 120.0, None, "Observation/o1#1"),
    ]
    assert rows(registry, "select distinct begins from events") == [(datetime(2020, 2, 1),)]


def test_a_second_sync_opens_only_the_files_that_changed(registry, folder):
    fhir(registry, folder, a=bundle(observation(1)), b=bundle(observation(2)))
    report = fhir(registry, folder, b=bundle(observation(2), observation(33)))
    assert (report.read, report.new, report.same) == (2, 1, 1)


def test_a_truncated_bundle_is_counted_and_read_once_it_is_whole(registry, folder):
    whole = json.dumps(bundle(observation(1), observation(2)))
    (folder / "cut.json").write_text(whole[: len(whole) // 2])
    with gzip.open(folder / "cut.json.gz", "wb") as file:
        file.write(whole.encode())
    packed = (folder / "cut.json.gz").read_bytes()
    (folder / "cut.json.gz").write_bytes(packed[:-20])
    report = fhir(registry, folder, good=bundle(observation(3)))
    assert sum(report.refused.values()) == 2
    assert [record for *_, record in records(registry)] == ["Observation/o3"]
    (folder / "cut.json").write_text(whole)
    assert synced(registry, folder, kind="fhir", path=".").new == 2


def test_a_line_of_bulk_data_that_is_cut_off_costs_no_other_line(registry, folder):
    lines = [json.dumps(observation(i)) for i in range(5)]
    (folder / "Observation.ndjson").write_text("\n".join([*lines, lines[0][:40]]))
    report = synced(registry, folder, kind="fhir", path=".")
    assert (report.new, dict(report.refused)) == (5, {"a line that is no whole JSON": 1})


def of_person(kind, number, **others):
    return {"resourceType": kind, "id": f"{kind[0].lower()}{number}", "patient": {"reference": "Patient/p"}, **others}


def coded(system, code):
    return {"coding": [{"system": system, "code": code}]}


def test_allergies_vaccines_reports_and_imaging_are_events_and_relatives_and_tubes_are_not(registry, folder):
    snomed, cvx = "http://snomed.info/sct", "http://hl7.org/fhir/sid/cvx"
    subject = {"subject": {"reference": "Patient/p"}}
    report = fhir(
        registry,
        folder,
        a=bundle(
            of_person("AllergyIntolerance", 1, code=coded(snomed, "91936005"), recordedDate="2019-03-04"),
            of_person("AllergyIntolerance", 2, code=coded(snomed, "1"), verificationStatus=coded("", "refuted")),
            of_person("Immunization", 1, status="completed", vaccineCode=coded(cvx, "207"), occurrenceDateTime="2021-05-06"),
            of_person("Immunization", 2, status="not-done", vaccineCode=coded(cvx, "207"), occurrenceDateTime="2021-05-06"),
            {"resourceType": "DiagnosticReport", "id": "d", **subject, "code": coded(snomed, "2"), "conclusion": "No nodule."},
            {"resourceType": "ImagingStudy", "id": "i", **subject, "modality": [{"code": "CT"}], "numberOfInstances": 88},
            {"resourceType": "ImagingStudy", "id": "j", **subject, "modality": [{"code": "CT"}, {"code": "PT"}]},
            of_person("FamilyMemberHistory", 1, status="completed", condition=[{"code": coded(snomed, "254637007")}]),
            {"resourceType": "Specimen", "id": "s", **subject},
            {"resourceType": "SECRET-kind", "id": "s", **subject},
        ),
    )
    assert rows(registry, "select kind, code, number, record from events order by record") == [
        ("condition", "91936005", None, "AllergyIntolerance/a1"),
        ("report", "2", None, "DiagnosticReport/d"),
        ("image", "CT", 88.0, "ImagingStudy/i#1"),
        ("image", "CT", None, "ImagingStudy/j#1"),
        ("image", "PT", None, "ImagingStudy/j#2"),
        ("drug", "207", None, "Immunization/i1"),
    ]
    assert dict(report.refused) == {
        "a diagnosis that was refuted or entered in error": 1,
        "something that was cancelled, not done or only planned": 1,
    }
    assert dict(report.notes) == {
        "a resource that is no event: FamilyMemberHistory": 1,
        "a resource that is no event: Specimen": 1,
        "a resource that is no event": 1,
    }


def test_what_was_to_be_done_and_then_was_not_is_taken_back(registry, folder):
    vaccine = of_person("Immunization", 1, vaccineCode=coded("http://hl7.org/fhir/sid/cvx", "207"), status="completed")
    assert fhir(registry, folder, a=bundle(vaccine)).new == 1
    assert fhir(registry, folder, a=bundle(vaccine | {"status": "not-done"})).removed == 1
    assert records(registry) == []


def test_gb18030_is_read_as_it_was_written(registry, folder):
    said = observation(1, valueQuantity=None)
    del said["valueQuantity"]
    said["valueString"] = "阳性"
    (folder / "a.json").write_bytes(json.dumps(bundle(said), ensure_ascii=False).encode("gb18030"))
    synced(registry, folder, kind="fhir", path=".")
    assert records(registry)[0][4] == "阳性"


def test_what_is_doubtful_is_kept_and_said_and_what_is_wrong_is_counted(registry, folder):
    strange = {"coding": [{"system": "http://example.org/ours", "code": "K1"}]}
    report = fhir(
        registry,
        folder,
        a=bundle(
            observation(1, valueQuantity={"value": 3}),
            observation(2, code=strange),
            observation(3, effectiveDateTime="2020-02-31"),
            observation(4, subject=None),
            observation(5, status="entered-in-error"),
            {"resourceType": "Claim", "id": "c"},
            "no resource",
            None,
            {"resourceType": "Observation", "id": "x", "code": "marked", "subject": {"reference": "Patient/p"}},
        ),
    )
    assert report.new == 2
    assert dict(report.notes) == {
        "a quantity without a unit": 1,
        "a code of a system that is not known: kept as it stands": 1,
        "a resource that is no event: Claim": 1,
    }
    assert sum(report.refused.values()) == 6
    assert "marked" not in repr(report)
    assert rows(registry, "select system, code from events where record = 'Observation/o2'") == [("http://example.org/ours", "K1")]


def test_references_in_a_circle_do_no_harm(registry, folder):
    def visit(name, other):
        part = {"reference": f"Encounter/{other}"}
        return {
            "resourceType": "Encounter",
            "id": name,
            "partOf": part,
            "subject": {"reference": "Patient/p"},
            "class": {"code": "AMB"},
        }

    drug = {"resourceType": "MedicationRequest", "id": "m", "subject": {"reference": "Patient/p"}}
    own = {"contained": [{"resourceType": "Medication", "id": "x"}], "medicationReference": {"reference": "#x"}}
    report = fhir(registry, folder, a=bundle(visit("a", "b"), visit("b", "a"), {**drug, **own}))
    assert report.new == 3


def test_brackets_without_end_and_a_packed_bomb_are_refused(registry, folder, monkeypatch):
    (folder / "deep.json").write_text("[" * 100_000)
    monkeypatch.setattr(files.content, "__defaults__", (1_000_000,))
    with gzip.open(folder / "bomb.json.gz", "wb") as file:
        file.write(b" " * 5_000_000)
    report = fhir(registry, folder, good=bundle(observation(1)))
    assert (report.new, sum(report.refused.values())) == (1, 2)
    assert "a file that is too large to be read as a whole" in report.refused


def test_a_deleted_entry_removes_a_person_with_the_death_that_was_part_of_it(registry, folder):
    person = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1950-05", "deceasedDateTime": "2020-01-01"}
    fhir(registry, folder, a=bundle(person))
    assert [(kind, text) for _, kind, _, _, text, _ in records(registry)] == [("person", "female"), ("death", None)]
    report = fhir(registry, folder, b={"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Patient/p"}}]})
    assert report.removed == 1
    assert records(registry) == []


@pytest.fixture
def server():
    """A FHIR server of observations, two on a page; `asked` holds the queries, `wrong` replaces the n-th answer."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            Answering.asked.append((self.path, self.headers.get("Authorization")))
            since = query.get("_lastUpdated", ["ge"])[0][2:]
            found = sorted(
                (one for one in self.resources if one["meta"]["lastUpdated"] >= since), key=lambda one: one["meta"]["lastUpdated"]
            )
            start = int(query.get("page", ["0"])[0])
            page = bundle(*found[start : start + 2], type="searchset")
            if start + 2 < len(found):
                page["link"] = [{"relation": "next", "url": f"{url.path}?{url.query.partition('&page')[0]}&page={start + 2}"}]
            raw = self.wrong.get(len(self.asked)) or json.dumps(page).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            pass

    Answering.resources, Answering.asked, Answering.wrong = [], [], {}
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    Answering.url = f"http://127.0.0.1:{listening.server_port}/fhir"
    yield Answering
    listening.shutdown()
    thread.join()
    listening.server_close()


def dated(number, second, **others):
    return observation(number, meta={"lastUpdated": f"2024-01-01T00:00:{second:02}Z"}, **others)


def asking(registry, folder, server):
    return synced(registry, folder, kind="fhir", url=server.url, types=["Observation"], token_file="token")


def test_a_server_is_read_page_by_page_and_then_asked_for_what_changed(registry, folder, server):
    (folder / "token").write_text("secret\n")
    server.resources = [dated(i, i) for i in range(5)]
    assert asking(registry, folder, server).new == 5
    assert {who for _, who in server.asked} == {"Bearer secret"}
    server.asked.clear()
    server.resources[1] = dated(1, 9, valueQuantity={"value": 9, "unit": "mg/dL"})
    report = asking(registry, folder, server)
    assert (report.changed, report.same) == (1, 1)
    assert len(server.asked) == 1
    assert rows(registry, "select number from events where record = 'Observation/o1'") == [(9.0,)]


def test_a_server_that_goes_away_between_pages_has_lost_nothing(registry, folder, server):
    (folder / "token").write_text("secret")
    server.resources = [dated(i, i) for i in range(5)]
    server.wrong = {2: b'{"resourceType": "Bundle", "entry": [{"res'}
    with pytest.raises(SiteError, match="cut off or no JSON"):
        asking(registry, folder, server)
    assert len(records(registry)) == 2
    assert (asking(registry, folder, server).new, len(records(registry))) == (3, 5)


@pytest.mark.parametrize(
    ("url", "found"), [("{url}/Observation?again", "in a circle"), ("http://localhost:1/fhir/Observation", "on another server")]
)
def test_pages_in_a_circle_or_elsewhere_are_not_followed(registry, folder, server, url, found):
    (folder / "token").write_text("secret")
    page = json.dumps(bundle(dated(1, 1), link=[{"relation": "next", "url": url.format(url=server.url)}])).encode()
    server.wrong = {1: page, 2: page, 3: page}
    with pytest.raises(SiteError, match=found):
        asking(registry, folder, server)


# --- tables --------------------------------------------------------------------------------------------------------------------


def table(registry, folder, **options):
    return synced(registry, folder, **{"kind": "table", "path": ".", "patient": "pid", "record": "id", **options})


def test_every_cell_of_a_table_is_an_event(registry, folder):
    (folder / "a.csv").write_text("pid;id;age;sex;code\n7;1;61,5;f;007\n8;2;?;m;\n", encoding="utf-8-sig")
    table(registry, folder)
    assert records(registry) == [
        ("7", "value", "age", None, "61,5", "1#age"),  # a decimal comma makes no number
        ("7", "value", "code", None, "007", "1#code"),
        ("7", "value", "sex", None, "f", "1#sex"),
        ("8", "value", "sex", None, "m", "2#sex"),
    ]


def test_a_row_may_be_one_event_with_code_value_and_unit(registry, folder):
    lines = ["pid\tid\t项目\t结果\t单位\t时间", "7\t1\t肌酐\t88\tumol/L\t2020/1/31 08:30", "7\t2\t钾\t4\t\t2020/2/31"]
    (folder / "a.tsv").write_bytes("\n".join([*lines, "7\t3\t钾\t4\t\t2020/2/1"]).encode("gb18030"))
    report = table(
        registry,
        folder,
        row="measurement",
        code="项目",
        value="结果",
        unit="单位",
        time="时间",
        system="LIS",
        time_zone="Asia/Shanghai",
    )
    assert dict(report.refused) == {"a time that cannot be read or does not exist": 1}
    assert dict(report.notes) == {"a number without a unit": 1}
    assert rows(registry, "select system, code, number, unit, begins from events where record = '1'") == [
        ("LIS", "肌酐", 88.0, "umol/L", datetime(2020, 1, 31, 0, 30))
    ]


def test_a_row_that_is_gone_from_a_table_is_gone_and_a_table_as_it_was_is_not_read(registry, folder):
    (folder / "a.csv").write_text("pid,id,age\n7,1,61\n8,2,62\n")
    table(registry, folder)
    assert table(registry, folder).read == 0
    (folder / "a.csv").write_text("pid,id,age\n8,2,63\n9,3,40\n")
    report = table(registry, folder)
    assert (report.new, report.changed, report.removed) == (1, 1, 1)


def test_columns_that_disappear_remove_nothing_and_new_ones_are_read(registry, folder):
    (folder / "a.csv").write_text("pid,id,age,sex\n7,1,61,f\n")
    table(registry, folder)
    (folder / "a.csv").write_text("pid,id,sex,height\n7,1,f,170\n")
    with pytest.raises(SiteError, match="no longer a column 'age'"):
        table(registry, folder)
    assert len(records(registry)) == 2
    (folder / "a.csv").write_text("pid,id,age,sex,height\n7,1,61,f,170\n")
    table(registry, folder)
    assert len(records(registry)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,age\n1,61\n", "no column 'pid'"),
        ("pid,id,age,age\n7,1,61,62\n", "columns 3, 4 with the same name"),
    ],
)
def test_a_table_without_the_columns_that_are_named_is_not_read(registry, folder, content, message):
    (folder / "a.csv").write_text(content)
    with pytest.raises(SiteError, match=message):
        table(registry, folder)


def test_rows_of_another_width_are_counted(registry, folder):
    (folder / "a.csv").write_text("pid,id,age\n7,1,61\n8,2\n9,3,40,marked\n,4,5\n")
    report = table(registry, folder)
    assert (report.read, report.new, sum(report.refused.values())) == (4, 1, 3)
    assert "marked" not in repr(report)


def test_bytes_that_are_no_text_are_said_and_change_nothing(registry, folder):
    (folder / "a.csv").write_bytes(b"pid,id,age\n7,1,\xff\xff\xff\n")
    with pytest.raises(SiteError, match="neither UTF-8 nor GB18030"):
        table(registry, folder)


def test_excel_and_parquet_are_tables_too(registry, folder, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    pandas = pytest.importorskip("pandas")
    book = openpyxl.Workbook()
    for row in (["pid", "id", "age", "seen"], [7, 1, 61.5, datetime(2020, 1, 31)], [8, 2, None, None]):
        book.active.append(row)
    book.save(folder / "a.xlsx")
    pandas.DataFrame({"pid": ["9"], "id": [3], "age": [40.0], "seen": [None]}).to_parquet(folder / "b.parquet")
    report = table(registry, folder, time="seen")
    assert (report.read, [row[:4] for row in records(registry)]) == (3, [("7", "value", "age", 61.5), ("9", "value", "age", 40.0)])


def test_a_workbook_that_is_a_zip_bomb_is_refused(registry, folder):
    pytest.importorskip("openpyxl")
    with zipfile.ZipFile(folder / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * 50_000_000)
    with pytest.raises(SiteError, match="unpacks to far more"):
        table(registry, folder)


# --- images and reports --------------------------------------------------------------------------------------------------------


def slice_of(path, uid="1.2.3", patient="p", rows=4, pixels=True, **others):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    header = pydicom.dataset.FileDataset(str(path), {}, file_meta=pydicom.dataset.FileMetaDataset(), preamble=b"\0" * 128)
    header.file_meta.TransferSyntaxUID, header.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    header.SOPClassUID, header.SOPInstanceUID, header.SeriesInstanceUID = CTImageStorage, "1.2.3.4", uid
    header.PatientID, header.Modality, header.Rows, header.Columns = patient, "CT", rows, 4
    header.SeriesDate, header.SeriesTime = "20200131", "083000.5"
    for name, value in others.items():
        setattr(header, name, value)
    if pixels:
        header.BitsAllocated = 16
        header.PixelData = b"\0" * (rows * 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def test_a_series_is_one_event_that_counts_its_images(registry, folder):
    for i in range(3):
        slice_of(folder / "x" / f"{i}.dcm")
    synced(registry, folder, kind="dicom", path=".")
    assert rows(registry, "select patient, system, code, number, text, begins from events") == [
        ("p", "DICOM", "CT", 3.0, "x", datetime(2020, 1, 31, 8, 30))
    ]
    slice_of(folder / "x" / "3.dcm")
    assert synced(registry, folder, kind="dicom", path=".").changed == 1
    assert rows(registry, "select number from events") == [(4.0,)]
    assert synced(registry, folder, kind="dicom", path=".").read == 0


def test_files_without_pixels_mixed_series_and_other_files_are_counted(registry, folder):
    slice_of(folder / "a" / "no.dcm", pixels=False)
    slice_of(folder / "b" / "1.dcm", patient="p")
    slice_of(folder / "b" / "2.dcm", patient="marked")
    slice_of(folder / "c" / "1.dcm", rows=4)
    slice_of(folder / "c" / "2.dcm", rows=8)
    slice_of(folder / "d" / "1.dcm", SeriesDate="20200231")
    (folder / "e.dcm").write_text("no image")
    cut = folder / "f.dcm"
    slice_of(cut)
    cut.write_bytes(cut.read_bytes()[:200])
    report = synced(registry, folder, kind="dicom", path=".")
    assert report.new == 1
    assert report.notes == {"a series with images of more than one size or modality: kept as one": 1}
    assert {
        "a DICOM file without pixel data",
        "a series with files of more than one patient",
        "a time that cannot be read or does not exist",
        "a file that is neither DICOM nor NIfTI",
    } <= set(report.refused)
    assert sum(report.refused.values()) == 5
    assert "marked" not in repr(report)


def test_nifti_volumes_belong_to_the_folder_that_they_are_in(registry, folder):
    header = bytearray(352)
    header[:4], header[40:56], header[344:348] = struct.pack("<i", 348), struct.pack("<8h", 3, 64, 64, 30, 1, 1, 1, 1), b"n+1\0"
    (folder / "p7").mkdir()
    with gzip.open(folder / "p7" / "t1.nii.gz", "wb") as file:
        file.write(bytes(header))
    pytest.importorskip("pydicom")
    synced(registry, folder, kind="dicom", path=".")
    assert rows(registry, "select patient, code, number, text from events") == [("p7", "NIfTI", 30.0, "p7/t1.nii.gz")]


def test_reports_are_read_by_what_their_names_say(registry, folder):
    (folder / "p1_2020-01-31.txt").write_bytes("胸部 CT：未见异常".encode("gb18030"))
    (folder / "p2_2020-02-31.txt").write_text("marked")
    (folder / "marked.txt").write_text("marked")
    report = synced(registry, folder, kind="reports", path=".", name="{patient}_{time}.txt", title="CT")
    assert (report.new, sum(report.refused.values())) == (1, 2)
    assert rows(registry, "select patient, code, text, begins from events") == [
        ("p1", "CT", "胸部 CT：未见异常", datetime(2020, 1, 31))
    ]
    assert "marked" not in repr(report)
