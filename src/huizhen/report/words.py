"""The words of a report in the reader's language.

A key has both languages (`sentences`, `names`); what a study or a site says in its own words is shown as it stands, and what a
method or a policy says is translated. Names of facts and columns that methods use often have a readable label under ``name.*``; an
unknown name is shown with its underscores as spaces.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from huizhen.report.names import NAMES
from huizhen.report.sentences import SENTENCES
from huizhen.translation import translate

__all__ = ["WORDS", "Language", "Phrase", "as_is", "label", "level_name", "name_of", "say", "told"]

Language = Literal["en", "zh"]


class Phrase(NamedTuple):
    """One thing said in both languages."""

    en: str
    zh: str

    def within(self, language: Language) -> str:
        """The phrase in one language."""
        return self.zh if language == "zh" else self.en


def as_is(text: str) -> Phrase:
    """Words that are not ours to translate: a title, a label, a site's name."""
    return Phrase(text, text)


def told(text: str) -> Phrase:
    """What another room says in English: a reason, a note, a caption."""
    return Phrase(text, translate(text, "zh"))


def level_name(text: str) -> Phrase:
    """The name of a level or a group: as it stands, unless publication put ``(withheld 1)`` in its place."""
    return told(text) if text.startswith("(withheld ") else as_is(text)


def name_of(what: str) -> Phrase:
    """What a policy withholds: the name of a fact or a table, or words such as ``cells of stage``."""
    return label(what) if f"name.{what}" in WORDS else told(what)


def say(key: str, /, **fill: object) -> Phrase:
    """The words under a key, with ``{name}`` places filled; a `Phrase` is filled in its language.

    Raises:
        KeyError: no such key, or a place is not filled.
    """

    def spoken(pattern: str, language: Language) -> str:
        return pattern.format_map({k: v.within(language) if isinstance(v, Phrase) else v for k, v in fill.items()})

    english, chinese = WORDS[key]
    return Phrase(spoken(english, "en"), spoken(chinese, "zh"))


def label(name: str) -> Phrase:
    """A readable label for the name of a fact, a column or a method."""
    return Phrase(*WORDS[f"name.{name}"]) if f"name.{name}" in WORDS else as_is(name.replace("_", " "))


WORDS = SENTENCES | NAMES
