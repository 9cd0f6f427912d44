"""The terminal tells the same story in short, in either language."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from huizhen.privacy.result import Result
from huizhen.report.content import Analysis
from huizhen.report.plain import tables


def printed(content, language, width=150):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for part in tables(content, language):
        console.print(part)
    return console.file.getvalue()


def test_the_story_is_told_in_english(content):
    text = printed(content, "en")
    assert "Federation" in text
    assert "2 more hospitals in the report" in text
    assert "completely separated by biomarker" in text
    assert "What left each hospital" in text
    assert "did not answer within 60 s" in text


def test_the_story_is_told_in_chinese(content):
    text = printed(content, "zh")
    assert "联合" in text
    assert "Federation" not in text
    assert "离开各医院的信息" in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_withheld_number_is_printed(content, language):
    lines = [line.split() for line in printed(content, language).splitlines()]
    assert not any("-1" in line or "−1" in line for line in lines)
    assert any(("withheld" if language == "en" else "不予公布") in line for line in lines)


def test_words_in_brackets_are_printed_as_they_stand(content):
    result = Result("x[bold]", 5, ("a",), {"f": 1.5}, failure="[red]no[/red] answer")
    text = printed(replace(content, title="[link=x]t[/link]", analyses=(Analysis("[b]l", result, {}),)), "en")
    assert "[link=x]t[/link]" in text
    assert "[red]no[/red] answer" in text
    assert "[b]l" in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_shows_fewer_hospitals_and_every_number_in_full(content, width):
    text = printed(content, "en", width)
    assert max(len(line) for line in text.splitlines()) <= width
    numbers, in_full = ({w for w in t.split() if w.lstrip("−").startswith("0.")} for t in (text, printed(content, "en", 300)))
    assert numbers
    assert numbers <= in_full
    assert "more hospitals in the report" in text
