"""Studies under encrypted sums: the same answers, a hub that reads nobody's numbers, and a site that opens the totals."""

from __future__ import annotations

import numpy as np
import pytest

from huizhen import Study, run
from huizhen.embedded.story import story
from huizhen.errors import FederationError, StudyError
from huizhen.report import page
from huizhen.translation import translate


def table(seed: int, count: int = 120) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    age, lab = rng.normal(60, 9, count).round(), rng.lognormal(8, 1, count)  # some thousands beside a 0 and a 1
    risk = (age - 60) / 9
    return {
        "age": age,
        "lab": lab,
        "high": (rng.random(count) < 1 / (1 + np.exp(-risk))).astype(int),
        "time": rng.integers(1, 30, count) * 30,
        "dead": rng.integers(0, 2, count),
        "frailty": risk + rng.normal(0, 0.3, count),
    }


SITES = {f"site-{place}": table(place) for place in range(3)}
AGE = {"method": {"summary": {"variables": ["age"]}}}
EXACT = {
    "method": {
        "glm": {"formula": "high ~ age + lab", "family": "binomial"},
        "cox": {"time": "time", "event": "dead == 1", "covariates": ["age", "lab"]},
    }
}


def asked(sum_: str, content=AGE, **protection):
    return Study.parse({**content, "protection": {"sum": sum_, **protection}})


@pytest.fixture(scope="module")
def encrypted():
    return run(asked("paillier", EXACT), SITES, compare=False)


@pytest.fixture(scope="module")
def plain():
    return run(asked("plain", EXACT), SITES, compare=False)


def numbers(finding) -> dict[str, np.ndarray]:
    """Every number of a result, by where it stands."""
    result = finding.result
    found = {f"fact {name}": np.array([value]) for name, value in result.facts.items() if isinstance(value, int | float)}
    found |= {f"array {name}": values for name, values in result.arrays.items()}
    for name, each in result.tables.items():
        for column, values in each.columns.items():
            if all(value is None or isinstance(value, int | float) for value in values):
                found[f"{name}/{column}"] = np.array([np.nan if value is None else value for value in values], float)
    return found


@pytest.mark.parametrize("label", EXACT["method"])
def test_an_exact_method_gives_the_same_answer_encrypted(plain, encrypted, label):
    expected, found = numbers(plain[label]), numbers(encrypted[label])
    assert expected
    assert set(expected) == set(found)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-8, abs=1e-8, nan_ok=True), name


def test_everything_but_the_count_of_rows_leaves_encrypted(encrypted, tmp_path):
    left = [one for one in encrypted.left if one.kind != "masked"]
    assert {one.what.rpartition("/")[2] for one in left} == {"rows"}
    written = page.write(story(encrypted), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the hub sees totals only" in written
    assert "the sums were encrypted as between machines" in written


def test_the_findings_say_how_many_obfuscators_were_late(encrypted):
    note = next(note for note in encrypted.notes if "obfuscators" in note)
    used, late = (int(word) for word in note.split() if word.isdigit())
    assert 0 < late < used, "newton steps come again and again, and what they take is known beforehand"
    assert translate(note, "zh") != note


def test_without_gmpy2_the_findings_say_how_slow_it_is(monkeypatch):
    from huizhen.embedded import schemes
    from huizhen.privacy.paillier.arithmetic import PYTHON

    monkeypatch.setattr(schemes, "fastest", lambda: PYTHON)
    notes = schemes.notes_of(asked("paillier"), schemes.Tally(9, 4))
    assert "paillier without gmpy2" in notes[-1]
    assert "Install huizhen[paillier]" in notes[-1]
    assert all(translate(note, "zh") != note for note in notes)


def test_the_named_site_opens_the_totals_and_every_ledger_holds_their_rosters(tmp_path):
    from huizhen.ledger.keys import open_key
    from huizhen.ledger.store import SqliteLedger

    findings = run(asked("paillier", key_holder="site-2"), SITES, out=tmp_path, compare=False)
    assert not findings.failures
    sent = {site: sum(one.bytes for one in findings.left if one.site == site) for site in SITES}
    assert sent["site-0"] == sent["site-1"] != sent["site-2"], "the key, the common secrets and the totals are the holder's to send"
    for site in SITES:
        with SqliteLedger(tmp_path / "ledger" / f"{site}.sqlite", open_key(tmp_path / "keys" / f"{site}.pem")) as ledger:
            entries = list(ledger.entries())
        revealed = [entry for entry in entries if entry.kind == "revealed"]
        released = [entry for entry in entries if entry.kind == "released" and entry.payload["step"] != "muster"]
        assert len(revealed) == len(released) > 0
        assert all(entry.payload["roster"] == list(SITES) for entry in revealed)


def test_two_sites_make_no_encrypted_sum_and_the_key_holder_has_to_be_there():
    with pytest.raises(FederationError, match="of a sum of two each site knows the other's answer"):
        run(asked("paillier"), dict(list(SITES.items())[:2]))
    with pytest.raises(FederationError, match="key_holder: found 'west', expected one of: site-0, site-1, site-2"):
        run(asked("paillier", key_holder="west"), SITES)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"protection": {"sum": "masked", "key_holder": "site-1"}}, "belong to sum = 'paillier'"),
        ({"protection": {"key_bits": 3072}}, "belong to sum = 'paillier'"),
        ({"protection": {"sum": "paillier", "key_bits": 1024}}, "key_bits"),
        ({"protection": {"sum": "paillier", "key_holder": "no name"}}, "cannot name a site"),
        ({"protection": {"sum": "paillier", "key_holder": "x"}, "participants": {"sites": ["a", "b", "c"]}}, "one of: a, b, c"),
    ],
)
def test_a_study_that_says_something_else_of_the_key_is_refused(content, match):
    with pytest.raises(StudyError, match=match):
        Study.parse({**AGE, **content})


NETWORK = {
    "method": {
        "averaging": {"network": "mlp", "task": "regression", "outcome": "frailty", "covariates": ["age", "lab"], "rounds": 5}
    }
}


@pytest.mark.parametrize("compress", ["none", "quantised"])
def test_a_network_comes_out_as_under_masks_and_nearly_as_in_the_clear(compress):
    pytest.importorskip("torch")
    each = {sum_: run(asked(sum_, NETWORK, compress=compress), SITES, compare=False) for sum_ in ("plain", "paillier", "masked")}
    assert not each["paillier"].failures
    weights = {sum_: np.asarray(found["averaging"].result.model["weights"]) for sum_, found in each.items()}
    np.testing.assert_array_equal(weights["paillier"], weights["masked"])
    largest = np.abs(weights["plain"]).max()
    assert 0 < np.abs(weights["plain"] - weights["paillier"]).max() < 0.01 * largest, "16 bits are not 32, and nearly"


def test_entries_at_places_of_each_sites_own_cannot_be_encrypted():
    with pytest.raises(StudyError, match="top_k with encrypted sums"):
        asked("paillier", NETWORK, compress="top_k")
