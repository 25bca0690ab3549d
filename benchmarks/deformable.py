"""What deformable convolutions in the neck cost: training step and ONNX graph, against plain ones, in milliseconds."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from centerx.bench import median_seconds
from centerx.build import build_module
from centerx.build_model import build_detector, model_info
from centerx.config import load_config
from centerx.exporting import export_model
from centerx.runtime import open_session

from rows import Row, command_line, in_ms, rows, show
from targets import random_batch
from training import BATCH, BOXES, PRESET, train_step

CONVOLUTIONS = ("plain", "deformable", "modulated")
CLASSES = 3
SIDE = 256  # pixels
STEPS, CALLS = 7, 21


def measure() -> list[Row]:
    """Time the same network with each kind of convolution, in turn."""
    steps, calls = {}, {}
    batch = random_batch(BATCH, BOXES, CLASSES, SIDE)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for conv in CONVOLUTIONS:
            config = load_config(
                PRESET,
                [
                    "model.neck.type=deconv",
                    f"model.neck.conv={conv}",
                    f"classes={[str(label) for label in range(CLASSES)]}",
                    f"data.input_size={SIDE}",
                ],
            )
            detector = build_detector(config).eval()
            export_model(detector, model_info(config), Path(folder) / f"{conv}.onnx", "onnx")
            calls[conv] = partial(open_session(Path(folder) / f"{conv}.onnx"), image)
            module = build_module(config, detector.train(), epoch_steps=1000)
            steps[conv] = partial(train_step, module, batch, bf16=True, clip_norm=config.train.clip_norm)
        latency = rows(
            f"ONNX Runtime, deconvolutions, {SIDE} px", in_ms(median_seconds(calls, CALLS)), "ms", CALLS, "plain"
        )
    figure = f"training step, deconvolutions, batch {BATCH}, {SIDE} px, bf16"
    return rows(figure, in_ms(median_seconds(steps, STEPS)), "ms", STEPS, "plain") + latency


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    show(measure())
