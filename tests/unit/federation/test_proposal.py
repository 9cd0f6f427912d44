"""What a site accepts: read whole, said again byte for byte, and signed for."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.clock import ManualClock
from huizhen.errors import CallerError, StudyError
from huizhen.federation.bodies import DEEPEST, Body, read_body
from huizhen.federation.consent import Consent, told_rows
from huizhen.federation.proposal import Initiator, Party, Proposal
from huizhen.federation.study import Study
from huizhen.federation.suggestion import Here, most_rounds, suggestion
from huizhen.ledger.keys import new_key, public_hex
from huizhen.policy.disclosure import DisclosurePolicy, disclosure_policy
from huizhen.translation import translate

NOW = ManualClock().now()
KEYS = {name: new_key() for name in ("east", "west", "north")}
NOISY = {
    "variables": {"sex": {"type": "category", "levels": ["f", "m"]}},
    "method": {"tabulate": {"rows": "sex"}},
    "protection": {"sum": "masked", "noise": {"epsilon": 2.0, "delta": 1e-6}},
}


def propose(content=None, *, sites=tuple(KEYS), roles=None, **changed):
    study = Study.parse(content or {"method": {"summary": {"variables": ["age"]}}, "cohort": {"include": ["age >= 18"]}})
    parties = [Party(name=name, key=public_hex(KEYS[name].public), role=(roles or {}).get(name, "site")) for name in sites]
    said = {"id": "study-1", "initiator": Initiator(name="li", key="UABC"), "participants": parties, "created": NOW}
    return Proposal.of(study, **{**said, "expires": NOW + timedelta(hours=72), **changed})


def test_a_proposal_reads_back_as_itself():
    made = propose()
    again = Proposal.parse(canonical.decode(canonical.encode(made.content)))
    assert again == made
    assert again.digest == made.digest == canonical.digest(made.content)


@pytest.mark.parametrize("key", ["id", "priority", "expires", "study", "participants", "initiator"])
def test_every_word_changes_the_digest(key):
    others = {
        "id": {"id": "study-2"},
        "priority": {"priority": 6},
        "expires": {"expires": NOW + timedelta(hours=73)},
        "study": {"content": {"method": {"summary": {"variables": ["weight"]}}}},
        "participants": {"sites": ("west", "east", "north")},
        "initiator": {"initiator": Initiator(name="li", key="UABD")},
    }
    assert propose(**others[key]).digest != propose().digest


def test_data_conditions_are_those_of_the_study():
    study = {"method": {"summary": {"variables": ["age"]}}, "cohort": {"exclude": ["stage is missing"]}}
    conditions = propose({**study, "participants": {"min_rows": 50}, "start": {"joint_rows": 900}}).conditions
    assert dict(conditions.variables) == {"age": "any", "stage": "any"}
    assert (conditions.exclude, conditions.min_rows, conditions.joint_rows) == (("stage is missing",), 50, 900)


def test_what_it_spends_is_what_the_noise_promises():
    pytest.importorskip("dp_accounting")
    made = propose(NOISY)
    assert (made.spends.level, made.spends.epsilon, made.spends.delta) == ("patient", 2.0, 1e-6)
    with pytest.raises(StudyError, match="another privacy budget"):
        Proposal.parse({**made.content, "spends": {"level": "patient", "epsilon": 0.01, "delta": 1e-6}})
    assert propose().spends.epsilon == 0


def test_all_mistakes_of_a_proposal_are_named_at_once():
    content = {**propose().content, "priority": 11, "created": "yesterday", "extra": 1}
    with pytest.raises(StudyError) as caught:
        Proposal.parse(content)
    assert {problem.where for problem in caught.value.problems} == {"proposal.priority", "proposal.created", "proposal.extra"}


def test_a_study_that_is_not_written_in_full_is_not_accepted():
    content = propose().content
    short = {**content, "study": {"method": content["study"]["method"], "cohort": content["study"]["cohort"]}}
    with pytest.raises(StudyError, match="read the study alike"):
        Proposal.parse(short)


def test_participants_differ_in_name_and_key_and_are_those_of_the_study():
    with pytest.raises(StudyError, match="repeated names: east"):
        propose(sites=("east", "east"))
    content = propose().content
    content["participants"][1]["key"] = content["participants"][0]["key"]
    with pytest.raises(StudyError, match="one key for several"):
        Proposal.parse(content)
    named = {"method": {"summary": {"variables": ["age"]}}, "participants": {"sites": ["east", "west"], "quorum": 2}}
    with pytest.raises(StudyError, match="the sites of the study: east, west"):
        propose(named)
    with pytest.raises(StudyError, match="at least 2, as the study asks for"):
        propose({**named, "participants": {"quorum": 2}}, sites=("east",))
    masked = {"method": {"tabulate": {"rows": "sex"}}, "protection": {"sum": "masked"}}
    masked["variables"] = {"sex": {"type": "category", "levels": ["f", "m"]}}
    with pytest.raises(StudyError, match="at least 3"):
        propose(masked, roles={"north": "provider"})


def test_a_proposal_does_not_expire_before_it_is_made():
    with pytest.raises(StudyError, match="a time after"):
        propose(expires=NOW)


def test_the_start_of_a_study_is_read_as_a_whole():
    method = {"method": {"summary": {"variables": ["age"]}}}
    read = Study.parse({**method, "start": {"when": "enough accepted", "sites": 2, "at": "2026-03-01T08:00:00+08:00"}})
    assert read.start.at == "2026-03-01T00:00:00+00:00"
    assert Study.parse(read.content).digest == read.digest
    for start in ({"at": "noon"}, {"at": "2026-03-01T08:00:00"}, {"sites": 2}, {"joint_rows": -1}, {"when": "soon"}):
        with pytest.raises(StudyError, match="start"):
            Study.parse({**method, "start": start})
    with pytest.raises(StudyError, match="no more than the 1 sites"):
        Study.parse({**method, "start": {"when": "enough accepted", "sites": 2}, "participants": {"sites": ["east"]}})


CONSENT = Consent(
    "ab" * 32,
    "study-1",
    "east",
    "accept",
    "",
    "2026-01-01T00:00:00+00:00",
    policy={"min_rows": 10},
    reads={"age": {"kind": "number"}},
)


def test_a_consent_reads_back_and_is_signed_by_its_site_alone():
    said = CONSENT.signed(KEYS["east"])
    again = Consent.parse(canonical.decode(canonical.encode(said.content)))
    assert again == said
    assert again.is_signed_by(KEYS["east"].public)
    assert not again.is_signed_by(KEYS["west"].public)


@pytest.mark.parametrize("changed", [{"choice": "withdraw"}, {"proposal": "cd" * 32}, {"rows": 1}, {"policy": {"min_rows": 1}}])
def test_no_word_of_a_signed_consent_can_be_changed(changed):
    assert not replace(CONSENT.signed(KEYS["east"]), **changed).is_signed_by(KEYS["east"].public)


@pytest.mark.parametrize(
    "changed", [{"proposal": "x"}, {"choice": "maybe"}, {"site": "../etc"}, {"signature": b""}, {"rows": True}, {"more": 1}]
)
def test_a_consent_that_is_none_is_not_read(changed):
    with pytest.raises(CallerError, match="cannot be read"):
        Consent.parse({**CONSENT.signed(KEYS["east"]).content, **changed})


@given(st.integers(0, 10**9))
def test_told_rows_are_never_more_than_there_are_and_tell_two_digits(rows):
    told = told_rows(rows)
    assert 0 <= rows - told < max(10, 0.1 * rows + 1)
    assert len(str(told).rstrip("0")) <= 2


class Anything(Body):
    value: object = None


@settings(deadline=None, max_examples=200)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=20,
    )
)
def test_whatever_is_sent_is_read_or_refused(sent):
    for read in (Proposal.parse, Consent.parse, lambda body: read_body(Anything, body, what="body")):
        with suppress(CallerError):
            read(sent)


def test_a_body_that_is_too_deep_too_many_or_too_large_is_not_looked_into():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for body in ({"value": deep}, {"value": [0] * 300_000}, {"value": b"0" * 5_000_000}, [], {"value": object()}):
        with pytest.raises(CallerError, match="cannot be read"):
            read_body(Anything, body, what="body")
    assert read_body(Anything, {"value": [[1]]}, what="body").value == [[1]]
    assert DEEPEST < 100


def told(proposal, here=None, language="en"):
    passages = suggestion(proposal, "east", here or Here(DisclosurePolicy()))
    return {translate(one.heading, language): [translate(line, language) for line in one.lines] for one in passages}


def test_a_suggestion_says_that_the_hub_sees_plain_sums_of_this_site():
    lines = told(propose())
    assert "Not masked: the hub sees this site's own sums, of every round." in lines["How it is protected"]
    assert lines["Which patients"] == ["only patients for whom holds: age >= 18"]
    assert lines["What is read"] == ["as numbers: age"]
    assert lines["What it spends of the privacy budget here"][0].startswith("Nothing")
    assert lines["What it costs here"] == [
        "Rows read: not counted yet",
        "Processor time: not known beforehand; the limits of this site's configuration hold.",
    ]


def test_a_suggestion_of_a_noisy_study_says_what_it_spends_of_this_sites_budget():
    pytest.importorskip("dp_accounting")
    policy = disclosure_policy({"budget": {"epsilon": 5.0, "delta": 1e-6}})
    lines = told(propose(NOISY), Here(policy, rows=300, spent=1.25, cpu_s=2.0))
    assert lines["What it spends of the privacy budget here"] == [
        "At most epsilon 2 at delta 1e-06.",
        "The budget of this site is epsilon 5 at delta 1e-06, of which 1.25 is spent or reserved.",
    ]
    assert lines["What it costs here"][0] == "Rows read: 300"
    assert any("all planned beforehand" in line for line in lines["How often"])


def test_a_suggestion_names_what_the_hub_would_see_of_this_site_alone():
    settings_ = {"of": "compare", "settings": {"variable": "age", "by": "sex"}, "per_site": True}
    lines = told(propose({"method": {"meta": settings_}}))
    assert "meta: also values of this site alone, which the hub sees as such: per_site" in lines["What leaves this site"]
    assert not any("alone" in line for line in told(propose())["What leaves this site"])


def test_rounds_are_counted_as_far_as_the_study_bounds_them():
    cox = {"time": "time", "event": "died", "formula": "~ age", "max_iterations": 20}
    assert most_rounds(Study.parse({"method": {"cox": cox, "summary": {"variables": ["age"]}}})) == 20


def test_a_suggestion_is_told_in_chinese_to_the_last_line():
    lines = told(propose(), language="zh")
    title = "A study"  # the study's own words stay
    for heading, said in lines.items():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in heading)
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in line) for line in said if line != title)


@pytest.mark.parametrize("content", [{"study": {"method": np.zeros(0)}}, {"id": np.ones(3)}, {"participants": [np.zeros((0, 3))]}])
def test_an_array_where_a_plain_value_belongs_is_a_mistake_and_no_other_error(content):
    with pytest.raises(StudyError, match="an array"):
        Proposal.parse(content)
