"""A trained network as ONNX, for runtimes that know nothing of torch."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import MachineError, Problem
from huizhen.methods.networks import build
from huizhen.methods.training.learner import Learner
from huizhen.methods.training.state import alone
from huizhen.methods.training.store import Store

__all__ = ["to_onnx"]


def to_onnx(learner: Learner, weights: NDArray[np.float32]) -> bytes:
    """The network with these weights.

    Its input ``inputs`` is float32 (row, *shape): covariates coded and scaled, images as numbers from 0 to 1 where they were stored as
    uint8. Its output ``outputs`` is raw, see `Aim.outputs`.

    Raises:
        MachineError: what torch writes ONNX with is not installed.
    """
    import torch

    try:
        import onnxscript  # noqa: F401  (torch asks for it by name)
    except ImportError:
        problem = Problem("onnxscript", "not installed", "onnxscript", "pip install 'huizhen[networks]'")
        raise MachineError("A network as ONNX needs more packages.", [problem]) from None
    store = Store(build(learner.network), torch.device("cpu"))
    store.load(weights)
    sample = torch.zeros(2, *learner.network.inputs)  # two rows: one would be taken for a fixed number
    with alone(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            store.module.eval(),
            (sample,),
            dynamo=True,
            verbose=False,
            input_names=["inputs"],
            output_names=["outputs"],
            dynamic_shapes=({0: torch.export.Dim("row", min=1)},),
        )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
