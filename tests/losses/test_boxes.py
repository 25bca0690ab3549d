"""L1 at the centre cells, by hand."""

import pytest
import torch

from centerx.losses.boxes import l1_at_centers


def maps_with(values: dict[tuple[int, int, int], tuple[float, float]]) -> torch.Tensor:
    """(2, 2, 3, 4) maps of 1000 with (picture, y, x) -> values set."""
    maps = torch.full((2, 2, 3, 4), 1000.0)
    for (picture, y, x), pair in values.items():
        maps[picture, :, y, x] = torch.tensor(pair)
    return maps


def test_by_hand():
    maps = maps_with({(0, 1, 2): (5.0, 7.0), (0, 2, 3): (1.0, 1.0), (1, 0, 0): (-2.0, 0.5)})
    index = torch.tensor([[1 * 4 + 2, 2 * 4 + 3], [0, 0]])
    target = torch.tensor([[[4.0, 10.0], [1.0, 1.0]], [[2.0, 0.0], [9.0, 9.0]]])
    valid = torch.tensor([[True, True], [True, False]])
    # |5 - 4| and |7 - 10| average to 2; an exact object costs 0; |-2 - 2| and 0.5 average to 2.25; padding 0
    assert float(l1_at_centers(maps, index, target, valid)) == pytest.approx(4.25)


def test_width_and_height_are_not_mixed_up():
    maps = maps_with({(0, 0, 1): (3.0, 8.0)})
    index, valid = torch.tensor([[1], [0]]), torch.tensor([[True], [False]])
    assert float(l1_at_centers(maps, index, torch.tensor([[[3.0, 8.0]]] * 2), valid)) == 0
    assert float(l1_at_centers(maps, index, torch.tensor([[[8.0, 3.0]]] * 2), valid)) == 5


def test_gradient_reaches_the_centre_cells_only():
    maps = maps_with({(0, 1, 2): (5.0, 7.0)}).requires_grad_(True)
    index, valid = torch.tensor([[6, 0], [0, 0]]), torch.tensor([[True, False], [False, False]])
    l1_at_centers(maps, index, torch.tensor([4.0, 10.0]).expand(2, 2, 2), valid).backward()
    expected = torch.zeros(2, 2, 3, 4)
    expected[0, :, 1, 2] = torch.tensor([0.5, -0.5])
    assert torch.equal(maps.grad, expected)


def test_no_objects_cost_nothing_and_keep_the_graph():
    maps = torch.randn(2, 2, 3, 4, requires_grad=True)
    nothing = torch.zeros(2, 0, 2)
    loss = l1_at_centers(maps, torch.zeros(2, 0, dtype=torch.long), nothing, torch.zeros(2, 0, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(maps.grad, torch.zeros(2, 2, 3, 4))


def test_half_precision_maps_are_compared_in_full():
    maps = torch.full((1, 2, 1, 1), 100.0, dtype=torch.bfloat16)
    target, valid = torch.full((1, 1, 2), 100.25), torch.ones(1, 1, dtype=torch.bool)
    loss = l1_at_centers(maps, torch.zeros(1, 1, dtype=torch.long), target, valid)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(0.25)


def test_relative_errors_of_small_and_large_objects_weigh_the_same():
    """A tenth too large, of 4 x 4 and of 200 x 200 pixels, one and fifty cells: each costs a tenth."""
    index, valid = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[True, True], [False, False]])
    target = torch.tensor([[[1.0, 1.0], [50.0, 50.0]], [[0.0, 0.0], [0.0, 0.0]]])
    maps = maps_with({(0, 0, 0): (1.1, 1.1), (0, 0, 1): (55.0, 55.0)}).requires_grad_(True)
    loss = l1_at_centers(maps, index, target, valid, relative=True)
    assert loss.item() == pytest.approx(0.2, rel=1e-5)
    loss.backward()
    assert maps.grad[0, 0, 0, 0] == pytest.approx(0.5)
    assert maps.grad[0, 0, 0, 1] == pytest.approx(0.5 / 50)
    small = l1_at_centers(maps, index[:, :1], target[:, :1], valid[:, :1], relative=True)
    assert small.item() == pytest.approx(0.1, rel=1e-5)


def test_relative_errors_divide_by_the_mean_side_and_stay_finite_near_size_zero():
    maps = maps_with({(0, 0, 0): (5.0, 7.0), (0, 0, 1): (3.0, 3.0)})
    index, valid = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[True, True], [False, False]])
    target = torch.tensor([[[4.0, 10.0], [1e-6, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    # |5 - 4| and |7 - 10| average to 2, over a mean side of 7; 3 over at least one cell
    assert float(l1_at_centers(maps, index, target, valid, relative=True)) == pytest.approx(2 / 7 + 3, rel=1e-5)
