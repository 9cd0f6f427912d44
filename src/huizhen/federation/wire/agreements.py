"""What hub and site settle before the first ask of a run, as canonical values, read whole: what, which run, who, how read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huizhen.errors import FederationError, Problem
from huizhen.ids import is_name
from huizhen.privacy.release import Variable

__all__ = ["Preparation", "variable_from", "variable_to"]

KINDS = ("number", "category", "image")
MOST = 100_000  # variables, levels, sites


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a site is told so that it can make itself ready.

    Attributes:
        proposal: digest of what the site has accepted.
        run: of the execution that begins, or is gone on with.
        roster: the sites that have accepted.
        variables: how every participant reads every variable.
    """

    proposal: str
    run: str
    roster: tuple[str, ...]
    variables: Mapping[str, Variable]

    @property
    def content(self) -> dict[str, Any]:
        """As canonical values."""
        variables = [[name, variable_to(variable)] for name, variable in self.variables.items()]
        return {"proposal": self.proposal, "run": self.run, "roster": list(self.roster), "variables": variables}

    @classmethod
    def parse(cls, told: Any) -> Preparation:
        """What stands in canonical values.

        Raises:
            FederationError: it is none.
        """
        try:
            proposal, run, roster, variables = told["proposal"], told["run"], told["roster"], told["variables"]
            sound = all(isinstance(text, str) for text in (proposal, run, *roster)) and is_name(run)
            if not sound or not all(map(is_name, roster)) or max(len(roster), len(variables)) > MOST:
                raise ValueError
            return cls(proposal, run, tuple(roster), {str(name): variable_from(said) for name, said in variables})
        except (TypeError, KeyError, ValueError):
            problem = Problem("prepare", "nothing that fits", "a proposal, a run, a roster and variables")
            raise FederationError("A message cannot be read.", [problem]) from None


def variable_to(variable: Variable) -> list[Any]:
    """A variable as canonical values."""
    bounds = None if variable.range is None else list(variable.range)
    return [variable.kind, list(variable.levels), variable.unit, bounds, list(variable.shape)]


def variable_from(told: Any) -> Variable:
    """The variable behind canonical values.

    Raises:
        ValueError, TypeError: it is none.
    """
    kind, levels, unit, bounds, shape = told
    texts = [kind, unit, *levels]
    if kind not in KINDS or len(levels) > MOST or not all(isinstance(text, str) for text in texts):
        raise ValueError
    if any(type(size) is not int or size < 1 for size in shape):
        raise ValueError
    low_high = None if bounds is None else (float(bounds[0]), float(bounds[1]))
    return Variable(kind, tuple(levels), unit, low_high, tuple(shape))
