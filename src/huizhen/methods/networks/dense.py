"""Networks of fully connected layers: a logistic (linear) model, and a multilayer perceptron.

Both read a row of features, or an image as one long row.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from huizhen.methods.networks.kind import Kind, Settings

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["LOGISTIC", "MLP", "Widths"]

Share = Annotated[float, Field(ge=0, lt=1)]
WIDEST, DEEPEST = 2**20, 256  # of a layer, and layers that settings may list
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=WIDEST)], ...], Field(strict=False, max_length=DEEPEST)]


class LogisticSettings(Settings):
    """No settings: one linear layer gives the outputs."""


class MlpSettings(Settings):
    """Settings of ``mlp``.

    Attributes:
        widths: of the hidden layers.
        activation: after each hidden layer.
        norm: before the activation: ``batch``, ``layer`` (each row by itself) or ``none``.
        dropout: share of a hidden layer's outputs that are dropped in training.
    """

    widths: Annotated[Widths, Field(min_length=1)] = (64,)
    activation: Literal["relu", "gelu", "elu", "tanh", "sigmoid"] = "relu"
    norm: Literal["none", "batch", "layer"] = "none"
    dropout: Share = 0.0


def _logistic(inputs: tuple[int, ...], outputs: int, settings: LogisticSettings) -> Module:  # noqa: ARG001 (all kinds are built alike)
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(prod(inputs), outputs))


def _mlp(inputs: tuple[int, ...], outputs: int, settings: MlpSettings) -> Module:
    from torch import nn

    activations = {"relu": nn.ReLU, "gelu": nn.GELU, "elu": nn.ELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
    layers: list[Module] = [nn.Flatten()]
    width = prod(inputs)
    for next_width in settings.widths:
        # A bias before a batch's mean is taken away would have no gradient but rounding, which Adam would follow.
        layers.append(nn.Linear(width, next_width, bias=settings.norm != "batch"))
        if settings.norm != "none":
            layers.append(nn.BatchNorm1d(next_width) if settings.norm == "batch" else nn.LayerNorm(next_width))
        layers.append(activations[settings.activation]())
        if settings.dropout:
            layers.append(nn.Dropout(settings.dropout))
        width = next_width
    return nn.Sequential(*layers, nn.Linear(width, outputs))


LOGISTIC = Kind("logistic", LogisticSettings, (0, 2, 3), _logistic)
MLP = Kind("mlp", MlpSettings, (0, 2, 3), _mlp)
