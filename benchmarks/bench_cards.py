"""A search through the cards of many sites, as the hub does it: cards that are read already, and cards that are read first."""

from __future__ import annotations

import time

from huizhen import canonical
from huizhen.federation.cards import CodeEntry, Content, SignedCard
from huizhen.federation.cardsearch import Searchable, found_in, read_wish
from huizhen.ledger.keys import new_key

SITES, CODES = 300, 500
BAR = 10.0


WORDS = ("Malignant neoplasm", "肺恶性肿瘤", "Type 2 diabetes", "Creatinine", "高血压")


def code(site, at):
    written = f"{chr(65 + at % 26)}{(at + site) % 90:02}.{at % 9}"
    return CodeEntry(kind="condition", system="ICD10", code=written, display=WORDS[at % 5], patients=900 - at)


def cards():
    key = new_key()
    for site in range(SITES):
        codes = [code(site, at) for at in range(CODES)]
        content = Content(patients=1000 + site, codes=codes)
        yield SignedCard.of(content, site=f"site-{site}", number=1, at="2026-01-01T00:00:00+00:00", key=key)


def test_a_search_through_cards_that_are_read_already():
    encoded = [canonical.encode(card.content) for card in cards()]
    wish = read_wish("肺 diagnosis ICD10:C34", min_patients=100)
    start = time.process_time()
    read = [Searchable(SignedCard.parse(canonical.decode(one))) for one in encoded]
    first = sum(found_in(one, wish) is not None for one in read)
    cold_s = time.process_time() - start
    start = time.process_time()
    again = sum(found_in(one, wish) is not None for one in read)
    warm_s = time.process_time() - start
    size = sum(map(len, encoded)) / SITES / 1000
    print(f"\n{SITES} cards of {CODES} codes, {size:.0f} kB each: first {cold_s:.2f} s, then {warm_s:.3f} s")
    assert first == again > 0
    assert cold_s / warm_s > BAR, "a card that is read once is kept read"
