"""Subjects: who may speak where; nobody for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.federation.wire.nkeys import new_pair
from huizhen.federation.wire.subjects import (
    ROLES,
    answer_place,
    guest_permissions,
    inbox,
    is_token,
    join_subject,
    permissions,
    sender_of,
    subject_from,
    subject_to,
)

A, B = new_pair("user").public, new_pair("user").public


@pytest.mark.parametrize("role", ROLES)
def test_an_actor_speaks_in_its_own_name_and_hears_what_is_said_to_it(role):
    allowed = permissions(role, A)
    assert allowed.publish == (f"hz.from.{A}.>",)
    assert allowed.subscribe == (f"hz.to.{A}.>",)


def test_an_unknown_role_has_no_permissions():
    with pytest.raises(ValueError, match="role"):
        permissions("hub", A)


def test_a_guest_may_use_its_invitation_alone():
    allowed = guest_permissions("abc")
    assert (allowed.publish, allowed.subscribe) == (("hz.join.abc",), ("hz.joined.abc.>",))


@pytest.mark.parametrize("bad", ["*", ">", "a.b", "", " ", "a" * 65, "a b", "a\r\nPUB x 0"])
def test_what_is_no_token_makes_no_subject(bad):
    assert not is_token(bad)
    with pytest.raises(ValueError, match="token"):
        subject_from(A, bad, "x")
    with pytest.raises(ValueError, match="identifier"):
        join_subject(bad)
    with pytest.raises(ValueError, match="key"):
        subject_to(bad, "x")


def test_the_sender_is_read_off_the_subject():
    assert sender_of(subject_from(A, "renew")) == A
    assert sender_of(subject_from(A, "answer", "abc")) == A
    assert sender_of(subject_to(A, "ask")) is None
    assert sender_of(f"hz.from.{A}") is None
    assert sender_of(f"hz.from.{A[:-1]}{'Y' if A.endswith('X') else 'X'}.renew") is None


def test_an_answer_goes_to_its_sender_and_nowhere_else():
    asked = subject_from(A, "renew")
    own = f"{inbox(A)}.x1"
    assert answer_place(asked, own) == own
    for elsewhere in (f"{inbox(B)}.x1", subject_from(A, "x"), "hz.hub.inbox.x", "hz.joined.abc.x", f"hz.to.{A}", f"hz.to.{A}.", ""):
        assert answer_place(asked, elsewhere) is None
    assert answer_place("hz.join.abc", "hz.joined.abc.n") == "hz.joined.abc.n"
    assert answer_place("hz.join.abc", "hz.joined.abd.n") is None
    assert answer_place("hz.join.abc", own) is None
    assert answer_place("hz.join.abc.d", "hz.joined.abc.d.n") is None


@given(st.text(max_size=30))
def test_no_text_behind_the_own_prefix_leads_out_of_it(text):
    place = answer_place(subject_from(A, "x"), f"hz.to.{A}.{text}")
    assert place is None or (place.startswith(f"hz.to.{A}.") and not set(place) & set(" *>\r\n\t"))
