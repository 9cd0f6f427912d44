"""The page about criteria names every rule and key with its default; the file in the how-to can be read."""

from __future__ import annotations

import tomllib

import pytest

from huizhen.data.criteria.reading import parse_criteria
from huizhen.data.criteria.rules import RULES, About, Index
from huizhen.site.settings import parse_settings

TABLES = {"`[cohort]`": About, "`[index]`": Index, **{f'`rule = "{name}"`': model for name, model in RULES.items()}}


@pytest.mark.parametrize("title", TABLES)
def test_every_key_of_a_rule_is_in_the_reference_with_its_default(title, book, as_written):
    stated = {
        name: "*required*" if field.is_required() else as_written(field.get_default(call_default_factory=True))
        for name, field in TABLES[title].model_fields.items()
    }
    assert book.page("docs/reference/criteria-file.md").table(title) == stated


def test_the_criteria_in_the_how_to_can_be_read(book, tmp_path):
    block, settings = [one for one in book.page("docs/how-to/count-a-cohort.md").blocks if one.language == "toml"]
    assert len(parse_criteria(tomllib.loads(block.code), tmp_path).criteria) == 5
    told = parse_settings({"site": {"name": "east"}, **tomllib.loads(settings.code)}, tmp_path)
    assert told.accept.at_once == ["attrition"]
    assert told.path_of("ehr") == tmp_path / "registry"
