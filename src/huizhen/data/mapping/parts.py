"""Which patients are turned into rows at once: ranges of their pseudonyms, so that memory is bounded whatever the registry holds.

Rows stand in the order of patients, so those of one range after another are those of all. Segments are sorted by code and patient:
a range passes over what is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

__all__ = ["AT_ONCE", "Range", "ranges"]

AT_ONCE = 2_000_000  # events of one range, about; half as many take half the memory, and one look more at each segment
SEEN = 4096  # patients of each range that are looked at to find where it ends

Range = tuple[str | None, str | None]  # from, inclusive, until, exclusive; None: open


def ranges(connection: Any, events: int, at_once: int) -> Iterator[Range]:
    """Ranges that hold about as many of a view's ``events`` each.

    Args:
        events: in the view.
    """
    count = -(-events // at_once)
    bounds: list[str] = []
    if count > 1:
        every = max(1, events // (count * SEEN))
        # A thing of chance that is the same each time: patients whose digest falls so.
        asked = """select patient from events where hash(patient, begins) % $every = 0 order by patient"""
        seen = [patient for (patient,) in connection.execute(asked, {"every": every}).fetchall()]
        bounds = list(dict.fromkeys(seen[len(seen) * at // count] for at in range(1, count))) if seen else []
    yield from pairwise([None, *bounds, None])
