"""Files of a search that another program wrote or changed."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from centerx.api.tune import read_study
from centerx.errors import InputError
from centerx.tuning.stored import LARGEST, require_sound
from centerx.tuning.study import StudyFile
from tests.tuning.test_search import search

MADE = "ran"


@pytest.fixture
def file(tmp_path: Path) -> StudyFile:
    return StudyFile(tmp_path / "a.sqlite", "none", 1)


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {MADE}",)


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def told(*orders: str, value: object = None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = sqlite3.connect(path)
        for order in orders:
            connection.execute(order, (value,) if "?" in order else ())
        connection.commit()
        connection.close()

    return change


def other(path: Path) -> None:
    told("CREATE TABLE mine (a)", "INSERT INTO mine VALUES (1)")(path)


CHANGES = {
    "text": lambda path: path.write_bytes(b"no database" * 100),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "nothing but its head": lambda path: path.write_bytes(path.read_bytes()[:16] + bytes(4000)),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Evil())),
    "folder": replaced(Path.mkdir),
    "pipe": replaced(os.mkfifo),
    "device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "link to itself": replaced(lambda path: path.symlink_to(path)),
    "pipe as its journal": lambda path: os.mkfifo(f"{path}-journal"),
    "folder as its journal": lambda path: Path(f"{path}-wal").mkdir(),
    "too large": lambda path: os.truncate(path, LARGEST + 1),
    "other program's": replaced(other),
    "view without an end": told(
        "CREATE TABLE kept AS SELECT * FROM trials", "DROP TABLE trials",
        "CREATE VIEW trials AS WITH RECURSIVE q(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM q) "
        "SELECT kept.* FROM kept, q",
    ),
    "trigger": told("CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM trials; END"),
    "without a table": told("DROP TABLE trial_params"),
    "state": told("UPDATE trials SET state = 'x'"),
    "infinite AP": told(
        "UPDATE trial_intermediate_values SET intermediate_value = NULL, intermediate_value_type = 'INF_POS'"
    ),
    "no direction": told("DELETE FROM study_directions"),
    "another direction": told("UPDATE study_directions SET direction = 'MINIMIZE'"),
    "no AP": told("DELETE FROM trial_intermediate_values"),
    "AP of 7": told("UPDATE trial_intermediate_values SET intermediate_value = 7.0"),
    "pickled value": told("UPDATE trial_user_attributes SET value_json = ?", value=pickle.dumps(Evil())),
    "pickled distribution": told("UPDATE trial_params SET distribution_json = ?", value=pickle.dumps(Evil())),
    "nesting": told("UPDATE trial_user_attributes SET value_json = ?", value="[" * 100_000),
    "infinite time": told("UPDATE trial_user_attributes SET value_json = 'Infinity'"),
    "number out of its range": told("UPDATE trial_params SET param_value = 1e308"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_another_program_changed_is_one_line(
    name: str, file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    search(file, 2)
    CHANGES[name](file.path)
    with pytest.raises(InputError, match=r"sqlite: is no file of a search \(") as raised:
        read_study(file)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert not Path(MADE).exists()


def test_another_programs_file_stays_as_it_is(file: StudyFile) -> None:
    other(file.path)
    before = file.path.read_bytes()
    with pytest.raises(InputError, match="other tables"):
        read_study(file)
    assert file.path.read_bytes() == before


def test_a_search_is_sound(file: StudyFile) -> None:
    require_sound(file.path)  # not there
    trials = search(file, 2)
    require_sound(file.path)
    assert read_study(file)[2] == trials
