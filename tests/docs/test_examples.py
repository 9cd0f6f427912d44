"""Every example runs without a warning and prints, to the letter, what stands beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS = {"images": "torch"}  # packages beyond the core, by example
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_examples_and_each_has_its_output():
    assert len(EXAMPLES) >= 5
    assert {path.stem for path in EXAMPLES} == {path.stem for path in (ROOT / "examples").glob("*.out")}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_stands_beside_it(path, tmp_path):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(path)], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == path.with_suffix(".out").read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
