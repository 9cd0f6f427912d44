"""All mistakes of a study at once: the key, what was found, what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from huizhen.data.labels import is_unicode
from huizhen.errors import Problem, StudyError, closest
from huizhen.methods.method import Unsound

__all__ = ["Mistakes", "check_section", "no_text"]

Checked = TypeVar("Checked", bound=BaseModel)


@dataclass(slots=True)
class Mistakes:
    """A growing list of problems; `stop` raises them together."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, where: str, found: str, expected: str, remedy: str = "") -> None:
        self.problems.append(Problem(where, found, expected, remedy))

    def extend(self, problems: Iterable[Problem], under: str = "") -> None:
        """Problems found below a key, e.g. in a formula."""
        self.problems += [replace(each, where=f"{under}: {each.where}") if under else each for each in problems]

    def unknown(self, where: str, known: Sequence[str]) -> None:
        close = closest(where, known)
        remedy = f"Did you mean {close}?" if close else ""
        self.add(where, "a key that is not known", f"one of: {', '.join(known)}", remedy)

    def stop(self, message: str) -> None:
        if self.problems:
            raise StudyError(message, self.problems)


def check_section(model: type[Checked], content: Any, where: str, mistakes: Mistakes) -> Checked | None:
    """`content` as a `model`, or None with every mistake noted."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            _translate(found, model, where, mistakes)
        return None


def no_text(content: Any, where: str = "") -> list[Problem]:
    """Names that are no text, and text that cannot be written down (half a character: a surrogate alone), anywhere in a study."""
    problems: list[Problem] = []
    waiting = [(where, content)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str) and not is_unicode(value):
            problems.append(Problem(place or "study", "text that is no Unicode", "characters of Unicode"))
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                if isinstance(name, str) and is_unicode(name):
                    waiting.append((f"{place}.{name}" if place else name, inner))
                else:
                    problems.append(Problem(place or "study", "a name that is no text", "characters of Unicode"))
        elif isinstance(value, list | tuple):
            waiting += [(f"{place}[{i + 1}]", inner) for i, inner in enumerate(value)]
    return problems


def _translate(found: Any, model: type[BaseModel], where: str, mistakes: Mistakes) -> None:
    key = ".".join([where, *(f"[{part + 1}]" if isinstance(part, int) else str(part) for part in found["loc"])]).replace(".[", "[")
    kind, value = found["type"], found.get("input")
    reason = found.get("ctx", {}).get("error")
    if isinstance(reason, Unsound):
        mistakes.problems += [replace(each, where=f"{key}.{each.where}" if each.where else key) for each in reason.problems]
    elif kind == "extra_forbidden":
        mistakes.unknown(key, [f"{where}.{name}" for name in model.model_fields])
    elif kind == "missing":
        mistakes.add(key, "nothing", _meaning(model, found["loc"]))
    else:
        mistakes.add(key, _show(value), found["msg"].removeprefix("Value error, ").removeprefix("Input should be "))


def _meaning(model: type[BaseModel], location: Sequence[Any]) -> str:
    described = model.model_fields.get(str(location[0])) if location else None
    return (described.description if described and described.description else "") or "a value: this setting has no default"


def _show(value: Any) -> str:
    text = repr(value) if not isinstance(value, dict) else "a table"
    return text if len(text) <= 80 else f"{text[:77]}..."
