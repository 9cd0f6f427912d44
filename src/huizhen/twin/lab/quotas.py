"""How much of the processor a site may take: control groups of either version, where this machine lets them be made."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Quotas", "quota_of"]

PERIOD_US = 100_000  # the kernel's own
SECOND, FIRST = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu")


def quota_of(cores: float) -> int:
    """Microseconds of a period; -1 for no limit.

    >>> quota_of(0.5), quota_of(0)
    (50000, -1)
    """
    return max(1000, round(cores * PERIOD_US)) if cores else -1


class Quotas:
    """A group for each site; `why_not` tells why there are none.

    Args:
        tag: what the groups' names begin with.
    """

    def __init__(self, tag: str, *, roots: tuple[Path, Path] = (SECOND, FIRST)) -> None:
        self._tag, self.why_not, self._root, self._is_second = tag, "", roots[0], True
        controllers = roots[0] / "cgroup.subtree_control"
        if controllers.exists() and "cpu" in controllers.read_text().split() and os.access(roots[0], os.W_OK):
            return
        if (roots[1] / "cpu.cfs_quota_us").exists() and os.access(roots[1], os.W_OK):
            self._root, self._is_second = roots[1], False
        elif not (roots[1] / "cgroup.procs").exists() or not os.access(roots[1], os.W_OK):
            self.why_not = "no control group of the processor can be made here: quotas are not kept"
        else:
            self._root, self._is_second = roots[1], False

    def made(self, site: str) -> Path | None:
        """The group of a site, made."""
        path = self._root / f"{self._tag}-{site}"
        if self.why_not:
            return None
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            self.why_not = "no control group of the processor can be made here: quotas are not kept"
            return None
        return path

    def enter(self, group: Path | None, pid: int) -> None:
        """Puts a process, and all that it will start, into a group."""
        if group is not None:
            (group / "cgroup.procs").write_text(str(pid))

    def limit(self, group: Path | None, cores: float) -> None:
        """Gives a group its quota."""
        if group is None:
            return
        quota = quota_of(cores)
        if self._is_second:
            (group / "cpu.max").write_text(f"{'max' if quota < 0 else quota} {PERIOD_US}")
            return
        with suppress(FileNotFoundError):
            (group / "cpu.cfs_quota_us").write_text(str(quota))
