"""How well a drawn region is found: Dice's coefficient of each class, by image and over all pixels.

Dice is 2 |A and B| / (|A| + |B|). An image where neither the truth nor the prediction holds the class says nothing about it and is
left out of that class's mean. Source: L. R. Dice, Ecology 26 (1945) 297.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.interval import Estimate, Floats, absent, mean, normal

__all__ = ["overlap_estimates", "overlap_sums"]

ROUNDING = 1e-12  # what is left of a spread of 0


def overlap_sums(aim: Aim, outputs: Floats, targets: NDArray[np.generic], weights: Floats | None) -> dict[str, Floats]:
    """Sums over images, float64: ``dice`` (class, 2) of the coefficient and its square, ``images`` (class,) that hold the class,
    ``pixels`` (class, 5): twice those in both, those in each, and their squares and product; ``weight`` (1,).

    Args:
        outputs: logits (image, class, *space).
        targets: classes (image, *space).
    """
    images, classes = len(outputs), len(aim.levels)
    w = np.ones(images) if weights is None else np.asarray(weights, np.float64)
    pixels_each = int(np.prod(outputs.shape[2:]))
    chosen = np.argmax(outputs, axis=1).reshape(images, pixels_each)
    truth = np.asarray(targets).reshape(images, pixels_each)
    dice, held, pixels = np.zeros((classes, 2)), np.zeros(classes), np.zeros((classes, 5))
    for place in range(classes):
        both = 2.0 * ((chosen == place) & (truth == place)).sum(axis=1)
        each = ((chosen == place).sum(axis=1) + (truth == place).sum(axis=1)).astype(np.float64)
        value = np.divide(both, each, out=np.zeros(images), where=each > 0)
        dice[place] = w @ value, w @ value**2
        held[place] = w @ (each > 0)
        pixels[place] = w @ both, w @ each, w @ both**2, w @ (both * each), w @ each**2
    return {"dice": dice, "images": held, "pixels": pixels, "weight": np.array([float(w.sum())])}


def overlap_estimates(aim: Aim, sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    """For each class the mean Dice over images and the Dice of all pixels together; first the mean over the classes but the first.

    The first class is the background, which is large and easily found.
    """
    found = []
    for place, name in enumerate(aim.levels):
        images = float(sums["images"][place])
        found.append(mean("dice", sums["dice"][place], images, z, high=1.0).of(name))
        found.append(_pooled(sums["pixels"][place], images, z).of(name))
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


def _pooled(pixels: Floats, images: float, z: float) -> Estimate:
    """Dice over all pixels, a ratio of two sums over images (W. G. Cochran, Sampling Techniques (1977), equation 6.13)."""
    both, each, both2, product, each2 = pixels.tolist()
    if each <= 0:
        return absent("pooled_dice", images)
    value = both / each
    spread = max(both2 - 2.0 * value * product + value * value * each2, 0.0)
    if spread <= ROUNDING * both2 or images < 2:
        return normal("pooled_dice", value, 0.0, z, images)
    return normal("pooled_dice", value, float(np.sqrt(spread * images / (images - 1.0))) / each, z, images, low=0.0, high=1.0)
