"""The page about a site's configuration names every key, with its default; the template and the examples can be read."""

from __future__ import annotations

import tomllib

import pytest

from huizhen.data.connectors.options import OPTIONS
from huizhen.site.settings import SECTIONS, SourceSection, parse_settings

KEYS = {**{f"`[{name}]`": model for name, model in SECTIONS.items()}, "`[source.ALIAS]`": SourceSection}
KEYS |= {f'`[source.ALIAS]` with `kind = "{kind}"`': model for kind, model in OPTIONS.items()}


@pytest.mark.parametrize("title", KEYS)
def test_every_key_of_the_configuration_is_in_the_reference_with_its_default(title, book, as_written):
    fields = KEYS[title].model_fields
    stated = {
        name: "*required*" if field.is_required() else as_written(field.get_default(call_default_factory=True))
        for name, field in fields.items()
    }
    assert book.page("docs/reference/site-file.md").table(title) == stated


def test_the_sources_in_the_how_to_can_be_read(book, tmp_path):
    blocks = [one.code for one in book.page("docs/how-to/connect-records.md").blocks if one.language == "toml"]
    found = parse_settings({"site": {"name": "a"}, **tomllib.loads("\n".join(blocks))}, tmp_path)
    assert found.deidentify.dates == "shift"
    assert list(found.connected) == ["emr", "cdm", "lab", "pacs"]


def test_the_rules_in_the_how_to_can_be_read(book, tmp_path):
    (block,) = [one for one in book.page("docs/how-to/decide-on-a-suggestion.md").blocks if one.language == "toml"]
    assert parse_settings({"site": {"name": "a"}, **tomllib.loads(block.code)}, tmp_path).accept.min_participants == 4


def test_every_command_of_the_inbox_and_of_the_hubs_studies_is_in_the_reference(book):
    titles = {title for _, title in book.page("docs/reference/command-line.md").headings}
    for command in ("site new", "site check", "site inbox", "hub studies", "hub queue"):
        assert f"`huizhen {command}`" in titles
    for command in ("site show", "site accept", "site decline", "site withdraw"):
        assert f"`huizhen {command} SUGGESTION`" in titles
    assert "`huizhen hub show STUDY`" in titles
