"""A network's weights as one flat vector, and as the module works with them: the same memory, seen twice.

A step of the optimiser is then a handful of operations on one vector, however many layers there are.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["Store"]

Weights = NDArray[np.float32]


class Store:
    """The weights of one module: a vector of every parameter in module order, and then of the floating-point buffers.

    Attributes:
        module: on its device, with parameters that are views of `flat` and gradients that are views of `gradient`.
        flat: float32 (parameters,).
        gradient: float32 (parameters,).
        names: name and shape of each piece of the weights.
        learned: how many of the pieces are parameters; the first ones.
        parameters: entries that are learned; the first ones.
        size: entries altogether.
        normalisation: which entries belong to batch normalisation, (size,).
    """

    def __init__(self, module: Module, device: Any) -> None:
        import torch

        _forget_counts(module)
        self.module = module.to(device=device, dtype=torch.float32)
        learned = list(module.named_parameters())
        self._buffers = [(name, each) for name, each in module.named_buffers() if each.is_floating_point()]
        self.names = tuple((name, tuple(each.shape)) for name, each in (*learned, *self._buffers))
        self.learned = len(learned)
        self.parameters = sum(each.numel() for _, each in learned)
        self.size = sum(prod(shape) for _, shape in self.names)
        self.normalisation = self._of_normalisation()
        self.flat = torch.cat([each.data.reshape(-1) for _, each in learned])
        self.gradient = torch.zeros_like(self.flat)
        place = 0
        for _, each in learned:
            piece = slice(place, place + each.numel())
            each.data, each.grad = self.flat[piece].view(each.shape), self.gradient[piece].view(each.shape)
            place = piece.stop

    def load(self, weights: Weights) -> None:
        """Take on the weights, float32 (size,)."""
        given = self.placed(weights)
        self.flat.copy_(given[: self.parameters])
        place = self.parameters
        for _, buffer in self._buffers:
            buffer.copy_(given[place : place + buffer.numel()].view(buffer.shape))
            place += buffer.numel()

    def weights(self) -> Weights:
        """A copy of the weights, float32 (size,)."""
        pieces = (self.flat, *(buffer.reshape(-1) for _, buffer in self._buffers))
        found: Weights = np.concatenate([each.cpu().numpy() for each in pieces])
        return found

    def placed(self, vector: NDArray[Any]) -> Tensor:
        """A copy of a vector, in float32 on the module's device."""
        import torch

        # Copied first: torch warns of arrays that nobody may write to, such as decoded ones.
        return torch.from_numpy(np.array(vector, np.float32)).to(self.flat.device)

    def _of_normalisation(self) -> NDArray[np.bool_]:
        from torch.nn.modules.batchnorm import _BatchNorm

        rooms = {name for name, module in self.module.named_modules() if isinstance(module, _BatchNorm)}
        counts = [prod(shape) for _, shape in self.names]
        return np.repeat([name.rpartition(".")[0] in rooms for name, _ in self.names], counts)


def _forget_counts(module: Module) -> None:
    """Running means are exponential: nobody reads how many batches there were, and the batched path cannot change a count."""
    for each in module.modules():
        if getattr(each, "num_batches_tracked", None) is not None:
            setattr(each, "num_batches_tracked", None)  # noqa: B010 (torch declares it a tensor)
