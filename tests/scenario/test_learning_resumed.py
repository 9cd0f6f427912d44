"""Learning where sites keep something of their own between rounds: broken off and taken up again, and judged in one process."""

from __future__ import annotations

import numpy as np
import pytest

from huizhen import Study, run
from huizhen.policy.disclosure import DisclosurePolicy

pytest.importorskip("torch")

BASE = {"outcome": "y", "covariates": ["a", "b"], "scale": "none", "rounds": 4, "learning_rate": 0.1}
KEPT = {
    "control": {"network": "logistic", "control": True},
    "own_layers": {"network": "mlp", "settings": {"norm": "batch", "widths": [4]}, "own_layers": True},
}


def learning(**more):
    return Study.parse({"study": {"title": "Learning", "question": "?", "seed": 5}, "method": {"averaging": {**BASE, **more}}})


def rows(seed, count=80, apart=0.0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, count))
    return {"a": a + apart * seed, "b": b, "y": np.where(rng.random(count) < 1 / (1 + np.exp(-2 * a)), "ill", "well")}


SITES = {site: rows(place) for place, site in enumerate(("west", "north", "east"))}


class Interrupted(BaseException):
    """Somebody pressed Ctrl-C."""


@pytest.fixture(scope="module")
def unbroken():
    return {name: run(learning(**more), SITES, compare=False)["averaging"].result for name, more in KEPT.items()}


@pytest.mark.parametrize("stop", [1, 2, 4])
@pytest.mark.parametrize("kind", ["folded", "answered"])
@pytest.mark.parametrize("kept", KEPT)
def test_a_run_broken_off_between_or_within_rounds_ends_with_the_same_weights(tmp_path, unbroken, kept, kind, stop):
    """ "answered": north has trained, and kept what came of it, in a round that was not added up."""
    seen = []

    def watch(event):
        if event.kind == kind and event.step == "train" and event.site in ("", "north"):
            seen.append(event)
            if len(seen) == stop:
                raise Interrupted

    with pytest.raises(Interrupted):
        run(learning(**KEPT[kept]), SITES, out=tmp_path, compare=False, watch=watch)
    events = []
    result = run(learning(**KEPT[kept]), SITES, out=tmp_path, compare=False, watch=events.append)["averaging"].result
    assert result.model["weights"].tobytes() == unbroken[kept].model["weights"].tobytes()
    assert result.tables == unbroken[kept].tables
    trained = [event for event in events if event.kind == "folded" and event.step == "train"]
    assert len(trained) == 4 - (stop if kind == "folded" else stop - 1)


def test_the_comparison_shows_the_federation_as_it_was_judged_with_the_sites_own_layers():
    apart = {site: rows(place, 200, apart=20.0) for place, site in enumerate(("west", "north", "east"))}
    spec = {**KEPT["own_layers"], "test": 0.4, "rounds": 20, "learning_rate": 0.2}
    finding = run(learning(**spec), apart, policy=DisclosurePolicy(min_cell_count=1, min_rows=1))["averaging"]
    table, shown = finding.result.tables["quality"].columns, finding.quality.columns
    auc = table["estimate"][table["measure"].index("auc")]
    of = {(model, site, some): value for model, site, some, value in zip(*(shown[c] for c in ("model", "site", "rows", "auc")))}
    assert auc > 0.8
    assert of["federation", "", "all"] == auc
    assert of["federation", "", "west"] is None
    assert of["alone", "west", "west"] > 0.7, "one site by itself has a whole network"


def test_a_whole_site_kept_for_the_test_is_no_hindrance_to_the_others_own_models_nor_to_scales_of_their_own():
    spec = {"network": "logistic", "scale": "site", "test": "site == 'east'"}
    finding = run(learning(**spec), SITES, policy=DisclosurePolicy(min_cell_count=1, min_rows=1))["averaging"]
    assert not finding.result.failure
    assert not finding.outcome.losses
    assert {site for site, alone in finding.alone.items() if not alone.failure} == {"west", "north"}
    assert "no site has a row to train on" in finding.alone["east"].failure
