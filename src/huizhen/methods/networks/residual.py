"""Residual networks (He et al. 2016) of 18 to 152 layers, for images of 2 or 3 axes, as MONAI builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from huizhen.methods.networks.kind import Kind, Settings
from huizhen.methods.networks.normalisation import regrouped

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["RESNET", "RESNET_3D"]

# He et al. 2016, table 1: blocks of each stage.
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
WIDTHS = [64, 128, 256, 512]
BASIC = 34  # the deepest with two convolutions in a block; deeper ones have three


class ResnetSettings(Settings):
    """Settings of ``resnet`` and ``resnet3d``.

    Attributes:
        depth: layers with weights.
        norm: ``batch``, or ``group`` in its place throughout.
        stem: ``standard`` begins with a convolution of edge 7 and step 2 and a pooling, which leaves a quarter of each edge;
            ``small`` with one of edge 3 and step 1 (He et al. 2016, sec. 4.2), for images of up to some 64 pixels.
    """

    depth: Literal[18, 34, 50, 101, 152] = 18
    norm: Literal["batch", "group"] = "batch"
    stem: Literal["standard", "small"] = "standard"


def _resnet(inputs: tuple[int, ...], outputs: int, settings: ResnetSettings) -> Module:
    from monai.networks.nets.resnet import ResNet

    small = settings.stem == "small"
    module: Module = ResNet(
        "basic" if settings.depth <= BASIC else "bottleneck",
        list(STAGES[settings.depth]),
        WIDTHS,
        spatial_dims=len(inputs) - 1,
        n_input_channels=inputs[0],
        conv1_t_size=3 if small else 7,
        conv1_t_stride=1 if small else 2,
        no_max_pool=small,
        num_classes=outputs,
        bias_downsample=False,
    )
    return regrouped(module) if settings.norm == "group" else module


RESNET = Kind("resnet", ResnetSettings, (2,), _resnet)
RESNET_3D = Kind("resnet3d", ResnetSettings, (3,), _resnet)
