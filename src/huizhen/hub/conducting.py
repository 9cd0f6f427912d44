"""How the hub leads one study across its sites: prepare, conduct, collect; every step on the record before it is acted on.

A hub that is killed in the middle leaves the study running in its store; the next one leads it again, from the last total that was
kept, to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from huizhen import units
from huizhen.errors import HuizhenError, LedgerError, MachineError
from huizhen.federation.checkpoint import FileCheckpoints
from huizhen.federation.conduct import Run, conduct
from huizhen.federation.eventlog import EventLog
from huizhen.federation.events import Event, Outcome
from huizhen.federation.found import Collected, Found, LedgerHead
from huizhen.federation.noised.planning import plan_of
from huizhen.federation.noisetold import with_noise
from huizhen.federation.proposal import Proposal
from huizhen.federation.schemes import lane_of, sum_at_hub, terms_of
from huizhen.federation.wire.agreements import Preparation
from huizhen.federation.wire.bus import Bus
from huizhen.federation.wire.pulling import NoReply
from huizhen.hub import running
from huizhen.hub.running import Hub
from huizhen.policy.disclosure import disclosure_policy
from huizhen.privacy.release import Terms, Variable

__all__ = ["Conducted", "Stopped", "lead"]

CLOSE_S = 20.0  # how long sites have to say where their ledgers stand
LONGEST = 2000  # characters of why a site is not ready
WITHDREW = "this site has withdrawn"
REVOKED = "this site is shut out of the federation"
CANCELLED = "the study was cancelled"
RESUMED = "The run was interrupted and resumed: what left before stands in the ledgers, not in this record."
PLAIN = "The sums were formed in the clear: the hub saw each site's sums, as the sites' policies allow."
MASKED = "The sums were masked: the hub saw totals, and of each site its number of rows."
ENCRYPTED = "The sums were encrypted: the hub saw totals, and of each site its number of rows; the key holder opened the totals."
FORMED = {"plain": PLAIN, "masked": MASKED, "paillier": ENCRYPTED}
Watch = Callable[[Event], None]


class Stopped(Exception):
    """The study was cancelled, or the hub is being stopped: nothing more is asked."""


@dataclass(frozen=True, slots=True)
class Conducted:
    """What leading a study needs.

    Attributes:
        folder: where its totals and events are kept.
        is_stopping: whether the hub is being stopped.
    """

    hub: Hub
    bus: Bus
    folder: Path
    proposal: Proposal
    watch: Watch
    is_stopping: Callable[[], bool]


def lead(one: Conducted) -> None:
    """Leads a study that has been started to its end; what it found is kept, or why there is nothing.

    Raises:
        Stopped: it goes on when the hub is started again, or it was cancelled.
        MachineError, LedgerError, OSError: this machine does not keep what must be kept, e.g. its disk is full: the study stands
            still, and is to be led again.
    """
    hub, id = one.hub, one.proposal.id
    try:
        found = _found(one)
    except (MachineError, LedgerError):
        raise
    except HuizhenError as error:
        _heads(one, failed=True)
        running.failed(hub, id, str(error))
        return
    except CancelledError:
        raise Stopped from None
    except Stopped:
        if not one.is_stopping():
            _heads(one, failed=True)  # it was cancelled: the sites let go of what they hold for it
        raise
    if hub.lives.life(id).state == "running":
        running.closing(hub, id)
    running.finished(hub, id, found.content)


def _found(one: Conducted) -> Found:
    hub, proposal = one.hub, one.proposal
    study, life, clock = proposal.study, hub.lives.life(proposal.id), hub.clock
    roster = tuple(site for site in proposal.sites if site in life.roster)
    policies = {site: disclosure_policy(policy) for site, policy in running.policies(hub, proposal.id).items() if site in roster}
    variables = running.variables(hub, proposal.id)
    began, start_s = clock.now(), clock.seconds()
    unready = _prepare(one, roster, variables)
    lane, plan = lane_of(study, one_process=False), plan_of(study, len(roster))

    def terms(present: tuple[str, ...]) -> Terms:
        return terms_of(study, [policies[site] for site in present], lane=lane, variables=variables, roster=present)

    engine = one.bus.engine(_keys(one, roster), lambda: {**unready, **_gone(one)})
    kept = FileCheckpoints(one.folder / "checkpoints", study.digest[:12])
    run = Run(life.run, study, engine, sum_at_hub(study, lane), terms, clock, kept, noise=plan, sites=roster)
    collected = Collected()
    outcomes = _outcomes(one, run, collected)
    if plan is not None:
        outcomes = tuple(with_noise(outcome, plan) for outcome in outcomes)
    heads = _heads(one)
    missing = [site for site in roster if site not in {head.site for head in heads}]
    notes = [FORMED[study.protection.sum], *([RESUMED] if collected.resumed else [])]
    notes += [f"Where their ledgers stand was not told in time by: {', '.join(missing)}."] if missing else []
    told = {site: policy.model_dump(mode="json") for site, policy in policies.items()}
    return Found(life.run, began, clock.seconds() - start_s, outcomes, collected.left, told, heads, tuple(notes))


def _outcomes(one: Conducted, run: Run, collected: Collected) -> tuple[Outcome, ...]:
    with ExitStack() as stack:
        one.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = EventLog(one.folder / "events.jsonl", stack, run=run.identifier, study=run.study.digest)
        events = conduct(run)
        stack.callback(events.close)
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                outcomes: tuple[Outcome, ...] = stop.value
                return outcomes
            for read in (collected.watch, log.watch, one.watch):
                read(event)
            if one.is_stopping() or one.hub.lives.life(one.proposal.id).state == "cancelled":
                raise Stopped


def _keys(one: Conducted, roster: tuple[str, ...]) -> dict[str, str]:
    """The sites' keys on the wire; of one that is no member any more, none."""
    members = {site: one.hub.members.member(site) for site in roster}
    return {site: "" if member is None else member.key for site, member in members.items()}


def _gone(one: Conducted) -> Mapping[str, str]:
    """Who has withdrawn, or was shut out; looked at anew before each stage, and while a site is waited for."""
    life = one.hub.lives.life(one.proposal.id)
    if life.state == "cancelled":
        return dict.fromkeys(life.roster, CANCELLED)
    revoked = {site: REVOKED for site in life.roster if one.hub.members.member(site) is None}
    return revoked | dict.fromkeys(life.lost, WITHDREW)


def _prepare(one: Conducted, roster: tuple[str, ...], variables: Mapping[str, Variable]) -> Mapping[str, str]:
    """Has every site make itself ready, all at once; by site, why it cannot. One that is silent is asked all the same."""
    life = one.hub.lives.life(one.proposal.id)
    body = Preparation(one.proposal.digest, life.run, roster, variables).content
    within_s, gone = units.seconds(one.proposal.study.participants.round_deadline), _gone(one)
    asked = {
        site: one.bus.asking("prepare", body, timeout_s=within_s, peer=key)
        for site, key in _keys(one, roster).items()
        if site not in gone
    }
    wait(asked.values(), within_s)
    unready = {}
    for site, future in asked.items():
        error = None if future.cancel() or future.cancelled() else future.exception()
        if isinstance(error, HuizhenError) and not isinstance(error, NoReply):
            unready[site] = "; ".join([error.message, *map(str, error.problems)])[:LONGEST]
    return unready


def _heads(one: Conducted, *, failed: bool = False) -> tuple[LedgerHead, ...]:
    """Tells the sites that the study has ended; where their ledgers stand, of those that say so."""
    life = one.hub.lives.life(one.proposal.id)
    body, gone = {"proposal": one.proposal.digest, "run": life.run, "failed": failed}, _gone(one)
    keys = {site: key for site, key in _keys(one, life.roster).items() if site not in gone}
    asked = {site: one.bus.asking("close", body, timeout_s=CLOSE_S, peer=key) for site, key in keys.items()}
    wait(asked.values(), CLOSE_S)
    heads = []
    for site, future in asked.items():
        if (
            future.done()
            and not future.cancelled()
            and future.exception() is None
            and (head := _head(site, future.result())) is not None
        ):
            heads.append(head)
    return tuple(heads)


def _head(site: str, told: Mapping[str, object]) -> LedgerHead | None:
    entries, head, key = told.get("entries"), told.get("head"), told.get("public_key")
    if type(entries) is not int or not isinstance(head, str) or not isinstance(key, str):
        return None
    return LedgerHead(site, entries, head[:128], key[:128])
