"""What a file of criteria may declare: an index event, and rules that a patient meets or does not, seen from the index date.

A rule that cannot be decided (the birth is not known, no number was measured) does not hold: `include` then drops the patient,
`exclude` keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["COMPARISON", "RULES", "About", "Coded", "Index", "Rule", "Window"]

COMPARISON = re.compile(r"\s*(<=|>=|<|>|=)\s*(-?\d{1,15}(?:\.\d{1,15})?)\s*")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FURTHEST = 36_525  # days, a hundred years

Code = Annotated[str, Field(min_length=1, max_length=200)]
Kind = Literal["visit", "condition", "measurement", "drug", "procedure", "device", "report", "image", "value", "death"]
Day = Annotated[int, Field(ge=-FURTHEST, le=FURTHEST)]
Window = Annotated[list[Day], Field(min_length=2, max_length=2)] | Literal["ever", "until index"]


class Section(BaseModel):
    """One table; frozen, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class About(Section):
    """``[cohort]``: what the cohort is called."""

    title: str = Field(min_length=1, max_length=200)


class Coded(Section):
    """Codes of a terminology; with `descendants` all codes below them, too."""

    system: str = Field("", max_length=200)
    codes: list[Code] = Field([], max_length=10_000)
    descendants: bool = False

    @model_validator(mode="after")
    def _has_system(self) -> Coded:
        if self.codes and not self.system:
            raise ValueError("codes need the system that they belong to, such as ICD10, SNOMED, LOINC or local")
        if self.descendants and not self.codes:
            raise ValueError("descendants needs codes")
        return self


class Index(Coded):
    """``[index]``: the event from which all is seen; a patient without one is not in the cohort."""

    kind: Kind
    which: Literal["first", "last"] = "first"
    since: date | None = None
    until: date | None = None

    @field_validator("since", "until", mode="before")
    @classmethod
    def _written(cls, day: Any) -> Any:
        """Where a study carries the criteria, a day is text."""
        try:
            return date.fromisoformat(day) if isinstance(day, str) and DAY.fullmatch(day) else day
        except ValueError:
            return day  # such as 31 February: it is said with what was expected


class Rule(Section):
    """What every rule has; `name` stands in the attrition table."""

    name: str = Field(min_length=1, max_length=200)
    rule: str


class Bounded(Rule):
    """A number with bounds, at least one of them."""

    at_least: int | None = Field(None, ge=0, le=10_000)
    at_most: int | None = Field(None, ge=0, le=10_000)

    @model_validator(mode="after")
    def _bounded(self) -> Bounded:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least that is no more than at_most")
        return self


class Age(Bounded):
    """``age``: completed years at the index date."""

    rule: Literal["age"]


class Sex(Rule):
    """``sex``: as the person's record has it."""

    rule: Literal["sex"]
    one_of: list[Literal["female", "male", "other", "unknown"]] = Field(min_length=1)


class Windowed(Coded):
    """Codes in a window of days from the index date, both included; by default whatever began until the index date."""

    days: Window = "until index"

    @field_validator("days")
    @classmethod
    def _ordered(cls, days: list[int] | str) -> list[int] | str:
        if isinstance(days, list) and days[0] > days[1]:
            raise ValueError("two days, the earlier one first")
        return days


class Happened(Windowed, Rule):
    """``event``: at least so many events of a kind."""

    rule: Literal["event"]
    kind: Kind
    at_least: int = Field(1, ge=1, le=10_000)


class First(Coded, Rule):
    """``first``: no such event before the index event; without codes that of the index itself."""

    rule: Literal["first"]
    kind: Kind | None = None


class Washout(First):
    """``washout``: no such event in so many days before the index event."""

    rule: Literal["washout"]  # type: ignore[assignment]
    days: int = Field(ge=1, le=FURTHEST)


class Measured(Windowed, Rule):
    """``measurement``: a measurement with a number in a unit, or with one of some answers."""

    rule: Literal["measurement"]
    value: str = ""
    units: list[Code] = []
    answers: list[Code] = []
    which: Literal["any", "first", "last"] = "any"

    @model_validator(mode="after")
    def _has_value(self) -> Measured:
        if not self.codes:
            raise ValueError("a measurement needs its codes")
        if bool(self.value) == bool(self.answers):
            raise ValueError("either value, such as '>= 6.5', or answers")
        if self.value and not COMPARISON.fullmatch(self.value):
            raise ValueError("a comparison such as '>= 6.5'")
        if self.value and not self.units:
            raise ValueError("value needs units, for a number says nothing without one")
        return self


class Exposed(Windowed, Rule):
    """``drug``: at least so many exposures that overlap the window."""

    rule: Literal["drug"]
    at_least: int = Field(1, ge=1, le=10_000)

    @model_validator(mode="after")
    def _has_codes(self) -> Exposed:
        if not self.codes:
            raise ValueError("a drug needs its codes")
        return self


class Imaged(Rule):
    """``image``: at least so many series of a modality and, where told, a part of the body (in any case of letters)."""

    rule: Literal["image"]
    modality: Code
    body_part: list[Code] = []
    days: Window = "ever"
    at_least: int = Field(1, ge=1, le=10_000)


class Visits(Bounded):
    """``visits``: how many visits, of some classes or of any."""

    rule: Literal["visits"]
    classes: list[Code] = []
    days: Window = "until index"


RULES: Mapping[str, type[Rule]] = {
    "age": Age,
    "sex": Sex,
    "event": Happened,
    "first": First,
    "washout": Washout,
    "measurement": Measured,
    "drug": Exposed,
    "image": Imaged,
    "visits": Visits,
}
