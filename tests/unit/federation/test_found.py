"""What a study found, as it comes from a hub that need not mean well: read whole and typed, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen import canonical
from huizhen.cli import asking
from huizhen.errors import FederationError
from huizhen.federation.events import Loss, Outcome
from huizhen.federation.found import Found, LedgerHead, Left
from huizhen.federation.study import Study
from huizhen.ids import is_name
from huizhen.privacy.result import Result

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STUDY = Study.parse({"method": {"summary": {"variables": ["age"]}}})
OUTCOME = Outcome("summary", Result("summary", 9), ("a", "b"), {"a": 5, "b": 4}, (Loss("c", "silent", "why", 2),), 3, 1)
HEADS, LEFT = (LedgerHead("a", 5, "00", "11"),), (Left("a", "summary", "summary/moments/sums", "addend", 1, 32, 4),)
FOUND = Found("run-1", NOW, 1.5, (OUTCOME,), LEFT, {"a": {"min_rows": 10}}, HEADS, ("a note",))


def carried(found=FOUND):
    return canonical.decode(canonical.encode(found.content))


def test_what_a_study_found_comes_back():
    assert Found.parse(carried()).content == FOUND.content


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "", "a/b", "a\0", "x" * 65, 5, None, ["x"]])
@pytest.mark.parametrize("field", ["run", "label", "roster", "rows", "policies"])
def test_a_name_that_would_lead_elsewhere_as_a_file_is_not_read(field, name):
    told = carried()
    changed = {"run": name} if field == "run" else {}
    outcome = told["outcomes"][0]
    outcome |= {"label": name} if field == "label" else {}
    outcome |= {"roster": [name]} if field == "roster" else {}
    outcome |= {"rows": [[name, 5]]} if field == "rows" else {}
    if field == "policies" and isinstance(name, str):
        changed = {"policies": {name: {}}}
    elif field == "policies":
        changed = {"policies": name}
    with pytest.raises(FederationError, match="cannot be read"):
        Found.parse({**told, **changed})


@given(
    st.sampled_from(
        ["run", "started", "seconds", "outcomes", "left", "policies", "ledgers", "notes", "result", "losses", "rounds"]
    ),
    st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.integers() | st.text(max_size=3), max_size=3) | st.just({}),
)
def test_whatever_a_field_holds_it_is_read_or_refused(field, value):
    told = carried()
    (told if field in told else told["outcomes"][0])[field] = value
    try:
        Found.parse(told)
    except FederationError:
        return
    is_a_name = field == "run" and isinstance(value, str) and is_name(value)
    assert is_a_name or field in ("seconds", "outcomes", "left", "policies", "ledgers", "notes", "losses")


class Hub:
    """A hub that answers one thing."""

    def __init__(self, told):
        self.told = told

    def ask(self, verb, body, timeout_s):
        return self.told


@pytest.mark.parametrize("told", [{}, {"id": "../../x", "digest": STUDY.digest}, {"id": "study-1", "digest": "0" * 64}, {"id": 5}])
def test_a_hub_that_keeps_another_study_or_a_path_for_an_id_is_not_believed(told):
    with pytest.raises(FederationError, match="has not kept what was submitted"):
        asking.kept(told, STUDY)
    assert asking.kept({"id": "study-1", "digest": STUDY.digest}, STUDY) == "study-1"


def test_the_result_of_another_study_is_not_taken_for_the_one_that_was_asked(tmp_path):
    other = Study.parse({"method": {"summary": {"variables": ["weight"]}}})
    two = Study.parse({"method": {"summary": [{"variables": ["age"]}, {"variables": ["weight"]}]}})
    for study, asked in ((other, STUDY), (two, None)):
        hub = Hub({"study": study.content, "result": carried()})
        with pytest.raises(FederationError, match="something else than was asked for"):
            asking._take(hub, "en", "study-1", tmp_path, asked)
    assert not list(tmp_path.iterdir())
