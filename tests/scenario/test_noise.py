"""Studies with noise: what comes out, what it costs, and what no site lets happen."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from huizhen import DisclosurePolicy, Study, run
from huizhen.embedded.story import story
from huizhen.errors import FederationError, PolicyError, StudyError
from huizhen.ledger.keys import open_key
from huizhen.ledger.store import SqliteLedger
from huizhen.policy.budget import Budget
from huizhen.policy.purse import CHARGED, RESERVED, SETTLED
from huizhen.report import page

VARIABLES = {
    "sex": {"type": "category", "levels": ["f", "m"]},
    "smoker": {"type": "category", "levels": ["no", "yes"]},
    "age": {"type": "number", "range": [18, 110]},
    "lab": {"type": "number", "range": [0, 50]},
}
TABLE = {"tabulate": {"rows": "sex", "columns": "smoker"}}
NOISE = {"epsilon": 2.0, "delta": 1e-6}


def table(seed: int, count: int = 120) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], count)
    smoker = np.where(rng.random(count) < np.where(sex == "m", 0.5, 0.25), "yes", "no")
    return {"sex": sex, "smoker": smoker, "age": rng.normal(60, 9, count), "lab": rng.gamma(4, 3, count)}


SITES = {f"site-{place}": table(place) for place in range(5)}


def study(method=None, *, sum_="masked", title="A study", **noise):
    method = TABLE if method is None else method
    text = repr(method)
    return Study.parse(
        {
            "study": {"title": title},
            "variables": {name: value for name, value in VARIABLES.items() if re.search(rf"\b{name}\b", text)},
            "method": method,
            "protection": {"sum": sum_, "noise": {**NOISE, **noise}},
        }
    )


def budget(epsilon: float, **more) -> DisclosurePolicy:
    return DisclosurePolicy(budget=Budget(epsilon=epsilon, delta=1e-6, **more))


def entries(folder, site="site-0"):
    with SqliteLedger(folder / "ledger" / f"{site}.sqlite", open_key(folder / "keys" / f"{site}.pem")) as ledger:
        return list(ledger.entries())


def kinds(folder, site="site-0"):
    return [entry.kind for entry in entries(folder, site) if entry.kind in (RESERVED, CHARGED, SETTLED)]


def of_noise(finding, part):
    columns = finding.result.tables["noise"].columns
    return columns["standard_deviation"][columns["part"].index(part)]


@pytest.mark.parametrize(("sum_", "more"), [("masked", {}), ("plain", {"place": "local", "mechanism": "discrete_laplace"})])
def test_a_noisy_table_has_the_spread_that_its_finding_tells(sum_, more, monkeypatch):
    """In 10 runs of 36 cells the standard deviation is known to some 4 percent (Laplace: 6); from a seed, not a secure source."""
    monkeypatch.setattr("secrets.token_bytes", np.random.default_rng(5).bytes)
    wards, rng = [f"{place}" for place in range(36)], np.random.default_rng(1)
    sites = {f"site-{place}": {"ward": rng.choice(wards, 2000)} for place in range(5)}
    exact = np.array([sum((one["ward"] == ward).sum() for one in sites.values()) for ward in wards])
    asked = Study.parse(
        {
            "variables": {"ward": {"type": "category", "levels": wards}},
            "method": {"tabulate": {"rows": "ward"}},
            "protection": {"sum": sum_, "noise": {**NOISE, **more}},
        }
    )
    found = [run(asked, sites)["tabulate"] for _ in range(10)]
    away = np.array([one.result.cells["counts"].counts[:, 0] for one in found]) - exact
    told = of_noise(found[0], "tables")
    assert away.std() == pytest.approx(told, rel=0.2)
    assert abs(away.mean()) < 4 * told / math.sqrt(away.size)
    rows = np.array([list(one.outcome.rows.values()) for one in found]) - 2000
    assert rows.std() == pytest.approx(of_noise(found[0], "rows"), rel=0.4)


def test_each_finding_tells_what_was_spent_and_how_large_the_noise_is(tmp_path):
    found = run(study(), SITES)
    result = found["tabulate"].result
    assert 1.99 < result.facts["epsilon"] <= 2.0 < result.facts["epsilon_rdp"]
    assert result.facts["delta"] == 1e-6
    assert any(
        "hides one patient, by being there or not: all analyses of the study together spend" in note for note in result.notes
    )
    assert "Nobody knows the noise as long as 4 of the sites in each sum are honest." in result.notes
    assert not found["tabulate"].alone
    assert found["tabulate"].pooled is None
    assert any("exact numbers beside noisy ones would undo the noise" in note for note in found.notes)
    written = page.write(story(found), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nobody knows the noise" in written


def test_numbers_within_their_ranges_and_quantiles_come_out_nearly():
    asked = study({"summary": {"variables": ["age", "sex"]}, "quantile": {"variables": ["age"]}}, epsilon=20.0)
    found = run(asked, SITES)
    assert not found.failures
    age = np.concatenate([one["age"] for one in SITES.values()])
    numbers = found["summary"].result.tables["numbers"].columns
    assert numbers["mean"][0] == pytest.approx(age.mean(), abs=1.5)
    assert numbers["sd"][0] == pytest.approx(age.std(), abs=4)
    quantiles = found["quantile"].result.tables["quantiles"].columns["value"]
    assert quantiles == pytest.approx(np.quantile(age, [0.25, 0.5, 0.75]), abs=2)


def test_all_analyses_of_a_study_share_its_epsilon():
    """Two tables and their counts of rows are four answers: sqrt(2) times the noise of two, at the same epsilon."""
    one = run(study(mechanism="gaussian"), SITES)["tabulate"]
    two = run(study({"tabulate": [TABLE["tabulate"], {"rows": "smoker"}]}, mechanism="gaussian"), SITES)["tabulate"]
    assert two.result.facts["epsilon"] == pytest.approx(one.result.facts["epsilon"], abs=0.01)
    assert of_noise(two, "tables") / of_noise(one, "tables") == pytest.approx(math.sqrt(2), rel=0.01)


def test_a_study_without_room_is_refused_before_any_question(tmp_path):
    asked = []
    with pytest.raises(PolicyError, match="would spend more than privacy budgets allow") as refused:
        run(study(), SITES, policies={"site-3": budget(1.0)}, policy=budget(9.0), out=tmp_path, watch=asked.append)
    (problem,) = refused.value.problems
    assert problem.where == "site site-3"
    assert "times its noise it would fit" in problem.found
    assert {event.kind for event in asked} == {"reading"}
    assert kinds(tmp_path, "site-3") == []
    assert kinds(tmp_path, "site-0") == [RESERVED, SETTLED]
    assert "released" not in {entry.kind for entry in entries(tmp_path)}


def test_two_studies_cannot_overspend_a_budget(tmp_path):
    """Epsilon 2 twice is 2.98 at delta 1e-6, when composed: 3 is enough for two, and for no third."""
    policy = budget(3.0)
    for title in ("first", "second"):
        assert not run(study(title=title), SITES, policy=policy, out=tmp_path).failures
    with pytest.raises(PolicyError, match="is left"):
        run(study(title="third"), SITES, policy=policy, out=tmp_path)
    assert kinds(tmp_path) == [RESERVED, CHARGED, CHARGED, SETTLED] * 2


def test_a_crash_leaves_the_reservation_spent_and_the_study_goes_on_with_the_very_same_noise(tmp_path):
    policy, asked = budget(2.01), study()

    def pull_the_plug(event):
        if event.kind == "folded":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(asked, SITES, policy=policy, out=tmp_path, watch=pull_the_plug)
    assert kinds(tmp_path) == [RESERVED, CHARGED, CHARGED]
    with pytest.raises(PolicyError):
        run(study(title="another"), SITES, policy=policy, out=tmp_path)
    again = run(asked, SITES, policy=policy, out=tmp_path)
    assert not again.failures
    assert kinds(tmp_path) == [RESERVED, CHARGED, CHARGED, SETTLED], "the rows and the table, each once"


@pytest.mark.parametrize("lost", ["nothing", "the hub's totals"])
def test_a_finished_study_run_again_is_the_same_and_spends_nothing(lost, tmp_path):
    """Where the hub has lost its totals the sites are asked again, and send what they drew."""
    policy, asked = budget(2.01), study()
    first = run(asked, SITES, policy=policy, out=tmp_path)
    for kept in (tmp_path / "checkpoints").iterdir():
        if lost != "nothing" and "noisy" not in kept.name:
            kept.unlink()
    second = run(asked, SITES, policy=policy, out=tmp_path)
    before, after = (dict(found["tabulate"].outcome.rows) for found in (first, second))
    assert before == after
    before, after = (found["tabulate"].result.cells["counts"].counts for found in (first, second))
    assert np.array_equal(before, after)
    assert kinds(tmp_path) == [RESERVED, CHARGED, CHARGED, SETTLED, RESERVED, SETTLED]


def test_other_rows_get_noise_of_their_own_and_pay_for_it(tmp_path):
    policy, asked = budget(2.01), study()
    run(asked, SITES, policy=policy, out=tmp_path)
    with pytest.raises(PolicyError, match="is left"):
        run(asked, {**SITES, "site-1": table(99)}, policy=policy, out=tmp_path)


def test_a_site_with_a_budget_refuses_exact_answers(tmp_path):
    exact = Study.parse({"method": TABLE, "variables": {name: VARIABLES[name] for name in ("sex", "smoker")}})
    assert "the answer holds no noise" in run(exact, SITES, policy=budget(9.0), compare=False).failures["tabulate"]
    assert not run(exact, SITES, policy=budget(9.0, allow_exact=True), compare=False).failures


def test_too_few_sites_for_the_shares_are_refused():
    with pytest.raises(FederationError, match="no more than the 5 sites that are here"):
        run(study(honest=6), SITES)


AVERAGING = {
    "averaging": {
        "network": "logistic",
        "outcome": "smoker",
        "covariates": ["age", "lab"],
        "scale": "site",
        "rounds": 3,
        "learning_rate": 0.5,
    }
}


def test_noise_by_site_hides_a_sites_change_and_says_when_nothing_is_left():
    pytest.importorskip("torch")
    asked = study(AVERAGING, level="site", epsilon=8.0, clip=0.2)
    found = run(asked, SITES)
    assert not found.failures
    result = found["averaging"].result
    assert np.isfinite(result.model["weights"]).all()
    assert "quality" not in result.tables
    assert any(note.startswith(("Poor", "Useless")) for note in result.notes)
    assert any("not how many rows it has" in note for note in result.notes)
    # A budget lets the number of rows out exactly only if it says so.
    refused = run(asked, SITES, policy=budget(9.0)).failures["averaging"]
    assert "allow_row_counts = true" in refused
    assert not run(asked, SITES, policy=budget(9.0, allow_row_counts=True)).failures


def test_what_cannot_carry_noise_is_refused_as_the_study_is_read():
    with pytest.raises(StudyError) as refused:
        study({"averaging": AVERAGING["averaging"], "kaplan_meier": {"time": "age", "event": "lab == 1"}}, sum_="plain")
    told = {problem.where: problem for problem in refused.value.problems}
    assert told["protection.noise.place"].remedy == "Use sum = 'masked', or place = 'local'"
    assert told["method.averaging.private"].remedy == "Add private = { clip = 1.0, rate = 0.05 }, or set level = 'site'"
    assert "cannot carry noise" in told["method.kaplan_meier"].found
    compressed = {"sum": "masked", "compress": {"kind": "quantised", "bits": 16}, "noise": {**NOISE, "level": "site"}}
    with pytest.raises(StudyError, match="compression of noisy numbers"):
        Study.parse({**study(AVERAGING, level="site").content, "protection": compressed})
    with pytest.raises(StudyError, match="a Gaussian mechanism"):
        study(mechanism="laplace")
    assert Study.parse(study().content).digest == study().digest


def test_private_training_tells_what_it_cost_and_what_it_does_not_cover():
    """DP-SGD in training: the promise is for the rows learned from, and its figure is the accountant's."""
    pytest.importorskip("torch")
    from huizhen.privacy.accounting.epsilon import epsilon
    from huizhen.privacy.accounting.events import GaussianEvent, PoissonSampledEvent, SelfComposedEvent

    private = {"clip": 1.0, "noise": 2.0, "rate": 0.1, "delta": 1e-5}
    settings = {
        "network": "logistic",
        "outcome": "smoker",
        "covariates": ["age", "lab"],
        "rounds": 3,
        "test": 0.3,
        "private": private,
    }
    asked = {"variables": {"smoker": VARIABLES["smoker"]}, "method": {"averaging": settings}, "protection": {"sum": "masked"}}
    found = run(Study.parse(asked), SITES)["averaging"]
    assert not found.result.failure
    steps = SelfComposedEvent(PoissonSampledEvent(0.1, GaussianEvent(2.0)), 10 * 3)
    assert found.result.facts["epsilon"] == pytest.approx(epsilon([steps], 1e-5).pld)
    assert found.result.facts["epsilon_rdp"] >= found.result.facts["epsilon"]
    assert any("Numbers of rows and of classes" in note for note in found.result.notes)
    assert not found.pooled.failure
    again = run(Study.parse(asked), SITES, compare=False)["averaging"]
    assert not np.array_equal(again.result.model["weights"], found.result.model["weights"]), "its draws are secret"
    del private["rate"]
    told = run(Study.parse(asked), SITES, compare=False)["averaging"].result
    assert "epsilon" not in told.facts
    assert any("with a rate in private" in note for note in told.notes)


def test_a_hub_cannot_widen_what_a_patient_changes():
    """Ranges that are not smallest and largest would move the middle away, and every patient with it."""
    from huizhen.data.examples import Examples, Numbers
    from huizhen.errors import SiteError
    from huizhen.methods.description.moments import MOMENTS_STEPS
    from huizhen.methods.method import Local
    from huizhen.privacy.release import Question

    rows = Examples({"age": Numbers(np.full(9, 60.0))}, 9)
    facts = {
        "variables": ["age"],
        "groups": [],
        "by": "",
        "shape": False,
        "absolute": False,
        "products": False,
        "mean": np.zeros((1, 1)),
    }
    for ranges in (np.array([[0.0, 120.0, 3e7]]), np.array([[120.0, 0.0]]), np.array([[0.0, np.inf]]), [[0, 120]]):
        with pytest.raises(SiteError, match="not asked by the study"):
            MOMENTS_STEPS["centred"](
                Question("summary", "centred", {**facts, "ranges": ranges}), rows, Local(), np.random.default_rng(0)
            )


def test_private_training_is_charged_to_a_sites_budget():
    pytest.importorskip("torch")
    private = {"clip": 1.0, "noise": 4.0, "rate": 0.05, "delta": 1e-6}
    settings = {"network": "logistic", "outcome": "smoker", "covariates": ["age", "lab"], "rounds": 2, "private": private}
    asked = {"variables": {"smoker": VARIABLES["smoker"]}, "method": {"averaging": settings}, "protection": {"sum": "masked"}}
    policy = DisclosurePolicy(budget=Budget(epsilon=8.0, delta=1e-5, allow_row_counts=True))
    assert not run(Study.parse(asked), SITES, policy=policy, compare=False).failures


REGRESSION = {"glm": {"formula": "smoker ~ age + lab", "family": "binomial"}}


def regression(seed, count=6000):
    rng = np.random.default_rng(seed)
    age, lab = rng.uniform(30, 90, count), rng.uniform(5, 45, count)
    smoker = np.where(rng.random(count) < 1 / (1 + np.exp(1 + (age - 60) / 30 - (lab - 25) / 20)), "yes", "no")
    return {"age": age, "lab": lab, "smoker": smoker}


def test_a_regression_with_noise_tells_its_coefficients_and_their_epsilon(tmp_path):
    """Within 5 standard errors, of which the noise is a part; from the system's own entropy."""
    sites = {f"site-{place}": regression(place) for place in range(5)}
    asked = study(REGRESSION)
    found = run(asked, sites)
    result = found["glm"].result
    assert not found.failures
    exact = run(Study.parse({**asked.content, "protection": {"sum": "masked"}}), sites, compare=False)["glm"].result
    error = np.array(result.tables["coefficients"].columns["standard_error"], float)
    assert (np.abs(result.arrays["coefficients"] - exact.arrays["coefficients"]) < 5 * error).all()
    assert (error > exact.tables["coefficients"].columns["standard_error"]).all()
    assert (np.diag(result.arrays["noise_covariance"]) > 0).all()
    assert 1.99 < result.facts["epsilon"] <= 2.0
    assert result.facts["delta"] == 1e-6
    assert result.tables["noise"].columns["step"] == ("muster", "glm.noisy_scores")
    assert not {"deviance", "loglik", "aic", "pearson_chi2"} & set(result.facts)
    assert found["glm"].pooled is None
    assert "glm" in page.write(story(found), tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_every_family_of_regression_with_noise_says_when_nothing_is_left(family, tmp_path):
    formula = {"gaussian": "lab ~ age + smoker", "poisson": "lab ~ age + smoker"}[family]
    found = run(study({"glm": {"formula": formula, "family": family}}), SITES)
    result = found["glm"].result
    assert not found.failures
    assert np.isfinite(result.arrays["coefficients"]).all()
    assert any(note.startswith(("Poor", "Useless")) for note in result.notes)
    assert "glm" in page.write(story(found), tmp_path / "report.html").read_text(encoding="utf-8")


def test_all_rounds_of_a_regression_are_reserved_before_and_charged_one_by_one(tmp_path):
    """Eight rounds and the count: nine charges, all in the first study's reservation, which leaves no room for a second."""
    policy = budget(2.01)
    assert not run(study(REGRESSION), SITES, policy=policy, out=tmp_path).failures
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * 9, SETTLED]
    asked = []
    with pytest.raises(PolicyError, match="would spend more than privacy budgets allow"):
        run(study(REGRESSION, title="another"), SITES, policy=policy, out=tmp_path, watch=asked.append)
    assert {event.kind for event in asked} == {"reading"}
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * 9, SETTLED]


def test_a_regression_goes_on_after_a_crash_and_no_round_is_paid_for_twice(tmp_path):
    policy, asked, folded = budget(2.01), study(REGRESSION), []

    def pull_the_plug(event):
        folded.append(event.kind == "folded")
        if sum(folded) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(asked, SITES, policy=policy, out=tmp_path, watch=pull_the_plug)
    assert kinds(tmp_path) == [RESERVED, *[CHARGED] * 4]
    assert not run(asked, SITES, policy=policy, out=tmp_path).failures
    assert kinds(tmp_path)[-6:] == [*[CHARGED] * 5, SETTLED]
    assert kinds(tmp_path).count(CHARGED) == 9


@pytest.mark.parametrize("mechanism", ["discrete_laplace", "laplace", "discrete_gaussian"])
def test_a_regression_takes_every_law_of_noise(mechanism):
    sites = {f"site-{place}": regression(place) for place in range(3)}
    asked = study(REGRESSION, sum_="plain", place="local", mechanism=mechanism, epsilon=20.0 if "gaussian" in mechanism else 300.0)
    result = run(asked, sites)["glm"].result
    assert not result.failure
    assert result.arrays["coefficients"] == pytest.approx([0.0, -1 / 30, 1 / 20], abs=0.4)
    assert result.facts["epsilon"] <= 300


def test_a_regression_over_what_has_no_bound_is_refused_as_the_study_is_read():
    with pytest.raises(StudyError) as refused:
        Study.parse({"method": REGRESSION, "protection": {"sum": "masked", "noise": NOISE}})
    assert [problem.where for problem in refused.value.problems] == ["method.glm.smoker", "method.glm.age", "method.glm.lab"]
    assert all("Say type = 'number'" in problem.remedy for problem in refused.value.problems)
