"""A proposal: what a site accepts, to the last word. Study, who asks, who takes part with which keys, conditions, start, expiry.

Its digest is shown to people, signed by every acceptance and carried in every ask. A site takes its peers' keys from the proposal
that it accepted, never from an ask.

Rules, each with what it stops:

- a proposal is read whole, and refused unless what was read says again, byte for byte, what was told (a site of another version
  would show something else than it accepts);
- data conditions follow from the study, so that they cannot differ from it;
- what it says that it spends of privacy budgets is what its study's noise promises (nobody is told too little).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, field_validator

from huizhen import canonical
from huizhen.clock import moment, written
from huizhen.errors import CallerError, HuizhenError, Problem, StudyError
from huizhen.federation.bodies import Body, read_body
from huizhen.federation.mistakes import Mistakes
from huizhen.federation.noised.planning import plan_of
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name

__all__ = ["PRIORITIES", "DataConditions", "Initiator", "Party", "Proposal", "Spending"]

VERSION = 1
PRIORITIES = range(10)  # 9 runs first
WRONG = "The proposal cannot be used as it is written."


def _named(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"a name: {NAME_RULE}")
    return name


class Initiator(Body):
    """Who asks: a name, and the key by which the hub knows them (any text without blanks, e.g. an NKey ``U...``)."""

    name: str
    key: str = Field(min_length=1, max_length=128, pattern=r"^\S+$")

    _is_name = field_validator("name")(_named)


class Party(Body):
    """Who takes part: a site with data, or a compute provider without; `key`: its public identity key, 64 hexadecimal digits."""

    name: str
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: Literal["site", "provider"] = "site"

    _is_name = field_validator("name")(_named)


class Spending(Body):
    """What the study spends of each site's privacy budget, at most: whom the noise hides ("": there is none), epsilon at delta."""

    level: Literal["", "patient", "site"] = ""
    epsilon: float = Field(default=0.0, ge=0, le=1000, allow_inf_nan=False)
    delta: float = Field(default=0.0, ge=0, lt=1)


@dataclass(frozen=True, slots=True)
class DataConditions:
    """What a site's data must be like.

    Attributes:
        variables: every variable that is read, and as what: ``number``, ``category``, ``any`` or ``image``.
        include, exclude: conditions on a patient's row.
        min_rows: rows of the cohort at each site; joint_rows: at all sites together; 0: no such condition.
    """

    variables: Mapping[str, str]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    min_rows: int
    joint_rows: int


class _Written(Body):
    proposal: Literal[1]
    id: str
    study: dict[str, Any]
    initiator: Initiator
    participants: list[Party] = Field(min_length=1, max_length=10_000)
    spends: Spending
    priority: int = Field(ge=PRIORITIES[0], le=PRIORITIES[-1])
    created: str
    expires: str

    _is_name = field_validator("id")(_named)

    @field_validator("created", "expires")
    @classmethod
    def _time(cls, text: str) -> str:
        if written(moment(text)) != text:
            raise ValueError("a time in UTC, such as '2026-03-01T00:00:00+00:00'")
        return text


@dataclass(frozen=True)
class Proposal:
    """A validated proposal; make one with `of` or `parse`.

    Attributes:
        id: of the study's life at the hub, e.g. ``study-3f9c0a1b2c4d5e6f``; new for every proposal.
        participants: in the order of the roster.
        created, expires: aware, UTC; after `expires` nobody can accept any more.
        priority: 0 to 9; of studies that wait the highest runs first.
    """

    id: str
    study: Study
    initiator: Initiator
    participants: tuple[Party, ...]
    spends: Spending
    priority: int
    created: datetime
    expires: datetime

    @classmethod
    def of(
        cls,
        study: Study,
        *,
        id: str,
        initiator: Initiator,
        participants: Sequence[Party],
        created: datetime,
        expires: datetime,
        priority: int = 5,
    ) -> Proposal:
        """A proposal of a study to these parties.

        Raises:
            StudyError: with everything that does not fit together.
            MachineError: noise is asked for and the package dp-accounting is not installed.
        """
        sites = [party.name for party in participants if party.role == "site"]
        plan_of(study, len(sites))  # what cannot be planned is not proposed
        made = cls(id, study, initiator, tuple(participants), _spending(study), priority, created, expires)
        return cls.parse(made.content)

    @classmethod
    def parse(cls, content: Any) -> Proposal:
        """The proposal in a mapping, as `content` gives it.

        Raises:
            StudyError: with every mistake, also those of the study in it.
        """
        mistakes = Mistakes()
        try:
            found = read_body(_Written, content, what="proposal")
        except CallerError as error:
            raise StudyError(WRONG, error.problems) from None
        try:
            study = Study.parse(found.study)
        except HuizhenError as error:
            raise StudyError(WRONG, error.problems or [Problem("study", error.message, "a valid study")]) from None
        parties = tuple(found.participants)
        made = cls(
            found.id, study, found.initiator, parties, found.spends, found.priority, moment(found.created), moment(found.expires)
        )
        made._check(mistakes)
        if canonical.encode(made.content) != canonical.encode(content):
            remedy = "Hub and site must run versions of this program that read the study alike"
            mistakes.add("proposal.study", "a study that reads differently here", "a study written in full, as read here", remedy)
        mistakes.stop(WRONG)
        return made

    @property
    def content(self) -> dict[str, Any]:
        """The whole proposal as plain values; `Proposal.parse(proposal.content)` is the same proposal."""
        return {
            "proposal": VERSION,
            "id": self.id,
            "study": self.study.content,
            "initiator": self.initiator.model_dump(),
            "participants": [party.model_dump() for party in self.participants],
            "spends": self.spends.model_dump(),
            "priority": self.priority,
            "created": written(self.created),
            "expires": written(self.expires),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical content, hexadecimal."""
        return canonical.digest(self.content)

    @property
    def sites(self) -> tuple[str, ...]:
        """The participants that hold data, in roster order."""
        return tuple(party.name for party in self.participants if party.role == "site")

    @property
    def keys(self) -> Mapping[str, str]:
        """The public identity key of every participant, hexadecimal, by name."""
        return {party.name: party.key for party in self.participants}

    @property
    def conditions(self) -> DataConditions:
        study = self.study
        return DataConditions(
            study.uses,
            tuple(study.cohort.include),
            tuple(study.cohort.exclude),
            study.participants.min_rows,
            study.start.joint_rows,
        )

    def _check(self, mistakes: Mistakes) -> None:
        names, study = [party.name for party in self.participants], self.study
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            mistakes.add("proposal.participants", f"repeated names: {', '.join(repeated)}", "names that differ")
        keys = list(self.keys.values())
        if len(set(keys)) < len(keys):
            mistakes.add("proposal.participants", "one key for several participants", "a key of its own for each")
        if study.participants.sites and list(self.sites) != study.participants.sites:
            mistakes.add(
                "proposal.participants", ", ".join(self.sites), f"the sites of the study: {', '.join(study.participants.sites)}"
            )
        if len(self.sites) < max(study.participants.quorum, study.start.sites):
            wanted = max(study.participants.quorum, study.start.sites)
            mistakes.add("proposal.participants", f"{len(self.sites)} sites", f"at least {wanted}, as the study asks for")
        mistakes.extend(study.protection.unmet_by(self.sites))
        if self.expires <= self.created:
            mistakes.add("proposal.expires", written(self.expires), f"a time after {written(self.created)}")
        if self.spends != _spending(study):
            mistakes.add("proposal.spends", "another privacy budget than the study's noise", "what the study spends at most")


def _spending(study: Study) -> Spending:
    """What the study promises to keep to; its plan of noise spends hardly less, for it has the least noise that keeps it."""
    noise = study.protection.noise
    return Spending() if noise is None else Spending(level=noise.level, epsilon=float(noise.epsilon), delta=float(noise.delta))
