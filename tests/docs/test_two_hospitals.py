"""Who follows "Two hospitals in fifteen minutes" sees what it shows: its commands, in its order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from hubs import free_port, need_nats_server

PAGES = ["docs/how-to/two-hospitals.md", "docs/how-to/two-hospitals.zh.md"]
SOURCE = Path(__file__).parents[2] / "src"
ID = "study-3f9c0a1b2c4d5e6f"  # as the page writes it; every study has another one
PATIENCE_S = 120.0


class Followed:
    """A reader with a shell in an empty folder, and with terminals in which programs stay."""

    def __init__(self, folder: Path, stack: ExitStack, language: str) -> None:
        self.folder, self.stack, self.port, self.id, self.said = folder, stack, free_port(), ID, ""
        program = folder / ".path" / "huizhen"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c 'from huizhen.cli import main; main()' \"$@\"\n")
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ.get('PATH', '')}:/usr/sbin"
        self.environment = {
            **os.environ, "PATH": path, "PYTHONPATH": str(SOURCE), "HUIZHEN_LANG": language, "COLUMNS": "120",
            "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, text: str) -> None:
        script = self._script(text)
        done = subprocess.run(script, cwd=self.folder, env=self.environment, capture_output=True, timeout=PATIENCE_S, check=False)
        self.said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, self.said
        if found := re.search(r"study-[0-9a-f]{16}", self.said):
            self.id = found.group()

    def stay(self, name: str, text: str) -> None:
        with (self.folder / f".{name}.out").open("wb") as out:
            started = subprocess.Popen(self._script(f"exec {text}"), cwd=self.folder, env=self.environment, stdout=out, stderr=out)
        self.stack.callback(started.wait)
        self.stack.callback(started.terminate)

    def _script(self, text: str) -> list[str]:
        text = text.replace("huizhen hub init hub", f"huizhen hub init hub --port {self.port}").replace(ID, self.id)
        return ["bash", "-euc", text]

    def sees(self, line: str) -> bool:
        return appears(line.replace(ID, self.id), self.said)

    def comes_to_see(self, name: str, line: str) -> bool:
        until = time.monotonic() + PATIENCE_S
        while not appears(line, (self.folder / f".{name}.out").read_text(encoding="utf-8")):
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


def appears(line: str, said: str) -> bool:
    """Whether a line was said, blanks apart; … stands for anything on the same line."""
    parts = [r"[\s│]+".join(map(re.escape, part.split())) for part in line.split("…")]
    return re.search(r"[^\n]*?".join(parts), said) is not None


@pytest.mark.parametrize("page", PAGES)
def test_who_follows_the_guide_sees_what_it_shows(page, book, tmp_path):
    need_nats_server()
    steps = 0
    with ExitStack() as stack:
        reader = Followed(tmp_path, stack, "zh" if page.endswith(".zh.md") else "en")
        for block in book.page(page).blocks:
            kind, _, name = block.mark.partition(": ")
            steps += bool(kind)
            if kind == "write":
                reader.write(name, block.code)
            elif kind == "run":
                reader.run(block.code)
            elif kind == "stays":
                reader.stay(name, block.code.strip())
            elif kind == "shows":
                for line in block.code.splitlines():
                    seen = reader.comes_to_see(name, line) if name else reader.sees(line)
                    assert seen, f"{line}\n{reader.said if not name else (tmp_path / f'.{name}.out').read_text()}"
    assert steps > 25


def test_both_languages_give_the_same_commands(book):
    english, chinese = ([block for block in book.page(page).blocks if block.mark and "shows" not in block.mark] for page in PAGES)
    assert [(block.mark, block.code) for block in english] == [(block.mark, block.code) for block in chinese]
