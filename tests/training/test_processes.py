"""Two processes compute what one computes on the same global batch, and end together."""

import csv
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from centerx.bench import machine
from centerx.training.processes import Processes


@pytest.mark.soak
@pytest.mark.parametrize(("taught", "parts"), [(None, 1), (None, 2), (".safetensors", 1), (".onnx", 1)])
def test_two_processes_give_what_one_gives(
    taught: str | None, parts: int, small_overrides: list[str], onnx_file: Path, tmp_path: Path
) -> None:
    overrides = [*small_overrides, "data.val=[]", "train.precision=fp32", "train.optimizer.lr=0.0005"]
    overrides += [f"train.accumulate={parts}"]
    if taught:
        overrides += ["train.epochs=2"]
        overrides += [f"distill.teachers={onnx_file.with_suffix(taught)}"]
        overrides += ['classes=["0","1",red,green,blue]', "loss.balance=constant"]
    command = ["-m", "centerx", "train", "nano", *overrides, "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29541"]
    launcher, words = ([], ["--processes=2"]) if taught else (torchrun, [])
    for before, after, name in (([], [], "one"), (launcher, words, "two")):
        line = [sys.executable, *before, *command, str(tmp_path / name), *after]
        subprocess.run(line, check=True, env=environment, capture_output=True)

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


@pytest.mark.slow
def test_wrong_input_of_two_processes_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "centerx", "train", "nano", "data.train=nowhere", "--processes=2"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert re.fullmatch("error: nowhere: no such file or folder.*\n", found.stderr)
    assert (found.stdout, found.returncode) == ("", 2)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("number", "whom", "line", "status"),
    [
        (signal.SIGKILL, 1, "error: --processes: process 1 of 2 was ended by SIGKILL", 2),
        (signal.SIGKILL, 0, "error: --processes: process 0 of 2 was ended by SIGKILL", 2),
        (signal.SIGTERM, None, "error: interrupted; what was already written is kept", 143),
        (signal.SIGINT, None, "error: interrupted; what was already written is kept", 130),
    ],
)
def test_two_processes_end_together(
    small_overrides: list[str], tmp_path: Path, number: signal.Signals, whom: int | None, line: str, status: int
) -> None:
    words = [*small_overrides, "train.epochs=1000", "--processes=2", "--out", str(tmp_path / "run")]
    heard = partial(signal.signal, number, signal.SIG_DFL)  # a shell's background, where tests may run, has it ignored
    with subprocess.Popen(
        [sys.executable, "-m", "centerx", "train", "nano", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=None if number == signal.SIGKILL else heard,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any(each.startswith("epoch 2/") for each in process.stdout)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        started = sorted(map(int, children.split()))  # the first is the first
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            os.kill(process.pid if whom is None else started[whom], number)
        _, errors = process.communicate(timeout=60)
    assert errors.splitlines()[-1:] == [line]
    if whom != 1:  # of which the first may tell as well
        assert errors.count("error:") == 1
    assert "Traceback" not in errors
    assert process.returncode == status
    assert not any(Path(f"/proc/{each}").exists() for each in started)


def test_a_measurement_names_the_gpu_it_was_made_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    on_cpu, on_gpu = (machine(Processes(device, 0, 1, 1).gpu) for device in ("cpu", "cuda"))
    assert on_cpu == machine()
    assert on_gpu == f"{on_cpu}, Some GPU"
