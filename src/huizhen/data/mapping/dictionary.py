"""The shared data dictionary: what each variable of a study is, in the same words at every site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from huizhen.data.declaration import Declaration, read_declaration

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
        type: ``number``; ``category``, one of some texts; ``truth``, 1 or 0.
        unit: of a number, as UCUM writes it; "" for one without a unit.
        values: of a category, all that are permitted; none: whatever is found.
        range: of a number, the smallest and the largest that are plausible; others are kept and told.
        code: the terminology's code of it, ``SYSTEM:CODE``; a mapping that names no codes takes events of this one.
    """

    type: Literal["number", "category", "truth"]
    unit: Annotated[str, Field(max_length=100)] = ""
    values: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field([])
    range: list[float] | None = None
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
