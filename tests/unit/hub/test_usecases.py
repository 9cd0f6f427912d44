"""What people and sites can do at the hub: who may, in which order, and what survives."""

import sqlite3
from dataclasses import replace

import pytest

from huizhen.clock import ManualClock
from huizhen.errors import CallerError, FederationError, LedgerError, MachineError, PolicyError, SiteError, StudyError
from huizhen.federation.consent import Consent
from huizhen.federation.life import LifeEvent
from huizhen.hub import running, usecases
from huizhen.hub.actor import Actor, Member, MembersInMemory
from huizhen.hub.db import Drafted, HubStore
from huizhen.hub.lives import Lives
from huizhen.hub.running import Hub
from huizhen.ledger.chain import linked
from huizhen.ledger.keys import new_key, public_hex
from huizhen.ledger.store import MemoryLedger, SqliteLedger
from huizhen.policy.disclosure import DisclosurePolicy

SITES = ("east", "west", "north")
KEYS = {name: new_key() for name in (*SITES, "gpu")}
LI, WANG = Actor("li", "researcher", "ULI"), Actor("wang", "researcher", "UWANG")
OPERATOR = Actor("operator", "operator", "")
STUDY = {"study": {"title": "Age"}, "method": {"summary": {"variables": ["age"]}}}
POLICY = DisclosurePolicy().model_dump(mode="json")


def site(name):
    return Actor(name, "site", f"U{name.upper()}")


def members(*without):
    found = [Member(a.name, a.role, a.key) for a in (LI, WANG)]
    found += [Member(name, "site", f"U{name.upper()}", public_hex(KEYS[name].public)) for name in SITES]
    found.append(Member("gpu", "provider", "UGPU", public_hex(KEYS["gpu"].public)))
    return MembersInMemory({one.name: one for one in found if one.name not in without})


class Place:
    """A hub's folder, whose hub can be killed and started again."""

    def __init__(self, folder):
        self.folder, self.key, self.clock = folder, new_key(), ManualClock()
        self.open()

    def open(self):
        self.store = HubStore(self.folder / "hub.sqlite")
        self.ledger = SqliteLedger(self.folder / "ledger.sqlite", self.key)
        self.hub = Hub(Lives(self.store, self.ledger), members(), self.clock)

    def close(self):
        self.store.close()
        self.ledger.close()

    def again(self):
        self.close()
        self.open()
        return self.hub


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def hub(place):
    return place.hub


def submitted(hub, study=STUDY, actor=LI, **wish):
    return usecases.submit(hub, actor, {"study": study, **wish})["id"]


def said(hub, id, name, choice="accept", key=None, **changed):
    digest = hub.lives.life(id).proposal
    fields = {"reason": "", "at": "2026-01-01T00:00:00+00:00", "policy": POLICY if choice == "accept" else {}}
    return replace(Consent(digest, id, name, choice, **fields), **changed).signed(key or KEYS[name])


def decide(hub, id, name, choice="accept", **changed):
    return usecases.consent(hub, site(name), said(hub, id, name, choice, **changed).content)


def run_to_end(hub, id):
    running.started(hub, id, run="run-1")
    running.closing(hub, id)
    running.finished(hub, id, {"summary": {"mean": 61.5}})


def state(hub, id):
    return usecases.status(hub, LI, {"id": id})["state"]


def test_a_study_is_submitted_accepted_run_and_its_result_fetched(hub):
    id = submitted(hub)
    assert [one["state"] for one in usecases.inbox_of(hub, site("east"), {})["suggestions"]] == ["proposed"]
    for name in SITES:
        decide(hub, id, name)
    assert state(hub, id) == "waiting"
    assert running.next_to_run(hub).id == id
    assert running.policies(hub, id) == dict.fromkeys(SITES, POLICY)
    run_to_end(hub, id)
    found = usecases.result(hub, LI, {"id": id})
    assert (found["state"], found["result"]) == ("done", {"summary": {"mean": 61.5}})
    assert usecases.inbox_of(hub, site("east"), {})["suggestions"] == []
    digest = hub.lives.life(id).proposal
    assert usecases.inbox_of(hub, site("east"), {"known": [digest]})["states"] == {digest: "done"}


def test_every_step_is_on_the_signed_ledger_before_it_counts(place):
    id = submitted(place.hub)
    decide(place.hub, id, "east")
    facts = [entry.payload for entry in linked(place.ledger.entries())]
    assert [fact["event"]["kind"] for fact in facts] == ["drafted", "proposed", "accepted"]
    assert [fact["number"] for fact in facts] == [0, 1, 2]
    assert place.ledger.verify().sound


def test_a_draft_is_proposed_later_by_whoever_drafted_it(hub):
    id = submitted(hub, propose=False)
    assert state(hub, id) == "drafted"
    with pytest.raises(PolicyError, match="may not do this"):
        usecases.propose(hub, WANG, {"id": id})
    assert usecases.propose(hub, LI, {"id": id})["state"] == "proposed"
    with pytest.raises(CallerError, match="is proposed"):
        usecases.propose(hub, LI, {"id": id})


def test_a_study_that_cannot_be_proposed_is_not_kept(hub):
    named = {**STUDY, "participants": {"sites": ["east", "nowhere"]}}
    with pytest.raises(CallerError, match="nowhere"):
        submitted(hub, named)
    with pytest.raises(CallerError, match="west"):
        submitted(hub, providers=["west"])
    with pytest.raises(StudyError, match="histogramm"):
        submitted(hub, {"method": {"histogramm": {}}})
    with pytest.raises(CallerError) as caught:
        usecases.submit(hub, LI, {"study": STUDY, "priority": 11, "expires": "soon", "more": 1})
    assert len(caught.value.problems) == 3
    assert usecases.studies(hub, OPERATOR, {})["studies"] == []
    assert hub.lives.ledger.head.entries == 0


def test_a_suggestion_that_a_site_knows_is_not_sent_again(hub):
    id = submitted(hub)
    digest = hub.lives.life(id).proposal
    told = usecases.inbox_of(hub, site("east"), {"known": [digest, "ff" * 32]})
    assert (told["suggestions"], told["states"]) == ([], {digest: "proposed"})


def test_what_is_submitted_again_because_no_answer_came_is_the_same_study(place):
    first = submitted(place.hub, nonce="n" * 32)
    assert submitted(place.again(), nonce="n" * 32) == first
    assert submitted(place.hub, actor=WANG, nonce="n" * 32) != first
    assert len(usecases.studies(place.hub, LI, {})["studies"]) == 1
    with pytest.raises(CallerError, match="nonce of another study"):
        submitted(place.hub, {"method": {"summary": {"variables": ["weight"]}}}, nonce="n" * 32)


def test_a_crash_between_draft_and_proposal_is_mended_by_submitting_again(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(HubStore, "propose", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            submitted(place.hub, nonce="n" * 32)
    hub = place.again()
    assert state(hub, submitted(hub, nonce="n" * 32)) == "proposed"


def test_variables_are_read_as_all_sites_agree(hub):
    id = submitted(hub, {"method": {"summary": {"variables": ["age", "stage"]}}, "variables": {"age": {"unit": "a"}}})
    for name, age in zip(SITES, ("number", "category", "category")):
        decide(hub, id, name, reads={"age": {"kind": age}, "stage": {"kind": "category"}})
    found = running.variables(hub, id)
    assert {name: (one.kind, one.unit) for name, one in found.items()} == {"age": ("number", "a"), "stage": ("category", "")}


def test_images_that_differ_from_site_to_site_are_named(hub):
    network = {"network": "small_cnn", "image": "scan", "outcome": "died"}
    id = submitted(hub, {"method": {"averaging": network}})
    for name, size in zip(SITES, (8, 8, 16)):
        decide(hub, id, name, reads={"scan": {"kind": "image", "shape": [1, size, size], "stored": "uint8"}})
    with pytest.raises(CallerError, match="site north"):
        running.variables(hub, id)


@pytest.mark.parametrize(
    "actor",
    [
        Actor("li", "researcher", "UWANG"),
        Actor("li", "operator", "ULI"),
        Actor("nobody", "researcher", "U"),
        replace(LI, role="site"),
    ],
)
def test_a_stranger_is_told_nothing(hub, actor):
    id = submitted(hub)
    for use, body in (
        (usecases.status, {"id": id}),
        (usecases.studies, {}),
        (usecases.cancel, {"id": id}),
        (usecases.inbox_of, {}),
    ):
        with pytest.raises(PolicyError, match="does not know you"):
            use(hub, actor, body)


def test_a_revoked_site_cannot_speak_any_more(place):
    id = submitted(place.hub)
    revoked = Hub(place.hub.lives, members("east"), place.clock)
    with pytest.raises(PolicyError, match="does not know you"):
        usecases.consent(revoked, site("east"), said(revoked, id, "east").content)
    assert place.hub.lives.life(id).stances["east"] == "asked"


def test_a_site_may_not_submit_and_a_researcher_may_not_consent(hub):
    id = submitted(hub)
    with pytest.raises(PolicyError, match="may not do this"):
        usecases.submit(hub, site("east"), {"study": STUDY})
    with pytest.raises(PolicyError, match="may not do this"):
        usecases.consent(hub, LI, said(hub, id, "east").content)


def test_cancel_by_somebody_else_is_refused(hub):
    id = submitted(hub)
    with pytest.raises(PolicyError, match="may not do this"):
        usecases.cancel(hub, WANG, {"id": id})
    assert usecases.cancel(hub, OPERATOR, {"id": id, "reason": "twice"})["state"] == "cancelled"
    with pytest.raises(CallerError, match="is cancelled"):
        decide(hub, id, "east")


def test_a_study_is_cancelled_in_mid_run_and_its_rounds_find_out(hub):
    id = submitted(hub)
    for name in SITES:
        decide(hub, id, name)
    running.started(hub, id, run="run-1")
    usecases.cancel(hub, LI, {"id": id, "reason": "wrong cohort"})
    assert hub.lives.life(id).reason == "wrong cohort"
    with pytest.raises(CallerError, match="is cancelled"):
        running.closing(hub, id)


def test_the_link_shows_how_a_study_stands_and_not_what_it_found(hub):
    id = submitted(hub)
    for name in SITES:
        decide(hub, id, name)
    run_to_end(hub, id)
    assert usecases.status(hub, WANG, {"id": id})["title"] == "Age"
    with pytest.raises(PolicyError, match="may not do this"):
        usecases.result(hub, WANG, {"id": id})
    assert usecases.studies(hub, WANG, {})["studies"] == []
    assert len(usecases.studies(hub, site("east"), {})["studies"]) == 1
    with pytest.raises(CallerError, match="no such study"):
        usecases.status(hub, WANG, {"id": "study-0"})


def test_there_is_no_result_before_the_study_is_done(hub):
    with pytest.raises(CallerError, match="a study that is proposed"):
        usecases.result(hub, LI, {"id": submitted(hub)})


def test_one_that_declines_ends_a_study_that_all_must_accept(hub):
    id = submitted(hub)
    assert decide(hub, id, "west", "decline", reason="no time")["state"] == "failed"
    assert usecases.status(hub, LI, {"id": id})["reason"] == "not every participant accepts: west"


def test_a_consent_sent_again_is_answered_again_and_changes_nothing(hub):
    id = submitted(hub)
    accepted = said(hub, id, "east").content
    first = usecases.consent(hub, site("east"), accepted)
    assert usecases.consent(hub, site("east"), accepted) == first
    assert hub.lives.ledger.head.entries == 3  # drafted, proposed, accepted


def test_an_acceptance_replayed_after_a_withdrawal_is_refused(hub):
    id = submitted(hub, {**STUDY, "start": {"when": "enough accepted", "sites": 2}})
    accepted = said(hub, id, "east").content
    usecases.consent(hub, site("east"), accepted)
    assert decide(hub, id, "east", "withdraw")["stance"] == "withdrawn"
    with pytest.raises(CallerError, match="second decision of east"):
        usecases.consent(hub, site("east"), accepted)


def test_a_forged_consent_is_refused(hub):
    id = submitted(hub)
    other = submitted(hub)
    forged = said(hub, id, "east", key=KEYS["west"])
    with pytest.raises(PolicyError, match="not this site's"):
        usecases.consent(hub, site("east"), forged.content)
    with pytest.raises(PolicyError, match="not this site's"):
        usecases.consent(hub, site("west"), said(hub, id, "east").content)
    with pytest.raises(PolicyError, match="not this site's"):
        usecases.consent(hub, site("east"), {**said(hub, id, "east", "decline").content, "choice": "accept", "policy": POLICY})
    with pytest.raises(CallerError, match="nothing that was proposed"):
        usecases.consent(hub, site("east"), said(hub, id, "east", study=other).content)
    assert hub.lives.life(id).accepted == ()


def test_an_acceptance_without_a_policy_that_can_be_held_to_is_refused(hub):
    id = submitted(hub)
    with pytest.raises(SiteError, match="min_rows"):
        decide(hub, id, "east", policy={"min_rows": 0})
    assert hub.lives.life(id).accepted == ()


def test_a_site_that_withdraws_in_mid_run_is_lost(hub):
    id = submitted(hub)
    for name in SITES:
        decide(hub, id, name)
    running.started(hub, id, run="run-1")
    assert decide(hub, id, "west", "withdraw", reason="audit")["state"] == "running"
    assert usecases.status(hub, LI, {"id": id})["lost"] == ["west"]


def test_a_suggestion_expires_by_the_hubs_clock(place, hub):
    id = submitted(hub, expires="2 h")
    place.clock.advance(7199)
    assert running.expire(hub) == ()
    place.clock.advance(1)
    assert running.expire(hub) == (id,)
    assert state(hub, id) == "failed"
    assert running.expire(hub) == ()


def test_the_queue_goes_by_priority_and_then_by_age(hub):
    ids = [submitted(hub, priority=priority) for priority in (5, 9, 5)]
    for id in reversed(ids):
        for name in SITES:
            decide(hub, id, name)
    assert running.queue(hub) == (ids[1], ids[0], ids[2])
    running.started(hub, ids[1], run="run-1")
    assert running.next_to_run(hub).id == ids[0]
    assert running.unfinished(hub) == (ids[1],)


def test_the_queue_keeps_its_order_when_the_clock_was_off_by_a_day(place, hub):
    place.clock.advance(86_400)
    first = submitted(hub)
    place.clock.elapsed_s = 0.0  # somebody sets it right
    second = submitted(hub)
    for id in (second, first):
        for name in SITES:
            decide(hub, id, name)
    assert running.queue(hub) == (first, second)


def test_a_study_waits_for_its_time(place, hub):
    id = submitted(hub, {**STUDY, "start": {"at": "2026-01-01T01:00:00+00:00"}})
    for name in SITES:
        decide(hub, id, name)
    assert (state(hub, id), running.queue(hub)) == ("waiting", ())
    place.clock.advance(3600)
    assert running.queue(hub) == (id,)


def test_a_study_waits_for_rows_as_the_sites_told_them(hub):
    id = submitted(hub, {**STUDY, "start": {"when": "enough accepted", "sites": 1, "joint_rows": 1000}})
    decide(hub, id, "east", rows=600)
    assert state(hub, id) == "proposed"
    decide(hub, id, "west", rows=400)
    assert state(hub, id) == "waiting"


def test_a_compute_provider_is_asked_too(hub):
    id = submitted(hub, providers=["gpu"])
    gpu = Actor("gpu", "provider", "UGPU")
    assert len(usecases.inbox_of(hub, gpu, {})["suggestions"]) == 1
    for name in SITES:
        decide(hub, id, name)
    assert state(hub, id) == "proposed"
    usecases.consent(hub, gpu, said(hub, id, "gpu").content)
    assert state(hub, id) == "waiting"


def test_a_hub_that_was_killed_goes_on_where_it_was(place):
    id = submitted(place.hub)
    for name in SITES:
        decide(place.hub, id, name)
    running.started(place.hub, id, run="run-1")
    before = place.hub.lives.life(id)
    hub = place.again()
    assert hub.lives.life(id) == before
    assert running.unfinished(hub) == (id,)
    running.closing(hub, id)


@pytest.mark.parametrize("place_of_death", ["append", "settle"])
def test_a_crash_between_ledger_and_store_loses_nothing(place, monkeypatch, place_of_death):
    id = submitted(place.hub)
    target = place.store if place_of_death == "append" else place.ledger
    with monkeypatch.context() as patch:
        patch.setattr(type(target), place_of_death, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            decide(place.hub, id, "east")
    hub = place.again()
    assert hub.lives.life(id).accepted == ("east",)
    assert decide(hub, id, "east")["stance"] == "accepted"  # the site sends it again
    assert running.policies(hub, id) == {"east": POLICY}


def test_a_crash_before_the_ledger_leaves_the_study_as_it_was(place, monkeypatch):
    id = submitted(place.hub)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "append", lambda *_, **__: (_ for _ in ()).throw(MachineError("The disk is full.")))
        with pytest.raises(MachineError):
            decide(place.hub, id, "east")
    assert place.hub.lives.life(id).accepted == ()
    assert decide(place.again(), id, "east")["stance"] == "accepted"


def test_a_hub_whose_store_was_full_for_a_while_goes_on(place, monkeypatch):
    id = submitted(place.hub)
    with monkeypatch.context() as patch:
        patch.setattr(HubStore, "append", lambda *_, **__: (_ for _ in ()).throw(MachineError("The disk is full.")))
        with pytest.raises(MachineError):
            decide(place.hub, id, "east")
    decide(place.hub, id, "west")
    assert place.hub.lives.life(id).accepted == ("east", "west")
    assert place.again().lives.life(id).accepted == ("east", "west")


def test_a_full_disk_is_told_and_nothing_is_half_written(place):
    id = submitted(place.hub)
    place.store._file.execute(f"PRAGMA max_page_count = {place.store._file.execute('PRAGMA page_count').fetchone()[0]}")
    before = place.ledger.head.entries
    big = {**STUDY, "study": {"question": "?" * 2000}}
    with pytest.raises(MachineError, match="SQLITE_FULL"):
        [submitted(place.hub, big) for _ in range(50)]
    place.store._file.execute("PRAGMA max_page_count = 1000000")
    hub = place.again()
    assert hub.lives.life(id).state == "proposed"
    assert before <= place.ledger.head.entries
    for one in usecases.studies(hub, OPERATOR, {})["studies"]:
        assert one["state"] in ("drafted", "proposed")


def test_two_hubs_on_one_folder_are_refused_and_readers_are_not(place):
    with pytest.raises(FederationError, match="in use"):
        HubStore(place.folder / "hub.sqlite")
    id = submitted(place.hub)
    with HubStore.read(place.folder / "hub.sqlite") as reader:
        assert [one.id for one in reader.studies()] == [id]
        with pytest.raises(MachineError):
            reader.draft(Drafted(0, "x", "", "", 1, 1.0, {}))


def test_a_store_that_is_none_is_not_opened(tmp_path):
    with pytest.raises(CallerError, match="no hub here"):
        HubStore.read(tmp_path / "hub.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as file:
        file.execute("CREATE TABLE other (x)")
    file.close()
    with pytest.raises(FederationError, match="no hub's store"):
        HubStore(tmp_path / "other.sqlite")
    (tmp_path / "junk.sqlite").write_bytes(b"junk" * 1000)
    with pytest.raises(MachineError, match="NOTADB"):
        HubStore(tmp_path / "junk.sqlite")


def test_a_ledger_of_another_hub_is_not_taken_over(tmp_path, hub):
    id, ledger = submitted(hub), MemoryLedger(new_key())
    event = {"kind": "closing", "at": "2026-01-01T00:00:00+00:00", "by": "", "reason": "", "facts": {}}
    ledger.append("study", {"study": id, "number": 3, "event": event}, hub.clock.now())
    with HubStore(tmp_path / "other.sqlite") as empty, pytest.raises(LedgerError, match="do not belong together"):
        Lives(empty, ledger)


def test_a_study_that_never_reached_the_ledger_is_none(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "append", lambda *_, **__: (_ for _ in ()).throw(MachineError("The disk is full.")))
        with pytest.raises(MachineError):
            submitted(place.hub)
    assert usecases.studies(place.hub, OPERATOR, {})["studies"] == []
    assert running.expire(place.hub) == ()
    id = submitted(place.hub)
    assert [one["id"] for one in usecases.studies(place.again(), OPERATOR, {})["studies"]] == [id]


def test_an_event_that_cannot_happen_leaves_no_trace(place):
    id = submitted(place.hub)
    before = place.ledger.head
    with pytest.raises(CallerError, match="is proposed"):
        place.hub.lives.advance(id, LifeEvent("closing", place.clock.now()))
    assert place.ledger.head == before
