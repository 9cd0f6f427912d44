"""How the hub goes on by itself: what expires, whose turn it is, and how a study that runs is led to its end.

What a person wishes stands in `huizhen.hub.usecases`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from huizhen import canonical
from huizhen.clock import Clock
from huizhen.data.images import ImageFacts, disagreements
from huizhen.errors import CallerError
from huizhen.federation.consent import Consent
from huizhen.federation.life import Life, LifeEvent, hopeless, ready
from huizhen.federation.proposal import Proposal
from huizhen.federation.reading import settled
from huizhen.hub.actor import Members
from huizhen.hub.lives import Lives
from huizhen.privacy.release import Variable

__all__ = [
    "Hub",
    "closing",
    "expire",
    "failed",
    "finished",
    "give_up",
    "next_to_run",
    "policies",
    "queue",
    "started",
    "unfinished",
    "variables",
]


@dataclass(frozen=True, slots=True)
class Hub:
    """What the hub works on.

    Attributes:
        members: who is admitted now.
        clock: dates the events; by it suggestions expire and studies start.
    """

    lives: Lives
    members: Members
    clock: Clock


def expire(hub: Hub) -> tuple[str, ...]:
    """Ends the studies whose suggestions are too old, or cannot start any more; their ids. To be called by the hub now and then."""
    now, ended = hub.clock.now(), []
    for one in hub.lives.store.studies():
        with hub.lives.lock:
            life = hub.lives.life(one.id)
            if life.state == "proposed" and life.expires is not None and now >= life.expires:
                hub.lives.advance(one.id, LifeEvent("expired", now))
                ended.append(one.id)
            elif give_up(hub, one.id).state != life.state:
                ended.append(one.id)
    return tuple(ended)


def give_up(hub: Hub, id: str) -> Life:
    """Where a study stands, once it is ended if it can never start any more."""
    with hub.lives.lock:
        life = hub.lives.life(id)
        if life.state in ("proposed", "waiting") and (why := hopeless(life)):
            return hub.lives.advance(id, LifeEvent("failed", hub.clock.now(), reason=why))
        return life


def queue(hub: Hub) -> tuple[str, ...]:
    """The ids of the studies that may start now: the highest priority first, then the one that was submitted first."""
    now = hub.clock.now()
    waiting = [one for one in hub.lives.store.studies() if ready(hub.lives.life(one.id), now)]
    return tuple(one.id for one in sorted(waiting, key=lambda one: (-one.priority, one.place)))


def next_to_run(hub: Hub) -> Proposal | None:
    """The proposal whose turn it is, or None."""
    first = next(iter(queue(hub)), None)
    return None if first is None else hub.lives.proposal(first)


def unfinished(hub: Hub) -> tuple[str, ...]:
    """The ids of the studies that were running when the hub ended, to be gone on with."""
    states = [(one.id, hub.lives.life(one.id).state) for one in hub.lives.store.studies()]
    return tuple(id for id, state in states if state in ("running", "closing"))


def started(hub: Hub, id: str, *, run: str) -> Life:
    """A study starts, with all that have accepted.

    Raises:
        CallerError: it may not; somebody may just have withdrawn.
    """
    with hub.lives.lock:
        facts = {"run": run, "roster": list(hub.lives.life(id).accepted)}
        return hub.lives.advance(id, LifeEvent("started", hub.clock.now(), facts=facts))


def closing(hub: Hub, id: str) -> Life:
    """The rounds are over; the result is being kept, and it is too late to cancel."""
    return hub.lives.advance(id, LifeEvent("closing", hub.clock.now()))


def finished(hub: Hub, id: str, found: Any) -> Life:
    """A study is done; `found`, plain values, is kept before that is said."""
    digest = canonical.digest(found)
    event = LifeEvent("done", hub.clock.now(), facts={"result": digest})
    return hub.lives.advance(id, event, beside=lambda: hub.lives.store.keep_result(id, digest, found))


def failed(hub: Hub, id: str, reason: str) -> Life:
    """A study ends without a result; `reason` holds no patient's value."""
    return hub.lives.advance(id, LifeEvent("failed", hub.clock.now(), reason=reason))


def policies(hub: Hub, id: str) -> Mapping[str, Mapping[str, Any]]:
    """The disclosure policies that the participants told as they accepted, by site in roster order."""
    return {said.site: said.policy for said in _acceptances(hub, id)}


def variables(hub: Hub, id: str) -> Mapping[str, Variable]:
    """How every participant must read the variables, from what each told of its source as it accepted.

    Raises:
        CallerError: images differ from site to site.
    """
    study = hub.lives.proposal(id).study
    told = {said.site: said.reads for said in _acceptances(hub, id) if said.reads}
    texts = [{name: one.get("kind") == "category" for name, one in reads.items()} for reads in told.values()]
    images: dict[str, tuple[int, ...]] = {}
    problems = []
    for name in (name for name, kind in study.uses.items() if kind == "image"):
        shape = tuple(study.variables[name].shape) if name in study.variables else ()
        found = {site: _image(reads[name], shape) for site, reads in told.items() if name in reads}
        problems += [
            replace(problem, where=f"site {site}, {problem.where}") for site, problem in disagreements(name, found).items()
        ]
        images[name] = shape or next((facts.shape for facts in found.values()), ())
    if problems:
        raise CallerError("The sites' data cannot be read as the study needs them.", problems)
    return settled(study, texts, images)


def _image(told: Mapping[str, Any], declared: tuple[int, ...]) -> ImageFacts:
    shape = told.get("shape")
    sizes = tuple(size for size in shape if type(size) is int) if isinstance(shape, list | tuple) else ()
    return ImageFacts(declared or sizes, str(told.get("stored", "")))


def _acceptances(hub: Hub, id: str) -> list[Consent]:
    life = hub.lives.life(id)
    said = [Consent.parse(content) for content in hub.lives.store.consents(life.proposal)]
    by_site = {one.site: one for one in said if one.choice == "accept"}
    return [by_site[site] for site in life.roster or life.accepted]
