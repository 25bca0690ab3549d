"""Disks that are really full or read-only: small ones in memory, which only root can mount."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from centerx.data.write import WRITERS
from tests.cli.conftest import CommandLine
from tests.cli.test_predict import save
from tests.equality.cases import SMALL

# Formats that have no words for the classes or objects of these scenes.
NOT_TRIED = {"coco", "yolo", "yolo-pose", "dota", "kitti"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill a disk up to so many bytes."""
    state = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(state.f_bavail * state.f_frsize - left))
    return ballast


@pytest.mark.soak
@pytest.mark.parametrize(("left", "file"), [(150_000, "last.safetensors"), (800_000, "last.ckpt")])
def test_a_training_on_a_full_disk_keeps_what_is_there(
    centerx: CommandLine, small_overrides: list[str], disk: Path, left: int, file: str
) -> None:
    run = disk / "run"
    command = ["train", "nano", *small_overrides, *SMALL, "data.val=[]", "--out", run]
    assert centerx(*command)[0] == 0
    before = {path: path.read_bytes() for path in run.iterdir()}
    ballast = fill(disk, left)
    status, _, err = centerx(*command, "--resume", "train.epochs=3")
    assert (status, err.splitlines()[1:]) == (
        2,
        [f"error: {run / file}: No space left on device, check the path, its permissions and the free space"],
    )
    assert (run / "last.ckpt").read_bytes() == before[run / "last.ckpt"]
    assert ((run / "last.safetensors").read_bytes() == before[run / "last.safetensors"]) == (file == "last.safetensors")
    assert not list(run.glob(".centerx-*"))

    ballast.unlink()
    assert centerx(*command, "--resume", "train.epochs=3")[0] == 0
    assert (run / "metrics.csv").read_text().count("\n") == 4


@pytest.mark.parametrize(
    "name", ["onnx", *(pytest.param(name, marks=pytest.mark.soak) for name in ("openvino", "web"))]
)
def test_an_export_to_a_full_disk_keeps_what_is_there(
    centerx: CommandLine, model_file: Path, disk: Path, name: str
) -> None:
    out = disk / {"onnx": "model.onnx", "openvino": "model.xml", "web": "model-web"}[name]
    former = out / "model.json" if name == "web" else out
    former.parent.mkdir(exist_ok=True)
    former.write_text("former")
    fill(disk, 100_000)
    before = {path: path.stat().st_size for path in disk.rglob("*")}
    status, _, err = centerx("export", model_file, "--format", name, "--out", disk)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {out}: ")
    assert {path: path.stat().st_size for path in disk.rglob("*")} == before


@pytest.mark.parametrize(
    "words",
    [
        ["convert", "--to", "coco"],
        ["convert", "--to", "yolo"],
        *(pytest.param(["convert", "--to", name], marks=pytest.mark.soak) for name in WRITERS if name not in NOT_TRIED),
        ["split", "--to", "yolo", "--out"],
        ["split", "--out"],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_data_set_is_written_whole_or_not_at_all(
    centerx: CommandLine, scenes: Path, disk: Path, words: list[str]
) -> None:
    def write(folder: Path) -> tuple[int, str, str]:
        place = [folder] if words[-1] == "--out" else ["--rename", "0=zero", "--split", "train"]
        return centerx("data", words[0], scenes, *([] if words[-1] == "--out" else [folder]), *words[1:], *place)

    assert write(disk.parent / "whole")[0] == 0
    sizes = [path.stat().st_size for path in (disk.parent / "whole").rglob("*") if path.is_file()]
    (disk / "set").mkdir()
    (disk / "set" / "note.txt").write_text("of others")
    for left in (0, sum(sizes) // 2):
        ballast = fill(disk, left)
        status, _, err = write(disk / "set")
        assert (status, err.count("\n")) == (2, 1), err
        assert "No space left on device" in err
        assert [path.name for path in disk.rglob("*") if path != ballast] == ["set", "note.txt"]
        ballast.unlink()
    assert write(disk / "set")[0] == 0


def test_nothing_is_begun_that_a_read_only_disk_cannot_take(
    centerx: CommandLine, scenes: Path, small_overrides: list[str], model_file: Path, onnx_file: Path, disk: Path
) -> None:
    picture = save(disk.parent / "a.png")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    run, pictures = disk / "run", scenes.parent / "train"
    small = ["data.workers=0", "train.epochs=1", "data.input_size=64"]
    for words in (
        ["train", "nano", *small_overrides, "--out", run],
        ["merge", "--teachers", onnx_file, "--images", pictures, "--student", "nano", "--out", run, *small],
        ["export", model_file, "--out", disk],
        ["predict", onnx_file, picture, "--json", disk / "a.json"],
        ["predict", onnx_file, picture, "--out", disk / "drawn"],
        ["pseudo", onnx_file, picture, "--score", 0.5, "--out", disk / "a.json"],
        ["eval", onnx_file, scenes, "--json", disk / "a.json"],
        ["data", "convert", scenes, disk / "set", "--to", "coco"],
    ):
        status, out, err = centerx(*words)
        assert (status, out, err.count("\n")) == (2, "", 1), (words, err)
        assert err.startswith(f"error: {disk}"), err
        assert "Read-only file system" in err
