"""What forecasts were worth, kept beside the runs: one comparison a line, each line holding the digest of the one before.

The file is checked whole when it is read. A last line without its end is what a crash left of an append: it is not read, and the
next append writes over it. Any other line that does not fit makes the file a foreign or an altered one, and it is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

from huizhen.clock import moment, written
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.twin.forecast.foreseen import as_content, as_quantity
from huizhen.twin.functional import Residual
from huizhen.twin.shadow.learnt import Compared

__all__ = ["NAME", "append", "kept_in"]

NAME = "shadow.jsonl"
FIRST = "0" * 64
KEYS = ("part", "subject", "predicted", "seen", "at", "study", "run", "groups", "raw", "naive")
PARTS = ("total", "times", "round", "compute", "bytes", "rest", "transfer", "step")
MOST_BYTES = 256 * 1024 * 1024


def kept_in(path: Path) -> tuple[Compared, ...]:
    """All comparisons of a file, in order; () where there is no file.

    Raises:
        CallerError: the file was not written by this program, or was altered. MachineError: it cannot be read.
    """
    return _read(path)[0]


def append(path: Path, some: Sequence[Compared]) -> None:
    """Adds comparisons, durably and all together.

    Raises:
        CallerError: the file is not one to be added to. MachineError: it cannot be written.
    """
    if not some:
        return
    _, head, sound = _read(path)
    lines = []
    for one in some:
        line = _line(one, head)
        head = sha256(line.encode()).hexdigest()
        lines.append(line + "\n")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, sound)
            os.pwrite(file, "".join(lines).encode(), sound)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise _unusable(path, error) from None


def _read(path: Path) -> tuple[tuple[Compared, ...], str, int]:
    """Comparisons, the digest of the last line, and how many bytes of the file are sound."""
    try:
        if not path.exists():
            return (), FIRST, 0
        if path.stat().st_size > MOST_BYTES:
            raise _foreign(path, "a file of too many bytes")
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from None
    head, found, sound = FIRST, list[Compared](), 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            found.append(_compared(json.loads(line), head))
        except (ValueError, TypeError, LookupError, AttributeError, CallerError):
            raise _foreign(path, f"line {number} that does not follow the one before") from None
        head, sound = sha256(line[:-1]).hexdigest(), sound + len(line)
    return tuple(found), head, sound


def _line(one: Compared, previous: str) -> str:
    residual = one.residual
    told: dict[str, Any] = {"previous": previous, "part": residual.part, "subject": residual.subject}
    told |= {"predicted": as_content(residual.predicted), "seen": float(residual.seen), "at": written(residual.at)}
    told |= {"study": one.study, "run": one.run, "groups": dict(one.groups), "raw": float(one.raw), "naive": float(one.naive)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _compared(told: Any, previous: str) -> Compared:
    if set(told) != {"previous", *KEYS} or told["previous"] != previous or told["part"] not in PARTS:
        raise ValueError
    numbers = [float(told[name]) for name in ("seen", "raw", "naive")]
    if not all(isfinite(one) and one >= 0 for one in numbers):
        raise ValueError
    words = [told[name] for name in ("subject", "study", "run")]
    groups = told["groups"].items()
    if not all(isinstance(one, str) for one in (*words, *(each for pair in groups for each in pair))):
        raise ValueError
    residual = Residual(told["part"], words[0], as_quantity(told["predicted"]), numbers[0], moment(told["at"]))
    return Compared(residual, words[1], words[2], dict(groups), numbers[1], numbers[2])


def _foreign(path: Path, found: str) -> CallerError:
    remedy = "Move the file away: the forecasts then begin to learn anew"
    return CallerError(
        "What earlier runs taught cannot be used.", [Problem(str(path), found, "lines as this program wrote them", remedy)]
    )


def _unusable(path: Path, error: OSError) -> MachineError:
    found = error.strerror or type(error).__name__
    return MachineError("What runs teach cannot be kept.", [Problem(str(path), found, "a file that can be read and written")])
