"""Tokens: signed whole, by whom they may be, for whom they say."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import FederationError
from huizhen.federation.wire.nkeys import new_pair
from huizhen.federation.wire.subjects import Permissions, permissions
from huizhen.federation.wire.tokens import FOR_EVER, account_token, check_user_token, operator_token, read_token, user_token

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OPERATOR, ACCOUNT, USER = new_pair("operator"), new_pair("account"), new_pair("user")
ALLOWED = permissions("site", USER.public)


def user(**changed):
    settings = {"name": "east", "now": NOW, "expires": NOW + timedelta(days=1), "allowed": ALLOWED, **changed}
    return user_token(ACCOUNT, USER.public, **settings)


def parts(token):
    return [json.loads(urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def signed_anew(claims, issuer, header=None):
    text = ".".join(
        urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header or {"typ": "JWT", "alg": "ed25519-nkey"}, claims)
    )
    return f"{text}.{urlsafe_b64encode(issuer.sign(text.encode())).decode().rstrip('=')}"


def check(token, **changed):
    expected = {"account": ACCOUNT.public, "user": USER.public, "allowed": ALLOWED, "now": NOW, **changed}
    return check_user_token(token, **expected)


def test_a_user_token_says_what_was_put_into_it():
    token = check(user())
    assert (token.kind, token.subject, token.issuer, token.name) == ("user", USER.public, ACCOUNT.public, "east")
    assert token.permissions == ALLOWED
    assert token.expires - token.issued == 86_400


def test_an_account_has_no_jetstream_and_its_revocations():
    revoked = {USER.public: FOR_EVER}
    text = account_token(OPERATOR, ACCOUNT.public, name="h", now=NOW, connections=7, revoked=revoked)
    token = read_token(text)
    assert token.revoked == revoked
    assert token.nats["limits"]["conn"] == 7
    assert not any(
        token.nats["limits"][key] for key in ("mem_storage", "disk_storage", "streams", "consumer", "exports", "imports")
    )


def test_an_operator_vouches_for_itself():
    token = read_token(operator_token(OPERATOR, name="h", system_account=ACCOUNT.public, now=NOW))
    assert token.subject == token.issuer == OPERATOR.public


def test_an_empty_side_of_permissions_denies_all():
    _, claims = parts(user(allowed=Permissions((), ("a.>",))))
    assert claims["nats"]["pub"] == {"deny": [">"]}


def test_a_token_that_a_user_or_an_operator_signs_for_a_user_is_not_sound():
    _, claims = parts(user())
    for issuer in (USER, OPERATOR, new_pair("account")):
        with pytest.raises(FederationError, match="not sound"):
            read_token(signed_anew(claims, issuer))
        with pytest.raises(FederationError):
            check(signed_anew({**claims, "iss": issuer.public}, issuer))


@pytest.mark.parametrize(
    "wrong",
    [
        {"account": new_pair("account").public},
        {"user": new_pair("user").public},
        {"allowed": Permissions(("hz.>",), ("hz.>",))},
        {"now": NOW + timedelta(days=1)},
    ],
)
def test_a_token_that_was_not_promised_is_refused(wrong):
    check(user())
    with pytest.raises(FederationError, match="not the one that was promised"):
        check(user(), **wrong)


def test_all_differences_are_told_at_once():
    with pytest.raises(FederationError) as refused:
        check(user(), account=new_pair("account").public, now=NOW + timedelta(days=2))
    assert [problem.where for problem in refused.value.problems] == ["token: issuer", "token: expiry"]


@pytest.mark.parametrize("header", [{"typ": "JWT", "alg": "none"}, {"typ": "JWT", "alg": "ed25519"}])
def test_a_token_with_another_header_is_not_sound(header):
    with pytest.raises(FederationError, match="not sound"):
        read_token(signed_anew(parts(user())[1], ACCOUNT, header))


@given(st.data())
def test_a_token_with_a_character_changed_is_not_sound(data):
    text = user()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019-_.="))
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    with pytest.raises(FederationError) as refused:
        read_token(changed)
    assert changed not in str(refused.value)


@given(st.text(max_size=200) | st.sampled_from(["a.b.c", "..", "e30.e30.AA"]))
def test_anything_else_is_no_token(text):
    with pytest.raises(FederationError):
        read_token(text)


def test_a_deeply_nested_token_is_refused():
    header = urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")
    with pytest.raises(FederationError):
        read_token(f"{header}.e30.AA")
