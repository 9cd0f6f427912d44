import numpy as np
import pytest

from huizhen.methods.scores.aim import Aim


def _targets(aim, rows, rng, space=()):
    if aim.task == "binary":
        return rng.integers(0, 2, rows).astype(float)
    if aim.task == "multilabel":
        return rng.integers(0, 2, (rows, len(aim.outcome))).astype(float)
    if aim.task in ("multiclass", "segmentation"):
        return rng.integers(0, len(aim.levels), (rows, *space))
    if aim.task == "regression":
        return rng.normal(size=rows)
    times = rng.integers(0, 6 if aim.task == "cox" else len(aim.ends), rows)
    return np.column_stack([times, rng.integers(0, 2, rows)]).astype(float)


@pytest.fixture(scope="session")
def targets_for():
    """Random targets of an aim, as it would read them: targets_for(aim, rows, rng, space)."""
    return _targets


@pytest.fixture(scope="session")
def aims():
    return {
        "binary": Aim("binary", ("died",), ("no", "yes")),
        "multiclass": Aim("multiclass", ("stage",), ("I", "II", "III")),
        "multilabel": Aim("multilabel", ("fever", "cough")),
        "regression": Aim("regression", ("weight",)),
        "cox": Aim("cox", ("days", "died"), event="died == 1"),
        "discrete_time": Aim("discrete_time", ("days",), event="died == 1", ends=(1.0, 2.0, 3.0, 4.0)),
        "segmentation": Aim("segmentation", ("mask",), ("none", "organ", "tumour")),
    }
