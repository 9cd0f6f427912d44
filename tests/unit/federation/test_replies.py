"""A site that sends what is no reply fails alone; nobody decides for all."""

from __future__ import annotations

import numpy as np
import pytest

from huizhen.federation.replies import checked, each_fits, most_say
from huizhen.federation.rounds import Answered, Box, Failed, Refused, Silent
from huizhen.privacy.release import Answer, Part


def answered(values, rows=9, **more):
    return Answered(Answer({"sum": Part(values, rows)}, rows), **more)


def nested(depth):
    value: object = 1
    for _ in range(depth):
        value = {"in": value}
    return value


SOUND = {
    "numbers": answered(np.array([1.0, 2.0])),
    "large numbers": answered(np.full(4, 1e308)),
    "counts": answered(np.array([3])),
    "a packet": Answered(None, (Box("a", "b", b"sealed"),), {"words": {"whole": np.zeros(3, np.uint64)}}),
    "a refusal": Refused(("too few",), ("min_rows",)),
    "silence": Silent(),
}
UNSOUND = {
    "no number": answered(np.array([np.nan])),
    "infinity": answered(np.array([np.inf], np.float32)),
    "objects": answered(np.array([object()])),
    "a list": answered([1.0]),
    "no rows": answered(np.array([1.0]), rows=None),
    "words for rows": answered(np.array([1.0]), rows="x"),
    "negative rows": answered(np.array([1.0]), rows=-1),
    "more rows than there are people": answered(np.array([1.0]), rows=2**60),
    "a packet that is a list": Answered(None, (), [1, 2]),
    "a packet without a bottom": Answered(None, (), nested(5000)),
    "a box of text": Answered(None, (Box("a", "b", "open"),)),
    "boxes that are none": Answered(None, 5),
    "an answer that is none": Answered("answer"),
    "a refusal of a number": Refused(5),
    "a failure without words": Failed(None),
    "nothing": None,
}


@pytest.mark.parametrize("reply", SOUND.values(), ids=SOUND)
def test_a_sound_reply_passes_unchanged(reply):
    assert checked(reply) is reply


@pytest.mark.parametrize("reply", UNSOUND.values(), ids=UNSOUND)
def test_what_is_no_reply_is_a_failure_of_its_site(reply):
    assert isinstance(checked(reply), Failed)


def test_a_packet_that_nobody_thought_of_leaves_its_site_out():
    def handle(site, packet):
        return packet["number"] > 0

    replies = {site: Answered(None, (), packet) for site, packet in (("a", {"number": 1}), ("b", {}), ("c", {"number": -1}))}
    assert each_fits(handle, replies, "unfit") == {"b": "unfit", "c": "unfit"}


def test_most_sites_decide_and_not_the_first():
    assert most_say(["a lie", "truth", "truth"]) == "truth"
    assert most_say(["one", "other"]) == "one"
    assert most_say([]) is None
