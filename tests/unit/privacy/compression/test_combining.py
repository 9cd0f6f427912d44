"""What a study file may say of compression, and what of it cannot be combined with sum, noise and method."""

from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import CallerError
from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.combining import Noise, Sum, conflicts, keeps
from huizhen.privacy.compression.making import compression
from huizhen.privacy.compression.spec import KINDS, Compress, read
from huizhen.translation import translate

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "bits", "share", "rank", "x"]), inner, max_size=4)
    ),
    max_leaves=6,
)
SETTINGS = st.one_of(
    st.just(Compress()),
    st.builds(Compress, st.just("quantised"), st.sampled_from([8, 10, 12, 16])),
    st.builds(Compress, st.just("shared"), st.just(16), st.integers(2, 100).map(lambda period: 1 / period)),
    st.builds(Compress, st.just("top_k"), st.just(8), st.floats(1e-6, 0.5)),
    st.builds(Compress, st.just("low_rank"), st.just(12), st.just(0.25), st.integers(1, 64)),
)


@given(SETTINGS)
def test_what_is_written_is_read(settings):
    found, problems = read(settings.content)
    assert problems == ()
    assert found is not None
    assert found.content == settings.content
    assert found.kind == settings.kind


@given(ANYTHING)
def test_reading_never_fails_and_finds_settings_or_problems(content):
    found, problems = read(content)
    assert (found is None) == bool(problems)
    for problem in problems:
        assert problem.where.startswith("protection.compress")
    if found is not None:
        assert read(found.content) == (found, ())


def test_defaults_are_filled_in():
    assert read("none")[0] == Compress()
    assert read({"kind": "shared"})[0] == Compress("shared", 16, 0.25)
    assert read({"kind": "shared", "share": 0.33})[0].period == 3
    assert Compress("low_rank").content == {"kind": "low_rank", "rank": 4, "bits": 16}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (3, ["found a int, expected a kind"]),
        ({}, ["kind: found no kind"]),
        ("sharde", ["Did you mean shared?"]),
        ({"kind": ["shared"]}, ["kind: found ['shared']"]),
        ({"kind": "quantised", "bits": 9, "share": 0.5}, ["bits: found 9", "share: found a setting that quantised does not have"]),
        ({"kind": "quantised", "bits": True}, ["bits: found True"]),
        ({"kind": "shared", "share": 0.4}, ["1 divided by a whole number"]),
        ({"kind": "shared", "share": 0.001}, ["1 divided by a whole number"]),
        ({"kind": "top_k", "share": 0}, ["above 0 and up to 0.5"]),
        ({"kind": "top_k", "share": float("nan")}, ["above 0 and up to 0.5"]),
        ({"kind": "low_rank", "rank": 65}, ["from 1 to 64"]),
    ],
)
def test_every_mistake_is_told_at_once(content, expected):
    found, problems = read(content)
    assert found is None
    assert len(problems) == len(expected)
    for problem, words in zip(problems, expected, strict=True):
        assert words in str(problem)
        assert translate(str(problem), "zh") != str(problem)


def found_in(sum_, kind, noise, **more):
    bits = {"bits": 16} | {name: more.pop(name) for name in ("bits",) if name in more}
    return conflicts(sum_, Compress(kind, **bits), noise, **({"exact_method": False} | more))


def test_nothing_stands_against_no_compression():
    for sum_, noise, exact in product((*get_args(Sum), "new"), (*get_args(Noise), "new"), (True, False)):
        assert conflicts(sum_, Compress(), noise, exact_method=exact) == ()


def test_the_table_of_what_can_be_combined():
    allowed = {
        (sum_, kind, noise)
        for sum_, kind, noise in product(get_args(Sum), KINDS, get_args(Noise))
        if not found_in(sum_, kind, noise)
    }
    early = ("none", "training", "local")  # noise that is there before anything is shrunk
    expected = {(sum_, "none", noise) for sum_, noise in product(get_args(Sum), get_args(Noise))}
    expected |= {(sum_, "quantised", noise) for sum_, noise in product(get_args(Sum), get_args(Noise))}
    expected |= {(sum_, kind, noise) for sum_, kind, noise in product(get_args(Sum), ("shared", "low_rank"), early)}
    expected |= {(sum_, "top_k", noise) for sum_, noise in product(("plain", "paillier"), early)}
    assert allowed == expected


def test_no_compression_goes_with_an_exact_method():
    for kind in KINDS[1:]:
        (problem,) = found_in("plain", kind, "none", exact_method=True)
        assert "equals the pooled one" in str(problem)


def test_masked_sums_take_16_bits_and_as_many_sites_as_these_hold():
    for kind in ("quantised", "shared", "low_rank"):
        (problem,) = found_in("masked", kind, "none", bits=8)
        assert problem.where == "protection.compress.bits"
        assert found_in("masked", kind, "none", sites=32766) == ()
        assert len(found_in("masked", kind, "none", sites=32767)) == 1
        assert found_in("plain", kind, "none", bits=8, sites=10**6) == ()


def test_what_is_not_known_is_refused():
    assert len(found_in("homomorphic", "shared", "none")) == 1
    assert len(found_in("plain", "quantised", "shuffled")) == 1


def test_all_conflicts_are_told_at_once_and_in_chinese():
    problems = found_in("masked", "top_k", "patient", exact_method=True)
    assert len(problems) == 3
    for problem in (*problems, *found_in("masked", "shared", "site", bits=8), *found_in("x", "shared", "y")):
        assert problem.remedy
        assert not any(word in translate(str(problem), "zh") for word in ("found", "expected", " with ", "Set ", " is "))


def test_nothing_is_kept_under_central_noise():
    assert [noise for noise in get_args(Noise) if keeps(Compress("quantised"), noise)] == ["none", "training", "local"]
    assert not any(keeps(Compress(), noise) for noise in get_args(Noise))


def test_settings_become_a_way_of_shrinking():
    blocks = Blocks(("w",), ((64, 64),))
    kinds = {kind: compression(Compress(kind), blocks, addends=5) for kind in KINDS[1:]}
    assert {kind: (way.describe()["kind"], way.maskable, way.addends) for kind, way in kinds.items()} == {
        "quantised": ("whole", True, 5),
        "shared": ("shared", True, 5),
        "top_k": ("top_k", False, 5),
        "low_rank": ("low_rank", True, 5),
    }
    chosen = [compression(Compress("shared", share=share), blocks).describe()["choice"] for share in (0.5, 0.25, 0.2, 0.125)]
    assert chosen == ["cyclic", "cyclic", "drawn", "drawn"]
    fixed = compression(Compress("quantised"), blocks, addends=5, noise="site")
    public = fixed.begin(0, np.ones(1))
    assert len(fixed.shrink(np.zeros(4096, np.float32), public, np.random.default_rng(0).bytes).values) == 4096
    with pytest.raises(CallerError, match="nothing is shrunk"):
        compression(Compress(), blocks)
