"""Measurements of other programs, and of our own, are read in the twin's units; what cannot be read is named and never guessed."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from huizhen.errors import CallerError, DataError
from huizhen.federation.eventlog import EventLog
from huizhen.federation.events import Event, Leaving
from huizhen.twin.warehouse.intake import take
from huizhen.twin.warehouse.questions import Wanted
from huizhen.twin.warehouse.sources.iperf3 import iperf3
from huizhen.twin.warehouse.sources.machine import snapshot, used_between
from huizhen.twin.warehouse.sources.perfsonar import archived, scheduled
from huizhen.twin.warehouse.sources.runlog import runlog
from huizhen.twin.warehouse.sources.table import table
from huizhen.twin.warehouse.sources.tcpinfo import LENGTH, connection, points_of
from huizhen.twin.warehouse.telemetry import Telemetry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STAMP = int(NOW.timestamp())


def values(told):
    return [(point.series.metric, point.series.unit, (point.time - NOW).total_seconds(), point.value) for point in told.points]


def report(**more):
    """A report of iperf3 over two seconds, the first of them warm-up."""

    def interval(end, bits, **also):
        total = {"start": end - 1, "end": end, "bits_per_second": bits, **also}
        return {"streams": [{"rtt": 30_000}, {"rtt": 34_000}], "sum": total}

    intervals = [interval(1, 5e6, omitted=True), interval(1, 8e6, omitted=False), interval(2, 16e6, omitted=False)]
    start = {"timestamp": {"timesecs": STAMP}, "test_start": {"protocol": "TCP", "reverse": 0}}
    return {"start": start, "intervals": intervals, "end": {}} | more


def test_a_report_of_iperf3_gives_rates_in_bytes_and_round_trips_in_seconds_without_the_warm_up():
    told = iperf3(json.dumps(report()), site="north", path="north-hub")
    assert values(told) == [
        ("rate_up", "byte/s", 1, 1e6),
        ("rtt", "s", 1, 0.032),
        ("rate_up", "byte/s", 2, 2e6),
        ("rtt", "s", 2, 0.032),
    ]
    assert {point.series.subject for point in told.points} == {"north-hub"}


def test_a_test_in_reverse_measures_the_other_direction_and_udp_tells_its_loss():
    content = report(end={"sum": {"lost_percent": 2.5, "end": 2.0}})
    content["start"]["test_start"]["reverse"] = 1
    told = iperf3(json.dumps(content), site="north", path="north-hub")
    assert {metric for metric, *_ in values(told)} == {"rate_down", "rtt", "loss"}
    assert values(told)[-1] == ("loss", "1", 2, 0.025)


def test_an_interval_that_says_no_rate_is_named_and_the_others_count():
    content = report()
    content["intervals"][1] = {"sum": {"end": 1}}
    told = iperf3(json.dumps(content), site="north", path="north-hub")
    assert [one.place for one in told.unread] == [2]
    assert len(told.points) == 2


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("no", {"iperf3"}),
        ("[]", {"iperf3"}),
        ('{"error": "unable to connect"}', {"iperf3.error", "iperf3.start.timestamp.timesecs", "iperf3.intervals"}),
    ],
)
def test_what_is_no_report_is_refused_with_all_that_is_missing(text, where):
    with pytest.raises(DataError) as error:
        iperf3(text, site="north", path="north-hub")
    assert {problem.where for problem in error.value.problems} == where


def test_the_archive_of_perfsonar_is_read_by_its_event_type():
    rates = json.dumps([{"ts": STAMP, "val": 8e8}, {"ts": STAMP + 60, "val": None}])
    told = archived(rates, event_type="throughput", site="north", path="north-hub")
    assert (values(told), [one.place for one in told.unread]) == ([("rate_up", "byte/s", 0, 1e8)], [2])
    trips = json.dumps([{"ts": STAMP, "val": {"30.1": 3, "30.3": 5, "99": 1}}, {"ts": STAMP, "val": {}}])
    told = archived(trips, event_type="histogram-rtt", site="north", path="north-hub")
    assert values(told) == [("rtt", "s", 0, pytest.approx(0.0303))]
    assert len(told.unread) == 1
    with pytest.raises(DataError) as error:
        archived("{}", event_type="weather", site="north", path="north-hub")
    assert len(error.value.problems) == 2


def run(result):
    return json.dumps({"start-time": "2026-03-01T00:00:00Z", "result": {"succeeded": True, **result}})


def test_a_throughput_run_of_pscheduler_is_read_without_its_warm_up():
    def interval(end, omitted):
        return {"summary": {"start": end - 1, "end": end, "throughput-bits": 8e6, "omitted": omitted}, "streams": [{"rtt": 20_000}]}

    told = scheduled(run({"intervals": [interval(1, True), interval(2, False)]}), site="north", path="north-hub")
    assert values(told) == [("rate_up", "byte/s", 2, 1e6), ("rtt", "s", 2, 0.02)]


def test_a_round_trip_run_of_pscheduler_counts_what_was_lost():
    told = scheduled(
        run({"roundtrips": [{"rtt": "PT0.03S"}, {"rtt": None}, {"rtt": "PT1M0.5S"}, {}]}), site="north", path="north-hub"
    )
    assert values(told) == [("rtt", "s", 0, 0.03), ("rtt", "s", 2, 60.5), ("loss", "1", 0, 0.5)]


@pytest.mark.parametrize(("text", "count"), [("[]", 2), (json.dumps({"result": {"succeeded": False}}), 3), (run({"paths": []}), 1)])
def test_a_run_of_pscheduler_that_failed_or_tested_something_else_is_refused(text, count):
    with pytest.raises(DataError) as error:
        scheduled(text, site="north", path="north-hub")
    assert len(error.value.problems) == count


CSV = """\ufeffwhen,hospital,ms,kind
2026-03-01T00:00:00Z,north,30,rtt
2026-03-01 08:01:00+08:00,north,31,rtt

2026-03-01T00:02:00,north,32,rtt
2026-03-01T00:03:00Z,north,much,rtt
2026-03-01T00:04:00Z,,33,rtt
2026-03-01T00:05:00Z,north
"""
COLUMNS = {"time": "when", "site": "hospital", "value": "ms", "metric": "kind"}


def test_a_table_is_read_by_declared_columns_and_bad_lines_are_named():
    told = table(CSV, columns=COLUMNS, same={"unit": "ms", "subject": "line"})
    assert values(told) == [("rtt", "s", 0, 0.03), ("rtt", "s", 60, 0.031)]
    assert [(one.place, one.why) for one in told.unread] == [
        (5, "a time that is none, or has no time zone"),
        (6, "a value that is no number"),
        (7, "an empty cell"),
        (8, "another number of cells"),
    ]


def test_all_that_is_missing_of_a_table_is_told_at_once():
    with pytest.raises(DataError) as error:
        table("a,a,value\n", columns={"time": "when", "site": "a", "colour": "b"}, same={"unit": "s", "value": "3", "site": "n"})
    assert {problem.where for problem in error.value.problems} >= {
        "CSV, time",
        "CSV, metric",
        "CSV, subject",
        "CSV, colour",
        "CSV, site",
    }
    with pytest.raises(DataError, match="cannot be read"):
        table('time\n"2026', same={})


def test_a_unit_that_nobody_knows_is_set_aside_and_not_guessed(tmp_path):
    path, telemetry = tmp_path / "rtt.csv", Telemetry(tmp_path / "telemetry")
    path.write_text("time,site,subject,metric,value,unit\n2026-03-01T00:00:00Z,north,line,rtt,3,fortnights\n")
    taken = take(telemetry, path, "csv", now=NOW)
    assert (taken.points, taken.appended.new) == (1, 0)
    assert taken.appended.aside == {("another unit", "north", "rtt"): 1}


class Moments:
    """Times of a story's events."""

    def __init__(self, path, stack):
        self.log = EventLog(path, stack, run="run-1", study="d" * 64)

    def tell(self, kind, at_s, **more):
        self.log.watch(Event(kind, "network", 1, at_s, **more))


def test_a_runs_own_log_tells_how_long_each_site_took_and_how_much_it_sent(tmp_path):
    path = tmp_path / "events.jsonl"
    with ExitStack() as stack:
        log = Moments(path, stack)
        log.tell("asked", 1.0, step="train")
        log.tell("answered", 3.5, site="north", step="train", cpu_s=2.0, leaving=(Leaving("w", "addend", 800, 100),))
        log.tell("silent", 9.0, site="south", step="train", detail="nothing came")
        log.tell("folded", 9.5, step="train")
        log.tell("finished", 10.0)
    path.write_text(path.read_text() + '{"event": "asked", "half of a li')
    told = runlog(path.read_text())
    assert [(one.series.site, one.series.subject, one.series.metric, one.value) for one in told.points] == [
        ("north", "network/train", "answer_cpu", 2.0),
        ("north", "network/train", "answer_bytes", 800.0),
        ("north", "network/train", "answer_seconds", 2.5),
        ("south", "network/train", "silent", 1.0),
        ("hub", "network/train", "round_seconds", 8.5),
        ("hub", "d" * 16, "run_seconds", 10.0),
    ]
    assert [(one.place, one.why) for one in told.unread] == [(6, "a line that is no event")]


def test_a_log_that_has_grown_tells_only_what_is_new(tmp_path):
    path, telemetry = tmp_path / "events.jsonl", Telemetry(tmp_path / "telemetry")
    later = datetime.now(UTC) + timedelta(minutes=1)
    with ExitStack() as stack:
        log = Moments(path, stack)
        log.tell("finished", 10.0)
        assert take(telemetry, path, "runlog", now=later).appended.new == 1
        log.tell("finished", 20.0)
        again = take(telemetry, path, "runlog", now=later).appended
    assert (again.new, again.same) == (1, 1)
    assert telemetry.read(Wanted("run_seconds")).values.tolist() == [10, 20]


def test_what_must_be_said_of_a_file_is_asked_for_at_once(tmp_path):
    telemetry = Telemetry(tmp_path / "telemetry")
    with pytest.raises(CallerError) as error:
        take(telemetry, tmp_path / "x.json", "perfsonar", now=NOW)
    assert {problem.where for problem in error.value.problems} == {"site", "subject", "event_type"}
    with pytest.raises(CallerError, match="taken over"):
        take(telemetry, tmp_path / "x.json", "telepathy", now=NOW)
    with pytest.raises(CallerError, match="cannot be read"):
        take(telemetry, tmp_path / "x.json", "iperf3", now=NOW, site="north", subject="north-hub")


STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 0 0 1\n"
MEMINFO = "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n"
NETWORK = (
    "Inter-|   Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n  eth0: {got} 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n"
)


def moment(busy, idle, got, sent, seconds):
    texts = STAT.format(busy=busy, idle=idle), MEMINFO, NETWORK.format(got=got, sent=sent)
    return snapshot(*texts, at=NOW + timedelta(seconds=seconds))


def test_a_machines_load_is_what_happened_between_two_looks_at_it():
    points = used_between(moment(100, 900, 0, 0, 0), moment(160, 940, 5000, 1000, 10), site="north", device="server")
    assert {point.series.metric: point.value for point in points} == {
        "cpu_load": 0.6,
        "memory_used": 750 * 1024,
        "memory_share": 0.75,
        "bytes_in": 500,
        "bytes_out": 100,
    }


def test_a_machine_that_was_started_in_between_tells_nothing():
    assert used_between(moment(100, 900, 9, 9, 0), moment(10, 20, 0, 0, 10), site="north", device="server") == ()
    assert used_between(moment(100, 900, 0, 0, 0), moment(100, 900, 0, 0, 0), site="north", device="server") == ()


@pytest.mark.parametrize(
    "texts", [("", MEMINFO, NETWORK), (STAT.format(busy=1, idle=1), "", NETWORK), ("cpu  1 2", MEMINFO, NETWORK)]
)
def test_what_is_not_from_proc_is_refused(texts):
    with pytest.raises(ValueError, match="not the text of"):
        snapshot(*texts, at=NOW)


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
def test_this_machine_can_be_looked_at():
    texts = (Path("/proc/stat").read_text(), Path("/proc/meminfo").read_text(), Path("/proc/net/dev").read_text())
    assert snapshot(*texts, at=NOW).memory > 0


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="this system tells nothing of its connections")
def test_the_kernel_tells_of_a_real_connection_what_went_over_it():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as line:
        other, _ = server.accept()
        reader = threading.Thread(target=lambda: other.makefile("rb").read(), daemon=True)
        reader.start()
        line.sendall(bytes(3_000_000))
        line.shutdown(socket.SHUT_WR)
        reader.join(30)
        one = connection(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LENGTH))
        other.close()
    assert 0 < one.rtt_s < 5
    assert one.sent is None or one.sent - one.resent == 3_000_000
    points = points_of(one, site="north", path="north-hub", at=NOW)
    assert {"rtt", "rtt_spread"} <= {point.series.metric for point in points}


def test_what_an_older_kernel_does_not_tell_is_left_out():
    told = bytes(68) + (30_000).to_bytes(4, "little") + (2_000).to_bytes(4, "little") + bytes(28)
    one = connection(told)
    assert (one.rtt_s, one.rtt_spread_s, one.least_rtt_s, one.sent, one.rate) == (0.03, 0.002, None, None, None)
    with pytest.raises(ValueError, match="connection"):
        connection(told[:90])
