"""Growth: time and memory against pixels, boxes a picture, classes and pictures.

Milliseconds are of the processor in one thread, so that other programs change them little.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from centerx.build_data import build_train_pictures
from centerx.config import load_config
from centerx.data.batch import TrainPictures, collate
from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.targets import center_targets
from centerx.tasks import BOXES as BOXES_TASK
from centerx.types import Batch

from rows import Row, command_line, rows, show, write

RESULTS = Path(__file__).parent / "results" / "growth.csv"
PIXELS = (256, 512, 1024, 2048)  # side of a square picture
BOXES = (0, 10, 100, 1000)  # a picture
CLASSES = (1, 80, 1200)
BATCHES = (1, 8, 32)
PICTURES = (100, 1_000, 10_000, 100_000, 1_000_000)
BOXES_EACH = 10
RUNS = 15


def measure(most_pictures: int) -> list[Row]:
    """Measure every case."""
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            ("a sample, 256 px", "ms"): [
                (f"picture of {side} x {side}", sample_ms, (folder, side, 10)) for side in PIXELS
            ],
            ("a sample of a 512 x 512 picture, 256 px", "ms"): [
                (f"{boxes} boxes", sample_ms, (folder, 512, boxes)) for boxes in BOXES
            ],
            ("targets of a batch of 8, 256 px, 80 classes", "ms"): [
                (f"{boxes} boxes a picture", targets_ms, (8, boxes, 80)) for boxes in BOXES
            ],
            ("targets of a batch of 8, 256 px, 10 boxes a picture", "ms"): [
                (f"{classes} classes", targets_ms, (8, 10, classes)) for classes in CLASSES
            ],
            ("targets, 256 px, 80 classes, 10 boxes a picture", "ms"): [
                (f"batch of {batch}", targets_ms, (batch, 10, 80)) for batch in BATCHES
            ],
        }
        measured: list[Row] = []
        for (figure, unit), cases in figures.items():
            values = {case: function(*words) for case, function, words in cases}
            measured += rows(figure, values, unit, RUNS)
        for count in PICTURES:
            if count <= most_pictures:
                figure = f"COCO json of {count:,} pictures, {count * BOXES_EACH:,} boxes"
                for case, (value, unit) in in_new_process(records, folder, count).items():
                    measured += rows(figure, {case: value}, unit, 1)
    return measured


def in_new_process(
    function: Callable[..., dict[str, tuple[float, str]]], *words: object
) -> dict[str, tuple[float, str]]:
    """Return what a function returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(function, *words).result()


def processor_ms(call: Callable[[], object]) -> float:
    """Return the median milliseconds of the processor."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    spent = []
    for _ in range(RUNS + 3):
        started = time.process_time()
        call()
        spent.append(time.process_time() - started)
    return 1e3 * statistics.median(spent[3:])


def random_boxes(count: int, side: float) -> np.ndarray:
    """(count, 4) float64 xyxy in a square."""
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.9 * side, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.02 * side, 0.1 * side, (count, 2))], axis=1)


def one_picture(folder: str, side: int, boxes: int, classes: int) -> TrainPictures:
    """Training pictures of one file."""
    file = Path(folder) / f"{side}.jpg"
    if not file.exists():
        noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)).save(file, quality=90)
    names = [str(label) for label in range(classes)]
    dataset = Dataset.from_arrays([file], [random_boxes(boxes, side)], [np.arange(boxes) % classes], names)
    config = load_config("nano", ["data.input_size=256", f"classes={json.dumps(names)}"])
    return build_train_pictures(config, SampleSource([dataset], names))


def sample_ms(folder: str, side: int, boxes: int) -> float:
    """Reading and augmenting a picture."""
    pictures = one_picture(folder, side, boxes, 80)
    epochs = iter(range(RUNS + 3))
    return processor_ms(lambda: pictures[next(epochs), 0])


def targets_ms(batch_size: int, boxes: int, classes: int) -> float:
    """Targets of a batch."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = one_picture(folder, 256, boxes, classes)
        batch: Batch = collate([pictures[epoch, 0] for epoch in range(batch_size)])
    return processor_ms(lambda: center_targets(batch, classes, 4, 0.7, 1, BOXES_TASK, 1.0))


def records(folder: str, count: int) -> dict[str, tuple[float, str]]:
    """Reading a COCO json, joining it for training, and what a forked worker copies of it."""
    file = write_json(Path(folder) / f"{count}.json", count)
    before = memory()
    started = time.process_time()
    json.loads(file.read_bytes())
    parsed = time.process_time()
    dataset = read_dataset(file)
    read = time.process_time()
    held = memory() - before
    source = SampleSource([dataset], dataset.class_names)
    joined = time.process_time()
    with multiprocessing.get_context("fork").Pool(1, initializer=keep, initargs=(source,)) as pool:
        copied = pool.apply(copied_bytes)
    return {
        "json alone": (parsed - started, "s"),
        "read": (read - parsed, "s"),
        "joined in the model's classes": (joined - read, "s"),
        "memory after reading": (held / (count * BOXES_EACH), "bytes a box"),
        "memory in all": ((memory() - before) / (count * BOXES_EACH), "bytes a box"),
        "copied by a worker that has used each picture": (copied / (count * BOXES_EACH), "bytes a box"),
    }


SOURCE: list[SampleSource] = []


def keep(source: SampleSource) -> None:
    SOURCE.append(source)


def copied_bytes() -> int:
    """Return the bytes that this process has for itself after each record was used, less those before."""
    before = private()
    for record, _ in SOURCE[0].entries:
        record.objects.with_fields(SOURCE[0].task.fields)
    return private() - before


def private() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty"))


def memory() -> int:
    """Return the resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def write_json(file: Path, count: int) -> Path:
    """A data set of 80 classes, whose pictures need not be there."""
    if file.exists():
        return file
    boxes = random_boxes(BOXES_EACH, 480).round(2)
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).round(2).tolist()
    parts = {
        "images": ({"id": k, "file_name": f"{k:07d}.jpg", "width": 640, "height": 480} for k in range(count)),
        "categories": ({"id": k, "name": f"class {k}"} for k in range(80)),
        "annotations": (
            {"id": k, "image_id": k // BOXES_EACH, "category_id": k % 80, "bbox": corners[k % BOXES_EACH], "iscrowd": 0}
            for k in range(count * BOXES_EACH)
        ),
    }
    with file.open("w") as out:
        for place, (name, entries) in enumerate(parts.items()):
            out.write(f'{"," if place else "{"}"{name}": [')
            for number, entry in enumerate(entries):
                out.write("," * bool(number) + json.dumps(entry))
            out.write("]")
        out.write("}")
    return file


if __name__ == "__main__":
    parser = command_line(__doc__)
    parser.add_argument("--pictures", type=int, default=100_000, help="at most")
    measured = measure(parser.parse_args().pictures)
    show(measured)
    write(RESULTS, measured)
