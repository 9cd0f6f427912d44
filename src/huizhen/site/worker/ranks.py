"""Several processes of one site that compute one heavy answer together: rank 0 is the worker, which starts the others.

Each rank holds the rows and is told the same question; gradients are added up over a loop that leads nowhere else, by
torch.distributed (gloo; nccl where each rank has a graphics processor of its own), whose ranks find each other by a file. Rank 0's
answer is the worker's. When a rank is gone the worker ends at once, so that one answer fails, and is replaced with all its ranks.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from huizhen.errors import MachineError
from huizhen.privacy.release import Question
from huizhen.site.worker.frames import Frame, receive, send
from huizhen.site.worker.launch import launch_beside
from huizhen.site.worker.limits import Limits

__all__ = ["DONE", "LOST", "RANK_LOST", "Group", "Ranks", "RanksLost", "computed_together"]

DONE = Frame("done", {})  # what another rank says where the worker says more
RANK_LOST = 72  # exit status of a worker that has lost a rank
SMALL = 2**16  # bytes of what another rank may say
LOOP = "lo"
LOST = "one of the worker's ranks ended in the middle of an answer; the next question starts all anew"


class RanksLost(MachineError):
    """One of the ranks is gone."""


def computed_together(question: Question) -> bool:
    """Whether a question is worth several processes; each method that is has to add up over `Local.team`."""
    return (question.method, question.step) == ("averaging", "train")


class Group:
    """A `huizhen.methods.method.Team` over torch.distributed; the ranks meet when first something is added.

    Args:
        meeting: path of a file that is not there yet, the same for all.
        within_s: how long one rank waits for the others.
    """

    def __init__(self, rank: int, size: int, meeting: str, within_s: float) -> None:
        self.rank, self.size = rank, size
        self._meeting, self._within = meeting, timedelta(seconds=within_s)
        self._joined = False

    def add(self, values: Any) -> None:
        import torch
        from torch import distributed

        if not self._joined:
            os.environ["GLOO_SOCKET_IFNAME"] = LOOP
            own = torch.cuda.is_available() and torch.cuda.device_count() >= self.size
            if own:
                torch.cuda.set_device(self.rank)
            meeting = f"file://{self._meeting}"
            distributed.init_process_group(
                "nccl" if own else "gloo", meeting, rank=self.rank, world_size=self.size, timeout=self._within
            )
            self._joined = True
        distributed.all_reduce(values)


class Ranks:
    """The other ranks, as rank 0 knows them.

    Args:
        limits: of each of them.
        network: as the worker's.
        meeting: as of `Group`.
    """

    def __init__(self, limits: Limits, network: str, meeting: str) -> None:
        self._limits = limits
        self._lines: list[socket.socket] = []
        self._processes = []
        for rank in range(1, limits.ranks):
            ours, theirs = socket.socketpair()
            settings = json.dumps({**asdict(limits), "network": network, "rank": rank, "meeting": meeting})
            arguments = [str(theirs.fileno()), settings]
            self._processes.append(launch_beside("huizhen.site.worker.program", arguments, hand_over=[theirs.fileno()]))
            theirs.close()
            self._lines.append(ours)
        threading.Thread(target=self._end_with_any, daemon=True).start()

    def _end_with_any(self) -> None:
        """Ends this process when a rank is gone: others may wait for it, some of them for very long."""
        gone = select.poll()
        for line in self._lines:
            gone.register(line, select.POLLRDHUP)
        gone.poll()
        os._exit(RANK_LOST)

    def tell(self, frame: Frame) -> None:
        """Tells all of them the same.

        Raises:
            RanksLost: one does not take it.
        """
        try:
            for line in self._lines:
                send(line, frame, lambda: self._limits.answer_s)
        except OSError:
            raise self.lost() from None

    def hear(self, within_s: float) -> None:
        """Waits until all of them have done what they were told.

        Raises:
            RanksLost: one has not.
        """
        try:
            said = [receive(line, most=SMALL, left=lambda: within_s) for line in self._lines]
        except (OSError, ValueError):
            raise self.lost() from None
        if any(frame.kind != DONE.kind for frame in said):
            raise self.lost()

    def are_here(self) -> bool:
        """Whether none of them has ended."""
        return all(process.poll() is None for process in self._processes)

    @staticmethod
    def lost() -> RanksLost:
        """What is said of it."""
        return RanksLost(LOST)
