"""The virtual engine: asks and replies pass through the real messages in this process, and the clock alone says how long it took.

Every ask is packed as the wire packs it, unpacked and served as a site serves it, and so is the reply: what a site sees and what
the hub adds is what would have come over the wire. A site's time is what its program advances the clock by, and what `takes` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from huizhen.clock import ManualClock
from huizhen.errors import FederationError, HuizhenError, Problem
from huizhen.federation.rounds import Ask, Failed, Reply, Silent
from huizhen.federation.wire.carried import UNTOLD, ask_to, reply_from
from huizhen.federation.wire.message import OPENING, Packed, pack, unpack
from huizhen.federation.wire.serving import Serving
from huizhen.privacy.release import Question
from huizhen.twin.simulate.carriage import Bytes, there_and_back

__all__ = ["Measure", "Passage", "Respondent", "VirtualEngine", "unpadded", "whole"]

NAME = "0" * 16  # of a question that is told once; as long as any
SPENT = 0.1  # processor seconds that a reply tells: their digits are not to make a difference, and no float says 0.1 shorter


class Respondent(Protocol):
    """A site, as an engine sees it."""

    def respond(self, ask: Ask) -> Reply:
        """The site's reply; it should not raise."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One ask that went to a site and the reply that came back.

    Attributes:
        bytes: on the line, both ways.
        ask_size, reply_size: of the packed messages.
    """

    site: str
    ask: Ask
    reply: Reply
    bytes: Bytes
    ask_size: int
    reply_size: int


Measure = Callable[[Packed], int]


def whole(packed: Packed) -> int:
    """All of its bytes."""
    return packed.size


def unpadded(packed: Packed) -> int:
    """Bytes without the zeros behind the head: they come and go with every byte more, and hide how a message grows."""
    head = int(OPENING.unpack(packed.buffers[0][: OPENING.size])[3])
    return packed.size - -(OPENING.size + head) % 8


def _at_once(_: Passage) -> float:
    return 0.0


def _unseen(_: Passage) -> None:
    return None


class VirtualEngine:
    """Carries asks by packing, serving and unpacking them.

    Args:
        respondents: the sites.
        clock: virtual time; all sites of an exchange begin at the same moment, and it ends with the last of them.
        takes: seconds that a passage takes beside what the site's program advances the clock by.
        seen: is told every passage, in the order asked.
        measure: bytes of a packed message.
    """

    name = "virtual"

    def __init__(
        self,
        respondents: Mapping[str, Respondent],
        clock: ManualClock,
        *,
        takes: Callable[[Passage], float] = _at_once,
        seen: Callable[[Passage], None] = _unseen,
        measure: Measure = whole,
    ) -> None:
        self._serving = {site: Serving(one.respond) for site, one in respondents.items()}
        self._clock, self._takes, self._seen, self._measure = clock, takes, seen, measure
        self._named: dict[str, Question] = {}  # by site: the question of several stages that it was told last

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self._serving)

    def exchange(self, asks: Mapping[str, Ask], *, deadline_s: float) -> Iterator[tuple[str, Reply]]:
        if strangers := [site for site in asks if site not in self._serving]:
            problem = Problem("roster", ", ".join(strangers), f"sites of this engine: {', '.join(self._serving)}")
            raise FederationError("A site is asked that is not here.", [problem])
        began_s, ended_s, replies = self._clock.elapsed_s, self._clock.elapsed_s, dict[str, Reply]()
        for site, ask in asks.items():
            self._clock.elapsed_s = began_s  # sites work beside each other
            passage = self._passed(site, ask)
            self._seen(passage)
            took_s = self._clock.elapsed_s - began_s + self._takes(passage)
            replies[site] = passage.reply if took_s <= deadline_s else Silent()
            silent = isinstance(replies[site], Silent)
            ended_s = max(ended_s, began_s + (deadline_s if silent else took_s))
        self._clock.elapsed_s = ended_s
        return iter(replies.items())

    def close(self) -> None:
        """There is nothing to let go of."""

    def _passed(self, site: str, ask: Ask) -> Passage:
        """Tells a question of several stages once, as the engine across hospitals does."""
        if ask.lane != "masked":
            return self._served(site, ask, ask_to(ask))
        if self._named.get(site) is ask.question:
            passage = self._served(site, ask, ask_to(ask, named=NAME, told=True))
            if not isinstance(passage.reply, _Untold):
                return passage
        passage = self._served(site, ask, ask_to(ask, named=NAME))
        self._named[site] = ask.question
        return passage

    def _served(self, site: str, ask: Ask, body: Mapping[str, Any]) -> Passage:
        asked = pack({"verb": "ask", "body": body})
        said = self._said(site, unpack(asked.whole())["body"])
        replied = pack({"body": said})
        reply = _Untold() if said == UNTOLD else _reply(replied)
        sizes = self._measure(asked), self._measure(replied)
        return Passage(site, ask, reply, there_and_back(*sizes), *sizes)

    def _said(self, site: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        said = self._serving[site](site, body)
        return {**said, "seconds": SPENT} if "seconds" in said else said


class _Untold(Failed):
    """The site does not know the question that was named; never leaves this file."""

    def __init__(self) -> None:
        super().__init__("")


def _reply(replied: Packed) -> Reply:
    try:
        return reply_from(unpack(replied.whole())["body"])
    except HuizhenError as error:
        return Failed(error.message)
