"""What a worker in a process of its own costs beside the same answer in this process, and beside the bytes alone.

A question of 500 numbers, and one of 100 MB that is answered with 100 MB. Two processes are at work, so the wall clock is read;
each figure is the best of several, and the bytes alone are two threads over the same kind of line.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from huizhen.data.examples import Examples, Numbers
from huizhen.federation.study import Study
from huizhen.federation.workplace import Here, Workplace
from huizhen.privacy.release import EMPTY, Question, Variable
from huizhen.site.worker.process import WorkerProcess
from huizhen.site.worker.speech import Order

ECHO = """
from huizhen.methods.method import ScriptedMethod, Spec, Use
from huizhen.privacy.release import Answer, Part

class EchoSpec(Spec):
    pass

def program(spec, terms):
    yield None

def scale(question, examples, local, rng):
    return Answer({"numbers": Part(question.facts["numbers"], examples.rows)}, examples.rows), local

METHOD = ScriptedMethod("echo", EchoSpec, program, {"scale": scale}, lambda spec: [Use("x", "number")])
"""
LARGE = 25_000_000  # float32: 100 MB
ROWS = 100


def best(deed: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        deed()
        found.append(time.perf_counter() - start)
    return min(found)


def asked(workplace: Workplace, numbers: np.ndarray) -> None:
    question = Question("echo", "scale", {"numbers": numbers}, ("x",))
    answer = workplace.answer("echo", question, EMPTY, draw=bytes(16), course="c").answer
    if answer.parts["numbers"].values[-1] != numbers[-1]:
        raise RuntimeError


def bytes_alone(size: int) -> None:
    """So many bytes there, and so many back."""
    ours, theirs = socket.socketpair()
    content, there, back = np.zeros(size, np.uint8), np.empty(size, np.uint8), np.empty(size, np.uint8)

    def fill(line: socket.socket, buffer: memoryview) -> None:
        while len(buffer):
            buffer = buffer[line.recv_into(buffer) :]

    def other() -> None:
        fill(theirs, there.data)
        theirs.sendall(there.data)

    with ours, theirs:
        thread = threading.Thread(target=other)
        thread.start()
        ours.sendall(content.data)
        fill(ours, back.data)
        thread.join()


@pytest.mark.benchmark(group="worker", timer=time.perf_counter)
def test_an_answer_of_a_worker(benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo_method.py").write_text(ECHO)
    about = tmp_path / "echo_method-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: echo_method\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[huizhen.methods]\necho = echo_method:METHOD\n")
    (tmp_path / "rows.csv").write_text("x\n" + "1.5\n" * ROWS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    study = Study.parse({"method": {"echo": {}}})
    here = Here(study, Examples({"x": Numbers(np.full(ROWS, 1.5))}, ROWS))
    order = Order("east", study.content, study.digest, str(tmp_path / "rows.csv"), {"x": Variable("number")}, ("echo",), ())
    worker = WorkerProcess(order, log=tmp_path / "worker.log")
    worker.open()
    try:
        small, large = np.arange(500.0), np.arange(LARGE, dtype=np.float32)
        near, far = best(lambda: asked(here, small), 200), best(lambda: asked(worker, small), 200)
        whole, alone = best(lambda: asked(worker, large), 5), best(lambda: bytes_alone(large.nbytes), 5)
        benchmark.extra_info.update(near=near, far=far, whole=whole, alone=alone)
        print(f"\n500 numbers: here {near * 1e6:.0f} us, in a worker {far * 1e6:.0f} us")
        print(f"100 MB there and back: {whole * 1e3:.0f} ms, the bytes alone {alone * 1e3:.0f} ms: {whole / alone:.2f} times")
        benchmark.pedantic(lambda: asked(worker, small), rounds=20)
    finally:
        worker.close()
