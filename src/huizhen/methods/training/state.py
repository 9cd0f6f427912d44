"""What training shares with everything else in the process: torch's random state, its memory, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from huizhen.errors import SiteError

__all__ = ["alone", "diverged", "memory_named"]

CPU_ALLOCATOR = "DefaultCPUAllocator"  # names itself in the error when it has no memory left
_LOCK = RLock()


@contextmanager
def alone(seed: int, *, threads: int = 0) -> Iterator[None]:
    """Torch's global random state is ours, begins at `seed`, and is put back at the end; one at a time in a process.

    Args:
        seed: from 0 to 2**63 - 1.
        threads: how many compute; 0: as torch is set.
    """
    import torch

    here = torch.cuda.is_available()
    with _LOCK, torch.random.fork_rng(devices=[torch.cuda.current_device()] if here else []):
        before = torch.get_num_threads()  # only now: until here another may have set its own
        # torch.manual_seed would also note, with a stack trace each time, what to do should there ever be a GPU.
        torch.default_generator.manual_seed(seed)
        if here:
            torch.cuda.manual_seed(seed)
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def memory_named(batch: int) -> Iterator[None]:
    """Say in plain words that memory ran out; anything else goes on as it is.

    Raises:
        SiteError: memory ran out.
    """
    import torch

    try:
        yield
    except MemoryError:
        raise _too_large(batch) from None
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and CPU_ALLOCATOR not in str(error):
            raise
        raise _too_large(batch) from None


def diverged(step: int) -> SiteError:
    """The error of a loss, or weights, that are no longer finite; `step` counts from 1."""
    return SiteError(f"training diverged: the loss or the weights were not finite in step {step}; lower learning_rate, or set clip")


def _too_large(batch: int) -> SiteError:
    return SiteError(f"memory ran out with {batch} rows in a batch; choose a smaller batch, or a smaller network")
