"""Thousands of broken inputs: each is refused in one line, told, harmless, or a valid text that says something else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from centerx.data.read import scan_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from centerx.runtime.foreign.adapter import parse_adapter, read_tree
from tests.data.handmade import write_picture, write_text
from tests.dirty.account import FAULTS
from tests.dirty.bases import BASES
from tests.dirty.run import Outcome, outcomes

SEED = 24
REAL: dict[str, tuple[str | None, tuple[str, ...]]] = {  # shared data -> its split, and the kinds that are made of it
    "bccd": ("train", ("voc", "coco", "yolo", "csv", "pictures")),
    "facemask": ("train", ("coco", "odgt", "wider", "pictures")),
    "plates/train_dir": (None, ("dota", "icdar", "yolo-obb", "wpod")),
    "kitti_mini": (None, ("kitti", "cvat", "via", "labelme")),
    "coco_people": (None, ("yolo", "openimages", "createml", "labelstudio", "huggingface", "fiftyone", "points")),
}


def told(outcome: Outcome) -> str:
    kind, index, file, change, fate = outcome
    return f"{kind} {index}: {change} of {file}: {fate.name} {fate.detail}"


@pytest.mark.parametrize("kind", BASES)
def test_a_few_broken_inputs_of_every_kind(kind: str, tmp_path: Path) -> None:
    found = list(outcomes(kind, range(5), SEED, tmp_path))
    assert len(found) == 5
    assert [told(each) for each in found if each.fate.name in FAULTS] == []


@pytest.mark.soak
@pytest.mark.parametrize("kind", BASES)
def test_broken_painted_sets(kind: str) -> None:
    run_cases("--kind", kind, "--count", "80", count=80)


@pytest.mark.soak
@pytest.mark.parametrize("name", REAL)
def test_broken_real_sets(name: str, shared_data: Path) -> None:
    split, kinds = REAL[name]
    words = ["--kind", *kinds, "--count", "50", "--data", str(shared_data / name)]
    run_cases(*words, *(["--split", split] if split else []), count=50 * len(kinds))


def run_cases(*words: str, count: int) -> None:
    """Run cases in a process of 2 GB, and look at what became of each."""
    command = [sys.executable, "-m", "tests.dirty.run", "--seed", str(SEED + 1), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20 * count)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == count
    assert [row for row in rows if row["fate"] in FAULTS] == []


@pytest.mark.parametrize("form", ["dota", "kitti", "icdar"])
def test_pictures_without_labels_and_labels_that_are_no_files_are_told(form: str, tmp_path: Path) -> None:
    row = {
        "dota": "1 2 9 2 9 8 1 8 cat 0",
        "kitti": "Car 0 0 0 1 2 9 8 -1 -1 -1 -1000 -1000 -1000 -10",
        "icdar": "1,2,9,2,9,8,1,8,a word",
    }[form]
    for name in "ab":
        write_picture(tmp_path / "images" / f"{name}.png")
    write_text(tmp_path / "labels" / "a.txt", f"{row}\n")
    (problem,) = [each for each in scan_dataset(tmp_path).problems if each.kind is not Kind.ROTATED_BOX]
    assert (problem.kind, Path(problem.where).name) == (Kind.PICTURE_WITHOUT_LABELS, "b.png")
    (tmp_path / "labels" / "b.txt").symlink_to("nowhere")
    assert [each.kind for each in scan_dataset(tmp_path).problems] == [Kind.UNREADABLE_LABELS]


def test_a_link_to_nothing_among_pictures_is_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("nowhere")
    assert [record.image.name for record in scan_dataset(tmp_path).records] == ["a.png", "b.png"]


def test_a_row_of_kitti_of_another_length_is_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "a.png")
    row = "Car 0 0 0 1 2 9 8 -1 -1 -1 -1000 -1000 -1000 -10\n"
    write_text(tmp_path / "labels" / "a.txt", row * 2 + row.replace("9 8", "9 9 8"))
    (problem,) = scan_dataset(tmp_path).problems
    assert problem.kind is Kind.EXTRA_VALUES
    assert problem.where.endswith("a.txt:3")


@pytest.mark.parametrize("name", ["points.csv", "boxes.csv"])
def test_a_row_that_was_cut_is_told(name: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    points, boxes = "image,x,y,label\na.png,3,4,cat\na.png,5,6", "filename,xmin,ymin,xmax,ymax,class\na.png,1"
    rows = {"points.csv": points, "boxes.csv": boxes}
    (problem,) = scan_dataset(write_text(tmp_path / name, rows[name])).problems[:1]
    assert problem.kind is Kind.EXTRA_VALUES


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("createml.json", {"image": "a.png", "annotatoins": []}),
        ("tasks.json", {"id": 2, "data": {"image": "a.png"}, "annotatoins": []}),
        ("tasks.json", {"id": 2, "data": {"image": "a.png"}, "annotations": {"result": []}}),
    ],
)
def test_a_picture_without_its_list_of_annotations_is_no_background(name: str, entry: object, tmp_path: Path) -> None:
    for picture in "ab":
        write_picture(tmp_path / f"{picture}.png")
    place = {"x": 9, "y": 9, "width": 4, "height": 4}
    first: object = {"image": "b.png", "annotations": [{"label": "cat", "coordinates": place}]}
    if name == "tasks.json":
        value = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]}
        region = {"type": "rectanglelabels", "from_name": "a", "to_name": "b", "value": value}
        first = {"id": 1, "data": {"image": "b.png"}, "annotations": [{"result": [region]}]}
    dataset = scan_dataset(write_text(tmp_path / name, json.dumps([first, entry])))
    assert [record.image.name for record in dataset.records] == ["b.png"]
    assert [each.kind for each in dataset.problems] == [Kind.MALFORMED_ENTRY]


def test_an_adapter_that_is_a_device_is_not_read_without_end(tmp_path: Path) -> None:
    (tmp_path / "m.adapter.yaml").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no ordinary file"):
        read_tree(tmp_path / "m.adapter.yaml")


def test_a_key_that_quotes_break_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown key 'boxe\"s'"):
        parse_adapter({'boxe"s': {"outputs": "a"}}, "m")


def test_a_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    text = '{"images": [], "categories": [], "annotations": [{"bbox": [1, 2, 3, 4], "id": 1, "bbox": [5, 6, 7, 8]}]}'
    (problem,) = scan_dataset(write_text(tmp_path / "a.json", text)).problems
    assert "the key 'bbox' twice in one mapping" in problem.what


def test_a_point_without_a_label_is_none_of_a_class_of_its_own(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    dataset = scan_dataset(write_text(tmp_path / "p.csv", "image,x,y,label\na.png,1,2,\na.png,3,4,cat\na.png,5,6,dog"))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.records[0].labels.tolist() == [0, 1]
    assert [(each.kind, each.where[-2:]) for each in dataset.problems] == [(Kind.MALFORMED_ENTRY, ":2")]


def test_an_endless_head_is_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg")
    person = {"tag": "person", "fbox": [1, 2, 5, 6], "vbox": [1, 2, 5, 6], "hbox": [1, 2, 1e39, 6]}
    file = write_text(tmp_path / "a.odgt", json.dumps({"ID": "a", "gtboxes": [person]}))
    assert [each.kind for each in scan_dataset(file).problems] == [Kind.BOX_NOT_FINITE]


def test_a_row_of_dota_in_a_line_of_its_head_is_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "a.png")
    row = "1 2 9 2 9 8 1 8 cat 0\n"
    write_text(
        tmp_path / "labelTxt" / "a.txt", f"imagesource:Google Earth\ngsd:null\n{row}imagesource:unknown{row[2:]}"
    )
    assert [each.kind for each in scan_dataset(tmp_path).problems] == [Kind.ROTATED_BOX, Kind.MALFORMED_ENTRY]
