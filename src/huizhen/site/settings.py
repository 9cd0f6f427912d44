"""A site's configuration: one commented TOML file, read whole; every mistake is named at once.

The hub can never write it. What is not enabled here by name does not run here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from huizhen import units
from huizhen.data.connectors.options import OPTIONS, Options
from huizhen.data.deidentify.eventrules import EventRules
from huizhen.errors import CallerError, HuizhenError, MachineError, Problem, SiteError
from huizhen.federation.mistakes import Mistakes, check_section, no_text
from huizhen.federation.study import Study
from huizhen.ids import NAME_RULE, is_name
from huizhen.policy.disclosure import DisclosurePolicy, disclosure_policy

__all__ = [
    "SECTIONS",
    "Accept",
    "Enabled",
    "Limits",
    "Publish",
    "RegistrySection",
    "Settings",
    "SourceSection",
    "TelemetrySection",
    "read_settings",
    "write_template",
]

REGISTRY = "registry"  # in a site's folder
LONGEST = 1_000_000  # characters of a configuration
BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(MB|GB|TB)\s*")
FACTORS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
WRONG = "The site's configuration cannot be used."


class Section(BaseModel):
    """One table; frozen, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class About(Section):
    """``[site]``: what the site is called, and the HTTP proxy through which it reaches the hub, ``http://host:port``."""

    name: str = Field(description=NAME_RULE)
    proxy: str = Field("", max_length=2000, pattern=r"^(http://\S+:\d+)?$")

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError(f"a name: {NAME_RULE}")
        return name


class SourceSection(Section):
    """``[source.ALIAS]``: where rows are that studies are answered from; a relative path is one beside the configuration.

    With a `kind` it is a source of the registry, and has the keys of that kind (`huizhen.data.connectors.options`).
    """

    path: str = Field(min_length=1, max_length=4000)
    about: str = Field("", max_length=2000)


class RegistrySection(Section):
    """``[source.ALIAS]`` with ``kind = "registry"``: the site's registry, and the rows that a mapping makes of it.

    Without a mapping only cohorts are counted in it.
    """

    kind: Literal["registry"]
    mapping: str = Field("", max_length=4000)
    about: str = Field("", max_length=2000)

    @property
    def path(self) -> str:
        """What is opened."""
        return self.mapping or REGISTRY


class Enabled(Section):
    """``[enabled]``: the methods and networks that may run here, by name, or all that are installed."""

    methods: list[str] | Literal["any installed"] = "any installed"
    networks: list[str] | Literal["any installed"] = "any installed"


class Accept(Section):
    """``[accept]``: rules by which a suggestion is decided on at once, or waits for a person.

    A study fits if it keeps to every rule.
    """

    fitting: Literal["wait", "accept"] = "wait"
    unfitting: Literal["wait", "decline"] = "wait"
    who: list[str] | Literal["anyone"] = "anyone"
    methods: list[str] | Literal["any enabled"] = "any enabled"
    at_once: list[str] = []
    sums: list[Literal["plain", "masked", "paillier"]] = ["masked", "paillier"]
    individual: bool = False
    max_rounds: int = Field(1000, ge=1)
    max_epsilon: float = Field(1.0, ge=0, allow_inf_nan=False)
    min_participants: int = Field(3, ge=1)
    source: str = ""


class Publish(Section):
    """``[publish]``: what the card of this site says besides its numbers, and whether a sync makes a new one.

    Without `after_sync` nothing is published but by `huizhen site publish`.
    """

    after_sync: bool = False
    about: str = Field("", max_length=2000)
    rules: str = Field("", max_length=4000)


class TelemetrySection(Section):
    """``[telemetry]``: whether the agent looks at its own machine, how often, and how long what it saw is kept, here alone."""

    sample: bool = False
    every: str = "60 s"
    whole_days: int = Field(30, ge=1, le=3650)
    coarse_days: int = Field(365, ge=1, le=3650)

    @field_validator("every")
    @classmethod
    def _duration(cls, text: str) -> str:
        if units.seconds(text) < 1:
            raise ValueError("1 s or longer")
        return text

    @field_validator("coarse_days")
    @classmethod
    def _longer(cls, days: int, info: ValidationInfo) -> int:
        if days < info.data.get("whole_days", 0):
            raise ValueError("whole_days, or more")
        return days

    @property
    def every_s(self) -> float:
        return units.seconds(self.every)


class Limits(Section):
    """``[limits]``: what an answer may take of this machine; an answer that takes more fails, and only that answer."""

    memory: str = "4 GB"
    cpu: str = "1 h"
    wall: str = "1 h"
    open_files: int = Field(256, ge=16, le=1_000_000)
    network: Literal["none", "open"] = "none"
    ranks: int = Field(1, ge=1, le=1024)

    @field_validator("cpu", "wall")
    @classmethod
    def _duration(cls, text: str) -> str:
        units.seconds(text)
        return text

    @field_validator("memory")
    @classmethod
    def _size(cls, text: str) -> str:
        _bytes(text)
        return text

    @property
    def memory_bytes(self) -> int:
        return _bytes(self.memory)

    @property
    def cpu_s(self) -> float:
        return units.seconds(self.cpu)

    @property
    def wall_s(self) -> float:
        return units.seconds(self.wall)


SECTIONS: Mapping[str, type[BaseModel]] = {
    "site": About,
    "deidentify": EventRules,
    "enabled": Enabled,
    "accept": Accept,
    "publish": Publish,
    "limits": Limits,
    "telemetry": TelemetrySection,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A validated configuration.

    Attributes:
        sources: that studies are answered from, by alias; `path_of` says where each is.
        connected: sources of the registry, by alias.
        deidentify: what their records lose before they are kept.
        folder: of the configuration, from which relative paths start.
    """

    site: About
    sources: Mapping[str, SourceSection | RegistrySection]
    enabled: Enabled
    policy: DisclosurePolicy
    accept: Accept
    limits: Limits
    folder: Path
    connected: Mapping[str, Options] = field(default_factory=dict)
    publish: Publish = field(default_factory=Publish)
    deidentify: EventRules = field(default_factory=EventRules)
    telemetry: TelemetrySection = field(default_factory=TelemetrySection)

    @property
    def source(self) -> str:
        """The alias of the source that is used unless a person says otherwise; "" where there is none (a compute provider)."""
        return self.accept.source or next(iter(self.sources), "")

    def source_for(self, study: Study) -> str:
        """The alias that a study is answered from unless a person says otherwise: one that counts cohorts from a registry."""
        usual = self.source
        if not any(getattr(one.method, "over", "rows") == "events" for one in study.analyses):
            return usual
        registries = [alias for alias, one in self.sources.items() if isinstance(one, RegistrySection)]
        return usual if usual in registries or not registries else registries[0]

    @property
    def key_path(self) -> Path:
        """Where the key for de-identification is, or would be."""
        return self.folder / self.deidentify.key_file

    def path_of(self, alias: str) -> Path:
        """Where a source is.

        Raises:
            CallerError: no source has this alias.
        """
        if alias not in self.sources:
            expected = f"one of: {', '.join(self.sources)}" if self.sources else "a source in the site's configuration"
            raise CallerError("There is no such source.", [Problem("source", alias[:64], expected)])
        return self.folder / self.sources[alias].path


def read_settings(path: Path) -> Settings:
    """The configuration in a TOML file.

    Raises:
        SiteError: every mistake: the key, what was found, what was expected.
        MachineError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a readable TOML file", "`huizhen site new` writes one")
        raise MachineError("The site's configuration cannot be read.", [problem]) from None
    except UnicodeDecodeError:
        raise SiteError(WRONG, [Problem(str(path), "text that is not UTF-8", "a readable TOML file")]) from None
    if len(text) > LONGEST:
        raise SiteError(WRONG, [Problem(str(path), f"more than {LONGEST:,} characters", "a site's configuration")])
    try:
        content = tomllib.loads(text)
    except RecursionError:
        problem = Problem(str(path), "brackets too deep inside each other", "lists and tables a few levels deep")
        raise SiteError(WRONG, [problem]) from None
    except tomllib.TOMLDecodeError as error:
        raise SiteError(WRONG, [Problem(str(path), str(error), "TOML 1.0")]) from None
    return parse_settings(content, path.parent.absolute())  # a worker starts in another folder


def parse_settings(content: Mapping[str, Any], folder: Path) -> Settings:
    """The configuration in a mapping with the layout of the file.

    Raises:
        SiteError: with every mistake.
    """
    mistakes = Mistakes()
    mistakes.extend(no_text(content))
    known = [*SECTIONS, "source", "policy"]
    for key in content:
        if key not in known:
            mistakes.unknown(key, known)
    sections = {name: check_section(model, content.get(name, {}), name, mistakes) for name, model in SECTIONS.items()}
    if isinstance(rules := sections["deidentify"], EventRules):
        _check_rules(rules, mistakes)
    sources, connected = _sources(content.get("source", {}), mistakes)
    policy = _policy(content.get("policy", {}), mistakes)
    accept = sections["accept"]
    if isinstance(accept, Accept) and accept.source and accept.source not in sources:
        mistakes.add("accept.source", repr(accept.source), f"one of: {', '.join(sources)}")
    if mistakes.problems:
        raise SiteError(WRONG, mistakes.problems)
    whole: dict[str, Any] = dict(sections)
    return Settings(**whole, sources=sources, policy=policy, folder=folder, connected=connected)


def write_template(path: Path) -> None:
    """A commented configuration to start from; a file that is there is not overwritten.

    Raises:
        CallerError: something stands there. MachineError: it cannot be written.
    """
    template = (files("huizhen.site") / "site_template.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except FileExistsError:
        remedy = "Give another name: a file is not overwritten"
        problem = Problem(str(path), "a file that is there already", "a name that is free", remedy)
        raise CallerError("The site's configuration cannot be written.", [problem]) from None
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a new file in a writable folder")
        raise MachineError("The site's configuration cannot be written.", [problem]) from None


def _sources(content: Any, mistakes: Mistakes) -> tuple[dict[str, SourceSection | RegistrySection], dict[str, Options]]:
    if not isinstance(content, Mapping):
        mistakes.add("source", f"a {type(content).__name__}", "tables such as [source.lung]")
        return {}, {}
    found: dict[str, SourceSection | RegistrySection] = {}
    connected: dict[str, Options] = {}
    for alias, table in content.items():
        if not is_name(alias):
            mistakes.add("source", repr(alias)[:80], NAME_RULE)
        elif isinstance(table, Mapping) and table.get("kind") == "registry":
            if (mapped := check_section(RegistrySection, table, f"source.{alias}", mistakes)) is not None:
                found[alias] = mapped
        elif isinstance(table, Mapping) and "kind" in table:
            model, before = OPTIONS.get(str(table["kind"])), len(mistakes.problems)
            if model is None:
                mistakes.add(f"source.{alias}.kind", repr(table["kind"])[:80], f"one of: {', '.join((*OPTIONS, 'registry'))}")
            elif (options := check_section(model, table, f"source.{alias}", mistakes)) is not None:
                connected[alias] = options
            mistakes.problems[before:] = [_without_secrets(problem) for problem in mistakes.problems[before:]]
        elif (source := check_section(SourceSection, table, f"source.{alias}", mistakes)) is not None:
            found[alias] = source
    return found, connected


def _check_rules(rules: EventRules, mistakes: Mistakes) -> None:
    try:
        rules.plan("")
    except SiteError as error:
        mistakes.extend(error.problems)


def _without_secrets(problem: Problem) -> Problem:
    """A URL that cannot be used may hold a password."""
    is_url = problem.where.endswith(".url")
    return Problem(problem.where, "a URL that is not shown here", problem.expected, problem.remedy) if is_url else problem


def _policy(content: Any, mistakes: Mistakes) -> DisclosurePolicy:
    if not isinstance(content, Mapping):
        mistakes.add("policy", f"a {type(content).__name__}", "a table [policy]")
        return DisclosurePolicy()
    try:
        return disclosure_policy(content)
    except HuizhenError as error:
        mistakes.extend(error.problems)
        return DisclosurePolicy()


def _bytes(text: str) -> int:
    match = BYTES.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise ValueError("a size is a positive number and MB, GB or TB, e.g. '4 GB'")
    return int(float(match[1]) * FACTORS[match[2]])
