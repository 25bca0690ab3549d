"""`centerx.doctor`: what is installed, and what works on this machine."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, NamedTuple

CORE = "core"  # what is installed without an extra


class Ability(NamedTuple):
    """Something that this machine can do, or not.

    Attributes:
        works: whether it can.
        what: with what; why not, where it cannot.
    """

    works: bool
    what: str


class Installation(NamedTuple):
    """What is installed, and what works.

    Attributes:
        centerx: version of this package.
        python: version of Python.
        platform: operating system and architecture.
        cores: processor cores.
        packages: by extra, or `core`: the version of each package; None of one that is missing.
        prediction: whether an exported model runs.
        training: whether a model can be trained.
    """

    centerx: str
    python: str
    platform: str
    cores: int
    packages: dict[str, dict[str, str | None]]
    prediction: Ability
    training: Ability

    def missing(self, extra: str) -> list[str]:
        """Return the packages of an extra that are not installed."""
        return [name for name, there in self.packages[extra].items() if there is None]

    def to_json(self) -> dict[str, Any]:
        """Return the tree of `centerx doctor --json`."""
        return self._asdict() | {"prediction": self.prediction._asdict(), "training": self.training._asdict()}


def doctor() -> Installation:
    """Look at what is installed, and try what works on this machine."""
    packages = {extra: {name: _version(name) for name in names} for extra, names in _packages().items()}
    return Installation(
        version("centerx"),
        platform.python_version(),
        platform.platform(),
        os.cpu_count() or 1,
        packages,
        _prediction(),
        _training(),
    )


def _packages() -> dict[str, list[str]]:
    """What this package declares to need, by extra."""
    packages: dict[str, list[str]] = {}
    for line in requires("centerx") or []:
        name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"](\w+)", line)
        assert name is not None
        if name[0] != "centerx":
            packages.setdefault(extra[1] if extra else CORE, []).append(name[0])
    return packages


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _prediction() -> Ability:
    try:
        import onnxruntime
    except ImportError as error:
        return Ability(False, str(error))
    providers = (name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return Ability(True, f"with ONNX Runtime on {', '.join(providers)}")


def _training() -> Ability:
    try:
        import torch

        from centerx.training.processes import Processes
    except (ImportError, OSError) as error:  # OSError: torch is there, a library of the device is not
        return Ability(False, str(error))
    processes = Processes.detect("auto")
    precision = "bf16" if processes.use_bf16("auto") else "fp32"
    return Ability(
        True, f"on {processes.gpu or 'the CPU'} in {precision}, {torch.get_num_threads()} threads, {waiting()}"
    )


def waiting() -> str:
    """Return how the threads of OpenMP wait for each other, as the environment says."""
    told = [f"{name}={os.environ[name]}" for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ]
    how = f"which wait by {', '.join(told)}" if told else "which wait as their library has it"
    return f"{how}; a training on a CPU takes fewer while others keep cores busy, unless OMP_NUM_THREADS is set"
