"""The lab's own plan, its mirror, and, slowly, real programs between shaped lines."""

import os
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from hubs import need_nats_server
from huizhen.errors import CallerError
from huizhen.twin.lab.mirroring import mirror_of
from huizhen.twin.lab.observations import observations
from huizhen.twin.lab.plan import read_plan
from huizhen.twin.lab.running import run_lab, shown

SMALL = """
[lab]
repetitions = 1
shaping = "{shaping}"
[site.east]
[site.west]
[line.near]
up_mbit_s = 80
down_mbit_s = 80
rtt_ms = 4
[line.far]
up_mbit_s = 8
down_mbit_s = 8
rtt_ms = 60
[study.mean]
rounds = 3
numbers = 4
method = {{summary = {{variables = ["age"]}}}}
[transfer.large]
bytes = 2_000_000
[[configuration]]
study = ["mean", "large"]
line = "near"
held_out = false
[[configuration]]
study = ["mean", "large"]
line = "far"
"""


def own_plan():
    return read_plan((files("huizhen.twin.lab") / "plan.toml").read_bytes())


def test_the_labs_own_plan_holds_out_20_configurations_and_200_rounds_and_more():
    plan = own_plan()
    held_out = [one for one in plan.configurations if one.held_out]
    assert len(held_out) >= 20
    assert plan.repetitions * sum(plan.studies[one.study].rounds for one in held_out if one.study in plan.studies) >= 200


def test_a_mirror_has_the_lines_of_its_configuration_and_reaches_the_hub():
    plan = own_plan()
    one = next(one for one in plan.configurations if one.hub == "dsl")
    mirror = mirror_of(plan, one, datetime(2026, 3, 1, tzinfo=UTC))
    assert mirror.links["line of the hub"].there.value == 10 * 125_000
    assert mirror.links["line of a"].rtt.value == 0.025
    assert set(mirror.sites) == set(one.sites)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CallerError, match="a folder that is not empty"):
        run_lab(own_plan(), tmp_path, str)


@pytest.mark.slow
@pytest.mark.parametrize("shaping", ["userspace", "namespaces"])
def test_two_hospitals_on_shaped_lines_are_seen_and_forecast_and_nothing_is_left(tmp_path, shaping):
    need_nats_server()
    if shaping == "namespaces" and os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    report = run_lab(read_plan(SMALL.format(shaping=shaping).encode()), tmp_path / "lab", print)
    seen = observations(report.observed.read_text())

    def of(configuration, part):
        return [one.seen for one in seen if one.configuration == configuration and one.part == part]

    assert len(of("mean/near", "round")) == len(of("mean/far", "round")) == 3
    assert min(of("mean/far", "round")) >= 0.06  # no round is shorter than a round trip
    [took] = of("large/far", "transfer")
    # 1 MB/s; a bucket of 64 kB passes at once, and the acknowledgement takes a round trip: nothing is faster.
    assert took >= 2.0 - 0.07
    assert of("mean/near", "bytes")[0] > 1000
    assert "round" in report.judgements[0].cards
    assert "configurations and" in shown(report)
    here = str((tmp_path / "lab").resolve())
    commands = (path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace") for path in _command_lines())
    assert [command for command in commands if here in command] == []
    names = Path("/run/netns")
    assert not names.is_dir() or not list(names.glob(f"hzlab-{os.getpid()}-*"))


def _command_lines():
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
