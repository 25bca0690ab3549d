"""A file that keeps what a teacher finds on pictures, so that it is asked once: SQLite, a row a picture's content."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from centerx.data.stored import (
    StoredDetections,
    carried_values,
    require_sound,
    store_detections,
    stored_columns,
    usable_detections,
    without_area,
)
from centerx.errors import InputError
from centerx.files import is_line, require_writable
from centerx.images import read_image
from centerx.joints import NO_JOINTS, Joints
from centerx.levels import AUTO, ValueRange
from centerx.progress import track
from centerx.tasks import POSE, TASKS, task_of
from centerx.types import Detections

SUFFIX = ".sqlite"
FORMAT = 1  # of the file; one of a task whose objects carry more than boxes is of the next, with a column for that
WITH_JOINTS = 3  # of one whose objects have joints: another column says which
COMMIT_SECONDS = 5.0  # an interruption loses less than that
PATIENCE = 60.0  # seconds to wait for another run that writes the same file
TABLES = (
    "CREATE TABLE teacher (format INTEGER, digest TEXT, class_names TEXT, task TEXT)",
    "CREATE TABLE pictures (digest BLOB PRIMARY KEY, path BLOB, boxes BLOB, scores BLOB, labels BLOB) WITHOUT ROWID",
)
MORE = "ALTER TABLE pictures ADD COLUMN carried BLOB"  # float32 values of each field in turn
JOINTS = "ALTER TABLE teacher ADD COLUMN joints TEXT"
PLAIN_COLUMNS = 5  # of pictures
CHECKSUMS = "ALTER TABLE pictures ADD COLUMN checksum INTEGER"  # the last column; files of earlier versions have none
logger = logging.getLogger(__name__)
Detect = Callable[[np.ndarray], Detections]  # a picture (H, W, 3) uint8 RGB -> what is found, in its pixels


class TeacherInfo(NamedTuple):
    """Whose detections a file keeps.

    Attributes:
        digest: of the content of the teacher's files.
        class_names: of the teacher.
        task: name of its task.
        joints: of task pose.
    """

    digest: str
    class_names: tuple[str, ...]
    task: str
    joints: Joints = NO_JOINTS

    @property
    def columns(self) -> dict[str, int]:
        """What is stored of each detection beside its box, by name."""
        return stored_columns(task_of(self))

    @property
    def format(self) -> int:
        """Of a file of the teacher."""
        return WITH_JOINTS if self.task == POSE.name else FORMAT + bool(self.columns)


def read_info(path: Path) -> TeacherInfo:
    """Return whose detections a file keeps.

    Raises:
        InputError: it is missing, corrupt or another file, or its class names are of no use.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, check the path")
    with _opened(path) as connection:
        info = _info(path, connection)
    check_names(info.class_names, str(path))
    return info


def require_teacher(path: Path, kept: TeacherInfo, teacher: TeacherInfo) -> None:
    """Raise where a file keeps what another teacher found.

    Args:
        path: the file.
        kept: whose detections it keeps.
        teacher: who is to be asked.

    Raises:
        InputError: they are not the same.
    """
    if kept != teacher:
        raise InputError(
            f"{path}: keeps what another teacher found; remove it to ask this one, or set distill.cache to another "
            "folder"
        )


def check_names(names: Sequence[str], where: str) -> None:
    """Check the class names of a teacher.

    Args:
        names: to check.
        where: the teacher, for the error.

    Raises:
        InputError: there are none, one is no line of text or stands there twice.
    """
    if not names:
        raise InputError(f"{where}: has no class names, give each class a name of its own")
    known: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not is_line(name) or name in known:
            raise InputError(
                f"{where}: the class name {name!r} is no line of text or there twice, give each class one of its own"
            )
        known.add(name)


def ask_once(
    path: Path, teacher: TeacherInfo, detect: Detect, images: Sequence[Path], value_range: ValueRange = AUTO
) -> StoredDetections:
    """Return what a teacher finds on pictures; it is asked only about those that the file does not know.

    The file is made where missing. An interruption leaves what was found so far. Pictures that cannot be read have no
    answer, which is told.

    Args:
        path: the file that keeps it.
        teacher: who is asked.
        detect: asks it.
        images: the pictures.
        value_range: how pictures of more than 8 bits are read.

    Raises:
        InputError: the file is of another teacher, corrupt or cannot be written; the teacher gives what cannot be used.
    """
    require_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path) as connection:
        _claim(connection, teacher)
        require_teacher(path, _info(path, connection), teacher)
        digests = _ask(path, connection, teacher, detect, images, value_range)
        return _read(path, connection, teacher, images, digests)


def read_store(path: Path, images: Sequence[Path], quiet: bool = False) -> StoredDetections:
    """Return what a file knows of pictures, found by their content; those that it does not know are told.

    Args:
        path: the file.
        images: the pictures.
        quiet: whether the file may know none of them; nothing is told then.

    Raises:
        InputError: it is missing, corrupt or another file, or knows none of the pictures.
    """
    teacher = read_info(path)
    with _opened(path) as connection:
        digests = [picture_digest(image) for image in track(images, "comparing")]
        found = _read(path, connection, teacher, images, digests)
    if quiet or not images:
        return found
    lost = np.flatnonzero(~found.answered)
    if len(lost) == len(images):
        raise InputError(f"{path}: knows none of the {len(images)} pictures, such as {images[0]}, as they are now")
    if len(lost):
        logger.warning(
            f"{path}: {len(lost)} of {len(images)} pictures are not known as they are now, and this teacher teaches "
            f"nothing there; the first: {images[lost[0]]}"
        )
    return found


def picture_digest(image: Path) -> bytes | None:
    """Return the SHA-256 of the content of a picture's file; None where it cannot be read."""
    try:
        with image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _claim(connection: sqlite3.Connection, teacher: TeacherInfo) -> None:
    """Write whose detections a new file is to keep; one that holds anything stays as it is."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            posed = teacher.format == WITH_JOINTS
            for table in (*TABLES, *([MORE] if teacher.columns else []), *([JOINTS] if posed else []), CHECKSUMS):
                connection.execute(table)
            row = [teacher.format, teacher.digest, json.dumps(teacher.class_names), teacher.task]
            row += [teacher.joints.to_json()] if posed else []
            connection.execute(f"INSERT INTO teacher VALUES ({', '.join('?' * len(row))})", row)


def _ask(
    path: Path,
    connection: sqlite3.Connection,
    teacher: TeacherInfo,
    detect: Detect,
    images: Sequence[Path],
    value_range: ValueRange,
) -> list[bytes | None]:
    """Ask about the pictures that are not known; return the digest of each picture that is known then, else None."""
    started = committed = time.monotonic()
    kept = connection.execute("SELECT path, digest FROM pictures").fetchall()
    names, there = {name for name, _ in kept}, {digest for _, digest in kept}
    has_area, checked = task_of(teacher).has_area, _has_checksums(connection, teacher)
    digests: list[bytes | None] = []
    counts = dict.fromkeys(("asked", "kept", "changed", "broken", "clipped", "empty"), 0)
    first: dict[str, str] = {}
    rows: list[tuple[bytes | int, ...]] = []  # found and not yet kept: a teacher that thinks must not lock the file

    def count(what: str, example: str, times: int = 1) -> None:
        counts[what] += times
        if times:
            first.setdefault(what, example)

    try:
        for image in track(images, f"asking {path.stem}"):
            digest, name = picture_digest(image), os.fsencode(image.absolute())
            digests.append(digest)
            if digest in there:
                count("kept", str(image))
                continue
            try:
                pixels = read_image(image, value_range)
            except InputError as error:
                count("broken", str(error))
                digests[-1] = None
                continue
            assert digest is not None
            if name in names:
                count("changed", str(image))
            hw, where = (pixels.shape[0], pixels.shape[1]), f"{path.stem}: {image}"
            try:
                given = detect(pixels)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            found, clipped, empty = usable_detections(given, len(teacher.class_names), hw, where, has_area)
            count("asked", str(image))
            count("clipped", str(image), clipped)
            count("empty", str(image), empty)
            arrays = found.boxes.astype("<f4"), found.scores.astype("<f4"), found.labels.astype("<i4")
            carried = b"".join(each.astype("<f4").tobytes() for each in carried_values(found).values())
            parts = [*(array.tobytes() for array in arrays), *([carried] if teacher.columns else [])]
            rows.append((digest, name, *parts, *([checksum(teacher, digest, parts)] if checked else [])))
            there.add(digest)
            if time.monotonic() - committed > COMMIT_SECONDS:
                _keep(connection, rows)
                committed = time.monotonic()
    finally:
        _keep(connection, rows)
    seconds = time.monotonic() - started
    logger.info(f"{path}: asked about {counts['asked']} pictures in {seconds:.0f} s, {counts['kept']} known before")
    told = {
        "changed": "pictures have changed since they were asked about, and are asked about anew",
        "broken": "pictures cannot be read, and this teacher teaches nothing there",
        "clipped": "boxes reach outside their picture, clipped",
        "empty": "boxes have no area inside their picture, left out",
    }
    for what, text in told.items():
        if counts[what]:
            logger.warning(f"{path}: {counts[what]} {text}; the first: {first[what]}")
    return digests


def checksum(teacher: TeacherInfo, digest: bytes, parts: Sequence[bytes]) -> int:
    """Return the CRC-32 of a row, of who found it and of what its labels mean.

    Args:
        teacher: of the file.
        digest: of the picture.
        parts: the columns of what was found.
    """
    return zlib.crc32(b"".join((json.dumps([teacher.digest, teacher.class_names]).encode(), digest, *parts)))


def _has_checksums(connection: sqlite3.Connection, teacher: TeacherInfo) -> bool:
    """Whether there is a column of checksums, whatever its name: a turned bit there must not make it unseen."""
    count = len(connection.execute("PRAGMA table_info(pictures)").fetchall())
    return count > PLAIN_COLUMNS + bool(teacher.columns)


def _keep(connection: sqlite3.Connection, rows: list[tuple[bytes | int, ...]]) -> None:
    """Move rows into the file."""
    if rows:
        with connection:
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT OR REPLACE INTO pictures VALUES ({places})", rows)
    rows.clear()


def _read(
    path: Path,
    connection: sqlite3.Connection,
    teacher: TeacherInfo,
    images: Sequence[Path],
    digests: Sequence[bytes | None],
) -> StoredDetections:
    carried, checked = teacher.columns, _has_checksums(connection, teacher)
    columns = ["boxes", "scores", "labels", *(["carried"] if carried else []), *(["checksum"] if checked else [])]
    query = f"SELECT {', '.join(columns)} FROM pictures WHERE digest = ?"
    found: list[Detections | None] = []
    for image, digest in zip(images, digests, strict=True):
        row = connection.execute(query, (digest,)).fetchone()
        if digest is None or row is None:
            found.append(None)
            continue
        try:
            if checked:
                *row, due = row
                if checksum(teacher, digest, row) != due:
                    raise ValueError
            boxes, scores, labels, *more = map(np.frombuffer, row, ("<f4", "<f4", "<i4", "<f4"))
            parts = (
                np.split(more[0], np.cumsum([len(scores) * each for each in carried.values()])[:-1]) if carried else []
            )
            values = {name: part.reshape(len(scores), -1) for name, part in zip(carried, parts, strict=True)}
            each = Detections(
                boxes.reshape(-1, 4),
                scores,
                labels.astype(np.int64),
                values=values,
                task=teacher.task,
                joints=teacher.joints,
            )
        except (TypeError, ValueError):
            raise InputError(f"{path}: corrupt, remove it to ask the teacher anew") from None
        require_sound(each, len(teacher.class_names), f"{path}: {image}")
        if task_of(teacher).has_area and without_area(each.boxes).any():
            raise InputError(f"{path}: {image}: a box without width or height, remove the file to ask the teacher anew")
        found.append(each)
    return store_detections(teacher.class_names, teacher.task, found, joints=teacher.joints)


def _info(path: Path, connection: sqlite3.Connection) -> TeacherInfo:
    try:
        version, digest, names, task, *more = connection.execute("SELECT * FROM teacher").fetchone()
        class_names, joints = json.loads(names), Joints.from_json(more[0]) if more else NO_JOINTS
        if not isinstance(class_names, list):
            raise TypeError
    except (sqlite3.OperationalError, TypeError, ValueError, RecursionError):
        raise InputError(f"{path}: keeps no detections of a teacher, name another file or remove it") from None
    if task not in TASKS or version != TeacherInfo(digest, (), task, joints).format:
        raise InputError(f"{path}: was written by another version, remove it to ask the teacher anew")
    return TeacherInfo(digest, tuple(class_names), task, joints)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file of SQLite; what goes wrong with it is one line."""
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        raise InputError(f"{path}: cannot be read or written ({error}), check the place and its free space") from None
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: corrupt ({error}), remove it to ask the teacher anew") from None
