"""The same studies on every engine: in one process, and across hospitals as programs on a real server; the same answers."""

from __future__ import annotations

import numpy as np
import pytest

from federations import federation, until
from huizhen import DisclosurePolicy, canonical, run
from huizhen.errors import FederationError
from huizhen.federation.keeping import result_to
from huizhen.federation.study import Study
from huizhen.federation.suggestion import Here, suggestion
from huizhen.policy.budget import Budget

VARIABLES = {
    "sex": {"type": "category", "levels": ["f", "m"]},
    "age": {"type": "number", "range": [18, 110]},
    "lab": {"type": "number", "range": [0, 50]},
    "high": {"type": "category", "levels": ["no", "yes"]},
}
EXACT = {
    "summary": {"summary": {"variables": ["age", "lab"]}},
    "tabulate": {"tabulate": {"rows": "sex", "columns": "high"}},
    "glm": {"glm": {"formula": "high ~ age + sex + lab", "family": "binomial"}},
    "cox": {"cox": {"time": "time", "event": "dead == 1", "covariates": ["age", "sex", "lab"]}},
    "kaplan_meier": {"kaplan_meier": {"time": "time", "event": "dead == 1", "by": "sex"}},
    "boosting": {"boosting": {"task": "classification", "outcome": "high", "covariates": ["age", "lab"], "trees": 3, "depth": 2}},
}
LEARNING = {"averaging": {"network": "mlp", "outcome": "high", "covariates": ["age", "lab"], "rounds": 2, "learning_rate": 0.1}}
IMAGES = {"averaging": {"network": "small_cnn", "image": "image", "outcome": "label", "rounds": 1}}
LONG = {"boosting": {**EXACT["boosting"]["boosting"], "trees": 60, "learning_rate": 0.01}}
SITES = ("west", "east", "south")
# A category of two levels at each site, and policies that allow each site's own sums in the clear: what one process judges by
# totals is then judged by addends as well, to the same end.
BUDGET = {"epsilon": 4.0, "delta": 1e-6, "allow_exact": True}
LENIENT = {"min_cell_count": 1, "min_rows": 5, "budget": BUDGET}


def table(seed: int, count: int) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(60, 9, count).round(1), rng.choice(["f", "m"], count)
    risk = (age - 60) / 9 + 0.5 * (sex == "m")
    return {
        "age": age.tolist(),
        "sex": sex.tolist(),
        "lab": rng.gamma(4, 3, count).round(2).tolist(),
        "high": np.where(rng.random(count) < 1 / (1 + np.exp(-risk)), "yes", "no").tolist(),
        "time": rng.integers(1, 300, count).tolist(),
        "dead": rng.integers(0, 2, count).tolist(),
    }


TABLES = {name: table(place, 90 + 20 * place) for place, name in enumerate(SITES)}


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """Three hospitals, a compute provider, two researchers; the same files for both engines."""
    root = tmp_path_factory.mktemp("federation")
    with federation(root, TABLES, policies=dict.fromkeys(SITES, LENIENT), people=("li", "wang"), providers=("gpu",)) as programs:
        yield programs


def content(method, *, sum_="plain", sites=SITES, **more):
    used = repr(method)
    declared = {name: said for name, said in VARIABLES.items() if name in used}
    protection = {"sum": sum_, **more.pop("protection", {})}
    participants = {"sites": list(sites), **more.pop("participants", {})}
    body = {"variables": declared, "method": method, "participants": participants, "protection": protection}
    return {"study": {"title": "A study", "seed": 3}, **body, **more}


def in_one_process(hospitals, study, sites=SITES):
    files = {name: hospitals.root / f"{name}.csv" for name in sites}
    return run(study, files, policy=DisclosurePolicy(**{**LENIENT, "budget": Budget(**BUDGET)}), compare=False)


def same_bytes(one, other) -> bool:
    return canonical.encode(result_to(one)) == canonical.encode(result_to(other))


def numbers(value, where="") -> dict[str, np.ndarray]:
    """Every number of a result, by where it stands."""
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in numbers(inner, f"{where}/{name}").items()}
    if isinstance(value, list | tuple):
        return {k: v for at, inner in enumerate(value) for k, v in numbers(inner, f"{where}/{at}").items()}
    if isinstance(value, np.ndarray) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return {where: np.asarray(value, float)}
    return {}


def assert_near(one, other, tolerance=1e-8):
    ours, theirs = numbers(result_to(one)), numbers(result_to(other))
    assert ours.keys() == theirs.keys()
    for where, value in ours.items():
        np.testing.assert_allclose(value, theirs[where], rtol=tolerance, atol=tolerance, err_msg=where)


@pytest.fixture(scope="module")
def plainly(hospitals):
    """All exact methods in one study, on both engines."""
    study = Study.parse(content({name: next(iter(method.values())) for name, method in EXACT.items()}))
    return in_one_process(hospitals, study), hospitals.li.asked(study)


@pytest.fixture(scope="module")
def masked(hospitals):
    wanted = {name: next(iter(method.values())) for name, method in EXACT.items()}
    study = Study.parse(content(wanted, sum_="masked"))
    return in_one_process(hospitals, study), hospitals.li.asked(study)


@pytest.mark.parametrize("label", EXACT)
def test_plain_sums_give_the_same_bytes_on_every_engine(plainly, label):
    embedded, wired = plainly
    assert not wired[label].result.failure
    assert wired[label].roster == SITES
    assert same_bytes(embedded[label].result, wired[label].result)


@pytest.mark.parametrize("label", EXACT)
def test_masked_sums_give_the_plain_answer_on_every_engine(plainly, masked, label):
    assert not masked[1][label].result.failure
    assert_near(masked[1][label].result, masked[0][label].result)
    assert_near(masked[1][label].result, plainly[1][label].result)


def test_pooled_columns_and_single_sites_stand_in_one_process_only(hospitals, plainly):
    """Across hospitals nobody has the pooled rows, and of each site the result tells what the policies let out: its rows."""
    told = hospitals.li.asked(content(EXACT["summary"]))["summary"]
    assert told.rows == {name: len(TABLES[name]["age"]) for name in SITES}
    assert not result_to(told.result).get("individual")


def test_a_network_is_trained_to_the_same_weights_on_every_engine(hospitals):
    pytest.importorskip("torch")
    study = Study.parse(content(LEARNING))
    ours, theirs = in_one_process(hospitals, study)["averaging"].result, hospitals.li.asked(study)["averaging"].result
    assert not theirs.failure
    assert_near(theirs, ours, 1e-5)  # processes differ in their threads, and so in the order of single-precision sums


def test_a_category_whose_levels_nobody_declares_is_refused_under_masks_in_words(hospitals):
    study = content({"tabulate": {"rows": "sex"}}, sum_="masked")
    del study["variables"]["sex"]
    failure = hospitals.li.asked(study)["tabulate"].result.failure
    assert failure == in_one_process(hospitals, Study.parse(study))["tabulate"].result.failure
    assert "Declare the levels of every category in the study" in failure


def test_noise_is_charged_to_each_sites_budget_which_its_inbox_shows_before(hospitals):
    noise = {"noise": {"epsilon": 1.5, "delta": 1e-6}}
    study = Study.parse(content({"tabulate": {"rows": "sex"}}, sum_="masked", protection=noise))
    id = hospitals.li.submit(study)
    told = {one.label: one for one in hospitals.li.found(id).outcomes}["tabulate"]
    assert not told.result.failure
    assert told.result.facts["epsilon"] == pytest.approx(1.5, abs=0.01)
    assert told.rows != {name: len(TABLES[name]["age"]) for name in SITES}, "its count has noise, too"
    exact = sum(table["sex"].count("f") for table in TABLES.values())
    assert told.result.cells["counts"].counts[0, 0] == pytest.approx(exact, abs=40)
    west = hospitals.sites["west"]
    shown = suggestion(west.inbox.proposal(west.inbox.find(id)), "west", Here(west.settings.policy))
    (spends,) = [passage.lines for passage in shown if "privacy budget" in passage.heading]
    assert "At most epsilon 1.5 at delta 1e-06." in spends
    dear = content({"tabulate": {"rows": "sex"}}, sum_="masked", protection={"noise": {"epsilon": 3.9, "delta": 1e-6}})
    failed = hospitals.li.ended(hospitals.li.submit({**dear, "participants": {"sites": list(SITES), "on_loss": "wait"}}))
    found = failed["reason"] or hospitals.li.found(failed["id"]).outcomes[0].result.failure
    assert "budget" in found, "1.5 of 4 are spent, so 3.9 have no room"


def test_a_site_that_withdraws_in_mid_run_is_left_out_and_the_rest_is_as_if_it_had_never_been_there(hospitals):
    study = Study.parse(content(LONG, participants={"on_loss": "restart"}))
    id = hospitals.li.submit(study)

    def is_folded():
        return [line for _, line in hospitals.li.ask("events", id=id, since=0)["events"] if line["kind"] == "folded"]

    until(is_folded, "a round")
    hospitals.sites["west"].inbox.withdraw(id, decider="Dr. Wu", why="not today")
    (told,) = hospitals.li.found(id).outcomes
    assert told.roster == ("east", "south")
    assert told.restarts == 1
    assert hospitals.li.status(id)["lost"] == ["west"]
    two = Study.parse(content(LONG, sites=("east", "south")))
    (alone,) = hospitals.li.found(hospitals.li.submit(two)).outcomes
    ours, theirs = result_to(told.result), result_to(alone.result)
    assert canonical.encode(ours["model"]) == canonical.encode(theirs["model"])


def test_nobody_but_the_initiator_has_the_result_or_watches_its_figures(hospitals, plainly):
    id = hospitals.li.submit(content(EXACT["glm"]))
    hospitals.li.found(id)
    assert hospitals.wang.status(id)["state"] == "done", "whoever was shown the link sees how it stands"
    with pytest.raises(FederationError, match="You may not do this here"):
        hospitals.wang.ask("result", id=id)
    with pytest.raises(FederationError, match="You may not do this here"):
        hospitals.wang.ask("cancel", id=id)
    assert hospitals.li.ask("events", id=id, since=0)["events"]
    assert hospitals.wang.ask("events", id=id, since=0)["events"] == []
    assert id not in [one["id"] for one in hospitals.wang.ask("studies")["studies"]]


def test_a_compute_provider_takes_part_without_data(hospitals):
    id = hospitals.li.submit(content(EXACT["summary"]), providers=["gpu"])
    (told,) = hospitals.li.found(id).outcomes
    assert told.roster == SITES
    assert hospitals.li.status(id)["stances"]["gpu"] == "accepted"


@pytest.fixture(scope="module")
def with_images(tmp_path_factory):
    root, paths = tmp_path_factory.mktemp("images"), {}
    for seed, name in enumerate(("north", "coast")):
        rng = np.random.default_rng(seed)
        label, paths[name] = rng.integers(0, 2, 40), root / f"{name}.npz"
        image = rng.integers(0, 60, (40, 10, 10)).astype(np.uint8)
        image[label == 1, 3:7, 3:7] += 150
        np.savez(paths[name], image=image, label=np.array(["benign", "malignant"])[label])
    with federation(root, paths, policies={name: {"min_cell_count": 1} for name in paths}) as programs:
        yield programs


def test_images_train_a_network_as_in_one_process(with_images):
    pytest.importorskip("torch")
    study = Study.parse({"study": {"title": "Scans", "seed": 3}, "method": IMAGES})
    theirs = with_images.li.asked(study)["averaging"]
    assert not theirs.result.failure
    assert set(theirs.roster) == {"north", "coast"}
    files = {name: with_images.root / f"{name}.npz" for name in theirs.roster}
    ours = run(study, files, policy=DisclosurePolicy(min_cell_count=1), compare=False)["averaging"].result
    assert_near(theirs.result, ours, 1e-4)
