"""Trains the recogniser of Chinese names on made sentences, and writes its weights: `PYTHONPATH=src:tests python benchmarks/nameszh/train.py`.

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
from numba import njit
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack

import plantednames as pn
import plantedreports
from huizhen.data.deidentify.candidates_zh import AMOUNTS, candidates
from huizhen.data.deidentify.lexicon_zh import cut, lexicon
from huizhen.data.deidentify.people_zh import tables

ROOM = Path(__file__).parents[2] / "src/huizhen/data/deidentify"
EACH, ALONE, RARE = 60, 80, 4  # samples of a sentence with names and of one without; a feature that is rarer is left out
ETHNIC = (
    "买买提 艾力 古丽 阿依古丽 吐尔逊 热依汗 阿卜杜拉 玉素甫 克里木 麦麦提 帕提古丽 依明 扎西 卓玛 次仁 多吉 央金 平措 尼玛 旦增 拉姆 索朗 巴桑 普布 嘎玛 巴图 苏和 其其格 "
    "萨仁 高娃 乌日娜 朝鲁 哈斯 阿木尔 玛丽 约翰 大卫 安娜 彼得 汤姆 杰克 史密斯 布朗 田中 山本 佐藤 铃木 一郎 美子 和子 阿古拉 莫日根 努尔 阿依努尔 哈丽达 加娜尔 阿不都热合曼 古丽巴哈尔 麦合木提 努尔兰 叶尔兰 托合塔尔 米娜瓦尔 吾买尔江 肉孜 热孜万古丽 塔依尔 洛桑 加措 仁青 白玛 央宗 格桑 梅朵 丹增 罗布 乌云 其木格 孟和 巴雅尔 "
    "阿拉坦仓 斯琴 那顺 伊丽莎白 汤普森 马克 安德烈 索菲亚 约瑟夫 米勒 弗拉基米尔 伊万诺夫 卡洛斯 加西亚 才仁 拉毛 东珠 贡布 班玛 尕藏 热旦 娜仁 托娅 额尔德尼 布和 查干 宝音 帖木儿 萨比尔 祖丽皮亚"
).split()


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
    for name in ("judged_1", "judged_2", "judged_3"):
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
        self.foreign = list(tables()["foreign"])
        self.foreign_weights = [np.exp(-tables()["foreign"][key] / 1.5) for key in self.foreign]
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
        return self.surname(random) + self.given(random)

    def familiar(self, random: Random) -> str:
        return random.choice("老老小小阿") + self._drawn(self.surnames, random)

    def ethnic(self, random: Random) -> str:
        def part() -> str:
            if random.random() < 0.35:
                return random.choice(ETHNIC)
            return "".join(random.choices(self.foreign, self.foreign_weights, k=random.choice((2, 3, 3, 4))))

        return part() + "·" + part() if random.random() < 0.5 else (part() + part() if random.random() < 0.35 else part())

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


def material(seed: int, *, without: int | None = None, folds: int = 4) -> list[tuple[pn.Sentence, frozenset[str], frozenset[str]]]:
    """Sentences with what is withheld from the lists in each; `without` leaves out the templates of one fold."""
    random, names = Random(seed), Names()
    development = pn.sentences("development")
    medical = [
        word
        for line in (ROOM / "medical_zh.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
        for word in line.split()
    ]
    make = makers(development, medical, names)
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
    return [(sentence, *withheld(sentence, random)) for sentence in made]


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


def withheld(sentence: pn.Sentence, random: Random) -> tuple[frozenset[str], frozenset[str]]:
    """Words and surnames that this sentence shall not know: one word in sixteen, the surnames in one sentence of four."""
    gone = set()
    for run in ("".join(each) for each in _runs(sentence)):
        known = cut(run)
        at = 0
        while at < len(run):
            if known.right[at] > 1 and random.random() < 1 / 16:
                gone.add(run[at : at + known.right[at]])
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
