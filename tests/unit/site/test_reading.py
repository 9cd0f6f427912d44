"""What a site finds out of its source before it accepts, and what of it is told."""

import pytest

from huizhen.clock import ManualClock
from huizhen.errors import DataError, SiteError
from huizhen.federation.proposal import Initiator, Party, Proposal
from huizhen.federation.study import Study
from huizhen.ledger.keys import new_key, public_hex
from huizhen.site.looking import Looking
from huizhen.site.running import starting_of
from huizhen.site.settings import parse_settings
from huizhen.site.worker.seeing import seen


@pytest.fixture
def source(tmp_path):
    rows = [f"{40 + i},{'x' if i == 5 else i},{'II' if i % 2 else 'III'},{i % 2}" for i in range(40)]
    (tmp_path / "t.csv").write_text("age,weight,stage,died\n" + "\n".join(rows) + "\n")
    return str(tmp_path / "t.csv")


def test_a_kind_is_told_for_every_variable_and_nothing_else(source):
    told = seen(Study.parse({"method": {"summary": {"variables": ["age", "weight", "stage"]}}}), source, "east")["reads"]
    # one text among forty numbers is a mistake in a row, not a category
    assert told == {"age": {"kind": "number"}, "weight": {"kind": "number"}, "stage": {"kind": "category"}}


def test_columns_that_are_not_there_are_named_at_once(source):
    with pytest.raises(DataError) as caught:
        seen(Study.parse({"method": {"summary": {"variables": ["agee", "height"]}}}), source, "east")
    assert [problem.found for problem in caught.value.problems] == ["no column agee", "no column height"]
    assert caught.value.problems[0].remedy == "Did you mean age?"


def test_the_rows_of_the_cohort_are_counted(source):
    study = {"method": {"summary": {"variables": ["age"]}}, "cohort": {"include": ["age >= 50"], "exclude": ["stage == 'II'"]}}
    assert seen(Study.parse(study), source, "east")["rows"] == 15  # ages 50 to 79 are 30 rows, every other of stage III
    assert seen(Study.parse({"method": {"summary": {"variables": ["age"]}}}), source, "east")["rows"] == 40


def test_a_worker_looks_and_the_agent_reads_no_row(source, tmp_path):
    """The same through a process without network, as a site does it."""
    now, clock = ManualClock().now(), ManualClock()
    clock.advance(3600)
    study = Study.parse({"method": {"summary": {"variables": ["age", "stage"]}}})
    parties = [Party(name="east", key=public_hex(new_key().public))]
    asks = Initiator(name="li", key="ULI")
    one = Proposal.of(study, id="study-1", initiator=asks, participants=parties, created=now, expires=clock.now())
    settings = parse_settings({"site": {"name": "east"}, "source": {"main": {"path": "t.csv"}}}, tmp_path)
    starting = starting_of(settings, tmp_path)
    looking = Looking(settings, starting)
    assert looking.count(one, "main") == 40
    assert looking.read(one, "main") == {"age": {"kind": "number"}, "stage": {"kind": "category"}}
    (tmp_path / "t.csv").unlink()
    with pytest.raises(SiteError, match="cannot be looked at"):
        Looking(settings, starting).count(one, "main")
    starting.close()
