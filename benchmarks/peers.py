"""Peers' small detectors beside ours: the same pictures, epochs, size and batch, from scratch, timed in one run.

    python benchmarks/peers.py bccd_nano facemask_nano --ours nano n --peer ../peer/bin/yolo
    python benchmarks/peers.py experiments/mouse.yaml experiments/thermal.yaml --peers yolo11n --peer ../peer/bin/yolo
    python benchmarks/peers.py bccd_nano --peers yolo11n picodet_s --peer ../peer/bin/yolo \
        --paddle ../PaddleDetection ../paddle/bin/python

`--peer` is the `yolo` program of an environment in which Ultralytics is installed, with onnx and onnxslim;
`--paddle` a checkout of PaddleDetection and the interpreter of an environment for it. They are run as programs, and
nothing of them is imported. `--peers` names their networks, of which those of the task are taken, such as
yolo11n-pose; `--ours` names presets whose networks are trained with the rest of the configuration. The peers' batch,
epochs and input are those of the configuration; what else they do is their default, as what we do is the
configuration's. The last model is judged, never the best, which is chosen on the pictures that judge.

All are judged by `centerx eval` on exported ONNX files of one input size. Of YOLO it is the file that its program
exports by default: its suppression inside a file keeps the best class of a place alone, which costs AP. Timed is the
file with that inside, where its networks need it, so from pixels to boxes. PicoDet's file has its suppression inside.
Milliseconds are medians of calls in turn, in ONNX Runtime and OpenVINO. In int8 all are quantised by one function, that
of `centerx export`, with the ranges of the same training pictures: convolutions and what lies between them, without
the last ones; not PicoDet, on whose int8 file OpenVINO crashes.
Finished trainings are kept under `--out`, and an interrupted one goes on (PicoDet's starts again). Writes
results/peers.csv, and a chart of AP over milliseconds beside it.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from matplotlib.figure import Figure
from peer_programs import Files, PaddleDetection, Peer, Ultralytics
from rich.console import Console
from rich.table import Table

import centerx
from centerx.api.train import fit
from centerx.bench import machine, median_seconds
from centerx.build import build_run
from centerx.build_data import build_datasets
from centerx.cli.main import run_and_exit
from centerx.config import Config, load_config
from centerx.config.changes import changed_keys
from centerx.data.batch import some_pictures
from centerx.data.source import SampleSource, union_of_classes
from centerx.errors import InputError
from centerx.exporting.precision import to_int8
from centerx.files import new_files

RESULTS = Path(__file__).parent / "results"
RUNS = 25
LEARNT = 64  # pictures by which int8 is calibrated
TEXTS = "data", "detector", "precision"  # columns of the printed table
FIGURES = "AP", "AP50", "AP75", "APs", "APm", "APl", "AP_boxes"
BACKENDS = "onnxruntime", "openvino"
FOUND = "classes=", "train.report="  # words that say nothing of a training: found in the data, a report of it


class Row(NamedTuple):
    """A detector on a data set.

    Attributes:
        data: configuration that names it.
        detector: ours or the peer's.
        seed: of the training.
        precision: of the file, fp32 or int8.
        AP, AP50, AP75: of the last model, by what its task is judged by.
        APs, APm, APl: of small, medium and large objects; None where the task has no such figure.
        AP_boxes: of the boxes, of objects with joints.
        epochs: of the training.
        input_hw: size of the exported file.
        onnxruntime: milliseconds of a call.
        openvino: milliseconds of a call.
        peer: version of the program that trained it; empty for ours.
        machine: processor and cores.
    """

    data: str
    detector: str
    seed: int
    precision: str
    AP: float
    AP50: float
    AP75: float
    APs: float | None
    APm: float | None
    APl: float | None
    AP_boxes: float | None
    epochs: int
    input_hw: str
    onnxruntime: float
    openvino: float
    peer: str
    machine: str


class Run(NamedTuple):
    """A trained detector: its name, the seed of its training, and the precision of its files."""

    name: str
    seed: int
    precision: str = "fp32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+", help="configurations with data of their own")
    parser.add_argument("--peer", type=Path, metavar="YOLO", help="the yolo program of another environment")
    parser.add_argument(
        "--paddle", type=Path, nargs=2, metavar=("CHECKOUT", "PYTHON"), help="PaddleDetection, for picodet_s"
    )
    parser.add_argument("--ours", nargs="+", help="presets; the configuration's own network by default")
    parser.add_argument("--peers", nargs="*", default=["yolo11n", "yolo26n"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--once", nargs="+", default=[], metavar="NAME", help="networks with the first seed alone")
    parser.add_argument("--epochs", type=int, help="of all; the preset's by default")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of every configuration")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of a timed call")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    parser.add_argument("--csv", type=Path, default=RESULTS / "peers.csv")
    args = parser.parse_args()

    peers: dict[str, Peer] = {}
    if args.paddle:
        paddle = PaddleDetection(*args.paddle)
        peers |= {name: paddle for name in args.peers if name.startswith("picodet")}
    if args.peer:
        ultralytics = Ultralytics(args.peer)
        peers |= {name: ultralytics for name in args.peers if name.startswith("yolo")}
    if lacking := [name for name in args.peers if name not in peers]:
        parser.error(f"{' '.join(lacking)}: no program is named that trains it, --peer or --paddle")
    rows: list[Row] = []
    for preset in args.presets:
        config = load_config(preset, [*args.set, *([f"train.epochs={args.epochs}"] if args.epochs else [])])
        data = Path(preset).stem
        ours = {name: with_network(config, name) for name in args.ours} if args.ours else {data: config}
        networks = {peer.network(name, config.task): peer for name, peer in peers.items()}
        files: dict[Run, Files] = {}
        for seed in args.seeds:
            once = args.once if seed != args.seeds[0] else []
            # Peers first: what is wrong with their words they say themselves
            for name in [name for name in networks if name not in once]:
                files[Run(name, seed)] = networks[name].train(name, config, seed, args.out / data)
            for name in [name for name in ours if name not in once]:
                files[Run(name, seed)] = train_ours(ours[name], seed, args.out / data / f"{name}_{seed}")
        files = dict(sorted(files.items(), key=lambda item: (item[0].seed, item[0].name in networks)))
        pictures = learnt_pictures(config)
        files |= {run._replace(precision="int8"): quantised(each, pictures) for run, each in files.items() if each.int8}
        rows += measure(
            data, config, files, {name: peer.version for name, peer in networks.items()}, args.threads, args.seeds[0]
        )
        write(args.csv, rows)
    show(rows)
    draw(rows).savefig(args.csv.with_suffix(".png"), dpi=100)


def with_network(config: Config, preset: str) -> Config:
    """A configuration with the network of a preset."""
    return config.model_copy(update={"model": load_config(preset).model})


def train_ours(config: Config, seed: int, folder: Path) -> Files:
    """Train, unless that is done, and return the exported ONNX file, which does both.

    Raises:
        InputError: the folder holds the training of another configuration.
    """
    file = folder / "last.onnx"
    seeded = load_config(config, [f"train.seed={seed}", "train.report=false"])
    if file.exists():
        changed = changed_keys(folder / "config.yaml", seeded, needed=True)
        if told := [each for each in changed if not each.startswith(FOUND)]:
            raise InputError(f"{folder}: is trained with other words, give another --out: {', '.join(told)}")
    else:
        run = build_run(seeded, folder)
        checkpoint = folder / "last.ckpt"
        fit(run, checkpoint if checkpoint.is_file() else None)
        centerx.export(folder / "last.safetensors", "onnx", out=folder)
    return Files(file, file)


def learnt_pictures(config: Config) -> np.ndarray:
    """Pictures of the training by which int8 is calibrated, (N, 3, H, W) uint8."""
    datasets = build_datasets(config.data.train)
    return some_pictures(SampleSource(datasets, union_of_classes(datasets)), config.data.input_size, LEARNT)


def quantised(files: Files, pictures: np.ndarray) -> Files:
    """Write files in int8, unless that is done."""
    made = {file: file.with_name(f"{file.stem}_int8.onnx") for file in (files.judged, files.timed)}
    for file, out in made.items():
        if not out.exists():
            inputs = files.prepared(pictures) if files.prepared else pictures
            onnx.save(to_int8(onnx.load(file), inputs, symmetric=False), out)
    return files._replace(judged=made[files.judged], timed=made[files.timed])


def measure(
    data: str, config: Config, files: dict[Run, Files], versions: dict[str, str], threads: int, first: int
) -> list[Row]:
    """Judge files, and time those of the first seed in turn."""
    ms: dict[tuple[str, str], dict[str, float]] = {}
    for backend in BACKENDS:
        calls = {
            (run.name, run.precision): call(file.timed, backend, threads)
            for run, file in files.items()
            if run.seed == first
        }
        for kind, seconds in median_seconds(calls, RUNS).items():
            ms.setdefault(kind, {})[backend] = round(seconds * 1e3, 2)
    rows = []
    for (name, seed, precision), file in files.items():
        (entry,) = config.data.val
        model = centerx.load(file.judged, adapter=file.adapter)
        found = centerx.evaluate(model, entry.model_dump(exclude_defaults=True))
        figures: dict[str, Any] = {key: ap if (ap := getattr(found, key)) is None else round(ap, 4) for key in FIGURES}
        height, width = config.data.input_size
        rows.append(
            Row(
                data, name, seed, precision, **figures, epochs=config.train.epochs, input_hw=f"{height}x{width}",
                **ms[name, precision],
                peer=versions.get(name, ""), machine=machine(),
            )
        )  # fmt: skip
    return rows


def call(file: Path, backend: str, threads: int) -> Callable[[], object]:
    """A call of a file with one picture of noise, with nothing around it."""
    rng = np.random.default_rng(0)
    if backend == "openvino":
        import openvino as ov

        # Where a processor knows bfloat16, OpenVINO computes in it unless told otherwise
        words = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        model = ov.Core().compile_model(file, "CPU", words)
        shape = [side.get_length() if side.is_static else 1 for side in model.input(0).partial_shape]
        picture = noise(rng, shape, model.input(0).element_type.to_dtype())
        request = model.create_infer_request()
        return lambda: request.infer([picture])
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    put = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in put.shape]
    inputs = {put.name: noise(rng, shape, np.uint8 if "uint8" in put.type else np.float32)}
    return lambda: session.run(None, inputs)


def noise(rng: np.random.Generator, shape: list[int], kind: Any) -> np.ndarray:
    """A picture in which nothing is."""
    values = rng.integers(0, 256, shape, dtype=np.uint8)
    return values if kind == np.uint8 else (values / 255).astype(kind)


def write(path: Path, rows: list[Row]) -> None:
    """Write the table."""
    with new_files(path) as whole, whole.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([Row._fields, *rows])


def show(rows: list[Row]) -> None:
    """Print means over the seeds."""
    table = Table(title=rows[0].machine)
    for column in (*TEXTS, "seeds", "AP", "AP50", "AP75", "ONNX Runtime ms", "OpenVINO ms"):
        table.add_column(column, justify="left" if column in TEXTS else "right")
    for texts, runs in grouped(rows).items():
        means = [f"{np.mean([getattr(run, key) for run in runs]):.3f}" for key in ("AP", "AP50", "AP75")]
        table.add_row(*texts, str(len(runs)), *means, f"{runs[0].onnxruntime:.1f}", f"{runs[0].openvino:.1f}")
    Console().print(table)


def grouped(rows: list[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of each detector on each data set in each precision."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.data, row.detector, row.precision), []).append(row)
    return found


def draw(rows: list[Row]) -> Figure:
    """AP over milliseconds in OpenVINO, a panel for each data set."""
    names = list(dict.fromkeys(row.data for row in rows))
    figure = Figure(figsize=(4.5 * len(names), 3.6), layout="constrained")
    for panel, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        named = 0
        for (data, detector, precision), runs in grouped(rows).items():
            if data == name:
                ap = [run.AP for run in runs]
                x, peer, whole = runs[0].openvino, bool(runs[0].peer), precision == "fp32"
                face = {} if whole else {"markerfacecolor": "white"}
                panel.errorbar(
                    x, np.mean(ap), np.std(ap), fmt="s" if peer else "o", capsize=3, color=f"C{int(peer)}", **face
                )
                if whole:  # names above and below in turn, as points lie close to each other
                    named += 1
                    place = (0, 6) if named % 2 else (0, -14)
                    panel.annotate(detector, (x, float(np.mean(ap))), place, textcoords="offset points", ha="center")
        panel.set(title=name, xlabel="milliseconds a picture, OpenVINO; hollow: int8", ylabel="AP")
        panel.margins(x=0.4, y=0.25)
    return figure


if __name__ == "__main__":
    run_and_exit(main)
