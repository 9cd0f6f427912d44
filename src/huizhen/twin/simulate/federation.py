"""A federation of stand-ins: real participants, gates, ledgers in memory and schemes, behind the virtual engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from huizhen.clock import ManualClock
from huizhen.data.examples import Examples
from huizhen.federation.agreed import SiteIdentity
from huizhen.federation.checkpoint import MemoryCheckpoints
from huizhen.federation.compressed import CompressedSum
from huizhen.federation.conduct import Run
from huizhen.federation.encrypted.scheme import EncryptedSum
from huizhen.federation.masked.scheme import MaskedSum
from huizhen.federation.noised.planning import plan_of, reserve
from huizhen.federation.noised.scheme import Noised
from huizhen.federation.participant import Participant
from huizhen.federation.scheme import Scheme
from huizhen.federation.schemes import counted_at_site, lane_of, noisy_at_site, sum_at_hub, sum_at_site, terms_of
from huizhen.federation.study import Study
from huizhen.federation.workplace import Here, Worked
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger
from huizhen.policy.disclosure import DisclosurePolicy
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Question, Terms, Variable
from huizhen.twin.simulate.engine import Measure, Passage, Respondent, VirtualEngine, whole

__all__ = ["Standins", "federation_of"]

RUN = "run-0000000000000000"  # as long as any
Wrap = Callable[[str, Respondent], Respondent]


class Watching(Protocol):
    """Is told when a site computes: the site, the question, and how many of its rows take part."""

    def __call__(self, site: str, question: Question, rows: int) -> None: ...


def _as_it_is(_: str, respondent: Respondent) -> Respondent:
    return respondent


@dataclass(frozen=True, slots=True)
class Standins:
    """What a rehearsal plays on.

    Attributes:
        tables: rows by site, in roster order.
        policies: by site; variables: how they were read.
        seed: of all that is drawn: keys' masks, noise.
        wrap: puts something around a site's program, such as one that falls silent.
        measure: bytes of a message; `unpadded` where the course is to be grown.
        one_process: whether the study will run in one process, where policies judge totals.
    """

    study: Study
    tables: Mapping[str, Examples]
    policies: Mapping[str, DisclosurePolicy]
    variables: Mapping[str, Variable]
    seed: int = 0
    wrap: Wrap = _as_it_is
    measure: Measure = whole
    one_process: bool = False


def federation_of(
    here: Standins,
    clock: ManualClock,
    *,
    seen: Callable[[Passage], None],
    worked: Watching,
    takes: Callable[[Passage], float] | None = None,
) -> Run:
    """A run over the virtual engine, ready to be conducted as across hospitals.

    Raises:
        HuizhenError: the study's noise or protection cannot be had with these sites.
    """
    study, sites = here.study, tuple(here.tables)
    lane, plan, entropy = lane_of(study, one_process=here.one_process), plan_of(study, len(sites)), _Entropy(here.seed)
    keys, kept = {site: new_key() for site in sites}, MemoryCheckpoints()
    gates = {site: Gate(site, here.policies[site], MemoryLedger(keys[site]), clock) for site in sites}
    if plan is not None:
        reserve(gates, study, plan, kept)
    peers = {site: key.public for site, key in keys.items()}
    counted = _seeded(counted_at_site(lane, plan, kept, ""), entropy)

    def participant(site: str) -> Respondent:
        own = sum_at_site(study, lane, SiteIdentity(keys[site], peers, entropy))
        return Participant(
            site,
            study,
            _Watched(site, study, here.tables[site], entropy, worked),
            gate=gates[site],
            scheme=_seeded(noisy_at_site(own, plan, kept, ""), entropy),
            counted=counted,
            checkpoints=kept,
        )

    def terms(roster: tuple[str, ...]) -> Terms:
        policies = [here.policies[site] for site in roster]
        return terms_of(study, policies, lane=lane, variables=here.variables, roster=roster)

    respondents = {site: here.wrap(site, participant(site)) for site in sites}
    engine = VirtualEngine(respondents, clock, seen=seen, measure=here.measure, **({} if takes is None else {"takes": takes}))
    scheme = _seeded(sum_at_hub(study, lane), entropy)
    return Run(RUN, study, engine, scheme, terms, clock, noise=plan, sites=sites)


class _Watched:
    """A workplace that says when it computes."""

    def __init__(self, site: str, study: Study, rows: Examples, entropy: Callable[[int], bytes], worked: Watching) -> None:
        self._site, self._here, self._worked = site, Here(study, rows, entropy), worked

    def muster(self, analysis: str) -> int:
        return self._here.muster(analysis)

    def answer(self, analysis: str, question: Question, kept: Mapping[str, Any], **about: Any) -> Worked:
        self._worked(self._site, question, self._here.muster(analysis))
        return self._here.answer(analysis, question, kept, **about)

    def close(self) -> None:
        self._here.close()


class _Entropy:
    """Bytes that look random and are the same for the same seed: a rehearsal protects nobody."""

    def __init__(self, seed: int) -> None:
        self._draws = np.random.default_rng([seed, 0x7717])

    def __call__(self, size: int) -> bytes:
        return self._draws.bytes(size)


def _seeded(scheme: Scheme, entropy: Callable[[int], bytes]) -> Scheme:
    """The same scheme, which draws from the rehearsal's seed."""
    if isinstance(scheme, MaskedSum | EncryptedSum):
        return replace(scheme, entropy=entropy)
    if isinstance(scheme, CompressedSum):
        return replace(scheme, inner=_seeded(scheme.inner, entropy))
    if isinstance(scheme, Noised):
        return replace(scheme, inner=_seeded(scheme.inner, entropy), entropy=entropy)
    return scheme
