"""How every site must read a study's variables, from what each says of its columns; the same rule on every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from huizhen.data.examples import SITE
from huizhen.federation.study import Study
from huizhen.privacy.release import Variable

__all__ = ["STRAY", "as_declared", "may_be_read_as", "settled", "unsettled"]

STRAY = 0.1  # a column with at most this share of text is meant to be numbers


def unsettled(study: Study) -> tuple[str, ...]:
    """The variables whose kind neither a method, a condition nor a declaration tells, so that the sites' columns decide."""
    return tuple(name for name, kind in study.uses.items() if kind == "any" and name != SITE)


def settled(study: Study, texts: Iterable[Mapping[str, bool]], images: Mapping[str, tuple[int, ...]]) -> dict[str, Variable]:
    """The kind of every variable: as used or declared, else what the sites seem to hold.

    A column that is all numbers at one site is a number at every site, and so is one with hardly a text in it: what does not fit
    is then a mistake with its row and column, and never silently makes a category of every number.

    Args:
        texts: of each site, whether a column holds more than `STRAY` of text; columns that are not there are left out.
        images: the shape of every variable of images.
    """
    found = tuple(texts)
    variables = {}
    for name, used in study.uses.items():
        if name == SITE:
            continue
        kind = used
        if kind == "any":
            told = [site[name] for site in found if name in site]
            kind = "category" if told and all(told) else "number"
        variables[name] = as_declared(study, name, Variable(kind, shape=tuple(images.get(name, ()))))
    return variables


def as_declared(study: Study, name: str, variable: Variable) -> Variable:
    """A variable with what the study declares of it."""
    said = study.variables.get(name)
    if said is None:
        return variable
    bounds = (float(said.range[0]), float(said.range[1])) if said.range else None
    return replace(variable, levels=said.labels, unit=said.unit, range=bounds)


def may_be_read_as(study: Study, name: str, variable: Variable) -> bool:
    """Whether a variable may be read so in a study: as it is used and declared, and nothing else is told of it.

    What a site answers, and how much noise hides a patient, rest on it; so it is not the hub's to say.
    """
    used, said = study.uses.get(name), study.variables.get(name)
    kinds = ("number", "category") if used == "any" else (used,)
    shape = tuple(said.shape) if said is not None and said.shape else variable.shape
    has_shape = bool(shape) == (variable.kind == "image")
    return variable.kind in kinds and has_shape and variable == as_declared(study, name, Variable(variable.kind, shape=shape))
