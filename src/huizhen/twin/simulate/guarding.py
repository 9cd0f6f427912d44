"""What protections and ciphers a stage uses at a site and at the hub, read off the real ask and reply: how often, on how much.

Names of algorithms and steps are those of `huizhen.twin.course.Use`; how long each takes is the models' to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from huizhen.federation.masked.epoch import ROUNDS
from huizhen.federation.rounds import Answered, Ask
from huizhen.federation.study import Study
from huizhen.privacy.masking.graph import degree, threshold
from huizhen.privacy.masking.streams import SEED_BYTES
from huizhen.twin.course import Use
from huizhen.twin.simulate.engine import Passage

__all__ = ["numbers_of", "uses_at_hub", "uses_at_site"]

LINE = "aes-256-gcm"  # of TLS 1.3 as the bus speaks it, and of sealed boxes
ENTRY = 600  # bytes of a ledger's entry, about


def uses_at_site(study: Study, passage: Passage) -> tuple[Use, ...]:
    """What a site does to protect its answer in this stage, and the line's own cipher."""
    ask, reply = passage.ask, passage.reply
    line = (Use(LINE, "open", passage.bytes.down), Use(LINE, "seal", passage.bytes.up))
    if not isinstance(reply, Answered):
        return line
    own = _of_stage(study, ask, reply)
    return (*line, *own, *_of_answer(study, ask, reply))


def uses_at_hub(study: Study, stage: str, passages: Iterable[Passage], *, summed: int) -> tuple[Use, ...]:
    """What the hub does for all sites together; `summed`: numbers of the round's hidden sum, as far as they have come."""
    each = tuple(passages)
    down, up = sum(one.bytes.down for one in each), sum(one.bytes.up for one in each)
    line = (Use(LINE, "seal", down), Use(LINE, "open", up))
    answered = [one for one in each if isinstance(one.reply, Answered)]
    if not answered:
        return line
    if stage == "mask":
        return (*line, *(Use(ring, "add", count, len(answered)) for ring, count in _rings(answered[0].reply)))
    if stage == "unmask":
        kept = _packet(answered[0].reply).get("shares", {})
        return (*line, Use("masking", "unmask", summed, len(answered)), Use("shamir", "open", len(kept)))
    if stage == "encrypt":
        return (*line, Use(_paillier(study), "add", _bytes(_packet(answered[0].reply).get("sums")), len(answered)))
    return line


def numbers_of(reply: Any) -> int:
    """How many numbers a reply holds, in its answer and in its packet."""
    if not isinstance(reply, Answered):
        return 0
    parts = 0 if reply.answer is None else sum(part.values.size for part in reply.answer.parts.values())
    return parts + _numbers(reply.packet)


def _of_stage(study: Study, ask: Ask, reply: Answered) -> tuple[Use, ...]:
    if study.protection.sum == "plain" or ask.question.step == "muster":
        return ()
    others, boxes = len(ask.roster) - 1, len(reply.boxes)
    if ask.stage == "advertise":
        keys = (Use("x25519", "keys", 32), Use("ml-kem-768", "keys", 1184), Use("ed25519", "sign", 1300))
        holds = study.protection.sum == "paillier" and "key" in reply.packet
        return (*keys, Use(_paillier(study), "keys", study.protection.key_bits)) if holds else keys
    if ask.stage in ("share", "entrust"):
        sealed = max((len(box.sealed) for box in reply.boxes), default=0)
        dealt = len(reply.packet.get("promises", b"")) // (ROUNDS * 16) * ROUNDS * SEED_BYTES
        agreed = (Use("ed25519", "verify", 1300, others), Use("x25519", "open", 32, boxes), Use("ml-kem-768", "seal", 1088, boxes))
        split = (Use("shamir", "seal", dealt, boxes),) if dealt else ()
        return (*agreed, Use(LINE, "seal", sealed, boxes), *split)
    if ask.stage == "mask":
        near = degree(len(ask.roster))
        masks = (
            Use(ring, step, count, times) for ring, count in _rings(reply) for step, times in (("seal", 1), ("mask", near + 1))
        )
        return (*_opened(ask), *masks)
    if ask.stage == "encrypt":
        return (*_opened(ask), Use(_paillier(study), "seal", _bytes(reply.packet.get("sums"))))
    if ask.stage == "confirm":
        return (Use("ed25519", "sign", 200),)
    if ask.stage == "unmask":
        return (Use("ed25519", "verify", 200, threshold(len(ask.roster))),)
    if ask.stage == "open" and reply.packet:
        return (Use("ed25519", "verify", 200, others), Use(_paillier(study), "open", _bytes(ask.notice.get("totals"))))
    return ()


def _opened(ask: Ask) -> tuple[Use, ...]:
    """Boxes that came with an ask."""
    if not ask.boxes:
        return ()
    size = max(len(box.sealed) for box in ask.boxes)
    return (Use("ml-kem-768", "open", 1088, len(ask.boxes)), Use(LINE, "open", size, len(ask.boxes)))


def _of_answer(study: Study, ask: Ask, reply: Answered) -> tuple[Use, ...]:
    """What is done to an answer before it is added: noise, compression, and the entry in the site's ledger."""
    numbers = numbers_of(reply)
    if not numbers:
        return ()
    found = [Use("ed25519", "sign", ENTRY), Use("sha-256", "hash", ENTRY)]
    noise, compress = study.protection.noise, study.protection.compression
    if noise is not None:
        found.append(Use(f"dp.{noise.mechanism}", "mask", numbers))
    if compress.kind != "none" and ask.question.step != "muster":
        found.append(Use(f"compress.{compress.kind}{compress.bits}", "seal", numbers))
    return tuple(found)


def _paillier(study: Study) -> str:
    return f"paillier-{study.protection.key_bits}"


def _rings(reply: Any) -> Iterator[tuple[str, int]]:
    """The rings of masked words, by the name of what is done in them, and how many numbers stand in each."""
    told = _packet(reply).get("words", {})
    counts = {"masking-64": told["whole"].size, "masking-512": told["real"].shape[1]} if told else {}
    for each in (array for name in ("short", "sizes", "level") for array in told.get(name, {}).values()):
        name = f"masking-{8 * each.itemsize}"
        counts[name] = counts.get(name, 0) + each.size
    return ((name, count) for name, count in counts.items() if count)


def _packet(reply: Any) -> Mapping[str, Any]:
    return reply.packet if isinstance(reply, Answered) else {}


def _numbers(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_numbers, value.values()))
    return value.size if isinstance(value, np.ndarray) else 0


def _bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return len(value) if isinstance(value, bytes) else 0
