"""What can be declared about rows: one table ``[[rule]]`` for each rule, one ``[duplicates]`` for rows that may be the same.

Every rule may name itself (`name`), and `allow` a share of the judged rows to break it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from huizhen.data.declaration import Declaration
from huizhen.data.grammar import parse
from huizhen.errors import StudyError

__all__ = [
    "KINDS",
    "CompleteRule",
    "ConditionRule",
    "DuplicatesSection",
    "OrderRule",
    "PlausibleRule",
    "RangeRule",
    "Rule",
    "Rules",
    "TypeRule",
    "UniqueRule",
    "UnitRule",
    "ValuesRule",
]

Variable = Annotated[str, Field(min_length=1, max_length=200)]


class _Rule(Declaration):
    name: Annotated[str, Field(max_length=200)] = ""
    allow: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def variables_read(self) -> tuple[str, ...]:
        """Every variable that the rule looks at."""
        raise NotImplementedError


class _OfOne(_Rule):
    variable: Variable

    @property
    def variables_read(self) -> tuple[str, ...]:
        return (self.variable,)


class RangeRule(_OfOne):
    """``kind = "range"``: numbers from `low` to `high`, ends included."""

    kind: Literal["range"]
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ends(self) -> RangeRule:
        if self.low is None and self.high is None:
            raise ValueError("low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low no larger than high")
        return self


class TypeRule(_OfOne):
    """``kind = "type"``: values that are a number, an integer, or a date (ISO 8601)."""

    kind: Literal["type"]
    type: Literal["number", "integer", "date"]


class ValuesRule(_OfOne):
    """``kind = "values"``: one of these labels."""

    kind: Literal["values"]
    values: list[str] = Field(min_length=1)


class UnitRule(_OfOne):
    """``kind = "unit"``: where the variable has a value, the column `given_in` says one of these units."""

    kind: Literal["unit"]
    given_in: Variable
    units: list[str] = Field(min_length=1)

    @property
    def variables_read(self) -> tuple[str, ...]:
        return (self.variable, self.given_in)


class CompleteRule(_Rule):
    """``kind = "complete"``: rows that miss none of the variables."""

    kind: Literal["complete"]
    variables: list[Variable] = Field(min_length=1)

    @property
    def variables_read(self) -> tuple[str, ...]:
        return tuple(self.variables)


class UniqueRule(_Rule):
    """``kind = "unique"``: no two rows with the same values of all the variables."""

    kind: Literal["unique"]
    variables: list[Variable] = Field(min_length=1)

    @property
    def variables_read(self) -> tuple[str, ...]:
        return tuple(self.variables)


class PlausibleRule(_OfOne):
    """``kind = "plausible"``: no outlier, by the robust z of the site's own median and MAD."""

    kind: Literal["plausible"]
    z: Annotated[float, Field(gt=0)] = 3.5


class OrderRule(_Rule):
    """``kind = "order"``: `first` no later than `then`; both are dates, or both are numbers such as days."""

    kind: Literal["order"]
    first: Variable
    then: Variable

    @property
    def variables_read(self) -> tuple[str, ...]:
        return (self.first, self.then)


class ConditionRule(_Rule):
    """``kind = "condition"``: a condition as studies write them, for rows that meet `when`."""

    kind: Literal["condition"]
    holds: str
    when: str = ""

    @field_validator("holds", "when")
    @classmethod
    def _is_condition(cls, text: str) -> str:
        if text:
            try:
                parse(text)
            except StudyError as error:
                raise ValueError("; ".join(str(problem) for problem in error.problems)) from None
        return text

    @property
    def variables_read(self) -> tuple[str, ...]:
        texts = [text for text in (self.holds, self.when) if text]
        return tuple(dict.fromkeys(name for text in texts for name in parse(text).variables))


Rule = RangeRule | TypeRule | ValuesRule | UnitRule | CompleteRule | UniqueRule | PlausibleRule | OrderRule | ConditionRule
KINDS: Mapping[str, type[_Rule]] = {
    "range": RangeRule,
    "type": TypeRule,
    "values": ValuesRule,
    "unit": UnitRule,
    "complete": CompleteRule,
    "unique": UniqueRule,
    "plausible": PlausibleRule,
    "order": OrderRule,
    "condition": ConditionRule,
}


class DuplicatesSection(Declaration):
    """``[duplicates]``: rows that may be one.

    Attributes:
        block: only rows with the same values of all these are compared.
        compare: by variable ``"text"``, or the difference of two numbers at which nothing of their likeness is left.
        at_least: a mean likeness, 0 to 1, from which two rows are to be looked at.
        most: rows of a block; larger blocks are left out, and told.
    """

    block: list[Variable] = Field(min_length=1)
    compare: Mapping[Variable, Literal["text"] | Annotated[float, Field(gt=0)]] = Field(min_length=1)
    at_least: Annotated[float, Field(gt=0, le=1)] = 0.9
    most: Annotated[int, Field(ge=2, le=100_000)] = 1000


class Rules(Declaration):
    """A whole file of rules."""

    rule: list[Annotated[Rule, Field(discriminator="kind")]] = Field([])
    duplicates: DuplicatesSection | None = None

    @property
    def variables_read(self) -> tuple[str, ...]:
        """Every variable that is looked at."""
        named = [name for rule in self.rule for name in rule.variables_read]
        if self.duplicates is not None:
            named += [*self.duplicates.block, *self.duplicates.compare]
        return tuple(dict.fromkeys(named))
