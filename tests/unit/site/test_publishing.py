"""A site publishes its card: what stands on it, what is guarded, what the policy and the ledger say."""

import json

import pytest
from typer.testing import CliRunner

from cards import RecordsOfASite
from huizhen.cli.app import commands
from huizhen.clock import ManualClock
from huizhen.errors import CallerError, DataError, LedgerError, MachineError, PolicyError, SiteError
from huizhen.federation.cards import SignedCard
from huizhen.ledger.chain import linked
from huizhen.ledger.keys import load_key
from huizhen.ledger.store import SqliteLedger
from huizhen.site.db import SiteStore
from huizhen.site.publishing import drafted, publish, unpublish

CLOCK = ManualClock()


@pytest.fixture
def place(tmp_path):
    return RecordsOfASite(tmp_path / "east").add(range(100)).add(range(40), "E11.9", "Type 2 diabetes", "2022-05-01")


def card(place):
    return publish(place.root, CLOCK).signed.card


def codes(content):
    return {one.code: one.patients for one in content.codes}


def ledger(place):
    store = SqliteLedger(place.root / "cards" / "ledger.sqlite", load_key(place.root / "cards" / "key.pem"))
    try:
        return list(linked(store.entries()))
    finally:
        store.close()


def test_a_card_tells_what_is_there_and_is_signed(place):
    signed = publish(place.root, CLOCK).signed
    assert signed.is_sound
    assert (signed.site, signed.number, signed.at) == ("east", 1, "2026-01-01T00:00:00+00:00")
    content = signed.card
    assert (content.patients, content.first, content.last) == (100, 2020, 2022)
    assert codes(content) == {"C34.1": 100, "E11.9": 40}
    (kind,) = content.kinds
    assert (kind.kind, kind.patients, kind.timed, kind.coded, kind.with_unit) == ("condition", 100, "95-100 %", "95-100 %", None)


def test_a_card_is_released_through_the_gate(place):
    signed = publish(place.root, CLOCK).signed
    (entry,) = [one for one in ledger(place) if one.kind == "released"]
    facts = entry.payload
    assert (facts["method"], facts["step"], facts["lane"], facts["run"]) == ("card", "publish", "plain", "card-1")
    assert facts["study"] == signed.card.digest
    assert "100" not in json.dumps(facts["parts"])


def test_few_patients_more_or_less_change_no_card(place):
    first = publish(place.root, CLOCK)
    assert first.is_new
    place.add(range(100, 104))
    again = publish(place.root, CLOCK)
    assert not again.is_new
    assert again.signed == first.signed
    place.add([104])
    third = publish(place.root, CLOCK)
    assert third.is_new
    assert (third.signed.number, codes(third.signed.card)) == (2, {"C34.1": 105, "E11.9": 40})


def test_many_cards_with_few_patients_between_them_never_tell_of_those(place):
    told = []
    for last in range(101, 130):
        place.add([last - 1])
        told.append(card(place).patients)
    assert set(told) == {101, 106, 111, 116, 121, 126}


def test_a_code_that_loses_few_patients_stands_in_its_words(place):
    place.add(range(200, 206), "J45", "Asthma")
    before = card(place)
    place.remove([200, 201], "J45")
    assert card(place) == before  # four have it: fewer than the minimum, and two fewer than were told
    place.remove([202, 203, 204], "J45")
    after = card(place)
    assert "J45" not in codes(after)


def test_a_code_that_nearly_all_have_stands_on_no_card(place):
    place.remove([98, 99], "C34.1").add([98, 99], "Z00")
    assert codes(card(place)) == {"E11.9": 40}


def test_words_that_few_patients_have_stand_on_no_card(tmp_path):
    place = RecordsOfASite(tmp_path / "east").add(range(20), words="Lung cancer")
    place.add(range(20, 23), words="Zhang San's tumour")
    content = card(place)
    assert [one.display for one in content.codes] == ["Lung cancer"]
    assert "Zhang" not in content.model_dump_json()


def test_codes_of_few_patients_stand_on_no_card(place):
    place.add(range(4), "Q99.9", "A rare one")
    assert "Q99.9" not in card(place).model_dump_json()


def test_what_would_leave_is_shown_and_does_not_leave(place):
    content = drafted(place.root)
    assert not (place.root / "cards").exists()
    with SiteStore(place.root / "site.sqlite") as store:
        assert store.publication() is None
    assert content == card(place)


def test_numbers_are_rounded_by_the_policy(tmp_path):
    place = RecordsOfASite(tmp_path / "east", round_to=10).add(range(104)).add(range(6), "E11.9")
    assert (card(place).patients, codes(card(place))) == (100, {"C34.1": 100, "E11.9": 10})


@pytest.mark.parametrize(
    ("policy", "clause"),
    [
        ({"lanes": ["masked"]}, "lanes"),
        ({"methods": ["summary"]}, "methods"),
        ({"min_rows": 500}, "min_rows"),
    ],
)
def test_a_policy_that_does_not_let_it_leave_is_obeyed(place, policy, clause):
    place.configure(policy=policy)
    for wish in (lambda: drafted(place.root), lambda: publish(place.root, CLOCK)):
        with pytest.raises(PolicyError) as refused:
            wish()
        assert any(clause in problem.found for problem in refused.value.problems)
    with SiteStore(place.root / "site.sqlite") as store:
        assert store.publication() is None


def test_exact_numbers_do_not_leave_beside_a_privacy_budget(place):
    place.configure(more="[policy.budget]\nepsilon = 5.0\ndelta = 1e-6\n")
    with pytest.raises(PolicyError, match="budget"):
        publish(place.root, CLOCK)


def test_what_was_published_is_taken_back_and_remembered(place):
    publish(place.root, CLOCK)
    withdrawn = unpublish(place.root, CLOCK)
    assert (withdrawn.number, withdrawn.card, withdrawn.is_sound) == (2, None, True)
    assert [entry.kind for entry in ledger(place)] == ["released", "card withdrawn"]
    with pytest.raises(CallerError, match="nothing to take back"):
        unpublish(place.root, CLOCK)
    place.add(range(100, 103))
    again = publish(place.root, CLOCK).signed
    assert (again.number, again.card.patients) == (3, 100)  # of three patients more nothing is told


def test_nothing_is_published_where_nothing_is(tmp_path):
    with pytest.raises(CallerError, match="nothing to publish"):
        publish(RecordsOfASite(tmp_path / "east").root, CLOCK)


def test_a_card_that_the_hub_refused_is_published_anew(place):
    publish(place.root, CLOCK)
    with SiteStore(place.root / "site.sqlite") as store:
        store.card_delivered(1, "an older card")
    again = publish(place.root, CLOCK)
    assert (again.is_new, again.signed.number) == (True, 2)


def test_what_waits_for_the_hub_is_the_newest_card_alone(place):
    publish(place.root, CLOCK)
    place.add(range(100, 110))
    publish(place.root, CLOCK)
    with SiteStore(place.root / "site.sqlite") as store:
        waiting = store.undelivered_card()
        assert SignedCard.parse(waiting.content).number == 2
        store.card_delivered(2)
        assert store.undelivered_card() is None


def test_without_its_memory_a_site_publishes_nothing(place):
    publish(place.root, CLOCK)
    with SiteStore(place.root / "site.sqlite") as store:
        store._change("UPDATE publication SET memory = ?", (b"\x83\x01\x02\x03",))
    with pytest.raises(MachineError, match="What was published cannot be read"):
        publish(place.root, CLOCK)


def test_two_publications_do_not_run_at_once(place):
    publish(place.root, CLOCK)
    held = SqliteLedger(place.root / "cards" / "ledger.sqlite", load_key(place.root / "cards" / "key.pem"))
    try:
        with pytest.raises(LedgerError):
            publish(place.root, CLOCK)
    finally:
        held.close()


def table(place, rows, more="", **configured):
    text = "age,weight,ward\n" + "".join(f"{40 + i % 30},{'' if i % 4 == 0 else 60 + i % 20},{'ab'[i % 2]}\n" for i in range(rows))
    (place.root / "rows.csv").write_text(text, encoding="utf-8")
    source = f'[source.main]\npath = "rows.csv"\nabout = "All admissions"\n{more}'
    place.configure(more=source, **configured)
    return place


def test_variables_of_a_table_stand_on_the_card_with_how_complete_they_are(tmp_path):
    place = table(RecordsOfASite(tmp_path / "east"), 200, policy={"denied_variables": ["ward"]})
    (source,) = card(place).sources
    assert (source.alias, source.about, source.rows) == ("main", "All admissions", 200)
    assert [(one.name, one.type, one.complete) for one in source.variables] == [
        ("age", "number", "95-100 %"),
        ("weight", "number", "50-80 %"),
    ]
    assert card(place).quality == {"completeness": "80-95 %"}


def test_rows_that_are_nearly_the_patients_are_withheld(place):
    assert card(table(place, 103)).sources[0].rows is None
    assert card(table(place, 120)).sources[0].rows == 120


def test_rules_of_quality_are_told_as_bands(tmp_path):
    place = table(RecordsOfASite(tmp_path / "east"), 200, publish={"rules": "rules.toml"})
    rules = (
        '[[rule]]\nkind = "range"\nvariable = "age"\nlow = 0\nhigh = 55\n[[rule]]\nkind = "unique"\nvariables = ["age", "weight"]\n'
    )
    (place.root / "rules.toml").write_text(rules, encoding="utf-8")
    assert card(place).quality == {"completeness": "80-95 %", "uniqueness": "0-50 %", "validity": "50-80 %"}


def test_a_source_that_cannot_be_read_is_named(place):
    place.configure(more='[source.main]\npath = "gone.csv"\n')
    with pytest.raises(DataError) as refused:
        publish(place.root, CLOCK)
    assert refused.value.problems[0].where.startswith("source.main: ")


def test_a_configuration_with_an_unknown_key_of_publish_is_refused(place):
    place.configure(publish={"everything": True})
    with pytest.raises(SiteError, match="cannot be used"):
        publish(place.root, CLOCK)


def test_no_pseudonym_and_no_hash_of_one_is_on_a_card(place):
    text = publish(place.root, CLOCK).signed.model_dump_json(exclude={"signature"})
    assert not any(f'"p{number}"' in text for number in range(100))
    assert len(text) < 3000


@pytest.mark.parametrize(("publish", "number"), [({"after_sync": True}, 1), ({}, None)])
def test_a_sync_publishes_a_new_card_where_the_configuration_says_so(place, publish, number):
    place.configure(publish=publish)
    words = ["data", "sync", "--dir", str(place.root)]
    assert CliRunner().invoke(commands(words), words, obj="en", catch_exceptions=False).exit_code == 0
    with SiteStore(place.root / "site.sqlite") as store:
        last = store.publication()
        assert (None if last is None else last.number) == number
