"""Rows kept from training: the same rows, wherever they stand."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.data.examples import Examples, Images, Numbers
from huizhen.data.folds import TEST, VALIDATION, Aside, content_hash
from tables import hospital

ROWS = pd.DataFrame(
    {
        "age": np.random.default_rng(1).normal(60, 10, 500),
        "stage": np.random.default_rng(2).choice(["I", "II", "III"], 500),
        "ph": np.where(np.arange(500) % 7 == 0, np.nan, np.arange(500) % 3),
    }
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=500, max_size=500), st.randoms(use_true_random=False))
def test_a_row_keeps_its_fold_at_whatever_site_and_place_it_stands(parts, random):
    aside, names = Aside(validation=0.2, test=0.1), ["age", "stage", "ph"]
    pooled = aside.fold(hospital(ROWS), names)
    places = list(range(500))
    random.shuffle(places)
    for part in set(parts):
        mine = [place for place in places if parts[place] == part]
        assert aside.fold(hospital(ROWS.iloc[mine]), reversed(names)).tolist() == pooled[mine].tolist()


def test_a_share_is_about_that_share_of_the_rows():
    rows = Examples({"x": Numbers(np.random.default_rng(3).normal(size=20_000))}, 20_000)
    counts = np.bincount(Aside(validation=0.15, test=0.25).fold(rows, ["x"]), minlength=3) / 20_000
    assert np.abs(counts - [0.6, 0.15, 0.25]).max() < 4 * np.sqrt(0.25 / 20_000)


def test_equal_rows_of_a_site_draw_apart_so_that_few_unlike_rows_are_shared_out_evenly():
    """Two variables of two values: with all equal rows in one fold, training would lack what the test asks for."""
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(
        {"sex": rng.choice(["f", "m"], 2000), "ill": rng.choice([0.0, 1.0], 2000), "site": rng.choice(["a", "b"], 2000)}
    )
    fold = Aside(test=0.25).fold(hospital(frame), ["sex", "ill"])
    share = frame.assign(test=fold == TEST).groupby(["sex", "ill", "site"]).test.mean()
    assert len(share) == 8
    assert share.between(0.18, 0.32).all()
    for site, part in frame.groupby("site"):
        assert Aside(test=0.25).fold(hospital(part), ["sex", "ill"]).tolist() == fold[frame.site == site].tolist()


def test_equal_rows_have_one_hash_and_one_changed_value_another():
    twice = hospital(pd.concat([ROWS, ROWS], ignore_index=True))
    hashes = content_hash(twice, ["age", "stage", "ph"])
    assert hashes[:500].tolist() == hashes[500:].tolist()
    changed = content_hash(hospital(ROWS.assign(ph=ROWS.ph.fillna(9.0))), ["age", "stage", "ph"])
    assert (changed != hashes[:500]).tolist() == ROWS.ph.isna().tolist()


def test_a_condition_chooses_and_the_last_judgement_goes_first():
    fold = Aside(validation="ph >= 1", test="ph == 2").fold(hospital(ROWS), ["age"])
    assert (fold == TEST).tolist() == (ROWS.ph == 2).tolist()
    assert (fold == VALIDATION).tolist() == (ROWS.ph == 1).tolist()
    assert dict(Aside(validation="ph >= 1").uses) == {"ph": "number"}


def test_an_image_is_drawn_by_its_pixels():
    pixels = np.random.default_rng(4).integers(0, 255, (700, 1, 5, 7)).astype(np.uint8)
    whole = content_hash(Examples({"image": Images(pixels)}, 700), ["image"])
    assert len(set(whole.tolist())) == 700
    assert content_hash(Examples({"image": Images(pixels[300:])}, 400), ["image"]).tolist() == whole[300:].tolist()
    moved = pixels[:1].copy()
    moved[0, 0, 0, 0] ^= 1
    assert content_hash(Examples({"image": Images(moved)}, 1), ["image"])[0] != whole[0]
