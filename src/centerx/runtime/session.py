"""A model file of any backend -> something that takes pixels and returns boxes."""

from __future__ import annotations

import os
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from centerx.errors import InputError, nearest
from centerx.runtime.info import ModelInfo, require_file
from centerx.types import Detections

AUTO = "auto"
TRIALS = 3


class Session(Protocol):
    """A loaded model.

    Attributes:
        info: class names, input size and stride.
        any_size: whether it takes other sizes too, in multiples of 32.
    """

    info: ModelInfo
    any_size: bool

    def __call__(self, images: np.ndarray) -> Detections:
        """(B, 3, H, W) uint8 RGB of the model's input size -> (B, K, ...) detections in input pixels, best first.

        Beside the pictures a session may take their (B, 2) float32 heights and widths in input pixels, and find nothing
        beyond them: it then says so by a true attribute `takes_picture_hw`. See `run_session`.
        """
        ...


def run_session(session: Session, images: np.ndarray, picture_hw: np.ndarray) -> Detections:
    """Run a session on pictures of these sizes in their letterboxes; what it can know of the padding, it leaves out.

    A file that ends with the boxes has the pictures for its one input: among its K places are what it finds in the
    padding.
    """
    call: Any = session
    return call(images, picture_hw) if getattr(session, "takes_picture_hw", False) else call(images)


class Backend(NamedTuple):
    """One way to run a model file.

    Attributes:
        suffixes: of its files. opener: module and function, imported when needed. needs: the module that must be there.
    """

    suffixes: tuple[str, ...]
    opener: str
    needs: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported here."""
        return find_spec(self.needs) is not None

    def open(self, path: Path) -> Session:
        """Load a file of this backend."""
        module, function = self.opener.split(":")
        session: Session = getattr(import_module(module), function)(path)
        return session


BACKENDS = {  # for a suffix that several can run, the first is what is used unless another is named
    "onnxruntime": Backend((".onnx",), "centerx.runtime.onnx:open_session", "onnxruntime"),
    "openvino": Backend((".xml", ".onnx"), "centerx.runtime.openvino:open_session", "openvino"),
    "ncnn": Backend((".ncnn.param",), "centerx.runtime.ncnn:open_session", "ncnn"),
    "opencv": Backend((".prototxt",), "centerx.runtime.opencv:open_session", "cv2"),
    "torch": Backend((".safetensors",), "centerx.build_model:open_session", "torch"),
    "torch-export": Backend((".pt2",), "centerx.exporting.torch:open_program", "torch"),
    "aotinductor": Backend((".aoti.pt2",), "centerx.exporting.torch:open_aotinductor", "torch"),
    "torchscript": Backend((".torchscript",), "centerx.exporting.torch:open_torchscript", "torch"),
}


def open_session(path: str | Path, backend: str | None = None) -> Session:
    """Load a model file.

    Args:
        path: the file; its suffix chooses the backend.
        backend: one of BACKENDS, to choose by name; `auto` for the fastest of those installed, by a short trial.

    Raises:
        InputError: the file is missing, corrupt, of an unknown kind or not one of this project.
    """
    return open_named(path, backend)[1]


def open_named(path: str | Path, backend: str | None = None) -> tuple[str, Session]:
    """`open_session` that also tells the name of the backend.

    Raises:
        InputError: as `open_session`.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a model is opened by the path of its file, not by something of type {type(path).__name__}")
    path = Path(path)
    if backend not in (None, AUTO, *BACKENDS):
        raise InputError(f"backend: unknown {backend!r}{nearest(str(backend), BACKENDS)}, known: {', '.join(BACKENDS)}")
    require_file(path)
    fitting = backends_of(path)
    if backend == AUTO:
        sessions = open_all(path)[0]
        if sessions:
            fastest = min(sessions, key=lambda name: seconds_a_picture(sessions[name]) if len(sessions) > 1 else 0)
            return fastest, sessions[fastest]
    elif backend is not None:
        fitting = {name: entry for name, entry in fitting.items() if name == backend}
    if not fitting:
        asked = BACKENDS.values() if backend in (None, AUTO) else [BACKENDS[backend]]
        known = ", ".join(dict.fromkeys(suffix for entry in asked for suffix in entry.suffixes))
        raise InputError(f"{path}: not a model file{f' of {backend}' if backend else ''}, known are: {known}")
    name, entry = next(iter(fitting.items()))
    return name, entry.open(path)


def open_all(path: Path) -> tuple[dict[str, Session], list[InputError]]:
    """A file in every installed backend that runs it, by name, and why the others do not."""
    sessions: dict[str, Session] = {}
    refusals: list[InputError] = []
    for name, entry in backends_of(path).items():
        if entry.installed:
            try:
                sessions[name] = entry.open(path)
            except InputError as error:
                refusals.append(error)
    return sessions, refusals


def backends_of(path: Path) -> dict[str, Backend]:
    """What can run a file, by its longest known suffix."""
    ends = {suffix for entry in BACKENDS.values() for suffix in entry.suffixes if path.name.lower().endswith(suffix)}
    longest = max(ends, key=len, default=None)
    return {name: entry for name, entry in BACKENDS.items() if longest in entry.suffixes}


def seconds_a_picture(session: Session) -> float:
    """The least time of a few calls with one picture."""
    images = np.zeros((1, 3, *session.info.input_hw), dtype=np.uint8)
    spent = []
    for _ in range(TRIALS + 1):  # the first warms up and is no faster
        started = time.perf_counter()
        session(images)
        spent.append(time.perf_counter() - started)
    return min(spent)
