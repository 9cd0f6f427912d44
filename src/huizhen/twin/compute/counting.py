"""Floating-point operations and bytes of one tensor operator, from the shapes of what it reads and writes.

A multiply-add counts 2. Convolutions, matrix products and attention are counted as ``torch.utils.flop_counter`` counts them; all
other operators do a few operations for every number, and take the time of moving their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from huizhen.twin.course import Operation

__all__ = ["MATRIX_KINDS", "VIEW", "Array", "counted", "matrix_flop"]

VIEW = "aten.view"  # any operator that only looks at memory in another way
LITTLE = 4096  # bytes below which it does not matter how an array lies in memory
Counted = tuple[tuple[int, ...], float]
Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor without its numbers.

    Attributes:
        shape, strides: as torch gives them, in numbers.
        itemsize: bytes of a number.
        dtype: ``float32`` ...
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int
    dtype: str

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def held(self) -> int:
        """Bytes in memory; what is repeated by a stride of 0 stands there once."""
        return self.itemsize * prod(size for size, stride in zip(self.shape, self.strides) if stride)

    @property
    def scattered(self) -> bool:
        """Whether neighbours of the last axis do not lie beside each other."""
        last = next(((size, stride) for size, stride in zip(self.shape[::-1], self.strides[::-1]) if size > 1), (1, 1))
        return last[1] != 1 and self.held > LITTLE


def counted(name: str, args: Values, results: Sequence[Array], *, is_view: bool = False) -> Operation:
    """The operation behind one call.

    Args:
        name: ``aten.convolution`` ...; args: as it was called, tensors as `Array`; results: what came.
        is_view: whether the result is the memory of an argument.
    """
    first = next((one for one in (*results, *_arrays(args))), None)
    dtype = first.dtype if first else "float32"
    if is_view:
        return Operation(VIEW, (), 0.0, 0.0)
    read = _arrays(args)
    moved = float(sum(one.held for one in read) + sum(one.held for one in results))
    form = FORMS.get(name, _plain)
    shape, flop = form(args, results)
    scattered = form is _plain and any(one.scattered for one in read)
    return Operation(f"{name}.scattered" if scattered else name, shape, flop, moved, 1.0, dtype)


def matrix_flop(operations: Sequence[Operation]) -> float:
    """The part that convolutions, matrix products and attention do: what ``torch.utils.flop_counter`` counts."""
    return sum(one.flop * one.calls for one in operations if one.kind in MATRIX_KINDS)


def _arrays(values: Values) -> list[Array]:
    found: list[Array] = []
    for value in values:
        if isinstance(value, Array):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _arrays(value)
    return found


def _plain(args: Values, results: Sequence[Array]) -> Counted:
    """Number by number, or a sum over some axes."""
    read = _arrays(args)
    largest = max((*read, *results), key=lambda one: one.numel, default=None)
    if largest is None:
        return (0, 0), 0.0
    out = results[0].numel if results else largest.numel
    return (out, largest.shape[-1] if largest.shape else 1), float(largest.numel)


def _convolution(given: Array, weight: Array, out: Array, options: Values) -> tuple[tuple[int, ...], float]:
    """Shape: batch, channels in and out of a group, groups, numbers of a kernel, places in and out, transposed."""
    transposed, groups = bool(options[3]), int(options[5])
    places_in, places_out = prod(given.shape[2:]), prod(out.shape[2:])
    kernel = prod(weight.shape[2:])
    channels_in, channels_out = given.shape[1] // groups, out.shape[1] // groups
    flop = 2.0 * given.shape[0] * channels_in * channels_out * groups * kernel * (places_in if transposed else places_out)
    shape = (
        given.shape[0],
        channels_in,
        channels_out,
        groups,
        kernel,
        places_in,
        places_out,
        int(transposed),
        len(given.shape) - 2,
    )
    return shape, flop


def _forward(args: Values, results: Sequence[Array]) -> Counted:
    return _convolution(args[0], args[1], results[0], args[3:9])


def _backward(args: Values, _results: Sequence[Array]) -> Counted:
    """As forward, once for each gradient of inputs and weights; the shape tells whether that of the inputs is wanted."""
    shape, flop = _convolution(args[1], args[2], args[0], args[4:10])
    wanted = [bool(one) for one in args[10]]
    return (*shape, int(wanted[0])), flop * (wanted[0] + wanted[1])


def _product(left: int, right: int) -> Callable[[Values, Sequence[Array]], Counted]:
    """Shape: products side by side, rows, columns, what is summed over, and how either factor lies in memory."""

    def form(args: Values, _results: Sequence[Array]) -> Counted:
        a, b = args[left], args[right]
        rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
        side = prod(a.shape[:-2])
        return (side, rows, columns, inner, _layout(a), _layout(b)), 2.0 * side * rows * inner * columns

    return form


def _layout(one: Array) -> int:
    """0: row by row; 1: column by column; 8: neither, so that a copy may be made first."""
    rows, columns = one.shape[-2:]
    down, along = one.strides[-2:]
    if along == 1 or columns == 1:
        return 0 if down >= columns or rows == 1 else 8
    return 1 if down == 1 and along >= rows else 8


def _attention(factor: float, first: int) -> Callable[[Values, Sequence[Array]], Counted]:
    """Shape: heads over all rows, queries, keys, width of a head."""

    def form(args: Values, _results: Sequence[Array]) -> Counted:
        query, key, value = args[first : first + 3]
        side, queries, width, keys = prod(query.shape[:-2]), query.shape[-2], query.shape[-1], key.shape[-2]
        return (side, queries, keys, width), factor * side * queries * keys * (width + value.shape[-1])

    return form


def _normalisation(place: int) -> Callable[[Values, Sequence[Array]], Counted]:
    """Shape: rows, channels, numbers of a channel."""

    def form(args: Values, _results: Sequence[Array]) -> Counted:
        given = args[place]
        rows = given.shape[0] if given.shape else 1
        channels = given.shape[1] if len(given.shape) > 1 else 1
        return (rows, channels, given.numel // max(rows * channels, 1)), 5.0 * given.numel

    return form


def _pooling(place: int) -> Callable[[Values, Sequence[Array]], Counted]:
    """Shape: maps, places of a map before, numbers under the kernel."""

    def form(args: Values, results: Sequence[Array]) -> Counted:
        given = args[place]
        kernel = args[place + 1] if place + 1 < len(args) and isinstance(args[place + 1], (list, tuple)) else (1,)
        under, maps = prod(int(edge) for edge in kernel), prod(given.shape[:2])
        return (maps, given.numel // max(maps, 1), under), float(max(results[0].numel, given.numel) * min(under, 64))

    return form


FORMS: Mapping[str, Callable[[Values, Sequence[Array]], Counted]] = {
    "aten.convolution": _forward,
    "aten.convolution_backward": _backward,
    "aten.mm": _product(0, 1),
    "aten.addmm": _product(1, 2),
    "aten.bmm": _product(0, 1),
    "aten.baddbmm": _product(1, 2),
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention(2.0, 0),
    "aten._scaled_dot_product_flash_attention_for_cpu_backward": _attention(5.0, 1),
    "aten._scaled_dot_product_flash_attention": _attention(2.0, 0),
    "aten._scaled_dot_product_flash_attention_backward": _attention(5.0, 1),
    "aten._scaled_dot_product_efficient_attention": _attention(2.0, 0),
    "aten._scaled_dot_product_efficient_attention_backward": _attention(5.0, 1),
    "aten.native_batch_norm": _normalisation(0),
    "aten.native_batch_norm_backward": _normalisation(1),
    "aten._native_batch_norm_legit": _normalisation(0),
    "aten.native_group_norm": _normalisation(0),
    "aten.native_group_norm_backward": _normalisation(1),
    "aten.max_pool2d_with_indices": _pooling(0),
    "aten.max_pool2d_with_indices_backward": _pooling(1),
    "aten.max_pool3d_with_indices": _pooling(0),
    "aten.max_pool3d_with_indices_backward": _pooling(1),
    "aten.avg_pool2d": _pooling(0),
    "aten.avg_pool2d_backward": _pooling(1),
    "aten.avg_pool3d": _pooling(0),
    "aten.avg_pool3d_backward": _pooling(1),
}
MATRIX_KINDS = frozenset(
    name
    for name in FORMS
    if "convolution" in name or "attention" in name or name.rpartition(".")[2] in ("mm", "addmm", "bmm", "baddbmm")
)
