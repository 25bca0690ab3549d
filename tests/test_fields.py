"""Fields: the four kinds of geometry by hand, and the same lines in NumPy and torch."""

import math
import pickle

import numpy as np
import pytest
import torch

from centerx.detector import mirror
from centerx.fields import OFFSET, SIZE, Angle, Field, Lengths, Points, Scalar
from centerx.geometry import rotation_matrix, scale_matrix, shift_matrix

KINDS = (Scalar, Lengths, Points, Angle)
LEFT_RIGHT = Field("ends", Points, 3, flip=(1, 0, 2))  # left, right, top
MIRROR = shift_matrix(10, 0) @ scale_matrix(-1, 1)  # of a picture of 10 pixels width


def doubled(*degrees: float) -> list[float]:
    """Cosine and sine of twice each angle."""
    return [part(math.radians(2 * each)) for each in degrees for part in (math.cos, math.sin)]


@pytest.mark.parametrize("num_values", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_decoding_gives_back_what_was_encoded(kind: type[Scalar], num_values: int) -> None:
    """At P places and at every cell of a grid, in both libraries, with equal results."""
    rng = np.random.default_rng(num_values)
    channels = Field("x", kind, num_values).channels
    values, cell = rng.uniform(0, 9, (7, channels)), rng.integers(0, 9, (7, 2)).astype(float)
    dense, grid = rng.uniform(0, 9, (2, channels, 3, 4)), np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)))
    for given, cells in ((values, cell), (dense, grid)):
        said = kind.encode(given, cells)
        back = kind.decode(said, cells)
        assert said.shape == back.shape == given.shape
        np.testing.assert_allclose(back, given, atol=1e-12)
        torch_said = kind.encode(torch.from_numpy(given), torch.from_numpy(cells))
        assert np.array_equal(torch_said.numpy(), said)
        assert np.array_equal(kind.decode(torch_said, torch.from_numpy(cells)).numpy(), back)


@pytest.mark.parametrize("kind", KINDS)
def test_places_and_dense_maps_are_one_geometry(kind: type[Scalar]) -> None:
    """The value of a dense map at a cell is that of the place of this cell."""
    rng = np.random.default_rng(0)
    dense, grid = rng.uniform(0, 9, (1, 4, 3, 5)), np.stack(np.meshgrid(np.arange(5.0), np.arange(3.0)))
    places, cells = dense[0].reshape(4, -1).T, grid.reshape(2, -1).T
    for change in (kind.encode, kind.decode):
        np.testing.assert_array_equal(change(dense, grid)[0].reshape(4, -1).T, change(places, cells))


def test_points_are_relative_to_their_cell_and_lengths_are_never_negative() -> None:
    cell = np.array([[3.0, 2.0]])
    assert Points.encode(np.array([[3.25, 4.0, 1.0, 2.5]]), cell).tolist() == [[0.25, 2.0, -2.0, 0.5]]
    assert Lengths.decode(np.array([[-1.0, 2.0]]), cell).tolist() == [[0.0, 2.0]]
    assert Scalar.decode(np.array([[-1.0, 2.0]]), cell).tolist() == [[-1.0, 2.0]]


# kind, values, matrix, what they become
WARPS = {
    "a number stays": (Scalar, [[-2.0]], scale_matrix(3, 3) @ rotation_matrix(30), [[-2.0]]),
    "lengths grow with the picture": (Lengths, [[2.0, 5.0]], scale_matrix(3, 3), [[6.0, 15.0]]),
    "lengths grow by the root of the area": (Lengths, [[2.0]], scale_matrix(4, 9), [[12.0]]),
    "lengths bear rotation and shift": (Lengths, [[2.0]], shift_matrix(5, 6) @ rotation_matrix(77), [[2.0]]),
    "lengths bear a mirror": (Lengths, [[2.0]], MIRROR, [[2.0]]),
    "points are shifted": (Points, [[1.0, 2.0, 3.0, 4.0]], shift_matrix(10, -1), [[11.0, 1.0, 13.0, 3.0]]),
    "points are scaled": (Points, [[1.0, 2.0]], scale_matrix(2, 3), [[2.0, 6.0]]),
    "points are mirrored": (Points, [[1.0, 2.0]], MIRROR, [[9.0, 2.0]]),
    "points are turned": (Points, [[2.0, 0.0]], rotation_matrix(90), [[0.0, 2.0]]),
    "an angle is turned": (Angle, [doubled(10, 170)], rotation_matrix(30), [doubled(40, 20)]),
    "half a turn is no turn": (Angle, [doubled(10)], rotation_matrix(180), [doubled(10)]),
    "an angle bears shift and scale": (Angle, [doubled(10)], shift_matrix(3, 4) @ scale_matrix(2, 2), [doubled(10)]),
    "an angle is mirrored": (Angle, [doubled(10, 90)], MIRROR, [doubled(-10, 90)]),
    "an angle in a stretched picture": (Angle, [doubled(45)], scale_matrix(1, math.sqrt(3)), [doubled(60)]),
}


@pytest.mark.parametrize("name", WARPS)
def test_warps_by_hand(name: str) -> None:
    kind, values, matrix, expected = WARPS[name]
    moved = kind.warp(np.array(values), matrix)
    np.testing.assert_allclose(moved, expected, atol=1e-9)
    single = kind.warp(np.array(values, dtype=np.float32), matrix)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5)
    assert Field("x", kind, 4, flip=(1, 0, 3, 2)).warp(np.zeros((0, 4 * kind.channels)), matrix).size == 0


def test_directions_half_a_turn_apart_have_one_value() -> None:
    assert doubled(25) == pytest.approx(doubled(205))
    np.testing.assert_allclose(Angle.warp(np.array([doubled(25)]), rotation_matrix(1e-3)), [doubled(25)], atol=1e-4)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (MIRROR, [[2, 1, 9, 1, 5, 0]]),  # (8, 1) has become the left end
        (rotation_matrix(90), [[-1, 1, -1, 8, 0, 5]]),
        (rotation_matrix(180), [[-1, -1, -8, -1, -5, 0]]),
        (shift_matrix(1, 0), [[2, 1, 9, 1, 6, 0]]),
        (MIRROR @ rotation_matrix(180), [[18, -1, 11, -1, 15, 0]]),  # turned and mirrored
    ],
)
def test_names_of_points_are_exchanged_by_a_mirror_alone(matrix: np.ndarray, expected: list[list[float]]) -> None:
    values = np.array([[1.0, 1.0, 8.0, 1.0, 5.0, 0.0]])
    np.testing.assert_allclose(LEFT_RIGHT.warp(values, matrix), expected, atol=1e-9)


@pytest.mark.parametrize(("kind", "factor"), [(Scalar, 1), (Lengths, 4), (Points, 4), (Angle, 1)])
def test_scale(kind: type[Scalar], factor: float) -> None:
    values = np.array([[1.0, -2.0], [3.0, 0.5]])
    assert kind.scale(values, 4).tolist() == (factor * values).tolist()
    assert kind.scale(torch.from_numpy(values), 4).tolist() == (factor * values).tolist()


FIELDS = [SIZE, OFFSET, LEFT_RIGHT, Field("turn", Angle), Field("turns", Angle, 2, flip=(1, 0)), Field("far", Scalar)]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_mirror_of_a_mirrored_map_is_the_map(field: Field) -> None:
    maps = torch.randn(2, field.channels, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once = mirror(maps, field)
    assert once.shape == maps.shape
    assert not torch.equal(once, maps)
    torch.testing.assert_close(mirror(once, field), maps)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_mirrored_map_says_what_warped_objects_would(field: Field) -> None:
    """A map of 4 cells' width, in cells: values decoded at the mirrored cell are those of the moved object."""
    generator = np.random.default_rng(0)
    values = generator.uniform(0, 4, (1, field.channels))
    if field.kind is Angle:
        values = np.array([doubled(*generator.uniform(0, 180, field.num_values))])
    column, row = 1, 2
    maps = torch.zeros(1, field.channels, 3, 4, dtype=torch.float64)
    maps[0, :, row, column] = torch.from_numpy(field.kind.encode(values, np.array([[column, row]]))[0])
    seen = mirror(maps, field)[:, :, row, 3 - column].numpy()
    found = field.kind.decode(seen, np.array([[3 - column, row]]))
    np.testing.assert_allclose(found, field.warp(values, shift_matrix(4, 0) @ scale_matrix(-1, 1)), atol=1e-9)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_worker_gives_back_the_very_kind(field: Field) -> None:
    back = pickle.loads(pickle.dumps(field))
    assert back == field
    assert back.kind is field.kind


def test_channels() -> None:
    assert (SIZE.channels, OFFSET.channels, LEFT_RIGHT.channels, Field("turn", Angle).channels) == (2, 2, 6, 2)
