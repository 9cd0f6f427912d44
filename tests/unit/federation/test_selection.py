"""Which rows and columns take part in an analysis: images only where they are read, and no copy where none is needed."""

import numpy as np

from huizhen import Study
from huizhen.data.examples import Categories, Examples, Images, Numbers
from huizhen.embedded.assembly import _fingerprint
from huizhen.federation.selection import select

IMAGES = np.random.default_rng(1).integers(0, 9, (10, 3, 4, 5)).astype(np.uint8)
SPLIT = Categories(np.repeat([0, 1], 5).astype(np.int32), ("train", "test"))
ROWS = Examples({"image": Images(IMAGES), "age": Numbers(np.arange(10.0)), "split": SPLIT}, 10)


def study(**methods):
    return Study.parse({"cohort": {"include": ["split == 'test'"]}, "method": methods})


def test_an_analysis_that_reads_no_image_is_given_none():
    one = study(summary={"variables": ["age"]})
    chosen = select(one, one.analyses[0], ROWS).examples
    assert set(chosen.columns) == {"age", "split"}
    assert chosen.number("age").tolist() == [5, 6, 7, 8, 9]


def test_images_of_rows_that_lie_together_are_not_copied():
    one = study(averaging={"network": "small_cnn", "image": "image", "outcome": "age", "task": "regression"})
    chosen = select(one, one.analyses[0], ROWS).examples
    assert np.shares_memory(chosen.image("image"), IMAGES)
    assert np.array_equal(chosen.image("image"), IMAGES[5:])


def test_a_run_is_resumed_on_the_very_images_that_it_began_with():
    def digest(values):
        return _fingerprint({"west": Examples({"image": Images(values)}, len(values))})

    changed = IMAGES.copy()
    changed[7, 2, 3, 4] ^= 1
    channel_last = np.moveaxis(np.ascontiguousarray(np.moveaxis(IMAGES, 1, -1)), -1, 1)  # the same images, otherwise in memory
    assert digest(channel_last) == digest(IMAGES)
    assert len({digest(IMAGES), digest(changed), digest(IMAGES.reshape(10, 3, 5, 4)), digest(IMAGES.view(np.int8))}) == 4
