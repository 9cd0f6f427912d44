"""A site counts cohorts for a hub and tells nothing of few patients: by one answer, by two, by three, whatever the hub asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attritions import ADULTS, DAY, OLD, Hospitals, attrition, diabetics, patients
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry
from huizhen.errors import MachineError
from huizhen.federation.inprocess import InProcessEngine
from huizhen.methods.attrition import AGAIN, FEW, NEAR
from huizhen.site.answered import Answers
from registries import NOW

AGES = [10] * 10 + [30] * 30 + [70] * 20
WOMEN = {"name": "women", "rule": "sex", "one_of": ["female"]}
MEN = {"name": "men", "rule": "sex", "one_of": ["male"]}


@pytest.fixture
def three(tmp_path):
    return Hospitals(tmp_path, dict.fromkeys("abc", AGES))


def over(age):
    return {"name": f"{age} or more", "rule": "age", "at_least": age}


def asking(changed):
    """An engine of a hub that asks something else than its program."""

    class Foul(InProcessEngine):
        def exchange(self, asks, **more):
            return super().exchange({site: replace(ask, question=changed(ask.question)) for site, ask in asks.items()}, **more)

    return Foul


def withheld(result):
    return {one.what: one.reason for one in result.withheld}


def test_sites_answer_together_and_the_same_again_as_often_as_you_like(three):
    for _ in range(3):
        assert patients(three.ask(attrition(ADULTS, OLD))) == (180, 150, 60)
    assert len(list((three.folders["a"] / "cohorts").glob("answered-*.json"))) == 2  # the muster, and the counts


def test_a_cohort_that_differs_by_few_patients_at_one_site_is_withheld_and_it_is_said_and_on_the_ledger(tmp_path):
    made = Hospitals(tmp_path, {"a": [*AGES, 18, 18], "b": [*AGES, *[18] * 9], "c": [*AGES, *[18] * 9]})
    assert patients(made.ask(attrition(ADULTS))) == (200, 170)
    found = made.ask(attrition(over(19), OLD))
    assert patients(found) == (200, None, 60)  # 20 fewer in all, 2 of them at a
    assert withheld(found) == {"patients after 19 or more": NEAR}
    assert "cohort refused" in made.kinds("a")
    assert "cohort refused" not in made.kinds("b")


def test_three_cohorts_that_together_tell_of_few_patients_are_not_all_answered(tmp_path):
    made = Hospitals(tmp_path, dict.fromkeys("abc", AGES))
    for name in made.folders:  # of 60 patients 40 are women and 18 men; two are neither
        sexes = ["female"] * 40 + ["male"] * 18 + ["unknown"] * 2
        diabetics(made.folders[name] / "registry", AGES, prefix=name, sex=sexes)
    assert patients(made.ask(attrition(WOMEN))) == (180, 120)
    found = made.ask(attrition(MEN))
    assert patients(found) == (180, None)  # else 180 - 120 - 54 tells of the two at each
    assert withheld(found) == {"patients after men": NEAR}


def test_few_patients_are_withheld_where_the_hub_sees_the_sites_own_numbers_and_not_in_a_sum_of_all(tmp_path):
    ages = [10] * 3 + [30] * 40
    assert patients(Hospitals(tmp_path / "1", dict.fromkeys("abc", ages)).ask(attrition(ADULTS))) == (129, 120)
    found = Hospitals(tmp_path / "2", dict.fromkeys("abc", ages)).ask(attrition(ADULTS), lane="plain")
    assert patients(found) == (129, None)
    assert withheld(found) == {"patients after adults": FEW}


def test_each_sites_own_numbers_are_told_where_its_policy_lets_them_out(tmp_path):
    registries = {"a": [10] * 3 + [30] * 40, "b": AGES}
    allowing = {name: {"allow_individual": True} for name in "ab"}
    found = Hospitals(tmp_path / "1", registries, allowing).ask(attrition(ADULTS, OLD, sum="plain", by_site=True), lane="plain")
    assert patients(found) == (103, None, 20)
    own = found.tables["by_site"].columns
    assert list(zip(own["site"], own["step"], own["patients"])) == [
        ("a", "condition", 43),
        ("a", "adults", None),
        ("a", "65 or more", 0),
        ("b", "condition", 60),
        ("b", "adults", 50),
        ("b", "65 or more", 20),
    ]
    one = {"a": {"allow_individual": True}}
    refused = Hospitals(tmp_path / "2", registries, one).ask(attrition(ADULTS, sum="plain", by_site=True), lane="plain")
    assert "site b refused: allow_individual" in refused.failure


def test_after_few_new_patients_the_earlier_numbers_stand_and_it_is_said(three):
    assert patients(three.ask(attrition(ADULTS))) == (180, 150)
    diabetics(three.folders["a"] / "registry", [*AGES, 40, 40], prefix="a")
    found = three.ask(attrition(ADULTS))
    assert patients(found) == (180, 150)
    assert found.notes == (AGAIN,)


def test_an_index_event_of_nearly_the_same_patients_is_not_even_mustered(tmp_path):
    made = Hospitals(tmp_path, dict.fromkeys("abc", AGES))
    assert patients(made.ask(attrition(ADULTS))) == (180, 150)
    for name in made.folders:  # 58 of the 60 diabetics have the drug, too
        drugs = [Event(f"{name}{n}", "drug", f"drug/{n}", "ATC", "A10BA02", begins=DAY) for n in range(58)]
        Registry(made.folders[name] / "registry").sync("b", Changes([Batch(drugs, len(drugs), cursor=1)]), now=NOW)
    found = made.ask(attrition(index={"kind": "drug", "system": "ATC", "codes": ["A10BA02"]}))
    assert "site a refused: differencing" in found.failure


def test_other_sites_are_not_answered_for_the_same_cohort(tmp_path):
    made = Hospitals(tmp_path, dict.fromkeys("abcd", AGES))
    assert patients(made.ask(attrition(ADULTS))) == (240, 200)
    del made.folders["d"]
    renamed = attrition({**ADULTS, "name": "grown up"}, title="another title")
    assert "this cohort was answered for other sites" in made.ask(renamed).failure


def test_whoever_was_lost_since_the_index_event_is_judged_within_the_answer_however_often_one_begins_so(tmp_path):
    made = Hospitals(tmp_path, dict.fromkeys("abc", [10] * 3 + [30] * 30 + [70] * 20))
    assert patients(made.ask(attrition(ADULTS))) == (159, 150)
    assert patients(made.ask(attrition(WOMEN, ADULTS))) == (159, 159, 150)  # all are women, as these patients are written
    assert "cohort refused" not in made.kinds("a")


def test_a_hub_that_asks_for_what_was_withheld_gets_nothing(tmp_path):
    made = Hospitals(tmp_path, {"a": [*AGES, 18, 18], "b": AGES, "c": AGES})
    assert patients(made.ask(attrition(ADULTS))) == (182, 152)

    def greedy(question):
        told = question.facts.get("told")
        return question if told is None else replace(question, facts={"told": np.ones_like(told)})

    found = made.ask(attrition(over(19)), engine=asking(greedy))
    assert "site a refused: differencing" in found.failure
    assert "2" not in found.failure.replace("at least 3", "")
    plain = Hospitals(tmp_path / "plain", {"a": [10] * 3 + [30] * 40}).ask(
        attrition(ADULTS, sum="plain"), lane="plain", engine=asking(greedy)
    )
    assert "site a refused: min_cell_count" in plain.failure


@pytest.mark.parametrize("told", [np.array([1, 1, 1]), np.array([2, 0]), "all", None])
def test_a_question_with_other_steps_is_refused(tmp_path, told):
    made = Hospitals(tmp_path, {"a": AGES})

    def odd(question):
        return replace(question, facts={"told": told}) if question.facts else question

    found = made.ask(attrition(ADULTS, sum="plain"), engine=asking(odd))
    assert "expected a 0 or 1 for each criterion" in found.failure


def test_a_hub_that_asks_for_a_sketch_of_the_patients_gets_nothing(tmp_path):
    made = Hospitals(tmp_path, {"a": AGES})

    def curious(question):
        return replace(question, step="sketch", facts={"buckets": 4096}) if question.facts else question

    found = made.ask(attrition(ADULTS, sum="plain"), engine=asking(curious))
    assert "expected one of the steps in which cohorts are counted" in found.failure


def test_a_site_with_too_few_patients_is_left_out_and_remembers_nothing(tmp_path):
    made = Hospitals(tmp_path, {"a": AGES, "b": AGES, "c": AGES, "d": [30] * 4})
    content = attrition(ADULTS)
    content["participants"]["on_loss"] = "restart"
    assert patients(made.ask(content)) == (180, 150)
    assert not list((made.folders["d"] / "cohorts").glob("answered-*"))


def test_a_site_whose_memory_is_damaged_answers_nothing(three):
    three.ask(attrition(ADULTS))
    (three.folders["b"] / "cohorts" / "answered-000001.npy").write_bytes(b"cut off")
    with pytest.raises(MachineError):
        Answers(three.folders["b"]).all()
    assert "What was answered cannot be read" in three.ask(attrition(OLD)).failure
