"""A small federation for the contract suites: a real method, real sites in memory, and a study that needs no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.data.examples import Examples, Numbers
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.events import Event, Outcome
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.participant import Participant
from huizhen.federation.scheme import PlainSum, Scheme
from huizhen.federation.sections import About, Cohort, Missing, Participants, Protection, Start
from huizhen.federation.study import Analysis, Study
from huizhen.ledger.keys import SigningKey, new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.methods.method import Local, ScriptedMethod, Spec, Use
from huizhen.policy.disclosure import DisclosurePolicy, strictest
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Answer, Part, Question, Variable
from huizhen.privacy.result import Result


class MeanSpec(Spec):
    variable: str
    rounds: int = 3


def mean_program(spec, terms):
    """The mean, asked `rounds` times, with what each site drew and how often it answered."""
    draws, turns = [], []
    for _ in range(spec.rounds):
        total = yield Question("mean", "sums", {"variable": spec.variable}, (spec.variable,))
        draws.append(float(total.sums["draw"][0]))
        turns.append(int(total.sums["turn"][0]))
    facts = {"mean": float(total.sums["sum"][0] / total.sums["n"][0]), "draws": draws, "turns": turns}
    return Result("mean", rows=total.rows, facts=facts)


def sums(question, examples, local, rng):
    values = examples.number(question.facts["variable"])
    turn = int(local.kept.get("turn", 0)) + 1
    parts = {"sum": values.sum(), "n": float(len(values)), "draw": rng.normal(), "turn": float(turn)}
    return Answer({name: Part(np.array([value]), len(values)) for name, value in parts.items()}, len(values)), Local({"turn": turn})


MEAN = ScriptedMethod("mean", MeanSpec, mean_program, {"sums": sums}, lambda spec: [Use(spec.variable, "number")])


@dataclass
class Federation:
    """A study over rows in memory, ready to be carried by any engine."""

    study: Study
    rows: Mapping[str, Examples]
    policy: DisclosurePolicy
    scheme: Scheme
    clock: ManualClock
    ledgers: dict[str, MemoryLedger]
    keys: dict[str, SigningKey]

    def scheme_of(self, site: str) -> Scheme:
        """A site's side: of masked sums it needs to know who it is."""
        if not isinstance(self.scheme, MaskedSum):
            return self.scheme
        peers = {name: key.public for name, key in self.keys.items()}
        return replace(self.scheme, identity=SiteIdentity(self.keys[site], peers, self.scheme.entropy))

    def participants(self, **checkpoints: Any) -> dict[str, Participant]:
        return {
            site: Participant(
                site,
                self.study,
                rows,
                gate=Gate(site, self.policy, self.ledgers[site], self.clock),
                scheme=self.scheme_of(site),
                **checkpoints,
            )
            for site, rows in self.rows.items()
        }

    def run(self, engine: Any, **more: Any) -> Run:
        def terms(roster):
            return strictest(
                [self.policy] * len(roster), lane=self.scheme.lane, variables={"age": Variable("number")}, roster=roster
            )

        return Run("run-1", self.study, engine, self.scheme, terms, self.clock, **more)

    def conduct(self, engine: Any, **more: Any) -> tuple[list[Event], tuple[Outcome, ...]]:
        return play(self.run(engine, **more))


def play(run: Run) -> tuple[list[Event], tuple[Outcome, ...]]:
    events, steps = [], conduct(run)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return events, stop.value


def study_of(*, exact: bool = True, rounds: int = 3, **participants: Any) -> Study:
    method = MEAN if exact else ScriptedMethod("mean", MeanSpec, mean_program, {"sums": sums}, MEAN.reads, exact=False)
    analysis = Analysis("mean", method, MeanSpec(variable="age", rounds=rounds))
    settings = {"round_deadline": "5 s", "patience": 0, **participants}
    sections = (About(seed=7), Cohort(), {}, Missing(), Participants(**settings), Protection(), Start())
    return Study(*sections, analyses=(analysis,), conditions=(), exclusions=())


@pytest.fixture
def federation():
    """Builds a federation: `federation(sizes, scheme=..., exact=..., rounds=..., quorum=...)`."""

    def build(sizes=(12, 20, 31), scheme=None, policy=None, **study) -> Federation:
        rng = np.random.default_rng(5)
        names = ["west-lake", "east-gate", "south-hill", "north-port", "old-town"][: len(sizes)]
        rows = {name: Examples({"age": Numbers(rng.normal(60, 9, size))}, size) for name, size in zip(names, sizes)}
        keys = {name: new_key() for name in names}
        ledgers = {name: MemoryLedger(keys[name]) for name in names}
        sum_ = scheme or PlainSum()
        return Federation(study_of(**study), rows, policy or DisclosurePolicy(), sum_, ManualClock(), ledgers, keys)

    return build
