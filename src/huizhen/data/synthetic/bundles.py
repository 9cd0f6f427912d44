"""FHIR R4 bundles of patients whom nobody is, after the card of a registry: one bundle a patient, and reports beside them.

Codes, units, how often and between which bounds are the card's; https://hl7.org/fhir/R4/bundle.html has the form.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from huizhen.data.synthetic.tables import sentence

__all__ = ["bundles"]

URIS = {
    "LOINC": "http://loinc.org",
    "SNOMED": "http://snomed.info/sct",
    "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ATC": "http://www.whocc.no/atc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "ActCode": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
}
FORMS = {
    "condition": ("Condition", "code", "onsetDateTime"),
    "measurement": ("Observation", "code", "effectiveDateTime"),
    "drug": ("MedicationRequest", "medicationCodeableConcept", "authoredOn"),
    "procedure": ("Procedure", "code", "performedDateTime"),
    "report": ("DiagnosticReport", "code", "effectiveDateTime"),
}
FIRST, LAST, PER_WORD = 2010, 2024, 5  # years where the card tells none; letters of a word
Card = Mapping[str, Any]


def bundles(card: Card, patients: int, rng: np.random.Generator) -> Iterator[tuple[str, Card]]:
    """Patients one after another: an id and a bundle."""
    kinds = {one["kind"]: one for one in card["kinds"]}
    for number in range(patients):
        who = f"standin-{number:06d}"
        born = int(rng.integers(1930, 2010))
        person = {"resourceType": "Patient", "id": who, "gender": str(rng.choice(["female", "male"])), "birthDate": f"{born}-01-01"}
        resources = [person, *_resources(card, kinds, who, rng)]
        entries = [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each} for each in resources]
        yield who, {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _resources(card: Card, kinds: Mapping[str, Card], who: str, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    number = 0
    for code in card["codes"]:
        if code["kind"] not in {*FORMS, "visit"} or rng.random() > code["patients"] / max(card["patients"] or 1, 1):
            continue
        for _ in range(max(1, int(rng.poisson(code["per_patient"])))):
            number += 1
            yield _resource(code, kinds.get(code["kind"], {}), who, f"{who}-{number}", rng)


def _resource(code: Card, kind: Card, who: str, identity: str, rng: np.random.Generator) -> dict[str, Any]:
    when, subject = _moment(kind, rng), {"reference": f"urn:uuid:{who}"}
    coding = {"system": URIS.get(code["system"], code["system"]), "code": code["code"], "display": code["display"]}
    if code["kind"] == "visit":
        return {
            "resourceType": "Encounter",
            "id": identity,
            "status": "finished",
            "class": coding,
            "subject": subject,
            "period": {"start": when},
        }
    name, element, time = FORMS[code["kind"]]
    found: dict[str, Any] = {"resourceType": name, "id": identity, element: {"coding": [coding]}, "subject": subject, time: when}
    if name in ("Observation", "DiagnosticReport"):
        found["status"] = "final"
    if name == "Observation" and code["low"] is not None:
        number = rng.normal((code["low"] + code["high"]) / 2, max(code["high"] - code["low"], 0.0) / 3.3)
        value = float(f"{number:.0f}") if code["is_whole"] else float(f"{number:.3g}")
        found["valueQuantity"] = {"value": value, **({"unit": code["unit"], "code": code["unit"]} if code["unit"] else {})}
    if name == "DiagnosticReport":
        text = sentence((kind.get("letters") or 200) // PER_WORD, rng)
        found["presentedForm"] = [{"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode("ascii")}]
    return found


def _moment(kind: Card, rng: np.random.Generator) -> str:
    first, last = kind.get("first") or FIRST, kind.get("last") or LAST
    start = np.datetime64(f"{first:04d}-01-01T00:00:00")
    seconds = (np.datetime64(f"{last + 1:04d}-01-01T00:00:00") - start).astype(int)
    return f"{start + int(rng.integers(0, seconds))}Z"
