"""The import rule: what each part of the package may use, and which parts live without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import centerx

PACKAGE = Path(centerx.__file__).parent

# Part (a module or folder of the package) -> the parts it may import; itself always. Imports inside functions and for
# type checkers count as well. A dotted entry allows that one module of a part.
SHARED = {"errors", "files", "geometry", "fields", "joints", "objects", "types", "tasks"}
SHARED |= {"contents", "lazy", "levels", "images", "problems", "processor", "resize", "tiles", "yaml_text"}
MAY_IMPORT = {
    "errors": set(),
    "yaml_text": set(),
    "files": {"errors"},
    "geometry": set(),
    "resize": {"geometry"},
    "tiles": {"errors"},
    "progress": set(),
    "fields": {"geometry"},
    "objects": {"fields", "geometry"},
    "joints": {"errors"},
    "types": {"errors", "geometry", "joints", "objects"},
    "page": {"files"},
    "show": {"page"},
    "connect": {"errors", "geometry", "runtime", "show", "tasks", "types"},
    "draw": {"errors", "fields", "files", "joints", "types", "objects"},
    "overlay": {"draw", "geometry"},
    "tasks": {"draw", "fields", "geometry", "joints", "types"},
    "contents": set(),
    "lazy": set(),
    "processor": set(),
    "levels": set(),
    "images": {"errors", "contents", "levels", "problems"},
    "problems": {"errors", "files"},
    "config": {"contents", "joints", "errors", "files", "geometry", "levels", "problems", "tasks", "yaml_text"},
    "runtime": SHARED,
    "data": SHARED | {"progress"},
    "unfinished": {"errors", "files", "runtime"},
    "targets": SHARED,
    "checkpoint_file": {"errors"},
    "models": SHARED | {"checkpoint_file"},
    "decode": SHARED,
    "losses": SHARED | {"decode", "models"},
    "detector": SHARED | {"models", "decode"},
    "model_file": SHARED | {"detector", "runtime.info"},
    "evaluation": SHARED | {"draw", "page", "show", "data", "progress", "runtime"},
    "auditing": SHARED | {"page", "data", "evaluation"},
    "tuning": {"errors", "files", "page", "show"},
    "exporting": SHARED | {"decode", "detector", "runtime"},
    "bench": SHARED | {"runtime"},
    "serve": SHARED | {"runtime", "__init__"},
    "training": SHARED
    | {"checkpoint_file", "progress", "data", "draw", "page", "targets", "models", "losses", "detector", "evaluation"},
    "build_model": SHARED | {"config", "models", "detector", "model_file", "runtime"},
    "interop": SHARED | {"checkpoint_file", "config", "detector", "model_file", "build_model", "exporting", "runtime"},
    "build_teaching": SHARED | {"config", "models", "losses", "training"},
    "build_teachers": SHARED
    | {"config", "progress", "data", "models", "losses", "evaluation", "training", "runtime", "build_model"}
    | {"build_teaching"},
    "build_data": SHARED | {"config", "data", "training", "build_teachers"},
    "build": SHARED
    | {"config", "data", "targets", "models", "losses", "detector", "model_file", "evaluation", "training", "runtime"}
    | {"build_data", "build_model", "build_teaching"},
    "build_plan": SHARED
    | {"config", "progress", "data", "evaluation", "training", "build", "build_data"}
    | {"build_teachers"},
    "api": SHARED
    | {"config", "data", "draw", "overlay", "page", "show", "progress", "runtime", "bench", "detector", "evaluation"}
    | {"unfinished"}
    | {
        "auditing",
        "exporting",
        "training",
        "tuning",
        "interop",
        "build",
        "build_data",
        "build_model",
        "build_teachers",
        "build_plan",
    },
    "cli": SHARED
    | {"data", "draw", "overlay", "progress", "runtime", "bench", "evaluation", "exporting", "training", "build_model"}
    | {"interop", "serve", "tuning", "build_plan", "unfinished", "api", "__init__"},
    "__init__": {"errors", "types", "data", "evaluation", "runtime", "build_plan", "api"},
    "__main__": {"cli"},
}

# Everything else must import where torch is absent.
NEEDS_TORCH = {"checkpoint_file", "data.augment", "data.batch", "targets", "models", "decode", "losses", "detector",
               "model_file", "evaluation", "auditing", "exporting", "training", "build", "build_data", "build_model",
               "build_teachers", "build_teaching", "build_plan",
               "interop.backbones", "interop.centernet", "interop.centerx", "interop.checkpoint",
               "interop.convert", "interop.caffe", "interop.caffe_schema"}  # fmt: skip
TORCH = {"torch", "torchvision", "lightning", "timm"}
OUTSIDE = {"benchmarks", "experiments", "tests"}


def module_name(path: Path) -> str:
    """`src/centerx/data/coco.py` -> `data.coco`; a folder's `__init__.py` is the folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source: str) -> Iterator[str]:
    """Absolute names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide what is imported"
            yield from (full_name(node.module or "", alias.name) for alias in node.names)


def full_name(module: str, name: str) -> str:
    """`from module import name` -> the module meant: `module.name` where that is one of ours."""
    inner = f"{module}.{name}"
    return inner if inner.removeprefix("centerx.") in SOURCES else module


def own_parts(source: str) -> set[str]:
    """The modules of this package that a file imports, without the leading `centerx.`."""
    names = {
        name.removeprefix("centerx").removeprefix(".") for name in imported(source) if name.split(".")[0] == "centerx"
    }
    return {name or "__init__" for name in names}


def violations(module: str, source: str) -> set[str]:
    """What a file imports although its part may not."""
    part = module.split(".")[0]
    allowed = MAY_IMPORT[part] | {part}
    return {name for name in own_parts(source) if name.split(".")[0] not in allowed and name not in allowed}


def loaded_by(*arguments: str) -> set[str]:
    """Top-level modules that a fresh Python imports."""
    command = [sys.executable, "-X", "importtime", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    names = {line.rsplit("|", 1)[1].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    return {name.split(".")[0] for name in names}


def needs_torch(module: str) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in NEEDS_TORCH)


def test_every_part_has_its_place() -> None:
    assert {module.split(".")[0] for module in SOURCES} == set(MAY_IMPORT)


def test_the_rule_goes_one_way() -> None:
    order = {part: {name.split(".")[0] for name in allowed} for part, allowed in MAY_IMPORT.items()}
    assert list(TopologicalSorter(order).static_order())  # raises where there is a circle


@pytest.mark.parametrize("module", SOURCES)
def test_imports_only_what_it_may(module: str) -> None:
    assert not violations(module, SOURCES[module])


@pytest.mark.parametrize("module", SOURCES)
def test_imports_nothing_from_outside_the_package(module: str) -> None:
    assert not {name.split(".")[0] for name in imported(SOURCES[module])} & OUTSIDE


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("losses.fields", "from centerx.config.schema import LossConfig", {"config.schema"}),
        ("losses.fields", "def f():\n    import centerx.build", {"build"}),
        ("runtime.onnx", "from centerx import detector", {"detector"}),
        ("model_file", "from centerx.runtime.predictor import Predictor", {"runtime.predictor"}),
        ("model_file", "from centerx.runtime.info import ModelInfo", set()),
        ("cli.predict", "from centerx import load", set()),
    ],
)
def test_the_judge_itself(module: str, source: str, found: set[str]) -> None:
    assert violations(module, source) == found


def test_what_is_said_to_need_torch_exists() -> None:
    assert all(any(module == part or module.startswith(f"{part}.") for module in SOURCES) for part in NEEDS_TORCH)


@pytest.mark.parametrize("arguments", [("-c", "import centerx"), ("-m", "centerx", "--help")], ids=["import", "help"])
def test_starts_without_anything_heavy(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert "centerx" in loaded
    assert not loaded & (TORCH | {"cv2", "onnxruntime"})


def test_the_torch_free_parts_load_no_torch() -> None:
    modules = [f"centerx.{module}" for module in SOURCES if not needs_torch(module) and "__" not in module]
    assert not loaded_by("-c", f"import {', '.join(modules)}") & TORCH
