"""What telemetry may tell: each metric with its unit and what is possible at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        unit: the twin's.
        about: what its subject names: a device, a link or path, a study's analysis and step.
        most: no value is larger.
        alike: whether sites do the same there, so that one that is far from the others is to be named.
    """

    unit: str
    about: str
    most: float = math.inf
    alike: bool = True


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "cpu_load": Metric("1", "device", 1.0),
        "memory_used": Metric("byte", "device", alike=False),
        "memory_share": Metric("1", "device", 1.0),
        "gpu_load": Metric("1", "device", 1.0),
        "gpu_memory_used": Metric("byte", "device", alike=False),
        "power": Metric("W", "device", alike=False),
        "clock_offset": Metric("s", "device"),
        "bytes_in": Metric("byte/s", "device", alike=False),
        "bytes_out": Metric("byte/s", "device", alike=False),
        "rtt": Metric("s", "path"),
        "rtt_spread": Metric("s", "path"),
        "loss": Metric("1", "path", 1.0),
        "retransmitted": Metric("1", "path", 1.0),
        "rate_down": Metric("byte/s", "path"),
        "rate_up": Metric("byte/s", "path"),
        "one_way_delay": Metric("s", "path"),
        "answer_cpu": Metric("s", "step"),
        "answer_seconds": Metric("s", "step"),
        "answer_bytes": Metric("byte", "step"),
        "round_seconds": Metric("s", "step", alike=False),
        "run_seconds": Metric("s", "study", alike=False),
        "silent": Metric("count", "step"),
    }
)
