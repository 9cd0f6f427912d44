"""What a dictionary declares of an image: the steps that make of every hospital's scans images of one kind and size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from huizhen.data.declaration import Declaration

__all__ = ["AXES", "STEPS", "Step"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Size = Annotated[int, Field(ge=1, le=4096)]
AXES = ("LR", "PA", "IS")  # where an axis may lead: left or right, back or front, foot or head; the room counts to the second

# Keys of each step, in the order of the page: required ones, then others.
STEPS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "orient": (("axes",), ()),
    "resample": (("spacing_mm",), ("mode",)),
    "window": (("low", "high"), ()),
    "slice": ((), ("at",)),
    "crop": (("size",), ()),
    "pad": (("size",), ("fill",)),
    "resize": (("size",), ("mode",)),
    "normalise": ((), ("mean", "sd")),
}


class Step(Declaration):
    """One step; sizes and distances are in the order of the shape: depth, height, width, or height, width.

    Attributes:
        do: which one.
        axes: where width, height and depth lead: ``LPS`` is to the patient's left, back and head, as a slice is looked at.
        spacing_mm: the distance between voxels.
        low, high: what becomes 0 and 1; below and above is cut off.
        at: which slice, from 0 for the first to 1 for the last.
        size: of the middle that is kept, to which the image is filled up, or to which it is scaled.
        fill: what it is filled up with.
        mode: how values between voxels are found.
        mean, sd: what is taken off, and what it is divided by; without them those of the image itself.
    """

    do: Literal["orient", "resample", "window", "slice", "crop", "pad", "resize", "normalise"]
    axes: str = ""
    spacing_mm: list[Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field([])
    low: Finite | None = None
    high: Finite | None = None
    at: Annotated[float, Field(ge=0, le=1)] | None = None
    size: list[Size] = Field([])
    fill: Finite | None = None
    mode: Literal["linear", "nearest", ""] = ""
    mean: Finite | None = None
    sd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Step:
        needed, others = STEPS[self.do]
        said = {name for name in type(self).model_fields if name != "do" and getattr(self, name) not in (None, "", [])}
        if not set(needed) <= said or not said <= {*needed, *others}:
            may = f", and perhaps {', '.join(others)}" if others else ""
            raise ValueError(f"the step {self.do} with {', '.join(needed) or 'nothing'}{may}")
        if self.do == "orient" and (len(self.axes) != 3 or sorted(_axis(letter) for letter in self.axes) != [0, 1, 2]):
            raise ValueError("three letters, one of L and R, of P and A, of I and S, such as LPS")
        if self.do == "window" and not (self.low or 0.0) < (self.high or 0.0):
            raise ValueError("low below high")
        if (self.mean is None) != (self.sd is None):
            raise ValueError("both mean and sd, or neither")
        return self


def _axis(letter: str) -> int:
    return next((at for at, pair in enumerate(AXES) if letter in pair), -1)
