"""Small random networks to calibrate a device with: operators in the company that they keep in real ones.

An operator timed alone finds its numbers in the cache and its memory at hand; between others it does not. So operators are timed
inside whole training steps of networks that are drawn anew from a seed, whose shapes cover those of usual networks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["FAMILIES", "drawn"]

Drawn = tuple["Module", "Tensor"]
CHANNELS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048)
LARGEST = 2.5e8  # flop of one convolution or product forward: some 10 ms of a slow core
MOST_NUMBERS = 2e6  # of one map


def drawn(family: str, rng: np.random.Generator) -> Drawn:
    """A network of a family with inputs for it."""
    return FAMILIES[family](rng)


def _one(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _batch(rng: np.random.Generator, most: int = 64) -> int:
    return round(2 ** float(rng.uniform(0, np.log2(most))))


def _most(rng: np.random.Generator) -> float:
    """Flop that the largest operator of a network may do: small ones come oftener, for there are more of them in a second."""
    return float(LARGEST * 10 ** -rng.uniform(0, 1.5))


def _norm(rng: np.random.Generator, axes: int, width: int) -> Module:
    from torch import nn

    batch, instance = (nn.BatchNorm2d, nn.InstanceNorm2d) if axes == 2 else (nn.BatchNorm3d, nn.InstanceNorm3d)
    groups = next(count for count in (8, 4, 2, 1) if width % count == 0)
    made: Module = _one(rng, (batch, batch, instance, lambda wide: nn.GroupNorm(groups, wide)))(width)
    return made


def _activation(rng: np.random.Generator) -> Module:
    from torch import nn

    made: Module = _one(rng, (nn.ReLU, nn.ReLU, lambda: nn.ReLU(inplace=True), nn.GELU, nn.PReLU, nn.ELU, nn.SiLU))()
    return made


def _chain(axes: int) -> Callable[[np.random.Generator], Drawn]:
    def make(rng: np.random.Generator) -> Drawn:
        return _convolutions(rng, axes)

    return make


def _convolutions(rng: np.random.Generator, axes: int) -> Drawn:
    """A chain of convolutions, normalisations, activations and poolings, and a head."""
    import torch
    from torch import nn

    conv, pool = (nn.Conv2d, nn.MaxPool2d) if axes == 2 else (nn.Conv3d, nn.MaxPool3d)
    edge = int(_one(rng, (2, 4, 4, 7, 8, 14, 16, 28, 32, 48, 64, 112)) if axes == 2 else _one(rng, (2, 4, 8, 12, 16, 24)))
    batch, width, most = _batch(rng), int(_one(rng, (1, 3, *CHANNELS))), _most(rng) / (axes - 1)
    while batch > 1 and batch * width * edge**axes > MOST_NUMBERS / (axes - 1):
        batch //= 2
    layers: list[Any] = []
    inputs = torch.randn(batch, width, *[edge] * axes)
    for _ in range(int(rng.integers(2, 5))):
        kernel, step = int(_one(rng, (1, 1, 3, 3, 3, 5, 7) if axes == 2 else (1, 3, 3))), int(_one(rng, (1, 1, 1, 2)))
        wide = int(_one(rng, CHANNELS))
        places = (-(-edge // step)) ** axes
        while wide > 8 and 2.0 * batch * places * width * wide * kernel**axes > most:
            wide //= 2
        if 2.0 * batch * places * width * wide * kernel**axes > 2 * most or batch * wide * places > 2 * MOST_NUMBERS:
            kernel, wide = 1, 16
        layers.append(conv(width, wide, kernel, stride=step, padding=kernel // 2, bias=bool(rng.integers(2))))
        width, edge = wide, -(-edge // step)
        if rng.uniform() < 0.8 and edge > 1:
            layers.append(_norm(rng, axes, width))
        layers.append(_activation(rng))
        if rng.uniform() < 0.3 and edge >= 4:
            layers.append(_one(rng, (lambda: pool(2), lambda: pool(3, stride=2, padding=1)))())
            edge = -(-edge // 2) if layers[-1].kernel_size == 3 else edge // 2
    mean = nn.AdaptiveAvgPool2d(1) if axes == 2 else nn.AdaptiveAvgPool3d(1)
    return nn.Sequential(*layers, mean, nn.Flatten(), nn.Linear(width, int(_one(rng, (1, 2, 10))))), inputs


def _perceptron(rng: np.random.Generator) -> Drawn:
    import torch
    from torch import nn

    batch, width = _batch(rng, 512), int(_one(rng, (8, 20, 30, 64, 128, 512, 784, 2048)))
    huge = rng.uniform() < 0.2  # weights beyond all caches
    batch, width = (min(batch, 8), 4096) if huge else (batch, width)
    layers: list[Any] = []
    inputs = torch.randn(max(batch, 2), width)
    for _ in range(1 if huge else int(rng.integers(1, 5))):
        wide = int(_one(rng, (1024, 2048, 4096) if huge else (16, 32, 64, 128, 256, 512, 1024, 2048)))
        while wide > 16 and 2.0 * batch * width * wide > LARGEST:
            wide //= 2
        layers.append(nn.Linear(width, wide))
        if rng.uniform() < 0.4:
            layers.append(_one(rng, (nn.BatchNorm1d, nn.LayerNorm))(wide))
        layers.append(_one(rng, (nn.ReLU, nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.ELU))())
        if rng.uniform() < 0.3:
            layers.append(nn.Dropout(0.2))
        width = wide
    return nn.Sequential(*layers, nn.Linear(width, int(_one(rng, (1, 2, 10))))), inputs


def _residual(rng: np.random.Generator) -> Drawn:
    """Blocks whose outputs are added to their inputs, or laid beside them."""
    import torch
    from torch import nn

    edge, width = int(_one(rng, (2, 4, 4, 8, 14, 16, 28, 32, 56))), int(_one(rng, (16, 32, 64, 96, 128, 256, 512, 1024)))
    batch, most = _batch(rng, 32), _most(rng)
    while batch > 1 and (2.0 * 9 * batch * edge**2 * width**2 > most or batch * width * edge**2 > MOST_NUMBERS):
        batch //= 2
    added, inner = bool(rng.integers(2)), int(_one(rng, (width, width, max(width // 4, 8))))

    class Block(nn.Module):
        def __init__(self, wide: int) -> None:
            super().__init__()
            out, first = (wide if added else 32), int(_one(rng, (1, 3)))
            self.body = nn.Sequential(
                nn.BatchNorm2d(wide), nn.ReLU(inplace=True), nn.Conv2d(wide, inner, first, padding="same", bias=False),
                nn.BatchNorm2d(inner), nn.ReLU(inplace=True), nn.Conv2d(inner, out, 3, padding=1, bias=False),
            )  # fmt: skip

        def forward(self, maps: Tensor) -> Tensor:
            found: Tensor = self.body(maps)
            return maps + found if added else torch.cat([maps, found], 1)

    count = int(rng.integers(1, 4)) if edge > 8 else int(rng.integers(2, 7))
    widths = [width + (0 if added else 32 * place) for place in range(count + 1)]
    layers = [nn.Conv2d(3, width, 3, padding=1, bias=False), *(Block(wide) for wide in widths[:-1])]
    if rng.uniform() < 0.4 and edge >= 4:
        layers.append(nn.AvgPool2d(2))
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10)
    return nn.Sequential(*layers, *head), torch.randn(batch, 3, edge, edge)


def _attention(rng: np.random.Generator) -> Drawn:
    """Transformer blocks: attention as one operator, or written out in products as windows do it."""
    import torch
    from torch import nn

    heads = int(_one(rng, (2, 3, 4, 6, 8)))
    width, places = heads * int(_one(rng, (16, 32, 64))), int(_one(rng, (16, 32, 49, 64, 128, 196)))
    batch, way, share = _batch(rng, 64), str(_one(rng, ("whole", "dropped", "written", "written"))), 0.1
    most = _most(rng)
    while batch > 1 and 8.0 * batch * places * width**2 > most:
        batch //= 2

    inner, turned = int(_one(rng, (2, 4))) * width, bool(rng.integers(2))
    where = torch.arange(places)[:, None] - torch.arange(places)[None, :] + places

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.norm, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
            self.near = nn.Parameter(torch.zeros(2 * places, heads))

        def forward(self, given: Tensor) -> Tensor:
            rows, long, _ = given.shape
            given = torch.roll(given, places // 2, 1) if turned else given
            query, key, value = self.first(self.norm(given)).reshape(rows, long, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            if way == "written":
                products = (query * 0.1) @ key.transpose(-2, -1) + self.near[where].permute(2, 0, 1)
                seen = nn.functional.dropout(products.softmax(-1), share) @ value
            else:
                seen = nn.functional.scaled_dot_product_attention(query, key, value, dropout_p=share if way == "dropped" else 0.0)
            given = given + nn.functional.dropout(self.last(seen.transpose(1, 2).reshape(rows, long, width)), share)
            found: Tensor = given + self.down(nn.functional.gelu(self.up(self.second(given))))
            return found

    class Mean(nn.Module):
        def forward(self, given: Tensor) -> Tensor:
            return given.mean(1)

    blocks = [Attention() for _ in range(int(rng.integers(1, 3)))]
    return nn.Sequential(*blocks, nn.LayerNorm(width), Mean(), nn.Linear(width, 10)), torch.randn(batch, places, width)


def _hourglass(rng: np.random.Generator) -> Drawn:
    """Down and up again, with what went down laid beside it."""
    import torch
    from torch import nn

    axes = int(_one(rng, (2, 2, 3)))
    conv, up = (nn.Conv2d, nn.ConvTranspose2d) if axes == 2 else (nn.Conv3d, nn.ConvTranspose3d)
    edge, width = int(_one(rng, (16, 32, 64) if axes == 2 else (8, 16))), int(_one(rng, (8, 16, 32, 64)))
    batch = _batch(rng, 16)
    while batch > 1 and batch * width * edge**axes > MOST_NUMBERS / 4:
        batch //= 2
    kernel = int(_one(rng, (2, 3)))
    way_up = up(2 * width, width, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=kernel - 2)

    class Hourglass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Sequential(conv(1, width, 3, padding=1), _norm(rng, axes, width), _activation(rng))
            self.down = nn.Sequential(conv(width, 2 * width, 3, stride=2, padding=1), _norm(rng, axes, 2 * width), _activation(rng))
            self.up, self.leave = way_up, conv(2 * width, 2, int(_one(rng, (1, 3))), padding="same")

        def forward(self, maps: Tensor) -> Tensor:
            entered = self.enter(maps)
            found: Tensor = self.leave(torch.cat([entered, self.up(self.down(entered))], 1))
            return found.flatten(2).mean(2)

    return Hourglass(), torch.randn(batch, 1, *[edge] * axes)


FAMILIES: dict[str, Callable[[np.random.Generator], Drawn]] = {
    "convolutions": _chain(2),
    "perceptron": _perceptron,
    "residual": _residual,
    "attention": _attention,
    "hourglass": _hourglass,
    "volumes": _chain(3),
}
