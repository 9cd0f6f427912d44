"""The event log: whole lines, or an error and no half of one."""

import json
import resource
import signal
from contextlib import ExitStack

import pytest

from huizhen.errors import MachineError
from huizhen.federation.eventlog import EventLog
from huizhen.federation.events import Event

ASKED = Event("asked", "mean", 1, 0.5, step="sums")


@pytest.fixture
def room():
    """Sets how large files of this process may become."""
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, heard)


def test_a_line_for_which_there_is_no_room_leaves_no_half_of_it(tmp_path, room):
    path = tmp_path / "events.jsonl"
    with ExitStack() as stack:
        log = EventLog(path, stack, run="run-1", study="digest")
        log.watch(ASKED)
        length = path.stat().st_size
        room(length + length // 2)
        with pytest.raises(MachineError, match="event log cannot be written"):
            log.watch(ASKED)
        assert path.stat().st_size == length
        room(10 * length)
        log.watch(ASKED)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["asked", "asked"]
