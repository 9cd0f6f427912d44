"""Noise at a site: what was not planned does not leave, and no noise is drawn twice."""

from dataclasses import replace

import numpy as np
import pytest

from huizhen.errors import SiteError
from huizhen.federation.checkpoint import MemoryCheckpoints
from huizhen.federation.noised.hub import NoisedHub
from huizhen.federation.noised.planning import COUNTED, COUNTED_EXACTLY
from huizhen.federation.noised.scheme import Noised
from huizhen.federation.rounds import Ask
from huizhen.federation.scheme import Noisy, PlainSum, SiteSide
from huizhen.federation.selection import MUSTER
from huizhen.privacy.accounting.events import ComposedEvent, GaussianEvent, PoissonSampledEvent, SelfComposedEvent
from huizhen.privacy.noiseplan import Wanted, plan_noise, plan_of_settings
from huizhen.privacy.noisysteps import NoisyPart, NoisyStep, NoisyTraining
from huizhen.privacy.release import Answer, Part, Question, Sensitivity

ONE = Sensitivity(1.0, 1.0)
ROSTER = ("a", "b", "c", "d")
TABLES = NoisyStep("tables", 1, {"tables": NoisyPart("counts", (ONE,), 4)})
TRAIN = NoisyStep("train", 5, {"change": NoisyPart("change", size=100)}, ones=("weight",), rest="withheld")
FOLDS = NoisyStep("rows", 1, rows=("folds",), rest="withheld")
BY_PATIENT = plan_noise(Wanted("patient", 2.0, 1e-6, honest=3), {"t": (COUNTED, TABLES)})
BY_SITE = plan_noise(Wanted("site", 8.0, 1e-6, honest=3), {"t": (COUNTED_EXACTLY, FOLDS, TRAIN)})
DPSGD = NoisyStep(
    "train",
    2,
    rows=("weight",),
    training=NoisyTraining(0.1, 10, 4.0),
    computed=("change",),
    withheld=("classes",),
    beside=True,
    facts={"asked": 0, "recipe": {"clip": 1.0, "noise": 4.0}},
)
PRIVATE = plan_of_settings({"t": (COUNTED_EXACTLY, DPSGD)})
ALONE = replace(DPSGD, training=NoisyTraining(0.1, 10), beside=False, noise_at=("recipe", "noise"))
PRIVATE_BY_EPSILON = plan_noise(Wanted("patient", 2.0, 1e-6, honest=3), {"t": (COUNTED, ALONE)})
COUNTS = Part(np.array([40, 0, 7, 53]), 100, cells=True, sensitivity=ONE)


class Site:
    """A site with its scheme; what it makes of an answer, and which sums it was asked to open."""

    def __init__(self, plan=BY_PATIENT, kept=None, data="", seed=1):
        self.kept = MemoryCheckpoints() if kept is None else kept
        self.scheme = Noised(PlainSum(), plan, np.random.default_rng(seed).bytes, self.kept, data)
        self.opened = []

    def noisy(self, answer, step="tables", *, asked=0, roster=ROSTER, exact=True, facts=None) -> Noisy:
        made = []

        def noisy(noise):
            made.append(noise(answer))
            return made[0].answer

        question = Question("tabulate", step, {"asked": asked, **(facts or {})})
        ask = Ask("study", "run", "t", 1, "answer", question, roster, "plain", "scope")
        side = SiteSide("a", exact, lambda: answer, self.opened.append, {}, {}, noisy)
        turn = self.scheme.at_site(ask, side)
        assert turn.answer is made[0].answer
        return made[0]

    def muster(self, rows=100):
        return self.noisy(Answer({"rows": Part(np.array([rows]), rows, cells=True, sensitivity=ONE)}, rows), MUSTER)


def answer(**parts):
    return Answer({"tables": COUNTS, **parts}, 100)


def test_rows_and_counts_leave_with_noise_and_the_event_that_was_planned():
    site = Site()
    counted, tables = site.muster(), site.noisy(answer())
    assert counted.answer.rows == counted.answer.parts["rows"].values[0] != 100
    assert tables.answer.rows == counted.answer.rows
    assert tables.spends == BY_PATIENT.steps["t", "tables"].event
    assert not np.array_equal(tables.answer.parts["tables"].values, COUNTS.values)
    assert len({counted.draw, tables.draw, ""}) == 3


def test_the_same_question_gets_the_same_noise_also_from_a_site_that_was_begun_anew():
    first = Site()
    first.muster()
    before = first.noisy(answer())
    again = Site(kept=first.kept, seed=2)
    assert again.muster().answer.rows == before.answer.rows
    after = again.noisy(answer())
    assert np.array_equal(after.answer.parts["tables"].values, before.answer.parts["tables"].values)
    assert after.draw == before.draw


def test_other_rows_or_another_plan_get_noise_of_their_own():
    first = Site(data="rows of may")
    first.muster()
    draw = first.noisy(answer()).draw
    later = Site(kept=first.kept, data="rows of june", seed=2)
    later.muster()
    assert later.noisy(answer()).draw != draw


def test_a_question_more_than_planned_is_refused_with_or_without_a_budget():
    site = Site()
    site.muster()
    site.noisy(answer(), asked=0)
    with pytest.raises(SiteError, match="another question of the step 'tables', expected 1, as planned"):
        site.noisy(answer(), asked=1)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (replace(COUNTS, sensitivity=None), "no bound, or a larger one"),
        (replace(COUNTS, sensitivity=Sensitivity(2.0, 2.0)), "no bound, or a larger one"),
        (replace(COUNTS, values=np.arange(5)), "more numbers than planned"),
        (replace(COUNTS, keys=("a", "b", "c", "d")), "labels of its own"),
        (replace(COUNTS, kind="individual"), "one site's release"),
    ],
)
def test_a_part_that_could_tell_more_than_planned_does_not_leave(part, reason):
    site = Site()
    site.muster()
    with pytest.raises(SiteError, match=reason):
        site.noisy(answer(tables=part))


def test_a_part_or_a_step_that_was_not_planned_does_not_leave():
    site = Site()
    site.muster()
    with pytest.raises(SiteError, match="part 'means': found a part that the study's plan"):
        site.noisy(answer(means=Part(np.ones(2), 100, sensitivity=ONE)))
    with pytest.raises(SiteError, match="'homogeneity', expected a step"):
        site.noisy(answer(), "homogeneity")


def test_nothing_is_answered_before_the_rows_were_counted():
    with pytest.raises(SiteError, match="expected the count first"):
        Site().noisy(answer())


def test_a_sum_of_too_few_shares_is_neither_answered_nor_opened():
    site = Site()
    site.muster()
    with pytest.raises(SiteError, match="found 2 sites, expected at least 3"):
        site.noisy(answer(), roster=("a", "b"))

    class Opening:
        def at_site(self, ask, side):
            side.reveal(("a", "b"))

    scheme = replace(site.scheme, inner=Opening())
    with pytest.raises(SiteError, match="expected at least 3"):
        scheme.at_site(None, SiteSide("a", True, answer, site.opened.append, {}, {}))
    assert site.opened == []


def train(rows=50.0, change=None, **parts):
    own = np.full(4, 500.0, np.float32) if change is None else change
    told = {"change": Part(own, 50), "weight": Part(np.array([rows]), 50), "loss": Part(np.array([31.5]), 50)}
    return Answer({**told, "classes": Part(np.array([20, 30]), 50, cells=True), **parts}, 50)


def test_with_noise_by_site_every_site_weighs_1_and_all_but_the_change_is_withheld():
    noisy = Site(BY_SITE).noisy(train(), "train", exact=False)
    parts = noisy.answer.parts
    assert parts["weight"].values.tolist() == [1.0]
    assert parts["loss"].values.tolist() == [0.0]
    assert parts["classes"].values.tolist() == [0, 0]
    assert parts["change"].values.dtype == np.int64
    assert noisy.answer.rows == 50


def test_a_sites_change_is_its_mean_change_clipped_whatever_its_rows():
    """500 over 50 rows is 10 an entry; a norm of 20 is clipped to 1, so 0.5 an entry."""
    part = BY_SITE.steps["t", "train"].parts["change"]
    drawn = [Site(BY_SITE, seed=seed).noisy(train(), "train", exact=False).answer for seed in range(400)]
    mean = np.mean([part.opened(one.parts["change"].values) for one in drawn], axis=0)
    assert mean == pytest.approx([0.5] * 4, abs=4 * part.slices[0].sd / 20)


def test_rows_are_told_exactly_with_noise_by_site_and_nothing_else_passes_as_rows():
    site = Site(BY_SITE)
    told = site.noisy(Answer({"folds": Part(np.array([50, 0, 0]), 50, cells=True), "classes": COUNTS}, 50), "rows")
    assert told.tells_rows_only
    assert told.spends is None
    assert told.answer.parts["folds"].values.tolist() == [50, 0, 0]
    assert not told.answer.parts["classes"].values.any()
    with pytest.raises(SiteError, match="part 'folds'"):
        site.noisy(Answer({"folds": Part(np.array([40, 10, 0]), 50, cells=True)}, 50), "rows")


def test_of_a_long_course_the_newest_answer_is_kept_and_the_number_of_questions():
    site = Site(BY_SITE)
    for asked in range(5):
        site.noisy(train(), "train", asked=asked, exact=False)
    assert len(site.kept.load("a.t.noisy")["answers"]) == 1
    with pytest.raises(SiteError, match="expected 5, as planned"):
        site.noisy(train(), "train", asked=5, exact=False)


def test_the_hub_gets_the_sum_in_the_unit_of_the_values():
    from huizhen.federation.rounds import Answered

    hub = NoisedHub(PlainSum().at_hub(ROSTER), BY_PATIENT, "t")
    sites = {name: Site(seed=seed) for seed, name in enumerate(ROSTER)}
    for site in sites.values():
        site.muster()
    assert hub.stages("tables") == ("answer",)
    hub.take("answer", {name: Answered(site.noisy(answer()).answer) for name, site in sites.items()}.items())
    summed = hub.summed()
    assert summed.cells == ("tables",)
    assert (summed.total.sums["tables"] >= 0).all()
    sd = BY_PATIENT.steps["t", "tables"].parts["tables"].slices[0].sd * 2  # of four sites
    assert np.abs(summed.total.sums["tables"] - 4 * COUNTS.values).max() < 5 * sd


def trained(rows=50.0, own=0.25, **parts):
    layout = (("weight", (2, 1)), ("bias", (2,)))
    told = {"change": Part(np.full(4, own, np.float32), 50, layout=layout), "weight": Part(np.array([rows]), 50)}
    return Answer({**told, "classes": Part(np.array([20, 30]), 50, cells=True), **parts}, 50)


def asks(noise=4.0, **more):
    return {"step": "train", "exact": False, "facts": {"recipe": {"clip": 1.0, "noise": noise}, **more}}


def test_private_training_leaves_as_it_is_with_its_cost_and_says_that_rows_leave_beside_it():
    noisy = Site(PRIVATE).noisy(trained(), **asks())
    assert noisy.spends == ComposedEvent((SelfComposedEvent(PoissonSampledEvent(0.1, GaussianEvent(4.0)), 10),))
    assert (noisy.beside, noisy.tells_rows_only) == ("rows", False)
    change = noisy.answer.parts["change"]
    assert (change.values.tolist(), change.layout) == ([0.25] * 4, (("weight", (2, 1)), ("bias", (2,))))
    assert noisy.answer.parts["weight"].values.tolist() == [50.0]
    assert noisy.answer.parts["classes"].values.tolist() == [0, 0]


def test_whatever_else_leaves_with_private_training_is_told_to_be_exact():
    assert Site(PRIVATE).noisy(trained(loss=Part(np.array([31.5]), 50)), **asks()).beside == "exact"
    assert Site(PRIVATE).noisy(trained(rows=35.0), **asks()).beside == "exact", "rows of a part of the site's rows"
    other = Site(PRIVATE).noisy(answer(), "tables")
    assert (other.answer.parts["tables"], other.spends) == (COUNTS, None), "an exact answer, which the gate judges as such"


@pytest.mark.parametrize(
    "facts",
    [{"recipe": {"clip": 1.0, "noise": 0.4}}, {"recipe": {"clip": 9.0, "noise": 4.0}}, {"recipe": None}, {}, {"recipe": trained}],
)
@pytest.mark.parametrize("plan", [PRIVATE, PRIVATE_BY_EPSILON])
def test_a_hub_that_asks_for_another_training_than_the_study_gets_none(plan, facts):
    """Less noise, a larger clip, none at all, and what is no fact."""
    site = Site(plan)
    site.muster()
    with pytest.raises(SiteError, match="with another recipe, expected what the study's file says"):
        site.noisy(trained(), "train", exact=False, facts=facts)


def test_a_hub_that_asks_for_a_round_more_gets_none_and_a_round_again_costs_no_more():
    site = Site(
        replace(PRIVATE, steps={key: replace(one, planned=replace(one.planned, facts={})) for key, one in PRIVATE.steps.items()})
    )
    first = site.noisy(trained(), **asks(), asked=1)
    again = site.noisy(trained(own=0.75), **asks(), asked=1)
    assert (again.draw, again.beside) == (first.draw, "rows")
    assert np.array_equal(again.answer.parts["change"].values, first.answer.parts["change"].values), "not what was trained anew"
    assert site.noisy(trained(), **asks(), asked=2).draw != first.draw
    with pytest.raises(SiteError, match=r"expected 2, as planned\. Run it as a new study"):
        site.noisy(trained(), **asks(), asked=3)
    assert len(site.kept.load("a.t.noisy")["draws"]) == 2


def test_with_noise_by_patient_training_tells_the_noisy_number_of_rows_or_does_not_leave():
    site, noise = Site(PRIVATE_BY_EPSILON), PRIVATE_BY_EPSILON.multiplier
    told = site.muster(50).answer.rows
    assert told != 50
    noisy = site.noisy(trained(rows=float(told)), **asks(noise))
    assert (noisy.answer.rows, noisy.beside) == (told, "nothing")
    with pytest.raises(SiteError, match="part 'weight'"):
        Site(PRIVATE_BY_EPSILON, site.kept).noisy(trained(rows=50.0), **asks(noise, more=1))
    with pytest.raises(SiteError, match="part 'loss'"):
        Site(PRIVATE_BY_EPSILON, site.kept).noisy(trained(float(told), loss=Part(np.ones(1), 50)), **asks(noise, more=2))
    alone = Part(np.ones(4, np.float32), 50, kind="individual")
    with pytest.raises(SiteError, match="part 'change'"):
        Site(PRIVATE_BY_EPSILON, site.kept).noisy(trained(float(told), change=alone), **asks(noise, more=3))
