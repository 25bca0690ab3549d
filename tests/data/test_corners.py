"""Corners in the formats that have them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.build_data import build_datasets
from centerx.config.schema import DataEntry
from centerx.data.check import log_dataset_problems
from centerx.data.dataset import Dataset, corners_or_boxes, span
from centerx.data.read import read_dataset, scan_dataset
from centerx.fields import CORNERS
from centerx.images import read_image
from centerx.problems import Kind
from centerx.tasks import BOXES, QUADS
from tests.data.handmade import coco_annotation, coco_image, write_coco, write_picture, write_text, write_yolo

TILTED = [10.0, 5, 20, 8, 17, 18, 7, 15]  # a square of side sqrt(109)


def corners_of(dataset: Dataset, row: int = 0) -> list[float]:
    objects = dataset.records[0].objects
    assert objects.fields == (CORNERS,)
    np.testing.assert_allclose(objects.boxes[row], span(objects.values["corners"][row].tolist()))
    found: list[float] = objects.values["corners"][row].tolist()
    return found


def test_dota(tmp_path: Path) -> None:
    """Headers, a difficult object, and one that is no row."""
    rows = ["10 5 20 8 17 18 7 15 small-vehicle 0", "0 0 4 0 4 4 0 4 plane 1", "1 2 3 plane 0"]
    write_text(tmp_path / "labelTxt" / "a.txt", "\n".join(["imagesource:GoogleEarth", "gsd:0.15", *rows]))
    write_text(tmp_path / "labelTxt" / "b.txt", "imagesource:GoogleEarth\ngsd:null\n")
    for name in "ab":
        write_picture(tmp_path / "images" / f"{name}.png")
    dataset = scan_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("dota", ("plane", "small-vehicle"))
    assert corners_of(dataset) == TILTED
    assert dataset.records[0].ignore.tolist() == [False, True]
    assert len(dataset.records) == 2
    (problem,) = (each for each in dataset.problems if each.kind is not Kind.ROTATED_BOX)
    assert problem.kind is Kind.MALFORMED_ENTRY
    assert problem.where.endswith("a.txt:5")


def test_icdar(tmp_path: Path) -> None:
    """A byte order mark, a comma in the text, and a word that nobody could read."""
    write_picture(tmp_path / "img_1.jpg")
    write_text(tmp_path / "gt_img_1.txt", "\ufeff10,5,20,8,17,18,7,15,Hello, you\n0,0,4,0,4,4,0,4,###\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("icdar", ("text",))
    assert corners_of(dataset) == TILTED
    assert dataset.records[0].ignore.tolist() == [False, True]
    assert dataset.records[0].image.name == "img_1.jpg"


def test_wpod(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", (40, 20))
    write_text(tmp_path / "a.txt", "4,0.25,0.5,0.425,0.175,0.25,0.4,0.9,0.75,ABC,\n")
    assert corners_of(read_dataset(tmp_path)) == pytest.approx(TILTED)


def test_the_plates_of_the_shared_data() -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / "plates" / "train_dir"
    if not folder.is_dir():
        pytest.skip("plates are absent")
    dataset = read_dataset(folder)
    assert (dataset.format, len(dataset.records)) == ("wpod", 64)
    for record in dataset.records:  # top left first, clockwise
        (first, second, third, _) = record.objects.values["corners"].reshape(4, 2)
        assert second[0] > first[0]
        assert third[1] > second[1]


def test_a_mask_of_four_points_and_a_turned_box_of_coco(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    annotations = [
        coco_annotation(1, bbox=[7, 5, 13, 13], segmentation=[TILTED]),
        coco_annotation(2, bbox=[10, 10, 10, 4], attributes={"rotation": 90}),
        coco_annotation(3, bbox=[1, 1, 5, 5], segmentation=[[1, 1, 6, 1, 6, 6]]),
        coco_annotation(4, bbox=[7, 5, 13, 13], segmentation=[[*TILTED, *TILTED[:2]]]),
    ]
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=annotations))
    objects = dataset.records[0].objects
    assert objects.known["corners"].tolist() == [True, True, False, True]
    assert objects.values["corners"][[0, 3]].tolist() == [TILTED, TILTED]
    np.testing.assert_allclose(objects.values["corners"][1], [17, 7, 17, 17, 13, 17, 13, 7], atol=1e-9)


def test_five_numbers_are_centre_sides_and_radians(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    images = [{"id": 1, "filename": "a.png", "width": 40, "height": 30}]
    annotations = [coco_annotation(1, bbox=[15, 12, 10, 4, math.pi / 2]), coco_annotation(2, bbox=[15, 12, 10, 4, 0])]
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=images, annotations=annotations))
    objects = dataset.records[0].objects
    np.testing.assert_allclose(objects.boxes, [[13, 7, 17, 17], [10, 10, 20, 14]], atol=1e-9)
    np.testing.assert_allclose(objects.values["corners"][0], [17, 7, 17, 17, 13, 17, 13, 7], atol=1e-9)
    assert [problem.kind for problem in dataset.problems] == [Kind.ROTATED_BOX, Kind.FIVE_NUMBER_BOX]


@pytest.mark.parametrize("angle", [-0.5, 90])
def test_five_numbers_of_another_meaning_are_one_error(tmp_path: Path, angle: float) -> None:
    write_picture(tmp_path / "a.png")
    file = write_coco(tmp_path / "a.json", annotations=[coco_annotation(1, bbox=[15, 12, 10, 4, angle])])
    (problem,) = scan_dataset(file).problems
    assert (problem.kind, "write the four corners" in problem.what) == (Kind.UNREADABLE_LABELS, True)


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_json_and_the_xml_of_real_rotated_boxes_say_the_same(shared_data: Path, split: str) -> None:
    home = shared_data / "hit_uav"
    told = read_dataset(home / "annotations" / f"{split}.json", images=home / "images" / split)
    other = read_dataset(home / "xml" / split, images=home / "images" / split)
    of_picture = {record.image: record.objects for record in other.records}
    assert {record.image for record in told.records} == set(of_picture)
    for record in told.records:
        ours, theirs = record.objects, of_picture[record.image]
        names = [told.class_names[label] for label in ours.labels]
        assert names == [other.class_names[label] for label in theirs.labels]
        np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-9)
        assert ours.ignore.tolist() == theirs.ignore.tolist()
        assert ours.outlined.tolist() == theirs.outlined.tolist()
        np.testing.assert_allclose(corners_or_boxes(ours), corners_or_boxes(theirs), atol=1e-9)


def test_yolo_obb(tmp_path: Path) -> None:
    relative = [value / side for value, side in zip(TILTED, [40, 30] * 4, strict=True)]
    row = "0 " + " ".join(map(str, relative))
    write_yolo(tmp_path, "names: [cat]\ntask: obb\ntrain: images\n", a=row)
    assert corners_of(read_dataset(tmp_path, split="train")) == pytest.approx(TILTED)


@pytest.mark.parametrize("tool", ["cvat box", "cvat polygon", "labelme", "rolabelimg", "label studio"])
def test_labelling_tools(tool: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    turn = math.degrees(math.atan2(3, 10))
    side = math.sqrt(109)
    box = f'xtl="{13.5 - side / 2}" ytl="{11.5 - side / 2}" xbr="{13.5 + side / 2}" ybr="{11.5 + side / 2}"'
    points = ";".join(f"{x},{y}" for x, y in np.reshape(TILTED, (4, 2)).tolist())
    cvat = '<annotations><image id="0" name="a.png" width="40" height="30">{}</image></annotations>'
    if tool == "cvat box":
        write_text(tmp_path / "annotations.xml", cvat.format(f'<box label="cat" {box} rotation="{turn}"/>'))
    elif tool == "cvat polygon":
        write_text(tmp_path / "annotations.xml", cvat.format(f'<polygon label="cat" points="{points}"/>'))
    elif tool == "labelme":
        shape = {"label": "cat", "points": np.reshape(TILTED, (4, 2)).tolist(), "shape_type": "polygon"}
        tree = {"version": "5", "shapes": [shape], "imagePath": "a.png", "imageHeight": 30, "imageWidth": 40}
        write_text(tmp_path / "a.json", json.dumps(tree | {"imageData": None, "flags": {}}))
    elif tool == "rolabelimg":
        turned = f"<cx>13.5</cx><cy>11.5</cy><w>{side}</w><h>{side}</h><angle>{math.radians(turn)}</angle>"
        node = f"<object><name>cat</name><robndbox>{turned}</robndbox></object>"
        size = "<size><width>40</width><height>30</height></size>"
        write_text(tmp_path / "a.xml", f"<annotation><filename>a.png</filename>{size}{node}</annotation>")
    else:
        value = {
            "x": 25, "y": 500 / 30, "width": 100 * side / 40, "height": 100 * side / 30, "rotation": turn,
            "rectanglelabels": ["cat"],
        }  # fmt: skip
        result = {
            "type": "rectanglelabels", "value": value, "original_width": 40, "original_height": 30,
            "from_name": "label", "to_name": "image",
        }  # fmt: skip
        task = {"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}
        write_text(tmp_path / "tasks.json", json.dumps([task]))
    dataset = read_dataset(tmp_path)
    assert corners_of(dataset) == pytest.approx(TILTED)
    assert [each.kind for each in dataset.problems] == [Kind.ROTATED_BOX]  # which tasks of corners do not tell


@pytest.mark.parametrize("turn", ["askew", "nan", ""])
def test_a_rotation_that_is_no_number_is_told(turn: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    box = f'<box label="cat" xtl="1" ytl="2" xbr="9" ybr="8" rotation="{turn}"/>'
    write_text(tmp_path / "annotations.xml", f'<annotations><image id="0" name="a.png">{box}</image></annotations>')
    (problem,) = read_dataset(tmp_path).problems
    assert (problem.kind, problem.what) == (Kind.MALFORMED_ENTRY, f"its rotation is no number: {turn!r}")


@pytest.mark.parametrize("last", [".4", "-0.002"])
def test_corners_of_yolo_are_not_taken_for_those_of_dota(last: str, tmp_path: Path) -> None:
    """Whose rows are eight numbers and a name: here the ninth number would be it."""
    folder = write_yolo(tmp_path, a=f"0 .1 .1 .4 .1 .4 .4 .1 {last}\n")
    assert scan_dataset(folder).format == "yolo"


def test_three_corners_told_as_four_are_none(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    annotation = coco_annotation(7, bbox=[7, 5, 13, 13], segmentation=[[7, 5, 20, 5, 20, 5, 13, 18]])
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=[annotation]))
    assert [each.kind for each in dataset.problems] == [Kind.UNUSABLE_CORNERS]
    assert not dataset.records[0].objects.outlined.any()


def test_corners_whose_sides_cross_are_put_in_order_and_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    crossed = [TILTED[i] for i in (0, 1, 4, 5, 2, 3, 6, 7)]
    annotation = coco_annotation(7, bbox=[7, 5, 13, 13], segmentation=[crossed])
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=[annotation]))
    around = np.reshape(corners_of(dataset), (4, 2))
    assert {tuple(each) for each in around.tolist()} == {tuple(each) for each in np.reshape(TILTED, (4, 2)).tolist()}
    sides = np.linalg.norm(np.roll(around, -1, axis=0) - around, axis=1)
    np.testing.assert_allclose(sides, math.sqrt(109))
    (problem,) = (each for each in dataset.problems if each.kind is Kind.CROSSED_CORNERS)
    assert problem.where.endswith("annotation 7")


def test_boxes_become_corners_where_asked_for_and_own_ones_stay(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    tilted = coco_annotation(1, bbox=[7, 5, 13, 13], segmentation=[TILTED])
    file = write_coco(tmp_path / "a.json", annotations=[tilted, coco_annotation(2, bbox=[1, 2, 10, 20])])
    (plain,), (asked,) = (
        build_datasets([DataEntry(path=str(file), corners_from_boxes=each)]) for each in (False, True)
    )
    assert plain.records[0].objects.known["corners"].tolist() == [True, False]
    assert asked.records[0].objects.known["corners"].tolist() == [True, True]
    assert asked.records[0].objects.values["corners"].tolist() == [TILTED, [1, 2, 11, 2, 11, 22, 1, 22]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_corners_of_stored_pictures_are_turned_with_them(orientation: int, tmp_path: Path) -> None:
    """The corners lie around the marked pixels of the upright picture."""
    stored = np.zeros((30, 40, 3), dtype=np.uint8)
    stored[5:7, 10:12] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    annotation = coco_annotation(1, bbox=[10, 5, 2, 2], segmentation=[[10, 5, 12, 5, 12, 7, 10, 7]])
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=[annotation]), frame="stored")
    left, top, right, bottom = map(int, span(corners_of(dataset)))
    upright = read_image(tmp_path / "a.png")
    assert upright[top:bottom, left:right].min() == 255
    assert (upright == 255).sum() == 3 * 4


@pytest.mark.parametrize(
    "corners",
    [
        [10, 10, 20, 20, 30, 30, 40, 40],  # no area
        [1e300, 0, 0, 1e300, -1e300, 3, 4, 5],
        [30, 20, 34, 20, 34, 24, 30, 24],  # of another object
        [7, 5, 7, 5, 7, 5, 7, 5],
    ],
)
def test_corners_that_are_none_of_the_box_are_left_out_and_told(corners: list[float], tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    annotation = coco_annotation(7, bbox=[7, 5, 13, 13], segmentation=[corners])
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=[annotation]))
    assert dataset.records[0].boxes.tolist() == [[7, 5, 20, 18]]
    assert not dataset.records[0].objects.outlined.any()
    (problem,) = (each for each in dataset.problems if each.kind is Kind.UNUSABLE_CORNERS)
    assert problem.where.endswith("annotation 7")


def test_a_picture_that_is_listed_twice_keeps_its_corners(tmp_path: Path) -> None:
    """Under one id an object with corners, under the other one without."""
    write_picture(tmp_path / "a.png")
    images = [coco_image(1), coco_image(2)]
    annotations = [
        coco_annotation(1, bbox=[7, 5, 13, 13], segmentation=[TILTED]),
        coco_annotation(2, image_id=2, bbox=[1, 1, 5, 5]),
    ]
    dataset = read_dataset(write_coco(tmp_path / "a.json", images=images, annotations=annotations))
    (record,) = dataset.records
    assert record.objects.outlined.tolist() == [True, False]
    assert record.objects.values["corners"][0].tolist() == TILTED


def test_what_is_wrong_with_corners_is_told_where_they_are_used(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    crossed = [TILTED[i] for i in (0, 1, 4, 5, 2, 3, 6, 7)]
    annotations = [
        coco_annotation(1, bbox=[7, 5, 13, 13], segmentation=[crossed]),
        coco_annotation(2, bbox=[10, 10, 10, 4], attributes={"rotation": 90}),
    ]
    dataset = read_dataset(write_coco(tmp_path / "a.json", annotations=annotations))
    both = {Kind.CROSSED_CORNERS, Kind.ROTATED_BOX}
    for task, told in ((None, both), (BOXES, {Kind.ROTATED_BOX}), (QUADS, {Kind.CROSSED_CORNERS})):
        assert {problem.kind for problem in log_dataset_problems(dataset, task=task)} & both == told
