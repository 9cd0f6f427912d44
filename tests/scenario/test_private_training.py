"""Private training under a study's epsilon and under sites' budgets: planned, reserved, charged, and nothing exact beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from huizhen import DisclosurePolicy, Study, run
from huizhen.clock import ManualClock
from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.errors import PolicyError, StudyError
from huizhen.federation.checkpoint import MemoryCheckpoints
from huizhen.federation.noised.planning import plan_of, reserve
from huizhen.federation.noised.scheme import Noised
from huizhen.federation.participant import Participant
from huizhen.federation.rounds import Answered, Ask, Failed, Refused
from huizhen.federation.scheme import PlainSum
from huizhen.federation.selection import muster_question, scope_of
from huizhen.ledger.keys import new_key, open_key
from huizhen.ledger.store import MemoryLedger, SqliteLedger
from huizhen.policy.budget import Budget
from huizhen.policy.gate import Gate
from huizhen.policy.purse import CHARGED, RESERVED, SETTLED
from huizhen.privacy.accounting.epsilon import epsilon
from huizhen.privacy.accounting.events import GaussianEvent, PoissonSampledEvent, SelfComposedEvent
from huizhen.privacy.release import Terms, Total, Variable

pytest.importorskip("torch")

VARIABLES = {
    "smoker": {"type": "category", "levels": ["no", "yes"]},
    "ward": {"type": "category", "levels": ["a", "b", "c"]},
    "age": {"type": "number", "range": [18, 110]},
    "lab": {"type": "number", "range": [0, 50]},
}
PRIVATE = {"clip": 1.0, "noise": 4.0, "rate": 0.1, "delta": 1e-6}
ROUNDS, STEPS = 2, 10  # steps of a round: 1 / rate


def table(seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    age, lab = rng.uniform(30, 90, count), rng.gamma(4, 3, count)
    smoker = np.where(rng.random(count) < 1 / (1 + np.exp((age - 60) / 8)), "yes", "no")
    return {"smoker": smoker, "ward": rng.choice(["a", "b", "c"], count), "age": age, "lab": lab}


SITES = {f"site-{place}": table(place, 110 + 5 * place) for place in range(3)}


def settings(**more):
    usual = {"network": "logistic", "outcome": "smoker", "covariates": ["age", "lab"], "rounds": ROUNDS, "learning_rate": 0.5}
    return {**usual, "private": PRIVATE, **more}


def study(noise=None, *, title="A study", sum_="masked", variables=VARIABLES, **more):
    method = {"averaging": settings(**more)}
    text = repr(method)
    protection = {"sum": sum_} if noise is None else {"sum": sum_, "noise": noise}
    declared = {name: one for name, one in variables.items() if f"'{name}'" in text}
    return Study.parse({"study": {"title": title}, "variables": declared, "method": method, "protection": protection})


def by_epsilon(value=2.0, **more):
    """One epsilon, and no multiplier."""
    private = {"clip": 1.0, "rate": 0.1}
    return study({"epsilon": value, "delta": 1e-6}, **{"private": private, **more})


def budget(epsilon: float = 9.0, **more) -> DisclosurePolicy:
    return DisclosurePolicy(budget=Budget(**{"epsilon": epsilon, "delta": 1e-6, "allow_row_counts": True, **more}))


def kinds(folder, site="site-0"):
    with SqliteLedger(folder / "ledger" / f"{site}.sqlite", open_key(folder / "keys" / f"{site}.pem")) as ledger:
        return [entry.kind for entry in ledger.entries() if entry.kind in (RESERVED, CHARGED, SETTLED)]


def cost(noise=4.0, rounds=ROUNDS):
    return epsilon([SelfComposedEvent(PoissonSampledEvent(0.1, GaussianEvent(noise)), STEPS * rounds)], 1e-6)


def unplug_at(kind, step="train"):
    def watch(event):
        if (event.kind, event.step) == (kind, step):
            raise KeyboardInterrupt

    return watch


def weights(found):
    return found["averaging"].result.model["weights"]


@pytest.mark.parametrize(("sum_", "noise"), [("masked", {}), ("plain", {"place": "local", "mechanism": "laplace"})])
def test_one_epsilon_gives_the_noise_of_training_and_of_the_rows(sum_, noise):
    asked = study({"epsilon": 2.0, "delta": 1e-6, **noise}, sum_=sum_, private={"clip": 1.0, "rate": 0.1})
    found = run(asked, SITES, policy=budget(2.001, allow_row_counts=False))
    assert not found.failures
    facts = found["averaging"].result.facts
    assert 1.99 < facts["epsilon"] <= 2.0 < facts["epsilon_rdp"]
    assert cost(facts["noise_multiplier"]).pld < facts["epsilon"], "the count of rows costs something too"
    assert cost(facts["noise_multiplier"]).pld > 1.6, "but little"
    rows = found["averaging"].outcome.rows
    assert rows != {site: len(one["age"]) for site, one in SITES.items()}
    assert np.isfinite(weights(found)).all()


def test_with_noise_by_patient_only_rows_and_rounds_are_asked_and_the_finding_says_what_it_does_not_tell():
    asked = []
    found = run(by_epsilon(covariates=["age", "lab", "ward"]), SITES, watch=asked.append)
    result = found["averaging"].result
    assert [event.step for event in asked if event.kind == "asked"] == ["muster", "train", "train"]
    assert "quality" not in result.tables
    assert "learning" not in result.tables
    assert result.model["features"]["design"]["columns"] == ["age", "lab", "ward[b]", "ward[c]"]
    notes = " ".join(result.notes)
    assert "No loss and no measure is told" in notes
    assert "hides one patient, by being there or not" in notes
    assert "Nobody knows the noise" not in notes, "each site's training holds all of its noise"
    assert "may be useful" in notes.lower()
    assert found["averaging"].pooled is None


def test_where_noise_drowns_what_is_learned_the_finding_says_so():
    drowned = run(by_epsilon(0.3), SITES)["averaging"].result
    assert any(note.startswith(("Useless", "Poor")) for note in drowned.notes)
    by_settings = study(private={**PRIVATE, "noise": 500.0})
    assert any(note.startswith("Useless") for note in run(by_settings, SITES, compare=False)["averaging"].result.notes)


def test_under_a_budget_private_training_is_charged_by_round_and_tells_what_it_cost(tmp_path):
    found = run(study(), SITES, policy=budget(), out=tmp_path)
    result = found["averaging"].result
    assert not found.failures
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * ROUNDS, SETTLED]
    assert (result.facts["epsilon"], result.facts["epsilon_rdp"]) == (cost().pld, cost().rdp)
    assert any("How many rows each site has is told exactly" in note for note in result.notes)
    assert found["averaging"].pooled is None, "what was pooled would stand beside it exactly"
    assert found["averaging"].outcome.rows == {site: len(one["age"]) for site, one in SITES.items()}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"test": 0.3}, "Set validation and test to 0"),
        ({"control": True}, "Set control and normalise to false"),
        ({"order": "cyclic"}, "Set order = 'together'"),
        ({"variables": {}}, "Say type = 'number', or type = 'category' and levels, in [variables.smoker]"),
        ({"task": "regression", "outcome": "lab", "covariates": ["age"], "variables": {}}, "Declare a range in [variables.lab]"),
    ],
)
def test_what_would_leave_exactly_is_refused_with_what_to_do(more, told, tmp_path):
    """Under a budget when it is run, for the file knows of no budget; under an epsilon of its own as the study is read."""
    refused = run(study(**more), SITES, policy=budget(), out=tmp_path).failures["averaging"]
    assert "a site has a privacy budget" in refused
    assert told in refused
    assert CHARGED not in kinds(tmp_path)
    with pytest.raises(StudyError) as read:
        by_epsilon(**more)
    assert told in str(read.value)


def test_a_regression_and_its_inputs_have_the_scale_of_declared_ranges():
    asked = by_epsilon(20.0, task="regression", outcome="lab", covariates=["age"])
    model = run(asked, SITES)["averaging"].result.model
    assert (model["aim"]["shift"], model["aim"]["scale"]) == (25.0, 12.5)
    assert (model["features"]["design"]["center"].tolist(), model["features"]["design"]["scale"].tolist()) == ([64.0], [23.0])
    with pytest.raises(StudyError, match="or set scale = 'none'"):
        by_epsilon(variables={name: one for name, one in VARIABLES.items() if name != "age"} | {"age": {"type": "number"}})


def test_a_number_of_rows_is_told_only_where_the_budget_lets_it():
    refused = run(study(), SITES, policy=budget(allow_row_counts=False), compare=False).failures["averaging"]
    assert "allow_row_counts = true" in refused


def test_an_epsilon_needs_a_rate_and_one_place_for_the_noise():
    with pytest.raises(StudyError, match="Set rate in private"):
        by_epsilon(private={"clip": 1.0})
    with pytest.raises(StudyError, match="Leave noise out of private, or leave"):
        by_epsilon(private=PRIVATE)
    with pytest.raises(StudyError, match=r"Add noise, or \[protection.noise\]"):
        study(private={"clip": 1.0, "rate": 0.1})
    with pytest.raises(PolicyError, match="Set rate in private"):
        run(study(private={"clip": 1.0, "noise": 4.0}), SITES, policy=budget())
    exact = DisclosurePolicy(budget=Budget(epsilon=9.0, delta=1e-6, allow_exact=True))
    assert not run(study(private={"clip": 1.0, "noise": 4.0}), SITES, policy=exact, compare=False).failures


def test_training_that_would_overspend_is_refused_before_anything_is_asked(tmp_path):
    asked = []
    short = cost().pld * 0.9
    with pytest.raises(PolicyError, match="times its noise it would fit"):
        run(study(), SITES, policies={"site-2": budget(short), "site-0": budget()}, out=tmp_path, watch=asked.append)
    assert {event.kind for event in asked} == {"reading"}
    assert kinds(tmp_path, "site-2") == []
    assert kinds(tmp_path, "site-0") == [RESERVED, SETTLED]


def test_two_trainings_cannot_overspend_a_budget(tmp_path):
    policy = budget(cost(rounds=2 * ROUNDS).pld * 1.01)
    for title in ("first", "second"):
        assert not run(study(title=title), SITES, policies={"site-0": policy}, out=tmp_path).failures
    with pytest.raises(PolicyError, match="is left"):
        run(study(title="third"), SITES, policies={"site-0": policy}, out=tmp_path)
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * ROUNDS, SETTLED] * 2


@pytest.mark.parametrize(("crash", "charged"), [("asked", 0), ("answered", 1), ("folded", 1)])
def test_a_crash_leaves_training_reserved_and_it_goes_on_without_paying_twice(crash, charged, tmp_path):
    """Before the first round leaves a site, between its release and the hub, and after it was folded."""
    policy = budget(cost().pld * 1.01)
    with pytest.raises(KeyboardInterrupt):
        run(study(), SITES, policies={"site-0": policy}, out=tmp_path, watch=unplug_at(crash))
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * charged]
    with pytest.raises(PolicyError, match="is spent or reserved"):
        run(study(title="another"), SITES, policies={"site-0": policy}, out=tmp_path)
    assert not run(study(), SITES, policies={"site-0": policy}, out=tmp_path).failures
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * ROUNDS, SETTLED]


@pytest.mark.parametrize("asked", [study, by_epsilon])
def test_a_finished_training_run_again_is_the_same_and_spends_nothing(asked, tmp_path):
    policy = budget(2.001 if asked is by_epsilon else cost().pld * 1.01)
    first = run(asked(), SITES, policies={"site-0": policy}, out=tmp_path)
    before = kinds(tmp_path).count(CHARGED)
    again = run(asked(), SITES, policies={"site-0": policy}, out=tmp_path)
    assert np.array_equal(weights(first), weights(again))
    assert kinds(tmp_path).count(CHARGED) == before


def test_where_the_hub_has_lost_its_rounds_training_does_not_begin_anew_for_free(tmp_path):
    policy = budget(cost().pld * 1.01)
    assert not run(study(), SITES, policies={"site-0": policy}, out=tmp_path).failures
    for kept in (tmp_path / "checkpoints").iterdir():
        if "noisy" not in kept.name:
            kept.unlink()
    again = run(study(), SITES, policies={"site-0": policy}, out=tmp_path).failures["averaging"]
    assert "Run it as a new study, which reserves what it spends" in again
    assert kinds(tmp_path).count(CHARGED) == ROUNDS


def test_without_a_budget_private_training_is_judged_as_ever():
    found = run(study(test=0.3), SITES)["averaging"]
    assert not found.result.failure
    assert "quality" in found.result.tables
    assert not found.pooled.failure


class Hub:
    """A hub that keeps to the study as long as it likes, and one site with a budget."""

    def __init__(self, study: Study, policy: DisclosurePolicy) -> None:
        self.study, self.analysis = study, study.analyses[0]
        plan, kept, source = plan_of(study, 3), MemoryCheckpoints(), np.random.default_rng(3)
        one, self.ledger = SITES["site-0"], MemoryLedger(new_key())
        gate = Gate("site-0", policy, self.ledger, ManualClock())
        reserve({"site-0": gate}, study, plan, kept)
        columns = {"age": Numbers(one["age"]), "lab": Numbers(one["lab"])}
        columns["smoker"] = Categories((one["smoker"] == "yes").astype(np.int32), ("no", "yes"))
        scheme = Noised(PlainSum("plain"), plan, source.bytes, kept)
        self.site = Participant(
            "site-0", study, Examples(columns, len(one["age"])), gate=gate, scheme=scheme, counted=scheme, entropy=source.bytes
        )
        numbers = {name: Variable("number", range=tuple(VARIABLES[name]["range"])) for name in ("age", "lab")}
        levels = {"smoker": Variable("category", ("no", "yes"))}
        self.terms = Terms(
            variables=numbers | levels,
            roster=tuple(SITES),
            lane="plain",
            noise="" if study.protection.noise is None else "patient",
            noise_multiplier=plan.multiplier,
            allow_exact=False,
        )
        self.state, self.round = self.analysis.method.begin(self.analysis.spec, self.terms), 1

    @property
    def question(self):
        return self.analysis.method.ask(self.state)

    def ask(self, question, lineage="course"):
        self.round += 1
        scope = scope_of(self.study, self.analysis)
        return self.site.respond(
            Ask(
                self.study.digest,
                "run",
                self.analysis.label,
                self.round,
                "answer",
                question,
                tuple(SITES),
                "plain",
                scope,
                lineage=lineage,
            )
        )

    def muster(self):
        return self.ask(muster_question(self.study, self.analysis), lineage="")

    def train(self):
        reply = self.ask(self.question)
        sums = {name: part.values for name, part in reply.answer.parts.items()}
        self.state = self.analysis.method.fold(self.state, Total(sums, {}, {}, reply.answer.rows, tuple(SITES)))
        return reply

    def charged(self):
        return [entry.kind for entry in self.ledger.entries()].count(CHARGED)


def changed(question, **facts):
    return replace(question, facts={**question.facts, **facts})


@pytest.fixture(params=[study, by_epsilon])
def hub(request):
    return Hub(request.param(sum_="plain") if request.param is study else local_by_epsilon(), budget())


def local_by_epsilon():
    noise = {"epsilon": 2.0, "delta": 1e-6, "place": "local"}
    return study(noise, sum_="plain", private={"clip": 1.0, "rate": 0.1})


def test_a_hub_that_asks_for_more_than_the_study_gets_nothing_and_it_costs_nothing(hub):
    """Louder rates, wider clips, less noise, rows that act on one another, rows kept aside, measures, one round more."""
    assert isinstance(hub.muster(), Answered)
    counted, question = hub.charged(), hub.question
    recipe = question.facts["recipe"]
    for setting, value in {"rate": 1.0, "clip": 100.0, "noise": 0.01}.items():
        asked = changed(question, recipe={**recipe, "private": {**recipe["private"], setting: value}})
        reply = hub.ask(asked)
        assert isinstance(reply, Failed)
        assert "with another recipe" in reply.reason
    bare = {name: value for name, value in recipe.items() if name != "private"}
    assert isinstance(hub.ask(changed(question, recipe=bare)), Failed)
    assert isinstance(hub.ask(changed(question, features={**question.facts["features"], "scale": "site"})), Failed)
    for exact in (changed(question, aside=[0.0, "age > 80"]), changed(question, folds=[0])):
        assert isinstance(hub.ask(exact), Failed | Refused)
    assert isinstance(hub.ask(replace(question, step="judge", facts={**question.facts, "folds": [0]})), Failed | Refused)
    assert hub.charged() == counted
    for _ in range(ROUNDS):
        assert isinstance(hub.train(), Answered)
    assert hub.charged() == counted + ROUNDS
    reply = hub.ask(changed(question, weights=question.facts["weights"] + 1))
    assert isinstance(reply, Failed)
    assert "another question of the step 'train'" in reply.reason


def test_a_site_that_hides_its_rows_divides_and_weighs_by_what_it_told():
    hub = Hub(local_by_epsilon(), budget(allow_row_counts=False))
    assert isinstance(early := hub.ask(hub.question), Failed)
    assert "before the rows were counted" in early.reason
    told = hub.muster().answer.rows
    answer = hub.train().answer
    assert told != len(SITES["site-0"]["age"])
    assert (answer.rows, answer.parts["weight"].values.tolist()) == (told, [told])
    assert not answer.parts["classes"].values.any()


def test_where_noise_leaves_no_rows_to_weigh_by_the_reason_says_so():
    """At a tiny epsilon the noise of each count is hundreds of rows, and all of it may be below 0."""
    hub = Hub(local_by_epsilon(), budget())
    nothing = {"weight": np.zeros(1), "change": np.zeros_like(hub.question.facts["weights"])}
    state = hub.analysis.method.fold(hub.state, Total(nothing, {}, {}, 0, tuple(SITES)))
    assert "allow a larger epsilon" in hub.analysis.method.ask(state).result.failure
