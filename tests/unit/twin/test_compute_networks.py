"""Compute of networks: a step is counted from its description, and is what a real step does."""

from __future__ import annotations

import numpy as np
import pytest

from huizhen.clock import cpu_seconds
from huizhen.errors import CallerError, StudyError
from huizhen.extension import installed
from huizhen.twin.compute.calibration import calibrate
from huizhen.twin.compute.counting import MATRIX_KINDS, matrix_flop
from huizhen.twin.compute.device import Computation, compute_model
from huizhen.twin.compute.networks import forward_work, module_step, network_step, over_steps, training_work
from huizhen.twin.compute.pack import from_json, to_json
from huizhen.twin.compute.stepping import Training, mean_square, stepping
from huizhen.twin.compute.tracing import gathered, recorded

torch = pytest.importorskip("torch")
pytest.importorskip("monai")
from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

SHAPES = {
    "logistic": ((12,), {}),
    "mlp": ((12,), {"widths": (20, 10)}),
    "small_cnn": ((1, 28, 28), {}),
    "vgg": ((3, 32, 32), {"depth": 11}),
    "densenet": ((3, 32, 32), {}),
    "resnet": ((3, 32, 32), {"stem": "small"}),
    "resnet3d": ((1, 16, 16, 16), {}),
    "unet": ((1, 32, 32), {}),
    "swin": ((3, 32, 32), {"width": 24, "depths": (2, 2), "heads": (2, 4)}),
}


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_network_is_counted_as_torch_counts_its_products_and_convolutions(name):
    inputs, settings = SHAPES[name]
    work = network_step(name, inputs, 2, settings, batch=2)
    from huizhen.extension import load

    module = load("huizhen.networks", name).on_paper(inputs, 2, settings).train()
    rows = torch.randn(2, *inputs, device="meta")
    with FlopCounterMode(display=False) as counter:
        module(rows).square().mean().backward()
    assert matrix_flop(work.operations) == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert work.moved > 0


def test_all_installed_networks_are_tried_here():
    assert set(SHAPES) <= set(installed("huizhen.networks"))


def test_what_is_counted_on_paper_is_what_is_called_on_real_numbers():
    def make():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2))

    work = module_step(make, (1, 8, 8), "own", batch=5, training=Training("adam", clip=True))
    module, rows = make(), torch.randn(5, 1, 8, 8)
    step = stepping(module, rows, torch.zeros(5, 2), mean_square, Training("adam", clip=True))
    assert gathered([one for one, _ in recorded(step)]) == work.operations


def test_a_linear_step_is_counted_by_hand():
    work = module_step(lambda: nn.Linear(10, 3), (10,), "linear", batch=7)
    assert matrix_flop(work.operations) == 2 * 7 * 10 * 3 * 2  # forward, and the weights' gradient; inputs want none
    assert work.rows == 7


def test_a_forward_pass_is_a_part_of_a_step():
    forward, step = (
        forward_work("small_cnn", (1, 28, 28), 2, rows=4),
        network_step("small_cnn", (1, 28, 28), 2, batch=4),
    )
    assert 2.0 < matrix_flop(step.operations) / matrix_flop(forward.operations) <= 3.0
    assert not any("backward" in one.kind for one in forward.operations)
    assert any(one.kind in MATRIX_KINDS for one in forward.operations)


def test_an_undeclared_network_is_refused_by_name():
    with pytest.raises(CallerError, match="Did you mean small_cnn"):
        network_step("smal_cnn", (1, 28, 28), 2, batch=0)
    with pytest.raises(StudyError):
        network_step("mlp", (5,), 2, {"depth": 3}, batch=4)


def test_training_is_whole_batches_and_a_rest():
    def step(batch):
        return module_step(lambda: nn.Linear(4, 1), (4,), "linear", batch=batch)

    work = training_work(step, rows=10, batch=4, epochs=3)
    by_hand = 3 * (2 * step(4).flop + step(2).flop)
    assert work.flop == pytest.approx(by_hand)
    assert training_work(step, rows=10, batch=4, steps=5).flop == pytest.approx(over_steps(step(4), 5).flop)


def test_calibration_takes_what_it_is_given_goes_on_where_it_was_and_is_random_in_nothing_else():
    told = []
    first = calibrate(9.0, lambda share, pack: told.append(share), name="here", seconds=iter(np.arange(0, 100, 0.3)).__next__)
    assert first.drawn >= 1
    assert {"np.gram", "aten.view"} <= {one.kind for one in first.samples}
    again = calibrate(12.0, name="here", begun=from_json(to_json(first)), seconds=iter(np.arange(0, 100, 0.3)).__next__)
    assert again.drawn > first.drawn
    assert again.samples[: len(first.samples)] == first.samples
    assert torch.get_num_threads() >= 1


def test_a_step_is_predicted_from_a_short_calibration():
    pack = calibrate(2.0, name="here", seconds=cpu_seconds)
    work = network_step("mlp", (12,), 2, {"widths": (20, 10)}, batch=16)
    said = compute_model(pack).predict(Computation(work, "here")).total
    assert 1e-5 < said.value < 1e-1
    assert said.low < said.value < said.high
