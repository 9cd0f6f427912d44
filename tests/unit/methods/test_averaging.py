"""Averaging against its formulas: a logistic network on whole batches, so that every rule can be written out in a few lines."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from huizhen.data.examples import concatenate
from huizhen.errors import SiteError
from huizhen.methods.averaging import AVERAGING, AveragingSpec
from huizhen.methods.kaplan_meier import KAPLAN_MEIER
from huizhen.methods.method import Finished, Local
from huizhen.methods.prediction import predict, variables_of
from huizhen.methods.training.aggregation import effective_steps
from huizhen.methods.training.course import Course
from huizhen.policy.decision import Context
from huizhen.policy.disclosure import DisclosurePolicy, decide
from huizhen.privacy.release import Answer, Terms, Total, Variable
from tables import by_site

pytest.importorskip("torch")

SIZES = {"east": 30, "north": 50, "west": 21}
BASE = {"network": "logistic", "outcome": "y", "covariates": ("a", "b"), "scale": "none", "rounds": 5, "steps": 3, "batch": 64}
TERMS = Terms(
    variables={"y": Variable("category", ("0", "1")), "a": Variable("number"), "b": Variable("number")},
    roster=tuple(SIZES),
    seed=3,
)


def patients(seed=1):
    rng = np.random.default_rng(seed)
    tables = []
    for shift, (site, rows) in enumerate(SIZES.items()):
        a, b = rng.normal(shift - 1, 1, rows), rng.normal(0, 1 + shift, rows)
        y = (rng.random(rows) < 1 / (1 + np.exp(-a + 0.3 * b))).astype(int)
        tables.append(pd.DataFrame({"a": a, "b": b, "y": y.astype(str), "site": site}))
    return pd.concat(tables, ignore_index=True)


ROWS = patients()


def settings(**more):
    return AveragingSpec(**{**BASE, **more})


def weights_after(federate, terms=TERMS, **more):
    return federate(AVERAGING, settings(**more), terms, by_site(ROWS)).model["weights"].astype(np.float64)


def gradient(weights, rows):
    """Of the mean log loss of a logistic model; weights are (a, b, intercept)."""
    x = np.column_stack([rows.a, rows.b, np.ones(len(rows))])
    return x.T @ (1 / (1 + np.exp(-x @ weights)) - rows.y.astype(float)) / len(rows)


def descend(start, rows, *, rate=0.1, steps=3, proximal=0.0, drift=0.0, momentum=0.0):
    weights, velocity = start.copy(), np.zeros(3)
    for _ in range(steps):
        velocity = momentum * velocity + gradient(weights, rows) + proximal * (weights - start) + drift
        weights -= rate * velocity
    return weights


def begin():
    """The weights that the network begins with: torch's own for this seed."""
    import torch

    torch.manual_seed(3)
    layer = torch.nn.Linear(2, 1)
    return np.concatenate([layer.weight.detach().numpy().ravel(), layer.bias.detach().numpy()]).astype(float)


def mean(changes):
    sizes = np.array(list(SIZES.values()))
    return np.average([changes[site] for site in SIZES], axis=0, weights=sizes)


def shares():
    return {site: ROWS[ROWS.site == site] for site in SIZES}


@pytest.mark.parametrize("proximal", [0.0, 0.7])
def test_the_joint_weights_move_by_the_mean_change_of_the_sites(federate, proximal):
    w = begin()
    for _ in range(5):
        w = w + mean({site: descend(w, rows, proximal=proximal) - w for site, rows in shares().items()})
    assert weights_after(federate, learning_rate=0.1, proximal=proximal) == pytest.approx(w, abs=1e-6)


def test_server_momentum_adds_up_the_past_changes(federate):
    w, v = begin(), np.zeros(3)
    for _ in range(5):
        v = 0.6 * v + mean({site: descend(w, rows) - w for site, rows in shares().items()})
        w = w + 0.5 * v
    found = weights_after(federate, learning_rate=0.1, server="momentum", server_learning_rate=0.5, beta1=0.6)
    assert found == pytest.approx(w, abs=1e-6)


@pytest.mark.parametrize("server", ["adagrad", "adam", "yogi"])
def test_adaptive_servers_follow_reddi_et_al(federate, server):
    w, m, v = begin(), np.zeros(3), np.zeros(3)
    for _ in range(5):
        change = mean({site: descend(w, rows) - w for site, rows in shares().items()})
        m = 0.9 * m + 0.1 * change
        if server == "adagrad":
            v = v + change**2
        elif server == "adam":
            v = 0.99 * v + 0.01 * change**2
        else:
            v = v - 0.01 * change**2 * np.sign(v - change**2)
        w = w + 0.05 * m / (np.sqrt(v) + 1e-3)
    found = weights_after(federate, learning_rate=0.1, server=server, server_learning_rate=0.05)
    assert found == pytest.approx(w, abs=2e-6)


@pytest.mark.parametrize("proximal", [0.0, 2.0])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_normalised_averaging_weighs_sites_by_rows_and_not_by_steps(federate, momentum, proximal):
    """FedNova where sites take unlike numbers of steps: 16-row batches of 30, 50 and 21 rows, one epoch."""
    steps = {site: -(-rows // 16) for site, rows in SIZES.items()}
    assert set(steps.values()) == {2, 4}
    spec = {"learning_rate": 0.05, "momentum": momentum, "proximal": proximal, "batch": 16, "steps": 0, "epochs": 1, "rounds": 1}
    changes = one_round(settings(**spec))
    pace = {site: carried(k, momentum, 0.05 * proximal) for site, k in steps.items()}
    expected = mean(pace) * mean({site: changes[site] / pace[site] for site in SIZES})
    assert weights_after(federate, **spec, normalise=True) == pytest.approx(begin() + expected, abs=1e-6)
    assert effective_steps(4, learning_rate=0.05, momentum=momentum, proximal=proximal) == pytest.approx(pace["north"])


def carried(steps, momentum, pull):
    """How far constant gradients of -1 carry the weights, over the rate: the local steps themselves, without a network."""
    moved = velocity = 0.0
    for _ in range(steps):
        velocity = momentum * velocity + 1 - pull * moved
        moved += velocity
    return moved


def test_effective_steps_are_those_of_wang_et_al_where_they_give_a_formula():
    plain = {"learning_rate": 0.1, "momentum": 0.0, "proximal": 0.0}
    assert effective_steps(7, **plain) == 7
    assert effective_steps(7, **{**plain, "momentum": 0.9}) == pytest.approx((7 - 0.9 * (1 - 0.9**7) / 0.1) / 0.1)
    assert effective_steps(7, **{**plain, "proximal": 2.0}) == pytest.approx((1 - 0.8**7) / 0.2)
    # Where the pull overshoots, entries change their sign and the norm adds up their sizes: 1, -0.5, 0.25.
    assert effective_steps(3, **{**plain, "proximal": 15.0}) == pytest.approx(1.75)


def first_round(spec, sites=None, terms=TERMS):
    """The first question to train, after the rows were counted."""
    sites, state = sites or by_site(ROWS), AVERAGING.begin(spec, terms)
    while (question := AVERAGING.ask(state)).step != "train":
        answers = [AVERAGING.answer(question, rows, Local(), rng=None)[0] for rows in sites.values()]
        sums = {name: sum(each.parts[name].values for each in answers) for name in answers[0].parts}
        state = AVERAGING.fold(state, Total(sums, {}, {}, len(ROWS), terms.roster))
    return question


def one_round(spec):
    """Each site's own change in the first round."""
    question = first_round(spec)
    answers = {
        site: AVERAGING.answer(question, rows, Local(), rng=np.random.default_rng(0))[0].parts
        for site, rows in by_site(ROWS).items()
    }
    return {site: parts["change"].values / parts["weight"].values for site, parts in answers.items()}


def test_a_cycle_hands_the_weights_from_site_to_site_and_says_that_a_change_is_one_sites_own(federate):
    spec = settings(learning_rate=0.1, order="cyclic", rounds=3)
    question = first_round(spec)
    parts = AVERAGING.answer(question, by_site(ROWS)["east"], Local(), rng=np.random.default_rng(0))[0].parts
    assert parts["change"].kind == "individual"
    w = begin()
    for place in np.random.default_rng(3).permutation(3):
        w = descend(w, shares()[list(SIZES)[place]])
    assert weights_after(federate, learning_rate=0.1, order="cyclic", rounds=3) == pytest.approx(w, abs=1e-6)


def test_a_cycle_passes_over_a_site_that_keeps_all_its_rows_aside(federate):
    w, without = begin(), [site for site in SIZES if site != "north"]
    order = [list(SIZES)[place] for place in np.random.default_rng(3).permutation(3)]
    for site in order:
        w = descend(w, shares()[site]) if site in without else w
    spec = settings(learning_rate=0.1, order="cyclic", rounds=3, test="site == 'north'")
    result = federate(AVERAGING, spec, TERMS, by_site(ROWS))
    assert result.model["weights"] == pytest.approx(w, abs=1e-6)
    losses = result.tables["learning"].columns["loss"]
    assert [loss is None for loss in losses] == [site == "north" for site in order]


def test_a_cycle_in_which_nobody_trains_has_no_answer(federate):
    first = list(SIZES)[np.random.default_rng(3).permutation(3)[0]]
    spec = settings(order="cyclic", rounds=1, test=f"site == '{first}'")
    assert "no site has trained" in federate(AVERAGING, spec, TERMS, by_site(ROWS)).failure


@pytest.mark.parametrize(
    ("aside", "said"),
    [
        ({"test": "a > -100"}, "no site has a row to train on"),
        ({"validation": "a > 100", "early_stopping": 2}, "fewer than 5 rows are for validation"),
        ({"validation": "a > 2.5"}, "fewer than 5 rows are for validation"),
        ({"validation": 0.2, "test": "a > 2.5"}, "fewer than 5 rows are for test"),
    ],
)
def test_a_fold_without_rows_enough_is_refused_before_the_first_round(federate, aside, said):
    assert (ROWS.a > 2.5).sum() == 2
    assert said in federate(AVERAGING, settings(rounds=100_000, **aside), TERMS, by_site(ROWS)).failure


def test_a_participant_by_itself_learns_although_it_has_no_row_for_the_test(federate):
    spec = settings(test="site == 'west'")
    east = federate(AVERAGING, spec, replace(TERMS, roster=("alone",)), {"alone": by_site(ROWS)["east"]})
    assert not east.failure
    assert east.facts["judged_on"] == "training"


def test_rounds_of_which_no_measure_can_be_told_are_no_reason_to_stop_nor_to_take_the_first(federate):
    """No event among the validation rows: nothing to rank."""
    rows = ROWS.assign(time=1.0 + np.abs(ROWS.b), died=np.where(ROWS.a > 0.5, 0.0, 1.0))
    terms = replace(TERMS, variables={**TERMS.variables, "time": Variable("number"), "died": Variable("number")})
    cox = {"task": "cox", "outcome": (), "time": "time", "event": "died == 1", "covariates": ("b",)}
    spec = settings(**cox, validation="a > 0.5", early_stopping=2, rounds=6)
    result = federate(AVERAGING, spec, terms, by_site(rows))
    assert (result.facts["rounds"], result.facts["chosen_round"]) == (6, 6)
    assert "Early stopping had nothing to judge by" in " ".join(result.notes)


@pytest.mark.parametrize("first", [{}, {"auc": 0.9}, {"log_loss": np.nan}, {"log_loss": np.inf}])
def test_a_round_without_a_finite_loss_is_never_the_best(first):
    course = Course([1])
    for measures in (first, {"log_loss": 0.7}, {"log_loss": 0.6}, {"log_loss": 0.65}, {"log_loss": 0.65}):
        course.add({}, here=(), roster=())
        course.note(measures, np.zeros(1, np.float32), looks_for_best=True)
    assert course.best_round == 3
    assert course.has_stopped(2)
    assert not course.has_stopped(3)


def test_each_label_is_counted_by_class_for_the_policies_to_judge():
    variables = {**TERMS.variables, "u": Variable("category"), "v": Variable("category")}
    rows = ROWS.assign(u="0", v=np.where(ROWS.a > 0, "1", "0"))
    spec = settings(task="multilabel", outcome=("u", "v"))
    terms = replace(TERMS, variables=variables)
    question, sites = AVERAGING.ask(AVERAGING.begin(spec, terms)), by_site(rows)
    part = AVERAGING.answer(question, sites["north"], Local(), rng=None)[0].parts["classes"]
    north = (rows[rows.site == "north"].v == "1").sum()
    assert part.values.tolist() == [[50, 0], [50 - north, north]]
    context, answer = Context("north", "embedded", TERMS.roster, ""), Answer({"classes": part}, 50)
    assert decide(DisclosurePolicy(), question, answer, context).clauses == ("allow_one_class",)
    assert decide(DisclosurePolicy(allow_one_class=True), question, answer, context).allowed


def test_progress_tells_the_newest_joint_measures_beside_the_loss():
    told, state = [], AVERAGING.begin(settings(validation=0.3, rounds=4), TERMS)
    local = {site: Local() for site in SIZES}
    while not isinstance(question := AVERAGING.ask(state), Finished):
        if question.progress is not None:
            assert question.progress.of == 4
            told.append((question.progress.done, set(question.progress.measures)))
        answers = [
            AVERAGING.answer(question, rows, local[site], rng=np.random.default_rng(0))[0] for site, rows in by_site(ROWS).items()
        ]
        sums = {name: sum(each.parts[name].values for each in answers) for name in answers[0].parts}
        state = AVERAGING.fold(state, Total(sums, {}, {}, len(ROWS), TERMS.roster))
    assert told[:4] == [(0, set()), (1, {"loss"}), (2, {"loss", "auc", "log_loss"}), (3, {"loss", "auc", "log_loss"})]
    assert told[4:] == [(4, {"loss"})]


def played(spec, sites, terms, milestone=None):
    """The states on the way and the result; sites keep what is theirs."""
    state, local, states = AVERAGING.begin(spec, terms, milestone), {site: Local() for site in sites}, []
    while not isinstance(question := AVERAGING.ask(state), Finished):
        answers = {}
        for site, rows in sites.items():
            answers[site], local[site] = AVERAGING.answer(question, rows, local[site], rng=np.random.default_rng(0))
        parts = [answer.parts for answer in answers.values()]
        sums = {name: sum(part[name].values for part in parts) for name in parts[0]}
        state = AVERAGING.fold(state, Total(sums, {}, {}, len(ROWS), terms.roster))
        states.append((state, sums))
    return states, local, question.result


def test_resuming_at_any_milestone_ends_with_the_same_bytes():
    spec = settings(
        learning_rate=0.1, network="mlp", settings={"dropout": 0.2}, server="adam", server_learning_rate=0.1, validation=0.3,
        early_stopping=2, scale="joint", rounds=6, batch=8,
    )  # fmt: skip
    states, _, whole = played(spec, by_site(ROWS), TERMS)
    passed = {id(state.milestone): state.milestone for state, _ in states if state.milestone}
    assert len(passed) >= 3
    for milestone in passed.values():
        _, _, again = played(spec, by_site(ROWS), TERMS, milestone)
        assert again.model["weights"].tobytes() == whole.model["weights"].tobytes()
        assert again.tables == whole.tables


def test_early_stopping_takes_the_weights_that_were_best_on_joint_validation(federate):
    """A rate that overshoots: the loss falls, then rises."""
    spec = settings(
        network="mlp", settings={"widths": [32]}, learning_rate=1.5, batch=4, steps=40, rounds=40, validation=0.3, early_stopping=3
    )
    result = federate(AVERAGING, spec, TERMS, by_site(ROWS))
    losses = list(result.tables["learning"].columns["log_loss"])
    assert result.facts["stopped_early"]
    assert result.facts["rounds"] == len(losses) < 40
    assert result.facts["chosen_round"] == int(np.argmin(losses)) + 1 == len(losses) - 3
    assert result.facts["judged_on"] == "validation"
    measures = result.tables["quality"].columns
    told = dict(zip(measures["measure"], measures["estimate"]))
    assert result.tables["learning"].columns["auc"][result.facts["chosen_round"] - 1] == told["auc"], "not of coarse bins"


def test_weights_do_not_depend_on_the_rows_kept_aside(federate):
    aside = {"validation": "a > 1", "test": "b > 1", "learning_rate": 0.1}
    changed = ROWS.assign(y=np.where((ROWS.a > 1) | (ROWS.b > 1), "1", ROWS.y))
    spec = settings(**aside)
    one, other = (federate(AVERAGING, spec, TERMS, by_site(rows)) for rows in (ROWS, changed))
    assert one.model["weights"].tobytes() == other.model["weights"].tobytes()
    assert one.tables["quality"] != other.tables["quality"]
    assert one.facts["judged_on"] == "test"


def test_features_are_coded_alike_at_sites_that_have_unlike_levels(federate):
    rows = ROWS.assign(stage=np.where(ROWS.site == "east", "I", np.where(ROWS.index % 2, "II", "III")))
    terms = Terms(variables={**TERMS.variables, "stage": Variable("category")}, roster=TERMS.roster)
    spec = settings(covariates=("a", "stage"), scale="joint", learning_rate=0.1)
    model = federate(AVERAGING, spec, terms, by_site(rows)).model
    assert model["features"]["design"]["columns"] == ["a", "stage[II]", "stage[III]"]
    assert model["features"]["design"]["center"][0] == pytest.approx(ROWS.a.mean())
    assert len(model["weights"]) == 4


@pytest.mark.parametrize("key", ["learning_rate", "server_learning_rate", "tau", "proximal", "weight_decay", "clip", "batch"])
@pytest.mark.parametrize("value", [1e300, 1e7, -1.0, np.inf, np.nan])
def test_settings_that_float32_or_memory_does_not_hold_are_refused(key, value):
    if key == "batch" and np.isfinite(value):
        value = int(value)
    with pytest.raises(ValueError, match=key):
        settings(**{key: value})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image": "x"}, "found both"),
        ({"covariates": ()}, "found neither"),
        ({"control": True, "momentum": 0.9}, "sgd without momentum"),
        ({"control": True, "optimiser": "adam"}, "sgd without momentum"),
        ({"normalise": True, "optimiser": "adam"}, "effective steps"),
        ({"early_stopping": 3}, "no validation"),
        ({"validation": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"validation": "a >"}, "validation, test"),
        ({"task": "cox"}, "needs both"),
        ({"task": "multilabel"}, "two variables"),
        ({"task": "segmentation"}, "needs one"),
        ({"task": "discrete_time", "outcome": (), "time": "a", "event": "y == 1", "ends": (3.0, 2.0)}, "rising times"),
        ({"order": "cyclic", "control": True}, "mean nothing there"),
    ],
)
def test_settings_that_do_not_go_together_are_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        settings(**wrong)


def test_a_learned_network_predicts_from_its_result_alone_and_so_do_its_files(federate):
    onnxruntime = pytest.importorskip("onnxruntime")
    spec = settings(network="mlp", settings={"widths": [4]}, scale="joint", learning_rate=0.1)
    result = federate(AVERAGING, spec, TERMS, by_site(ROWS))
    new = by_site(ROWS)["north"]
    said = predict(result, new)
    files = AVERAGING.export(result)
    assert set(files) == {"npz", "json", "onnx"}
    card, weights = json.loads(files["json"]), np.load(io.BytesIO(files["npz"]))
    design = card["input"]["design"]
    x = ((ROWS[ROWS.site == "north"][["a", "b"]].to_numpy() - design["center"]) / design["scale"]).astype(np.float32)
    session = onnxruntime.InferenceSession(files["onnx"])
    assert 1 / (1 + np.exp(-session.run(None, {"input": x})[0][:, 0])) == pytest.approx(said, abs=1e-6)
    first, second = (weights[name] for name in weights.files if name.endswith("weight"))
    low, high = (weights[name] for name in weights.files if name.endswith("bias"))
    by_hand = np.maximum(x @ first.T + low, 0) @ second.T + high
    assert 1 / (1 + np.exp(-by_hand[:, 0])) == pytest.approx(said, abs=1e-6)
    assert set(variables_of(result)) == {"a", "b"}


def test_a_network_is_judged_anew_on_the_rows_of_a_fold(federate):
    spec = settings(scale="joint", learning_rate=0.1, test="b > 0")
    result = federate(AVERAGING, spec, TERMS, by_site(ROWS))
    again = AVERAGING.appraise(result, spec, TERMS, concatenate(list(by_site(ROWS).values())), 2)
    assert again["quality"].columns["estimate"] == pytest.approx(result.tables["quality"].columns["estimate"])
    assert AVERAGING.appraise(result, spec, TERMS, by_site(ROWS)["east"], 1) == {}


def measured(seed=8, far=1000.0, wide=200.0):
    """Outcomes around 1,000 with a spread of 200, as of a volume in mL."""
    rng = np.random.default_rng(seed)
    rows = ROWS[["a", "b", "site"]].copy()
    rows["y"] = far + wide * (0.8 * rows.a / rows.a.std() - 0.5 * rows.b / rows.b.std() + rng.normal(0, 0.2, len(rows)))
    return rows


NUMBER = replace(TERMS, variables={name: Variable("number") for name in "yab"})
FITTED = {"task": "regression", "scale": "joint", "learning_rate": 0.1, "rounds": 30, "steps": 5}


@pytest.mark.parametrize("network", ["logistic", "mlp"])
def test_a_number_far_from_zero_is_learned_and_told_in_its_own_unit(federate, network):
    rows = measured()
    result = federate(AVERAGING, settings(**FITTED, network=network), NUMBER, by_site(rows))
    found = result.tables["quality"].columns
    told = dict(zip(found["measure"], found["estimate"]))
    x = np.column_stack([rows.a, rows.b, np.ones(len(rows))])
    best = np.sqrt(np.mean((rows.y - x @ np.linalg.lstsq(x, rows.y, rcond=None)[0]) ** 2))  # the pooled line's error
    assert 0.8 * best < told["rmse"] < 1.3 * best
    assert told["r2"] > 0.9
    assert result.tables["learning"].columns["loss"][-1] == pytest.approx(told["rmse"] ** 2, rel=0.5)
    assert predict(result, by_site(rows)["east"]) == pytest.approx(rows.y[rows.site == "east"].to_numpy(), abs=6 * best)
    assert result.model["aim"]["shift"] == pytest.approx(rows.y.mean())
    assert result.model["aim"]["scale"] == pytest.approx(rows.y.std(ddof=0))


@pytest.mark.parametrize(("network", "inputs"), [("logistic", {}), ("mlp", {"widths": [4]})])
def test_the_unit_of_a_number_changes_nothing_but_the_unit(federate, network, inputs):
    spec = settings(**{**FITTED, "rounds": 3}, network=network, settings=inputs)
    sites = {unit: by_site(measured().assign(y=lambda rows, unit=unit: 3 + rows.y * unit)) for unit in (1.0, 2.0**10)}
    one, other = (federate(AVERAGING, spec, NUMBER, sites[unit]) for unit in sites)
    assert other.model["weights"] == pytest.approx(one.model["weights"], abs=1e-5)
    ours, theirs = (predict(each, sites[1.0]["west"]) for each in (one, other))
    assert (theirs - 3) / 2**10 == pytest.approx(ours - 3, rel=1e-5)


def test_the_files_of_a_network_give_a_number_in_its_own_unit(federate):
    runtime = pytest.importorskip("onnxruntime")
    import torch

    from huizhen.methods.networks import Network, build

    sites = by_site(measured())
    result = federate(AVERAGING, settings(**FITTED, network="mlp", settings={"widths": [4]}), NUMBER, sites)
    files, expected = AVERAGING.export(result), predict(result, sites["west"])
    card = json.loads(files["json"])
    assert card["output"] == "mean"
    assert "shift" not in card
    design = card["input"]["design"]
    columns = np.column_stack([sites["west"].number("a"), sites["west"].number("b")])
    prepared = ((columns - design["center"]) / design["scale"]).astype(np.float32)
    (output,) = runtime.InferenceSession(files["onnx"]).run(None, {"input": prepared})
    assert output[:, 0] == pytest.approx(expected, rel=1e-5)
    module = build(Network.from_facts(result.model["network"])).eval()
    weights = np.load(io.BytesIO(files["npz"]))
    module.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    with torch.no_grad():
        assert module(torch.from_numpy(prepared))[:, 0].numpy() == pytest.approx(expected, rel=1e-5)


def test_all_numbers_alike_teach_nothing(federate):
    result = federate(AVERAGING, settings(**FITTED), NUMBER, by_site(measured(wide=0.0)))
    assert "y: all rows have the same outcome" in result.failure


def test_where_counts_are_rounded_so_is_the_scale_of_a_number(federate):
    result = federate(AVERAGING, settings(**FITTED), replace(NUMBER, round_to=5), by_site(measured(far=1234.5)))
    for name in ("shift", "scale", "center"):
        assert result.model["aim"][name] == float(f"{result.model['aim'][name]:.2e}")


def few(code):
    """Codes 0 and 1, and two rows of another."""
    return lambda rows: np.where(np.arange(len(rows)) < 2, code, np.arange(len(rows)) % 2).astype(float)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (lambda rows: (rows.a > 0).astype(float), 'all rows have one of two codes.*set task = "classification"'),
        (lambda rows: np.where(rows.a > 0, 2.0, 1.0), "all rows have one of two codes"),
        (lambda rows: (np.arange(len(rows)) < 3).astype(float), "all rows but 1 to 4 have one code"),
        (few(2.0), "all rows have one of three codes, and 1 to 4 rows have one of them"),
    ],
)
def test_a_number_that_is_a_code_of_few_patients_is_refused(federate, outcome, said):
    rows = measured()
    result = federate(AVERAGING, settings(**FITTED), NUMBER, by_site(rows.assign(y=outcome(rows))))
    assert re.search(said, result.failure), result.failure


def test_a_number_with_two_unusual_values_is_no_code(federate):
    rows = measured()
    assert not federate(AVERAGING, settings(**FITTED), NUMBER, by_site(rows.assign(y=few(3.0)(rows)))).failure


def test_a_network_of_times_tells_the_ends_that_a_curve_tells_and_no_count_between_them(federate):
    """Cells of the union of both kinds of ends may hold one patient: so nothing that is published may count by cell."""
    rng = np.random.default_rng(4)
    rows = ROWS.assign(time=rng.integers(1, 60, len(ROWS)).astype(float), died=(rng.random(len(ROWS)) < 0.5).astype(float))
    terms = replace(TERMS, variables={**TERMS.variables, "time": Variable("number"), "died": Variable("number")})
    spec = settings(task="cox", outcome=(), time="time", event="died == 1", covariates=("a", "b"))
    found = federate(AVERAGING, spec, terms, by_site(rows))
    curves = federate(KAPLAN_MEIER, KAPLAN_MEIER.spec(time="time", event="died == 1"), terms, by_site(rows)).tables
    (curve,) = [table.columns["time"] for table in curves.values() if "time" in table.columns and "at_risk" in table.columns]
    ends = found.model["aim"]["ends"]
    cells = np.histogram(rows.time[rows.died == 1], np.r_[-1.0, ends])[0]
    assert ((cells > 0) & (cells < 5)).any(), "else there is nothing to hide"
    assert set(ends) <= set(curve)
    assert set(found.tables) == {"learning", "quality"}
    assert found.tables["quality"].columns["measure"] == ("concordance", "concordance_error_bound")
    assert min(found.tables["quality"].columns["smallest_group"]) >= 5
    assert set(found.model) == {"network", "aim", "features", "aside", "drawn_by", "own_layers", "weights"}


def federated_privately(spec, *, entropy):
    """The course of averaging over the sites, each with a source of its own, and what every site answered."""
    sites, state = by_site(ROWS), AVERAGING.begin(spec, TERMS)
    answers = []
    while not isinstance(asked := AVERAGING.ask(state), Finished):
        found = {
            site: AVERAGING.answer(asked, rows, Local(entropy=entropy), rng=np.random.default_rng(0))[0]
            for site, rows in sites.items()
        }
        names = next(iter(found.values())).parts
        sums = {name: np.sum([answer.parts[name].values for answer in found.values()], axis=0) for name in names}
        answers.append((asked, found))
        state = AVERAGING.fold(state, Total(sums, {}, {}, len(ROWS), tuple(SIZES)))
    return asked.result, answers


def test_private_training_tells_the_change_alone_and_no_loss():
    spec = settings(private={"clip": 1.0, "noise": 0.8}, rounds=2)
    result, answers = federated_privately(spec, entropy=np.random.default_rng(1).bytes)
    trained = [found for asked, found in answers if asked.step == "train"]
    assert len(trained) == 2
    for found in trained:
        assert {name for answer in found.values() for name in answer.parts} == {"weight", "change", "classes"}
    assert result.tables["learning"].columns.keys() == {"round"}
    assert np.isfinite(result.model["weights"]).all()


def test_private_training_without_a_secure_source_is_an_error_at_the_site():
    with pytest.raises(SiteError, match="no secure source"):
        federated_privately(settings(private={"clip": 1.0, "noise": 0.8}), entropy=None)


def test_a_private_study_of_a_network_with_batch_normalisation_is_refused_before_training(federate):
    spec = settings(network="mlp", settings={"norm": "batch"}, private={"clip": 1.0, "noise": 0.8})
    assert "choose norm = 'none' or 'layer' in settings" in federate(AVERAGING, spec, TERMS, by_site(ROWS)).failure
