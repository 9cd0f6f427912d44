"""How well labels are predicted: sums for one label, several labels, or one of several classes.

Every class is one against the rest: its score is the logit of its probability, its rows are counted by bin of score. At the chosen
point a label is positive from the aim's threshold on, and a class is chosen where its probability is the highest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.histogram import count_by_bin, place
from huizhen.methods.scores.interval import Floats, moments

__all__ = ["label_sums", "names_of"]

LEAST = 1e-300  # what the other classes' shares are at least, so that a logit is finite


def names_of(aim: Aim) -> tuple[str, ...]:
    """A name for each label or class; "" for the only one."""
    return {"binary": ("",), "multilabel": aim.outcome}.get(aim.task, aim.levels)


def label_sums(aim: Aim, outputs: Floats, targets: NDArray[np.generic], weights: Floats | None, bins: int) -> dict[str, Floats]:
    """Sums over rows, float64.

    Args:
        outputs: logits, float64 (row, output).
        targets: as `Aim.targets` gives them.
        weights: how often each row counts, float64 (row,); None: once.

    Returns:
        ``positives``, ``negatives`` (label, bin): weights of the rows that bear the label, and of the others; ``decided``
        (label, 4): those rightly called positive, missed, wrongly called positive, rightly called negative; ``brier`` and
        ``log_loss`` (label or 1, 2): the row's value and its square; ``weight`` (1,). For classes also ``right`` (1,). With
        weights also ``positive_rows``, ``negative_rows`` and ``decided_rows``: the same as numbers of rows.
    """
    logits, truth, decided, losses = (_classes if aim.task == "multiclass" else _labels)(aim, outputs, targets)
    places = place(logits, bins)
    cells = np.stack([truth * decided, truth * (1 - decided), (1 - truth) * decided, (1 - truth) * (1 - decided)], axis=2)
    sums = {}
    w = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
    for name, per_row in losses.items():
        sums[name] = np.stack([moments(w, values) for values in per_row.T])
    if aim.task == "multiclass":
        sums["right"] = np.array([float(w @ (truth * decided).sum(axis=1))])
    sums["weight"] = np.array([float(w.sum())])
    columns = np.broadcast_to(w[:, None], truth.shape)
    sums |= {
        "positives": count_by_bin(places, columns * truth, bins),
        "negatives": count_by_bin(places, columns * (1 - truth), bins),
        "decided": np.einsum("r,rlc->lc", w, cells),
    }
    if weights is not None:
        sums |= {
            "positive_rows": count_by_bin(places, truth, bins),
            "negative_rows": count_by_bin(places, 1 - truth, bins),
            "decided_rows": cells.sum(axis=0),
        }
    return sums


Read = tuple[Floats, Floats, Floats, dict[str, Floats]]


def _labels(aim: Aim, outputs: Floats, targets: NDArray[np.generic]) -> Read:
    """Logits, truth and decision (row, label); squared error and log loss (row, label)."""
    logits = outputs.reshape(len(outputs), aim.outputs)
    truth = np.asarray(targets, np.float64).reshape(len(outputs), aim.outputs)
    share = expit(logits)
    signed = np.where(truth > 0, -logits, logits)
    losses = {"brier": (share - truth) ** 2, "log_loss": np.logaddexp(0.0, signed)}
    return logits, truth, (share >= aim.threshold).astype(np.float64), losses


def _classes(aim: Aim, outputs: Floats, targets: NDArray[np.generic]) -> Read:
    """The same for one class against the rest; squared error and log loss of the row as a whole (row, 1)."""
    classes = len(aim.levels)
    truth = (np.asarray(targets)[:, None] == np.arange(classes)).astype(np.float64)
    shifted = outputs - logsumexp(outputs, axis=1, keepdims=True)
    share = np.exp(shifted)
    others = share @ (1.0 - np.eye(classes))  # a sum, for 1 - share is 0 where the share is nearly 1
    logits = shifted - np.log(np.maximum(others, LEAST))
    decided = (np.argmax(outputs, axis=1)[:, None] == np.arange(classes)).astype(np.float64)
    losses = {
        "brier": ((share - truth) ** 2).sum(axis=1, keepdims=True),
        "log_loss": -(shifted * truth).sum(axis=1, keepdims=True),
    }
    return logits, truth, decided, losses
