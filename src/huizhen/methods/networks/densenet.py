"""Densely connected networks (Huang et al. 2017) of 121 to 264 layers, for images of 2 or 3 axes, as MONAI builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from huizhen.methods.networks.dense import Share
from huizhen.methods.networks.kind import Kind, Settings
from huizhen.methods.networks.normalisation import regrouped

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["DENSENET"]

# Huang et al. 2017, table 1: layers of each block; growth rate 32.
BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}


class DensenetSettings(Settings):
    """Settings of ``densenet``.

    Attributes:
        depth: layers with weights.
        norm: ``batch``, or ``group`` in its place throughout.
        dropout: after every dense layer, in training.
    """

    depth: Literal[121, 169, 201, 264] = 121
    norm: Literal["batch", "group"] = "batch"
    dropout: Share = 0.0


def _densenet(inputs: tuple[int, ...], outputs: int, settings: DensenetSettings) -> Module:
    from monai.networks.nets.densenet import DenseNet

    module: Module = DenseNet(
        spatial_dims=len(inputs) - 1,
        in_channels=inputs[0],
        out_channels=outputs,
        block_config=BLOCKS[settings.depth],
        dropout_prob=settings.dropout,
    )
    return regrouped(module) if settings.norm == "group" else module


DENSENET = Kind("densenet", DensenetSettings, (2, 3), _densenet)
