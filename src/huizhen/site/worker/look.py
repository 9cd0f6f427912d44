"""Has a worker look at a source, and end: nothing stays open for a study that nobody has accepted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huizhen.errors import SiteError
from huizhen.federation.workplace import Unanswered
from huizhen.site.worker.confine import Confinement
from huizhen.site.worker.limits import Limits
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order

__all__ = ["look"]


def look(order: Order, *, limits: Limits, network: Confinement, log: Path) -> Mapping[str, Any]:
    """What is here for a study: ``rows`` of its cohort, and what each variable ``reads`` as (`site.worker.seeing`).

    Args:
        order: with no variables, for how they are read is what is asked.
        limits, network, log: as of `WorkerProcess`.

    Raises:
        SiteError: the source cannot be read so; the message holds no patient's value.
    """
    worker = WorkerProcess(order, limits=limits, network=network, log=log)
    try:
        return worker.look()
    except Unanswered as error:
        raise SiteError(f"The source cannot be looked at: {error.message}") from None
    finally:
        worker.close()
