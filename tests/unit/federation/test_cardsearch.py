"""What is found in cards, and why."""

import pytest

from cards import CREATININE, LUNG, content, signed
from huizhen.errors import CallerError
from huizhen.federation.cards import CodeEntry, SignedCard
from huizhen.federation.cardsearch import Searchable, Wish, found_in, read_wish


def match(text="", card=None, **wish):
    return found_in(Searchable(card or signed()), read_wish(text, **wish))


def why(found):
    return [(reason.kind, reason.found, reason.least, reason.most) for reason in found.reasons]


def test_a_code_finds_all_codes_below_it_in_every_edition():
    found = match("diagnosis ICD10:C34")
    assert why(found) == [
        ("condition", "ICD10CN C34.1 肺上叶恶性肿瘤", 620, 620),
        ("condition", "ICD10CN C34.3 肺下叶恶性肿瘤", 150, 150),
    ]
    assert found.patients == 620


@pytest.mark.parametrize("text", ["ICD10:C35", "ICD10CM:C34", "drug ICD10:C34", "LOINC:2160", "ICD10:C34.12", "SNOMED:C34.1"])
def test_another_code_another_edition_or_another_kind_finds_nothing(text):
    assert match(text) is None


@pytest.mark.parametrize("text", ["icd10:c34", "ICD10CN:C341", "诊断 ICD10:C34.1", "ICD10:C34，"])
def test_a_code_is_found_however_it_is_written(text):
    assert match(text) is not None


def test_only_whole_codes_are_found_where_a_beginning_means_nothing():
    assert match("LOINC:2160-0") is not None
    assert match("LOINC:2160") is None


def test_a_minimum_is_held_against_the_patients_with_the_code():
    assert match("ICD10:C34", min_patients=620).rank[1] == 0  # C34.1 alone has as many
    assert match("ICD10:C34", min_patients=770).rank[1] == 1  # 620 + 150, if nobody has both: perhaps
    assert match("ICD10:C34", min_patients=771) is None
    assert match("", min_patients=1200) is not None
    assert match("", min_patients=1201) is None


def test_codes_together_have_no_more_patients_than_there_are():
    card = signed(patients=700)
    assert match("ICD10:C34", card, min_patients=701) is None
    assert match("ICD10:C34", card, min_patients=700) is not None


def test_of_a_number_that_is_withheld_no_minimum_is_met_beyond_all_patients():
    card = signed(codes=[LUNG.model_copy(update={"patients": None})])
    assert match("ICD10:C34", card).patients is None
    assert match("ICD10:C34", card, min_patients=1201) is None


@pytest.mark.parametrize(
    "text", ["肺", "恶性肿瘤", "肺上叶", "creat", "CREATININE", "thoracic", "Ｃreatinine", "华东", "lung cancer"]
)
def test_words_are_found_in_chinese_and_english(text):
    assert match(text) is not None


@pytest.mark.parametrize("text", ["atinine", "肝", "lung creatinin5", "ung"])
def test_words_that_are_not_there_are_not_found(text):
    assert match(text) is None


def test_a_card_with_all_words_in_one_place_comes_first():
    assert match("lung cancer").rank[0] == 0
    assert match("thoracic cancer").rank[0] == 1


@pytest.mark.parametrize("name", ["creatinine", "serum_creatinine", "LOINC:14682-9", "loinc:14682-9"])
def test_a_variable_is_found_by_name_and_code(name):
    (reason,) = match(variables=[name]).reasons
    assert (reason.kind, reason.complete) == ("variable", "80-95 %")
    assert "LOINC:14682-9" in reason.found


def test_a_measurement_is_a_variable_for_whoever_maps_it():
    (reason,) = match(card=signed(sources=[]), variables=["creatinine"]).reasons
    assert (reason.kind, reason.least) == ("measurement", 900)
    assert match(card=signed(sources=[]), variables=["LOINC:2160-0"]) is not None
    assert match(variables=["bilirubin"]) is None


def test_a_modality_is_found_by_its_name():
    assert [reason.least for reason in match(modalities=["ct"]).reasons] == [480]
    assert match(modalities=["CT", "MR"]) is None


def test_everything_that_is_asked_must_be_there():
    wish = {"variables": ["creatinine"], "modalities": ["CT"], "min_patients": 500}
    assert match("lung diagnosis ICD10:C34", **wish) is not None
    assert match("lung diagnosis ICD10:E11", **wish) is None


def test_a_card_that_was_taken_back_holds_nothing():
    card = signed()
    assert match(card=SignedCard.parse({**card.content, "card": None})) is None
    assert match(card=card) is not None


@pytest.mark.parametrize("text", ["'; DROP TABLE card; --", '" OR 1=1', "%", "ICD10:C34' OR '1'='1", "\\", ".*", "ICD10:.*"])
def test_signs_of_other_languages_mean_nothing(text):
    try:
        found = match(text)
    except CallerError:
        return
    assert found is None


def test_a_word_for_a_kind_is_a_word_unless_a_code_follows():
    assert read_wish("lab drug ATC:A10").words == ["lab"]
    assert read_wish("diagnosis").words == ["diagnosis"]
    assert read_wish("diagnosis lung").words == ["diagnosis", "lung"]


def test_a_wish_without_words_or_with_too_many_is_refused():
    for text in ("!!!", "x" * 201, " ".join(map(str, range(51)))):
        with pytest.raises(CallerError):
            read_wish(text)
    with pytest.raises(CallerError):
        Wish.parse({"words": ["a"], "rows": "all"})
    with pytest.raises(CallerError):
        read_wish("", min_patients=-1)


def test_of_many_codes_the_commonest_are_told():
    codes = [CodeEntry(kind="condition", system="ICD10", code=f"C34.{i}", patients=100 - i) for i in range(9)]
    assert len(match("ICD10:C34", signed(codes=codes)).reasons) == 3


def test_nothing_asked_finds_every_card():
    assert why(match()) == [("patients", "", 1200, 1200)]
    assert match(card=signed(codes=[CREATININE], kinds=[])) is not None
    assert content().digest
