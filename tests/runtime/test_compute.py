"""Threads and devices of each backend."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

import centerx as package
from centerx.build_model import load_detector
from centerx.errors import InputError
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.parity import synthetic_images
from centerx.runtime import Compute, open_session, trust_programs


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    torch_threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(torch_threads)
    cv2.setNumThreads(opencv_threads)


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trust_programs():
        yield


def threads_of(session: Any, backend: str) -> int:
    """The number of threads, as the backend itself says it."""
    if backend == "onnxruntime":
        return int(session.session.get_session_options().intra_op_num_threads)
    if backend == "openvino":
        return int(session.model.get_property("INFERENCE_NUM_THREADS"))
    if backend == "ncnn":
        return int(session.net.opt.num_threads)
    return torch.get_num_threads()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "ncnn", "torch", "torchscript"])
def test_the_backend_has_the_threads_that_are_asked_for(model_file: Path, onnx_file: Path, backend: str) -> None:
    path = {"torch": model_file}.get(backend, onnx_file)
    if backend in ("ncnn", "torchscript"):
        pytest.importorskip("torch" if backend == "torchscript" else "pnnx")
        path = model_file.with_name(f"threads{'.ncnn.param' if backend == 'ncnn' else '.torchscript'}")
        options = ExportOptions("maps" if backend == "ncnn" else "detections")
        export_model(*load_detector(model_file), path, backend, options)
    images = synthetic_images(1, (96, 128))
    found = open_session(path, backend)(images)
    for number in (1, 2):
        session = open_session(path, backend, compute=Compute.of(number, "cpu"))
        most = len(os.sched_getaffinity(0)) if backend == "openvino" else number  # it takes no more than there are
        assert threads_of(session, backend) == min(number, most)
        np.testing.assert_allclose(session(images).scores, found.scores, atol=1e-5)


def test_litert_gets_the_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    from centerx.runtime import litert as ours

    given: list[Any] = []

    class Watched(litert.Interpreter):  # type: ignore[misc, name-defined]
        def __init__(self, *args: Any, **options: Any) -> None:
            given.append(options)
            super().__init__(*args, **options)

    monkeypatch.setattr(ours, "Interpreter", Watched)
    (tmp_path / "a.tflite").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a TensorFlow Lite model"):
        open_session(tmp_path / "a.tflite", compute=Compute(3))
    assert given == [{"num_threads": 3}]
    with pytest.raises(InputError, match=r"LiteRT has no 'gpu' here.*it has: cpu"):
        open_session(tmp_path / "a.tflite", compute=Compute(providers=("gpu",)))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "torch"])
def test_a_provider_that_is_not_here_is_named_with_those_that_are(
    model_file: Path, onnx_file: Path, backend: str
) -> None:
    path = model_file if backend == "torch" else onnx_file
    with pytest.raises(InputError, match=r"^providers: .* has no 'cupu' here \(did you mean 'cpu'\?\), it has: .*cpu"):
        open_session(path, backend, compute=Compute(providers=("cupu",)))


def test_a_provider_that_cannot_start_is_no_silent_fallback(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime itself goes on with the processor, as on a machine without the libraries of CUDA."""
    here = ["CUDAExecutionProvider", *onnxruntime.get_available_providers()]
    if "CUDAExecutionProvider" in here[1:]:
        pytest.skip("this ONNX Runtime has CUDA")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: here)
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(InputError, match="cannot start CUDAExecutionProvider"),
    ):
        package.load(onnx_file, providers=["cuda", "cpu"])


def test_onnx_runtime_keeps_the_order_and_both_spellings(onnx_file: Path) -> None:
    assert package.load(onnx_file, providers="CPUExecutionProvider").session.session.get_providers() == [  # type: ignore[attr-defined]
        "CPUExecutionProvider"
    ]
    compute = Compute.of(None, ["cuda", "CPU"])
    assert compute.choose("it", ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]) == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    with pytest.raises(InputError, match="one device"):
        compute.choose_one("it", ["cuda", "cpu"])


def test_a_pickled_detector_keeps_them(onnx_file: Path) -> None:
    copy = pickle.loads(pickle.dumps(package.load(onnx_file, threads=2)))
    assert threads_of(copy.session, "onnxruntime") == 2


def test_a_loaded_detector_and_wrong_numbers_are_refused(onnx_file: Path, scenes: Path) -> None:
    with pytest.raises(InputError, match="threads: 0"):
        package.load(onnx_file, threads=0)
    detector = package.load(onnx_file)
    with pytest.raises(InputError, match=r"threads, providers: go with a model file"):
        package.predict(detector, scenes.parent, threads=1)
    with pytest.raises(InputError, match=r"threads, providers: go with a model file"):
        package.evaluate(detector, scenes, threads=1)


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**20])
def test_a_number_of_threads_that_no_machine_has(threads: int) -> None:
    with pytest.raises(InputError, match=f"threads: {threads} is"):
        Compute.of(threads, None)


@pytest.mark.parametrize(("batch", "runs"), [([1025], 1), ([10**20], 1), ([1], 10**9)])
def test_a_benchmark_of_more_than_can_be_meant(batch: list[int], runs: int) -> None:
    with pytest.raises(InputError, match="from one to"):
        package.benchmark(["missing.onnx"], batch, runs)
