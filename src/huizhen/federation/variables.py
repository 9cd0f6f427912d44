"""How the variables of a study are read, settled over all sites before a row is: as declared, else as the sites say that they seem.

A site says of a variable that nothing else settles whether it seems to hold numbers there, and of images what they have in common.
Rows stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.examples import SITE
from huizhen.data.images import ImageFacts, disagreements
from huizhen.errors import Problem
from huizhen.federation.study import Study
from huizhen.privacy.release import EMPTY, Variable

__all__ = ["Reading", "declared", "declared_shape", "images_of", "reading_of", "seems", "settle", "settled_images", "unsettled"]

STRAY = 0.1  # a column with at most this share of text is meant to be numbers
Seems = Literal["number", "category"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a site would read the variables of a study that the study leaves open.

    Attributes:
        kinds: of variables whose kind is open, what they seem to be; those that the site does not have are left out.
        images: of variables that are images, what they have in common.
    """

    kinds: Mapping[str, Seems] = field(default_factory=lambda: EMPTY)
    images: Mapping[str, ImageFacts] = field(default_factory=lambda: EMPTY)

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        images = {name: [list(facts.shape), facts.stored] for name, facts in self.images.items()}
        return {"kinds": dict(self.kinds), "images": images}

    @classmethod
    def from_facts(cls, told: Any) -> Reading | None:
        """The reading behind canonical values; None where they are none."""
        try:
            kinds, images = (
                told["kinds"],
                {name: ImageFacts(_shape(shape), stored) for name, (shape, stored) in told["images"].items()},
            )
            known = all(kind in ("number", "category") for kind in kinds.values())
            stored = all(facts.stored in ("uint8", "int16", "float32") for facts in images.values())
        except (TypeError, KeyError, ValueError, AttributeError):
            return None
        return cls(dict(kinds), images) if known and stored else None


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(size) is not int or not 0 < size < 2**31 for size in value):
        raise ValueError
    return tuple(value)


def reading_of(study: Study, columns: Iterable[ColumnFacts]) -> Reading:
    """How a source with these columns would read what the study leaves open."""
    opened, images = set(unsettled(study)), set(images_of(study))
    known = tuple(columns)
    shares = {column.name: column.texts / max(column.filled, 1) for column in known if column.name in opened}
    there = {column.name: ImageFacts(column.shape, column.stored) for column in known if column.name in images and column.shape}
    return Reading(seems(shares), there)


def unsettled(study: Study) -> tuple[str, ...]:
    """The variables of which neither their use nor a declaration says what they are."""
    return tuple(name for name, kind in study.uses.items() if kind == "any" and name != SITE)


def images_of(study: Study) -> tuple[str, ...]:
    """The variables that are images."""
    return tuple(name for name, kind in study.uses.items() if kind == "image")


def seems(shares: Mapping[str, float]) -> dict[str, Seems]:
    """What columns seem to be, by how much of each is text (0 to 1): one with hardly a text in it is a number."""
    return {name: "category" if share > STRAY else "number" for name, share in shares.items()}


def settle(study: Study, said: Sequence[Mapping[str, Seems]], images: Mapping[str, tuple[int, ...]]) -> dict[str, Variable]:
    """How every variable is read: as used or declared, else as it seems to the sites.

    A column that seems a number at one site is a number at every site: what does not fit is then a mistake with its row and column,
    and never silently makes a category of every number.

    Args:
        said: what open variables seem to be, for each site.
        images: the shape of each variable of images.
    """
    settled = {}
    for name, kind in study.uses.items():
        if name == SITE:
            continue
        if kind == "any":
            kinds = [each[name] for each in said if name in each]
            kind = "category" if kinds and "number" not in kinds else "number"
        settled[name] = declared(study, name, Variable(kind, shape=images.get(name, ())))
    return settled


def settled_images(
    study: Study, found: Mapping[str, Mapping[str, ImageFacts]]
) -> tuple[dict[str, tuple[int, ...]], dict[str, list[Problem]]]:
    """The shape of every variable of images, and what is wrong at sites that differ from it.

    Args:
        found: what the images of each variable have in common, by site, then by variable.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    problems: dict[str, list[Problem]] = {}
    for name in images_of(study):
        at = {site: each[name] for site, each in found.items() if name in each}
        said = declared_shape(study, name)
        if said:  # a declared shape also says how to read an array, so only reading it shows whether it fits
            at = {site: ImageFacts(said, facts.stored) for site, facts in at.items()}
        for site, problem in disagreements(name, at).items():
            problems.setdefault(site, []).append(problem)
        shapes[name] = said or next((facts.shape for facts in at.values()), ())
    return shapes, problems


def declared_shape(study: Study, name: str) -> tuple[int, ...]:
    """The shape that a study declares for a variable of images, () where it does not."""
    return tuple(study.variables[name].shape) if name in study.variables else ()


def declared(study: Study, name: str, variable: Variable) -> Variable:
    """A variable with what the study declares of it."""
    said = study.variables.get(name)
    if said is None:
        return variable
    bounds = (float(said.range[0]), float(said.range[1])) if said.range else None
    return replace(variable, levels=said.labels, unit=said.unit, range=bounds)
