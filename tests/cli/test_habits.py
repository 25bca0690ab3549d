"""What all commands have in common: version, how much is said, JSON, colours, completion, suggestions."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from centerx import __version__
from centerx.cli.main import app
from centerx.cli.output import harmless, one_line
from tests.cli.conftest import CommandLine
from tests.data.handmade import coco_annotation, write_coco, write_picture

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
LEAVES = {name: each for name, each in COMMANDS.items() if name != "data"}
LEAVES |= {f"data {name}": each for name, each in COMMANDS["data"].commands.items()}
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")  # or bold or italics; a bar moves the cursor by others


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A COCO json of one picture with one box of a class of the models, and one without area."""
    write_picture(tmp_path / "a.png", (96, 128))
    boxes = [coco_annotation(id=1, bbox=[10, 10, 50, 40]), coco_annotation(id=2, bbox=[0, 0, 0, 5])]
    return write_coco(tmp_path / "a.json", categories=[{"id": 1, "name": "red"}], annotations=boxes)


def documented(command: str) -> tuple[str, set[str]]:
    """The form of a report and its keys, as docs/cli.md has them."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.split("<!-- keys of reports")[1].split("\n| key |")[0]
    rows = {line.split("|")[1].strip(" `"): line.split("|") for line in table.splitlines() if line.startswith("| `")}
    form, keys = rows[command][2].split(",")[0].strip(), set(re.findall("`(\\w+)`", rows[command][3]))
    return form, keys


def keys_of(tree: Any) -> tuple[str, set[str]]:
    """The form of a report and its keys."""
    return ("list", set(tree[0])) if isinstance(tree, list) else ("mapping", set(tree))


def on_terminal(*arguments: object, **variables: str) -> bytes:
    """What a command writes to a terminal."""
    terminal, there = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "centerx", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=there, stderr=there, env=environment | {"TERM": "xterm"} | variables
    ) as process:
        os.close(there)
        shown = b""
        try:
            while more := os.read(terminal, 4096):
                shown += more
        except OSError:  # how Linux says that nobody writes any more
            pass
    os.close(terminal)
    assert process.returncode == 0, shown
    return shown


def test_version(centerx: CommandLine) -> None:
    assert centerx("--version") == (0, f"centerx {__version__}\n", "")


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_the_options_of_all(name: str) -> None:
    options = {option for param in LEAVES[name].params for option in param.opts}
    assert {"--quiet", "--verbose", "--no-color"} <= options
    assert name == "serve" or "--json" in options


def test_quiet_says_nothing_but_warnings_before_and_behind_a_command(
    centerx: CommandLine, onnx_file: Path, labelled: Path, tmp_path: Path
) -> None:
    _, usual, warning = centerx("eval", onnx_file, labelled)
    assert "AP, IoU 0.50:0.95" in usual
    assert warning.startswith(f"warning: {labelled}: box_without_area")
    report = tmp_path / "report.json"
    for words in (
        ("--quiet", "eval", onnx_file, labelled, "--json", report),
        ("eval", onnx_file, labelled, "--quiet", "--json", report),
    ):
        assert centerx(*words) == (0, "", warning)
        assert "AP50" in json.loads(report.read_bytes())
        report.unlink()
    assert centerx("data", "--quiet", "check", labelled) == (0, "", "")
    assert centerx("eval", onnx_file, labelled)[1] == usual  # and the next command speaks again


def test_verbose_tells_what_is_done_and_where_an_error_was_raised(
    centerx: CommandLine, onnx_file: Path, labelled: Path
) -> None:
    for words in (("--verbose", "eval", onnx_file, labelled), ("eval", onnx_file, labelled, "--verbose")):
        status, _, err = centerx(*words)
        assert status == 0
        assert f"debug: {labelled}: read as coco: 1 pictures, 1 classes" in err
        assert f"debug: {onnx_file}: opened with onnxruntime" in err
    usual = centerx("train", "nanno")[2]
    status, _, err = centerx("train", "nanno", "--verbose")
    assert (status, err.splitlines()[-1:]) == (2, usual.splitlines())
    assert err.startswith("debug: InputError was raised here\nTraceback (most recent call last):\n")
    assert "in find_config" in err


@pytest.mark.parametrize(
    "words",
    [
        "doctor",
        "models {folder}",
        "presets nano",
        "data check {data}",
        "data convert {data} {folder}/yolo --to yolo",
        "data show {data} --out {folder}/a.jpg",
        "eval {onnx} {data}",
        "predict {onnx} {picture}",
        "bench {onnx} --runs 1 --batch 1 --backend onnxruntime",
        "inspect {onnx}",
        "pseudo {onnx} {data} --out {folder}/b.json",
    ],
)
def test_json_on_standard_output_is_alone_there(
    centerx: CommandLine,
    onnx_file: Path,
    labelled: Path,
    tmp_path: Path,
    words: str,
) -> None:
    places = {"data": labelled, "picture": tmp_path / "a.png", "folder": tmp_path / "out"}
    places["folder"].mkdir()
    command = [word.format(onnx=onnx_file, **places) for word in words.split()]
    status, out, err = centerx(*command, "--json", "-")
    assert status == 0, err
    assert all(line.startswith("warning: ") for line in err.splitlines())
    tree = json.loads(out)
    assert documented(" ".join(words.split()[: 1 + words.startswith("data ")])) == keys_of(tree)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    report = tmp_path / "report.json"
    assert centerx(*command, "--json", report)[0] == 0
    if command[0] != "bench":  # whose times differ
        assert json.loads(report.read_bytes()) == tree


def test_json_on_standard_output_is_utf8_whatever_the_terminal(onnx_file: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"stra\xdfe_\xc3\xa9.png")
    Image.new("RGB", (40, 30)).save(name, format="PNG")
    command = [sys.executable, "-m", "centerx", "predict", onnx_file, name, "--json", "-"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=100)
    assert json.loads(done.stdout.decode("utf-8"))[0]["image"] == str(name)


def test_colours_are_off_where_asked(labelled: Path) -> None:
    words = "data", "check", labelled
    assert b"\x1b[33mskipped" in on_terminal(*words)
    assert b"\x1b[33mskipped" in on_terminal(*words, FORCE_COLOR="1", TERM="dumb")
    for off in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        assert not COLOUR.search(on_terminal(*words, **off))
    assert not COLOUR.search(on_terminal(*words, "--no-color"))
    assert not COLOUR.search(on_terminal("--no-color", *words, FORCE_COLOR="1"))


def test_colours_are_off_in_a_file_unless_forced(
    centerx: CommandLine, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for forced, coloured in (("", False), ("1", True), ("0", False)):
        monkeypatch.setenv("FORCE_COLOR", forced)
        out = centerx("data", "check", labelled)[1]
        assert ("\x1b[33mskipped" in out) == ("\x1b[1m" in out) == coloured  # the words, and the table


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("trian nano", "No such command: 'trian' (did you mean 'train'?), see `centerx --help`"),
        ("data chek a", "No such command: 'chek' (did you mean 'check'?), see `centerx data --help`"),
        ("eval a b --formt coco", "No such option: --formt (did you mean '--format'?), see `centerx eval --help`"),
        ("merge --techers a", "No such option: --techers (did you mean '--teachers'?), see `centerx merge --help`"),
        ("--quite eval a b", "No such option: --quite (did you mean '--quiet'?), see `centerx --help`"),
        ("xyzzy", "No such command: 'xyzzy', see `centerx --help`"),
        ("train bcd_nano", "(did you mean 'bccd_nano'?)"),
        ("train nano --dry-run train.epoch=1", "(did you mean 'epochs'?)"),
        ("train nano loss.balance=fixd", "(did you mean 'fixed'?)"),
        ("presets bcd_nano", "bcd_nano: no such preset (did you mean 'bccd_nano'?)"),
        ("export a.safetensors --format onxx", "(did you mean 'onnx'?)"),
        ("export a.safetensors --precision fp-16", "(did you mean 'fp16'?)"),
        ("data check . --frame uprigt", "--frame: no orientation 'uprigt' (did you mean 'upright'?)"),
        ("data check . --format cooc", "(did you mean 'coco'?)"),
        ("--show-completion bsh", "(did you mean 'bash'?)"),
    ],
)
def test_a_mistyped_word_is_told_with_the_nearest(centerx: CommandLine, words: str, says: str) -> None:
    status, out, err = centerx(*words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert says in err


def test_a_mistyped_class_is_told_with_the_nearest(centerx: CommandLine, onnx_file: Path, labelled: Path) -> None:
    status, _, err = centerx("eval", onnx_file, labelled, "--classes", "rad")
    assert (status, err.count("\n")) == (2, 1)
    assert "no class 'rad' (did you mean 'red'?)" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_and_installed(
    centerx: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status, script, err = centerx("--show-completion", shell)
    assert (status, err) == (0, "")
    assert f"_CENTERX_COMPLETE=complete_{shell}" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=30)
    assert list(tmp_path.iterdir()) == []
    assert centerx("--install-completion", shell)[0] == 0
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(script.strip() in text for text in written)


def test_completion_without_a_name_is_of_the_shell_in_use(
    centerx: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shellingham

    monkeypatch.setattr(shellingham, "detect_shell", lambda: ("fish", "/usr/bin/fish"))
    assert centerx("--show-completion") == centerx("--show-completion", "fish")

    def none() -> None:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr(shellingham, "detect_shell", none)
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert centerx("--show-completion") == centerx("--show-completion", "zsh")
    monkeypatch.delenv("SHELL")
    status, out, err = centerx("--show-completion")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "name one of: bash, zsh, fish" in err


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("centerx tr", {"train"}),
        ("centerx data c", {"check", "convert"}),
        ("centerx eval --fo", {"--format"}),
        ("centerx train bccd", {"bccd_nano", "bccd_r18"}),
    ],
)
def test_words_are_completed(typed: str, found: set[str]) -> None:
    variables = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_CENTERX_COMPLETE": "complete_bash"}
    command = [sys.executable, "-m", "centerx"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=True, timeout=60)
    assert set(done.stdout.split()) == found


def test_help_names_every_command(centerx: CommandLine) -> None:
    _, out, _ = centerx("--help")
    assert set(re.findall(r"^  (\w+) ", out.split("Commands:")[1], re.MULTILINE)) == set(COMMANDS)


def test_names_cannot_command_the_terminal() -> None:
    assert harmless("a\x1b]0;title\x07b\x9b2J\rc\x1b[2Jd\te\n") == "a\\x1b]0;title\\x07b\\x9b2J\\x0dc\\x1b[2Jd\te\n"
    assert harmless("\x1b[33mred\x1b[0m größe 信号") == "\x1b[33mred\x1b[0m größe 信号"
    assert one_line("a\x1b[2J\nb") == "a\\x1b[2J b"
