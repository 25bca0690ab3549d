"""Lengths that are said as distributions."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from centerx.build import build_run
from centerx.build_model import build_detector, load_detector
from centerx.config import load_config
from centerx.decode import at_cells
from centerx.fields import OFFSET, SIZE
from centerx.losses.terms import field_terms
from centerx.models import CenterHead
from centerx.models.lengths import LENGTHS, MOST, bounded, distribution_loss, mean_lengths
from centerx.tasks import BOXES
from centerx.types import Places

COUNT = len(LENGTHS)


def softmax_mean(logits: Tensor) -> Tensor:
    parts = logits.unflatten(1, (-1, COUNT)).softmax(dim=2)
    return (parts * torch.tensor(LENGTHS)[:, None, None]).sum(dim=2)


def test_lengths_go_from_0_to_2048_pixels_by_equal_factors() -> None:
    assert LENGTHS[:4] == pytest.approx((0, 0.5, 0.5 * 2**0.5, 1))
    assert LENGTHS[-1] == 512
    assert {round(high / low, 6) for low, high in pairwise(LENGTHS[1:])} == {1.414214}


def test_the_mean_is_that_of_a_softmax() -> None:
    torch.manual_seed(0)
    logits = bounded(torch.randn(2, 2 * COUNT, 3, 5) * 4)
    torch.testing.assert_close(mean_lengths(logits), softmax_mean(logits), rtol=1e-5, atol=1e-4)


def test_sums_are_finite_in_half_precision() -> None:
    assert COUNT * torch.tensor(MOST).exp() < torch.finfo(torch.float16).max


def test_the_loss_by_hand() -> None:
    logits = torch.zeros(1, 2 * COUNT, 2)
    logits[0, 3, 0] = 2.0  # the first length of the first place: 1 cell is likelier
    goal = torch.tensor([[[1.0, 0.25], [3.0, 9999.0]]])  # lengths, then places
    uniform = torch.tensor(float(COUNT)).log()
    likelier = (torch.tensor(2.0).exp() + COUNT - 1).log() - 2
    expected = torch.stack([(likelier + uniform) / 2, uniform])[None]
    torch.testing.assert_close(distribution_loss(logits, goal), expected)


@pytest.mark.parametrize("length", [0.0, 0.1, 0.7, 5.0, 37.3, 500.0])
def test_the_loss_is_least_where_the_mean_is_the_goal(length: float) -> None:
    logits = torch.zeros(1, COUNT, 1, 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = distribution_loss(logits.flatten(2), torch.full((1, 1, 1), length)).sum()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    assert softmax_mean(logits).item() == pytest.approx(length, rel=0.01, abs=0.05)


def test_only_lengths_are_distributions_and_maps_are_their_means() -> None:
    torch.manual_seed(0)
    head = CenterHead(8, 3, 8, BOXES.branches, distributions=True).eval()
    maps = head(torch.randn(2, 8, 4, 6) * 50)
    assert {name: tuple(each.shape) for name, each in maps.fields.items()} == {
        SIZE.name: (2, 2, 4, 6),
        OFFSET.name: (2, 2, 4, 6),
    }
    assert list(maps.logits) == [SIZE.name]
    assert maps.logits[SIZE.name].abs().max() <= MOST
    torch.testing.assert_close(maps.fields[SIZE.name], softmax_mean(maps.logits[SIZE.name]), rtol=1e-5, atol=1e-4)
    assert CenterHead(8, 3, 8, BOXES.branches)(torch.randn(2, 8, 4, 6)).logits == {}


def test_a_network_starts_with_lengths_of_ten_cells() -> None:
    config = load_config("n", ["classes=[a]", "data.input_size=64"])
    maps = build_detector(config).eval().model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert 9 < maps.fields[SIZE.name].mean() < 11


@pytest.mark.parametrize(("task", "lengths"), [("boxes", {"size"}), ("rotated", {"sides"}), ("quads", set())])
def test_distributions_of_each_task(task: str, lengths: set[str]) -> None:
    config = load_config("n", ["classes=[a]", "data.input_size=64", f"task={task}"])
    branches = build_detector(config).model.head.branches
    assert {name for name, branch in branches.items() if branch.is_distribution} == lengths


def test_a_run_learns_distributions_and_its_model_file_knows_it(small_overrides: list[str], tmp_path: Path) -> None:
    run = build_run(load_config("n", [*small_overrides, "data.val=[]"]), tmp_path)
    run.trainer.fit(run.module, run.batches)
    detector, _ = load_detector(tmp_path / "last.safetensors")
    assert detector.model.head.branches["size"].is_distribution


def test_beyond_the_bounds_only_what_leads_back_is_learned() -> None:
    logits = torch.full((1, COUNT, 1, 1), -12.0)
    logits[0, 3], logits[0, 5] = 12.0, 0.5
    logits.requires_grad_()
    distribution_loss(bounded(logits).flatten(2), torch.full((1, 1, 1), LENGTHS[12])).backward()
    assert logits.grad is not None
    learned = logits.grad.flatten()
    assert learned[12] < -1e-2  # the true one, at the lower bound, rises
    assert learned[3] > 1e-2  # the likeliest falls
    assert learned[5] != 0  # one within them
    assert learned[[0, 1, 2, 4, 20]].tolist() == [0] * 5  # the others would fall further


def test_means_have_all_bits_under_autocast() -> None:
    torch.manual_seed(0)
    logits = bounded(torch.randn(1, 2 * COUNT, 3, 5) * 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = mean_lengths(logits)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, softmax_mean(logits), rtol=1e-5, atol=1e-4)


def test_the_term_of_the_size_is_its_error_and_the_loss_of_its_distribution() -> None:
    torch.manual_seed(0)
    head = CenterHead(8, 1, 8, BOXES.branches, distributions=True)
    maps = head(torch.randn(1, 8, 4, 6) * 20)
    cells, goal = torch.tensor([[7, 13]]), torch.tensor([[[3.0, 10.0], [5.0, 0.5]]])
    places = Places(cells, {SIZE.name: goal}, {SIZE.name: torch.tensor([[1.0, 0.5]])})
    totals = {SIZE.name: torch.tensor(1.5)}
    error = head.branches[SIZE.name].loss(at_cells(maps.fields[SIZE.name], cells), goal)
    spread = distribution_loss(at_cells(maps.logits[SIZE.name], cells), goal)
    expected = ((error + spread) * torch.tensor([[1.0, 0.5]])).sum() / 1.5
    found = field_terms(head.branches, maps.fields, places, totals, logits=maps.logits)[SIZE.name]
    torch.testing.assert_close(found, expected)
    assert spread.min() > 0.1


def test_the_loss_of_labels_has_that_of_distributions(small_overrides: list[str], tmp_path: Path) -> None:
    run = build_run(load_config("n", [*small_overrides, "data.val=[]"]), tmp_path)
    module, batch = run.module, next(iter(run.batches))
    maps, targets = module.detector.model(batch.images), module.assign(batch)
    terms = [module.criterion(each, targets) for each in (maps, maps._replace(logits={}))]
    sizes = [next(value for term, value in found.items() if term.field == SIZE.name) for found in terms]
    assert sizes[0] > sizes[1] + 0.5
