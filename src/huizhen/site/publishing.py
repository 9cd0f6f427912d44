"""What this site tells others of its data: a card, as its policy lets it; shown, signed, kept to be sent, and taken back.

A card that is published passes the gate as a release: it is on a ledger of its own in `cards/` of the site's folder, so that it
can be published while the agent runs, which sends it. What each card told is remembered in the site's store, for this account
alone, and the next card is held against all of them (`huizhen.data.cardguard`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from huizhen.canonical import digest
from huizhen.clock import Clock, written
from huizhen.data.cardfacts import PATIENTS, SHARES
from huizhen.data.cardguard import Entry, Memory, fresh, remembered, settle
from huizhen.data.events.store import Registry
from huizhen.data.registrycard import RegistryCard
from huizhen.errors import CallerError, MachineError, PolicyError, Problem
from huizhen.federation.cards import CodeEntry, Content, KindEntry, ModalityEntry, SignedCard, SourceEntry, VariableEntry
from huizhen.ledger.keys import SigningKey, load_key, open_key
from huizhen.ledger.store import SqliteLedger
from huizhen.policy.decision import Context, Decision
from huizhen.policy.disclosure import decide
from huizhen.policy.gate import Gate
from huizhen.privacy.release import Answer, Part, Question
from huizhen.site.db import SiteStore
from huizhen.site.describing import LANE, METHOD, Described, card_of_registry_in, describe_site
from huizhen.site.settings import REGISTRY, Settings, read_settings

__all__ = ["Published", "card_of_registry", "drafted", "publish", "unpublish"]

FOLDER, CONFIGURATION, STORE, IDENTITY = "cards", "site.toml", "site.sqlite", "identity/identity.pem"
COUNTS = ("patients", "kind", "code", "rows")  # first words of the keys under which numbers of patients or rows are told
SIGNALS = {("LOINC", "11524-6"): "ECG", ("LOINC", "34534-8"): "ECG"}  # codes by which a signal is known that is no image
LONGEST = 200  # characters of a code, a unit or a name on a card
REFUSED = "The policy does not let this card leave."


@dataclass(frozen=True, slots=True)
class Published:
    """A card of this site, as it is kept.

    Attributes:
        is_new: whether it is another one than was published before.
    """

    signed: SignedCard
    is_new: bool


def card_of_registry(root: Path) -> RegistryCard:
    """The card of the registry in a site's folder.

    Raises:
        SiteError, MachineError: configuration or registry cannot be read.
    """
    return card_of_registry_in(Registry(root / REGISTRY), read_settings(root / CONFIGURATION))[0]


def drafted(root: Path) -> Content:
    """What would be published now; nothing leaves, and nothing is recorded.

    Raises:
        PolicyError: the policy would refuse it. SiteError, MachineError: the site's data cannot be read.
    """
    settings = read_settings(root / CONFIGURATION)
    with SiteStore(root / STORE) as store:
        content, _, answer = _made(root, settings, _memory(store), _last(store))
    _allowed(settings.site.name, decide(settings.policy, _question(content), answer, _context(settings, content)))
    return content


def publish(root: Path, clock: Clock) -> Published:
    """Signs a card of what is here now and keeps it to be sent; the one before it, where nothing has changed enough.

    Raises:
        PolicyError: the policy refuses. SiteError, MachineError, LedgerError: the site cannot be used.
    """
    settings = read_settings(root / CONFIGURATION)
    folder = root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    key = _key(root)
    ledger = SqliteLedger(folder / "ledger.sqlite", key, durable="when settled")  # one publication at a time
    try:
        with SiteStore(root / STORE) as store:
            memory, before = _memory(store), _last(store)
            content, entries, answer = _made(root, settings, memory, before)
            if before is not None and before.card == content and not _is_refused(store):
                return Published(before, False)
            number = 1 if before is None else before.number + 1
            gate = Gate(settings.site.name, settings.policy, ledger, clock)
            _allowed(settings.site.name, _released(gate, settings, content, answer, number))
            ledger.settle()
            signed = SignedCard.of(content, **_about(settings, number, clock, key))
            store.publish(number, signed.content, _written(fresh(entries, memory)))
            return Published(signed, True)
    finally:
        ledger.close()


def unpublish(root: Path, clock: Clock) -> SignedCard:
    """Takes back what was published: signs that there is no card any more, and keeps that to be sent.

    What was told stays remembered, for whoever has read it has it still.

    Raises:
        CallerError: nothing is published. SiteError, MachineError, LedgerError: the site cannot be used.
    """
    settings = read_settings(root / CONFIGURATION)
    with SiteStore(root / STORE) as store:
        before = _last(store)
        if before is None or before.card is None:
            problem = Problem(str(root), "no card that is published", "a card", "Publish one: huizhen site publish")
            raise CallerError("There is nothing to take back.", [problem])
        key = _key(root)
        ledger = SqliteLedger(root / FOLDER / "ledger.sqlite", key, durable="when settled")
        try:
            number = before.number + 1
            Gate(settings.site.name, settings.policy, ledger, clock).record("card withdrawn", {"number": number})
            ledger.settle()
        finally:
            ledger.close()
        signed = SignedCard.of(None, **_about(settings, number, clock, key))
        store.publish(number, signed.content, [])
    return signed


# --- the guard --------------------------------------------------------------------------------------------------------------------


def _last(store: SiteStore) -> SignedCard | None:
    last = store.publication()
    return None if last is None else SignedCard.parse(last.content)


def _is_refused(store: SiteStore) -> bool:
    last = store.publication()
    return last is not None and bool(last.refused)


def _made(root: Path, settings: Settings, memory: Memory, before: SignedCard | None) -> tuple[Content, list[Entry], Answer]:
    """The card as it may be told, what it tells, and the same numbers for the gate."""
    found = describe_site(root, settings, memory)
    if not found.rows:
        remedy = "Synchronise the registry, or name a table as a source"
        problem = Problem(str(root), "neither a registry nor a source", "data to be described", remedy)
        raise CallerError("There is nothing to publish.", [problem])
    entries = settle(found.entries, memory, least=max(settings.policy.min_cell_count, 1))
    content = _content(settings, found, {entry.key: entry.told for entry in entries}, before)
    numbers = [entry.told for entry in entries if entry.key[0] in COUNTS and entry.told is not None]
    return content, entries, Answer({"patients": Part(np.array(numbers, np.int64), found.rows, cells=True)}, found.rows)


def _memory(store: SiteStore) -> Memory:
    told: list[Entry] = []
    try:
        for memory in store.memories():
            told += [Entry(tuple(key), value, basis, tuple(map(tuple, within))) for key, value, basis, within in memory]
    except (TypeError, ValueError):
        remedy = "Restore it from a backup: without it nothing is published"
        problem = Problem(str(store.path), "damaged facts", "what earlier cards told", remedy)
        raise MachineError("What was published cannot be read.", [problem]) from None
    return remembered([], told)


def _written(entries: Sequence[Entry]) -> list[Any]:
    return [[list(one.key), one.told, one.basis, [list(key) for key in one.within]] for one in entries]


# --- the gate ---------------------------------------------------------------------------------------------------------------------


def _released(gate: Gate, settings: Settings, content: Content, answer: Answer, number: int) -> Decision:
    key = digest({"card": content.digest})
    about: dict[str, Any] = {"study": content.digest, "run": f"card-{number}", "round": 0, "lane": LANE}
    roster = (settings.site.name,)
    return gate.release(_question(content), answer, **about, roster=roster, question_key=key, question_digest=key)


def _question(content: Content) -> Question:
    return Question(METHOD, "publish", {"card": content.digest})


def _context(settings: Settings, content: Content) -> Context:
    return Context(settings.site.name, LANE, (settings.site.name,), digest({"card": content.digest}))


def _allowed(site: str, decision: Decision) -> None:
    if not decision.allowed:
        raise PolicyError(REFUSED, [Problem(f"site {site}", reason, "what its policy allows") for reason in decision.reasons])


def _key(root: Path) -> SigningKey:
    """The site's own key; before it has joined a hub one for its cards."""
    own = root / IDENTITY
    return load_key(own) if own.exists() else open_key(root / FOLDER / "key.pem")


def _about(settings: Settings, number: int, clock: Clock, key: SigningKey) -> dict[str, Any]:
    return {"site": settings.site.name, "number": number, "at": written(clock.now().replace(microsecond=0)), "key": key}


# --- what the card says -----------------------------------------------------------------------------------------------------------


def _content(settings: Settings, found: Described, told: dict[tuple[str, ...], Any], before: SignedCard | None) -> Content:
    kinds, codes = _kinds(told), _codes(found, told, before)
    first, last = told.get(("years", "")) or (None, None)
    return Content(
        about=settings.publish.about,
        patients=told.get(PATIENTS),
        first=first,
        last=last,
        kinds=kinds,
        codes=codes,
        modalities=_modalities(kinds, codes),
        sources=_sources(settings, found, told),
        quality={key[1]: band for key, band in told.items() if key[0] == "quality" and band is not None},  # type: ignore[misc]
        min_cell_count=settings.policy.min_cell_count,
        round_to=settings.policy.round_to,
    )


def _kinds(told: dict[tuple[str, ...], Any]) -> list[KindEntry]:
    kinds = []
    for key, patients in told.items():
        if key[0] == "kind":
            first, last = told.get(("years", key[1])) or (None, None)
            shares = {name: told.get((name, key[1])) for name in SHARES}
            kinds.append(KindEntry(kind=key[1], patients=patients, first=first, last=last, **shares))
    return kinds


def _codes(found: Described, told: dict[tuple[str, ...], Any], before: SignedCard | None) -> list[CodeEntry]:
    """Those that enough patients have, and those of which an earlier number stands, in the same words; the commonest first."""
    now = () if found.card is None else found.card.codes
    earlier = () if before is None or before.card is None else before.card.codes
    names = {("code", one.kind, one.system, one.code, one.unit) for one in now}
    words: dict[tuple[str, ...], str] = {
        ("code", one.kind, one.system, one.code, one.unit): one.display for one in (*now, *earlier)
    }
    codes = [
        CodeEntry(kind=key[1], system=key[2], code=key[3], unit=key[4], display=words.get(key, "")[:LONGEST], patients=patients)
        for key, patients in told.items()
        if key[0] == "code" and (patients is not None or key in names) and max(map(len, key)) <= LONGEST
    ]
    return sorted(codes, key=lambda one: (-(one.patients or 0), one.kind, one.system, one.code, one.unit))


def _modalities(kinds: Sequence[KindEntry], codes: Sequence[CodeEntry]) -> list[ModalityEntry]:
    found: dict[str, int | None] = {}
    for one in codes:
        name = one.code if one.kind == "image" else SIGNALS.get((one.system, one.code))
        if name is not None:
            found[name] = max(found.get(name) or 0, one.patients or 0) or None
    for kind in kinds:
        if kind.kind == "report" and kind.patients is not None:
            found["report"] = kind.patients
    return [ModalityEntry(name=name, patients=patients) for name, patients in found.items()]


def _sources(settings: Settings, found: Described, told: dict[tuple[str, ...], Any]) -> list[SourceEntry]:
    sources = []
    for alias, variables in found.sources.items():
        entries = [
            VariableEntry(
                name=one.name[:LONGEST],
                type=one.type,
                unit=one.unit[:LONGEST],
                code=one.code,
                about=one.about,
                complete=told.get(("complete", alias, one.name)),
            )
            for one in variables
        ]
        about = settings.sources[alias].about
        sources.append(SourceEntry(alias=alias, about=about, rows=told.get(("rows", alias)), variables=entries))
    return sources
