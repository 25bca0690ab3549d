"""YOLO: the ways to say where pictures and classes are, and what a line can hold."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data.read import read_dataset, scan_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import actions_of, write_picture, write_text, write_yolo

LINE = "1 0.5 0.5 0.25 0.5\n"  # of a 40 x 30 picture: 15 7.5 25 22.5
BOX = [15, 7.5, 25, 22.5]


def test_a_line_is_relative_to_the_upright_picture(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 30 x 40, turned it is 40 x 30
    Image.new("RGB", (30, 40)).save(folder / "images" / "a.png", exif=exif)
    record = read_dataset(folder).records[0]
    assert record.objects.boxes.tolist() == [BOX]
    assert record.objects.labels.tolist() == [1]
    assert record.image_id == "images/a.png"


@pytest.mark.parametrize(
    "names", ["[cat, dog]", "{0: cat, 1: dog}", "{1: dog, 0: cat}", "\n- cat\n- dog", "{0: cat, 1: dog, 7: cat}"]
)
def test_class_names(tmp_path: Path, names: str) -> None:
    dataset = read_dataset(write_yolo(tmp_path, f"names: {names}\ntrain: images\n", a=LINE))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.category_ids == (0, 1)
    assert dataset.records[0].objects.labels.tolist() == [1]


def test_numbers_of_classes_may_have_gaps(tmp_path: Path) -> None:
    yaml_text = "names: {3: dog, 1: cat}\ntrain: images\n"
    dataset = read_dataset(write_yolo(tmp_path, yaml_text, a="3 .5 .5 .1 .1\n1 .5 .5 .1 .1\n2 .5 .5 .1 .1"))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.records[0].objects.labels.tolist() == [1, 0]
    assert actions_of(dataset) == ["skipped"]


def test_names_of_numbers_and_no_names_at_all(tmp_path: Path) -> None:
    assert read_dataset(write_yolo(tmp_path / "a", "names: [0, yes]\ntrain: images", a="")).class_names == ("0", "yes")
    assert read_dataset(write_yolo(tmp_path / "b", "nc: 3\ntrain: images", a=LINE)).class_names == ("0", "1", "2")
    bare = read_dataset(write_yolo(tmp_path / "c", None, a=LINE))
    assert bare.class_names == ("0", "1")
    assert actions_of(bare) == ["fixed"]


def test_a_slip_in_a_number_does_not_make_millions_of_classes(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path / "a", None, a=f"{LINE}1700000000 .5 .5 .1 .1\n{10**20} .5 .5 .1 .1"))
    assert dataset.class_names == ("0", "1")
    assert dataset.records[0].objects.boxes.tolist() == [BOX]
    assert sorted(actions_of(dataset)) == ["fixed", "skipped", "skipped"]
    with pytest.raises(InputError, match="`names` must list the classes"):
        read_dataset(write_yolo(tmp_path / "b", "nc: 1000000000000\ntrain: images", a=LINE))


@pytest.mark.parametrize(
    "source",
    [
        "images/train",
        "./images/train",
        "../images/train",
        "/content/x/images/train",
        "C:\\x\\images\\train",
        "[images/train]",
        "train.txt",
    ],
)
@pytest.mark.parametrize("root", ["", "path: .\n", "path: /content/elsewhere\n"])
def test_pictures_of_a_yaml(tmp_path: Path, source: str, root: str) -> None:
    picture = write_picture(tmp_path / "images" / "train" / "a.png")
    write_picture(tmp_path / "images" / "val" / "b.png")
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text(LINE)
    (tmp_path / "train.txt").write_text("./images/train/a.png\n\n")
    (tmp_path / "data.yaml").write_text(f"{root}names: [cat, dog]\ntrain: {source}\nval: images/val\nlicense: MIT\n")
    for path in (tmp_path, tmp_path / "data.yaml"):
        dataset = read_dataset(path, split="train")
        assert [record.image.resolve() for record in dataset.records] == [picture]
        assert dataset.records[0].objects.boxes.tolist() == [BOX]


def test_a_last_part_alone_is_not_taken_for_the_folder(tmp_path: Path) -> None:
    write_yolo(tmp_path, "names: [cat, dog]\nval: ../valid/images\n", a=LINE)
    with pytest.raises(InputError, match=r"\.\./valid/images: no such file or folder"):
        read_dataset(tmp_path)


def test_splits(tmp_path: Path) -> None:
    write_yolo(tmp_path, "names: [cat, dog]\ntrain: images\nval: images\nextra: images\ndownload: x.sh", a=LINE)
    for split in ("train", "val", "valid", "extra"):
        assert len(read_dataset(tmp_path, split=split).records) == 1
    with pytest.raises(InputError, match="which split of train, val, extra"):
        read_dataset(tmp_path)
    with pytest.raises(InputError, match=r"no split 'tset'.*there are: train, val, extra"):
        read_dataset(tmp_path, split="tset")


def test_a_yaml_of_something_else_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("names: [cat]\nbase: nano\n")
    with pytest.raises(InputError, match=r"mine\.yaml: not a YOLO data set, it names no folder or list of pictures"):
        read_dataset(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    "text",
    ["", "5", "- a", "train: images", "names: 5\ntrain: images", "names: {a: b}\ntrain: images", "names: [", "\x01"],
)
def test_a_bad_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    write_yolo(tmp_path, text, a=LINE)
    with pytest.raises(InputError, match=r"data\.yaml") as caught:
        read_dataset(tmp_path)
    assert "\n" not in str(caught.value)
    assert [(problem.where, problem.action) for problem in scan_dataset(tmp_path).problems] == [
        (str(tmp_path / "data.yaml"), "fatal")
    ]


def test_binary_junk_is_one_line(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE, b=LINE)
    (folder / "labels" / "b.txt").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"b\.txt: not a text file"):
        read_dataset(folder)
    assert actions_of(scan_dataset(folder)) == ["fatal"]
    (folder / "data.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"data\.yaml: malformed YAML"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("line", "boxes", "kind"),
    [
        ("1 0.1 0.2 0.5 0.2 0.5 0.8 0.1 0.8", [[4, 6, 20, 24]], Kind.ROTATED_BOX),
        ("1 0.1 0.2 0.5 0.2 0.5 0.8 0.3 0.9 0.1 0.8", [[4, 6, 20, 27]], Kind.POLYGON),
        ("1.0 0.5 0.5 0.25 0.5", [BOX], None),
        ("+1 5e-1 .5 2.5E-1 0.5", [BOX], None),
        ("1 0.9 0.5 0.4 0.5", [[28, 7.5, 40, 22.5]], Kind.BOX_CLIPPED),
        ("1 0.5 0.5 0 0.5", [], Kind.BOX_WITHOUT_AREA),
        ("1 0.5 0.5 0.25 0.5 0.9", [BOX], Kind.EXTRA_VALUES),
        ("1 0.5 0.5 0.25 0.5 12", [BOX], Kind.EXTRA_VALUES),
        ("1 0.5 0.5 0.25 0.5 -0.3", [], Kind.MALFORMED_ENTRY),  # an angle
        ("1 0.5 0.5 2 0.5", [], Kind.MALFORMED_ENTRY),
        ("1 20 15 10 15", [], Kind.MALFORMED_ENTRY),
        ("1 4 6 20 6 20 24 4 24", [], Kind.MALFORMED_ENTRY),
        ("1 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),
        ("1", [], Kind.MALFORMED_ENTRY),
        ("0.5 0.5 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),
        ("inf 0.5 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),
        ("dog 0.5 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),
        ("1 nan 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),
        ("1 0.5 0.5 INF 0.5", [], Kind.MALFORMED_ENTRY),
        ("1 0.5 0.5 1e999 0.5", [], Kind.MALFORMED_ENTRY),
        ("1_0 0.5 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),
        ("\u0661 0.5 0.5 0.5 0.5", [], Kind.MALFORMED_ENTRY),  # an Arabic 1
        ("2 0.5 0.5 0.5 0.5", [], Kind.UNKNOWN_REFERENCE),
        ("-1 0.5 0.5 0.5 0.5", [], Kind.UNKNOWN_REFERENCE),
    ],
)
def test_lines(tmp_path: Path, line: str, boxes: list[list[float]], kind: Kind | None) -> None:
    folder = write_yolo(tmp_path, a=f"{LINE}\n{line}\n")
    dataset = read_dataset(folder)
    assert dataset.records[0].objects.boxes[0].tolist() == BOX
    np.testing.assert_allclose(dataset.records[0].objects.boxes[1:], np.reshape(boxes, (-1, 4)))
    where = f"{folder / 'labels' / 'a.txt'}:3"
    assert [(problem.where, problem.kind) for problem in dataset.problems] == ([(where, kind)] if kind else [])


def test_problems_of_every_row_are_counted(tmp_path: Path) -> None:
    a = "1 .5 .5 .2 .2 .9\n" * 3 + "7 .5 .5 .2 .2\n" * 4 + "dog .5 .5 .2 .2\n" * 5
    dataset = read_dataset(write_yolo(tmp_path, a=a, b="8 .5 .5 .2 .2\n7 .5 .5 .2 .2"))
    assert sorted((problem.kind.code, problem.times, Path(problem.where).name) for problem in dataset.problems) == [
        ("extra_values", 3, "a.txt:1"),
        ("malformed_entry", 5, "a.txt:8"),
        ("unknown_reference", 1, "b.txt:1"),
        ("unknown_reference", 5, "a.txt:4"),
    ]


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "\ufeffnames: [cat, dog]\ntrain: images\n", a=f"\ufeff{LINE}")
    for names_file in ("", "classes.txt"):
        if names_file:
            (folder / "data.yaml").unlink()
            (folder / names_file).write_text("\ufeffcat\ndog\n", encoding="utf-8")
        dataset = read_dataset(folder)
        assert (dataset.class_names, dataset.problems) == (("cat", "dog"), [])
        assert dataset.records[0].objects.boxes.tolist() == [BOX]


def test_names_count_not_nc(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path, "nc: 3\nnames: [cat, dog]\ntrain: images\n", a=LINE))
    assert dataset.class_names == ("cat", "dog")
    assert [(p.where, p.action) for p in dataset.problems] == [(str(tmp_path / "data.yaml"), "fixed")]


def test_a_picture_listed_twice_is_used_once(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat, dog]\ntrain: [list.txt, images]\n", a=LINE, b=LINE)
    (folder / "list.txt").write_text("images/a.png\n")
    dataset = read_dataset(folder)
    assert [record.image.name for record in dataset.records] == ["a.png", "b.png"]
    assert [(p.where, p.action) for p in dataset.problems] == [(str(folder / "images" / "a.png"), "fixed")]


def test_a_label_file_without_a_picture_is_named(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat, dog]\ntrain: list.txt\n", a=LINE, b=LINE, gone=LINE)
    (folder / "images" / "gone.png").unlink()
    (folder / "labels" / "classes.txt").write_text("cat\ndog\n")
    (folder / "list.txt").write_text("images/a.png\n")
    problems = read_dataset(folder).problems
    assert [(p.where, p.action) for p in problems] == [(str(folder / "labels" / "gone.txt"), "skipped")]


def test_keypoints_behind_a_box_are_no_polygon(tmp_path: Path) -> None:
    line = LINE.strip() + " 0.1 0.1 2 0.9 0.9 2\n"
    dataset = read_dataset(write_yolo(tmp_path, "names: [cat, dog]\nkpt_shape: [2, 3]\ntrain: images\n", a=line))
    assert dataset.records[0].objects.boxes.tolist() == [BOX]


def test_pictures_without_label_files_have_no_objects(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE, b="")
    write_picture(folder / "images" / "c.png")
    assert [len(record.objects.labels) for record in read_dataset(folder).records] == [1, 0, 0]


def test_labels_nowhere_are_an_error_not_a_data_set_of_background(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE)
    (folder / "labels" / "a.txt").unlink()
    with pytest.raises(InputError, match="none of the pictures has a label file"):
        read_dataset(folder)
    scanned = scan_dataset(folder)
    assert (scanned.format, scanned.records, actions_of(scanned)) == ("yolo", [], ["fatal"])


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat, dog]\ntrain: list.txt", a=LINE, b=LINE)
    (folder / "images" / "b.png").unlink()
    (folder / "list.txt").write_text("images/a.png\nimages/b.png\n")
    dataset = read_dataset(folder)
    assert [record.image.name for record in dataset.records] == ["a.png", "b.png"]
    assert [(problem.where, problem.action) for problem in dataset.problems] == [
        (str(folder / "labels" / "b.txt"), "skipped")
    ]


def test_darknet_lists_name_pictures_that_lie_elsewhere(shared_data: Path) -> None:
    folder = shared_data / "voc_formats" / "gts" / "yolo_format"
    listed = read_dataset(folder, split="train")
    assert len(listed.records) == 100
    assert {record.image for record in listed.records} == {record.image for record in read_dataset(folder).records}
    with pytest.raises(InputError, match="no split 'test'"):
        read_dataset(folder, split="test")


def test_a_folder_with_a_file_of_names(tmp_path: Path) -> None:
    for split, line in (("train", LINE), ("val", "0 0.5 0.5 0.25 0.5\n")):
        write_picture(tmp_path / "images" / split / "pig.jpg")
        labels = tmp_path / "labels" / split
        labels.mkdir(parents=True)
        (labels / "pig.txt").write_text(line)
    (tmp_path / "classes.txt").write_text("cat\ndog\n\n")
    assert [record.objects.labels.tolist() for record in read_dataset(tmp_path).records] == [[1], [0]]
    assert [record.objects.labels.tolist() for record in read_dataset(tmp_path, split="val").records] == [[0]]


def test_label_files_of_one_name_are_not_guessed(tmp_path: Path) -> None:
    write_picture(tmp_path / "pictures" / "a.png")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(LINE)
    with pytest.raises(InputError, match="may both belong to"):
        read_dataset(tmp_path)


def test_a_link_to_nothing_is_no_picture_without_objects(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE, b=LINE)
    (folder / "labels" / "b.txt").unlink()
    (folder / "labels" / "b.txt").symlink_to("gone")
    with pytest.raises(InputError, match=r"b\.txt: a link to nothing"):
        read_dataset(folder)
    (folder / "labels" / "b.txt").unlink()
    os.mkfifo(folder / "labels" / "b.txt")
    assert [problem.kind for problem in scan_dataset(folder).problems] == [Kind.UNREADABLE_LABELS]


def test_a_folder_of_labels_that_is_a_link_to_nothing(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "val" / "b.png")
    folder = write_yolo(tmp_path, a=LINE)
    (folder / "labels" / "val").symlink_to("gone")
    assert [(p.kind, p.where) for p in scan_dataset(folder).problems] == [
        (Kind.UNREADABLE_LABELS, str(folder / "labels" / "val"))
    ]


def test_labels_of_a_picture_that_is_not_read_say_so(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE, b=LINE)
    (folder / "images" / "b.png").rename(folder / "images" / "b.xyz")
    (problem,) = read_dataset(folder).problems
    assert problem.kind is Kind.LABELS_WITHOUT_PICTURE
    assert problem.what.startswith(str(folder / "images" / "b.xyz"))


def test_label_files_in_utf_16(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, a=LINE, b=LINE)
    for name in ("a", "b"):
        (folder / "labels" / f"{name}.txt").write_text(LINE, encoding="utf-16")
    dataset = read_dataset(folder)
    assert [record.objects.boxes.tolist() for record in dataset.records] == [[BOX], [BOX]]
    assert [(problem.kind, problem.times) for problem in dataset.problems] == [(Kind.DECODED_TEXT, 2)]


def test_label_files_beside_pictures_are_not_an_unlabelled_folder(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_text(tmp_path / "a.txt", LINE)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.records[0].objects.boxes.tolist()) == ("yolo", [BOX])
    write_text(tmp_path / "a.txt", "a picture of 1 dog")
    assert read_dataset(tmp_path).format == "folder"


def test_splits_without_a_data_yaml(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_yolo(tmp_path / split, None, a=LINE)
    write_text(tmp_path / "classes.txt", "cat\ndog")
    assert len(read_dataset(tmp_path).records) == 2
    dataset = read_dataset(tmp_path, split="valid")
    assert [record.image for record in dataset.records] == [tmp_path / "valid" / "images" / "a.png"]
    assert dataset.records[0].objects.boxes.tolist() == [BOX]


def test_pictures_found_by_the_end_of_their_path_are_told(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat, dog]\ntrain: list.txt", a=LINE, b=LINE, c=LINE)
    (folder / "list.txt").write_text("images/a.png\nC:\\old\\images\\b.png\n/old/images/c.png\n")
    dataset = read_dataset(folder)
    assert [len(record.objects.labels) for record in dataset.records] == [1, 1, 1]
    assert [(p.kind, p.times, p.where) for p in dataset.problems] == [
        (Kind.FOUND_ELSEWHERE, 2, str(folder / "list.txt"))
    ]
