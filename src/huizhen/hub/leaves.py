"""Keys of the leaf nodes, kept in the hub's folder: which server may pass on what actors say, and which may no more.

A leaf keeps its key as long as the plan names it, so files that are written anew are good beside those in use. One that the plan
names no more is shut out for ever; a name that comes back gets another key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from huizhen.errors import Problem, SiteError
from huizhen.federation.wire.folders import read_secret, write_file
from huizhen.federation.wire.nkeys import KeyPair, new_pair, pair_from_seed

__all__ = ["keep_leaves", "shut_leaves"]

FILE = "leaves.json"  # below `keys/` in the hub's folder


def keep_leaves(root: Path, names: Iterable[str]) -> Mapping[str, KeyPair]:
    """The keys of these leaves, old or new; all others are shut out, as soon as the servers hear of it.

    Raises:
        SiteError: the file can be read by others, or is not what this wrote.
        MachineError: it cannot be written.
    """
    seeds, shut = _read(root)
    kept = {name: seeds[name] if name in seeds else new_pair("user").seed() for name in names}
    shut = [*shut, *(pair_from_seed(seed).public for name, seed in seeds.items() if name not in kept)]
    write_file(root / "keys" / FILE, json.dumps({"seeds": kept, "shut": shut}, indent=1).encode("ascii"))
    return {name: pair_from_seed(seed) for name, seed in kept.items()}


def shut_leaves(root: Path) -> tuple[str, ...]:
    """Public NKeys of leaves that may connect no more; raises as `keep_leaves`."""
    return tuple(_read(root)[1])


def _read(root: Path) -> tuple[dict[str, str], list[str]]:
    path = root / "keys" / FILE
    if not path.exists():
        return {}, []
    try:
        kept = json.loads(read_secret(path))
        return {str(name): str(seed) for name, seed in kept["seeds"].items()}, [str(key) for key in kept["shut"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = Problem(str(path), "another form", "the keys that `huizhen hub servers` wrote", "Restore it from a copy.")
        raise SiteError("The keys of the leaf nodes cannot be read.", [problem]) from None
