"""The core install: no torch, nor anything that the extras bring."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from centerx.cli.options import EXTRAS
from tests.cli.test_predict import save

# Python that refuses to import what the core does not bring, then runs the command line with its own arguments.
WITHOUT = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(EXTRAS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""
COMMAND = "from centerx.cli.main import main; main()"


def run(code: str, *arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-c", WITHOUT + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_refusal_itself() -> None:
    status, _, err = run("import torch")
    assert status == 1
    assert "ModuleNotFoundError: No module named 'torch'" in err


def test_help() -> None:
    status, out, err = run(COMMAND, "--help")
    assert (status, err) == (0, "")
    assert "predict" in out


def test_doctor() -> None:
    status, out, err = run(COMMAND, "doctor")
    assert (status, err) == (0, "")
    assert "prediction: with ONNX Runtime on " in out
    assert "training: no, No module named 'torch'" in out


def test_predict(onnx_file: Path, tmp_path: Path) -> None:
    file = save(tmp_path / "a.png")
    status, out, err = run(COMMAND, "predict", onnx_file, file, "--json", tmp_path / "a.json", "--out", tmp_path / "o")
    assert (status, err) == (0, "")
    assert "objects on 1 picture" in out
    assert (tmp_path / "o" / "a.png").is_file()


def test_python(onnx_file: Path, tmp_path: Path) -> None:
    code = (
        "import centerx; found = centerx.load(sys.argv[1])(sys.argv[2]); print(type(found).__name__, len(found.scores))"
    )
    assert run(code, onnx_file, save(tmp_path / "a.png")) == (0, "Detections 60\n", "")


def test_the_server_says_how_to_get_it(onnx_file: Path) -> None:
    status, out, err = run(COMMAND, "serve", onnx_file)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: this needs the package '\w+', run `pip install 'centerx\[serve\]'`\n", err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "train", "nano"),
        ("train", "predict", "{model}", "{picture}"),
        ("export", "export", "{model}"),
        ("train", "eval", "{model}", "{data}"),
    ],
    ids=lambda arguments: arguments[1],
)
def test_what_needs_torch_says_how_to_get_it(
    arguments: tuple[str, ...], model_file: Path, scenes: Path, tmp_path: Path
) -> None:
    places = {"model": model_file, "picture": save(tmp_path / "a.png"), "data": scenes}
    extra, *command = arguments
    status, out, err = run(COMMAND, *(each.format(**places) for each in command))
    assert (status, out) == (2, "")
    assert err.startswith("error: this needs the package ")
    assert err.endswith(f"run `pip install 'centerx[{extra}]'`\n")
    assert err.count("\n") == 1
