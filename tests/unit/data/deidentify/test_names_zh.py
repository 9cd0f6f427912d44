"""Chinese names in sentences that the recogniser does not know: found in running text, and what only looks like a name stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import plantednames
import plantednames_people
from huizhen.data.deidentify.candidates_zh import candidates
from huizhen.data.deidentify.lexicon_zh import cut, lexicon
from huizhen.data.deidentify.names_zh import STRICT, USUAL, names_zh, weights
from huizhen.data.deidentify.people_zh import FLOOR, surname_cost
from huizhen.data.deidentify.rules import TextPlan
from huizhen.data.deidentify.spans import without_overlap
from huizhen.data.deidentify.text import find


def marks(text, least=USUAL, withheld=frozenset()):
    return [(span.begins, span.ends) for span in without_overlap(names_zh(text, least, withheld))]


def names(text, least=USUAL):
    return [text[begins:ends] for begins, ends in marks(text, least)]


@pytest.mark.parametrize("name", ["judged_4", "judged_5"])
def test_names_of_chinese_form_are_found_in_sentences_of_which_the_recogniser_knows_none(name):
    made = [each for sentences in plantednames_people.judged(name, 3, seed=2).values() for each in sentences]
    table = plantednames.tally(made, lambda text: marks(text, withheld=plantednames_people.WITHHELD))
    assert table["n"].recall > 0.95  # common surnames
    assert table["p"].recall > 0.95  # surnames withheld from the lists
    assert table["all"].precision > 0.80


def test_surnames_that_are_withheld_count_as_unknown():
    assert all(surname_cost(f"{surname}伟", plantednames_people.WITHHELD)[0] == FLOOR for surname in plantednames_people.RARE)
    assert surname_cost("王伟")[0] < FLOOR
    assert surname_cost("欧阳伟") == (surname_cost("欧阳修")[0], 2)


@pytest.mark.parametrize(
    "text",
    [
        "高血压、黄疸、白蛋白、马尾神经、金黄色葡萄球菌、包块、方式、温度、安静",
        "王不留行、黄芪、白术、马齿苋、何首乌，水煎服",
        "于空腹状态下检查，应用万古霉素，单纯疱疹，周围血管，平扫未见异常",
        "患者家属要求出院，医生告知风险后家属表示理解",
    ],
)
def test_what_only_looks_like_a_name_stays(text):
    assert names(text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("姓名：王 建 国  性别：男", ["王 建 国"]),
        ("签名：李　明", ["李　明"]),
        ("患者阿不都热合曼·买买提诉胸痛", ["阿不都热合曼·买买提"]),
        ("今日欧阳文慧来电", ["欧阳文慧"]),
    ],
)
def test_names_are_found_by_their_form(text, told):
    assert names(text) == told


def test_a_name_that_is_sure_once_is_found_where_nothing_says_that_it_is_one():
    text = "复查者亓翀垚片。患者姓名：亓翀垚，男。"
    covered = {at for span in marks(text) for at in range(*span)}
    assert {3, 4, 5, 13, 14, 15} <= covered


def test_strict_marks_all_that_usual_marks_and_more():
    made = plantednames_people.judged("judged_3", 1, seed=4)
    covered = {USUAL: 0, STRICT: 0}
    for sentence in (each for sentences in made.values() for each in sentences):
        usual, strict = ({at for span in marks(sentence.text, least) for at in range(*span)} for least in (USUAL, STRICT))
        assert usual <= strict
        covered[USUAL] += len(usual)
        covered[STRICT] += len(strict)
    assert covered[STRICT] > covered[USUAL]


def test_the_mode_is_a_setting_of_the_rules():
    text = "".join(
        sentence.text + "\n" for sentences in plantednames_people.judged("judged_3", 1, seed=4).values() for sentence in sentences
    )
    usual, strict = (sum(span.ends - span.begins for span in find(text, TextPlan(names=mode))) for mode in ("usual", "strict"))
    assert strict > usual


def test_words_cost_less_than_their_characters():
    run = "金黄色葡萄球菌"
    cheapest = cut(run)
    assert cheapest.ahead[-1] == pytest.approx(cheapest.behind[0])
    assert cheapest.ahead[-1] < sum(lexicon()[character].cost for character in run)
    assert cut(run, hidden=frozenset([run])).ahead[-1] > cheapest.ahead[-1]


def test_weights_are_of_features_that_candidates_have():
    text = "患者王建国因发热入院，医师：李明"
    assert {name for each in candidates(text) for name in each.features} & set(weights())
    assert weights()["bias"] < 0


@given(st.text(alphabet="患者王李建国·姓名：，。 \n　a1于", max_size=60))
def test_no_text_is_too_odd(text):
    for begins, ends in marks(text):
        assert 0 <= begins < ends <= len(text)


def test_many_names_in_a_row_are_read():
    assert names("王建国李志强张秀兰" * 60)
