"""A registry takes over what sources deliver, once, whatever stops it on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from huizhen.data.events import store
from huizhen.data.events.schema import COLUMNS, Batch, Changes, Event, part_of, refusal
from huizhen.data.events.store import Registry
from huizhen.errors import MachineError, SiteError
from registries import NOW, records, rows


def event(record, number=1.0, version=None, **others):
    return Event("p", "measurement", record, "LOINC", "2160-0", number=number, version=version, **others)


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def sync(registry, *batches, alias="lab", whole=False, settings=""):
    return registry.sync(alias, Changes(batches, whole, settings), now=NOW)


def numbers(registry):
    return rows(registry, "select record, number from events order by record")


def test_an_empty_registry_has_a_view_with_all_columns(registry):
    with registry.connect() as connection:
        described = connection.execute("describe events").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == list(COLUMNS.items())


def test_a_newer_version_replaces_a_record_and_the_same_one_changes_nothing(registry):
    sync(registry, Batch([event("a", 1, "1"), event("b", 2, "1")], 2, cursor=1))
    report = sync(registry, Batch([event("a", 3, "2"), event("b", 9, "1"), event("c", 4)], 3, cursor=2))
    assert (report.new, report.changed, report.same) == (1, 1, 1)
    assert numbers(registry) == [("a", 3.0), ("b", 2.0), ("c", 4.0)]


def test_without_a_version_a_record_has_changed_if_what_it_says_has(registry):
    sync(registry, Batch([event("a", 1), event("b", 2)], 2, cursor=1))
    report = sync(registry, Batch([event("a", 1), event("b", 5)], 2, cursor=1))
    assert (report.same, report.changed) == (1, 1)


def test_a_record_is_replaced_with_all_its_parts(registry):
    sync(registry, Batch([event(part_of("bp", i)) for i in (1, 2, 3)], 1, cursor=1))
    report = sync(registry, Batch([event(part_of("bp", 1), 7)], 1, cursor=1))
    assert report.changed == 1
    assert numbers(registry) == [("bp#1", 7.0)]


def test_a_mark_of_parts_within_a_number_does_not_join_two_records(registry):
    sync(registry, Batch([event(part_of("a#1"))], 1, cursor=1))
    sync(registry, Batch([event(part_of("a#2"))], 1, cursor=1))
    assert len(numbers(registry)) == 2


def test_an_older_version_that_comes_late_is_left_out(registry):
    sync(registry, Batch([event("a", 2, "2024-05-01T00:00:00")], 1, cursor=1))
    report = sync(registry, Batch([event("a", 1, "2023-05-01T00:00:00")], 1, cursor=1))
    assert report.older == 1
    assert numbers(registry) == [("a", 2.0)]


def test_a_record_delivered_twice_in_one_sync_is_one_with_the_later_version(registry):
    early, late = event("a", 1, "2023-05-01T00:00:00"), event("a", 2, "2024-05-01T00:00:00")
    report = sync(registry, Batch([late, event("b")], 2, cursor=1), Batch([early], 1, cursor=2))
    assert report.new == 2
    assert numbers(registry) == [("a", 2.0), ("b", 1.0)]


def test_a_record_that_is_gone_goes_and_one_never_seen_does_not_matter(registry):
    sync(registry, Batch([event("a"), event("b")], 2, cursor=1))
    report = sync(registry, Batch(removed=["a", "x"], cursor=2))
    assert report.removed == 1
    assert numbers(registry) == [("b", 1.0)]


def test_a_source_read_whole_loses_what_is_no_longer_in_it(registry):
    sync(registry, Batch([event("a"), event("b")], 2, cursor=1), whole=True)
    report = sync(registry, Batch([event("b"), event("c")], 2, cursor=1), whole=True)
    assert (report.new, report.same, report.removed) == (1, 1, 1)
    assert [record for record, _ in numbers(registry)] == ["b", "c"]


def test_a_source_that_became_empty_removes_nothing(registry):
    sync(registry, Batch([event("a")], 1, cursor=1), whole=True)
    with pytest.raises(SiteError, match="become empty"):
        sync(registry, Batch(cursor=2), whole=True)
    assert numbers(registry) == [("a", 1.0)]


def test_sources_do_not_touch_each_others_records(registry):
    sync(registry, Batch([event("a")], 1, cursor=1), alias="one", whole=True)
    sync(registry, Batch([event("a", 2)], 1, cursor=1), alias="two", whole=True)
    assert rows(registry, "select origin, number from events order by 1") == [("one", 1.0), ("two", 2.0)]


def test_other_settings_void_the_cursor_and_replace_what_was_read_with_the_old_ones(registry):
    sync(registry, Batch([event("a"), event("b")], 2, cursor=5), settings="old")
    assert (registry.cursor("lab", "old"), registry.cursor("lab", "new")) == (5, None)
    sync(registry, Batch([event("a", 2)], 1, cursor=1), settings="new")
    assert numbers(registry) == [("a", 2.0)]


def test_what_cannot_be_an_event_is_counted_and_never_shown(registry):
    wrong = [
        Event("", "measurement", "a"),
        Event("p", "marked-kind", "b"),
        event("c", float("inf")),
        event("d", begins=datetime(20, 1, 1)),
        event("e", begins=datetime(2020, 1, 2), ends=datetime(2020, 1, 1)),
    ]
    report = sync(registry, Batch([*wrong, event("z")], 6, cursor=1))
    assert sum(report.refused.values()) == 5
    assert len(report.refused) == 5
    assert "marked" not in repr(report)
    assert numbers(registry) == [("z", 1.0)]
    assert refusal(event("z")) == ""


def test_small_segments_are_merged_and_nothing_is_lost(registry):
    for i in range(store.MANY + 3):
        sync(registry, Batch([event(f"r{i:02}", i)], 1, cursor=i))
    assert len(registry.manifest.segments) <= store.MANY
    assert numbers(registry) == [(f"r{i:02}", float(i)) for i in range(store.MANY + 3)]


def test_a_chunk_smaller_than_the_source_gives_the_same_registry(registry, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 3)
    monkeypatch.setattr(store, "AT_ONCE", 2)
    batches = [Batch([event(f"r{i % 17:02}", i), event(f"s{i:02}", i)], 2, cursor=i) for i in range(40)]
    report = sync(registry, *batches)
    assert report.read == 80
    assert dict(numbers(registry)) == {f"r{i % 17:02}": float(i) for i in range(40)} | {f"s{i:02}": float(i) for i in range(40)}


def test_a_source_that_fails_keeps_what_it_delivered_before_its_last_cursor(registry):
    def failing():
        yield Batch([event("a")], 1, cursor="after a")
        yield Batch([event("b")], 1)
        raise SiteError("The source cannot be read.")

    with pytest.raises(SiteError, match="cannot be read"):
        registry.sync("lab", Changes(failing()), now=NOW)
    assert numbers(registry) == [("a", 1.0)]
    assert registry.cursor("lab") == "after a"


def test_a_whole_source_that_fails_changes_nothing(registry):
    def failing():
        yield Batch([event("b")], 1, cursor="after b")
        raise SiteError("The source cannot be read.")

    sync(registry, Batch([event("a")], 1, cursor=1), whole=True)
    with pytest.raises(SiteError):
        registry.sync("lab", Changes(failing(), whole=True), now=NOW)
    assert numbers(registry) == [("a", 1.0)]


def test_two_syncs_do_not_write_at_once(registry):
    def meanwhile():
        with pytest.raises(SiteError, match="being written"):
            sync(registry, Batch([event("b")], 1, cursor=1))
        yield Batch([event("a")], 1, cursor=1)

    registry.sync("lab", Changes(meanwhile()), now=NOW)
    assert numbers(registry) == [("a", 1.0)]


def test_a_reader_goes_on_while_a_sync_replaces_what_it_reads(registry):
    sync(registry, Batch([event("a")], 1, cursor=1))
    with registry.connect() as connection:
        sync(registry, Batch([event("a", 2)], 1, cursor=2))
        assert connection.execute("select number from events").fetchall() == [(1.0,)]
    assert numbers(registry) == [("a", 2.0)]


def test_a_reader_can_open_no_other_file(registry, tmp_path):
    sync(registry, Batch([event("a")], 1, cursor=1))
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with registry.connect() as connection, pytest.raises(Exception, match="disabled"):
        connection.execute(f"select * from read_csv('{tmp_path / 'secret.csv'}')")


def test_a_damaged_manifest_or_segment_is_said_without_what_stands_in_it(registry):
    sync(registry, Batch([event("marked")], 1, cursor=1))
    (segment,) = registry.folder.glob("*.parquet")
    segment.write_bytes(segment.read_bytes()[:40])
    with pytest.raises(MachineError, match="segment that cannot be read") as raised:
        registry.connect()
    assert "marked" not in str(raised.value)
    (registry.folder / "manifest.json").write_text('{"format": 1')
    with pytest.raises(MachineError, match="damaged"):
        registry.connect()


def test_the_registry_is_for_this_account_alone(registry):
    sync(registry, Batch([event("a")], 1, cursor=1))
    assert registry.folder.stat().st_mode & 0o077 == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from registries import NOW
from huizhen.data.events import store, segments, manifest
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.data.events.store import Registry

folder, place, nth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store.CHUNK, store.AT_ONCE, store.MANY, calls = 20, 2, 2, 0

def killing(act):
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*args, **kwargs)
    return wrapped

for owner, name in ((segments.Engine, "stage"), (segments.Engine, "write"), (segments.Engine, "without"),
                    (segments.Engine, "merge"), (store, "write_manifest"), (store, "durable")):
    if name == place:
        setattr(owner, name, killing(getattr(owner, name)))
if place == "rename":
    Path.replace = killing(Path.replace)
if place == "renamed":
    manifest.sync_folder = killing(manifest.sync_folder)

registry = Registry(folder)
start = registry.cursor("lab") or 0
def batches():
    for i in range(start, 30):
        if place == "source" and i == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        events = [Event("p", "measurement", f"r{j % 150:03}", number=float(j)) for j in range(i * 10, i * 10 + 10)]
        yield Batch(events, 10, cursor=i + 1)
print(registry.sync("lab", Changes(batches()), now=NOW).read)
"""
PLACES = [("source", 7), ("source", 29), ("stage", 3), ("write", 1), ("write", 6), ("without", 1), ("without", 3), ("merge", 1),
          ("durable", 2), ("write_manifest", 1), ("write_manifest", 4), ("rename", 2), ("renamed", 2), ("rename", 8)]  # fmt: skip


@pytest.mark.parametrize(("place", "nth"), PLACES)
def test_a_sync_that_is_killed_leaves_the_registry_whole_and_the_next_one_goes_on(tmp_path, place, nth):
    registry = Registry(tmp_path / "registry")
    child = [sys.executable, "-c", KILLED, str(registry.folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    killed = subprocess.run([*child, place, str(nth)], env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    reached = registry.cursor("lab") or 0
    so_far = {f"r{j % 150:03}": float(j) for j in range(reached * 10)}
    assert dict(numbers(registry)) == so_far
    assert len(numbers(registry)) == len(so_far)
    again = subprocess.run([*child, "nowhere", "0"], env=environment, capture_output=True, timeout=120, check=True)
    assert int(again.stdout) == 300 - reached * 10  # it went on where the other one was stopped
    assert numbers(registry) == [(f"r{j:03}", float(j + 150)) for j in range(150)]
    assert list((registry.folder / "work").glob("*")) == []


def test_records_are_seen_as_they_were_delivered(registry):
    sync(registry, Batch([event("a", 1.5)._replace(text="<", unit="mg/dL")], 1, cursor=1))
    assert records(registry) == [("p", "measurement", "2160-0", 1.5, "<", "a")]
