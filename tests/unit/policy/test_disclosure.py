"""What a site's policy lets out: every clause refuses, in words, and what it does not know it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.errors import PolicyError, SiteError
from huizhen.policy.decision import ALLOWED, Context, Decision
from huizhen.policy.disclosure import LANES, DisclosurePolicy, admits, decide, disclosure_policy, judge_total, strictest
from huizhen.privacy.release import Answer, Part, Question, Terms, Total, Variable

POLICY = DisclosurePolicy()


@pytest.mark.parametrize("lane", LANES)
def test_an_ordinary_answer_may_leave_in_every_lane(question, answer, context, lane):
    assert decide(POLICY, question, answer(), context(lane)) == ALLOWED


def test_a_policy_is_read_from_a_table_and_told_clause_by_clause():
    table = {
        "min_cell_count": 10,
        "methods": ["cox"],
        "variables": "*",
        "lanes": ["masked"],
        "max_degrees": 1,
        "denied_variables": [],
    }
    policy = disclosure_policy(table)
    assert (policy.min_cell_count, policy.methods, policy.lanes) == (10, ("cox",), ("masked",))
    told = policy.clauses()
    assert set(told) == set(DisclosurePolicy.model_fields)
    assert (told["min_cell_count"], told["methods"], told["allow_individual"], told["denied_variables"]) == (
        "10",
        "cox",
        "no",
        "none",
    )


def test_all_mistakes_in_a_policy_are_told_at_once():
    table = {
        "min_cells": 5,
        "min_cell_count": 0,
        "max_degrees": "a third",
        "lanes": ["open"],
        "methods": 7,
        "allow_individual": "yes",
    }
    with pytest.raises(SiteError) as told:
        disclosure_policy(table, where="sites.west.policy")
    assert {problem.where.rpartition(".")[2] for problem in told.value.problems} == set(table)
    assert "sites.west.policy.min_cells" in str(told.value)


@pytest.mark.parametrize(
    ("clauses", "refused"),
    [
        ({"methods": ("cox", "summary")}, "methods"),
        ({"variables": ("age", "sex")}, "variables"),
        ({"denied_variables": ("sex",)}, "denied_variables"),
        ({"lanes": ("plain", "masked")}, "lanes"),
        ({"min_rows": 101}, "min_rows"),
    ],
)
def test_a_clause_refuses_and_is_named(question, answer, context, clauses, refused):
    decision = decide(DisclosurePolicy(**clauses), question, answer(), context())
    assert (decision.allowed, decision.clauses) == (False, (refused,))
    assert len(decision.reasons) == 1


def test_the_sites_own_name_may_always_be_read(context, answer):
    question = Question("cox", "newton", variables=("age", "site"))
    assert decide(DisclosurePolicy(variables=("age",)), question, answer(), context()).allowed


def test_a_denied_variable_is_refused_even_where_it_is_also_allowed():
    policy = DisclosurePolicy(variables=("age", "name"), denied_variables=("name",))
    assert admits(policy, method="cox", lane="plain", variables=("age", "name")).clauses == ("denied_variables",)


def test_every_reason_is_given_and_each_once(question, answer, context):
    policy = DisclosurePolicy(methods=(), variables=("age",), min_rows=1000, lanes=("plain",))
    decision = decide(policy, question, answer(), context())
    assert decision.clauses == ("lanes", "methods", "variables", "min_rows")
    assert Decision.all_of([decision, decision]) == decision


def test_a_site_with_few_rows_is_refused_without_telling_how_many(question, answer, context):
    decision = decide(POLICY, question, answer(rows=7, classes=Part(np.array([4, 3]), 7, cells=True)), context())
    assert "min_rows" in decision.clauses
    assert "7" not in " ".join(decision.reasons)


def test_an_individual_release_needs_a_policy_that_allows_it(question, answer, context):
    answer = answer(estimate=Part(np.array([0.5]), 100, kind="individual"))
    assert decide(POLICY, question, answer, context()).clauses == ("allow_individual",)
    assert decide(DisclosurePolicy(allow_individual=True), question, answer, context()).allowed


def test_an_individual_release_is_judged_like_a_plain_addend_in_every_lane(question, answer, context):
    answer = answer(table=Part(np.array([3, 97]), 100, kind="individual", cells=True))
    policy = DisclosurePolicy(allow_individual=True)
    for lane in LANES:
        assert decide(policy, question, answer, context(lane)).clauses == ("min_cell_count",)


def test_one_outcome_class_only_is_refused_in_every_lane_with_its_remedy(question, answer, context):
    answer = answer(classes=Part(np.array([0, 100]), 100, cells=True))
    for lane in LANES:
        decision = decide(POLICY, question, answer, context(lane))
        assert decision.clauses == ("allow_one_class",)
        assert "allow_one_class = true" in decision.reasons[0]
    assert decide(DisclosurePolicy(allow_one_class=True), question, answer, context()).allowed


@pytest.mark.parametrize("small", [1, 4])
def test_a_small_cell_keeps_the_whole_answer_at_the_site_in_the_plain_lane_only(question, answer, context, small):
    answer = answer(table=Part(np.array([[small, 50], [0, 50 - small]]), 100, cells=True))
    assert decide(POLICY, question, answer, context("plain")).clauses == ("min_cell_count",)
    assert decide(POLICY, question, answer, context("masked")).allowed
    assert decide(POLICY, question, answer, context("embedded")).allowed
    assert decide(DisclosurePolicy(min_cell_count=small), question, answer, context("plain")).allowed


def test_a_part_on_few_rows_is_refused_in_the_plain_lane_and_an_empty_one_is_not(question, answer, context):
    few, none = (answer(group=Part(np.array([1.5]), rows)) for rows in (3, 0))
    assert decide(POLICY, question, few, context("plain")).clauses == ("min_rows",)
    assert decide(POLICY, question, none, context("plain")).allowed
    assert decide(POLICY, question, few, context("masked")).allowed


def test_a_rare_label_does_not_leave_in_the_plain_lane_and_is_not_named(question, answer, context):
    levels = Part(np.array([96.0, 4.0]), 100, cells=True, keys=("common", "MARKED"))
    decision = decide(POLICY, question, answer(levels=levels), context("plain"))
    assert decision.clauses == ("min_cell_count",)
    assert "MARKED" not in repr(decision)
    unused = Part(np.array([100.0, 0.0]), 100, cells=True, keys=("common", "MARKED"))
    assert decide(POLICY, question, answer(levels=unused), context("plain")).clauses == ("min_cell_count",)


def test_labels_without_their_counts_do_not_leave_in_the_plain_lane(question, answer, context):
    sums = Part(np.array([1.5, 2.5]), 100, keys=("f", "m"))
    counts = Part(np.array([60, 40]), 100, cells=True, keys=("f", "m"))
    assert decide(POLICY, question, answer(sums=sums), context("plain")).clauses == ("min_cell_count",)
    assert decide(POLICY, question, answer(sums=sums, counts=counts), context("plain")).allowed


def test_too_many_parameters_for_the_rows_of_a_site_are_refused_in_the_plain_lane(answer, context):
    question = Question("glm", "newton", variables=("age",), degrees=34)  # 34 > 0.33 * 100
    assert decide(POLICY, question, answer(), context("plain")).clauses == ("max_degrees",)
    assert decide(POLICY, question, answer(), context("masked")).allowed
    assert decide(DisclosurePolicy(max_degrees=0.34), question, answer(), context("plain")).allowed


MALFORMED = {
    "float16": Part(np.zeros(2, np.float16), 100),
    "bytes": Part(np.array([b"abc"]), 100),
    "words": Part(np.array(["a"]), 100),
    "objects": Part(np.array([object()]), 100),
    "other byte order": Part(np.zeros(2, ">f8"), 100),
    "no array": Part(3.5, 100),
    "unknown kind": Part(np.zeros(2), 100, kind="sum"),
    "a label too many": Part(np.zeros(1), 100, keys=("a", "b")),
    "a label twice": Part(np.zeros(2), 100, keys=("a", "a")),
    "half a patient": Part(np.array([49.5, 50.5]), 100, cells=True),
    "less than nobody": Part(np.array([-1, 101]), 100, cells=True),
}


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("part", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_a_policy_does_not_know_it_refuses(question, answer, context, lane, part):
    decision = decide(DisclosurePolicy(allow_individual=True), question, answer(strange=part), context(lane))
    assert decision.clauses[0] == "form"
    assert "'strange'" in decision.reasons[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused(question, answer, context, value):
    assert decide(POLICY, question, answer(strange=Part(np.array([1.0, value]), 100)), context()).clauses == ("finite",)


def test_an_unknown_lane_is_refused(question, answer, context):
    decision = decide(POLICY, question, answer(), context("open"))
    assert decision.clauses == ("lanes",)
    assert judge_total(Terms(lane="open"), question, Total({}, {}, {}, 100, ()), ()).clauses == ("lanes",)


def test_a_roster_without_this_site_or_with_one_twice_is_refused(question, answer, context):
    for roster in ((), ("east", "north"), ("west", "west", "east")):
        assert decide(POLICY, question, answer(), context(roster=roster)).clauses == ("roster",)


def total(rows=200, **sums):
    return Total({name: np.array(values) for name, values in sums.items()}, {}, {}, rows, ("west", "east"))


def test_parameters_are_held_against_all_rows_where_totals_are_seen():
    question = Question("glm", "newton", degrees=40)
    assert judge_total(Terms(), question, total(rows=200), ()).allowed
    assert judge_total(Terms(), question, total(rows=100), ()).clauses == ("max_degrees",)


@pytest.mark.parametrize("name", ["classes", "events"])
def test_a_model_on_a_handful_of_joint_cases_is_refused(question, name):
    assert judge_total(Terms(), question, total(**{name: [4, 196]}), {name}).clauses == ("min_cell_count",)
    assert judge_total(Terms(), question, total(**{name: [0, 200]}), {name}).allowed
    assert judge_total(Terms(), question, total(**{name: [4, 196]}), ()).allowed, "not a number of patients"
    keyed = Total({}, {name: {"a": 4, "b": 196}}, {}, 200, ())
    assert judge_total(Terms(), question, keyed, {name}).clauses == ("min_cell_count",)


def test_small_counts_that_a_method_merges_itself_are_not_refused_in_total(question):
    assert judge_total(Terms(), question, total(histogram=[1, 2, 197]), {"histogram"}).allowed


def test_the_strictest_clause_of_all_sites_is_agreed():
    policies = [
        DisclosurePolicy(min_cell_count=3, round_to=5, max_degrees=0.5, allow_individual=True),
        DisclosurePolicy(max_degrees=0.2),
    ]
    variables = {"age": Variable("number", unit="a")}
    assert strictest(policies, lane="plain", variables=variables, roster=["west", "east"]) == Terms(
        min_cell_count=5,
        round_to=5,
        max_degrees=0.2,
        lane="plain",
        allow_individual=False,
        variables=variables,
        roster=("west", "east"),
    )


def test_no_terms_are_agreed_without_sites_or_against_a_policy():
    with pytest.raises(PolicyError, match="no policy"):
        strictest([], lane="plain", variables={}, roster=[])
    with pytest.raises(PolicyError, match="masked"):
        strictest([POLICY, DisclosurePolicy(lanes=("plain",))], lane="masked", variables={}, roster=["west", "east"])


def test_a_masked_question_is_not_put_to_rosters_that_differ_by_one_or_two_sites(question, answer, context):
    def ask(*earlier, roster=tuple("abcdefg")):
        return decide(POLICY, question, answer(), context("masked", roster, earlier, site="a")).clauses

    assert ask() == ()
    assert ask("abcdefg") == (), "the same roster may be asked again"
    assert ask("bcadgfe") == (), "in any order"
    assert ask("abcdef") == ("roster",)
    assert ask("abcde") == ("roster",)
    assert ask("abcdefgh") == ("roster",)
    assert ask("abcdefh") == ("roster",), "one left and one came"
    assert ask("abcd") == ()
    assert ask("abcd", "abcdef") == ("roster",)


def test_a_masked_sum_of_two_sites_is_no_secret_between_them(question, answer, context):
    assert decide(POLICY, question, answer(), context("masked", ("west", "east"))).clauses == ("roster",)
    assert decide(POLICY, question, answer(), context("plain", ("west", "east"))).allowed


def test_totals_of_rosters_that_differ_by_many_may_still_add_up_to_one_site(question, answer, context):
    # {a,b,c,d,e,f,g} - {b,c,d} - {e,f,g} = {a}, although each two differ by at least three sites
    earlier = ("bcd", "efg")
    decision = decide(POLICY, question, answer(), context("masked", "abcdefg", earlier, site="a"))
    assert decision.clauses == ("roster",)
    assert decide(POLICY, question, answer(), context("masked", "abcdefgh", earlier, site="a")).clauses == ("roster",), (
        "leaves {a, h}"
    )
    assert decide(POLICY, question, answer(), context("masked", "abcdefghi", earlier, site="a")).allowed, "leaves {a, h, i}"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 12), st.sampled_from(LANES))
def test_in_the_plain_lane_no_cell_below_the_minimum_ever_leaves(cells, minimum, lane):
    policy = DisclosurePolicy(min_cell_count=minimum, min_rows=1)
    answer = Answer({"table": Part(np.array(cells), 100, cells=True)}, 100)
    context = Context("a", lane, ("a", "b", "c"), "key")
    allowed = decide(policy, Question("tabulate", "counts"), answer, context).allowed
    assert allowed == (lane != "plain" or not any(0 < cell < minimum for cell in cells))
