"""`centerx doctor`: what it tells is what is there."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from centerx.api import doctor
from tests.cli.conftest import CommandLine


def test_what_is_installed(centerx: CommandLine) -> None:
    status, out, err = centerx("doctor")
    assert (status, err) == (0, "")
    assert out.startswith(f"centerx {version('centerx')}, Python ")
    lines = dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)
    assert f"onnxruntime {version('onnxruntime')}" in lines["core"]
    assert f"torch {version('torch')}" in lines["train"]
    assert "CPU" in lines["prediction"]
    assert "threads" in lines["training"]


@pytest.mark.soak
def test_how_threads_wait(tmp_path: Path) -> None:
    """The command line lets them sleep soon, unless the user said something."""
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    for knobs, told in (({}, "GOMP_SPINCOUNT=10000"), ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY=active")):
        command = [sys.executable, "-m", "centerx", "doctor"]
        done = subprocess.run(command, env=path | knobs, cwd=tmp_path, capture_output=True, text=True, check=True)
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("training: "))
        assert f"which wait by {told};" in line


def test_what_is_missing_and_how_to_get_it(centerx: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in {"onnxslim", "numpy"} else known(name))
    out = centerx("doctor")[1]
    assert "core: numpy missing, run `pip install 'centerx'`\n" in out
    assert "export: onnxslim missing, run `pip install 'centerx[export]'`\n" in out


def test_every_extra_has_its_packages() -> None:
    packages = doctor._packages()
    assert {"onnxruntime", "numpy", "typer"} <= set(packages["core"])
    assert "torch" in packages["train"]
    assert "centerx" not in {name for names in packages.values() for name in names}
