"""Texts of events without identifiers: reports and what was written freely, answers that are dates, numbers that are somebody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from huizhen.data.deidentify.dates import read_date
from huizhen.data.deidentify.eventrules import EventPlan
from huizhen.data.deidentify.identifying import is_free
from huizhen.data.deidentify.rules import TextPlan
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.text import Cleaned, replaced
from huizhen.data.events.schema import PART

__all__ = ["Texts"]

FOUND = {
    "name": "a name in a text",
    "id": "an ID number in a text",
    "phone": "a telephone number in a text",
    "address": "an address in a text",
    "record": "a record number in a text",
    "email": "an e-mail address in a text",
    "date": "a date in a text",
}
DROPPED, MOVED = "a text dropped", "a date that is an answer, moved"
PHONE, LONG = "a cell that is a telephone number", "a cell that is an ID number"
SURE = ("id", "phone", "email")  # by their form alone, wherever they stand
SHORT, REMEMBERED = 200, 20_000  # characters of a text that is worth being remembered; how many are
FIRST_PHONE, LAST_PHONE, FIRST_ID = 13_000_000_000, 19_999_999_999, 10.0**14  # mobile numbers of 11 digits; 15 digits and more
TOLD = ("person", "visit", "image")  # whose text is a sex, a provider, a place


@dataclass
class Texts:
    """The text, display and number of events.

    Attributes:
        known: by record, texts that identify wherever they stand in it.
    """

    plan: EventPlan
    secret: Secret
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _remembered: dict[Any, Cleaned] = field(default_factory=dict)

    def treat(self, columns: dict[str, list[Any]], ruled: Sequence[bool], counts: Counter[str]) -> None:
        """Replaces what identifies in the texts of some events, given by column; what a rule has told already stays."""
        patients, kinds, records = columns["patient"], columns["kind"], columns["record"]
        known = self.known
        columns["text"] = [
            text
            if text is None or is_ruled
            else self._text(kind, text, patient, known.get(record.partition(PART)[0], ()) if known else (), counts)
            for kind, text, patient, record, is_ruled in zip(kinds, columns["text"], patients, records, ruled)
        ]
        self._displays(columns, counts)
        self._numbers(columns, ruled, counts)
        self.known = {}

    def cleaned(self, text: str | None, patient: str, known: tuple[str, ...], counts: Counter[str]) -> str | None:
        """A text that is known to be free, as the plan has it."""
        said = self.plan.said.texts
        if text is None or said == "keep":
            return text
        if said == "drop":
            counts[DROPPED] += 1
            return None
        return self._replaced(text, self.plan.fields.text, patient, known, counts)

    @cached_property
    def _sure(self) -> TextPlan:
        return replace(self.plan.fields.text, categories=SURE)

    def _text(self, kind: str, text: str, patient: str, known: tuple[str, ...], counts: Counter[str]) -> str | None:
        if kind == "report":
            return self.cleaned(text, patient, known, counts)
        if kind in TOLD:
            return text
        if (written := read_date(text)) is not None:
            return self._answer(text, written, patient, counts)
        if is_free(text):
            return self.cleaned(text, patient, known, counts)
        return text if self.plan.said.texts == "keep" else self._replaced(text, self._sure, "", known, counts)

    def _answer(self, text: str, written: Any, patient: str, counts: Counter[str]) -> str | None:
        """A date by itself is no free text: it is treated as all dates are."""
        if self.plan.said.dates != "shift":
            return text
        counts[MOVED] += 1
        try:
            moved: str = written.shifted(self.secret.days(patient, most=self.plan.fields.most_days))
        except OverflowError:
            return None
        return moved

    def _displays(self, columns: dict[str, list[Any]], counts: Counter[str]) -> None:
        """Words of a code are those of its terminology; words without a code are somebody's own."""
        if self.plan.said.texts == "keep":
            return
        free, told = self.plan.fields.text, columns["display"]
        ours = [None if display == code else (display, code is None) for display, code in zip(told, columns["code"])]
        changed: dict[tuple[str, bool], str] = {}
        for (display, alone), events in Counter(each for each in ours if each is not None and each[0] is not None).items():
            found: Counter[str] = Counter()
            text = self._replaced(display, free if alone and is_free(display) else self._sure, "", (), found)
            if text != display:
                changed[display, alone] = text
                counts.update({what: count * events for what, count in found.items()})
        if changed:
            columns["display"] = [changed.get(each, display) if each else display for each, display in zip(ours, told)]

    def _numbers(self, columns: dict[str, list[Any]], ruled: Sequence[bool], counts: Counter[str]) -> None:
        """Cells that were read as numbers and are somebody's."""
        if self.plan.said.identifying == "keep" or "value" not in columns["kind"]:
            return
        for at, number in enumerate(columns["number"]):
            if number is not None and number >= FIRST_PHONE and columns["kind"][at] == "value":
                what = PHONE if number <= LAST_PHONE and number.is_integer() else LONG if number >= FIRST_ID else ""
                if what and not ruled[at]:
                    columns["number"][at], columns["text"][at] = None, "<PHONE>" if what == PHONE else "<ID>"
                    counts[what] += 1

    def _replaced(self, text: str, plan: TextPlan, patient: str, known: tuple[str, ...], counts: Counter[str]) -> str:
        days = self.plan.fields.most_days if patient and plan.dates == "shift" else 0
        asked = (text, plan is self._sure, patient if days else "", known)
        done = self._remembered.get(asked)
        if done is None:
            done = replaced(text, plan, self.secret, patient=patient if days else "", most_days=days or 1, known=known)
            if len(text) <= SHORT:
                if len(self._remembered) >= REMEMBERED:
                    self._remembered.clear()
                self._remembered[asked] = done
        for category, count in done.counts.items():
            counts[FOUND[category]] += count
        return done.text
