import pytest
import torch
from torch import nn

from centerx.train.optim import build_optimizer, build_schedule


def test_cosine_warms_up_and_ends_at_final() -> None:
    factor = build_schedule("cosine", 100, warmup=0.1, final=0.01)
    assert factor(0) == pytest.approx(1 / 11)
    assert factor(9) == pytest.approx(10 / 11)
    assert factor(10) == pytest.approx(1.0)
    assert factor(55) == pytest.approx(0.01 + 0.99 / 2)
    assert factor(100) == pytest.approx(0.01)


def test_multistep_falls_at_its_steps() -> None:
    factor = build_schedule("multistep", 100, warmup=0.0, steps=(0.6, 0.8), gamma=0.1)
    assert [factor(step) for step in (0, 59, 60, 80)] == pytest.approx([1, 1, 0.1, 0.01])


def test_delayed_cosine_holds_then_falls() -> None:
    factor = build_schedule("delayed_cosine", 100, warmup=0.0, delay=0.5, final=0.0)
    assert [factor(step) for step in (0, 50, 75, 100)] == pytest.approx([1, 1, 0.5, 0])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_norms_and_biases_do_not_decay(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    decayed, spared = build_optimizer(model, name, 0.1, 0.5, 0.9).param_groups
    assert {p.ndim for p in decayed["params"]} == {4}
    assert {p.ndim for p in spared["params"]} == {1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    assert isinstance(build_optimizer(model, name, 0.1, 0.5, 0.9), torch.optim.Optimizer)
