"""What a person or a site can do at the hub, one function each: the first line authorises, the last one records.

The wire, the command line and the web pages are thin over these. Bodies in and out are plain canonical values.

A study's id is the link to share: whoever is a member and has been shown it may see how the study stands. What it found is for
whoever asked, and for the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import Field, field_validator

from huizhen import canonical, units
from huizhen.clock import written
from huizhen.errors import CallerError, PolicyError, Problem
from huizhen.federation.bodies import Body, read_body
from huizhen.federation.consent import Consent
from huizhen.federation.life import FINAL, Kind, Life, LifeEvent, proposed_facts
from huizhen.federation.proposal import PRIORITIES, Initiator, Party, Proposal
from huizhen.federation.study import Study
from huizhen.hub.actor import Actor, Role, authorise
from huizhen.hub.db import Drafted
from huizhen.hub.running import Hub, give_up
from huizhen.ids import new_id
from huizhen.ledger.keys import read_public_hex
from huizhen.policy.disclosure import disclosure_policy

__all__ = ["Hub", "cancel", "consent", "inbox_of", "is_own", "propose", "result", "status", "studies", "submit"]

ASKERS: tuple[Role, ...] = ("researcher", "operator")
OPEN_AT_MOST = 200  # studies of one asker that are not over: each stands in the inbox of every site
AT_A_TIME, BYTES_AT_A_TIME = 200, 16_000_000  # suggestions in one answer to a site, which asks again until none is new
LONGEST_S = 366 * 86_400.0  # a suggestion is open for a year at most


class _Submitted(Body):
    study: dict[str, Any]
    priority: int = Field(default=5, ge=PRIORITIES[0], le=PRIORITIES[-1])
    expires: str = "72 h"
    providers: list[str] = Field(default=[], max_length=1000)
    propose: bool = True
    nonce: str = Field(default="", max_length=64)

    @field_validator("expires")
    @classmethod
    def _duration(cls, text: str) -> str:
        if not units.seconds(text) <= LONGEST_S:
            raise ValueError("a duration of a year at most, e.g. '72 h'")
        return text


class _One(Body):
    id: str = Field(max_length=64)


class _Cancelled(_One):
    reason: str = Field(default="", max_length=2000)


class _Known(Body):
    known: list[str] = Field(default=[], max_length=100_000)


class _Nothing(Body):
    pass


def submit(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """Keep a study, and propose it to its sites unless ``propose`` is False.

    Args:
        body: ``study`` (content of a study file); ``priority`` 0 to 9; ``expires``, how long sites may decide; ``providers``, names
            of compute providers that are asked, too; ``propose``; ``nonce``, random text: what is submitted again under it,
            because no answer came, is the same study.

    Returns:
        ``id``, ``digest`` of the study, ``state``.

    Raises:
        PolicyError, CallerError: with every mistake; nothing was kept.
    """
    authorise(actor, hub.members, *ASKERS)
    wish = read_body(_Submitted, body, what="submit")
    study = Study.parse(wish.study)
    id = _id(actor, wish.nonce) if wish.nonce else new_id("study")
    with hub.lives.lock:
        drafted = hub.lives.store.drafted(id)
        if drafted is None or not hub.lives.store.events(id):
            content = {"study": study.content, "providers": wish.providers}
            drafted = Drafted(0, id, actor.name, actor.key, wish.priority, units.seconds(wish.expires), content)
            _check_open(hub, actor)
            if wish.propose:
                _proposal(hub, drafted)  # what cannot be proposed is not kept
            event = LifeEvent("drafted", hub.clock.now(), actor.name, facts={"study": study.digest})
            hub.lives.advance(id, event, beside=lambda: hub.lives.store.draft(drafted))
        elif drafted.content["study"] != study.content:
            raise CallerError(
                "What was sent cannot be read.", [Problem("submit.nonce", "the nonce of another study", "a fresh one")]
            )
        life = hub.lives.life(id)
        if wish.propose and life.state == "drafted":
            life = _record_proposal(hub, actor, _proposal(hub, drafted))
    return {"id": id, "digest": study.digest, "state": life.state}


def propose(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """Propose a drafted study to its sites; to be done by whoever drafted it.

    Returns:
        ``id``, ``proposal`` (its digest), ``state``.
    """
    authorise(actor, hub.members, *ASKERS)
    drafted = _own(hub, actor, read_body(_One, body, what="propose").id)
    proposal = _proposal(hub, drafted)
    life = _record_proposal(hub, actor, proposal)
    return {"id": proposal.id, "proposal": proposal.digest, "state": life.state}


def status(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """How a study stands, for whoever was shown its id."""
    authorise(actor, hub.members, "researcher", "operator", "site", "provider")
    drafted = _drafted(hub, read_body(_One, body, what="status").id)
    return {**_summary(hub, drafted), **_standing(hub.lives.life(drafted.id))}


def studies(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """The studies that somebody has submitted, or takes part in; the operator sees all. In the order of submission."""
    authorise(actor, hub.members, "researcher", "operator", "site", "provider")
    read_body(_Nothing, body, what="studies")
    mine = [one for one in hub.lives.store.studies() if _concerns(hub, actor, one)]
    return {"studies": [_summary(hub, one) for one in mine]}


def cancel(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """End a study before its result is kept; to be done by whoever submitted it, or the operator.

    Whoever runs rounds looks at the study's state between two of them, and asks nothing any more.
    """
    authorise(actor, hub.members, *ASKERS)
    wish = read_body(_Cancelled, body, what="cancel")
    drafted = _own(hub, actor, wish.id)
    life = hub.lives.advance(drafted.id, LifeEvent("cancelled", hub.clock.now(), actor.name, wish.reason))
    return {"id": drafted.id, "state": life.state}


def result(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """What a study found, for whoever submitted it and the operator.

    Returns:
        ``id``, ``state``, ``study`` (its content), ``digest`` of the result, ``result``.
    """
    authorise(actor, hub.members, *ASKERS)
    drafted = _own(hub, actor, read_body(_One, body, what="result").id)
    life, found = hub.lives.life(drafted.id), hub.lives.store.result(drafted.id)
    if life.state != "done" or found is None:
        remedy = life.reason or "Ask for its status"
        raise CallerError("There is no result.", [Problem("study", f"a study that is {life.state}", "one that is done", remedy)])
    return {"id": drafted.id, "state": life.state, "study": drafted.content["study"], "digest": life.result, "result": found}


def inbox_of(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """The proposals that concern a site, are not over and are new to it, and how the others stand.

    Args:
        body: ``known``: digests of the proposals that the site has kept and that were not over when it last asked.

    Returns:
        ``now``: the hub's time, so that a site whose clock is wrong can tell how long a suggestion is open. ``suggestions``: of
        each ``proposal`` (content) and ``state``; the oldest, where there are too many for one answer. ``states``: of the known
        ones, by digest.
    """
    authorise(actor, hub.members, "site", "provider")
    known = frozenset(read_body(_Known, body, what="inbox").known)
    fresh, states, size = list[dict[str, Any]](), {}, 0
    for one in hub.lives.store.studies():
        life = hub.lives.life(one.id)
        if actor.name not in life.stances:
            continue
        if life.proposal in known:
            states[life.proposal] = life.state
        elif life.state not in FINAL and len(fresh) < AT_A_TIME and size < BYTES_AT_A_TIME:
            proposal = hub.lives.store.proposal(one.id)
            size += len(canonical.encode(proposal))
            fresh.append({"proposal": proposal, "state": life.state})
    return {"now": written(hub.clock.now()), "suggestions": fresh, "states": states}


def consent(hub: Hub, actor: Actor, body: Any) -> Mapping[str, Any]:
    """A site's signed decision; the same one sent again is answered again, and changes nothing.

    Args:
        body: `Consent.content`.

    Returns:
        ``id``, ``state`` of the study, ``stance`` of the site.
    """
    authorise(actor, hub.members, "site", "provider")
    said = Consent.parse(body)
    id = _signed_for(hub, actor, said)
    with hub.lives.lock:
        is_kept = hub.lives.store.has_consent(said.proposal, said.site, said.choice, said.content)
        if not is_kept or not _is_recorded(hub.lives.life(id), said):
            _decide(hub, id, said)
        life = give_up(hub, id)
    return {"id": id, "state": life.state, "stance": life.stances[said.site]}


def _check_open(hub: Hub, actor: Actor) -> None:
    """Whether somebody may have one more study that is not over.

    Raises:
        CallerError: too many of them are open; they would bury those of others in the sites' inboxes.
    """
    mine = (one for one in hub.lives.store.studies() if (one.initiator, one.key) == (actor.name, actor.key))
    if sum(hub.lives.life(one.id).state not in FINAL for one in mine) >= OPEN_AT_MOST:
        remedy = "Cancel some of them, or wait until they are over"
        problem = Problem("study", "too many of your studies that are not over", f"at most {OPEN_AT_MOST} of them", remedy)
        raise CallerError("The study cannot be proposed.", [problem])


def _id(actor: Actor, nonce: str) -> str:
    """The id that a nonce leads to; nobody can tell it who does not know the nonce."""
    return f"study-{canonical.digest([actor.name, actor.key, nonce])[:16]}"


def _proposal(hub: Hub, drafted: Drafted) -> Proposal:
    """What would be proposed now; every name that is no member is told at once.

    Raises:
        CallerError: a participant is not admitted. StudyError: the study cannot be proposed to these.
    """
    study, now = Study.parse(drafted.content["study"]), hub.clock.now()
    named = study.participants.sites or [one.name for one in hub.members.all() if one.role == "site"]
    wanted = [(name, "site") for name in named] + [(name, "provider") for name in drafted.content["providers"]]
    parties, problems = [], []
    for name, role in wanted:
        member = hub.members.member(name)
        if member is None or member.role != role or not member.identity:
            problems.append(Problem("participants.sites", name[:64], "names of sites and providers that are admitted here"))
        else:
            parties.append(Party(name=name, key=member.identity, role="site" if role == "site" else "provider"))
    if problems or not parties:
        nobody = Problem("participants.sites", "no site", "at least one site that is admitted here")
        raise CallerError("The study cannot be proposed.", problems or [nobody])
    return Proposal.of(
        study,
        id=drafted.id,
        initiator=Initiator(name=drafted.initiator, key=drafted.key or "operator"),
        participants=parties,
        created=now,
        expires=now + timedelta(seconds=drafted.expires_s),
        priority=drafted.priority,
    )


def _record_proposal(hub: Hub, actor: Actor, proposal: Proposal) -> Life:
    event = LifeEvent("proposed", proposal.created, actor.name, facts=proposed_facts(proposal))
    store = hub.lives.store
    return hub.lives.advance(proposal.id, event, beside=lambda: store.propose(proposal.digest, proposal.id, proposal.content))


def _signed_for(hub: Hub, actor: Actor, said: Consent) -> str:
    """The study that a consent decides on, once it is found to be the site's own.

    Raises:
        CallerError: there is no such proposal. PolicyError: the consent is not this site's.
    """
    id = hub.lives.store.proposed(said.proposal)
    if not id or said.study != id:
        remedy = "Read the suggestion anew: what it says may have changed"
        problem = Problem("consent.proposal", said.proposal, "the digest of a proposal of this study", remedy)
        raise CallerError("This consent is to nothing that was proposed here.", [problem])
    key = hub.lives.proposal(id).keys.get(actor.name)
    if said.site != actor.name or key is None or not said.is_signed_by(read_public_hex(key)):
        problem = Problem("consent.signature", "a signature that is not this site's", "one by the key in the proposal")
        raise PolicyError("This consent is not the site's own.", [problem])
    return id


def _is_recorded(life: Life, said: Consent) -> bool:
    return life.stances.get(said.site) == DECISIONS[said.choice]


DECISIONS: Mapping[str, Kind] = {"accept": "accepted", "decline": "declined", "withdraw": "withdrawn"}


def _decide(hub: Hub, id: str, said: Consent) -> None:
    facts: dict[str, Any] = {"proposal": said.proposal}
    if said.choice == "accept":
        disclosure_policy(said.policy)
        facts["rows"] = said.rows
    now, store = hub.clock.now(), hub.lives.store
    event = LifeEvent(DECISIONS[said.choice], now, said.site, said.reason, facts)
    hub.lives.advance(id, event, beside=lambda: store.consent(said.proposal, said.site, said.choice, said.content))


def _drafted(hub: Hub, id: str) -> Drafted:
    drafted = hub.lives.store.drafted(id)
    if drafted is None:
        raise CallerError("There is no such study.", [Problem("study", id[:80], "the id of a study at this hub")])
    return drafted


def _own(hub: Hub, actor: Actor, id: str) -> Drafted:
    """A study of the actor's own; the operator may do everything.

    Raises:
        PolicyError: somebody else submitted it.
    """
    drafted = _drafted(hub, id)
    if not is_own(hub, actor, id):
        problem = Problem("study", id, "a study that you have submitted", "Ask whoever submitted it, or the hub's operator")
        raise PolicyError("You may not do this here.", [problem])
    return drafted


def is_own(hub: Hub, actor: Actor, id: str) -> bool:
    """Whether a study is the actor's own, or the actor is the operator."""
    drafted = _drafted(hub, id)
    return actor.role == "operator" or (actor.name, actor.key) == (drafted.initiator, drafted.key)


def _concerns(hub: Hub, actor: Actor, one: Drafted) -> bool:
    own = (actor.name, actor.key) == (one.initiator, one.key)
    return actor.role == "operator" or own or (actor.role in ("site", "provider") and actor.name in hub.lives.life(one.id).stances)


def _summary(hub: Hub, drafted: Drafted) -> dict[str, Any]:
    about, life = drafted.content["study"]["study"], hub.lives.life(drafted.id)
    facts = {"id": drafted.id, "title": about["title"], "question": about["question"], "initiator": drafted.initiator}
    return {**facts, "priority": drafted.priority, "state": life.state, "reason": life.reason}


def _standing(life: Life) -> dict[str, Any]:
    return {
        "proposal": life.proposal,
        "stances": dict(life.stances),
        "expires": "" if life.expires is None else written(life.expires),
        "at": "" if life.at is None else written(life.at),
        "run": life.run,
        "roster": list(life.roster),
        "lost": list(life.lost),
        "result": life.result,
    }
