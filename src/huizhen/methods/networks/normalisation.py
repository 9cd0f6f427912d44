"""Layers that differ with the number of axes of space, and what normalises between them.

Statistics of a batch differ between hospitals, which is what FedBN (Li et al. 2021) and group normalisation (Wu and He 2018; for
federated training Hsieh et al. 2020) answer; so most networks here can have either.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["Norm", "convolution", "pooling", "regrouped", "with_norm"]

Norm = Literal["batch", "group", "none"]
GROUPS = 32  # at most, as proposed by Wu and He 2018, sec. 4


def convolution(axes: int, channels: int, width: int, norm: Norm) -> Module:
    """A convolution of edge 3 that keeps the size; without a bias where batch normalisation follows and would take it away."""
    from torch import nn

    return (nn.Conv2d if axes == 2 else nn.Conv3d)(channels, width, 3, padding=1, bias=norm != "batch")


def pooling(axes: int) -> Module:
    """The largest of every 2 x 2 (x 2)."""
    from torch import nn

    return nn.MaxPool2d(2) if axes == 2 else nn.MaxPool3d(2)


def with_norm(axes: int, width: int, norm: Norm) -> list[Module]:
    """The normalisation of a map of `width` channels, or nothing."""
    from torch import nn

    if norm == "none":
        return []
    if norm == "group":
        return [_group_norm(width)]
    return [nn.BatchNorm2d(width) if axes == 2 else nn.BatchNorm3d(width)]


def regrouped(module: Module) -> Module:
    """The module with group normalisation in place of every batch normalisation."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, _group_norm(child.num_features))
        else:
            regrouped(child)
    return module


def _group_norm(width: int) -> Module:
    from torch import nn

    return nn.GroupNorm(gcd(GROUPS, width) if width % 8 == 0 else gcd(8, width), width)
