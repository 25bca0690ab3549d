"""The commands of the README and the tutorials run, in order, at toy size, and print what the pages say."""

from __future__ import annotations

import csv
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
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRANSCRIPT = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
DRAWN = "python docs/figures.py practice --out drawn"

Typed = dict[str, list[tuple[str, list[str]]]]  # of each page its commands, each with the lines that it prints


def type_pages(folder: Path) -> Typed:
    """Type the commands of each page, one after another in one folder, and draw the figures from what they leave."""
    (folder / "docs").symlink_to(ROOT / "docs")
    commands = [HOUR.commands(page) for page in PAGES]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "toy_shell.py", folder],
        input=json.dumps([*commands, [DRAWN]]),
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = [[HOUR.shown(text.splitlines()) for text in page] for page in json.loads(done.stdout)[:-1]]
    return {page: list(zip(*each, strict=True)) for page, *each in zip(PAGES, commands, printed, strict=True)}


def test_the_pages_have_commands() -> None:
    assert {page: len(HOUR.commands(page)) for page in PAGES}.keys() == set(PAGES)
    assert all(len(HOUR.commands(page)) > 1 for page in PAGES)
    assert "pip install" in " ".join(HOUR.commands("README.md", clone=True))
    assert "pip install" not in " ".join(HOUR.commands("README.md"))
    assert "centerx serve" not in " ".join(HOUR.commands("docs/tutorials/deploy.md"))


def transcript() -> Typed:
    """The commands of the first hour and their output."""
    pages: Typed = {}
    for section in TRANSCRIPT.split("\n## ")[1:]:
        page, rest = section.split("\n", 1)
        blocks = re.findall(r"^```console\n\$ (.*?)\n```", rest, flags=re.DOTALL | re.MULTILINE)
        known = HOUR.commands(page, clone=True)
        assert len(known) == len(blocks)
        pages[page] = []
        for command, block in zip(known, blocks, strict=True):
            assert block.startswith(command)
            pages[page].append((command, block.removeprefix(command).splitlines()[1:]))
    return pages


def without_numbers(lines: list[str]) -> list[str]:
    """What is printed whatever is found: of the last epoch, without numbers, objects, and warnings that none were."""
    told = [line for line in lines if not line.startswith(("warning: ", "│ found"))]
    told = [line.partition("; none scores ")[0] for line in told]
    told = [line for line in told if not re.match(r"epoch (\d+)/(?!\1 )", line)]
    plain = [re.sub(r"[-+]?\d[\d.,]*(e-?\d+)?|(?<=│ ) *-(?= *│)|[━─]+", " ", line) for line in told]
    plain = [" ".join(line.split()) for line in plain]
    plain = [line[:60] if line.endswith("...") else line for line in plain]  # long ones are cut at different words
    return [line for line, before in zip(plain, [None, *plain], strict=False) if line != before]


def test_the_first_hour_has_every_command_of_its_pages() -> None:
    hour = transcript()
    assert list(hour) == list(HOUR.PAGES)


@pytest.mark.soak
def test_the_commands_run_and_print_and_leave_what_the_pages_say(tmp_path: Path) -> None:
    typed = type_pages(tmp_path)
    for page, commands in transcript().items():
        printed = dict(typed[page])
        for command, lines in commands:
            if command in printed and not command.startswith("python -"):  # a loop over what is found
                assert without_numbers(lines) == without_numbers(printed[command]), command
    for name in ("runs/both/merge.json", "found.json", "exported/last.onnx", "sheet.png", "runs/tutorial/curves.png"):
        assert (tmp_path / "practice" / name).is_file()
    assert len(list((tmp_path / "practice" / "merged").iterdir())) == 8
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        "heatmap.png", "merging.png", "people_faces.jpg", "practice_people.jpg", "supervision.png"
    }  # fmt: skip


def test_the_output_in_the_readme_is_that_of_the_first_hour() -> None:
    (block,) = re.findall(r"^```text\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    assert block in TRANSCRIPT


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 180
    assert len(README.split()) <= 1000
    first = next(line for line in README.splitlines()[1:] if line)
    assert len(first.split()) == 15
    shell = [block for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL) if "runs/first" in block]
    (python,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert [len(block.splitlines()) for block in (*shell, python)] == [6, 6]


def test_the_results_of_the_readme_are_those_that_were_measured() -> None:
    rows = {}
    for name in ("merging_bccd_30", "partial_labels"):
        with (ROOT / "experiments" / "results" / f"{name}.csv").open(encoding="utf-8") as lines:
            rows |= {row["row"]: row for row in csv.DictReader(lines) if row["figure"] == "AP"}
    table = re.findall(r"^\| (.*) \| (0\.\d+) ± (0\.\d+) \|$", README, flags=re.MULTILINE)
    kinds = ("naive", "ignore", "separate", "pseudo", "merged", "masked")
    measured = [rows[f"{kind}, 30 epochs"] for kind in kinds] + [rows["full"]]
    assert len(table) == 7
    for (_, mean, std), row in zip(table, measured, strict=True):
        assert float(mean) == pytest.approx(float(row["mean"]), abs=0.00051)
        assert float(std) == pytest.approx(float(row["std"]), abs=0.00051)
