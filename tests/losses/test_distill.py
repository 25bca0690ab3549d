"""Distillation losses: centerX's against its original code, ours by what it must and must not do."""

import numpy as np
import pytest
import torch

from centerx.losses.distill import DISTILL_LOSSES, article_terms, response_terms, ridge_residual
from centerx.models.lengths import LENGTHS
from centerx.types import Maps
from tests.made import BRANCHES, box_maps, equal_weights


def random_maps(rng: np.random.Generator) -> Maps:
    def draw(*values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values[0].astype(np.float32))

    return box_maps(
        draw(rng.normal(-1, 2, (2, 3, 16, 20))),
        draw(rng.uniform(1, 9, (2, 2, 16, 20))),
        draw(rng.uniform(0, 1, (2, 2, 16, 20))),
    )


@pytest.mark.parametrize(("relative", "size"), [(False, 5.325013160705566), (True, 1.2538975477218628)])
def test_the_article_s_losses_are_those_of_its_code(relative: bool, size: float) -> None:
    """The figures are what CPFLAME/centerX 1073753, centernet_kdloss.py, gives for these very maps."""
    rng = np.random.default_rng(0)
    student, teacher = random_maps(rng), random_maps(rng)
    terms = article_terms(student, teacher, equal_weights(3), BRANCHES, relative_size=relative)
    assert terms["heatmap"].item() == pytest.approx(0.1737796813249588, rel=1e-5)
    assert terms["size"].item() == pytest.approx(size, rel=1e-4)  # that code adds 1e-4 to the teacher's size
    assert terms["offset"].item() == pytest.approx(0.6536360383033752, rel=1e-5)


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_agreement_costs_nothing(loss) -> None:
    maps = random_maps(np.random.default_rng(1))
    assert all(
        term.item() == pytest.approx(0, abs=1e-6) for term in loss(maps, maps, equal_weights(3), BRANCHES).values()
    )


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_descent_leads_to_the_teacher(loss) -> None:
    rng = np.random.default_rng(2)
    student, teacher = random_maps(rng), random_maps(rng)
    heatmap = student.heatmap.clone().requires_grad_()
    optimizer = torch.optim.Adam([heatmap], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss(student._replace(heatmap=heatmap), teacher, equal_weights(3), BRANCHES)["heatmap"].backward()
        optimizer.step()
    apart = (heatmap.sigmoid() - teacher.heatmap.sigmoid()).abs()
    assert apart.max() < 0.2


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
@pytest.mark.parametrize("level", [-60.0, 60.0])
def test_extreme_maps_stay_finite(loss, level: float) -> None:
    student, teacher = random_maps(np.random.default_rng(3)), random_maps(np.random.default_rng(4))
    heatmap = torch.full_like(student.heatmap, level).requires_grad_()
    flat = box_maps(torch.full_like(teacher.heatmap, -level), teacher.fields["size"] * 0, teacher.fields["offset"])
    terms = loss(student._replace(heatmap=heatmap), flat, equal_weights(3), BRANCHES)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert heatmap.grad is not None
    assert heatmap.grad.isfinite().all()


def test_a_teacher_s_size_near_zero_is_no_explosion() -> None:
    student, teacher = random_maps(np.random.default_rng(3)), random_maps(np.random.default_rng(4))
    tiny = box_maps(teacher.heatmap, teacher.fields["size"] * 1e-6, teacher.fields["offset"])
    relative, plain = (
        article_terms(student, tiny, equal_weights(3), BRANCHES, relative_size=each)["size"] for each in (True, False)
    )
    assert relative.item() == pytest.approx(plain.item())  # the error itself: a size counts as one cell at least


def test_size_is_learned_around_the_teacher_s_peaks_only() -> None:
    logits = torch.full((1, 2, 9, 9), -9.0)
    logits[0, 1, 4, 4] = 2.0
    zeros = torch.zeros(1, 2, 9, 9)
    size = zeros.clone().requires_grad_()
    teacher = box_maps(logits, zeros + 3, zeros)
    response_terms(box_maps(logits, size, zeros), teacher, equal_weights(2), BRANCHES)["size"].backward()
    assert size.grad is not None
    moved = size.grad[0].abs().sum(0) > 1e-3
    assert moved.nonzero().tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_a_shared_class_counts_half(loss) -> None:
    student, teacher = random_maps(np.random.default_rng(5)), random_maps(np.random.default_rng(6))
    whole, half = (loss(student, teacher, equal_weights(3, share), BRANCHES) for share in (1.0, 0.5))
    for name, term in half.items():
        assert term.item() == pytest.approx(whole[name].item() / 2)


def test_features_that_a_linear_map_gives_are_explained() -> None:
    rng = torch.Generator().manual_seed(0)
    student = torch.randn(2, 8, 6, 5, generator=rng)
    mixed = torch.einsum("gf,bfhw->bghw", torch.randn(3, 8, generator=rng), student) * 7 + 2
    assert ridge_residual(student, mixed).item() == pytest.approx(0, abs=0.01)
    assert ridge_residual(1e3 * student + 5, mixed).item() == pytest.approx(0, abs=0.01)


def test_unexplained_features_are_what_least_squares_leaves() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 4, 9, 7)), rng.normal(size=(2, 6, 9, 7)) + 3
    teacher[:, :4] += 2 * student
    x, y = (maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1).T for maps in (student, teacher))
    x = np.column_stack([x, np.ones(len(x))])
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    expected = (rest.var(axis=0) / y.var(axis=0)).mean()
    told = ridge_residual(torch.from_numpy(student), torch.from_numpy(teacher))
    assert told.item() == pytest.approx(expected, abs=2e-3)


def test_the_gradient_of_unexplained_features_is_that_of_their_differences() -> None:
    """Along random directions, one of which scales all features, against differences in float64 of the formula."""
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 4, 9, 7)), rng.normal(size=(2, 6, 9, 7)) + 3
    student[:, 3] = 0.9 * student[:, 2] + 1e-2 * student[:, 3]
    teacher[:, :4] += 2 * student

    def by_hand(maps: np.ndarray) -> float:
        x, y = (each.transpose(1, 0, 2, 3).reshape(each.shape[1], -1).T for each in (maps, teacher))
        x, y = x - x.mean(axis=0), (y - y.mean(axis=0)) / y.std(axis=0)
        covariance = x.T @ x / len(x)
        covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        cross = x.T @ y / len(x)
        return 1 - np.trace(cross.T @ np.linalg.solve(covariance, cross)) / y.shape[1]

    leaf = torch.from_numpy(student).float().requires_grad_()
    term = ridge_residual(leaf, torch.from_numpy(teacher).float())
    assert term.item() == pytest.approx(by_hand(student), abs=1e-5)
    (3 * term).backward()
    shift = np.ones_like(student)
    for direction in (
        *rng.normal(size=(5, *student.shape)),
        student - student.mean(axis=(0, 2, 3), keepdims=True),
        shift,
    ):
        step = 1e-5 * direction
        slope = 3 * (by_hand(student + step) - by_hand(student - step)) / 2e-5
        assert (leaf.grad.double().numpy() * direction).sum() == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_channels_that_stay_constant_do_not_count() -> None:
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 4, 6, 5, generator=rng) for _ in range(2))
    alone, beside = student.clone().requires_grad_(), student.clone().requires_grad_()
    term = ridge_residual(alone, teacher)
    same = ridge_residual(beside, torch.cat([teacher, torch.full_like(teacher, 3.0)], dim=1))
    assert same.item() == pytest.approx(term.item(), abs=1e-6)
    (term + same).backward()
    torch.testing.assert_close(beside.grad, alone.grad)


def test_half_precision_gives_the_gradient_of_float32() -> None:
    rng = torch.Generator().manual_seed(0)
    student, other = (torch.randn(4, 16, 12, 10, generator=rng).bfloat16() for _ in range(2))
    teacher = torch.einsum("gf,bfhw->bghw", torch.randn(24, 16, generator=rng).bfloat16(), student + 0.5 * other)
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        leaf = student.to(dtype).requires_grad_()
        ridge_residual(leaf, teacher.to(dtype)).backward()
        assert leaf.grad.dtype == dtype
        grads.append(leaf.grad.float())
    assert (grads[1] - grads[0]).norm() < 0.02 * grads[0].norm()


@pytest.mark.parametrize("kind", ["dead student", "dead teacher", "bfloat16"])
def test_odd_features_give_a_finite_term_and_gradient(kind: str) -> None:
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 4, 6, 5, generator=rng) for _ in range(2))
    if kind == "bfloat16":
        student, teacher = student.bfloat16(), teacher.bfloat16()
    else:
        (student if kind == "dead student" else teacher).zero_()
    student.requires_grad_()
    term = ridge_residual(student, teacher)
    term.backward()
    assert 0 <= term.item() <= 1.001
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("loss", DISTILL_LOSSES.values(), ids=DISTILL_LOSSES)
def test_a_student_s_distribution_learns_the_teacher_s_lengths(loss) -> None:
    logits = torch.full((1, 2, 9, 9), -9.0)
    logits[0, 1, 4, 4] = 2.0
    zeros = torch.zeros(1, 2, 9, 9)
    spread = torch.zeros(1, 2 * len(LENGTHS), 9, 9, requires_grad=True)
    student = box_maps(logits, zeros + 4, zeros)._replace(logits={"size": spread})
    teacher = box_maps(logits, zeros + 4, zeros)  # of whose lengths the mean is right, the distribution uniform
    loss(student, teacher, equal_weights(2), BRANCHES)["size"].backward()
    assert spread.grad is not None
    learned = spread.grad[0, : len(LENGTHS)]
    assert learned[LENGTHS.index(4), 4, 4] < -1e-3
    assert learned[:, 0, 0].abs().max() < 1e-3
