"""Whatever a room says to a person is in the Chinese catalogue; translating never fails, and English stays as it stands."""

import ast
import re
import string
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import huizhen
from huizhen.translation import catalogue, translate

SOURCE = Path(huizhen.__file__).parent
CATALOGUES = {
    file.name: tomllib.loads(file.read_text(encoding="utf-8"))
    for file in (files("huizhen") / "chinese").iterdir()
    if file.name.endswith(".toml")
}
SPOKEN_OUTSIDE = ("outside.toml",)  # what other programs say, and what is put together while a program runs

# Files with catalogues of their own.
OWN_WORDS = {"report/names.py", "report/sentences.py", "report/words.py", "cli/words.py"}
# Files whose errors tell a programmer that a rule of the program was broken, or whose words stand in files for other programs.
FOR_PROGRAMMERS = {
    "__init__.py",
    "canonical.py",
    "clock.py",
    "data/deidentify/addresses.py",  # patterns
    "data/deidentify/candidates_zh.py",
    "data/deidentify/names_en.py",
    "data/deidentify/names_zh.py",
    "data/deidentify/patterns.py",
    "data/criteria/compiled.py",
    "data/mapping/columns.py",  # SQL
    "federation/wire/subjects.py",
    "methods/training/export.py",
    "privacy/masking/shamir.py",
    "privacy/masking/wide.py",
    "policy/suppression.py",
    "report/svg.py",
    "site/worker/frames.py",
    "site/worker/speech.py",
    "translation.py",
}
# SQL, regular expressions, HTML and console markup.
CODE = re.compile(
    r"\b(SELECT|INSERT|UPDATE [a-z]+ SET|VALUES|CREATE TABLE|DROP TABLE|"
    r"PRAGMA|BEGIN|VARCHAR|cast\(|select |array_agg|trim\(|isnan|isinf|is not null|is null|count_if)"
    r"| WHERE \w+ = \?| ORDER BY "
    r"|case when|\|\||'c\{\}'|hive_part|set [a-z_]+ = |create type|default-src|style-src|<span|\(\?P|\\d|\[bold|task\.fields"
    r"|drop table|split_part|create temp|create view|format parquet|verdicts\.| as origin|filename = true|concat_ws|kind, system"
    r"|insert into |as part from made|try_cast\(|nullif\("
    r"|CREATE (INDEX|SCHEMA|TRIGGER)|PRIMARY KEY|SET search_path|SET lock_timeout|anti join|create or replace|^copy |make_timestamp"
    r"|'nan'::double|^site, subject, metric|^metric, site, subject|^metric = \?|^\{\} in \(\{\}\)|, value, reason$"
    r"|^number, kind|^\{\} as \{\}$"
    r"|\('new'|row_number\(\)|^with \{\},|^, \{\} as \{\}"
)
# Keys, names of parts and arrays, words of the study's own language, and marks put together from words that are translated.
NOT_SENTENCES = {
    "left out",  # the kind of an event
    "until index",  # a value of a file of criteria
    "cohort refused", "card withdrawn",  # kinds of entries
    "RxNorm Extension", "CMS Place of Service",  # names of vocabularies
    "Bearer {}",  # a header
    "a file ", "an archive", "too large",  # what a reason begins with, or holds
    "as dates",  # a value of a site's configuration
    "record {}", "mark of the key",  # what a pseudonym is for
    "all accepted", "enough accepted",  # values of the study file
    "any enabled", "4 GB",  # values of a site's configuration
    "10 min",  # a value of the study file
    "when appended", "when settled",  # when a ledger becomes durable: a word of the program
    "no answer: {}", "{} rows of {} sites", "<Finding {}: {}>", "<Findings of {}: {}>",  # what Python shows a programmer
    "after round {}",  # a checkpoint in the event log
    "huizhen ledger entry 1",  # what a signature begins with
    "{} in [{}]", "{} in {}:{}{}", "{} is missing", "{} is not missing", "not {}", "not ({})",  # a condition in its own language
    "{} and {}", " and ", " or ", " or: ",  # lists of names
    "{} as {}",  # SQL
    "{} as v{}", "design {}", "risk sets {}", "counts {}", "missing {}",  # names of parts
    "rows {}",  # a key of the memo
    "event: {}", "validation, test: {}",  # a setting, and what is said of its condition
    "observed {}", "expected {}", "variance {}", "survival {}={}", "survival {}",  # names of tables and arrays
    "variable {} is no number where one is needed", "variable {} is no image",  # broken rules of the program
    "variable {} is an image where a number or a label is needed", "{} yields milestones and cannot be resumed",  # the same
    "bold red", "huizhen {}", "DejaVu Sans", "{} TB", "{} of {}", " of {}", " to ", "DejaVu Sans Mono", "g{}",
    "--policy {}=", "--site {}", "--site {}=", "--data, --cards", "--mirror, --in-process", "--set {}", "--without {}", "{} = {}",
    "with time", "with code", "with unit", "with a value", "why it matched",  # keys of words
    "rare {}", "STAND-IN. {}",  # what stands in a stand-in
    "a {} has no text",  # a broken rule of the program
    "an entry of kind {} is written by releasing alone",  # the same
    "an entry needs an aware time, found one without time zone",  # the same
    "no flow through cell {}, although everything may be held back",  # the same
    "run log",  # an instrument
    "100 Mbit/s", "30 ms", "16 GiB", "400 Gflop/s",  # values as they may be written
    "not the text of /proc/stat", "not the text of /proc/meminfo", "not the kernel's words of a connection",  # broken rules
    "full dates", "modified dates", "set aside", "year first",  # values of the rules for de-identification
    "pseudonym {}", "text {}", "a key has 32 bytes",  # purposes of a key, and a broken rule of the program
    "Basic Application Confidentiality Profile", "Clean Descriptors Option",
    "Clean Graphics Option", "Clean Structured Content Option", "Clean Pixel Data Option",  # meanings of codes of DICOM
    "Retain Longitudinal Temporal Information Full Dates Option", "Retain Longitudinal Temporal Information Modified Dates Option",
    "Retain Patient Characteristics Option", "Retain Device Identity Option", "Retain UIDs Option",
    "Retain Institution Identity Option",
    "Input should be ", "Value error, ",  # cut off from pydantic's messages
}  # fmt: skip
SAYING = {"Problem", "add", "Withheld", "NotEstimable"}  # calls whose words are shown even if there is only one


def shape(english: str) -> str:
    """A pattern without the names of its places and without its full stop."""
    return "".join(text + ("{}" if name is not None else "") for text, name, _, _ in string.Formatter().parse(english)).rstrip(".")


def places(pattern: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]


KNOWN = {shape(english) for entries in CATALOGUES.values() for english in entries}


def spoken(node: ast.AST) -> str | None:
    """A literal, an f-string or a sum of them as a shape; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = spoken(node.left), spoken(node.right)
        return None if left is None and right is None else (left or "{}") + (right or "{}")
    return None


def called(node: ast.AST) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""


def sayings(tree: ast.Module) -> list[tuple[int, str]]:
    """Every text of a module that a person may read: with a blank in it, or said by one of `SAYING`; no docstring, no key."""
    silent = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and isinstance(node.body[0], ast.Expr)
    }
    found: list[tuple[int, str]] = []

    def visit(node: ast.AST, *, alone: bool, key: bool = False) -> None:
        if id(node) in silent or called(node) in ("say", "compile"):
            return
        text = spoken(node)
        if text is None:
            said = called(node) in SAYING or called(node).endswith("Error")
            if said and isinstance(node, ast.Call):  # the first argument of a Problem is a key, unless it is a sentence
                for i, argument in enumerate([*node.args, *(keyword.value for keyword in node.keywords)]):
                    visit(argument, alone=not (i == 0 and called(node) in ("Problem", "add")))
                return
            for child in ast.iter_child_nodes(node):
                visit(child, alone=alone and isinstance(node, ast.IfExp))
            return
        letters = re.search(r"[A-Za-z]{2}", text.replace("{}", ""))
        if letters and (alone or " " in text.strip()):
            found.append((node.lineno, text))
        for inner in ast.walk(node):
            if isinstance(inner, ast.FormattedValue):
                visit(inner.value, alone=False)

    visit(tree, alone=False)
    return found


def modules():
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name not in OWN_WORDS | FOR_PROGRAMMERS:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


SAID = [(name, line, text) for name, tree in modules() for line, text in sayings(tree)]


def test_every_message_of_a_room_is_in_the_catalogue():
    assert len(SAID) > 500
    missing = [
        f"{name}:{line}: {text!r}"
        for name, line, text in SAID
        if text not in NOT_SENTENCES and not CODE.search(text) and text.strip("\n").rstrip(".") not in KNOWN
    ]
    assert not missing, "Add a Chinese pattern to src/huizhen/chinese for:\n" + "\n".join(missing)


def test_a_message_that_nobody_translated_is_found():
    tree = ast.parse('raise StudyError("The moon is missing.", [Problem("moon", "nothing", f"{n} moons", "Wait")])')
    assert [text for _, text in sayings(tree)] == ["The moon is missing.", "nothing", "{} moons", "Wait"]


def test_no_sentence_of_the_catalogue_is_idle():
    docstrings = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "cli").glob("*.py"))
    said = {text.strip("\n").rstrip(".") for _, _, text in SAID} | {
        node.value
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    idle = [
        english
        for file, entries in CATALOGUES.items()
        for english in entries
        if file not in SPOKEN_OUTSIDE and shape(english) not in said and english not in docstrings
    ]
    assert not idle, "\n".join(idle)


@pytest.mark.parametrize("file", CATALOGUES)
def test_a_sentence_has_the_same_places_in_both_languages(file):
    for english, chinese in CATALOGUES[file].items():
        carrying = {name for name in places(english) if not name.startswith("_")}
        assert carrying <= set(places(chinese)) <= set(places(english)), english
        assert chinese.strip() == chinese != "", english


def test_a_sentence_stands_in_the_catalogue_once():
    shapes = [shape(english) for entries in CATALOGUES.values() for english in entries]
    assert sorted(shapes) == sorted(set(shapes))


@pytest.mark.parametrize("file", CATALOGUES)
def test_every_pattern_finds_its_own_sentence(file):
    for english, chinese in CATALOGUES[file].items():
        filled = {name: str(7000 + i) for i, name in enumerate(places(english))}
        expected = chinese.format(**filled)
        assert translate(english.format(**filled).strip(), "zh") in (expected, expected.removesuffix("。"), expected + "。"), (
            english
        )


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(sorted(KNOWN)), max_size=6).map("; ".join))
def test_translating_never_fails_and_english_stays_as_it_stands(text):
    assert translate(text, "en") == text
    assert isinstance(translate(text, "zh"), str)


@settings(deadline=None)
@given(st.from_regex(r"[A-Z][a-z]{3,9}_[0-9]{1,4}", fullmatch=True))
def test_names_stay_as_they_are(name):
    assert translate(name, "zh") == name
    assert translate(f"site {name}: no such column", "zh") == f"站点 {name}：没有此列"


def test_a_reason_within_a_reason_is_translated():
    assert translate("lost in round 3: east (no reply); an exact method keeps its roster, run it again later", "zh") == (
        "第 3 轮失去站点：east（无回应）；精确方法须保持同一名册，请稍后重新运行"
    )
    assert translate("a: no reply; b: no reply before the deadline", "zh") == "a：无回应；b：截止时间前无回应"


def test_a_place_for_a_number_does_not_swallow_what_follows():
    said = 'formula "died ~ log(age", character 21: found the end, expected a closing parenthesis'
    assert translate(said, "zh") == '公式 "died ~ log(age"，第 21 个字符：发现 结尾，应为 右括号'


def test_names_in_a_list_are_joined_in_chinese():
    assert translate("'efron' or 'breslow'", "zh") == "'efron' 或 'breslow'"
    assert translate("the likelihood is flat and wide", "zh") == "the likelihood is flat and wide"


def test_a_sentence_of_somebody_else_stays_english():
    assert translate("The moon is made of cheese", "zh") == "The moon is made of cheese"


def test_an_endless_text_is_not_searched():
    text = "site a refused: " * 1000
    assert translate(text, "zh") == text


def test_the_most_telling_pattern_is_tried_first():
    lengths = [len("".join(pattern.fixed)) for pattern in catalogue()[1]]
    assert lengths == sorted(lengths, reverse=True)
