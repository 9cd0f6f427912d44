"""Steps of networks that calibration never ran, predicted from operators alone: beside what they took, and beside usual formulas.

Seconds are processor time of one thread. Each network is run with three batch sizes; a step's seconds are the lower quartile of its
repetitions. `HUIZHEN_PACK` names a calibration pack that was made before on this machine; without one, 60 seconds calibrate first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
import pytest

from huizhen.clock import cpu_seconds, process_seconds
from huizhen.extension import load
from huizhen.twin.compute.calibration import calibrate, quarter, spread_of
from huizhen.twin.compute.device import Computation, ComputeModel, compute_model
from huizhen.twin.compute.measures import naive_by_peak, naive_by_roofline
from huizhen.twin.compute.networks import module_step
from huizhen.twin.compute.pack import Pack, from_json
from huizhen.twin.course import Work

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
from torch import nn  # noqa: E402

AT = datetime(2026, 1, 1, tzinfo=UTC)
WARM_UP = 3
PEAK, MEMORY_RATE = 166e9, 20e9  # of one core, as a data sheet tells: 2.6 GHz x 32 float32 x 2; a memory channel


class Ran(NamedTuple):
    """One network and batch: its work, what it took at first and later, and the spread of its repetitions."""

    name: str
    work: Work
    warm_up: Sequence[float]
    seconds: float
    spread: float


class Residual(nn.Module):
    def __init__(self, width: int, wide: int, step: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, wide, 3, step, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Conv2d(wide, wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide),
        )  # fmt: skip
        same = step == 1 and width == wide
        self.past = nn.Identity() if same else nn.Sequential(nn.Conv2d(width, wide, 1, step, bias=False), nn.BatchNorm2d(wide))

    def forward(self, maps: Any) -> Any:
        return torch.relu(self.body(maps) + self.past(maps))


def _residual_net() -> nn.Module:
    blocks = [Residual(32, 32, 1), Residual(32, 64, 2), Residual(64, 128, 2), Residual(128, 256, 2)]
    stem = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def _vgg_like() -> nn.Module:
    layers: list[nn.Module] = []
    width = 1
    for wide in (24, 40, 80, 160):
        layers += [nn.Conv2d(width, wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        width = wide
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(640, 200), nn.ReLU(), nn.Dropout(0.5), nn.Linear(200, 5))


def _transformer() -> nn.Module:
    blocks = [nn.TransformerEncoderLayer(96, 4, 200, batch_first=True, dropout=0.1) for _ in range(2)]
    return nn.Sequential(nn.Linear(40, 96), *blocks, nn.Flatten(), nn.Linear(96 * 60, 3))


def _zoo(name: str, inputs: tuple[int, ...], outputs: int, **settings: Any) -> Callable[[], nn.Module]:
    kind = load("huizhen.networks", name)
    return lambda: kind.make(inputs, outputs, kind.settings.model_validate(settings))


HELD_OUT: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, int, int]]] = {
    "mlp": (_zoo("mlp", (30,), 2, widths=(128, 64)), (30,), (32, 128, 500)),
    "mlp, wide": (_zoo("mlp", (700,), 5, widths=(900, 300), norm="batch", activation="gelu"), (700,), (16, 64, 200)),
    "small_cnn": (_zoo("small_cnn", (1, 28, 28), 10), (1, 28, 28), (8, 32, 100)),
    "small_cnn, batch": (_zoo("small_cnn", (3, 40, 40), 4, widths=(20, 44, 90), norm="batch"), (3, 40, 40), (4, 12, 32)),
    "densenet 121": (_zoo("densenet", (3, 32, 32), 9), (3, 32, 32), (2, 8, 20)),
    "densenet 121, group": (_zoo("densenet", (1, 64, 64), 2, norm="group"), (1, 64, 64), (1, 3, 6)),
    "resnet 18": (_zoo("resnet", (3, 32, 32), 10, stem="small"), (3, 32, 32), (1, 4, 12)),
    "resnet 50": (_zoo("resnet", (3, 64, 64), 10, depth=50), (3, 64, 64), (1, 3, 8)),
    "residual": (_residual_net, (3, 36, 36), (2, 8, 24)),
    "unet": (_zoo("unet", (1, 64, 64), 2), (1, 64, 64), (1, 4, 10)),
    "vgg-like": (_vgg_like, (1, 32, 32), (4, 16, 40)),
    "transformer": (_transformer, (60, 40), (2, 10, 40)),
    "swin": (_zoo("swin", (3, 56, 56), 7, width=48, depths=(2, 2), heads=(3, 6)), (3, 56, 56), (1, 3, 8)),
}


@cache
def _pack() -> Pack:
    found = os.environ.get("HUIZHEN_PACK")
    return from_json(Path(found).read_text()) if found else calibrate(60.0, seconds=process_seconds)


@cache
def _ran() -> tuple[Ran, ...]:
    from huizhen.twin.compute.stepping import Training, mean_square, stepping

    found = []
    for name, (make, inputs, batches) in HELD_OUT.items():
        for batch in batches:
            work = module_step(make, inputs, name, batch=batch)
            module, rows = make(), torch.randn(batch, *inputs)
            with torch.no_grad():
                targets = torch.zeros_like(module(rows))
            step = stepping(module, rows, targets, mean_square, Training())
            times: list[float] = []
            while len(times) < 8 or (sum(times) < 0.5 and len(times) < 60):
                before = cpu_seconds()
                step()
                times.append(cpu_seconds() - before)
            later = times[WARM_UP + 1 :]
            found.append(Ran(name, work, times[1 : WARM_UP + 1], quarter(later), spread_of(later)))
    return tuple(found)


def _mape(predicted: Sequence[float], seen: Sequence[float]) -> float:
    return 100 * mean(abs(said / took - 1) for said, took in zip(predicted, seen))


def test_step_times_of_networks_that_were_never_run() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pack, ran = _pack(), _ran()
    finally:
        torch.set_num_threads(before)
    model = compute_model(pack)
    asked = [Computation(one.work, pack.name) for one in ran]
    seen = [one.seconds for one in ran]
    first = [model.predict(one).total for one in asked]
    for one, said in zip(ran, first):
        print(f"{one.name:20} {one.work.rows:4} rows {1e3 * one.seconds:8.2f} ms, predicted {1e3 * said.value:8.2f} "
              f"({100 * (said.value / one.seconds - 1):+5.1f} %), spread {100 * one.spread:.1f} %")  # fmt: skip
    factored = _with_device_factor(model, asked, ran)
    warmed = [_after_warm_up(model, one, each) for one, each in zip(asked, ran)]
    inside = mean(said.low <= took <= said.high for said, took in zip(first, seen))
    print(f"\nnetworks x batches      {len(ran)}, calibrated with {pack.drawn} drawn networks in {pack.elapsed_s:.0f} s")
    middle = 100 * median(abs(said.value / took - 1) for said, took in zip(first, seen))
    print(f"a priori                {_mape([one.value for one in first], seen):.1f} % mape, median {middle:.1f} %")
    print(f"90 % intervals cover    {100 * inside:.0f} %")
    print(f"one device factor       {_mape(factored, seen):.1f} %")
    print(f"after {WARM_UP} warm-up steps   {_mape(warmed, seen):.1f} %")
    print(f"repeat to repeat        {100 * median(one.spread for one in ran):.1f} %")
    print(f"flop / peak             {_mape([naive_by_peak(one.work, PEAK) for one in ran], seen):.0f} %")
    print(f"roofline                {_mape([naive_by_roofline(one.work, PEAK, MEMORY_RATE) for one in ran], seen):.0f} %")


def _with_device_factor(model: ComputeModel, asked: Sequence[Computation], ran: Sequence[Ran]) -> list[float]:
    """Each network with the factor of the device that the other networks teach: three of them, one batch each, are run before."""
    names = list(dict.fromkeys(one.name for one in ran))
    found = []
    for place, (one, each) in enumerate(zip(asked, ran)):
        others = [names[(names.index(each.name) + step) % len(names)] for step in (1, 4, 7)]
        taught = model
        for name in others:
            example = next(place for place, other in enumerate(ran) if other.name == name)
            taught = taught.observe(asked[example], ran[example].seconds, at=AT)
        found.append(taught.refit().predict(one).total.value)
    return found


def _after_warm_up(model: ComputeModel, asked: Computation, ran: Ran) -> float:
    for took in ran.warm_up:
        model = model.observe(asked, took, at=AT)
    return model.refit().predict(asked).total.value


def test_seconds_to_fit_and_to_predict() -> None:
    pack = _pack()
    start = cpu_seconds()
    model = compute_model(pack)
    fitting = cpu_seconds() - start
    work = module_step(HELD_OUT["densenet 121"][0], (3, 32, 32), "densenet", batch=8)
    start = cpu_seconds()
    for _ in range(5):
        model.predict(Computation(work, pack.name))
    print(f"\nfitting a pack of {len(pack.samples)} samples takes {fitting:.1f} s, one prediction of {len(work.operations)} "
          f"different operations {1e3 * (cpu_seconds() - start) / 5:.0f} ms")  # fmt: skip
    assert np.isfinite(fitting)
