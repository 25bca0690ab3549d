"""Two processes under torchrun compute what one computes on the same global batch."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from centerx.bench import machine
from centerx.training.processes import Processes


@pytest.mark.soak
@pytest.mark.parametrize("taught", [None, ".safetensors", ".onnx"])
def test_two_processes_give_what_one_gives(
    taught: str | None, small_overrides: list[str], onnx_file: Path, tmp_path: Path
) -> None:
    overrides = [*small_overrides, "data.val=[]", "train.precision=fp32", "train.optimizer.lr=0.0005"]
    if taught:
        overrides += ["train.epochs=2"]
        overrides += [f"distill.teachers={onnx_file.with_suffix(taught)}"]
        overrides += ['classes=["0","1",red,green,blue]', "loss.balance=constant"]
    command = ["-m", "centerx", "train", "nano", *overrides, "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29541"]
    for launcher, name in (([sys.executable], "one"), (torchrun, "two")):
        subprocess.run([*launcher, *command, str(tmp_path / name)], check=True, env=environment, capture_output=True)

    tables = []
    for name in ("one", "two"):
        with (tmp_path / name / "metrics.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    for one, two in zip(*tables, strict=True):
        assert one["step"] == two["step"]
        for key in (name for name in one if name.startswith(("train/", "weight/"))):
            assert float(two[key]) == pytest.approx(float(one[key]), rel=2e-3)
    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key].float(), value.float(), rtol=0.02, atol=0.02)


def test_a_measurement_names_the_gpu_it_was_made_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    on_cpu, on_gpu = (machine(Processes(device, 0, 1, 1).gpu) for device in ("cpu", "cuda"))
    assert on_cpu == machine()
    assert on_gpu == f"{on_cpu}, Some GPU"
