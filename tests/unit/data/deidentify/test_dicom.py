"""DICOM headers by the Basic Profile and its options; no marked value stays anywhere in a file."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest

from huizhen.data.deidentify.burnt import border_has_text, burnt_in
from huizhen.data.deidentify.dicom import deidentify
from huizhen.data.deidentify.folders import deidentify_folder
from huizhen.data.deidentify.profile import OPTIONS, Profile, actions_of, profile_of
from huizhen.data.deidentify.regions import blanked, fitting
from huizhen.data.deidentify.secret import Secret
from huizhen.errors import SiteError

pydicom = pytest.importorskip("pydicom", reason="pydicom is missing. Install it: pip install 'huizhen[deidentify]'")
SHARED = Path(__file__).resolve().parents[5] / "shared" / "data" / "ct_dicom"
SECRET = Secret(b"a" * 32)
MARK = "QZXMARK"
DUMMY = {"DA": "20240517", "TM": "101112", "DT": "20240517101112", "AS": "057Y", "IS": "7041", "DS": "7041.5", "UI": "1.2.3.7041"}


def marked() -> pydicom.Dataset:
    """A file whose every attribute of the profile's table holds a marked value."""
    dataset = pydicom.Dataset()
    for tag in actions_of(()):
        if tag >> 16 in (0x0000, 0x0002, 0x0004) or tag in (0xFFFAFFFA, 0xFFFCFFFC):
            continue
        try:
            vr = pydicom.datadict.dictionary_VR(tag).split(" ")[0]
        except KeyError:
            continue
        if vr == "SQ":
            item = pydicom.Dataset()
            item.PatientName = MARK
            item.StudyDescription = MARK
            item.add_new(0x00091001, "LO", MARK)
            dataset.add_new(tag, vr, [item])
        elif vr in ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "CS", "AE", "UR"):
            dataset.add_new(tag, vr, MARK)
        elif vr in DUMMY:
            dataset.add_new(tag, vr, DUMMY[vr])
        elif vr in ("OB", "OW", "UN"):
            dataset.add_new(tag, vr, MARK.encode() + b" ")
    dataset.add_new(0x00091001, "LO", MARK)  # private
    dataset.add_new(0x50000010, "OW", MARK.encode() + b" ")  # a curve
    dataset.add_new(0x60003000, "OW", MARK.encode() + b" ")  # an overlay
    dataset.add_new(0x00189999, "LO", MARK)  # no attribute of the standard
    dataset.PerformedLocation = ""
    dataset.PersonName = MARK  # of a person, and in no table
    dataset.Modality, dataset.Rows, dataset.SOPClassUID = "CT", 2, "1.2.840.10008.5.1.4.1.1.2"
    dataset.PatientID = f"{MARK}1"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.SourceApplicationEntityTitle = MARK
    return dataset


def written(dataset: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def read(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


@pytest.fixture
def file() -> pydicom.Dataset:
    return read(written(marked()))


def test_no_marked_value_stays_in_a_file_of_the_basic_profile(file):
    before = written(file)
    assert before.count(MARK.encode()) > 300
    found = deidentify(file, Profile(), SECRET)
    after = written(file)
    assert MARK.encode() not in after
    assert b"1.2.3.7041" not in after
    assert b"20240517" not in after
    assert found.counts["removed"] > 300
    assert MARK not in str(found)


def test_what_the_profile_does_not_name_stays(file):
    deidentify(file, Profile(), SECRET)
    assert (file.Modality, file.Rows, file.SOPClassUID) == ("CT", 2, "1.2.840.10008.5.1.4.1.1.2")


def test_the_marks_of_the_standard_say_what_was_done(file):
    deidentify(file, Profile(("device", "modified dates")), SECRET)
    assert file.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in file.DeidentificationMethodCodeSequence] == ["113100", "113107", "113109"]
    assert file.LongitudinalTemporalInformationModified == "MODIFIED"


def test_uids_are_the_same_in_all_files_of_a_site_and_refer_to_each_other(file):
    other = copy.deepcopy(file)
    deidentify(file, Profile(), SECRET)
    deidentify(other, Profile(), SECRET)
    assert file.StudyInstanceUID == other.StudyInstanceUID == SECRET.uid("1.2.3.7041")
    assert file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID
    assert pydicom.uid.UID(file.SOPInstanceUID).is_valid
    assert Secret(b"b" * 32).uid("1.2.3.7041") != file.StudyInstanceUID


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_the_library_warns_of_is_not_told(caplog, recwarn):
    dataset = marked()
    dataset.add_new(0x00080020, "DA", MARK)
    dataset.add_new(0x0008002A, "DT", MARK)
    content = written(dataset)
    caplog.clear()
    recwarn.clear()
    file = read(content)
    deidentify(file, Profile(("modified dates", "descriptors")), SECRET)
    assert MARK not in caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert file.StudyDate == ""


def test_a_patient_has_one_pseudonym(file):
    deidentify(file, Profile(), SECRET)
    assert file.PatientID == str(file.PatientName) == SECRET.pseudonym("patient", f"{MARK}1")


@pytest.mark.parametrize(
    ("option", "keyword", "value"),
    [
        ("uids", "StudyInstanceUID", "1.2.3.7041"),
        ("device", "StationName", MARK),
        ("institution", "InstitutionName", MARK),
        ("patient", "PatientSex", MARK),
        ("full dates", "StudyDate", "20240517"),
    ],
)
def test_an_option_retains_what_it_names_and_the_basic_profile_does_not(file, option, keyword, value):
    basic = copy.deepcopy(file)
    deidentify(file, Profile((option,)), SECRET)
    deidentify(basic, Profile(), SECRET)
    assert file.get(keyword) == value
    assert basic.get(keyword) != value


def test_modified_dates_keep_intervals_within_a_patient(file):
    file.SeriesDate = "20240520"
    deidentify(file, Profile(("modified dates",)), SECRET)
    study, series = (pydicom.valuerep.DA(file[name].value) for name in ("StudyDate", "SeriesDate"))
    assert (series - study).days == 3
    assert file.StudyDate != "20240517"


def test_clean_descriptors_keep_words_and_lose_names(file):
    file.StudyDescription = "Chest CT, referred by Dr. Smith"
    deidentify(file, Profile(("descriptors",)), SECRET)
    assert file.StudyDescription == "Chest CT, referred by Dr. <NAME>"


def test_the_table_of_the_standard_is_whole():
    basic = actions_of(())
    assert len(basic) > 640
    assert [basic[tag] for tag in (0x00100010, 0x00080018, 0x00081030, 0x00100040, 0x0040A730, 0x00080022)] == list("ZUXZDZ")
    assert set(basic.values()) == set("XZDU")
    for option in OPTIONS:
        assert actions_of((option,)) != basic


def test_settings_are_checked_whole():
    with pytest.raises(SiteError) as error:
        profile_of({"dicom": {"options": ["full dates", "modified dates"], "burnt_in": "ignore", "most_days": 0, "optoins": []}})
    assert {p.where for p in error.value.problems} == {f"dicom.{name}" for name in ("options", "burnt_in", "most_days", "optoins")}


@pytest.mark.parametrize(
    ("header", "is_flagged"),
    [
        ({"Modality": "US"}, True),
        ({"Modality": "CT"}, False),
        ({"Modality": "CT", "BurnedInAnnotation": "YES"}, True),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, False),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, True),
        ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "BurnedInAnnotation": "NO"}, True),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, True),
        ({"Modality": "MR", "RecognizableVisualFeatures": "YES"}, True),
    ],
)
def test_words_in_the_image_are_suspected_by_the_header(header, is_flagged):
    dataset = pydicom.Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    assert bool(burnt_in(dataset)) == is_flagged


def test_letters_at_the_border_are_seen_and_noise_is_not():
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(3)
    image = rng.normal(100, 20, (256, 256)).clip(0, 200).astype(np.uint8)
    assert not border_has_text(image)
    drawn = Image.fromarray(image)
    ImageDraw.Draw(drawn).text((8, 8), f"{MARK} 1957-03-04 M", fill=255)
    assert border_has_text(np.asarray(drawn))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="real data are not here")
def test_real_slices_keep_their_pixels_and_their_series():
    files = [pydicom.dcmread(path) for path in sorted(SHARED.glob("*.dcm"))]
    pixels = [file.pixel_array.copy() for file in files]
    old = {file.SeriesInstanceUID for file in files}
    assert not any(border_has_text(array) for array in pixels)
    for file in files:
        deidentify(file, Profile(), SECRET)
    after = [read(written(file)) for file in files]
    assert all((file.pixel_array == array).all() for file, array in zip(after, pixels))
    assert len({file.SeriesInstanceUID for file in after}) == len(old) == 1
    assert not old & {file.SeriesInstanceUID for file in after}


def picture(kind="MONOCHROME2", syntax=None, *, shape=(40, 60), dtype="u1", frames=1, planar=0, **header):
    """An ultrasound picture with a bright line of letters at the top, and its pixels."""
    dataset = pydicom.Dataset()
    samples = 3 if kind == "RGB" else 1
    full = (frames, samples, *shape) if planar else (frames, *shape, samples)
    pixels = np.full(full, 90, dtype)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax or pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.Modality, dataset.Manufacturer = "1.2.840.10008.5.1.4.1.1.6.1", "US", "Acme"
    dataset.SOPInstanceUID, dataset.PatientID = "1.2.3", "4711"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = *shape, samples, kind
    dataset.BitsAllocated = dataset.BitsStored = np.dtype(dtype).itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(np.dtype(dtype).kind == "i")
    if samples > 1:
        dataset.PlanarConfiguration = planar
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = pixels.tobytes()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return dataset


BLANK = {"modality": "US", "manufacturer": "ACME", "rows": 40, "columns": 60, "boxes": [[0, 5, 10, 50], [38, 0, 2, 60]]}


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"kind": "RGB"},
        {"kind": "RGB", "planar": 1},
        {"frames": 3},
        {"dtype": "u2"},
        {"dtype": "i2"},
        {"kind": "RGB", "frames": 2},
    ],
)
def test_declared_boxes_are_black_in_every_frame_and_nothing_else_changes(how):
    (region,) = profile_of({"dicom": {"blank": [BLANK]}}).blank
    dataset = picture(**how)
    values = np.frombuffer(bytearray(dataset.PixelData), how.get("dtype", "u1")).copy()
    values[0] = 7  # the darkest, outside of the boxes
    dataset.PixelData = values.tobytes()
    before = dataset.pixel_array.reshape(how.get("frames", 1), 40, 60, -1).copy()
    assert fitting(dataset, (region,)) is region
    assert blanked(dataset, region)
    after = dataset.pixel_array.reshape(before.shape)
    inside = np.zeros((40, 60), bool)
    inside[0:10, 5:55] = inside[38:40] = True
    assert (after[:, ~inside] == before[:, ~inside]).all()
    assert (after[:, inside] == (0 if how.get("kind") == "RGB" else 7)).all()
    assert dataset.BurnedInAnnotation == "NO"


@pytest.mark.parametrize("other", [{"Manufacturer": "Other"}, {"Rows": 41}, {"Modality": "CT"}])
def test_a_file_of_another_machine_or_size_fits_no_declaration(other):
    assert fitting(picture(**other), profile_of({"dicom": {"blank": [BLANK]}}).blank) is None


def test_pixels_that_are_packed_or_cut_off_are_not_blanked():
    (region,) = profile_of({"dicom": {"blank": [BLANK]}}).blank
    assert not blanked(picture(syntax=pydicom.uid.JPEG2000Lossless), region)
    assert not blanked(picture(PixelData=b"\0" * 10), region)
    assert not blanked(picture(PhotometricInterpretation="YBR_FULL"), region)


def test_a_folder_counts_what_was_blanked_and_sets_aside_what_cannot_be(tmp_path):
    (tmp_path / "in").mkdir()
    picture().save_as(tmp_path / "in" / "a", enforce_file_format=True)
    packed = picture(SOPInstanceUID="1.2.4")
    packed.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    packed.save_as(tmp_path / "in" / "b", enforce_file_format=True)
    picture(Manufacturer="Other", SOPInstanceUID="1.2.5").save_as(tmp_path / "in" / "c", enforce_file_format=True)
    done = deidentify_folder(tmp_path / "in", tmp_path / "out", {"dicom": {"blank": [BLANK]}}, SECRET)
    assert (done.units, done.kept) == (3, 1)
    assert done.counts["DICOM", "regions blanked"] == 2
    assert dict(done.notes) == {
        "regions to be blanked, in pixels that are packed": 1,
        "a kind of image that often has words": 1,
    }
    (out,) = (tmp_path / "out").iterdir()
    file = pydicom.dcmread(out)
    assert file.pixel_array[5, 30] == 90  # all is 90: the darkest is black
    assert file.BurnedInAnnotation == "NO"
    assert [item.CodeValue for item in file.DeidentificationMethodCodeSequence] == ["113100", "113101"]


def test_declared_boxes_are_checked_whole():
    wrong = {"rows": 40, "columns": 60, "boxes": [[0, 50, 10, 50]], "modelx": "A", "model": ""}
    with pytest.raises(SiteError) as error:
        profile_of({"dicom": {"blank": [wrong]}})
    assert [p.where.removeprefix("dicom.blank[1]") for p in error.value.problems] == [".modelx", ".model", ".boxes", ""]
    with pytest.raises(SiteError, match="the size of the image in pixels"):
        profile_of({"dicom": {"blank": [{**BLANK, "rows": 0}]}})


def test_cleaned_content_and_graphics_keep_their_words_and_lose_names():
    def content():
        dataset = picture()
        item, drawn = pydicom.Dataset(), pydicom.Dataset()
        item.ValueType, item.TextValue = "TEXT", "Nodule of 8 mm, seen by Dr. Smith"
        dataset.ContentSequence = [item]
        drawn.GraphicData = [1.5, 2.5]
        dataset.GraphicAnnotationSequence = [drawn]
        return read(written(dataset))

    cleaned = content()
    deidentify(cleaned, Profile(("structured", "graphics")), SECRET)
    assert cleaned.ContentSequence[0].TextValue == "Nodule of 8 mm, seen by Dr. <NAME>"
    assert cleaned.GraphicAnnotationSequence[0].GraphicData == [1.5, 2.5]
    assert [item.CodeValue for item in cleaned.DeidentificationMethodCodeSequence] == ["113100", "113103", "113104"]
    basic = content()
    deidentify(basic, Profile(), SECRET)
    assert basic.ContentSequence[0].TextValue == "Removed"
    assert basic.GraphicAnnotationSequence[0].GraphicData == 0.0
