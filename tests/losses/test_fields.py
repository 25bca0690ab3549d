"""The loss on fields at places, by hand."""

import pytest
import torch
from torch import Tensor

from centerx.fields import Angle, Field, Lengths, Points, Scalar
from centerx.losses.terms import field_terms
from centerx.models import Branch
from centerx.types import Places

LENGTHS = Branch(8, 8, Field("it", Lengths, 2))


def maps_with(values: dict[tuple[int, int, int], tuple[float, float]]) -> torch.Tensor:
    """(2, 2, 3, 4) maps of 1000 with (picture, y, x) -> values set."""
    maps = torch.full((2, 2, 3, 4), 1000.0)
    for (picture, y, x), pair in values.items():
        maps[picture, :, y, x] = torch.tensor(pair)
    return maps


def summed(
    maps: Tensor, index: Tensor | None, target: Tensor, weight: Tensor, relative: bool = False, total: float = 1.0
) -> Tensor:
    """The term of one field; targets (B, P, D), weights (B, P)."""
    places = Places(index, {"it": target.transpose(1, 2)}, {"it": weight.float()})
    terms = field_terms({"it": LENGTHS}, {"it": maps}, places, {"it": torch.tensor(total)}, relative)
    assert terms.keys() == {"it"}
    return terms["it"]


def test_by_hand():
    maps = maps_with({(0, 1, 2): (5.0, 7.0), (0, 2, 3): (1.0, 1.0), (1, 0, 0): (-2.0, 0.5)})
    index = torch.tensor([[1 * 4 + 2, 2 * 4 + 3], [0, 0]])
    target = torch.tensor([[[4.0, 10.0], [1.0, 1.0]], [[2.0, 0.0], [9.0, 9.0]]])
    valid = torch.tensor([[True, True], [True, False]])
    # |5 - 4| and |7 - 10| average to 2; an exact object costs 0; |-2 - 2| and 0.5 average to 2.25; padding 0
    assert float(summed(maps, index, target, valid)) == pytest.approx(4.25)
    assert float(summed(maps, index, target, valid, total=2.0)) == pytest.approx(4.25 / 2)
    assert float(summed(maps, index, target, valid * torch.tensor([[0.5, 1], [2, 1]]))) == pytest.approx(1 + 4.5)


def test_width_and_height_are_not_mixed_up():
    maps = maps_with({(0, 0, 1): (3.0, 8.0)})
    index, valid = torch.tensor([[1], [0]]), torch.tensor([[True], [False]])
    assert float(summed(maps, index, torch.tensor([[[3.0, 8.0]]] * 2), valid)) == 0
    assert float(summed(maps, index, torch.tensor([[[8.0, 3.0]]] * 2), valid)) == 5


def test_gradient_reaches_the_centre_cells_only():
    maps = maps_with({(0, 1, 2): (5.0, 7.0)}).requires_grad_(True)
    index, valid = torch.tensor([[6, 0], [0, 0]]), torch.tensor([[True, False], [False, False]])
    summed(maps, index, torch.tensor([4.0, 10.0]).expand(2, 2, 2), valid).backward()
    expected = torch.zeros(2, 2, 3, 4)
    expected[0, :, 1, 2] = torch.tensor([0.5, -0.5])
    assert torch.equal(maps.grad, expected)


def test_no_objects_cost_nothing_and_keep_the_graph():
    maps = torch.randn(2, 2, 3, 4, requires_grad=True)
    nothing = torch.zeros(2, 0, 2)
    loss = summed(maps, torch.zeros(2, 0, dtype=torch.long), nothing, torch.zeros(2, 0, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(maps.grad, torch.zeros(2, 2, 3, 4))


def test_half_precision_maps_are_compared_in_full():
    maps = torch.full((1, 2, 1, 1), 100.0, dtype=torch.bfloat16)
    target, valid = torch.full((1, 1, 2), 100.25), torch.ones(1, 1, dtype=torch.bool)
    loss = summed(maps, torch.zeros(1, 1, dtype=torch.long), target, valid)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(0.25)


def test_relative_errors_of_small_and_large_objects_weigh_the_same():
    """A tenth too large, of 4 x 4 and of 200 x 200 pixels, one and fifty cells: each costs a tenth."""
    index, valid = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[True, True], [False, False]])
    target = torch.tensor([[[1.0, 1.0], [50.0, 50.0]], [[0.0, 0.0], [0.0, 0.0]]])
    maps = maps_with({(0, 0, 0): (1.1, 1.1), (0, 0, 1): (55.0, 55.0)}).requires_grad_(True)
    loss = summed(maps, index, target, valid, relative=True)
    assert loss.item() == pytest.approx(0.2, rel=1e-5)
    loss.backward()
    assert maps.grad[0, 0, 0, 0] == pytest.approx(0.5)
    assert maps.grad[0, 0, 0, 1] == pytest.approx(0.5 / 50)
    small = summed(maps, index[:, :1], target[:, :1], valid[:, :1], relative=True)
    assert small.item() == pytest.approx(0.1, rel=1e-5)


def test_relative_errors_divide_by_the_mean_side_and_stay_finite_near_size_zero():
    maps = maps_with({(0, 0, 0): (5.0, 7.0), (0, 0, 1): (3.0, 3.0)})
    index, valid = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[True, True], [False, False]])
    target = torch.tensor([[[4.0, 10.0], [1e-6, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    # |5 - 4| and |7 - 10| average to 2, over a mean side of 7; 3 over at least one cell
    assert float(summed(maps, index, target, valid, relative=True)) == pytest.approx(2 / 7 + 3, rel=1e-5)


@pytest.mark.parametrize(
    ("field", "relative_is_another"),
    [
        (Field("x", Lengths, 2), True),
        (Field("x", Points), False),
        (Field("x", Angle), False),
        (Field("x", Scalar, 2), False),
    ],
)
def test_only_lengths_have_relative_errors(field: Field, relative_is_another: bool):
    said, goal = torch.full((1, 2, 1), 14.0), torch.full((1, 2, 1), 10.0)
    branch = Branch(8, 8, field)
    assert branch.loss(said, goal).tolist() == [[4.0]]
    assert branch.loss(said, goal, relative=True).tolist() == [[pytest.approx(0.4) if relative_is_another else 4.0]]


def test_places_without_an_index_are_all_cells_in_order():
    maps = torch.arange(48.0).view(2, 2, 3, 4)
    target = maps.flatten(2).transpose(1, 2).clone()
    weight = torch.ones(2, 12)
    assert float(summed(maps, None, target, weight)) == 0
    target[1, 7] += torch.tensor([3.0, 1.0])
    weight[1, 7] = 0.5
    assert float(summed(maps, None, target, weight)) == pytest.approx(0.5 * 2)


def test_each_field_has_its_own_weights_and_total():
    maps = {"a": torch.zeros(1, 2, 1, 2), "b": torch.zeros(1, 2, 1, 2)}
    goals = {"a": torch.full((1, 2, 2), 3.0), "b": torch.full((1, 2, 2), 5.0)}
    weights = {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[1.0, 1.0]])}
    totals = {"a": torch.tensor(1.0), "b": torch.tensor(4.0)}
    terms = field_terms(dict.fromkeys("ab", LENGTHS), maps, Places(torch.tensor([[0, 1]]), goals, weights), totals)
    assert {name: float(term) for name, term in terms.items()} == {"a": 3.0, "b": 2.5}
