"""What the engine, the gate and the ledger cost for each site and round, beside the method's own arithmetic.

A question of 500 numbers to 5 sites, 400 rounds. Bars: under 300 microseconds of processor time with gate and durable ledger,
under 100 without the ledger, on top of the method's arithmetic.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from huizhen.clock import WallClock
from huizhen.data.examples import Examples, Numbers
from huizhen.embedded.ledgers import open_ledgers
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.inprocess import InProcessEngine
from huizhen.federation.participant import Participant
from huizhen.federation.scheme import PlainSum
from huizhen.federation.sections import About, Cohort, Missing, Participants, Protection, Start
from huizhen.federation.study import Analysis, Study
from huizhen.ledger.chain import EMPTY
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.methods.method import Local, ScriptedMethod, Spec, Use
from huizhen.policy.disclosure import DisclosurePolicy, strictest
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Answer, Part, Question, Variable
from huizhen.privacy.result import Result

SITES, ROUNDS, NUMBERS, ROWS = 5, 400, 500, 1000


class EchoSpec(Spec):
    rounds: int = ROUNDS


def program(spec, terms):
    asked = np.arange(float(NUMBERS))
    for _ in range(spec.rounds):
        total = yield Question("echo", "scale", {"numbers": asked}, ("x",))
        asked = total.sums["numbers"] / SITES
    return Result("echo", facts={"first": float(asked[0])})


def scale(question: Question, examples: Examples, local: Local, rng: np.random.Generator) -> tuple[Answer, Local]:
    values = question.facts["numbers"] * examples.number("x").mean()
    return Answer({"numbers": Part(values, examples.rows)}, examples.rows), local


ECHO = ScriptedMethod("echo", EchoSpec, program, {"scale": scale}, lambda spec: [Use("x", "number")])
ROWS_OF_A_SITE = Examples({"x": Numbers(np.ones(ROWS))}, ROWS)


def arithmetic() -> float:
    """Processor seconds of the method alone, for all rounds and sites."""
    question = Question("echo", "scale", {"numbers": np.arange(float(NUMBERS))}, ("x",))
    rng, local = np.random.default_rng(0), Local()
    start = time.process_time()
    for _ in range(ROUNDS * SITES):
        scale(question, ROWS_OF_A_SITE, local, rng)
    return time.process_time() - start


class NoLedger:
    """Takes entries and keeps none: what is left is engine, participant and gate."""

    head = EMPTY

    def append(self, kind: str, payload: object, time: object) -> None:
        return None

    def settle(self) -> None:
        return None

    def entries(self, since: int = 0) -> tuple[()]:
        return ()


def whole_run(ledgers: Callable[[ExitStack], dict]) -> float:
    """Processor seconds of a whole run."""
    sites = [f"site-{number}" for number in range(SITES)]
    analysis = Analysis("echo", ECHO, EchoSpec())
    study = Study(About(), Cohort(), {}, Missing(), Participants(), Protection(), Start(), (analysis,), (), ())
    scheme, policy, clock = PlainSum(lane="embedded"), DisclosurePolicy(), WallClock()
    with ExitStack() as stack:
        kept = ledgers(stack)
        gates = {site: Gate(site, policy, kept[site], clock) for site in sites}
        participants = {site: Participant(site, study, ROWS_OF_A_SITE, gate=gates[site], scheme=scheme) for site in sites}
        engine = InProcessEngine(participants, settle=lambda site: kept[site].settle())
        stack.callback(engine.close)
        terms = lambda roster: strictest([policy], lane="embedded", variables={"x": Variable("number")}, roster=roster)  # noqa: E731
        start = time.process_time()
        steps = conduct(Run("run", study, engine, scheme, terms, clock))
        try:
            while True:
                next(steps)
        except StopIteration as stop:
            if stop.value[0].result.failure:
                raise RuntimeError(stop.value[0].result.failure) from None
        return time.process_time() - start


def stores(folder: Path, stack: ExitStack) -> dict:
    """A durable ledger for every site."""
    names = [f"site-{number}" for number in range(SITES)]
    return {site: each.ledger for site, each in open_ledgers(names, folder, stack).items()}


def per_site_and_round(seconds: list[float]) -> float:
    return statistics.median(seconds) / (SITES * ROUNDS) * 1e6


@pytest.mark.benchmark(group="engine", timer=time.process_time)
def test_overhead_of_a_round(benchmark, tmp_path: Path) -> None:
    names = [f"site-{number}" for number in range(SITES)]
    folders = iter(tmp_path / str(number) for number in range(100))
    own = per_site_and_round([arithmetic() for _ in range(5)])
    bare = per_site_and_round([whole_run(lambda stack: {name: NoLedger() for name in names}) for _ in range(5)])
    signed = per_site_and_round([whole_run(lambda stack: {name: MemoryLedger(new_key()) for name in names}) for _ in range(5)])
    durable = per_site_and_round([whole_run(lambda stack: stores(next(folders), stack)) for _ in range(5)])
    benchmark.extra_info.update(own=own, bare=bare - own, signed=signed - own, durable=durable - own)
    print(f"\nmicroseconds of processor time for each site and round, {NUMBERS} numbers, {SITES} sites, median of 5:")
    print(f"  the method's own arithmetic      {own:7.1f}")
    print(f"  engine and gate, no ledger       {bare - own:7.1f}   (bar: 100)")
    print(f"  ... with signatures in memory    {signed - own:7.1f}")
    print(f"  ... with the durable ledger      {durable - own:7.1f}   (bar: 300)")
    benchmark.pedantic(lambda: whole_run(lambda stack: stores(next(folders), stack)), rounds=3)
