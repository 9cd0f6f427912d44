"""Compressed networks learn nearly the same, resume to the same bytes, and refuse what cannot be combined."""

from __future__ import annotations

import numpy as np
import pytest

from huizhen import Study, run
from huizhen.errors import StudyError

pytest.importorskip("torch")

KINDS = {
    "quantised": {"kind": "quantised", "bits": 16},
    "eight bits": {"kind": "quantised", "bits": 8},
    "shared": {"kind": "shared", "share": 0.25, "bits": 16},
    "low rank": {"kind": "low_rank", "rank": 4, "bits": 16},
    "top": {"kind": "top_k", "share": 0.25, "bits": 12},
}


def table(seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4))
    risk = x[:, 0] + x[:, 1] * x[:, 2] - 0.5 * x[:, 3]
    return {f"x{place}": x[:, place] for place in range(4)} | {"y": (rng.random(count) < 1 / (1 + np.exp(-2 * risk))).astype(int)}


SITES = {f"site-{place}": table(place, 150 + 30 * place) for place in range(4)}


def study(compress="none", sum_="plain", rounds=20, **more):
    settings = {"network": "mlp", "outcome": "y", "covariates": [f"x{place}" for place in range(4)], "rounds": rounds, "test": 0.3}
    settings |= {"settings": {"widths": [96, 48]}, "optimiser": "adam", "learning_rate": 0.01, "batch": 32}
    content = {
        "study": {"seed": 3},
        "variables": {"y": {"type": "category", "levels": [0, 1]}},
        "method": {"averaging": settings, **more},
        "protection": {"sum": sum_, "compress": compress},
    }
    return Study.parse(content)


def auc(findings) -> float:
    told = findings["averaging"].result.tables["quality"].columns
    return dict(zip(told["measure"], told["estimate"], strict=True))["auc"]


@pytest.fixture(scope="module")
def whole():
    return run(study(), SITES, compare=False)


@pytest.mark.parametrize(
    ("kind", "sum_"), [(kind, "plain") for kind in KINDS] + [(kind, "masked") for kind in ("quantised", "shared", "low rank")]
)
def test_a_compressed_network_learns_nearly_what_the_whole_one_does(whole, kind, sum_):
    found = run(study(KINDS[kind], sum_), SITES, compare=False)
    assert not found.failures
    assert auc(found) == pytest.approx(auc(whole), abs=0.02)


def sent(findings) -> int:
    return sum(one.bytes for one in findings.left)


def test_fewer_bytes_leave_each_site(whole):
    by_kind = {kind: sent(run(study(KINDS[kind]), SITES, compare=False)) for kind in ("quantised", "eight bits", "shared")}
    assert by_kind["quantised"] < 0.8 * sent(whole)
    assert by_kind["eight bits"] < by_kind["quantised"]
    assert by_kind["shared"] < by_kind["quantised"]


@pytest.mark.parametrize("sum_", ["plain", "masked"])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(tmp_path, sum_):
    asked = study(KINDS["shared"], sum_, rounds=8)
    at_once = run(asked, SITES, compare=False)["averaging"].result

    class Enough(Exception):
        pass

    def stop(event):
        if event.kind == "folded" and event.progress is not None and event.progress.done == 4:
            raise Enough

    with pytest.raises(Enough):
        run(asked, SITES, compare=False, out=tmp_path, watch=stop)
    resumed = run(asked, SITES, compare=False, out=tmp_path)
    assert any("resumed" in note for note in resumed.notes)
    assert np.array_equal(resumed["averaging"].result.model["weights"], at_once.model["weights"])


def test_what_cannot_be_combined_is_refused_with_the_reason():
    with pytest.raises(StudyError, match="Masks cancel only where all sites send the same ones"):
        study(KINDS["top"], "masked")
    with pytest.raises(StudyError, match="would save nothing"):
        study(KINDS["eight bits"], "masked")
    with pytest.raises(StudyError, match="equals the pooled one"):
        study(KINDS["shared"], glm={"formula": "y ~ x0", "family": "binomial"})


def test_all_mistakes_of_a_protection_are_told_at_once():
    with pytest.raises(StudyError) as wrong:
        study("shard", sum_="maskd")
    assert {problem.where for problem in wrong.value.problems} >= {"protection.sum", "protection.compress.kind"}


@pytest.mark.parametrize(
    ("compress", "key"),
    [
        ("shard", "protection.compress.kind"),
        ({"kind": "shared", "share": 0.9}, "protection.compress.share"),
        ({"kind": "shared", "rank": 4}, "protection.compress.rank"),
        ({"kind": "quantised", "bits": 9}, "protection.compress.bits"),
        (4, "protection.compress"),
    ],
)
def test_a_compression_that_is_written_wrongly_is_named(compress, key):
    with pytest.raises(StudyError) as wrong:
        study(compress)
    assert key in [problem.where for problem in wrong.value.problems]
