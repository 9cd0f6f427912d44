"""Compression around any scheme: a network's changes are made smaller before they are protected, and restored from their total.

In the first round of a step a change goes whole, so that the hub knows how large it is. From then on hub and sites know the same
`Public` facts, made by the hub from totals and told with the round. What a site does not send it keeps and adds to the next change
(`privacy.compression.feedback`), for which the hub tells who was counted last.

Where the inner scheme hides each site's numbers, the levels are a part of its answer like any other. In the clear they travel
packed, beside the answer, and the hub adds them here: so each site may send other entries (top-k), and a level takes no more bits
than it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, FederationError, Problem
from huizhen.federation.replies import each_fits
from huizhen.federation.rounds import Answered, Ask, Lane
from huizhen.federation.scheme import HubSide, Scheme, SiteSide, SiteTurn, Summed
from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.feedback import Kept, send
from huizhen.privacy.compression.making import compression
from huizhen.privacy.compression.packing import pack, pack_places, unpack, unpack_places
from huizhen.privacy.compression.quantised import Quantised
from huizhen.privacy.compression.shrinking import Public, Shrunk, restored
from huizhen.privacy.compression.spec import Compress
from huizhen.privacy.release import EMPTY, Answer, Part

__all__ = ["CompressedSum"]

SMALLEST = 256  # entries; what is smaller goes whole
ROOM = 8.0  # times the mean change of a site: the first range; what lies outside is kept, and the range follows
Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class CompressedSum:
    """Changes of weights are compressed, and `inner` adds what is left.

    Attributes:
        inner: adds up.
        compress: what the study asks for, not ``none``.
        seed: the study's, from which shared entries are drawn.
    """

    inner: Scheme
    compress: Compress
    seed: int = 0

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def lane(self) -> Lane:
        return self.inner.lane

    def at_site(self, ask: Ask, side: SiteSide) -> SiteTurn:
        told = ask.notice.get("compress", EMPTY)
        site = _Site(self.compress, self.lane == "masked", ask, side, told)
        turn = self.inner.at_site(ask, replace(side, answer=site.answer))
        return replace(turn, packet={**turn.packet, **site.beside}) if site.beside else turn

    def at_hub(self, roster: tuple[str, ...], facts: Mapping[str, Any] = EMPTY) -> HubSide:
        inner = self.inner.at_hub(roster, facts.get("inner", EMPTY))
        return _Hub(inner, self.compress, self.lane == "masked", roster, self.seed, facts.get("known", EMPTY))


@dataclass(slots=True)
class _Site:
    """One turn of a site: the answer with its changes made smaller, and what goes beside it."""

    compress: Compress
    hidden: bool
    ask: Ask
    side: SiteSide
    told: Any
    beside: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> Answer:
        """The answer, computed once a round: what is kept must not be counted twice."""
        key, lasting = self.ask.question.step, self.side.lasting
        whole = self.side.answer()
        known = self.told.get("known", EMPTY) if isinstance(self.told, Mapping) else EMPTY
        parts, layouts, sent = dict(whole.parts), {}, {}
        for name, part in whole.parts.items():
            if not _is_large(part):
                continue
            if name not in known:
                layouts[name] = [[tensor, list(shape)] for tensor, shape in _layout(part.layout, part.values.size)]
                continue
            shrinking, public = _ways(known[name], self.compress, self.hidden)
            kept = Kept.from_facts(lasting[f"{key}/{name}"]) if f"{key}/{name}" in lasting else Kept()
            counted = int(known[name]["counted"].get(self.side.site, -1))
            shrunk, kept = send(shrinking, part.values.reshape(-1), kept, public, self._draws(name).bytes, counted=counted)
            lasting[f"{key}/{name}"] = kept.facts()
            if self.hidden:
                parts[name] = Part(shrunk.values.astype(np.int16), part.rows)
            else:
                del parts[name]
                sent[name] = _packed(shrunk, shrinking, self.compress.bits)
        self.beside = {name: value for name, value in (("layouts", layouts), ("shrunk", sent)) if value}
        return Answer(parts, whole.rows)

    def _draws(self, part: str) -> np.random.Generator:
        """The same for a round that is repeated; rounding at random hides nothing, so it need not be secret."""
        about = [self.ask.seed, self.side.site, self.ask.analysis, self.ask.round, self.ask.question.step, part]
        key = hashlib.blake2b("\0".join(map(str, about)).encode(), digest_size=16, person=b"huizhen rounding").digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


class _Hub:
    """The hub's side: tells what is known, and restores what was summed."""

    def __init__(
        self, inner: HubSide, compress: Compress, hidden: bool, roster: tuple[str, ...], seed: int, known: Mapping[str, Any]
    ) -> None:
        self._inner, self._compress, self._hidden, self._roster, self._seed = inner, compress, hidden, roster, seed
        self._known: dict[str, dict[str, Any]] = {step: dict(parts) for step, parts in known.items()}
        self._step = ""
        self._layouts: dict[str, Any] = {}
        self._sent: dict[str, dict[str, Shrunk]] = {}

    @property
    def answers_in(self) -> str:
        return self._inner.answers_in

    def stages(self, step: str) -> tuple[str, ...]:
        self._step, self._layouts, self._sent = step, {}, {}
        return self._inner.stages(step)

    def notice(self, stage: str) -> Mapping[str, Any]:
        notice = self._inner.notice(stage)
        if stage != self.answers_in or self._step not in self._known:
            return notice
        return {**notice, "compress": {"known": self._known[self._step]}}

    def take(self, stage: str, replies: Iterable[tuple[str, Answered]]) -> Mapping[str, str]:
        came_in = dict(replies)
        unfit = dict(self._inner.take(stage, came_in.items()))
        if stage == self.answers_in:
            sound = {site: reply for site, reply in came_in.items() if site not in unfit}
            unfit |= each_fits(self._fits, sound, "what it sent does not fit the compression of this study")
        return unfit

    def summed(self) -> Summed:
        summed = self._inner.summed()
        roster, sums, known = summed.total.roster, dict(summed.total.sums), self._known.get(self._step, {})
        after = {}
        for name, told in known.items():
            shrinking, public = _ways(told, self._compress, self._hidden)
            if self._hidden and name in sums:
                total = Shrunk(sums[name].reshape(-1))
            elif all(name in self._sent.get(site, EMPTY) for site in roster):
                total = shrinking.total([self._sent[site][name] for site in roster], public)
            else:
                continue  # this question had no such part
            sums[name] = restored(shrinking, total, public).reshape(told["shape"])
            public = shrinking.next_public(public, total, len(roster))
            after[name] = {
                **told,
                "public": public.facts(),
                "counted": told["counted"] | dict.fromkeys(roster, told["public"]["round"]),
            }
        for name, layout in self._layouts.items():
            if name in sums and name not in known:
                after[name] = self._first(layout, sums[name], roster)
        if after:
            self._known[self._step] = {**known, **after}
        return replace(summed, total=replace(summed.total, sums=sums))

    def facts(self) -> Mapping[str, Any]:
        return {"inner": dict(self._inner.facts()), "known": self._known}

    def _first(self, layout: list[Any], total: NDArray[Any], roster: tuple[str, ...]) -> dict[str, Any]:
        """What is known after a round in which the change went whole."""
        told = {"layout": layout, "shape": list(total.shape), "addends": len(self._roster), "counted": {}}
        shrinking = _shrinking(told, self._compress, self._hidden)
        flat, blocks = np.abs(total.reshape(-1)), shrinking.blocks
        largest = np.array(
            [flat[start : start + size].max(initial=0) for start, size in zip(blocks.starts, blocks.sizes, strict=True)]
        )
        public = shrinking.begin(self._seed, np.maximum(ROOM * largest / len(roster), 1e-12))
        return {**told, "public": public.facts()}

    def _fits(self, site: str, packet: Mapping[str, Any]) -> bool:
        layouts, sent = packet.get("layouts", EMPTY), packet.get("shrunk", EMPTY)
        known = self._known.get(self._step, EMPTY)
        if (
            not isinstance(layouts, Mapping)
            or not isinstance(sent, Mapping)
            or set(layouts) & set(known)
            or not set(sent) <= set(known)
        ):
            return False
        if self._layouts and layouts != self._layouts:
            return False
        if not all(_is_layout(layout) for layout in layouts.values()):
            return False
        found = {name: _unpacked(sent[name], known[name], self._compress) for name in sent}
        self._layouts, self._sent[site] = dict(layouts), found
        return not self._sent or set(found) == set(next(iter(self._sent.values())))


def _is_large(part: Part) -> bool:
    return part.kind == "addend" and part.keys is None and part.values.dtype == np.float32 and part.values.size >= SMALLEST


def _layout(layout: Layout, size: int) -> Layout:
    """The tensors of a vector; of one whose tensors are not told, or empty, itself."""
    whole = sum(int(np.prod(shape, dtype=np.int64)) for _, shape in layout) == size and all(0 not in shape for _, shape in layout)
    return layout if layout and whole else (("all", (size,)),)


def _is_layout(layout: Any) -> bool:
    try:
        Blocks(tuple(str(name) for name, _ in layout), tuple(tuple(int(side) for side in shape) for _, shape in layout))
    except (CallerError, TypeError, ValueError):
        return False
    return True


def _ways(told: Mapping[str, Any], compress: Compress, hidden: bool) -> tuple[Quantised, Public]:
    return _shrinking(told, compress, hidden), Public.from_facts(told["public"])


def _shrinking(told: Mapping[str, Any], compress: Compress, hidden: bool) -> Quantised:
    layout = told["layout"]
    blocks = Blocks(tuple(name for name, _ in layout), tuple(tuple(shape) for _, shape in layout))
    return compression(compress, blocks, addends=told["addends"] if hidden else 1)


def _packed(shrunk: Shrunk, shrinking: Quantised, bits: int) -> dict[str, Any]:
    """A site's levels as bytes."""
    packed: dict[str, Any] = {"levels": pack(shrunk.values, bits), "count": len(shrunk.values)}
    if shrunk.places is not None:
        packed |= {"places": pack_places(shrunk.places, shrinking.blocks.size), "chosen": len(shrunk.places)}
    return packed


def _unpacked(told: Any, known: Mapping[str, Any], compress: Compress) -> Shrunk:
    """What a site sent, checked whole.

    Raises:
        FederationError: it is not what the study's compression sends.
    """
    shrinking, public = _ways(known, compress, hidden=False)
    expected = {"levels", "count"} | ({"places", "chosen"} if compress.kind == "top_k" else set())
    if not isinstance(told, Mapping) or set(told) != expected or not all(isinstance(told[name], SORTS[name]) for name in told):
        raise FederationError(
            "What a site sent does not fit the compression.", [Problem("levels", "another packet", "packed levels")]
        )
    levels = unpack(told["levels"], told["count"], compress.bits)
    places = unpack_places(told["places"], told["chosen"], shrinking.blocks.size) if "places" in told else None
    shrunk = Shrunk(levels, places)
    shrinking.check(shrunk, public)
    return shrunk


SORTS = {"levels": bytes, "count": int, "places": bytes, "chosen": int}
