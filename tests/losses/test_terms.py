"""The whole label loss: divisor, weights, and batches that ask for little or nothing."""

from typing import Any

import pytest
import torch

from centerx.losses.balance import FixedWeights
from centerx.losses.heatmap import heatmap_focal
from centerx.losses.terms import label_terms
from centerx.targets import center_targets
from centerx.tasks import BOXES
from centerx.types import Maps, Targets
from tests.made import BRANCHES, box_batch, box_maps, every_map


def make_targets(boxes: list[list[list[float]]], annotated: list[list[bool]]) -> Targets:
    """Boxes of class 0 on 32 x 32 pictures, with two classes."""
    rows = [torch.tensor(some).reshape(-1, 4) for some in boxes]
    batch = box_batch(
        torch.zeros((len(rows), 3, 32, 32), dtype=torch.uint8),
        rows,
        [torch.zeros(len(row), dtype=torch.long) for row in rows],
        [torch.zeros(len(row), dtype=torch.bool) for row in rows],
        torch.tensor(annotated),
    )
    return center_targets(batch, 2, stride=4, min_overlap=0.3, reach=0, task=BOXES, point_radius=2.0)


def terms_of(maps: Maps, targets: Targets, **options: Any) -> dict[str, torch.Tensor]:
    """The raw terms by their labels."""
    return {term.label: value for term, value in label_terms(maps, targets, BRANCHES, **options).items()}


def make_outputs(pictures: int, value: float = 0.5, dtype: torch.dtype = torch.float32) -> Maps:
    return box_maps(*(torch.full((pictures, n, 8, 8), value, dtype=dtype).requires_grad_(True) for n in (2, 2, 2)))


BALANCE = FixedWeights({"heatmap": 1.0, "size": 0.1, "offset": 1.0})
BOTH = [True, True]


def test_terms_by_hand():
    """Three objects, their sizes 2, 4 and 2 cells a side, centres on cell corners; the network says 0.5 everywhere."""
    targets = make_targets([[[4, 4, 12, 12], [8, 8, 24, 24]], [[20, 20, 28, 28]]], [BOTH, BOTH])
    outputs = make_outputs(2)
    terms = terms_of(outputs, targets)
    assert terms["size"].item() == pytest.approx((1.5 + 3.5 + 1.5) / 3)
    assert terms["offset"].item() == pytest.approx(0.5)
    focal = heatmap_focal(outputs.heatmap, targets.heatmap, targets.weight)
    assert terms["heatmap"].item() == pytest.approx(focal.item() / 3)
    total = terms["heatmap"].item() + 0.1 * terms["size"].item() + terms["offset"].item()
    assert BALANCE(terms)[0].item() == pytest.approx(total)


def test_the_divisor_is_the_batch_not_the_picture():
    """Padding and the split over pictures do not matter: four objects on one picture or on four cost the same."""
    four = [[4.0, 4, 12, 12], [20, 4, 28, 12], [4, 20, 12, 28], [20, 20, 28, 28]]
    together = make_targets([four, [], [], []], [BOTH] * 4)
    apart = make_targets([[box] for box in four], [BOTH] * 4)
    outputs = make_outputs(4)
    first, second = terms_of(outputs, together), terms_of(outputs, apart)
    for name in ("size", "offset", "heatmap"):
        assert first[name].item() == pytest.approx(second[name].item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("annotated", [BOTH, [False, False]])
def test_batches_without_objects_stay_finite(dtype, value, annotated):
    outputs = make_outputs(2, value, dtype)
    loss, _ = BALANCE(terms_of(outputs, make_targets([[], []], [annotated] * 2)))
    loss.backward()
    assert torch.isfinite(loss)
    assert loss.shape == ()
    for maps in every_map(outputs):
        assert torch.isfinite(maps.grad).all()
    if not any(annotated):
        assert loss.item() == 0
        assert outputs.heatmap.grad.abs().max() == 0


def test_unannotated_channels_get_exactly_no_gradient():
    objects = [[4.0, 4, 12, 12], [16, 16, 28, 28]]
    outputs = make_outputs(2, value=5.0)
    targets = make_targets([objects, objects], [[True, False], [False, True]])
    BALANCE(terms_of(outputs, targets))[0].backward()
    silent = torch.stack([outputs.heatmap.grad[0, 1], outputs.heatmap.grad[1, 0]])
    assert torch.all(silent == 0)
    assert outputs.heatmap.grad[0, 0].abs().min() > 0
    assert outputs.fields["size"].grad[0].abs().max() > 0
    assert outputs.fields["size"].grad[1].abs().max() == outputs.fields["offset"].grad[1].abs().max() == 0


def test_a_weight_of_zero_removes_a_term():
    targets = make_targets([[[4, 4, 12, 12]]], [BOTH])
    outputs = make_outputs(1, value=3.0)
    balance = FixedWeights({"heatmap": 0.0, "size": 1.0, "offset": 0.0})
    balance(terms_of(outputs, targets))[0].backward()
    assert outputs.heatmap.grad.abs().max() == outputs.fields["offset"].grad.abs().max() == 0
    assert outputs.fields["size"].grad.abs().max() > 0


def test_squared_heatmap_is_the_mean_over_supervised_cells():
    """The original's mean squared error, where every class is labelled; cells of no weight count nowhere."""
    outputs = make_outputs(2, value=1.0)
    whole = make_targets([[[4, 4, 12, 12]], []], [BOTH, BOTH])
    judge = torch.nn.functional.mse_loss(outputs.heatmap.sigmoid(), whole.heatmap)
    assert terms_of(outputs, whole, squared_heatmap=True)["heatmap"].item() == pytest.approx(judge.item(), rel=1e-5)
    half = make_targets([[[4, 4, 12, 12]], []], [[True, False]] * 2)
    judge = torch.nn.functional.mse_loss(outputs.heatmap.sigmoid()[:, :1], half.heatmap[:, :1])
    assert terms_of(outputs, half, squared_heatmap=True)["heatmap"].item() == pytest.approx(judge.item(), rel=1e-5)
    nothing = make_targets([[], []], [[False, False]] * 2)
    assert terms_of(outputs, nothing, squared_heatmap=True)["heatmap"].item() == 0


def test_relative_size_does_not_fall_with_the_number_of_objects():
    few = make_targets([[[4, 4, 12, 12]]], [BOTH])
    many = make_targets([[[4, 4, 12, 12], [20, 4, 28, 12], [4, 20, 12, 28]]], [BOTH])
    first, second = (terms_of(make_outputs(1), each, relative_size=True)["size"].item() for each in (few, many))
    assert first == second == pytest.approx(1.5 / 2)  # sides of two cells, the network says half a cell


def test_class_weights_scale_the_heatmap_of_their_class_alone():
    targets = make_targets([[[4, 4, 12, 12]]], [BOTH])
    outputs = make_outputs(1)
    plain, weighted = terms_of(outputs, targets), terms_of(outputs, targets, class_weights=(3.0, 0.5))
    first, second = (
        heatmap_focal(outputs.heatmap[:, [c]], targets.heatmap[:, [c]], targets.weight[:, [c]]).item() for c in (0, 1)
    )
    assert plain["heatmap"].item() == pytest.approx(first + second)
    assert weighted["heatmap"].item() == pytest.approx(3 * first + 0.5 * second)
    assert weighted["size"].item() == plain["size"].item()
