"""Known families: each file is recognised by itself, and gives boxes that are known by hand."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import centerx
from centerx.errors import InputError
from centerx.runtime.foreign.families import FAMILIES
from centerx.runtime.foreign.names import COCO_NAMES
from centerx.runtime.foreign.session import ForeignSession
from centerx.types import Detections
from tests.runtime.foreign import graphs
from tests.runtime.foreign.graphs import BOXES, IMAGENET, SCORES, Sees, scene, ultralytics_metadata

Build = Callable[[Path], Path]
COCO = COCO_NAMES[7], COCO_NAMES[2]  # truck, car: what the graphs call the red and the blue rectangle
THINGS = "thing 7", "thing 2"
PICODET = Sees(*IMAGENET)
INFER_CFG = """
mode: paddle
arch: YOLO
Preprocess:
- {interp: 2, keep_ratio: false, target_size: [320, 320], type: Resize}
- {is_scale: true, mean: [0.0, 0.0, 0.0], norm_type: none, std: [1.0, 1.0, 1.0], type: NormalizeImage}
- {type: Permute}
label_list: [a, b, blue, d, e, f, g, red]
"""


def found(path: Path, adapter: dict[str, Any] | None = None) -> Detections:
    """Return what a file finds on the scene."""
    return centerx.load(path, adapter=adapter)(scene())


def family(path: Path) -> str | None:
    """Return the family that a file is read as."""
    session = centerx.load(path).session
    assert isinstance(session, ForeignSession)
    return session.adapter.family


def require_scene(detections: Detections, names: tuple[str, str], tolerance: float = 2.5) -> None:
    """Raise unless the two rectangles are there, in place, named, and scored as a right input is."""
    assert [detections.class_names[label] for label in detections.labels] == list(names)
    np.testing.assert_allclose(detections.boxes, BOXES, atol=tolerance)
    np.testing.assert_allclose(detections.scores, SCORES, atol=0.02)


CASES: dict[str, tuple[str, Build, tuple[str, str]]] = {
    "ultralytics": ("yolo-v8", graphs.yolo_v8, THINGS),
    "ultralytics of another size": ("yolo-v8", lambda path: graphs.yolo_v8(path, (192, 320)), THINGS),
    "ultralytics in halves": ("yolo-v8", lambda path: graphs.yolo_v8(path, dtype="float16"), THINGS),
    "ultralytics with masks": (
        "yolo-v8",
        lambda path: graphs.yolo_v8(path, metadata=ultralytics_metadata(task="segment"), extra=32),
        THINGS,
    ),
    "ultralytics without metadata": ("yolo-v8", lambda path: graphs.yolo_v8(path, metadata={}), COCO),
    "ultralytics of any size": (
        "yolo-v8",
        lambda path: graphs.yolo_v8(path, declared=("batch", 3, "height", "width"), sees=graphs.STRETCHED_UNIT),
        THINGS,
    ),
    "yolo v10 and 26": ("yolo-end-to-end", graphs.yolo_end_to_end, THINGS),
    "yolo 26 with masks": (
        "yolo-end-to-end",
        lambda path: graphs.yolo_end_to_end(path, metadata=ultralytics_metadata(task="segment"), extra=32),
        THINGS,
    ),
    "yolo v5": ("yolo-v5", graphs.yolo_v5, THINGS),
    "yolo v7": ("yolo-v5", lambda path: graphs.yolo_v5(path, metadata={}), COCO),
    "yolo v6": ("yolo-v6", graphs.yolo_v6, COCO),
    "yolo 26 of two classes": (
        "yolo-end-to-end",
        lambda path: graphs.yolo_end_to_end(path, metadata=ultralytics_metadata(2), labels=(1, 0)),
        ("thing 1", "thing 0"),
    ),
    "yolo 26 of two classes, rotated": (
        "yolo-end-to-end",
        lambda path: graphs.yolo_end_to_end(
            path, metadata=ultralytics_metadata(2, task="obb"), labels=(1, 0), rotated=True
        ),
        ("thing 1", "thing 0"),
    ),
    "rt-detr of ultralytics": ("ultralytics-rt-detr", graphs.ultralytics_rt_detr, THINGS),
    "rt-detr of ultralytics, two classes": (
        "ultralytics-rt-detr",
        lambda path: graphs.ultralytics_rt_detr(path, labels=(1, 0), num_classes=2),
        ("thing 1", "thing 0"),
    ),
    "yolox": ("yolox", graphs.yolox, COCO),
    "yolox of another size": ("yolox", lambda path: graphs.yolox(path, (192, 320)), COCO),
    "yolox decoded": ("yolox-decoded", lambda path: graphs.yolox(path, decoded=True), COCO),
    "nanodet plus": ("nanodet-plus", graphs.nanodet_plus, COCO),
    "picodet with post-processing": ("paddle", lambda path: graphs.detection_rows(path, PICODET), COCO),
    "pp-yoloe": (
        "paddle",
        lambda path: graphs.detection_rows(path, graphs.STRETCHED_UNIT, infer_cfg=INFER_CFG),
        ("red", "blue"),
    ),
    "rt-detr of paddle": (
        "paddle-im-shape",
        lambda path: graphs.detection_rows(path, graphs.STRETCHED_UNIT, infer_cfg=INFER_CFG, im_shape=True),
        ("red", "blue"),
    ),
    "rt-detr": ("rt-detr", graphs.rt_detr, COCO),
    "rf-detr": ("rf-detr", graphs.rf_detr, COCO),
    "torchvision": ("torchvision", graphs.torchvision, COCO),
    "torchvision, no batch": ("torchvision", lambda path: graphs.torchvision(path, ()), COCO),
    "torchvision, labels last": ("torchvision", lambda path: graphs.torchvision(path, labels_last=True), COCO),
    "tensorflow": ("tensorflow", graphs.tensorflow, COCO),
    "tensorflow, four outputs": ("tensorflow", lambda path: graphs.tensorflow(path, others=False), COCO),
    "mmdeploy": ("mmdet", graphs.mmdeploy, COCO),
    "mmdeploy with masks": ("mmdet", lambda path: graphs.mmdeploy(path, masks=True), COCO),
    "efficientdet of automl": ("efficientdet-automl", graphs.automl_efficientdet, COCO),
    "efficientdet of zylo117": ("efficientdet-zylo", graphs.zylo_efficientdet, COCO),
}


@pytest.mark.parametrize(("name", "build", "names"), CASES.values(), ids=list(CASES))
def test_a_known_family_gives_the_known_boxes(name: str, build: Build, names: tuple[str, str], tmp_path: Path) -> None:
    path = build(tmp_path / "model.onnx")
    assert family(path) == name
    require_scene(found(path), names)


def test_every_family_of_the_table_is_tested() -> None:
    real = {"nanodet", "picodet", "fastestdet", "tflite-detection", "centerface", "ultraface", "ultraface-raw"}
    real |= {"yunet-2021", "lpd-yunet", "yunet", "blazeface-short", "blazeface-full"}
    assert {name for name, _, _ in CASES.values()} | real | {"hugging-face", "hugging-face-mask"} == set(FAMILIES)


def test_the_page_has_every_family() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "foreign.md"
    rows = [line.split("|")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall("`(.+?)`", row)} >= set(FAMILIES)


def adapter_of(path: Path) -> dict[str, Any]:
    """Return the adapter that a file is read by, as keys."""
    session = centerx.load(path).session
    assert isinstance(session, ForeignSession)
    return session.adapter.model_dump(mode="json")


def is_right(path: Path, keys: dict[str, Any], names: tuple[str, str]) -> bool:
    """Whether a file gives the known boxes by an adapter."""
    try:
        require_scene(found(path, keys), names)
    except (AssertionError, InputError):
        return False
    return True


def wrong_adapters(keys: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return adapters with one thing wrong, by what it is."""
    seen, classes = keys["input"], keys["classes"]
    other_resize = "fit" if seen["resize"] == "stretch" else "stretch"
    other_colour = "rgb" if seen["colour"] == "bgr" else "bgr"
    names = list(classes.values()) if isinstance(classes, dict) else COCO_NAMES if classes == "coco" else classes
    wrong = {
        "colour": {"input": seen | {"colour": other_colour}},
        "numbering": {"first_class": 1 - keys["first_class"]}
        if classes == "coco-91"
        else {"classes": [*names[1:], names[0]]},
    }
    if seen["scale"] != 1 or seen["std"] != [1.0] * 3 or seen["colour"] == "bgr":
        wrong["scale"] = {"input": seen | {"scale": seen["scale"] / 2}}
    if seen["frame"] == "input":
        wrong["resize"] = {"input": seen | {"resize": other_resize}}
    if seen["resize"] == "fit" and seen["frame"] == "input":
        wrong["place"] = {"input": seen | {"place": "center" if seen["place"] == "top-left" else "top-left"}}
        wrong["padding"] = {"input": seen | {"pad_value": 0}}
    return {what: keys | change for what, change in wrong.items()}


@pytest.mark.parametrize(("name", "build", "names"), CASES.values(), ids=list(CASES))
def test_a_wrong_adapter_is_seen(name: str, build: Build, names: tuple[str, str], tmp_path: Path) -> None:
    path = build(tmp_path / "model.onnx")
    keys = adapter_of(path)
    require_scene(found(path, keys), names)
    unseen = [what for what, wrong in wrong_adapters(keys).items() if is_right(path, wrong, names)]
    assert unseen == [], name


def beside(path: Path, name: str, tree: Any) -> None:
    """Write a JSON file beside a model."""
    path.with_name(name).write_text(json.dumps(tree), encoding="utf-8")


def id2label(count: int) -> dict[str, str]:
    """Names as a config.json has them, N/A where there is no class."""
    return {str(number): NAMES.get(number, "N/A") for number in range(count)}


NAMES = {number: f"class {number}" for number in range(91) if number != 12} | {8: "red", 3: "blue"}
IMAGENET_UNIT = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize(("folder", "mask"), [("", ("height", "width")), ("onnx", (64, 64))])
def test_detr_of_hugging_face_by_its_configuration(folder: str, mask: tuple[int | str, ...], tmp_path: Path) -> None:
    path = tmp_path / folder / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    graphs.hugging_face(path, Sees(*IMAGENET), 92, (8, 3), softmax=True, mask=mask)
    top = tmp_path / "any"
    beside(top, "config.json", {"model_type": "detr", "id2label": id2label(91)})
    size = {"shortest_edge": 320, "longest_edge": 533}
    beside(top, "preprocessor_config.json", {"size": size, "do_normalize": True, "resample": 2, **IMAGENET_UNIT})
    assert family(path) == "hugging-face-mask"
    require_scene(found(path), ("red", "blue"))
    beside(top, "config.json", {"model_type": "deformable_detr", "id2label": id2label(92)})
    assert not is_right(path, {}, ("red", "blue"))


def test_rt_detr_of_hugging_face_by_its_configuration(tmp_path: Path) -> None:
    path = graphs.hugging_face(tmp_path / "model.onnx", graphs.STRETCHED_UNIT, 9, (8, 3), softmax=False)
    beside(path, "config.json", {"model_type": "rt_detr_v2", "id2label": id2label(9)})
    size = {"height": 320, "width": 256}
    beside(path, "preprocessor_config.json", {"size": size, "do_normalize": False, "resample": 2, **IMAGENET_UNIT})
    assert adapter_of(path)["input"]["size"] == [320, 256]
    require_scene(found(path), ("red", "blue"))


@pytest.mark.parametrize(
    ("columns", "softmax", "sees"),
    [(92, True, PICODET), (91, False, PICODET), (80, False, graphs.STRETCHED_UNIT)],
)
def test_hugging_face_without_configuration_goes_by_its_columns(
    columns: int, softmax: bool, sees: Sees, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = (7, 2) if columns == 80 else (8, 3)
    path = graphs.hugging_face(tmp_path / "model.onnx", sees, columns, labels, softmax)
    with caplog.at_level(logging.WARNING):
        require_scene(found(path), COCO)
    lines = " ".join(record.getMessage() for record in caplog.records)
    assert "no config.json" in lines
    assert "no preprocessor_config.json" in lines


PIPELINE = {
    "pipeline": {
        "tasks": [
            {
                "name": "Preprocess",
                "transforms": [
                    {"type": "LoadImageFromFile"},
                    {"type": "Resize", "keep_ratio": True, "size": [533, 320]},
                    {"type": "Normalize", "to_rgb": True, "mean": list(IMAGENET[0]), "std": list(IMAGENET[1])},
                    {"type": "Pad", "size_divisor": 32},
                ],
            }
        ]
    }
}


def test_mmdeploy_by_its_pipeline(tmp_path: Path) -> None:
    path = graphs.mmdeploy(tmp_path / "end2end.onnx", Sees(*IMAGENET, corners=(None, 114)))
    beside(path, "pipeline.json", PIPELINE)
    seen = adapter_of(path)["input"]
    assert (seen["size"], seen["frame"], seen["multiple"], seen["colour"]) == ([320, 533], "shortest", 32, "rgb")
    require_scene(found(path), COCO)


def test_rf_detr_of_other_classes_is_asked_for_them(tmp_path: Path) -> None:
    path = graphs.rf_detr(tmp_path / "model.onnx", labels=(1, 2), columns=3)
    assert "a file of rf-detr with 3 classes that it does not name" in refusal(path)
    require_scene(found(path, {"classes": {1: "helmet", 2: "vest"}}), ("helmet", "vest"))


def test_metadata_of_any_size_gives_the_size(tmp_path: Path) -> None:
    """A picture is as large as that has room for, and padded to multiples of the stride alone."""
    declared = "batch", 3, "height", "width"
    path = graphs.yolo_v8(tmp_path / "model.onnx", (160, 320), declared, sees=graphs.STRETCHED_UNIT)
    detector = centerx.load(path)
    assert detector.input_hw == (160, 320)
    assert detector.session.any_size
    for hw in ((256, 256), (320, 512)):
        require_scene(centerx.load(path, input_hw=hw)(scene()), THINGS)
    placed = centerx.load(path, input_hw=(320, 416)).preprocess(scene())
    assert placed.image.shape == (224, 416, 3)
    assert placed.letterbox.shift == (0, 8)
    metadata = ultralytics_metadata(stride="64")
    detector = centerx.load(graphs.yolo_v8(tmp_path / "p6.onnx", (640, 640), declared, metadata=metadata))
    assert detector.preprocess(np.zeros((300, 500, 3), np.uint8)).image.shape == (192, 256, 3)


def test_a_file_that_declares_any_size_and_takes_one_alone(tmp_path: Path) -> None:
    graph = graphs.Graph("images", ("batch", 3, "height", "width"))
    graph.picture = graph("Reshape", graph.picture, [1, 3, 256, 256])
    boxes, scores = graph.find(graphs.ULTRALYTICS)
    rows = graph.join(boxes, graph("Unsqueeze", scores, [2]), graph("Unsqueeze", graph.labels(scores, (7, 2)), [2]))
    graph.output("output0", rows, ("batch", "rows", 6))
    path = graph.save(tmp_path / "model.onnx", ultralytics_metadata())
    assert "refuses 256x128 where it takes 256x256: set input.frame: input" in refusal(path)
    require_scene(found(path, {"input": {"frame": "input"}}), THINGS)


def test_pose_gives_boxes_with_joints(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Columns behind the classes are joints; those of COCO where there are 17, else by their names or numbers."""
    metadata = ultralytics_metadata(task="pose", kpt_shape="[17, 3]")
    path = graphs.yolo_v8(tmp_path / "model.onnx", metadata=metadata, extra=51)
    with caplog.at_level(logging.WARNING):
        seen = found(path)
        require_scene(seen, THINGS)
    assert "17 joints without names, taken as COCO's" in caplog.text
    assert seen.task == "pose"
    assert seen.joints.names[:3] == ("nose", "left_eye", "right_eye")
    assert seen.values["keypoints"].shape == (len(seen), 17, 2)
    assert seen.values["keypoint_scores"].shape == (len(seen), 17)
    named = ultralytics_metadata(task="pose", kpt_shape="[2, 3]", kpt_names="{0: ['head', 'tail']}")
    path = graphs.yolo_v8(tmp_path / "named.onnx", metadata=named, extra=6)
    assert found(path).joints.names == ("head", "tail")
    numbered = ultralytics_metadata(task="pose", kpt_shape="[3, 2]")
    path = graphs.yolo_v8(tmp_path / "numbered.onnx", metadata=numbered, extra=6)
    assert found(path).joints.names == ("joint 1", "joint 2", "joint 3")
    assert (found(path).values["keypoint_scores"] == 1).all()


def test_classes_without_names_are_taken_as_coco_with_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        centerx.load(graphs.yolox(tmp_path / "model.onnx"))
    assert "read as yolox, by input images, 5 + C columns" in caplog.text
    assert "80 classes without names, taken as COCO's" in caplog.text
    caplog.clear()
    (tmp_path / "model.adapter.yaml").write_text(f"classes: {[f'thing {each}' for each in range(80)]}")
    with caplog.at_level(logging.WARNING):
        require_scene(found(tmp_path / "model.onnx"), THINGS)
    assert caplog.text == ""


def refusal(path: Path) -> str:
    """Return the error of a file."""
    with pytest.raises(InputError) as caught:
        centerx.load(path)
    return str(caught.value)


def test_other_classes_without_names_are_asked_for(tmp_path: Path) -> None:
    told = refusal(graphs.yolox(tmp_path / "model.onnx", num_classes=9))
    assert "a file of yolox with 9 classes that it does not name" in told
    assert "model.adapter.yaml" in told


def test_names_that_do_not_fit_the_columns_are_an_error(tmp_path: Path) -> None:
    told = refusal(graphs.yolo_v8(tmp_path / "model.onnx", metadata=ultralytics_metadata(79)))
    assert "task detect and 79 names, which makes 83 columns, the output has 84" in told


@pytest.mark.parametrize("names", ["__import__('os').getcwd()", "{0: 'a'", "[1, 2]", "{'a': 0}", "[" * 10_000])
def test_names_in_metadata_are_never_run(names: str, tmp_path: Path) -> None:
    metadata = {"task": "detect", "names": names, "imgsz": "[256, 256]"}
    path = graphs.yolo_v8(tmp_path / "model.onnx", metadata=metadata)
    assert set(found(path).class_names) == set(COCO_NAMES)


def test_a_file_of_rotated_boxes_gives_corners_and_angles(tmp_path: Path) -> None:
    """The last column is the angle, in radians."""
    path = graphs.yolo_v8(tmp_path / "model.onnx", metadata=ultralytics_metadata(task="obb"), extra=1)
    seen = found(path)
    assert (seen.task, len(seen)) == ("rotated", 2)
    flat = seen.values["corners"].reshape(2, 4, 2)
    across = np.linalg.norm(flat[:, 1] - flat[:, 0], axis=1)
    assert (across >= np.linalg.norm(flat[:, 2] - flat[:, 1], axis=1) - 1e-3).all()
    np.testing.assert_allclose(flat.mean(axis=1), (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2, atol=0.1)


@pytest.mark.parametrize(("task", "why"), [("semantic", "a map of classes"), ("classify", "a classifier")])
def test_tasks_without_boxes_are_refused(task: str, why: str, tmp_path: Path) -> None:
    told = refusal(graphs.yolo_v8(tmp_path / "model.onnx", metadata=ultralytics_metadata(task=task), extra=1))
    assert f"task {task}: {why}" in told


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    assert "a classifier, give a detector" in refusal(graphs.classifier(tmp_path / "model.onnx"))


def test_an_unknown_file_is_told_its_outputs_and_the_yaml_to_write(tmp_path: Path) -> None:
    path = graphs.unknown(tmp_path / "model.onnx")
    told = refusal(path)
    assert "\n" not in told
    assert "places 1x7x4 float32, chances 1x7x3 float32" in told
    shown = told.split("such as: ")[1]
    (tmp_path / "model.adapter.yaml").write_text(shown)
    assert centerx.load(path).class_names == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    ("boxes", "scores", "rest", "transposed"),
    [
        ((1, 50, 4), (1, 3, 50), {}, (False, True)),
        ((1, 7, 77), None, {}, (True, True)),
        ((10, 5), None, {"labels": np.zeros(10, np.int64)}, (False, False)),
        ((1, 9, 4), (1, 9), {"found": np.full((1, 1), 3), "numbers": np.zeros((1, 9), np.int32)}, (False, False)),
    ],
)
def test_the_yaml_to_write_has_the_shapes_of_the_file(
    boxes: tuple[int, ...],
    scores: tuple[int, ...] | None,
    rest: dict[str, np.ndarray],
    transposed: tuple[bool, bool],
    tmp_path: Path,
) -> None:
    """Columns before rows, numbers of classes, how many rows count, and further inputs."""
    graph = graphs.Graph("picture", (1, 3, "height", 64))
    graph.add_input("ratio", (1, 2), "float32")
    arrays = {"places": np.ones(boxes, np.float32)} | ({"chances": np.ones(scores, np.float32)} if scores else {})
    for name, array in (arrays | rest).items():
        graph.output(name, graph("Identity", array), array.shape, str(array.dtype))
    path = graph.save(tmp_path / "model.onnx")
    (tmp_path / "model.adapter.yaml").write_text(refusal(path).split("such as: ")[1])
    keys = adapter_of(path)
    assert (keys["input"]["name"], keys["extra"]) == ("picture", {"ratio": [1.0, 1.0]})
    assert (keys["boxes"]["transposed"], keys["scores"]["transposed"]) == transposed
    assert keys["count"] == ("found" if "found" in rest else None)
    assert (keys["labels"] or {}).get("output") == (list(rest)[-1] if rest else None)


def test_a_file_without_inputs_is_not_recognised(tmp_path: Path) -> None:
    graph = graphs.Graph("picture", (1, 3, 8, 8))
    graph.nodes, graph.inputs = [], []
    graph.output("rows", graph("Identity", np.ones((1, 7, 6), np.float32)), (1, 7, 6))
    assert "not recognised" in refusal(graph.save(tmp_path / "model.onnx"))


def test_rows_that_nothing_names_are_not_guessed(tmp_path: Path) -> None:
    path = graphs.yolo_end_to_end(tmp_path / "model.onnx", metadata={})
    assert "not recognised" in refusal(path)
    things = [f"thing {each}" for each in range(80)]
    require_scene(found(path, {"family": "yolo-end-to-end", "classes": things}), THINGS)


def test_a_family_that_is_named_goes_by_shapes_alone(tmp_path: Path) -> None:
    path = graphs.yolox(tmp_path / "model.onnx", input_name="picture")
    assert "not recognised" in refusal(path)
    require_scene(found(path, {"family": "yolox"}), COCO)
    with pytest.raises(InputError, match="family yunet has other inputs or outputs than picture 1x3x256x256"):
        found(path, {"family": "yunet"})


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"family": "yolo"}, "family 'yolo' is unknown (did you mean 'yolox'?)"),
        ({"family": ["yolox"]}, "is unknown"),
        ({"input": "rgb"}, "input: must be a mapping of keys"),
        ({"classes": []}, "classes"),
    ],
)
def test_wrong_keys_on_top_of_a_family_are_errors(keys: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = graphs.yolox(tmp_path / "model.onnx")
    with pytest.raises(InputError, match=re.escape(told)):
        found(path, keys)


def test_a_file_that_takes_no_pictures_is_not_recognised(tmp_path: Path) -> None:
    assert "not recognised" in refusal(graphs.words(tmp_path / "model.onnx"))


@pytest.mark.parametrize("decoded", [False, True])
def test_a_file_that_takes_several_pictures_at_once(decoded: bool, tmp_path: Path) -> None:
    """It is recognised, and read where its first axis can be freed."""
    path = graphs.yolox(tmp_path / "model.onnx", decoded=decoded, batch=2)
    assert "takes 2 pictures at once" in refusal(path)
    adapter = {"input": {"free": True, "size": 256}}
    require_scene(found(path, adapter), COCO)
    assert centerx.inspect(path, adapter=adapter).adapter.family == ("yolox-decoded" if decoded else "yolox")


def test_keys_of_boxes_without_outputs_go_on_top_of_the_family(tmp_path: Path) -> None:
    path = graphs.yolox(tmp_path / "model.onnx")
    require_scene(found(path, {"boxes": {"format": "cxcywh"}}), COCO)
    with pytest.raises(InputError, match="are not 336 rows"):
        found(path, {"boxes": {"anchors": {"strides": [16, 32, 64]}}})


def test_names_by_number_need_no_first_class(tmp_path: Path) -> None:
    """The family counts from 1, which goes with names in order alone."""
    path = graphs.torchvision(tmp_path / "model.onnx", labels=(2, 1))
    for classes in ({2: "truck", 1: "car"}, ["car", "truck"]):
        require_scene(found(path, {"classes": classes}), COCO)


def test_keys_of_a_sidecar_go_on_top_of_the_family(tmp_path: Path) -> None:
    path = graphs.yolox(tmp_path / "model.onnx")
    (tmp_path / "model.adapter.yaml").write_text("input: {colour: rgb}\nnms: 0.3\n")
    keys = adapter_of(path)
    assert (keys["family"], keys["nms"], keys["input"]["colour"], keys["classes"]) == ("yolox", 0.3, "rgb", "coco")
    assert keys["input"]["rounding"] == "floor"


def test_a_broken_file_beside_a_model_is_an_error(tmp_path: Path) -> None:
    path = graphs.hugging_face(tmp_path / "model.onnx", graphs.STRETCHED_UNIT, 80, (7, 2), softmax=False)
    (tmp_path / "config.json").write_text("{")
    assert "config.json: cannot be read" in refusal(path)


@pytest.mark.parametrize(
    ("build", "name"), [(graphs.rt_detr, "antialias"), (graphs.rf_detr, "antialias"), (graphs.yolox, "bilinear")]
)
def test_what_shrinks_a_picture(build: Build, name: str, tmp_path: Path) -> None:
    assert adapter_of(build(tmp_path / "model.onnx"))["input"]["filter"] == name


def processed(tmp_path: Path, tree: dict[str, Any]) -> Path:
    """A file of Hugging Face beside a preprocessor_config.json."""
    path = graphs.hugging_face(tmp_path / "model.onnx", PICODET, 92, (8, 3), softmax=True)
    beside(path, "config.json", {"model_type": "detr", "id2label": id2label(91)})
    beside(path, "preprocessor_config.json", tree)
    return path


@pytest.mark.parametrize(("resample", "name"), [(0, "nearest"), (2, "antialias"), (3, "antialias-bicubic")])
def test_the_processor_of_an_earlier_release(resample: int, name: str, tmp_path: Path) -> None:
    keys = adapter_of(processed(tmp_path, {"size": 800, "max_size": 1333, "resample": resample, **IMAGENET_UNIT}))
    seen = keys["input"]
    assert (seen["frame"], seen["resize"], seen["size"], seen["filter"]) == ("shortest", "fit", [800, 1333], name)


def test_a_softmax_has_one_class_a_row(tmp_path: Path) -> None:
    path = processed(tmp_path, {"size": 320, "max_size": 533, **IMAGENET_UNIT})
    assert not adapter_of(path)["scores"]["multi_label"]
    beside(path, "config.json", {"model_type": "deformable_detr", "id2label": id2label(91)})
    assert adapter_of(path)["scores"]["multi_label"]


SIZE = {"size": {"height": 320, "width": 320}}
PROCESSORS: list[tuple[Any, str]] = [
    ({**SIZE, "image_mean": [0.5, 0.5, 0.5]}, "image_std is missing"),
    ({**SIZE, "rescale_factor": "x"}, "could not convert string to float"),
    ({**SIZE, "image_mean": 3, "image_std": [1, 1, 1]}, "mean: "),
    ({**SIZE, "resample": 4}, "resample is not 0, 2 or 3"),
    ({**SIZE, "resample": []}, "unhashable"),
    ({"size": {"edge": 3}}, "size has neither shortest_edge nor height"),
    ({"size": [1]}, "size has neither"),
    ({"size": {"height": -1, "width": 3}}, "size.0: "),
    ({}, "size is missing"),
]


def require_told(path: Path, name: str, why: str) -> None:
    """Raise unless the error of a file is one line that names a file beside it."""
    told = refusal(path)
    assert told.startswith(str(path.with_name(name))), told
    assert why in told
    assert told.endswith("repair or remove it")
    assert "\n" not in told


@pytest.mark.parametrize(("tree", "why"), PROCESSORS)
def test_a_processor_that_lacks_something_is_one_line(tree: Any, why: str, tmp_path: Path) -> None:
    require_told(processed(tmp_path, tree), "preprocessor_config.json", why)


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"model_type": "detr"}, "id2label is missing"),
        ({"id2label": ["a"]}, "has no attribute"),
        ({"id2label": {"a": "b"}}, "invalid literal"),
        ({"id2label": {"0": "N/A"}}, "must be a list of different names"),
        ({"id2label": {str(10**12): "b"}}, "numbers of classes are 0 to 65535"),
    ],
)
def test_a_configuration_that_lacks_something_is_one_line(tree: Any, why: str, tmp_path: Path) -> None:
    path = processed(tmp_path, SIZE)
    beside(path, "config.json", tree)
    require_told(path, "config.json", why)


BOMB = "- &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{chr(98 + level)} [{', '.join([f'*{chr(97 + level)}'] * 9)}]\n" for level in range(12)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Preprocess:\n", "Preprocess is missing"),
        ("Preprocess: [Resize]\n", "Preprocess is no list of steps"),
        ("Preprocess: 3\n", "Preprocess is no list of steps"),
        ("Preprocess:\n- {type: NormalizeImage, mean: 3}\n", "mean: "),
        ("Preprocess:\n- {type: NormalizeImage, mean: 3}\n- {type: PadStride}\n", "not iterable"),
        ("Preprocess:\n- {type: Resize, interp: []}\n", "unhashable"),
        ("Preprocess:\n- {type: Permute}\nlabel_list: 3\n", "label_list is no list"),
        ("Preprocess:\n- {type: Permute}\nlabel_list: [a, a]\n", "different names"),
        (f"Preprocess:\n- {{type: Permute}}\nlabel_list:\n{BOMB}", "counting what aliases name"),
        (f"Preprocess:\n- {{type: Permute}}\nlabel_list: [{'9' * 4000}]\n", "a number of 4000 characters"),
    ],
)
def test_an_infer_cfg_that_lacks_something_is_one_line(text: str, why: str, tmp_path: Path) -> None:
    path = graphs.detection_rows(tmp_path / "model.onnx", PICODET, infer_cfg=text)
    require_told(path, "infer_cfg.yml", why)


def test_names_of_an_infer_cfg_may_be_numbers(tmp_path: Path) -> None:
    cfg = INFER_CFG.replace("label_list: [a, b, blue, d, e, f, g, red]", "label_list: [0, 1, blue, 3, 4, 5, 6, red]")
    path = graphs.detection_rows(tmp_path / "model.onnx", graphs.STRETCHED_UNIT, infer_cfg=cfg)
    require_scene(found(path), ("red", "blue"))


def pipeline(*steps: Any) -> dict[str, Any]:
    return {"pipeline": {"tasks": [{"name": "Preprocess", "transforms": list(steps)}]}}


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({"pipeline": []}, "tasks is missing"),
        ({}, "pipeline is missing"),
        ({"pipeline": {"tasks": [{"name": "Preprocess"}]}}, "transforms is missing"),
        (pipeline({"type": "Normalize", "std": [1, 1, 1]}), "mean is missing"),
        (pipeline({"type": "Normalize", "mean": [1, 1, 1]}), "std is missing"),
        (pipeline({"type": "Resize", "size": [3]}), "index out of range"),
        (pipeline({"type": "Pad", "pad_val": [[]]}), "int()"),
        (pipeline("Resize"), "transforms is no list of steps"),
    ],
)
def test_a_pipeline_that_lacks_something_is_one_line(tree: Any, why: str, tmp_path: Path) -> None:
    path = graphs.mmdeploy(tmp_path / "end2end.onnx")
    beside(path, "pipeline.json", tree)
    require_told(path, "pipeline.json", why)


def test_an_alias_bomb_as_a_family_is_one_line(tmp_path: Path) -> None:
    path = graphs.yolox(tmp_path / "model.onnx")
    (tmp_path / "model.adapter.yaml").write_text("family:\n" + BOMB)
    assert "counting what aliases name" in refusal(path)


def test_a_sequence_is_no_array(tmp_path: Path) -> None:
    """ONNX Runtime gives a list for it."""
    node = onnx.helper.make_node("SplitToSequence", ["x"], ["parts"], axis=1)
    picture = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    parts = onnx.helper.make_tensor_sequence_value_info("parts", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "g", [picture], [parts])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9),
              tmp_path / "m.onnx")  # fmt: skip
    assert "has parts of unknown shape seq(tensor(float)), which is no array of numbers" in refusal(tmp_path / "m.onnx")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("takes", [True, False])
def test_bfloat16_is_no_array(backend: str, takes: bool, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    kinds = [onnx.TensorProto.FLOAT, onnx.TensorProto.BFLOAT16]
    given, made = reversed(kinds) if takes else kinds
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=made)
    tensors = [
        onnx.helper.make_tensor_value_info(name, kind, [1, 3, 8, 8]) for name, kind in (("x", given), ("y", made))
    ]
    graph = onnx.helper.make_graph([node], "g", tensors[:1], tensors[1:])
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    adapter = {"boxes": {"outputs": "y"}, "scores": {"outputs": "y"}, "classes": ["cat"]}
    for keys in (None, adapter):
        with pytest.raises(InputError, match=r"m.onnx: has [xy] 1x3x8x8 bf(loat)?16.* no array of numbers"):
            centerx.load(path, backend, adapter=keys)


def test_what_openvino_cannot_do_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("centerx.runtime.openvino")
    graph = graphs.Graph("images", (1, 3, 64, 64))
    graph.output("boxes", graph("Add", graph.picture, np.zeros((1, 3, 64, 64))), (1, 3, 64, 64))
    graph.output("scores", graph("Reshape", graph.picture, [3, 4096]), (3, 4096))
    path = graph.save(tmp_path / "m.onnx")
    model = openvino._read(path)
    monkeypatch.setattr(openvino, "_read", lambda _: model)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Check failed at core.cpp\nno such layer\n")

    for what, where, name in (("compile", openvino, "_compiled"), ("free the sides of", None, "reshape")):
        with monkeypatch.context() as patch:
            if where is None:
                patch.setattr(openvino.ov.Model, "reshape", refuse)
            else:
                patch.setattr(where, name, refuse)
            keys = {"boxes": {"outputs": "boxes"}, "scores": {"outputs": "scores"}, "classes": ["cat"]}
            with pytest.raises(InputError, match=f"m.onnx: OpenVINO cannot {what} it \\(no such layer\\), run it with"):
                centerx.load(path, "openvino", adapter={**keys, "input": {"free": True, "size": 64}})
