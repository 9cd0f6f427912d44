"""The sum over rows of their gradients, each clipped to one Euclidean norm, so that what one row can change it by has a bound.

Of fully connected layers no row's gradient is ever formed. A linear layer with the input a and the pull g of the loss on its output
has for one row the gradient g a', and its norm is |g| |a| (Goodfellow 2015): the norms come from what a backward pass has at hand,
and the clipped sum of all rows is one product of matrices, with the pulls scaled row by row. The gradient of layer normalisation
is no larger than its output. Of other networks the gradients of a few rows are formed at a time (`torch.func.vmap`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from huizhen.methods.training.losses import Loss
from huizhen.methods.training.store import Store

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import LayerNorm, Linear, Module

__all__ = ["ClippedSum", "FusedSum", "RowByRowSum", "clipped_sum_of"]

AT_ONCE = 2**24  # numbers held for the rows whose gradients are formed together: 64 MiB
BELOW = 1 - 2**-18  # of the clip: float32 loses less in a norm and in a row's share of the sum
POINTWISE = ("ReLU", "GELU", "ELU", "Tanh", "Sigmoid", "Dropout")
CALM = 1e18  # up to here the squares of two factors neither overflow nor is one so small that it was lost


class ClippedSum(Protocol):
    """Takes rows with their targets, leaves the sum of their clipped gradients in the store's gradient.

    A row of which the gradient is not finite counts for nothing.
    """

    def __call__(self, x: Tensor, y: Tensor, clip: float) -> None: ...


def clipped_sum_of(store: Store, loss: Loss) -> ClippedSum:
    """The cheapest way for a network.

    Args:
        loss: a mean over rows of what each row has by itself (`huizhen.methods.training.losses.ROWS_MEET` are not).
    """
    return FusedSum(store, loss) if _is_chain(store.module) else RowByRowSum(store, loss)


class FusedSum:
    """Of a chain of linear layers, layer normalisations, activations and dropout."""

    def __init__(self, store: Store, loss: Loss) -> None:
        self._layers, self._loss = tuple(store.module.children()), loss

    def __call__(self, x: Tensor, y: Tensor, clip: float) -> None:
        import torch

        parts, outputs, h = list[_Part](), list["Tensor"](), x
        for layer in self._layers:
            before, h = h, layer(h)
            if isinstance(layer, torch.nn.Linear):
                parts.append(_Affine(layer, before))
            elif isinstance(layer, torch.nn.LayerNorm):
                parts.append(_Normal(layer, before))
            else:
                continue
            outputs.append(h)
        loss = self._loss(h, y, h.new_ones(len(x)))
        pulls = torch.autograd.grad(loss, outputs, loss.new_tensor(float(len(x))))
        with torch.no_grad():
            self._add_up(parts, pulls, clip)

    def _add_up(self, parts: list[_Part], pulls: tuple[Tensor, ...], clip: float) -> None:
        import torch

        factors = torch.stack([torch.stack(part.squares(pull)) for part, pull in zip(parts, pulls)])  # (part, 2, row)
        squares, kept = factors.prod(1).sum(0), None
        if not factors.max() < CALM:  # nor where one is not a number
            parts, pulls = [part.in_double() for part in parts], tuple(pull.double() for pull in pulls)
            squares = torch.stack([torch.mul(*part.squares(pull)) for part, pull in zip(parts, pulls)]).sum(0)
            kept = squares.isfinite()
        shares = _shares(squares, clip)
        for part, pull in zip(parts, pulls):
            part.sum_up(pull, shares, kept)


class RowByRowSum:
    """Of any network: a few rows at a time, each by itself, so that no row can act on another."""

    def __init__(self, store: Store, loss: Loss) -> None:
        from torch.func import functional_call, grad, vmap

        def one(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            outputs = functional_call(store.module, weights, (x[None],))
            return loss(outputs, y[None], outputs.new_ones(1))

        self._store, self._at_once = store, 0
        self._gradients = vmap(grad(one), in_dims=(None, 0, 0), randomness="different")

    def __call__(self, x: Tensor, y: Tensor, clip: float) -> None:
        import torch

        learned = dict(self._store.module.named_parameters())
        weights = {name: each.detach() for name, each in learned.items()}
        self._at_once = self._at_once or max(1, AT_ONCE // (self._store.parameters + _numbers_held(self._store.module, x[:1])))
        self._store.gradient.zero_()
        for first in range(0, len(x), self._at_once):
            which = slice(first, first + self._at_once)
            found = {name: each.flatten(1) for name, each in self._gradients(weights, x[which], y[which]).items()}
            norms = [torch.linalg.vector_norm(each, dim=1, dtype=torch.float64) for each in found.values()]
            squares = torch.stack(norms).square_().sum(0)
            kept = squares.isfinite()
            shares = _shares(squares, clip).where(kept, 0).float()
            for name, each in found.items():
                each = each if kept.all() else each.where(kept[:, None], 0)
                place = learned[name].grad
                assert place is not None
                place.view(-1).addmv_(each.T, shares)


def _shares(squares: Tensor, clip: float) -> Tensor:
    """What is left of each row's gradient, from the squares of their norms."""
    return squares.rsqrt().mul_(BELOW * clip).clamp_max_(1.0)


class _Part(Protocol):
    """A layer that learns, and one factor of its rows' gradients; the other is the pull on its output."""

    def squares(self, pull: Tensor) -> tuple[Tensor, Tensor]:
        """Two numbers for each row, (row,) each: their product is the square of the norm of its gradient."""

    def sum_up(self, pull: Tensor, shares: Tensor, kept: Tensor | None) -> None:
        """Put the sum of the rows' gradients, each times its share, in its place; rows not kept count for nothing."""

    def in_double(self) -> _Part:
        """The same in double precision."""


class _Affine:
    def __init__(self, layer: Linear, before: Tensor) -> None:
        self._layer, self._before = layer, before

    def squares(self, pull: Tensor) -> tuple[Tensor, Tensor]:
        own = _square(self._before)
        return own if self._layer.bias is None else own + 1, _square(pull)

    def sum_up(self, pull: Tensor, shares: Tensor, kept: Tensor | None) -> None:
        scaled, before = _scaled(pull, shares, kept), self._before if kept is None else self._before.where(kept[:, None], 0)
        _put(self._layer.weight, scaled.T @ before)
        _put(self._layer.bias, scaled.sum(0))

    def in_double(self) -> _Part:
        return _Affine(self._layer, self._before.double())


class _Normal:
    def __init__(self, layer: LayerNorm, before: Tensor) -> None:
        self._layer, self._before = layer, before

    def squares(self, pull: Tensor) -> tuple[Tensor, Tensor]:
        own = _square(pull * self._normal())
        return own.new_ones(len(own)), own if self._layer.bias is None else own + _square(pull)

    def sum_up(self, pull: Tensor, shares: Tensor, kept: Tensor | None) -> None:
        scaled, normal = _scaled(pull, shares, kept), self._normal()
        _put(self._layer.weight, (scaled * (normal if kept is None else normal.where(kept[:, None], 0))).sum(0))
        _put(self._layer.bias, scaled.sum(0))

    def in_double(self) -> _Part:
        return _Normal(self._layer, self._before.double())

    def _normal(self) -> Tensor:
        from torch.nn.functional import layer_norm

        return layer_norm(self._before, self._layer.normalized_shape, eps=self._layer.eps)


def _square(rows: Tensor) -> Tensor:
    return rows.square().sum(1)


def _scaled(pull: Tensor, shares: Tensor, kept: Tensor | None) -> Tensor:
    scaled = pull * shares[:, None]
    return scaled if kept is None else scaled.where(kept[:, None], 0)


def _put(parameter: Tensor | None, found: Tensor) -> None:
    if parameter is not None:
        assert parameter.grad is not None
        parameter.grad.copy_(found)


def _is_chain(module: Module) -> bool:
    """Whether one layer follows on another, each in its own memory, and every one that learns is of a kind known here."""
    from torch import nn

    layers = list(module.children())
    if type(module) is not nn.Sequential or not layers or type(layers[0]) is not nn.Flatten or layers[0].start_dim != 1:
        return False
    learning = [layer for layer in layers if any(True for _ in layer.parameters())]
    known = all(
        type(layer) is nn.Linear or (type(layer) is nn.LayerNorm and len(layer.normalized_shape) == 1) for layer in learning
    )
    others = (layer for layer in layers[1:] if layer not in learning)
    return known and len({id(layer) for layer in layers}) == len(layers) and all(_is_pointwise(layer) for layer in others)


def _is_pointwise(layer: Module) -> bool:
    from torch import nn

    return type(layer) in (getattr(nn, name) for name in POINTWISE) and not getattr(layer, "inplace", False)


def _numbers_held(module: Module, row: Tensor) -> int:
    """What a row leaves between the layers, forward and back."""
    import torch

    held = 0

    def note(_module: Module, _inputs: object, output: object) -> None:
        nonlocal held
        held += output.numel() if isinstance(output, torch.Tensor) else 0

    hooks = [each.register_forward_hook(note) for each in module.modules() if not list(each.children())]
    with torch.no_grad():
        module(row)
    for hook in hooks:
        hook.remove()
    return 2 * held
