"""A proposal in plain words, for whoever decides at a site: who asks, what is read, what leaves, how protected, at which cost.

Every line is one sentence of the catalogue, so that it reads in Chinese too. Nothing is promised that the study does not say, and
what is not known beforehand is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from huizhen.clock import written
from huizhen.federation.proposal import Proposal
from huizhen.federation.study import Analysis, Study
from huizhen.ledger.keys import key_id, read_public_hex
from huizhen.policy.disclosure import DisclosurePolicy

__all__ = ["Here", "Passage", "fingerprint", "most_rounds", "suggestion"]

# Settings by which methods bound how often they ask, and what they count.
BOUNDS = {"rounds": "rounds of training", "trees": "trees", "max_iterations": "steps of the estimate"}
SHOWN = 40  # names listed at most; a study file may name thousands


@dataclass(frozen=True, slots=True)
class Here:
    """What a site knows of itself when it reads a suggestion.

    Attributes:
        policy: its disclosure policy.
        rows: rows of its source, or None where nobody has counted.
        spent: epsilon of its budget that is spent or reserved, or None where that is not known.
        cpu_s: processor seconds that a run of this kind took here before, or None.
    """

    policy: DisclosurePolicy
    rows: int | None = None
    spent: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A heading with its sentences, in English; `huizhen.translation.translate` takes each into Chinese."""

    heading: str
    lines: tuple[str, ...]


def suggestion(proposal: Proposal, site: str, here: Here) -> tuple[Passage, ...]:
    """What a proposal asks of one site.

    Args:
        site: the name of the site that reads.
    """
    study = proposal.study
    told = (
        ("Who asks", _who(proposal)),
        ("What is asked", _question(study)),
        ("Who takes part", _parties(proposal, site)),
        ("Which patients", _patients(proposal, study)),
        ("What is read", _variables(proposal)),
        *([("What is made of it", _features(study))] if study.features else []),
        ("What leaves this site", _leaves(study)),
        ("How it is protected", _protected(proposal, site)),
        ("How often", _often(study)),
        ("What it spends of the privacy budget here", _spends(proposal, here)),
        ("What it costs here", _costs(here)),
        ("When", _when(proposal)),
    )
    return tuple(Passage(heading, tuple(lines)) for heading, lines in told)


def fingerprint(key: str) -> str:
    """A public key as people compare it: the first 16 digits of its identifier, in groups of four.

    >>> fingerprint("00" * 32)
    '66687aad f862bd77'
    """
    digits = key_id(read_public_hex(key))[:16]
    return f"{digits[:8]} {digits[8:]}"


def most_rounds(study: Study) -> int:
    """How often a site is asked at most, over all analyses, as far as the study bounds it.

    With noise every question is planned. Otherwise it is the sum of the bounds that methods have as settings (rounds, trees, steps
    of an estimate); the few rounds that agree on levels, scales or bins, analyses that ask a few rounds only, and restarts come on
    top.
    """
    planned = study.noisy_steps
    if planned:
        return sum(step.times for steps in planned.values() for step in steps) + len(planned)  # and the count of each
    return sum(bound[0] for analysis in study.analyses if (bound := _bound(analysis)))


def _who(proposal: Proposal) -> Iterator[str]:
    """Names are the hub's word; the key is what it checks them by."""
    yield f"{proposal.initiator.name} asks, whom the hub knows by the key {proposal.initiator.key}."
    yield f"The hub has put the suggestion together on {written(proposal.created)}."


def _question(study: Study) -> Iterator[str]:
    yield study.title
    if study.about.question:
        yield study.about.question


def _parties(proposal: Proposal, site: str) -> Iterator[str]:
    for party in proposal.participants:
        print_ = fingerprint(party.key)
        if party.name == site:
            yield f"this site, {party.name}, with the key {print_}"
        elif party.role == "provider":
            yield f"{party.name}, which holds no patients and lends machines, with the key {print_}"
        else:
            yield f"{party.name}, with the key {print_}"


def _patients(proposal: Proposal, study: Study) -> Iterator[str]:
    conditions = proposal.conditions
    own = [told(one.spec) for one in study.analyses if (told := getattr(one.method, "patients", None)) is not None]
    for lines in own:
        yield from lines
    for condition in conditions.include:
        yield f"only patients for whom holds: {condition}"
    for condition in conditions.exclude:
        yield f"no patients for whom holds: {condition}"
    if not conditions.include and not conditions.exclude and len(own) < len(study.analyses):
        yield "All patients of the source."
    if conditions.min_rows:
        yield f"This site takes part only with at least {conditions.min_rows} of them."
    if conditions.joint_rows:
        yield f"All sites together need {conditions.joint_rows} of them."
        yield "With the acceptance the number of them here is told, rounded down."


def _variables(proposal: Proposal) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for name, kind in proposal.conditions.variables.items():
        kinds.setdefault(kind, []).append(name)
    if names := _listed(kinds.get("number", [])):
        yield f"as numbers: {names}"
    if names := _listed(kinds.get("category", [])):
        yield f"as categories: {names}"
    if names := _listed(kinds.get("any", [])):
        yield f"as they stand, numbers or categories: {names}"
    if names := _listed(kinds.get("image", [])):
        yield f"as images: {names}"


def _features(study: Study) -> Iterator[str]:
    for name, text in list(study.features.texts.items())[:SHOWN]:
        yield f"the feature {name}: {text}"
    if len(study.features.texts) > SHOWN:
        yield f"and {len(study.features.texts) - SHOWN} features more, as the study declares them"
    fitted = [name for name in study.features.texts if study.features.keys_of(name)]
    if fitted:
        yield f"Of all sites' rows together are found, published and kept with a model, the parameters of: {_listed(fitted)}"


def _leaves(study: Study) -> Iterator[str]:
    """By analysis: which steps answer, and what of the answers is not only added up."""
    yield "No patient's row leaves this site; before each analysis the number of rows that take part does."
    for analysis in study.analyses:
        steps = _listed(list(getattr(analysis.method, "steps", {}))) or "not told beforehand"
        yield f"{analysis.label}, by the method {analysis.method.name}: sums over this site's rows, in the steps {steps}"
        if alone := _individual(analysis):
            yield f"{analysis.label}: also values of this site alone, which the hub sees as such: {_listed(list(alone))}"


def _protected(proposal: Proposal, site: str) -> Iterator[str]:
    protection = proposal.study.protection
    if protection.sum == "plain":
        yield "Not masked: the hub sees this site's own sums, of every round."
    elif protection.sum == "masked":
        yield "Masked: the hub sees the sums of all sites together, and of this site alone its numbers of rows."
    else:
        holder = protection.key_holder or proposal.sites[0]
        yield f"Encrypted: the hub adds up what it cannot read, and {holder} opens the sums of all sites together."
        yield "Of this site alone the hub sees its numbers of rows."
        if holder == site:
            yield "This site holds the key: it opens sums of all sites, and never one site's."
    noise = protection.noise
    if noise is None:
        yield "Without noise: what is published is exact."
    elif noise.level == "patient":
        yield "Noise in every answer hides whether any one patient is among the rows."
    else:
        yield "Noise in every answer hides what any one site adds."
    if protection.compression.kind != "none":
        yield f"What is sent is made smaller by the compression {protection.compression.kind}."
    yield "Every answer passes this site's disclosure policy, and leaves whole or not at all."


def _often(study: Study) -> Iterator[str]:
    if study.noisy_steps:
        yield f"At most {most_rounds(study)} questions, all planned beforehand."
        return
    for analysis in study.analyses:
        bound = _bound(analysis)
        if bound is None:
            yield f"{analysis.label}: a few rounds; the study sets no bound"
        else:
            yield f"{analysis.label}: at most {bound[0]} {bound[1]}, and a few rounds before them"


def _spends(proposal: Proposal, here: Here) -> Iterator[str]:
    spends, budget = proposal.spends, here.policy.budget
    if not spends.level:
        yield "Nothing that is counted: exact answers have no epsilon."
    else:
        yield f"At most epsilon {spends.epsilon:g} at delta {spends.delta:g}."
    if budget is None:
        yield "This site sets no privacy budget."
    elif here.spent is None:
        yield f"The budget of this site is {budget}; how much of it is spent is not known here."
    else:
        yield f"The budget of this site is {budget}, of which {here.spent:.3g} is spent or reserved."
    if budget is not None and not spends.level and not budget.allow_exact:
        yield "The budget of this site does not allow exact answers, so it would refuse them."


def _costs(here: Here) -> Iterator[str]:
    """What is known; the rest is said to be unknown."""
    yield f"Rows read: {here.rows}" if here.rows is not None else "Rows read: not counted yet"
    if here.cpu_s is None:
        yield "Processor time: not known beforehand; the limits of this site's configuration hold."
    else:
        yield f"Processor time: about {here.cpu_s:.3g} s, as such studies took here before"


def _when(proposal: Proposal) -> Iterator[str]:
    start, sites = proposal.study.start, len(proposal.sites)
    if start.when == "all accepted":
        yield f"It starts once all {len(proposal.participants)} participants have accepted."
    else:
        yield f"It starts once {start.sites or proposal.study.participants.quorum} of {sites} sites have accepted."
    if start.at:
        yield f"It does not start before {start.at}."
    yield f"The suggestion expires on {written(proposal.expires)}."
    yield "This site can withdraw at any time, also while the study runs."


def _bound(analysis: Analysis) -> tuple[int, str] | None:
    for name, counted in BOUNDS.items():
        bound = getattr(analysis.spec, name, None)
        if type(bound) is int:
            return bound, counted
    return None


def _individual(analysis: Analysis) -> tuple[str, ...]:
    states = getattr(analysis.method, "individual", None)
    return () if states is None else tuple(states(analysis.spec))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" (+{len(names) - SHOWN})" if len(names) > SHOWN else "")
