"""Labels as labelling tools export them, written by hand from their specifications: what is read, and what is told."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from centerx.data.cvat import SHAPES
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset, scan_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import objects_by_name, write_picture, write_text

WH = 40, 30


def kinds(dataset: Dataset) -> list[Kind]:
    return [problem.kind for problem in dataset.problems]


def write(path: Path, tree: Any) -> Path:
    return write_text(path, tree if isinstance(tree, str | bytes) else json.dumps(tree))


def ignored(dataset: Dataset) -> list[list[bool]]:
    return [record.ignore.tolist() for record in dataset.records]


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>7</id><name>t</name><size>2</size><mode>annotation</mode><labels>
    <label><name>dog</name><color>#c06060</color><attributes></attributes></label>
    <label><name>cat</name><color>#6080c0</color><attributes></attributes></label>
  </labels></task></meta>
  <image id="0" name="a.png" width="40" height="30">
    {shapes}
  </image>
  <image id="1" name="b.png" width="40" height="30">
  </image>
</annotations>
"""
BOX = '<box label="cat" occluded="0" xtl="1.00" ytl="2.50" xbr="11.00" ybr="22.50" z_order="0"{more}</box>'


def cvat(folder: Path, *shapes: str) -> Path:
    for name in "ab":
        write_picture(folder / "images" / f"{name}.png", WH)
    return write_text(folder / "annotations.xml", CVAT.format(shapes="\n".join(shapes)))


def test_cvat(tmp_path: Path) -> None:
    attribute = '><attribute name="difficult">true</attribute><attribute name="colour">red</attribute>'
    file = cvat(tmp_path, BOX.format(more=">"), BOX.format(more=attribute))
    for path in (tmp_path, file):
        dataset = read_dataset(path)
        assert (dataset.format, dataset.class_names, dataset.problems) == ("cvat", ("dog", "cat"), [])
        assert objects_by_name(dataset) == {"a.png": [("cat", (1, 2.5, 11, 22.5))] * 2, "b.png": []}
        assert ignored(dataset) == [[False, True], []]
        assert [record.declared_hw for record in dataset.records] == [(30, 40)] * 2


def test_cvat_shapes_that_are_no_boxes(tmp_path: Path) -> None:
    file = cvat(
        tmp_path,
        BOX.format(more=' rotation="90.00">'),
        '<polygon label="dog" points="5.0,6.0;15.0,6.0;10.0,16.5" />',
        '<mask label="dog" rle="3, 4" left="3" top="4" width="5" height="6" />',
        '<ellipse label="dog" cx="20" cy="15" rx="8" ry="2" rotation="90" />',
        '<polyline label="dog" points="5.0,6.0;15.0,6.0" />',
        '<points label="dog" points="5.0,6.0" />',
        '<tag label="dog" />',
        '<box label="" xtl="1" ytl="2" xbr="3" ybr="4" />',
        '<box label="cat" xtl="１" ytl="2" xbr="3" ybr="4" />',
        '<box label="cat" xtl="nan" ytl="2" xbr="3" ybr="4" />',
        '<box label="cat" xtl="30" ytl="20" xbr="99" ybr="25" />',
    )
    dataset = read_dataset(file)
    boxes = [(name, tuple(np.round(box, 9).tolist())) for name, box in objects_by_name(dataset)["a.png"]]
    assert boxes == [
        ("cat", (0, 7.5, 16, 17.5)),  # 10 x 20 about (6, 12.5), turned by a right angle, and clipped
        ("cat", (30, 20, 40, 25)),
        ("dog", (3, 4, 8, 10)),
        ("dog", (5, 6, 15, 16.5)),
        ("dog", (18, 7, 22, 23)),
    ]
    expected = {Kind.ROTATED_BOX: 1, Kind.POLYGON: 3, Kind.OTHER_SHAPE: 3, Kind.MALFORMED_ENTRY: 2}
    expected |= {Kind.BOX_NOT_FINITE: 1, Kind.BOX_CLIPPED: 2}
    assert {kind: kinds(dataset).count(kind) for kind in set(kinds(dataset))} == expected


def test_cvat_for_video_says_what_to_export(tmp_path: Path) -> None:
    text = '<annotations><version>1.1</version><track id="0" label="cat"><box frame="0" xtl="1"/></track></annotations>'
    with pytest.raises(InputError, match="CVAT for video, whose pictures are frames; export it as"):
        read_dataset(write_text(tmp_path / "annotations.xml", text))


def task(url: str, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": url}, "annotations": [{"id": 3, "result": list(results), **more}]}


def region(*names: str, kind: str = "rectanglelabels", **value: Any) -> dict[str, Any]:
    sides = {"x": 10, "y": 20, "width": 25, "height": 50, "rotation": 0} if kind == "rectanglelabels" else {}
    return {
        "id": "Dx",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        "original_width": 40,
        "original_height": 30,
        "image_rotation": 0,
        "value": sides | value | {kind: list(names)},
    }


STUDIO_BOX = ("cat", (4, 6, 14, 21))


@pytest.mark.parametrize(
    "url", ["/data/upload/7/0a1b2c3d-a.png", "/data/local-files/?d=images/a.png", "s3://b/images/a.png"]
)
def test_label_studio(tmp_path: Path, url: str) -> None:
    write_picture(tmp_path / "images" / "a.png", WH)
    file = write(tmp_path / "project-7.json", [task(url, region("cat"))])
    dataset = read_dataset(file)
    assert (dataset.format, objects_by_name(dataset)) == ("labelstudio", {"a.png": [STUDIO_BOX]})
    assert set(kinds(dataset)) <= {Kind.FOUND_ELSEWHERE}
    assert bool(dataset.problems) == (not url.startswith("/data/local"))
    assert dataset.records[0].declared_hw == (30, 40)


def test_label_studio_short_form(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    regions = [region("cat")["value"] | {"original_width": 40, "original_height": 30}]
    entry = {"image": "/data/upload/7/a.png", "id": 1, "label": regions, "annotator": 1, "annotation_id": 1}
    dataset = read_dataset(write(tmp_path / "min.json", [entry]))
    assert (dataset.format, objects_by_name(dataset)) == ("labelstudio", {"a.png": [STUDIO_BOX]})
    assert dataset.problems == []


def test_label_studio_turns_a_box_about_its_upper_left_corner(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    file = write(tmp_path / "tasks.json", [task("a.png", region("cat", x=50, y=10, rotation=90))])
    dataset = read_dataset(file)  # 10 x 15 pixels at (20, 3): its right side becomes its lower one
    np.testing.assert_allclose(dataset.records[0].boxes, [[5, 3, 20, 13]])
    assert kinds(dataset) == [Kind.ROTATED_BOX]


def test_label_studio_what_else_there_is(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    entry = task(
        "a.png",
        region("cat", kind="polygonlabels", points=[[10, 10], [50, 10], [30, 90]]),
        region("cat", kind="ellipselabels", x=50, y=50, radiusX=10, radiusY=20, rotation=90),
        region("cat", kind="keypointlabels", x=5, y=5, width=1),
        region("cat", kind="brushlabels", rle=[1, 2], format="rle"),
        region("cat", "dog"),
        region("cat") | {"image_rotation": 90},
        {"type": "choices", "from_name": "c", "to_name": "image", "value": {"choices": ["good"]}},
        region(" "),
    )
    entry["annotations"] += [{"result": [region("dog")]}, {"result": [region("dog")], "was_cancelled": True}]
    entry["predictions"] = [{"result": [region("owl")]}]
    dataset = read_dataset(write(tmp_path / "tasks.json", [entry]))
    turned = (20 - 6, 15 - 4, 20 + 6, 15 + 4)  # half axes 4 and 6 pixels
    found = objects_by_name(dataset)["a.png"]
    np.testing.assert_allclose([box for _, box in found], [(4, 3, 20, 27), STUDIO_BOX[1], turned, STUDIO_BOX[1]])
    assert [name for name, _ in found] == ["cat", "cat", "cat", "dog"]
    assert sorted(kind.code for kind in kinds(dataset)) == [
        "malformed_entry",
        "other_annotation",
        *["other_shape"] * 4,
        *["polygon"] * 2,
    ]


@pytest.mark.parametrize("keys", [("image", "annotations"), ("imagefilename", "annotation")])
def test_createml(tmp_path: Path, keys: tuple[str, str]) -> None:
    """Of labelImg, and of older versions of Create ML."""
    write_picture(tmp_path / "a.png", WH)
    image, annotations = keys
    coordinates = {"x": 9, "y": 12.5, "width": 10, "height": 15}
    some = [
        {"label": "cat", "coordinates": coordinates},
        {"label": "", "coordinates": coordinates},
        {"label": "dog"},
        3,
    ]
    dataset = read_dataset(write(tmp_path / "createml.json", [{image: "a.png", annotations: some}]))
    assert (dataset.format, objects_by_name(dataset)) == ("createml", {"a.png": [("cat", (4, 5, 14, 20))]})
    assert kinds(dataset) == [Kind.MALFORMED_ENTRY] * 3


def test_the_other_formats_of_labelimg(tmp_path: Path) -> None:
    write_picture(tmp_path / "yolo" / "a.png", WH)
    write_text(tmp_path / "yolo" / "classes.txt", "dog\ncat\n")
    write_text(tmp_path / "yolo" / "a.txt", "1 0.225000 0.416667 0.250000 0.500000\n")
    write_picture(tmp_path / "voc" / "a.png", WH)
    box = "<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>14</xmax><ymax>20</ymax></bndbox>"
    write_text(
        tmp_path / "voc" / "a.xml",
        "<annotation verified='yes'><folder>voc</folder><filename>a.png</filename><path>/x/a.png</path><size><width>40"
        "</width><height>30</height><depth>3</depth></size><segmented>0</segmented><object><name>cat</name><pose>"
        f"Unspecified</pose><truncated>0</truncated><difficult>1</difficult>{box}</object></annotation>",
    )
    for format in ("yolo", "voc"):
        dataset = read_dataset(tmp_path / format)
        assert (dataset.format, dataset.problems) == (format, [])
        np.testing.assert_allclose(dataset.records[0].boxes, [[4, 5, 14, 20]], atol=1e-4)
        assert dataset.class_names[dataset.records[0].labels[0]] == "cat"


def labelme(*shapes: dict[str, Any], image: str = "a.png") -> dict[str, Any]:
    tree = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None}
    return tree | {"imageHeight": 30, "imageWidth": 40}


def shape(label: Any, kind: str, *points: list[float], **more: Any) -> dict[str, Any]:
    return {"label": label, "points": list(points), "group_id": None, "shape_type": kind, "flags": {}} | more


def test_labelme(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    write_picture(tmp_path / "later.png", WH)
    write(
        tmp_path / "a.json",
        labelme(
            shape("cat", "rectangle", [14, 21.5], [4, 6]),
            shape("dog", "polygon", [5, 6], [15, 6], [10, 16]),
            shape("dog", "circle", [20, 15], [23, 19]),
            shape("dog", "line", [5, 6], [15, 6]),
            shape("dog", "point", [5, 6]),
            shape("", "rectangle", [4, 6], [14, 21]),
            shape("cat", "rectangle", [4, 6], [14, "x"]),
            shape("cat", "rectangle", [1, 2], [3, 4], flags={"ignore": True}),
        ),
    )
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("labelme", ("cat", "dog"))
    assert dataset.records[0].boxes.tolist() == [[4, 6, 14, 21.5], [5, 6, 15, 16], [15, 10, 25, 20], [1, 2, 3, 4]]
    assert ignored(dataset) == [[False, False, False, True]]
    expected = [Kind.POLYGON] * 2 + [Kind.OTHER_SHAPE] * 2 + [Kind.MALFORMED_ENTRY] * 2 + [Kind.PICTURE_WITHOUT_LABELS]
    assert kinds(dataset) == expected
    assert "1 pictures have no json file" in dataset.problems[-1].what


def test_labelme_pictures_that_are_elsewhere(tmp_path: Path) -> None:
    for name in ("images/a.png", "b.png"):
        write_picture(tmp_path / name, WH)
    rectangle = shape("cat", "rectangle", [4, 6], [14, 21])
    write(tmp_path / "a.json", labelme(rectangle, image="..\\somewhere\\images\\a.png"))
    write(tmp_path / "b.json", labelme(rectangle, image="old name.png"))
    dataset = read_dataset(tmp_path)
    assert kinds(dataset) == [Kind.FOUND_ELSEWHERE, Kind.CONTRADICTING_NAME]
    assert [record.image.is_file() for record in dataset.records] == [True, True]
    assert len(read_dataset(tmp_path / "b.json").records) == 1


def via(**attributes: Any) -> dict[str, Any]:
    rect = {"name": "rect", "x": 4, "y": 6, "width": 10, "height": 15}
    return {"shape_attributes": rect, "region_attributes": attributes}


VIA_BOX = ("cat", (4, 6, 14, 21))


@pytest.mark.parametrize("as_project", [False, True])
@pytest.mark.parametrize("as_mapping", [False, True])
@pytest.mark.parametrize("attributes", [{"kind": "cat"}, {"type": {"cat": True}, "colour": "red"}])
def test_via(tmp_path: Path, as_project: bool, as_mapping: bool, attributes: dict[str, Any]) -> None:
    write_picture(tmp_path / "a.png", WH)
    regions: Any = [via(**attributes), via(**attributes, difficult={"1": True})]
    regions = {str(place): each for place, each in enumerate(regions)} if as_mapping else regions
    tree: dict[str, Any] = {"a.png99": {"filename": "a.png", "size": 99, "regions": regions, "file_attributes": {}}}
    tree = {"_via_settings": {}, "_via_img_metadata": tree, "_via_attributes": {}} if as_project else tree
    dataset = read_dataset(write(tmp_path / "via.json", tree))
    assert (dataset.format, dataset.problems) == ("via", [])
    assert objects_by_name(dataset) == {"a.png": [VIA_BOX] * 2}
    assert ignored(dataset) == [[False, True]]


@pytest.mark.parametrize("mark", ["", "#"])
def test_via_csv(tmp_path: Path, mark: str) -> None:
    for name in "ab":
        write_picture(tmp_path / f"{name}.png", WH)
    header = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    cells = [json.dumps(part).replace('"', '""') for part in via(species="cat").values()]
    rows = [
        f'a.png,99,"{{}}",1,0,"{cells[0]}","{cells[1]}"',
        'b.png,99,"{}",0,0,"{}","{}"',
        'b.png,99,"{}",0,0,"{","{}"',
    ]
    dataset = read_dataset(write_text(tmp_path / "via.csv", "\n".join([mark + header, *rows]) + "\n"))
    assert (dataset.format, objects_by_name(dataset)) == ("via", {"a.png": [VIA_BOX], "b.png": []})
    assert kinds(dataset) == [Kind.MALFORMED_ENTRY]


def test_via_asks_which_attribute_is_the_class(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    tree = {"a.png9": {"filename": "a.png", "size": 9, "regions": [via(colour="red", species="cat"), via()]}}
    with pytest.raises(InputError, match="which attribute of regions is the class, colour, species"):
        read_dataset(write(tmp_path / "via.json", tree))
    tree["a.png9"]["regions"] = [
        via(species="cat"),
        via(),
        *(
            {"shape_attributes": shape, "region_attributes": {"species": "cat"}}
            for shape in (
                {"name": "polygon", "all_points_x": [1, 5], "all_points_y": [2, 9]},
                {"name": "polyline", "all_points_x": [1, 5]},
                {"name": "circle", "cx": 9, "cy": 9, "r": 2},
                {"name": "rect", "x": 1},
            )
        ),
    ]
    dataset = read_dataset(write(tmp_path / "via.json", tree))
    assert dataset.records[0].boxes.tolist() == [[4, 6, 14, 21], [1, 2, 5, 9], [7, 7, 11, 11]]
    expected = [Kind.MALFORMED_ENTRY, Kind.MALFORMED_ENTRY, Kind.OTHER_SHAPE, Kind.POLYGON, Kind.POLYGON]
    assert sorted(kind.code for kind in kinds(dataset)) == sorted(kind.code for kind in expected)


def test_csv_of_roboflow_and_tensorflow(tmp_path: Path) -> None:
    for name in "ab":
        write_picture(tmp_path / "train" / f"{name}.png", WH)
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax", "a.png,40,30,cat,4,6,14,21.5", "b.png,40,30,,,,,"]
    lines += ["a.png,40,30,cat,4,6,14,x", "a.png,40,30,,4,6,14,21", "a.png,40,30,cat,4,6,inf,21", "a.png,40,30"]
    file = write_text(tmp_path / "train" / "_annotations.csv", "\n".join(lines))
    for path in (tmp_path, tmp_path / "train", file):
        dataset = read_dataset(path)
        assert (dataset.format, objects_by_name(dataset)) == (
            "csv",
            {"a.png": [("cat", (4, 6, 14, 21.5))], "b.png": []},
        )
        assert kinds(dataset) == [Kind.MALFORMED_ENTRY] * 2 + [Kind.EXTRA_VALUES, Kind.BOX_NOT_FINITE]
        assert dataset.records[0].declared_hw == (30, 40)


def test_csv_with_other_names_and_order(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    text = "label;x1;y1;x2;y2;image_path;iscrowd\ncat;4;6;14;21;a.png;1\n"
    dataset = read_dataset(write_text(tmp_path / "boxes.csv", text))
    assert objects_by_name(dataset) == {"a.png": [VIA_BOX]}
    assert ignored(dataset) == [[True]]


def test_kitti(tmp_path: Path) -> None:
    for name in ("000000", "000001", "000002"):
        write_picture(tmp_path / "training" / "image_2" / f"{name}.png", WH)
    labels = tmp_path / "training" / "label_2"
    space = "-1 -1 -1 -1000 -1000 -1000 -10"
    lines = ["Car 0.00 0 -1.57 4.00 6.00 14.00 21.50 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"]
    lines += [
        "Traffic light 0.5 1 1 20 6 24 12 0 0 0 0 0 0 0 0.97",
        f"DontCare -1 -1 -10 30 1 39 9 {space}",
        "Car 1 2 3",
    ]
    write_text(labels / "000000.txt", "\n".join(lines) + "\n")
    write_text(labels / "000001.txt", "")
    write_text(labels / "names.txt", "")
    for path in (tmp_path, tmp_path / "training", labels):
        dataset = read_dataset(path)
        assert (dataset.format, dataset.class_names) == ("kitti", ("Car", "Traffic light"))
        assert dataset.records[0].boxes.tolist() == [[4, 6, 14, 21.5], [20, 6, 24, 12], [30, 1, 39, 9], [30, 1, 39, 9]]
        assert dataset.records[0].labels.tolist() == [0, 1, 0, 1]
        assert ignored(dataset) == [[False, False, True, True], []]
        assert kinds(dataset) == [
            Kind.MALFORMED_ENTRY,
            Kind.EXTRA_VALUES,  # the row with a score
            Kind.LABELS_WITHOUT_PICTURE,
            Kind.PICTURE_WITHOUT_LABELS,
        ]


def test_hugging_face(tmp_path: Path) -> None:
    for name in "abc":
        write_picture(tmp_path / "train" / f"{name}.png", WH)
    two = [[4, 6, 10, 15], [1, 2, 3, 4]]
    rows = [
        {"file_name": "a.png", "objects": {"bbox": two, "categories": [0, 10], "iscrowd": [0, 1]}},
        {"file_name": "b.png", "objects": {"bbox": [], "categories": []}},
        {"file_name": "c.png", "objects": [{"bbox": [4, 6, 10, 15], "category": 2}, {"bbox": [4, 6, 10, 15]}]},
        {"file_name": "c.png", "objects": {"bbox": [[4, 6, 10, 15]], "categories": []}},
        {"objects": {}},
    ]  # fmt: skip
    text = "\n".join([*map(json.dumps, rows), "{"])
    write_text(tmp_path / "train" / "metadata.jsonl", text)
    dataset = read_dataset(tmp_path, split="train")
    assert (dataset.format, dataset.class_names) == ("huggingface", ("0", "2", "10"))
    assert objects_by_name(dataset)["a.png"] == [("0", (4, 6, 14, 21)), ("10", (1, 2, 4, 6))]
    assert [record.image.name for record in dataset.records] == ["a.png", "b.png", "c.png"]
    assert ignored(dataset)[0] == [False, True]
    assert sorted(kind.code for kind in kinds(dataset)) == ["malformed_entry"] * 4 + [
        "numbered_classes",
        "repeated_picture",
    ]


def test_hugging_face_pictures_inside_are_told(tmp_path: Path) -> None:
    write_text(tmp_path / "data" / "train-00000-of-00001.parquet", "PAR1")
    with pytest.raises(
        InputError, match="its pictures are inside its files, write them out with `centerx data convert"
    ):
        read_dataset(tmp_path)


def test_fiftyone(tmp_path: Path) -> None:
    for name in "ab":
        write_picture(tmp_path / "data" / f"{name}.png", WH)
    box = {"bounding_box": [0.1, 0.2, 0.25, 0.5]}
    labels = [{"label": 1} | box, {"label": "dog"} | box, {"label": 7} | box, {"label": "dog"}]
    labels += [{"label": "dog", "attributes": {"iscrowd": 1}} | box]
    file = write(tmp_path / "labels.json", {"classes": ["dog", "cat"], "labels": {"a": labels, "b": None}})
    for path in (tmp_path, file):
        dataset = read_dataset(path)
        assert (dataset.format, dataset.class_names) == ("fiftyone", ("dog", "cat"))
        np.testing.assert_allclose(dataset.records[0].boxes, [[4, 6, 14, 21]] * 3)
        assert dataset.records[0].labels.tolist() == [1, 0, 0]
        assert ignored(dataset) == [[False, False, True], []]
        assert kinds(dataset) == [Kind.UNKNOWN_REFERENCE, Kind.MALFORMED_ENTRY]


def test_fiftyone_whole_data_set(tmp_path: Path) -> None:
    for name in "ab":
        write_picture(tmp_path / "data" / f"{name}.png", WH)
    found = {
        "_cls": "Detections",
        "detections": [{"_cls": "Detection", "label": "cat", "bounding_box": [0.1, 0.2, 0.25, 0.5]}],
    }
    sample = {"filepath": "data/a.png", "metadata": {"width": 40, "height": 30}, "tags": [], "ground_truth": found}
    other = {"filepath": "data/b.png", "ground_truth": None, "predictions": found}
    file = write(tmp_path / "samples.json", {"samples": [sample, other]})
    dataset = read_dataset(tmp_path)
    assert (dataset.format, len(dataset.records), kinds(dataset)) == ("fiftyone", 1, [Kind.MALFORMED_ENTRY])
    np.testing.assert_allclose(dataset.records[0].boxes, [[4, 6, 14, 21]])
    write(file, {"samples": [{"filepath": "data/a.png", "one": found, "two": found}]})
    with pytest.raises(InputError, match="which field has the labels, one, two"):
        read_dataset(file)


BROKEN = {
    "annotations.xml": "<annotations><version>1.1</version><image id='0' name='a.png'>",
    "tasks.json": '[{"data": {"image": "a.png"}, "annotations": [{"result": [{"from_name": ',
    "createml.json": '[{"image": "a.png", "annotations": [{"label": "x", ',
    "a.json": '{"shapes": [{"label": "x"}], "imagePath": "a.png", ',
    "via.json": '{"a.png1": {"filename": "a.png", "regions": [',
    "labels.json": '{"classes": ["a"], "labels": {"a": [',
    "samples.json": '{"samples": [{"filepath": ',
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("end", ["", "\0\xff", "[" * 100_000])
def test_what_is_cut_off_is_one_fatal_problem(tmp_path: Path, name: str, end: str) -> None:
    write_picture(tmp_path / "a.png", WH)
    file = write_text(tmp_path / name, BROKEN[name] + end)
    for path in (file, tmp_path):
        dataset = scan_dataset(path)
        assert [(problem.action, problem.where) for problem in dataset.problems if problem.action == "fatal"] == [
            ("fatal", str(file))
        ]
        with pytest.raises(InputError, match="malformed"):
            read_dataset(path)


NONSENSE: list[Any] = [None, True, 3, -1.5, float("nan"), "", "x", [], [None], {}, {"x": None}, [[]], [{}], 10**400]
PLACES: dict[str, Any] = {
    "tasks.json": lambda x: [
        x, {"data": x, "annotations": []}, {"data": {"image": "a.png"}, "annotations": x}, task("a.png", x), task(x),  # type: ignore[arg-type]
        task("a.png", region("cat", x=x), region("cat") | {"value": x, "type": x}, region("cat", rotation=x)),
        task("a.png", region(x), region("cat", points=x), region("cat") | {"original_width": x, "image_rotation": x}),
    ],
    "createml.json": lambda x: [
        {"image": "a.png", "annotations": [{"label": "cat", "coordinates": {"x": 9, "y": 9, "width": 4, "height": 4}}]},
        x, {"image": x, "annotations": x}, {"image": "a.png", "annotations": [x, {"label": x, "coordinates": x}]},
        {"image": "a.png", "annotations": [{"label": "cat", "coordinates": {"x": x, "y": 1, "width": 4, "height": 4}}]},
    ],
    "a.json": lambda x: {"imageHeight": x} | labelme(
        shape("cat", "rectangle", [1, 2], [3, 4]), x, shape(x, x, x), shape("cat", "circle", [1, x], [3, 4])
    ),
    "via.json": lambda x: {
        "a": {"filename": "a.png", "regions": [via(species="cat"), x, via(species=x)]},
        "b": x,
        "c": {"filename": x, "regions": x},
        "d": {"filename": "a.png", "regions": [{"shape_attributes": x, "region_attributes": x}]},
        "e": {"filename": "a.png", "regions": [via() | {"shape_attributes": {"name": "rect", "x": x}}]},
    },
    "labels.json": lambda x: {
        "classes": ["cat", x],
        "labels": {"a": [{"label": x, "bounding_box": [0, 0, 1, 1]}, x], "b": x},
    },
    "samples.json": lambda x: {
        "samples": [x, {"filepath": x}, {"filepath": "a.png", "f": {"detections": [x]}, "metadata": x}]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("value", NONSENSE, ids=lambda value: str(value)[:12])
def test_values_of_any_type_are_problems_and_no_crash(tmp_path: Path, name: str, value: Any) -> None:
    write_picture(tmp_path / "a.png", WH)
    dataset = scan_dataset(write(tmp_path / name, PLACES[name](value)))
    for record in dataset.records:
        assert np.isfinite(record.boxes).all()
        assert (record.objects.sizes > 0).all()
    assert all(name.strip() for name in dataset.class_names)


def test_fifo_in_the_place_of_labels_waits_for_nobody(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", WH)
    for suffix in (".json", ".xml", ".csv", ".jsonl"):
        os.mkfifo(tmp_path / f"x{suffix}")
    code = "import sys; from centerx.data.read import scan_dataset; scan_dataset(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=False)


def test_an_ellipse_that_is_turned_by_an_eighth() -> None:
    node = fromstring('<ellipse cx="20" cy="15" rx="8" ry="2" rotation="45"/>')
    angles = np.linspace(0, 2 * math.pi, 100_001)
    x, y = 8 * np.cos(angles), 2 * np.sin(angles)
    across, down = (x - y) * math.sqrt(0.5), (x + y) * math.sqrt(0.5)
    expected = [20 + across.min(), 15 + down.min(), 20 + across.max(), 15 + down.max()]
    np.testing.assert_allclose(SHAPES["ellipse"](node) or [], expected, atol=1e-6)
