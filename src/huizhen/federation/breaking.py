"""Why a computation on patient rows broke, in words that hold no value: messages of foreign exceptions, which may quote data, are
not passed on.
"""

from __future__ import annotations

import traceback

from huizhen.errors import HuizhenError

__all__ = ["where_it_broke", "why_it_broke"]


def why_it_broke(error: Exception) -> str:
    """Our own errors speak for themselves; of others their kind and the place in our program are told."""
    if isinstance(error, HuizhenError):
        return str(error)
    if isinstance(error, MemoryError):
        return "the memory ran out; a smaller batch, or a smaller network, needs less"
    return f"the program broke ({type(error).__name__}{where_it_broke(error)})"


def where_it_broke(error: Exception) -> str:
    """The innermost function of ours, as `` in NAME, line NUMBER``; "" where none of ours was running."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "huizhen" in frame.filename]
    return f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
