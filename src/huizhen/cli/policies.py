"""Disclosure policies from the command line: one file for all sites, or NAME=FILE for one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from huizhen.errors import CallerError, Problem
from huizhen.federation.mistakes import Mistakes
from huizhen.policy.disclosure import DisclosurePolicy, disclosure_policy

__all__ = ["read_policies", "read_policy"]


def read_policy(path: Path | None) -> DisclosurePolicy:
    """The policy under ``[policy]`` in a TOML file; the strict default without one.

    Raises:
        StudyError: every mistake in the file.
    """
    if path is None:
        return DisclosurePolicy()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) else str(error)
        raise CallerError(
            "The policy file cannot be read.", [Problem(str(path), str(found), "a TOML file with a table [policy]")]
        ) from None
    mistakes = Mistakes()
    for key in content:
        if key != "policy":
            mistakes.unknown(key, ["policy"])
    if "policy" not in content:
        mistakes.add("policy", "nothing", "a table [policy]")
    mistakes.stop(f"The policy in {path} cannot be used.")
    return disclosure_policy(content["policy"])


def read_policies(options: Iterable[str]) -> tuple[DisclosurePolicy, dict[str, DisclosurePolicy]]:
    """The policy for every site, and those for single sites, from options FILE and NAME=FILE."""
    common, single = DisclosurePolicy(), {}
    for option in options:
        site, separator, path = option.rpartition("=")
        if separator and not Path(option).exists():
            single[site] = read_policy(Path(path))
        else:
            common = read_policy(Path(option))
    return common, single
