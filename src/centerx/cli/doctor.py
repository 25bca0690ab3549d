"""`centerx doctor`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

CORE = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "typer")
OPTIONAL = {
    "train": ("torch", "torchvision", "timm", "lightning", "omegaconf", "safetensors", "faster-coco-eval"),
    "export": ("onnx", "onnxscript", "onnxslim"),
    "demo": ("scikit-learn",),
    "supervision": ("supervision",),
}


def doctor() -> None:
    """Tell what is installed and what works on this machine."""
    print(f"centerx {version('centerx')}, Python {platform.python_version()}, {platform.platform()}")
    print(f"{os.cpu_count()} processor cores")
    for package in CORE:
        print(f"  {package} {_version(package)}")
    for extra, packages in OPTIONAL.items():
        missing = [package for package in packages if _version(package) == "missing"]
        if missing:
            print(f"{extra}: {', '.join(missing)} missing, run `pip install 'centerx[{extra}]'`")
        else:
            print(f"{extra}: " + ", ".join(f"{package} {_version(package)}" for package in packages))
    print(f"onnxruntime: {_onnxruntime()}")
    if _version("torch") != "missing":
        print(f"torch: {_torch()}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _onnxruntime() -> str:
    import onnxruntime

    return "runs on " + ", ".join(
        name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
    )


def _torch() -> str:
    import torch

    from centerx.train.processes import Processes

    processes = Processes.detect("auto")
    device = torch.cuda.get_device_name() if processes.device == "cuda" else "the CPU"
    return (
        f"trains on {device} in {'bf16' if processes.use_bf16('auto') else 'fp32'}, {torch.get_num_threads()} threads"
    )
