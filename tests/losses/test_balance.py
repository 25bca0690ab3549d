"""Balancing: gradients by hand, and nothing that a zero or infinite term can spoil."""

import math

import pytest
import torch

from centerx.losses.balance import ConstantMagnitude, FixedWeights, Uncertainty


def terms(*values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name, value in zip("abc", values, strict=False)}


def test_fixed_weights() -> None:
    total, weights = FixedWeights({"a": 2.0, "b": 0.5})(terms(3.0, 4.0))
    assert total.item() == 8.0
    assert not weights


def test_constant_magnitude_by_hand() -> None:
    """The total is the sum of the targets whatever the terms are; a gradient is target / term."""
    given = terms(0.5, 40.0)
    total, weights = ConstantMagnitude({"a": 1.5, "b": 0.3})(given)
    total.backward()
    assert total.item() == pytest.approx(1.8)
    assert [given[name].grad.item() for name in "ab"] == pytest.approx([1.5 / 0.5, 0.3 / 40])
    assert [weights[name].item() for name in "ab"] == pytest.approx([1.5 / 0.5, 0.3 / 40])


@pytest.mark.parametrize("bad", [0.0, math.inf, math.nan, -math.inf])
def test_a_term_that_cannot_be_scaled_adds_nothing(bad: float) -> None:
    given = terms(bad, 2.0)
    total, weights = ConstantMagnitude({"a": 1.5, "b": 0.3})(given)
    total.backward()
    assert total.item() == pytest.approx(0.3)
    assert weights["a"] == 0
    assert given["a"].grad.item() == 0
    assert given["b"].grad.item() == pytest.approx(0.15)


def test_a_mean_over_the_cells_of_many_classes_is_not_too_small() -> None:
    given = terms(2e-7, 2.0)
    total, weights = ConstantMagnitude({"a": 1.2, "b": 0.3})(given)
    total.backward()
    assert total.item() == pytest.approx(1.5)
    assert given["a"].grad.item() == weights["a"].item() == pytest.approx(1.2 / 2e-7)


def test_nothing_but_zeros_is_no_fault() -> None:
    given = terms(0.0, 0.0)
    total, _ = ConstantMagnitude({"a": 1.5, "b": 0.3})(given)
    total.backward()
    assert total.item() == 0
    assert [given[name].grad.item() for name in "ab"] == [0, 0]


def test_uncertainty_settles_where_each_term_counts_one_half() -> None:
    """d/ds (exp(-s) L + s / 2) = 0 where exp(-s) L = 1 / 2."""
    balance = Uncertainty({"a": 1.0, "b": 0.1})
    given = {name: term.detach() for name, term in terms(4.0, 0.02).items()}
    assert [balance(given)[1][name].item() for name in "ab"] == pytest.approx([1.0, 0.1])
    optimizer = torch.optim.Adam(balance.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        balance(given)[0].backward()
        optimizer.step()
    settled = balance(given)[1]
    assert [(settled[name] * given[name]).item() for name in "ab"] == pytest.approx([0.5, 0.5], rel=1e-2)


def test_a_term_of_zero_leaves_its_learned_weight_alone() -> None:
    balance = Uncertainty({"a": 1.0, "b": 0.1})
    total, _ = balance(terms(4.0, 0.0))
    total.backward()
    assert total.item() == pytest.approx(4.0)
    assert balance.log_variance.grad.tolist() == pytest.approx([-4.0 + 0.5, 0.0])


def test_a_term_that_decays_counts_for_less() -> None:
    """Half of its weight, half of its constant, half of itself."""
    decay = {"a": 0.5}
    assert FixedWeights({"a": 2.0, "b": 0.5})(terms(3.0, 4.0), decay)[0].item() == 3.0 + 2.0
    total, _ = ConstantMagnitude({"a": 1.5, "b": 0.3})(terms(3.0, 4.0), decay)
    assert total.item() == pytest.approx(0.75 + 0.3)
    total, _ = Uncertainty({"a": 2.0, "b": 1.0})(terms(3.0, 4.0), decay)
    assert total.item() == pytest.approx(0.5 * (2.0 * 3.0 - math.log(2) / 2) + 4.0)
