"""Features across hospitals: fitted on sums, on every engine, as one process finds them; told to each site before it accepts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from federations import federation
from huizhen import DisclosurePolicy, Study, run
from huizhen.embedded.predicting import predict
from huizhen.federation.proposal import Initiator, Party, Proposal
from huizhen.federation.suggestion import Here, suggestion
from huizhen.translation import translate

SITES = ("west", "east", "south")
LENIENT = {"min_cell_count": 1, "min_rows": 5}
FEATURES = {
    "age_z": "standardise(age)",
    "lab": "impute(lab, median)",
    "lab_missing": "missing(lab)",
    "lab_s": "spline(lab, 3)",
    "stage": "category(stage)",
    "stay": "days(discharged, admitted)",
}
FORMULA = "high ~ age_z + lab_s + lab_missing + stage + log1p(stay)"


def table(seed: int, count: int) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    age, stay = rng.normal(60, 9, count).round(1), rng.integers(0, 20, count)
    lab = rng.gamma(4, 3, count).round(2)
    return {
        "age": age.tolist(),
        "lab": ["" if miss else str(value) for miss, value in zip(rng.random(count) < 0.2, lab)],
        "stage": rng.choice(["I", "II", "III"], count).tolist(),
        "high": np.where(rng.random(count) < 1 / (1 + np.exp(-(age - 60) / 9)), "yes", "no").tolist(),
        "admitted": ["2026-01-05"] * count,
        "discharged": [str(np.datetime64("2026-01-05") + days) for days in stay],
    }


TABLES = {name: table(place, 90 + 20 * place) for place, name in enumerate(SITES)}


def study(sum_: str) -> Study:
    variables = {
        "stage": {"type": "category", "levels": ["I", "II", "III"]},
        "high": {"type": "category", "levels": ["no", "yes"]},
    }
    body = {"features": FEATURES, "variables": variables, "method": {"glm": {"formula": FORMULA, "family": "binomial"}}}
    return Study.parse({**body, "participants": {"sites": list(SITES)}, "protection": {"sum": sum_}})


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    root = tmp_path_factory.mktemp("federation")
    with federation(root, TABLES, policies=dict.fromkeys(SITES, LENIENT), people=("li",)) as programs:
        yield programs


@pytest.mark.parametrize("sum_", ["plain", "masked"])
def test_features_are_the_same_across_hospitals_as_in_one_process(hospitals, sum_):
    asked = study(sum_)
    files = {name: hospitals.root / f"{name}.csv" for name in SITES}
    here = run(asked, files, policy=DisclosurePolicy(**LENIENT), compare=False)
    apart = hospitals.li.found(hospitals.li.submit(asked))
    for outcome in apart.outcomes:
        one, other = here[outcome.label].result, outcome.result
        assert (other.failure, other.rows) == ("", one.rows)
        told, known = other.facts["features"]["fitted"], one.facts["features"]["fitted"]
        assert told.keys() == known.keys()
        for key, parameters in known.items():
            for name, value in parameters.items():
                near = isinstance(value, float) or (isinstance(value, list) and isinstance(value[0], float))
                assert told[key][name] == (pytest.approx(value, rel=1e-9) if near else value), key
        new = {**TABLES["west"], "lab": [float(value) if value else np.nan for value in TABLES["west"]["lab"]]}
        assert predict(other, new) == pytest.approx(predict(one, new), rel=1e-6)
    assert {left.what.split("/")[1] for left in apart.left if left.analysis == "glm"} >= {"features.sums", "features.between"}


def test_a_site_reads_in_plain_words_what_will_be_made_of_its_variables():
    parties = [Party(name=name, key=f"{place:064x}") for place, name in enumerate(SITES)]
    created = datetime(2026, 3, 1, tzinfo=UTC)
    asked = Proposal.of(
        study("masked"),
        id="study-1",
        initiator=Initiator(name="li", key="U1"),
        participants=parties,
        created=created,
        expires=created + timedelta(days=7),
    )
    passages = {passage.heading: passage.lines for passage in suggestion(asked, "west", Here(DisclosurePolicy()))}
    assert "the feature age_z: standardise(age)" in passages["What is made of it"]
    assert passages["What is made of it"][-1].endswith("parameters of: age_z, lab, lab_s, stage")
    assert any("features.centred" in line for line in passages["What leaves this site"])
    read = " ".join(passages["What is read"])
    assert "age" in read
    assert "age_z" not in read
    assert translate(passages["What is made of it"][0], "zh") != passages["What is made of it"][0]
