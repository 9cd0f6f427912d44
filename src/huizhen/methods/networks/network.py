"""Which network a study trains: a name of the zoo, the shapes of what goes in and comes out, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from huizhen.canonical import digest
from huizhen.privacy.release import EMPTY

__all__ = ["Network"]


@dataclass(frozen=True, slots=True)
class Network:
    """A network before it has weights.

    Attributes:
        name: under which the zoo knows it, e.g. ``mlp``.
        inputs: shape of one row: (features,), or (channel, *space) of an image.
        outputs: numbers that it gives for a row (``unet``: for every pixel).
        settings: of the named network; what is not given has its default.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: int
    settings: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {"name": self.name, "inputs": list(self.inputs), "outputs": self.outputs, "settings": dict(self.settings)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Network:
        """The network behind `facts`."""
        return cls(facts["name"], tuple(facts["inputs"]), facts["outputs"], facts["settings"])

    def __hash__(self) -> int:
        return hash(digest(self.facts()))
