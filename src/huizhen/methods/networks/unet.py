"""U-Net (Ronneberger et al. 2015) with residual units (Kerfoot et al. 2019), for images of 2 or 3 axes, as MONAI builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from huizhen.methods.networks.dense import Share, Widths
from huizhen.methods.networks.kind import Kind, Settings

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["UNET"]


class UnetSettings(Settings):
    """Settings of ``unet``.

    Attributes:
        widths: channels at each level; every level has half the edge of the one above.
        units: residual units in each level, 0 for plain convolutions.
        norm: ``instance`` (each image by itself) or ``batch``.
        dropout: in training.
    """

    widths: Annotated[Widths, Field(min_length=2, max_length=10)] = (16, 32, 64, 128)  # images are widened to a multiple of 2^9
    units: Annotated[int, Field(ge=0, le=8)] = 2
    norm: Literal["instance", "batch"] = "instance"
    dropout: Share = 0.0


def _unet(inputs: tuple[int, ...], outputs: int, settings: UnetSettings) -> Module:
    from monai.networks.nets.unet import UNet

    steps = len(settings.widths) - 1
    unet = UNet(
        spatial_dims=len(inputs) - 1,
        in_channels=inputs[0],
        out_channels=outputs,
        channels=settings.widths,
        strides=(2,) * steps,
        num_res_units=settings.units,
        norm=settings.norm,
        dropout=settings.dropout,
    )
    return _padded(unet, inputs[1:], 2**steps)


def _padded(module: Module, space: tuple[int, ...], multiple: int) -> Module:
    """The module on images that are widened to a multiple of an edge by repeating their border; the output is cut back."""
    from torch import nn

    missing = [-edge % multiple for edge in space]
    if not any(missing):
        return module
    sides = [side for gap in reversed(missing) for side in (gap // 2, gap - gap // 2)]  # the last axis first, as torch pads
    kept: tuple[Any, ...] = (..., *(slice(gap // 2, gap // 2 + edge) for gap, edge in zip(missing, space)))

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.inner(nn.functional.pad(images, sides, mode="replicate"))
            return found[kept]

    return Padded()


UNET = Kind("unet", UnetSettings, (2, 3), _unet, dense_output=True)
