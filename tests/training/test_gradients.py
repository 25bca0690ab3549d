"""Gradients that are clipped, and parts of the network that have none."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file

from centerx.build import build_run
from centerx.config import load_config
from centerx.errors import InputError


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_clipped_before_the_step(
    optimizer: str, precision: str, small_overrides: list[str], tmp_path: Path
) -> None:
    norms: list[float] = []

    class Watch(Callback):
        def on_before_zero_grad(self, *_: object) -> None:
            grads = [p.grad for p in run.module.detector.parameters() if p.grad is not None]
            if grads:
                norms.append(torch.nn.utils.get_total_norm(grads).item())

    overrides = [*small_overrides, "data.val=[]", f"train.optimizer.name={optimizer}", "train.clip_norm=0.01",
                 f"train.precision={precision}"]  # fmt: skip
    run = build_run(load_config("nano", overrides), tmp_path)
    run.trainer.callbacks.append(Watch())  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.batches)
    assert norms
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


def test_frozen_batch_norms_come_out_of_training_as_they_went_in(small_overrides: list[str], tmp_path: Path) -> None:
    run = build_run(load_config("nano", [*small_overrides, "train.frozen_bn=true", "train.ema=0"]), tmp_path)
    model = run.module.detector.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run.trainer.fit(run.module, run.batches)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    norms = {key for key in before if key.endswith(("running_mean", "running_var"))}
    assert moved & norms == {key for key in norms if not key.startswith("backbone.")}
    assert any(key.startswith("backbone.") for key in moved)


def test_frozen_parts_come_out_of_training_as_they_went_in(small_overrides: list[str], tmp_path: Path) -> None:
    frozen = ["backbone", "neck", "head.size"]
    run = build_run(load_config("nano", [*small_overrides, f"train.frozen={json.dumps(frozen)}"]), tmp_path)
    before = {key: value.clone() for key, value in run.module.detector.model.state_dict().items()}
    run.trainer.fit(run.module, run.batches)
    for key, value in load_file(tmp_path / "last.safetensors").items():
        stays = key.startswith(("backbone.", "neck.", "head.size."))
        assert torch.equal(value, before[key]) == stays, key


@pytest.mark.parametrize(
    ("frozen", "says"),
    [
        (
            "bakbone",
            r"no part 'bakbone' \(did you mean 'backbone'\?\), the large ones are: backbone, neck, head, head.he",
        ),
        ("[backbone,neck,head]", "backbone, neck, head leave nothing to train"),
    ],
)
def test_parts_that_cannot_be_frozen(frozen: str, says: str, small_overrides: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"train.frozen: .*{says}"):
        build_run(load_config("nano", [*small_overrides, f"train.frozen={frozen}"]), tmp_path)


def test_each_component_of_the_gradient_is_clipped(small_overrides: list[str], tmp_path: Path) -> None:
    largest: list[float] = []

    class Watch(Callback):
        def on_before_zero_grad(self, *_: object) -> None:
            grads = [p.grad for p in run.module.detector.parameters() if p.grad is not None]
            if grads:
                largest.append(max(float(grad.abs().max()) for grad in grads))

    overrides = [*small_overrides, "data.val=[]", "train.clip_value=0.001", "train.clip_norm=0"]
    run = build_run(load_config("nano", overrides), tmp_path)
    run.trainer.callbacks.append(Watch())  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.batches)
    assert largest == pytest.approx([0.001] * len(largest))
    assert largest


def test_each_parameter_s_gradient_is_clipped_by_itself(small_overrides: list[str], tmp_path: Path) -> None:
    norms: list[list[float]] = []

    class Watch(Callback):
        def on_before_zero_grad(self, *_: object) -> None:
            grads = [p.grad for p in run.module.detector.parameters() if p.grad is not None]
            if grads:
                norms.append([float(grad.norm()) for grad in grads])

    overrides = [*small_overrides, "data.val=[]", "train.clip_each=0.001", "train.clip_norm=0"]
    run = build_run(load_config("nano", overrides), tmp_path)
    run.trainer.callbacks.append(Watch())  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.batches)
    assert norms
    for step in norms:
        assert max(step) == pytest.approx(0.001, rel=1e-2)
        assert sum(norm > 0.0009 for norm in step) > 5  # each has the limit to itself
