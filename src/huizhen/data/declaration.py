"""TOML files that a site's people write about their data, read whole; every mistake is named at once."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from huizhen.data.labels import is_unicode
from huizhen.errors import DataError, Problem, closest

__all__ = ["Declaration", "read_declaration"]

LONGEST = 4_000_000  # characters; a value set may be long
Read = TypeVar("Read", bound=BaseModel)


class Declaration(BaseModel):
    """One table of such a file; frozen, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_declaration(path: Path, model: type[Read], wrong: str) -> Read:
    """A TOML file as a model.

    Args:
        wrong: what is said where it cannot be used.

    Raises:
        DataError: with every mistake: the key, what was found, what was expected.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except OSError as error:
        raise DataError(wrong, [Problem(str(path), error.strerror or "an error", "a readable TOML file")]) from None
    except UnicodeDecodeError:
        raise DataError(wrong, [Problem(str(path), "text that is not UTF-8", "a readable TOML file")]) from None
    if len(text) > LONGEST:
        raise DataError(wrong, [Problem(str(path), f"more than {LONGEST:,} characters", "a readable TOML file")])
    try:
        content = tomllib.loads(text)
    except RecursionError:
        problem = Problem(str(path), "brackets too deep inside each other", "lists and tables a few levels deep")
        raise DataError(wrong, [problem]) from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(wrong, [Problem(str(path), str(error), "TOML 1.0")]) from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise DataError(wrong, [_problem(path, found, model) for found in error.errors(include_url=False)]) from None


def _problem(path: Path, found: Any, model: type[BaseModel]) -> Problem:
    where = ".".join(f"[{part + 1}]" if isinstance(part, int) else str(part) for part in found["loc"]).replace(".[", "[")
    where = f"{path.name}: {where}" if where else path.name
    if found["type"] == "extra_forbidden":
        known = _siblings(model, found["loc"])
        near = closest(str(found["loc"][-1]), known)
        expected = f"one of: {', '.join(known)}"
        return Problem(where, "a key that is not known", expected, f"Did you mean {near}?" if near else "")
    if found["type"] == "missing":
        return Problem(where, "nothing", "a value: this setting has no default")
    return Problem(where, _show(found.get("input")), found["msg"].removeprefix("Value error, ").removeprefix("Input should be "))


def _siblings(model: type[BaseModel], location: Sequence[Any]) -> tuple[str, ...]:
    """The keys of the table in which a key stands."""
    here: Any = model
    for part in location[:-1]:
        fields = getattr(here, "model_fields", None)
        if fields is not None:
            here = fields[str(part)].annotation if str(part) in fields else None
        arguments = getattr(here, "__args__", ())
        inner = [each for each in arguments if isinstance(each, type) and issubclass(each, BaseModel)]
        here = inner[0] if inner else here
    return tuple(getattr(here, "model_fields", ()))


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value)
    text = text if is_unicode(text) else "text"
    return text if len(text) <= 80 else f"{text[:77]}..."
