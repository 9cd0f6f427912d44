"""What a study file says of compression: ``compress = "none"``, or ``compress = { kind = "shared", share = 0.25, bits = 16 }``."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from huizhen.errors import Problem
from huizhen.privacy.compression.quantising import BITS

__all__ = ["Compress", "Kind", "read"]

Kind = Literal["none", "quantised", "shared", "top_k", "low_rank"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SAID: Mapping[str, tuple[str, ...]] = {  # what a kind may say beside itself
    "none": (),
    "quantised": ("bits",),
    "shared": ("share", "bits"),
    "top_k": ("share", "bits"),
    "low_rank": ("rank", "bits"),
}
MOST_ROUNDS, MOST_DIRECTIONS = 100, 64


@dataclass(frozen=True, slots=True)
class Compress:
    """How the changes of a network's weights are made smaller before they are sent.

    Attributes:
        kind: ``none``; ``quantised``: every entry; ``shared``: the same part at every site; ``top_k``: the largest of each site;
            ``low_rank``: products with a few directions.
        bits: of each number sent: 8, 10, 12 or 16.
        share: of the entries (``shared``: 1 divided by a whole number; ``top_k``), above 0 and up to 0.5.
        rank: directions of each matrix (``low_rank``), 1 to 64.
    """

    kind: Kind = "none"
    bits: int = 16
    share: float = 0.25
    rank: int = 4

    @property
    def period(self) -> int:
        """Rounds until every entry of a shared support was sent."""
        return round(1 / self.share)

    @property
    def content(self) -> str | dict[str, Any]:
        """As a study file says it, defaults filled in; `read` gives the same back."""
        return "none" if self.kind == "none" else {"kind": self.kind, **{name: getattr(self, name) for name in SAID[self.kind]}}


def read(content: Any, where: str = "protection.compress") -> tuple[Compress | None, tuple[Problem, ...]]:
    """The compression that a study file asks for, or None and all that is wrong with it.

    Args:
        content: a kind, or a table with a kind.
        where: the key under which it stands.
    """
    table = {"kind": content} if isinstance(content, str) else content
    if not isinstance(table, Mapping):
        return None, (Problem(where, f"a {type(content).__name__}", 'a kind such as "none", or a table with a kind'),)
    kind = table.get("kind")
    if kind not in KINDS:
        found = repr(kind) if "kind" in table else "no kind"
        close = difflib.get_close_matches(kind, KINDS, n=1) if isinstance(kind, str) else []
        remedy = f"Did you mean {close[0]}?" if close else ""
        return None, (Problem(f"{where}.kind", found, f"one of: {', '.join(KINDS)}", remedy),)
    problems = []
    for name, value in table.items():
        if name == "kind":
            continue
        if name not in SAID[kind]:
            known = f"one of: {', '.join(('kind', *SAID[kind]))}"
            problems.append(Problem(f"{where}.{name}", f"a setting that {kind} does not have", known))
        elif (wrong := RULES[name](value, kind)) is not None:
            problems.append(Problem(f"{where}.{name}", repr(value), wrong))
    if problems:
        return None, tuple(problems)
    said: dict[str, Any] = {name: value for name, value in table.items() if name != "kind"}
    return Compress(kind, **said), ()


def _bits(value: Any, _kind: str) -> str | None:
    return None if type(value) is int and value in BITS else "8, 10, 12 or 16"


def _share(value: Any, kind: str) -> str | None:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 < value <= 0.5:
        return "a share of the entries, above 0 and up to 0.5"
    if kind == "shared":
        period = round(1 / value)
        if period > MOST_ROUNDS or abs(value * period - 1) > 0.02:
            return "1 divided by a whole number up to 100, such as 0.5, 0.25, 0.2 or 0.1"
    return None


def _rank(value: Any, _kind: str) -> str | None:
    return None if type(value) is int and 1 <= value <= MOST_DIRECTIONS else "a whole number from 1 to 64"


RULES: Mapping[str, Callable[[Any, str], str | None]] = {"bits": _bits, "share": _share, "rank": _rank}
