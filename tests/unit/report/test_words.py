"""Every fixed word has both languages, and every word that is asked for is there."""

import re
import string
from pathlib import Path

import pytest

from huizhen.report import words
from huizhen.report.words import WORDS, Phrase, as_is, label, say

ROOM = Path(words.__file__).parent
SAID = re.compile(r"""\bsay\(\s*["']([a-z0-9_.]+)["']""")


def places(pattern):
    return sorted({name for _, name, _, _ in string.Formatter().parse(pattern) if name})


@pytest.mark.parametrize("key", WORDS)
def test_a_key_has_both_languages_with_the_same_places_to_fill(key):
    english, chinese = WORDS[key]
    assert english.strip() == english != ""
    assert chinese.strip() == chinese != ""
    assert places(english) == places(chinese)


def test_templates_and_code_use_known_keys_only():
    texts = [path.read_text(encoding="utf-8") for path in (*ROOM.glob("*.html"), *ROOM.glob("*.py"))]
    used = {key for text in texts for key in SAID.findall(text)}
    assert len(used) > 60
    assert used <= WORDS.keys()


def test_no_word_of_the_catalogue_is_idle():
    texts = "".join(
        path.read_text(encoding="utf-8")
        for path in (*ROOM.glob("*.html"), *ROOM.glob("*.py"))
        if path.name not in ("names.py", "sentences.py")
    )
    built = ("name.", "kind.", "lane.", "plot_", "part.", "foreseen_")
    idle = [key for key in WORDS if not key.startswith(built) and f'"{key}"' not in texts]
    assert idle == []


def test_templates_hold_no_fixed_words_of_their_own():
    for path in ROOM.glob("*.html"):
        bare = re.sub(
            r"\{[#%{].*?[#%}]\}|<pre>.*?</pre>|<button.*?</button>|<[^>]*>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        assert re.findall(r"[A-Za-z]{2,}|[\u4e00-\u9fff]", bare) == [], path.name


def test_a_place_is_filled_in_each_language():
    assert say("sites_alone_what", what=Phrase("mean", "均值")) == (": mean", "：均值")


def test_an_unknown_key_or_an_empty_place_is_an_error():
    with pytest.raises(KeyError):
        say("no such word")
    with pytest.raises(KeyError):
        say("rounds")


def test_an_unknown_name_is_shown_in_plain_letters():
    assert label("hazard_ratio") == ("Hazard ratio", "风险比")
    assert label("mean_depth") == as_is("mean depth")
