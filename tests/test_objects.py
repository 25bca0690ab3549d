"""Objects: rows, joins, geometry, and the fields that they carry."""

import pickle

import numpy as np
import pytest
import torch

from centerx.fields import OFFSET, SIZE, Angle, Field, Lengths, Points
from centerx.geometry import rotation_matrix, scale_matrix, shift_matrix
from centerx.objects import Objects, join_objects, make_objects

TOP = Field("top", Points)
SPAN = Field("span", Lengths)
TURN = Field("turn", Angle)


def three(fields: tuple[Field, ...] = (TOP, SPAN)) -> Objects:
    """Two boxes and a point, with a point and a length each; the last length is not known."""
    boxes = np.array([[0.0, 0, 10, 4], [20, 10, 40, 50], [5, 5, 5, 5]])
    values = {"area": np.array([40.0, 700, 0]), "top": np.array([[5.0, 0], [30, 12], [5, 5]]),
              "span": np.array([[3.0], [7], [0]])}  # fmt: skip
    objects = make_objects(boxes, np.array([2, 0, 1]), np.array([False, True, False]), values,
                           {"span": np.array([True, True, False])})  # fmt: skip
    return objects._replace(fields=fields)


def test_values_of_a_box() -> None:
    objects = three()
    assert objects.centers.tolist() == objects.value(OFFSET).tolist() == [[5, 2], [30, 30], [5, 5]]
    assert objects.sizes.tolist() == objects.value(SIZE).tolist() == [[10, 4], [20, 40], [0, 0]]
    assert objects.value(SPAN).tolist() == [[3], [7], [0]]


@pytest.mark.parametrize("keep", [np.array([True, False, True]), np.array([0, 2]), [0, 2]])
def test_where_selects_rows_of_everything(keep: object) -> None:
    kept = three().where(keep)
    assert kept.labels.tolist() == [2, 1]
    assert kept.image.tolist() == [0, 0]
    assert kept.ignore.tolist() == [False, False]
    assert kept.boxes.tolist() == [[0, 0, 10, 4], [5, 5, 5, 5]]
    assert {name: rows.tolist() for name, rows in kept.values.items()} == {
        "area": [40, 0], "top": [[5, 0], [5, 5]], "span": [[3], [0]]
    }  # fmt: skip
    assert kept.known["span"].tolist() == [True, False]
    assert kept.fields == (TOP, SPAN)


def test_map_changes_every_array() -> None:
    tensors = three().map(torch.from_numpy)
    arrays = [tensors.image, tensors.labels, tensors.ignore, tensors.boxes, *tensors.values.values()]
    assert all(isinstance(each, torch.Tensor) for each in [*arrays, *tensors.known.values()])
    assert (tensors.values.keys(), tensors.known.keys()) == ({"area", "top", "span"}, {"span"})
    assert tensors.fields == (TOP, SPAN)
    assert tensors.sizes.tolist() == three().sizes.tolist()


def test_join_keeps_the_order_and_what_is_known() -> None:
    first = three()
    second = first._replace(image=first.image + 1, known={"top": np.array([False, True, True])})
    joined = join_objects([first, second])
    assert joined.image.tolist() == [0, 0, 0, 1, 1, 1]
    assert joined.labels.tolist() == [2, 0, 1] * 2
    assert joined.boxes.tolist() == [*first.boxes.tolist()] * 2
    assert joined.values["top"].tolist() == [*first.values["top"].tolist()] * 2
    assert joined.known["span"].tolist() == [True, True, False, True, True, True]
    assert joined.known["top"].tolist() == [True, True, True, False, True, True]
    assert joined.fields == (TOP, SPAN)


def test_what_moves_stays_and_is_not_known_of_parts_that_lack_it() -> None:
    """`area` is no field: of parts that do not all have it, it goes."""
    lacks = three()._replace(values={"top": np.zeros((3, 2))})
    for parts, known in (
        ([three(), lacks], [True, True, False] + [False] * 3),
        ([lacks, three()], [False] * 3 + [True, True, False]),
    ):
        joined = join_objects(parts)
        assert joined.values.keys() == {"top", "span"}
        assert joined.known["span"].tolist() == known
    same = join_objects([three(), three()]).values["span"][:3]
    np.testing.assert_array_equal(join_objects([three(), lacks]).values["span"][:3], same)


def test_parts_without_objects_neither_add_nor_take_away() -> None:
    """An empty batch has no fields at all, as it has none to carry."""
    nothing = make_objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    for parts in ([nothing, three()], [three(), nothing], [nothing, three(), nothing]):
        joined = join_objects(parts)
        assert joined.labels.tolist() == [2, 0, 1]
        assert joined.values.keys() == {"area", "top", "span"}
        assert joined.fields == (TOP, SPAN)
    tensors = [part.map(torch.from_numpy) for part in (nothing, three())]
    assert join_objects(tensors, torch.cat).values["span"].tolist() == [[3], [7], [0]]
    assert join_objects([nothing, nothing]).boxes.shape == (0, 4)


def test_warp_moves_boxes_and_fields_and_leaves_the_rest() -> None:
    moved = three((TOP, SPAN)).warp(shift_matrix(1, 2) @ scale_matrix(2, 2))
    assert moved.boxes.tolist() == [[1, 2, 21, 10], [41, 22, 81, 102], [11, 12, 11, 12]]
    assert moved.values["top"].tolist() == [[11, 2], [61, 26], [11, 12]]
    assert moved.values["span"].ravel().tolist() == pytest.approx([6, 14, 0])
    assert moved.values["area"].tolist() == [40, 700, 0]
    assert moved.known["span"].tolist() == [True, True, False]
    assert three(()).warp(scale_matrix(2, 2)).values["top"].tolist() == three().values["top"].tolist()


def test_a_turned_box_is_the_upright_one_around_it() -> None:
    moved = three((TOP,)).warp(shift_matrix(100, 0) @ rotation_matrix(90))
    np.testing.assert_allclose(moved.boxes, [[96, 0, 100, 10], [50, 20, 90, 40], [95, 5, 95, 5]], atol=1e-9)
    np.testing.assert_allclose(moved.values["top"], [[100, 5], [88, 30], [95, 5]], atol=1e-9)


@pytest.mark.parametrize(
    ("box", "kept", "ignored"),
    [
        ((0, 0, 10, 10), [0, 0, 10, 10], False),
        ((-4, 0, 6, 10), [0, 0, 6, 10], False),  # six tenths are inside
        ((-5, 0, 5, 10), [0, 0, 5, 10], False),  # exactly the half that is asked for
        ((-6, 0, 4, 10), [0, 0, 4, 10], True),
        ((26, 16, 36, 26), [26, 16, 30, 20], True),
        ((-10, 0, 0, 10), None, False),  # touches the border
        ((50, 50, 60, 60), None, False),
        ((7, 8, 7, 8), [7, 8, 7, 8], False),  # a point
        ((30, 20, 30, 20), [30, 20, 30, 20], False),
        ((30.5, 8, 30.5, 8), None, False),
        ((7, -0.1, 7, -0.1), None, False),
    ],
)
def test_crop(box: tuple[float, ...], kept: list[float] | None, ignored: bool) -> None:
    objects = make_objects(np.array([box], dtype=float), np.array([1]), values={"area": np.array([9.0])})
    cut = objects.crop((20, 30), min_visible=0.5)
    assert cut.boxes.tolist() == ([] if kept is None else [kept])
    assert cut.ignore.tolist() == [ignored] * len(cut.labels)
    assert len(cut.values["area"]) == len(cut.labels)


def test_what_was_ignored_stays_so() -> None:
    assert three().crop((100, 100), 0.5).ignore.tolist() == [False, True, False]


def test_with_fields_carries_those_alone() -> None:
    carried = three(()).with_fields((SIZE, SPAN, TURN))
    assert carried.fields == (SPAN, TURN)
    assert carried.values.keys() == {"span", "turn"}
    assert carried.values["span"].tolist() == [[3], [7], [0]]
    assert carried.values["turn"].tolist() == [[0, 0]] * 3
    assert {name: rows.tolist() for name, rows in carried.known.items()} == {
        "span": [True, True, False], "turn": [False] * 3
    }  # fmt: skip
    assert {each.dtype for each in (carried.boxes, *carried.values.values())} == {np.dtype(np.float32)}
    assert three().with_fields((SIZE,)).values == three().with_fields((SIZE,)).known == {}


def test_a_box_that_is_known_only_in_part_says_so() -> None:
    """What the box tells may be unknown too."""
    rough = three()._replace(known={"size": np.array([True, False, True])}).with_fields((SIZE,))
    assert rough.known["size"].tolist() == [True, False, True]
    assert rough.values == {}


def test_a_worker_gives_back_the_same_objects() -> None:
    objects = three((TOP, SPAN, TURN)).map(torch.from_numpy)
    back = pickle.loads(pickle.dumps(objects))
    assert back.fields == objects.fields
    assert [field.kind for field in back.fields] == [Points, Lengths, Angle]
    assert back.fields[1].kind is Lengths
    assert torch.equal(back.boxes, objects.boxes)
    assert torch.equal(back.values["top"], objects.values["top"])
