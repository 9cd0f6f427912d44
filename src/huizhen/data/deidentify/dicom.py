"""A DICOM header without identifiers: the profile's action for every attribute, in sequences too, and marks that say it was done.

What the table does not name and nobody can know is removed: private attributes, attributes that no dictionary has, curves,
overlays;
names of persons are emptied wherever they stand. Values stay in bytes as they were read, unless they are changed: this is what
makes it fast.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from huizhen.data.deidentify.dates import read_date
from huizhen.data.deidentify.profile import Action, Profile, actions_of
from huizhen.data.deidentify.rules import TextPlan
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.text import replaced
from huizhen.errors import MachineError, Problem

__all__ = ["Header", "deidentify", "pydicom", "quiet"]

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
UID_META = 0x00020003  # Media Storage SOP Instance UID
META_KEPT = frozenset((0x00020000, 0x00020001, 0x00020002, UID_META, 0x00020010, 0x00020012, 0x00020013))
DUMMIES: Mapping[str, Any] = {
    "DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "PN": "Anonymous", "IS": "0", "DS": "0",
    "US": 0, "SS": 0, "UL": 0, "SL": 0, "FL": 0.0, "FD": 0.0, "OB": b"\x00\x00", "OW": b"\x00\x00", "UN": b"",
    "AE": "REMOVED", "CS": "REMOVED", "UR": "removed:",
    "LO": "Removed", "SH": "Removed", "LT": "Removed", "ST": "Removed", "UT": "Removed", "UC": "Removed",
}  # fmt: skip
TEXTS = ("LO", "SH", "LT", "ST", "UT", "UC")


@dataclass(frozen=True, slots=True)
class Header:
    """What was done to one header: attributes by action; holds no value."""

    counts: Counter[str]


def pydicom() -> Any:
    """The library that reads and writes DICOM.

    Raises:
        MachineError: it is not installed.
    """
    try:
        import pydicom as library
    except ImportError:
        problem = Problem("pydicom", "not installed", "the extra deidentify", "pip install 'huizhen[deidentify]'")
        raise MachineError("DICOM files cannot be read here.", [problem]) from None
    return library


@contextmanager
def quiet() -> Iterator[None]:
    """While it is entered, what the library warns of is dropped: its warnings and log lines quote values."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def deidentify(dataset: Any, profile: Profile, secret: Secret, *, also: Sequence[tuple[str, str]] = ()) -> Header:
    """Changes a header in place.

    Args:
        dataset: a `pydicom.Dataset`, with file meta information where it is a file's.
        profile: the options.
        secret: makes UIDs and pseudonyms, and says by how many days the patient's dates move.
        also: codes and meanings of what was done besides, to the pixels, say.
    """
    with quiet():
        work = _Work(profile, secret, _text_of(dataset, PATIENT_ID))
        work.treat(dataset)
        pseudonym = secret.pseudonym("patient", work.patient) if work.patient else ""  # Z allows another value than the patient's
        for tag in (PATIENT_ID, PATIENT_NAME):
            if tag in dataset:
                dataset[tag].value = pseudonym
        _meta(dataset, secret, profile)
        _say(dataset, profile, also)
    return Header(work.counts)


class _Work:
    """One header under treatment: whose it is, and what was counted so far."""

    def __init__(self, profile: Profile, secret: Secret, patient: str) -> None:
        self.counts: Counter[str] = Counter()
        self.patient = patient
        self._secret = secret
        self._actions = actions_of(profile.options)
        self._days = secret.days(patient, most=profile.most_days) if patient else 0
        self._text = TextPlan()

    def treat(self, dataset: Any) -> None:
        """Every attribute of a data set, and of the items in it."""
        for tag in list(dataset.keys()):
            number = int(tag)
            action = self._actions.get(number) or _elsewhere(number)
            if action == "X":
                del dataset[tag]
                self.counts["removed"] += 1
            elif action is None or action == "K":
                self._keep(dataset, tag, number, named=action == "K")
            else:
                self._change(dataset, tag, action)

    def _keep(self, dataset: Any, tag: Any, number: int, *, named: bool) -> None:
        vr = _representation(dataset, tag, number)
        if vr is None:
            del dataset[tag]
            self.counts["removed"] += 1
        elif vr == "SQ":
            for item in dataset[tag].value:
                self.treat(item)
        elif vr == "PN" and not named:
            self._set(dataset, tag, "", "emptied")

    def _change(self, dataset: Any, tag: Any, action: Action) -> None:
        vr = _representation(dataset, tag, int(tag))
        if vr is None:
            del dataset[tag]
            self.counts["removed"] += 1
        elif vr == "SQ":
            self._sequence(dataset, tag, action)
        elif action == "Z":
            self._set(dataset, tag, None if vr not in ("PN", *TEXTS) else "", "emptied")
        elif action == "U":
            self._each(dataset, tag, self._secret.uid, "UID replaced")
        elif action == "C":
            self._clean(dataset, tag, vr)
        else:
            value = self._secret.uid(str(dataset[tag].value)) if vr == "UI" else DUMMIES.get(vr)
            self._set(dataset, tag, value, "dummy")

    def _sequence(self, dataset: Any, tag: Any, action: Action) -> None:
        if action == "Z":
            self._set(dataset, tag, [], "emptied")
            return
        for item in dataset[tag].value:  # U, C: the profile inside; D: dummies for whatever is left of it
            self.treat(item)
            if action == "D":
                self._dummies(item)
            elif action == "C":
                self._words(item)

    def _words(self, dataset: Any) -> None:
        """What is written in a sequence that is kept (a report's content, graphics) loses what looks like an identifier."""
        for tag in list(dataset.keys()):
            vr = _representation(dataset, tag, int(tag))
            if vr == "SQ":
                for inner in dataset[tag].value:
                    self._words(inner)
            elif vr in TEXTS:
                self._clean(dataset, tag, vr)

    def _dummies(self, item: Any) -> None:
        for tag in list(item.keys()):
            vr = _representation(item, tag, int(tag))
            if vr == "SQ":
                for inner in item[tag].value:
                    self._dummies(inner)
            elif vr == "UI":
                self._each(item, tag, self._secret.uid, "UID replaced")
            elif vr != "CS":  # words of the standard, such as the kind of a content item
                self._set(item, tag, DUMMIES.get(vr or "UN"), "dummy")

    def _clean(self, dataset: Any, tag: Any, vr: str) -> None:
        """Dates move by the patient's days; words lose what looks like an identifier; of all else nothing stays."""
        if vr in ("DA", "DT"):
            self._each(dataset, tag, self._moved if self._days else lambda _: str(DUMMIES[vr]), "date moved")
        elif vr in TEXTS:
            cleaned = _changed(dataset[tag].value, lambda text: replaced(text, self._text, self._secret).text)
            self._set(dataset, tag, cleaned, "cleaned")
        elif vr == "TM":
            self.counts["time kept"] += 1
        else:
            self._set(dataset, tag, None, "emptied")

    def _moved(self, text: str) -> str:
        written = read_date(text)
        try:
            return written.shifted(self._days) if written else ""
        except OverflowError:
            return ""

    def _each(self, dataset: Any, tag: Any, change: Callable[[str], str], counted: str) -> None:
        """Every value of an attribute of plain characters (UIDs, dates), changed in its bytes where it was not yet decoded."""
        element = dataset.get_item(tag)
        if getattr(element, "is_raw", False) and isinstance(element.value, bytes):
            texts = element.value.decode("ascii", "replace").split("\\")
            joined = "\\".join(change(text.strip("\0 ")) if text.strip("\0 ") else "" for text in texts)
            self._set(dataset, tag, joined, counted)
        else:
            self._set(dataset, tag, _changed(element.value, change), counted)

    def _set(self, dataset: Any, tag: Any, value: Any, counted: str) -> None:
        self.counts[counted] += 1
        element = dataset.get_item(tag)
        if getattr(element, "is_raw", False) and (value is None or isinstance(value, str)):
            text = value or ""
            if text.isascii():
                content = text.encode("ascii") + (b"\0" if element.VR == "UI" else b" ") * (len(text) % 2)
                dataset[tag] = element._replace(value=content, length=len(content))
                return
        dataset[tag].value = value


def _elsewhere(number: int) -> Action | None:
    """The action for what the table names by groups: private attributes, curves, overlays."""
    group = number >> 16
    if group & 1 or (group & 0xFF00) == 0x5000:
        return "X"
    return "X" if (group & 0xFF00) == 0x6000 and number & 0xFFFF in (0x3000, 0x4000) else None


def _representation(dataset: Any, tag: Any, number: int) -> str | None:
    """The value representation, as the file says or else the dictionary; None for an attribute that is not in the dictionary."""
    known, vr = _in_dictionary(number), dataset.get_item(tag).VR
    return known if vr in (None, "UN") or known is None else str(vr)


@cache
def _in_dictionary(number: int) -> str | None:
    try:
        return str(pydicom().datadict.dictionary_VR(number)).split(" ")[0]
    except KeyError:
        return None


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if value is None or value == "":
        return value
    return (
        [change(str(one)) for one in value]
        if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
        else change(str(value))
    )


def _text_of(dataset: Any, tag: int) -> str:
    return str(dataset[tag].value or "").strip() if tag in dataset else ""


def _meta(dataset: Any, secret: Secret, profile: Profile) -> None:
    """The group before the data set: only what a reader needs, and the same UID as inside; the preamble is blank."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        return
    for tag in list(meta.keys()):
        if int(tag) not in META_KEPT:
            del meta[tag]
    if UID_META in meta and "uids" not in profile.options:
        meta[UID_META].value = secret.uid(str(meta[UID_META].value))
    dataset.preamble = b"\x00" * 128


def _say(dataset: Any, profile: Profile, also: Sequence[tuple[str, str]]) -> None:
    """That and how the identity was removed (PS3.15 E.1.1, PS3.3 C.12.1.1.2)."""
    library = pydicom()
    items = []
    for code, meaning in (*profile.codes(), *also):
        item = library.Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        items.append(item)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethodCodeSequence = items
    dates = {"full dates": "UNMODIFIED", "modified dates": "MODIFIED"}
    dataset.LongitudinalTemporalInformationModified = next((dates[o] for o in profile.options if o in dates), "REMOVED")
