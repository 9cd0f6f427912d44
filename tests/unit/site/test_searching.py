"""Cards as they come to whoever asks: which are believed, and which are left out."""

import json

import pytest

from cards import signed
from huizhen.errors import CallerError, MachineError
from huizhen.federation.cards import LARGEST
from huizhen.federation.cardsearch import Wish, read_wish
from huizhen.ledger.keys import new_key
from huizhen.site.searching import KnownSites, card_in_file, cards_in, read_card_file, sifted, write_card


@pytest.fixture
def known(tmp_path):
    return KnownSites.read(tmp_path / "cards.json")


def sites(found):
    return [card.site for card, _ in found.cards]


def reasons(found):
    return [problem.found for problem in found.left_out]


def test_what_fits_is_believed_and_its_key_is_known_from_then_on(known):
    east, west = signed("east", 3), signed("west", codes=[])
    found = sifted([east.content, west.content], read_wish("ICD10:C34"), known)
    assert (sites(found), reasons(found)) == (["east"], [])
    known.keep()
    assert KnownSites.read(known.path).seen == known.seen
    assert known.seen["east"] == (east.key, 3, east.digest)


def test_a_card_under_another_key_than_was_seen_is_left_out(known):
    sifted([signed("east").content], Wish(), known)
    found = sifted([signed("east", 9).content], Wish(), known)
    assert sites(found) == []
    assert found.left_out[0].expected.endswith("which was seen before")


def test_a_new_key_is_believed_once_a_person_says_so(known):
    sifted([signed("east", 5).content], Wish(), known)
    other = signed("east", 1)
    assert known.doubt(other) is not None
    assert known.doubt(other, anew=True) is None
    assert known.doubt(other) is None


def test_an_old_card_that_is_told_again_is_left_out(known):
    key = new_key()
    sifted([signed("east", 4, key).content], Wish(), known)
    assert reasons(sifted([signed("east", 3, key).content], Wish(), known)) == ["number 3, an older card"]


def test_two_cards_under_one_number_are_told_apart(known):
    key = new_key()
    sifted([signed("east", 4, key).content], Wish(), known)
    other = signed("east", 4, key, patients=9)
    assert reasons(sifted([other.content], Wish(), known)) == ["another card under the number 4"]


def test_a_card_that_was_altered_on_the_way_is_left_out(known):
    body = signed("east").content
    body["card"]["patients"] = 1_000_000
    assert reasons(sifted([body], Wish(), known)) == ["a signature that does not fit"]
    assert known.seen == {}


def test_whatever_else_comes_is_left_out_and_the_others_are_found(known):
    huge = signed("west").content
    huge["card"]["about"] = "x" * LARGEST
    found = sifted([None, 3, {}, huge, signed("east").content], Wish(), known)
    assert sites(found) == ["east"]
    assert len(found.left_out) >= 4


def test_of_two_keys_for_a_site_that_is_not_known_neither_is_believed(known):
    forged, own = signed("east", 1), signed("east", 7)
    found = sifted([forged.content, own.content], Wish(), known)
    assert (sites(found), reasons(found)) == ([], ["cards under several keys"] * 2)
    known.doubt(own)
    assert sites(sifted([forged.content, own.content], Wish(), known)) == ["east"]


def test_a_damaged_memory_of_keys_stops_the_search(tmp_path):
    (tmp_path / "cards.json").write_text("{broken", encoding="utf-8")
    with pytest.raises(MachineError, match="What is known of sites"):
        KnownSites.read(tmp_path / "cards.json")


# --- folders ------------------------------------------------------------------------------------------------------------------


def test_cards_in_a_folder_are_found_and_of_a_site_the_newest(tmp_path):
    key = new_key()
    for number in (1, 2):
        write_card(signed("east", number, key, patients=100 * number), tmp_path / f"east-{number}.json")
    write_card(signed("west", codes=[]), tmp_path / "west.json")
    found = cards_in(tmp_path, read_wish("ICD10:C34"), KnownSites(None))
    assert [(card.site, card.card.patients) for card, _ in found.cards] == [("east", 200)]
    assert found.looked_at == 2
    assert card_in_file(tmp_path, "west", KnownSites(None)).site == "west"
    with pytest.raises(CallerError, match="There is no such card"):
        card_in_file(tmp_path, "north", KnownSites(None))


def test_a_card_file_comes_back_as_it_was_signed(tmp_path):
    card = signed()
    write_card(card, tmp_path / "card.json")
    assert read_card_file(tmp_path / "card.json") == card


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"signature": 3}', '{"signature": "zz"}', "[" * 100_000, "\ud800"])
def test_files_that_are_no_cards_are_named(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    write_card(signed("east"), tmp_path / "b.json")
    found = cards_in(tmp_path, Wish(), KnownSites(None))
    assert sites(found) == ["east"]
    assert [problem.where.split(":")[0] for problem in found.left_out] == ["a.json"]


def test_a_huge_file_is_not_read_whole(tmp_path):
    (tmp_path / "a.json").write_bytes(b"[" + b"1," * (3 * LARGEST) + b"1]")
    with pytest.raises(CallerError, match="no published card"):
        read_card_file(tmp_path / "a.json")


def test_an_altered_card_file_is_left_out(tmp_path):
    write_card(signed("east"), tmp_path / "a.json")
    body = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    body["card"]["patients"] = 9
    (tmp_path / "a.json").write_text(json.dumps(body), encoding="utf-8")
    assert reasons(cards_in(tmp_path, Wish(), KnownSites(None))) == ["a signature that does not fit"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CallerError, match="There are no cards here"):
        cards_in(tmp_path / "gone", Wish(), KnownSites(None))
