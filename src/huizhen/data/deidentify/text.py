"""Free text without identifiers: what `find` finds is replaced by marks, or by surrogates that are the same for the same text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from huizhen.data.deidentify.addresses import addresses
from huizhen.data.deidentify.dates import read_date
from huizhen.data.deidentify.names_en import names_en
from huizhen.data.deidentify.names_zh import STRICT, USUAL, names_zh
from huizhen.data.deidentify.patterns import dates, emails, ids, phones, records
from huizhen.data.deidentify.rules import TextPlan
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.spans import Span, without_overlap

__all__ = ["Cleaned", "find", "replaced"]

RECOGNISERS: dict[str, tuple[Callable[[str], Iterator[Span]], ...]] = {
    "name": (names_en,),
    "id": (ids,),
    "phone": (phones,),
    "address": (addresses,),
    "record": (records,),
    "email": (emails,),
    "date": (dates,),
}
DIGITS = 6  # of a surrogate: 30 bits tell the people of a hospital's reports apart
YEAR = re.compile(r"(?:19|20)\d{2}")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text after de-identification, and how many identifiers of each kind were replaced."""

    text: str
    counts: Counter[str] = field(default_factory=Counter)


def find(text: str, plan: TextPlan | None = None, known: Iterable[str] = ()) -> list[Span]:
    """Identifiers in a text, in order, none over another; `known` are texts that identify wherever they stand."""
    plan = plan or TextPlan()
    spans = [span for category in plan.categories for recognise in RECOGNISERS[category] for span in recognise(text)]
    if "name" in plan.categories:
        spans += names_zh(text, STRICT if plan.names == "strict" else USUAL)
    for word in (*plan.words, *known):
        spans += [Span(found.start(), found.end(), "name", 3) for found in re.finditer(re.escape(word), text, re.IGNORECASE)]
    return without_overlap(spans)


def replaced(
    text: str, plan: TextPlan, secret: Secret, *, patient: str = "", most_days: int = 365, known: Iterable[str] = ()
) -> Cleaned:
    """The text with marks such as ``<NAME>`` in place of identifiers.

    Args:
        text: of one report.
        plan: what is looked for.
        secret: makes surrogates, and says by how many days the patient's dates move.
        patient: whose report it is; "" where nobody knows, and then dates that should move become marks.
        most_days: how far dates move at most.
        known: texts that identify wherever they stand: what the record says elsewhere of the patient.
    """
    pieces, at, counts = [], 0, Counter[str]()
    days = secret.days(patient, most=most_days) if patient else 0
    for span in find(text, plan, known):
        words = text[span.begins : span.ends]
        if span.category == "date" and plan.dates == "keep":
            continue
        said = _day(words, plan, days) if span.category == "date" else ""
        pieces += [text[at : span.begins], said or _mark(span.category, words, plan, secret)]
        at = span.ends
        counts[span.category] += 1
    return Cleaned("".join([*pieces, text[at:]]), counts)


def _mark(category: str, words: str, plan: TextPlan, secret: Secret) -> str:
    if plan.style == "mark" or category == "date":
        return f"<{category.upper()}>"
    told = "".join(words.split()).lower()
    return f"<{category.upper()}-{secret.pseudonym('text ' + category, told)[:DIGITS]}>"


def _day(words: str, plan: TextPlan, days: int) -> str:
    """A date as the plan tells it; "" where it becomes a mark."""
    if plan.dates == "year" and (year := YEAR.search(words)):
        return year[0]
    if plan.dates != "shift" or not days:
        return ""
    written = read_date(words)
    try:
        return written.shifted(days) if written and written.day > date(1800, 1, 1) else ""
    except OverflowError:
        return ""
