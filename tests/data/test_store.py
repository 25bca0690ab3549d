"""The file that keeps what a teacher finds: it is asked once a picture, whatever happens in between."""

import logging
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centerx.data.function import Function
from centerx.data.store import TeacherInfo, ask_once, read_info, read_store
from centerx.data.stored import LEAST_SCORE, MOST, usable_detections
from centerx.errors import InputError
from centerx.runtime.digest import model_digest
from centerx.types import Detections

TEACHER = TeacherInfo("1234", ("cat", "dog"), "boxes")
HW = (20, 30)


class Finder:
    """Finds a box whose place the picture's first pixel tells, and counts how often it is asked.

    Args:
        fails_at: the question at which it stops the program.
    """

    def __init__(self, fails_at: int = -1) -> None:
        self.asked, self.fails_at = 0, fails_at

    def __call__(self, image: np.ndarray) -> Detections:
        if self.asked == self.fails_at:
            raise KeyboardInterrupt
        self.asked += 1
        left = float(image[0, 0, 0])
        boxes = np.array([[left, 1.0, left + 8, 9.5], [left, 2.0, left + 4, 6.0]])
        return Detections(boxes, np.array([0.25, 0.75]), np.array([0, 1]))


def paint(path: Path, level: int) -> Path:
    Image.fromarray(np.full((*HW, 3), level, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / f"{level}.png", level) for level in range(1, 7)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "teachers" / "it.sqlite"


def same(one: Any, other: Any) -> bool:
    """Whether arrays are equal, or other values."""
    return bool(np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other)


def test_what_was_found_is_what_comes_back(images: list[Path], store: Path) -> None:
    found = ask_once(store, TEACHER, Finder(), images)
    assert (found.class_names, found.task) == (("cat", "dog"), "boxes")
    assert found.answered.all()
    third = found.of(2)
    assert third.boxes.tolist() == [[3, 2, 7, 6], [3, 1, 11, 9.5]]  # best first
    assert third.values["score"].tolist() == [[0.75], [0.25]]
    assert third.labels.tolist() == [1, 0]
    assert (third.boxes.dtype, third.labels.dtype, third.ignore.any()) == (np.float32, np.int64, False)
    assert read_info(store) == TEACHER
    for one, other in zip(found, read_store(store, images), strict=True):
        assert same(one, other)


def test_an_interrupted_teacher_goes_on_where_it_was(
    images: list[Path], store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyboardInterrupt):
        ask_once(store, TEACHER, Finder(fails_at=4), images)
    rest = Finder()
    found = ask_once(store, TEACHER, rest, images)
    assert rest.asked == 2
    assert "asked about 2 pictures in 0 s, 4 known before" in caplog.text
    idle = Finder()
    again = ask_once(store, TEACHER, idle, images)
    whole = ask_once(store.with_name("other.sqlite"), TEACHER, Finder(), images)
    assert idle.asked == 0
    for one, two, three in zip(found, again, whole, strict=True):
        assert same(one, two)
        assert same(one, three)


def test_changed_pictures_are_asked_about_anew_and_moved_ones_are_not(
    images: list[Path], store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask_once(store, TEACHER, Finder(), images)
    paint(images[1], 9)
    images[3] = images[3].rename(images[3].with_name("moved.png"))
    finder = Finder()
    found = ask_once(store, TEACHER, finder, images)
    assert finder.asked == 1
    assert found.of(1).boxes[0, 0] == 9
    assert found.of(3).boxes[0, 0] == 4
    [message] = [each for each in caplog.messages if "have changed" in each]
    assert "1 pictures have changed since" in message
    assert message.endswith(str(images[1]))


def test_a_picture_that_takes_the_name_of_another_leaves_it_its_answer(images: list[Path], store: Path) -> None:
    """Frames are numbered anew: the first is new, the second is what the first was."""
    first, second = images[:2]
    ask_once(store, TEACHER, Finder(), [first, second])
    former = first.read_bytes()
    paint(first, 9)
    second.write_bytes(former)
    finder = Finder()
    found = ask_once(store, TEACHER, finder, [first, second])
    assert found.answered.all()
    assert [found.of(index).boxes[0, 0] for index in (0, 1)] == [9, 1]
    first.write_bytes(former)
    paint(second, 2)
    ask_once(store, TEACHER, finder, [first, second])
    assert finder.asked == 1


def test_all_that_a_picture_once_was_stays_known(images: list[Path], store: Path) -> None:
    finder = Finder()
    for level in (1, 11, 12, 1, 11, 12):
        ask_once(store, TEACHER, finder, [paint(images[0], level)])
    assert finder.asked == 3


def test_a_teacher_that_thinks_locks_no_file(images: list[Path], store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run asks about the same pictures meanwhile; what was found is kept from time to time."""
    find, kept = Finder(), []

    def slow(image: np.ndarray) -> Detections:
        with closing(sqlite3.connect(store, timeout=0)) as other:
            kept.append(other.execute("SELECT count(*) FROM pictures").fetchone()[0])
            other.execute("INSERT OR REPLACE INTO pictures (digest) VALUES (?)", (b"other",))
            other.commit()
        return find(image)

    ask_once(store, TEACHER, slow, images[:3])
    assert kept == [0, 1, 1]
    monkeypatch.setattr("centerx.data.store.COMMIT_SECONDS", -1.0)
    ask_once(store, TEACHER, slow, images)
    assert kept[3:] == [4, 5, 6]


def test_pictures_that_cannot_be_read_have_no_answer(
    images: list[Path], store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images[0].unlink()
    images[2].write_bytes(images[2].read_bytes()[:40])
    found = ask_once(store, TEACHER, Finder(), images)
    assert found.answered.tolist() == [False, True, False, True, True, True]
    assert [len(found.of(index).labels) for index in range(4)] == [0, 2, 0, 2]
    assert "2 pictures cannot be read, and this teacher teaches nothing there; the first: " in caplog.text


def test_another_teacher_and_another_file_are_refused(images: list[Path], store: Path, tmp_path: Path) -> None:
    ask_once(store, TEACHER, Finder(), images)
    for other in (TEACHER._replace(digest="5"), TEACHER._replace(class_names=("cat", "cow"))):
        with pytest.raises(InputError, match="keeps what another teacher found; remove it to ask this one"):
            ask_once(store, other, Finder(), images)
    with pytest.raises(InputError, match="knows none of the 1 pictures"):
        read_store(store, [paint(tmp_path / "new.png", 77)])
    store.write_bytes(b"junk" * 100)
    with pytest.raises(InputError, match=r"corrupt .*, remove it to ask the teacher anew"):
        ask_once(store, TEACHER, Finder(), images)
    (tmp_path / "empty.sqlite").write_bytes(b"")
    with pytest.raises(InputError, match="keeps no detections of a teacher"):
        read_info(tmp_path / "empty.sqlite")
    with pytest.raises(InputError, match="no such file"):
        read_info(tmp_path / "none.sqlite")


def test_a_database_of_another_program_stays_as_it_is(images: list[Path], store: Path) -> None:
    store.parent.mkdir()
    change(store, "CREATE TABLE notes (text TEXT)")
    before = store.read_bytes()
    with pytest.raises(InputError, match="keeps no detections of a teacher, name another file"):
        ask_once(store, TEACHER, Finder(), images)
    assert store.read_bytes() == before


def change(store: Path, command: str, *values: object) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(command, values)
        connection.commit()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("[]", "has no class names"),
        ('["a", "a"]', "class name 'a' is no line of text or there twice"),
        ('["a", ""]', "class name '' is"),
        ('["a", 5]', "class name 5 is"),
        ('[["a"], "b"]', r"class name \['a'\] is"),
        ('"ab"', "keeps no detections of a teacher"),
        ("[" * 100_000, "keeps no detections of a teacher"),
    ],
    ids=lambda given: given[:12],
)
def test_class_names_of_no_use_are_refused(names: str, says: str, images: list[Path], store: Path) -> None:
    ask_once(store, TEACHER, Finder(), images)
    change(store, "UPDATE teacher SET class_names = ?", names)
    with pytest.raises(InputError, match=says) as error:
        read_info(store)
    assert str(error.value).startswith(f"{store}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("box", "score", "label", "says"),
    [
        ([1, 1, 4, 4], float("nan"), 0, "a score that is no number"),
        ([1, 1, 4, 4], 7, 0, "a score that is no number"),
        ([4, 1, 1, 4], 0.5, 0, "a box of negative width or height"),
        ([1, 1, float("inf"), 4], 0.5, 0, "a box that is not finite"),
        ([1, 1, 4, 4], 0.5, 2, "a label beyond its 2 classes"),
        ([1, 1, 1, 1], 0.5, 0, "a box without width or height"),
    ],
)
def test_a_row_of_a_stranger_that_cannot_teach_is_refused(
    box: list[float], score: float, label: int, says: str, images: list[Path], store: Path
) -> None:
    ask_once(store, TEACHER, Finder(), images)
    row = np.array(box, "<f4").tobytes(), np.array([score], "<f4").tobytes(), np.array([label], "<i4").tobytes()
    change(store, "ALTER TABLE pictures DROP COLUMN checksum")  # as in files of earlier versions
    change(store, "UPDATE pictures SET boxes = ?, scores = ?, labels = ?", *row)
    with pytest.raises(InputError, match=f"it.sqlite: {re.escape(str(images[0]))}: {says}"):
        read_store(store, images)


def test_no_pictures_are_no_fault(images: list[Path], store: Path) -> None:
    ask_once(store, TEACHER, Finder(), images)
    assert len(read_store(store, []).answered) == 0


def test_a_row_that_was_cut_is_refused(images: list[Path], store: Path) -> None:
    ask_once(store, TEACHER, Finder(), images)
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE pictures SET scores = substr(scores, 1, 4)")
        connection.commit()
    with pytest.raises(InputError, match="corrupt, remove it"):
        read_store(store, images)


def test_a_turned_bit_is_refused(images: list[Path], store: Path) -> None:
    """One that leaves a possible box, score and label as well."""
    ask_once(store, TEACHER, Finder(), images)
    with closing(sqlite3.connect(store)) as connection:
        row = b"".join(connection.execute("SELECT boxes, scores, labels FROM pictures LIMIT 1").fetchone())
    there = store.read_bytes()
    for place in range(there.index(row), there.index(row) + len(row), 4):
        store.write_bytes(there[:place] + bytes([there[place] ^ 1]) + there[place + 1 :])
        for ask in (lambda: read_store(store, images), lambda: ask_once(store, TEACHER, Finder(), images)):
            with pytest.raises(InputError, match=r"it\.sqlite: corrupt, remove it to ask the teacher anew"):
                ask()


def test_names_of_classes_that_were_changed_are_refused(images: list[Path], store: Path) -> None:
    ask_once(store, TEACHER, Finder(), images)
    change(store, """UPDATE teacher SET class_names = '["cat", "cow"]'""")
    with pytest.raises(InputError, match="corrupt, remove it"):
        read_store(store, images)


def test_a_file_of_an_earlier_version_goes_on(images: list[Path], store: Path) -> None:
    ask_once(store, TEACHER, Finder(), images[:3])
    change(store, "ALTER TABLE pictures DROP COLUMN checksum")
    finder = Finder()
    found = ask_once(store, TEACHER, finder, images)
    assert (finder.asked, found.answered.all()) == (3, True)
    assert same(read_store(store, images).boxes, found.boxes)


def test_a_teacher_s_digest_is_that_of_all_its_files(tmp_path: Path) -> None:
    model = tmp_path / "a.onnx"
    model.write_bytes(b"1")
    digests = {model_digest(model), model_digest(model, "facts")}
    for beside in ("a.bin", "a.onnx.data", "a.onnx_data"):
        for content in (b"2", b"3"):
            (tmp_path / beside).write_bytes(content)
            digests.add(model_digest(model))
    assert len(digests) == 8


def detections(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(np.array(boxes).reshape(-1, 4), np.array(scores), np.array(labels, dtype=np.int64))


def test_what_can_be_used_is_inside_and_best_first() -> None:
    boxes = [[-5.0, 2, 10, 8], [40, 1, 50, 9], [1, 1, 5, 5], [3, 3, 3, 8], [4, 4, 4, 4], [31, 4, 31, 4], [1, 1, 9, 9]]
    scores = [0.5, 0.9, 0.8, 0.7, 0.6, 0.9, LEAST_SCORE / 2]
    found, clipped, empty = usable_detections(detections(boxes, scores, [0] * 7), 1, HW, "it", False)
    assert found.boxes.tolist() == [[1, 1, 5, 5], [4, 4, 4, 4], [0, 2, 10, 8]]
    assert found.scores.tolist() == [0.8, 0.6, 0.5]
    assert (clipped, empty) == (1, 3)
    found, clipped, empty = usable_detections(detections(boxes, scores, [0] * 7), 1, HW, "it", True)
    assert found.boxes.tolist() == [[1, 1, 5, 5], [0, 2, 10, 8]]
    assert (clipped, empty) == (1, 4)
    thin = detections([[10, 10, 10 + 1e-9, 10 + 1e-9]], [0.5], [0])
    assert usable_detections(thin, 1, HW, "it", True).empty == 1  # float32 makes a point of it
    many = detections([[0, 0, 2, 2]] * (MOST + 5), [0.5] * (MOST + 5), [0] * (MOST + 5))
    assert len(usable_detections(many, 1, HW, "it", True).found) == MOST


@pytest.mark.parametrize(
    ("box", "score", "label", "says"),
    [
        ([0, 0, float("nan"), 1], 0.5, 0, "a box that is not finite"),
        ([0, 0, 1, 1], float("nan"), 0, "a score that is no number"),
        ([0, 0, 1, 1], 1.5, 0, "a score that is no number"),
        ([0, 0, 1, 1], -0.1, 0, "a score that is no number"),
        ([5, 0, 4, 1], 0.5, 0, "a box of negative width or height"),
        ([0, 0, 1, 1], 0.5, 2, "a label beyond its 2 classes"),
        ([0, 0, 1, 1], 0.5, -1, "a label beyond its 2 classes"),
    ],
)
def test_what_cannot_be_used_is_refused(box: list[float], score: float, label: int, says: str) -> None:
    with pytest.raises(InputError, match=f"here: {says}"):
        usable_detections(detections([box], [score], [label]), 2, HW, "here", True)


def test_a_function_tells_its_classes_by_its_first_answer(images: list[Path], store: Path) -> None:
    def find(image: np.ndarray) -> Detections:
        return Detections(np.array([[1.0, 1, 4, 4]]), np.array([0.5]), np.array([1]), ("a", "b"))

    function = Function(find, None, "find")
    info = function.info(store, images, "auto")
    assert info.class_names == ("a", "b")
    ask_once(store, info, function.named(info.class_names), images)
    silent: Callable[[np.ndarray], None] = lambda image: pytest.fail("is asked again")  # noqa: E731
    assert Function(silent, None, "find").info(store, images, "auto") == info


def test_a_function_is_not_the_model_file_of_its_name(images: list[Path], store: Path) -> None:
    ask_once(store, TEACHER, Finder(), images)
    function = Function(Finder(), None, "find")
    with pytest.raises(InputError, match="keeps what another teacher found"):
        ask_once(store, function.info(store, images, "auto"), function.call, images)


def test_a_function_with_a_class_twice(images: list[Path], store: Path) -> None:
    with pytest.raises(InputError, match="find: the class name 'a' is no line of text or there twice"):
        Function(Finder(), ("a", "a"), "find").info(store, images, "auto")


def test_what_a_teacher_refuses_names_it_and_the_picture(images: list[Path], store: Path) -> None:
    def detect(image: np.ndarray) -> Detections:
        raise InputError("gives nonsense")

    with pytest.raises(InputError) as error:
        ask_once(store, TEACHER, detect, images)
    assert str(error.value) == f"it: {images[0]}: gives nonsense"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "must give Detections, or boxes"),
        (([[1, 2, 3, 4]], [0.5]), "must give Detections, or boxes"),
        (([[1, 2, 3, 4]], [0.5, 0.5], [0]), "must give Detections, or boxes"),
        (([[1, 2, 3, 4]], [0.5], [0]), "gives no class names"),
    ],
)
def test_a_function_that_gives_something_else(answer: object, says: str, images: list[Path], store: Path) -> None:
    with pytest.raises(InputError, match=f"find: {says}"):
        Function(lambda image: answer, None, "find").info(store, images, "auto")
