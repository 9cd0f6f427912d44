"""How long protections and ciphers take on a device: from its calibration, else from a usual device times a factor.

A model predicts one use, all its times together. It says what it rests on: a law that was *measured* on this very device, one that
is *fitted* from the parts that were, or one that is *assumed*. What was seen teaches, after `refit`, a factor of the device and one
of the step on it, each shrunk towards 1 as long as it was seen little.

>>> from huizhen.twin.quantity import declared
>>> rates = declared(1e10, "flop/s"), declared(1e10, "byte/s"), declared(8e9, "byte")
>>> device = Device("ward", "cpu", 2, *rates, factor=declared(1.0, "1"), load=declared(0, "1"))
>>> told = CipherModel().predict(Asked(Use("tls-1.3", "seal", 1_000_000, 3), device))
>>> told.total.provenance, list(told.parts), told.notes[0]
('assumed', ['aes-256-gcm seal'], 'ward was not calibrated: the seconds of a usual device, times its factor')
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median
from types import MappingProxyType

from huizhen.errors import CallerError, Problem
from huizhen.twin.cipher.composition import composed
from huizhen.twin.cipher.pack import Law, Pack
from huizhen.twin.cipher.profiles import checked
from huizhen.twin.cipher.reference import REFERENCE
from huizhen.twin.course import Use
from huizhen.twin.functional import ErrorCard, Prediction, Residual
from huizhen.twin.mirror import Device
from huizhen.twin.quantity import Provenance, Quantity

__all__ = ["Asked", "CipherModel"]

AT_90 = 1.6448536269514722
LEAST_SPREAD = 0.03  # standard deviation of the logarithm: what another minute on the same machine may bring
COMPOSED_SPREAD = 0.10  # of what is put together from parts
ASSUMED_SPREAD = 0.40  # of a usual device's seconds for another one
PRIOR_SPREAD = 0.25  # of factors, before anything was seen; so one observation counts against a prior of few
ASSUMED_LOAD = 0.95  # a busier device is not modelled
NAIVE_RATE = 5e8  # bytes a second, the usual formula
NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Asked:
    """A use of a protection on a device."""

    use: Use
    device: Device

    @property
    def subject(self) -> str:
        return f"{self.use.algorithm}/{self.use.step}/{self.device.name}"


@dataclass(frozen=True, slots=True)
class CipherModel:
    """Seconds of protections.

    Attributes:
        packs: by the name that a device gives as its calibration.
        reference: of a usual device.
        effects: what was learnt: logarithms of factors, by device and by `Asked.subject`.
        spreads: standard deviation of what is left of them.
        seen: what was asked, predicted without factors, and what came.
    """

    packs: Mapping[str, Pack] = field(default_factory=lambda: MappingProxyType({}))
    reference: Pack = REFERENCE
    effects: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    spreads: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    seen: tuple[tuple[Asked, float, Residual], ...] = ()

    @property
    def name(self) -> str:
        return "cipher"

    def __call__(self, use: Use, device: Device) -> Quantity:
        """Seconds of a use on a device, as plays ask for them."""
        return self.predict(Asked(use, device)).total

    def predict(self, asked: Asked) -> Prediction:
        """Seconds of all times of the use, processor time over what others leave of the device.

        Raises:
            CallerError: an algorithm or step that is not known, a negative length, or a calibration that is not here.
        """
        known, plain = checked(asked.use), self._plain(asked)
        change = self.effects.get(asked.device.name, 0.0) + self.effects.get(asked.subject, 0.0)
        wide = self.spreads.get(asked.subject, self.spreads.get(asked.device.name, plain.spread))
        factor = math.exp(change)
        parts = {name: _quantity(seconds * factor, wide, plain.provenance) for name, seconds in plain.parts.items()}
        total = _quantity(plain.seconds * factor, wide, plain.provenance)
        broken = (f"{known.name} is broken: {known.broken}",) if known.is_broken else ()
        relied_on = {"factor": asked.device.factor, "load": asked.device.load}
        return Prediction(total, parts, relied_on, (*plain.notes, *broken))

    def observe(self, asked: Asked, seen: float, *, at: datetime) -> CipherModel:
        """Remembers that all times of the use took `seen` seconds.

        Raises:
            CallerError: as `predict`, or seconds that cannot be.
        """
        if not 0 < seen < math.inf:
            raise CallerError(
                "This observation cannot be learnt from.", [Problem("seconds", f"{seen:g}", "a number above 0, and finite")]
            )
        residual = Residual("protect", asked.subject, self.predict(asked).total, seen, at)
        return replace(self, seen=(*self.seen, (asked, self._plain(asked).seconds, residual)))

    def refit(self) -> CipherModel:
        """Learns: first what a device has in all steps, then what is a step's own."""
        ratios = [(asked, math.log(one.seen / plain)) for asked, plain, one in self.seen if plain > 0]
        if not ratios:
            return self
        effects, spreads = _shrunk(ratios, lambda asked: asked.device.name, {})
        own, narrow = _shrunk(ratios, lambda asked: asked.subject, effects)
        return replace(self, effects=MappingProxyType({**effects, **own}), spreads=MappingProxyType({**spreads, **narrow}))

    def error_card(self) -> ErrorCard:
        """From what was predicted before it was seen."""
        residuals = [one for _, _, one in self.seen]
        if not residuals:
            return ErrorCard(self.name, 0, math.nan, math.nan, math.nan)
        count, relative = len(residuals), [one.relative for one in residuals]
        naive = [abs(asked.use.length * asked.use.times / NAIVE_RATE - one.seen) / one.seen for asked, _, one in self.seen]
        covered, mape = sum(one.covered for one in residuals) / count, sum(map(abs, relative)) / count
        return ErrorCard(self.name, count, mape, sum(relative) / count, covered, _repeated(self.seen), sum(naive) / count)

    def _plain(self, asked: Asked) -> _Plain:
        """What is expected before anything was learnt."""
        device = asked.device
        if device.calibration and device.calibration not in self.packs:
            remedy = "Calibrate the device, or leave its calibration empty"
            problem = Problem(f"device {device.name}", f"calibration {device.calibration}", "one that is here", remedy)
            raise CallerError("The seconds of a protection cannot be told.", [problem])
        free = 1.0 - min(device.load.value, ASSUMED_LOAD)
        own = self.packs[device.calibration].laws if device.calibration else None
        if own is not None and (found := _found(asked.use, own)) is not None:
            return _with(found, 1.0 / free, ())
        if (found := _found(asked.use, self.reference.laws)) is None:
            problem = Problem(
                "algorithm", asked.use.algorithm, "one that was calibrated", "Calibrate a device where it is installed"
            )
            raise CallerError("The seconds of a protection cannot be told.", [problem])
        why = f"{device.name} was not calibrated: the seconds of a usual device, times its factor"
        if own is not None:
            why = f"{asked.use.algorithm} was not calibrated on {device.name}: the seconds of a usual device, times its factor"
        doubt = math.hypot(ASSUMED_SPREAD, math.log(max(device.factor.spread, 1.0)) / AT_90)
        assumed = replace(found, provenance="assumed", spread=math.hypot(found.spread, min(doubt, 3.0)))
        return _with(assumed, device.factor.value / free, (why,))


@dataclass(frozen=True, slots=True)
class _Plain:
    """Seconds by part; `spread` is a standard deviation of the logarithm."""

    parts: Mapping[str, float]
    spread: float
    provenance: Provenance
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())


def _found(use: Use, laws: Mapping[tuple[str, str], Law]) -> _Plain | None:
    """What these laws say of a use: its own, or those of its parts; None where one is missing."""
    if (law := laws.get((use.algorithm, use.step))) is not None:
        seconds = law.seconds(use.length) * use.times
        return _Plain({f"{use.algorithm} {use.step}": seconds}, max(law.spread, LEAST_SPREAD), "measured")
    parts = composed(use)
    if not parts:
        return _Plain({}, 0.0, "fitted") if use.algorithm == "tls-1.3" else None  # of nothing there is no record
    found = [_found(part, laws) for part in parts]
    told: dict[str, float] = {}
    spreads = [COMPOSED_SPREAD]
    for one in found:
        if one is None:
            return None
        spreads.append(one.spread)
        for name, seconds in one.parts.items():
            told[name] = told.get(name, 0.0) + seconds
    return _Plain(told, max(spreads), "fitted")


def _with(plain: _Plain, factor: float, notes: tuple[str, ...]) -> _Plain:
    parts = {name: seconds * factor for name, seconds in plain.parts.items()}
    return replace(plain, parts=parts, notes=(*plain.notes, *notes))


def _quantity(seconds: float, spread: float, provenance: Provenance) -> Quantity:
    wide = math.exp(AT_90 * max(spread, LEAST_SPREAD))
    return Quantity(seconds, "s", seconds / wide, seconds * wide, provenance, "calibration of ciphers")


def _shrunk(
    ratios: Iterable[tuple[Asked, float]], group: Callable[[Asked], str], before: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean logarithm of each group beyond what its device has already, shrunk to 0; and how far single ones lie about it."""
    by_group: dict[str, list[float]] = {}
    for asked, ratio in ratios:
        by_group.setdefault(group(asked), []).append(ratio - before.get(asked.device.name, 0.0))
    effects, spreads = {}, {}
    for name, values in by_group.items():
        mean, count = sum(values) / len(values), len(values)
        noise = sum((value - mean) ** 2 for value in values) / max(count - 1, 1) + LEAST_SPREAD**2
        weight = PRIOR_SPREAD**2 / (PRIOR_SPREAD**2 + noise / count)
        effects[name] = mean * weight
        spreads[name] = math.sqrt(noise + PRIOR_SPREAD**2 * (1.0 - weight))
    return effects, spreads


def _repeated(seen: Sequence[tuple[Asked, float, Residual]]) -> float:
    """Median relative distance of repetitions from their median; nan where nothing was repeated."""
    by_ask: dict[tuple[str, int, float], list[float]] = {}
    for asked, _, one in seen:
        by_ask.setdefault((asked.subject, asked.use.length, asked.use.times), []).append(one.seen)
    found = [abs(one / median(some) - 1.0) for some in by_ask.values() if len(some) > 1 for one in some]
    return median(found) if found else math.nan
