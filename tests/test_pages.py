"""The commands of the README and the tutorials run, in order, at toy size, and print what the pages say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
HOUR = load_script("docs/first_hour.py")
TUTORIALS = [f"docs/tutorials/{name}.md" for name in ("first", "merge", "add", "small", "deploy")]
PAGES = ["README.md", *TUTORIALS]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, list[str]]]]:
    """What the commands of each page print, one after another in one folder."""
    folder = tmp_path_factory.mktemp("hour")
    (folder / "docs").symlink_to(ROOT / "docs")
    commands = [HOUR.commands(page) for page in PAGES]
    paths = os.pathsep.join(str(ROOT / each) for each in ("src", "tests"))
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "toy_shell.py", folder],
        input=json.dumps(commands),
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = [[HOUR.shown(text.splitlines()) for text in page] for page in json.loads(done.stdout)]
    return {page: list(zip(*each, strict=True)) for page, *each in zip(PAGES, commands, printed, strict=True)}


def test_a(typed):
    for page, each in typed.items():
        for text, lines in each:
            print(page, text, *lines, sep="\n")
