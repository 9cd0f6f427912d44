"""Identifiers in reports: what is planted is found, what only looks alike stays, and the text stays readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plantedreports
from huizhen.data.deidentify import names_en
from huizhen.data.deidentify.patterns import has_check_digit
from huizhen.data.deidentify.rules import TextPlan
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.spans import Span, without_overlap
from huizhen.data.deidentify.text import find, replaced

SECRET = Secret(b"a" * 32)


@pytest.mark.parametrize("sentences", ["first", "later"])
def test_planted_identifiers_are_found_by_category_and_language(sentences):
    table = plantedreports.scores(plantedreports.reports(240, seed=11, sentences=sentences), find)
    assert len(table) == 13
    weak = {key: (s.recall, s.precision) for key, s in table.items() if s.recall <= 0.98 or s.precision <= 0.90}
    assert weak == {}


def test_the_english_names_that_are_planted_stand_in_no_list_of_the_recognisers():
    assert not set(plantedreports.EN_GIVEN) & names_en.GIVEN
    assert not set(plantedreports.EN_SURNAMES) & names_en.SURNAMES


@given(st.integers(0, 2**32))
def test_one_wrong_digit_of_a_resident_id_is_seen(seed):
    random = plantedreports.Random(seed)
    number = plantedreports.resident_id(random)
    at = random.randrange(17)
    other = number[:at] + str((int(number[at]) + random.randint(1, 9)) % 10) + number[at + 1 :]
    assert has_check_digit(number)
    assert not has_check_digit(other)


@pytest.mark.parametrize(
    "text",
    [
        "共得读数18612345678条",
        "BP 120/80, HR 138, INR 2.5-3.0, 100-200-300 mg",
        "帕金森病、克罗恩病、白血病、黄疸、高血压，予华法林",
        "Parkinson disease, Crohn's disease, Hodgkin lymphoma, Foley catheter, Bell's palsy",
        "物资条码690123456789012345",
        "国药准字H20040770，批号20230518",
    ],
)
def test_what_only_looks_like_an_identifier_stays(text):
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("姓名：王小明  住院号：ZY20230012", "姓名：<NAME>  住院号：<RECORD>"),
        ("身份证11010519491231002X，手机13912345678", "身份证<ID>，手机<PHONE>"),
        ("主管医师李有为因故未到", "主管医师<NAME>因故未到"),
        ("Dr. Smith saw Ms. Jones on 3 May 2024.", "Dr. <NAME> saw Ms. <NAME> on <DATE>."),
        ("MRN: 00123456, mail a.b@example.org", "MRN: <RECORD>, mail <EMAIL>"),
        ("身份证110105491231002", "身份证<ID>"),
    ],
)
def test_the_text_stays_readable(text, told):
    assert replaced(text, TextPlan(), SECRET).text == told


def test_a_name_once_found_is_found_wherever_it_stands():
    found = replaced("姓名：亓官瀚\n后来瀚某，即亓官瀚再次就诊", TextPlan(), SECRET)
    assert "亓官瀚" not in found.text
    assert found.counts["name"] >= 2


def test_surrogates_are_the_same_in_every_report_of_a_site_and_differ_between_sites():
    plan = TextPlan(style="surrogate")
    one, again = (replaced(text, plan, SECRET).text for text in ("Dr. Smith came", "seen by Dr. Smith"))
    name = one.removeprefix("Dr. ").removesuffix(" came")
    assert name.startswith("<NAME-")
    assert again.endswith(name)
    assert name not in replaced("Dr. Smith came", plan, Secret(b"b" * 32)).text


def test_dates_are_kept_marked_told_by_their_year_or_moved_with_the_patient():
    text = "于2024-05-17入院，2024年5月20日出院"
    assert replaced(text, TextPlan(dates="keep"), SECRET).text == text
    assert replaced(text, TextPlan(dates="year"), SECRET).text == "于2024入院，2024出院"
    assert replaced(text, TextPlan(dates="shift"), SECRET).text == "于<DATE>入院，<DATE>出院"
    moved = replaced(text, TextPlan(dates="shift"), SECRET, patient="p").text
    assert "<DATE>" not in moved
    assert "2024-05-17" not in moved


def test_words_of_the_site_are_found_too():
    assert replaced("at East Lake Hospital", TextPlan(words=("east lake",)), SECRET).text == "at <NAME> Hospital"


def test_only_the_categories_that_are_asked_for_are_replaced():
    assert replaced("Dr. Smith, a@b.org", TextPlan(categories=("email",)), SECRET).text == "Dr. Smith, <EMAIL>"


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12), st.sampled_from(["name", "id"]), st.integers(1, 3))))
def test_what_any_span_covers_is_covered_in_the_end_once(drawn):
    spans = [Span(begins, begins + length, category, rank) for begins, length, category, rank in drawn]
    kept = without_overlap(spans)
    covered = [at for span in kept for at in range(span.begins, span.ends)]
    assert len(covered) == len(set(covered))
    assert set(covered) == {at for span in spans for at in range(span.begins, span.ends)}


@given(st.text(alphabet="患者医师姓名：王小明，男因 Dr.Smith1390-@年月\n", max_size=80))
def test_no_text_is_too_odd(text):
    replaced(text, TextPlan(), SECRET)
