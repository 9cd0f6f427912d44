"""A study: a question, a cohort, methods, participants and protection, as data.

It is read from TOML or a mapping, validated as a whole (all mistakes at once), and named by the digest of its content: that
digest is what a site consents to.

    >>> study = Study.parse({
    ...     "study": {"title": "Survival by sex"},
    ...     "method": {"kaplan_meier": {"time": "time", "event": "status == 2", "by": "sex"}},
    ... })
    >>> study.analyses[0].label, len(study.digest)
    ('kaplan_meier', 64)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from huizhen import canonical, extension
from huizhen.data import cohort
from huizhen.data.cohort import Condition
from huizhen.errors import HuizhenError, MachineError, Problem, StudyError
from huizhen.federation.mistakes import Mistakes, check_section, no_text
from huizhen.federation.noise import check_noise, of_settings, stated
from huizhen.federation.sections import SECTIONS, About, Cohort, Missing, Participants, Protection, Start, VariableSection
from huizhen.ids import NAME_RULE, is_name
from huizhen.methods.features.declared import NO_FEATURES, Features
from huizhen.methods.features.featured import featured, spelled_out
from huizhen.methods.method import Method, Spec, Use
from huizhen.privacy.compression import spec
from huizhen.privacy.compression.combining import conflicts
from huizhen.privacy.noisysteps import NoisyStep
from huizhen.privacy.release import Variable

__all__ = ["METHODS", "Analysis", "Study"]

UNQUOTED = re.compile(r"""^[^"'#=\n]*[^\x00-\x7f"'#=\n]""", re.MULTILINE)  # a line whose name TOML wants in quotes
QUOTES = "Put a name in quotes if it holds more than a-z, A-Z, 0-9, '-' and '_', as in [variables.\"年龄\"]"
METHODS = "huizhen.methods"  # the entry-point group
CANNOT_RUN = "The study cannot run as it is written."
LONGEST = 1_000_000  # characters of a study file; what is longer is another file, or an attack


@dataclass(frozen=True, slots=True)
class Analysis:
    """One method with its settings; `label` is unique within the study.

    Attributes:
        features: those that the method sees, with what they are made of; then `method` fits them first.
        needs_features: the columns of features that a row must not miss to take part.
    """

    label: str
    method: Method
    spec: Spec
    features: Features = NO_FEATURES
    needs_features: tuple[str, ...] = ()

    @property
    def uses(self) -> tuple[Use, ...]:
        return self.method.uses(self.spec)


@dataclass(frozen=True)
class Study:
    """A validated study; make one with `parse` or `read`."""

    about: About
    cohort: Cohort
    variables: Mapping[str, VariableSection]
    missing: Missing
    participants: Participants
    protection: Protection
    start: Start
    analyses: tuple[Analysis, ...]
    conditions: tuple[Condition, ...] = field(repr=False)
    exclusions: tuple[Condition, ...] = field(repr=False)
    features: Features = NO_FEATURES

    @classmethod
    def read(cls, path: str | Path) -> Study:
        """The study in a TOML file.

        Raises:
            StudyError: the file cannot be read, is not TOML, or says something wrong; every mistake is named.
        """
        try:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(LONGEST + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "text that is not UTF-8"
            problem = Problem(str(path), str(reason), "a readable TOML file", "`huizhen study new` writes one")
            raise StudyError("The study file cannot be read.", [problem]) from None
        if len(text) > LONGEST:
            problem = Problem(str(path), f"more than {LONGEST:,} characters", "a study file", "Name the file that holds the study")
            raise StudyError("The study file is too long.", [problem])
        try:
            return cls.parse(tomllib.loads(text))
        except RecursionError:
            problem = Problem(str(path), "brackets too deep inside each other", "lists and tables a few levels deep")
            raise StudyError("The study file cannot be read.", [problem]) from None
        except tomllib.TOMLDecodeError as error:
            remedy = QUOTES if UNQUOTED.search(text) else ""
            raise StudyError("The study file is not TOML.", [Problem(str(path), str(error), "TOML 1.0", remedy)]) from None

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Study:
        """The study in a mapping with the layout of a study file.

        Raises:
            StudyError: with every mistake: the key, what was found, what was expected.
        """
        mistakes = Mistakes()
        mistakes.extend(no_text(content))
        mistakes.stop(CANNOT_RUN)
        known = [*SECTIONS, "variables", "features", "method"]
        for key in content:
            if key not in known:
                mistakes.unknown(key, known)
        sections = {name: check_section(model, content.get(name, {}), name, mistakes) for name, model in SECTIONS.items()}
        variables = _variables(content.get("variables", {}), mistakes)
        features = _features(content.get("features", {}), mistakes)
        analyses = _analyses(content.get("method"), features or NO_FEATURES, mistakes)
        cohort_section = sections["cohort"] or Cohort()
        assert isinstance(cohort_section, Cohort)
        include = _conditions(cohort_section.include, "cohort.include", mistakes)
        exclude = _conditions(cohort_section.exclude, "cohort.exclude", mistakes)
        _check_kinds(variables, analyses, [*include, *exclude], mistakes)
        if features is not None:
            _check_features(features, analyses, [*include, *exclude], mistakes)
        _check_protection(content.get("protection"), sections["protection"], sections["participants"], analyses, mistakes)
        _check_start(sections["start"], sections["participants"], mistakes)
        _check_events(analyses, [*include, *exclude], mistakes)
        mistakes.stop(CANNOT_RUN)
        protection, participants = sections["protection"], sections["participants"]
        assert isinstance(protection, Protection)
        assert isinstance(participants, Participants)
        if protection.noise is not None:
            check_noise(protection.noise, protection.sum, protection.compression.kind, len(participants.sites), mistakes)
            for analysis in analyses:
                stated(analysis.method, analysis.spec, _declared(variables), protection.noise.level, analysis.label, mistakes)
        else:
            for analysis in analyses:
                of_settings(analysis.method, analysis.spec, analysis.label, mistakes)
        mistakes.stop(CANNOT_RUN)
        whole: dict[str, Any] = {("about" if name == "study" else name): section for name, section in sections.items()}
        return cls(
            **whole,
            variables=variables,
            analyses=tuple(analyses),
            conditions=tuple(include),
            exclusions=tuple(exclude),
            features=features or NO_FEATURES,
        )

    @property
    def title(self) -> str:
        return self.about.title

    @property
    def content(self) -> dict[str, Any]:
        """The whole study as plain values, defaults filled in; `Study.parse(study.content)` is the same study."""
        sections = {name: getattr(self, "about" if name == "study" else name) for name in SECTIONS}
        methods: dict[str, list[Any]] = {}
        for analysis in self.analyses:
            methods.setdefault(analysis.method.name, []).append({"label": analysis.label, **analysis.spec.model_dump(mode="json")})
        return {
            **{name: section.model_dump(mode="json") for name, section in sections.items()},
            "variables": {name: variable.model_dump(mode="json") for name, variable in self.variables.items()},
            **({"features": dict(self.features.texts)} if self.features else {}),
            "method": methods,
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical content, in hexadecimal."""
        return canonical.digest(self.content)

    @property
    def uses(self) -> Mapping[str, Literal["number", "category", "any", "image"]]:
        """Every variable that the study reads, and as what; what its declaration says wins."""
        kinds: dict[str, Literal["number", "category", "any", "image"]] = {}
        for use in _all_uses(self.analyses, [*self.conditions, *self.exclusions]):
            if kinds.get(use.name, "any") == "any":
                kinds[use.name] = use.kind
        for name, variable in self.variables.items():
            if name in kinds and variable.type:
                kinds[name] = variable.type
        return kinds

    @cached_property
    def noisy_steps(self) -> Mapping[str, tuple[NoisyStep, ...]]:
        """What each analysis states that it asks in a study with noise, by label.

        Where the study asks for none, those alone whose own settings ask for noise, and of them the noisy steps alone.
        """
        noise, variables = self.protection.noise, _declared(self.variables)
        if noise is None:
            own = {one.label: of_settings(one.method, one.spec, one.label, Mistakes()) for one in self.analyses}
            return {label: steps for label, steps in own.items() if steps}
        return {one.label: stated(one.method, one.spec, variables, noise.level, one.label, Mistakes()) for one in self.analyses}

    def needs(self, analysis: Analysis) -> tuple[str, ...]:
        """The variables that a row must not miss to take part in an analysis, by the study's rule for missing values."""
        return tuple(dict.fromkeys(name for each in self._together(analysis) for name in each.method.complete(each.spec)))

    def needs_features(self, analysis: Analysis) -> tuple[str, ...]:
        """The columns of features that it must not miss either."""
        return tuple(dict.fromkeys(name for each in self._together(analysis) for name in each.needs_features))

    def _together(self, analysis: Analysis) -> tuple[Analysis, ...]:
        """The analyses that rest on the same patients."""
        return self.analyses if self.missing.rule == "study" else (analysis,)


def _declared(variables: Mapping[str, VariableSection]) -> dict[str, Variable]:
    """The variables as declared, without what only data tell."""
    declared = {}
    for name, said in variables.items():
        bounds = (float(said.range[0]), float(said.range[1])) if said.range else None
        kind: Literal["number", "category", "image"] = said.type or ("category" if said.levels else "number")
        declared[name] = Variable(kind, said.labels, said.unit, bounds, tuple(said.shape))
    return declared


def _check_protection(content: Any, protection: Any, participants: Any, analyses: list[Analysis], mistakes: Mistakes) -> None:
    """What cannot be protected as it is asked for."""
    said = content.get("compress", "none") if isinstance(content, Mapping) else "none"
    compress, problems = spec.read(said)
    mistakes.extend(problems)
    if compress is None or not isinstance(protection, Protection):
        return
    named = participants.sites if isinstance(participants, Participants) else []
    exact = any(analysis.method.exact for analysis in analyses)
    mistakes.extend(conflicts(protection.sum, compress, "none", exact_method=exact, sites=max(len(named), 3)))
    if protection.sum == "paillier" and compress.kind == "top_k":
        remedy = "A ciphertext holds entries at places that all agree on; choose shared"
        mistakes.add(
            "protection.compress", "top_k with encrypted sums", "a compression in which all sites send the same entries", remedy
        )
    if named:
        mistakes.extend(protection.unmet_by(named))


def _check_events(analyses: list[Analysis], conditions: list[Condition], mistakes: Mistakes) -> None:
    """Conditions choose rows; what is answered from events has criteria of its own."""
    labels = [one.label for one in analyses if getattr(one.method, "over", "rows") == "events"]
    if labels and conditions:
        remedy = f"Write them as criteria of {', '.join(labels)}, or ask in two studies"
        mistakes.add("cohort", "conditions on rows beside criteria over events", "one of the two", remedy)


def _check_start(start: Any, participants: Any, mistakes: Mistakes) -> None:
    """A start for which more sites must accept than are named would never come."""
    if isinstance(start, Start) and isinstance(participants, Participants) and 0 < len(participants.sites) < start.sites:
        mistakes.add("start.sites", str(start.sites), f"no more than the {len(participants.sites)} sites of the study")


def _variables(content: Any, mistakes: Mistakes) -> dict[str, VariableSection]:
    if not isinstance(content, Mapping):
        mistakes.add("variables", f"a {type(content).__name__}", "tables such as [variables.age]")
        return {}
    checked = {name: check_section(VariableSection, value, f"variables.{name}", mistakes) for name, value in content.items()}
    return {name: variable for name, variable in checked.items() if variable is not None}


def _features(content: Any, mistakes: Mistakes) -> Features | None:
    """The features that a study declares, or None with every mistake noted."""
    if not isinstance(content, Mapping):
        mistakes.add("features", f"a {type(content).__name__}", 'lines such as age_z = "standardise(age)"')
        return None
    if wrong := [name for name, text in content.items() if not isinstance(text, str)]:
        for name in wrong:
            mistakes.add(f"features.{name}", f"a {type(content[name]).__name__}", 'text such as "standardise(age)"')
        return None
    try:
        return Features.of(content)
    except StudyError as error:
        mistakes.extend(replace(each, where=f"features.{each.where}" if each.where else "features") for each in error.problems)
        return None


def _check_features(features: Features, analyses: list[Analysis], conditions: list[Condition], mistakes: Mistakes) -> None:
    """Features that nothing sees; and conditions on features, where a cohort is chosen before any is made."""
    for name in dict.fromkeys(name for condition in conditions for name in condition.variables):
        if name in features.owner and name not in features.origins(name):
            mistakes.add(f"features.{features.owner[name]}", "a feature in a condition of the cohort", "a variable")
    whole = not any(each.where.startswith("method") for each in mistakes.problems)
    seen = {name for analysis in analyses for name in analysis.features.texts}
    for name in features.texts:
        if whole and name not in seen:
            mistakes.add(
                f"features.{name}", "a feature that no method and no other feature uses", "a feature of the study, or no such line"
            )


def _analyses(content: Any, features: Features, mistakes: Mistakes) -> list[Analysis]:
    if not isinstance(content, Mapping) or not content:
        mistakes.add(
            "method", "nothing" if not content else f"a {type(content).__name__}", "at least one table such as [method.cox]"
        )
        return []
    names, found = extension.installed(METHODS), []
    for name, settings in content.items():
        if name not in names:
            mistakes.unknown(f"method.{name}", [f"method.{each}" for each in names])
            continue
        several = settings if isinstance(settings, list) else [settings]
        for place, table in enumerate(several):
            where = f"method.{name}" if len(several) == 1 else f"method.{name}[{place + 1}]"
            if (analysis := _analysis(name, table, where, place, features, mistakes)) is not None:
                found.append(analysis)
    labels = [analysis.label for analysis in found]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        mistakes.add("method", f"the label {label!r} {labels.count(label)} times", "labels that differ")
    return found


def _analysis(name: str, table: Any, where: str, place: int, features: Features, mistakes: Mistakes) -> Analysis | None:
    settings = dict(table) if isinstance(table, Mapping) else table
    label = settings.pop("label", name if place == 0 else f"{name}-{place + 1}") if isinstance(settings, dict) else name
    if not isinstance(label, str) or not is_name(label):
        mistakes.add(f"{where}.label", repr(label), NAME_RULE)
        return None
    try:
        method: Method = extension.load(METHODS, name)
    except MachineError as error:
        mistakes.extend(error.problems)
        return None
    spec = check_section(method.spec, spelled_out(settings, features), where, mistakes)
    if spec is None:
        return None
    try:
        analysis = _with_features(Analysis(label, method, spec), features)
        analysis.method.complete(spec)
    except HuizhenError as error:  # a formula or condition inside the settings
        mistakes.extend(error.problems or [Problem(where, error.message, "settings that fit together")], where)
        return None
    return analysis


def _with_features(analysis: Analysis, features: Features) -> Analysis:
    """The analysis as it sees those features that its settings name.

    Raises:
        StudyError: they are none that the method can see.
    """
    method, spec = analysis.method, analysis.spec
    seen = features.only(use.name for use in analysis.uses)
    if not seen:
        return analysis
    needed = tuple(name for name in method.complete(spec) if name in seen.owner)
    return replace(analysis, method=featured(method, spec, seen), features=seen, needs_features=needed)


def _conditions(texts: list[str], where: str, mistakes: Mistakes) -> list[Condition]:
    parsed = []
    for place, text in enumerate(texts):
        try:
            parsed.append(cohort.parse(text))
        except StudyError as error:
            mistakes.extend(error.problems, f"{where}[{place + 1}]")
    return parsed


def _all_uses(analyses: Any, conditions: list[Condition]) -> list[Use]:
    from_methods = [use for analysis in analyses for use in analysis.uses]
    return from_methods + [Use(name, kind) for condition in conditions for name, kind in condition.uses.items()]


def _check_kinds(
    variables: Mapping[str, VariableSection], analyses: list[Analysis], conditions: list[Condition], mistakes: Mistakes
) -> None:
    kinds: dict[str, set[str]] = {}
    for use in _all_uses(analyses, conditions):
        kinds.setdefault(use.name, set()).add(use.kind)
    for name, found in kinds.items():
        declared = variables[name].type if name in variables else None
        wanted = (found | ({declared} if declared else set())) - {"any"}
        if "image" in wanted and found | wanted != {"image"}:
            mistakes.add(
                f"variables.{name}", "a variable used both as an image and as a value", "one of the two throughout the study"
            )
        elif len(wanted) > 1:
            mistakes.add(
                f"variables.{name}", "a variable used both as a number and as a category", "one of the two throughout the study"
            )
    whole = not any(each.where.startswith(("method", "cohort")) for each in mistakes.problems)  # else some use may be unread
    for name in variables:
        if whole and name not in kinds:
            mistakes.add(
                f"variables.{name}", "a variable that no method and no condition uses", "a variable of the study, or no such table"
            )
