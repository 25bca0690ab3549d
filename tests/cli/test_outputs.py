"""What commands write: names of any bytes, and files that stay whole whatever happens."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from centerx.build_model import load_detector, read_with_config
from centerx.config import dump_config
from centerx.data.read import read_dataset
from centerx.images import read_image
from centerx.model_file import read_model, save_model
from centerx.runtime.info import ModelInfo
from tests.cli.conftest import CommandLine
from tests.cli.test_predict import save
from tests.data.handmade import write_coco, write_picture

ODD = os.fsdecode(b"stra\xdfe_caf\xe9.png")
LINE = os.fsdecode(b"two\nlines.png")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in (ODD, LINE, "plain.png"):
        save(tmp_path / "in" / name)
    return tmp_path / "in"


def test_predict_lists_and_draws_pictures_of_any_name(
    centerx: CommandLine, onnx_file: Path, pictures: Path, tmp_path: Path
) -> None:
    status, _, err = centerx("predict", onnx_file, pictures, "--json", tmp_path / "a.json", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    entries = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert {entry["image"] for entry in entries} == {str(path) for path in pictures.iterdir()}
    assert os.fsencode(entries[1]["image"]).endswith(b"stra\xdfe_caf\xe9.png")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in pictures.iterdir()}


def test_pseudo_labels_of_any_name_are_read_back(
    centerx: CommandLine, onnx_file: Path, pictures: Path, tmp_path: Path
) -> None:
    assert centerx("pseudo", onnx_file, pictures, "--out", tmp_path / "a.json", "--score", 0.9)[0] == 0
    found = read_dataset(tmp_path / "a.json").records
    assert {record.image.resolve() for record in found} == set(pictures.iterdir())
    assert all(read_image(record.image).shape == (90, 120, 3) for record in found)


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_convert_copies_pictures_under_names_that_every_format_holds(
    centerx: CommandLine, tmp_path: Path, to: str
) -> None:
    for name in (ODD, LINE):
        write_picture(tmp_path / "in" / name)
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate((ODD, LINE), start=1)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [i, 2, 10, 10]} for i in (1, 2)]
    source = write_coco(tmp_path / "in" / "a.json", images=images, annotations=boxes)
    status, _, err = centerx("data", "convert", source, tmp_path / "out", "--to", to)
    assert status == 0
    quoted = {"stra%DFe_caf%E9.png": 1.0, "two%0Alines.png": 2.0}
    assert "renamed_picture: 2 fixed, the first: " in err
    assert "copied as stra%DFe_caf%E9.png" in err
    found = read_dataset(tmp_path / "out", split="train").records
    assert {record.image.name: record.objects.boxes[0, 0] for record in found} == pytest.approx(quoted, abs=1e-4)
    assert all(record.image.is_file() for record in found)


def test_a_class_name_that_voc_cannot_hold_is_refused_before_anything_is_copied(
    centerx: CommandLine, tmp_path: Path
) -> None:
    source = write_coco(tmp_path / "a.json", categories=[{"id": 1, "name": "caf\ufffe"}])
    write_picture(tmp_path / "a.png")
    status, _, err = centerx("data", "convert", source, tmp_path / "out", "--to", "voc")
    assert (status, err.count("\n")) == (2, 1)
    assert "'caf\\ufffe', rename it with --rename" in err
    assert not (tmp_path / "out").exists()


def test_a_model_keeps_class_names_of_any_kind(centerx: CommandLine, model_file: Path, tmp_path: Path) -> None:
    detector, info = load_detector(model_file)
    names = ("café", "straße", "\u65e5\u672c")
    config = dump_config(read_with_config(model_file)[2].model_copy(update={"classes": names}))
    save_model(tmp_path / "m.safetensors", detector, info._replace(class_names=names), config)
    assert read_model(tmp_path / "m.safetensors")[1].class_names == names
    file = save(tmp_path / "a.png")
    arguments = "--score", 0, "--json", tmp_path / "a.json", "--out", tmp_path / "out"
    assert centerx("predict", tmp_path / "m.safetensors", file, *arguments)[0] == 0
    [entry] = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert {found["label"] for found in entry["detections"]} == set(names)
    assert ModelInfo.from_metadata(ModelInfo(names, (32, 32), 4).to_metadata(), "").class_names == names


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "C"}], ids=str)
def test_what_a_terminal_cannot_show_is_escaped(onnx_file: Path, pictures: Path, variables: dict[str, str]) -> None:
    (pictures / os.fsdecode(b"\xff\xc3\xa9.png")).write_text("no picture")
    command = [sys.executable, "-m", "centerx", "predict", str(onnx_file), os.fsencode(pictures)]
    done = subprocess.run(command, capture_output=True, env=os.environ | variables, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert rb"stra\udcdfe_caf\udce9.png: " in done.stdout
    assert done.stderr.count(b"\n") == 1
    assert rb"\udcff" in done.stderr


def test_a_model_file_whose_path_is_not_utf8_is_refused(
    centerx: CommandLine, onnx_file: Path, pictures: Path, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"\xe9.onnx")
    odd.write_bytes(onnx_file.read_bytes())
    status, _, err = centerx("predict", odd, pictures)
    assert (status, err.count("\n")) == (2, 1)
    assert "not UTF-8" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("predict {model} a.png --json folder", "folder: is a folder"),
        ("predict {model} a.png --json a.png", "a.png: is read by this command"),
        ("predict {model} a.png --json file/a.json", "/file: cannot be written (Not a directory)"),
        ("predict {model} a.png --out file", "/file: cannot be written (Not a directory)"),
        ("predict {model} a.png --out drawn", "drawn/a.png: is a folder"),
        ("eval {model} a.json --json folder", "folder: is a folder"),
        ("eval {model} a.json --json a.json", "a.json: is read by this command"),
        ("pseudo {model} a.json --out file/a.json", "/file: cannot be written (Not a directory)"),
        ("data show a.json --out folder", "folder: is a folder"),
        ("data show a.json --out file/a.png", "/file: cannot be written (Not a directory)"),
        ("data show a.json --out a.xyz", "a.xyz: cannot write pictures of such a name"),
        ("data convert a.json file --to coco", "file: "),
        ("bench {model} --csv folder", "folder: is a folder"),
        ("export {weights} --out file", "file: "),
        ("import {weights} --out folder", "folder: is a folder"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_the_work(
    centerx: CommandLine,
    onnx_file: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png")
    write_coco(tmp_path / "a.json")
    (tmp_path / "folder").mkdir()
    (tmp_path / "drawn" / "a.png").mkdir(parents=True)
    (tmp_path / "file").write_text("kept")
    monkeypatch.setattr("centerx.images.Image.open", None)  # no picture is looked at
    monkeypatch.setattr("centerx.runtime.session.Backend.open", None)  # and no model loaded
    before = sorted(tmp_path.rglob("*"))
    status, _, err = centerx(*(word.format(model=onnx_file, weights=model_file) for word in arguments.split()))
    assert (status, err.count("\n")) == (2, 1)
    assert says in err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("option", ["--json", "--out"])
def test_a_full_disk_leaves_the_former_file(centerx: CommandLine, onnx_file: Path, tmp_path: Path, option: str) -> None:
    file = save(tmp_path / "a.png")
    out = tmp_path / "a.json" if option == "--json" else tmp_path / "out" / "a.png"
    out.parent.mkdir(exist_ok=True)
    out.write_text("former")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        status, _, err = centerx(
            "predict", onnx_file, *[file] * (9 if option == "--json" else 1), "--score", 0,
            option, out if option == "--json" else out.parent,
        )  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {out}: ")
    assert os.strerror(errno.EFBIG) in err
    assert out.read_text() == "former"
    assert sorted(path.name for path in out.parent.iterdir()) in (["a.json", "a.png"], ["a.png"])


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.soak)],
    ids=lambda it: it.name,
)
def test_an_interruption_leaves_the_former_file(onnx_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "a.png"
    Image.effect_noise((2000, 2000), 50).save(file)
    (tmp_path / "a.json").write_text("former")
    command = [sys.executable, "-m", "centerx", "predict", onnx_file, *[file] * 2000, "--json", tmp_path / "a.json"]
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    former = signal.signal(number, usual)  # a suite in the background ignores some
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, former)
    with process:
        while process.poll() is None and not list(tmp_path.glob(".centerx-*")):
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, "error: interrupted; what was already written is kept\n")
    assert (tmp_path / "a.json").read_text() == "former"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


@pytest.mark.parametrize(
    "command",
    [
        "train nano data.train=[{odd}]",
        "export {model} --out {odd}",
        "import {model} --out {odd}.safetensors",
        "train nano data.train=[{scenes}] data.workers=0 classes=null --out {odd}",
        "merge --teachers {odd}.onnx --images in --student nano",
    ],
)
def test_paths_that_libraries_cannot_open_are_refused_before_the_work(
    centerx: CommandLine,
    pictures: Path,
    model_file: Path,
    scenes: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.chdir(pictures.parent)
    monkeypatch.setattr("lightning.Trainer.fit", None)
    odd = os.fsdecode(b"caf\xe9")
    status, _, err = centerx(*(word.format(odd=odd, model=model_file, scenes=scenes) for word in command.split()))
    assert (status, err.count("\n")) == (2, 1)
    assert "caf\\udce9" in err


def test_closed_standard_streams_are_led_to_nowhere() -> None:
    words = f"{sys.executable} -m centerx presets bccd_nano"
    for streams in (">&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{words} {streams}"], capture_output=True, check=False, timeout=100)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_is_gone_ends_a_command_as_a_shell_expects() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "centerx", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False, timeout=100)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ImportError("Lines\na.so: failed to map segment from shared object"),
            "a library cannot be loaded",
        ),
        (MemoryError(), "out of memory"),
    ],
)
def test_too_little_memory_is_one_line(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, centerx: CommandLine
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("centerx.cli.main.app", fail)
    status, out, err = centerx("presets")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert told in err


@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda it: it.name)
def test_a_further_signal_does_not_change_how_an_interrupted_command_ends(again: signal.Signals) -> None:
    program = (
        "import atexit, time; from centerx.cli.main import run_and_exit; atexit.register(time.sleep, 0.5)\n"
        "def interrupted(): raise KeyboardInterrupt\n"
        "run_and_exit(interrupted)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        process.send_signal(again)
        rest = process.stderr.read()
    assert (process.returncode, told, rest) == (130, "error: interrupted; what was already written is kept\n", "")
