"""What an engine is: it carries one stage of a round to named sites and brings back one reply for each of them.

Everything else (stages, sums, rosters, restarts, events) is written once, in `conduct`, so an engine is small and every engine
passes the same contract suite, `tests/contract/test_engine.py`:

- every site asked gets exactly one reply, under its own name;
- a site without a reply at the deadline is `Silent`; a reply that comes later is dropped;
- a site whose program breaks is `Failed`, and the others are not disturbed;
- sealed boxes come to the site that they name, unread and unchanged;
- replies are handed over one by one, in the order in which the sites were asked: whoever adds them up need never hold them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from huizhen.federation.rounds import Ask, Reply

__all__ = ["Engine"]


class Engine(Protocol):
    """Carries asks to sites. Chosen where a program is assembled, and nowhere else."""

    name: str

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that can be asked."""

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Iterator[tuple[str, Reply]]:
        """One stage: each site's ask goes out, each site's reply comes back, at the latest after `deadline_s` seconds.

        All asks go out when this is called, whether or not the replies are taken.

        Raises:
            FederationError: a site is asked that this engine does not know.
        """

    def close(self) -> None:
        """Let go of threads, sockets and files. May be called twice."""
