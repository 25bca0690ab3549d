import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from centerx.training.average import Averaging, equal_average, moving_average


def averaged(averaging: Averaging, values: list[float]) -> list[float]:
    """What the average of one weight is after each of its values."""
    layer = nn.Linear(1, 1, bias=False)
    average = AveragedModel(layer, multi_avg_fn=averaging.move)
    told = []
    for value in values:
        nn.init.constant_(layer.weight, value)
        average.update_parameters(layer)
        told.append(average.module.weight.item())
    return told


def test_the_equal_average_is_the_mean() -> None:
    torch.testing.assert_close(averaged(equal_average(0, 1), [4.0, 8.0, 0.0, 2.0]), [4.0, 6.0, 4.0, 3.5])


def test_the_moving_average_forgets_the_start_soon_and_then_moves_by_its_decay() -> None:
    start, soon = averaged(moving_average(0.9), [1.0, 0.0])
    assert (start, round(soon, 6)) == (1.0, round(2 / 11, 6))
    late = averaged(moving_average(0.9), [0.0] * 200 + [1.0])
    assert round(late[-1], 6) == 0.1
