"""WIDER FACE and the text forms of other face data: counts, flags, dirt."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centerx.data.read import read_dataset
from centerx.data.wider import read, recognises
from centerx.errors import InputError
from tests.data.handmade import actions_of, write_picture, write_text

FLAGS = "0 0 0 0 0 0"
GOOD = f"0--Parade/a.jpg\n1\n1 2 10 20 {FLAGS}\n"
MAFA_TRAIN = "9 8 7 6 5 4 3 2 1 3 1 1 4 -1 -1 -1 -1"  # after the box: eyes, occluder, its kind, face, glasses
MAFA_TEST = "3 2 1 9 1 3 1 1 4 -1 -1 -1 -1"  # after the box and the kind of face


def write_wider(tmp_path: Path, text: str, name: str = "wider_face_train_bbx_gt.txt") -> Path:
    write_picture(tmp_path / "images" / "0--Parade" / "a.jpg")
    return write_text(tmp_path / name, text)


def test_faces_and_invalid_ones(tmp_path: Path) -> None:
    text = f"0--Parade/a.jpg\n2\n1 2 10 20 {FLAGS} \n5 6 7 8 2 1 1 1 2 1 \n"
    dataset = read_dataset(write_wider(tmp_path, text))
    record = dataset.records[0]
    assert dataset.format == "wider"
    assert dataset.class_names == ("face",)
    assert record.objects.boxes.tolist() == [[1, 2, 11, 22], [5, 6, 12, 14]]
    assert record.objects.ignore.tolist() == [False, True]
    assert record.image == tmp_path / "images" / "0--Parade" / "a.jpg"
    assert record.image.is_file()
    assert dataset.problems == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_row_of_zeros_marks_a_picture_without_faces(tmp_path: Path, count: int) -> None:
    dataset = read_dataset(write_wider(tmp_path, f"b.jpg\n{count}\n0 0 0 0 {FLAGS}\n{GOOD}"))
    assert [len(record.objects.labels) for record in dataset.records] == [0, 1]
    assert dataset.problems == []


def test_a_count_of_none_needs_no_row(tmp_path: Path) -> None:
    dataset = read_dataset(write_wider(tmp_path, f"b.jpg\n0\n{GOOD}"))
    assert [len(record.objects.labels) for record in dataset.records] == [0, 1]
    assert dataset.problems == []


# What a picture says -> places of the problems by line, their actions, pictures and boxes that are left.
DIRT = {
    "no count": (f"b.jpg\n1 2 3 4 {FLAGS}\n{GOOD}", [(1, "fixed")], [1, 1]),
    "count too high": (f"b.jpg\n3\n1 2 3 4 {FLAGS}\n{GOOD}", [(1, "fixed")], [1, 1]),
    "count too low": (f"b.jpg\n1\n1 2 3 4 {FLAGS}\n5 5 5 5 {FLAGS}\n{GOOD}", [(1, "fixed")], [2, 1]),
    "negative count": (f"b.jpg\n-1\n1 2 3 4 {FLAGS}\n{GOOD}", [(1, "fixed")], [1, 1]),
    "neither count nor rows": (f"b.jpg\n{GOOD}", [(1, "skipped")], [1]),
    "short row": (f"b.jpg\n1\n1 2 3\n{GOOD}", [(3, "skipped")], [0, 1]),
    "row without some flags": (f"b.jpg\n2\n1 2 3 4 0 0\n1 2 3 4 {FLAGS}\n{GOOD}", [(3, "fixed")], [2, 1]),
    "words": (f"b.jpg\n1\n1 2 x 4 {FLAGS}\n{GOOD}", [(3, "skipped")], [0, 1]),
    "no width": (f"b.jpg\n1\n1 2 0 4 {FLAGS}\n{GOOD}", [(3, "skipped")], [0, 1]),
    "negative height": (f"b.jpg\n1\n1 2 3 -4 {FLAGS}\n{GOOD}", [(3, "skipped")], [0, 1]),
    "not finite": (f"b.jpg\n2\nnan 2 3 4 {FLAGS}\n1 2 inf 4 {FLAGS}\n{GOOD}", [(3, "skipped"), (4, "skipped")], [0, 1]),
    "a picture twice": (f"{GOOD}0--Parade/a.jpg\n1\n5 5 5 5 {FLAGS}\n", [(4, "skipped")], [1]),
    "a name cut short": (
        f"{GOOD}0--Parade/b\n1\n5 5 5 5 {FLAGS}\n",
        [(4, "skipped"), (5, "skipped"), (6, "skipped")],
        [1],
    ),
    "box over the edge": (f"0--Parade/a.jpg\n1\n30 2 20 9 {FLAGS}\n", [(3, "fixed")], [1]),
    "box outside": (f"0--Parade/a.jpg\n1\n60 2 20 9 {FLAGS}\n", [(3, "skipped")], [0]),
}


@pytest.mark.parametrize(("text", "problems", "boxes"), DIRT.values(), ids=DIRT.keys())
def test_dirt_costs_no_more_than_itself(
    tmp_path: Path, text: str, problems: list[tuple[int, str]], boxes: list[int]
) -> None:
    file = write_wider(tmp_path, text)
    dataset = read(file, None, None)
    assert sorted((p.where, p.action) for p in dataset.problems) == [
        (f"{file}:{line}", action) for line, action in problems
    ]
    assert [len(record.objects.labels) for record in dataset.records] == boxes


def test_byte_order_mark_blank_lines_and_windows_line_ends_are_no_dirt(tmp_path: Path) -> None:
    dataset = read_dataset(write_wider(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n\r\n")))
    assert [len(record.objects.labels) for record in dataset.records] == [1]
    assert dataset.problems == []


def test_names_after_a_hash_have_no_counts(tmp_path: Path) -> None:
    text = "# b c.jpg\n# 0--Parade/a.jpg\n1 2 10 20 5.5 6.5 0.0 9 9 0.0 7 7 0.0 5 8 0.0 9 8 0.0 0.8\n3 4 5 6\n"
    dataset = read_dataset(write_wider(tmp_path, text))
    assert [record.image_id for record in dataset.records] == ["b c.jpg", "0--Parade/a.jpg"]
    assert dataset.records[1].objects.boxes.tolist() == [[1, 2, 11, 22], [3, 4, 8, 10]]
    assert dataset.problems == []


@pytest.mark.parametrize("form", ["{0} {1}\n{0} {2}\n", "# {0}\n{1}\n{2}\n", "{0}\n2\n{1}\n{2}\n"])
def test_mafa_trains_on_masked_faces(tmp_path: Path, form: str) -> None:
    text = form.format("0--Parade/a.jpg", f"1 2 10 20 {MAFA_TRAIN}", f"3 4 5 6 {MAFA_TRAIN}")
    file = write_wider(tmp_path, text, "LabelTrainAll.txt")
    dataset = read_dataset(file)
    assert dataset.class_names == ("face",)
    assert dataset.records[0].objects.boxes.tolist() == [[1, 2, 11, 22], [3, 4, 8, 10]]
    assert dataset.problems == []
    assert len(read_dataset(file, classes=["masked_face"]).records[0].objects.labels) == 2
    with pytest.raises(InputError, match=r"there are: face, masked_face$"):
        read_dataset(file, classes=["unmasked_face"])


def test_mafa_tests_on_masked_unmasked_and_invalid_faces(tmp_path: Path) -> None:
    rows = "".join(f"0--Parade/a.jpg {kind} 2 10 20 {kind} {MAFA_TEST}\n" for kind in (1, 2, 3))
    file = write_wider(tmp_path, rows, "LabelTestAll.txt")
    dataset = read_dataset(file)
    assert dataset.records[0].objects.ignore.tolist() == [False, False, True]
    kinds = read_dataset(file, classes=["masked_face=mask", "unmasked_face=bare"])
    record = kinds.records[0]
    assert kinds.class_names == ("mask", "bare")
    assert record.objects.boxes[:, 0].tolist() == [1, 2, 3, 3]
    assert record.objects.labels.tolist() == [0, 1, 0, 1]
    assert record.objects.ignore.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "text", ["a.jpg\nb.jpg\n", "a.jpg 1\nb.jpg 0\n", "a.jpg 1,2,3,4,0\n", "000001\n000002\n", "", "1 2 3 4 5\n"]
)
def test_lists_and_labels_of_other_kinds_are_not_taken_for_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="not a data set of a known format"):
        read_dataset(write_text(tmp_path / "a.txt", text))


def test_the_published_folders(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_wider(tmp_path, GOOD, f"wider_face_split/wider_face_{split}_bbx_gt.txt")
        write_picture(tmp_path / f"WIDER_{split}" / "images" / "0--Parade" / f"{split}.jpg")
    (tmp_path / "images" / "0--Parade" / "a.jpg").unlink()
    write_picture(tmp_path / "WIDER_val" / "images" / "0--Parade" / "a.jpg")
    assert read_dataset(tmp_path, split="val").records[0].image.is_file()


def test_the_real_sample(shared_data: Path) -> None:
    dataset = read_dataset(shared_data / "fixtures" / "wider")
    boxes = sum(len(record.objects.labels) for record in dataset.records)
    ignored = sum(int(record.objects.ignore.sum()) for record in dataset.records)
    # 21,892 rows, of which one marks a picture without faces and four have no area.
    assert (len(dataset.records), boxes, ignored) == (1062, 21_892 - 5, 405)
    assert actions_of(dataset) == ["skipped"] * 4
    assert sum(record.image.is_file() for record in dataset.records) == 14


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["a.jpg", "# b.jpg", "c.jpg 1 2 3 4", "2", "0", f"1 2 3 4 {FLAGS}", "1 2 3", "nan 1 1 1"]),
            st.text(max_size=12),
        ),
        max_size=12,
    )
)
def test_whatever_the_lines_nothing_but_problems_with_places(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    file = write_text(tmp_path_factory.mktemp("wider") / "a.txt", "\n".join(lines).encode("utf-8", "replace"))
    dataset = read(file, None, None)
    assert all(problem.where.startswith(f"{file}:") for problem in dataset.problems)
    for record in dataset.records:
        assert np.isfinite(record.objects.boxes).all()
    assert recognises(file) in (True, False)
