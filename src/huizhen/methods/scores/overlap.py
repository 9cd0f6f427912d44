"""How well a drawn region is found: Dice's coefficient of each class, by image and over all pixels.

Dice is 2 |A and B| / (|A| + |B|). An image where neither the truth nor the prediction holds the class says nothing about it and is
left out of that class's mean. Source: L. R. Dice, Ecology 26 (1945) 297.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.interval import Estimate, Floats, mean

__all__ = ["overlap_estimates", "overlap_sums"]


def overlap_sums(aim: Aim, outputs: Floats, targets: NDArray[np.generic], weights: Floats | None) -> dict[str, Floats]:
    """Sums over images, float64: ``dice`` (class, 2) of the coefficient and its square, ``images`` (class,) that hold the class,
    ``pixels`` (class, 2): twice those in both, those in each; ``weight`` (1,).

    Args:
        outputs: logits (image, class, *space).
        targets: classes (image, *space).
    """
    images, classes = len(outputs), len(aim.levels)
    w = np.ones(images) if weights is None else np.asarray(weights, np.float64)
    pixels_each = int(np.prod(outputs.shape[2:]))
    chosen = np.argmax(outputs, axis=1).reshape(images, pixels_each)
    truth = np.asarray(targets).reshape(images, pixels_each)
    dice, held, pixels = np.zeros((classes, 2)), np.zeros(classes), np.zeros((classes, 2))
    for place in range(classes):
        both = 2.0 * ((chosen == place) & (truth == place)).sum(axis=1)
        each = ((chosen == place).sum(axis=1) + (truth == place).sum(axis=1)).astype(np.float64)
        value = np.divide(both, each, out=np.zeros(images), where=each > 0)
        dice[place] = w @ value, w @ value**2
        held[place] = w @ (each > 0)
        pixels[place] = w @ both, w @ each
    rows = {} if weights is None else {"rows": np.array([float(images)])}
    return {"dice": dice, "images": held, "pixels": pixels, "weight": np.array([float(w.sum())]), **rows}


def overlap_estimates(aim: Aim, sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    """For each class the mean Dice over images and the Dice of all pixels together; first the mean over the classes but the first.

    The first class is the background, which is large and easily found.
    """
    found = []
    for place, name in enumerate(aim.levels):
        images = float(sums["images"][place])
        found.append(mean("dice", sums["dice"][place], images, z, high=1.0).of(name))
        both, each = sums["pixels"][place].tolist()
        found.append(Estimate("pooled_dice", both / each if each > 0 else None, None, None, images, name))
    drawn = [one for one in found[2:] if one.measure == "dice" and one.value is not None] or [
        one for one in found if one.measure == "dice" and one.value is not None
    ]
    if not drawn:
        return found
    value = float(np.mean([one.value for one in drawn if one.value is not None]))
    half = [(one.high - one.low) / 2.0 for one in drawn if one.high is not None and one.low is not None]
    # The half-width of a mean is at most the mean of the half-widths.
    reach = float(np.mean(half)) if len(half) == len(drawn) else None
    low, high = (None, None) if reach is None else (max(0.0, value - reach), min(1.0, value + reach))
    return [Estimate("dice", value, low, high, min(one.smallest for one in drawn), "macro"), *found]
