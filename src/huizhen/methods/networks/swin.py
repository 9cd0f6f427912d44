"""Swin Transformer (Liu et al. 2021) for images of 2 or 3 axes: MONAI's blocks, with a window that fits each stage, and a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from huizhen.methods.networks.dense import Share, Widths
from huizhen.methods.networks.kind import Kind, Settings

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["SWIN"]

Edges = tuple[int, ...]
Blocks = Annotated[int, Field(ge=1, le=64)]


class SwinSettings(Settings):
    """Settings of ``swin``; the defaults are Swin-T (Liu et al. 2021, sec. 3.3).

    Attributes:
        width: channels of the first stage; each stage has twice those of the one before.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        window: edge of the window within which pixels attend to each other; a stage with a smaller map has a smaller one.
        patch: edge of the patches that the image is cut into first.
        dropout: of the attention's and the perceptron's outputs, in training.
        drop_path: share of the rows that skip a block in training, for the last block; the first has 0.
    """

    width: Annotated[int, Field(ge=1, le=2**14)] = 96
    depths: Annotated[tuple[Blocks, ...], Field(strict=False, min_length=1, max_length=6)] = (2, 2, 6, 2)
    heads: Widths = (3, 6, 12, 24)
    window: Annotated[int, Field(ge=2, le=64)] = 7
    patch: Annotated[int, Field(ge=1, le=1024)] = 4
    dropout: Share = 0.0
    drop_path: Share = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> SwinSettings:
        if len(self.heads) != len(self.depths) or any(self.width * 2**i % n for i, n in enumerate(self.heads)):
            raise ValueError("heads: one number for each stage is expected, which divides the width of the stage")
        return self


def _swin(inputs: Edges, outputs: int, settings: SwinSettings) -> Module:
    from monai.networks.blocks.patchembedding import PatchEmbed
    from monai.networks.nets.swin_unetr import PatchMergingV2
    from torch import nn

    space = tuple(-(-edge // settings.patch) for edge in inputs[1:])
    width, shares = settings.width, _rising(settings.drop_path, sum(settings.depths))
    embed = PatchEmbed(settings.patch, inputs[0], width, nn.LayerNorm, len(space))
    layers: list[Module] = [embed, _channels_last()]
    for i, (depth, heads) in enumerate(zip(settings.depths, settings.heads)):
        if i:
            layers.append(PatchMergingV2(width, nn.LayerNorm, len(space)))
            width, space = 2 * width, tuple(-(-edge // 2) for edge in space)
        done = sum(settings.depths[:i])
        layers.append(_stage(space, width, heads, shares[done : done + depth], settings))
    layers += [nn.LayerNorm(width), nn.Flatten(1, -2), _mean_of_places(), nn.Linear(width, outputs)]
    return nn.Sequential(*layers)


def _rising(last: float, count: int) -> list[float]:
    return [last * place / max(count - 1, 1) for place in range(count)]


def _stage(space: Edges, width: int, heads: int, shares: list[float], settings: SwinSettings) -> Module:
    """Blocks whose windows are shifted by half in every second one; where the map is no larger than a window, nothing shifts."""
    from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask
    from torch import nn

    window = tuple(min(settings.window, edge) for edge in space)
    shift = tuple(settings.window // 2 if edge > settings.window else 0 for edge in space)
    filled = [-(-edge // size) * size for edge, size in zip(space, window)]
    still = (0,) * len(space)

    def block(place: int, share: float) -> Module:
        moved = shift if place % 2 else still
        made: Module = SwinTransformerBlock(width, heads, window, moved, drop=settings.dropout, drop_path=share)
        return made

    class Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(block(place, share) for place, share in enumerate(shares))

        def forward(self, maps: Tensor) -> Tensor:
            mask = compute_mask(filled, window, shift, maps.device) if any(shift) else None  # type: ignore[no-untyped-call]
            for each in self.blocks:
                maps = each(maps, mask)
            return maps

    return Stage()


def _channels_last() -> Module:
    from torch import nn

    class ChannelsLast(nn.Module):
        def forward(self, maps: Tensor) -> Tensor:
            return maps.movedim(1, -1)

    return ChannelsLast()


def _mean_of_places() -> Module:
    from torch import nn

    class MeanOfPlaces(nn.Module):
        def forward(self, places: Tensor) -> Tensor:  # (row, place, channel)
            return places.mean(1)

    return MeanOfPlaces()


SWIN = Kind("swin", SwinSettings, (2, 3), _swin)
