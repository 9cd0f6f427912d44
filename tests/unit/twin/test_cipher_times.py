"""Seconds of protections: from a calibration, from parts, from a usual device; what is seen teaches."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.clock import ManualClock
from huizhen.errors import CallerError
from huizhen.twin.cipher.calibration import calibrated, measured
from huizhen.twin.cipher.composition import composed
from huizhen.twin.cipher.model import Asked, CipherModel
from huizhen.twin.cipher.ownworks import own_works
from huizhen.twin.cipher.pack import Law, Pack, from_json, to_json
from huizhen.twin.cipher.profiles import KNOWN, profile
from huizhen.twin.cipher.reference import REFERENCE
from huizhen.twin.cipher.works import Work, basic_works
from huizhen.twin.course import Use
from huizhen.twin.mirror import Device
from huizhen.twin.quantity import declared, exactly
from huizhen.twin.simulate.models import plain_models
from huizhen.twin.simulate.play import play
from huizhen.twin.simulate.rehearsal import rehearse
from mirrors import mirror, standins

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PACK = Pack(
    "north",
    NOW,
    {
        ("aes-256-gcm", "seal"): Law((16, 1016), (1e-6, 2e-6), 0.01),
        ("rsa-2048-oaep", "seal"): Law((32,), (5e-5,), 0.02),
    },
    {"openssl": "3.5"},
)


def device(name="north", *, calibration="north", factor=1.0, load=0.0):
    rates = declared(1e10, "flop/s"), declared(1e10, "byte/s"), declared(8e9, "byte")
    return Device(name, "cpu", 2, *rates, declared(factor, "1"), declared(load, "1"), calibration)


MODEL = CipherModel({"north": PACK})


def test_seconds_are_a_fixed_part_and_a_part_for_each_byte():
    told = MODEL.predict(Asked(Use("aes-256-gcm", "seal", 100_016, 4), device()))
    assert told.total.value == pytest.approx(4 * (1e-6 + 100_000 * 1e-9))
    assert told.total.provenance == "measured"
    assert told.total.low < told.total.value < told.total.high
    assert MODEL(Use("aes-256-gcm", "seal", 16), device(load=0.5)).value == pytest.approx(2e-6)


def test_a_hybrid_takes_as_long_as_both_halves():
    told = MODEL.predict(Asked(Use("rsa-2048-hybrid", "seal", 1016), device()))
    assert told.total.value == pytest.approx(5e-5 + 2e-6)
    assert told.total.provenance == "fitted"
    assert list(told.parts) == ["rsa-2048-oaep seal", "aes-256-gcm seal"]
    assert sum(part.value for part in told.parts.values()) == pytest.approx(told.total.value)


def test_what_was_not_calibrated_is_that_of_a_usual_device_times_the_factor_and_says_so():
    known = MODEL.predict(Asked(Use("sm3", "hash", 10**6), device(factor=1.0)))
    slow = MODEL.predict(Asked(Use("sm3", "hash", 10**6), device("old", calibration="", factor=3.0)))
    assert slow.total.value == pytest.approx(3 * known.total.value)
    assert slow.total.provenance == known.total.provenance == "assumed"
    assert "was not calibrated" in slow.notes[0]
    assert slow.total.spread > MODEL(Use("aes-256-gcm", "seal", 16), device()).spread


def test_broken_algorithms_are_timed_and_named():
    told = MODEL.predict(Asked(Use("md5", "hash", 1000), device()))
    assert "broken" in told.notes[-1]
    assert "Wang and Yu" in told.notes[-1]


def test_every_step_of_every_profile_has_seconds_on_a_usual_device():
    missing = {"x25519", "ml-kem-768", "sm4-gcm"} & set()
    for name, one in {
        **KNOWN,
        "ckks-16384-60.40.40.60": profile("ckks-16384-60.40.40.60"),
        "shamir-5": profile("shamir-5"),
    }.items():
        for step in one.steps:
            for length in (0, 100, 10**7):
                found = CipherModel().predict(Asked(Use(name, step, length), device(calibration="")))
                assert 0 <= found.total.value < 3600, (name, step, length)
                assert found.total.value > 0 or (name, length) == ("tls-1.3", 0), (name, step)
    assert not missing


@given(st.sampled_from(sorted(REFERENCE.laws)), st.integers(0, 10**8), st.integers(0, 10**8))
def test_more_never_takes_less(key, one, other):
    law = REFERENCE.laws[key]
    short, long = sorted((one, other))
    assert law.seconds(short) <= law.seconds(long) * (1 + 1e-12)


@given(st.integers(1, 200_000), st.floats(0.5, 100))
def test_times_multiply(length, times):
    one = CipherModel()(Use("aes-256-gcm", "seal", length), device(calibration="")).value
    many = CipherModel()(Use("aes-256-gcm", "seal", length, times), device(calibration="")).value
    assert many == pytest.approx(times * one)


def test_a_use_that_cannot_be_is_refused_with_all_that_is_wrong():
    for use in (Use("aes-256", "seal", 3), Use("ckks-8192-60", "seal", 3), Use("shamir-0", "seal", 3)):
        with pytest.raises(CallerError, match="not known to the twin"):
            MODEL.predict(Asked(use, device()))
    with pytest.raises(CallerError) as refused:
        MODEL.predict(Asked(Use("sm3", "seal", -1, math.inf), device()))
    assert len(refused.value.problems) == 3
    with pytest.raises(CallerError, match="calibration lost"):
        MODEL.predict(Asked(Use("sm3", "hash", 1), device(calibration="lost")))
    with pytest.raises(CallerError, match="one that was calibrated"):
        CipherModel({}, replace(REFERENCE, laws={})).predict(Asked(Use("sm3", "hash", 1), device(calibration="")))
    with pytest.raises(CallerError, match="above 0"):
        MODEL.observe(Asked(Use("aes-256-gcm", "seal", 1), device()), 0.0, at=NOW)


def test_records_seal_what_their_bytes_are():
    parts = composed(Use("tls-1.3", "seal", 3 * 16_384, 2))
    assert [(part.length, part.times) for part in parts] == [(16_385, 6)]
    assert composed(Use("aes-256-gcm", "seal", 3)) == ()


def test_what_is_seen_teaches_a_device_and_then_a_step():
    """A device is 1.5 times as slow as its calibration said, and one step of it by another tenth."""
    rng, model = np.random.default_rng(7), MODEL
    asked = [Asked(Use("aes-256-gcm", "seal", length), device()) for length in (1000, 10_000, 100_000)]
    other = Asked(Use("rsa-2048-hybrid", "seal", 2000), device())
    for _ in range(6):
        for one in asked:
            model = model.observe(one, model.predict(one).total.value * 1.5 * math.exp(0.02 * rng.normal()), at=NOW)
        model = model.observe(other, model.predict(other).total.value * 1.65, at=NOW)
    before = model.error_card()
    assert before.count == 24
    assert before.mape == pytest.approx(1 - 1 / 1.5, abs=0.03)
    assert before.bias < 0
    assert model.predict(asked[0]).total == MODEL.predict(asked[0]).total, "observing alone changes nothing"
    after = model.refit()
    for one, factor in ((asked[1], 1.5), (other, 1.65)):
        assert after.predict(one).total.value / MODEL.predict(one).total.value == pytest.approx(factor, rel=0.03)
    elsewhere = Asked(Use("aes-256-gcm", "seal", 1000), device("south", calibration="", factor=2.0))
    assert after.predict(elsewhere).total == MODEL.predict(elsewhere).total
    held_out = replace(after, seen=())
    for _ in range(20):
        seen = MODEL.predict(asked[2]).total.value * 1.5 * math.exp(0.02 * rng.normal())
        held_out = held_out.observe(asked[2], seen, at=NOW)
    card = held_out.error_card()
    assert card.mape < 0.05
    assert card.coverage >= 0.8
    assert 0 < card.spread < 0.05
    assert MODEL.refit() is MODEL
    assert math.isnan(MODEL.error_card().mape)


def test_a_pack_comes_back_from_its_file():
    assert from_json(to_json(PACK)) == PACK
    assert from_json(to_json(REFERENCE)).laws == dict(REFERENCE.laws)


def test_a_pack_that_is_none_is_refused_with_all_that_is_wrong():
    told = json.loads(to_json(PACK))
    told["laws"][0]["seconds"] = [2.0, 1.0]
    told["laws"][1]["algorithm"] = "rot13"
    told["at"] = "yesterday"
    told["device"] = ""
    with pytest.raises(CallerError) as refused:
        from_json(json.dumps(told))
    assert len(refused.value.problems) == 4
    for text in ("", "[]", '{"format": 3}', "[" * 10**5, json.dumps({**told, "laws": 3}), json.dumps({**told, "laws": [3]})):
        with pytest.raises(CallerError):
            from_json(text)


def test_the_least_of_some_repetitions_counts():
    ticks = iter([0.0, 0.1, 0.1, 0.4, 0.4, 0.6, 0.6, 1.2])
    assert measured(lambda: None, budget_s=0.05, seconds=lambda: next(ticks)) == (0.1, 0.0)


def test_calibrating_gives_a_law_for_each_work_within_its_budget():
    wanted = {
        ("aes-256-gcm", "seal"),
        ("masking-16", "mask"),
        ("dp.laplace", "mask"),
        ("compress.top_k8", "seal"),
        ("shamir", "open"),
    }
    works = [
        replace(work, lengths=work.lengths[:3])
        for make in (basic_works, own_works)
        for work in make()
        if (work.algorithm, work.step) in wanted
    ]
    pack = calibrated("north", ManualClock(), budget_s=0.2, works=works)
    assert set(pack.laws) == wanted
    assert all(seconds > 0 for law in pack.laws.values() for seconds in law.seconds_at)
    assert from_json(to_json(pack)) == pack
    assert "openssl" in pack.software


def test_every_work_is_a_step_of_a_profile_and_can_be_done():
    """Each is prepared and called once on its shortest length; what makes keys is left out, for it takes long."""
    known = 0
    for make in (basic_works, own_works):
        for work in make():
            assert isinstance(work, Work)
            assert work.step in profile(work.algorithm).steps
            if work.step != "keys" and "3072" not in work.algorithm and "4096" not in work.algorithm:
                work.prepared(work.lengths[0])()
                known += 1
    assert known > 80


TRAINING = {"averaging": {"task": "classification", "outcome": ["smoker"], "covariates": ["age", "lab", "sex"], "rounds": 4}}
PROTECTIONS = {
    "plain": ({}, None),
    "masked": ({"sum": "masked"}, None),
    "encrypted": ({"sum": "paillier"}, None),
    "trained": ({"sum": "masked"}, TRAINING),
}


@pytest.mark.parametrize("name", PROTECTIONS)
def test_all_that_a_rehearsal_protects_with_has_seconds(name):
    protection, method = PROTECTIONS[name]
    course = rehearse(standins(3, protection=protection, method=method))
    model, here = CipherModel(), device(calibration="")
    stages = [stage for one in course.rounds for stage in one.stages]
    uses = [use for stage in stages for each in (*stage.protect.values(), stage.sealing) for use in each]
    assert all(model(use, here).value > 0 for use in uses if use.length and use.times)
    own = {use.algorithm for use in uses} - {"aes-256-gcm", "ed25519", "sha-256"}
    assert bool(own) == (name != "plain")


def test_a_play_takes_the_model_as_it_is():
    """Of the same course on the same lines, one with costly protections takes longer."""
    course = rehearse(standins(3, protection={"sum": "paillier"}))
    place, plain = mirror(course.roster), plain_models()
    free = replace(plain, protect=lambda _use, _device: exactly(0.0, "s"))
    costly = replace(plain, protect=CipherModel())
    without, withal = (play(course, place, models, draws=1, seed=1).seconds[0] for models in (free, costly))
    assert withal > without + 0.01
