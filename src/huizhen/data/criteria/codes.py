"""Codes and all that stands below them: by their beginning where a terminology writes it so, else by a table of parents.

The first characters of an ICD or ATC code name the classes above it (WHO, ICD-10 volume 2, section 2.4; WHOCC, ATC: structure and
principles), so ``E11`` holds ``E11.9``. Of SNOMED CT, LOINC or RxNorm no code says what is above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["BY_PREFIX", "Prefix", "below", "prefixes"]

BY_PREFIX = frozenset({"ICD10", "ICD10CM", "ICD10CN", "ICD10PCS", "ICD9CM", "ATC"})
DOTTED = frozenset({"ICD10", "ICD10CM", "ICD10CN", "ICD9CM"})  # sources write them with and without the dot after three characters
AFTER = 3


@dataclass(frozen=True, slots=True)
class Prefix:
    """Codes from `low` on and before `high`, by character."""

    low: str
    high: str


def prefixes(system: str, codes: Iterable[str]) -> tuple[Prefix, ...]:
    """The ranges in which the codes and their descendants stand.

    >>> prefixes("ICD10", ["E119"])
    (Prefix(low='E11.9', high='E11.:'), Prefix(low='E119', high='E11:'))
    """
    written = {form for code in codes for form in _forms(system, code)}
    return tuple(Prefix(form, form[:-1] + chr(ord(form[-1]) + 1)) for form in sorted(written))


def _forms(system: str, code: str) -> set[str]:
    if system not in DOTTED:
        return {code}
    bare = code.replace(".", "")
    # A 'V' or digit starts three characters before the dot; an E of ICD-9 four, which both forms of the others do not touch.
    after = AFTER + 1 if system == "ICD9CM" and bare[:1] == "E" else AFTER
    return {bare, f"{bare[:after]}.{bare[after:]}"} if len(bare) > after else {bare}


def below(codes: Sequence[str], parents: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The codes and all their descendants; a circle is walked once.

    Args:
        parents: by code the codes right below it.

    >>> below(["a"], {"a": ["b"], "b": ["c", "a"]})
    ('a', 'b', 'c')
    """
    found = dict.fromkeys(codes)
    waiting = list(codes)
    while waiting:
        for child in parents.get(waiting.pop(), ()):
            if child not in found:
                found[child] = None
                waiting.append(child)
    return tuple(sorted(found))
