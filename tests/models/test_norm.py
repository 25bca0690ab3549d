"""Batch norm over processes, in a group of one: torch's own batch norm is the judge."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from centerx.models import Backbone
from centerx.models.norm import freeze_batch_norms, synchronise_batch_norms


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_agrees_with_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    synchronise_batch_norms(ours)
    mine = (2 + torch.randn(4, 3, 8, 8)).requires_grad_()
    other = mine.detach().clone().requires_grad_()
    for norm, x in ((ours, mine), (theirs, other)):
        (norm(x) ** 3).sum().backward()
    assert mine.grad is not None
    torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-3)
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("alone")
def test_a_variance_lost_in_rounding_is_none_and_not_negative() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    synchronise_batch_norms(norm)
    assert torch.isfinite(norm(1000 + 0.01 * torch.randn(4, 8, 16, 16))).all()
    assert norm.running_var is not None
    assert (norm.running_var >= 0).all()


@pytest.mark.parametrize("name", ["resnet18", "regnetx_002"])
def test_frozen_norms_stay_as_they_are(name: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    expected = backbone.eval()(images)[-1]
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    freeze_batch_norms(backbone)
    backbone.train()
    out = backbone(images)[-1]
    torch.testing.assert_close(out, expected)
    out.square().mean().backward()
    learned = {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert learned == {key for key, parameter in backbone.named_parameters() if parameter.ndim > 1}
    for key, value in backbone.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
