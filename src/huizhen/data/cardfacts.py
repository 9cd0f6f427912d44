"""What a published card tells of a registry, number by number, each with the patients behind it as a sketch.

The numbers are those of `huizhen.data.registrycard`; here each gets the basis by which `huizhen.data.cardguard` compares it with
what was told before. Shares are of patients, all of whose events have what is asked, so that one patient with many events counts
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.cardguard import Entry, Key, banded
from huizhen.data.registrycard import RegistryCard

__all__ = [
    "CODE_SKETCHES_SQL",
    "KIND_SKETCHES_SQL",
    "PATIENTS",
    "SHARES",
    "KindFacts",
    "kind_facts",
    "registry_entries",
    "rows_entry",
    "share_entry",
    "sketch",
    "wanted_codes",
]

PATIENTS: Key = ("patients",)
SHARES = ("timed", "coded", "with_unit")
BANDS = ("0-50 %", "50-80 %", "80-95 %", "95-100 %")

KIND_SKETCHES_SQL = """
    with people as (select kind, patient, min(year(begins)) as first, max(year(begins)) as last,
            bool_and(begins is not null) as timed, bool_and(code is not null) as coded,
            count(number) > 0 as measured, bool_and(number is null or unit is not null) as united
        from events group by kind, patient
        union all select '' as kind, patient, min(year(begins)) as first, max(year(begins)) as last, true, true, false, true
        from events group by patient),
    hashed as (select *, md5_number_lower(patient) as who, md5_number_lower(concat_ws('|', patient, first, last)) as span,
            md5_number_lower(concat_ws('|', patient, timed)) as time, md5_number_lower(concat_ws('|', patient, coded)) as mark,
            case when measured then md5_number_lower(concat_ws('|', patient, united)) else 0 end as measure
        from people)
    select kind, (who & $buckets)::integer as bucket, ((bit_xor(who) >> 32) & 65535)::integer as patients,
        ((bit_xor(span) >> 32) & 65535)::integer as years, ((bit_xor(time) >> 32) & 65535)::integer as timed,
        ((bit_xor(mark) >> 32) & 65535)::integer as coded, ((bit_xor(measure) >> 32) & 65535)::integer as with_unit,
        count(*) as whole, count_if(timed) as are_timed, count_if(coded) as are_coded,
        count_if(measured and united) as are_with_unit, count_if(measured) as measured
    from hashed group by all"""
CODE_SKETCHES_SQL = """
    with wanted as (select unnest($kinds::varchar[]) as kind, unnest($systems::varchar[]) as system,
            unnest($codes::varchar[]) as code, unnest($units::varchar[]) as unit,
            unnest(range(len($codes::varchar[]))) as place),
    people as (select distinct place, patient from events join wanted on events.kind = wanted.kind and events.code = wanted.code
            and coalesce(events.system, '') = wanted.system and coalesce(events.unit, '') = wanted.unit),
    hashed as (select place, md5_number_lower(patient) as who from people)
    select place, (who & $buckets)::integer as bucket, ((bit_xor(who) >> 32) & 65535)::integer as mixed from hashed group by all"""


@dataclass(frozen=True, slots=True)
class KindFacts:
    """Of a kind of event, or of all together: sketches by what is told, and of how many patients it is so, of how many.

    Attributes:
        sketches: by ``patients``, ``years`` and the names in `SHARES`: uint16 (bucket,).
        shares: by name the patients of whom it is so, and all of whom it is asked.
    """

    sketches: Mapping[str, NDArray[np.uint16]]
    shares: Mapping[str, tuple[int, int]]


def sketch(rows: Iterable[tuple[int, int]], buckets: int) -> NDArray[np.uint16]:
    """Mixed hashes by bucket, from pairs of bucket and mixture."""
    mixed = np.zeros(buckets, np.uint16)
    for bucket, value in rows:
        mixed[bucket] = value
    return mixed


def kind_facts(rows: Sequence[Sequence[Any]], buckets: int) -> dict[str, KindFacts]:
    """Rows of `KIND_SKETCHES_SQL` by kind; "" for all kinds together."""
    by_kind: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        by_kind.setdefault(row[0], []).append(row)
    found = {}
    for kind, mine in by_kind.items():
        sketches = {
            name: sketch(((row[1], row[at]) for row in mine), buckets) for at, name in enumerate(("patients", "years", *SHARES), 2)
        }
        whole, timed, coded, united, measured = (sum(row[at] for row in mine) for at in range(7, 12))
        found[kind] = KindFacts(sketches, {"timed": (timed, whole), "coded": (coded, whole), "with_unit": (united, measured)})
    return found


def wanted_codes(card: RegistryCard, memory: Iterable[Key]) -> list[Key]:
    """Keys of the codes that are on a card, or were told earlier and might stand."""
    now: list[Key] = [("code", one.kind, one.system, one.code, one.unit) for one in card.codes]
    return list(dict.fromkeys([*now, *(key for key in memory if key[0] == "code")]))


def registry_entries(
    card: RegistryCard, kinds: Mapping[str, KindFacts], codes: Mapping[Key, NDArray[np.uint16]], *, least: int
) -> list[Entry]:
    """Everything that a card would tell, the numbers that include others first."""
    if card.patients is None or "" not in kinds:
        return []
    whole = kinds[""]
    spans = [(one.first, one.last) for one in card.kinds if one.first is not None and one.last is not None]
    span = [min(first for first, _ in spans), max(last for _, last in spans)] if spans else None
    entries = [Entry(PATIENTS, card.patients, whole.sketches["patients"]), Entry(("years", ""), span, whole.sketches["years"])]
    for one in card.kinds:
        facts = kinds[one.kind]  # of few patients, too: what was told of them may stand
        entries.append(Entry(("kind", one.kind), one.patients, facts.sketches["patients"], (PATIENTS,)))
        years = None if one.first is None else [one.first, one.last]
        entries.append(Entry(("years", one.kind), years, facts.sketches["years"]))
        for name in SHARES:
            entries.append(
                share_entry((name, one.kind), *facts.shares[name], least=least, enough=least, basis=facts.sketches[name])
            )
    told: dict[Key, int] = {("code", one.kind, one.system, one.code, one.unit): one.patients for one in card.codes}
    for key, basis in codes.items():
        entries.append(Entry(key, told.get(key), basis, (("kind", key[1]), PATIENTS)))
    return entries


def share_entry(key: Key, part: int, whole: int, *, least: int, enough: int, basis: NDArray[Any] | None = None) -> Entry:
    """A share as its band; of rows, which nobody can tell apart, the numbers are the basis.

    Args:
        enough: of fewer nothing is told.
    """
    band = banded(part, whole, least) if whole >= enough else None
    counts = np.array([part, whole - part], np.int64) if basis is None else basis
    return Entry(key, None if band is None else BANDS[band], counts)


def rows_entry(key: Key, rows: int, *, least: int, enough: int, round_to: int, patients: int) -> Entry:
    """A number of rows; withheld where they are few, or nearly as many as the patients of the registry, and not as many."""
    few = rows < enough or 0 < abs(rows - patients) < least
    told = max(round(rows / round_to) * round_to, -(-least // round_to) * round_to)
    return Entry(key, None if few else told, np.array([rows], np.int64))
