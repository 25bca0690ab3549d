"""The type hints of the package are those of a user: mypy --strict accepts a program, and sees its mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import centerx

PROGRAM = Path(__file__).parent / "typed" / "program.py"


def check(program: Path, cache: Path) -> str:
    """What mypy says of a program, by its own settings alone."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(cache), str(program)]
    paths = {"MYPYPATH": "", "PYTHONPATH": str(Path(centerx.__file__).parents[1])}
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | paths, cwd=cache, check=False)
    assert not run.stderr
    return run.stdout


@pytest.mark.soak
@pytest.mark.slow
def test_mypy_accepts_a_program_and_sees_mistakes(tmp_path: Path) -> None:
    assert (Path(centerx.__file__).parent / "py.typed").is_file()
    assert check(PROGRAM, tmp_path).startswith("Success")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        PROGRAM.read_text(encoding="utf-8")
        .replace("found.above(0.3)", "found.abvoe(0.3)")
        .replace("overrides=[", "override=[")
        .replace('[folder], "nano"', "[folder], 7")
    )
    said = check(wrong, tmp_path)
    for part in ('has no attribute "abvoe"', 'Unexpected keyword argument "override"', "incompatible type"):
        assert part in said
