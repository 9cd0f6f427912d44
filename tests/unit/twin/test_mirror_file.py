"""A federation is declared in one file: checked whole, doubted more as it grows old, written again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federationfile import FILE
from huizhen.errors import CallerError
from huizhen.twin.warehouse.kinds import KINDS
from huizhen.twin.warehouse.measures import CONVERTED, value_of, written_value
from huizhen.twin.warehouse.mirrorfile import read_mirror, statements_in, written_file
from huizhen.twin.warehouse.mirroring import mirror_from

THEN = datetime(2026, 3, 1, 8, tzinfo=UTC)


def wrong(text):
    with pytest.raises(CallerError) as error:
        mirror_from(statements_in(text), THEN)
    return {(problem.where, problem.found) for problem in error.value.problems}


def test_a_file_becomes_a_mirror_in_the_units_of_the_twin(tmp_path):
    path = tmp_path / "federation.twin.toml"
    path.write_text(FILE)
    mirror = read_mirror(path)
    assert (mirror.hub, mirror.hub_device, mirror.at) == ("hub", "server", THEN)
    assert {name: node.kind for name, node in mirror.nodes.items()} == {
        "hub": "hub",
        "city": "router",
        "east": "site",
        "west": "site",
    }
    east = mirror.links["to east"]
    assert east.there.value == 100e6 / 8
    assert (east.rtt.value, east.rtt.provenance, east.rtt.source) == (pytest.approx(0.03), "measured", "iperf3")
    assert (east.shared, mirror.links["to west"].shared) == (False, True)
    assert mirror.devices["server"].memory.value == 32 * 2**30
    assert mirror.devices["card"].peak.low == 50e12
    assert mirror.sites["west"].institution == "west"
    assert mirror.sites["west"].rows.value == 800


def test_what_nobody_said_is_assumed_aloud():
    mirror = mirror_from(statements_in(FILE), THEN)
    assert mirror.links["backbone"].loss.provenance == "assumed"
    assert "link, loss: nobody said it, 0.0001 is assumed: backbone, to west" in mirror.notes


def test_what_is_old_is_doubted_more_and_named():
    said = statements_in(FILE)
    fresh, later = mirror_from(said, THEN), mirror_from(said, THEN + timedelta(days=30))
    # Rates double their doubt every 30 days, from a factor of 1.25 on.
    assert fresh.links["to west"].there.spread == pytest.approx(1.25)
    assert later.links["to west"].there.spread == pytest.approx(2.5)
    assert any(note.startswith("link, there: known for up to 30 days, interval up to 2 times wider: ") for note in later.notes)
    assert not any(note.startswith("link, there") for note in fresh.notes)
    assert later.devices["server"].peak == fresh.devices["server"].peak  # a data sheet does not grow old


def test_a_measurement_is_as_old_as_it_says_whatever_the_age_of_the_file():
    rtt = mirror_from(statements_in(FILE), THEN).links["to east"].rtt
    days = (THEN - datetime(2026, 2, 1, tzinfo=UTC)) / timedelta(days=1)
    assert rtt.high == pytest.approx(0.04 * 2 ** (days / 90))


def test_a_share_is_never_doubted_beyond_one():
    years = mirror_from(statements_in(FILE), THEN + timedelta(days=2000))
    assert years.devices["card"].load.high == 1
    assert years.sites["west"].falls_silent.high == 1


@given(st.floats(0, 4000), st.floats(0, 4000))
def test_the_older_the_declaration_the_wider_every_interval_and_no_widening_goes_unnamed(days, more):
    said = statements_in(FILE)
    younger, older = (mirror_from(said, THEN + timedelta(days=age)) for age in (days, days + more))
    notes = " ".join(older.notes)
    for name, link in older.links.items():
        for what in ("there", "back", "rtt", "loss"):
            now, before = getattr(link, what), getattr(younger.links[name], what)
            assert now.low <= before.low <= before.value <= before.high <= now.high
            first = getattr(mirror_from(said, THEN).links[name], what)
            if now.high > 1.11 * first.high:
                assert f"link, {what}: known for" in notes


@pytest.mark.parametrize("age", [0, 45])
def test_a_mirror_that_is_written_and_read_again_is_the_same(age):
    mirror = mirror_from(statements_in(FILE), THEN + timedelta(days=age))
    text = written_file(mirror)
    again = mirror_from(statements_in(text), mirror.at)
    assert written_file(again) == text
    for name, link in mirror.links.items():
        there = again.links[name].there
        assert (there.value, there.low, there.high) == (link.there.value, link.there.low, link.there.high)
    assert replace(again.devices["card"].peak, at=None) == replace(mirror.devices["card"].peak, at=None)


@given(st.floats(0, 1e18), st.sampled_from(["s", "byte", "byte/s", "flop/s", "1", "count"]))
def test_a_value_that_is_written_is_read_back_to_the_last_digit(value, unit):
    assert value_of(written_value(value, unit)) == (value, unit)


def test_every_unit_that_may_be_written_is_one_of_the_twins():
    from huizhen.twin.quantity import UNITS

    assert {ours for _, ours in CONVERTED.values()} <= set(UNITS)
    assert {measure.unit for kind in KINDS.values() for measure in kind.quantities.values()} <= {*UNITS, ""}


def test_all_mistakes_of_a_file_are_told_at_once():
    text = FILE.replace('peak = "400 Gflop/s"', 'peek = "400 Gflop/s"').replace('kind = "gpu"', 'kind = "tpu"')
    text = (
        text.replace('rtt = "12 ms"', 'rtt = "12 MB"').replace("rows = 1200", "rows = -3").replace('loss = "0.1 %"', "loss = 1.5")
    )
    text = text.replace('provenance = "measured", source = "calibration"', 'provenance = "rumour"').replace(
        "[[router]]", "[[rooter]]"
    )
    assert wrong(text) == {
        ("rooter", "an unknown table"),
        ("device server, peek", "an unknown key"),
        ("device server, peak", "nothing"),
        ("device card, kind", "tpu"),
        ("device card, peak.provenance", "rumour"),
        ("link to west, rtt", "a value in byte"),
        ("link to east, loss", "1.5"),
        ("site east, rows", "-3"),
    }


def test_a_rate_without_its_unit_is_refused_rather_than_guessed():
    assert wrong(FILE.replace('there = "20 Mbit/s"', "there = 20")) == {("link to west, there", "a number without its unit")}


def test_an_unknown_device_and_a_site_without_a_path_are_named_with_what_may_have_been_meant():
    text = FILE.replace('device = "card"', 'device = "cart"').replace('b = "west"', 'b = "city"').replace('a = "hub"', 'a = "hubb"')
    with pytest.raises(CallerError) as error:
        mirror_from(statements_in(text), THEN)
    problems = {problem.where: problem for problem in error.value.problems}
    assert problems["site east, device"].remedy == "Did you mean card?"
    assert problems["link backbone, a"].remedy == "Did you mean hub?"
    assert problems["link to west"].found == "a line from a place to itself"
    assert {problems[f"site {name}"].found for name in ("east", "west")} == {"no path to the hub"}


def test_a_federation_without_hub_or_links_is_refused():
    half = "\n".join(line for line in FILE.split("[[link]]")[0].splitlines() if line not in ("[hub]",))
    with pytest.raises(CallerError):
        mirror_from(statements_in(half.replace('name = "hub"\ndevice = "server"', "")), THEN)
    found = wrong('at = "2026-03-01T08:00:00Z"\n[[router]]\nname = "r"\n')
    assert {where for where, _ in found} == {"hub", "site", "device", "link"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("at = ", "federation.twin.toml"),
        ('[hub]\nname = "h"\ndevice = "d"', "at"),
        ('at = "2026-03-01T08:00:00"\n[hub]\nname = "h"\ndevice = "d"', "at"),
        ('at = "2026-03-01T08:00:00Z"', "federation.twin.toml"),
        ('at = "2026-03-01T08:00:00Z"\nhub = 3', "hub"),
        ('at = "2026-03-01T08:00:00Z"\n[hub]\ndevice = "d"', "hub 1, name"),
    ],
)
def test_a_file_that_says_nothing_or_half_is_refused(text, where):
    with pytest.raises(CallerError) as error:
        statements_in(text)
    assert where in {problem.where for problem in error.value.problems}


def test_two_entities_of_one_name_are_refused():
    assert ("site east", "twice") in wrong(FILE.replace('name = "west"', 'name = "east"'))
    assert ("site city", "a router of the same name") in wrong(FILE.replace('name = "west"', 'name = "city"'))


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(CallerError, match="federation cannot be used"):
        read_mirror(tmp_path / "federation.twin.toml")
