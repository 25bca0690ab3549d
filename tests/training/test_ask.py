"""Teachers between their files and a training: calibrated, fused, weighed, and reduced to the student's classes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from centerx.build_teachers import wanted_classes
from centerx.data.dataset import Dataset
from centerx.data.stored import Curve, StoredDetections, store_detections
from centerx.errors import InputError
from centerx.evaluation.calibrate import LEAST_RIGHT
from centerx.tasks import BOXES, CENTER
from centerx.training.ask import OpenTeacher, ask_teachers, calibrate, fuse_shared, reached_alone
from centerx.training.processes import Processes
from centerx.training.teachers import (
    CalibratedTeacher,
    Teacher,
    TeacherOutput,
    calibrated_logits,
    map_channels,
)
from centerx.types import Batch, Detections
from tests.made import box_maps, make_record
from tests.training.test_teachers import one_teacher, several, silent

HALVED = Curve(np.array([0.0, 1.0]), np.array([0.0, 0.5]))
BENT = Curve(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.1, 1.0]))
FACTORS = {"heatmap": 1.0, "size": 1.0, "offset": 1.0, "features": 1.0}


def found(*rows: tuple[float, ...]) -> Detections:
    """Rows of x1, y1, x2, y2, score, label."""
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def stored(names: str, *pictures: Detections | None) -> StoredDetections:
    return store_detections(tuple(names), "boxes", pictures)


def rows(part: StoredDetections, picture: int) -> list[list[float]]:
    each = part.detections(picture)
    table = np.concatenate([each.boxes, each.scores[:, None], each.labels[:, None]], axis=1)
    return [[round(float(value), 4) for value in row] for row in table]


def opened(name: str, part: StoredDetections, **classes: str) -> OpenTeacher:
    """A teacher that was asked; `find` gives the same as `load`."""

    def find(images: Sequence[Path]) -> StoredDetections:
        return part

    return OpenTeacher(part.class_names, BOXES, find, None, lambda: part, name, classes, FACTORS)


ONE, TWO = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 40.0, 40.0)


def test_calibrated_detections_are_in_order_again() -> None:
    part = stored("ab", found((*ONE, 0.9, 0), (*TWO, 0.8, 1)), None, found((*TWO, 0.6, 0)))
    moved = part.calibrated([HALVED, None])
    assert rows(moved, 0) == [[*TWO, 0.8, 1], [*ONE, 0.45, 0]]
    assert rows(moved, 2) == [[*TWO, 0.3, 0]]
    assert moved.answered.tolist() == [True, False, True]
    assert rows(part, 0)[0] == [*ONE, 0.9, 0]


def test_detections_of_some_classes_under_other_names() -> None:
    part = stored("abc", found((*ONE, 0.9, 2), (*TWO, 0.8, 1)), found((*TWO, 0.6, 0)), found((*ONE, 0.5, 2)))
    moved = part.renamed({"c": "y", "a": "x"}, ("x", "y"))
    assert [rows(moved, picture) for picture in range(3)] == [[[*ONE, 0.9, 1]], [[*TWO, 0.6, 0]], [[*ONE, 0.5, 1]]]


def test_shared_classes_are_fused_and_the_others_stay() -> None:
    first = opened("left", stored("ab", found((*ONE, 0.8, 0), (*TWO, 0.6, 1)), None, None), a="x", b="b")
    second = opened("right", stored("x", found((*ONE, 0.4, 0)), found((*TWO, 0.6, 0)), None), x="x")
    left, both = fuse_shared([first, second])
    assert (left.name, left.classes) == ("left", {"b": "b"})
    assert (both.name, both.class_names, both.classes) == ("left+right", ("x",), {"x": "x"})
    assert both.load is not None
    part = both.load()
    assert part.answered.tolist() == [True, True, False]
    assert [rows(part, picture) for picture in range(3)] == [[[*ONE, 0.6, 0]], [[*TWO, 0.6, 0]], []]


def test_a_network_cannot_be_fused() -> None:
    network = OpenTeacher(("x",), BOXES, lambda _: stored("x"), silent, None, "net", {"x": "x"}, FACTORS)
    with pytest.raises(InputError, match="but net is not and shares x"):
        fuse_shared([network, opened("boxes", stored("x"), x="x")])
    assert [each.name for each in fuse_shared([network, opened("boxes", stored("y"), y="y")])] == ["net", "boxes"]


@pytest.fixture
def labelled(tmp_path: Path) -> Dataset:
    """Twenty pictures with an `x` each."""
    records = [make_record(tmp_path / f"{number}.png", number, [[0.0, 0, 10, 10]], [0]) for number in range(20)]
    return Dataset(tmp_path, "made", ("x",), (1,), records, [])


def test_calibration_by_labels_and_by_the_name_that_the_student_has(
    labelled: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    """Of class `a`, the student's `x`, every second detection is on its object; of `b` nothing is known."""
    pictures = [found((*(ONE if number % 2 else TWO), 0.9, 0), (*ONE, 0.7, 1)) for number in range(20)]
    teacher = calibrate(opened("it", stored("ab", *pictures), a="x", b="b"), [labelled])
    assert teacher.load is not None
    part = teacher.load()
    assert part.detections(0).labels.tolist() == [1, 0]
    assert part.detections(0).scores.tolist() == pytest.approx([0.7, 0.98 * 0.5 + 0.02 * 0.9])
    assert f"it finds fewer than {LEAST_RIGHT} objects of b" in caplog.text
    assert teacher.find([]).scores.tolist() == part.scores.tolist()


def test_one_that_knows_no_picture_to_judge_by_is_not_calibrated(
    labelled: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = calibrate(opened("it", stored("x", *[None] * 20), x="x"), [labelled])
    assert teacher.curves is not None
    assert teacher.curves() == [None]
    assert "it knows none of the pictures of data.val" in caplog.text
    assert "fewer" not in caplog.text


def test_points_are_not_calibrated(labelled: Dataset) -> None:
    with pytest.raises(InputError, match=r"distill\.calibrate: goes with boxes, but dots finds center"):
        calibrate(opened("dots", stored("x"), x="x")._replace(task=CENTER), [labelled])


def test_logits_move_as_scores_do() -> None:
    logits = torch.linspace(-9.3, 9, 400).reshape(1, 20, 20)
    moved = calibrated_logits(logits, BENT)
    scores = logits.sigmoid().numpy()
    np.testing.assert_allclose(moved.sigmoid().numpy()[scores > 0.01], BENT(scores)[scores > 0.01], atol=1e-4)
    assert (moved.flatten().diff() >= 0).all()
    assert torch.equal(moved[logits.sigmoid() < 1e-4], logits[logits.sigmoid() < 1e-4])


def test_a_calibrated_network_keeps_the_channels_that_have_no_curve() -> None:
    maps = box_maps(torch.randn(2, 2, 4, 4), torch.zeros(2, 2, 4, 4), torch.zeros(2, 2, 4, 4))

    def model(batch: Batch, channels: list[int]) -> TeacherOutput:
        return TeacherOutput(maps)

    output = CalibratedTeacher(model, lambda: [HALVED, None, BENT])(None, [1, 0])  # type: ignore[arg-type]
    assert torch.equal(output.maps.heatmap[:, 0], maps.heatmap[:, 0])
    half = output.maps.heatmap[:, 1].sigmoid()
    torch.testing.assert_close(half, maps.heatmap[:, 1].sigmoid() / 2)


def test_teachers_of_one_class_are_weighed_by_what_they_reach(labelled: Dataset) -> None:
    """One finds every object and the other half of them, in the first place: AP 1 and 0.5 of recall thresholds."""
    good = stored("x", *[found((*ONE, 0.9, 0)) for _ in range(20)])
    half = stored("x", *[found((*ONE, 0.9, 0)) if number % 2 else found() for number in range(20)])
    teachers = [
        Teacher(name, silent, ("x",), BOXES, find=lambda _, part=part: part)  # type: ignore[misc]
        for name, part in (("good", good), ("half", half))
    ]
    asked, detections = ask_teachers(teachers, "by_ap", [labelled], Processes("cpu", 0, 1, 0))
    assert detections == []
    first, second = map_channels(asked, ["x"], "by_ap", BOXES)
    due = asked[1].strengths["x"]
    assert asked[0].strengths == {"x": pytest.approx(1)}
    assert 0.45 < due < 0.55
    assert first.weights["center"].tolist() == pytest.approx([1 / (1 + due)])
    assert second.weights["center"].tolist() == pytest.approx([due / (1 + due)])


def test_a_teacher_that_finds_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A box under one pixel teaches nothing; a class that is not taught need not be found."""

    def ask(*rows: tuple[float, ...], classes: str) -> None:
        part = stored("xyz", found(*rows), None)
        teacher = Teacher("t", silent, part.class_names, BOXES, {name: name for name in classes}, load=lambda: part)
        ask_teachers([teacher], None, [], Processes("cpu", 0, 1, 0))

    ask((*ONE, 0.9, 0), (*ONE, 0.9, 1), classes="xy")
    assert not caplog.messages
    ask((*ONE, 0.9, 0), classes="xy")
    assert "t found no y on any of 1 pictures, and teaches that none is there" in caplog.text
    for rows in ([], [(*ONE, 0.9, 2)], [(0.1, 0.1, 0.5, 0.5, 0.9, 0)]):
        caplog.clear()
        ask(*rows, classes="xy")
        assert "t found no x, y on any of 1 pictures" in caplog.text


def test_only_pictures_that_a_teacher_knows_judge_it(labelled: Dataset) -> None:
    some = stored("x", *[found((*ONE, 0.9, 0)) if number < 5 else None for number in range(20)])
    none = stored("x", *[None] * 20)
    first, second = (
        Teacher(name, silent, ("x",), BOXES, find=lambda _, part=part: part)  # type: ignore[misc]
        for name, part in (("some", some), ("none", none))
    )
    assert reached_alone(first, ["x"], [labelled]) == {"x": pytest.approx(1)}
    with pytest.raises(InputError, match="none of whose pictures none knows"):
        reached_alone(second, ["x"], [labelled])


def test_a_teacher_that_shares_nothing_need_not_be_judged(labelled: Dataset) -> None:
    (alone,), _ = ask_teachers([one_teacher("y", ("y",))], "by_ap", [labelled], Processes("cpu", 0, 1, 0))
    assert alone.strengths == {}


def test_points_are_not_fused() -> None:
    points = [opened(name, stored("x"), x="x")._replace(task=CENTER) for name in ("dots", "marks")]
    with pytest.raises(InputError, match="fuse joins boxes, but dots finds center;"):
        fuse_shared(points)


def test_teachers_that_were_not_judged_count_alike() -> None:
    first, second = map_channels(several("x", "x"), ["x"], "by_ap", BOXES)
    assert first.weights["center"].tolist() == second.weights["center"].tolist() == [0.5]


def test_a_teacher_of_many_classes_teaches_those_of_the_student(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert wanted_classes("coco", ["person", "cat", "car"], ["car", "person"]) == {"person": "person", "car": "car"}
    assert "coco teaches person, car, of its 3 classes" in caplog.text
    assert wanted_classes("coco", ["person", "cat"], None) == {"person": "person", "cat": "cat"}
    with pytest.raises(InputError, match=r"coco knows none of face; list its classes with .* it knows person"):
        wanted_classes("coco", ["person"], ["face"])
    with pytest.raises(InputError, match=r"none of persn \(did you mean 'person'\?\)"):
        wanted_classes("coco", ["person"], ["persn"])
