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
    """The weights of one module.

    Outside, a vector holds every parameter in module order, row by row, and then the floating-point buffers. Inside, the kernels of
    2-D convolutions lie channels last, which is nearly twice as fast on a CPU.

    Attributes:
        module: on its device, with parameters that are views of `flat` and gradients that are views of `gradient`.
        flat: float32 (parameters,), in inner order.
        gradient: float32 (parameters,), in inner order.
        names: name and shape of each piece of the outer vector.
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
        kernels = _kernels(module)
        self._last = [id(each) in kernels for _, each in learned]
        self._shapes = [shape for _, shape in self.names[: self.learned]]
        self.flat = torch.zeros(self.parameters, device=device)
        self.gradient = torch.zeros(self.parameters, device=device)
        for (_, each), weights, gradient in zip(learned, self._views(self.flat), self._views(self.gradient)):
            weights.copy_(each.data)
            each.data, each.grad = weights, gradient

    def load(self, weights: Weights) -> None:
        """Take on the weights, float32 (size,)."""
        self.flat.copy_(self.inward(weights[: self.parameters]))
        place = self.parameters
        for _, buffer in self._buffers:
            buffer.copy_(_tensor(weights[place : place + buffer.numel()]).view(buffer.shape))
            place += buffer.numel()

    def weights(self) -> Weights:
        """A copy of the weights, float32 (size,)."""
        pieces = [self.flat] if not any(self._last) else [each.reshape(-1) for each in self._views(self.flat)]
        found: Weights = np.concatenate([each.cpu().numpy().reshape(-1) for each in (*pieces, *(b for _, b in self._buffers))])
        return found

    def inward(self, vector: NDArray[Any]) -> Tensor:
        """A vector over the parameters in inner order and on the module's device."""
        given = _tensor(vector)
        if not any(self._last):
            return given.to(self.flat.device)
        import torch

        found, place = torch.empty_like(self.flat), 0
        for view in self._views(found):
            view.copy_(given[place : place + view.numel()].view(view.shape))
            place += view.numel()
        return found

    def _views(self, flat: Tensor) -> list[Tensor]:
        """Each parameter's piece of a vector in inner order, in the parameter's shape."""
        found, place = [], 0
        for shape, last in zip(self._shapes, self._last):
            piece = flat[place : place + prod(shape)]
            place += prod(shape)
            out, within, *edges = shape if last else (0, 0)
            found.append(piece.view(out, *edges, within).permute(0, 3, 1, 2) if last else piece.view(shape))
        return found

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


def _kernels(module: Module) -> set[int]:
    """The weights of 2-D convolutions, by identity."""
    from torch import nn

    return {id(each.weight) for each in module.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)}


def _tensor(vector: NDArray[Any]) -> Tensor:
    import torch

    # torch warns of arrays that nobody may write to, such as decoded ones.
    return torch.from_numpy(np.array(vector, np.float32))
