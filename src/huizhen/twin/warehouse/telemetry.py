"""Telemetry in a folder: append-only Parquet segments and one small manifest that names them.

    telemetry = Telemetry(folder)
    report = telemetry.append(readings, now=clock.now())
    telemetry.windows(Wanted("rtt", sites=("north",)), every_s=3600)

What is told twice is kept once, in whatever order it comes. What may not be believed is set aside with its reason. A program that is
killed at any point leaves the telemetry as it was before.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from huizhen.data.parquetfiles import durable, sync_folder
from huizhen.errors import CallerError, Problem
from huizhen.twin.warehouse.manifest import Manifest, Segment, read_manifest, write_manifest
from huizhen.twin.warehouse.quality import REASONS, Found, Outlier, outlying, remarks, sift
from huizhen.twin.warehouse.readings import Readings, Series, micros, time_of
from huizhen.twin.warehouse.segments import Engine, opened

__all__ = ["Appended", "During", "Retention", "Telemetry", "Wanted", "Window"]

SMALL, MANY = 250_000, 12  # values of a small segment; how many of them are merged
HOUR_S = 3600
Level = Literal["raw", "coarse", "aside", "contradicted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question: one metric, of some sites and subjects (() for all), from one time on and before another."""

    metric: str
    sites: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class During:
    """A question of a batch: a site's metric from one time on and before another."""

    site: str
    metric: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """Values of one series of one stretch of time: how many, their median, and between which lie nine of ten."""

    site: str
    subject: str
    metric: str
    unit: str
    begins: datetime
    count: int
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept how long.

    Attributes:
        whole_days: values as they came; older ones become one value an hour.
        coarse_days: these; older ones are deleted. Not less than `whole_days`.
    """

    whole_days: int = 90
    coarse_days: int = 1095

    def __post_init__(self) -> None:
        if not 1 <= self.whole_days <= self.coarse_days:
            found = f"whole_days {self.whole_days}, coarse_days {self.coarse_days}"
            raise CallerError(
                "Telemetry cannot be kept like this.", [Problem("retention", found, "1 <= whole_days <= coarse_days")]
            )


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of readings.

    Attributes:
        new, same: values that were kept, and that were held already.
        contradicted: times of a series of which two values are told: both are held, neither is believed.
        aside: by reason, site and metric, what was set aside.
        remarks: gaps, and clocks that were set back.
        outliers: sites that stand out in these readings.
    """

    new: int
    same: int
    contradicted: int
    aside: Mapping[tuple[str, str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    remarks: tuple[Found, ...] = ()
    outliers: tuple[Outlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The telemetry of a federation, or of one site.

    Attributes:
        folder: made by the first writing, for this account alone.
    """

    folder: Path

    def append(self, readings: Readings, *, now: datetime) -> Appended:
        """Adds readings, judged first.

        Raises:
            MachineError: the disk or the memory is full, or the telemetry is damaged; nothing was added.
        """
        with self._alone() as (engine, manifest):
            sifted = sift(readings, now=now, kept_since=time_of(manifest.whole_since) if manifest.whole_since else None)
            kept, new, contradicted = self._added(engine, manifest, sifted.kept)
            reasons = [REASONS[which] for which in sifted.reasons.tolist()]
            aside, _ = self._held(engine, manifest, sifted.aside, "aside", reasons)
            if kept or aside:
                self._publish(self._compacted(engine, manifest.grown((*kept, *aside))))
        return Appended(
            new, len(sifted.kept) - new, contradicted, sifted.counts, remarks(sifted.kept), outlying(_medians(sifted.kept))
        )

    def read(self, wanted: Wanted) -> Readings:
        """The values, by time within each series."""
        where, row = _where(wanted)
        sql = f"""select dense_rank() over (order by site, subject, metric, unit, source) - 1 as which, epoch_us(time) as moment, value,
            site, subject, metric, unit, source from telemetry where {where} order by which, time, value"""
        with self._reading(wanted.since, wanted.until) as engine:
            engine.ask(f"create temp table chosen as {sql}", row)
            named = engine.ask("select distinct which, site, subject, metric, unit, source from chosen order by which")
            found = engine.arrays("select which, moment, value from chosen order by which, moment, value")
        series = tuple(Series(*one[1:]) for one in named)
        return Readings(
            series, _array(found["which"], np.int32), _array(found["moment"], np.int64), _array(found["value"], np.float64)
        )

    def windows(self, wanted: Wanted, *, every_s: int = HOUR_S) -> tuple[Window, ...]:
        """The values gathered by stretches of time, for each site and subject."""
        where, row = _where(wanted)
        sql = f"""select site, subject, metric, unit, epoch_us(time_bucket(to_seconds({int(every_s)}), time)) as begins, {GATHERED}
            from telemetry where {where} group by all order by site, subject, begins"""
        with self._reading(wanted.since, wanted.until) as engine:
            return tuple(Window(*one[:4], time_of(one[4]), *one[5:]) for one in engine.ask(sql, row))

    def during(self, asked: Sequence[During]) -> tuple[Window | None, ...]:
        """One answer for each question of a batch, such as the load of a site during each of its runs; None where nothing is held."""
        if not asked:
            return ()
        table = {
            "place": np.arange(len(asked)),
            "of_site": np.array([one.site for one in asked], dtype=object),
            "of_metric": np.array([one.metric for one in asked], dtype=object),
            "since": np.array([micros(one.since) for one in asked], np.int64),
            "until": np.array([micros(one.until) for one in asked], np.int64),
        }
        sql = f"""select place, min(subject), unit, {GATHERED} from telemetry join asked
            on site = of_site and metric = of_metric and time >= make_timestamp(since) and time < make_timestamp(until)
            group by place, unit"""
        found: list[Window | None] = [None] * len(asked)
        with self._reading(min(one.since for one in asked), max(one.until for one in asked)) as engine:
            engine.register("asked", table)
            for place, subject, unit, *rest in engine.ask(sql):
                one = asked[place]
                found[place] = Window(one.site, subject, one.metric, unit, one.since, *rest)
        return tuple(found)

    def aside(self) -> Mapping[tuple[str, str, str], int]:
        """What was set aside, by reason, site and metric."""
        with self._reading(None, None, "aside") as engine:
            rows = engine.ask("select reason, site, metric, count(*) from telemetry group by all order by all")
        return {(reason, site, metric): count for reason, site, metric, count in rows}

    def outliers(self, *, since: datetime, until: datetime) -> tuple[Outlier, ...]:
        """Sites whose values of a stretch of time lie far from those of the others."""
        with self._reading(since, until) as engine:
            row = (micros(since), micros(until))
            rows = engine.ask(
                """select site, metric, median(value) from telemetry
                where time >= make_timestamp(?) and time < make_timestamp(?) group by all""",
                row,
            )
        return outlying({(site, metric): median for site, metric, median in rows})

    def retain(self, retention: Retention, *, now: datetime) -> int:
        """Makes coarser, and deletes, what is older than is to be kept; returns the number of values deleted or made coarser."""
        with self._alone() as (engine, manifest):
            # Whole hours, so that no window is made twice.
            whole = micros(now - timedelta(days=retention.whole_days)) // (HOUR_S * 10**6) * HOUR_S * 10**6
            coarse = micros(now - timedelta(days=retention.coarse_days)) // (HOUR_S * 10**6) * HOUR_S * 10**6
            whole = max(whole, manifest.whole_since)
            old = [one for one in manifest.segments if one.level == "raw" and one.first < whole]
            left = [one for one in manifest.segments if one not in old]
            made, before = self._coarser(engine, manifest, old, whole), sum(one.rows for one in old)
            gone = [one for one in (*left, *made) if one.first < coarse]
            left = [one for one in (*left, *made) if one not in gone]
            kept = [one for segment in gone for one in self._cut(engine, manifest, segment, coarse)]
            if old or gone:
                self._publish(replace(manifest.grown(()), segments=(*left, *kept), whole_since=whole))
            elif whole > manifest.whole_since:
                self._publish(replace(manifest.grown(()), whole_since=whole))
        return (
            before
            - sum(one.rows for one in made if one.level == "raw")
            + sum(one.rows for one in gone)
            - sum(one.rows for one in kept)
        )

    def _added(self, engine: Engine, manifest: Manifest, readings: Readings) -> tuple[tuple[Segment, ...], int, int]:
        kept, new = self._held(engine, manifest, readings, "raw", [])
        if not kept:
            return (), 0, 0
        path = self._path(manifest, "contradicted")
        held = manifest.overlapping(kept[0].first, kept[0].last, ("raw",))
        contradicted = engine.contradicted([self._file(one) for one in held], path)
        if not contradicted:
            path.unlink()
            return kept, new, 0
        return (*kept, Segment(path.name, contradicted, *engine.span(path), "contradicted")), new, contradicted

    def _held(
        self, engine: Engine, manifest: Manifest, readings: Readings, level: Level, reasons: list[str]
    ) -> tuple[tuple[Segment, ...], int]:
        if not len(readings):
            return (), 0
        held = manifest.overlapping(int(readings.times.min()), int(readings.times.max()), (level,))
        new = engine.fresh(readings, reasons, [self._file(one) for one in held])
        if not new:
            return (), 0
        path = self._path(manifest, level)
        engine.write(path)
        return (Segment(path.name, new, *engine.span(path), level),), new

    def _coarser(self, engine: Engine, manifest: Manifest, old: list[Segment], whole: int) -> list[Segment]:
        """The segments that take the place of these: one value an hour before a time, all values after it."""
        if not old:
            return []
        paths = [self._file(one) for one in old]
        without = [self._file(one) for one in manifest.of("contradicted")]
        found = []
        for level, write in (
            ("coarse", lambda path: engine.coarser(paths, without, path, before=whole, window_s=HOUR_S)),
            ("raw", lambda path: engine.since(paths, path, since=whole)),
        ):
            path = self._path(manifest, f"{level}-left")
            rows = write(path)
            found += [Segment(path.name, rows, *engine.span(path), level)] if rows else []
        return found

    def _cut(self, engine: Engine, manifest: Manifest, segment: Segment, since: int) -> list[Segment]:
        """A segment without what is older than a time."""
        if segment.last < since:
            return []
        path = self._path(manifest, f"cut-{Path(segment.name).stem}")
        rows = engine.since([self._file(segment)], path, since=since)
        return [Segment(path.name, rows, *engine.span(path), segment.level)] if rows else []

    def _compacted(self, engine: Engine, manifest: Manifest) -> Manifest:
        """Merges small segments, as every one of them costs each question a little."""
        for level in ("raw", "aside", "contradicted"):
            small = [one for one in manifest.of(level) if one.rows < SMALL]
            if len(small) > MANY:
                path = self._path(manifest, f"{level}-merged")
                rows = engine.merge([self._file(one) for one in small], path)
                merged = Segment(path.name, rows, min(one.first for one in small), max(one.last for one in small), level)
                manifest = replace(manifest, segments=(*(one for one in manifest.segments if one not in small), merged))
        return manifest

    def _publish(self, manifest: Manifest) -> None:
        """Makes the segments durable, then names them: the one moment at which a writing becomes visible."""
        held = {one.name for one in read_manifest(self.folder).segments}
        for one in manifest.segments:
            if one.name not in held:
                durable(self._file(one))
        sync_folder(self.folder)
        write_manifest(self.folder, manifest)

    def _path(self, manifest: Manifest, name: str) -> Path:
        return self.folder.resolve() / f"{name}-{manifest.generation + 1}.parquet"

    def _file(self, segment: Segment) -> Path:
        return self.folder.resolve() / segment.name

    @contextmanager
    def _alone(self) -> Iterator[tuple[Engine, Manifest]]:
        """One writer, the others wait. Deletes what no manifest names: left by a killed program, or replaced before the last writing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "spill").mkdir(mode=0o700, exist_ok=True)
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            manifest = read_manifest(self.folder)
            named = {one.name for one in manifest.segments}
            for path in self.folder.glob("*.parquet"):
                if path.name not in named:
                    path.unlink()
            with opened(self.folder.resolve()) as engine:
                yield engine, manifest

    @contextmanager
    def _reading(self, since: datetime | None, until: datetime | None, level: Level | None = None) -> Iterator[Engine]:
        manifest = read_manifest(self.folder)
        first = 0 if since is None else micros(since) - HOUR_S * 10**6  # a coarse value stands at the beginning of its hour
        last = 2**62 if until is None else micros(until)
        chosen = manifest.overlapping(first, last, (level,) if level else ("raw", "coarse"))
        without = [] if level else manifest.overlapping(first, last, ("contradicted",))
        with opened(self.folder.resolve()) as engine:
            engine.believed([self._file(one) for one in chosen], [self._file(one) for one in without])
            yield engine


GATHERED = """sum(count)::bigint, quantile_cont(value, 0.5), least(quantile_cont(value, 0.05), min(case when count > 1 then low end)),
  greatest(quantile_cont(value, 0.95), max(case when count > 1 then high end))"""


def _where(wanted: Wanted) -> tuple[str, list[Any]]:
    parts: list[str] = ["metric = ?"]
    row: list[Any] = [wanted.metric]
    for name, some in (("site", wanted.sites), ("subject", wanted.subjects)):
        if some:
            parts.append(f"{name} in ({', '.join('?' for _ in some)})")
            row += some
    for sign, time in ((">=", wanted.since), ("<", wanted.until)):
        if time is not None:
            parts.append(f"time {sign} make_timestamp(?)")
            row.append(micros(time))
    return " and ".join(parts), row


def _medians(readings: Readings) -> Mapping[tuple[str, str], float]:
    values: dict[tuple[str, str], list[Any]] = {}
    order = np.argsort(readings.which, kind="stable")
    bounds = np.searchsorted(readings.which[order], np.arange(len(readings.series) + 1))
    for place, one in enumerate(readings.series):
        part = readings.values[order[bounds[place] : bounds[place + 1]]]
        if part.size:
            values.setdefault((one.site, one.metric), []).append(part)
    return {key: float(np.median(np.concatenate(parts))) for key, parts in values.items()}


def _array(found: Any, dtype: Any) -> Any:
    return np.ascontiguousarray(np.asarray(found), dtype=dtype)
