"""Whether an SQLite file may be opened: ordinary, sound, of a search, and without anything that runs by itself."""

from __future__ import annotations

import sqlite3
import stat
import time
from pathlib import Path

BESIDE = "-journal", "-wal", "-shm"  # ends of the names of what SQLite keeps beside a file
LARGEST = 1 << 28  # bytes; ten thousand trials take 10 MB
LONGEST = 5.0  # seconds of a check
TABLES = {"studies", "trials", "trial_values", "version_info"}  # some of Optuna's
RUNNING = "VIRTUAL", "GENERATED"  # words of tables that compute something; Optuna's have none
STEPS = 100_000  # of SQLite's machine between two looks at the clock


def require_sound(path: Path) -> None:
    """Raise unless a file and what lies beside it can be read without harm.

    Raises:
        ValueError: one is no ordinary file, too large, corrupt, has views or triggers, or is another program's.
        sqlite3.Error: SQLite cannot read it.
    """
    for each in (path, *(Path(f"{path}{end}") for end in BESIDE)):
        if each.is_symlink() or each.exists():
            kind = each.stat()
            if not stat.S_ISREG(kind.st_mode):
                raise ValueError(f"{each.name} is no ordinary file")
            if kind.st_size > LARGEST:
                raise ValueError(f"{each.name} has {kind.st_size} bytes, {LARGEST} are the most")
    if not path.exists():
        return
    until = time.monotonic() + LONGEST
    connection = sqlite3.connect(path)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        names = set()
        for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_master"):
            names.add(name)
            running = next((word for word in RUNNING if word in str(text).upper()), None)
            if kind not in ("table", "index") or running:
                raise ValueError(f"it has a {kind}{f' with {running}' if running else ''}")
        if names and not names >= TABLES:
            raise ValueError("it has other tables")
        (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            raise ValueError("it is corrupt")
    finally:
        connection.close()
