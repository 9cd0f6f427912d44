"""A FHIR R4 server: what has changed since the last sync, type by type, page by page.

https://hl7.org/fhir/R4/search.html: ``_lastUpdated``, ``_sort``, ``_count``; https://hl7.org/fhir/R4/http.html#paging:
``Bundle.link`` with relation ``next``. A page is followed on the same server alone, and none twice.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from huizhen.data.connectors.fhirfiles import bundle
from huizhen.data.connectors.files import LARGEST, unreadable_source
from huizhen.data.connectors.options import FhirOptions
from huizhen.data.events.schema import Batch, Changes

__all__ = ["fhir_server"]

TIMEOUT_S = 60.0
PER_PAGE = 500
ANSWER = "a bundle of resources from the server"
KEPT = "What was read before is kept: the next sync goes on from there"


def fhir_server(options: FhirOptions, folder: Path, cursor: Any) -> Changes:
    """The resources of a server that changed since the last sync.

    Args:
        cursor: of the last sync: by type, the latest time of change that was seen.
    """
    return Changes(_batches(options, folder, dict(cursor["since"]) if cursor else {}), settings=options.digest)


def _batches(options: FhirOptions, folder: Path, since: dict[str, str]) -> Iterator[Batch]:
    base = options.url.rstrip("/") + "/"
    token = _token(folder / options.token_file) if options.token_file else ""
    for kind in options.types:
        before, in_order = since.get(kind, ""), True
        asked = {"_count": str(PER_PAGE), "_sort": "_lastUpdated"} | ({"_lastUpdated": f"ge{before}"} if before else {})
        latest = before
        for page in _pages(base, f"{base}{kind}?{urlencode(asked)}", token):
            times = _changed(page)
            # A server need not sort. One that does not has told of a later change before an earlier one: then only the end counts.
            in_order = in_order and times == sorted(times) and (not times or times[0] >= latest)
            latest = max([latest, *times])
            found = bundle(page)
            if in_order and latest:
                since[kind] = latest
            cursor = {"since": dict(since)} if in_order else None
            yield Batch(found.events, found.read, found.refused, found.notes, found.removed, cursor)
        if latest:
            since[kind] = latest
        yield Batch(cursor={"since": dict(since)})


def _pages(base: str, url: str, token: str) -> Iterator[Any]:
    seen: set[str] = set()
    while url:
        if url in seen:
            raise unreadable_source("url", "pages that lead around in a circle", ANSWER, KEPT)
        if urlsplit(url)[:2] != urlsplit(base)[:2]:
            raise unreadable_source("url", "a next page on another server", "pages of one server", KEPT)
        seen.add(url)
        page = _page(url, token)
        yield page
        links = page.get("link") or []
        following = next((link.get("url") for link in links if isinstance(link, dict) and link.get("relation") == "next"), "")
        url = urljoin(url, following) if following else ""


def _page(url: str, token: str) -> Any:
    request = Request(url, headers={"Accept": "application/fhir+json"})  # noqa: S310  the options allow http and https alone
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    found = ""
    try:
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            raw = answer.read(LARGEST + 1)
        page = json.loads(raw) if len(raw) <= LARGEST else None
        if isinstance(page, dict) and page.get("resourceType") == "Bundle":
            return page
        found = "an answer that is no bundle"
    except HTTPError as error:
        found = f"an answer with status {error.code}"
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, http.client.IncompleteRead):
        found = "an answer that is cut off or no JSON"
    except (URLError, OSError, ssl.SSLError, http.client.HTTPException):
        found = "a server that does not answer"
    raise unreadable_source("url", found, ANSWER, KEPT)


class _NoRedirect(HTTPRedirectHandler):
    """A server of patients' records does not send its readers elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _changed(page: Any) -> list[str]:
    entries = page.get("entry") or []
    metas = [(entry.get("resource") or {}).get("meta") for entry in entries if isinstance(entry, dict)]
    return [meta["lastUpdated"] for meta in metas if isinstance(meta, dict) and isinstance(meta.get("lastUpdated"), str)]


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise unreadable_source(str(path), "a file that cannot be read", "a file with the server's token") from None
