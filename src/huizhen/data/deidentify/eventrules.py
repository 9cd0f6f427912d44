"""What a site says of de-identification where records become events: ``[deidentify]``, safe where it says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from huizhen.data.deidentify.rules import Plan, plan_of
from huizhen.errors import Problem, SiteError

__all__ = ["PATIENT", "EventPlan", "EventRules"]

PATIENT = "#patient"  # what the field of the patient is called where a rule is applied; no code begins so
ENGINE = "1"  # grows where the same rules would give other events: every source is then read again

Word = Annotated[str, Field(min_length=2, max_length=200)]


@dataclass(frozen=True, slots=True)
class EventPlan:
    """The rules, ready to be followed.

    Attributes:
        said: in the configuration.
        fields: rules by code, how free text is treated, how far dates move.
        digest: changes where the same records would give other events.
        agreed: changes where events of two sources would no longer fit together: other pseudonyms, other days.
    """

    said: EventRules
    fields: Plan
    digest: str
    agreed: str


class EventRules(BaseModel):
    """``[deidentify]``.

    Attributes:
        as_is: nothing is done: records are kept as they come.
        key_file: the file of the site's key; the first sync makes it.
        patients: by a pseudonym, or as they come.
        records: numbers of records and visits and the places of images: likewise.
        dates: as they are, or moved by days that are the patient's own.
        births: as all dates, or by month or year.
        most_days: how far dates move at most.
        texts: free text is cleaned, dropped or kept.
        words: texts of the site's own that are to be found in free text, too, such as the names of its staff.
        identifying: columns whose names say that they tell who somebody is.
        cells: of a table's cells all are kept, or those alone whose column is named by a rule.
        code: rules by code; of a table's cells the code is the column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    as_is: bool = False
    key_file: str = Field("deidentify.key", min_length=1, max_length=4000)
    patients: Literal["pseudonym", "keep"] = "pseudonym"
    records: Literal["pseudonym", "keep"] = "pseudonym"
    dates: Literal["keep", "shift"] = "keep"
    births: Literal["as dates", "month", "year"] = "as dates"
    most_days: int = Field(365, ge=1, le=36500)
    texts: Literal["clean", "drop", "keep"] = "clean"
    words: list[Word] = []
    identifying: Literal["drop", "keep"] = "drop"
    cells: Literal["all", "named"] = "all"
    code: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _one_wish(self) -> EventRules:
        if self.as_is and len(self.model_fields_set) > 1:
            raise ValueError("as_is alone, or the other settings without it")
        return self

    def plan(self, key: str) -> EventPlan:
        """The rules, ready to be followed.

        Args:
            key: something that tells one key from another and says nothing of it.

        Raises:
            SiteError: every mistake in the rules of codes.
        """
        text = {"dates": "shift" if self.dates == "shift" else "mark", "words": self.words}
        general = {"patient": PATIENT, "most_days": self.most_days}
        try:
            fields = plan_of({"deidentify": general, "column": self.code, "text": text})
        except SiteError as error:
            raise SiteError(error.message, [_renamed(problem) for problem in error.problems]) from None
        agreed = _digest({"key": key, **self.model_dump(include={"patients", "records", "dates", "most_days"})})
        return EventPlan(self, fields, _digest({"key": key, **self.model_dump(exclude={"key_file"})}), agreed)


def _renamed(problem: Problem) -> Problem:
    """A rule of `code` is a rule of a column there."""
    return replace(problem, where="deidentify." + problem.where.replace("column.", "code.", 1))


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr((ENGINE, sorted(content.items()))).encode()).hexdigest()[:16]
