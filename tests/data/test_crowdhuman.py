"""CrowdHuman: three boxes of a person, masks, and dirt that costs no more than its own line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centerx.data.crowdhuman import read
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset, scan_dataset, select_classes
from centerx.errors import InputError
from tests.data.handmade import actions_of, write_picture, write_text

ALL = ["person", "visible", "head"]


def person(**more: Any) -> dict[str, Any]:
    boxes = {"fbox": [10, 5, 20, 50], "vbox": [10, 5, 10, 20], "hbox": [12, 5, 4, 6]}
    return {"tag": "person", "head_attr": {"ignore": 0, "occ": 1, "unsure": 0}, "extra": {"box_id": 0}} | boxes | more


def line(*objects: Any, own_id: Any = "1,a") -> str:
    return json.dumps({"ID": own_id, "gtboxes": list(objects)})


def write_odgt(tmp_path: Path, *lines: str, picture: bool = True) -> Path:
    if picture:
        write_picture(tmp_path / "Images" / "1,a.jpg")
    return write_text(tmp_path / "a.odgt", "\n".join(lines))


def objects(dataset: Dataset) -> list[tuple[str, list[float], bool]]:
    record = dataset.records[0]
    rows = zip(record.objects.labels, record.objects.boxes.tolist(), record.objects.ignore.tolist(), strict=True)
    return [(dataset.class_names[label], box, ignore) for label, box, ignore in rows]


def test_a_plain_read_is_persons_by_their_full_boxes_clipped_to_the_picture_without_a_word(tmp_path: Path) -> None:
    far = person(fbox=[-30, -9, 200, 90])
    dataset = read_dataset(write_odgt(tmp_path, line(person(), far)))
    assert dataset.format == "crowdhuman"
    assert dataset.class_names == ("person",)
    assert objects(dataset) == [("person", [10, 5, 30, 30], False), ("person", [0, 0, 40, 30], False)]
    assert dataset.records[0].objects.values["area"].tolist() == [20 * 25, 40 * 30]
    assert dataset.problems == []


def test_classes_choose_the_boxes_and_may_be_renamed(tmp_path: Path) -> None:
    file = write_odgt(tmp_path, line(person()))
    assert objects(read_dataset(file, classes=ALL)) == [
        ("person", [10, 5, 30, 30], False),
        ("visible", [10, 5, 20, 25], False),
        ("head", [12, 5, 16, 11], False),
    ]
    heads = read_dataset(file, classes=["head"])
    assert heads.class_names == select_classes(heads, None).class_names == ("head",), "asked for once is enough"
    # A detector of persons, trained on the visible part, as COCO labels them.
    assert objects(read_dataset(file, classes=["visible=person"])) == [("person", [10, 5, 20, 25], False)]


@pytest.mark.parametrize(
    ("changed", "ignored"),
    [
        ({"tag": "mask", "extra": {"ignore": 1}, "head_attr": {}}, ALL),
        ({"tag": "mask", "extra": {}, "vbox": None, "hbox": None}, ALL),
        ({"extra": {"ignore": 1}}, ALL),
        ({"extra": {"ignore": "1"}}, ALL),
        ({"extra": {"ignore": 0, "unsure": 1}}, []),
        ({"head_attr": {"ignore": 1}}, ["head"]),
        ({"head_attr": {"unsure": 1}}, ["head"]),
        ({"head_attr": {}, "extra": {}}, []),
        ({"head_attr": None, "extra": 5}, []),
    ],
)
def test_what_is_ignored(tmp_path: Path, changed: dict[str, Any], ignored: list[str]) -> None:
    dataset = read_dataset(write_odgt(tmp_path, line(person(**changed))), classes=ALL)
    assert [name for name, _, ignore in objects(dataset) if ignore] == ignored
    assert len(objects(dataset)) == 3
    assert dataset.problems == []


BAD_OBJECTS = {
    "not a mapping": (5, 0),
    "texts": (person(fbox=["1", "2", "3", "4"]), 2),
    "no box": ({"tag": "person", "vbox": [1, 2, 3, 4], "hbox": [1, 2, 3, 4]}, 2),
    "three numbers": (person(hbox=[1, 2, 3]), 2),
    "negative": (person(fbox=[10, 10, -3, 5]), 2),
    "not a number": (person(fbox=[float("nan"), 2, 3, 5]), 2),
    "infinite": (person(fbox=[1, 2, float("inf"), 5]), 2),
    "too long for a float": (person(vbox=[1, 2, 10**400, 5]), 2),
    "outside the picture": (person(fbox=[100, 2, 5, 5]), 2),
}


@pytest.mark.parametrize(("bad", "left"), BAD_OBJECTS.values(), ids=BAD_OBJECTS.keys())
def test_a_bad_box_is_skipped_and_named_by_its_line(tmp_path: Path, bad: Any, left: int) -> None:
    dataset = read_dataset(write_odgt(tmp_path, "", line(person(), bad)), classes=ALL)
    assert actions_of(dataset) == ["skipped"]
    assert dataset.problems[0].where.startswith(f"{tmp_path / 'a.odgt'}:2: box 2")
    assert len(objects(dataset)) == 3 + left


def test_an_unknown_tag_is_an_ignored_region(tmp_path: Path) -> None:
    dataset = read_dataset(write_odgt(tmp_path, line(person(tag="dog"))))
    assert [ignore for *_, ignore in objects(dataset)] == [True]
    assert actions_of(dataset) == ["fixed"]


BAD_LINES = {
    "cut": line(person(), own_id="2,b")[:-9],
    "a list": "[1]",
    "no ID": '{"gtboxes": []}',
    "ID of a number": line(own_id=5),
    "no boxes": '{"ID": "2,b"}',
    "boxes of another kind": '{"ID": "2,b", "gtboxes": {"a": 1}}',
    "ID twice": line(person()),
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_skipped_and_the_rest_goes_on(tmp_path: Path, bad: str) -> None:
    dataset = read_dataset(write_odgt(tmp_path, line(person()), bad, line(own_id="3,c")))
    assert [record.image_id for record in dataset.records] == ["1,a", "3,c"]
    assert [(p.where, p.action) for p in dataset.problems] == [(f"{tmp_path / 'a.odgt'}:2", "skipped")]


def test_byte_order_mark_blank_lines_and_windows_line_ends_are_no_dirt(tmp_path: Path) -> None:
    write_odgt(tmp_path)
    file = write_text(tmp_path / "a.odgt", f"\ufeff{line(person())}\r\n\r\n{line(own_id='2,b')}\r\n")
    dataset = read_dataset(file)
    assert len(dataset.records) == 2
    assert dataset.problems == []


def test_a_file_of_nothing_readable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures there"):
        read_dataset(write_text(tmp_path / "a.odgt", b"\xff\xfe\x00nonsense"))
    with pytest.raises(InputError, match=r"no class 'heads' \(did you mean 'head'\?\), there are: person, visible, h"):
        read_dataset(write_odgt(tmp_path, line(person())), classes=["heads"])


@pytest.mark.parametrize("place", ["Images", "CrowdHuman_train/Images", ".", "../JPEGImages", "../images"])
def test_pictures_are_found_near_the_file(tmp_path: Path, place: str) -> None:
    file = write_text(tmp_path / "Annotations" / "a.odgt", line(person()))
    picture = write_picture(file.parent / place / "1,a.jpg")
    assert read_dataset(file).records[0].image.resolve() == picture.resolve()


def test_a_folder_has_a_file_a_split(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_text(tmp_path / f"annotation_{name}.odgt", line(person(), own_id=name))
    assert read_dataset(tmp_path, split="val").records[0].image_id == "val"
    with pytest.raises(InputError, match="which of annotation_train, annotation_val"):
        read_dataset(tmp_path)


def test_the_real_sample(shared_data: Path, tmp_path: Path) -> None:
    sample = shared_data / "fixtures" / "crowdhuman_sample.odgt"
    for own_id in ("283554,35288000868e92d4", "273271,1f249000e0cb4b12", "284193,faa9000f2678b5e"):
        write_picture(tmp_path / f"{own_id}.jpg", (1800, 1400))
    dataset = read_dataset(sample, images=tmp_path, classes=ALL)
    labels = np.concatenate([record.objects.labels for record in dataset.records])
    ignore = np.concatenate([record.objects.ignore for record in dataset.records])
    # 23 persons on 4 pictures, two masks, one head to be ignored; the fourth picture is missing.
    assert np.bincount(labels[~ignore]).tolist() == [23, 23, 22]
    assert np.bincount(labels[ignore]).tolist() == [2, 2, 3]
    assert dataset.problems == []
    assert dataset.records[1].objects.boxes[9].tolist() == [0, 158, 432, 1400], "[-120, 158, 552, 1596] in 1800 x 1400"


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([*map(str.encode, BAD_LINES.values())])), max_size=6))
def test_whatever_the_lines_every_problem_has_a_place(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes]
) -> None:
    file = write_text(tmp_path_factory.mktemp("odgt") / "a.odgt", b"\n".join(rows))
    dataset = read(file, None, None)
    assert all(problem.where.startswith(f"{file}:") for problem in dataset.problems)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["tag", "fbox", "vbox", "hbox", "extra", "head_attr"]), JSON), JSON)
def test_whatever_an_object_holds_boxes_are_finite(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any], own_id: Any
) -> None:
    file = write_text(tmp_path_factory.mktemp("odgt") / "a.odgt", line(person(**changed), own_id=own_id))
    for record in scan_dataset(file).records:
        assert np.isfinite(record.objects.boxes).all()
        assert (record.objects.values["area"] > 0).all()
