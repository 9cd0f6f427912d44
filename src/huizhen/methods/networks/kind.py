"""What stands behind a name of the zoo: the settings it knows, the inputs it can read, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from huizhen.errors import MachineError, Problem, StudyError, closest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from torch.nn import Module

__all__ = ["Kind", "Settings", "in_memory", "require_torch"]

MOST = 2_000_000_000  # numbers that a network holds: 8 GB in float32, several times as much in training
SHOWN = 80  # characters of a wrong setting in a message
LARGEST_EDGE = 1024  # up to which a smallest image is looked for
CPU_ALLOCATOR = "DefaultCPUAllocator"  # names itself in the error when it has no memory left
MISFITS = (RuntimeError, ValueError, IndexError)  # what torch raises where a map has become smaller than a kernel


class Settings(BaseModel):
    """Settings of one network; frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of network.

    Attributes:
        name: as in the entry-point group ``huizhen.networks``.
        settings: its settings.
        space: numbers of axes of space that it can read, 0 for a row of features.
        make: builds the module, with torch's own initialisation under torch's global random state.
        dense_output: gives its outputs for every pixel, not for the image.
    """

    name: str
    settings: type[Settings]
    space: tuple[int, ...]
    make: Callable[[tuple[int, ...], int, Any], Module]
    dense_output: bool = False

    def build(self, inputs: tuple[int, ...], outputs: int, settings: Mapping[str, Any]) -> Module:
        """The module for inputs (row, *inputs), which gives (row, outputs), or (row, outputs, *space) of a dense output.

        Raises:
            StudyError: settings that are not known, more numbers than a network may hold, or inputs that it cannot read; says the
                smallest image that it can.
            MachineError: torch, or monai where the network is made of its parts, is not installed, or memory too small.
        """
        checked = self.check(inputs, outputs, settings)
        with in_memory(self.name):
            return self._made(inputs, outputs, checked)

    def on_paper(self, inputs: tuple[int, ...], outputs: int, settings: Mapping[str, Any]) -> Module:
        """The same without memory for weights: shapes only (torch's meta device)."""
        import torch

        checked = self.check(inputs, outputs, settings)
        with torch.device("meta"):
            return self._made(inputs, outputs, checked)

    def check(self, inputs: tuple[int, ...], outputs: int, settings: Mapping[str, Any]) -> Settings:
        """The settings in full, once it is certain that the network can be built and reads such inputs."""
        require_torch()
        checked = self._settings(settings)
        if len(inputs) - 1 not in self.space or min(inputs) < 1:
            expected = " or ".join(_SHAPES[axes] for axes in self.space)
            raise self._misfit(inputs, expected, "Choose another network")
        on_paper = self._on_paper(inputs, outputs, checked)
        if on_paper is not None:
            held = sum(each.numel() for each in (*on_paper.parameters(), *on_paper.buffers()))
            if held > MOST:
                raise self._too_large(f"{held:,} numbers to keep")
        if on_paper is None or not _reads(on_paper, inputs):
            smallest = self._smallest(inputs, outputs, checked)
            expected = f"at least {_shown((inputs[0], *smallest))}" if smallest else "a larger image"
            raise self._misfit(inputs, expected, "Choose a smaller network, or enlarge the images")
        return checked

    def _made(self, inputs: tuple[int, ...], outputs: int, settings: Settings) -> Module:
        try:
            return self.make(inputs, outputs, settings)
        except ImportError as error:
            raise _missing((error.name or "monai").partition(".")[0], f"The network {self.name} needs a package.") from None

    def mistakes(self, settings: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with settings, each with its key, none if they are sound; without torch."""
        try:
            self.settings.model_validate(dict(settings))
        except ValidationError as error:
            wrong = error.errors(include_url=False)
            # A list with a wrong entry is also called too short.
            inner = {each["loc"][:-1] for each in wrong if len(each["loc"]) > 1}
            return [self._mistake(each) for each in wrong if each["loc"] not in inner]
        return []

    def _mistake(self, found: ErrorDetails) -> Problem:
        key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in found["loc"]).removeprefix(".")
        if found["type"] == "extra_forbidden":
            known = list(self.settings.model_fields)
            close = closest(key, known)
            remedy = f"Did you mean {close}?" if close else ""
            return Problem(key, "a key that is not known", f"one of: {', '.join(known) or 'none'}", remedy)
        return Problem(key, shorten(repr(found["input"]), SHOWN, placeholder="..."), _expected(found["msg"]))

    def _settings(self, settings: Mapping[str, Any]) -> Settings:
        if problems := self.mistakes(settings):
            name = f"network.{self.name}"
            located = [replace(each, where=f"{name}.{each.where}" if each.where else name) for each in problems]
            raise StudyError("The network's settings are not sound.", located)
        return self.settings.model_validate(dict(settings))

    def _on_paper(self, inputs: tuple[int, ...], outputs: int, settings: Settings) -> Module | None:
        """The module in shapes only; None where it cannot be built for such inputs."""
        import torch

        try:
            with torch.device("meta"):
                return self._made(inputs, outputs, settings)
        except (*MISFITS, TypeError) as error:
            if "overflow" in str(error).lower():  # of the number of bytes
                raise self._too_large("more numbers to keep than can be counted") from None
            if isinstance(error, TypeError):
                raise
        return None

    def _too_large(self, found: str) -> StudyError:
        problem = Problem(f"network.{self.name}", found, f"at most {MOST:,}", "Choose a smaller network")
        return StudyError("The network is too large.", [problem])

    def _smallest(self, inputs: tuple[int, ...], outputs: int, settings: Settings) -> tuple[int, ...] | None:
        """Each edge raised to the smallest that will do for all; None if even very large images do not go through."""

        def raised(edge: int) -> tuple[int, ...]:
            return tuple(max(edge, own) for own in inputs[1:])

        def reads(edge: int) -> bool:
            shape = (inputs[0], *raised(edge))
            module = self._on_paper(shape, outputs, settings)
            return module is not None and _reads(module, shape)

        low, high = 1, LARGEST_EDGE
        if len(inputs) == 1 or not reads(high):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if reads(middle) else (middle + 1, high)
        return raised(high)

    def _misfit(self, inputs: tuple[int, ...], expected: str, remedy: str) -> StudyError:
        return StudyError(
            "The network does not suit its inputs.", [Problem(f"network.{self.name}", _shown(inputs), expected, remedy)]
        )


def _reads(module: Module, inputs: tuple[int, ...]) -> bool:
    """Whether two rows of that shape go through a module on paper, in training; nothing is computed."""
    import torch

    try:
        module.train()(torch.empty(2, *inputs, device="meta"))
    except MISFITS:
        return False
    return True


@contextmanager
def in_memory(name: str) -> Iterator[None]:
    """Say in plain words that memory does not hold the weights of a network.

    Raises:
        MachineError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and CPU_ALLOCATOR not in str(error):
            raise
        found, remedy = "too little memory for its weights", "Choose a smaller network, or a larger machine"
        raise MachineError(
            "The network cannot be built.", [Problem(f"network.{name}", found, "a network that memory holds", remedy)]
        ) from None


_SHAPES = {0: "a row of features", 2: "an image (channel, height, width)", 3: "an image (channel, depth, height, width)"}


def _shown(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"a row of {shape[0]} features"
    return f"an image of {' x '.join(map(str, shape))}"


def _expected(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def require_torch() -> None:
    """Raise an error that names the extra if torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise _missing("torch", "Networks need torch.") from None


def _missing(package: str, message: str) -> MachineError:
    problem = Problem(package, "not installed", "torch 2.6 or newer, and monai", "pip install 'huizhen[networks]'")
    return MachineError(message, [problem])
