"""Networks by name: ours and those that other packages offer, through the entry-point group ``huizhen.networks``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from huizhen.extension import installed, load
from huizhen.methods.networks.kind import Kind, require_torch
from huizhen.methods.networks.network import Network

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["NETWORKS", "Description", "build", "describe", "kind", "names"]

NETWORKS = "huizhen.networks"


@dataclass(frozen=True, slots=True)
class Description:
    """What a network costs.

    Attributes:
        parameters: numbers that are learned.
        operations: floating-point operations of one row's forward pass, 2 for every multiply-add; of convolutions, matrix products
            and attention, which are nearly all.
    """

    parameters: int
    operations: int


def names() -> tuple[str, ...]:
    """The networks that installed packages offer, sorted."""
    return installed(NETWORKS)


def kind(name: str) -> Kind:
    """The kind behind a name.

    Raises:
        MachineError: no package, or more than one, offers it.
    """
    found: Kind = load(NETWORKS, name)
    return found


def build(network: Network) -> Module:
    """The module of a network, on the CPU, with torch's own initialisation under torch's global random state; see `Kind.build`."""
    return kind(network.name).build(network.inputs, network.outputs, network.settings)


def describe(name: str, inputs: tuple[int, ...], outputs: int, settings: Mapping[str, Any]) -> Description:
    """What a network costs, worked out from shapes without memory for its weights.

    Raises:
        StudyError, MachineError: as `Kind.build`.
    """
    require_torch()
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module = kind(name).on_paper(inputs, outputs, settings).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *inputs, device="meta"))
    return Description(sum(each.numel() for each in module.parameters()), counter.get_total_flops())
