"""The operators that torch calls while something runs, each counted; with a stopwatch, each timed where it stands.

On fake tensors nothing is computed and no memory taken: a network's step is counted from its description.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from huizhen.errors import MachineError, Problem
from huizhen.twin.compute.counting import Array, counted
from huizhen.twin.course import Operation

__all__ = ["Timed", "faked", "gathered", "recorded", "require_torch"]

Timed = tuple[Operation, float]


def require_torch() -> None:
    """Raise an error that names the extra if torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        problem = Problem("torch", "not installed", "torch 2.6 or newer, and monai", "pip install 'huizhen[networks]'")
        raise MachineError("The work of a network is counted with torch.", [problem]) from None


def recorded(run: Callable[[], object], *, stopwatch: Callable[[], float] | None = None) -> list[Timed]:
    """Every operator that `run` calls, in order, with its seconds by `stopwatch` (0.0 without one)."""
    require_torch()
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[tuple[Any, tuple[Any, ...], Any, float]] = []
    seconds = stopwatch or (lambda: 0.0)

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            named = kwargs or {}
            before = seconds()
            result = func(*args, **named)
            took = seconds() - before
            if func.namespace != "prim":  # asks what a tensor is, and computes nothing
                found.append((func, tuple(_faceless(one) for one in args), _faceless(result), took))
            return result

    with Recorder():  # type: ignore[no-untyped-call]
        run()
    return [(_operation(func, args, result), took) for func, args, result, took in found]


@contextmanager
def faked() -> Iterator[Any]:
    """Within it every new tensor has a shape and no memory."""
    require_torch()
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def gathered(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Equal operations as one with the sum of their calls."""
    calls: dict[tuple[str, tuple[int, ...], float, float, str], float] = {}
    for one in operations:
        key = (one.kind, one.shape, one.flop, one.moved, one.dtype)
        calls[key] = calls.get(key, 0.0) + one.calls
    return tuple(Operation(kind, shape, flop, moved, times, dtype) for (kind, shape, flop, moved, dtype), times in calls.items())


def _operation(func: Any, args: tuple[Any, ...], result: Any) -> Operation:
    name = str(func._schema.name).replace("::", ".")
    results = [one for one in (result if isinstance(result, list) else [result]) if isinstance(one, Array)]
    return counted(name, args, results, is_view=_is_view(func))


def _is_view(func: Any) -> bool:
    """Whether the operator gives an argument's own memory without writing to it."""
    returns = [one.alias_info for one in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in returns) or func._schema.name == "aten::_unsafe_view"


def _faceless(value: Any) -> Any:
    """The same with `Array` in place of tensors, so that no tensor is kept alive."""
    import torch

    if isinstance(value, torch.Tensor):
        strides = tuple(value.stride()) if value.layout == torch.strided else (1,) * value.dim()
        return Array(tuple(value.shape), strides, value.element_size(), str(value.dtype).removeprefix("torch."))
    if isinstance(value, (list, tuple)):
        return [_faceless(one) for one in value]
    return value
