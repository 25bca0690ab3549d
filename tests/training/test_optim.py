import math
from pathlib import Path

import pytest
import timm.optim
import torch
from torch import nn

from centerx.build import build_module, build_run
from centerx.build_model import build_detector
from centerx.config import load_config
from centerx.errors import InputError
from centerx.models.deform import DeformConv, offset_parameters
from centerx.training.optim import LayerwiseRAdam, build_optimizer, build_schedule


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


def test_delayed_cosine_is_the_original_s_at_named_steps() -> None:
    """Its solver holds the rate up to delay, then low + (high - low) (1 + cos(pi (i - delay) / (end - delay))) / 2."""
    high, low = 0.02, 1e-8
    factor = build_schedule("delayed_cosine", 7000, warmup=1 / 70, delay=0.1, final=low / high)
    rates = {step: high * factor(step) for step in (100, 700, 2275, 3850, 5425, 7000)}
    root = math.sqrt(0.5)
    by_hand = {
        100: high,
        700: high,
        2275: high * (1 + root) / 2,
        3850: high / 2,
        5425: high * (1 - root) / 2,
        7000: low,
    }
    assert rates == pytest.approx(by_hand, rel=1e-5)


def test_the_warm_up_rises_linearly_as_the_original_s() -> None:
    factor = build_schedule("multistep", 8000, warmup=1 / 80, steps=(50 / 80, 62 / 80), gamma=0.1)
    for step in (0, 1, 50, 99):
        original = (1 - step / 100) / 100 + step / 100  # its WARMUP_FACTOR is one over the steps of the warm-up
        assert factor(step) == pytest.approx(original, abs=0.01)
    assert [factor(step) for step in (4999, 5000, 6199, 6200)] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_the_cycles_of_swa_fall_in_each_and_start_anew() -> None:
    factor = build_schedule("cosine", 100, warmup=0.0, final=0.01, cycle=(10, 0.1, 0.005))
    assert [factor(step) for step in (100, 105, 110, 115)] == pytest.approx([0.1, 0.0525, 0.1, 0.0525])
    assert factor(109) == pytest.approx(0.005 + 0.095 * (1 + math.cos(0.9 * math.pi)) / 2)
    assert factor(99) < 0.02


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "momentum", "radam", "lamb", "lookahead_adamp", "rangerlars"])
def test_norms_and_biases_do_not_decay(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    decayed, spared = build_optimizer(model, name, 0.1, 0.5, 0.9).param_groups
    assert {p.ndim for p in decayed["params"]} == {4}
    assert {p.ndim for p in spared["params"]} == {1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.5, 0.0)
    assert isinstance(build_optimizer(model, name, 0.1, 0.5, 0.9), torch.optim.Optimizer)


def test_momentum_is_sgd_without_nesterov() -> None:
    model = nn.Conv2d(1, 1, 1)
    assert [build_optimizer(model, name, 0.1, 0.0, 0.8).defaults["nesterov"] for name in ("sgd", "momentum")] == [
        True,
        False,
    ]
    assert build_optimizer(model, "momentum", 0.1, 0.0, 0.8).defaults["momentum"] == 0.8


@pytest.mark.parametrize(
    ("name", "says"),
    [("rangerlar", "did you mean 'rangerlars'"), ("adammw", "did you mean 'adamw'"), ("adahessian", "unknown")],
)
def test_an_unknown_optimiser_is_named(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        build_optimizer(nn.Conv2d(1, 1, 1), name, 0.1, 0.0, 0.9)


def test_a_layer_s_step_is_the_rate_times_its_norm() -> None:
    """Whatever the gradient: that is what LARS promises. A norm above 10 counts as 10, and biases keep RAdam's step."""
    for scale, norm in ((1.0, 2.0), (100.0, 10.0)):
        weight = nn.Parameter(scale * torch.ones(2, 2))
        bias, plain = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        ours, radam = LayerwiseRAdam([weight, bias], lr=0.01), torch.optim.RAdam([plain], lr=0.01)
        weight.grad, bias.grad, plain.grad = torch.tensor([[3.0, 0], [0, 4.0]]), torch.ones(2), torch.ones(2)
        before = weight.detach().clone()
        ours.step()
        radam.step()
        assert (before - weight).norm().item() == pytest.approx(0.01 * norm, rel=1e-4)
        assert torch.equal(bias, plain)


def test_nothing_to_scale_is_no_fault() -> None:
    zero, still, unasked = (nn.Parameter(value * torch.ones(2, 2)) for value in (0.0, 1.0, 1.0))
    zero.grad, still.grad = torch.ones(2, 2), torch.zeros(2, 2)
    LayerwiseRAdam([zero, still, unasked], lr=0.01).step()
    assert torch.isfinite(zero).all()
    assert zero.abs().max() > 0
    assert torch.equal(still, torch.ones(2, 2))
    assert torch.equal(unasked, torch.ones(2, 2))


def test_rangerlars_looks_ahead_and_finds_a_minimum() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 3, bias=False)
    goal = torch.randn(3, 4)
    optimizer = build_optimizer(model, "rangerlars", 0.02, 0.0, 0.9)
    assert isinstance(optimizer, timm.optim.Lookahead)
    first = (model.weight - goal).square().sum().item()
    for _ in range(300):
        optimizer.zero_grad()
        (model.weight - goal).square().sum().backward()
        optimizer.step()
    assert (model.weight - goal).square().sum().item() < first / 100


@pytest.mark.parametrize("name", [pytest.param("rangerlars", marks=pytest.mark.soak), "lookahead_radam", "lion"])
def test_it_trains_and_resumes(name: str, small_overrides: list[str], tmp_path: Path) -> None:
    def run(folder: str, epochs: int, resume: bool = False) -> dict[str, torch.Tensor]:
        run = build_run(load_config("nano", overrides), tmp_path / folder)
        run.trainer.fit_loop.max_epochs = epochs
        checkpoint = tmp_path / folder / "last.ckpt" if resume else None
        run.trainer.fit(run.module, run.batches, ckpt_path=checkpoint, weights_only=True)
        return run.module.detector.state_dict()

    overrides = [*small_overrides, "data.val=[]", "train.epochs=2", "train.precision=fp32",
                 f"train.optimizer.name={name}"]  # fmt: skip
    whole = run("whole", 2)
    run("cut", 1)
    resumed = run("cut", 2, resume=True)
    for key in whole:
        torch.testing.assert_close(resumed[key], whole[key], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["sgd", "adamw", "rangerlars", "lamb"])
def test_what_moves_taps_learns_at_a_tenth_of_the_rate(name: str) -> None:
    model = nn.Sequential(DeformConv(2, 3, modulated=True), nn.BatchNorm2d(3))
    optimizer = build_optimizer(model, name, lr=0.2, weight_decay=0.5, momentum=0.0, low_lr=offset_parameters(model))
    rates = {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}
    assert {name: rates[id(each)] for name, each in model.named_parameters()} == pytest.approx(
        {"0.weight": 0.2, "0.offset.weight": 0.02, "0.offset.bias": 0.02, "1.weight": 0.2, "1.bias": 0.2}
    )


def test_a_run_with_deformable_convolutions_has_such_a_rate() -> None:
    config = load_config("nano", ["classes=[a]", "model.neck.type=deconv", "model.neck.conv=modulated"])
    detector = build_detector(config)
    groups = build_module(config, detector, epoch_steps=10).optimizer.param_groups
    slow = [each for group in groups if group["lr"] < config.train.optimizer.lr / 2 for each in group["params"]]
    assert {id(each) for each in slow} == {id(each) for each in offset_parameters(detector)}
    assert len(slow) == 6
