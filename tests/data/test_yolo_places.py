"""Where a data.yaml's pictures are: exports inside one another, and paths of other machines."""

from pathlib import Path

import pytest

from centerx.data.read import read_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import write_picture, write_text, write_yolo

LINE = "0 0.5 0.5 0.25 0.5\n"


def export(folder: Path, yaml_text: str, *splits: str) -> Path:
    """A data.yaml, and a picture with labels in each split, named after the folder."""
    for split in splits:
        write_yolo(folder / split, None, **{folder.name: LINE})
    return write_text(folder / "data.yaml", yaml_text)


@pytest.mark.parametrize("root", ["", "path: ..\n", "path: .\n", "path: ''\n"])
@pytest.mark.parametrize("source", ["../train/images", "../../train/images", "train/images"])
def test_exports_inside_one_another(tmp_path: Path, source: str, root: str) -> None:
    text = f"names: [cat]\n{root}train: {source}\nval: ../valid/images\n"
    places = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    for folder in places:
        export(folder, text, "train", "valid")
    for folder in places:
        dataset = read_dataset(folder, split="train")
        assert [record.image.resolve() for record in dataset.records] == [
            folder / "train" / "images" / f"{folder.name}.png"
        ]
        assert {problem.kind for problem in dataset.problems} <= {Kind.TWO_PLACES, Kind.FOUND_ELSEWHERE}
    if source == "../train/images" and not root:
        (problem,) = read_dataset(places[1], split="train").problems
        assert problem.kind is Kind.TWO_PLACES
        assert all(part in problem.what for part in (str(places[1] / "train"), "../train/images"))


def test_a_yaml_in_a_folder_beside_its_pictures(tmp_path: Path) -> None:
    export(tmp_path / "set", "", "train")
    file = write_text(tmp_path / "set" / "yaml" / "data.yaml", "names: [cat]\ntrain: ../train/images\n")
    dataset = read_dataset(file)
    assert [record.image.name for record in dataset.records] == ["set.png"]
    assert dataset.problems == []


def test_a_split_of_the_data_set_above_is_not_taken(tmp_path: Path) -> None:
    text = "names: [cat]\ntrain: ../train/images\nval: ../valid/images\n"
    export(tmp_path / "a", text, "train", "valid")
    export(tmp_path / "a" / "b", text, "train")
    with pytest.raises(InputError, match=r"\.\./valid/images leads to"):
        read_dataset(tmp_path / "a" / "b", split="val")
    export(tmp_path / "a" / "c", "names: [cat]\ntrain: train/images\n")
    with pytest.raises(InputError, match="train/images: no such file or folder"):
        read_dataset(tmp_path / "a" / "c", split="train")


def test_paths_of_another_machine_are_told(tmp_path: Path) -> None:
    export(tmp_path / "b", "names: [cat]\ntrain: /content/b/train/images\n", "train")
    dataset = read_dataset(tmp_path / "b")
    assert len(dataset.records) == 1
    assert [(p.kind, p.where) for p in dataset.problems] == [(Kind.FOUND_ELSEWHERE, str(tmp_path / "b" / "data.yaml"))]


def test_an_absolute_path_that_is_there_is_meant(tmp_path: Path) -> None:
    export(tmp_path / "a", "", "train")
    export(tmp_path / "b", f"names: [cat]\npath: {tmp_path / 'a'}\ntrain: train/images\n", "train")
    dataset = read_dataset(tmp_path / "b")
    assert [record.image.name for record in dataset.records] == ["a.png"]
    assert dataset.problems == []


def test_a_root_below_the_yaml_by_the_end_of_its_path(tmp_path: Path) -> None:
    export(tmp_path / "set", "", "train")
    write_picture(tmp_path / "other.png")
    file = write_text(tmp_path / "data.yaml", "names: [cat]\npath: /old/set\ntrain: train/images\n")
    assert [record.image.name for record in read_dataset(file).records] == ["set.png"]


@pytest.mark.parametrize("text", ["names: [cat]\ntrain: images\n", None])
@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("caf\u00e9.png", "cafe\u0301.txt"),
        ("cafe\u0301.png", "caf\u00e9.txt"),
        ("IMG_1.png", "IMG_1.TXT"),
        ("IMG_1.png", "img_1.txt"),
        ("img_1.png", "Img_1.Txt"),
    ],
)
def test_label_files_named_in_another_case_or_normal_form(
    tmp_path: Path, text: str | None, picture: str, label: str
) -> None:
    for folder in ("labels", "images") if text else ("labels",):
        home = tmp_path / f"with_{folder}"
        write_picture(home / "images" / picture)
        write_yolo(home, text)
        write_text(home / folder / label, LINE)
        dataset = read_dataset(home)
        assert [record.objects.boxes.tolist() for record in dataset.records] == [[[15, 7.5, 25, 22.5]]]
        told = [(p.where, p.times) for p in dataset.problems if p.kind is Kind.FOUND_ELSEWHERE]
        assert told == [(str(home / folder), 1)]
        assert Kind.LABELS_WITHOUT_PICTURE not in [p.kind for p in dataset.problems]


def test_label_files_that_fit_no_one_picture_are_told_and_not_taken(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat]\ntrain: images\n", own=LINE, two="", b="")
    for name in ("OWN", "B", "TWO"):
        write_picture(folder / "images" / f"{name}.png")
    for name in ("two.txt", "b.txt"):
        (folder / "labels" / name).unlink()
    write_text(folder / "labels" / "Two.txt", LINE)  # of two.png or TWO.png
    write_text(folder / "labels" / "own.TXT", LINE)  # beside own.txt, so of OWN.png
    write_text(folder / "labels" / "gone.TXT", LINE)
    dataset = read_dataset(folder)
    assert [record.image.name for record in dataset.records if len(record.objects.labels)] == ["OWN.png", "own.png"]
    assert sorted((p.kind.code, Path(p.where).name) for p in dataset.problems) == [
        ("found_elsewhere", "labels"),
        ("labels_without_picture", "Two.txt"),
        ("labels_without_picture", "gone.TXT"),
    ]


def test_labels_beside_a_picture_that_contradict_those_that_are_read(tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, "names: [cat]\ntrain: images\n", a=LINE, b=LINE, c=LINE, d="")
    write_text(folder / "images" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    write_text(folder / "images" / "b.txt", LINE.replace("0.25", ".250"))
    write_text(folder / "images" / "c.txt", "a photo of 1 cat")
    write_text(folder / "images" / "d.txt", LINE)
    dataset = read_dataset(folder)
    assert dataset.records[0].objects.boxes.tolist() == [[15, 7.5, 25, 22.5]]
    assert [(p.kind, Path(p.where).name, p.times) for p in dataset.problems] == [(Kind.TWO_PLACES, "a.txt", 2)]
