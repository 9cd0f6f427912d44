"""What a study asks of the federation that runs it: per round and stage, the bytes each way, the work and the protection.

A Course is found once, by a rehearsal on stand-ins, and is played any number of times: on other links, devices and seeds. It knows
no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from huizhen.twin.quantity import Quantity

__all__ = ["Course", "Operation", "RoundDemand", "StageDemand", "Use", "Work"]

NO_WORK: Mapping[str, Work] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Operation:
    """Operations of one kind and shape, one after another.

    Attributes:
        kind: the operator: ``aten.convolution``, ``aten.mm``, ``glm.gram``, ``cox.risk_sums``, ``trees.histogram``, ``sort`` ...
        shape: what its cost depends on beside flop and bytes, such as (rows, columns); kinds know what theirs means.
        flop: floating-point operations of one call, a multiply-add counting 2.
        moved: bytes read and written by one call, each array once.
        calls: how often; may be fractional where it is an expectation.
    """

    kind: str
    shape: tuple[int, ...]
    flop: float
    moved: float
    calls: float = 1.0
    dtype: str = "float64"


@dataclass(frozen=True, slots=True)
class Work:
    """What a device computes in one stage.

    Attributes:
        label: the network or method, for models of a model on a device.
        operations: in no order; () is no work.
        rows: examples behind it.
    """

    label: str
    operations: tuple[Operation, ...] = ()
    rows: int = 0

    @property
    def flop(self) -> float:
        return sum(one.flop * one.calls for one in self.operations)

    @property
    def moved(self) -> float:
        return sum(one.moved * one.calls for one in self.operations)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a protection or cipher: what it takes follows from algorithm and length.

    Attributes:
        algorithm: ``masking``, ``aes-256-gcm``, ``paillier-3072``, ``dp.gaussian``, ``compress.uniform16`` ... as in `twin.cipher`.
        step: ``seal``, ``open``, ``mask``, ``unmask``, ``add``, ``sign``, ``verify``, ``hash``, ``keys``.
        length: numbers or bytes, as the algorithm counts.
        times: how often.
    """

    algorithm: str
    step: str
    length: int
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class StageDemand:
    """One stage of a round: the hub asks, every site answers, the hub adds up.

    Attributes:
        stage: as in `federation.rounds` (``answer``, ``advertise``, ``share``, ``mask``, ``unmask`` ...).
        down, up: bytes to, and from, each site as the bus carries the message and its reply, framing of message and bus included,
            that of the transport (TLS, TCP, IP) not.
        work: at each site; protect: at each site; by site name.
        adding: what the hub does with the replies.
        sealing: protection at the hub.
    """

    stage: str
    down: Mapping[str, int]
    up: Mapping[str, int]
    work: Mapping[str, Work] = field(default_factory=lambda: NO_WORK)
    protect: Mapping[str, tuple[Use, ...]] = field(default_factory=lambda: MappingProxyType({}))
    adding: Work = Work("adding")
    sealing: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundDemand:
    """One round.

    Attributes:
        step: the method's own word for it.
        times: how often this very round comes, one after another; for a training of many rounds there is one of these.
    """

    analysis: str
    step: str
    stages: tuple[StageDemand, ...]
    times: Quantity


@dataclass(frozen=True, slots=True)
class Course:
    """A study's demand, round after round.

    Attributes:
        study: the study's digest.
        roster: the sites, in order.
        deadline_s: of each round; 0: none.
        quorum: sites without which a round fails.
        keeps_roster: whether a lost site stops the study (exact methods) or the round goes on without it.
        notes: what was assumed, in plain words.
        patience: how often a round that lacks sites is asked again; on_loss: whether an exact method then begins anew without them
            (``restart``) or ends (``wait``).
    """

    study: str
    title: str
    roster: tuple[str, ...]
    rounds: tuple[RoundDemand, ...]
    deadline_s: float = 0.0
    quorum: int = 1
    keeps_roster: bool = True
    notes: tuple[str, ...] = ()
    patience: int = 0
    on_loss: Literal["restart", "wait"] = "restart"
