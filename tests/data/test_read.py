"""Whatever the format, the same pictures and objects; and each wrong request is one line that helps."""

from pathlib import Path

import numpy as np
import pytest

from centerx.build_data import build_datasets
from centerx.config.schema import DataEntry
from centerx.data.read import read_dataset, select_classes
from centerx.data.source import SampleSource
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import (
    coco_annotation,
    coco_image,
    objects_by_name,
    write_coco,
    write_picture,
    write_voc,
    write_yolo,
)

VERSIONS = ("coco_format_v2", "imagenet_format", "pascalvoc_format", "yolo_format")


@pytest.mark.parametrize("version", VERSIONS)
def test_all_formats_of_the_same_data_agree_by_name(shared_data: Path, version: str) -> None:
    folder = shared_data / "voc_formats" / "gts"
    first, other = read_dataset(folder / "coco_format_v1"), read_dataset(folder / version)
    assert set(first.class_names) == set(other.class_names)
    ours, theirs = objects_by_name(first), objects_by_name(other)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 100
    for name, objects in ours.items():
        assert [each for each, _ in objects] == [each for each, _ in theirs[name]]
        # The txt files hold six decimals, of pictures of 500 pixels.
        np.testing.assert_allclose([box for _, box in objects], [box for _, box in theirs[name]], atol=2e-3)


def test_the_versions_order_classes_differently(shared_data: Path) -> None:
    folder = shared_data / "voc_formats" / "gts"
    orders = {read_dataset(folder / version).class_names for version in ("coco_format_v1", *VERSIONS)}
    assert len(orders) >= 3, "else the agreement by name proves nothing"


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("bccd", "voc"),
        ("facemask/annotations/custom_val.json", "coco"),
        ("coco_mini", "coco"),
        ("voc_formats/gts/coco_format_v1", "coco"),
        ("voc_formats/gts/yolo_format", "yolo"),
        ("voc_formats/gts/imagenet_format", "voc"),
        ("fixtures/dirty", "voc"),
        ("fixtures/exif", "folder"),
    ],
)
def test_the_format_is_recognised_and_pictures_are_found(shared_data: Path, path: str, format: str) -> None:
    dataset = read_dataset(shared_data / path)
    assert dataset.format == format
    assert all(record.image.is_file() for record in dataset.records)


def test_labels_that_no_reader_takes_are_named_and_a_folder_can_be_asked_for(shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"WPOD-Net.* name the folder that holds labels and pictures.*--format folder"):
        read_dataset(shared_data / "plates")
    assert len(read_dataset(shared_data / "plates", format="folder").records) == 64


def test_only_the_named_classes_are_read_and_count_as_labelled(shared_data: Path) -> None:
    whole = read_dataset(shared_data / "bccd", split="val")
    some = read_dataset(shared_data / "bccd", split="val", classes=["WBC", "Platelets"])
    assert some.class_names == ("WBC", "Platelets")
    assert some.category_ids == (whole.category_ids[2], whole.category_ids[0])
    assert len(some.records) == len(whole.records), "pictures without these classes stay"
    for one, other in zip(some.records, whole.records, strict=True):
        keep = other.objects.labels != whole.class_names.index("RBC")
        assert np.array_equal(one.objects.boxes, other.objects.boxes[keep])
        names = [whole.class_names[label] for label in other.objects.labels[keep]]
        assert [some.class_names[label] for label in one.objects.labels] == names
    entry = SampleSource([some], ("Platelets", "RBC", "WBC")).entries[0]
    assert entry.supervised[:, 0].tolist() == [True, False, True]


def test_a_complete_data_set_has_nothing_of_the_classes_it_lacks(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "a.json", categories=[{"id": 1, "name": "yak"}], annotations=[coco_annotation(1)])
    write_picture(tmp_path / "a.png")
    for complete in (False, True):
        (dataset,) = build_datasets([DataEntry(path=str(file), complete=complete)])
        (entry,) = SampleSource([dataset], ("ox", "yak")).entries
        assert entry.supervised[:, 0].tolist() == [complete, True]


def test_pictures_that_show_none_of_the_classes_are_left_out_on_request(tmp_path: Path) -> None:
    names = ("cat", "dog", "crowd of cats", "nothing")
    file = write_coco(
        tmp_path / "a.json",
        images=[coco_image(number, f"{name}.png") for number, name in enumerate(names, start=1)],
        categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        annotations=[
            coco_annotation(1),
            coco_annotation(2, image_id=2, category_id=2),
            coco_annotation(3, image_id=3, iscrowd=1),
        ],
    )
    for name in names:
        write_picture(tmp_path / f"{name}.png")

    def pictures(**options: object) -> tuple[list[str], list[str]]:
        """Those that are used, and those that are reported as left out."""
        (dataset,) = build_datasets([DataEntry(path=str(file), **options)])  # type: ignore[arg-type]
        left_out = [Path(problem.where).stem for problem in dataset.problems]
        assert {problem.kind for problem in dataset.problems} <= {Kind.PICTURE_WITHOUT_OBJECTS}
        return [record.image.stem for record in dataset.records], left_out

    assert pictures(classes=["cat"]) == (list(names), [])
    assert pictures(classes={"cat": "pet"}, only_with_objects=True) == (["cat", "crowd of cats"], ["dog", "nothing"])
    assert pictures(only_with_objects=True) == (["cat", "dog", "crowd of cats"], ["nothing"])


def test_none_of_the_pictures_shows_the_class(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "a.json", annotations=[])
    write_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.json: only_with_objects leaves nothing, as none of 1 pictures shows cat"):
        build_datasets([DataEntry(path=str(file), only_with_objects=True)])


def test_selecting_moves_every_column(tmp_path: Path) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(("yak", "ox", "cat"))]
    annotations = [
        coco_annotation(side, category_id=category, bbox=[0, 0, side, side], iscrowd=crowd)
        for side, category, crowd in ((1, 1, 0), (2, 0, 1), (3, 2, 1), (4, 1, 0))
    ]
    file = write_coco(tmp_path / "a.json", categories=categories, annotations=annotations)
    record = select_classes(read_dataset(file), ["cat", "yak"]).records[0]
    assert record.objects.boxes.tolist() == [[0, 0, 2, 2], [0, 0, 3, 3]]
    assert record.objects.labels.tolist() == [1, 0]
    assert record.objects.values["area"].tolist() == [4, 9]
    assert record.objects.ignore.tolist() == [True, True]


def test_a_wrong_class_is_named_with_the_nearest(shared_data: Path) -> None:
    message = r"no class 'Platelet' \(did you mean 'Platelets'\?\), there are: Platelets, RBC, WBC"
    with pytest.raises(InputError, match=message):
        read_dataset(shared_data / "bccd", classes=["Platelet"])
    with pytest.raises(InputError, match="there are: none"):
        read_dataset(shared_data / "fixtures" / "exif", classes=["cat"])


def test_a_class_named_twice_is_one_and_no_name_is_an_error(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "a.json", annotations=[coco_annotation(0)])
    dataset = read_dataset(file, classes=["cat", "cat"])
    assert dataset.class_names == ("cat",)
    assert dataset.records[0].objects.labels.tolist() == [0]
    with pytest.raises(InputError, match="classes names none"):
        read_dataset(file, classes=[])


def test_a_class_is_read_under_another_name_and_several_as_one(tmp_path: Path) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(("car", "a=b", "truck", "bus"))]
    annotations = [coco_annotation(side, category_id=side - 1, bbox=[0, 0, side, side]) for side in (1, 2, 3, 4)]
    file = write_coco(tmp_path / "a.json", categories=categories, annotations=annotations)
    dataset = read_dataset(file, classes=["a=b", "truck=vehicle", "car=vehicle"])
    assert dataset.class_names == ("a=b", "vehicle")
    assert dataset.category_ids == (1, 2)
    assert dataset.records[0].objects.labels.tolist() == [1, 0, 1]
    assert dataset.records[0].objects.values["area"].tolist() == [1, 4, 9]
    for wrong in (["car=a", "car=b"], ["car="], ["car", "car=a"]):
        with pytest.raises(InputError, match="must give one new name to a class"):
            read_dataset(file, classes=wrong)
    with pytest.raises(InputError, match=r"no class 'ca' \(did you mean 'car'"):
        read_dataset(file, classes=["ca=vehicle"])


def test_wrong_requests(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "empty").mkdir()
    file = write_coco(tmp_path / "a.json")
    requests = {
        "no such file or folder": {"path": tmp_path / "nothing"},
        "not a data set of a known format": {"path": tmp_path / "a.csv"},
        "no pictures there": {"path": tmp_path / "empty"},
        r"unknown data format 'cocoo' \(did you mean 'coco'\?\)": {"path": file, "format": "cocoo"},
        "not a data set in the format 'voc'": {"path": file, "format": "voc"},
        "no such folder of images": {"path": file, "images": tmp_path / "nothing"},
    }
    for words, request in requests.items():
        with pytest.raises(InputError, match=words):
            read_dataset(**request)


def test_an_unreadable_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_coco(tmp_path / "a.json")

    def refuse(path: Path, *_: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a\.json: Permission denied"):
        read_dataset(file)


def test_pictures_may_be_named(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / "far" / "away" / name) for name in ("a.png", "b.png")]
    sets = [
        write_coco(tmp_path / "coco" / "a.json"),
        write_voc(tmp_path / "voc" / "a.xml", ("cat", (1, 2, 11, 22))).parent,
        write_yolo(tmp_path / "yolo", a="0 0.15 0.4 0.25 0.666667"),
    ]
    for path in sets:
        dataset = read_dataset(path, images=pictures[0].parent)
        assert dataset.records[0].image == pictures[0], dataset.format


def test_the_first_of_several_fatal_problems_is_told_with_their_number(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.xml").write_text("<")
    with pytest.raises(InputError, match=r"a\.xml: malformed XML .* \(and 2 more, listed by `centerx data check`\)"):
        read_dataset(tmp_path)
