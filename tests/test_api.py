"""The commands as functions: they take paths and objects, return what the commands write, and print nothing."""

from __future__ import annotations

import ast
import csv
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from lightning.pytorch.callbacks import Callback
from PIL import Image

import centerx
from centerx.cli.main import app
from centerx.config import Config, load_config
from centerx.data.read import read_dataset
from centerx.errors import InputError
from centerx.runtime.sources import Source
from tests.cli.conftest import CommandLine
from tests.cli.conftest import centerx as command_line  # noqa: F401 - a fixture

PACKAGE = Path(centerx.__file__).parent
COMMANDS = {
    "train": "train",
    "tune": "tune",
    "merge": "merge",
    "add": "add",
    "audit": "audit",
    "eval": "evaluate",
    "predict": "predict",
    "export": "export",
    "pseudo": "label",
    "import": "import_file",
    "bench": "benchmark",
    "doctor": "doctor",
    "models": "list_models",
    "presets": "list_presets",
}
HABITS = {"help", "quiet", "verbose", "no_color", "json_file", "dry_run"}  # how results are shown; `plan` is a function
HABITS |= {"trust"}  # in Python `runtime.trust_programs`
WRITTEN_BY_COMMANDS = {
    "predict": {"out", "crops", "heatmap", "beside", "resume"},
    "bench": {"csv_file"},
    "train": {"processes"},
    "merge": {"processes"},
    "add": {"processes"},
}  # of what a function returns, and in how many processes it is called


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No function prints; what it has to say goes to the log. What runs before a command of a test is not checked."""
    yield
    assert capsys.readouterr() == ("", "")


@pytest.fixture(scope="module")
def settings(scenes: Path) -> dict[str, Any]:
    """A configuration that trains in seconds."""
    return {
        "base": "nano",
        "classes": None,
        "data": {"train": [scenes], "val": [{"path": scenes}], "input_size": 96, "workers": 0},
        "model": {"pretrained": False},
        "train": {"batch_size": 8, "epochs": 1, "init": None},
    }


@pytest.fixture(scope="module")
def trained(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> centerx.TrainResult:
    """Two epochs of it."""
    return centerx.train(settings, out=tmp_path_factory.mktemp("runs") / "run", overrides={"train.epochs": 2})


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO json of synthetic pictures, with a box of each class of `model_file`."""
    from centerx.exporting.parity import synthetic_images

    folder = tmp_path_factory.mktemp("painted")
    for number, pixels in enumerate(synthetic_images(3, (96, 128), seed=4)):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{number}.png")
    tree = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 128, "height": 96} for n in range(3)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("red", "green", "blue"))],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": n, "bbox": [30, 20, 40, 30], "area": 1200, "iscrowd": 0}
            for n in range(3)
        ],
    }
    (folder / "data.json").write_text(json.dumps(tree))
    return folder / "data.json"


def rows_of(folder: Path) -> list[dict[str, str]]:
    """metrics.csv, without what depends on the clock."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_train_returns_what_the_run_folder_holds(trained: centerx.TrainResult) -> None:
    assert trained.metrics is not None
    assert float(rows_of(trained.folder)[-1]["val/AP"]) == pytest.approx(trained.metrics.AP, abs=1e-6)
    assert load_config(trained.folder / "config.yaml").train.epochs == 2
    assert trained.model == trained.folder / "last.safetensors"
    assert trained.best == trained.folder / "best.safetensors"
    assert trained.model.is_file()
    assert trained.best.is_file()
    assert trained.rank == 0


def as_file(settings: dict[str, Any], folder: Path) -> Path:
    (folder / "settings.yaml").write_text(json.dumps(settings, default=str))
    return folder / "settings.yaml"


def as_object(settings: dict[str, Any], folder: Path) -> Config:
    return load_config(settings)


@pytest.mark.parametrize("give", [as_file, as_object])
def test_train_takes_a_file_a_mapping_or_an_object(
    give: Callable[[dict[str, Any], Path], Any], settings: dict[str, Any], trained: centerx.TrainResult, tmp_path: Path
) -> None:
    result = centerx.train(give(settings, tmp_path), out=tmp_path / "run", overrides=["train.epochs=2"])
    assert rows_of(result.folder) == rows_of(trained.folder)
    assert result.metrics == trained.metrics


def test_the_command_trains_the_same(
    command_line: CommandLine,  # noqa: F811
    small_overrides: list[str],
    trained: centerx.TrainResult,
    tmp_path: Path,
) -> None:
    more = ["train.epochs=2", "train.batch_size=8"]
    status, out, err = command_line("train", "nano", *small_overrides, *more, "--out", tmp_path / "run")
    assert (status, err) == (0, "")
    assert rows_of(tmp_path / "run") == rows_of(trained.folder)
    assert "epoch 2/2" in out
    assert out.endswith(f"model: {tmp_path / 'run' / 'best.safetensors'}\n")


def test_a_run_goes_on_and_says_so_in_the_log(
    settings: dict[str, Any], trained: centerx.TrainResult, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match="holds a run already"):
        centerx.train(settings, out=trained.folder)
    result = centerx.train(settings, out=trained.folder, resume=True, overrides={"train.epochs": 2})
    assert result.metrics is None  # nothing was left to do
    (record,) = [each for each in caplog.records if each.name.startswith("centerx")]
    assert record.levelno == logging.WARNING
    assert "train.epochs=2 is reached, nothing is left" in record.getMessage()


class Told(Callback):
    """Notes the AP of each epoch, and keeps a state in the checkpoint."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.models: list[bool] = []

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.seen.append(float(trainer.callback_metrics["train/loss"]))
        self.models.append((Path(trainer.logger.save_dir) / "last.safetensors").is_file())

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seen = state_dict["seen"]


@pytest.mark.soak
def test_callbacks(settings: dict[str, Any], tmp_path: Path) -> None:
    """They are asked last, change nothing, and a run goes on with its callbacks or without them."""
    told = Told()
    result = centerx.train(settings, out=tmp_path / "run", callbacks=[told])
    assert told.models == [True]
    assert told.seen == [pytest.approx(float(rows_of(result.folder)[0]["train/loss"]), rel=1e-4)]
    again = Told()
    more = {"train.epochs": 2}
    centerx.train(settings, out=tmp_path / "run", resume=True, overrides=more, callbacks=[again])
    assert again.seen[0] == told.seen[0]
    assert len(again.seen) == 2
    centerx.train(settings, out=tmp_path / "run", resume=True, overrides={"train.epochs": 3})
    assert len(rows_of(tmp_path / "run")) == 3
    with pytest.raises(InputError, match=r"something of type int is no lightning\.pytorch\.Callback"):
        centerx.train(settings, out=tmp_path / "other", callbacks=[7])  # type: ignore[list-item]
    with pytest.raises(InputError, match="two are called 'Told' in checkpoints"):
        centerx.train(settings, out=tmp_path / "other", callbacks=[Told(), Told()])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("command", ["merge", "add"])
def test_callbacks_of_students(
    command: str, trained: centerx.TrainResult, scenes: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    told, more = Told(), {"out": tmp_path / "run", "val": [scenes]}
    small = {"data.input_size": 96, "data.workers": 0, "train.epochs": 1}
    if command == "merge":
        images = [scenes.parent / "train"]
        centerx.merge([trained.model], images, settings, overrides=small, callbacks=[told], **more)
    else:
        new = read_dataset(scenes, classes=["0=zero"])
        centerx.add(trained.model, [new], overrides=small, callbacks=[told], **more)
    assert told.models == [True]
    assert told.seen == [pytest.approx(float(rows_of(tmp_path / "run")[0]["train/loss"]), rel=1e-4)]


def with_datasets(settings: dict[str, Any], *datasets: centerx.Dataset) -> dict[str, Any]:
    """The settings with data sets that are objects in place of paths, to train on and to judge by."""
    return {**settings, "data": {**settings["data"], "train": [datasets[0]], "val": [{"path": datasets[-1]}]}}


def test_data_sets_are_objects_too(
    settings: dict[str, Any], trained: centerx.TrainResult, scenes: Path, tmp_path: Path
) -> None:
    """They train as their path does, and the run folder keeps what a later run goes on from."""
    given = with_datasets(settings, read_dataset(scenes), read_dataset(scenes))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "elsewhere")
    out = tmp_path / "runs" / "run"
    plan = centerx.plan(given, out=out)
    assert plan.to_json()["data"][0]["pictures"] == 24
    assert not out.exists()
    result = centerx.train(given, out=out, overrides={"train.epochs": 2})
    assert rows_of(result.folder) == rows_of(trained.folder)
    data = load_config(out / "config.yaml").data
    assert [entry.path for entry in data.train + data.val] == [
        str(out / "data" / f"{n}.json") for n in ("train", "val")
    ]
    centerx.train(out / "config.yaml", out=out, resume=True, overrides={"train.epochs": 3})
    before = (out / "data" / "train.json").read_bytes()
    with pytest.raises(InputError, match="holds a run already"):
        centerx.train(with_datasets(settings, read_dataset(scenes, classes=["1"])), out=out)
    assert (out / "data" / "train.json").read_bytes() == before
    with pytest.raises(InputError, match=r"train\.epochs"):
        centerx.train(given, out=tmp_path / "other", overrides={"train.epochs": 0})
    assert not (tmp_path / "other").exists()


def test_a_student_learns_from_data_sets_that_are_objects(
    trained: centerx.TrainResult, scenes: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    data = read_dataset(scenes)
    small = {"train.epochs": 1, "train.batch_size": 8}
    result = centerx.merge([trained.model], None, settings, labels=[data], out=tmp_path / "run", overrides=small)
    assert result.seen  # one object, one file: those that judge are those that were learned from
    assert sorted(file.name for file in (tmp_path / "run" / "data").iterdir()) == ["labels.json"]
    plan = centerx.plan_merge([trained.model], None, settings, labels=[data], val=[data], overrides=small)
    assert plan.to_json()["classes"] == list(data.class_names)


def test_a_data_set_of_arrays(
    labelled: Path, model_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = read_dataset(labelled)
    files = [record.image for record in read.records]
    boxes, labels = [[[30, 20, 70, 50]]] * 3, [[0], [1], [2]]
    made = centerx.Dataset.from_arrays(files, boxes, labels, ["red", "green", "blue"])
    assert centerx.evaluate(model_file, made) == centerx.evaluate(model_file, read)
    assert repr(made) == "Dataset(arrays: 3 pictures, 3 boxes of red, green, blue)"
    none = centerx.Dataset.from_arrays(files[:1], [[]], [np.zeros(0, int)], ["red"])
    assert [len(record.labels) for record in none.records] == [0]

    over = centerx.Dataset.from_arrays(files[:1], [[[100, 20, 150, 50], [200, 0, 220, 9]]], [[0, 0]], ["red"], "mine")
    assert over.records[0].boxes.tolist() == [[100, 20, 128, 50]]
    assert [problem.kind.code for problem in over.problems] == ["box_clipped", "box_outside"]
    config = {"base": "nano", "data": {"train": [over], "workers": 0}, "model": {"pretrained": False}}
    with pytest.raises(InputError, match=r"^mine: .*0\.png: box 1: box 200 0 220 9 lies outside its 128 x 96 picture"):
        centerx.train(config, out=tmp_path / "run", overrides={"data.on_problem": "fail"})
    centerx.plan(config, out=tmp_path / "run")
    assert any("mine: box_outside: 1 skipped" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        ([[[1, 2, 3, 4]]], [[0], [0]], "1 images, 1 arrays of boxes, 2 arrays of labels"),
        ([[[1, 2, 3]]], [[0]], r"boxes \(1, 3\) and labels \(1,\)"),
        ([[[1, 2, 3, 4]]], [[0, 1]], r"boxes \(1, 4\) and labels \(2,\)"),
        ([[[1, 2, 3, 4]]], [[2]], r"labels \[2\], not numbers of 2 classes from 0"),
        ([[[1, 2, 3, 4]]], [[-1]], r"labels \[-1\], not numbers"),
        ([[[1, 2, 3, 4]]], [[0.5]], r"labels \[0.5\], not numbers"),
    ],
)
def test_arrays_that_do_not_fit(boxes: Any, labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^arrays: .*{message}"):
        centerx.Dataset.from_arrays(["a.png"], boxes, labels, ["red", "green"])


def test_epochs_are_logged(settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="centerx"):
        centerx.train(settings, out=tmp_path / "run", overrides={"data.val": []})
    assert [message.split("  ")[0] for message in caplog.messages if message.startswith("epoch")] == ["epoch 1/1"]


def test_what_is_wrong_with_a_configuration_is_told(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no name for a run folder"):
        centerx.train(settings)
    with pytest.raises(InputError, match=r"the configuration: unknown key 'train\.epoch'"):
        centerx.train({"train": {"epoch": 1}}, out=tmp_path / "run")
    with pytest.raises(InputError, match=r"^train.epochs=0: train.epochs: "):
        centerx.train(settings, out=tmp_path / "run", overrides={"train.epochs": 0})
    with pytest.raises(InputError, match="base must name one file or preset"):
        centerx.train({"base": ["nano"]}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("entries", [False, True])
def test_merge_returns_the_rows_of_merge_json(
    entries: bool, trained: centerx.TrainResult, settings: dict[str, Any], scenes: Path, tmp_path: Path
) -> None:
    teacher: Any = {"weights": trained.model, "name": "first"} if entries else trained.model
    val: Any = {"path": scenes} if entries else scenes
    student: Any = settings if entries else "nano"
    overrides = {"data.input_size": 96, "data.workers": 0, "model.pretrained": False, "train.epochs": 1,
                 "train.batch_size": 8, "train.init": None}  # fmt: skip
    result = centerx.merge(
        [teacher], [scenes.parent / "train"], student, val=[val], out=tmp_path / "run", overrides=overrides
    )
    written = json.loads((tmp_path / "run" / "merge.json").read_text())
    assert [row.to_json() for row in result.rows] == written["classes"]
    assert {row.teacher for row in result.rows} == {str(trained.model)}
    assert result.metrics is not None
    assert result.metrics.AP == written["AP"]
    assert result.model.is_file()
    assert not result.seen
    alone = centerx.evaluate(trained.model, scenes).per_class
    assert {row.class_name: row.alone for row in result.rows} == pytest.approx(alone)


def test_evaluate_takes_paths_and_objects(
    command_line: CommandLine,  # noqa: F811
    model_file: Path,
    labelled: Path,
    tmp_path: Path,
) -> None:
    figures = centerx.evaluate(model_file, labelled)
    assert figures.AR100 is not None
    assert figures == centerx.evaluate(centerx.load(model_file), {"path": labelled})
    assert figures == centerx.evaluate(str(model_file), read_dataset(labelled), batch=2)
    assert command_line("eval", model_file, labelled, "--json", tmp_path / "a.json")[0] == 0
    assert json.loads((tmp_path / "a.json").read_text()) == figures.to_json()
    some = centerx.evaluate(model_file, labelled, classes=["red"], scales=[1, 2], flip=True)
    assert list(some.per_class) == ["red", "green", "blue"]
    assert some.per_class["green"] is None


def test_a_predictor_is_evaluated_at_its_own_size(model_file: Path, labelled: Path) -> None:
    large = centerx.load(model_file, input_hw=(192, 256))
    assert centerx.evaluate(large, labelled) == centerx.evaluate(model_file, labelled, scales=[2])


def test_evaluate_takes_results(labelled: Path, tmp_path: Path) -> None:
    found = [{"image_id": n, "category_id": n, "bbox": [30, 20, 40, 30], "score": 0.9} for n in range(3)]
    (tmp_path / "found.json").write_text(json.dumps(found))
    for data in (labelled, {"path": labelled}, read_dataset(labelled)):
        assert centerx.evaluate(tmp_path / "found.json", data).AP == pytest.approx(1)


def test_options_of_data_go_with_a_path(model_file: Path, labelled: Path) -> None:
    with pytest.raises(InputError, match="split: goes with the path of a data set"):
        centerx.evaluate(model_file, {"path": labelled}, split="val")
    with pytest.raises(InputError, match=r"unknown key 'data\.val\.0\.pth'"):
        centerx.evaluate(model_file, {"pth": labelled})
    with pytest.raises(InputError, match="the predictor: --flip and --scales need"):
        centerx.evaluate(centerx.load(model_file), labelled, flip=True)


def test_predict_is_what_the_command_lists(
    command_line: CommandLine,  # noqa: F811
    onnx_file: Path,
    labelled: Path,
    tmp_path: Path,
) -> None:
    folder = labelled.parent
    assert command_line("predict", onnx_file, folder, "--json", tmp_path / "a.json", "--score", 0.5)[0] == 0
    listed = json.loads((tmp_path / "a.json").read_text())
    assert sum(len(entry["detections"]) for entry in listed) > 3
    files = sorted(folder.glob("*.png"))
    for model, sources in (
        (onnx_file, folder),
        (str(onnx_file), [str(path) for path in files]),
        (centerx.load(onnx_file), [Source(path, Path(path.name)) for path in files]),
    ):
        results = list(centerx.predict(model, sources, score=0.5))
        assert [result.to_json() for result in results] == listed
        assert [(result.number, result.path, result.frame) for result in results] == [
            (number, path, None) for number, path in enumerate(files)
        ]
    np.testing.assert_array_equal(results[0].image, np.asarray(Image.open(files[0])))


def test_predict_takes_pictures_in_memory(onnx_file: Path, labelled: Path) -> None:
    files = sorted(labelled.parent.glob("*.png"))
    (expected, *_) = centerx.predict(onnx_file, files[0])
    assert len(expected.detections) > 1
    pixels = np.array(Image.open(files[0]))
    for one in (files[0].read_bytes(), Image.open(files[0]), pixels, torch.from_numpy(pixels).permute(2, 0, 1)):
        (alone,) = centerx.predict(onnx_file, one)
        second = list(centerx.predict(onnx_file, [files[1], one]))[1]
        for found in (alone, second):
            np.testing.assert_array_equal(found.image, pixels)
            np.testing.assert_array_equal(found.detections.boxes, expected.detections.boxes)
        assert second.to_json()["image"] == "sources[1]"
    (found,) = centerx.predict(onnx_file, pixels[:, :, ::-1], bgr=True)
    np.testing.assert_array_equal(found.image, pixels)
    assert len(list(centerx.predict(onnx_file, np.stack([pixels, pixels])))) == 2
    with pytest.raises(InputError, match=r"^sources\[0\]: something of type float is no picture"):
        list(centerx.predict(onnx_file, [7.5]))  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"^sources\[1\]: no picture"):
        centerx.predict(onnx_file, [pixels, None])  # type: ignore[list-item]


def test_what_cannot_be_read_is_noted_and_logged(
    onnx_file: Path, labelled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.png").write_bytes(b"none")
    skipped: list[str] = []
    results = centerx.predict(onnx_file, [tmp_path / "a.png", labelled.parent / "0.png"], skipped=skipped)
    assert [result.number for result in results] == [1]
    assert [f"skipped: {message}" for message in skipped] == caplog.messages
    assert len(skipped) == 1
    with pytest.raises(InputError, match=r"a\.png"):
        list(centerx.predict(onnx_file, tmp_path / "a.png"))
    with pytest.raises(InputError, match="no such image"):
        centerx.predict(onnx_file, tmp_path / "b.png")  # at once, not with the first result
    with pytest.raises(InputError, match="go with a model file"):
        centerx.predict(centerx.load(onnx_file), tmp_path / "a.png", size=(96, 96))


@pytest.mark.soak
def test_export_returns_each_file(
    command_line: CommandLine,  # noqa: F811
    model_file: Path,
    labelled: Path,
    tmp_path: Path,
) -> None:
    seen: list[centerx.ExportedFile] = []
    files = centerx.export(model_file, ["onnx", "torchscript"], out=tmp_path, data=labelled, report=seen.append)
    assert files == seen
    assert [file.path.name for file in files] == ["model.onnx", "model.torchscript"]
    assert all(file.path.is_file() and file.not_compared is None for file in files)
    assert files[0].compared_on == 3
    assert files[0].AP is not None
    assert files[0].AP[0] == pytest.approx(centerx.evaluate(model_file, labelled).AP)
    status, out, _ = command_line("export", model_file, "--data", labelled, "--out", tmp_path / "again")
    assert status == 0
    assert f"checked against the model on 3 pictures: {files[0].parity}\n" in out


@pytest.mark.parametrize("size", [(100, 96), "large", (0, 0)])
def test_a_size_that_is_none(size: Any, model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--size"):
        centerx.export(model_file, size=size, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_label_counts_what_it_writes(
    command_line: CommandLine,  # noqa: F811
    onnx_file: Path,
    labelled: Path,
    tmp_path: Path,
) -> None:
    result = centerx.label(onnx_file, labelled.parent, tmp_path / "a.json", score=0.4)
    names = ["red", "green", "blue"]
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert result.boxes == {
        name: sum(each["category_id"] == number for each in annotations) for number, name in enumerate(names, start=1)
    }
    assert sum(result.boxes.values()) > 3
    assert (result.scores, result.pictures) == (dict.fromkeys(names, 0.4), 3)
    status, out, err = command_line("pseudo", onnx_file, labelled.parent, "--out", tmp_path / "b.json", "--score", 0.4)
    assert (status, err) == (0, "")
    assert json.loads((tmp_path / "b.json").read_text())["annotations"] == annotations
    assert out.endswith(f"{len(annotations)} boxes on 3 pictures\n")
    with pytest.raises(InputError, match="not of this command's making"):
        centerx.label(onnx_file, labelled.parent, labelled)


def test_what_needs_no_training_is_quiet(model_file: Path, labelled: Path, tmp_path: Path) -> None:
    (file,) = centerx.export(model_file, "tensorrt", out=tmp_path, data=labelled)
    centerx.evaluate(file.path, labelled)
    assert list(centerx.predict(file.path, labelled.parent))
    centerx.label(file.path, labelled.parent, tmp_path / "labels.json", val=labelled)  # `quiet` looks


@pytest.mark.parametrize("command", COMMANDS)
def test_functions_take_the_words_of_the_command_line(command: str) -> None:
    words = {param.name for param in typer.main.get_command(app).commands[command].params}  # type: ignore[attr-defined]
    taken = set(inspect.signature(getattr(centerx, COMMANDS[command])).parameters)
    assert words - HABITS - WRITTEN_BY_COMMANDS.get(command, set()) <= taken


def test_all_that_is_promised_is_there() -> None:
    assert set(centerx.__all__) <= set(dir(centerx))
    assert all(getattr(centerx, name) is not None for name in centerx.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        centerx.trian  # noqa: B018


def prints(source: str) -> list[str]:
    """The names by which a file writes to the terminal."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "Console"):
            found.append(node.func.id)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
            found.append("rich")
    return found


def test_only_the_command_line_prints() -> None:
    loud = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if prints(path.read_text(encoding="utf-8"))
    }
    assert {path for path in loud if not path.startswith("cli/")} == set()


def test_the_judge_of_prints_itself() -> None:
    source = "def f():\n    print(1)\nfrom rich.console import Console\nConsole()"
    assert sorted(prints(source)) == ["Console", "print", "rich"]
