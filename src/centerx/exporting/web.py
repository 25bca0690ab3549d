"""Export a folder for browsers: the model, a page that shows its detections, and ONNX Runtime Web."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from centerx.detector import Detector
from centerx.errors import InputError
from centerx.exporting.onnx import export_onnx
from centerx.exporting.registry import ExportOptions
from centerx.files import json_text, new_files, write_atomic
from centerx.runtime.info import LETTERBOX, ModelInfo

PAGE = Path(__file__).with_name("page")
PAGE_FILES = ("index.html", "app.js", "centerx.js", "style.css", "onnxruntime-web.LICENSE.txt")
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
WRITTEN = {*PAGE_FILES, *RUNTIME_FILES, "model.onnx", "model.json"}
RUNTIME_VARIABLE = "CENTERX_ORT_WEB"


def export_web(detector: Detector, info: ModelInfo, path: Path, options: ExportOptions) -> None:
    """Write a folder that any web server can serve.

    Args:
        detector: the detector; not changed.
        info: content of `model.json`.
        path: the folder. An earlier export there is replaced.
        options: precision of the model.

    Raises:
        InputError: `path` has other content, or ONNX Runtime Web is not available.
    """
    check_replaceable(path)
    runtime = find_runtime()
    with new_files(path) as made:
        made.mkdir()
        export_onnx(detector, info, made / "model.onnx", options)
        facts = {
            "task": info.task,
            "class_names": info.class_names,
            "input_size": info.input_hw,
            "top_k": info.top_k,
            "letterbox": LETTERBOX,
        }
        if info.joints.names:
            facts["joints"] = {"names": info.joints.names, "skeleton": info.joints.skeleton}
        (made / "model.json").write_text(json_text(facts, indent=2), encoding="utf-8")
        for source in [PAGE / name for name in PAGE_FILES] + [runtime / name for name in RUNTIME_FILES]:
            shutil.copyfile(source, made / source.name)


def check_replaceable(path: Path) -> None:
    """Raise unless a path is free or holds an earlier export.

    Raises:
        InputError: the path is a file, or a folder with other files.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: a file where the folder of the page belongs, move it or choose another --out")
    others = sorted({each.name for each in path.iterdir()} - WRITTEN) if path.exists() else []
    if others:
        raise InputError(f"{path}: holds {others[0]!r}, which no export wrote, move it or choose another --out")


def find_runtime() -> Path:
    """Return a folder with RUNTIME_FILES: the one in CENTERX_ORT_WEB, or a cache that npm fills at the first use.

    Raises:
        InputError: the folder in CENTERX_ORT_WEB lacks a file, or npm is missing or cannot download them.
    """
    named = os.environ.get(RUNTIME_VARIABLE)
    if named:
        missing = [name for name in RUNTIME_FILES if not (Path(named) / name).is_file()]
        if missing:
            raise InputError(
                f"{RUNTIME_VARIABLE}={named}: has no {missing[0]}, name the folder dist of onnxruntime-web"
            )
        return Path(named)
    version = json.loads((PAGE / "package.json").read_text(encoding="utf-8"))["dependencies"]["onnxruntime-web"]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "centerx" / f"onnxruntime-web-{version}"
    if not all((cache / name).is_file() for name in RUNTIME_FILES):
        fetch_runtime(f"onnxruntime-web@{version}", cache)
    return cache


def fetch_runtime(package: str, folder: Path) -> None:
    """Download RUNTIME_FILES of an npm package.

    Args:
        package: name and version, such as `onnxruntime-web@1.20.0`.
        folder: where the files are written.

    Raises:
        InputError: npm is missing or cannot download the package.
    """
    npm = shutil.which("npm")
    otherwise = f"or let {RUNTIME_VARIABLE} name the folder dist of that package"
    if npm is None:
        raise InputError(f"npm is absent, which brings {package} for the page: install Node.js, {otherwise}")
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            npm,
            "pack",
            package,
            "--ignore-scripts",
            "--silent",
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=1000",
        ]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not archives:
            raise InputError(f"npm cannot fetch {package} for the page: connect to the network, {otherwise}")
        with tarfile.open(archives[0]) as archive:
            for name in RUNTIME_FILES:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None
                write_atomic(folder / name, member.read())
