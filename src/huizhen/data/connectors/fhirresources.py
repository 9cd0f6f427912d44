"""FHIR R4 resources as events, one resource at a time.

Elements are read as https://hl7.org/fhir/R4/ has them. References are looked up once and never followed further, so that resources
which refer to one another in a circle do no harm. What a resource says beyond an event is left where it is.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from huizhen.data.connectors.moments import NO_TIME, moment
from huizhen.data.connectors.systems import UNKNOWN_SYSTEM, system_of_uri
from huizhen.data.events.schema import Event, part_of

__all__ = ["READ", "Reader", "reference"]

NO_EVENT = "a resource that is no event"
NO_RESOURCE = "something that is no FHIR resource"
NO_ID = "a resource without id"
NO_PERSON = "a resource without a person"
NO_UNIT = "a quantity without a unit"
NOT_READ = "a value of a kind that is not read: kept without it"
REFUTED = "a diagnosis that was refuted or entered in error"
NOT_DONE = "something that was cancelled, not done or only planned"
UNDONE = frozenset(("not-done", "cancelled", "planned", "preparation", "draft", "not-taken", "declined"))
# Resources about a person that say nothing of a kind of event: of a relative, of a tube, of an intention, of money.
NAMED = frozenset(
    (
        *("FamilyMemberHistory", "Specimen", "ServiceRequest", "CarePlan", "CareTeam", "Goal", "Appointment", "EpisodeOfCare"),
        *("Claim", "ExplanationOfBenefit", "Coverage", "Consent", "QuestionnaireResponse", "ClinicalImpression", "RiskAssessment"),
        *("Medication", "Organization", "Practitioner", "PractitionerRole", "Location", "Provenance", "DeviceUseStatement"),
        *("NutritionOrder", "Communication", "Flag", "RelatedPerson", "Composition", "Media", "SupplyDelivery"),
    )
)
Resource = Mapping[str, Any]
NONE: Mapping[str, Any] = {}


@dataclass(slots=True)
class Reader:
    """Turns resources into events, and counts what it left out or doubts.

    Attributes:
        names: full URL of an entry to type and id, where they differ.
        medications: by their id, the codes of medications that stand in resources of their own.
    """

    refused: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    removed: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    medications: dict[str, Any] = field(default_factory=dict)

    def events(self, resource: Any, url: str = "") -> Sequence[Event]:
        """What one resource says; nothing where it says nothing of a person, or cannot be understood."""
        try:
            kind = resource["resourceType"]
            read = READ.get(kind)
            if read is None:
                self.notes[f"a resource that is no event: {kind}" if kind in NAMED else NO_EVENT] += 1
                return ()
            identity = resource.get("id") or url.rpartition(":")[2].rpartition("/")[2]
            if not identity:
                self.refused[NO_ID] += 1
                return ()
            if resource.get("status") == "entered-in-error" or _first_code(resource.get("verificationStatus")) in (
                "entered-in-error",
                "refuted",
            ):
                self.refused[REFUTED] += 1
                self.removed.append(part_of(f"{kind}/{identity}"))
                return ()
            if resource.get("status") in UNDONE or resource.get("doNotPerform") is True:
                self.refused[NOT_DONE] += 1
                self.removed.append(part_of(f"{kind}/{identity}"))
                return ()
            return read(self, resource, identity, _version(resource))
        except _Unclear as unclear:
            self.refused[unclear.reason] += 1
        except (TypeError, AttributeError, KeyError, IndexError, RecursionError):
            self.refused[NO_RESOURCE] += 1
        except (ValueError, OverflowError):
            self.refused[NO_TIME] += 1
        return ()

    def person(self, resource: Resource, element: str = "subject") -> str:
        """The id of the person whom a resource is about."""
        who = reference(resource.get(element) or resource.get("patient"), self.names)
        if not who:
            raise _Unclear(NO_PERSON)
        return who

    def codings(self, concept: Any) -> list[tuple[str | None, str | None, str | None]]:
        """System, code and words of a concept, the first one first; words alone where it has no code."""
        if not concept:
            return [(None, None, None)]
        words = concept.get("text")
        found: list[tuple[str | None, str | None, str | None]] = []
        for coding in concept.get("coding") or ():
            system, known = system_of_uri(coding.get("system", ""))
            if not known:
                self.notes[UNKNOWN_SYSTEM] += 1
            found.append((system, coding.get("code"), coding.get("display") or words))
        return found or [("local", None, words)]

    def quantity(self, found: Resource) -> tuple[float | None, str | None, str | None]:
        """Number, comparator and unit of a quantity."""
        number = found.get("value")
        unit = found.get("code") or found.get("unit")
        if number is not None and not unit:
            self.notes[NO_UNIT] += 1
        return None if number is None else float(number), found.get("comparator"), unit


class _Unclear(Exception):
    """A resource that cannot be taken over, with the reason in fixed words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def reference(found: Any, names: Mapping[str, str]) -> str:
    """The id that a reference leads to: ``Patient/a``, ``urn:uuid:a``, ``https://host/Patient/a``, ``Patient?identifier=s|a``."""
    if not found:
        return ""
    text: str = found.get("reference") or ""
    if not text:
        identifier = found.get("identifier")
        return str(identifier.get("value", "")) if identifier else ""
    if text in names:
        return names[text]
    if "?" in text:
        return text.rpartition("|")[2] if "|" in text else text.rpartition("=")[2]
    return text.partition("/_history/")[0].rpartition(":" if text.startswith("urn:") else "/")[2]


def _patient(_: Reader, resource: Resource, identity: str, version: str | None) -> list[Event]:
    born, sex = resource.get("birthDate"), resource.get("gender")
    begins = moment(born) if born else None
    found = [Event(identity, "person", part_of(f"Patient/{identity}"), text=sex, begins=begins, version=version)]
    died = resource.get("deceasedDateTime")
    if died or resource.get("deceasedBoolean"):
        record = part_of(f"Patient/{identity}", "death")
        found.append(Event(identity, "death", record, begins=moment(died) if died else None, version=version))
    return found


def _encounter(reader: Reader, resource: Resource, identity: str, version: str | None) -> list[Event]:
    kind = resource.get("class") or NONE
    system, known = system_of_uri(kind.get("system", ""))
    if not known:
        reader.notes[UNKNOWN_SYSTEM] += 1
    types = resource.get("type") or (None,)
    words = reader.codings(types[0])[0][2]
    begins, ends = _period(resource.get("period"))
    provider = reference(resource.get("serviceProvider"), reader.names) or None
    who, record = reader.person(resource), part_of(f"Encounter/{identity}")
    event = Event(who, "visit", record, system, kind.get("code"), words, None, provider, None, begins, ends, identity, version)
    return [event]


def _observation(reader: Reader, resource: Resource, identity: str, version: str | None) -> list[Event]:
    who, visit = reader.person(resource), reference(resource.get("encounter"), reader.names) or None
    begins, ends = _when(resource, "effective", "issued")
    record = f"Observation/{identity}"
    found = _measured(reader, resource, who, record, "", begins, ends, visit, version)
    for place, component in enumerate(resource.get("component") or (), 1):
        found += _measured(reader, component, who, record, f"{place}", begins, ends, visit, version)
    return found


def _measured(
    reader: Reader,
    element: Resource,
    who: str,
    record: str,
    part: str,
    begins: datetime | None,
    ends: datetime | None,
    visit: str | None,
    version: str | None,
) -> list[Event]:
    number, text, unit = _value(reader, element)
    return [
        Event(who, "measurement", part_of(record, name), *coding, number, text, unit, begins, ends, visit, version)
        for name, coding in _parts(reader.codings(element.get("code")), part)
    ]


def _value(reader: Reader, element: Resource) -> tuple[float | None, str | None, str | None]:
    if "valueQuantity" in element:
        return reader.quantity(element["valueQuantity"])
    if "valueCodeableConcept" in element:
        concept = element["valueCodeableConcept"]
        coding = (concept.get("coding") or (NONE,))[0]
        return None, concept.get("text") or coding.get("display") or coding.get("code"), None
    for name in ("valueString", "valueDateTime", "valueTime"):
        if name in element:
            return None, str(element[name]), None
    if "valueBoolean" in element:
        return None, "true" if element["valueBoolean"] else "false", None
    if "valueInteger" in element:
        return float(element["valueInteger"]), None, None
    if any(name.startswith("value") for name in element):
        reader.notes[NOT_READ] += 1
    return None, None, None


def _coded(
    kind: str, code: str, *times: str, element: str = "subject"
) -> Callable[[Reader, Resource, str, str | None], list[Event]]:
    """How a resource with one concept and one time is read."""

    def read(reader: Reader, resource: Resource, identity: str, version: str | None) -> list[Event]:
        visit = reference(resource.get("encounter") or resource.get("context"), reader.names) or None
        begins, ends = _when(resource, *times)
        if kind == "condition" and ends is None:
            ends = _moment(resource.get("abatementDateTime"))
        who, record = reader.person(resource, element), f"{resource['resourceType']}/{identity}"
        concept = resource.get(code) or _medication(reader, resource)
        number, _, unit = _dose(reader, resource) if kind == "drug" else (None, None, None)
        return [
            Event(who, kind, part_of(record, name), *coding, number, None, unit, begins, ends, visit, version)
            for name, coding in _parts(reader.codings(concept), "")
        ]

    return read


def _medication(reader: Reader, resource: Resource) -> Any:
    found = resource.get("medicationReference")
    if not found:
        return None
    text = found.get("reference") or ""
    if text.startswith("#"):
        contained = next((each for each in resource.get("contained") or () if each.get("id") == text[1:]), NONE)
        return contained.get("code")
    return reader.medications.get(reference(found, reader.names)) or {"text": found.get("display")}


def _dose(reader: Reader, resource: Resource) -> tuple[float | None, str | None, str | None]:
    given = resource.get("doseQuantity")
    for dosage in resource.get("dosageInstruction") or resource.get("dosage") or ():
        if given is None and isinstance(dosage, Mapping):
            given = ((dosage.get("doseAndRate") or (NONE,))[0] or NONE).get("doseQuantity") or dosage.get("dose")
    return reader.quantity(given) if given else (None, None, None)


def _report(reader: Reader, resource: Resource, identity: str, version: str | None) -> list[Event]:
    is_document = resource["resourceType"] == "DocumentReference"
    concept = resource.get("type") if is_document else resource.get("code")
    context = resource.get("context") or NONE
    visits = context.get("encounter") if is_document else None
    visit = reference(visits[0] if visits else resource.get("encounter"), reader.names) or None
    begins, ends = _when(resource, *(("date",) if is_document else ("effective", "issued")))
    attached = (each.get("attachment") for each in resource.get("content") or ()) if is_document else resource.get("presentedForm")
    texts = [text for each in attached or () if (text := _attached(each))]
    if resource.get("conclusion"):
        texts.append(resource["conclusion"])
    who, record = reader.person(resource), part_of(f"{resource['resourceType']}/{identity}")
    coding, told = reader.codings(concept)[0], "\n\n".join(texts) or None
    return [Event(who, "report", record, *coding, None, told, None, begins, ends, visit, version)]


def _attached(attachment: Any) -> str:
    if not attachment or not str(attachment.get("contentType", "text/plain")).startswith("text/") or not attachment.get("data"):
        return ""
    try:
        return base64.b64decode(attachment["data"]).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise _Unclear("a document that cannot be decoded") from None


def _imaging(reader: Reader, resource: Resource, identity: str, version: str | None) -> list[Event]:
    who, visit = reader.person(resource), reference(resource.get("encounter"), reader.names) or None
    begins = _moment(resource.get("started"))
    found = []
    if not resource.get("series"):  # only the study tells: one event for each modality, and how many images where there is one
        kinds = resource.get("modality") or (NONE,)
        told = resource.get("numberOfInstances") if len(kinds) == 1 else None
        for place, modality in enumerate(kinds, 1):
            record, number = part_of(f"ImagingStudy/{identity}", place), None if told is None else float(told)
            code = modality.get("code")
            found.append(Event(who, "image", record, "DICOM", code, None, number, None, "images", begins, None, visit, version))
        return found
    for place, series in enumerate(resource["series"], 1):
        code, region = (series.get("modality") or NONE).get("code"), (series.get("bodySite") or NONE).get("display")
        count = series.get("numberOfInstances")
        record = part_of(f"ImagingStudy/{identity}", series.get("uid") or place)
        number = None if count is None else float(count)
        found.append(Event(who, "image", record, "DICOM", code, region, number, None, "images", begins, None, visit, version))
    return found


def _parts(
    codings: Sequence[tuple[str | None, str | None, str | None]], part: str
) -> Iterator[tuple[str, tuple[str | None, str | None, str | None]]]:
    """The first code of a thing is the thing; its other codes are parts of it."""
    for place, coding in enumerate(codings):
        yield (part if place == 0 else f"{part}c{place}"), coding


def _when(resource: Resource, *names: str) -> tuple[datetime | None, datetime | None]:
    """The first time that a resource tells, as ``nameDateTime``, ``namePeriod``, ``nameInstant`` or ``name``."""
    for name in names:
        if (found := resource.get(name + "DateTime") or resource.get(name + "Instant")) is not None:
            return moment(found), None
        if (period := resource.get(name + "Period")) is not None:
            return _period(period)
        if isinstance(found := resource.get(name), str):
            return moment(found), None
    return None, None


def _period(found: Any) -> tuple[datetime | None, datetime | None]:
    return (_moment(found.get("start")), _moment(found.get("end"))) if found else (None, None)


def _moment(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _version(resource: Resource) -> str | None:
    changed = (resource.get("meta") or NONE).get("lastUpdated")
    return moment(changed).isoformat() if changed else None


def _first_code(concept: Any) -> str | None:
    coding = (concept or NONE).get("coding")
    return coding[0].get("code") if coding else None


READ: Mapping[str, Callable[[Reader, Resource, str, str | None], Sequence[Event]]] = {
    "Patient": _patient,
    "Encounter": _encounter,
    "Observation": _observation,
    "Condition": _coded("condition", "code", "onset", "recordedDate"),
    "AllergyIntolerance": _coded("condition", "code", "onset", "recordedDate", element="patient"),
    "Procedure": _coded("procedure", "code", "performed"),
    "MedicationRequest": _coded("drug", "medicationCodeableConcept", "authoredOn"),
    "MedicationStatement": _coded("drug", "medicationCodeableConcept", "effective", "dateAsserted"),
    "MedicationAdministration": _coded("drug", "medicationCodeableConcept", "effective"),
    "MedicationDispense": _coded("drug", "medicationCodeableConcept", "whenHandedOver", "whenPrepared"),
    "Immunization": _coded("drug", "vaccineCode", "occurrence", "recorded", element="patient"),
    "Device": _coded("device", "type", element="patient"),
    "DiagnosticReport": _report,
    "DocumentReference": _report,
    "ImagingStudy": _imaging,
}
