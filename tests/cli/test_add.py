"""`centerx add`: who teaches what, from which weights, and what is told of the old classes."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import centerx
from centerx.api.add import Change, add_config, changes, mean_of_old
from centerx.api.merge import Alone
from centerx.build import build_run
from centerx.build_model import build_detector, load_detector, save_named
from centerx.cli.add import print_changes
from centerx.cli.main import app
from centerx.config import Config, load_config
from centerx.data.dataset import relabel
from centerx.data.read import read_dataset
from centerx.data.write import coco_tree
from centerx.errors import InputError
from centerx.evaluation import Metrics
from centerx.exporting import export_model

OLD = ("0", "1", "2")
SMALL = ["data.workers=0", "train.epochs=1"]
OWN = [
    "classes=['0','1','2']",
    "data.input_size=96",
    "augment.scale=[0.9,1.1]",
    "train.batch_size=8",
    "train.optimizer.lr=0.003",
    "train.seed=5",
    "train.device=cpu",
    "model.head_channels=32",
    "model.top_k=40",
    "distill.size=0.7",
    "distill.until=0.5",
]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file, untrained, that knows three digits."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("old")
    config = load_config("nano", OWN)
    save_named(folder, config, build_detector(config).eval(), "old")
    return folder / "old.safetensors"


@pytest.fixture(scope="module")
def exported(old: Path) -> Path:
    """The same as ONNX."""
    export_model(*load_detector(old), old.with_suffix(".onnx"), "onnx")
    return old.with_suffix(".onnx")


@pytest.fixture
def labels(scenes: Path, tmp_path: Path) -> Path:
    """The scenes with labels of 3 alone."""
    return write_labels(scenes, tmp_path / "labels.json", ("3",))


def write_labels(scenes: Path, path: Path, listed: tuple[str, ...], annotated: tuple[str, ...] | None = None) -> Path:
    """Write the scenes with some classes listed, and boxes of these, or of some of them."""
    dataset = read_dataset(scenes, classes=listed)
    kept = np.array([label if annotated is None or name in annotated else -1 for label, name in enumerate(listed)])
    stripped = dataset._replace(records=[relabel(record, kept) for record in dataset.records])
    path.write_text(json.dumps(coco_tree(stripped, path.parent)))
    return path


def config_of(old: Path, train: list[dict[str, Any]], *words: str, **more: Any) -> Config:
    return add_config({"weights": str(old)}, train, more.pop("val", train), more.pop("student", None), words)


def entry(path: Path, **more: Any) -> dict[str, Any]:
    return {"path": str(path), **more}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_an_addition(old: Path, labels: Path, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["add", str(old), "--labels", str(labels), "--val", str(scenes), "--out", str(out), *SMALL]
    app(arguments, standalone_mode=False)
    told = capsys.readouterr().out
    for part in ("before", "after", "3, added", "mean of the old classes", f"model: {out / 'last.safetensors'}"):
        assert part in told
    used = load_config(out / "config.yaml")
    assert used.classes == (*OLD, "3")
    assert used.train.init == str(old)
    written = json.loads((out / "add.json").read_text())
    assert [(row["class"], row["added"]) for row in written["classes"]] == [
        *((name, False) for name in OLD),
        ("3", True),
    ]
    before = centerx.evaluate(old, scenes).per_class
    for row in written["classes"][:3]:
        assert row["before"] == pytest.approx(before[row["class"]])
        assert row["difference"] == pytest.approx(row["after"] - row["before"])
    assert (written["classes"][3]["before"], written["classes"][3]["difference"]) == (None, None)
    assert written["AP"] == pytest.approx(np.mean([row["after"] for row in written["classes"]]))

    with pytest.raises(InputError, match="holds a run already, go on with it by --resume"):
        app(arguments, standalone_mode=False)
    (out / "add.json").unlink()
    app([*arguments, "--resume"], standalone_mode=False)
    assert "epoch" not in capsys.readouterr().out  # nothing was left to do but to report
    assert json.loads((out / "add.json").read_text())["classes"] == [
        {key: pytest.approx(value) if isinstance(value, float) else value for key, value in row.items()}
        for row in written["classes"]
    ]


def test_the_function_returns_the_rows(old: Path, labels: Path, scenes: Path, tmp_path: Path) -> None:
    pictures = scenes.parent / "train"
    result = centerx.add(
        {"weights": old, "name": "first"},
        [labels],
        images=[pictures],
        out=tmp_path / "run",
        overrides={"data.workers": 0, "train.epochs": 1},
    )
    assert result.seen
    assert [row.to_json() for row in result.rows] == json.loads((tmp_path / "run" / "add.json").read_text())["classes"]
    assert [row.before for row in result.rows] == [None] * 4
    assert result.rows[3].after is not None
    config = load_config(tmp_path / "run" / "config.yaml")
    assert [(each.path, each.format) for each in config.data.train] == [(str(pictures), "folder"), (str(labels), None)]


def test_who_teaches_what(old: Path, labels: Path, scenes: Path, tmp_path: Path) -> None:
    """Labels tell of the added class where they are; of the old ones nowhere, and on further pictures nothing."""
    pictures = entry(scenes.parent / "train", format="folder")
    run = build_run(config_of(old, [pictures, entry(labels)], *SMALL), tmp_path / "run")
    table = np.stack([each.supervised for each in run.batches.dataset.source.entries])  # type: ignore[attr-defined]
    assert not table[:24].any()
    np.testing.assert_array_equal(table[24:].all(axis=(0, 2)), [False, False, False, True])
    assert not table[24:, :3].any()
    distiller = run.module.distiller
    assert distiller is not None
    (channel_map,) = distiller.channel_maps
    assert channel_map.teacher_channels == channel_map.student_channels == [0, 1, 2]
    assert distiller.steps == run.trainer.max_epochs * len(run.batches)
    assert distiller.by_labels.all()


def test_the_student_starts_as_the_old_detector(old: Path, labels: Path, tmp_path: Path) -> None:
    run = build_run(config_of(old, [entry(labels)], *SMALL), tmp_path / "run")
    state, before = run.module.detector.model.state_dict(), load_file(old)
    for key, value in before.items():
        same = state[key][:3] if key.startswith("head.heatmap.2") else state[key]
        torch.testing.assert_close(same, value, rtol=0, atol=0)
    assert len(state["head.heatmap.2.weight"]) == 4


def test_the_old_configuration_without_its_run(old: Path, labels: Path) -> None:
    config, own = config_of(old, [entry(labels)]), load_config("nano", OWN)
    assert (config.model, config.augment, config.loss) == (own.model, own.augment, own.loss)
    assert (config.data.input_size, config.train.batch_size) == ((96, 96), 8)
    assert (config.train.seed, config.train.device) == (0, "auto")
    assert (config.distill.size, config.distill.until) == (0.7, 1)
    assert [teacher.weights for teacher in config.distill.teachers] == [str(old)]


def test_the_rate_is_that_of_the_old_detector_and_told(
    old: Path, labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="centerx"):
        config = config_of(old, [entry(labels)])
    assert config.train.optimizer.lr == 0.003
    assert f"the student starts from the weights of {old}, train.optimizer.lr=0.003" in caplog.messages
    assert config_of(old, [entry(labels)], "train.optimizer.lr=0.0007").train.optimizer.lr == 0.0007


@pytest.mark.parametrize(
    ("words", "init", "says"),
    [
        (["model.neck.channels=16"], None, "starts from fresh weights, not from those of .*: model.neck.channels=64"),
        (["train.init=null"], None, "the student starts from fresh weights$"),
        (["train.init=other.safetensors"], "other.safetensors", "the student starts from other.safetensors$"),
    ],
)
def test_other_weights(
    words: list[str], init: str | None, says: str, old: Path, labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="centerx"):
        config = config_of(old, [entry(labels)], *words)
    assert config.train.init == init
    assert any(re.search(says, message) for message in caplog.messages)


def test_a_student_of_another_kind(old: Path, labels: Path) -> None:
    config = config_of(old, [entry(labels)], "data.input_size=96", student="digits")
    assert (config.train.init, config.model.backbone, config.train.optimizer.lr) == (None, "resnet10t", 0.004)
    config = config_of(old, [entry(labels)], "data.input_size=96", "model.head_channels=32", student="nano")
    assert (config.train.init, config.train.optimizer.lr) == (str(old), 0.002)


def test_an_exported_file_teaches_the_preset(exported: Path, labels: Path, tmp_path: Path) -> None:
    config = config_of(exported, [entry(labels)], "data.workers=0")
    assert (config.train.init, config.train.optimizer.lr) == (None, 0.002)
    assert (config.data.input_size, config.model.top_k) == ((96, 96), 40)
    assert (config.model.backbone, config.model.head_channels) == ("regnetx_002", 64)
    assert build_run(config, tmp_path / "run").config.classes == (*OLD, "3")


def test_a_json_of_detections_is_an_old_detector(scenes: Path, labels: Path, tmp_path: Path) -> None:
    found = write_labels(scenes, tmp_path / "found.json", OLD)
    tree = json.loads(found.read_text())
    tree["annotations"] = [each | {"score": 0.9} for each in tree["annotations"]]
    found.write_text(json.dumps(tree))
    config = config_of(found, [entry(labels)], "data.workers=0", "data.input_size=96")
    assert (config.train.init, config.model.backbone) == (None, "regnetx_002")
    run = build_run(config, tmp_path / "run")
    assert run.config.classes == (*OLD, "3")
    (stored,) = run.batches.dataset.source.detections  # type: ignore[attr-defined]
    assert stored.answered.all()
    assert stored.class_names == OLD


def test_old_classes_that_no_data_judges_are_named(
    old: Path, labels: Path, scenes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config_of(old, [entry(labels)], val=[entry(scenes)])
    assert warnings(caplog) == []
    some = write_labels(scenes, tmp_path / "some.json", ("0", "1", "3"), ("0", "3"))
    config_of(old, [entry(labels)], val=[entry(some)])
    (told,) = warnings(caplog)
    assert told.startswith("no data judges 1, 2: nothing will tell")
    for words in ([], ["data.val=[]"]):
        caplog.clear()
        config_of(old, [entry(labels)], *words)
        (told,) = warnings(caplog)
        assert told.startswith("no data judges 0, 1, 2: ")
        assert "--val" in told


def test_new_classes_that_no_data_judges_are_named(
    old: Path, labels: Path, scenes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config_of(old, [entry(labels)], val=[entry(write_labels(scenes, tmp_path / "old.json", OLD))])
    assert warnings(caplog) == ["no data judges 3, which are added; name data that labels them with --val"]


def test_labels_of_an_old_class_teach_beside_the_old_detector(
    old: Path, scenes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = write_labels(scenes, tmp_path / "more.json", ("3", "1"))
    with caplog.at_level(logging.INFO, logger="centerx"):
        config = config_of(old, [entry(more)])
    assert "the old detector teaches 0, 1, 2; labels teach 3, 1; both teach 1" in caplog.messages
    assert config.data.train[0].classes is None


def test_an_old_class_that_is_only_listed_is_not_background(
    old: Path, scenes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = write_labels(scenes, tmp_path / "listed.json", (*OLD, "3"), ("1", "3"))
    config = config_of(old, [entry(listed)], *SMALL)
    assert config.data.train[0].classes == ("1", "3")
    assert warnings(caplog)[0].startswith(f"{listed}: lists 0, 2 without one box, so they do not count as labelled")
    run = build_run(config, tmp_path / "run")
    table = run.batches.dataset.source.entries[0].supervised  # type: ignore[attr-defined]
    assert table[:, 0].tolist() == [False, True, False, True]
    chosen = config_of(old, [entry(listed, classes=[*OLD, "3"])], *SMALL)
    assert chosen.data.train[0].classes == (*OLD, "3")


def test_a_report() -> None:
    student = Metrics(*[0.5] * 12, per_class={"a": 0.4, "b": None, "c": 0.6, "d": 0.7}, images=3)
    rows = changes(student, [Alone("old.onnx", {"a": 0.5, "b": None, "c": 0.5})])
    assert rows == [Change("a", False, 0.5, 0.4), Change("b", False, None, None), Change("c", False, 0.5, 0.6),
                    Change("d", True, None, 0.7)]  # fmt: skip
    assert [row.difference for row in rows] == [pytest.approx(-0.1), None, pytest.approx(0.1), None]
    assert mean_of_old(rows) == pytest.approx((0.5, 0.5))
    assert mean_of_old(rows[1:2]) == (None, None)


def test_a_report_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    student = Metrics(*[0.5] * 12, per_class={"lamp [/off]": 0.25}, images=3)
    print_changes(student, [Change("lamp [/off]", False, 0.5, 0.25)])
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["lamp", "[/off]", "0.500", "0.250", "-0.250"] in lines
    assert ["mean", "of", "the", "old", "classes", "0.500", "0.250", "-0.250"] in lines
    assert ["mean", "of", "all", "0.500"] in lines
