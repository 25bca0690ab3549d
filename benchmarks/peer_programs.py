"""Programs of other projects that train and export detectors. They are run, and nothing of them is imported."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnx

import centerx
from centerx.config import Config
from centerx.errors import InputError
from centerx.files import write_json
from centerx.yaml_text import parse_yaml

# Ultralytics' words of each task: format of the data, command, end of the names of networks
FORMS = {
    "boxes": ("yolo", "detect", ""),
    "pose": ("yolo-pose", "pose", "-pose"),
    "rotated": ("yolo-obb", "obb", "-obb"),
}
FLOOR = 0.001  # score below which boxes of YOLO are left out, as in its own validation
WITHOUT_SUPPRESSION = "yolo26", "yolov10"  # networks whose boxes do not overlap
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet
# How much larger or smaller than its input the pictures of PicoDet's training are, in its own configuration
SCALES = 0.8, 0.9, 1.0, 1.1, 1.2
OPSET = "16"  # 13 is the first that int8 of a channel is written with
RATE, BATCH, EPOCHS, ASSIGNED = 0.32 / 4, 64, 300, 100  # of PicoDet's configuration, on one card
SEEDED = """
import random, runpy, sys
import paddle
import numpy
seed = int(sys.argv[1])
paddle.seed(seed), random.seed(seed), numpy.random.seed(seed)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Files(NamedTuple):
    """ONNX files of one trained detector.

    Attributes:
        judged: by which it is evaluated.
        timed: from pixels to boxes.
        adapter: how a foreign file is read; None for a file of our own.
        prepared: turns pictures, (N, 3, H, W) uint8, into its input; None where that is uint8.
        int8: whether it is also quantised.
    """

    judged: Path
    timed: Path
    adapter: dict[str, Any] | None = None
    prepared: Callable[[np.ndarray], np.ndarray] | None = None
    int8: bool = True


class Peer(Protocol):
    """A program that trains and exports detectors."""

    version: str

    def network(self, name: str, task: str) -> str:
        """The name of its network of a task."""

    def train(self, name: str, config: Config, seed: int, out: Path) -> Files:
        """Train a network, unless that is done, and return the exported ONNX files."""


class Ultralytics:
    """The `yolo` program, with onnx and onnxslim in its environment.

    Args:
        program: its path.

    Raises:
        InputError: it does not run.
    """

    def __init__(self, program: Path) -> None:
        self.program = program.absolute()
        try:
            said = self._run(["version"]).split()
        except InputError as error:
            raise InputError(f"--peer: {error}") from None
        if not said or not said[-1][0].isdigit():
            raise InputError(f"--peer: {program} is not the yolo program of Ultralytics")
        self.version = said[-1]

    def network(self, name: str, task: str) -> str:
        """Return yolo11n-pose for yolo11n and pose."""
        return name + FORMS[task][2]

    def train(self, name: str, config: Config, seed: int, out: Path) -> Files:
        """Train a network, unless that is done, going on where it was interrupted; return the exported ONNX files."""
        form, task, _ = FORMS[config.task]
        folder = (out / f"{name}_{seed}").absolute()
        weights = folder / "weights" / "last.pt"
        height, width = config.data.input_size
        if lines(folder / "results.csv") <= config.train.epochs:  # one is the head
            words = {
                "model": f"{name}.yaml",
                "data": yolo_data(config, form, out / "data"),
                "pretrained": False,
                "epochs": config.train.epochs,
                "batch": config.train.batch_size,
                "imgsz": max(height, width),
                "seed": seed,
                "device": "cpu",
                "workers": 1,
                "plots": False,
                "project": folder.parent,
                "name": folder.name,
                "exist_ok": True,
            }
            last = {"resume": weights} if weights.exists() else {}
            self._run([task, "train", *(f"{key}={value}" for key, value in (words | last).items())])
        inside: dict[str, Any] = {"nms": not name.startswith(WITHOUT_SUPPRESSION)}
        judged, timed = weights.with_name("judged.onnx"), weights.with_name("timed.onnx")
        for file, words in ((judged, {}), (timed, inside)):
            if not file.exists():
                export = {"model": weights, "format": "onnx", "imgsz": f"{height},{width}", **words}
                self._run(["export", *(f"{key}={value}" for key, value in export.items())])
                weights.with_suffix(".onnx").rename(file)
        return Files(judged, timed, {"score_floor": FLOOR}, lambda pictures: (pictures / 255).astype(np.float32))

    def _run(self, words: list[str]) -> str:
        return run([self.program, *words], {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"})


class PaddleDetection:
    """A checkout of PaddleDetection, whose PicoDet is trained.

    Args:
        checkout: its folder.
        python: the interpreter of an environment with paddlepaddle, paddle2onnx and what PaddleDetection imports.

    Raises:
        InputError: Paddle does not run.
    """

    def __init__(self, checkout: Path, python: Path) -> None:
        self.checkout, self.python = checkout.absolute(), python.absolute()
        if not (checkout / "tools" / "train.py").is_file():
            raise InputError(f"--paddle: {checkout} is no checkout of PaddleDetection, it has no tools/train.py")
        said = run([self.python, "-c", "import paddle; print(paddle.__version__)"]).split()
        if not said:
            raise InputError(f"--paddle: {python} is no Python interpreter")
        self.version = f"PaddlePaddle {said[-1]}"

    def network(self, name: str, task: str) -> str:
        """Return the name as it is; InputError where the task is not boxes."""
        if task != "boxes":
            raise InputError(f"{name}: finds boxes alone, the task is {task}")
        return name

    def train(self, name: str, config: Config, seed: int, out: Path) -> Files:
        """Train picodet_s, _xs, _m or _l, unless that is done, and return the exported ONNX file, which does both."""
        folder = (out / f"{name}_{seed}").absolute()
        file = folder / "last.onnx"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            settings = folder / "net.yml"
            settings.write_text(picodet(self.checkout, name, config, folder), encoding="utf-8")
            weights = folder / "model_final.pdparams"
            if not weights.exists():
                self._run(seed, "train.py", "-c", settings)
            self._run(seed, "export_model.py", "-c", settings, "--output_dir", folder, "-o", f"weights={weights}")
            found = folder / "found.onnx"
            run(
                [
                    self.python.parent / "paddle2onnx",
                    *("--model_dir", folder / "net"),
                    *("--model_filename", "model.json"),
                    *("--params_filename", "model.pdiparams"),
                    *("--save_file", found),
                    *("--opset_version", OPSET),
                ]
            )
            save_with_pictures_alone(found, file)
        rows = onnx.load(file).graph.output[0].name
        seen = {"resize": "stretch", "filter": "bicubic", "scale": 1 / 255, "mean": MEAN, "std": STD}
        adapter = {
            "input": seen,
            "boxes": {"outputs": rows, "columns": [2, 3, 4, 5]},
            "scores": {"outputs": rows, "start": 1, "stop": 2},
            "labels": {"output": rows, "column": 0},
            "classes": classes_of(folder),
        }
        return Files(file, file, adapter, int8=False)  # OpenVINO 2026.4 crashes on this network in int8

    def _run(self, seed: int, tool: str, *words: str | Path) -> None:
        run([self.python, "-c", SEEDED, str(seed), self.checkout / "tools" / tool, *words])


def picodet(checkout: Path, name: str, config: Config, folder: Path) -> str:
    """A configuration of PicoDet on data, which are written as COCO: its own, but for what is said here.

    Data, input size, batch and epochs are ours. The rate falls with the batch, the pictures of the training are larger
    and smaller by its own factors, its first assigner has a third of the epochs, all as its own text says or has them.
    """
    height, width = config.data.input_size
    epochs, batch = config.train.epochs, config.train.batch_size
    sizes = [[32 * round(side * scale / 32) for side in (height, width)] for scale in SCALES]
    data: dict[str, Any] = {}
    for part, entries in (("Train", config.data.train), ("Eval", config.data.val)):
        to = folder / "data" / part.lower()
        data[f"{part}Dataset"] = {
            "name": "COCODataSet",
            "dataset_dir": str(to),
            "image_dir": "",
            "anno_path": "all.json",
        }
        if not (to / "all.json").exists():
            (entry,) = entries
            split = entry.split or "train"
            centerx.convert_data(entry.path, to, "coco", split=entry.split, classes=config.classes, images=entry.images)
            write_numbered(to / "annotations" / f"instances_{split}.json", to / "all.json")
    data["TrainDataset"]["data_fields"] = ["image", "gt_bbox", "gt_class", "is_crowd"]
    data["TestDataset"] = {"name": "ImageFolder", "anno_path": data["EvalDataset"]["dataset_dir"] + "/all.json"}
    tree = {
        "_BASE_": [str(checkout / "configs" / "picodet" / f"{name}_320_coco_lcnet.yml")],
        "use_gpu": False,
        "num_classes": len(classes_of(folder)),
        "pretrain_weights": None,
        "epoch": epochs,
        "save_dir": str(folder),
        "worker_num": 0,
        "eval_size": [height, width],
        **data,
        "TrainReader": {
            "batch_size": batch,
            "batch_transforms": [
                {"BatchRandomResize": {"target_size": sizes, "random_interp": True, "keep_ratio": False}},
                {"NormalizeImage": {"is_scale": True, "mean": MEAN, "std": STD}},
                {"Permute": {}},
                {"PadGT": {}},
            ],
        },
        "PicoHeadV2": {"static_assigner_epoch": epochs * ASSIGNED // EPOCHS},
        "LearningRate": {
            "base_lr": RATE * batch / BATCH,
            "schedulers": [
                {"name": "CosineDecay", "max_epochs": epochs},
                {"name": "LinearWarmup", "start_factor": 0.1, "steps": 300},
            ],
        },
        "export": {"post_process": True, "nms": True, "benchmark": False, "fuse_conv_bn": True},
        "TestReader": {"inputs_def": {"image_shape": [1, 3, height, width]}},
    }  # fmt: skip
    return json.dumps(tree, indent=1)  # JSON is YAML


def classes_of(folder: Path) -> list[str]:
    """Names of the classes that are trained, in their order."""
    text = (folder / "data" / "train" / "all.json").read_text(encoding="utf-8")
    return [category["name"] for category in json.loads(text)["categories"]]


def write_numbered(path: Path, out: Path) -> None:
    """Write COCO annotations with numbers as ids of pictures, and classes in the order of their ids."""
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["categories"].sort(key=lambda category: category["id"])
    numbers = {picture["id"]: number for number, picture in enumerate(tree["images"])}
    for picture in tree["images"]:
        picture["id"] = numbers[picture["id"]]
    for each in tree["annotations"]:
        each["image_id"] = numbers[each["image_id"]]
    write_json(out, tree)


def save_with_pictures_alone(file: Path, out: Path) -> None:
    """Save a file of Paddle whose one input is `images`; the scale of its boxes is made a constant, 1."""
    model = onnx.load(file)
    (scale,) = [put for put in model.graph.input if put.name == "scale_factor"]
    model.graph.input.remove(scale)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, 2), np.float32), scale.name))
    (put,) = model.graph.input
    for node in model.graph.node:
        node.input[:] = ["images" if name == put.name else name for name in node.input]
    put.name = "images"
    onnx.save(model, out)


def run(words: list[str | Path], environment: dict[str, str] | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        InputError: it fails, or cannot be run.
    """
    try:
        done = subprocess.run(
            words, env=os.environ | (environment or {}), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise InputError(f"{words[0]}: {error.strerror}") from error
    if done.returncode:
        raise InputError(f"{' '.join(map(str, words))}: {(done.stdout.strip() or 'no word').splitlines()[-1]}")
    return done.stdout


def lines(path: Path) -> int:
    """Count the lines of a file, which may be missing."""
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def yolo_data(config: Config, form: str, folder: Path) -> Path:
    """Write the preset's data as Ultralytics reads it, unless that is done, and return its yaml."""
    file = folder / "data.yaml"
    if not file.exists():
        told: dict[str, Any] = {}
        for part, entries in (("train", config.data.train), ("val", config.data.val)):
            (entry,) = entries
            split = entry.split or "train"
            centerx.convert_data(
                entry.path, folder / part, form, split=entry.split, classes=config.classes, images=entry.images
            )
            written = parse_yaml((folder / part / "data.yaml").read_bytes())
            images = folder / part / written.pop(split)
            told |= written | {part: str(images.absolute())}
        write_json(file, told)
    return file.absolute()
