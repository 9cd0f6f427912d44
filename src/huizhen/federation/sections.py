"""The tables of a study file, one class each; methods and variables have their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from huizhen import units
from huizhen.clock import moment, written
from huizhen.data.examples import show_number
from huizhen.errors import Problem
from huizhen.federation.noise import NoiseSection
from huizhen.ids import NAME_RULE, is_name
from huizhen.privacy.compression import spec
from huizhen.privacy.compression.spec import Compress
from huizhen.privacy.masking.graph import FEWEST

__all__ = [
    "SECTIONS",
    "About",
    "Cohort",
    "Missing",
    "Participants",
    "Protection",
    "Section",
    "Start",
    "VariableSection",
    "label_of",
]


class Section(BaseModel):
    """One table of a study file; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class About(Section):
    """``[study]``: what is asked, in words."""

    title: str = Field("A study", min_length=1, max_length=200)
    question: str = Field("", max_length=2000)
    seed: int = Field(0, ge=0, lt=2**63)


class Cohort(Section):
    """``[cohort]``: a patient takes part who meets every `include` and no `exclude` condition."""

    include: list[str] = []
    exclude: list[str] = []


class VariableSection(Section):
    """``[variables.NAME]``: how every site must read a variable; what is not said is agreed from the data."""

    type: Literal["number", "category", "image"] | None = None
    levels: list[str | int | float] = []
    unit: str = ""
    range: list[float | int] = Field([], max_length=2)
    shape: list[int] = Field([], max_length=4)

    @model_validator(mode="after")
    def _whole(self) -> VariableSection:
        if self.levels and self.type == "number":
            raise ValueError("levels belong to a category: set type = 'category', or leave levels out")
        if self.range and (len(self.range) != 2 or not self.range[0] < self.range[1] or not all(map(math.isfinite, self.range))):
            raise ValueError("a range is two finite numbers, the smaller first")
        if self.shape and (self.type not in (None, "image") or len(self.shape) < 3 or min(self.shape) < 1):
            raise ValueError("a shape is an image's: [channel, height, width] or [channel, depth, height, width]")
        if self.type == "image" and self.range:
            raise ValueError("a range belongs to a number: leave it out for an image")
        if len({label_of(level) for level in self.levels}) != len(self.levels):
            raise ValueError("levels must differ from one another")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The declared levels as labels: ``2`` and ``2.0`` are the label ``2``."""
        return tuple(label_of(level) for level in self.levels)


class Missing(Section):
    """``[missing]``: what happens to rows with missing values.

    ``complete``: a row takes part in an analysis if it misses none of the variables of that analysis. ``study``: ... none of the
    variables of any analysis. ``refuse``: a site with such a row does not answer.
    """

    rule: Literal["complete", "study", "refuse"] = "complete"


class Participants(Section):
    """``[participants]``: who takes part, how many must, with how many rows each, and how long a round waits."""

    sites: list[str] = []
    quorum: int = Field(1, ge=1)
    min_rows: int = Field(0, ge=0, le=10**12)
    round_deadline: str = "10 min"
    on_loss: Literal["wait", "restart"] = "restart"
    patience: int = Field(1, ge=0, le=100)

    @field_validator("round_deadline")
    @classmethod
    def _duration(cls, text: str) -> str:
        units.seconds(text)
        return text

    @field_validator("sites")
    @classmethod
    def _names(cls, names: list[str]) -> list[str]:
        if bad := [name for name in names if not is_name(name)]:
            raise ValueError(f"{bad} cannot name a site; a name is {NAME_RULE}")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"site names must differ; repeated: {', '.join(repeated)}")
        return names


class Protection(Section):
    """``[protection]``: how the sites' addends are added up, so that nobody sees more of them than need be."""

    sum: Literal["plain", "masked", "paillier"] = "plain"
    key_holder: str = ""
    key_bits: Literal[2048, 3072] = 2048
    noise: NoiseSection | None = None
    compress: Any = "none"  # read by `privacy.compression.spec`, which names its mistakes

    def unmet_by(self, sites: Sequence[str]) -> list[Problem]:
        """What these sites lack for such a sum: masks and encryption want company, and the key a holder."""
        problems = []
        if self.key_holder and self.key_holder not in sites:
            problems.append(Problem("protection.key_holder", repr(self.key_holder), f"one of: {', '.join(sites)}"))
        if self.sum != "plain" and len(sites) < FEWEST:
            expected = f"at least {FEWEST}: of a sum of two each site knows the other's answer"
            problems.append(Problem("protection.sum", f"{len(sites)} sites", expected, "Add sites, or use sum = 'plain'"))
        return problems

    @property
    def compression(self) -> Compress:
        """How changes of weights are made smaller; checked by `Study.parse`."""
        return spec.read(self.compress)[0] or Compress()

    @model_validator(mode="after")
    def _whole(self) -> Protection:
        if (self.key_holder or self.key_bits != 2048) and self.sum != "paillier":
            raise ValueError("key_holder and key_bits belong to sum = 'paillier': use it, or leave them out")
        if self.key_holder and not is_name(self.key_holder):
            raise ValueError(f"{[self.key_holder]} cannot name a site; a name is {NAME_RULE}")
        return self


class Start(Section):
    """``[start]``: when the study may start; every condition that is set must hold."""

    when: Literal["all accepted", "enough accepted"] = "all accepted"
    sites: int = Field(0, ge=0, le=100_000)
    at: str = ""
    joint_rows: int = Field(0, ge=0, le=10**12)

    @field_validator("at", mode="before")
    @classmethod
    def _time(cls, value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is not None:  # as TOML writes a time without quotes
            return written(value)
        if isinstance(value, datetime):
            raise ValueError("a time with its time zone, such as '2026-03-01T08:00:00+08:00'")
        return written(moment(value)) if isinstance(value, str) and value else value

    @model_validator(mode="after")
    def _whole(self) -> Start:
        if self.sites and self.when == "all accepted":
            raise ValueError("a number of sites belongs to when = 'enough accepted': use it, or leave sites out")
        return self


SECTIONS: Mapping[str, type[Section]] = {
    "study": About,
    "cohort": Cohort,
    "missing": Missing,
    "participants": Participants,
    "protection": Protection,
    "start": Start,
}


def label_of(level: str | int | float) -> str:
    return level if isinstance(level, str) else show_number(float(level))
