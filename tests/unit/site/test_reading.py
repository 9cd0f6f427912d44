"""What a site finds out of its source before it accepts, and what of it is told."""

import pytest

from huizhen.clock import ManualClock
from huizhen.errors import DataError
from huizhen.federation.proposal import Initiator, Party, Proposal
from huizhen.federation.study import Study
from huizhen.ledger.keys import new_key, public_hex
from huizhen.site.reading import Reader
from huizhen.site.settings import parse_settings


@pytest.fixture
def reader(tmp_path):
    rows = [f"{40 + i},{'x' if i == 5 else i},{'II' if i % 2 else 'III'},{i % 2}" for i in range(40)]
    (tmp_path / "t.csv").write_text("age,weight,stage,died\n" + "\n".join(rows) + "\n")
    return Reader(parse_settings({"site": {"name": "east"}, "source": {"main": {"path": "t.csv"}}}, tmp_path))


def proposal(study):
    now = ManualClock().now()
    clock = ManualClock()
    clock.advance(3600)
    parties = [Party(name="east", key=public_hex(new_key().public))]
    asks = Initiator(name="li", key="ULI")
    return Proposal.of(Study.parse(study), id="study-1", initiator=asks, participants=parties, created=now, expires=clock.now())


def test_a_kind_is_told_for_every_variable_and_nothing_else(reader):
    told = reader.read(proposal({"method": {"summary": {"variables": ["age", "weight", "stage"]}}}), "main")
    # one text among forty numbers is a mistake in a row, not a category
    assert told == {"age": {"kind": "number"}, "weight": {"kind": "number"}, "stage": {"kind": "category"}}


def test_columns_that_are_not_there_are_named_at_once(reader):
    with pytest.raises(DataError) as caught:
        reader.read(proposal({"method": {"summary": {"variables": ["agee", "height"]}}}), "main")
    assert [problem.found for problem in caught.value.problems] == ["no column agee", "no column height"]
    assert caught.value.problems[0].remedy == "Did you mean age?"


def test_the_rows_of_the_cohort_are_counted(reader):
    study = {"method": {"summary": {"variables": ["age"]}}, "cohort": {"include": ["age >= 50"], "exclude": ["stage == 'II'"]}}
    assert reader.count(proposal(study), "main") == 15  # ages 50 to 79 are 30 rows, every other of stage III
    assert reader.count(proposal({"method": {"summary": {"variables": ["age"]}}}), "main") == 40
