"""The page about the mirrored federation names every key with its default and its doubt, and its example is a mirror."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from huizhen.twin.warehouse.kinds import KINDS
from huizhen.twin.warehouse.metrics import METRICS
from huizhen.twin.warehouse.mirrorfile import QUANTITY_KEYS, TABLES, statements_in
from huizhen.twin.warehouse.mirroring import mirror_from

PAGE = "docs/reference/federation-file.md"


def title(kind):
    return "`[hub]`" if kind == "hub" else f"`[[{kind}]]`"


@pytest.mark.parametrize("kind", TABLES)
def test_every_key_of_a_table_is_in_the_page_with_its_default(kind, book, as_written):
    stated = {"name": "*required*"}
    stated |= {name: "*required*" if word.usual is None else as_written(word.usual) for name, word in KINDS[kind].words.items()}
    for name, measure in KINDS[kind].quantities.items():
        stated[name] = f"`{measure.usual[0]:g}`" if measure.usual else "" if measure.optional else "*required*"
    assert book.page(PAGE).table(title(kind)) == stated


@pytest.mark.parametrize("kind", ["device", "link", "site", "path"])
def test_how_far_a_value_is_doubted_and_how_fast_it_grows_old_is_in_the_page(kind, book):
    section = book.page(PAGE).section(title(kind))
    for name, measure in KINDS[kind].quantities.items():
        (line,) = [line for line in section.splitlines() if line.startswith(f"| `{name}`")]
        ages = "never" if math.isinf(measure.doubles_s) else f"{measure.doubles_s / 86_400:g} days"
        doubt = "" if measure.doubt == 1 and math.isinf(measure.doubles_s) else f"{measure.doubt:g}, {ages}"
        assert line.split("|")[3].strip() == doubt, name


def test_every_key_of_a_value_and_every_metric_is_in_the_page(book):
    assert set(book.page(PAGE).table("A value")) == set(QUANTITY_KEYS)
    assert book.page(PAGE).table("Telemetry") == {name: f"`{metric.unit}`" for name, metric in METRICS.items()}


def test_the_example_is_a_mirror(book):
    (block,) = [one for one in book.page(PAGE).blocks if one.language == "toml"]
    mirror = mirror_from(statements_in(block.code), datetime(2026, 3, 1, tzinfo=UTC))
    assert list(mirror.sites) == ["east"]
