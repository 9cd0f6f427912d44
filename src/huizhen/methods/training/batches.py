"""Rows as a network takes them: a batch at a time, in float32, images scaled, mirrored where the recipe says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.scores.aim import Aim
from huizhen.methods.training.order import AUGMENT, Draws, Ints, coin, draw

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["flips_of", "inputs_of", "mirrored", "targets_of"]

WHITE = 255.0  # the brightest of 8 bits
DOUBLE = ("cox", "discrete_time")  # times keep their digits: rounding would tie what is not tied
WHOLE = ("multiclass", "segmentation")


def inputs_of(rows: NDArray[Any], device: Any) -> Tensor:
    """Rows, already copied, as float32: 8-bit images are scaled to [0, 1], everything else is taken as it is."""
    import torch

    found = torch.from_numpy(rows).to(device).to(torch.float32)
    if rows.dtype == np.uint8:
        found.div_(WHITE)
    return found


def targets_of(aim: Aim, rows: NDArray[Any], device: Any) -> Tensor:
    """Targets as the loss takes them: int64 for classes, float64 for times, float32 otherwise; numbers on the scale of learning."""
    import torch

    dtype = torch.int64 if aim.task in WHOLE else torch.float64 if aim.task in DOUBLE else torch.float32
    return torch.from_numpy(aim.learned(rows)).to(device).to(dtype)


def flips_of(seeds: Draws, epochs: Ints, rows: Ints) -> NDArray[np.bool_]:
    """Which rows (site, batch) are mirrored in a pass of their site; seeds and passes (site,)."""
    return coin(draw(seeds, AUGMENT, epochs)[:, None], rows)


def mirrored(maps: Tensor, which: NDArray[np.bool_]) -> Tensor:
    """Maps (..., *space) with the last axis reversed in the rows of `which`, whose axes are the first of the maps."""
    import torch

    chosen = torch.from_numpy(which).to(maps.device).view(*which.shape, *[1] * (maps.dim() - which.ndim))
    return torch.where(chosen, maps.flip(-1), maps)
