"""When a chain of entries is sound, and what is said of the first bad entry."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import LedgerError
from huizhen.ledger.chain import EMPTY, Damaged, Entry, Head, head_after, linked, readable, seal, verify
from huizhen.ledger.keys import new_key

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY, OTHER = new_key(), new_key()
TRUSTED = {KEY.key_id: KEY.public}


def chain(length, key=KEY, start=EMPTY):
    entries, head = [], start
    for n in range(length):
        entries.append(seal(head, NOON, "released", {"n": n}, key))
        head = head_after(entries[-1])
    return entries


def forged(entry: Entry, fact):
    """The entry with another fact, by somebody who can compute hashes and does not hold the key."""

    class Pretender:
        key_id = entry.key
        sign = OTHER.sign

    return seal(Head(entry.sequence, entry.previous), NOON, entry.kind, fact, Pretender())


@pytest.mark.parametrize("length", [0, 1, 7])
def test_an_untouched_chain_is_sound(length):
    entries = chain(length)
    verdict = verify(iter(entries), TRUSTED)
    assert verdict.sound
    assert verdict.head == (head_after(entries[-1]) if entries else EMPTY)


@pytest.mark.parametrize("part", ["time", "kind", "text", "previous", "key", "hash"])
def test_a_changed_part_is_found_at_its_entry(part):
    entries = chain(5)
    was = getattr(entries[2], part)
    entries[2] = replace(entries[2], **{part: ("0" if was[0] != "0" else "1") + was[1:]})
    verdict = verify(entries, TRUSTED)
    assert (verdict.sound, verdict.sequence, verdict.fault) == (False, 2, "changed")
    assert "entry 2" in verdict.reason
    assert verdict.head == head_after(entries[1])


def test_a_changed_signature_is_found():
    entries = chain(3)
    entries[1] = replace(entries[1], signature=entries[0].signature)
    assert verify(entries, TRUSTED).fault == "signature"
    entries[1] = replace(entries[1], signature="not hexadecimal")
    assert verify(entries, TRUSTED).sequence == 1


def test_whoever_recomputes_hashes_without_the_key_is_found():
    entries = chain(3)
    entries[1] = forged(entries[1], {"n": 9})
    verdict = verify(entries, TRUSTED)
    assert (verdict.sequence, verdict.fault) == (1, "signature")


def test_a_chain_by_an_unknown_key_is_not_trusted():
    entries = chain(2) + chain(1, OTHER, head_after(chain(2)[-1]))
    verdict = verify(entries, TRUSTED)
    assert (verdict.sequence, verdict.fault) == (2, "unknown key")
    assert verify(entries, {**TRUSTED, OTHER.key_id: OTHER.public}).sound, "a site may change its key"


def test_a_missing_entry_is_named():
    entries = chain(5)
    verdict = verify(entries[:2] + entries[3:], TRUSTED)
    assert (verdict.sequence, verdict.fault) == (2, "missing")


def test_entries_in_another_order_are_named():
    entries = chain(4)
    verdict = verify([entries[0], entries[1], entries[1], entries[3]], TRUSTED)
    assert (verdict.sequence, verdict.fault) == (2, "reordered")


def test_an_entry_of_another_chain_by_the_same_key_breaks_the_link():
    entries = chain(3)
    stranger = seal(Head(1, "a" * 64), NOON, "released", {"n": 1}, KEY)
    verdict = verify([entries[0], stranger, entries[2]], TRUSTED)
    assert (verdict.sequence, verdict.fault) == (1, "link")


def test_a_chain_cut_short_is_found_against_a_noted_head_only():
    entries = chain(5)
    noted = head_after(entries[-1])
    assert verify(entries[:3], TRUSTED).sound
    verdict = verify(entries[:3], TRUSTED, head=noted)
    assert (verdict.sequence, verdict.fault) == (3, "truncated")


def test_a_chain_written_anew_by_the_keys_holder_is_found_against_a_noted_head():
    noted = head_after(chain(3)[-1])
    anew = [seal(EMPTY, NOON, "other", {}, KEY)]
    for _ in range(4):
        anew.append(seal(head_after(anew[-1]), NOON, "other", {}, KEY))
    verdict = verify(anew, TRUSTED, head=noted)
    assert (verdict.sequence, verdict.fault) == (2, "rewritten")


def test_an_unreadable_entry_is_named():
    verdict = verify([*chain(2), Damaged(2, "a page is torn")], TRUSTED)
    assert (verdict.sequence, verdict.fault) == (2, "unreadable")
    assert "torn" in verdict.reason


def test_links_are_followed_up_to_the_first_bad_entry():
    entries = chain(4)
    assert list(linked(entries)) == entries
    entries[2] = replace(entries[2], text="{}")
    walk = linked(entries)
    assert [next(walk), next(walk)] == entries[:2]
    with pytest.raises(LedgerError, match="entry 2"):
        next(walk)


facts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), facts, max_size=4))
def test_a_fact_read_back_from_its_text_has_the_same_text(fact):
    entry = seal(EMPTY, NOON, "kind", fact, KEY)
    assert entry.payload == fact
    assert readable(dict(entry.payload)) == entry.text
    assert readable(dict(reversed(fact.items()))) == entry.text


def test_the_message_about_a_refused_fact_never_shows_the_value():
    class Marked:
        def __repr__(self):
            return "MARKED-PATIENT"

    with pytest.raises(TypeError) as refusal:
        readable({"name": Marked()})
    assert "MARKED" not in str(refusal.value)
