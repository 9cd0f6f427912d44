"""The book says what leaves a site: a run with every method and many settings is held against the pages, part by part."""

from __future__ import annotations

import re

import numpy as np
import pytest

from huizhen import DisclosurePolicy, Study, run

OUTCOME = {"time": "time", "event": "died"}
STUDY = {
    "method": {
        "summary": {"variables": ["age", "weight", "sex"], "by": "arm", "correlation": True, "shape": True},
        "tabulate": [
            {"label": "by-site", "rows": "sex", "columns": "died", "strata": "site"},
            {"label": "by-arm", "rows": "sex", "columns": "died", "strata": "arm"},
        ],
        "quantile": {"variables": ["age"], "by": "sex"},
        "compare": {"variable": "weight", "by": "sex"},
        "table_one": {"variables": ["age", "sex"], "by": "arm"},
        "glm": {
            "formula": "died ~ bs(age, 4) + scale(weight) + sex",
            "family": "binomial",
            "standard_errors": "robust",
            "tests": ["wald", "likelihood-ratio"],
        },
        "cox": [
            {
                "label": "own-times",
                **OUTCOME,
                "formula": "~ age + sex",
                "strata": "site",
                "standard_errors": "robust",
                "proportional_hazards": ["identity"],
            },
            {"label": "grid", **OUTCOME, "formula": "~ age + sex", "resolution": 30.0, "standard_errors": "robust"},
        ],
        "kaplan_meier": {**OUTCOME, "by": "arm", "strata": "site", "pairwise": True, "resolution": 30.0},
        "meta": {"of": "compare", "settings": {"variable": "weight", "by": "sex"}, "per_site": True},
    }
}

ROUNDS = {"network": "mlp", "settings": {"widths": [3]}, "rounds": 2, "learning_rate": 0.001}
COX = {"task": "cox", "time": "time", "event": "died == 1"}
TREES = {"trees": 2, "depth": 2, "validation": 0.3}
LEARNING = {
    "variables": {"scan": {"shape": [1, 8, 8]}, "mask": {"shape": [1, 8, 8]}},
    "method": {
        "boosting": [
            {"label": "trees", "task": "classification", "outcome": "died", "covariates": ["age", "sex"], **TREES},
            {"label": "values", "task": "regression", "outcome": "weight", "covariates": ["age"], **TREES},
            {"label": "times", **COX, "covariates": ["age"], "resolution": 30.0, **TREES},
        ],
        "averaging": [
            {"label": "label", "outcome": "died", "covariates": ["age", "sex"], "validation": 0.3, "control": True, **ROUNDS},
            {"label": "cycle", "outcome": "arm", "covariates": ["age"], "scale": "none", "order": "cyclic", **ROUNDS},
            {"label": "number", "task": "regression", "outcome": "weight", "covariates": ["age"], "normalise": True, **ROUNDS},
            {"label": "hazard", **COX, "covariates": ["age"], "test": 0.3, **ROUNDS},
            {
                "label": "intervals",
                "task": "discrete_time",
                "time": "time",
                "event": "died == 1",
                "ends": [100, 300, 900],
                "covariates": ["age"],
                **ROUNDS,
            },
            {
                "label": "map",
                "task": "segmentation",
                "outcome": "mask",
                "image": "scan",
                **ROUNDS,
                "network": "unet",
                "settings": {"widths": [2, 4], "units": 0},
            },
        ],
    },
}


def hospital(seed):
    rng = np.random.default_rng(seed)
    age, sex = rng.normal(60, 9, 160), rng.choice(["f", "m"], 160)
    return {
        "age": age,
        "weight": rng.normal(70, 12, 160),
        "sex": sex,
        "arm": rng.choice(["old", "new"], 160),
        "time": np.ceil(rng.exponential(300, 160)),
        "died": (rng.random(160) < 1 / (1 + np.exp(4 - 0.06 * age - 0.4 * (sex == "m")))).astype(float),
    }


def scans(seed):
    """The same hospital with an image and a map for each row."""
    scan = np.random.default_rng(seed).normal(100, 20, (160, 8, 8)).astype(np.int16)
    return {**hospital(seed), "scan": scan, "mask": (scan > 100).astype(np.uint8)}


@pytest.fixture(scope="module", params=["statistics", "learning"])
def asked(request):
    """What the sites answer together, and their tables."""
    if request.param == "statistics":
        return STUDY, hospital
    pytest.importorskip("torch")
    return LEARNING, scans


@pytest.fixture(scope="module")
def left(asked):
    study, table = asked
    sites = {name: table(seed) for seed, name in enumerate(("west", "north", "east"))}
    findings = run(Study.parse(study), sites, policy=DisclosurePolicy(allow_individual=True), compare=False)
    assert findings.failures == {}
    return {(each.what, each.kind) for each in findings.left}


@pytest.fixture(scope="module")
def described(book):
    """By method: lines of its table of what leaves, as step, pattern of the part's name, kinds."""
    shared = list(lines(book.page("docs/reference/formulas.md").section("What is agreed before the first step")))
    pages = [page for page in book.pages if page.path.parent.name == "methods"]
    own = {page.path.stem: [*lines(page.section("What leaves a site")), *shared] for page in pages}
    # Unstratified survival models agree on groups and on a grid as curves do.
    return {name: [*rows, *(own["kaplan_meier"] if name == "cox" else [])] for name, rows in own.items()}


def lines(section):
    step = ()
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 5 or cells[1].startswith("-"):
            continue
        step = tuple(re.findall(r"`([^`]+)`", cells[1])) or step
        names = re.findall(r"`([^`]+)`", cells[2].split("(with")[0]) + re.findall(r"also (`[^`]+`(?:, `[^`]+`)*)", cells[2])
        patterns = [
            re.escape(name.strip("`")).replace("NAME", ".+").replace("N", r"\d+") for part in names for name in part.split(", ")
        ]
        for each in step:
            yield each, "|".join(patterns) if patterns and "one for each" not in cells[2] else ".+", cells[3]


def test_everything_that_leaves_is_described_with_its_kind(left, described):
    missing = []
    for what, kind in sorted(left):
        method, step, part = what.split("/", 2)
        if step == "muster":
            continue
        if not any(step == one and re.fullmatch(name, part) and kind in kinds for one, name, kinds in described[method]):
            missing.append(f"{what} ({kind})")
    assert missing == []


def test_the_first_question_of_every_analysis_is_described_too(left, book):
    text = book.page("docs/reference/methods.md").text
    parts = {what.split("/", 2)[2] for what, _ in left if "/muster/" in what}
    assert parts
    assert [part for part in parts if f"`{part}`" not in text] == []


def test_an_individual_release_stands_out_in_its_page(asked, left, book):
    released = {what.split("/")[0] for what, kind in left if kind == "individual"}
    assert released == ({"meta"} if asked[0] is STUDY else {"averaging"})
    for name in released:
        assert "**individual**" in book.page(f"docs/reference/methods/{name}.md").section("What leaves a site")


def test_every_kind_of_entry_of_a_ledger_is_described(book, tmp_path):
    from huizhen.ledger.store import read_file

    refusing = DisclosurePolicy(denied_variables=("weight",))
    study = Study.parse({"method": {"summary": {"variables": ["age", "weight"]}}})
    run(study, {"west": hospital(0), "east": hospital(1)}, policies={"east": refusing}, out=tmp_path, compare=False)
    kinds = {entry.kind for entry in read_file(tmp_path / "ledger" / "east.sqlite")}
    assert "refused" in kinds
    assert kinds | {"interrupted"} <= set(book.page("docs/explanation/ledger.md").table("What stands in it"))
