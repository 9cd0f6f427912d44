"""Makes the models of what is written by its sound, of `sounds.toml` and the dictionary of jieba 0.42.1 (MIT): `python sounds.py dict.txt`.

Two models of pairs of characters: of names (peoples of China that have no Chinese surnames, and from abroad), and of things (drugs, herbs, places,
eponyms). Absolute discounting (Ney, Essen and Kneser 1994): a pair that was not seen costs what its second character costs, and a step more.
"""

from __future__ import annotations

import math
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from lexicon import FOREIGN

ROOM = Path(__file__).parents[2] / "src/huizhen/data/deidentify"
OWN, DICTIONARY = 3, 1  # how much a name counts that stands in sounds.toml, and one of the dictionary, that is mostly of one kind
DISCOUNT = 0.6
Model = dict[str, dict[str, float]]
ENDS = tuple("药草花根皮叶藤仁参芪术苓胡芍汤丸散膏丹素酸胺酮醇酯啶唑嗪林星韦肽烷烯酚醛酶炎症瘤病癌")
PLACES = frozenset("县镇乡村山河州庄省区市港城洲岛湾国族语教党派")


def lists() -> dict[str, dict[str, list[str]]]:
    """Names by people, and things by kind."""
    content = tomllib.loads((Path(__file__).parent / "sounds.toml").read_text(encoding="utf-8"))
    return {
        side: {kind: list(dict.fromkeys(block.replace("·", " ").split())) for kind, block in blocks.items()}
        for side, blocks in content.items()
    }


def listed(path: Path) -> tuple[list[str], list[str]]:
    """Foreign names of the dictionary, and things: foreign places, drugs, chemicals and herbs by their ends."""
    names, things = [], []
    own = {name for group in lists()["things"].values() for name in group}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, kind = line.split()
        if not 2 <= len(word) <= 7 or not all("\u4e00" <= each <= "\u9fff" for each in word) or word in own:
            continue
        sounding = set(word) <= FOREIGN
        if kind in ("nrt", "nr") and sounding and len(word) > 2 and word[-1] not in PLACES:
            names.append(word)
        elif (kind == "ns" and sounding and len(word) > 2) or (kind in ("n", "nz") and 3 <= len(word) <= 5 and word.endswith(ENDS)):
            things.append(word)
    return names, things


def model(words: Iterable[tuple[str, float]]) -> Model:
    """Costs in nats: `one` of a character, `pair` of the second after the first, `back` of the step to a pair never seen."""
    pairs, after, kinds = Counter[str](), Counter[str](), defaultdict(set)
    one: Counter[str] = Counter()
    for word, weight in words:
        for first, second in zip(f"^{word}", f"{word}$"):
            pairs[first + second] += weight
            after[first] += weight
            if second not in kinds[first]:
                one[second] += 1
            kinds[first].add(second)
    total = sum(one.values())
    chance = {character: count / total for character, count in one.items()}
    back = {first: DISCOUNT * len(kinds[first]) / after[first] for first in after}
    found: Model = {"one": {key: -math.log(each) for key, each in chance.items()}, "pair": {}, "back": {}}
    found["back"] = {first: -math.log(min(1.0, each)) for first, each in back.items()}
    for pair, count in pairs.items():
        first, second = pair
        found["pair"][pair] = -math.log(max(count - DISCOUNT, 0.1) / after[first] + back[first] * chance[second])
    return found


def models(names: Iterable[str], things: Iterable[str], more_names: Iterable[str], more_things: Iterable[str]) -> dict[str, Model]:
    return {
        "name": model([*((word, OWN) for word in names), *((word, DICTIONARY) for word in more_names)]),
        "thing": model([*((word, OWN) for word in things), *((word, DICTIONARY) for word in more_things)]),
    }


def medical() -> list[str]:
    lines = (ROOM / "medical_zh.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]


def main() -> None:
    own = lists()
    everything = {side: [word for group in groups.values() for word in group] for side, groups in own.items()}
    made = models(everything["names"], [*everything["things"], *medical()], *listed(Path(sys.argv[1])))
    out = ["# Made by benchmarks/nameszh/sounds.py: costs in half nats of characters, of pairs, and of pairs never seen."]
    for side, tables in made.items():
        for table, costs in tables.items():
            by = defaultdict(list)
            for key, cost in costs.items():
                by[round(2 * cost)].append(key)
            out += [f"{side} {table} {cost} {' '.join(sorted(group))}" for cost, group in sorted(by.items())]
    (ROOM / "sounds_zh.txt").write_text("\n".join(out) + "\n", encoding="utf-8")
    print({side: {table: len(costs) for table, costs in tables.items()} for side, tables in made.items()})


if __name__ == "__main__":
    main()
