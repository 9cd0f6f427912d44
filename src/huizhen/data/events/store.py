"""A registry in a folder: what the sources of a site hold, kept as events, brought up to date by syncs, read as one view.

    registry = Registry(folder)
    report = registry.sync("lab", changes, now=clock.now())
    with registry.connect() as connection:
        connection.execute("select kind, count(*) from events group by kind").fetchall()

A sync that is killed at any point leaves the registry as it was at its last checkpoint; the next one goes on from there.
"""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from huizhen.data.events import segments
from huizhen.data.events.manifest import Manifest, Origin, Segment, read_manifest, write_manifest
from huizhen.data.events.schema import Batch, Changes, Event, SyncReport, kept, record_of
from huizhen.data.events.segments import Engine, Staged, Verdict
from huizhen.data.parquetfiles import durable, sync_folder
from huizhen.errors import HuizhenError, Problem, SiteError

__all__ = ["Registry"]

CHUNK = 50_000  # events in memory at once, about 60 MB
AT_ONCE = 10  # staged files that are taken over together
SMALL, MANY, MERGED = 250_000, 8, 1_000_000  # events of a small segment; how many of them are merged; into at most this size

GONE = Event("", "", "")  # with the number of a record: that it is gone


@dataclass(frozen=True, slots=True)
class Registry:
    """The events of a site.

    Attributes:
        folder: made by the first sync, for this account alone.
    """

    folder: Path

    def sync(self, alias: str, changes: Changes, *, now: datetime) -> SyncReport:
        """Takes over what a source delivers; a newer version of a record replaces it with all its parts.

        Raises:
            SiteError: another sync is at work, or the source failed: what it had delivered before its last cursor is kept.
            MachineError: the disk or the memory is full, or the registry is damaged.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(self.folder):
            return _Sync(self.folder, alias, changes, now).run()

    def cursor(self, alias: str, settings: str = "") -> Any:
        """Where the next sync of a source goes on; None: from the beginning, as it was never read, or not with these settings."""
        origin = self.manifest.origins.get(alias)
        return origin.cursor if origin is not None and origin.settings == settings else None

    @property
    def manifest(self) -> Manifest:
        """The registry as it is now."""
        return read_manifest(self.folder)

    def connect(self, *, memory: str = "1GB", threads: int = 2, writing: Path | None = None) -> Any:
        """A DuckDB connection with the view ``events``; it sees the registry as it is now and can open no other file.

        Args:
            writing: a file that it may write besides.

        Raises:
            SiteError: its sources were de-identified in different ways, so that their patients and dates do not fit together.
            MachineError: the registry is damaged.
        """
        manifest = self.manifest
        _check_agreed(self.folder, manifest)
        paths = [self.folder / segment.name for segment in manifest.segments]
        spill = self.folder / "spill"
        return segments.guarded(self.folder, lambda: segments.view(paths, spill, memory=memory, threads=threads, writing=writing))


@dataclass
class _Sync:
    """One sync, under the registry's lock."""

    folder: Path
    alias: str
    changes: Changes
    now: datetime
    refused: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    treated: Counter[str] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    read: int = 0
    _waiting: list[tuple[int, int, Event]] = field(default_factory=list)
    _staged: list[Staged] = field(default_factory=list)
    _seq: int = 0
    _delivery: int = 0
    _made: int = 0
    _until: int = 0  # the last event before the last cursor
    _cursor: Any = None  # as the manifest has it
    _reached: Any = None  # the last cursor, not yet written down
    _treated: Counter[str] = field(default_factory=Counter)  # before the last cursor, not yet written down
    _since: Counter[str] = field(default_factory=Counter)  # after it

    def run(self) -> SyncReport:
        manifest = read_manifest(self.folder)
        self._tidy(manifest)
        held = manifest.origins.get(self.alias)
        # Other settings give other events for the same records: they replace all that was read with the old ones.
        whole = self.changes.whole or (held is not None and held.settings != self.changes.settings)
        self._cursor = None if held is None or whole else held.cursor
        with segments.opened(self.folder.resolve(), self._work) as engine:
            failure = self._take(engine, whole)
            if failure is None:
                self._until = self._seq
                self._settle()
                self._commit(engine, whole, ended=True)
                self._compact(engine)
                if held is not None and held.settings != self.changes.settings:
                    self._forget(held)
            elif not whole:
                self._commit(engine, whole, ended=False)
        shutil.rmtree(self._work, ignore_errors=True)
        if failure is not None:
            raise failure
        found = self.verdict
        return SyncReport(
            self.alias,
            self.read,
            found.new,
            found.changed,
            found.same,
            found.older,
            found.gone,
            refused=dict(self.refused),
            notes=dict(self.notes),
            treated=dict(self.treated),
        )

    @property
    def _work(self) -> Path:
        return self.folder.resolve() / "work"

    def _take(self, engine: Engine, whole: bool) -> HuizhenError | None:
        """Reads the source to its end, or to where it fails."""
        try:
            for batch in self.changes.batches:
                self._add(batch)
                if len(self._waiting) >= CHUNK:
                    self._stage(engine)
                if not whole and len(self._staged) >= AT_ONCE and self._until == self._seq:
                    self._commit(engine, whole, ended=False)
        except SiteError as error:
            return error
        return None

    def _add(self, batch: Batch) -> None:
        self.read += batch.read
        self.refused.update(batch.refused)
        self.notes.update(batch.notes)
        self._since.update(batch.treated)
        last = None
        for event in kept(batch.events, self.refused):
            base = record_of(event.record)
            self._seq += 1
            self._delivery += base != last
            last = base
            self._waiting.append((self._seq, self._delivery, event))
        for record in batch.removed:
            self._seq += 1
            self._delivery += 1
            self._waiting.append((self._seq, self._delivery, GONE._replace(record=record)))
        if batch.cursor is not None:
            self._reached, self._until = batch.cursor, self._seq
            self._settle()

    def _settle(self) -> None:
        """What was counted so far belongs to what will be kept."""
        self._treated.update(self._since)
        self.treated.update(self._since)
        self._since.clear()

    def _stage(self, engine: Engine) -> None:
        if self._waiting:
            self._made += 1
            path = self._work / f"staged-{self._made}.parquet"
            self._staged.append(engine.stage(self.alias, self._waiting, path))
            self._waiting.clear()

    def _commit(self, engine: Engine, whole: bool, *, ended: bool) -> None:
        """Makes what was staged until the last cursor part of the registry."""
        self._stage(engine)
        manifest = read_manifest(self.folder)
        held = manifest.origins.get(self.alias, Origin())
        found = self._taken_over(engine, manifest, held, whole) if self._staged or whole else held.segments
        synced = self.now.isoformat(timespec="seconds") if ended else held.synced
        if self._reached is not None:
            self._cursor, self._reached = self.changes.seal(self._reached), None
        treated = self._treated if whole else Counter(held.treated) + self._treated
        settings, agreed = self.changes.settings, self.changes.agreed
        self._publish(manifest, Origin(found, self._cursor, settings, synced, agreed, dict(treated)))
        self._treated.clear()
        for staged in self._staged:
            staged.path.unlink()
        self._staged.clear()

    def _taken_over(self, engine: Engine, manifest: Manifest, origin: Origin, whole: bool) -> tuple[Segment, ...]:
        """The segments of the source once the staged events are among them; those that change are written beside the old ones."""
        held = origin.segments
        if not self._staged and held:
            found, expected = "no record at all", f"records, as at the last sync ({len(held)} segments)"
            problem = Problem(f"source.{self.alias}", found, expected, "Nothing was removed: look whether the source is there")
            raise SiteError("The source has become empty.", [problem])
        if not self._staged:
            return ()
        paths = {self.folder.resolve() / segment.name: segment for segment in held}
        verdict = engine.compare(self._staged, list(paths), until=self._until, whole=whole)
        self.verdict = Verdict(*(getattr(self.verdict, name) + getattr(verdict, name) for name in Verdict.__slots__))
        # Records of the same version are other events where they are read or de-identified in another way.
        if not (verdict.new or verdict.changed or verdict.gone) and origin.settings == self.changes.settings:
            return held
        stem = f"{self.alias}-{manifest.generation + 1}"
        written = []
        for i, staged in enumerate(self._staged):
            path = self.folder.resolve() / f"{stem}-{i}.parquet"
            written.append(Segment(path.name, engine.write(staged, path, until=self._until, whole=whole)))
        stale = set(paths) if whole else set(engine.replaced(list(paths)))
        left = [segment for path, segment in paths.items() if path not in stale]
        for i, path in enumerate(sorted(stale) if not whole else ()):
            new = path.with_name(f"{stem}-left-{i}.parquet")
            left.append(Segment(new.name, engine.without(path, new)))
        return tuple(segment for segment in (*left, *written) if segment.rows)

    def _compact(self, engine: Engine) -> None:
        """Merges small segments, as every one of them costs each question a little."""
        manifest = read_manifest(self.folder)
        held = manifest.origins[self.alias]
        small = [segment for segment in held.segments if segment.rows < SMALL]
        if len(small) <= MANY:
            return
        merged: list[Segment] = []
        for i, group in enumerate(_groups(small)):
            path = self.folder.resolve() / f"{self.alias}-{manifest.generation + 1}-merged-{i}.parquet"
            merged.append(Segment(path.name, engine.merge([path.with_name(segment.name) for segment in group], path)))
        left = [segment for segment in held.segments if segment not in small]
        self._publish(manifest, replace(held, segments=(*left, *merged)))

    def _forget(self, held: Origin) -> None:
        """Deletes what other settings have made, at once: it may hold what is now to be kept nowhere."""
        named = {segment.name for segment in read_manifest(self.folder).segments}
        for segment in held.segments:
            if segment.name not in named:
                (self.folder / segment.name).unlink(missing_ok=True)

    def _publish(self, manifest: Manifest, origin: Origin) -> None:
        """Makes the segments durable, then names them: the one moment at which a sync becomes visible."""
        before = {segment.name for segment in manifest.segments}
        for segment in origin.segments:
            if segment.name not in before:
                durable(self.folder / segment.name)
        sync_folder(self.folder)
        write_manifest(self.folder, Manifest(manifest.generation + 1, {**manifest.origins, self.alias: origin}))

    def _tidy(self, manifest: Manifest) -> None:
        """Deletes what a killed sync left, and segments that no manifest has named since the last sync began."""
        named = {segment.name for segment in manifest.segments}
        for path in self.folder.glob("*.parquet"):
            if path.name not in named:
                path.unlink()
        for name in ("work", "spill"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(mode=0o700)


def _check_agreed(folder: Path, manifest: Manifest) -> None:
    ways: dict[str, list[str]] = {}
    for alias, origin in manifest.origins.items():
        if origin.segments:
            ways.setdefault(origin.agreed, []).append(alias)
    if len(ways) > 1:
        found = "sources that were de-identified in different ways: " + " | ".join(map(", ".join, ways.values()))
        remedy = "Sync all of them; where one is no longer configured, delete the folder first"
        problem = Problem(str(folder), found, "one way for all, as [deidentify] says it now", remedy)
        raise SiteError("The registry cannot be asked.", [problem])


def _groups(small: Sequence[Segment]) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    for segment in small:
        if group and sum(one.rows for one in group) + segment.rows > MERGED:
            yield group
            group = []
        group.append(segment)
    yield group


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the registry's lock; it ends with the process, however that ends."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem = Problem(
                str(folder), "a registry that another sync is writing", "one that nobody writes", "Wait until it ends"
            )
            raise SiteError("The registry is being written.", [problem]) from None
        yield
