"""Tasks: one decoder for graphs and NumPy, supervision by attribute, and tasks of other fields."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from centerx.build import build_run
from centerx.build_data import build_datasets
from centerx.config import load_config
from centerx.config.schema import DataEntry
from centerx.data.dataset import Dataset
from centerx.data.source import SampleSource
from centerx.decode import TORCH, grid
from centerx.errors import InputError
from centerx.fields import OFFSET, SIZE, Angle, Field, Lengths, Points
from centerx.joints import Joints
from centerx.losses.distill import DISTILL_LOSSES
from centerx.losses.terms import label_terms
from centerx.models import Branch, CenterHead
from centerx.objects import Objects, make_objects
from centerx.runtime.outputs import NUMPY
from centerx.targets import center_targets
from centerx.targets.soft import maps_from_detections
from centerx.tasks import BOXES, TASKS, ArrayFunctions, Output, Task, make_task
from centerx.training.teachers import ChannelMap, Distiller, Teacher, TeacherOutput, map_channels
from centerx.types import Batch, Maps
from tests.made import BRANCHES, box_batch, box_maps, every_map, make_record, pictures

ENDS, TURN = Field("ends", Points, 3, flip=(1, 0, 2)), Field("turn", Angle)


def assemble_posts(center: Any, values: Mapping[str, Any], functions: ArrayFunctions) -> dict[str, Any]:
    """The three ends, and the centre with the turned length of the first side."""
    return {"ends": values["ends"], "spot": functions.join([center, center + values["turn"]])}


def never_empty(outputs: Mapping[str, Any], corner: Any, functions: ArrayFunctions) -> Any:
    return functions.least(outputs["ends"]) < -1


POSTS = BOXES._replace(
    name="posts", fields=(ENDS, TURN), outputs=(Output("ends"), Output("spot")), has_area=False,
    assemble=assemble_posts, empty=never_empty,
)  # fmt: skip
CENTERS = BOXES._replace(name="centers", fields=())  # a task whose branches lack the size


EVERY = [make_task(name, joints=Joints(("head", "tail"))) for name in TASKS]


@pytest.mark.parametrize("task", [*EVERY, POSTS], ids=lambda task: task.name)
def test_graph_and_numpy_have_one_decoder(task: Task) -> None:
    rng = np.random.default_rng(0)
    raw = {field.name: rng.normal(1, 3, (2, field.channels, 5, 7)).astype(np.float32) for field in task.branches}
    cells = np.stack(np.meshgrid(np.arange(7), np.arange(5))).astype(np.float32)
    assert np.array_equal(grid(5, 7, torch.device("cpu")).numpy(), cells)
    tensors = {name: torch.from_numpy(each) for name, each in raw.items()}
    theirs = task.decode(raw, cells, 4, (20, 28), NUMPY)
    ours = task.decode(tensors, torch.from_numpy(cells), 4, (20, 28), TORCH)
    assert set(ours) == set(theirs)
    outputs = [output for output in task.outputs if output.name in ours]  # others are those of `refine`
    assert {output.name for output in outputs} == set(ours) - {"whole"}
    for output in outputs:
        name, each = output.name, theirs[output.name]
        assert each.dtype == np.float32
        np.testing.assert_allclose(ours[name].numpy(), each, rtol=1e-6, atol=0 if task.name == "boxes" else 1e-3)
        if not output.clipped:
            continue
        assert each.min() == 0
        assert each[:, ::2].max() == 28
        assert each[:, 1::2].max() == 20
    corner = np.array([[16.0, 9.0], [28.0, 20.0]], np.float32)[..., None, None]
    for given in (None, corner):
        none = task.empty(theirs, given, NUMPY)
        assert none.shape == (2, 1, 5, 7)
        tensor = None if given is None else torch.from_numpy(given)
        assert np.array_equal(task.empty(ours, tensor, TORCH).numpy(), none)


def test_several_points_are_decoded_by_hand() -> None:
    raw = {
        "ends": np.zeros((1, 6, 2, 3), np.float32), "turn": np.zeros((1, 2, 2, 3), np.float32),
        "offset": np.full((1, 2, 2, 3), 0.5, np.float32),
    }  # fmt: skip
    raw["ends"][0, :, 1, 2] = [0.5, 0.25, -1, -0.5, 0, 0]
    cells = np.stack(np.meshgrid(np.arange(3), np.arange(2))).astype(np.float32)
    found = POSTS.decode(raw, cells, 4, (8, 12), NUMPY)
    assert found["ends"][0, :, 1, 2].tolist() == [10, 5, 4, 2, 8, 4]
    assert found["spot"][0, :, 1, 2].tolist() == [10, 6, 10, 6]


def test_a_task_names_its_branches_and_what_labels_tell() -> None:
    assert BOXES.branches == (SIZE, OFFSET)
    assert BOXES.attributes == ("center", "size")
    assert (POSTS.branches, POSTS.attributes) == ((ENDS, TURN, OFFSET), ("center", "ends", "turn"))
    head = CenterHead(8, 3, 8, POSTS.branches)
    maps = head(torch.zeros(2, 8, 4, 6))
    assert {name: tuple(each.shape) for name, each in maps.fields.items()} == {
        "ends": (2, 6, 4, 6), "turn": (2, 2, 4, 6), "offset": (2, 2, 4, 6)
    }  # fmt: skip
    assert all(branch.field.name == name for name, branch in head.branches.items())


def posts_batch() -> tuple[Objects, Batch]:
    """An object of class 0 with all fields, and one of class 1 whose turn is not known."""
    boxes = torch.tensor([[8.0, 8, 24, 24], [40, 8, 56, 40]])
    values = {
        "ends": torch.tensor([[8.0, 8, 24, 8, 16, 24], [40, 40, 56, 40, 48, 8]]),
        "turn": torch.tensor([[1.0, 0], [0, 1]]),
    }
    known = {"turn": torch.tensor([True, False])}
    flags = torch.zeros(2, dtype=torch.bool)
    objects = Objects(
        torch.zeros(2, dtype=torch.int64), torch.tensor([0, 1]), flags, boxes, values, known, (ENDS, TURN)
    )
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    return objects, Batch(images, objects, torch.ones(1, 2, 3, dtype=torch.bool), [None], [0], [])


def test_targets_of_other_fields_by_hand() -> None:
    _, batch = posts_batch()
    places = center_targets(batch, 2, 4, 0.3, 0, POSTS, 2.0).places
    assert places.cells is not None
    assert places.cells.tolist() == [[4 * 16 + 4, 6 * 16 + 12]]
    assert places.goals["ends"][0].T.tolist() == [[-2, -2, 2, -2, 0, 2], [-2, 4, 2, 4, 0, -4]]
    assert places.goals["turn"][0].T.tolist() == [[1, 0], [0, 1]]
    assert {name: each.tolist() for name, each in places.weights.items()} == {
        "ends": [[1, 1]], "turn": [[1, 0]], "offset": [[1, 1]]
    }  # fmt: skip


def box_gradients(batch: Batch) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """The terms of untrained maps, and the gradient of each map where class 0 (cell 4) and class 1 (cell 12) lie."""
    maps = box_maps(*(torch.full((1, 2, 16, 16), 0.25).requires_grad_() for _ in range(3)))
    terms = label_terms(maps, center_targets(batch, 2, 4, 0.3, 0, BOXES, 2.0), BRANCHES)
    sum(terms.values()).backward()
    heat, size, offset = (each.grad[0] for each in every_map(maps))
    at = {"heatmap": heat, "size": size, "offset": offset}
    return {term.label: value.item() for term, value in terms.items()}, {
        name: torch.stack([each[:, 4, 4].abs().max(), each[:, 4, 12].abs().max()]) for name, each in at.items()
    }


def two_boxes(supervised: list[list[bool]]) -> Batch:
    batch = box_batch(
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [torch.tensor([[8.0, 8, 25, 25], [40, 8, 57, 25]])],
        [torch.tensor([0, 1])], [torch.zeros(2, dtype=torch.bool)], torch.ones(1, 2, dtype=torch.bool),
    )  # fmt: skip
    return batch._replace(supervised=torch.tensor([supervised]))


def test_a_field_that_is_not_labelled_gets_no_gradient() -> None:
    _, both = box_gradients(two_boxes([[True, True], [True, True]]))
    _, rough = box_gradients(two_boxes([[True, False], [True, True]]))
    assert all((each > 0).all() for each in both.values())
    assert (rough["size"] > 0).tolist() == [False, True]
    assert torch.equal(rough["heatmap"], both["heatmap"])
    assert torch.equal(rough["offset"], both["offset"])
    terms, none = box_gradients(two_boxes([[True, False], [True, False]]))
    assert terms["size"] == 0
    assert not none["size"].any()
    assert none["offset"].all()


def test_objects_may_be_known_in_part() -> None:
    batch = two_boxes([[True, True], [True, True]])
    known = batch.objects._replace(known={"size": torch.tensor([False, True])})
    _, found = box_gradients(batch._replace(objects=known))
    assert (found["size"] > 0).tolist() == [False, True]
    assert found["offset"].all()


@pytest.mark.parametrize(
    ("fields", "table"),
    [
        (None, [[True, True], [False, False]]),
        ((), [[True, False], [False, False]]),
        (("size",), [[True, True], [False, False]]),
    ],
)
def test_supervision_says_class_and_field(fields: tuple[str, ...] | None, table: list[list[bool]]) -> None:
    record = make_record("a.png", 1, [[0, 0, 4, 4]], [0])
    dataset = Dataset(Path("."), "coco", ("cat",), (1,), [record], [], fields=fields)
    (entry,) = SampleSource([dataset], ["cat", "dog"]).entries
    assert entry.supervised.tolist() == table


def silent(batch: Batch, teacher_channels: list[int]) -> TeacherOutput:
    raise AssertionError("nobody asks")


def distiller(task: Task, labels: bool, student: Task = BOXES, model: Any = silent) -> Distiller:
    """One teacher that teaches the second of three classes."""
    teacher = Teacher("it", model, ("b",), task)
    channel_map = ChannelMap([0], [1], dict.fromkeys(task.attributes, torch.ones(1)))
    branches = {field.name: Branch(8, 8, field) for field in student.branches}
    return Distiller([teacher], [channel_map], DISTILL_LOSSES["response"], "abc", student, branches, labels, 10)


@pytest.mark.parametrize(
    ("task", "labels", "table"),
    [
        (BOXES, False, [[True, True], [False, False], [True, True]]),
        (CENTERS, False, [[True, True], [False, True], [True, True]]),
        (POSTS, False, [[True, True], [False, True], [True, True]]),
        (CENTERS, True, [[True, True]] * 3),
    ],
)
def test_labels_teach_the_attributes_that_the_teacher_lacks(task: Task, labels: bool, table: list[list[bool]]) -> None:
    given = distiller(task, labels)
    assert given.by_labels.tolist() == table
    batch = box_batch(
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8), [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)],
        [torch.zeros(0, dtype=torch.bool)], torch.tensor([[True, True, False]]),
    )  # fmt: skip
    assert given.mask_labels(batch).supervised[0].tolist() == [*table[:2], [False, False]]
    assert batch.supervised[0].tolist() == [[True, True], [True, True], [False, False]]


@pytest.mark.parametrize(("task", "taught"), [(BOXES, {"heatmap", "size", "offset"}), (CENTERS, {"heatmap", "offset"})])
def test_a_teacher_teaches_the_fields_that_both_have(task: Task, taught: set[str]) -> None:
    rng = torch.Generator().manual_seed(0)
    maps = box_maps(*(torch.randn(1, channels, 8, 8, generator=rng) for channels in (1, 2, 2)))
    fields = {field.name: maps.fields[field.name] for field in task.branches}
    given = distiller(task, True, model=lambda batch, teacher_channels: TeacherOutput(Maps(maps.heatmap, fields)))
    student = box_maps(*(torch.randn(1, channels, 8, 8, generator=rng) for channels in (3, 2, 2)))
    terms = given.terms(student, torch.zeros(1, 4, 8, 8), pictures(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)))
    assert {term.field for term in terms} == taught
    assert {(term.teacher, term.classes) for term in terms} == {("it", ("b",))}
    assert {term.label for term in terms} == {f"kd/it/{name}" for name in taught}


def test_detections_of_other_lengths_are_rendered() -> None:
    """Fields that the box tells, in cells, at the cells around a peak alone."""
    boxes, scores = torch.tensor([[[8.0, 8, 24, 16]]]), torch.tensor([[0.9]])
    maps = maps_from_detections(boxes, scores, torch.tensor([[1]]), BOXES, 2, 4, (32, 32))
    assert maps.fields["size"][0, :, 3, 4].tolist() == [4, 2]
    assert maps.fields["offset"][0, :, 3, 4].tolist() == [0, 0]
    assert maps.fields["offset"][0, :, 2, 3].tolist() == [1, 1]
    assert int((maps.fields["size"][0, 0] > 0).sum()) == 9


def test_relative_lengths_are_those_of_any_field_of_lengths() -> None:
    span = Branch(8, 8, Field("span", Lengths))
    assert span.loss(torch.full((1, 1, 1), 12.0), torch.full((1, 1, 1), 10.0), relative=True).item() == pytest.approx(
        0.2
    )


def test_a_configuration_may_say_which_fields_are_labelled(scenes: Path) -> None:
    given = [
        DataEntry(path=str(scenes)),
        DataEntry(path=str(scenes), fields=()),
        DataEntry(path=str(scenes), fields="size"),
    ]
    assert [dataset.fields for dataset in build_datasets(given)] == [None, (), ("size",)]
    source = SampleSource(build_datasets(given[1:2]), "0123456789")
    assert source.entries[0].supervised.tolist() == [[True, False]] * 10


@pytest.mark.slow
@pytest.mark.parametrize("fields", ["", ", fields: [size]"])
def test_data_that_labels_sizes_trains_them(
    fields: str, scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    data = [f"data.train=[{{path: {scenes}{fields}}}, {{path: {scenes}, fields: []}}]", "data.val=[]"]
    run = build_run(load_config("nano", [*small_overrides, *data]), tmp_path)
    batch = next(iter(run.batches))
    told = batch.supervised.any(dim=1)  # by picture: centres, sizes
    assert told[:, 0].all()
    assert 0 < told[:, 1].sum() < len(told)
    run.trainer.fit(run.module, run.batches)
    assert {term.label: value > 0 for term, value in run.module.terms.items()} == dict.fromkeys(
        ("heatmap", "size", "offset"), True
    )


def test_a_size_that_nobody_teaches_ends_a_run_before_it_starts(
    scenes: Path, small_overrides: list[str], tmp_path: Path
) -> None:
    data = [f"data.train=[{{path: {scenes}, fields: []}}]", "data.val=[]"]
    with pytest.raises(InputError, match=r"nobody teaches the size of 0, .* of which only centres are labelled"):
        build_run(load_config("nano", [*small_overrides, *data]), tmp_path)


@pytest.mark.parametrize(
    ("shared", "center", "size"),
    [("average", [0.5, 0.5], [None, 1]), ("points", [1, 0], [None, 1]), ("boxes", [None, 1], [None, 1])],
)
def test_teachers_of_one_class_share_what_both_teach(
    shared: str, center: list[float | None], size: list[float | None]
) -> None:
    """A teacher of points and one of boxes: the size is the second one's, whoever is preferred for the centre."""
    teachers = [Teacher("points", silent, ("a",), CENTERS), Teacher("boxes", silent, ("a",), BOXES)]
    if shared == "boxes":
        with pytest.raises(InputError, match="points is left without a class to teach"):
            map_channels(teachers, ["a"], shared, BOXES)
        return
    maps = map_channels(teachers, ["a"], shared, BOXES)
    for name, due in (("center", center), ("size", size)):
        assert [each.weights[name].item() if name in each.weights else None for each in maps] == due


def test_objects_without_a_field_are_made_with_zeros() -> None:
    objects = make_objects(np.zeros((1, 4)), np.zeros(1, dtype=np.int64)).with_fields(POSTS.fields)
    assert (objects.values["ends"].shape, objects.values["turn"].shape) == ((1, 6), (1, 2))
    assert not any(each.any() for each in objects.known.values())
