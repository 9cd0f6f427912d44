"""Who follows the book sees what it shows: the tutorial's commands, the Python page's session, the code that pages quote."""

from __future__ import annotations

import doctest
import re
import shlex
import sys

import pytest

LANGUAGES = ["docs/tutorial.md", "docs/tutorial.zh.md"]


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    """Calls `huizhen` as the tutorial does, in an empty folder; wildcards are filled in as a shell does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("HUIZHEN_LANG", "en")

    def call(line: str) -> str:
        from huizhen.cli import main

        words = [str(found) for word in shlex.split(line) for found in (sorted(tmp_path.glob(word)) if "*" in word else [word])]
        monkeypatch.setattr(sys, "argv", words)
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                pytest.fail(capfd.readouterr().err)
        return capfd.readouterr().out

    return call


def test_the_commands_of_the_tutorial_show_what_it_says(book, command, tmp_path):
    said, shown = "", 0
    for block in book.page("docs/tutorial.md").blocks:
        kind, _, name = block.mark.partition(": ")
        if kind == "write":
            (tmp_path / name).write_text(block.code, encoding="utf-8")
        elif kind == "run" and name:
            exec(compile(block.code, name, "exec"), {})
        elif kind == "run":
            said = "".join(command(line) for line in block.code.splitlines())
        elif kind == "shows":
            for line in block.code.splitlines():
                shown += 1
                assert appears(line, said), line
    assert shown > 10


def appears(line: str, said: str) -> bool:
    """Whether a line was said, blanks and line breaks apart; … stands for anything on the same line."""
    parts = [r"[\s│]+".join(map(re.escape, part.split())) for part in line.split("…")]
    return re.search(r"[^\n]*?".join(parts), said) is not None


def test_what_the_tutorial_shows_would_be_missed():
    assert appears("age … 0.5 … 2", " age   0.5 | 9 | 2\n")
    assert not appears("age … 0.6", " age   0.5 \n 0.6")


def test_the_session_of_the_python_page_runs_as_printed(book):
    code = "\n".join(block.code for block in book.page("docs/how-to/use-from-python.md").blocks if block.language == "pycon")
    session = doctest.DocTestParser().get_doctest(code, {}, "use-from-python", "docs/how-to/use-from-python.md", 0)
    assert len(session.examples) > 20
    report: list[str] = []
    assert doctest.DocTestRunner().run(session, out=report.append).failed == 0, "".join(report)


def test_code_that_a_page_quotes_stands_in_the_file_that_it_names(book):
    quoted = [(page, block) for page, block in book.marked("from")]
    assert len(quoted) > 3
    for page, block in quoted:
        source = (book.root / block.mark.partition(": ")[2]).read_text(encoding="utf-8")
        assert block.code in source, page.name
