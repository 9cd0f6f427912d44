"""The command line, called as a person calls it, and three small hospitals with a marked value in every cell that could leak."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


@pytest.fixture
def huizhen(monkeypatch, capfd, tmp_path):
    """Calls the console script in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HUIZHEN_LANG", "en")

    def call(*arguments: str) -> Said:
        from huizhen.cli import main

        monkeypatch.setattr(sys, "argv", ["huizhen", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Said(code, *capfd.readouterr())

    return call


@pytest.fixture
def start(tmp_path):
    """Starts the console script as a process of its own, to be interrupted or limited."""

    def begin(*arguments: str, before: str = "pass") -> subprocess.Popen[str]:
        # A program that a shell without job control starts in the background ignores Ctrl-C; this one must not.
        heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        typed = f"import sys; sys.argv = ['huizhen', *{list(map(str, arguments))!r}]"
        program = "\n".join((heed, before, typed, "from huizhen.cli import main", "main()"))
        return subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return begin


def write_csv(path: Path, columns: dict[str, list], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    return path


def patients(seed: int, rows: int) -> dict[str, list]:
    rng = np.random.default_rng(seed)
    age = rng.integers(30, 85, rows)
    sex = rng.choice(["f", "m"], rows)
    risk = -3 + 0.04 * age + 0.6 * (sex == "m")
    return {
        "age": age.tolist(),
        "sex": sex.tolist(),
        "creatinine": np.round(rng.normal(90, 18, rows), 1).tolist(),
        "time": rng.integers(1, 900, rows).tolist(),
        "died": (rng.random(rows) < 1 / (1 + np.exp(-risk))).astype(int).tolist(),
    }


STUDY = """
[study]
title = "Creatinine and death"

[method.summary]
variables = ["age", "creatinine"]

[method.glm]
formula = "died ~ age + sex + creatinine"
family = "binomial"
"""


@pytest.fixture
def hospitals(tmp_path):
    """Three CSV files and a study; returns the arguments of `huizhen run`."""
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    names = ["west-lake", "east-gate", "south-hill"]
    for seed, name in enumerate(names):
        write_csv(tmp_path / f"{name}.csv", patients(seed, 60 + 20 * seed))
    return ["run", "study.toml", *(part for name in names for part in ("--site", f"{name}={name}.csv"))]
