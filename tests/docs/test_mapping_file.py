"""The pages about the dictionary, the mapping and the rules name every key with its default; their examples can be read."""

from __future__ import annotations

import pytest

from huizhen.data.declaration import read_declaration
from huizhen.data.mapping import dictionary, mapfile, report
from huizhen.data.mapping.compiling import DOUBTS
from huizhen.data.mapping.steps import STEPS
from huizhen.data.quality import rules
from huizhen.site.settings import RegistrySection

MAPPING, QUALITY = "docs/reference/mapping-file.md", "docs/reference/quality-rules.md"
KEYS = {
    (MAPPING, "`[dictionary]`"): dictionary.About,
    (MAPPING, "Dictionary: `[variable.NAME]`"): dictionary.Entry,
    (MAPPING, "`[mapping]`"): mapfile.Place,
    (MAPPING, "`[index]`"): mapfile.Index,
    (MAPPING, "`[value_set.NAME]`"): mapfile.ValueSet,
    (MAPPING, "Mapping: `[variable.NAME]`"): mapfile.Rule,
    (QUALITY, "`[duplicates]`"): rules.DuplicatesSection,
    ("docs/reference/site-file.md", "A source that is the registry"): RegistrySection,
}


@pytest.mark.parametrize(("page", "title"), KEYS)
def test_every_key_is_in_the_reference_with_its_default(page, title, book, as_written):
    fields = KEYS[page, title].model_fields
    assert book.page(page).table(title) == shown(fields, as_written)


@pytest.mark.parametrize("kind", rules.KINDS)
def test_every_kind_of_rule_is_in_the_reference_with_its_keys(kind, book, as_written):
    common = book.page(QUALITY).table("Every rule")
    own = book.page(QUALITY).table(f"`{kind}`")
    fields = {name: field for name, field in rules.KINDS[kind].model_fields.items() if name != "kind"}
    assert {**common, **own} == shown(fields, as_written)


def test_every_reason_and_note_of_the_report_is_in_the_reference(book):
    page = book.page(MAPPING)
    assert tuple(page.table("What is left out, and told")) == DOUBTS
    notes = (report.NO_EVENT, report.NO_VALUE, report.NOT_MAPPED, report.SEVERAL, report.UNORDERED, report.OUTSIDE)
    assert [note for note in notes if f"| {note} |" not in page.text] == []


def test_every_step_of_an_image_is_in_the_reference_with_its_keys(book):
    told = book.page(MAPPING).table("Steps of an image")
    assert [name.strip('"') for name in told] == list(STEPS)
    for (needed, others), said in zip(STEPS.values(), told.values()):
        assert said == ", ".join(f"`{key}`" for key in (*needed, *others))


def test_the_declared_image_of_the_guide_can_be_read(book, tmp_path):
    ((_, block),) = book.marked("steps of an image")
    (tmp_path / "dictionary.toml").write_text(block.code, encoding="utf-8")
    assert len(dictionary.read_dictionary(tmp_path / "dictionary.toml").variable["chest_ct"].steps) == 4


def test_the_examples_can_be_read(book, tmp_path):
    for mark, name in (
        ("complete dictionary", "dictionary.toml"),
        ("complete mapping", "map.toml"),
        ("complete rules", "rules.toml"),
    ):
        ((_, block),) = book.marked(mark)
        (tmp_path / name).write_text(block.code, encoding="utf-8")
    found = mapfile.read_mapping(tmp_path / "map.toml")
    assert found.unmapped == ()
    assert len(read_declaration(tmp_path / "rules.toml", rules.Rules, "").rule) == 3


def shown(fields, as_written):
    return {
        name: "*required*" if field.is_required() else as_written(field.get_default(call_default_factory=True))
        for name, field in fields.items()
    }
