"""The page of the networks names each of them, and every setting with its default."""

from __future__ import annotations

import re

import pytest

from huizhen.extension import installed, load
from huizhen.methods.networks import NETWORKS


@pytest.fixture
def page(book):
    return book.page("docs/reference/networks.md")


def section(page, name):
    return re.split(r"^## ", page.text.split(f"## `{name}`\n")[1], flags=re.M)[0]


def test_the_page_tells_of_every_network(page):
    assert sorted(re.findall(r"^\| `(\w+)` \|", page.text.split("\n## ")[0], re.M)) == list(installed(NETWORKS))


@pytest.mark.parametrize("name", installed(NETWORKS))
def test_every_setting_of_a_network_is_in_its_section_with_its_default(name, page, as_written):
    stated = dict(re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", section(page, name), re.M))
    fields = load(NETWORKS, name).settings.model_fields
    assert stated == {each: as_written(field.default) for each, field in fields.items()}
