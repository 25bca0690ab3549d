"""Reading: a COCO json of 100,000 boxes, and looking for what is wrong in it."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from centerx.bench import median_seconds
from centerx.data.check import box_problems, picture_problems
from centerx.data.read import read_dataset

from rows import Row, command_line, in_ms, rows, show

PICTURES, BOXES, CLASSES = 20_000, 100_000, 80
RUNS = 5
BCCD = Path("../shared/data/bccd")


def measure() -> list[Row]:
    """Time parsing the json, reading it, and the checks of boxes; of bccd reading and the checks of pictures."""
    with tempfile.TemporaryDirectory() as folder:
        file = write_json(Path(folder) / "boxes.json")
        dataset = read_dataset(file)
        cases = {
            "json alone": partial(parse, file),
            "read": partial(read_dataset, file),
            "checks of boxes": lambda: list(box_problems(dataset)),
        }
        found = rows("COCO json of 100,000 boxes", in_ms(median_seconds(cases, RUNS)), "ms", RUNS, "json alone")
    if BCCD.exists():
        cells = read_dataset(BCCD)
        cases = {
            "read": partial(read_dataset, BCCD),
            "checks of pictures": lambda: list(picture_problems(cells, decode=False)),
        }
        found += rows("bccd, 364 xml files", in_ms(median_seconds(cases, RUNS)), "ms", RUNS, "read")
    return found


def parse(file: Path) -> object:
    return json.loads(file.read_bytes())


def write_json(file: Path) -> Path:
    """Boxes of all sizes on pictures that need not be there."""
    generator = np.random.default_rng(0)
    corners, sides = generator.uniform(0, 400, (BOXES, 2)), generator.uniform(10, 80, (BOXES, 2))
    boxes = np.concatenate([corners, sides], axis=1).round(2).tolist()
    pictures, labels = (
        generator.integers(PICTURES, size=BOXES).tolist(),
        generator.integers(CLASSES, size=BOXES).tolist(),
    )
    tree = {
        "images": [{"id": i, "file_name": f"{i:06d}.jpg", "width": 640, "height": 480} for i in range(PICTURES)],
        "categories": [{"id": i, "name": f"class {i}"} for i in range(CLASSES)],
        "annotations": [
            {"id": i, "image_id": picture, "category_id": label, "bbox": box, "iscrowd": 0}
            for i, (picture, label, box) in enumerate(zip(pictures, labels, boxes, strict=True))
        ],
    }
    file.write_text(json.dumps(tree))
    return file


if __name__ == "__main__":
    command_line(__doc__).parse_args()
    show(measure())
