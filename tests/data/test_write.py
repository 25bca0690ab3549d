"""What is written is recognised, and reads back to the same pictures, classes and objects."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from centerx.api.data import convert_data
from centerx.api.sets import split_data
from centerx.data.dataset import Dataset, with_corners
from centerx.data.read import read_dataset
from centerx.data.records import Record
from centerx.data.write import WRITERS, coco_tree, write_voc, write_yolo
from centerx.errors import InputError
from centerx.problems import Kind, Problem
from tests.data.handmade import actions_of, assert_same_objects, coco_annotation, coco_image, write_coco, write_picture
from tests.made import make_record

WIDTH, HEIGHT = 40, 30
# Pixels. YOLO's and OpenImages' figures have eight decimals; shares of sides and centres are rounded in the last place.
BOXED = tuple(name for name in WRITERS if name != "yolo-pose")  # that of joints has tests of its own
TOLERANCE = dict.fromkeys(WRITERS, 1e-9) | {"voc": 0, "labelme": 0, "cvat": 0, "csv": 0, "kitti": 0}
TOLERANCE |= {"yolo": 1e-6, "yolo-obb": 1e-6, "openimages": 1e-6, "dota": 0}
IGNORES_NONE = ("yolo", "yolo-obb", "labelstudio", "createml")  # have no word for ignored objects
LISTS_CLASSES = ("coco", "yolo", "yolo-obb", "voc", "cvat", "fiftyone")  # others have the classes of their boxes
UNHELD = (*IGNORES_NONE, "kitti")  # KITTI's ignored regions have no class


def record_of(image: Path, image_id: int | str, objects: list[tuple[Any, int, bool]]) -> Record:
    boxes, labels, ignore = zip(*objects, strict=True) if objects else ((), (), ())
    return make_record(image, image_id, boxes, labels, ignore)


def dataset_of(folder: Path, *objects: list[tuple[Any, int, bool]], names: tuple[str, ...] = ("ox", "cat")) -> Dataset:
    """A data set in memory whose pictures lie in folders of their own."""
    pictures = [write_picture(folder / f"{n}" / f"pig{n}.jpg", (WIDTH, HEIGHT)) for n in range(len(objects))]
    records = [record_of(picture, i, some) for i, (picture, some) in enumerate(zip(pictures, objects, strict=True))]
    return Dataset(folder, "memory", names, tuple(range(len(names))), records, [])


def without_corners_told(dataset: Dataset) -> list[Problem]:
    """The problems, without those that tell a detector of boxes that objects have corners."""
    return [each for each in dataset.problems if each.kind is not Kind.ROTATED_BOX]


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x, y = draw(st.floats(0, WIDTH - 0.5)), draw(st.floats(0, HEIGHT - 0.5))
    return x, y, draw(st.floats(x + 0.25, WIDTH)), draw(st.floats(y + 0.25, HEIGHT))


@pytest.mark.parametrize("to", BOXED)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pictures=st.lists(
        st.lists(st.tuples(boxes(), st.integers(0, 1), st.booleans()), max_size=4), min_size=1, max_size=3
    )
)
def test_any_boxes_come_back(tmp_path_factory: pytest.TempPathFactory, to: str, pictures: list[Any]) -> None:
    if to in ("kitti", "openimages"):  # without a single box there is nothing to know them by
        assume(any(not ignored for objects in pictures for _, _, ignored in objects))
    folder = tmp_path_factory.mktemp("written")
    dataset = dataset_of(folder / "source", *pictures)
    written = WRITERS[to](dataset, folder / "target", "train")
    back = read_dataset(folder / "target", split="train")
    assert back.format == to.removesuffix("-obb")
    assert without_corners_told(back) == []
    used = {label for objects in pictures for _, label, ignored in objects if not (ignored and to in UNHELD)}
    names = dataset.class_names if to in LISTS_CLASSES else [dataset.class_names[label] for label in used]
    assert set(back.class_names) == set(names)
    assert written.pictures == len(back.records) == len(pictures)
    for record, objects in zip(sorted(back.records, key=lambda record: record.image.name), pictures, strict=True):
        kept = [each for each in objects if to not in UNHELD or not each[2]]
        if to == "kitti":
            record = record._replace(objects=record.objects.where(~record.objects.ignore))
        expected = np.array([box for box, _, _ in kept]).reshape(-1, 4)
        np.testing.assert_allclose(record.objects.boxes, expected, atol=TOLERANCE[to], rtol=0)
        found = [back.class_names[label] for label in record.objects.labels]
        assert found == [dataset.class_names[label] for _, label, _ in kept]
        assert record.objects.ignore.tolist() == [ignored for _, _, ignored in kept]
        assert record.labelled is None or {back.class_names[label] for label in record.labelled} == set(names)


@pytest.mark.parametrize(
    "order", [("coco", "yolo", "voc"), ("yolo", "voc", "coco"), pytest.param(BOXED, marks=pytest.mark.slow)]
)
def test_real_data_goes_through_all_formats(shared_data: Path, tmp_path: Path, order: tuple[str, ...]) -> None:
    start = read_dataset(shared_data / "voc_formats" / "gts" / "coco_format_v2")
    dataset = start
    for to in order:
        WRITERS[to](dataset, tmp_path / to, "val")
        dataset = read_dataset(tmp_path / to, split="val")
        assert without_corners_told(dataset) == []
        assert set(dataset.class_names) == set(start.class_names)
        assert_same_objects(dataset, start, tolerance=1e-5)
    copies = {record.image.name: record.image.read_bytes() for record in dataset.records}
    assert copies == {record.image.name: record.image.read_bytes() for record in start.records}


def test_difficult_objects_stay_difficult_and_crowds_stay_crowds(shared_data: Path, tmp_path: Path) -> None:
    start = read_dataset(shared_data / "voc_formats" / "gts" / "pascalvoc_format")
    for to in ("coco", "voc"):
        WRITERS[to](start, tmp_path / to, "train")
        back = read_dataset(tmp_path / to)
        assert_same_objects(back, start, tolerance=1e-9)
        ignored = {record.image.name: record.objects.ignore.tolist() for record in back.records}
        assert ignored == {record.image.name: record.objects.ignore.tolist() for record in start.records}


def test_yolo_tells_what_it_has_no_word_for(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "source", [((1, 2, 3, 4), 0, True), ((5, 6, 7, 8), 1, False)], [])
    written = write_yolo(dataset, tmp_path / "target", "train")
    assert [(p.where, p.action) for p in written.problems] == [(str(dataset.records[0].image), "skipped")]
    assert written.problems[0].what.startswith("1 of 2 objects are left out")
    assert [len(record.objects.labels) for record in read_dataset(tmp_path / "target").records] == [1, 0]


def test_yolo_boxes_end_at_the_border(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "source", [((-1, -1, 41, 31), 0, False), ((40, 5, 41, 6), 0, False)])
    assert len(write_yolo(dataset, tmp_path / "target", "train").problems) == 1
    lines = (tmp_path / "target" / "labels" / "train" / "pig0.txt").read_text().splitlines()
    assert lines == ["0 0.50000000 0.50000000 1.00000000 1.00000000"]


def test_pictures_of_equal_names_keep_their_own_pixels_and_boxes(tmp_path: Path) -> None:
    greys = (10, 20, 30, 40)
    places = ("a/x.png", "b/x.png", "b_x.png", "b/X.bmp")
    records = [
        record_of(write_picture(tmp_path / "source" / place, grey=grey), grey, [((0, 0, grey / 2, 9), 0, False)])
        for place, grey in zip(places, greys, strict=True)
    ]
    dataset = Dataset(tmp_path / "source", "memory", ("ox",), (0,), records, [])
    for to, write in ((each, WRITERS[each]) for each in BOXED):
        write(dataset, tmp_path / to, "train")
        back = read_dataset(tmp_path / to)
        found = {int(np.asarray(Image.open(r.image))[0, 0]): r.objects.boxes[:, 2].tolist() for r in back.records}
        assert found.keys() == set(greys)
        for grey, right in found.items():
            assert right == pytest.approx([grey / 2])


@pytest.mark.parametrize("to", BOXED)
def test_two_splits_with_the_same_names_in_one_folder(tmp_path: Path, to: str) -> None:
    for grey, split in ((50, "train"), (200, "val")):
        picture = write_picture(tmp_path / split / "a.png", grey=grey)
        record = record_of(picture, 1, [((0, 0, grey / 10, 9), 0, False)])
        WRITERS[to](Dataset(tmp_path, "memory", ("ox",), (0,), [record], []), tmp_path / to, split)
    for grey, split in ((50, "train"), (200, "val")):
        (record,) = read_dataset(tmp_path / to, split=split).records
        assert np.asarray(Image.open(record.image))[0, 0] == grey
        assert record.objects.boxes[0, 2] == pytest.approx(grey / 10)


@pytest.mark.parametrize("to", BOXED)
def test_nothing_is_overwritten(tmp_path: Path, to: str) -> None:
    dataset = dataset_of(tmp_path / "source", [((1, 2, 3, 4), 0, False)])
    WRITERS[to](dataset, tmp_path / "target", "train")
    with pytest.raises(InputError, match="is there already"):
        WRITERS[to](dataset, tmp_path / "target", "train")
    with pytest.raises(InputError, match="cannot be part of a file name"):
        WRITERS[to](dataset, tmp_path / "target", "../train")


@pytest.mark.parametrize("to", BOXED)
def test_no_picture_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    waits: list[int] = []
    monkeypatch.setattr(os, "fsync", waits.append)
    WRITERS[to](dataset_of(tmp_path / "a", *[[((1, 2, 3, 4), 0, False)]] * 9), tmp_path / "target", "train")
    assert len(waits) <= 3, "for the lists of pictures, boxes and classes alone"
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("to", BOXED)
def test_a_full_disk_leaves_whole_pictures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    copyfile = shutil.copyfile

    def fill(source: Path, target: Path) -> None:
        if source.name == "pig1.jpg":
            target.write_bytes(b"hal")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(OSError, match="No space left") as caught:
        WRITERS[to](dataset_of(tmp_path / "source", [], [], []), tmp_path / "target", "train")
    assert Path(caught.value.filename).name == "pig1.jpg"
    assert tmp_path / "target" in Path(caught.value.filename).parents
    assert [path.name for path in (tmp_path / "target").rglob("*") if path.is_file()] == ["pig0.jpg"]


@pytest.mark.parametrize("write", [write_yolo, write_voc])
def test_splits_of_other_classes_do_not_mix(tmp_path: Path, write: Any) -> None:
    write(dataset_of(tmp_path / "a", [], names=("ox", "cat")), tmp_path / "target", "train")
    with pytest.raises(InputError, match="its classes differ"):
        write(dataset_of(tmp_path / "b", [], names=("cat", "ox")), tmp_path / "target", "val")


@pytest.mark.parametrize("to", BOXED)
def test_class_names_that_need_care(tmp_path: Path, to: str) -> None:
    names = ("yes", "1", "a: b", "<ox> & 'cat'", "猫", "hair drier", "background", "no objects")
    objects = [((1, 2, 3 + label, 4), label, False) for label in range(len(names) - 1)]
    dataset = dataset_of(tmp_path / "source", objects, names=names)
    if to in ("kitti", "dota"):
        word = {"kitti": "KITTI cannot hold the class name '1'", "dota": "DOTA cannot hold the class name '1'"}[to]
        with pytest.raises(InputError, match=f"{word}, rename it"):
            WRITERS[to](dataset, tmp_path / "target", "train")
        assert not (tmp_path / "target").exists()
        return
    written = WRITERS[to](dataset, tmp_path / "target", "train")
    back = read_dataset(tmp_path / "target")
    lost = () if to in LISTS_CLASSES else names[-1:]
    assert [problem.kind for problem in written.problems] == [Kind.NOT_WRITTEN] * len(lost)
    assert set(back.class_names) == set(names) - set(lost)
    assert to not in LISTS_CLASSES or back.class_names == names
    assert [back.class_names[label] for label in back.records[0].objects.labels] == list(names[:-1])


@pytest.mark.parametrize("to", BOXED)
def test_boxes_of_turned_pictures_are_those_of_the_upright_ones(shared_data: Path, tmp_path: Path, to: str) -> None:
    records = [
        record_of(path, path.stem, [((100, 5, 500, 50), 0, False)])
        for path in (shared_data / "fixtures/exif").glob("*.jpg")
    ]
    WRITERS[to](Dataset(tmp_path, "memory", ("ox",), (0,), records, []), tmp_path / "target", "train")
    back = read_dataset(tmp_path / "target")
    assert without_corners_told(back) == []
    for record in back.records:
        np.testing.assert_allclose(record.objects.boxes, [[100, 5, 500, 50]], atol=1e-5)


@pytest.mark.parametrize("to", BOXED)
def test_unreadable_pictures_are_left_out_and_told(tmp_path: Path, to: str) -> None:
    dataset = dataset_of(tmp_path / "source", [((1, 2, 3, 4), 0, False)], [], names=("ox",))
    dataset.records[1].image.write_text("not a picture")
    written = WRITERS[to](dataset, tmp_path / "target", "train")
    assert (written.pictures, actions_of(dataset._replace(problems=written.problems))) == (1, ["skipped"])
    assert len(read_dataset(tmp_path / "target").records) == 1
    dataset.records[0].image.unlink()
    with pytest.raises(InputError, match="none of the 2 pictures can be read"):
        WRITERS[to](dataset, tmp_path / "other", "train")


def test_a_coco_tree_reads_back_with_the_folder_of_the_pictures(shared_data: Path, tmp_path: Path) -> None:
    start = read_dataset(shared_data / "bccd", split="val")
    file = write_coco(tmp_path / "a.json", **coco_tree(start))
    back = read_dataset(file, images=shared_data / "bccd" / "JPEGImages")
    assert back.problems == []
    assert_same_objects(back, start, tolerance=1e-9)
    assert [r.image for r in back.records] == [r.image for r in start.records]
    assert {r.declared_hw for r in back.records} == {(480, 640)}
    assert [r.image_id for r in back.records] == [r.image_id for r in start.records]


def test_a_coco_tree_keeps_ids_where_they_are_unique(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [((1, 2, 3, 4), 1, False)], [])._replace(category_ids=(0, 90))
    tree = coco_tree(dataset)
    assert [image["file_name"] for image in tree["images"]] == ["0/pig0.jpg", "1/pig1.jpg"]
    assert [category["id"] for category in tree["categories"]] == [0, 90]
    assert tree["annotations"][0]["category_id"] == 90
    twins = dataset._replace(records=[record._replace(image_id="x") for record in dataset.records])
    assert [image["id"] for image in coco_tree(twins)["images"]] == [1, 2]
    assert coco_tree(dataset._replace(records=[]))["images"] == []


def test_other_programs_understand_the_files(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO

    start = read_dataset(shared_data / "bccd", split="val")
    WRITERS["coco"](start, tmp_path / "coco", "val")
    judge = COCO(tmp_path / "coco" / "annotations" / "instances_val.json")
    assert len(judge.getImgIds()) == 87
    assert len(judge.getAnnIds(catIds=judge.getCatIds(["RBC"]))) == sum(
        int((record.objects.labels == start.class_names.index("RBC")).sum()) for record in start.records
    )
    WRITERS["yolo"](start, tmp_path / "yolo", "val")
    assert yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text()) == {
        "names": {0: "Platelets", 1: "RBC", 2: "WBC"},
        "val": "images/val",
    }


def test_classes_labelled_per_picture_survive_in_coco_and_are_told_elsewhere(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    image = coco_image() | {"neg_category_ids": [3], "not_exhaustive_category_ids": []}
    names = [{"id": number, "name": name} for number, name in enumerate(("cat", "dog", "cow"), start=1)]
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=[image], categories=names))
    assert dataset.records[0].labelled == {0, 2}
    WRITERS["coco"](dataset, tmp_path / "coco", "train", iter, bool)
    assert read_dataset(tmp_path / "coco").records[0].labelled == {0, 2}
    (problem,) = write_yolo(dataset, tmp_path / "yolo", "train").problems
    assert problem.kind is Kind.NOT_WRITTEN


@pytest.mark.parametrize("to", ["coco", "yolo-obb", "dota"])
def test_corners_come_back(tmp_path: Path, to: str) -> None:
    """Of an object without its own, the two formats of corners give back those of its box, COCO none."""
    dataset = dataset_of(tmp_path / "source", [((7, 5, 20, 18), 0, False), ((1, 2, 10, 12), 1, False)])
    corners = np.array([[10.0, 5, 20, 8, 17, 18, 7, 15], [0] * 8])
    objects = with_corners(dataset.records[0].objects, corners, np.array([True, False]))
    dataset = dataset._replace(records=[dataset.records[0]._replace(objects=objects)])
    WRITERS[to](dataset, tmp_path / "target", "train")
    back = read_dataset(tmp_path / "target", split="train").records[0].objects
    order = np.argsort(back.boxes[:, 0])[::-1]
    expected = [corners[0], [1, 2, 10, 2, 10, 12, 1, 12]]
    known = back.known["corners"][order]
    assert known.tolist() == [True, to != "coco"]
    np.testing.assert_allclose(back.values["corners"][order][known], np.array(expected)[known], atol=1e-6)


@pytest.mark.parametrize("to", ["voc", "coco"])
def test_corners_that_a_format_lacks_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, to: str) -> None:
    turned, upright = [2, 0, 6, 4, 4, 6, 0, 2], [10, 5, 20, 5, 20, 9, 10, 9]
    annotations = [
        coco_annotation(1, bbox=[0, 0, 6, 6], segmentation=[turned]),
        coco_annotation(2, bbox=[10, 5, 10, 4], segmentation=[upright], image_id=2),
    ]
    images = [coco_image(number, write_picture(tmp_path / f"{number}.png").name) for number in (1, 2)]
    path = write_coco(tmp_path / "a.json", images=images, annotations=annotations)
    convert_data(path, tmp_path / "converted", to)
    split_data(path, tmp_path / "split", val=0.5, to=to)
    told = f"{path}: the corners of its turned objects (1) are not written as {to}, which has none; choose coco or"
    assert [told in line for line in caplog.messages if "corners of" in line] == [True, True] * (to == "voc")


def test_rows_of_boxes_and_of_corners_do_not_mix(tmp_path: Path) -> None:
    write_yolo(dataset_of(tmp_path / "a", []), tmp_path / "target", "train")
    with pytest.raises(InputError, match="its task differs"):
        WRITERS["yolo-obb"](dataset_of(tmp_path / "b", []), tmp_path / "target", "val")


@pytest.mark.parametrize("to", BOXED)
def test_no_class_name_changes_in_silence(to: str, tmp_path: Path) -> None:
    refused = ["0", "-1", "1e5", ".5", "nan", "inf", "DontCare", "\ufeffa"] if to == "kitti" else []
    for number, name in enumerate((*refused, "0", "nan", "null", "#x", "a,b", "a:b", "../x", "con", "=1+1", "💩")):
        dataset = dataset_of(tmp_path / f"{number}", [((1, 2, 3, 4), 0, False)], names=(name,))
        target = tmp_path / f"{number}" / "target"
        told = ""
        try:
            WRITERS[to](dataset, target, "train")
        except InputError as error:
            told = str(error)
        if told:
            assert f"cannot hold the class name {name!r}, rename it" in told
            assert not target.exists()
            continue
        assert number >= len(refused), name
        back = read_dataset(target)
        assert [back.class_names[label] for label in back.records[0].labels] == [name]


@pytest.mark.parametrize("name", [" cat", "cat ", "a\nb", "a\x07b", "", "  ", "\ud800"])
@pytest.mark.parametrize("form", ["voc", "csv", "openimages", "cvat"])
def test_names_that_are_not_read_back_are_refused(form: str, name: str, tmp_path: Path) -> None:
    if form == "cvat" and name.strip() != name and name.strip():
        pytest.skip("CVAT keeps blanks around names")
    picture = write_picture(tmp_path / "a.png")
    dataset = Dataset.from_arrays([picture], [[[1, 2, 30, 20]]], [[0]], [name])
    with pytest.raises(InputError, match="cannot hold the class name"):
        WRITERS[form](dataset, tmp_path / "out", "train")
    assert not (tmp_path / "out").exists()
