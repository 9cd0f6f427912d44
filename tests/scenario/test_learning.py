"""Learning together when something goes wrong: at one site, in one round, at the keyboard."""

from __future__ import annotations

import io
import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from huizhen import Study, run
from huizhen.embedded.story import story
from huizhen.errors import DataError, FederationError, MachineError
from huizhen.federation.checkpoint import FileCheckpoints
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.report import plain
from huizhen.report.story import short_answer

pytest.importorskip("torch")

SETTINGS = {"network": "logistic", "outcome": "y", "covariates": ["a", "b"], "scale": "none", "rounds": 4, "learning_rate": 0.1}


def learning(**more):
    return Study.parse({"study": {"title": "Learning", "question": "?", "seed": 5}, "method": {"averaging": {**SETTINGS, **more}}})


def rows(seed, count=60, y=None):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, count))
    return {"a": a, "b": b, "y": (np.where(rng.random(count) < 1 / (1 + np.exp(-a)), "ill", "well") if y is None else [y] * count)}


SITES = {"west": rows(1), "north": rows(2), "east": rows(3)}


def weights(findings):
    return findings["averaging"].result.model["weights"]


def test_a_site_whose_training_diverges_is_named_and_left_out_of_that_round():
    wild = {**SITES, "east": {**SITES["east"], "a": SITES["east"]["a"] * 1e25}}
    findings = run(learning(network="mlp", learning_rate=1.0), wild, compare=False)
    outcome = findings["averaging"].outcome
    assert not outcome.result.failure
    assert {loss.site for loss in outcome.losses} == {"east"}
    assert [loss.round for loss in outcome.losses] == sorted({loss.round for loss in outcome.losses})
    assert all(loss.kind == "failed" and "training diverged" in loss.reason for loss in outcome.losses)
    assert np.isfinite(weights(findings)).all()
    (left_out,) = story(findings).left_out
    assert (left_out.site, left_out.rounds) == ("east", len(outcome.losses))
    assert "1 of the sites missed some rounds" in " ".join(phrase.en for phrase in short_answer(story(findings)))
    shown = Console(width=200, record=True, file=io.StringIO())
    for table in plain.tables(story(findings), language="zh"):
        shown.print(table)
    assert f"缺席 {left_out.rounds} 轮" in shown.export_text()


def test_the_other_sites_learn_what_they_would_have_learned_without_the_one_that_diverges():
    wild = {**SITES, "east": {**SITES["east"], "a": SITES["east"]["a"] * 1e25}}
    spec = {"network": "mlp", "learning_rate": 1.0, "validation": 0.0}
    with_it = run(learning(**spec), wild, compare=False)
    without = run(learning(**spec), {site: SITES[site] for site in ("west", "north")}, compare=False)
    assert len(with_it["averaging"].outcome.losses) >= 4
    assert weights(with_it).tobytes() == weights(without).tobytes()


def test_a_site_with_one_class_is_refused_by_name_unless_its_policy_lets_it_in():
    one_class = {**SITES, "east": rows(3, y="well")}
    refused = run(learning(), one_class, compare=False)["averaging"].result
    assert "site east refused" in refused.failure
    assert "allow_one_class" in refused.failure
    let_in = run(learning(), one_class, policies={"east": DisclosurePolicy(allow_one_class=True)}, compare=False)
    assert not let_in["averaging"].result.failure


def test_a_label_outside_the_declared_levels_is_said_with_its_site_and_never_shown():
    study = learning().content
    study["variables"] = {"y": {"type": "category", "levels": ["well", "ill"]}}
    strange = {**SITES, "north": {**SITES["north"], "y": np.array(["well"] * 59 + ["SECRET-4711"])}}
    with pytest.raises(DataError) as error:
        run(Study.parse(study), strange, compare=False)
    assert "north" in str(error.value)
    assert "SECRET" not in str(error.value)


def test_the_checkpoint_of_another_study_is_not_gone_on_from(tmp_path):
    run(learning(), SITES, out=tmp_path / "one", compare=False)
    run(learning(rounds=3), SITES, out=tmp_path / "one", compare=False)  # beside the other, in files of its own
    kept = sorted((tmp_path / "one" / "checkpoints").glob("*.averaging.????????????.00000.checkpoint"))
    assert len(kept) == 2
    other = tmp_path / "two" / "checkpoints"
    other.mkdir(parents=True)
    mine = learning().digest[:12]
    (foreign,) = [path for path in kept if not path.name.startswith(mine)]
    shutil.copy(foreign, other / foreign.name.replace(foreign.name[:12], mine))
    with pytest.raises(FederationError, match="another study"):
        run(learning(), SITES, out=tmp_path / "two", compare=False)


DAMAGE = {
    "no setting": lambda value: {**value, "setting": None},
    "no network": lambda value: {**value, "setting": {**value["setting"], "network": {}}},
    "another kind": lambda value: [1, 2],
    "no weights": lambda value: {**value, "joint": {}},
    "rounds as text": lambda value: {**value, "course": {"rounds": ["x"]}},
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_a_checkpoint_that_was_tampered_with_is_called_damaged(tmp_path, change):
    run(learning(), SITES, out=tmp_path, compare=False)
    (file,) = (tmp_path / "checkpoints").glob("*.averaging.????????????.00000.checkpoint")
    checkpoints, name = FileCheckpoints(tmp_path / "checkpoints"), file.name.removesuffix(".checkpoint")
    header = checkpoints.load(name)
    checkpoints.save(name, {**header, "milestone": {"value": change(header["milestone"]["value"])}})
    with pytest.raises(
        MachineError, match=f"{name.partition('.')[2]}: found a damaged file, expected a checkpoint. Remove the file"
    ):
        run(learning(), SITES, out=tmp_path, compare=False)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.99])
def test_a_checkpoint_with_a_single_changed_byte_is_called_damaged(tmp_path, place):
    checkpoints = FileCheckpoints(tmp_path)
    checkpoints.save("a", {"weights": np.arange(50.0), "name": "x"})
    assert checkpoints.load("a")["weights"].tolist() == list(range(50))
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    for changed in (content, content[: len(content) // 2], b""):
        file.write_bytes(changed)
        with pytest.raises(MachineError, match="a damaged file"):
            checkpoints.load("a")


def test_the_event_log_holds_no_measure(tmp_path):
    run(learning(), SITES, out=tmp_path, compare=False)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("done" in line for line in lines)
    assert not any("measures" in line for line in lines)


def test_ctrl_c_ends_training_after_the_round_and_the_same_command_goes_on_to_the_same_weights(start, huizhen, tmp_path):
    """Every round takes a while, so that Ctrl-C comes within one."""
    text = "[method.averaging]\n" + "\n".join(f"{key} = {value!r}" for key, value in {**SETTINGS, "rounds": 6}.items()) + "\n"
    Path(tmp_path / "study.toml").write_text(text, encoding="utf-8")
    sites = []
    for name, table in SITES.items():
        lines = ["a,b,y", *(f"{a!r},{b!r},{y}" for a, b, y in zip(table["a"].tolist(), table["b"].tolist(), table["y"]))]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
        sites += ["--site", f"{name}={name}.csv"]
    slow = (
        "import time\nfrom huizhen.federation.participant import Participant\nturn = Participant.respond\n"
        "def slowly(self, ask):\n    time.sleep(0.3 if ask.question.step == 'train' else 0)\n    return turn(self, ask)\n"
        "Participant.respond = slowly"
    )
    process = start("run", "study.toml", *sites, "--no-compare", "--out", "broken", before=slow)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(
        "folded" in log.read_text() and "train" in log.read_text() for log in logs(tmp_path)
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "when this round is over" in err
    lines = [line for log in logs(tmp_path) for line in log.read_text().splitlines()]
    assert '"folded"' in lines[-1], "it ended with a whole round"
    assert sum('"folded"' in line and '"train"' in line for line in lines) < 6
    assert huizhen("run", "study.toml", *sites, "--no-compare", "--out", "broken").code == 0
    assert huizhen("run", "study.toml", *sites, "--no-compare", "--out", "whole").code == 0
    (broken,), (whole,) = (list((tmp_path / name).rglob("averaging.npz")) for name in ("broken", "whole"))
    assert broken.read_bytes() == whole.read_bytes()
    assert any('"resumed"' in line for line in next(iter(logs(tmp_path))).read_text().splitlines())


def logs(folder):
    return sorted((folder / "broken").rglob("events.jsonl")) if (folder / "broken").exists() else []
