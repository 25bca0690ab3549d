"""ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from centerx.errors import InputError
from centerx.runtime.compute import PLAIN, Compute
from centerx.runtime.foreign.runner import Declared, Tensor
from centerx.runtime.foreign.session import AdapterSource, ForeignSession, open_foreign, require_own
from centerx.runtime.info import ModelInfo
from centerx.runtime.outputs import choose_outputs, detection_outputs, read_outputs
from centerx.types import RawDetections

LOAD_ERRORS = (errors.InvalidProtobuf, errors.InvalidGraph, errors.Fail, errors.NoSuchFile, errors.InvalidArgument,
               errors.NotImplemented, errors.RuntimeException)  # fmt: skip
RUN_ERRORS = (*LOAD_ERRORS, errors.EPFail)
LONGEST = 60.0  # seconds of the first call
TYPES = {"float": "float32", "float16": "float16", "double": "float64"}  # others have NumPy's names


class Graph:
    """A graph of ONNX Runtime whose first call is ended after LONGEST: a stranger's loop may have no end.

    Args:
        session: of the graph.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self.session, self.tried = session, False

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of these names, all without any; one of RUN_ERRORS is raised where it cannot run."""
        options = ort.RunOptions()
        options.log_severity_level = 4  # errors are raised
        limit = threading.Timer(LONGEST, setattr, (options, "terminate", True))
        limit.daemon = True
        if not self.tried:
            limit.start()
        try:
            found: list[np.ndarray] = self.session.run(outputs, dict(inputs), options)
        finally:
            limit.cancel()
        self.tried = True
        return found


class OnnxSession:
    """An ONNX file, with detections as outputs, or with maps, whose peaks are then read.

    Args:
        path: the file.
        session: of it.

    Raises:
        InputError: it is not a detector exported by this project.
    """

    def __init__(self, path: Path, session: ort.InferenceSession) -> None:
        self.session, self.graph = session, Graph(session)
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.info = ModelInfo.from_metadata(metadata, path)
        inputs = self.session.get_inputs()
        if not inputs:
            raise InputError(f"{path}: takes no pictures: make it with `centerx export`")
        first, *others = inputs
        height, width = first.shape[2:] if len(first.shape) == 4 else self.info.input_hw
        self.any_size = isinstance(height, str) and isinstance(width, str)
        due = [3, height, width] if self.any_size else [3, *self.info.input_hw]
        if others or first.name != "images" or first.type != "tensor(uint8)" or first.shape[1:] != due:
            given = ", ".join(f"{each.name} {each.type} {each.shape[1:]}" for each in (first, *others))
            raise InputError(
                f"{path}: takes {given} a picture, but images tensor(uint8) {due} is needed: "
                "make it with `centerx export`"
            )
        task, names = self.info.made_task, [output.name for output in self.session.get_outputs()]
        outputs = choose_outputs(names, task)
        if outputs is None:
            raise InputError(
                f"{path}: gives {', '.join(sorted(names))}, but {', '.join(detection_outputs(task))} are needed: "
                "make it with `centerx export`"
            )
        self.outputs = outputs
        self.takes_picture_hw = "heatmap" in outputs
        shape = self.session.get_outputs()[0].shape
        most = shape[1] if len(shape) > 1 else None
        if not self.takes_picture_hw and "top_k" not in metadata and isinstance(most, int):  # an earlier file
            self.info = self.info._replace(top_k=most)

    def __call__(self, images: np.ndarray, picture_hw: np.ndarray | None = None) -> RawDetections:
        """(B, 3, H, W) uint8 RGB -> (B, K, ...) detections in input pixels, best first."""
        try:
            found = self.graph.run(self.outputs, {"images": images})
        except RUN_ERRORS as error:
            raise InputError(
                f"ONNX Runtime cannot run the model on {'x'.join(map(str, images.shape))} ({_first_line(error)}), "
                "export it again"
            ) from None
        return read_outputs(dict(zip(self.outputs, found, strict=True)), self.info, picture_hw)


class OnnxRunner:
    """An ONNX file of another project.

    Args:
        session: of the file.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self.graph = Graph(session)
        inputs, outputs = (
            tuple(Tensor(each.name, _sides(each.shape), _type(each.type)) for each in each_kind)
            for each_kind in (session.get_inputs(), session.get_outputs())
        )
        self.declared = Declared(inputs, outputs, session.get_modelmeta().custom_metadata_map)

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the file: arrays of all inputs by name -> arrays of all outputs by name.

        Raises:
            InputError: ONNX Runtime refuses the inputs.
        """
        try:
            found = self.graph.run(None, inputs)
        except RUN_ERRORS as error:
            shapes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in inputs.items())
            raise InputError(
                f"ONNX Runtime refuses {shapes} ({_first_line(error)}), correct input.size or input.multiple"
            ) from None
        return dict(zip((each.name for each in self.declared.outputs), found, strict=True))


def open_session(path: Path, adapter: AdapterSource = None, compute: Compute = PLAIN) -> OnnxSession | ForeignSession:
    """Load an ONNX file of this project, or one of another by its adapter."""
    session = load_graph(path, str(path), compute)
    if ModelInfo.is_in(session.get_modelmeta().custom_metadata_map):
        require_own(path, adapter)
        return OnnxSession(path, session)

    def open_runner(free: bool) -> OnnxRunner:
        return OnnxRunner(load_graph(path, freed_graph(path), compute) if free else session)

    return open_foreign(path, open_runner, adapter)


def load_graph(path: Path, graph: str | bytes, compute: Compute = PLAIN) -> ort.InferenceSession:
    """Load a graph.

    Args:
        path: its file, for messages.
        graph: the file or its content.
        compute: threads, and execution providers in order of preference.

    Raises:
        InputError: it is corrupt, or a provider is missing or cannot start.
    """
    providers = compute.choose("ONNX Runtime", ort.get_available_providers())
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    if compute.threads is not None:
        options.intra_op_num_threads = compute.threads
    try:
        session = ort.InferenceSession(graph, options, providers=providers)
    except LOAD_ERRORS as error:
        raise InputError(f"{path}: corrupt or not an ONNX model ({_first_line(error)}), export it again") from None
    lost = [name for name in providers if name not in session.get_providers()]
    if lost:  # ONNX Runtime goes on without a provider whose libraries do not load
        raise InputError(f"providers: ONNX Runtime cannot start {lost[0]} here, check its libraries and its device")
    return session


def freed_graph(path: Path) -> bytes:
    """Return the content of an ONNX file with batch, height and width of its inputs and outputs free.

    Raises:
        InputError: the package onnx is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError(f"{path}: its sides are to be freed, which needs onnx: run `pip install onnx`") from None
    model = onnx.load(path)
    del model.graph.value_info[:]
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, side in enumerate(tensor.type.tensor_type.shape.dim):
            if axis != 1:
                side.dim_param = f"{tensor.name}_{axis}"
    return bytes(model.SerializeToString())


def _first_line(error: Exception) -> str:
    """The start of what ONNX Runtime says, without the rest."""
    return str(error).strip().splitlines()[0][:300]


def _sides(shape: list[int | str | None] | None) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) and side >= 0 else None for side in shape or ())


def _type(name: str) -> str:
    """`tensor(float)` -> `float32`; what is no tensor, such as `seq(tensor(float))`, stays."""
    if not name.startswith("tensor("):
        return name
    inner = name.removeprefix("tensor(").removesuffix(")")
    return TYPES.get(inner, inner)
