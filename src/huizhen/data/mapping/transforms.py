"""Declared steps applied to a volume through MONAI, on the processor and without a draw: the same image each time, everywhere."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.connectors.volume import Unloadable, Volume
from huizhen.data.images import sized
from huizhen.data.mapping.steps import AXES, Step
from huizhen.errors import MachineError, Problem

__all__ = ["Transform", "transform_of"]

Transform = Callable[[Volume], NDArray[np.float32]]
AS_LOOKED_AT = Step(do="orient", axes="LPS")
MODES = {"linear": {2: "bilinear", 3: "trilinear"}, "nearest": {2: "nearest", 3: "nearest"}}


def transform_of(steps: Sequence[Step], shape: Sequence[int]) -> Transform:
    """What makes of a volume an image of a shape, (channel, *space); raises `Unloadable` where it comes to another one.

    What is known to lie in the patient is turned as a slice is looked at (LPS), unless a step says otherwise.

    Raises:
        MachineError: MONAI is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that MONAI would like to have
        try:
            import monai.transforms as made
            from monai.data import meta_tensor
        except ImportError:
            problem = Problem("monai", "not installed", "torch 2.6 or newer, and monai", "pip install 'huizhen[networks]'")
            raise MachineError("Connected images need a package.", [problem]) from None
    tensor: Any = meta_tensor.MetaTensor
    is_flat = len(shape) == 3
    turned = [] if any(step.do == "orient" for step in steps) else [AS_LOOKED_AT]
    acts = [(step, _act(step, made, is_flat=is_flat)) for step in (*turned, *steps)]

    def apply(volume: Volume) -> NDArray[np.float32]:
        affine = np.eye(4) if volume.affine is None else volume.affine
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            now = tensor(np.ascontiguousarray(volume.values), affine=affine)
            for step, act in acts:
                if step.do == "resample" and volume.affine is None:
                    raise Unloadable("an image that does not say how large a voxel is", "one that does, as it is resampled")
                if step.do == "orient" and not volume.is_placed:
                    if step is AS_LOOKED_AT:
                        continue
                    raise Unloadable("an image that does not say how it lies in the patient", "one that does, as it is turned")
                now = act(now)
            return _as_declared(np.asarray(now.numpy(), np.float32), tuple(shape))

    return apply


def _act(step: Step, made: Any, *, is_flat: bool) -> Callable[[Any], Any]:
    """One step; MONAI's axes are (channel, x, y, z), so sizes are turned round. Flat images keep their slices: -1."""
    size = [*reversed(step.size), *([-1] if is_flat else [])]
    if step.do == "orient":
        return lambda now: _turned(now, step.axes)
    if step.do == "resample":
        return lambda now: made.Spacing(
            pixdim=[*reversed(step.spacing_mm), *([float(np.linalg.norm(now.affine[:3, 2]))] if is_flat else [])],
            mode="nearest" if step.mode == "nearest" else "bilinear",
            padding_mode="border",
        )(now)
    if step.do == "window":
        act = made.ScaleIntensityRange(a_min=step.low, a_max=step.high, b_min=0.0, b_max=1.0, clip=True)
    elif step.do == "slice":
        return lambda now: now[..., [round((0.5 if step.at is None else step.at) * (now.shape[-1] - 1))]]
    elif step.do == "crop":
        act = made.CenterSpatialCrop(roi_size=size)
    elif step.do == "pad":
        act = made.SpatialPad(spatial_size=size, mode="constant", value=step.fill or 0.0)
    elif step.do == "resize":
        act = made.Resize(spatial_size=size, mode=MODES[step.mode or "linear"][3])
    else:
        act = made.NormalizeIntensity(subtrahend=step.mean, divisor=step.sd)
    return lambda now: act(now)


def _turned(now: Any, axes: str) -> Any:
    """Axes exchanged and turned round, no voxel changed, so that x, y and z lead where the letters say, as nearly as they can."""
    affine = np.asarray(now.affine, np.float64)
    ways = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    world = [next(at for at, pair in enumerate(AXES) if letter in pair) for letter in axes]
    order = max(itertools.permutations(range(3)), key=lambda each: sum(abs(ways[w, v]) for w, v in zip(world, each)))
    values, to = np.asarray(now.numpy()).transpose(0, *(1 + voxel for voxel in order)), np.eye(4)
    to[:3, :3] = 0.0
    for at, (letter, voxel) in enumerate(zip(axes, order)):
        is_up = AXES[world[at]].endswith(letter)
        is_turned = (ways[world[at], voxel] > 0) != is_up
        to[voxel, at], to[voxel, 3] = (-1.0, values.shape[1 + at] - 1) if is_turned else (1.0, 0.0)
        values = np.flip(values, 1 + at) if is_turned else values
    return type(now)(np.ascontiguousarray(values), affine=affine @ to)


def _as_declared(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(channel, x, y, z) as (channel, depth, height, width), or without the depth of one slice."""
    found = values.transpose(0, 3, 2, 1)
    if len(shape) == 3 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != shape:
        raise Unloadable(f"an image of {sized(found.shape)}", f"an image of {sized(shape)}, as the dictionary declares")
    if not np.isfinite(found).all():
        raise Unloadable("pixels that are no finite number", "finite numbers")
    return np.ascontiguousarray(found)
