"""Reading, resizing and augmenting a picture, before and after simplejpeg, scaled decoding and colour tables, in turn.

Milliseconds of the processor in one thread, so that other programs change them little. `before` reads pictures
whole by Pillow and recolours them by torchvision alone. The parts of `after` are timed in a run of their own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch
from torchvision.transforms import v2

from centerx import images
from centerx.build_data import build_datasets, build_source, build_train_pictures, resolve_classes
from centerx.config import load_config
from centerx.data.augment import ColorJitter, Lighting
from centerx.data.batch import TrainPictures
from centerx.training.processes import keep_freed_memory
from centerx.types import Sample

from rows import Row, command_line, rows, show, write

RESULTS = Path(__file__).parent / "results" / "mapper.csv"
DATA = "../shared/data"
PICTURES, EPOCHS = 20, 5
CASES = {
    "bccd 640 x 480 at 192 x 256": ("bccd_nano", []),
    "bccd 640 x 480 at 256 x 256": ("bccd_nano", ["data.input_size=256"]),
    "bccd 640 x 480, preset article (512 px)": (
        "article", [f"data.train=[{{path: {DATA}/bccd, split: trainval}}]", "model.pretrained=false"]
    ),
    "facemask at 256 x 320": ("facemask_nano", []),
    "plates 720 x 1160 at 320 x 512": (
        "nano", [f"data.train=[{{path: {DATA}/plates/train_dir, format: folder}}]", "classes=[plate]",
                 "data.input_size=[320, 512]"]
    ),
}  # fmt: skip


class Before(TrainPictures):
    """Pictures read whole, by Pillow alone, and recoloured pixel by pixel."""

    def _warped(self, index: int, rng: np.random.Generator, skipped: list[str], names: list[str]) -> Sample:
        kept, images._jpeg = images._jpeg, lambda *_: None
        try:
            return self.affine(self.source.sample(index), rng)
        finally:
            images._jpeg = kept


def measure() -> list[Row]:
    """Time every case before and after, and with the pictures in memory."""
    keep_freed_memory()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    measured: list[Row] = []
    for case, (preset, words) in CASES.items():
        config = load_config(preset, words)
        datasets = build_datasets(config.data.train)
        source = build_source(resolve_classes(config, datasets), datasets)
        after = build_train_pictures(config, source)
        cached = build_train_pictures(load_config(preset, [*words, "data.cache=ram"]), source)
        before = Before(source, after.affine, PlainColour(after.colour.steps), 0.0, after.seed)
        values = processor_ms({"before": before, "after": after, "after, data.cache=ram": cached}, len(source))
        measured += rows(f"a sample, {case}", values, "ms", PICTURES * EPOCHS, "before")
        of_it = {"after": values["after"]} | parts_ms(after, len(source))
        measured += rows(f"a sample, {case}", of_it, "ms", PICTURES * EPOCHS, "after")[1:]
    return measured


class PlainColour:
    """torchvision on the picture as it lies in memory."""

    def __init__(self, steps: list) -> None:
        self.steps = [plain(step) for step in steps]

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the picture recoloured as `ColourTransform` does."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))
            tensor = torch.from_numpy(image).permute(2, 0, 1)
            for step in self.steps:
                tensor = step(tensor)
        return np.ascontiguousarray(tensor.permute(1, 2, 0).numpy())


def plain(step: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a step as it was."""
    if isinstance(step, ColorJitter):
        return v2.ColorJitter(step.brightness, step.contrast, step.saturation, step.hue)
    if isinstance(step, Lighting):
        return lambda image: (
            (image + (255 * step.VECTORS @ (step.VALUES * torch.randn(3) * step.scale))[:, None, None])
            .round().clamp(0, 255).to(torch.uint8)
        )  # fmt: skip
    return step


def processor_ms(pictures: dict[str, TrainPictures], count: int) -> dict[str, float]:
    """Return the median milliseconds of a sample, all in turn; the first epoch is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in pictures}
    for epoch in range(EPOCHS + 1):
        for number in range(min(count, PICTURES)):
            for name, each in pictures.items():
                started = time.thread_time()
                each[epoch, number]
                if epoch:
                    spent[name].append(time.thread_time() - started)
    return {name: 1e3 * statistics.median(seconds) for name, seconds in spent.items()}


def parts_ms(pictures: TrainPictures, count: int) -> dict[str, float]:
    """Return the median milliseconds that a sample spends in decoding, warping and recolouring."""
    spent: dict[str, list[float]] = {}
    places = {
        "of it decoding": (images, "_jpeg"),
        "of it warping": (cv2, "warpAffine"),
        "of it colour": (pictures, "colour"),
    }
    with ExitStack() as stack:
        for name, (owner, key) in places.items():
            seconds = spent.setdefault(name, [])
            stack.enter_context(mock.patch.object(owner, key, timed(getattr(owner, key), seconds)))
        for epoch in range(EPOCHS + 1):
            for number in range(min(count, PICTURES)):
                pictures[epoch, number]
    return {name: 1e3 * statistics.median(seconds) for name, seconds in spent.items()}


def timed(call: Callable, seconds: list[float]) -> Callable:
    """Return a function that notes how long each call takes."""

    def timed_call(*args: object, **words: object) -> object:
        started = time.thread_time()
        result = call(*args, **words)
        seconds.append(time.thread_time() - started)
        return result

    return timed_call


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    measured = measure()
    show(measured)
    write(RESULTS, measured)
