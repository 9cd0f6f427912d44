"""Has a worker look at a source, and end: nothing stays open for a study that nobody has accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huizhen.errors import SiteError
from huizhen.federation.workplace import Unanswered
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order
from huizhen.site.worker.started import Starting

__all__ = ["look"]


def look(order: Order, starting: Starting) -> Mapping[str, Any]:
    """What is here for a study: ``rows`` of its cohort, and what each variable ``reads`` as (`site.worker.seeing`).

    Args:
        order: with no variables, for how they are read is what is asked.
        starting: how workers are started; the one that looked waits there for what comes next.

    Raises:
        SiteError: the source cannot be read so; the message holds no patient's value.
    """
    worker = WorkerProcess(order, starting=starting)
    try:
        return worker.look()
    except Unanswered as error:
        raise SiteError(f"The source cannot be looked at: {error.message}") from None
    finally:
        worker.close()
