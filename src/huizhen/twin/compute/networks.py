"""The work of training and using networks, counted from their descriptions: no weights, no data, no memory.

Networks are those that packages offer under the entry points ``huizhen.networks``, or any module of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from huizhen.errors import CallerError, Problem, closest
from huizhen.extension import installed, load
from huizhen.twin.compute.stepping import Training, mean_square, stepping
from huizhen.twin.compute.tracing import faked, gathered, recorded, require_torch
from huizhen.twin.course import Operation, Work

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["forward_work", "module_step", "network_step", "over_steps", "training_work"]

NETWORKS = "huizhen.networks"
PLAIN = Training()
Loss = Callable[["Tensor", "Tensor"], "Tensor"]


def network_step(
    name: str,
    inputs: tuple[int, ...],
    outputs: int,
    settings: Mapping[str, Any] | None = None,
    *,
    batch: int,
    training: Training = PLAIN,
    loss: Loss | None = None,
) -> Work:
    """One step of training of a network on a batch: forward, backward and optimiser.

    Args:
        inputs: shape of one row; outputs: numbers that it gives for one.
        loss: of outputs and targets of their shape; the mean square by default.

    Raises:
        CallerError: no installed package declares the network, or no row is in a batch.
        StudyError: settings or inputs that it does not take.
        MachineError: torch is not installed.
    """
    kind = _declared(name, batch)
    kind.check(inputs, outputs, settings or {})
    checked = kind.settings.model_validate(dict(settings or {}))
    return module_step(lambda: kind.make(inputs, outputs, checked), inputs, name, batch=batch, training=training, loss=loss)


def module_step(
    make: Callable[[], Module],
    inputs: tuple[int, ...],
    label: str,
    *,
    batch: int,
    training: Training = PLAIN,
    loss: Loss | None = None,
) -> Work:
    """One step of training of any module, which `make` builds; it takes no memory here."""
    require_torch()
    import torch

    with faked():
        module = make()
        rows = torch.randn(batch, *inputs)
        with torch.no_grad():
            targets = torch.zeros_like(module(rows))
        calls = recorded(stepping(module, rows, targets, loss or mean_square, training))
    return Work(label, gathered([one for one, _ in calls]), batch)


def forward_work(name: str, inputs: tuple[int, ...], outputs: int, settings: Mapping[str, Any] | None = None, *, rows: int) -> Work:
    """What a network computes to judge rows: a forward pass without gradients."""
    kind = _declared(name, rows)
    kind.check(inputs, outputs, settings or {})
    import torch

    with faked(), torch.no_grad():
        module = kind.make(inputs, outputs, kind.settings.model_validate(dict(settings or {}))).eval()
        given = torch.randn(rows, *inputs)
        calls = recorded(lambda: module(given))
    return Work(f"{name} forward", gathered([one for one, _ in calls]), rows)


def training_work(step: Callable[[int], Work], *, rows: int, batch: int, epochs: int = 1, steps: int = 0) -> Work:
    """A site's training in one round: whole batches, and a last smaller one in each epoch.

    Args:
        step: the work of one step of so many rows.
        rows: of the site; steps: a fixed number of steps instead of epochs, 0: none.
    """
    if steps:
        return over_steps(step(min(batch, rows)), steps)
    whole, rest = divmod(rows, batch)
    pieces = [over_steps(step(batch), whole * epochs)] if whole else []
    if rest:
        pieces.append(over_steps(step(rest), epochs))
    label = pieces[0].label if pieces else "training"
    return Work(label, gathered([one for piece in pieces for one in piece.operations]), rows * epochs)


def over_steps(work: Work, times: float) -> Work:
    """The same work, so many times."""
    operations: tuple[Operation, ...] = tuple(replace(one, calls=one.calls * times) for one in work.operations)
    return Work(work.label, operations, int(work.rows * times))


def _declared(name: str, rows: int) -> Any:
    """The kind of network behind a name."""
    known = installed(NETWORKS)
    problems = []
    if name not in known:
        near = closest(name, known)
        remedy = f"Did you mean {near}?" if near else "Declare it as an entry point of its package"
        problems.append(Problem(f"{NETWORKS}.{name}", "no network of this name", f"one of: {', '.join(known)}", remedy))
    if rows < 1:
        problems.append(Problem("batch", str(rows), "1 or more"))
    if problems:
        raise CallerError("The work of this network cannot be counted.", problems)
    require_torch()
    return load(NETWORKS, name)
