"""Whatever is wrong with what the user gives: status 2 and one `error:` line that names it."""

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors import safe_open
from safetensors.torch import save_file

from centerx.cli.main import one_line
from centerx.problems import Kind
from centerx.runtime.info import ModelInfo
from tests.cli.conftest import CommandLine
from tests.data.handmade import coco_annotation, write_coco, write_picture, write_voc

Refused = Callable[..., str]
JUNK = bytes(range(256)) * 8
TRAIN = ["train", "nano", "data.workers=0", "data.input_size=64", "train.epochs=1"]
GOOD = "data.train=[good.json]"


@pytest.fixture
def refused(centerx: CommandLine, files: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run a command among `files` that must end with status 2; return its one line."""
    monkeypatch.chdir(files)

    def run(*arguments: object) -> str:
        status, _, err = centerx(*arguments)
        assert status == 2, err
        assert err.startswith("error: "), err
        assert err.count("\n") == 1, err
        assert err.endswith("\n")
        return err.removeprefix("error: ")

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, model_file: Path, onnx_file: Path) -> Path:
    """A folder of good.json, red.json, model.onnx, model.safetensors, and of everything that is wrong."""
    folder = tmp_path_factory.mktemp("files")
    write_picture(folder / "a.png")
    write_coco(folder / "good.json")
    write_coco(folder / "red.json", categories=[{"id": 1, "name": "red"}])  # a class of the models
    write_coco(folder / "upper.json", categories=[{"id": 1, "name": "Red"}])
    write_picture(folder / "painted" / "a.png")
    for name in ("empty", "run", "folder.json", "folder.yaml", "folder.onnx", "folder.safetensors"):
        (folder / name).mkdir()
    (folder / "no_images").mkdir()
    (folder / "no_images" / "readme.md").write_text("pictures will follow")
    (folder / "text.txt").write_text("hello\nworld\n")
    (folder / "a_file").write_text("")
    for name in ("junk.json", "junk.yaml", "junk.onnx", "junk.safetensors", "junk.pth", "junk.jpg"):
        (folder / name).write_bytes(JUNK)

    write_coco(folder / "no_pictures.json", images=[], annotations=[])
    write_coco(folder / "no_boxes.json", annotations=[])
    write_coco(folder / "other_classes.json", categories=[{"id": 1, "name": "purple"}])
    (folder / "cut.json").write_text('{"images": [{"id": 1,')
    (folder / "results.json").write_text(json.dumps([coco_annotation(image_id=9, score=0.5)]))
    write_voc(folder / "voc" / "a.xml", ("cat", (1, 2, 3, 4))).with_name("b.xml").write_text("<annotation><object>")
    write_picture(folder / "voc_junk" / "a.png").with_suffix(".xml").write_bytes(JUNK)

    write_picture(folder / "unread" / "a.png")
    supervisely = {"size": {"height": 30, "width": 40}, "objects": [{"classTitle": "cat", "points": {"exterior": []}}]}
    (folder / "unread" / "a.json").write_text(json.dumps(supervisely))

    (folder / "unknown_key.yaml").write_text("base: nano\ntrain: {epoch: 3}\n")
    (folder / "cut.yaml").write_text("train: {epochs: 3\n")
    (folder / "list.yaml").write_text("- train\n")
    (folder / "lost_base.yaml").write_text("base: nanno\n")

    for whole in (model_file, onnx_file):
        (folder / whole.name).write_bytes(whole.read_bytes())
        (folder / f"cut{whole.suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        (folder / f"nothing{whole.suffix}").write_bytes(b"")
    (folder / "run" / "last.safetensors").write_bytes(model_file.read_bytes())
    write_onnx(folder / "foreign.onnx", {})
    write_onnx(folder / "others.onnx", ModelInfo(("cat",), (64, 64), 4).to_metadata())
    save_file({"weight": torch.zeros(3)}, folder / "foreign.safetensors")
    with safe_open(model_file, framework="pt") as file:
        metadata = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    save_file(state, folder / "bad_config.safetensors", metadata | {"config": "model: {"})
    state.pop("backbone.mean")
    save_file(state, folder / "lost_tensor.safetensors", metadata)
    return folder


def write_onnx(path: Path, metadata: dict[str, str]) -> None:
    """A valid ONNX file that is no detector."""
    sides = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", 3, 64, 64]) for name in ("images", "heatmap")
    ]
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["heatmap"])], "copy", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("trian", "'trian'"),
        ("train", "'config'"),
        ("train nano --epochs 3", "--epochs"),
        ("eval model.onnx", "'data'"),
        ("eval model.onnx good.json --batch 0", "--batch"),
        ("eval model.onnx good.json --batch many", "--batch"),
        ("predict model.onnx", "'sources'"),
        ("predict model.onnx a.png --score 2", "--score"),
        ("export", "'model'"),
        ("export model.safetensors --format onxx", "did you mean 'onnx'"),
        ("export model.safetensors --size 100x100", "multiples of 32"),
        ("export model.safetensors --out small.onnx", "small.onnx would be a folder"),
        ("bench model.onnx --batch 1,x", "'1,x'"),
        ("bench model.onnx --batch 0", "from one to 1024 pictures"),
        ("bench model.onnx --backend auto", "leave auto out"),
        ("data", "centerx data --help"),
        ("data checks good.json", "'checks'"),
        ("data convert good.json out --to yollo", "did you mean 'yolo'"),
        ("data check good.json --format cooc", "did you mean 'coco'"),
    ],
)
def test_a_wrong_command_line(refused: Refused, arguments: str, says: str) -> None:
    assert says in refused(*arguments.split())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("nowhere.yaml", "nowhere.yaml: no such"),
        ("nanno", "did you mean 'nano'"),
        ("folder.yaml", "folder.yaml: no such"),
        ("junk.yaml", "junk.yaml: not a text file"),
        ("cut.yaml", "cut.yaml: not readable as YAML"),
        ("list.yaml", "list.yaml: a configuration is a mapping"),
        ("unknown_key.yaml", "unknown_key.yaml: unknown key 'train.epoch' (did you mean 'epochs'?)"),
        ("lost_base.yaml", "nanno: no such"),
        ("model.onnx", "model.onnx: not a text file"),
        ("nano", "data.train: no data set"),
    ],
)
def test_a_wrong_configuration(refused: Refused, config: str, says: str) -> None:
    assert says in refused("train", config)


def test_a_preset_is_known_by_its_name_alone(refused: Refused, files: Path) -> None:
    assert "no such configuration file or preset" in refused("train", files / "unknown_key")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epoch=3", "train.epoch=3: unknown key 'train.epoch' (did you mean 'epochs'?)"),
        ("train.epochs=0", "train.epochs=0: train.epochs: "),
        ("train=3", "train=3: train: "),
        ("train..epochs=3", "unknown key 'train.'"),
        ("epochs 3", "'epochs 3': an override is written key=value"),
        ("data.train.0.path=x", "data.train.0.path=x: a list is replaced whole, write data.train=[...]"),
        ("augment.colour=[1", "augment.colour=[1: not readable"),
        ("classes=[dog]", "'dog' is labelled in none of good.json; labelled there: cat"),
        ("data.train=[{path: good.json, classes: [caat]}]", "no class 'caat' (did you mean 'cat'?)"),
        ("data.train=[{path: good.json, images: nowhere}]", "nowhere: no such folder"),
        ("data.train=[{path: good.json, format: cooc}]", "did you mean 'coco'"),
        ("data.val=[nowhere.json]", "nowhere.json: no such"),
        ("distill.teachers=[{weights: model.safetensors, classes: {}}]", "distill.teachers.0.classes: "),
        ("distill.teachers=[run]", "run: is a folder, name the model file in it, run/last.safetensors"),
        ("model.backbone=resnet81", "model.backbone: unknown timm model 'resnet81' (did you mean"),
        ("model.backbone=vit_tiny_patch16_224", "model.backbone: 'vit_tiny_patch16_224' has maps of strides [16]"),
        ("model.pretrained=junk.pth", "model.pretrained: junk.pth: not a checkpoint"),
        ("train.init=junk.safetensors", "junk.safetensors: corrupt"),
        ("train.init=lost_tensor.safetensors", "the first is 'backbone.mean'"),
    ],
)
def test_a_wrong_override(refused: Refused, tmp_path: Path, override: str, says: str) -> None:
    assert says in refused(*TRAIN, GOOD, override, "--out", tmp_path)


@pytest.mark.parametrize("command", [["eval", "model.onnx"], ["data", "check"], TRAIN])
@pytest.mark.parametrize(
    ("data", "where", "kind"),
    [
        ("nowhere", "nowhere", None),
        ("text.txt", "text.txt", None),
        ("a.png", "a.png", None),
        ("empty", "empty", Kind.NO_PICTURES),
        ("no_images", "no_images", Kind.NO_PICTURES),
        ("no_pictures.json", "no_pictures.json", Kind.NO_PICTURES),
        ("folder.json", "folder.json", Kind.NO_PICTURES),
        ("cut.json", "cut.json", Kind.UNREADABLE_LABELS),
        ("junk.json", "junk.json", Kind.UNREADABLE_LABELS),
        ("results.json", "results.json", Kind.UNREADABLE_LABELS),
        ("junk.yaml", "junk.yaml", Kind.UNREADABLE_LABELS),
        ("voc", "voc/b.xml", Kind.UNREADABLE_LABELS),
        ("voc_junk", "voc_junk/a.xml", Kind.UNREADABLE_LABELS),
        ("unread", "unread/a.json", Kind.UNREAD_LABELS),
    ],
)
def test_wrong_data(refused: Refused, command: list[str], data: str, where: str, kind: Kind | None) -> None:
    line = refused(*command, f"data.train=[{data}]" if command is TRAIN else data)
    assert line.startswith(f"{where}: ")
    assert [each for each in Kind if f"({each.code}" in line] == ([kind] if kind else [])


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "model.onnx", "no_boxes.json"],
        ["data", "check", "no_boxes.json"],
        [*TRAIN, "data.train=[no_boxes.json]"],
    ],
)
def test_no_boxes_at_all(refused: Refused, command: list[str]) -> None:
    assert "no boxes" in refused(*command)


def test_model_and_data_without_a_class_in_common(refused: Refused) -> None:
    line = refused("eval", "model.onnx", "other_classes.json")
    assert "purple" in line
    assert "red, green, blue" in line


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ("nowhere.json", "nowhere.json: no such"),
        ("folder.json", "folder.json: Is a directory"),
        ("cut.json", "cut.json: malformed JSON"),
        ("junk.json", "junk.json: malformed JSON"),
        ("good.json", "good.json: not COCO results"),
        ("results.json", "results.json: image id 9 is not in good.json"),
    ],
)
def test_wrong_results(refused: Refused, results: str, says: str) -> None:
    assert says in refused("eval", results, "good.json")


@pytest.mark.parametrize("command", [["eval", "good.json"], ["predict", "a.png"], ["bench"]])
@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("nowhere.onnx", "no such model file"),
        ("folder.onnx", "is a folder"),
        ("text.txt", "not a model file"),
        ("a.png", "not a model file"),
        ("junk.onnx", "corrupt or not an ONNX model"),
        ("cut.onnx", "corrupt or not an ONNX model"),
        ("nothing.onnx", "corrupt or not an ONNX model"),
        ("foreign.onnx", "not recognised, gives heatmap ?x3x64x64 uint8"),
        ("others.onnx", "make it with `centerx export`"),
        ("nowhere.safetensors", "no such model file"),
        ("folder.safetensors", "is a folder"),
        ("junk.safetensors", "corrupt"),
        ("cut.safetensors", "corrupt"),
        ("nothing.safetensors", "corrupt"),
        ("foreign.safetensors", "not a centerX model"),
        ("bad_config.safetensors", "not readable as YAML"),
        ("lost_tensor.safetensors", "the first is 'backbone.mean'"),
    ],
)
def test_a_wrong_model(refused: Refused, command: list[str], model: str, says: str) -> None:
    line = refused(command[0], model, *command[1:])
    assert model in line
    assert says in line


@pytest.mark.parametrize("model", ["nowhere.safetensors", "junk.safetensors", "cut.safetensors", "model.onnx"])
def test_a_wrong_model_to_export(refused: Refused, model: str) -> None:
    assert model in refused("export", model)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--labels good.json", "'old'"),
        ("model.safetensors", "--labels"),
        ("nowhere.safetensors --labels good.json", "nowhere.safetensors: no such model file"),
        ("junk.safetensors --labels good.json", "junk.safetensors: corrupt"),
        ("foreign.onnx --labels good.json", "foreign.onnx: not recognised"),
        ("text.txt --labels good.json", "text.txt: not a model file"),
        ("run --labels good.json", "name the model file in it, run/last.safetensors"),
        ("model.safetensors --labels nowhere.json", "nowhere.json: no such file"),
        ("model.safetensors --labels painted", "painted labels no class; pictures alone go to --images"),
        ("model.safetensors --labels red.json", "red.json labels red, which the old detector knows, so there is no"),
        ("model.safetensors --labels upper.json", "labels 'Red', and the old detector knows 'red'; rename it"),
        ("model.safetensors --labels no_boxes.json", "no_boxes.json has no box of cat"),
        ("model.safetensors --labels good.json --images good.json", "good.json is no folder of pictures"),
        ("model.safetensors --labels good.json --images painted --out painted/run", "painted/run lies in painted"),
        ("model.safetensors --labels good.json --val-split a", "--val-split: goes with --val"),
        ("model.safetensors --labels good.json --student nanno", "did you mean 'nano'"),
        ("model.safetensors --labels good.json --resume", "nothing to resume"),
        ("model.safetensors --labels good.json --out run", "run/last.safetensors: is there already"),
        ("model.onnx --labels good.json data.input_size=64 distill.cache=false", "takes pictures of 96 x 128 pixels"),
    ],
)
def test_nothing_to_add(refused: Refused, arguments: str, says: str) -> None:
    assert says in refused("add", *arguments.split())


def test_nothing_to_merge_on(refused: Refused) -> None:
    assert "--images: there are no pictures" in refused("merge", "--teachers", "model.onnx", "--student", "nano")


@pytest.mark.parametrize("source", ["nowhere.jpg", "empty", "no_images", "*.tif"])
def test_nothing_to_predict_on(refused: Refused, source: str) -> None:
    assert source in refused("predict", "model.onnx", source)


@pytest.mark.parametrize("out", ["a_file", "a_file/below"])
@pytest.mark.parametrize(
    "command",
    [
        [*TRAIN, GOOD, "--out"],
        ["demo", "--out"],
        ["predict", "model.onnx", "a.png", "--out"],
        ["export", "model.safetensors", "--out"],
        ["data", "convert", "good.json", "--to", "yolo"],
    ],
)
def test_an_output_folder_that_cannot_be_written(refused: Refused, command: list[str], out: str) -> None:
    assert "a_file" in refused(*command, out)


@pytest.mark.parametrize("out", ["empty", "a_file/below.x"])
@pytest.mark.parametrize(
    "command",
    [
        ["eval", "model.onnx", "red.json", "--json"],
        ["predict", "model.onnx", "a.png", "--json"],
        ["bench", "model.onnx", "--runs", "1", "--batch", "1", "--csv"],
        ["data", "show", "good.json", "--out"],
    ],
)
def test_an_output_file_that_cannot_be_written(refused: Refused, command: list[str], out: str) -> None:
    assert out.split("/")[0] in refused(*command, out)


def test_a_full_disk(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("centerx.build_model.save_model", full)
    line = refused(*TRAIN, GOOD, "--out", tmp_path)
    assert "last.safetensors: No space left on device" in line
    assert "free space" in line


@pytest.mark.parametrize("content", [b"", JUNK])
def test_a_corrupt_checkpoint_to_resume_from(refused: Refused, tmp_path: Path, content: bytes) -> None:
    assert "nothing to resume" in refused(*TRAIN, GOOD, "--resume", "--out", tmp_path)
    (tmp_path / "last.ckpt").write_bytes(content)
    assert "last.ckpt: corrupt" in refused(*TRAIN, GOOD, "--resume", "--out", tmp_path)


def test_a_checkpoint_of_another_network(refused: Refused, centerx: CommandLine, tmp_path: Path) -> None:
    assert centerx(*TRAIN, GOOD, "--out", tmp_path)[0] == 0
    line = refused(*TRAIN, GOOD, "model.head_channels=32", "--resume", "--out", tmp_path)
    assert "last.ckpt: is of another network" in line


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("eval {} good.json", "a.json"),
        ("train nano data.train=[good.json] distill.teachers=[{}] --dry-run --out out", "a.json"),
        ("train {} data.train=[good.json] --dry-run --out out", "a.yaml"),
        ("tune nano --space {} data.train=[good.json] data.val=[good.json] --dry-run --out out", "a.yaml"),
        ("import {} --out out.yaml", "a.yaml"),
        ("import {} --out out.safetensors", "a.pth"),
        ("bench {}", "a.onnx"),
        ("predict model.onnx {}", "a.mp4"),
        ("data convert {} out --to coco", "a.json"),
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "link to itself"])
def test_what_is_no_ordinary_file(refused: Refused, tmp_path: Path, command: str, name: str, kind: str) -> None:
    def too_late(*_: object) -> NoReturn:
        raise AssertionError("it waits for the pipe")

    file = tmp_path / name
    os.mkfifo(file) if kind == "pipe" else file.symlink_to(name)
    former = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(20)
    try:
        assert str(file) in refused(*command.format(file).split())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def test_a_file_of_class_names_that_is_no_text(refused: Refused) -> None:
    assert "junk.json: not a text file" in refused(*["import", "junk.pth", "--out", "out", "--classes", "junk.json"])


def test_a_message_keeps_the_spaces_of_names() -> None:
    assert one_line("two  spaces.jpg: \tbad \r\n  header\n\n\u2028twice\x85\n") == "two  spaces.jpg: \tbad header twice"
