"""Help and mistakes on the command line in Chinese: texts by the catalogue, wrapped by their width on a screen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any
from unicodedata import east_asian_width

from huizhen.translation import translate

__all__ = ["in_chinese", "mistake", "wrapped"]

# A run of Latin letters, or one character, with the marks that may not begin a line.
PIECE = re.compile(r"(?:[!-~]+|.)[，。；：、）]*")
EXTRA = re.compile(r"^(.*?)(?:  \[(.*)\])?$", re.DOTALL)  # what typer appends: default and required


def in_chinese(command: Any) -> Any:
    """The command and all below it with Chinese texts; the same object.

    Typer brings its own copy of click, whose classes have no public name: what is needed of them is taken from the command itself.
    """
    command.help = translate(command.help or "", "zh").strip()
    command.short_help = command.help.partition("。")[0]
    command.context_class = type("ChineseContext", (command.context_class,), {"formatter_class": _formatter(command)})
    for below in getattr(command, "commands", {}).values():
        in_chinese(below)
    return command


def mistake(error: Exception) -> str:
    """What typer says of a mistyped command, in Chinese."""
    message: str = error.format_message() if hasattr(error, "format_message") else str(error)
    return translate(" ".join(message.split()), "zh")


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns; a Chinese character takes two, and a Latin word is not cut."""
    line, columns = "", 0
    for piece in PIECE.findall(text):
        needed = columns_of(piece)
        if line and columns + needed > width:
            yield line.rstrip()
            line, columns = "", -1  # a continued line does not begin with a blank
        if columns < 0:
            piece, columns = piece.lstrip(), 0 if piece.strip() else -1
            needed = columns_of(piece)
        line, columns = line + piece, columns + needed
    yield line.rstrip()


def columns_of(text: str) -> int:
    """The columns that a text takes on a screen."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _formatter(command: Any) -> type:
    base: Any = command.context_class.formatter_class

    class Chinese(base):  # type: ignore[misc]
        """Headings in Chinese, and two columns that do not run over the edge."""

        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, args, "用法：")

        def section(self, name: str) -> AbstractContextManager[None]:
            return super().section(translate(name, "zh"))  # type: ignore[no-any-return]

        def write_text(self, text: str) -> None:
            indent = " " * self.current_indent
            for paragraph in text.splitlines():
                for line in wrapped(paragraph, self.width - len(indent)):
                    self.write(f"{indent}{line}".rstrip() + "\n")

        def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
            indent = " " * self.current_indent
            first = min(max(columns_of(name) for name, _ in rows), col_max) + col_spacing
            for name, text in rows:
                lines = list(wrapped(_said(text), max(self.width - len(indent) - first, 20)))
                beside = columns_of(name) + col_spacing <= first
                self.write(f"{indent}{name}{' ' * (first - columns_of(name)) + lines.pop(0) if beside else ''}".rstrip() + "\n")
                for line in lines:
                    self.write(f"{indent}{' ' * first}{line}".rstrip() + "\n")

    return Chinese


def _said(text: str) -> str:
    help_text, extra = EXTRA.fullmatch(text).groups()  # type: ignore[union-attr]
    said = translate(help_text, "zh").rstrip("。")
    return f"{said}  [{translate(extra, 'zh')}]" if extra else said
