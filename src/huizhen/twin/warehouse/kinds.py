"""What may be said of each kind of entity: its words, its quantities, how fast they grow old, and what is assumed in their place.

One table serves the warehouse, the file of a mirrored federation and its page in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["KINDS", "MIRRORED", "Kind", "Measure", "Word"]

DAY = 86_400.0
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Word:
    """A fact in words.

    Attributes:
        usual: where nothing is said; None: it must be said.
        among: what may be said; (): anything.
        names: the kind of entity that it names; "" for none.
    """

    usual: str | None = None
    among: tuple[str, ...] = ()
    names: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """A fact in numbers.

    Attributes:
        unit: as in `twin.quantity`; "" for any.
        doubles_s: in how many seconds the logarithm of its spread grows by log 2; infinite for what does not change.
        doubt: the spread of a value that is declared without an interval, a factor.
        usual: the value and its spread where nothing is said; None: it must be said.
        optional: it may stay unsaid, and nothing is assumed.
        most: no value is larger.
    """

    unit: str
    doubles_s: float = NEVER
    doubt: float = 1.0
    usual: tuple[float, float] | None = None
    optional: bool = False
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity.

    Attributes:
        open: further words and quantities of any name may be said.
    """

    words: Mapping[str, Word] = field(default_factory=lambda: MappingProxyType({}))
    quantities: Mapping[str, Measure] = field(default_factory=lambda: MappingProxyType({}))
    open: bool = False


DOCUMENT = {"digest": Word(""), "document": Word("")}

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "hub": Kind({"device": Word(names="device"), "region": Word("")}),
        "router": Kind({"region": Word("")}),
        "institution": Kind({"title": Word(""), "region": Word("")}, open=True),
        "site": Kind(
            {"institution": Word(""), "device": Word(names="device"), "region": Word("")},
            {
                "rows": Measure("count", 365 * DAY, 1.1),
                "falls_silent": Measure("1", 90 * DAY, 2.0, (0.02, 3.0), most=1.0),
            },
        ),
        "device": Kind(
            {"kind": Word(among=("cpu", "gpu")), "calibration": Word("")},
            {
                "cores": Measure("count"),
                "peak": Measure("flop/s", doubt=1.2),
                "memory_rate": Measure("byte/s", doubt=1.2, usual=(1e10, 2.0)),
                "memory": Measure("byte"),
                "factor": Measure("1", 90 * DAY, 1.2, (1.0, 2.0)),
                "load": Measure("1", 7 * DAY, 2.0, (0.1, 3.0), most=1.0),
            },
        ),
        "link": Kind(
            {"a": Word(), "b": Word(), "shared": Word("yes", ("yes", "no"))},
            {
                "there": Measure("byte/s", 30 * DAY, 1.25),
                "back": Measure("byte/s", 30 * DAY, 1.25),
                "rtt": Measure("s", 90 * DAY, 1.25),
                "loss": Measure("1", 30 * DAY, 2.0, (1e-4, 10.0), most=1.0),
                "overhead": Measure("byte", usual=(0.0, 1.0)),
            },
        ),
        "path": Kind(
            {"from": Word(), "to": Word()},
            {
                "rate": Measure("byte/s", 30 * DAY, 1.25, optional=True),
                "rtt": Measure("s", 90 * DAY, 1.25, optional=True),
                "loss": Measure("1", 30 * DAY, 2.0, optional=True, most=1.0),
            },
        ),
        "data_card": Kind({"site": Word(names="site"), **DOCUMENT}, {"rows": Measure("count", optional=True)}, open=True),
        "model_card": Kind({"network": Word(""), **DOCUMENT}, open=True),
        "cipher_profile": Kind({"algorithm": Word(), "device": Word(""), **DOCUMENT}, open=True),
        "scenario": Kind(DOCUMENT, open=True),
        "forecast": Kind({"study": Word(), **DOCUMENT}, open=True),
        "run": Kind({"study": Word(), **DOCUMENT}, open=True),
        "observation": Kind({"part": Word(), "subject": Word()}, {"seen": Measure("")}, open=True),
        "residual": Kind({"part": Word(), "subject": Word()}, {"predicted": Measure(""), "seen": Measure("")}, open=True),
    }
)
MIRRORED = ("hub", "router", "device", "link", "site")  # what a mirror is made of
