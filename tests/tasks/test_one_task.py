"""A student has one task: which teachers of other tasks can teach it, and what is said of those that cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import centerx
from centerx.build_data import check_supervision, load_data
from centerx.build_model import build_detector, save_named
from centerx.config import load_config
from centerx.errors import InputError

JOINTS = {"person": ["head", "left_hand", "right_hand"], "dog": ["head", "tail"]}
CLASS = {
    "boxes": "car",
    "center": "cell",
    "quads": "plate",
    "rotated": "ship",
    "pose": "person",
    "pose of others": "dog",
}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Detectors with their first weights, by task, each of a class of its own."""
    folder = tmp_path_factory.mktemp("teachers")
    for name, label in CLASS.items():
        task = name.partition(" ")[0]
        joints = [f"joints.names={json.dumps(JOINTS[label])}", "joints.pairs=[]"] if task == "pose" else []
        words = [f"task={task}", f"classes=[{label}]", "data.input_size=96", "model.pretrained=false", *joints]
        config = load_config("nano", words)
        save_named(folder, config, build_detector(config), name)
    return {name: folder / f"{name}.safetensors" for name in CLASS}


def words_of(teachers: dict[str, Path], names: tuple[str, str], task: str, scenes: Path) -> list[str]:
    images = json.dumps([{"path": str(scenes.with_name("train")), "format": "folder"}])
    files = json.dumps([str(teachers[name]) for name in names])
    return [f"task={task}", f"distill.teachers={files}", f"data.train={images}", "data.val=[]", "augment.flip=0"]


@pytest.mark.parametrize(
    ("names", "task", "teacher", "field"),
    [
        (("pose", "quads"), "pose", "quads", "size"),
        (("pose", "quads"), "quads", "pose", "corners"),
        (("boxes", "quads"), "quads", "boxes", "corners"),
        (("boxes", "center"), "boxes", "center", "size"),
        (("pose", "center"), "pose", "center", "size"),
    ],
)
def test_a_teacher_of_another_task_is_named_before_training(
    names: tuple[str, str], task: str, teacher: str, field: str, teachers: dict[str, Path], scenes: Path,
    small_overrides: list[str], tmp_path: Path,
) -> None:  # fmt: skip
    config = load_config("nano", [*small_overrides, *words_of(teachers, names, task, scenes)])
    said = (
        rf"{teacher} is of task {teacher}, which does not teach the {field} of {CLASS[teacher]} that task {task} needs"
    )
    with pytest.raises(InputError, match=re.escape(said)):
        check_supervision(load_data(config, tmp_path))


@pytest.mark.parametrize(
    ("names", "task", "lost"),
    [
        (
            ("boxes", "pose"),
            "boxes",
            ["pose knows the joints of objects, which task boxes does not learn; set task=pose"],
        ),
        (
            ("pose", "rotated"),
            "boxes",
            ["pose knows the joints", "rotated knows the corners of objects, which task boxes"],
        ),
        (("quads", "rotated"), "rotated", []),
        (("boxes", "pose"), "pose", []),
    ],
)
def test_what_a_student_does_not_learn_of_its_teachers_is_told(
    names: tuple[str, str], task: str, lost: list[str], teachers: dict[str, Path], scenes: Path,
    small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO", "centerx")
    load_data(load_config("nano", [*small_overrides, *words_of(teachers, names, task, scenes)]), tmp_path)
    said = [each for each in caplog.messages if "does not learn" in each]
    assert len(said) == len(lost)
    assert all(due in each for due, each in zip(lost, said, strict=True))


def test_joints_have_the_sigmas_of_the_teacher_that_knows_them(
    teachers: dict[str, Path], scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    for label, sigmas in (("person", "{head: 0.2, left_hand: 0.3}"), ("dog", "{head: 0.4}")):
        names = f"joints.names={json.dumps(JOINTS[label])}"
        words = [
            "task=pose",
            f"classes=[{label}]",
            "data.input_size=96",
            names,
            "joints.pairs=[]",
            f"joints.sigmas={sigmas}",
        ]
        config = load_config("nano", words)
        save_named(tmp_path, config, build_detector(config), label)
    files = {name: tmp_path / f"{name}.safetensors" for name in ("person", "dog")}
    words = [*small_overrides, *words_of(files, ("person", "dog"), "pose", scenes), "joints.sigmas={left_hand: 0.05}"]
    found = load_data(load_config("nano", words), tmp_path / "run").config.joints.sigmas
    assert found == {"head": 0.2, "left_hand": 0.05, "right_hand": 0.05, "tail": 0.05}, (
        "the first teacher's, but for ours"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "task"),
    [
        (("boxes", "pose"), "pose"),
        (("pose", "pose of others"), "pose"),
        (("boxes", "pose"), "boxes"),
        (("pose", "quads"), "center"),
    ],
)
def test_what_tasks_share_is_taught(
    names: tuple[str, str], task: str, teachers: dict[str, Path], scenes: Path, small_overrides: list[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    """Joints have those of their own class alone, and the plan says who teaches them."""
    words = [*small_overrides, *words_of(teachers, names, task, scenes)]
    plan = centerx.plan("nano", out=tmp_path, overrides=words)
    told = {(row.class_name, row.field): list(row.teachers) for row in plan.supervision}
    assert all(told[CLASS[name], "center"] == [name] for name in names)
    if task == "pose":
        for name in names:
            assert told[CLASS[name], "keypoints"] == ([name] if name.startswith("pose") else [])
        run = centerx.train("nano", out=tmp_path, overrides=words)
        info = centerx.load(run.model)
        known = [joint for name in names for joint in JOINTS.get(CLASS[name], [])]
        assert info.task.joints.names == tuple(dict.fromkeys(known))


@pytest.mark.parametrize(
    ("task", "word", "said"),
    [
        ("boxes", "joints.names=[head]", "joints.names: does nothing for task=boxes, only for task=pose"),
        ("rotated", "joints.sigmas={head: 0.1}", "joints.sigmas: does nothing for task=rotated"),
        (
            "boxes",
            "model.corner_order=labelled",
            "model.corner_order: does nothing for task=boxes, only for task=quads",
        ),
        ("rotated", "model.corner_order=labelled", "model.corner_order: does nothing for task=rotated"),
        ("boxes", "", "corners_from_boxes in data.train: does nothing for task=boxes, only for task=quads and rotated"),
        ("rotated", "", ""),
        ("quads", "model.corner_order=labelled", ""),
    ],
)
def test_keys_of_other_tasks_are_told(
    task: str, word: str, said: str, scenes: Path, small_overrides: list[str], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    turned = task in ("quads", "rotated") or said.startswith("corners")
    data = json.dumps([{"path": str(scenes), "corners_from_boxes": turned}])
    words = [*small_overrides, f"task={task}", f"data.train={data}", "data.val=[]", *([word] if word else [])]
    load_data(load_config("nano", words), tmp_path)
    told = [record.message for record in caplog.records if "does nothing" in record.message]
    assert len(told) == bool(said)
    assert all(each.startswith(said) for each in told)
