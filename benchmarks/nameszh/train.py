"""Trains the recogniser of Chinese names on made sentences, and writes its weights:
`PYTHONPATH=src:tests python benchmarks/nameszh/train.py dict.txt` (of jieba 0.42.1).

Candidates compete: a sentence's names are a choice among them, and the planted choice is made likely. Surnames and words are withheld from the
lists at random, so that what is in no list is met in training, too. The same machine and the same versions give the same weights.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

import numpy as np
import sounds
from numba import njit
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack

import plantednames as pn
import plantedreports
from huizhen.data.deidentify import sounds_zh
from huizhen.data.deidentify.candidates_zh import AMOUNTS, candidates
from huizhen.data.deidentify.lexicon_zh import cut, lexicon
from huizhen.data.deidentify.people_zh import tables

ROOM = Path(__file__).parents[2] / "src/huizhen/data/deidentify"
EACH, ALONE, RARE = 60, 80, 4  # samples of a sentence with names and of one without; a feature that is rarer is left out
UNDOTTED = ("tibetan", "mongolian", "yi", "others", "kirghiz")  # peoples whose names have no dot between their parts
JOINED = (*"·······", "•", "・", "‧", ".", "．")
SEEN = ("judged_1", "judged_2", "judged_3")
SOUNDING = 0.2  # the share of names in any place that are written by their sound
HALF = 0.65  # the share of names and things of which the models are made by which is trained: the others they have not seen


def han() -> list[str]:
    """The 6,763 characters of GB 2312."""
    found = []
    for high in range(0xB0, 0xF8):
        for low in range(0xA1, 0xFF):
            try:
                found.append(bytes((high, low)).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return found


HAN = han()


def seen() -> list[str]:
    """Sentences by which it was judged, and that were looked at afterwards; since then they are for training."""
    found = []
    for name in SEEN:
        content = pn.sentences(name)
        for block in (*content["named"].values(), content["nameless"]["lines"]):
            found += [line.replace("{p}", "{n}").replace("{w}", "{n}") for line in pn.lines(block)]
    return found


class Names:
    """Names of all sorts, common and odd."""

    def __init__(self) -> None:
        self.surnames = {key: cost for key, cost in tables()["surname"].items() if len(key) == 1}
        self.double = [key for key in tables()["surname"] if len(key) == 2]
        self.first, self.last = tables()["first"], tables()["last"]
        self.peoples = sounds.lists()["names"]
        self.western = [*self.peoples["western"], *sounds.listed(Path(sys.argv[1]))[0]]
        self.model = sounds_zh.tables()["name"]
        self.stock = [key for key in self.model["one"] if key != "$"]
        self.stock_weights = [np.exp(-self.model["one"][key]) for key in self.stock]
        self.weights = {
            id(table): [np.exp(-cost / 1.7) for cost in table.values()] for table in (self.surnames, self.first, self.last)
        }
        self.words = [word for word, known in lexicon().items() if len(word) == 2 and known.cost < 13 and known.kind in "nvaz"]

    def surname(self, random: Random) -> str:
        chance = random.random()
        if chance < 0.03:
            return "于"
        if chance < 0.55:
            return self._drawn(self.surnames, random)
        if chance < 0.7:
            return random.choice(list(self.surnames))
        return random.choice(self.double) if chance < 0.77 else random.choice(HAN)

    def given(self, random: Random) -> str:
        if random.random() < 0.06:
            return random.choice(self.words)
        last = self._drawn(self.last, random) if random.random() < 0.65 else random.choice(HAN)
        if random.random() < 0.28:
            return last
        return (self._drawn(self.first, random) if random.random() < 0.65 else random.choice(HAN)) + last

    def name(self, random: Random) -> str:
        if random.random() < SOUNDING:
            return self.ethnic(random)
        return self.surname(random) + self.given(random)

    def familiar(self, random: Random) -> str:
        return random.choice("老老小小阿") + self._drawn(self.surnames, random)

    def ethnic(self, random: Random) -> str:
        """A name that is written by its sound, of any people."""
        people = random.choice(
            [*self.peoples, "western", "western", "uyghur", "kazakh", "tibetan", "mongolian", "yi", "others", "others"]
        )
        if people.startswith("japanese"):
            given = random.choice(self.peoples["japanese_given"]) if random.random() < 0.6 else self.given(random)
            family, other = (random.choice(self.peoples["japanese_family"]) for _ in range(2))
            return (family if random.random() < 0.6 else family[: random.choice((1, 1, 2))] + other[-1]) + given
        parts = [self.part(people, random) for _ in range(random.choice((1, 1, 2, 2, 2, 3) if people == "western" else (1, 2, 2)))]
        if people in UNDOTTED:
            name = "".join(parts[:2]) if max(map(len, parts)) < 4 else parts[0]
        else:
            name = random.choice(JOINED).join(parts) if random.random() < 0.6 else "".join(parts[:2])
        return name if len(name) > 1 else self.ethnic(random)

    def part(self, people: str, random: Random) -> str:
        """One of the list, or made like the names of the list, with more or less chance in it."""
        if random.random() < 0.75:
            return random.choice(self.western if people == "western" else self.peoples[people])
        if random.random() < 0.5:  # the beginning of one name and the end of another
            one, other = (random.choice(self.western if people == "western" else self.peoples[people]) for _ in range(2))
            return one[: (len(one) + 1) // 2] + other[len(other) // 2 :]
        made, size = random.choices(self.stock, self.stock_weights)[0], random.choice((2, 3, 3, 4))
        while len(made) < size:
            heights = [
                np.exp(-self.model["pair"].get(made[-1] + key, 9.0)) + 0.3 * weight
                for key, weight in zip(self.stock, self.stock_weights)
            ]
            made += random.choices(self.stock, heights)[0]
        return made

    def _drawn(self, table: dict[str, float], random: Random) -> str:
        return random.choices(list(table), self.weights[id(table)])[0]


def place(random: Random) -> str:
    """An address of characters that nobody has put together before."""
    town = "".join(random.choices(HAN[:3755], k=random.choice((1, 2, 2))))
    street = "".join(random.choices(HAN[:3755], k=random.choice((2, 2, 3))))
    told = random.choice(("", "浙江省", "四川省", "云南省", "河北省", "本市")) + town + random.choice("市县区镇乡") + street
    return (
        told
        + random.choice(("路", "街", "大道", "巷", "村", "小区", "花园", "新村"))
        + random.choice(("", f"{random.randint(1, 900)}号"))
    )


def makers(development: dict, medical: list[str], names: Names) -> dict[str, pn.Maker]:
    listed = {key: pn.drawn_from(words.split()) for key, words in development["words"].items()}
    return {
        **listed, "n": names.name, "s": lambda random: names._drawn(names.surnames, random), "o": names.familiar, "m": names.ethnic,
        "a": place, "d": pn.days, "i": pn.numbers, "x": pn.drawn_from(medical),
    }  # fmt: skip


def mixed(words: list[str], share: float) -> pn.Maker:
    """Words of a list, and some that are in none: the beginning of one and the end of another."""

    def make(random: Random) -> str:
        one, other = random.choice(words), random.choice(words)
        return one[: (len(one) + 1) // 2] + other[len(other) // 2 :] if random.random() < share else one

    return make


def material(seed: int, *, without: int | None = None, folds: int = 4) -> list[tuple[pn.Sentence, frozenset[str], frozenset[str]]]:
    """Sentences with what is withheld from the lists in each; `without` leaves out the templates of one fold."""
    random, names = Random(seed), Names()
    development = pn.sentences("development")
    things = sounds.lists()["things"]
    known = halved(Random(seed))
    medical = sounds.medical()
    make = makers(development, [*medical, *medical, *things["drugs"], *things["herbs"]], names)
    foreign = [*names.western, *names.peoples["russian"], *names.peoples["japanese_family"]]
    make |= {
        "g": mixed(things["drugs"], 0.35), "h": mixed(things["herbs"], 0.15), "l": mixed(things["places"], 0.2),
        "e": lambda random: random.choice(foreign if random.random() < 0.5 else things["eponyms"]),
    }  # fmt: skip
    general = [word for word, known in lexicon().items() if known.cost < 14 and len(word) < 4]
    weights = [np.exp(-lexicon()[word].cost / 2) for word in general]
    made: list[pn.Sentence] = []
    for kind, each in (("named", EACH), ("nameless", ALONE)):
        for number, template in enumerate(pn.lines(development[kind]["lines"])):
            if without is not None and number % folds == without:
                continue
            for _ in range(each):
                text = varied(template, random) if random.random() < 0.5 else template
                made.append(pn.filled(text, number, random, make))
    for template in seen():
        for _ in range(EACH):
            text = varied(template, random) if random.random() < 0.5 else template
            made.append(pn.filled(text, -3, random, make))
    for template in (*plantedreports.ZH, *plantedreports.ZH_LATER):
        for _ in range(EACH):
            text = pn.PLACE.sub(
                lambda place: "{n" + place[2] + "}" if place[1] == "name" else plantedreports.zh_value(place[1], random), template
            )
            made.append(pn.filled(varied(text, random) if random.random() < 0.5 else text, -2, random, make))
    random.shuffle(made)
    made = joined(made, random)
    for _ in range(8000):  # among words that have nothing to do with them
        before, after = ("".join(random.choices(general, weights, k=random.randint(0, 4))) for _ in range(2))
        made.append(pn.filled(random.choice((before + "{n}" + after, before + "{n}" + after, before + after)), -1, random, make))
    return [(sentence, *withheld(sentence, random, known)) for sentence in made]


def joined(made: list[pn.Sentence], random: Random) -> list[pn.Sentence]:
    """Half of them end with a mark, and some of these stand behind another: a sentence does not always begin or end its report."""
    told = []
    for sentence in made:
        text, planted, mark = sentence.text, list(sentence.planted), random.choice(("", "", "", "。", "。", "；", "，", "\n"))
        if mark and told and random.random() < 0.4 and len(told[-1].text) < 200:
            before = told.pop()
            shift = len(before.text)
            text = before.text + text
            planted = [*before.planted, *(pn.Planted(p.begins + shift, p.ends + shift, p.sort) for p in planted)]
        told.append(pn.Sentence(text + mark, tuple(planted), sentence.template))
    return told


@cache
def alike() -> dict[tuple[str, int], tuple[list[str], list[float]]]:
    """Words by kind and length, and how likely each is drawn."""
    found: dict[tuple[str, int], list[str]] = {}
    for word, known in lexicon().items():
        if known.cost < 14 and len(word) < 4:
            found.setdefault((known.kind, len(word)), []).append(word)
    return {
        key: (words, list(accumulate(float(np.exp(-lexicon()[word].cost / 2)) for word in words))) for key, words in found.items()
    }


def varied(template: str, random: Random) -> str:
    """The sentence with some words exchanged for others of their kind: what stands beside a name is not always what stood there before."""
    told, share = "", random.choice((0.15, 0.3, 0.6))
    for piece in re.split(r"(\{\w+\}|[^\u4e00-\u9fff]+)", template):
        if not piece or not "\u4e00" <= piece[0] <= "\u9fff":
            told += piece
            continue
        known, at = cut(piece), 0
        while at < len(piece):
            word = piece[at : at + known.right[at]]
            at += len(word)
            if word in lexicon() and random.random() < share:
                words, heights = alike().get((lexicon()[word].kind, len(word)), ([word], [1.0]))
                word = random.choices(words, cum_weights=heights)[0]
            told += word
    return told


def halved(random: Random) -> frozenset[str]:
    """Has the models made of one part of names and things; what things they have not seen."""
    own, (names, more) = sounds.lists(), sounds.listed(Path(sys.argv[1]))
    kept: dict[str, list[str]] = {"names": [], "things": []}
    unseen: set[str] = set()
    for side, groups in own.items():
        for word in [word for group in groups.values() for word in group] + (sounds.medical() if side == "things" else []):
            if random.random() < HALF:
                kept[side].append(word)
            else:
                unseen.add(word)
    made = sounds.models(
        kept["names"],
        kept["things"],
        [name for name in names if random.random() < HALF],
        [thing for thing in more if random.random() < HALF],
    )
    sounds_zh.tables = lambda: made
    return frozenset(unseen - set(kept["things"]))


def withheld(sentence: pn.Sentence, random: Random, unseen: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Words and surnames that this sentence shall not know: one word in sixteen, a quarter of those
    that the model of things has not seen, and the surnames in one sentence of four."""
    gone = set()
    for run in ("".join(each) for each in _runs(sentence)):
        known = cut(run)
        at = 0
        while at < len(run):
            word = run[at : at + known.right[at]]
            if len(word) > 1 and random.random() < (1 / 4 if word in unseen else 1 / 16):
                gone.add(word)
            at += known.right[at]
    surnames = {sentence.text[p.begins] for p in sentence.planted if p.sort == "n"}
    return frozenset(gone), frozenset(surnames if random.random() < 0.25 else ())


def _runs(sentence: pn.Sentence) -> list[str]:
    """The Chinese between names."""
    text = list(sentence.text)
    for planted in sentence.planted:
        text[planted.begins : planted.ends] = "\n" * (planted.ends - planted.begins)
    return "".join(each if "\u4e00" <= each <= "\u9fff" else "\n" for each in text).split("\n")


@dataclass
class Lattices:
    """Candidates of all sentences: where each begins and ends (counted through all texts), whether it is a name, its features."""

    begins: np.ndarray
    ends: np.ndarray
    truth: np.ndarray
    first: np.ndarray  # of the candidates of each sentence, and one more
    base: np.ndarray  # where each sentence's text begins, and where the last ends
    features: list[tuple[str, ...]]
    amounts: np.ndarray  # (candidate, AMOUNTS)


def lattices(made: list) -> Lattices:
    begins, ends, truth, first, base, features, amounts = [], [], [], [0], [0], [], []
    for sentence, hidden, surnames in made:
        names = {(p.begins, p.ends) for p in sentence.planted}
        found = sorted(candidates(sentence.text, hidden=hidden, withheld=surnames), key=lambda each: (each.ends, each.begins))
        for candidate in found:
            begins.append(base[-1] + candidate.begins)
            ends.append(base[-1] + candidate.ends)
            truth.append((candidate.begins, candidate.ends) in names)
            features.append(candidate.features)
            amounts.append(candidate.amounts)
        first.append(len(begins))
        base.append(base[-1] + len(sentence.text) + 1)
    return Lattices(*(np.array(each) for each in (begins, ends, truth, first, base)), features, np.array(amounts))


@njit(cache=False)
def expected(scores, begins, ends, first, base, chances):
    """Sum of the log-partitions of all sentences; `chances` becomes the chance of every candidate."""
    total = 0.0
    for at in range(len(first) - 1):
        low, high, start, stop = first[at], first[at + 1], base[at], base[at + 1]
        if low == high:
            continue
        ahead = np.zeros(stop - start + 1)
        behind = np.zeros(stop - start + 1)
        each = low
        for place in range(1, stop - start + 1):
            ahead[place] = ahead[place - 1]
            while each < high and ends[each] - start == place:
                ahead[place] = np.logaddexp(ahead[place], ahead[begins[each] - start] + scores[each])
                each += 1
        order = low + np.argsort(begins[low:high])
        each = high - low - 1
        for place in range(stop - start - 1, -1, -1):
            behind[place] = behind[place + 1]
            while each >= 0 and begins[order[each]] - start == place:
                behind[place] = np.logaddexp(behind[place], behind[ends[order[each]] - start] + scores[order[each]])
                each -= 1
        whole = ahead[stop - start]
        total += whole
        for each in range(low, high):
            chances[each] = np.exp(ahead[begins[each] - start] + scores[each] + behind[ends[each] - start] - whole)
    return total


def fitted(made: Lattices, strength: float = 1.0, rounds: int = 80) -> dict[str, float]:
    """Weights of a model of whole sentences (a semi-Markov random field in which all between names scores 0), with an L2 penalty."""
    counts = Counter(name for row in made.features for name in row)
    index = {name: at for at, name in enumerate(["bias", *sorted(name for name, count in counts.items() if count >= RARE)])}
    columns, ends = [], [0]
    for row in made.features:
        columns += sorted({0, *(index[name] for name in row if name in index)})
        ends.append(len(columns))
    matrix = csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(made.features), len(index)))
    matrix = hstack([matrix, csr_matrix(made.amounts)]).tocsr()
    index |= {name: len(index) + at for at, name in enumerate(AMOUNTS)}
    across, truth, chances = matrix.T.tocsr(), made.truth.astype(float), np.zeros(len(made.features))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = matrix @ weights
        whole = expected(scores, made.begins, made.ends, made.first, made.base, chances)
        return whole - scores @ truth + strength / 2 * weights @ weights, across @ (chances - truth) + strength * weights

    found = minimize(loss, np.zeros(len(index)), jac=True, method="L-BFGS-B", options={"maxiter": rounds})
    return {name: float(found.x[at]) for name, at in index.items() if abs(found.x[at]) >= 0.05}


def main() -> None:
    made = lattices(material(1))
    print(len(made.first) - 1, "sentences", len(made.truth), "candidates", made.truth.sum(), "names", flush=True)
    weights = fitted(made)
    lines = [f"{round(100 * weight)}\t{name}" for name, weight in sorted(weights.items())]
    head = "# Made by benchmarks/nameszh/train.py: weights in hundredths of the features of a candidate."
    (ROOM / "weights_zh.txt").write_text("\n".join((head, *lines)) + "\n", encoding="utf-8")
    print(len(weights), "weights")


if __name__ == "__main__":
    sys.exit(main())
