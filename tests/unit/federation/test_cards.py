"""Published cards: whose they are, and which are no cards at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cards import AT, content, signed
from huizhen import canonical
from huizhen.errors import CallerError
from huizhen.federation.cards import LARGEST, CodeEntry, SignedCard, VariableEntry
from huizhen.ledger.keys import new_key, public_hex


def test_a_card_comes_back_as_it_was_signed():
    card = signed()
    again = SignedCard.parse(canonical.decode(canonical.encode(card.content)))
    assert again == card
    assert again.is_sound


@pytest.mark.parametrize("other", [{"number": 2}, {"site": "west"}, {"at": "2026-01-02T00:00:00+00:00"}, {"card": None}])
def test_a_card_of_which_a_word_was_changed_is_not_sound(other):
    assert not SignedCard.parse({**signed().content, **other}).is_sound


def test_a_card_under_another_key_is_not_sound():
    assert not SignedCard.parse({**signed().content, "key": public_hex(new_key().public)}).is_sound


def test_taking_back_is_signed_too():
    key = new_key()
    withdrawn = SignedCard.of(None, site="east", number=2, at=AT, key=key)
    assert withdrawn.is_sound
    assert withdrawn.card is None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"site": "../etc"}, "card.site"),
        ({"number": 0}, "card.number"),
        ({"number": 1.5}, "card.number"),
        ({"at": "yesterday"}, "card.at"),
        ({"key": "ab"}, "card.key"),
        ({"signature": b"short"}, "card.signature"),
        ({"rows": [["p1", 61.0]]}, "card.rows"),
    ],
)
def test_every_mistake_of_a_card_is_named(change, where):
    with pytest.raises(CallerError) as refused:
        SignedCard.parse({**signed().content, **change})
    assert where in [problem.where for problem in refused.value.problems]


def test_a_kind_of_event_that_is_none_is_refused():
    body = signed().content
    body["card"]["codes"][0]["kind"] = "secret"
    with pytest.raises(CallerError) as refused:
        SignedCard.parse(body)
    assert "card.card.codes[1].kind" in [problem.where for problem in refused.value.problems]


def test_a_huge_card_is_not_looked_into():
    body = signed().content
    body["card"]["about"] = "x" * LARGEST
    with pytest.raises(CallerError, match="bytes"):
        SignedCard.parse(body)


def test_the_largest_card_of_a_site_is_small_enough():
    codes = [CodeEntry(kind="drug", system="ATC", code=f"A{i:06}", display="w" * 200, patients=i) for i in range(500)]
    card = signed(codes=codes)
    assert len(canonical.encode(card.content)) < LARGEST
    assert SignedCard.parse(card.content).is_sound


def test_a_card_with_more_variables_than_fit_is_refused():
    body = signed().content
    body["card"]["sources"][0]["variables"] = [VariableEntry(name="v", type="number").model_dump()] * 2001
    with pytest.raises(CallerError):
        SignedCard.parse(body)


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))


@settings(deadline=None)
@given(values)
def test_whatever_comes_is_a_card_or_is_refused(body):
    with pytest.raises(CallerError):
        SignedCard.parse(body)


@settings(deadline=None)
@given(st.sampled_from(sorted(signed().content)), values)
def test_whatever_stands_in_the_place_of_a_fact_is_refused_or_not_sound(place, value):
    body = {**signed().content, place: value}
    try:
        card = SignedCard.parse(body)
    except CallerError:
        return
    assert not card.is_sound


def test_two_cards_that_say_the_same_have_one_digest():
    assert content().digest == content().digest != content(patients=1201).digest
