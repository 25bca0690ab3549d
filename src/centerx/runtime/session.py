"""Open a model file with the backend that runs it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from centerx.errors import InputError, nearest
from centerx.runtime.answers import rows_due
from centerx.runtime.apart import try_apart
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.foreign.session import AdapterSource, ForeignSession
from centerx.runtime.info import ModelInfo, require_file
from centerx.types import RawDetections

logger = logging.getLogger(__name__)

AUTO = "auto"
TRIALS = 3
GREY = 114  # of the picture on which a file is tried
_trusted = False  # whether the process opens programs


@contextmanager
def trust_programs(trust: bool = True) -> Iterator[None]:
    """Open model files that are programs without being asked for each, inside the `with`, in the whole process.

    Files of torch.export (their sample inputs are unpickled), TorchScript and AOTInductor can do anything that you can.
    Files of ncnn, TensorFlow Lite and Caffe are not tried in a process of their own first, see `apart.try_apart`.

    Args:
        trust: False changes nothing.
    """
    global _trusted
    former, _trusted = _trusted, _trusted or trust
    try:
        yield
    finally:
        _trusted = former


class Session(Protocol):
    """A loaded model.

    Attributes:
        info: class names, input size and stride.
        any_size: whether it takes other sizes too, in multiples of 32.
    """

    info: ModelInfo
    any_size: bool

    def __call__(self, images: np.ndarray) -> RawDetections:
        """(B, 3, H, W) uint8 RGB of the model's input size -> (B, K, ...) detections in input pixels, best first.

        A session with a true attribute `takes_picture_hw` accepts a second argument: the heights and widths of the
        pictures in input pixels, (B, 2) float32. It then finds nothing in the padding. See `run_session`.

        Args:
            images: (B, 3, H, W) uint8 RGB of the model's input size.

        Returns:
            (B, K, ...) detections in input pixels, highest score first.
        """
        ...


def run_session(session: Session, images: np.ndarray, picture_hw: np.ndarray) -> RawDetections:
    """Run a session on pictures of these sizes in their letterboxes; what it can know of the padding, it leaves out.

    An exported file whose outputs are boxes takes the pictures alone. Its K detections can include some that lie in the
    padding.

    Args:
        session: the loaded model.
        images: (B, 3, H, W) uint8 RGB of the model's input size.
        picture_hw: (B, 2) float32 height and width of each picture in input pixels, without padding.

    Returns:
        (B, K, ...) detections in input pixels, highest score first.
    """
    call: Any = session
    return call(images, picture_hw) if getattr(session, "takes_picture_hw", False) else call(images)


class Backend(NamedTuple):
    """One way to run a model file.

    Attributes:
        suffixes: suffixes of the files that it runs.
        opener: `module:function` that opens a file; it is imported when needed.
        needs: module that must be installed.
        foreign: whether it runs files of other projects too, by an adapter.
        program: whether a file is a program, which runs with the rights of whoever opens it.
        weights: whether a file has weights alone, for a network that is built here.
        fragile: whether its library can crash on a corrupt file, which is therefore tried apart first.
    """

    suffixes: tuple[str, ...]
    opener: str
    needs: str
    foreign: bool = False
    program: bool = False
    weights: bool = False
    fragile: bool = False

    @property
    def installed(self) -> bool:
        """Whether the module that it needs is installed."""
        return find_spec(self.needs) is not None

    @property
    def name(self) -> str:
        """Its name in BACKENDS."""
        return next(name for name, each in BACKENDS.items() if each is self)

    def open(self, path: Path, adapter: AdapterSource = None, compute: Compute = PLAIN, trust: bool = False) -> Session:
        """Load a model file with this backend.

        Args:
            path: the file.
            adapter: of a file of another project, see `open_session`.
            compute: threads and devices.
            trust: open it even if it is a program; see `trust_programs` too.

        Raises:
            InputError: it cannot be opened, a device is not there, it is a program and not trusted, or an adapter is
                given and such files are never of another project.
        """
        if self.program and not (trust or _trusted):
            raise InputError(
                f"{path}: refused, and nothing of it was run: such a file is a program that can do whatever you can; "
                "where you trust who made it, add --trust (in Python trust=True), else ask for an ONNX file"
            )
        if self.fragile and self.installed and not (trust or _trusted):
            try_apart(self.name, path, adapter, compute)
        module, function = self.opener.split(":")
        if not self.foreign and adapter is not None:
            raise InputError(f"{path}: such a file is of this project, leave the adapter out")
        arguments = (adapter,) if self.foreign else ()
        session: Session = getattr(import_module(module), function)(path, *arguments, compute=compute)
        if not self.weights:
            try_session(session, path)
        return session


# Where several backends run a suffix, the first of them is the default.
BACKENDS = {
    "onnxruntime": Backend((".onnx",), "centerx.runtime.onnx:open_session", "onnxruntime", foreign=True),
    "openvino": Backend((".xml", ".onnx"), "centerx.runtime.openvino:open_session", "openvino", foreign=True),
    "litert": Backend(
        (".tflite",), "centerx.runtime.litert:open_session", "ai_edge_litert", foreign=True, fragile=True
    ),
    "ncnn": Backend((".ncnn.param",), "centerx.runtime.ncnn:open_session", "ncnn", fragile=True),
    "opencv": Backend((".prototxt",), "centerx.runtime.opencv:open_session", "cv2", fragile=True),
    "torch": Backend((".safetensors",), "centerx.build_model:open_session", "torch", weights=True),
    "torch-export": Backend((".pt2",), "centerx.exporting.torch:open_program", "torch", program=True),
    "aotinductor": Backend((".aoti.pt2",), "centerx.exporting.torch:open_aotinductor", "torch", program=True),
    "torchscript": Backend((".torchscript",), "centerx.exporting.torch:open_torchscript", "torch", program=True),
}


def open_session(
    path: str | Path,
    backend: str | None = None,
    adapter: AdapterSource = None,
    compute: Compute = PLAIN,
    trust: bool = False,
) -> Session:
    """Load a model file.

    Args:
        path: the file. Its suffix chooses the backend if none is given.
        backend: a name of BACKENDS, or `auto`, which times all installed backends that run the file and takes the
            fastest.
        adapter: how a file of another project is read: keys, or the path of a YAML file. Without it the file
            `NAME.adapter.yaml` beside it is read where it is there, else the known families are asked.
        compute: threads and devices.
        trust: open the file even if it is a program, which runs with your rights; see `trust_programs` too.

    Raises:
        InputError: the file is missing, corrupt, of an unknown kind, or of another project and not recognised; it is a
            program and not trusted; or a device is not there.
    """
    return open_named(path, backend, adapter, compute, trust)[1]


def open_named(
    path: str | Path,
    backend: str | None = None,
    adapter: AdapterSource = None,
    compute: Compute = PLAIN,
    trust: bool = False,
) -> tuple[str, Session]:
    """Load a model file and return the name of the backend and the session.

    Args:
        path: as for `open_session`.
        backend: as for `open_session`.
        adapter: as for `open_session`.
        compute: as for `open_session`.
        trust: as for `open_session`.

    Raises:
        InputError: as for `open_session`.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a model is opened by the path of its file, not by something of type {type(path).__name__}")
    path = Path(path)
    if backend not in (None, AUTO, *BACKENDS):
        raise InputError(f"backend: unknown {backend!r}{nearest(str(backend), BACKENDS)}, known: {', '.join(BACKENDS)}")
    require_file(path)
    fitting = backends_of(path)
    if backend == AUTO:
        sessions = open_all(path, adapter, compute, trust)[0]
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
    logger.debug(f"{path}: opened with {name}, of {', '.join(fitting)}")
    return name, entry.open(path, adapter, compute, trust)


def try_session(session: Session, path: Path) -> None:
    """Run a session once, on a grey picture.

    Raises:
        InputError: it cannot be run, or its answer does not fit what the file says of itself. A number of detections
            that does not fit is told, and counts.
    """
    images = np.full((1, 3, *session.info.input_hw), GREY, dtype=np.uint8)
    sizes = np.array([session.info.input_hw], dtype=np.float32)
    try:
        rows = run_session(session, images, sizes).scores.shape[1]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, IndexError, TypeError, RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: cannot be run on a picture ({reason}), export it again") from None
    if not isinstance(session, ForeignSession) and rows != (due := rows_due(session.info)):
        logger.warning(
            f"{path}: gives {rows} detections of a picture where its metadata says {due}; {rows} are the most"
        )
        session.info = session.info._replace(top_k=rows)


def open_all(
    path: Path, adapter: AdapterSource = None, compute: Compute = PLAIN, trust: bool = False
) -> tuple[dict[str, Session], list[InputError]]:
    """Open a file with every installed backend for its suffix.

    Args:
        path: the file.
        adapter: as for `open_session`.
        compute: as for `open_session`.
        trust: as for `open_session`.

    Returns:
        The sessions by name of backend, and the errors of the backends that could not open the file.

    Raises:
        InputError: there is no such file.
    """
    require_file(path)
    sessions: dict[str, Session] = {}
    refusals: list[InputError] = []
    for name, entry in backends_of(path).items():
        if entry.installed:
            try:
                sessions[name] = entry.open(path, adapter, compute, trust)
            except InputError as error:
                refusals.append(error)
    return sessions, refusals


def backends_of(path: Path) -> dict[str, Backend]:
    """Return the backends for the longest known suffix of a file, by name."""
    ends = {suffix for entry in BACKENDS.values() for suffix in entry.suffixes if path.name.lower().endswith(suffix)}
    longest = max(ends, key=len, default=None)
    return {name: entry for name, entry in BACKENDS.items() if longest in entry.suffixes}


def seconds_a_picture(session: Session) -> float:
    """Return the shortest time of a few calls with one picture, in seconds."""
    images = np.zeros((1, 3, *session.info.input_hw), dtype=np.uint8)
    spent = []
    for _ in range(TRIALS + 1):  # the first call is a warm-up
        started = time.perf_counter()
        session(images)
        spent.append(time.perf_counter() - started)
    return min(spent)
