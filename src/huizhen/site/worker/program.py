"""The worker: holds one site's rows for one study and answers on them, without a network, within limits.

    python -m huizhen.site.worker.program LINE SETTINGS

LINE is the number of the socket on which the agent speaks, SETTINGS its limits as JSON. The process binds itself before it loads
anything that could start a thread or open a file of data.
"""

from __future__ import annotations

import json
import sys

from huizhen.site.worker.confine import NotConfined, confine, confine_to_loop
from huizhen.site.worker.limits import Limits, apply

__all__ = ["UNCONFINED", "main"]

UNCONFINED = 71  # exit status where the kernel does not take the network away; sysexits.h: EX_OSERR


def main(line: str, settings: str) -> int:
    """Serves until the agent hangs up; the exit status."""
    said = json.loads(settings)
    network, rank, meeting = (said.pop(name) for name in ("network", "rank", "meeting"))
    methods = said.pop("warm", [])
    limits = Limits(**said)
    if network != "open":
        try:
            if limits.ranks == 1:
                confine()
            elif rank == 0:
                confine_to_loop()  # its ranks are born into it
        except NotConfined as error:
            print(f"the network cannot be taken away: {error}", file=sys.stderr)
            return UNCONFINED
    apply(limits)
    from huizhen.site.worker.serving import Place, serve, warm  # only now: it loads what starts threads

    warm(methods)
    serve(int(line), limits, Place(network, rank, meeting))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
