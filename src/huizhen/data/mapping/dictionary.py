"""The shared data dictionary: what each variable of a study is, in the same words at every site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from huizhen.data.declaration import Declaration, read_declaration
from huizhen.data.mapping.steps import Step

__all__ = ["CODE", "About", "Dictionary", "Entry", "read_dictionary"]

CODE = r"^[^:\s][^:]{0,199}:\S.{0,799}$"  # SYSTEM:CODE
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\"]+$")]
Text = Annotated[str, Field(max_length=2000)]


class About(Declaration):
    """``[dictionary]``: what it is called, and which version it is."""

    title: Text = ""
    version: Text = ""


class Entry(Declaration):
    """``[variable.NAME]``: one variable.

    Attributes:
        type: ``number``; ``category``, one of some texts; ``truth``, 1 or 0; ``image``.
        unit: of a number, as UCUM writes it; "" for one without a unit.
        values: of a category, all that are permitted; none: whatever is found.
        range: of a number, the smallest and the largest that are plausible; others are kept and told.
        shape: of an image, ``[channel, height, width]`` or ``[channel, depth, height, width]`` once its steps are done.
        steps: of an image, what is done to it, in this order.
        code: the terminology's code of it, ``SYSTEM:CODE``; a mapping that names no codes takes events of this one.
    """

    type: Literal["number", "category", "truth", "image"]
    unit: Annotated[str, Field(max_length=100)] = ""
    values: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field([])
    range: list[float] | None = None
    shape: list[Annotated[int, Field(ge=1, le=4096)]] = Field([])
    steps: list[Step] = Field([])
    code: Annotated[str, Field(pattern=rf"{CODE}|^$")] = ""
    about: Text = ""

    @field_validator("range")
    @classmethod
    def _is_range(cls, found: list[float] | None) -> list[float] | None:
        if found is not None and (len(found) != 2 or not found[0] < found[1]):
            raise ValueError("two numbers, the smaller one first")
        return found

    @model_validator(mode="after")
    def _fits(self) -> Entry:
        if self.type != "number" and (self.unit or self.range):
            raise ValueError("unit and range are for a number")
        if self.type != "category" and self.values:
            raise ValueError("values are for a category")
        if len(set(self.values)) < len(self.values):
            raise ValueError("values that differ from each other")
        if (self.type == "image") != bool(self.shape) or (self.type != "image" and self.steps):
            raise ValueError("shape, and perhaps steps, for an image, and for it alone")
        if self.shape and (len(self.shape) not in (3, 4) or self.shape[0] not in (1, 3)):
            raise ValueError("a shape of 1 or 3 channels and two or three axes, such as [1, 64, 64, 64]")
        axes = len(self.shape) - 1
        if any(axes != len(found) for step in self.steps for found in (step.size, step.spacing_mm) if found):
            raise ValueError("a size and a distance for each axis of the shape")
        if len(self.shape) == 4 and any(step.do == "slice" for step in self.steps):
            raise ValueError("a step slice for a shape of two axes")
        return self


class Dictionary(Declaration):
    """A whole dictionary."""

    dictionary: About = About()
    variable: Mapping[Name, Entry] = Field(min_length=1)


def read_dictionary(path: Path) -> Dictionary:
    """The dictionary in a TOML file.

    Raises:
        DataError: with every mistake.
    """
    return read_declaration(path, Dictionary, "The dictionary cannot be used.")
