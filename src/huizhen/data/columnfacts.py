"""What a source says of a column before anybody reads it: name, kind, how many cells are filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ColumnFacts"]


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column as it is found.

    Attributes:
        kind: ``number`` if every value is one and none starts with a zero as codes do (007), ``image`` for arrays; a guess.
        filled: rows that do not miss it; exact, so for the site's own eyes only.
        texts: how many of them are no number; likewise.
        shape: of an image, (channel, *space); () for the others.
        stored: how an image's pixels are kept, ``uint8``, ``int16`` or ``float32``; "" for the others.
    """

    name: str
    kind: Literal["number", "category", "image"]
    filled: int
    texts: int = 0
    shape: tuple[int, ...] = ()
    stored: str = ""
