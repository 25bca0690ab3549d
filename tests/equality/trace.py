"""Losses and detections of the code as it is, and how they differ from those stored before.

`python -m tests.equality.trace` writes `trace.json` anew, with `--compare` it tells the differences instead.

Another processor or another version of torch rounds otherwise, and training makes small differences large. So the file
says where it was made, and elsewhere only the first steps are compared, and loosely. What the tests compare is a part.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from lightning.pytorch.callbacks import Callback
from typer.testing import CliRunner

from centerx.build import build_run
from centerx.build_model import build_detector, model_info
from centerx.cli.main import app
from centerx.config import load_config
from centerx.data.digits import write_digit_scenes
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import synthetic_images
from centerx.runtime import open_session
from tests.equality.cases import CASES, STEPS, Case

BEFORE = Path(__file__).with_name("before")
STORED = Path(__file__).with_name("trace.json")
IDLE = {"Evaluation", "SaveModels", "ModelCheckpoint", "RunLogger", "TrainProgress"}  # change no loss, write much
OTHER_HW = (64, 128)  # of pictures for files that take any size
FIRST = 3  # steps that are compared on another machine
GROWTH, AT_LAST = 6.0, 1e-2  # of differences by rounding: from step to step, and the most
TIES = 3e-2  # of losses on another machine, where rounding decides which of two equal cells is a teacher's peak
BOX, SCORE = 1e-3, 1e-5  # pixels and scores by which detections may differ; a hundredfold on another machine
GRAPHS = ("nano", "r18")
REQUESTS = {
    f"{outputs}{', any size' if any_size else ''}": ExportOptions(outputs, any_size=any_size)
    for outputs in ("detections", "maps")
    for any_size in (False, True)
}
Trace = dict[str, list[float]]  # each loss by name, a value a step
Rows = list[list[list[float]]]  # detections of each picture: x, y, x, y, score, label


def machine() -> dict[str, str]:
    """What the bits depend on beside the code."""
    with contextlib.suppress(OSError):
        lines = [line.split(":") for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()]
        facts = {line[0].strip(): line[1].strip() for line in lines if len(line) == 2}
        keys = ("model name", "cpu family", "model")
        kind = torch.backends.cpu.get_cpu_capability()
        return {"processor": " ".join([*(facts.get(key, "?") for key in keys), kind]), "torch": torch.__version__}
    return {"processor": "unknown", "torch": torch.__version__}


def prepare(folder: Path) -> None:
    """Paint the scenes and unpack the files made before."""
    shutil.unpack_archive(BEFORE / "files.tar.xz", folder, filter="data")
    for path in BEFORE.glob("*.yaml"):
        shutil.copy(path, folder)
    scenes = folder / "scenes"
    everything = write_digit_scenes(scenes / "all", 80, seed=0, split="train", image_hw=(96, 96))
    write_digit_scenes(scenes / "all", 8, seed=0, split="val", image_hw=(96, 96))
    write_digit_scenes(scenes / "low", 40, seed=1, split="train", image_hw=(96, 128), classes="01234")
    write_digit_scenes(scenes / "high", 40, seed=2, split="train", image_hw=(128, 96), classes="56789")
    tree = json.loads(everything.read_text(encoding="utf-8"))
    for annotation in tree["annotations"][::3]:
        annotation["iscrowd"] = 1
    everything.with_name("ignored.json").write_text(json.dumps(tree), encoding="utf-8")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Recorder(Callback):
    """Keeps the losses of every step."""

    def __init__(self) -> None:
        self.trace: Trace = {}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: object) -> None:
        terms = {term.label: value for term, value in pl_module.terms.items()}
        for name, value in {"loss": outputs["loss"], **terms}.items():
            self.trace.setdefault(name, []).append(plain(value.item()))


def train(case: Case, steps: int = STEPS) -> Trace:
    """The losses of a run in the prepared working folder, and at last a sum over the weights to deploy.

    Args:
        case: whose data is there. steps: where fewer are wanted than the case has.
    """
    recorder = Recorder()
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        run = build_run(load_config(case.config, case.words), Path(folder))
        kept = [each for each in run.trainer.callbacks if type(each).__name__ not in IDLE]
        run.trainer.callbacks = [*kept, recorder]
        run.trainer.fit_loop.epoch_loop.max_steps = min(case.steps, steps)
        run.trainer.fit(run.module, run.batches)
        weights = sum(value.double().abs().sum().item() for value in run.module.deployed.model.parameters())
    return {**recorder.trace, "weights": [plain(weights)]} if steps >= case.steps else recorder.trace


def resume(folder: Path) -> Trace:
    """What a run that goes on logs of its last epoch."""
    with one_thread():
        words = ["train", str(folder / "config.yaml"), "--out", str(folder), "--resume"]
        CliRunner().invoke(app, words, catch_exceptions=False)
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    later = {"seconds", "skipped_steps"}  # of the machine, and not there before
    return {name: [plain(float(value))] for name, value in last.items() if name not in later}


def detect(path: Path) -> dict[str, Rows]:
    """What a model file finds on synthetic pictures, by their size."""
    with one_thread():
        session = open_session(path)
        sizes = [session.info.input_hw, *([OTHER_HW] if session.any_size else [])]
        return {f"{height}x{width}": rows(session(synthetic_images(2, (height, width)))) for height, width in sizes}


def rows(found: Any) -> Rows:
    """Detections as plain numbers."""
    return [
        [[*map(plain, box), plain(score), int(label)] for box, score, label in zip(*picture, strict=True)]
        for picture in zip(found.values["boxes"], found.scores, found.labels, strict=True)
    ]


def plain(value: float) -> float:
    """The shortest number that is the same in float32."""
    return float(str(np.float32(value)))


def count_nodes(name: str, request: str) -> int:
    """How many operators the exported graph of a preset has."""
    config = load_config(name, ["classes=[a, b, c]", "model.pretrained=false", "data.input_size=128", "model.top_k=50"])
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_model(build_detector(config).eval(), model_info(config), path, "onnx", REQUESTS[request])
        return len(onnx.load(path).graph.node)


def model_files(folder: Path) -> list[Path]:
    """The files made before that a session opens."""
    beside = {".bin", ".json"}
    return sorted(path for path in (folder / "models").iterdir() if path.suffix not in beside)


def stored() -> dict[str, Any]:
    """What was written before."""
    return json.loads(STORED.read_text(encoding="utf-8"))


def differing(before: Trace, now: Trace, same_machine: bool, trained: int = 0) -> list[str]:
    """Losses that are another than before, told a line each.

    Args:
        before, now: by name; a run that stopped earlier is compared as far as it went.
        same_machine: whether both are of one. trained: steps before the first.
    """
    missing = before.keys() - now.keys() - {"weights"}
    if missing or now.keys() - before.keys():
        return [f"{', '.join(before)} became {', '.join(now)}"]
    least = TIES if not same_machine and any(name.startswith("kd/") for name in before) else 0.0
    told = []
    for name, values in now.items():
        if name == "weights" and not same_machine:
            continue
        steps = len(values) if same_machine else FIRST
        for step, (old, new) in enumerate(zip(before[name][:steps], values[:steps], strict=False)):
            limit = AT_LAST if name == "weights" else max(tolerance(step + trained, same_machine), least)
            if not abs(new - old) <= limit * abs(old):
                told.append(f"{name} at step {step}: {new} was {old}")
                break
    return told


def tolerance(step: int, same_machine: bool) -> float:
    """How far a loss may be from before, relative to it: what rounding comes to, by what one bit in each weight did."""
    return min((1e-6 if same_machine else 1e-4) * GROWTH**step, AT_LAST)


def unmatched(before: Rows, now: Rows, same_machine: bool) -> int:
    """How many detections of before have no partner now."""
    scale = 1 if same_machine else 100
    limit = np.array([*[BOX * scale] * 4, SCORE * scale, 0.5])
    alone = 0
    for old, new in zip(np.array(before), np.array(now), strict=True):
        alone += int((~(np.abs(old[:, None] - new) <= limit).all(-1).any(1)).sum())
    return alone


def same_bits(before: Any, now: Any) -> tuple[int, int]:
    """How many numbers of two trees are equal, and how many there are."""
    old, new = (np.concatenate([np.ravel(value) for value in flat(tree)]) for tree in (before, now))
    return (int((old == new).sum()) if len(old) == len(new) else 0), len(old)


def flat(tree: Any) -> Iterator[Any]:
    """The lists in a tree of mappings."""
    for value in tree.values():
        if isinstance(value, dict):
            yield from flat(value)
        else:
            yield value


def write(parts: dict[str, dict[str, Any]]) -> None:
    """Store everything, a line each."""
    blocks = []
    for part, tree in parts.items():
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in tree.items()]
        blocks.append(f'"{part}": {{\n' + ",\n".join(lines) + "\n}")
    STORED.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


def compare(part: str, name: str, before: Any, now: Any, same_machine: bool) -> None:
    """Tell on a line what became of a case, and how much of it has the same bits."""
    if part == "nodes":
        print(f"{part}: {name}: {now}, was {before}")
        return
    equal, total = same_bits(before, now)
    if part in ("losses", "resumed"):
        told = "; ".join(differing(before, now, same_machine, STEPS if part == "resumed" else 0))
    else:
        told = ", ".join(
            f"{size}: {unmatched(before[size], now[size], same_machine)} without a partner" for size in before
        )
    print(f"{part}: {name}: {equal} of {total} equal to the last bit; {told}".rstrip("; "), flush=True)


def main() -> None:
    """Write the trace, or compare with that of before."""
    warnings.simplefilter("ignore")
    old = stored() if "--compare" in sys.argv else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare(Path())
        work = [("losses", name, train, (case,)) for name, case in CASES.items()]
        work += [("resumed", path.name, resume, (path,)) for path in sorted(Path("runs").iterdir())]
        work += [("detections", path.name, detect, (path,)) for path in model_files(Path())]
        work += [
            ("nodes", f"{name}, {request}", count_nodes, (name, request)) for name in GRAPHS for request in REQUESTS
        ]
        parts: dict[str, dict[str, Any]] = {"machine": machine()}
        for part, name, function, arguments in work:
            value = function(*arguments)
            parts.setdefault(part, {})[name] = value
            if old is not None:
                compare(part, name, old[part][name], value, old["machine"] == machine())
    if old is None:
        write(parts)


if __name__ == "__main__":
    main()
