"""`predict --resume` and `pseudo --resume`: a killed command goes on, and its output is that of one left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from centerx.errors import InputError
from centerx.unfinished import CHECKED, Unfinished
from tests.cli.conftest import CommandLine
from tests.cli.test_predict import picture, save

PICTURES = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(PICTURES):
        save(tmp_path / "in" / f"{number:03d}.png", picture(number))
    return tmp_path / "in"


def killed(words: list[object], part: Path) -> None:
    """Run a command until a few answers are kept, and kill it."""
    command = [sys.executable, "-m", "centerx", "--quiet", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < 4):
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 4 <= part.read_bytes().count(b"\n") < PICTURES


@pytest.mark.parametrize("command", ["predict", "pseudo"])
def test_a_killed_command_goes_on_to_the_same_file(
    command: str, centerx: CommandLine, onnx_file: Path, folder: Path, tmp_path: Path
) -> None:
    def words(out: Path, *more: object) -> list[object]:
        return [command, onnx_file, folder, "--json" if command == "predict" else "--out", out, *more]

    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    alone, out = tmp_path / "alone.json", tmp_path / "out.json"
    assert centerx(*words(alone))[0] == 0
    part = tmp_path / "out.json.part"
    killed(words(out, "--resume"), part)
    part.write_bytes(part.read_bytes() + b'["cut o')
    done = part.read_bytes().count(b"\n") - 1
    assert not out.exists()

    status, said, err = centerx(*words(out, "--resume"))
    assert status == 0, err
    assert f"out.json.part: goes on, {done} pictures are done" in said
    assert "broken.png" in err
    assert out.read_bytes() == alone.read_bytes()
    assert not part.exists()


def test_what_is_done_is_not_looked_at_again_unless_it_changed(
    centerx: CommandLine, onnx_file: Path, folder: Path, tmp_path: Path
) -> None:
    out, drawn = tmp_path / "out.json", tmp_path / "drawn"
    words = ["predict", onnx_file, folder, "--json", out, "--out", drawn, "--resume"]
    killed(words, part := tmp_path / "out.json.part")
    done = [json.loads(line[CHECKED:])[0] for line in part.read_text().splitlines()[1:]]
    assert all((drawn / Path(each).name).exists() for each in done)
    shutil.rmtree(drawn)
    save(Path(done[1]), picture(99))

    status, _, err = centerx(*words)
    assert status == 0
    assert f"1 pictures have changed since or are gone, what was found there is left out; the first: {done[1]}" in err
    asked = {f"{number:03d}.png" for number in range(PICTURES)} - {Path(each).name for each in (done[0], *done[2:])}
    assert {each.name for each in drawn.iterdir()} == asked
    names = [entry["image"] for entry in json.loads(out.read_text())]
    assert sorted(names) == [str(folder / f"{number:03d}.png") for number in range(PICTURES)]
    assert names[-1] != done[1]
    assert names.index(done[1]) == len(done) - 1


def test_nothing_but_broken_pictures_may_be_left(
    centerx: CommandLine, onnx_file: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    with Unfinished(out, onnx_file, facts(0.3)) as kept:
        for file in folder.iterdir():
            kept.add(file, {"image": str(file), "detections": []})
    (folder / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    status, said, err = centerx("predict", onnx_file, folder, "--json", out, "--resume")
    assert status == 0
    assert "x.png" in err
    assert f"0 objects on {PICTURES} pictures" in said
    assert len(json.loads(out.read_text())) == PICTURES


def test_a_limit_counts_what_was_done_before(
    centerx: CommandLine, onnx_file: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    for limit, kept_before in ((5, 2), (2, 2)):
        with Unfinished(out, onnx_file, facts(0.3)) as kept:
            for file in sorted(folder.iterdir())[:kept_before]:
                kept.add(file, {"image": str(file), "detections": []})
        assert centerx("predict", onnx_file, folder, "--json", out, "--resume", "--limit", limit)[0] == 0
        assert len(json.loads(out.read_text())) == limit


def facts(score: float) -> dict[str, object]:
    """Options of `predict` as it keeps them."""
    return {"--score": score, "--backend": None, "--size": None, "--tiles": None, "--overlap": 0.2, "--whole": False}


def test_what_another_command_left_is_refused(
    centerx: CommandLine, onnx_file: Path, folder: Path, tmp_path: Path
) -> None:
    out, part = tmp_path / "out.json", tmp_path / "out.json.part"
    words = ["predict", onnx_file, folder, "--json", out, "--resume"]
    with Unfinished(out, onnx_file, facts(0.5)) as kept:
        kept.add(folder / "000.png", {})
        status, _, err = centerx(*words)
        assert (status, err) == (
            2,
            f"error: {part}: another command is writing it, wait or name another output\n",
        )
    before = part.read_bytes()
    status, _, err = centerx(*words)
    assert (status, err) == (
        2,
        f"error: {part}: was left by a command with another --score, give the same one again, or remove the file to "
        "begin anew\n",
    )
    other = tmp_path / "other.onnx"
    other.write_bytes(onnx_file.read_bytes() + b"\x00")
    with pytest.raises(InputError, match="with another model"):
        Unfinished(out, other, facts(0.5))
    assert part.read_bytes() == before
    damaged = before.replace(b"0.5", b"0.4")
    for content in (b"a download", b"[]\n", damaged, before + b"[[\n", before + b"\xff\n"):
        part.write_bytes(content)
        with pytest.raises(InputError, match=r"out\.json\.part: corrupt or no file of this command"):
            Unfinished(out, onnx_file, facts(0.5))
        assert part.read_bytes() == content
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(InputError, match=r"out\.json\.part: is no ordinary file"):
        Unfinished(out, onnx_file, facts(0.5))
    assert not out.exists()


def test_what_cannot_be_resumed_is_told(
    centerx: CommandLine, onnx_file: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = centerx("predict", onnx_file, folder, "--resume")
    assert (status, err) == (2, "error: --resume: keeps answers beside a JSON file, name one with --json\n")
    status, _, err = centerx("predict", onnx_file, folder, "--resume", "--json", "-")
    assert (status, err) == (2, "error: --resume: keeps answers beside a JSON file, name one with --json\n")
    (tmp_path / "a.mp4").write_bytes(b"")
    status, _, err = centerx("predict", onnx_file, tmp_path / "a.mp4", "--resume", "--json", tmp_path / "a.json")
    assert (status, err.count("\n")) == (2, 1)
    assert "--resume goes with pictures" in err
    for model in (tmp_path / "nope.onnx", folder / "000.png", folder):
        status, _, err = centerx("predict", model, folder, "--resume", "--json", tmp_path / "a.json")
        assert (status, err.count("\n")) == (2, 1)
    assert not any(tmp_path.glob("*.part"))


def test_names_that_are_not_utf8_are_kept(onnx_file: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"\xff\n.png")
    name.write_bytes(b"1")
    with Unfinished(tmp_path / "o", onnx_file, {}) as kept:
        kept.add(name, [0.1])
    with Unfinished(tmp_path / "o", onnx_file, {}) as kept:
        assert kept.done == {str(name)}
        assert list(kept.answers()) == [(str(name), [0.1])]
