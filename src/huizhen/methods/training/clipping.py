"""The sum over rows of their gradients, each clipped to one Euclidean norm, so that what one row can change it by has a bound.

Of fully connected layers no row's gradient is ever formed. A linear layer with the input a and the pull g of the loss on its output
has for one row the gradient g a', and its norm is |g| |a| (Goodfellow 2015): the norms come from what a backward pass has at hand,
and the clipped sum of all rows is one product of matrices, with the pulls scaled row by row. The gradient of layer normalisation
is no larger than its output. Of other networks the gradients of a few rows are formed at a time (`torch.func.vmap`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.methods.training.losses import RowLoss
from huizhen.methods.training.store import Store

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear, Module

    Given = tuple[Sequence[tuple[Module, Tensor]], list[Tensor]]

__all__ = ["ClippedSum", "FusedSum", "RowByRowSum", "clipped_sum_of", "shares_of"]

Doubles = NDArray[np.float64]
AT_ONCE = 2**24  # numbers held for the rows whose gradients are formed together: 64 MiB
BELOW = 1 - 2**-19  # of the clip: float32 loses less in a norm and in a row's share of the sum
POINTWISE = ("ReLU", "GELU", "ELU", "Tanh", "Sigmoid", "Dropout")
CALM = 1e18  # up to here no square of a norm has overflowed, nor does one matter that has underflowed


class ClippedSum(Protocol):
    """Takes rows with their targets, and adds the sum of their clipped gradients, over a number, to the store's gradient.

    A row of which the gradient is not finite counts for nothing.
    """

    def __call__(self, x: Tensor, y: Tensor, *, clip: float, over: float) -> None: ...


def clipped_sum_of(store: Store, loss: RowLoss) -> ClippedSum:
    """The cheapest way for a network.

    Args:
        loss: of each row by itself.
    """
    return FusedSum(store, loss) if _is_chain(store.module) else RowByRowSum(store, loss)


class FusedSum:
    """Of a chain of linear layers, layer normalisations, activations and dropout.

    The gradient of a row is made of pieces: a vector on the left, from the pull on a layer's output, times what stands on its
    right, which is the layer's input, for the weights of a linear layer, or 1. The vectors of all pieces stand side by side.
    """

    def __init__(self, store: Store, loss: RowLoss) -> None:
        from torch import nn

        self._loss = loss
        self._layers = tuple((layer, isinstance(layer, nn.Linear | nn.LayerNorm)) for layer in store.module.children())
        self._plain = _plain_layers(store.module)
        self._pieces = tuple(piece for layer, _ in self._layers for piece in _pieces_of(layer))
        self._widths = [piece.width for piece in self._pieces]
        widest = max((layer.in_features for layer, _ in self._layers if isinstance(layer, nn.Linear)), default=0)
        self._below = 1 - widest * 2.0**-30  # float32 loses more in longer sums: half a digit for each 64 terms
        self._ones = np.array([[float(piece.by_one is not None)] for piece in self._pieces])

    def __call__(self, x: Tensor, y: Tensor, *, clip: float, over: float) -> None:
        import torch

        given, pulls = self._by_hand(x, y) if self._plain else self._by_graph(x, y)
        with torch.no_grad(), np.errstate(over="ignore", invalid="ignore"):  # what overflowed is looked at
            lefts, rights = _sides(given, pulls)
            self._add_up(lefts, rights, clip=clip, over=over)

    def _by_graph(self, x: Tensor, y: Tensor) -> Given:
        """Every layer that learns with what it was given, and the pulls on what it gave."""
        import torch

        given: list[tuple[Module, Tensor]] = []
        outputs: list[Tensor] = []
        h = x
        for layer, learns in self._layers:
            before, h = h, layer(h)
            if learns:
                given.append((layer, before))
                outputs.append(h)
        return given, list(torch.autograd.grad(self._loss(h, y), outputs, h.new_ones(x.shape[0])))

    def _by_hand(self, x: Tensor, y: Tensor) -> Given:
        """The same of linear layers with ReLU between them: so few operations that to note them takes longer than to do them."""
        import torch
        from torch.nn.functional import linear

        befores, h = list["Tensor"](), x.flatten(1)
        with torch.no_grad():
            for layer in self._plain:
                befores.append(h if not befores else h.relu_())
                h = linear(befores[-1], layer.weight, layer.bias)
        pulls = [*torch.autograd.grad(self._loss(h.requires_grad_(), y), h, h.new_ones(x.shape[0]))]
        with torch.no_grad():
            for layer, before in zip(self._plain[:0:-1], befores[:0:-1]):
                pulls.append(torch.ops.aten.threshold_backward(pulls[-1] @ layer.weight, before, 0))
        return list(zip(self._plain, befores)), pulls[::-1]

    def _add_up(self, lefts: list[Tensor], rights: list[Tensor | None], *, clip: float, over: float) -> None:
        import torch

        squares = _squares(lefts, rights)
        if not squares.max() < CALM:  # nor where one is no number
            lefts, rights = [left.double() for left in lefts], [None if right is None else right.double() for right in rights]
            squares = _squares(lefts, rights)
        ours, theirs = squares[: len(lefts)], squares[len(lefts) :]
        theirs += self._ones
        shares, kept = shares_of((ours * theirs).sum(0), clip=clip * self._below, over=over)
        left = torch.cat(lefts, 1)
        if kept is not None:
            keep = torch.from_numpy(kept).to(left.device)[:, None]
            left, rights = left.where(keep, 0), [None if right is None else right.where(keep, 0) for right in rights]
        scale = torch.from_numpy(shares).to(left)
        sums = (scale @ left).split_with_sizes(self._widths)
        left.mul_(scale[:, None])
        for piece, own, right, total in zip(self._pieces, left.split_with_sizes(self._widths, 1), rights, sums):
            piece.add(own, right, total)


def shares_of(squares: Doubles, *, clip: float, over: float) -> tuple[Doubles, NDArray[np.bool_] | None]:
    """What is left of each row's gradient, the least of 1 and clip / norm, over a number; from the squares of the norms, (row,).

    Returns:
        The shares, (row,), and which rows have a norm that is finite, of the others nothing being left; None: all have.
    """
    kept = None
    if not np.isfinite(squares.sum()):
        kept = np.isfinite(squares)
        squares = np.where(kept, squares, 1)
    shares = BELOW * clip / over / np.sqrt(np.maximum(squares, np.finfo(np.float64).tiny))
    np.minimum(shares, 1 / over, out=shares)
    return shares if kept is None else shares * kept, kept


def _squares(lefts: list[Tensor], rights: list[Tensor | None]) -> Doubles:
    """Of the norms of the left sides, then of the right ones (of 1: 0, see `_ones`), float64 (2 * piece, row)."""
    single = lefts[0].element_size() == 4
    found = np.zeros((2 * len(lefts), lefts[0].shape[0]), np.float32 if single else np.float64)
    for place, each in enumerate((*lefts, *rights)):
        if each is not None and each.is_cpu:
            np.vecdot(rows := each.numpy(), rows, out=found[place])
        elif each is not None:
            found[place] = each.square().sum(1).cpu().numpy()
    return found.astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """What a layer learns from one vector on the left.

    Attributes:
        width: of the vector.
        by_input: the parameter that takes it times the layer's input.
        by_one: the parameter that takes it as it is.
    """

    width: int
    by_input: Tensor | None
    by_one: Tensor | None

    def add(self, left: Tensor, right: Tensor | None, total: Tensor) -> None:
        """Add the sum over rows: (row, width), (row, input) and (width,)."""
        if self.by_one is not None:
            _gradient(self.by_one).add_(total)
        if self.by_input is None or right is None:
            return
        place = _gradient(self.by_input)
        if left.dtype == place.dtype:
            place.addmm_(left.T, right)
        else:
            place.add_(left.T @ right)


def _pieces_of(layer: Module) -> list[_Piece]:
    from torch import nn

    if isinstance(layer, nn.Linear):
        return [_Piece(layer.out_features, layer.weight, layer.bias)]
    if isinstance(layer, nn.LayerNorm):
        return [_Piece(each.numel(), None, each) for each in (layer.weight, layer.bias) if each is not None]
    return []


def _sides(given: Sequence[tuple[Module, Tensor]], pulls: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor | None]]:
    """Left and right of the pieces of `_pieces_of`, (row, width) and (row, input) or None for 1."""
    from torch import nn

    lefts: list[Tensor] = []
    rights: list[Tensor | None] = []
    for (layer, before), pull in zip(given, pulls):
        if isinstance(layer, nn.LayerNorm):
            normal = nn.functional.layer_norm(before, layer.normalized_shape, eps=layer.eps)
            own = [pull * normal, pull][: len(_pieces_of(layer))]
            lefts, rights = lefts + own, rights + [None] * len(own)
        else:
            lefts.append(pull)
            rights.append(before.detach())
    return lefts, rights


class RowByRowSum:
    """Of any network: a few rows at a time, each by itself, so that no row can act on another."""

    def __init__(self, store: Store, loss: RowLoss) -> None:
        from torch.func import functional_call, grad, vmap

        def one(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            outputs = functional_call(store.module, weights, (x[None],))
            return loss(outputs, y[None])[0]

        self._store, self._at_once = store, 0
        self._gradients = vmap(grad(one), in_dims=(None, 0, 0), randomness="different")

    def __call__(self, x: Tensor, y: Tensor, *, clip: float, over: float) -> None:
        import torch

        learned = dict(self._store.module.named_parameters())
        weights = {name: each.detach() for name, each in learned.items()}
        self._at_once = self._at_once or max(1, AT_ONCE // (self._store.parameters + _numbers_held(self._store.module, x[:1])))
        for first in range(0, len(x), self._at_once):
            which = slice(first, first + self._at_once)
            found = {name: each.flatten(1) for name, each in self._gradients(weights, x[which], y[which]).items()}
            norms = [torch.linalg.vector_norm(each, dim=1, dtype=torch.float64) for each in found.values()]
            squares = torch.stack(norms).square_().sum(0)
            shares, kept = shares_of(squares.cpu().numpy(), clip=clip, over=over)
            scale = torch.from_numpy(shares.astype(np.float32)).to(x.device)
            for name, each in found.items():
                if kept is not None:
                    each = each.where(torch.from_numpy(kept).to(x.device)[:, None], 0)
                _gradient(learned[name]).view(-1).addmv_(each.T, scale)


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


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


def _plain_layers(module: Module) -> tuple[Linear, ...]:
    """The linear layers of a chain of nothing else, but for the ReLU between each two; none of another chain."""
    from torch import nn

    rest = list(module.children())[1:]
    between = all(type(layer) is nn.ReLU for layer in rest[1::2]) and len(rest) % 2 == 1
    return tuple(layer for layer in rest if isinstance(layer, nn.Linear)) if between and _are_linear(rest[::2]) else ()


def _are_linear(layers: Sequence[Module]) -> bool:
    from torch import nn

    return all(type(layer) is nn.Linear for layer in layers)


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
