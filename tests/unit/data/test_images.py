"""Images as columns: arrays, archives and folders, read as they stand, and whatever is wrong with them named."""

import io
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from huizhen.data import npzmembers
from huizhen.data.card import describe
from huizhen.data.examples import SITE, Examples, Images, Numbers
from huizhen.data.images import ImageFacts, as_images, disagreements, image_facts
from huizhen.data.pixels import look
from huizhen.data.records import open_source, table
from huizhen.errors import DataError
from huizhen.privacy.release import Variable

IMAGE, NUMBER, CATEGORY = Variable("image"), Variable("number"), Variable("category")
SHARED = Path(__file__).parents[4] / "shared" / "data"
RNG = np.random.default_rng(5)


def refused(action):
    """What is wrong, problem by problem."""
    with pytest.raises(DataError) as caught:
        action()
    assert caught.value.problems
    return [str(problem) for problem in caught.value.problems]


def pixels(*shape, dtype=np.uint8):
    return RNG.integers(0, 200, shape).astype(dtype)


def read(path, **variables):
    return open_source(path).read(variables, site="north")


@pytest.fixture
def archive(tmp_path):
    def save(**parts):
        np.savez(tmp_path / "west.npz", **parts)
        return tmp_path / "west.npz"

    return save


@pytest.fixture
def folder(tmp_path):
    """Writes files below a folder: arrays as images, text as it is."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / "scans" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str | bytes):
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            elif path.suffix == ".npy":
                np.save(path, content)
            else:
                (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(path)
        return tmp_path / "scans"

    return write


# Arrays


@pytest.mark.parametrize(
    ("shape", "declared", "expected"),
    [
        ((28, 28), (), (1, 28, 28)),
        ((28, 28, 3), (), (3, 28, 28)),
        ((3, 28, 28), (), (3, 28, 28)),
        ((40, 64, 64), (), (1, 40, 64, 64)),
        ((2, 40, 64, 64), (), (2, 40, 64, 64)),
        ((40, 64, 64, 2), (), (2, 40, 64, 64)),
        ((9, 40, 64, 64), (), (9, 40, 64, 64)),
        ((3, 28, 28), (1, 3, 28, 28), (1, 3, 28, 28)),
        ((28, 28, 9), (9, 28, 28), (9, 28, 28)),
    ],
)
def test_which_axis_is_the_channel_follows_from_the_shape_or_is_declared(shape, declared, expected):
    assert image_facts(shape, np.dtype(np.uint8), declared) == ImageFacts(expected, "uint8")
    values = pixels(2, *shape)
    column = as_images("x", values, declared)
    assert column.values.shape == (2, *expected)
    assert np.shares_memory(column.values, values)
    assert np.array_equal(np.sort(column.values, axis=None), np.sort(values, axis=None))


def test_a_shape_that_is_no_image_is_none():
    for shape in ((), (5,), (0, 4), (2, 3, 4, 5, 6)):
        assert image_facts(shape, np.dtype(np.uint8)) is None
    assert image_facts((4, 4), np.dtype(complex)) is None
    assert image_facts((4, 4), np.dtype(np.uint8), (1, 4, 5)) is None


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(st.sampled_from(["?", "u1", "i1", "<i2", ">i2", "u2", "i4", "i8", "u8", "f2", "f4", ">f8"]), (3, 2, 2)))
def test_pixels_keep_their_values_or_are_refused(values):
    column = as_images("x", values)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            fits = np.isfinite(values.astype(np.float32)).all()
    else:
        fits = all(-(2**15) <= int(value) < 2**15 for value in values.ravel())
    assert isinstance(column, Images) == fits
    if fits:
        assert column.values.dtype == (
            "float32" if values.dtype.kind == "f" else "uint8" if values.dtype in ("?", "u1") else "int16"
        )
        assert np.array_equal(column.values[:, 0], values.astype(np.float32) if values.dtype.kind == "f" else values)


def test_a_label_map_holds_the_numbers_of_the_declared_levels():
    assert isinstance(as_images("x", np.array([[[0, 1], [2, 1]]]), levels=3), Images)
    assert isinstance(as_images("x", np.array([[[0.0, 1.0]]]), levels=3), Images)
    for values in (np.array([[[0, 3]]]), np.array([[[-1, 0]]]), np.array([[[0.5, 1.0]]])):
        assert "whole numbers from 0 to 2" in str(as_images("x", values, levels=3))


def test_sites_whose_images_differ_from_the_first_are_named():
    facts = {"a": ImageFacts((1, 8, 8), "uint8"), "b": ImageFacts((3, 8, 8), "uint8"), "c": ImageFacts((1, 8, 8), "int16")}
    wrong = disagreements("image", facts)
    assert set(wrong) == {"b", "c"}
    assert "images of 3 x 8 x 8" in str(wrong["b"])
    assert "as at site a" in str(wrong["b"])
    assert "pixels of int16" in str(wrong["c"])
    assert set(disagreements("image", facts, (3, 8, 8))) == {"a", "c"}


def test_rows_that_lie_together_are_chosen_without_a_copy():
    values = pixels(6, 1, 4, 4)
    rows = Examples({"image": Images(values), "n": Numbers(np.arange(6.0))}, 6)
    together = rows.where(np.array([False, True, True, True, False, False]))
    apart = rows.where(np.array([True, False, True, False, False, False]))
    assert np.shares_memory(together.image("image"), values)
    assert np.array_equal(together.image("image"), values[1:4])
    assert np.array_equal(apart.image("image"), values[[0, 2]])
    assert together.number("n").tolist() == [1.0, 2.0, 3.0]
    assert rows.where(np.zeros(6, bool)).image("image").shape == (0, 1, 4, 4)
    assert list(rows.without(["image"]).columns) == ["n"]


# In memory


def test_arrays_of_images_in_a_mapping_are_columns_without_a_copy():
    values = pixels(5, 6, 7)
    rows = table({"image": values, "label": list("abaab")}, variables={"image": IMAGE, "label": CATEGORY}, site="s")
    assert rows.image("image").shape == (5, 1, 6, 7)
    assert np.shares_memory(rows.image("image"), values)
    assert rows.category(SITE).levels == ("s",)


def test_images_in_the_cells_of_a_dataframe_and_in_a_list():
    pandas = pytest.importorskip("pandas")
    values = pixels(5, 6, 7)
    for frame in (pandas.DataFrame({"image": list(values)}), {"image": list(values)}):
        assert np.array_equal(table(frame, variables={"image": IMAGE}, site="s").image("image")[:, 0], values)


def test_what_is_no_array_of_images_is_refused_in_words():
    ragged = [pixels(4, 4), pixels(4, 5)]
    said = refused(
        lambda: table(
            {"a": ragged, "b": [1, 2], "c": pixels(2, 4, 4), "d": np.zeros((2, 4, 4), complex), "e": pixels(3, 4, 4)},
            variables={"a": IMAGE, "b": IMAGE, "c": NUMBER, "d": IMAGE, "e": Variable("image", shape=(1, 5, 5))},
            site="s",
        )
    )
    assert "column 'a': found arrays of unequal size" in said[0]
    assert "column 'b': found one value for each row, expected an image for each row" in said[1]
    assert "column 'c': found an array of 3 dimensions, expected one value for each row" in said[2]
    assert "column 'd': found pixels of type complex128" in said[3]
    assert "column 'e': found images of 4 x 4, expected images of 1 x 5 x 5" in said[4]
    unequal = refused(lambda: table({"a": pixels(3, 4, 4), "b": [1, 2]}, variables={"a": IMAGE, "b": NUMBER}, site="s"))
    assert unequal == ["table: found columns of 2 different lengths, expected columns of equal length"]


def test_infinite_pixels_are_named_by_row_and_never_by_value():
    values = np.zeros((200, 4, 4), np.float32)
    values[130, 2, 2] = np.nan
    said = refused(lambda: table({"a": values}, variables={"a": IMAGE}, site="s"))
    assert said == ["row 130, column 'a': found pixels that are no finite number, expected finite numbers"]


# Archives


def test_arrays_of_an_archive_are_columns_by_their_names(archive):
    image, mask = pixels(6, 8, 9, 3), np.zeros((6, 8, 9), np.int64)
    path = archive(image=image, mask=mask, age=np.arange(6), who=np.array(list("aabbcc")), labels=np.eye(6, 2), spacing=0.7)
    source = open_source(path)
    assert source.names == ("image", "mask", "age", "who", "labels_0", "labels_1")
    assert {column.name: column.kind for column in source.columns} == {
        "image": "image", "mask": "image", "age": "number", "who": "category", "labels_0": "number", "labels_1": "number",
    }  # fmt: skip
    assert [(column.shape, column.stored) for column in source.columns[:2]] == [((3, 8, 9), "uint8"), ((1, 8, 9), "int16")]
    assert ["spacing" in str(warning) for warning in source.warnings] == [True]
    rows = source.read({"mask": IMAGE, "image": IMAGE, "who": CATEGORY, "labels_1": NUMBER}, site="north")
    assert list(rows.columns) == ["mask", "image", "who", "labels_1", SITE]
    assert np.array_equal(rows.image("image"), np.moveaxis(image, -1, 1))
    assert rows.image("mask").dtype == np.int16
    assert rows.number("labels_1").tolist() == [0, 1, 0, 0, 0, 0]


def test_the_layout_of_medmnist_gives_image_label_and_split(archive):
    parts = {f"{split}_images": pixels(rows, 4, 4) for split, rows in (("test", 2), ("val", 3), ("train", 5))}
    parts |= {f"{name.partition('_')[0]}_labels": np.arange(len(each))[:, None] % 2 for name, each in parts.items()}
    rows = read(archive(**parts), image=IMAGE, label=CATEGORY, split=CATEGORY)
    assert np.array_equal(
        rows.image("image")[:, 0], np.concatenate([parts[f"{split}_images"] for split in ("train", "val", "test")])
    )
    assert [rows.category("split").levels[code] for code in rows.category("split").codes] == [
        *["train"] * 5, *["validation"] * 3, *["test"] * 2,
    ]  # fmt: skip
    assert rows.category("label").codes.tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 0, 1]


@settings(deadline=None, max_examples=30)
@given(
    arrays.arrays(
        st.sampled_from(["u1", ">i2", "f4", "?"]),
        st.tuples(*[st.integers(1, 4)] * 3),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    st.booleans(),
    st.booleans(),
)
def test_an_archive_gives_back_what_was_saved(tmp_path_factory, values, fortran, packed):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, image=np.asarray(values, order="F" if fortran else "C"))
    assert np.array_equal(read(path, image=IMAGE).image("image")[:, 0], values)


def test_splits_are_read_into_one_array(archive):
    parts = {"train_images": pixels(400, 64, 64), "test_images": pixels(400, 64, 64)}
    path = archive(**parts)
    tracemalloc.start()
    rows = read(path, image=IMAGE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.image("image").nbytes == 800 * 64 * 64
    assert peak < 1.4 * rows.image("image").nbytes  # the array and one block of 256 KiB


def test_everything_wrong_with_an_archive_is_said_at_once(archive):
    dates = np.zeros((5, 4, 4), "M8[s]")
    path = archive(image=pixels(5, 4, 4), label=np.zeros(4), more=np.zeros((5, 2000)), odd=dates)
    said = refused(lambda: open_source(path))
    assert said[0] == "west.npz, array 'label': found 4 rows, expected 5 rows as in 'image'"
    assert said[1].startswith("west.npz, array 'more': found 2000 numbers for each row, expected at most 1000, or images")
    assert said[2].startswith("west.npz, array 'odd': found pixels of type datetime64[s]")
    said = refused(lambda: open_source(archive(obj=np.array([{}], object), pair=np.zeros(2, "f4,f4"), image=pixels(2, 4, 4))))
    assert "a pickled array of Python objects" in said[0]
    assert "array 'pair'" in said[1]
    said = refused(lambda: open_source(archive(train_images=pixels(2, 4, 4), train_labels=[0, 1], val_images=pixels(2, 4, 5))))
    assert said[0] == "west.npz: found no array 'val_labels', expected the same arrays in every split"
    assert (
        said[1]
        == "west.npz, array 'val_images': found entries of 4 x 5, uint8, expected entries of 4 x 4, uint8, as in 'train_images'"
    )
    assert "no rows" in refused(lambda: open_source(archive(image=np.zeros((0, 4, 4)))))[0]
    assert "single values only" in refused(lambda: open_source(archive(spacing=0.5)))[0]
    said = refused(lambda: open_source(archive(label=np.zeros((3, 2)), label_0=np.zeros(3))))
    assert "more than one column named 'label_0'" in said[0]


def test_columns_that_are_not_there_and_of_another_kind_are_named(archive):
    path = archive(image=pixels(5, 4, 4), label=np.array(["a", "b", "c", "a", "SECRET-1"]))
    said = refused(lambda: read(path, image=NUMBER, label=IMAGE, lable=CATEGORY))
    assert said[0] == "west.npz: found no column 'lable', expected one of: image, label. Did you mean 'label'?"
    assert said[1] == "west.npz, column 'image': found images, expected numbers or text"
    said = refused(lambda: read(path, label=Variable("category", levels=("a", "b", "c")), image=Variable("image", shape=(1, 5, 5))))
    assert said[0].startswith("west.npz, column 'label': found other values in 1 of 5 rows, expected one of the declared levels")
    assert said[1].startswith("west.npz, column 'image': found images of 4 x 4, expected images of 1 x 5 x 5")
    assert "SECRET" not in "".join(said)
    assert "expected an image for each row" in refused(lambda: read(path, label=IMAGE))[0]


def npy(shape, dtype="|u1", values=b""):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + values


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"image.npy": npy((10**9, 64, 64))}, "a header that promises 4096000000000 bytes of values, and 0 of them"),
        ({"image.npy": npy((2, 2), values=b"12345")}, "a header that promises 4 bytes of values, and 5 of them"),
        ({"image.npy": npy((-1, 2))}, "no array in NumPy's format"),
        ({"image.npy": b"PK not an array"}, "no array in NumPy's format"),
        ({"image.npy": b"\x93NUMPY\x01\x00\xff\x7f" + b"(" * 0x7FFF}, "no array in NumPy's format"),
        ({"image.npy": npy((2, 2), dtype="|O", values=b"1234")}, "a pickled array"),
        ({"../../image.npy": npy((2, 2), values=b"1234")}, "1 of 1 entries that are no arrays"),
        ({"C:\\image.npy": npy((2, 2), values=b"1234")}, "1 of 1 entries that are no arrays"),
        ({"readme.txt": b"hello", "image.npy": npy((2, 2), values=b"1234")}, "1 of 2 entries that are no arrays"),
        ({}, "an empty archive"),
        ({"image.npy": npy((2**62, 0))}, "array 'image': found an array without values, expected at least one value in each row"),
        ({"image.npy": npy((2, 0, 5))}, "array 'image': found an array without values, expected at least one value in each row"),
        ({"image.npy": npy((0, 2**62))}, f"found {2**62} numbers for each row, expected at most 1000, or images"),
        ({"image.npy": npy((True,), values=b"1")}, "no array in NumPy's format"),
        ({"image.npy": npy((1, 2**40, 1))}, "a header that promises 1099511627776 bytes of values, and 0 of them"),
    ],
)
def test_an_archive_that_is_a_trap_is_not_read(tmp_path, entries, said):
    path = tmp_path / "trap.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as trap:
        for name, content in entries.items():
            trap.writestr(name, content)
    assert any(said in each for each in refused(lambda: open_source(path)))


@pytest.mark.parametrize("code", [0x7FFFFFFF, 0x110000, 0xD800, 0xDFFF])
def test_text_that_is_no_unicode_is_refused_in_words(tmp_path, code):
    with zipfile.ZipFile(tmp_path / "west.npz", "w") as odd:
        odd.writestr("x.npy", npy((3,), "<f8", np.arange(3.0).tobytes()))
        odd.writestr("y.npy", npy((3,), "<U1", np.array([65, code, 66], "<u4").tobytes()))
    for action in (lambda: open_source(tmp_path / "west.npz").columns, lambda: read(tmp_path / "west.npz", y=CATEGORY)):
        assert refused(action) == [
            "west.npz, array 'y': found text that is no Unicode, expected characters of Unicode. Export it again"
        ]
    assert read(tmp_path / "west.npz", x=NUMBER).number("x").tolist() == [0, 1, 2]


def test_a_cell_in_memory_that_is_no_unicode_is_refused_in_words():
    said = refused(lambda: table({"y": ["a", "\ud800"]}, variables={"y": CATEGORY}, site="s"))
    assert said == ["column 'y': found text that is no Unicode, expected characters of Unicode. Export it again"]


def test_an_archive_of_many_arrays_is_opened_as_often_as_one_of_few_and_has_a_limit(tmp_path, monkeypatch):
    opened = []

    class Counted(zipfile.ZipFile):
        def __init__(self, *given, **named):
            opened.append(1)
            super().__init__(*given, **named)

    for count in (2, 40):
        np.savez(tmp_path / "many.npz", **{f"a{at}": np.arange(3.0) for at in range(count)})
        opened.clear()
        monkeypatch.setattr(npzmembers.zipfile, "ZipFile", Counted)
        source = open_source(tmp_path / "many.npz")
        assert len(source.columns) == count
        assert source.read(dict.fromkeys(source.names, NUMBER), site="s").rows == 3
        monkeypatch.undo()
        assert len(opened) == 2  # once for the headers, once for the values
    monkeypatch.setattr(npzmembers, "MOST", 39)
    assert refused(lambda: open_source(tmp_path / "many.npz")) == [
        "many.npz: found 40 arrays, expected at most 39. Leave out what no study needs"
    ]
    monkeypatch.setattr("huizhen.data.imagearchive.MOST", 39)
    np.savez(tmp_path / "wide.npz", a=np.zeros((3, 20)), b=np.zeros((3, 20)))
    assert "found 40 columns, expected at most 39" in refused(lambda: open_source(tmp_path / "wide.npz"))[0]


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npzmembers, "LARGE", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", image=np.zeros((400, 100, 100), np.uint8))
    assert "unpacks to" in refused(lambda: open_source(tmp_path / "bomb.npz"))[0]
    np.savez(tmp_path / "large.npz", image=np.zeros((400, 100, 100), np.uint8))
    assert open_source(tmp_path / "large.npz").rows == 400


def test_a_damaged_archive_is_named(tmp_path, archive):
    whole = archive(image=pixels(50, 8, 8)).read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(whole[: len(whole) // 2])
    assert "cut.npz: found a damaged file" in refused(lambda: open_source(path))[0]
    at = whole.index(b"\x93NUMPY") + 1000
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert "cut.npz, array 'image': found a damaged array" in refused(lambda: read(path, image=IMAGE))[0]
    path.write_bytes(b"")
    assert "damaged" in refused(lambda: open_source(path))[0]


# Folders


def test_class_folders_give_images_and_labels_in_the_order_of_their_paths(folder):
    files = {f"{label}/{name}": pixels(5, 6) for label in ("malignant", "benign") for name in ("b.png", "a.png")}
    path = folder(
        {**files, ".cache/x.png": pixels(9, 9), "__MACOSX/benign/a.png": b"", "benign/._a.png": b"", "readme.md": "hello"}
    )
    source = open_source(path)
    assert [(column.name, column.kind, column.filled) for column in source.columns] == [
        ("image", "image", 4),
        ("label", "category", 4),
    ]
    rows = source.read({"image": IMAGE, "label": CATEGORY}, site="north")
    assert np.array_equal(rows.image("image")[:, 0], [files[name] for name in sorted(files)])
    assert rows.category("label").codes.tolist() == [0, 0, 1, 1]
    assert rows.category(SITE).levels == ("north",)


def test_class_folders_below_splits_give_a_split_too(folder):
    names = ("train/a/1.png", "train/b/1.png", "val/a/1.png", "test/b/1.png")
    rows = read(folder({name: pixels(4, 4) for name in names}), split=CATEGORY, label=CATEGORY)
    assert [rows.category("split").levels[code] for code in rows.category("split").codes] == [
        "test",
        "train",
        "train",
        "validation",
    ]
    assert rows.category("label").codes.tolist() == [1, 0, 1, 0]


def test_a_table_beside_images_gives_labels_and_masks(folder):
    images, masks = [pixels(4, 4, 3) for _ in range(3)], [pixels(4, 4) % 2 for _ in range(3)]
    files = {f"{at}.jpg.png": image for at, image in enumerate(images)} | {f"masks/{at}.png": mask for at, mask in enumerate(masks)}
    labels = "mask,file,age\nmasks/2.png,2.jpg.png,70\nmasks/0.png,0.jpg.png,\nmasks/1.png,1.jpg.png,61\n"
    source = open_source(folder({**files, "labels.csv": labels}))
    assert source.names == ("mask", "image", "age")
    rows = source.read({"image": IMAGE, "mask": Variable("image", levels=("no", "yes")), "age": NUMBER}, site="s")
    assert np.array_equal(rows.image("image"), np.moveaxis(np.array([images[2], images[0], images[1]]), -1, 1))
    assert np.array_equal(rows.image("mask")[:, 0], [masks[2], masks[0], masks[1]])
    assert np.array_equal(rows.number("age"), [70, np.nan, 61], equal_nan=True)


@pytest.mark.parametrize(
    ("name", "values", "kept"),
    [
        ("a.png", pixels(4, 5), np.uint8),
        ("a.tif", pixels(4, 5), np.uint8),
        ("a.png", pixels(4, 5, dtype=np.uint16) * 100, np.int16),
        ("a.tiff", pixels(4, 5).astype(np.float32) / 7, np.float32),
        ("a.npy", pixels(6, 5, 5, dtype=np.int64) - 50, np.int16),
        ("a.npy", pixels(4, 5, 3, dtype=np.float64) / 3, np.float32),
    ],
)
def test_files_keep_their_pixels(folder, name, values, kept):
    rows = read(folder({f"x/{name}": values}), image=IMAGE).image("image")
    seen = np.moveaxis(values, -1, 0) if values.shape[-1] == 3 else values[None]
    assert rows.dtype == kept
    assert np.array_equal(rows[0], seen.astype(kept))


def test_every_file_that_does_not_fit_is_named_at_once(folder):
    pages = io.BytesIO()
    Image.fromarray(pixels(4, 5)).save(pages, "TIFF", save_all=True, append_images=[Image.fromarray(pixels(4, 5))])
    whole = io.BytesIO()
    Image.fromarray(pixels(4, 5)).save(whole, "PNG")
    files = {
        "x/a.png": pixels(4, 5),
        "x/alpha.png": pixels(4, 5, 4),
        "x/cmyk.jpg": Image.merge("CMYK", [Image.fromarray(pixels(4, 5))] * 4),
        "x/color.png": pixels(4, 5, 3),
        "x/cut.png": whole.getvalue()[:50],
        "x/deep.png": pixels(4, 5, dtype=np.uint16) * 100,
        "x/empty.png": b"",
        "x/object.npy": np.array([[{}]], object),
        "x/pages.tif": pages.getvalue(),
        "x/palette.png": Image.fromarray(pixels(4, 5)).convert("P"),
        "x/size.png": pixels(4, 6),
        "x/text.png": "SECRET-1",
        "x/short.npy": npy((4, 5), values=b"123"),
    }
    said = refused(lambda: read(folder(files), image=IMAGE))
    ordered = sorted(files)
    found = {}
    for each in said:
        where, _, what = each.partition(": found ")
        assert where.startswith("scans/x/, image ")
        found[ordered[int(where.removeprefix("scans/x/, image ").removesuffix(" in order of name")) - 1]] = what
    assert found["x/alpha.png"].startswith("an alpha channel")
    assert found["x/cmyk.jpg"].startswith("CMYK")
    assert found["x/color.png"].startswith("an image of 3 x 4 x 5, expected an image of 1 x 4 x 5, as the first image")
    assert found["x/deep.png"].startswith("pixels of int16, expected pixels of uint8")
    assert found["x/object.npy"].startswith("a pickled array")
    assert found["x/pages.tif"].startswith("several pages")
    assert found["x/palette.png"].startswith("a palette")
    assert found["x/size.png"].startswith("an image of 1 x 4 x 6")
    for name in ("empty.png", "text.png", "short.npy"):
        assert found[f"x/{name}"].startswith("a damaged file")
    assert "SECRET" not in "".join(said)
    assert not any(name.partition("/")[2] in "".join(said) for name in files)  # it may be a patient's
    assert len(found) == 11  # x/cut.png breaks off after its header, which shows when it is read


def test_no_message_holds_the_name_of_an_image_file_however_the_folder_is_laid_out(folder):
    table = {"labels.csv": "file,mask,label\nzhang/san.png,,p\nli/si.png,li/si.npy,q\n", "zhang/san.png": pixels(4, 4)}
    path = folder({**table, "li/si.png": pixels(4, 5), "li/si.npy": pixels(4, 4).astype(complex)})
    (path / "labels.csv").write_text("file,mask,label\nzhang/san.png,li/si.npy,p\nli/si.png,li/si.npy,q\n")
    said = refused(lambda: open_source(path).columns)
    assert said[0].startswith("scans/labels.csv, column 'mask', line 2: found")
    said += refused(lambda: read(path, image=IMAGE))
    assert said[1].startswith(
        "scans/labels.csv, column 'file', line 3: found an image of 1 x 4 x 5, expected an image of 1 x 4 x 4, as"
    )
    said += refused(lambda: open_source(path / "zhang" / "san.png"))
    assert not any(name in "".join(said) for name in ("zhang", "san", "li/", "si."))


def test_a_file_that_breaks_off_after_its_header_is_found_when_it_is_read(folder):
    noise = io.BytesIO()
    Image.fromarray(pixels(64, 64)).save(noise, "PNG")
    said = refused(lambda: read(folder({"x/a.png": pixels(64, 64), "x/b.png": noise.getvalue()[:2000]}), image=IMAGE))
    assert [each.partition(", expected")[0] for each in said] == ["scans/x/, image 2 in order of name: found a damaged file"]


def test_sixteen_bit_pixels_beyond_a_sign_and_sixteen_bit_color_are_refused(folder):
    deep = np.full((4, 5), 60_000, np.uint16)
    said = refused(lambda: read(folder({"x/a.png": deep}), image=IMAGE))
    assert said[0].startswith("scans/x/, image 1 in order of name: found pixels outside -32768 to 32767")


def test_images_without_a_label_and_labels_without_an_image(folder):
    path = folder({"labels.csv": "file,label\na.png,x\nmissing.png,y\n,z\n../out.png,x\n/etc/a.png,x\n", "a.png": pixels(4, 4)})
    said = refused(lambda: open_source(path))
    assert said[0].startswith("scans/labels.csv, column 'file', line 4: found no file (in 1 of 5 rows)")
    assert said[1].startswith("scans/labels.csv, column 'file', line 5: found a path that leaves the folder (in 2 of 5 rows)")
    assert said[2].startswith("scans/labels.csv, column 'file', line 3: found a file that is not there (in 1 of 5 rows)")
    path = folder({"labels.csv": "file,label\na.png,x\n", "b.png": pixels(4, 4), "c.png": pixels(4, 4)})
    assert refused(lambda: open_source(path)) == [
        "scans: found 2 images without a row, the first of them image 2 of 3 in order of path, "
        "expected a row of labels.csv for each image"
    ]
    path = folder({"labels.csv": "name,label\na.png,x\n"})
    assert "no column 'file'" in refused(lambda: open_source(path))[0]


def test_images_beside_class_folders_have_no_label(folder):
    said = refused(lambda: open_source(folder({"benign/a.png": pixels(4, 4), **{f"{at}.png": pixels(4, 4) for at in range(7)}})))
    assert said[0].startswith(
        "scans: found 7 images without a label, the first of them image 1 of 8 in order of path, expected each image"
    )


def test_a_photograph_is_turned_as_its_tag_says(folder):
    shown = Image.fromarray(np.repeat(np.array([[0, 80, 160, 240]], np.uint8), 8, axis=0)).resize((32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = io.BytesIO()
    shown.transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", exif=exif, quality=95)
    source = open_source(folder({"x/a.jpg": turned.getvalue()}))
    assert source.columns[0].shape == (1, 16, 32)
    assert np.abs(source.read({"image": IMAGE}, site="s").image("image")[0, 0].astype(int) - np.asarray(shown)).max() < 12


def test_files_of_other_kinds_and_a_single_file_are_named(folder):
    path = folder(
        {"x/a.png": pixels(4, 4), "x/a.dcm": "DICM", "x/notes": "", "x/b.DCM": "", "x/scan.zhangsan": "", ".hidden/c.dcm": ""}
    )
    (warning,) = open_source(path).warnings
    assert str(warning).startswith(
        "scans: found 4 files that are no images (.dcm, another ending, no ending), expected files that end in .png"
    )
    assert "a single file of images" in refused(lambda: open_source(path / "x" / "a.png"))[0]


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["npz", "png", "jpg", "tif", "npy"]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
def test_a_damaged_file_is_read_or_refused_in_words_and_nothing_else(tmp_path_factory, kind, changes, cut):
    path = tmp_path_factory.mktemp("damaged")
    values, stream = pixels(9, 9), io.BytesIO()
    if kind == "npz":
        np.savez_compressed(stream, image=values[None])
    elif kind == "npy":
        np.save(stream, values)
    else:
        Image.fromarray(values).save(stream, {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[kind])
    content = bytearray(stream.getvalue())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    file = path / "a.npz" if kind == "npz" else path / "x" / f"a.{kind}"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content[: int(len(content) * (0.5 + cut))])
    try:
        rows = read(file if kind == "npz" else path, image=IMAGE)
    except DataError:
        return
    assert rows.rows >= 1


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "a folder without tables and images" in refused(lambda: open_source(tmp_path / "empty"))[0]


def test_a_folder_of_tables_stays_one_and_a_table_holds_no_images(tmp_path):
    (tmp_path / "a.csv").write_text("age,label\n1,x\n")
    assert open_source(tmp_path).names == ("age", "label")
    assert "Images come in a folder" in refused(lambda: read(tmp_path, label=IMAGE))[0]


def test_columns_of_a_folder_that_are_not_there_or_of_another_kind_are_named(folder):
    path = folder({"x/a.png": pixels(4, 4)})
    said = refused(lambda: read(path, image=NUMBER, label=IMAGE, lable=CATEGORY))
    assert said[0].startswith("scans: found no column 'lable'")
    assert said[1].startswith("scans, column 'image': found images, expected numbers or text")
    assert said[2].startswith("scans, column 'label': found no images, expected files of images")


# Cards


def test_a_card_tells_shape_and_type_of_images_and_reads_no_pixel(archive, monkeypatch):
    path = archive(image=pixels(40, 8, 9), label=np.repeat([0, 1], 20))
    monkeypatch.setattr("huizhen.data.imagearchive.read", lambda path, columns: [RNG.integers(0, 2, 40)])  # labels only
    card = describe(open_source(path), name="west.npz")
    image = card.variables[0]
    assert (card.rows, image.kind, image.shape, image.stored, image.missing) == (40, "image", (1, 8, 9), "uint8", 0)
    assert (image.levels, image.mean, image.low) == ({}, None, None)
    assert card.to_dict()["variables"][0]["shape"] == [1, 8, 9]


def test_a_card_of_rows_in_memory_is_that_of_their_file(archive):
    path = archive(image=pixels(40, 8, 9), label=np.repeat(["a", "b"], 20))
    rows = read(path, image=IMAGE, label=CATEGORY)
    of_rows, of_file = (describe(table, name="west.npz") for table in (rows, open_source(path)))
    assert of_file.variables[0].note == "the array's header was read, and no pixel"
    assert replace(of_file, variables=(replace(of_file.variables[0], note=""), *of_file.variables[1:])) == of_rows


def test_a_card_finds_the_image_that_is_damaged_or_unlike_the_others_by_headers_alone(folder, monkeypatch):
    monkeypatch.setattr("huizhen.data.imagefiles.decode", None)  # no pixel is decoded
    files = {f"{label}/{at:02}.png": pixels(8, 9) for label in ("benign", "malignant") for at in range(6)}
    card = describe(open_source(folder(files)), name="scans")
    assert (card.variables[0].name, card.variables[0].note) == ("image", "the headers of all files were read, and no pixel")
    path = folder({"benign/03.png": b"no image", "malignant/05.png": pixels(8, 8)})
    said = refused(lambda: describe(open_source(path), name="scans"))
    assert said[0].startswith("scans/benign/, image 4 in order of name: found a damaged file, expected a whole PNG")
    assert said[1].startswith(
        "scans/malignant/, image 6 in order of name: found an image of 1 x 8 x 8, expected an image of 1 x 8 x 9"
    )
    assert len(said) == 2


def test_of_many_images_a_card_looks_at_some_all_over_and_says_so(folder, monkeypatch):
    monkeypatch.setattr("huizhen.data.imagefolder.LOOKED_AT", 5)
    seen = []
    monkeypatch.setattr("huizhen.data.imagefiles.look", lambda path, *rest: (seen.append(path.stem), look(path, *rest))[1])
    path = folder({f"x/{at:02}.png": pixels(8, 9) for at in range(21)})
    note = describe(open_source(path), name="scans").variables[0].note
    assert note == "the headers of 5 files, evenly over all, were read, and no pixel"
    assert seen == ["00", "05", "10", "15", "20"]
    (path / "x" / "20.png").write_bytes(b"")
    assert refused(lambda: describe(open_source(path), name="scans"))[0].startswith("scans/x/, image 21 in order of name")


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="real data are not here")
def test_pneumonia_mnist_is_read_as_it_was_published():
    rows = read(SHARED / "pneumoniamnist" / "pneumoniamnist.npz", image=IMAGE, label=CATEGORY, split=CATEGORY)
    label, split = rows.category("label"), rows.category("split")
    counts = {name: np.bincount(label.codes[split.codes == code]).tolist() for code, name in enumerate(split.levels)}
    assert counts == {"train": [1214, 3494], "validation": [135, 389], "test": [234, 390]}
    assert rows.image("image").shape == (5856, 1, 28, 28)
