"""A site's looks at its own machine: how busy it is, kept in the site's folder as telemetry. Nothing of it leaves the site here.

Off unless the site's configuration says otherwise. What a look cannot see (no ``/proc``, no GPU) it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huizhen.clock import Clock
from huizhen.site.settings import Settings
from huizhen.twin.warehouse.questions import Retention
from huizhen.twin.warehouse.readings import Point, Series, gathered
from huizhen.twin.warehouse.sources.machine import Snapshot, snapshot, used_between
from huizhen.twin.warehouse.telemetry import Telemetry

__all__ = ["FOLDER", "Sampler", "gpus", "machine", "sampler_of"]

FOLDER = "telemetry"  # in a site's folder
AT_ONCE = 10  # looks that are written together: each writing is a file, and a killed agent loses no more than these
DEVICE = "server"
RETAIN_S = 86_400.0


@dataclass(slots=True)
class Sampler:
    """Looks every so often, and keeps what it saw.

    Attributes:
        every_s: seconds from look to look.
        look: what the machine tells now; None where it tells nothing.
        also: further points of a moment, such as those of GPUs.
    """

    telemetry: Telemetry
    site: str
    clock: Clock
    every_s: float
    retention: Retention
    look: Callable[[Clock], Snapshot | None]
    also: Callable[[Clock, str], Sequence[Point]] = lambda _clock, _site: ()
    _last: Snapshot | None = None
    _due_s: float = float("-inf")
    _retained_s: float = float("-inf")
    _waiting: list[Point] = field(default_factory=list)
    _looks: int = 0

    def step(self) -> None:
        """Looks if it is time to.

        Raises:
            MachineError: the telemetry cannot be written.
        """
        now_s = self.clock.seconds()
        if now_s < self._due_s:
            return
        self._due_s = now_s + self.every_s
        seen = self.look(self.clock)
        if seen is not None and self._last is not None:
            self._waiting += used_between(self._last, seen, site=self.site, device=DEVICE)
        self._last = seen
        self._waiting += self.also(self.clock, self.site)
        self._looks += 1
        if self._looks >= AT_ONCE:
            self.write()
        if now_s - self._retained_s >= RETAIN_S:
            self._retained_s = now_s
            self.telemetry.retain(self.retention, now=self.clock.now())

    def write(self) -> None:
        """Keeps what was seen."""
        points, self._waiting, self._looks = self._waiting, [], 0
        if points:
            self.telemetry.append(gathered(points), now=self.clock.now())


def sampler_of(settings: Settings, root: Path, clock: Clock) -> Sampler | None:
    """The sampler of a site's configuration; None where it does not look."""
    told = settings.telemetry
    if not told.sample:
        return None
    retention = Retention(told.whole_days, told.coarse_days)
    return Sampler(Telemetry(root / FOLDER), settings.site.name, clock, told.every_s, retention, machine, gpus)


def machine(clock: Clock, root: Path = Path("/proc")) -> Snapshot | None:
    """This machine now; None where it has no ``/proc``."""
    try:
        texts = [(root / name).read_text(encoding="ascii", errors="replace") for name in ("stat", "meminfo", "net/dev")]
        return snapshot(*texts, at=clock.now())
    except (OSError, ValueError):
        return None


def gpus(clock: Clock, site: str, nvml: Any = None) -> Sequence[Point]:
    """Load, memory and power of the GPUs that NVML sees; () where it is not installed, or sees none.

    Args:
        nvml: the module `pynvml`; imported where there is one.
    """
    if nvml is None:
        try:
            import pynvml
        except ImportError:
            return ()
        nvml = pynvml
    try:
        nvml.nvmlInit()
        try:
            return [point for place in range(nvml.nvmlDeviceGetCount()) for point in _gpu(nvml, place, clock, site)]
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError:
        return ()


def _gpu(nvml: Any, place: int, clock: Clock, site: str) -> Sequence[Point]:
    handle = nvml.nvmlDeviceGetHandleByIndex(place)
    found = (
        ("gpu_load", "1", nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),  # percent
        ("gpu_memory_used", "byte", float(nvml.nvmlDeviceGetMemoryInfo(handle).used)),
        ("power", "W", nvml.nvmlDeviceGetPowerUsage(handle) / 1000),  # milliwatts
    )
    return [Point(Series(site, f"gpu{place}", metric, unit, "agent"), clock.now(), value) for metric, unit, value in found]
