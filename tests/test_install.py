"""The core install in a new environment: no extras, so no torch, and all that it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_predict import save

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = ("Failed to establish a new connection", "Temporary failure in name resolution", "ConnectionError")


pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new virtual environment with `pip install .` alone."""
    home = tmp_path_factory.mktemp("core") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    programs = home / ("Scripts" if sys.platform == "win32" else "bin")
    install = [programs / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", ROOT]
    done = subprocess.run(list(map(str, install)), capture_output=True, text=True, check=False, cwd=home)
    if done.returncode and any(sign in done.stderr for sign in OFFLINE):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return programs


def run(environment: Path, *arguments: object, cwd: Path) -> str:
    command = [str(environment / "centerx"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_is_no_torch(environment: Path) -> None:
    done = subprocess.run([str(environment / "python"), "-c", "import torch"], capture_output=True, check=False)
    assert done.returncode == 1


def test_help_and_doctor(environment: Path, tmp_path: Path) -> None:
    assert "predict" in run(environment, "--help", cwd=tmp_path)
    told = run(environment, "doctor", cwd=tmp_path)
    assert "prediction: with ONNX Runtime" in told
    assert "run `pip install 'centerx[train]'`" in told


def test_predict(environment: Path, onnx_file: Path, tmp_path: Path) -> None:
    picture = save(tmp_path / "a.png")
    run(environment, "predict", onnx_file, picture, "--json", "a.json", "--out", "drawn", cwd=tmp_path)
    (entry,) = json.loads((tmp_path / "a.json").read_text())
    assert entry["detections"]
    assert (tmp_path / "drawn" / "a.png").is_file()


def test_presets_and_the_page_are_packed(environment: Path) -> None:
    code = "import centerx; print(centerx.__file__)"
    done = subprocess.run([str(environment / "python"), "-c", code], capture_output=True, text=True, check=True)
    package = Path(done.stdout.strip()).parent
    assert package.is_relative_to(environment.parent)
    assert {path.name for path in (package / "presets").iterdir()} == {
        path.name for path in (ROOT / "configs").iterdir()
    }
    here = ROOT / "src" / "centerx" / "exporting" / "page"
    assert {path.name for path in (package / "exporting" / "page").iterdir()} == {path.name for path in here.iterdir()}
