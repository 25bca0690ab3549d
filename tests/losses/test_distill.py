"""Distillation losses: the article's against its own published code, ours by what it must and must not do."""

import numpy as np
import pytest
import torch

from centerx.losses.distill import DISTILL_LOSSES, article_terms, response_terms
from centerx.types import HeadOutputs


def random_maps(rng: np.random.Generator) -> HeadOutputs:
    def draw(*values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values[0].astype(np.float32))

    return HeadOutputs(
        draw(rng.normal(-1, 2, (2, 3, 16, 20))),
        draw(rng.uniform(1, 9, (2, 2, 16, 20))),
        draw(rng.uniform(0, 1, (2, 2, 16, 20))),
    )


@pytest.mark.parametrize(("relative", "size"), [(False, 5.325013160705566), (True, 1.2538975477218628)])
def test_the_article_s_losses_are_those_of_its_code(relative: bool, size: float) -> None:
    """The figures are what CPFLAME/centerX 1073753, centernet_kdloss.py, gives for these very maps."""
    rng = np.random.default_rng(0)
    student, teacher = random_maps(rng), random_maps(rng)
    terms = article_terms(student, teacher, torch.ones(3), relative_size=relative)
    assert terms["heatmap"].item() == pytest.approx(0.1737796813249588, rel=1e-5)
    assert terms["size"].item() == pytest.approx(size, rel=1e-4)  # that code adds 1e-4 to the teacher's size
    assert terms["offset"].item() == pytest.approx(0.6536360383033752, rel=1e-5)


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_agreement_costs_nothing(loss) -> None:
    maps = random_maps(np.random.default_rng(1))
    assert all(term.item() == pytest.approx(0, abs=1e-6) for term in loss(maps, maps, torch.ones(3)).values())


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_descent_leads_to_the_teacher(loss) -> None:
    rng = np.random.default_rng(2)
    student, teacher = random_maps(rng), random_maps(rng)
    heatmap = student.heatmap.clone().requires_grad_()
    optimizer = torch.optim.Adam([heatmap], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss(student._replace(heatmap=heatmap), teacher, torch.ones(3))["heatmap"].backward()
        optimizer.step()
    apart = (heatmap.sigmoid() - teacher.heatmap.sigmoid()).abs()
    assert apart.max() < 0.2


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
@pytest.mark.parametrize("level", [-60.0, 60.0])
def test_extreme_maps_stay_finite(loss, level: float) -> None:
    student, teacher = random_maps(np.random.default_rng(3)), random_maps(np.random.default_rng(4))
    heatmap = torch.full_like(student.heatmap, level).requires_grad_()
    flat = teacher._replace(heatmap=torch.full_like(teacher.heatmap, -level), size=teacher.size * 0)
    terms = loss(student._replace(heatmap=heatmap), flat, torch.ones(3))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert heatmap.grad is not None
    assert heatmap.grad.isfinite().all()


def test_size_is_learned_around_the_teacher_s_peaks_only() -> None:
    logits = torch.full((1, 2, 9, 9), -9.0)
    logits[0, 1, 4, 4] = 2.0
    zeros = torch.zeros(1, 2, 9, 9)
    size = zeros.clone().requires_grad_()
    teacher = HeadOutputs(logits, zeros + 3, zeros)
    response_terms(HeadOutputs(logits, size, zeros), teacher, torch.ones(2))["size"].backward()
    assert size.grad is not None
    moved = size.grad[0].abs().sum(0) > 1e-3
    assert moved.nonzero().tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_a_shared_class_counts_half(loss) -> None:
    student, teacher = random_maps(np.random.default_rng(5)), random_maps(np.random.default_rng(6))
    whole, half = (loss(student, teacher, torch.full((3,), share)) for share in (1.0, 0.5))
    for name, term in half.items():
        assert term.item() == pytest.approx(whole[name].item() / 2)
