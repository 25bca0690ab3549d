"""Detectors of other projects, as `centerx eval` and a call find them: AP on labelled pictures, and milliseconds.

    python benchmarks/foreign.py ../shared/data

The folder holds `foreign_detectors`, `coco_mini` and `facemask`. Writes benchmarks/results/foreign.csv.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import centerx
from centerx.bench import machine, median_seconds
from centerx.progress import track

RESULTS = Path(__file__).parent / "results"
RUNS = 9
FACES = ("with_mask", "without_mask", "mask_weared_incorrect")


class Case(NamedTuple):
    """A file to measure.

    Attributes:
        file: its name.
        on: `coco` or `faces`; None where there is no set for it.
        published: AP (coco) or AP50 (faces) that the README beside the files states.
        adapter: what the table of families does not tell.
    """

    file: str
    on: str | None
    published: float | None
    adapter: Mapping[str, Any] | None = None


CASES = (
    Case("yolox_nano_416.onnx", "coco", 0.300),
    Case("nanodet_m_320.onnx", "coco", 0.278),
    Case("picodet_s_320.onnx", "coco", 0.332),
    Case("fastestdet_352.onnx", "coco", 0.208),
    Case("ssd_mobilenet_v1_coco_quant_300.tflite", "coco", 0.207),
    Case("rtmdet_nano_person_320.onnx", "coco", 0.340, {"input": {"size": 320}, "classes": ["person"]}),
    Case("centerface.onnx", "faces", 0.829),
    Case("ulfg_rfb_320.onnx", "faces", 0.666, {"family": "ultraface"}),
    Case("ulfg_rfb_320_raw.onnx", "faces", 0.666, {"family": "ultraface-raw"}),
    Case("yunet_2021_120x160.onnx", "faces", 0.380),
    Case("yunet_2026may.onnx", "faces", 0.757),
    Case("blazeface_short_128.tflite", "faces", 0.145),
    Case("blazeface_full_192.tflite", "faces", 0.439),
    Case("lpd_yunet_2022may.onnx", None, None),
)


class Row(NamedTuple):
    """A measured file.

    Attributes:
        file: its name.
        data: what it was evaluated on, and by which metric; empty where it was not.
        ap: reached here.
        published: as stated beside the file.
        ms: median of a call for one picture of the input's size, pre- and post-processing included.
        runs: calls of which it is the median.
        machine: processor and cores.
    """

    file: str
    data: str
    ap: float | None
    published: float | None
    ms: float
    runs: int
    machine: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    args = parser.parse_args()

    rows = [measure(args.data, case) for case in track(CASES, "measuring")]
    table = Table(title=rows[0].machine)
    for column in ("file", "data", "AP here", "AP published", "ms"):
        table.add_column(column, justify="left" if column in ("file", "data") else "right")
    for row in rows:
        figures = ["" if each is None else f"{each:.3f}" for each in (row.ap, row.published)]
        table.add_row(row.file, row.data, *figures, f"{row.ms:.1f}")
    Console().print(table)
    with (RESULTS / "foreign.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([Row._fields, *rows])


def measure(data: Path, case: Case) -> Row:
    """Evaluate a file, and time calls with one picture."""
    predictor = centerx.load(data / "foreign_detectors" / case.file, adapter=case.adapter)
    picture = np.random.default_rng(0).integers(0, 256, (*predictor.input_hw, 3), dtype=np.uint8)
    ms = median_seconds({case.file: lambda: predictor(picture)}, RUNS)[case.file] * 1e3
    ap, told = None, ""
    if case.on == "coco":
        ap, told = centerx.evaluate(predictor, data / "coco_mini").AP, "coco_mini, AP"
    elif case.on == "faces":
        entry = {"path": str(data / "facemask/annotations/custom_val.json"), "classes": dict.fromkeys(FACES, "face")}
        ap, told = centerx.evaluate(predictor, entry).AP50, "facemask val, AP50"
    return Row(case.file, told, ap and round(ap, 4), case.published, round(ms, 2), RUNS, machine())


if __name__ == "__main__":
    main()
