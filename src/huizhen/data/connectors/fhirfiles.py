"""FHIR R4 in files: bundles of any type and single resources (``.json``), bulk data (``.ndjson``), each also packed (``.gz``).

A file that has not changed since the last sync is not opened. One that is cut off is left out and tried again with the next sync.
"""

from __future__ import annotations

import gc
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huizhen.data.connectors.fhirresources import NO_RESOURCE, Reader
from huizhen.data.connectors.files import Stamp, changed_files, content, decoded, unreadable
from huizhen.data.events.schema import Batch, Changes, Event

__all__ = ["bundle", "fhir_files"]

ENDINGS = (".json", ".json.gz", ".ndjson", ".ndjson.gz")
AT_ONCE = 2000  # resources of bulk data in one batch
LONGEST = 64 * 1024 * 1024  # bytes of a line of bulk data
CUT_OFF = "a file that is no whole JSON: it is tried again with the next sync"


def fhir_files(root: Path, cursor: Any, settings: str) -> Changes:
    """The resources in the files below a folder that have changed.

    Args:
        cursor: of the last sync: the stamps of the files that were read.
    """
    known: dict[str, Stamp] = dict(cursor["files"]) if cursor else {}
    return Changes(_batches(root, known), settings=settings)


def bundle(found: Any) -> Batch:
    """The events of a bundle or of one resource.

    An entry whose request says DELETE is a resource that is gone.
    """
    reader = Reader()
    is_bundle = isinstance(found, dict) and found.get("resourceType") == "Bundle"
    entries = found.get("entry") or [] if is_bundle else [{"resource": found}]
    if not isinstance(entries, list):
        return Batch(read=1, refused={NO_RESOURCE: 1})
    _look_up(reader, entries)
    events: list[Event] = []
    for entry in entries:
        if not isinstance(entry, dict):
            reader.refused[NO_RESOURCE] += 1
        elif entry.get("resource") is not None:
            events.extend(reader.events(entry["resource"], str(entry.get("fullUrl", ""))))
        elif isinstance(request := entry.get("request"), dict) and request.get("method") == "DELETE":
            reader.removed.append(str(request.get("url", "")))
        else:
            reader.refused[NO_RESOURCE] += 1
    return Batch(events, len(entries), reader.refused, reader.notes, reader.removed)


def _look_up(reader: Reader, entries: list[Any]) -> None:
    """What other entries may refer to: ids that differ from full URLs, and medications."""
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            continue
        url, identity = entry.get("fullUrl"), resource.get("id")
        if isinstance(url, str) and isinstance(identity, str) and not url.endswith(identity):
            reader.names[url] = identity
        if resource.get("resourceType") == "Medication" and isinstance(identity, str):
            reader.medications[identity] = resource.get("code")


def _batches(root: Path, known: dict[str, Stamp]) -> Iterator[Batch]:
    for path, name, stamp in changed_files(root, ENDINGS, known):
        whole = True
        lines = name.lower().removesuffix(".gz").endswith(".ndjson")
        for found in _bulk(path) if lines else _single(path):
            whole = whole and not any(reason == CUT_OFF or reason.startswith("a file ") for reason in found.refused)
            yield found
        if whole:
            known[name] = stamp
        yield Batch(cursor={"files": known})


def _single(path: Path) -> Iterator[Batch]:
    try:
        raw = content(path)
        with _uncollected():
            found = bundle(_json(raw))
        yield found
    except (json.JSONDecodeError, RecursionError):
        yield Batch(read=1, refused={CUT_OFF: 1})
    except (OSError, EOFError, ValueError, MemoryError) as error:
        yield Batch(read=1, refused={unreadable(error): 1})


def _bulk(path: Path) -> Iterator[Batch]:
    resources: list[Any] = []
    refused: Counter[str] = Counter()
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
            for line in _lines(file):
                try:
                    resources.append(_json(line))
                except (ValueError, RecursionError):
                    refused["a line that is no whole JSON"] += 1
                if len(resources) >= AT_ONCE:
                    yield _together(resources, refused)
                    resources, refused = [], Counter()
    except (OSError, EOFError, ValueError) as error:
        refused[unreadable(error)] += 1
    yield _together(resources, refused)


def _lines(file: Any) -> Iterator[bytes]:
    while line := file.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise ValueError("a line that is too large")
        if line.strip():
            yield line


def _together(resources: list[Any], refused: Counter[str]) -> Batch:
    found = bundle({"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]})
    counted = Counter(found.refused) + refused
    return Batch(found.events, found.read + sum(refused.values()), counted, found.notes, found.removed)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for circles of references, which what is read from JSON never has: a third of the time of reading it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except UnicodeDecodeError:
        return json.loads(decoded(raw))
