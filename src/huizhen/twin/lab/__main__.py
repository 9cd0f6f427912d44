"""Runs a plan of the lab, or the lab's own, and shows its report: ``python -m huizhen.twin.lab FOLDER [PLAN]``."""

from __future__ import annotations

import signal
import sys
from importlib.resources import files
from pathlib import Path

from huizhen.errors import HuizhenError
from huizhen.twin.lab.plan import read_plan
from huizhen.twin.lab.running import run_lab, shown

OWN = "plan.toml"


def main(words: list[str]) -> int:
    """The exit code: 0 done, 2 a plan or a machine that will not do, 130 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        content = Path(words[1]).read_bytes() if words[1:] else (files("huizhen.twin.lab") / OWN).read_bytes()
        report = run_lab(read_plan(content), Path(words[0]), lambda said: print(said, file=sys.stderr, flush=True))
    except HuizhenError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(shown(report))
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
