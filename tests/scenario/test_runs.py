"""Whole runs: what they leave behind, what they say of those who took no part, and how they go on after a break."""

from __future__ import annotations

import json

import numpy as np
import pytest

from huizhen import DisclosurePolicy, Study, run
from huizhen.embedded.story import story
from huizhen.errors import CallerError, DataError, FederationError, NotEstimable
from huizhen.report import page

MEAN = {"method": {"summary": {"variables": ["age"]}}}


def rows(seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"age": rng.normal(60, 9, count), "sex": rng.choice(["f", "m"], count)}


def test_a_run_equals_the_pooled_rows():
    sites = {"a": rows(1, 40), "b": rows(2, 25)}
    findings = run(Study.parse(MEAN), sites)
    pooled = np.concatenate([table["age"] for table in sites.values()])
    assert findings["summary"].to_pandas("numbers").loc["age", "mean"] == pytest.approx(pooled.mean(), rel=1e-14)
    assert findings.offered == {"a": 40, "b": 25}
    assert findings.failures == {}


def test_sites_that_are_all_too_small_leave_no_answer_and_a_report_that_says_so(tmp_path):
    findings = run(Study.parse(MEAN), {"a": rows(1, 4), "b": rows(2, 3)})
    assert "0 sites can take part" in findings.failures["summary"]
    written = page.write(story(findings), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0 sites can take part" in written


def test_fewer_sites_than_the_quorum_are_said_without_losses():
    findings = run(Study.parse({**MEAN, "participants": {"quorum": 3}}), {"a": rows(1, 40), "b": rows(2, 25)})
    assert findings.failures == {"summary": "the quorum is 3 and the sites here are 2; add sites, or lower the quorum"}


def test_numbers_of_patients_by_hospital_are_rounded_as_the_policies_say():
    policies = {"a": DisclosurePolicy(round_to=10), "b": DisclosurePolicy()}
    findings = run(Study.parse(MEAN), {"a": rows(1, 43), "b": rows(2, 26)}, policies=policies)
    assert story(findings).participants == {"a": 40, "b": 30}


def test_a_run_leaves_a_ledger_a_key_and_an_event_log_for_each_site(tmp_path):
    run(Study.parse(MEAN), {"a": rows(1, 40), "b": rows(2, 25)}, out=tmp_path)
    assert sorted(path.name for path in (tmp_path / "ledger").glob("*.sqlite")) == ["a.sqlite", "b.sqlite"]
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {event["event"] for event in events} >= {"mustered", "asked", "answered", "folded", "finished"}
    assert all(event["bytes"] > 0 for event in events if event["event"] == "answered")
    assert (tmp_path / "keys" / "a.pem").stat().st_mode & 0o077 == 0


def test_a_finished_run_is_not_asked_again_on_the_same_rows_and_is_on_others(tmp_path):
    sites = {"a": rows(1, 40), "b": rows(2, 25)}
    first = run(Study.parse(MEAN), sites, out=tmp_path)
    again = run(Study.parse(MEAN), sites, out=tmp_path)
    assert again["summary"].result == first["summary"].result
    assert any("resumed" in note for note in again.notes)
    other = run(Study.parse(MEAN), {**sites, "b": rows(3, 25)}, out=tmp_path)
    assert not any("resumed" in note for note in other.notes)
    assert other["summary"].to_pandas("numbers").loc["age", "mean"] != first["summary"].to_pandas("numbers").loc["age", "mean"]


def test_a_study_names_its_sites_and_no_others_take_part():
    study = Study.parse({**MEAN, "participants": {"sites": ["a", "c"]}})
    with pytest.raises(FederationError) as raised:
        run(study, {"a": rows(1, 40), "b": rows(2, 25)})
    said = str(raised.value)
    assert "participants.sites: found c" in said
    assert "site b: found a site that the study does not name" in said


def test_each_site_may_have_its_own_policy_and_the_strictest_counts():
    sites = {"a": rows(1, 40), "b": rows(2, 25)}
    study = Study.parse({"method": {"tabulate": {"rows": "sex"}}})
    findings = run(study, sites, policies={"b": DisclosurePolicy(min_cell_count=60)})
    assert (findings["tabulate"].result.cells["counts"].counts == -1).any()
    with pytest.raises(CallerError, match="no table of that name"):
        findings["tabulate"].to_pandas("numbers")


def test_an_analysis_without_an_answer_gives_no_coefficients():
    study = Study.parse({"method": {"glm": {"formula": "age ~ x", "family": "gaussian"}}})
    flat = {site: {**table, "x": np.ones(len(table["age"]))} for site, table in {"a": rows(1, 40), "b": rows(2, 25)}.items()}
    findings = run(study, flat)
    assert findings.failures
    with pytest.raises(NotEstimable, match="no answer"):
        findings["glm"].summary()


def test_the_demos_equal_the_pooled_rows_and_the_independent_libraries():
    from huizhen.embedded.demo import DEMOS
    from huizhen.embedded.reference import with_references

    for demo in DEMOS:
        sites = demo.sites()
        content = story(with_references(run(demo.study(), sites), sites))
        for analysis in content.analyses:
            assert not analysis.federation.failure
            assert analysis.difference is not None, analysis.label
            assert analysis.difference < 1e-10, analysis.label
            assert analysis.reference_difference is not None, analysis.label
            assert analysis.reference_difference < 1e-8, analysis.label


def test_values_outside_a_declared_range_are_said_to_the_site_and_stand_in_no_report():
    study = Study.parse({**MEAN, "variables": {"age": {"range": [18, 70]}}})
    findings = run(study, {"a": rows(1, 40), "b": rows(2, 25)})
    assert any("site a, column 'age': found values outside the declared range" in str(doubt) for doubt in findings.doubts)
    assert "outside the declared range" not in page.render(story(findings))


@pytest.mark.parametrize("table", [[1, 2], 5, None, {"age": 5}, {"age": "x"}, {"age": [[1, 2], [3, 4]]}, {"b": [1, 2]}])
def test_what_is_no_table_is_said(table):
    with pytest.raises(DataError, match="site a"):
        run(Study.parse(MEAN), {"a": table})
