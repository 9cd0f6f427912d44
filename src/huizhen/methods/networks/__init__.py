"""Networks by name, built for an input shape and a number of outputs; torch is imported when one is built.

The methods' own: only `huizhen.methods` enters.
"""

from huizhen.methods.networks.kind import Kind, Settings, in_memory, require_torch
from huizhen.methods.networks.network import Network
from huizhen.methods.networks.zoo import NETWORKS, Description, build, describe, kind, names

__all__ = [
    "NETWORKS",
    "Description",
    "Kind",
    "Network",
    "Settings",
    "build",
    "describe",
    "in_memory",
    "kind",
    "names",
    "require_torch",
]
