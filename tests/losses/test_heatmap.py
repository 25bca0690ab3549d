"""The focal loss against the paper's formula, written naively in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centerx.losses.heatmap import heatmap_focal, heatmap_squared, quality_focal, softplus

SHAPE = (2, 3, 5, 7)


def naive(logits: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    positive = -((1 - p) ** 2) * np.log(p)
    negative = -((1 - target) ** 4) * p**2 * np.log(1 - p)
    return float((weight * np.where(target == 1, positive, negative)).sum())


def random_maps(seed: int, spread: float = 3.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, SHAPE).astype(np.float32)
    target = rng.uniform(0, 1, SHAPE).astype(np.float32)
    target[rng.random(SHAPE) < 0.1] = 1
    target[rng.random(SHAPE) < 0.3] = 0
    weight = (rng.random(SHAPE) < 0.7).astype(np.float32)
    return torch.from_numpy(logits), torch.from_numpy(target), torch.from_numpy(weight)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.floats(0.1, 8))
def test_agrees_with_the_formula(seed, spread):
    maps = random_maps(seed, spread)
    assert float(heatmap_focal(*maps)) == pytest.approx(naive(*(m.numpy() for m in maps)), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_judged_in_full(dtype):
    logits, target, weight = random_maps(3)
    logits = logits.to(dtype)
    loss = heatmap_focal(logits, target, weight)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(naive(logits.float().numpy(), target.numpy(), weight.numpy()), rel=1e-4)


@pytest.mark.parametrize(
    ("logit", "target", "loss"),
    [
        (0.0, 1.0, 0.25 * np.log(2)),
        (0.0, 0.0, 0.25 * np.log(2)),
        (0.0, 0.5, 0.25 * np.log(2) / 16),
        (np.log(3), 1.0, np.log(4 / 3) / 16),  # p = 3/4
        (np.log(3), 0.0, np.log(4) * 9 / 16),
    ],
)
def test_by_hand(logit, target, loss):
    one = torch.ones(1, 1, 1, 1)
    assert float(heatmap_focal(one * logit, one * target, one)) == pytest.approx(loss, rel=1e-5)
    assert float(heatmap_focal(one * logit, one * target, one * 0.5)) == pytest.approx(loss / 2, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("logit", [-30000.0, -100.0, -30.0, -9.0, 9.0, 17.4, 30.0, 100.0, 30000.0])
@pytest.mark.parametrize("target", [0.0, 0.5, 0.999, 1.0])
def test_sure_answers_are_finite(dtype, logit, target):
    """The original's clamp gave NaN at a correct positive of logit 17.4 (6.25 in bf16)."""
    logits = torch.full(SHAPE, logit, dtype=dtype, requires_grad=True)
    loss = heatmap_focal(logits, torch.full(SHAPE, target), torch.ones(SHAPE))
    loss.backward()
    assert torch.isfinite(loss)
    assert loss >= 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("logit", "target", "sign"), [(-30.0, 1.0, -1), (30.0, 0.0, 1), (30.0, 0.5, 1)])
def test_a_sure_mistake_still_gets_its_gradient(logit, target, sign):
    logits = torch.full((1, 1, 1, 1), logit, requires_grad=True)
    heatmap_focal(logits, torch.full((1, 1, 1, 1), target), torch.ones(1, 1, 1, 1)).backward()
    assert float(logits.grad) * sign == pytest.approx((1 - target) ** 4 if target < 1 else 1, rel=1e-3)


def test_its_gradient_is_that_of_the_formula():
    logits, target, weight = random_maps(1)
    (3 * heatmap_focal(logits.requires_grad_(), target, weight)).backward()
    exact = logits.detach().double().requires_grad_()
    p = exact.sigmoid()
    cells = torch.where(target == 1, (1 - p) ** 2 * -p.log(), (1 - target) ** 4 * p**2 * -(1 - p).log())
    (3 * (weight * cells).sum()).backward()
    torch.testing.assert_close(logits.grad, exact.grad.float(), rtol=1e-4, atol=1e-6)


def test_masked_cells_get_no_gradient_at_all():
    logits, target, weight = random_maps(2, spread=30)
    logits.requires_grad_(True)
    heatmap_focal(logits, target, weight).backward()
    assert torch.all(logits.grad[weight == 0] == 0)
    assert torch.any(logits.grad[weight == 1] != 0)


def test_a_class_absent_from_the_picture_still_pays_for_its_false_positives():
    """The original's option for unlabelled classes lost these."""
    confident = torch.full((1, 2, 4, 4), 3.0)
    loss = heatmap_focal(confident, torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
    assert float(loss) == pytest.approx(32 * 0.9526**2 * 3.0486, rel=1e-3)


def test_squared_error_agrees_with_torch_and_with_a_sum_by_hand():
    logits, target, weight = random_maps(5)
    judge = torch.nn.functional.mse_loss(logits.sigmoid(), target, reduction="none")
    assert float(heatmap_squared(logits, target, weight)) == pytest.approx(float((judge * weight).sum()), rel=1e-5)
    one = torch.ones(1, 1, 1, 1)
    assert float(heatmap_squared(one * np.log(3), one * 0.25, one * 0.5)) == pytest.approx(0.125)  # (3/4 - 1/4)^2 / 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_squared_error_of_sure_answers_is_finite(dtype):
    logits = torch.tensor([-60000.0, 60000.0], dtype=dtype).view(1, 1, 1, 2).requires_grad_(True)
    loss = heatmap_squared(logits, torch.tensor([1.0, 0.0]).view(1, 1, 1, 2), torch.ones(1, 1, 1, 2))
    loss.backward()
    assert loss.item() == 2
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("logit", "target", "loss"),
    [
        (0.0, 0.0, 0.25 * np.log(2)),
        (0.0, 0.5, 0.0),
        (np.log(3), 0.25, 0.25 * (np.log(4) - 0.25 * np.log(3))),  # p = 3/4
        (np.log(3), 1.0, np.log(4 / 3) / 16),
    ],
)
def test_quality_focal_by_hand(logit, target, loss):
    found = quality_focal(torch.tensor([logit]), torch.tensor([target]))
    assert found.item() == pytest.approx(loss, rel=1e-5, abs=1e-7)


def test_the_gradient_of_quality_focal_is_its_slope():
    logits, target, _ = random_maps(5)
    assert torch.autograd.gradcheck(quality_focal, (logits.double().requires_grad_(), target.double()))


def test_softplus_however_sure_a_network_is():
    logits = torch.tensor([-3e38, -200.0, -100.0, -20.0, -3.0, -1e-4, 0.0, 1e-4, 3.0, 20.0, 100.0, 200.0, 3e38])
    found = softplus(logits, logits.sigmoid(), 1 - logits.sigmoid())
    judge = torch.nn.functional.softplus(logits.double()).float()
    torch.testing.assert_close(found, judge, rtol=1e-6, atol=1e-7)
