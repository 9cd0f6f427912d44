"""Plain convolutional networks: a small one for small images, and VGG (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from huizhen.methods.networks.dense import Share, Widths
from huizhen.methods.networks.kind import Kind, Settings
from huizhen.methods.networks.normalisation import Norm, convolution, pooling, with_norm

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["SMALL_CNN", "VGG"]

# Simonyan and Zisserman 2015, table 1, columns A, B, D, E: convolutions before each of the five poolings.
BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


class SmallCnnSettings(Settings):
    """Settings of ``small_cnn``: for each width a convolution, normalisation, ReLU and a maximum over 2 x 2; then the mean.

    Attributes:
        widths: channels of the convolutions.
        norm: ``group`` needs no statistics of a batch, so nothing of it differs between sites; ``batch``; ``none``.
        dropout: share of the features before the last layer that are dropped in training.
    """

    widths: Annotated[Widths, Field(min_length=1, max_length=16)] = (16, 32, 64)  # each halves every edge
    norm: Norm = "group"
    dropout: Share = 0.0


class VggSettings(Settings):
    """Settings of ``vgg``.

    Attributes:
        depth: layers with weights in the original: 11, 13, 16 or 19.
        norm: after every convolution.
        pooled: edge of the map that the features are averaged to; the original has 7.
        hidden: fully connected layers before the last; the original has (4096, 4096).
        dropout: after each of them, in training.
    """

    depth: Literal[11, 13, 16, 19] = 16
    norm: Norm = "batch"
    pooled: Annotated[int, Field(ge=1, le=7)] = 1
    hidden: Widths = (512,)
    dropout: Share = 0.5


def _small_cnn(inputs: tuple[int, ...], outputs: int, settings: SmallCnnSettings) -> Module:
    from torch import nn

    axes, channels = len(inputs) - 1, inputs[0]
    layers: list[Module] = []
    for width in settings.widths:
        layers += [convolution(axes, channels, width, settings.norm), *with_norm(axes, width, settings.norm), nn.ReLU(inplace=True)]
        layers.append(pooling(axes))
        channels = width
    layers += [_mean(axes, 1), nn.Flatten(), nn.Dropout(settings.dropout), nn.Linear(channels, outputs)]
    return nn.Sequential(*layers)


def _vgg(inputs: tuple[int, ...], outputs: int, settings: VggSettings) -> Module:
    from torch import nn

    axes, channels = len(inputs) - 1, inputs[0]
    layers: list[Module] = []
    for width, count in zip(CHANNELS, BLOCKS[settings.depth]):
        for _ in range(count):
            layer = convolution(axes, channels, width, settings.norm)
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
            layers += [layer, *with_norm(axes, width, settings.norm), nn.ReLU(inplace=True)]
            channels = width
        layers.append(pooling(axes))
    layers += [_mean(axes, settings.pooled), nn.Flatten()]
    features = channels * settings.pooled**axes
    for width in settings.hidden:
        layers += [nn.Linear(features, width), nn.ReLU(inplace=True), nn.Dropout(settings.dropout)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def _mean(axes: int, edge: int) -> Module:
    from torch import nn

    return nn.AdaptiveAvgPool2d(edge) if axes == 2 else nn.AdaptiveAvgPool3d(edge)


SMALL_CNN = Kind("small_cnn", SmallCnnSettings, (2, 3), _small_cnn)
VGG = Kind("vgg", VggSettings, (2, 3), _vgg)
