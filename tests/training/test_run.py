"""Whole runs, small: what a user finds in the run folder, and what must never change a result."""

import base64
import errno
import json
import os
import re
from functools import partial
from pathlib import Path

import cv2
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from PIL import Image
from safetensors.torch import load_file

from centerx.api.train import fit
from centerx.build import build_run
from centerx.build_model import build_detector, load_detector, save_named
from centerx.cli.habits import speaking
from centerx.config import load_config, preset_names
from centerx.data.read import read_dataset
from centerx.errors import InputError
from centerx.evaluation import Metrics
from centerx.evaluation.api import run_model
from centerx.page import draw_chart
from centerx.training.record import draw_curves, plot_curves
from tests.data.handmade import write_coco
from tests.training.small_runs import losses, rows, train


@pytest.fixture(scope="module")
def digit_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file, untrained, that knows the classes of the scenes."""
    config = load_config("nano", ["classes=['0','1','2','3','4','5','6','7','8','9']", "data.input_size=96"])
    folder = tmp_path_factory.mktemp("teacher")
    save_named(folder, config, build_detector(config), "last")
    return folder / "last.safetensors"


def test_what_evaluation_cannot_count_is_told_once_a_run(
    small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "full.png")
    boxes = [[8 * (k % 12), 8 * (k // 12), 7, 7] for k in range(120)]
    tree = {
        "images": [{"id": 1, "file_name": "full.png", "width": 96, "height": 96}],
        "categories": [{"id": 1, "name": "1"}],
        "annotations": [
            {"id": k + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 49, "iscrowd": 0}
            for k, box in enumerate(boxes)
        ],
    }
    (tmp_path / "val.json").write_text(json.dumps(tree))
    more = [f"data.val=[{tmp_path / 'val.json'}]", "train.epochs=2", "train.val_every=1"]
    run = train([*small_overrides, *more], tmp_path / "run")
    assert run.evaluation.metrics is not None
    told = [each.getMessage() for each in caplog.records if "full.png" in each.getMessage()]
    assert [message.split(": ")[1] for message in told][:1] == ["too_many_objects"]
    assert len(told) == 2
    assert "100 detections that count, on 1 of 1 pictures" in told[1]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_builds_and_trains_a_step(
    name: str, small_overrides: list[str], digit_teacher: Path, tmp_path: Path
) -> None:
    overrides = [*small_overrides, "train.batch_size=2", "data.val=[]"]
    config = load_config(name, overrides)
    if config.distill.teachers:  # as many as published, each for a class of the scenes
        entries = [
            f"{{weights: {digit_teacher}, name: teacher{number}, classes: ['{number}']}}"
            for number in range(len(config.distill.teachers))
        ]
        teachers = f"distill.teachers=[{','.join(entries)}]"
        config = load_config(name, [*overrides, teachers])
    run = build_run(config, tmp_path)
    before = {key: value.clone() for key, value in run.module.detector.state_dict().items()}
    run.trainer.fit_loop.epoch_loop.max_steps = 1
    run.trainer.callbacks = []  # files and charts of an epoch's end, which other tests see
    run.trainer.fit(run.module, run.batches)
    after = run.module.detector.state_dict()
    assert run.trainer.global_step == 1
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_the_run_folder(small_overrides: list[str], tmp_path: Path) -> None:
    run = train([*small_overrides, "train.epochs=2", "train.val_every=1", "train.report=true"], tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        "config.yaml", "best.safetensors", "last.safetensors", "last.ckpt", "metrics.csv", "val.png", "curves.png",
    } <= names  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert len({(tmp_path / name).stat().st_mode for name in ("last.safetensors", "last.ckpt", "metrics.csv")}) == 1
    table = rows(tmp_path)
    assert [row["epoch"] for row in table] == ["1", "2"]
    assert {"train/loss", "train/heatmap", "train/size", "train/offset", "val/AP", "lr", "seconds"} <= table[0].keys()

    resolved = load_config(tmp_path / "config.yaml")
    assert resolved.classes == tuple("0123456789")
    detector, info = load_detector(tmp_path / "last.safetensors")
    assert info.class_names == resolved.classes
    for key, value in run.module.deployed.model.state_dict().items():
        torch.testing.assert_close(detector.model.state_dict()[key], value, rtol=0, atol=0)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["metrics"]["AP"] == pytest.approx(max(float(row["val/AP"]) for row in table))
    assert "<h2>Training</h2>" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("tiles", [[], ["data.tiles.size=64"]])
def test_a_resumed_run_reports_the_best_model_of_before(
    tiles: list[str],
    small_overrides: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    overrides = [*small_overrides, *tiles, "train.val_every=1", "train.report=true", "train.precision=fp32"]
    run = train(overrides, tmp_path)
    before = json.loads((tmp_path / "report" / "report.json").read_text())
    first = (tmp_path / "best.safetensors").read_bytes()
    monkeypatch.setattr(type(run.evaluation), "load_state_dict", lambda self, _: setattr(self, "best", 2.0))
    train([*overrides, "train.epochs=2"], tmp_path, resume=True)
    assert (tmp_path / "best.safetensors").read_bytes() == first
    assert len(rows(tmp_path)) == 2
    after = json.loads((tmp_path / "report" / "report.json").read_text())
    assert after["metrics"]["AP"] == pytest.approx(before["metrics"]["AP"], abs=1e-6)
    (tmp_path / "best.safetensors").unlink()
    train([*overrides, "train.epochs=3"], tmp_path, resume=True)
    assert f"{tmp_path}: no report, since it has no best.safetensors" in caplog.text


@pytest.mark.soak
def test_ten_pictures_can_be_learned_by_heart(scenes: Path, tmp_path: Path) -> None:
    tree = json.loads(scenes.read_text())
    tree["images"] = tree["images"][:10]
    kept = {image["id"] for image in tree["images"]}
    tree["annotations"] = [a for a in tree["annotations"] if a["image_id"] in kept]
    ten = scenes.with_name("ten.json")
    ten.write_text(json.dumps(tree))
    overrides = [
        f"data.train=[{ten}]", f"data.val=[{ten}]", "data.input_size=96", "data.workers=0", "train.batch_size=5",
        "train.epochs=100", "train.val_every=100", "train.ema=0.9", "augment.flip=0", "augment.shift=0",
        "augment.scale=[1.0,1.0]", "augment.colour=[]", "train.optimizer.lr=0.003",
    ]  # fmt: skip
    run = train(overrides, tmp_path)
    assert run.evaluation is not None
    assert run.evaluation.figures["val/AP"] > 0.8


def test_every_use_of_the_data_reads_by_its_range(tmp_path: Path) -> None:
    """Pictures of 12 bits, whose 2048 is grey in the run, and where its model is evaluated."""
    write_coco(tmp_path / "data.json")
    cv2.imwrite(str(tmp_path / "a.png"), np.full((30, 40), 2048, np.uint16))
    data = f"data.train=[{tmp_path / 'data.json'}]", f"data.val=[{tmp_path / 'data.json'}]"
    small = "data.input_size=64", "model.pretrained=false", "data.workers=0", "augment.colour=[]"
    for value_range, grey in (("auto", 8), ("[0,4095]", 128)):
        run = build_run(load_config("nano", [*data, *small, f"data.range={value_range}"]), tmp_path / "run")
        assert run.evaluation is not None
        for source in (run.batches.dataset.source, run.evaluation.source):  # type: ignore[attr-defined]
            assert np.unique(source.sample(0).image) == [grey]
        save_named(tmp_path, run.config, run.module.detector, "model")
        source, _ = run_model(tmp_path / "model.safetensors", [read_dataset(tmp_path / "data.json")], 1)
        assert np.unique(source.sample(0).image) == [grey]


@pytest.mark.parametrize("further", [[], pytest.param(["train.swa=0.6", "train.skip_jumps=3"], marks=pytest.mark.soak)])
def test_resume_continues_as_if_nothing_had_happened(
    further: list[str], small_overrides: list[str], tmp_path: Path
) -> None:
    overrides = [*small_overrides, "train.epochs=3", "train.precision=fp32", "train.val_every=3", *further]
    train(overrides, tmp_path / "whole")

    run = build_run(load_config("nano", overrides), tmp_path / "cut")
    run.trainer.fit_loop.max_epochs = 2  # stops early; the schedule still spans three epochs
    run.trainer.fit(run.module, run.batches)
    assert len(rows(tmp_path / "cut")) == 2
    keys = torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)["callbacks"].keys()
    known = {"RunRecord", "Evaluation", "SkipJumps"}
    assert known <= keys, "the keys under which earlier checkpoints hold the states of callbacks"
    train(overrides, tmp_path / "cut", resume=True)

    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    whole, cut = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "cut"))
    for key in whole:
        torch.testing.assert_close(cut[key], whole[key], rtol=0, atol=0)


def test_swa_deploys_the_mean_of_the_last_epochs_at_the_final_rate(small_overrides: list[str], tmp_path: Path) -> None:
    epochs: list[dict[str, torch.Tensor]] = []

    class Keep(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            epochs.append({name: p.detach().clone() for name, p in run.module.detector.named_parameters()})

    overrides = [*small_overrides, "data.val=[]", "train.epochs=4", "train.swa=0.5", "train.schedule.final=0.2"]
    run = build_run(load_config("nano", overrides), tmp_path)
    run.trainer.callbacks.append(Keep())  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.batches)
    for name, weight in run.module.deployed.named_parameters():
        torch.testing.assert_close(weight, (epochs[2][name] + epochs[3][name]) / 2)
    rates = [float(row["lr"]) / run.config.train.optimizer.lr for row in rows(tmp_path)]
    assert rates[:2] == sorted(rates[:2], reverse=True)
    assert rates[2:] == pytest.approx([0.2, 0.2])


def test_a_checkpoint_that_cannot_be_written_leaves_the_former_one(
    small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(path: Path, content: memoryview) -> None:
        if path.name.startswith("last.ckpt") and (tmp_path / "last.ckpt").exists():
            content = content[:1000]
        with path.open("wb") as file:
            file.write(content)
        if len(content) == 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match="No space left") as caught:
        train([*small_overrides, "data.val=[]", "train.epochs=3"], tmp_path)
    assert caught.value.filename == str(tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0


def test_a_long_epoch_tells_how_far_it_is(
    small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("centerx.cli.progress.TRAINING_PAUSE", 0)
    with speaking():
        train([*small_overrides, "data.val=[]", "train.epochs=2"], tmp_path)
    told = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in told if "step " in line] == [
        [f"epoch {epoch}/2", f"step {step}/6"] for epoch in (1, 2) for step in range(1, 7)
    ]
    figure = r"\d+\.\d+"
    assert all(re.search(rf"  loss {figure}  (.*  )?{figure} steps/s  \d+ s left$", line) for line in told)
    assert all(f"  {term} " in told[-1] for term in ("loss", "heatmap", "size", "offset"))
    assert told[-1].endswith("  0 s left")


@pytest.mark.parametrize("balance", ["fixed", "constant"])
def test_an_infinite_loss_is_told_and_the_last_model_kept(
    balance: str, small_overrides: list[str], tmp_path: Path
) -> None:
    overrides = [*small_overrides, "train.epochs=30", "train.optimizer.name=sgd", "train.optimizer.lr=1e9",
                 "loss.size=1e9", "train.clip_norm=0", "train.precision=fp32", f"loss.balance={balance}"]  # fmt: skip
    said = r"the loss became (nan|inf) at epoch \d+, step \d+, first its term (heatmap|size|offset), 10 steps in a row"
    with pytest.raises(InputError, match=said):
        train(overrides, tmp_path)


def test_the_cycle_of_swa_is_what_the_rate_does(small_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*small_overrides, "data.val=[]", "train.epochs=4", "train.swa=0.5", "train.swa_rates=[0.5,0.1]"]
    run = build_run(load_config("nano", overrides), tmp_path)
    steps = len(run.batches)
    rates = [run.module.schedule(step) for step in range(2 * steps, 4 * steps)]
    assert rates[:steps] == rates[steps:]
    assert rates[0] == 0.5
    assert 0.1 < rates[steps - 1] < 0.2
    with pytest.raises(InputError, match=r"goes with train.swa only"):
        build_run(load_config("nano", [*overrides, "train.swa=0"]), tmp_path)


@pytest.mark.parametrize("further", [[], ["augment.crop=relative_range", "augment.rotate=10", "data.workers=2"]])
def test_multi_scale_training(further: list[str], small_overrides: list[str], tmp_path: Path) -> None:
    overrides = [*small_overrides, "augment.short_sides=[64,96,128]", "augment.long_side=160", *further]
    run = build_run(load_config("nano", overrides), tmp_path)
    sizes = {tuple(batch.images.shape[2:]) for batch in run.batches}
    assert len(sizes) > 1
    assert all(side % 32 == 0 for size in sizes for side in size)
    run.trainer.fit(run.module, run.batches)
    assert np.isfinite(losses(tmp_path)).all()


def test_multi_scale_training_and_what_needs_one_size(
    small_overrides: list[str], onnx_file: Path, tmp_path: Path
) -> None:
    overrides = [*small_overrides, "augment.short_sides=[64,96]"]
    with pytest.raises(InputError, match=r"augment.mosaic: takes pictures of one size"):
        build_run(load_config("nano", [*overrides, "augment.mosaic=0.5"]), tmp_path)
    with pytest.raises(InputError, match=r"takes pictures of one size only, leave out augment.short_sides"):
        build_run(load_config("nano", [*overrides, f"distill.teachers=[{onnx_file}]", "distill.cache=false"]), tmp_path)


def test_less_data_than_a_batch_is_one_batch(small_overrides: list[str], tmp_path: Path) -> None:
    run = build_run(load_config("nano", [*small_overrides, "train.batch_size=100"]), tmp_path)
    assert len(run.batches) == 1
    assert len(next(iter(run.batches)).images) == 24


def test_curves_are_drawn_whatever_classes_are_called(tmp_path: Path) -> None:
    """A dollar starts no formula, and the numbers of a logarithmic axis need none."""
    rows = [{"epoch": 1, "train/loss": 1.0, "lr": 0.1, "val/AP": 0.5, "val/AP/$1_{": 0.5}]
    draw_curves(tmp_path / "curves.png", rows)
    assert (tmp_path / "curves.png").is_file()
    chart = draw_chart(partial(plot_curves, rows=rows), "curves")
    svg = base64.b64decode(chart.source.split(",")[1]).decode()
    assert "<!-- val/AP/$1_{ -->" in svg
    assert "mathdefault" not in svg


@pytest.mark.soak
def test_patience_ends_a_run_where_a_resumed_one_ends_too(
    small_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values = [0.1, 0.3, 0.2, 0.3, 0.1, 0.9, 0.8, 0.7]  # an equal AP is no better one
    monkeypatch.setattr(
        "centerx.training.evaluation.evaluate_found",
        lambda *_, **__: Metrics(values[len(rows(folder)) if (folder / "metrics.csv").exists() else 0], None, None),
    )
    words = [*small_overrides, "train.val_every=1", "train.patience=3", "model.head_channels=8", "train.epochs=8"]
    folder = tmp_path / "whole"
    with caplog.at_level("INFO"):
        train(words, folder)
    assert [row["val/AP"] for row in rows(folder)] == ["0.1", "0.3", "0.2", "0.3", "0.1"]
    told = "stopped after epoch 5 of 8: no better AP than 0.300 in 3 evaluations (train.patience)"
    assert [each.getMessage() for each in caplog.records].count(told) == 1
    assert (folder / "curves.png").exists()

    folder = tmp_path / "resumed"
    run = build_run(load_config("nano", words), folder)
    run.trainer.fit_loop.max_epochs = 4
    run.trainer.fit(run.module, run.batches)
    fit(build_run(load_config("nano", words), folder), folder / "last.ckpt")
    assert losses(folder) == losses(tmp_path / "whole")

    fit(build_run(load_config("nano", words), folder), folder / "last.ckpt")  # nothing is left
    assert len(rows(folder)) == 5
    assert any("ended this run before" in each.getMessage() for each in caplog.records)
    fit(build_run(load_config("nano", [*words, "train.patience=4"]), folder), folder / "last.ckpt")
    assert [row["val/AP"] for row in rows(folder)][5:] == ["0.9", "0.8", "0.7"]


@pytest.mark.parametrize(("more", "says"), [("data.val=[]", "data.val"), ("train.swa=0.5", "train.swa")])
def test_patience_needs_something_to_go_by(more: str, says: str, small_overrides: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"train.patience: .*{says}"):
        build_run(load_config("nano", [*small_overrides, "train.patience=1", more]), tmp_path)


def test_tiles_balance_and_class_weights(
    small_overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = [*small_overrides, "data.tiles.size=64", "data.tiles.overlap=0.25", "data.tiles.min_visible=0.9"]
    words += ["data.balance=0.5", "loss.class_weights={'3': 2}", "model.head_channels=8"]
    with caplog.at_level("INFO"):
        run = train(words, tmp_path)
    told = [each.getMessage() for each in caplog.records]
    [balance] = [message for message in told if message.startswith("data.balance: ")]
    size = int(balance.split()[1])
    assert "instead of 96, one comes up to" in balance  # 24 scenes of 96 pixels in 4 tiles of 64
    assert size > 96
    assert run.trainer.global_step == size // 4
    assert any("cut_by_tile" in message for message in told)
    assert run.evaluation is not None
    assert run.evaluation.metrics is not None
    assert run.evaluation.metrics.images == 96


def test_an_unknown_class_has_no_weight(small_overrides: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'33' is no class \(did you mean '3'\?\), there are: 0, 1"):
        build_run(load_config("nano", [*small_overrides, "loss.class_weights={'33': 2}"]), tmp_path)
