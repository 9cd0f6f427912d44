"""A site's agent looks at its own machine only where the site says so, keeps what it saw, and sends none of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from huizhen.clock import ManualClock
from huizhen.errors import MachineError, SiteError
from huizhen.site.sampling import Sampler, gpus, machine, sampler_of
from huizhen.site.settings import parse_settings
from huizhen.twin.warehouse.questions import Retention, Wanted
from huizhen.twin.warehouse.sources.machine import Snapshot
from huizhen.twin.warehouse.telemetry import Telemetry


class Machine:
    """A machine that is half busy: ten ticks more at each look."""

    def __init__(self):
        self.looks = 0

    def __call__(self, clock):
        self.looks += 1
        return Snapshot(clock.now(), 5 * self.looks, 5 * self.looks, 1000, 250, 100 * self.looks, 0)


@pytest.fixture
def sampler(tmp_path):
    clock = ManualClock()
    return Sampler(Telemetry(tmp_path / "telemetry"), "north", clock, 60.0, Retention(30, 365), Machine())


def test_a_look_is_due_every_so_often_and_ten_are_kept_at_once(sampler):
    for _ in range(40):
        sampler.step()
        sampler.clock.advance(15)
    assert sampler.look.looks == 10
    loads = sampler.telemetry.read(Wanted("cpu_load"))
    assert loads.values.tolist() == [0.5] * 9
    assert loads.series[0].site == "north"


def test_an_agent_that_stops_keeps_what_it_saw(sampler):
    for _ in range(3):
        sampler.step()
        sampler.clock.advance(60)
    assert len(sampler.telemetry.read(Wanted("memory_share"))) == 0
    sampler.write()
    assert sampler.telemetry.read(Wanted("memory_share")).values.tolist() == [0.75, 0.75]


def test_a_machine_that_tells_nothing_is_no_error(sampler, tmp_path):
    assert machine(sampler.clock, tmp_path) is None
    sampler.look = lambda clock: machine(clock, tmp_path)
    sampler.step()
    sampler.write()
    assert len(sampler.telemetry.read(Wanted("cpu_load"))) == 0


def test_a_folder_that_cannot_be_written_is_told_and_the_next_look_comes_as_ever(sampler):
    sampler.telemetry.folder.mkdir()
    (sampler.telemetry.folder / "manifest.json").write_text("{")
    with pytest.raises(MachineError, match="telemetry cannot be used"):
        sampler.step()  # the first step looks whether something is too old
    sampler.step()
    assert sampler.look.looks == 1


def nvml(*, broken=False):
    """NVML with one GPU, half busy, or without its driver."""

    class NVMLError(Exception):
        pass

    def init():
        if broken:
            raise NVMLError

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda place: place,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=50),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=8_000_000),
        nvmlDeviceGetPowerUsage=lambda handle: 250_000,
    )


def test_gpus_are_looked_at_in_the_twins_units_where_there_are_any():
    found = {point.series.metric: (point.series.subject, point.value) for point in gpus(ManualClock(), "north", nvml())}
    assert found == {"gpu_load": ("gpu0", 0.5), "gpu_memory_used": ("gpu0", 8e6), "power": ("gpu0", 250.0)}
    assert gpus(ManualClock(), "north", nvml(broken=True)) == ()


def test_nothing_is_looked_at_unless_the_site_says_so(tmp_path):
    quiet = parse_settings({"site": {"name": "north"}}, tmp_path)
    assert sampler_of(quiet, tmp_path, ManualClock()) is None
    looking = parse_settings({"site": {"name": "north"}, "telemetry": {"sample": True, "every": "5 s", "whole_days": 2}}, tmp_path)
    sampler = sampler_of(looking, tmp_path, ManualClock())
    assert (sampler.site, sampler.every_s, sampler.retention) == ("north", 5.0, Retention(2, 365))


def test_all_that_is_wrong_with_the_table_is_told():
    table = {"sample": "yes", "every": "10 ms", "whole_days": 30, "coarse_days": 7}
    with pytest.raises(SiteError) as error:
        parse_settings({"site": {"name": "north"}, "telemetry": table}, None)
    assert {problem.where for problem in error.value.problems} == {
        "telemetry.sample",
        "telemetry.every",
        "telemetry.coarse_days",
    }
