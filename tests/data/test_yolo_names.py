"""Class names of YOLO: as they are written, and the files in which they are found."""

from pathlib import Path

import pytest

from centerx.data.read import read_dataset, scan_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import write_text, write_yolo

LINE = "1 0.5 0.5 0.25 0.5\n"


def kinds(folder: Path) -> list[Kind]:
    return [problem.kind for problem in read_dataset(folder).problems]


@pytest.mark.parametrize(
    ("names", "expected", "changed"),
    [
        ("[yes, no]", ("yes", "no"), 2),
        ("{0: on, 1: off}", ("on", "off"), 2),
        ("[007, 010]", ("007", "010"), 2),
        ("[0x10, 1_0]", ("0x10", "1_0"), 2),
        ("[1.0, 1.50]", ("1.0", "1.50"), 2),
        ("[1e3, cat]", ("1e3", "cat"), 0),
        ("[null, ~]", ("null", "~"), 2),
        ("[2024-01-01, 12:30:00]", ("2024-01-01", "12:30:00"), 2),
        ("[!!timestamp 2024-01-01, .inf]", ("2024-01-01", ".inf"), 2),
        ("[7, 12]", ("7", "12"), 0),
        ("['yes', \"010\"]", ("yes", "010"), 0),
        ("[!!str no, y]", ("no", "y"), 0),
        ("{'1': no, 0: cat}", ("cat", "no"), 1),
    ],
)
def test_names_are_as_written(tmp_path: Path, names: str, expected: tuple[str, str], changed: int) -> None:
    dataset = read_dataset(write_yolo(tmp_path, f"names: {names}\ntrain: images\n", a=LINE))
    assert dataset.class_names == expected
    found = [(problem.kind, problem.times) for problem in dataset.problems]
    assert found == ([(Kind.CHANGED_CLASS_NAME, changed)] if changed else [])


BOMB = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(10))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 11))


@pytest.mark.parametrize(
    "text",
    [
        "names: {true: cat}",
        "names: {cat: 0}",
        "names: {-1: cat}",
        "names: {1.0: cat}",
        "names: {010: cat}",
        "names: {? [0] : cat}",
        "names: {.inf: cat}",
        "names: [cat, '']",
        "names: [cat, ' ']",
        "names:\n- cat\n-\n",
        "names: [[cat]]",
        "names: [{0: cat}]",
        "names: cat",
        'names: ["\\ud800"]',
        'names: ["a\\nb"]',
        "names: {0: cat, 0: dog}",
        "names: [cat]\nnames: [dog]",
        f"{BOMB}names: [*a9]",
        f"{BOMB}names: [cat]\npath: *a9\nnc: *a9\ntrain: *a9\ntask: *a9",
        f"{MERGES}names: [cat]",
        f"names: [cat]\nx: {'[' * 5000}",
        f"names: {'[' * 2000}{']' * 2000}",
        "names: [cat]\nx: !!int ''",
        "names: [cat]\nx: !!timestamp a",
        "names: [cat]\nx: 2024-02-30",
        f"names: [cat]\nx: {'9' * 5000}",
    ],
)
def test_names_that_cannot_be_used_are_one_short_line(tmp_path: Path, text: str) -> None:
    write_yolo(tmp_path, f"{text}\n" if "train:" in text else f"{text}\ntrain: images\n", a=LINE)
    with pytest.raises(InputError, match=r"data\.yaml: ") as caught:
        read_dataset(tmp_path, split="train")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


@pytest.mark.parametrize("place", ["", "labels/", "labels/train/"])
@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "mine.names"])
def test_names_beside_the_labels(tmp_path: Path, place: str, name: str) -> None:
    folder = write_yolo(tmp_path, None, a=LINE)
    for kind in ("images", "labels"):
        (folder / kind).rename(folder / "train")
        (folder / kind).mkdir()
        (folder / "train").rename(folder / kind / "train")
    write_text(folder / place / name, "cat\ndog\n\n")
    assert read_dataset(folder).class_names == ("cat", "dog")
    assert kinds(folder) == []
    write_text(folder / place / name, "cat\n\ndog\n")
    with pytest.raises(InputError, match="class 1 has no name"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("set/config.yaml", "names: [cat, dog]"),
        ("set/config.yml", "names: {0: cat, 1: dog}\ntrain: /old/images"),
        ("classes.txt", "cat\ndog"),
        ("data.yaml", "names: [cat, dog]"),
        ("mine.yaml", "names: [cat, dog]\ntrain: set/images\nval: other/images"),
    ],
)
def test_names_near_the_labels_are_told(tmp_path: Path, name: str, text: str) -> None:
    folder = write_yolo(tmp_path / "set", None, a=LINE)
    write_text(tmp_path / name, text)
    dataset = read_dataset(folder)
    assert dataset.class_names == ("cat", "dog")
    (problem,) = dataset.problems
    assert problem.kind is Kind.FOUND_ELSEWHERE
    assert str(tmp_path / name) in problem.what


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "names: [cat, dog]\ntrain: ../train/images"),  # of another data set
        ("set/config.yaml", "names: [cat]"),
        ("set/config.yaml", "names: [[cat], dog]"),
        ("classes.txt", "cat"),
    ],
)
def test_names_that_do_not_fit_are_left(tmp_path: Path, name: str, text: str) -> None:
    folder = write_yolo(tmp_path / "set", None, a=LINE)
    write_yolo(tmp_path / "train", None, a=LINE)
    write_text(tmp_path / name, text)
    assert read_dataset(folder).class_names == ("0", "1")
    assert kinds(folder) == [Kind.NUMBERED_CLASSES]


def test_a_yaml_of_any_name_is_read_as_a_data_yaml(tmp_path: Path) -> None:
    write_yolo(tmp_path / "train", None, a=LINE)
    write_text(tmp_path / "coco.yaml", "names: [cat, dog]\ntrain: train/images\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.class_names, dataset.problems, len(dataset.records)) == (("cat", "dog"), [], 1)
    write_text(tmp_path / "other.yaml", "names: [a, b]\ntrain: train/images\n")
    with pytest.raises(InputError, match=r"which of coco\.yaml, other\.yaml"):
        read_dataset(tmp_path)


def test_a_data_yaml_of_names_alone(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path, "names: [cat, dog]\n", a=LINE))
    assert (dataset.class_names, len(dataset.records), dataset.problems) == (("cat", "dog"), 1, [])


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, None, a=LINE)
    write_text(folder / "classes.txt", "cat\ndog\ncow")
    write_text(folder / "labels" / "classes.txt", "cat\ndog")
    assert read_dataset(folder).class_names == ("cat", "dog", "cow")
    write_text(folder / "labels" / "classes.txt", "dog\ncat")
    with pytest.raises(InputError, match="class 0 is 'dog' and 'cat'"):
        read_dataset(folder)
    write_text(folder / "data.yaml", "names: [cat, dog]\ntrain: images")
    assert read_dataset(folder).class_names == ("cat", "dog")
    assert kinds(folder) == [Kind.TWO_PLACES]


def test_a_name_listed_twice_is_one_class_and_told(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path, "names: [cat, dog, cat]\ntrain: images", a="2 .5 .5 .1 .1"))
    assert dataset.class_names == ("cat", "dog")
    assert [problem.kind for problem in dataset.problems] == [Kind.REPEATED_CLASS]


def test_names_in_other_encodings_stay_apart(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, None, a=LINE)
    write_text(folder / "classes.txt", "人\n车".encode("gbk"))
    assert read_dataset(folder).class_names == ("人", "车")
    assert kinds(folder) == [Kind.DECODED_TEXT]
    write_text(folder / "classes.txt", "犬\n猫".encode("shift-jis"))
    assert [problem.where for problem in scan_dataset(folder).problems] == [str(folder / "classes.txt")]
    (folder / "classes.txt").unlink()
    write_text(folder / "data.yaml", "names: [blé, blè]\ntrain: images".encode("latin-1"))
    assert read_dataset(folder).class_names == ("blé", "blè")
    assert kinds(folder) == [Kind.DECODED_TEXT]


def test_without_names_the_numbers_are_told(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path, None, a=LINE))
    (problem,) = dataset.problems
    assert (problem.kind, dataset.class_names) == (Kind.NUMBERED_CLASSES, ("0", "1"))
    assert "0, 1" in problem.what
    write_text(tmp_path / "data.yaml", "nc: 3\ntrain: images")
    assert read_dataset(tmp_path).class_names == ("0", "1", "2")
    assert kinds(tmp_path) == [Kind.NUMBERED_CLASSES]


def test_a_text_in_the_root_that_contradicts_the_yaml_is_told(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat, dog]\ntrain: images\n", a=LINE)
    write_text(folder / "classes.txt", "dog\ncat\n")
    assert kinds(folder) == [Kind.TWO_PLACES]
    write_text(folder / "classes.txt", "cat\ndog\n")
    assert kinds(folder) == []


@pytest.mark.parametrize(
    ("text", "expected", "changed"),
    [
        ("0 cat\n1 big dog\n", ("cat", "big dog"), [2]),
        ("0: cat\n1: dog\n", ("cat", "dog"), [2]),
        ("1 euro\n2 euro\n", ("1 euro", "2 euro"), []),
        ("0 cat\ndog\n", ("0 cat", "dog"), []),
        ("0\n1\n", ("0", "1"), []),
    ],
)
def test_numbers_before_names(tmp_path: Path, text: str, expected: tuple[str, ...], changed: list[int]) -> None:
    folder = write_yolo(tmp_path, None, a=LINE)
    write_text(folder / "classes.txt", text)
    dataset = read_dataset(folder)
    assert dataset.class_names == expected
    assert [p.times for p in dataset.problems if p.kind is Kind.CHANGED_CLASS_NAME] == changed
