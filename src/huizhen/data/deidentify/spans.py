"""Where an identifier stands in a text, of which kind, and how sure that is; of spans that overlap the surer one gives the kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CATEGORIES", "Span", "without_overlap"]

CATEGORIES = ("name", "id", "phone", "address", "record", "email", "date")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Characters ``[begins, ends)`` of a text.

    Attributes:
        rank: what is decided first where spans overlap: 3 a pattern that nothing else has, 2 a label stands before it, 1 by its
        looks.
    """

    begins: int
    ends: int
    category: str
    rank: int = 1


def without_overlap(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, none over another; those that overlap become one, so that nothing that any of them covers stays readable."""
    ordered = sorted(set(spans), key=lambda span: (span.begins, -span.rank, -span.ends))
    kept: list[Span] = []
    for span in ordered:
        last = kept[-1] if kept else None
        if last is None or span.begins >= last.ends:
            kept.append(span)
            continue
        best = max(last, span, key=lambda each: (each.rank, each.ends - each.begins))
        kept[-1] = Span(last.begins, max(last.ends, span.ends), best.category, best.rank)
    return kept
