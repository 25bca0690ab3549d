"""`centerx doctor`."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version


def doctor() -> None:
    """Tell what is installed and what works on this machine."""
    print(f"centerx {version('centerx')}, Python {platform.python_version()}, {platform.platform()}")
    print(f"{os.cpu_count()} processor cores")
    for extra, packages in _packages().items():
        missing = [package for package in packages if _version(package) is None]
        if missing:
            install = f"centerx[{extra}]" if extra else "centerx"
            print(f"{extra or 'core'}: {', '.join(missing)} missing, run `pip install '{install}'`")
        else:
            print(f"{extra or 'core'}: " + ", ".join(f"{package} {_version(package)}" for package in packages))
    print(f"prediction: {_onnxruntime()}")
    print(f"training: {_torch()}")


def _packages() -> dict[str, list[str]]:
    """What this package declares to need, by extra; '' is the core."""
    packages: dict[str, list[str]] = {}
    for line in requires("centerx") or []:
        name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"](\w+)", line)
        assert name is not None
        if name[0] != "centerx":
            packages.setdefault(extra[1] if extra else "", []).append(name[0])
    return packages


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _onnxruntime() -> str:
    try:
        import onnxruntime
    except ImportError as error:
        return f"no, {error}"
    providers = (name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return f"with ONNX Runtime on {', '.join(providers)}"


def _torch() -> str:
    try:
        import torch

        from centerx.training.processes import Processes
    except (ImportError, OSError) as error:  # OSError: torch is there, a library of the device is not
        return f"no, {error}"
    processes = Processes.detect("auto")
    precision = "bf16" if processes.use_bf16("auto") else "fp32"
    return f"on {processes.gpu or 'the CPU'} in {precision}, {torch.get_num_threads()} threads"
