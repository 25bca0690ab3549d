"""Training step without data: targets, forward, loss, backward, optimiser and moving average, in milliseconds.

Each case runs in a process of its own, `training.py CASE`, that does a step for every line it reads: malloc's
thresholds cannot be put back.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device

from centerx.bench import median_seconds
from centerx.build import build_module
from centerx.build_model import build_detector
from centerx.config import load_config
from centerx.training.module import CenterNetModule
from centerx.training.processes import Processes, keep_freed_memory
from centerx.types import Batch

from rows import Row, command_line, in_ms, rows, show
from targets import random_batch

DEVICE = Processes.detect("auto").device
PRESET = "r18"
BATCH, BOXES, CLASSES = 8, 10, 3


class Case(NamedTuple):
    """How to train.

    Attributes:
        channels_last: memory layout. bf16: autocast. keep: freed memory, as `centerx train` does on a CPU.
        side: of the input in pixels.
    """

    channels_last: bool
    bf16: bool
    keep: bool
    side: int


CASES = {
    "NCHW fp32": Case(channels_last=False, bf16=False, keep=True, side=256),
    "channels-last fp32": Case(channels_last=True, bf16=False, keep=True, side=256),
    "channels-last bf16": Case(channels_last=True, bf16=True, keep=True, side=256),
    "malloc default": Case(channels_last=True, bf16=False, keep=False, side=256),
    "malloc kept": Case(channels_last=True, bf16=False, keep=True, side=256),
    "malloc default, 512 px": Case(channels_last=True, bf16=False, keep=False, side=512),
    "malloc kept, 512 px": Case(channels_last=True, bf16=False, keep=True, side=512),
}
# Cases timed in turn with each other, the baseline first, and how many steps of each.
GROUPS = {
    ("NCHW fp32", "channels-last fp32", "channels-last bf16"): 11,
    ("malloc default", "malloc kept"): 11,
    ("malloc default, 512 px", "malloc kept, 512 px"): 5,
}


def measure() -> list[Row]:
    """Time every case."""
    return [row for cases, runs in GROUPS.items() for row in measure_group(cases, runs)]


def measure_group(cases: Sequence[str], runs: int) -> list[Row]:
    """Time some cases in turn."""
    with ExitStack() as stack:
        steps = {case: partial(ask, stack.enter_context(start(case))) for case in cases}
        figure = f"training step, ResNet-18, batch {BATCH}"
        return rows(figure, in_ms(median_seconds(steps, runs)), "ms", runs, baseline=cases[0])


def start(case: str) -> subprocess.Popen[str]:
    """Start the process of a case; its `with` block ends it."""
    command = [sys.executable, __file__, case]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def ask(process: subprocess.Popen[str]) -> None:
    """Have a process do one step."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    if not process.stdout.readline():
        raise RuntimeError(f"{process.args}: ended, its message is above")


def serve(case: Case) -> None:
    """Do a step for every line that comes in."""
    if case.keep:
        keep_freed_memory()
    step = build_step(case)
    for _ in sys.stdin:
        step()
        print(flush=True)


def build_step(case: Case, preset: str = PRESET) -> Callable[[], None]:
    """Return one training step on a batch that stays the same."""
    config = load_config(preset, [f"classes={[str(label) for label in range(CLASSES)]}"])
    detector = build_detector(config).to(DEVICE)
    batch = on_device(random_batch(BATCH, BOXES, CLASSES, case.side))
    if case.channels_last:
        detector.to(memory_format=torch.channels_last)
        batch = batch._replace(images=batch.images.contiguous(memory_format=torch.channels_last))
    module = build_module(config, detector, epoch_steps=1000)
    return partial(train_step, module, batch, case.bf16, config.train.clip_norm)


def train_step(module: CenterNetModule, batch: Batch, bf16: bool, clip_norm: float) -> None:
    """Do what a run does for a batch, the taught terms included where there are teachers."""
    with torch.autocast(DEVICE, torch.bfloat16, enabled=bf16):
        features = module.detector.model.features(batch.images)
        outputs = module.detector.model.head(features)
        terms = dict(module.criterion(outputs, module.assign(batch)))
        if module.distiller:
            terms |= module.distiller.terms(outputs, features, batch)
        loss, _ = module.balance(terms, {})
    module.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.detector.parameters(), clip_norm)
    module.optimizer.step()
    assert module.average is not None
    module.average.update_parameters(module.detector)
    wait()


def on_device(batch: Batch) -> Batch:
    """The batch where the step is done."""
    return move_data_to_device(batch, DEVICE)


def wait() -> None:
    """Return when the device has done what it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    parser = command_line(__doc__)
    parser.add_argument("case", nargs="?", choices=CASES)
    if case := parser.parse_args().case:
        serve(CASES[case])
    else:
        show(measure())
