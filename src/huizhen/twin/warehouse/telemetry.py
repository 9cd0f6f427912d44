"""Telemetry in a folder: append-only Parquet segments and one small manifest that names them.

    telemetry = Telemetry(folder)
    report = telemetry.append(readings, now=clock.now())
    telemetry.windows(Wanted("rtt", sites=("north",)), every_s=3600)

What is told twice is kept once, in whatever order it comes. What may not be believed is set aside with its reason. A program that
is killed at any point leaves the telemetry as it was before.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from huizhen.data.parquetfiles import durable, sync_folder
from huizhen.twin.warehouse.manifest import Manifest, Segment, read_manifest, write_manifest
from huizhen.twin.warehouse.quality import REASONS, Outlier, outlying, remarks, sift
from huizhen.twin.warehouse.questions import BATCH, Appended, During, Retention, Wanted, Window, where_of, windows_sql
from huizhen.twin.warehouse.readings import Readings, Series, micros, time_of
from huizhen.twin.warehouse.segments import Engine, opened

__all__ = ["Appended", "During", "Retention", "Telemetry", "Wanted", "Window"]

SMALL, MANY = 250_000, 12  # values of a small segment; how many of them are merged
HOUR_S = 3600
Level = Literal["raw", "coarse", "aside", "contradicted"]


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
        where, row = where_of(wanted)
        sql = f"""select dense_rank() over (order by site, subject, metric, unit, source) - 1 as which, epoch_us(time) as moment,
            value, site, subject, metric, unit, source from telemetry where {where}"""
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
        where, row = where_of(wanted)
        with self._reading(wanted.since, wanted.until) as engine:
            return tuple(_window(one) for one in engine.ask(windows_sql(where, every_s), row))

    def during(self, asked: Sequence[During]) -> tuple[Window | None, ...]:
        """One answer for each question, such as the load of a site during each of its runs; None where nothing is held."""
        if not asked:
            return ()
        table = {
            "place": np.arange(len(asked)),
            "of_site": np.array([one.site for one in asked], dtype=object),
            "of_metric": np.array([one.metric for one in asked], dtype=object),
            "since": np.array([micros(one.since) for one in asked], np.int64),
            "until": np.array([micros(one.until) for one in asked], np.int64),
        }
        found: list[Window | None] = [None] * len(asked)
        with self._reading(min(one.since for one in asked), max(one.until for one in asked)) as engine:
            engine.register("asked", table)
            for place, subject, unit, *rest in engine.ask(BATCH):
                one = asked[place]
                found[place] = Window(one.site, subject, one.metric, unit, one.since, *rest)
        return tuple(found)

    def aside(self) -> Mapping[tuple[str, str, str], int]:
        """What was set aside, by reason, site and metric."""
        with self._reading(None, None, "aside") as engine:
            rows = engine.ask("select reason, site, metric, count(*) from telemetry group by all order by all")
        return {(reason, site, metric): count for reason, site, metric, count in rows}

    def outliers(self, *, since: datetime, until: datetime) -> tuple[Outlier, ...]:
        """Sites that stand out among the others in a stretch of time."""
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
        coarse, left = self._path(manifest, "coarse-left"), self._path(manifest, "raw-left")
        rows = engine.coarser(paths, without, coarse, before=whole, window_s=HOUR_S), engine.since(paths, left, since=whole)
        named = zip((coarse, left), rows, ("coarse", "raw"))
        return [Segment(path.name, count, *engine.span(path), level) for path, count, level in named if count]

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
        """One writer, the others wait. Deletes what no manifest names: what a killed program left, and what was replaced."""
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


def _window(row: tuple[Any, ...]) -> Window:
    site, subject, metric, unit, begins, count, median, low, high = row
    return Window(site, subject, metric, unit, time_of(begins), count, median, low, high)


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
