"""Much work of one kind in several threads: each takes every so-many-th piece of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

__all__ = ["in_stripes"]

FEWEST = 8  # pieces of a thread, below which it is not worth starting


def in_stripes(act: Callable[[Sequence[int]], list[int]], values: Sequence[int], *, threads: int) -> list[int]:
    """What `act` makes of the values, in their order.

    Threads help only as far as `act` lets go of the interpreter's lock. They are daemons: who interrupts the program does not wait
    for them.

    Args:
        act: gives as many values as it is given.
        threads: at most so many; few values are worked on in this one alone.

    Raises:
        Exception: what `act` raised first, in the order of the stripes.
    """
    threads = max(min(threads, len(values) // FEWEST), 1)
    if threads == 1:
        return act(values)
    found, errors = list(values), dict[int, BaseException]()

    def work(stripe: int) -> None:
        try:
            found[stripe::threads] = act(values[stripe::threads])
        except BaseException as error:  # handed on below
            errors[stripe] = error

    workers = [threading.Thread(target=work, args=(stripe,), name=f"stripe-{stripe}", daemon=True) for stripe in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[min(errors)]
    return found
