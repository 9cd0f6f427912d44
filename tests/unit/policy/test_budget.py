"""A privacy budget cannot be overspent: not by two studies at once, not by a crash, not by a clock that is set."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from huizhen.clock import ManualClock
from huizhen.errors import LedgerError, MachineError, SiteError
from huizhen.ledger.keys import new_key
from huizhen.ledger.store import MemoryLedger, SqliteLedger
from huizhen.policy.budget import Budget, judge_spending
from huizhen.policy.disclosure import DisclosurePolicy, disclosure_policy
from huizhen.policy.gate import Gate
from huizhen.policy.purse import CHARGED, RESERVED, SETTLED, Purse
from huizhen.privacy.accounting import GaussianEvent, LaplaceEvent, SelfComposedEvent, epsilon

TOTAL = Budget(epsilon=2.0, delta=1e-6)
STEP = GaussianEvent(20.0)
TEN = [SelfComposedEvent(STEP, 10)]  # epsilon 0.65; 60 steps: 1.70, 75: 1.93, 80: 1.99, 90: 2.13


class SetBackClock(ManualClock):
    """Each entry is dated a year before the last."""

    def now(self):
        self.start -= timedelta(days=365)
        return self.start


@pytest.fixture
def ledger():
    return MemoryLedger(new_key())


@pytest.fixture
def purse(ledger):
    return Purse(ledger, ManualClock(), TOTAL)


def kinds(ledger):
    return [entry.kind for entry in ledger.entries()]


def test_what_is_reserved_is_on_the_ledger_before_the_study_starts_and_counts_as_spent(purse, ledger):
    assert purse.reserve("study a", TEN).allowed
    (entry,) = ledger.entries()
    assert entry.kind == RESERVED
    assert entry.payload == {
        "dataset": "everything",
        "study": "study a",
        "events": [{"kind": "gaussian", "noise_multiplier": 20.0, "count": 10}],
    }
    assert purse.spent == {STEP: 10}


def test_studies_are_composed_and_not_added(purse):
    """Six of epsilon 0.65 are 3.9 when added; composed they are 60 steps, 1.70."""
    assert 6 * epsilon(TEN, 1e-6).pld > 1.9 * TOTAL.epsilon
    assert all(purse.reserve(f"study {number}", TEN).allowed for number in range(6))
    assert epsilon([SelfComposedEvent(STEP, 60)], 1e-6).pld <= TOTAL.epsilon


def test_a_study_that_would_overspend_is_refused_before_it_starts_with_what_is_left_and_what_would_fit(purse, ledger):
    assert purse.reserve("first", [GaussianEvent(3.0)]).allowed
    refused = purse.reserve("second", [GaussianEvent(3.0)])
    assert (refused.allowed, refused.clauses) == (False, ("budget",))
    assert refused.reasons == (
        "budget: of epsilon 2 (delta 1e-06) 1.45 is spent or reserved, so 0.552 is left, "
        "and this study would bring it to 2.11; with 1.25 times its noise it would fit",
    )
    assert purse.reserve("second", [GaussianEvent(4.5)]).allowed
    assert kinds(ledger) == [RESERVED, RESERVED]


def test_where_nothing_fits_the_refusal_says_so():
    spent = Counter({GaussianEvent(2.25): 1})  # 1.98
    refused = judge_spending(TOTAL, spent, [GaussianEvent(0.01)])
    assert refused.reasons[0].endswith("with 100 times its noise it would not fit either; ask the site for a larger budget")


def test_charges_are_taken_from_the_reservation_and_no_more(purse, ledger):
    assert purse.reserve("study", TEN).allowed
    assert all(purse.charge("study", STEP).allowed for _ in range(10))
    refused = purse.charge("study", STEP)
    assert (refused.allowed, refused.clauses) == (False, ("budget",))
    assert kinds(ledger) == [RESERVED] + 10 * [CHARGED]


def test_a_release_with_less_noise_than_reserved_is_refused(purse):
    assert purse.reserve("study", TEN).allowed
    assert not purse.charge("study", GaussianEvent(19.9)).allowed
    assert not purse.charge("study", SelfComposedEvent(STEP, 11)).allowed
    assert purse.charge("study", SelfComposedEvent(STEP, 10)).allowed


def test_a_study_without_reservation_releases_nothing(purse, ledger):
    assert not purse.charge("stranger", STEP).allowed
    assert purse.settle("stranger").allowed
    assert kinds(ledger) == []


def test_settling_keeps_what_was_released_and_frees_the_rest(purse):
    assert purse.reserve("study", TEN).allowed
    assert purse.charge("study", SelfComposedEvent(STEP, 3)).allowed
    assert purse.settle("study").allowed
    assert purse.spent == {STEP: 3}
    assert not purse.charge("study", STEP).allowed
    assert purse.reserve("study", TEN).allowed  # anew, on top of the three
    assert purse.spent == {STEP: 13}


def test_a_crash_between_charge_and_release_leaves_it_spent(tmp_path):
    path, key = tmp_path / "ledger.sqlite", new_key()
    ledger = SqliteLedger(path, key)
    before = Purse(ledger, ManualClock(), TOTAL)
    assert before.reserve("study", TEN).allowed
    assert before.charge("study", SelfComposedEvent(STEP, 4)).allowed
    ledger.close()  # the program dies here: neither released nor settled
    ledger = SqliteLedger(path, key)
    after = Purse(ledger, ManualClock(), TOTAL)
    assert after.spent == {STEP: 10}
    assert not after.charge("study", STEP).allowed  # nobody has looked whether it still fits
    assert after.reserve("study", TEN).allowed  # the same again goes on with it
    assert after.spent == {STEP: 10}
    assert not after.charge("study", SelfComposedEvent(STEP, 7)).allowed
    assert after.charge("study", SelfComposedEvent(STEP, 6)).allowed
    assert after.settle("study").allowed
    ledger.close()
    ledger = SqliteLedger(path, key)
    assert Purse(ledger, ManualClock(), TOTAL).spent == {STEP: 10}
    ledger.close()


def test_a_study_cannot_go_on_with_other_noise_than_it_reserved(purse):
    assert purse.reserve("study", TEN).allowed
    assert not purse.reserve("study", [SelfComposedEvent(STEP, 11)]).allowed
    assert purse.spent == {STEP: 10}


def test_many_studies_at_once_cannot_overspend(purse):
    asked = [SelfComposedEvent(STEP, 15)]  # five fit: 75 steps; six do not: 90
    decisions = {}

    def reserve(number):
        decisions[number] = purse.reserve(f"study {number}", asked).allowed

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(decisions.values()) == 5
    assert purse.spent == {STEP: 75}


class Delayed(MemoryLedger):
    """Lets another purse write first, after this one has judged and before it appends."""

    first = None

    def append(self, kind, payload, time):
        if self.first is not None:
            first, self.first = self.first, None
            first()
        return super().append(kind, payload, time)


def test_of_two_purses_on_one_ledger_the_later_one_withdraws():
    ledger = Delayed(new_key())
    one, other = (Purse(ledger, ManualClock(), TOTAL) for _ in range(2))
    won = []
    ledger.first = lambda: won.append(other.reserve("other", [GaussianEvent(3.0)]))
    lost = one.reserve("one", [GaussianEvent(3.0)])
    assert (won[0].allowed, lost.allowed) == (True, False)
    assert kinds(ledger) == [RESERVED, RESERVED, SETTLED]
    assert one.spent == other.spent == {GaussianEvent(3.0): 1}
    assert not one.charge("one", GaussianEvent(3.0)).allowed


def test_two_purses_cannot_charge_one_reservation_twice():
    ledger = Delayed(new_key())
    one, other = (Purse(ledger, ManualClock(), TOTAL) for _ in range(2))
    assert one.reserve("study", [STEP]).allowed
    assert other.reserve("study", [STEP]).allowed
    won = []
    ledger.first = lambda: won.append(other.charge("study", STEP))
    lost = one.charge("study", STEP)
    assert (won[0].allowed, lost.allowed) == (True, False)
    assert one.spent == {STEP: 2}  # written is spent


def test_a_clock_set_back_or_forward_changes_nothing(ledger):
    clock = SetBackClock(start=datetime(2026, 1, 1, tzinfo=UTC))
    purse = Purse(ledger, clock, TOTAL)
    assert purse.reserve("a", [GaussianEvent(3.0)]).allowed
    clock.start = datetime(2500, 1, 1, tzinfo=UTC)
    assert not purse.reserve("b", [GaussianEvent(3.0)]).allowed
    assert not Purse(ledger, clock, TOTAL).reserve("b", [GaussianEvent(3.0)]).allowed


def test_a_budget_that_was_lowered_holds_for_what_was_spent_before(ledger):
    assert Purse(ledger, ManualClock(), TOTAL).reserve("a", TEN).allowed
    lowered = Purse(ledger, ManualClock(), Budget(epsilon=0.5, delta=1e-6))
    assert not lowered.reserve("b", [GaussianEvent(1e4)]).allowed
    assert not lowered.reserve("a", TEN).allowed  # nor does the first go on


def test_data_sets_of_different_names_have_budgets_of_their_own(ledger):
    one, other = (Purse(ledger, ManualClock(), TOTAL.model_copy(update={"dataset": name})) for name in ("adults", "children"))
    assert one.reserve("a", [GaussianEvent(3.0)]).allowed
    assert other.reserve("b", [GaussianEvent(3.0)]).allowed
    assert not one.reserve("c", [GaussianEvent(3.0)]).allowed


@pytest.mark.parametrize("refused_at", ["append", "settle"])
def test_what_cannot_be_written_cannot_be_spent(refused_at):
    class Full(MemoryLedger):
        full = False

        def append(self, kind, payload, time):
            if self.full and refused_at == "append":
                raise MachineError("The ledger cannot be written.")
            return super().append(kind, payload, time)

        def settle(self):
            if self.full:
                raise MachineError("The ledger cannot be written.")

    ledger = Full(new_key())
    purse = Purse(ledger, ManualClock(), TOTAL)
    assert purse.reserve("a", TEN).allowed
    ledger.full = True
    decision = purse.charge("a", STEP)
    assert (decision.allowed, decision.clauses) == (False, ("ledger",))
    assert purse.reserve("b", TEN).clauses == purse.settle("a").clauses == ("ledger",)
    ledger.full = False
    assert purse.spent[STEP] >= 10 if refused_at == "append" else purse.spent[STEP] >= 1


def test_an_entry_about_privacy_that_cannot_be_understood_closes_the_purse(ledger):
    fact = {"dataset": "everything", "study": "a", "events": [{"kind": "skellam", "mu": 3.0, "count": 1}]}
    ledger.append(RESERVED, fact, ManualClock().now())
    with pytest.raises(LedgerError, match="cannot be understood"):
        Purse(ledger, ManualClock(), TOTAL)
    with pytest.raises(LedgerError, match="A site's ledger does not verify"):
        Gate("west", DisclosurePolicy(budget=TOTAL), ledger, ManualClock())


def test_a_budget_is_a_clause_of_the_policy():
    policy = disclosure_policy({"budget": {"epsilon": 8, "delta": 1e-6}})
    assert policy.budget == Budget(epsilon=8.0, delta=1e-6, dataset="everything", allow_exact=False)
    assert policy.clauses()["budget"] == "epsilon 8 at delta 1e-06"
    assert DisclosurePolicy().clauses()["budget"] == "none"


def test_all_mistakes_of_a_budget_are_told_at_once_with_their_places():
    with pytest.raises(SiteError) as caught:
        disclosure_policy({"budget": {"epsilon": 0, "delta": 2.0, "per_year": True}, "min_rows": 0})
    assert [problem.where for problem in caught.value.problems] == [
        "policy.min_rows",
        "policy.budget.epsilon",
        "policy.budget.delta",
        "policy.budget.per_year",
    ]
    assert caught.value.problems[3].expected == "one of: epsilon, delta, dataset, allow_exact, allow_row_counts"


@pytest.fixture
def release(question, answer, roster):
    def ask(gate, **circumstances):
        keys = {"question_key": "a" * 64, "question_digest": "d" * 64}
        usual = {"study": "5" * 64, "run": "run-1", "round": 3, "lane": "embedded", "roster": roster}
        return gate.release(question, answer(), **{**usual, **keys, **circumstances})

    return ask


def test_the_gate_charges_before_it_records_the_release(ledger, release):
    gate = Gate("west", DisclosurePolicy(budget=TOTAL), ledger, ManualClock())
    assert gate.purse.reserve("5" * 64, [STEP]).allowed
    assert release(gate, spends=STEP).allowed
    assert kinds(ledger) == [RESERVED, CHARGED, "released"]
    *_, entry = ledger.entries()
    assert entry.payload["spends"] == [{"kind": "gaussian", "noise_multiplier": 20.0, "count": 1}]
    refused = release(gate, spends=STEP)
    assert (refused.allowed, refused.clauses) == (False, ("budget",))
    assert kinds(ledger)[-1] == "refused"


def test_an_answer_that_is_refused_anyway_costs_nothing(ledger, release):
    gate = Gate("west", DisclosurePolicy(budget=TOTAL, methods=("cox",)), ledger, ManualClock())
    assert gate.purse.reserve("5" * 64, [STEP]).allowed
    assert release(gate, spends=STEP).clauses == ("methods",)
    assert kinds(ledger) == [RESERVED, "refused"]


def test_a_site_with_a_budget_lets_out_no_exact_answer_unless_it_says_so(ledger, release):
    strict = Gate("west", DisclosurePolicy(budget=TOTAL), ledger, ManualClock())
    assert release(strict).clauses == ("budget",)
    lenient = Gate("west", DisclosurePolicy(budget=TOTAL.model_copy(update={"allow_exact": True})), ledger, ManualClock())
    assert release(lenient).allowed


def test_a_site_without_a_budget_has_no_purse_and_records_the_noise_all_the_same(ledger, release):
    gate = Gate("west", DisclosurePolicy(), ledger, ManualClock())
    assert gate.purse is None
    assert release(gate, spends=LaplaceEvent(2.0)).allowed
    (entry,) = ledger.entries()
    assert entry.payload["spends"] == [{"kind": "laplace", "noise_multiplier": 2.0, "count": 1}]


def test_nobody_writes_what_was_spent_but_the_purse(ledger):
    gate = Gate("west", DisclosurePolicy(), ledger, ManualClock())
    with pytest.raises(ValueError, match="by releasing alone"):
        gate.record(SETTLED, {"dataset": "everything", "study": "a", "reservation": 0})


def test_numbers_from_arrays_are_plain_numbers_on_the_ledger(purse, ledger):
    assert purse.reserve("study", [GaussianEvent(np.float64(20.0))]).allowed
    assert purse.charge("study", GaussianEvent(20.0)).allowed
    assert [entry.kind for entry in ledger.entries()] == [RESERVED, CHARGED]


def test_what_no_ledger_can_hold_is_refused(purse, ledger):
    assert purse.reserve("a" * 300_000, TEN).clauses == ("ledger",)  # a ledger takes 262,144 characters
    assert list(ledger.entries()) == []


def test_one_draw_of_noise_is_charged_once_also_by_a_purse_that_was_opened_anew(purse, ledger):
    """A site that crashed after charging sends the very same noisy answer again."""
    assert purse.reserve("study a", TEN).allowed
    assert purse.charge("study a", STEP, draw="first").allowed
    reopened = Purse(ledger, ManualClock(), TOTAL)
    assert reopened.charge("study a", STEP, draw="first").allowed
    assert kinds(ledger) == [RESERVED, CHARGED]
    assert not reopened.charge("study a", STEP, draw="second").allowed, "nothing is reserved in this purse's own life"
    assert not reopened.charge("study b", STEP, draw="first").allowed
    assert not reopened.charge("study a", GaussianEvent(10.0), draw="first").allowed, "another noise under the same name"
    assert reopened.reserve("study a", TEN).allowed
    assert reopened.settle("study a").allowed
    assert reopened.spent == {STEP: 1}


@pytest.mark.parametrize("allowed", [True, False])
def test_the_exact_number_of_rows_leaves_beside_noise_only_if_the_budget_says_so(question, answer, allowed):
    budget = Budget(epsilon=2.0, delta=1e-6, allow_row_counts=allowed)
    gate = Gate("west", DisclosurePolicy(budget=budget), MemoryLedger(new_key()), ManualClock())
    ask = {
        "study": "s",
        "run": "r",
        "round": 1,
        "lane": "embedded",
        "roster": ("west",),
        "question_key": "k",
        "question_digest": "d",
    }
    told = gate.release(question, answer(), **ask, tells_rows_only=True)
    assert told.allowed is allowed
    assert allowed or "allow_row_counts = true" in told.reasons[0]
    assert not gate.release(question, answer(), **ask).allowed


@pytest.mark.parametrize(
    ("beside", "more", "left"),
    [
        ("nothing", {}, True),
        ("rows", {}, False),
        ("rows", {"allow_row_counts": True}, True),
        ("exact", {"allow_row_counts": True}, False),
        ("exact", {"allow_exact": True}, True),
    ],
)
def test_what_leaves_exactly_beside_noise_leaves_only_if_the_budget_says_so_and_costs_nothing_if_not(
    ledger, release, beside, more, left
):
    gate = Gate("west", DisclosurePolicy(budget=Budget(epsilon=2.0, delta=1e-6, **more)), ledger, ManualClock())
    assert gate.purse.reserve("5" * 64, [STEP]).allowed
    decision = release(gate, spends=STEP, beside=beside)
    assert decision.allowed is left
    assert left or (decision.clauses == ("budget",) and "= true" in decision.reasons[0])
    assert kinds(ledger) == ([RESERVED, CHARGED, "released"] if left else [RESERVED, "refused"])
