"""From one unit to another, as UCUM (https://ucum.org/ucum) writes them: a factor and an offset, by the package ucumvert.

Equal spellings need no package. What is not certain is refused: equivalents become moles by the valence of the ion, international
units mean another amount of each substance, and mass becomes amount of substance only where the molar mass is declared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from huizhen.errors import MachineError, Problem

__all__ = ["Conversion", "NoConversion", "conversion"]

ANNOTATION = re.compile(r"\{[^{}]*\}")
EQUIVALENT, ARBITRARY = re.compile(r"(?<![A-Za-z])[mukn]?eq(?![A-Za-z])"), re.compile(r"\[[Ii][Uu]\]|\[arb'U\]")


@dataclass(frozen=True, slots=True)
class Conversion:
    """``wanted = found * factor + offset``."""

    factor: float = 1.0
    offset: float = 0.0


class NoConversion(Exception):
    """There is none, or none that is certain; the text says why, in fixed words."""


def conversion(found: str, wanted: str, molar_mass: float | None = None) -> Conversion:
    """How a number in one unit becomes one in another.

    Args:
        found, wanted: UCUM codes; "" is a number without a unit.
        molar_mass: of the substance, g/mol.

    Raises:
        NoConversion: a code is not known, or the units are of different quantities.
        MachineError: ucumvert is not installed.
    """
    found, wanted = _plain(found), _plain(wanted)
    if found == wanted:
        return Conversion()
    for doubtful in (EQUIVALENT, ARBITRARY):
        if bool(doubtful.search(found)) != bool(doubtful.search(wanted)):
            raise NoConversion("a unit that means another amount of each substance")
    units = _registry()
    one, other = _unit(units, found), _unit(units, wanted)
    bridge, scale = _molar(units, one, other, molar_mass)
    try:
        zero, at_one = (float(units.Quantity(x, one if bridge is None else one * bridge).to(other).magnitude) for x in (0.0, 1.0))
    except Exception:  # the package raises errors of its own and of others
        raise NoConversion("units of different quantities") from None
    return Conversion((at_one - zero) * scale, zero)


def _plain(code: str) -> str:
    """A code without annotations, which have no meaning for a conversion."""
    bare = ANNOTATION.sub("", code.strip())
    return bare or "1"


def _molar(units: Any, found: Any, wanted: Any, molar_mass: float | None) -> tuple[Any, float]:
    """What a mass has to be multiplied with to become an amount of substance, or the other way round: a unit and a number."""
    if molar_mass is not None:
        per_mole, per_gram = _unit(units, "g/mol"), _unit(units, "mol/g")
        ratio = (found / wanted).dimensionality
        if ratio == per_mole.dimensionality:
            return per_gram, 1 / molar_mass
        if ratio == per_gram.dimensionality:
            return per_mole, molar_mass
    return None, 1.0


def _unit(units: Any, code: str) -> Any:
    try:
        return units.from_ucum(code if code != "1" else "m/m").units
    except Exception:  # the package raises errors of its own and of the parser that it uses
        raise NoConversion("a unit that UCUM does not know") from None


@cache
def _registry() -> Any:
    try:
        from ucumvert import PintUcumRegistry
    except ImportError:
        problem = Problem("ucumvert", "a package that is not installed", "ucumvert", "pip install 'huizhen[registry]'")
        raise MachineError("Units cannot be converted.", [problem]) from None
    return PintUcumRegistry()
