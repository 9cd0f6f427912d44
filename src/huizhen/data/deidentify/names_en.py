"""English names in reports: capitalised words behind a title, a label or a relative, before a degree or an age, or with a common given name.

An eponym (Parkinson disease, Foley catheter) is a name of nobody here: what follows it tells.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from itertools import takewhile

from huizhen.data.deidentify.spans import Span

__all__ = ["GIVEN", "SURNAMES", "names_en"]

LISTS = tomllib.loads((files("huizhen.data.deidentify") / "names_en.toml").read_text(encoding="utf-8"))
GIVEN = frozenset(LISTS["given"].split())
SURNAMES = frozenset(LISTS["surnames"].split())
# Capitalised words that begin sentences or lines, or stand beside names, and are none.
NO_NAME = frozenset(LISTS["none"].split())
THINGS = (
    r"(?:disease|syndrome|sign|signs|lymphoma|catheter|procedure|incision|palsy|esophagus|oesophagus|tumou?r|sarcoma|cell|cells|score|scale|criteria|classification|class|grade|stage|index|test|"
    r"reflex|maneuver|manoeuvre|fracture|contracture|hernia|node|nodes|line|tube|drain|clamp|stain|body|bodies|duct|gland|nodule|nodules|murmur|phenomenon|triad|law|formula|equation|"
    r"curve|method|model|repair|operation|position|point|angle|ligament|artery|vein|canal|space|pouch|fascia|muscle|tendon|nerve|ganglion|lobe|fissure|dementia|thyroiditis|"
    r"anemia|an[ae]emia|malformation|ophthalmopathy|lactate|nephropathy|encephalopathy|cardiomyopathy|deformity|ulcer|esophagitis|arthropathy|neuropathy|chorea|ataxia|infarct|type|virus|bacillus|agar|solution|mg|mcg|ml|tablet|tablets|capsule|capsules|units?)\b"
)
WORD = (
    r"[A-Z][a-zà-öø-ÿ]+(?:['’][A-Z]?[a-z]+)?(?:-[A-Z][a-zà-öø-ÿ]+)?|[A-Z]['’][A-Z][a-z]+|Ma?c[A-Z][a-z]+|[A-Z]{3,}(?:-[A-Z]{2,})?"
)
FULL = rf"(?:{WORD}|[A-Z]\.)(?:[ \t](?:{WORD}|[A-Z]\.|[A-Z](?=[ \t][A-Z][a-z])|van|von|der|den|de|del|la|da|di|bin|al)){{0,4}}(?:,[ \t](?:{WORD})(?:[ \t][A-Z]\.?)?(?=[ \t]*(?:\n|$|  )))?"
NAME = re.compile(FULL)
TITLE = re.compile(r"\b(?:Dr|Drs|Mr|Mrs|Ms|Miss|Mx|Prof|Professor|Doctor|Nurse|Sister|Rev)\b\.?[ \t]+")
LABEL = re.compile(
    r"\b(?i:patient(?:['’]s)? name|name of patient|full name|(?:last|first|given|family|maiden) name|name|patient|pt|attending(?: physician)?|surgeon|(?:first |second )?assistant|an[a]?esthesiologist|anesthetist|radiologist|"
    r"pathologist|cardiologist|oncologist|(?:referring |primary care |ordering |consulting |treating )?(?:physician|provider|doctor|clinician)|consultant|resident|fellow|intern|nurse|technologist|technician|therapist|"
    r"pharmacist|interpreter|author|witness|pcp|cc|next of kin|emergency contact|contact(?: person)?|guardian|spouse|parent|caregiver|subject|operator|scribe|reader|relative|informant)[ \t]*(?:\(s\))?(?:[ \t]*:[ \t]*|[ \t](?i:is|was)[ \t])"
)
CUE = re.compile(
    r"\b(?i:(?:dictated|(?:electronically |digitally )?signed|reported|reviewed|verified|approved|transcribed|performed|prepared|authored|interpreted|read|seen|examined|referred|ordered|administered|witnessed|accompanied|brought in) by|"
    r"(?:spoke|discussed|reviewed|met|talked) with|under the care of|care of|attn|dear|sincerely,|regards,|yours truly,|yours sincerely,|yours faithfully,|(?:summary|note|report|letter|visit) for|named|called|"
    r"(?:patient|pt)['’]?s? name is|(?:the )?patient,|"
    r"(?:daughter|son|wife|husband|mother|father|sister|brother|spouse|partner|fianc[eé]e?|friend|neighbou?r|aunt|uncle|niece|nephew|cousin|grandson|granddaughter|grandmother|grandfather|caregiver|roommate|guardian|colleague),?)"
    r"[ \t]*:?\s{0,3}"
)
BEHIND = re.compile(
    rf"(?P<name>{FULL})(?=,?[ \t](?:MD|M\.D\.|DO|D\.O\.|PhD|Ph\.D\.|RN|R\.N\.|NP|PA-C|MBBS|FRCP|FACS|CRNA|LPN)\b|,?[ \t](?:is |was )?(?:a|an)[ \t]\d{{1,3}}[- ](?:year|yr|y/?o|month|day)|,?[ \t]\(?(?:DOB|MRN|born)\b|,[ \t]\d{{1,3}}[ \t]?(?:M|F|y/?o|years)\b)"
)
ROLE = re.compile(r"\b[A-Z]?[a-z]{2,}(?:er|or|ist|ian|ee|ent|ant|man|ess)[ \t]*:[ \t]*")  # Caller: Endoscopist: Chaperone is none
FIRST_PERSON = re.compile(r"\bI,[ \t]+")
VERB = (
    r"(?:is|was|has|had|will|reports?|reported|states?|stated|denies|denied|presents?|presented|underwent|returns?|returned|lives|works|complains?|describes?|notes|"
    r"came|comes|called|asks|asked|says|said|feels|felt|agreed|agrees|refused|declined|tolerated|died|remains|received|takes|continues|signed|attended|confirmed)"
)
SUBJECT = re.compile(rf"(?<![\w-])(?P<name>(?:{WORD})(?:[ \t](?:[A-Z]\.|{WORD})){{1,3}})(?=,?[ \t]{VERB}\b)")
PREPOSITION = re.compile(
    rf"\b(?:by|with|from|for|to|and|per|via|told|informed|notified|called|contacted|let)[ \t]+(?P<name>(?:{WORD})(?:[ \t](?:[A-Z]\.|{WORD})){{1,3}})"
)
# Two capitalised words or more, wherever they stand; a sentence's first word may be any word, and then its ending decides.
RUN = re.compile(rf"(?<![\w'’-])(?:{WORD})(?:[ \t](?:[A-Z]\.|[A-Z](?=[ \t][A-Z][a-z])|van|von|de|del|la|{WORD})){{1,3}}(?![\w-])")
SENTENCE = re.compile(r"(?:^|[.!?:;\n(]\s*|[-*•]\s)$")
ORDINARY = re.compile(
    r"(?:ed|ing|ly|tion|sion|ment|ness|ity|able|ible|ous|ive|al|ic|ism|itis|osis|emia|ology|graphy|scopy|ectomy|ary|less|ful|ate|ize|ent|ant|ance|ence|[^aiuy]s)$"
)
LISTED = re.compile(rf"\b(?:{'|'.join(sorted(GIVEN))})(?:[ \t][A-Z]\.?)?[ \t](?:{WORD})")
REVERSED = re.compile(r"\b[A-Z]{2,}(?:-[A-Z]{2,})?,[ \t][A-Z]{2,}(?:[ \t][A-Z]\.?)?(?=[ \t]{2,}|\n|$|[ \t](?:MRN|DOB))")
THING = re.compile(rf"(?:['’]s?)?[- ]{THINGS}|-(?:Pugh|Barr|Hodgkin)")


def names_en(text: str) -> Iterator[Span]:
    """Names by their places, then every other place where one of them, or one of its words, stands."""
    found = {span for span in _by_place(text) if span.begins < span.ends}
    yield from found
    words = {
        word for span in found for word in re.findall(WORD, text[span.begins : span.ends]) if len(word) > 2 and word not in NO_NAME
    }
    for word in words:
        for again in re.finditer(rf"(?<![\w@.]){re.escape(word)}(?![\w@])", text):
            if not THING.match(text, again.end()):
                yield Span(again.start(), again.end(), "name", 1)


def _by_place(text: str) -> Iterator[Span]:
    for pattern in (TITLE, LABEL, CUE):
        for cue in pattern.finditer(text):
            after = TITLE.match(text, cue.end())
            begins = after.end() if after else cue.end()
            name = NAME.match(text, begins)
            if name:
                yield _trimmed(text, begins, name.end(), alone=pattern is not CUE or after is not None)
    for found in BEHIND.finditer(text):
        yield _trimmed(text, *found.span("name"), alone=True)
    for pattern in (ROLE, FIRST_PERSON):
        for cue in pattern.finditer(text):
            name = NAME.match(text, cue.end())
            if name and " " in name[0]:
                yield _trimmed(text, cue.end(), name.end(), alone=True)
    for pattern in (SUBJECT, PREPOSITION):
        for found in pattern.finditer(text):
            if not any(_is_none(word) or (word.isupper() and len(word) > 2) for word in found["name"].split()):
                yield _trimmed(text, *found.span("name"), alone=False)
    yield from _runs(text)
    for found in LISTED.finditer(text):
        yield _trimmed(text, found.start(), found.end(), alone=False)
    for found in REVERSED.finditer(text):
        yield Span(found.start(), found.end(), "name", 2)


def _runs(text: str) -> Iterator[Span]:
    for run in RUN.finditer(text):
        words = run[0].split()
        if (
            words[0] not in GIVEN
            and len(words[0]) > 2
            and SENTENCE.search(text[max(0, run.start() - 4) : run.start()])
            and ORDINARY.search(words[0])
        ):
            continue
        if not any(_is_none(word) or (word.isupper() and len(word) > 2) for word in words):
            yield _trimmed(text, run.start(), run.end(), alone=False)


def _trimmed(text: str, begins: int, ends: int, *, alone: bool) -> Span:
    """The name without words that are none at either end; empty where nothing, or an eponym, is left."""
    words = [(found.start() + begins, found.end() + begins) for found in re.finditer(r"\S+", text[begins:ends])]
    while words and _is_none(text[slice(*words[0])]):
        words.pop(0)
    words = list(takewhile(lambda word: not _is_none(text[slice(*word)]), words))
    if not words or THING.match(text, words[-1][1]):
        return Span(begins, begins, "name")
    single = text[slice(*words[0])].strip(".,")
    if len(words) == 1 and not alone and single not in GIVEN | SURNAMES and THING.match(text, words[0][1]):
        return Span(begins, begins, "name")
    last = words[-1][1]
    return Span(words[0][0], last - (text[last - 1] == "," or (text[last - 1] == "." and last - words[-1][0] > 2)), "name", 2)


def _is_none(word: str) -> bool:
    """Whether a capitalised word is no name; a single letter is an initial."""
    bare = word.strip(".,")
    return len(bare) > 1 and bare in NO_NAME
