"""Terminologies by the names that the registry has for them.

Names of HL7: https://terminology.hl7.org/external_terminologies.html; those of OMOP are its own vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["UNKNOWN_SYSTEM", "system_of_uri", "system_of_vocabulary"]

UNKNOWN_SYSTEM = "a code of a system that is not known: kept as it stands"
LOCAL = "local"

URIS: Mapping[str, str] = MappingProxyType(
    {
        "http://loinc.org": "LOINC",
        "http://snomed.info/sct": "SNOMED",
        "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
        "http://hl7.org/fhir/sid/icd-10": "ICD10",
        "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
        "http://hl7.org/fhir/sid/icd-10-cn": "ICD10CN",
        "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
        "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
        "http://hl7.org/fhir/sid/icd-o-3": "ICDO3",
        "http://hl7.org/fhir/sid/cvx": "CVX",
        "http://hl7.org/fhir/sid/ndc": "NDC",
        "http://www.whocc.no/atc": "ATC",
        "http://www.ama-assn.org/go/cpt": "CPT4",
        "http://terminology.hl7.org/CodeSystem/v3-ActCode": "ActCode",
        "http://dicom.nema.org/resources/ontology/DCM": "DICOM",
        "http://unitsofmeasure.org": "UCUM",
    }
)
VOCABULARIES = frozenset(
    (
        *("LOINC", "SNOMED", "RxNorm", "RxNorm Extension", "ICD10", "ICD10CM", "ICD10CN", "ICD10PCS", "ICD9CM", "ICD9Proc"),
        *("ICDO3", "CVX", "NDC", "ATC", "CPT4", "HCPCS", "UCUM", "Visit", "Gender", "CMS Place of Service"),
    )
)


def system_of_uri(uri: str) -> tuple[str, bool]:
    """The registry's name of a FHIR code system, or what stands there; and whether it is known."""
    if not uri:
        return LOCAL, True
    name = URIS.get(uri)
    return (uri, False) if name is None else (name, True)


def system_of_vocabulary(vocabulary: str) -> tuple[str, bool]:
    """The registry's name of an OMOP vocabulary, or what stands there; and whether it is known."""
    return vocabulary or LOCAL, not vocabulary or vocabulary in VOCABULARIES
