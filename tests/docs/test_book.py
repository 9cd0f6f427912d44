"""The book holds together: links, languages, pictures, words, and nothing of the machine that it was written on."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = sorted((Path(__file__).parents[2] / "docs" / "pictures").glob("*.svg"))
TRANSLATIONS = [("README.md", "README.zh.md"), ("docs/tutorial.md", "docs/tutorial.zh.md")]


def test_every_relative_link_resolves_to_a_file_and_a_heading(book):
    broken = []
    for page in book.pages:
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.path.parent / path).resolve() if path else page.path
            if not target.exists() or (anchor and anchor not in book.page(str(target)).anchors):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_every_page_is_in_the_table_of_contents(book):
    listed = set()
    for page in book.pages:
        for block in page.blocks:
            if block.language == "{toctree}":
                for line in block.code.splitlines():
                    if line and not line.startswith(":"):
                        listed |= {path.resolve() for path in page.path.parent.glob(f"{line}.md")}
    pages = {page.path.resolve() for page in book.pages if page.path.is_relative_to(book.root / "docs")}
    assert pages - listed == {(book.root / "docs/index.md").resolve()}


def test_the_readme_shows_two_commands_and_no_others(book):
    commands = [block.code.strip() for block in book.page("README.md").blocks]
    assert commands == ["make demo", "make test"]
    targets = re.findall(r"^(\w+):", (book.root / "Makefile").read_text(), re.M)
    assert {"demo", "test", "check", "docs"} <= set(targets)


@pytest.mark.parametrize(("english", "chinese"), TRANSLATIONS)
def test_a_chinese_page_has_the_headings_commands_and_pictures_of_the_english_one(english, chinese, book):
    one, other = book.page(english), book.page(chinese)
    assert [rank for rank, _ in one.headings] == [rank for rank, _ in other.headings]
    assert [block.code for block in one.blocks if block.mark] == [block.code for block in other.blocks if block.mark]
    assert [block.language for block in one.blocks] == [block.language for block in other.blocks]
    pictures = [[link for link in page.links if link.endswith(".svg")] for page in (one, other)]
    assert pictures[0] == pictures[1]
    assert len(re.findall(r"[\u4e00-\u9fff]", other.prose)) > 500


def test_the_readme_tells_of_every_method_that_is_there(book):
    from huizhen import extension
    from huizhen.federation.study import METHODS

    for name in ("README.md", "README.zh.md"):
        assert [method for method in extension.installed(METHODS) if f"`{method}`" not in book.page(name).text] == []


def test_no_page_names_a_path_of_this_machine(book):
    found = [
        (page.name, path) for page in book.pages for path in re.findall(r"(?<![\w.])/(?:work|tmp|home|root|Users|opt)\b", page.text)
    ]
    assert found == []


def test_no_page_says_a_word_that_the_glossary_forbids_for_a_site(book):
    """Page by page, in prose; the glossary itself lists them."""
    forbidden = re.compile(r"\b(silo|silos|consortium|blockchain)\b", re.I)
    found = [
        (page.name, word)
        for page in book.pages
        if page.path.name not in ("glossary.md", "ledger.md")  # the ledger's page says what a ledger is not
        for word in forbidden.findall(page.prose)
    ]
    assert found == []


def test_the_rooms_that_exist_are_the_rooms_of_the_book(book):
    source = book.root / "src" / "huizhen"
    rooms = {path.parent.name for path in source.glob("*/__init__.py")}
    described = set(book.page("docs/architecture.md").table("Who imports whom"))
    assert described - {"ground"} == rooms
    drawn = (book.root / "docs/pictures/rooms.svg").read_text()
    solid = set(re.findall(r'class="teal b mid"[^>]*>([a-z]+)<', drawn))
    assert solid == rooms
    ground = re.search(r">([a-z]+(?: · [a-z]+)+)<", drawn)
    assert ground is not None
    assert set(ground[1].split(" · ")) == {path.stem for path in source.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_well_formed_described_and_calls_nobody(path):
    picture = ElementTree.parse(path).getroot()
    assert picture.find(f"{SVG}title") is not None
    assert picture.find(f"{SVG}desc") is not None
    references = [value for element in picture.iter() for name, value in element.attrib.items() if name.endswith(("href", "src"))]
    assert references == []
    assert "http" not in path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "prefers-color-scheme: dark" in path.read_text()


def test_every_change_has_a_file_with_a_number_of_its_own(book):
    files = sorted(path.name for path in (book.root / "changes").glob("[0-9]*.md"))
    assert files
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))


def test_every_decision_has_a_number_of_its_own_and_says_what_follows(book):
    pages = [page for page in book.pages if page.path.parent.name == "adr"]
    assert [int(page.path.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert [title for rank, title in page.headings if rank == 2] == ["Context", "Decision", "Consequences"]


def test_the_worked_example_of_the_time_grid_comes_out_as_the_page_says(book):
    import numpy as np

    from huizhen.methods.survival.timegrid import merge

    rows = {
        line.split("|")[1].strip(): [int(cell) for cell in line.split("|")[2:-1]]
        for line in book.page("docs/explanation/time-grid.md").section("A small example").splitlines()
        if line.startswith(("| events", "| censorings"))
    }
    events, censorings = rows.values()
    grid = merge(np.array([[[0, *events]], [[0, *censorings]]]), 1.0, 3)
    assert grid.times.tolist() == [2.0, 7.0, 8.0]
    assert grid.events.tolist() == [[3, 4, 0]]
    assert grid.censored.tolist() == [[0, 0, 5]]
    assert grid.at_risk.tolist() == [[12, 9, 5]]
