"""Connected series become images of a study: read, put in order, transformed as declared; what cannot be is told by its row."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from connectedscans import DICTIONARY, MAPPING, connected, nifti, scan
from huizhen.data.connectors.dicomvolume import dicom_volume, series_in
from huizhen.data.connectors.niftivolume import nifti_volume
from huizhen.data.connectors.volume import Unloadable, Volume
from huizhen.data.mapping.steps import Step
from huizhen.data.mapping.transforms import transform_of
from huizhen.data.records import open_source
from huizhen.errors import DataError
from huizhen.privacy.release import Variable

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("monai")
SHARED = Path(__file__).resolve().parents[3] / "../shared/data/ct_dicom"
ASKED = {"scan": Variable("image"), "cancer": Variable("number")}


def the_series(folder):
    ((_, files),) = series_in(folder).items()
    return files


def edited(path, **changes):
    header = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(header, name, value)
    header.save_as(path)


def test_slices_are_put_in_order_of_their_places_whatever_their_files_are_called(tmp_path):
    there = scan(tmp_path / "a", "p", nodules=1)
    for number, path in enumerate(sorted((tmp_path / "a").iterdir())):
        path.rename(path.with_name(f"{(7 * number) % 12:02}-x.dcm"))
    volume = dicom_volume(the_series(tmp_path / "a"))
    np.testing.assert_array_equal(volume.values[0], there.transpose(2, 1, 0))  # Hounsfield units, (x, y, z)
    assert volume.is_placed
    np.testing.assert_allclose(volume.affine, np.diag([-10, -10, 320 / 12, 1]))  # to the left and to the back are minus


def test_a_scan_of_dicom_and_the_same_scan_of_nifti_become_the_same_image(tmp_path):
    there = scan(tmp_path / "a", "p", nodules=1)
    as_nifti = there.transpose(2, 1, 0)[::-1, ::-1]  # to the right and to the front
    nifti(tmp_path / "b.nii.gz", as_nifti, (10.0, 10.0, 320 / 12))
    nifti(tmp_path / "c.nii", as_nifti, (10.0, 10.0, 320 / 12), by_quaternion=True)
    steps = [Step(do="resample", spacing_mm=[20.0, 12.0, 12.0]), Step(do="window", low=-1000, high=400)]
    steps += [Step(do="crop", size=[12, 20, 20]), Step(do="pad", size=[16, 24, 24])]
    made = transform_of(steps, (1, 16, 24, 24))
    first = made(dicom_volume(the_series(tmp_path / "a")))
    assert 0 <= first.min() < first.max() <= 1
    for name in ("b.nii.gz", "c.nii"):
        np.testing.assert_allclose(made(nifti_volume(tmp_path / name)), first, atol=1e-4)


def test_slope_and_intercept_of_nifti_are_applied(tmp_path):
    nifti(tmp_path / "a.nii", np.arange(8).reshape(2, 2, 2), slope=2.0, intercept=-3.0)
    np.testing.assert_array_equal(nifti_volume(tmp_path / "a.nii").values[0], 2.0 * np.arange(8).reshape(2, 2, 2) - 3.0)


RAMP = np.arange(4 * 6 * 5, dtype=np.float32).reshape(1, 4, 6, 5)  # (channel, x, y, z)
PLACED = np.diag([-1.0, -1.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("step", "shape", "expected"),
    [
        (Step(do="crop", size=[3, 2, 2]), (1, 3, 2, 2), RAMP.transpose(0, 3, 2, 1)[:, 1:4, 2:4, 1:3]),
        (Step(do="window", low=0.0, high=60.0), (1, 5, 6, 4), np.clip(RAMP.transpose(0, 3, 2, 1) / 60, 0, 1)),
        (Step(do="normalise", mean=10.0, sd=2.0), (1, 5, 6, 4), (RAMP.transpose(0, 3, 2, 1) - 10) / 2),
        (Step(do="normalise"), (1, 5, 6, 4), (RAMP.transpose(0, 3, 2, 1) - RAMP.mean()) / RAMP.std()),
        (Step(do="orient", axes="RPS"), (1, 5, 6, 4), RAMP.transpose(0, 3, 2, 1)[..., ::-1]),
        (Step(do="slice", at=0.25), (1, 6, 4), RAMP.transpose(0, 3, 2, 1)[:, 1]),
        (Step(do="slice"), (1, 6, 4), RAMP.transpose(0, 3, 2, 1)[:, 2]),
    ],
)
def test_each_step_does_what_plain_arithmetic_does(step, shape, expected):
    made = transform_of([step], shape)(Volume(RAMP, PLACED, is_placed=True))
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


def test_padding_fills_up_around_the_middle():
    made = transform_of([Step(do="pad", size=[7, 6, 4], fill=-5.0)], (1, 7, 6, 4))(Volume(RAMP, PLACED, is_placed=True))
    np.testing.assert_array_equal(made[:, 1:6], RAMP.transpose(0, 3, 2, 1))
    assert (made[:, [0, 6]] == -5).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: edited(files[3], Rows=16, PixelData=b"\0" * 16 * 32 * 2), r"another size than the first \(1 of 12\)"),
        (lambda files: edited(files[3], ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "another direction"),
        (lambda files: edited(files[3], PixelSpacing=[1, 1]), "another distance of pixels"),
        (lambda files: files[3].unlink(), r"a gap between slices \(1 times\)"),
        (lambda files: shutil.copy(files[3], files[3].with_name("copy.dcm")), r"two slices at one place \(1 times\)"),
        (lambda files: edited(files[3], PixelData=b"\0" * 10), "file 4 of 12 in order of name: pixels that are not there, cut off"),
    ],
)
def test_a_series_that_makes_no_volume_is_refused_with_the_reason(tmp_path, change, said):
    scan(tmp_path / "a", "p")
    change(sorted((tmp_path / "a").iterdir()))
    with pytest.raises(Unloadable, match=said):
        dicom_volume(the_series(tmp_path / "a"))


def test_damaged_image_files_are_refused(tmp_path):
    nifti(tmp_path / "a.nii", np.zeros((4, 4, 4)))
    nifti(tmp_path / "b.nii.gz", np.zeros((4, 4, 4)))
    for name in ("a.nii", "b.nii.gz"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-9])
        with pytest.raises(Unloadable, match="cut off"):
            nifti_volume(tmp_path / name)


def test_rows_with_an_image_are_examples_and_the_others_are_counted(tmp_path):
    for number in range(4):
        scan(tmp_path / "scans" / f"s{number}", f"p{number}", nodules=number % 2, seed=number)
    nifti(tmp_path / "scans" / "p9" / "x.nii", np.zeros((4, 4, 4)))  # no CT by its code
    source = open_source(connected(tmp_path, {"p1": True, "p3": True, "p5": False}))
    facts = {each.name: each for each in source.columns}["scan"]
    assert (facts.kind, facts.shape, facts.stored, facts.filled, source.rows) == ("image", (1, 12, 16, 16), "float32", 4, 6)
    rows = source.read(ASKED, site="s")
    assert rows.rows == 4  # p5 has a diagnosis and no scan, p9 none of these codes
    assert rows.number("cancer").tolist() == [0, 1, 0, 1]
    images = rows.image("scan")
    assert images.shape == (4, 1, 12, 16, 16)
    np.testing.assert_array_equal(images, source.read(ASKED, site="s").image("scan"))
    assert source.read({"cancer": Variable("number")}, site="s").rows == 6
    (told,) = [each for each in source.report().variables if each.name == "scan"]
    assert (told.events, told.used, told.rows) == (4, 4, 4)


def test_of_several_series_the_one_of_the_body_part_with_enough_images_is_taken(tmp_path):
    scan(tmp_path / "scans" / "scout", "p", shape=(1, 32, 32))
    scan(tmp_path / "scans" / "head", "p")
    scan(tmp_path / "scans" / "chest", "p")
    for path in (tmp_path / "scans" / "head").iterdir():
        edited(path, BodyPartExamined="HEAD")
    more = 'body_part = ["Chest"]\nleast_images = 5'
    source = open_source(connected(tmp_path, {}, more=more))
    assert source.write(tmp_path / "rows.parquet") == 1
    duckdb = pytest.importorskip("duckdb")
    assert duckdb.sql(f"select scan from '{tmp_path / 'rows.parquet'}'").fetchall() == [("chest",)]
    assert source.read({"scan": Variable("image")}, site="s").rows == 1


def test_images_that_cannot_be_read_are_all_told_by_their_row_and_never_by_a_name(tmp_path):
    for number in range(4):
        scan(tmp_path / "scans" / f"SECRET{number}", f"p{number}", seed=number)
    mapping = connected(tmp_path, {})
    folders = sorted((tmp_path / "scans").iterdir())
    edited(sorted(folders[0].iterdir())[3], PixelData=b"\0" * 10)
    sorted(folders[1].iterdir())[5].unlink()
    shutil.rmtree(folders[3])
    with pytest.raises(DataError) as caught:
        open_source(mapping).read(ASKED, site="s")
    said = [str(problem) for problem in caught.value.problems]
    assert [each.partition(":")[0] for each in said] == [f"map.toml, variable 'scan', row {row}" for row in (1, 2, 4)]
    assert "pixels that are not there" in said[0]
    assert "a gap between slices" in said[1]
    assert "no longer there" in said[2]
    assert "SECRET" not in str(said)


def test_a_place_outside_the_folder_is_not_read(tmp_path):
    scan(tmp_path / "scans" / "a", "p")
    mapping = connected(tmp_path, {})
    shutil.move(tmp_path / "scans", tmp_path / "elsewhere")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    with pytest.raises(DataError, match="a place outside the source's folder"):
        open_source(mapping).read(ASKED, site="s")


def test_an_image_of_another_size_than_declared_is_told(tmp_path):
    scan(tmp_path / "scans" / "a", "p")
    dictionary = DICTIONARY.replace(', { do = "resize", size = [12, 16, 16] }', "")
    with pytest.raises(DataError, match="an image of 1 x 12 x 32 x 32, expected an image of 1 x 12 x 16 x 16"):
        open_source(connected(tmp_path, {}, dictionary=dictionary)).read(ASKED, site="s")


def test_what_does_not_fit_in_dictionary_and_mapping_is_told_at_once(tmp_path):
    scan(tmp_path / "scans" / "a", "p")
    with pytest.raises(DataError, match="window with low, high"):
        open_source(connected(tmp_path, {}, dictionary=DICTIONARY.replace("low = -1000, ", "")))
    with pytest.raises(DataError, match="a size and a distance for each axis"):
        open_source(connected(tmp_path, {}, dictionary=DICTIONARY.replace("size = [12, 16, 16]", "size = [16, 16]")))
    with pytest.raises(DataError) as caught:
        open_source(
            connected(tmp_path, {}, more='take = "mean"\nvalues = { 1 = 2 }', mapping=MAPPING.replace('folder = "scans"', ""))
        )
    said = str([str(problem) for problem in caught.value.problems])
    assert "an image without its kind or folder" in said
    assert "first or last, for an image" in said
    assert "none of them, for an image" in said
    source = open_source(connected(tmp_path, {}))
    with pytest.raises(DataError, match="images of 1 x 12 x 16 x 16 in the dictionary, expected images of 1 x 8 x 8"):
        source.read({"scan": Variable("image", shape=(1, 8, 8))}, site="s")
    with pytest.raises(DataError, match="a image in the dictionary"):
        source.read({"scan": Variable("number")}, site="s")


@pytest.mark.shared_data
def test_real_slices_of_a_chest_become_an_image(tmp_path):
    if not SHARED.exists():
        pytest.skip("ct_dicom is not beside this repository")
    for number, path in enumerate(sorted(SHARED.glob("*.dcm"))):
        (tmp_path / "scans" / f"p{number}").mkdir(parents=True)
        shutil.copy(path, tmp_path / "scans" / f"p{number}")
    dictionary = """
    [variable.scan]
    type = "image"
    shape = [1, 128, 128]
    steps = [{ do = "window", low = -1000, high = 400 }, { do = "resize", size = [128, 128] }]
    [variable.cancer]
    type = "truth"
    [variable.age]
    type = "number"
    """
    uncoded = MAPPING.replace('codes = ["DICOM:CT"]', "")  # these headers name no modality
    mapping = connected(tmp_path, {"p0": True, "p1": False}, dictionary=dictionary, mapping=uncoded, patient="folder")
    images = open_source(mapping).read({"scan": Variable("image")}, site="s").image("scan")
    assert images.shape == (2, 1, 128, 128)
    # By hand: slope and intercept, the window, the mean of the corner that is air and of all that is body.
    header = pydicom.dcmread(sorted(SHARED.glob("*.dcm"))[0])
    by_hand = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    by_hand = np.clip((by_hand + 1000) / 1400, 0, 1)
    assert images[0].mean() == pytest.approx(by_hand.mean(), abs=0.01)
    assert images[0, 0, 64, 64] == pytest.approx(by_hand[254:260, 254:260].mean(), abs=0.15)
