"""Keys of an epoch: agreed in pairs, signed for one purpose, and of no use for another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from huizhen.privacy.masking.keys import Advert, adverts_digest, derive, make_keys, open_box, seal_box, verify

PURPOSE = {"study": "s", "run": "r", "analysis": "a", "lineage": "", "roster": ["x", "y", "z"], "epoch": b"1" * 16, "site": "x"}


def advertised(identity, purpose=PURPOSE):
    bare = make_keys().advert()
    return replace(bare, signature=identity.sign(bare.message(purpose)))


def test_two_sites_agree_on_both_secrets():
    west, east = make_keys(), make_keys()
    assert west.agree(east.advert()) == east.agree(west.advert())
    secret, carried = west.encapsulate(east.advert())
    assert east.decapsulate(carried) == secret
    assert west.decapsulate(carried) != secret, "nobody else can open it"


def test_an_advert_counts_for_its_site_and_purpose_only():
    west, east = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    advert = advertised(west)
    assert verify(advert, PURPOSE, west.public_key())
    assert not verify(advert, PURPOSE, east.public_key())
    for key, other in (("epoch", b"2" * 16), ("site", "y"), ("roster", ["x", "y"]), ("run", "r2"), ("study", "t")):
        assert not verify(advert, {**PURPOSE, key: other}, west.public_key()), f"a replay for another {key}"
    assert not verify(replace(advert, agreement=make_keys().advert().agreement), PURPOSE, west.public_key())


@pytest.mark.parametrize("facts", [None, {}, {"agreement": b"short", "encapsulation": b"", "signature": b""}, {"agreement": 5}])
def test_what_is_no_advert_is_not_believed(facts):
    assert Advert.from_facts(facts) is None


def test_an_advert_comes_back_from_its_facts():
    advert = advertised(Ed25519PrivateKey.generate())
    assert Advert.from_facts(advert.facts()) == advert
    assert len(adverts_digest({"x": advert})) == 32


def test_no_secret_serves_two_purposes():
    assert len({derive(b"k" * 32, *purpose) for purpose in (("box", 1), ("box", 2), ("pair", 1), ("pair", [1]))}) == 4
    assert derive(b"k" * 32, "round", 3, size=16) == derive(b"k" * 32, "round", 3, size=16)


def test_a_box_opens_for_its_purpose_only():
    key = b"k" * 32
    sealed = seal_box(key, b"shares", b"from x to y")
    assert open_box(key, sealed, b"from x to y") == b"shares"
    for wrong in ((key, sealed, b"from x to z"), (b"j" * 32, sealed, b"from x to y"), (key, sealed[:-1] + b"?", b"from x to y")):
        with pytest.raises(InvalidTag):
            open_box(*wrong)


def test_keys_do_not_show_themselves():
    assert "X25519" not in repr(make_keys())
