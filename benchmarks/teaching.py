"""What teaching adds to a training step: the whole step over (student's step + teacher's forward), timed in turn.

Student `nano`, teacher `r18`, both channels-last, without data loading. A teacher that is an exported ONNX file runs
outside torch and has its boxes rendered into maps: it is stated by itself, asked at every step and asked before.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from centerx.bench import median_seconds
from centerx.build import build_module
from centerx.build_model import build_detector, load_detector, save_named
from centerx.build_teachers import open_teachers
from centerx.config import load_config
from centerx.exporting import export_model
from centerx.objects import SCORE
from centerx.training.processes import keep_freed_memory
from centerx.training.teachers import TeacherModel
from centerx.types import Batch

from rows import Row, command_line, in_ms, rows, show
from targets import random_batch
from training import DEVICE, on_device, train_step, wait

SIDE, BOXES = 256, 10
BATCHES = {"cpu": (8,), "cuda": (8, 64)}  # by device
RUNS = 15
CLASSES = (3, 80)


def measure() -> list[Row]:
    """Time every case."""
    keep_freed_memory()
    measured = []
    with TemporaryDirectory() as folder:
        for size, num_classes, bf16 in product(BATCHES[DEVICE], CLASSES, (False, True)):
            measured += measure_teacher(Path(folder), size, num_classes, bf16, "last.safetensors")
        measured += measure_teacher(Path(folder), BATCHES[DEVICE][0], CLASSES[0], True, "last.onnx")
    return measured


def measure_teacher(folder: Path, size: int, num_classes: int, bf16: bool, file: str) -> list[Row]:
    """Time the student's step, the teacher's forward and both together; the last over the sum of the others."""
    names = f"classes={[str(label) for label in range(num_classes)]}"
    side = f"data.input_size={SIDE}"
    teacher = load_config("r18", [names, side])
    save_named(folder, teacher, build_detector(teacher), "last")
    if file.endswith(".onnx"):
        export_model(*load_detector(folder / "last.safetensors"), folder / file, "onnx")
    batch = on_device(random_batch(size, BOXES, num_classes, SIDE))
    found = batch.objects._replace(values={SCORE: torch.rand(len(batch.objects.labels), 1, device=DEVICE)})
    batch = batch._replace(
        images=batch.images.contiguous(memory_format=torch.channels_last),
        detections=(found,),
        answered=(torch.ones(size, dtype=torch.bool, device=DEVICE),),
    )
    steps = {}
    taught = f"distill.teachers={folder / file}"
    cases = {"student's step": [], "taught step": [taught, "distill.cache=false"]}
    if file.endswith(".onnx"):
        cases["taught step, asked before"] = [taught]
    else:
        cases["taught step, without features"] = [taught, "distill.features=0"]
    for case, changes in cases.items():
        config = load_config("nano", [names, side, *changes])
        detector = build_detector(config).to(DEVICE, memory_format=torch.channels_last)
        teachers = open_teachers(config)
        module = build_module(config, detector, 1000, teachers)
        steps[case] = partial(train_step, module, batch, bf16, config.train.clip_norm)
        for teacher in teachers if teachers and teachers[0].load is None else ():
            steps["teacher's forward"] = partial(forward_alone, teacher.model, batch, num_classes, bf16)
    seconds = median_seconds(steps, RUNS)
    apart = "student's step + teacher's forward"
    seconds[apart] = seconds["student's step"] + seconds["teacher's forward"]
    kind = "ONNX teacher" if file.endswith(".onnx") else "network teacher"
    figure = f"{kind}, {num_classes} classes, {'bf16' if bf16 else 'fp32'}, batch {size}, {SIDE} px"
    return rows(figure, in_ms(seconds), "ms", RUNS, baseline=apart)


def forward_alone(model: TeacherModel, batch: Batch, num_classes: int, bf16: bool) -> None:
    """Let a teacher answer, as a run does."""
    with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16, enabled=bf16):
        model(batch, list(range(num_classes)))
    wait()


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    show(measure())
